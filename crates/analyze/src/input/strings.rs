//! The strings to search for that were given without messages: one a line, or the leaves of JSON documents.

use std::fs::File;
use std::hash::{BuildHasher, RandomState};
use std::io::{self, Read};
use std::path::Path;
use std::sync::Arc;

use anyhow::{Context, Result, anyhow, bail};
use hashbrown::HashTable;
use search::MIN_PATTERN;
use serde_json::value::RawValue;

use crate::needles::{GivenString, MAX_DEPTH, StringPath, leaves};

/// Longest file of strings that is read, so that the wrong file cannot use unbounded memory.
const MAX_FILE: u64 = 64 << 20;

/// What to do about a string that is too short.
const TOO_SHORT: &str = "it would be found by chance; give the line that contains it, or leave it out";

/// Strings that were given without messages.
#[derive(Clone, Debug, Default)]
pub struct GivenStrings {
    pub(crate) strings: Vec<GivenString>,
    /// The JSON documents, whose words are compared with the text fields of hellos.
    pub(crate) documents: Vec<Box<RawValue>>,
    /// Leaves of JSON documents that are not searched: numbers, and strings that are too short.
    pub(crate) short: u64,
    /// The indices of `strings`, by their values.
    known: HashTable<u32>,
    hasher: RandomState,
}

impl GivenStrings {
    /// Adds the lines of a file, or of standard input if the path is `-`. Empty lines do not count.
    ///
    /// # Errors
    ///
    /// The file cannot be read, or contains a line that is not UTF-8 or too short to be searched for, or nothing else but
    /// empty lines.
    pub fn add_lines(&mut self, path: &Path) -> Result<()> {
        let name = display(path);
        let bytes = read(path)?;
        let bytes = bytes.strip_prefix(BYTE_ORDER_MARK).unwrap_or(&bytes);
        self.reserve(bytes.split(|byte| *byte == b'\n').filter(|line| !line.is_empty()).count());
        let mut is_empty = true;
        let file: Arc<str> = name.as_str().into();
        for (number, line) in (1..).zip(bytes.split(|byte| *byte == b'\n')) {
            let line = line.strip_suffix(b"\r").unwrap_or(line);
            if line.is_empty() {
                continue;
            }
            let Ok(value) = std::str::from_utf8(line) else {
                bail!("{name}: line {number} is not UTF-8 text");
            };
            if value.len() < MIN_PATTERN {
                let len = value.len();
                bail!(
                    "{name}: line {number} has {len} of the {MIN_PATTERN} bytes that a search needs: {TOO_SHORT}"
                );
            }
            is_empty = false;
            let path = StringPath::Line { file: Arc::clone(&file), line: number };
            self.add(GivenString { value: value.into(), path });
        }
        if is_empty {
            bail!("{name}: there is no string in it");
        }
        Ok(())
    }

    /// Adds a string. `source` and `number` say where it is from.
    ///
    /// # Errors
    ///
    /// The string is too short to be searched for.
    pub fn add_string(&mut self, source: &str, number: u32, value: &str) -> Result<()> {
        if value.len() < MIN_PATTERN {
            let len = value.len();
            bail!(
                "{source}: string {number} has {len} of the {MIN_PATTERN} bytes that a search needs: {TOO_SHORT}"
            );
        }
        let path = StringPath::Line { file: source.into(), line: number };
        self.add(GivenString { value: value.into(), path });
        Ok(())
    }

    /// Adds the leaf strings of the JSON documents in a file, or in standard input if the path is `-`.
    ///
    /// # Errors
    ///
    /// The file cannot be read, is not JSON, is nested too deep, or has no string that is long enough to be searched for.
    pub fn add_json(&mut self, path: &Path) -> Result<()> {
        let name = display(path);
        let bytes = read(path)?;
        let mut is_empty = true;
        for document in serde_json::Deserializer::from_slice(&bytes).into_iter::<Box<RawValue>>() {
            let document = document.with_context(|| format!("{name}: not JSON"))?;
            let (strings, short) = leaves(&document)
                .ok_or_else(|| anyhow!("{name}: JSON nested deeper than {MAX_DEPTH} levels"))?;
            is_empty &= strings.is_empty();
            self.short += short;
            for string in strings {
                self.add(string);
            }
            self.documents.push(document);
        }
        if is_empty {
            bail!("{name}: no string in it has the {MIN_PATTERN} bytes that a search needs");
        }
        Ok(())
    }

