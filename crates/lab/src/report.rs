//! The lab's output on stderr: notes, errors and, on a terminal, the current step.
//!
//! A closed stderr must not keep a run from cleaning up, so no function here fails or panics.

use std::io::Write;
use std::time::Duration;

use indicatif::{ProgressBar, ProgressStyle};

/// Writes the lab's messages. Cheap to clone; all clones share one spinner.
#[derive(Clone, Debug)]
pub(crate) struct Reporter {
    quiet: bool,
    verbose: bool,
    spinner: ProgressBar,
}

impl Reporter {
    pub(crate) fn new(quiet: bool, verbose: bool) -> Self {
        Self { quiet, verbose, spinner: ProgressBar::hidden() }
    }

    /// A reporter that prints errors only, for runs by the hundred.
    pub(crate) fn silenced(&self) -> Self {
        Self { quiet: true, verbose: false, spinner: ProgressBar::hidden() }
    }

    /// Prints a note, unless `--quiet`.
    pub(crate) fn note(&self, text: &str) {
        if !self.quiet {
            self.line(&format!("lab: {text}"));
        }
    }

    /// Prints an error.
    pub(crate) fn error(&self, text: &str) {
        self.line(&format!("lab: {text}"));
    }

    /// Prints a line of a program's output, with `-v`.
    pub(crate) fn program_output(&self, program: &str, line: &str) {
        if self.verbose {
            self.line(&format!("{program}: {line}"));
        }
    }

    /// Whether to read the programs' stdout.
    pub(crate) fn wants_output(&self) -> bool {
        self.verbose
    }

    /// Shows a spinner if stderr is a terminal, until the guard is dropped.
    pub(crate) fn working(&self) -> Working {
        if self.quiet || self.verbose {
            return Working { reporter: self.clone() };
        }
        // indicatif draws on stderr, and only on a terminal.
        let spinner = ProgressBar::new_spinner();
        if let Ok(style) = ProgressStyle::with_template("{spinner} {msg}") {
            spinner.set_style(style);
        }
        spinner.enable_steady_tick(Duration::from_millis(100));
        Working { reporter: Self { spinner, ..self.clone() } }
    }

    /// Sets the text beside the spinner.
    pub(crate) fn step(&self, text: &str) {
        self.spinner.set_message(text.to_owned());
    }

    fn line(&self, text: &str) {
        self.spinner.suspend(|| {
            let _ = writeln!(std::io::stderr().lock(), "{text}");
        });
    }
}

/// A reporter whose spinner is cleared on drop.
pub(crate) struct Working {
    reporter: Reporter,
}

impl std::ops::Deref for Working {
    type Target = Reporter;

    fn deref(&self) -> &Reporter {
        &self.reporter
    }
}

impl Drop for Working {
    fn drop(&mut self) {
        self.reporter.spinner.finish_and_clear();
    }
}

/// Text of another program, made safe for a terminal: control characters are escaped.
pub(crate) fn harmless(text: &str) -> String {
    text.chars()
        .flat_map(|c| {
            let control = c.is_control() && c != '\t';
            let escaped = control.then(|| c.escape_default());
            let plain = (!control).then_some(c);
            escaped.into_iter().flatten().chain(plain)
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn escapes_terminal_control_characters() {
        assert_eq!(harmless("a\u{1b}[31mb\tc 한글"), "a\\u{1b}[31mb\tc 한글");
    }
}
