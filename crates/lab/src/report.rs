//! What the lab says on stderr: notes, the step it is at (on a terminal only), errors.
//!
//! A stderr that is gone (a closed pipe) must not stop a run from cleaning up, so nothing here fails or panics.

use std::io::Write;
use std::time::Duration;

use indicatif::{ProgressBar, ProgressStyle};

/// Speaks to the person who started the lab. Cheap to clone; all clones speak through one mouth.
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

    /// One that speaks of errors only, for runs by the hundred.
    pub(crate) fn silenced(&self) -> Self {
        Self { quiet: true, verbose: false, spinner: ProgressBar::hidden() }
    }

    /// A note, unless `--quiet`.
    pub(crate) fn note(&self, text: &str) {
        if !self.quiet {
            self.line(&format!("lab: {text}"));
        }
    }

    /// An error, always.
    pub(crate) fn error(&self, text: &str) {
        self.line(&format!("lab: error: {text}"));
    }

    /// A line that one of the programs said, with `-v`.
    pub(crate) fn said(&self, program: &str, line: &str) {
        if self.verbose {
            self.line(&format!("{program}: {line}"));
        }
    }

    /// Whether the programs' output is wanted.
    pub(crate) fn wants_output(&self) -> bool {
        self.verbose
    }

    /// Shows a spinner if stderr is a terminal, until the guard is dropped.
    pub(crate) fn working(&self) -> Working {
        if self.quiet || self.verbose {
            return Working { reporter: self.clone() };
        }
        // indicatif draws on stderr, and nothing at all where that is no terminal.
        let spinner = ProgressBar::new_spinner();
        if let Ok(style) = ProgressStyle::with_template("{spinner} {msg}") {
            spinner.set_style(style);
        }
        spinner.enable_steady_tick(Duration::from_millis(100));
        Working { reporter: Self { spinner, ..self.clone() } }
    }

    /// What is being done now, for the spinner.
    pub(crate) fn step(&self, text: &str) {
        self.spinner.set_message(text.to_owned());
    }

    fn line(&self, text: &str) {
        self.spinner.suspend(|| {
            let _ = writeln!(std::io::stderr().lock(), "{text}");
        });
    }
}

/// A spinner that goes away with its owner.
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

/// Text of another program, fit for a terminal: control characters are shown, not obeyed.
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
    fn terminal_controls_are_shown_not_obeyed() {
        assert_eq!(harmless("a\u{1b}[31mb\tc 한글"), "a\\u{1b}[31mb\tc 한글");
    }
}