    fn reserve(&mut self, count: usize) {
        let Self { strings, known, hasher, .. } = self;
        strings.reserve_exact(count);
        known.reserve(count, |index| hasher.hash_one(&strings[*index as usize].value));
    }

    /// Adds a string unless there is one with this value.
    fn add(&mut self, string: GivenString) {
        let Self { strings, known, hasher, .. } = self;
        let hash = hasher.hash_one(&string.value);
        if known.find(hash, |index| strings[*index as usize].value == string.value).is_none() {
            known.insert_unique(hash, strings.len() as u32, |index| {
                hasher.hash_one(&strings[*index as usize].value)
            });
            strings.push(string);
        }
    }
}

const BYTE_ORDER_MARK: &[u8] = b"\xef\xbb\xbf";

fn display(path: &Path) -> String {
    if path == Path::new("-") { "standard input".to_owned() } else { path.display().to_string() }
}

fn read(path: &Path) -> Result<Vec<u8>> {
    let what = || format!("cannot read {}", display(path));
    let mut bytes = Vec::new();
    let mut limited: Box<dyn Read> = match path == Path::new("-") {
        true => Box::new(io::stdin().lock().take(MAX_FILE + 1)),
        false => Box::new(File::open(path).with_context(what)?.take(MAX_FILE + 1)),
    };
    limited.read_to_end(&mut bytes).with_context(what)?;
    if bytes.len() as u64 > MAX_FILE {
        bail!("{}: it has more than {MAX_FILE} bytes", display(path));
    }
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;

    use super::*;

    fn given(add: impl Fn(&mut GivenStrings, &Path) -> Result<()>, contents: &[u8]) -> Result<GivenStrings> {
        let mut file = tempfile::NamedTempFile::new()?;
        file.write_all(contents)?;
        let mut strings = GivenStrings::default();
        add(&mut strings, file.path())?;
        Ok(strings)
    }

    fn values(strings: &GivenStrings) -> Vec<&str> {
        strings.strings.iter().map(|string| &*string.value).collect()
    }

    #[test]
    fn lines_are_strings_exactly_as_they_are() {
        let lines = b"\xef\xbb\xbffirst secret\r\n\n  spaces kept  \nfirst secret\n\xea\xb0\x80\xea\xb0\x80\xea\xb0\x80";
        let strings = given(GivenStrings::add_lines, lines).unwrap();
        assert_eq!(values(&strings), ["first secret", "  spaces kept  ", "가가가"]);
        let path = strings.strings[1].path.to_string();
        assert!(path.ends_with(":3"), "{path}");
    }

    #[test]
    fn rejects_lines_that_cannot_be_searched_for_with_their_number() {
        let cases: [(&[u8], &str); 4] = [
            (b"long enough\nshort\n", "line 2 has 5 of the 8 bytes"),
            (b"long enough\n\n\xff\xfe\xfd\xfc\xfb\xfa\xf9\xf8\n", "line 3 is not UTF-8"),
            (b"", "there is no string"),
            (b"\n\r\n", "there is no string"),
        ];
        for (contents, why) in cases {
            let error = given(GivenStrings::add_lines, contents).unwrap_err().to_string();
            assert!(error.contains(why), "{error}");
        }
    }

    #[test]
    fn leaf_strings_of_every_document_count() {
        let documents =
            br#"{"a":"0123456789","n":12345678901,"a":"the same key","deep":[{"b":"\u00e9scaped one"},true]}
            ["second document","short"] "third one""#;
        let strings = given(GivenStrings::add_json, documents).unwrap();
        assert_eq!(
            values(&strings),
            ["0123456789", "the same key", "éscaped one", "second document", "third one"]
        );
        assert_eq!((&*strings.strings[2].path.to_string(), strings.short), ("$.deep[0].b", 2));
    }

    #[test]
    fn rejects_what_is_not_json_or_has_no_long_string() {
        let deep = format!("{}\"long enough\"{}", "[".repeat(200), "]".repeat(200));
        let cases: [(&[u8], &str); 5] = [
            (b"{\"a\": \"long enough\"} {", "not JSON: EOF"),
            (b"secret-of-mine", "line 1"),
            (b"{\"a\":\"short\",\"b\":1}", "no string in it has the 8 bytes"),
            (b"", "no string in it"),
            (deep.as_bytes(), "nested deeper than 128"),
        ];
        for (contents, why) in cases {
            let error = format!("{:#}", given(GivenStrings::add_json, contents).unwrap_err());
            assert!(error.contains(why), "{error}");
        }
    }
}
