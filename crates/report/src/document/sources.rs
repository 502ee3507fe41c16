//! The lines of this project that matter, taken from the files themselves when the report is built: an excerpt cannot
//! say what the file does not.

/// A part of a file, from one line to another.
pub(crate) struct Excerpt {
    /// Its path in the project.
    pub(crate) path: &'static str,
    /// For highlighters.
    pub(crate) language: &'static str,
    text: &'static str,
    /// What the first line begins with, and the last.
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

/// Where the capturer stands, and what it may.
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
    /// Its text without common indentation, and the number of its first line in the file. `None` if the file changed so
    /// that the lines are no longer found; a test says so.
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

/// A closing brace belongs to what it closes; any other line is the first that is left out.
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

/// The parts of the project that take part in the experiment.
pub(crate) const LAYOUT: [&str; 16] = [
    "docker-compose.http.yml",
    "docker-compose.https.yml",
    "Makefile",
    "crates/agent-core",
    "crates/agent-a",
    "crates/agent-b",
    "crates/certgen",
    "crates/experiment",
    "crates/lab",
    "crates/capturer",
    "crates/craft",
    "crates/dissect",
    "crates/analyze",
    "crates/report",
    "captures",
    "certs",
];

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;

    #[test]
    fn every_excerpt_is_found_and_short() {
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
    fn the_layout_is_that_of_the_project() {
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
        for path in LAYOUT {
            assert!(root.join(path).exists(), "{path} is not in the project");
        }
    }
}
