//! Excerpts of the project's files, and the list of its parts. Excerpts are embedded at compile time, so they always
//! agree with the files.

/// Consecutive lines of a file.
pub(crate) struct Excerpt {
    /// Path of the file in the project.
    pub(crate) path: &'static str,
    /// Language for highlighters.
    pub(crate) language: &'static str,
    text: &'static str,
    /// Beginnings of the first line and of the last line.
    from: &'static str,
    to: &'static str,
}

macro_rules! excerpt {
    ($path:literal, $language:literal, $from:literal, $to:literal) => {
        Excerpt {
            path: $path,
            language: $language,
            text: include_str!(concat!("../../../../", $path)),
            from: $from,
            to: $to,
        }
    };
}

/// agent-b's port and journal.
pub(crate) const COMPOSE_SERVER: Excerpt =
    excerpt!("docker-compose.http.yml", "yaml", "    environment:\n      LISTEN", "    volumes:");

/// The capturer's network namespace and privileges.
pub(crate) const COMPOSE_CAPTURER: Excerpt = excerpt!(
    "docker-compose.http.yml",
    "yaml",
    "    # The capturer shares agent-b's network namespace",
    "    environment:"
);

/// What TLS adds to the client.
pub(crate) const COMPOSE_TLS_CLIENT: Excerpt =
    excerpt!("docker-compose.https.yml", "yaml", "      SERVER_URL: https", "      COUNT");

/// The client posts a message.
pub(crate) const CLIENT: Excerpt = excerpt!(
    "crates/agent-a/src/session.rs",
    "rust",
    "    pub async fn post(",
    "        let (version, status)"
);

/// The server's routes.
pub(crate) const SERVER_ROUTES: Excerpt =
    excerpt!("crates/agent-b/src/routes.rs", "rust", "pub fn router(", "}");

/// The server answers.
pub(crate) const SERVER_ANSWER: Excerpt = excerpt!("crates/agent-b/src/routes.rs", "rust", "fn answer(", "}");

/// One code path for plain and TLS.
pub(crate) const SERVER_TLS: Excerpt =
    excerpt!("crates/serve/src/server.rs", "rust", "        match tls {", "        }");

impl Excerpt {
    /// The number of the first line in the file, and the text without common indentation. `None` if the file no longer
    /// contains the lines; a test fails then.
    pub(crate) fn lines(&self) -> Option<(usize, String)> {
        let start = match self.text.strip_prefix(self.from) {
            Some(_) => 0,
            None => self.text.find(&format!("\n{}", self.from))? + 1,
        };
        let mut lines = Vec::new();
        for (index, line) in self.text[start..].lines().enumerate() {
            let is_last = index > 0 && line.starts_with(self.to);
            if is_last && !ends_a_block(line) {
                break;
            }
            lines.push(line);
            if is_last {
                let indent =
                    lines.iter().filter(|line| !line.is_empty()).map(|line| indentation(line)).min()?;
                return Some((first_line(self.text, start), joined(&lines, indent)));
            }
        }
        if self.text[start..].lines().count() == lines.len() {
            return None;
        }
        let indent = lines.iter().filter(|line| !line.is_empty()).map(|line| indentation(line)).min()?;
        Some((first_line(self.text, start), joined(&lines, indent)))
    }
}

/// Whether the last line belongs to the excerpt: a closing brace does, any other line is the first one after it.
fn ends_a_block(line: &str) -> bool {
    line.trim_start().starts_with('}')
}

fn indentation(line: &str) -> usize {
    line.len() - line.trim_start().len()
}

fn first_line(text: &str, start: usize) -> usize {
    text[..start].matches('\n').count() + 1
}

fn joined(lines: &[&str], indent: usize) -> String {
    let lines: Vec<&str> = lines.iter().map(|line| line.get(indent..).unwrap_or_default()).collect();
    lines.join("\n")
}

/// The parts of the project that a run and its report go through.
pub(crate) const LAYOUT: [&str; 14] = [
    "docker-compose.http.yml",
    "docker-compose.https.yml",
    "Makefile",
    "crates/agent-core",
    "crates/agent-a",
    "crates/agent-b",
    "crates/certgen",
    "crates/lab",
    "crates/capturer",
    "crates/dissect",
    "crates/analyze",
    "crates/report",
    "captures",
    "certs",
];

/// All other crates that have code.
pub(crate) const OTHER_PARTS: [&str; 16] = [
    "crates/serve",
    "crates/experiment",
    "crates/live",
    "crates/craft",
    "crates/search",
    "crates/exposure-schema",
    "crates/policy",
    "crates/sandbox",
    "crates/runner",
    "crates/isolation-control",
    "crates/gateway",
    "crates/plainsight",
    "crates/bench",
    "crates/e2e",
    "crates/fuzz-targets",
    "crates/test-support",
];

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;
    use std::fs;
    use std::path::Path;

    use super::*;
    use crate::i18n::Lang;

    #[test]
    fn finds_every_excerpt_and_each_is_short() {
        let excerpts = [
            COMPOSE_SERVER,
            COMPOSE_CAPTURER,
            COMPOSE_TLS_CLIENT,
            CLIENT,
            SERVER_ROUTES,
            SERVER_ANSWER,
            SERVER_TLS,
        ];
        for excerpt in excerpts {
            let (line, text) = excerpt.lines().unwrap_or_else(|| {
                panic!("{}: no lines from {:?} to {:?}", excerpt.path, excerpt.from, excerpt.to)
            });
            let lines = text.lines().count();
            assert!((3..=30).contains(&lines), "{}:{line}: {lines} lines:\n{text}", excerpt.path);
        }
    }

    #[test]
    fn layout_lists_what_exists_and_every_crate() {
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
        let all = [&LAYOUT[..], &OTHER_PARTS].concat();
        for path in &all {
            assert!(root.join(path).exists(), "{path} is not in the project");
        }
        // The workspace's members are `crates/*`; those named `workspace-hack` contain no code.
        for entry in fs::read_dir(root.join("crates")).unwrap() {
            let name = entry.unwrap().file_name().into_string().unwrap();
            let listed = all.contains(&format!("crates/{name}").as_str());
            assert!(listed || name.starts_with("workspace-hack"), "crates/{name} is in neither list");
        }
    }

    #[test]
    fn every_part_has_its_own_description() {
        for lang in [Lang::En, Lang::Ko] {
            let all = LAYOUT.into_iter().chain(OTHER_PARTS);
            let descriptions: BTreeSet<&str> = all.clone().map(|path| lang.part(path)).collect();
            assert_eq!(descriptions.len(), all.count(), "two parts have the same description");
        }
    }
}
