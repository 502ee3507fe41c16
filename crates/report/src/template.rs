//! The order of sections that a school asks for, from a file.
//!
//! ```toml
//! [[section]]
//! use = "aim"
//!
//! [[section]]
//! use = "results"
//! title = "Measurements"
//!
//! [[section]]
//! title = "Discussion"
//! text = """
//! A paragraph of the author.
//!
//! Another one."""
//! ```

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use serde::Deserialize;

/// A section of the report, as the file asks for it.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Wanted {
    /// Id of a section of the report, which is taken with its parts.
    #[serde(rename = "use")]
    pub(crate) id: Option<String>,
    /// Its title, if it is to have another one.
    pub(crate) title: Option<String>,
    /// Paragraphs of the author, in front of what the report says, with empty lines between them.
    pub(crate) text: Option<String>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Template {
    section: Vec<Wanted>,
}

/// Sections that a file may name, in the order of a report without template. A report without isolation experiment has no section
/// `isolation`.
pub(crate) const SECTIONS: [&str; 21] = [
    "aim",
    "setup",
    "layout",
    "pieces",
    "compose",
    "client",
    "server",
    "running",
    "results",
    "logged",
    "wire",
    "still-shown",
    "costs",
    "isolation",
    "controls",
    "environment",
    "conclusion",
    "by-hand",
    "evidence",
    "more-code",
    "more-figures",
];

/// Why a template cannot be used.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Error {
    #[error("cannot read {}: {source}", path.display())]
    File { path: PathBuf, source: io::Error },
    #[error("{}: {source}", path.display())]
    Toml { path: PathBuf, source: toml::de::Error },
    #[error("{}: section {number}: there is no {name:?}; the names are {}", path.display(), SECTIONS.join(", "))]
    Unknown { path: PathBuf, number: usize, name: String },
    #[error("{}: section {number}: {name:?} is there already", path.display())]
    Repeated { path: PathBuf, number: usize, name: String },
    #[error("{}: section {number}: a section of your own needs a title, any other one a name in `use`", path.display())]
    Nameless { path: PathBuf, number: usize },
    #[error("{}: no [[section]]", path.display())]
    Empty { path: PathBuf },
}

/// Reads a template.
///
/// # Errors
/// If the file cannot be read, is not TOML of this form, or names a section that does not exist or is there already.
pub(crate) fn read(path: &Path) -> Result<Vec<Wanted>, Error> {
    let text = fs::read_to_string(path).map_err(|source| Error::File { path: path.to_owned(), source })?;
    parse(&text, path)
}

fn parse(text: &str, path: &Path) -> Result<Vec<Wanted>, Error> {
    let path = path.to_owned();
    let wanted = match toml::from_str::<Template>(text) {
        Ok(template) => template.section,
        Err(source) => return Err(Error::Toml { path, source }),
    };
    if wanted.is_empty() {
        return Err(Error::Empty { path });
    }
    for (index, section) in wanted.iter().enumerate() {
        let number = index + 1;
        let Some(name) = &section.id else {
            if section.title.is_none() {
                return Err(Error::Nameless { path, number });
            }
            continue;
        };
        if !SECTIONS.contains(&name.as_str()) {
            return Err(Error::Unknown { path, number, name: name.clone() });
        }
        if wanted[..index].iter().any(|other| other.id.as_ref() == Some(name)) {
            return Err(Error::Repeated { path, number, name: name.clone() });
        }
    }
    Ok(wanted)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn error(text: &str) -> String {
        parse(text, Path::new("lab.toml")).expect_err(text).to_string()
    }

    #[test]
    fn sections_are_read_in_their_order() {
        let text = "[[section]]\nuse = \"aim\"\n[[section]]\ntitle = \"고찰\"\ntext = \"a\"\n";
        let wanted = parse(text, Path::new("lab.toml")).unwrap();
        let own = Wanted { id: None, title: Some("고찰".to_owned()), text: Some("a".to_owned()) };
        assert_eq!(wanted, [Wanted { id: Some("aim".to_owned()), title: None, text: None }, own]);
    }

    #[test]
    fn errors_name_the_file_and_the_section() {
        assert!(
            error("[[section]]\nuse = \"aims\"")
                .starts_with("lab.toml: section 1: there is no \"aims\"; the names are aim, ")
        );
        let twice = "[[section]]\nuse = \"aim\"\n[[section]]\nuse = \"aim\"";
        assert_eq!(error(twice), "lab.toml: section 2: \"aim\" is there already");
        assert!(
            error("[[section]]\ntext = \"x\"").contains("section 1: a section of your own needs a title")
        );
        assert!(error("[[section]]\nname = \"x\"").contains("unknown field `name`"));
        assert!(error("section = []").contains("no [[section]]"));
        assert!(error("[[section]\n").starts_with("lab.toml: TOML parse error at line 1"));
    }
}
