//! The phases of a run and their durations.

use std::fmt::Write as _;
use std::time::{Duration, Instant};

use experiment::Experiment;

use crate::report::Reporter;

/// Shows the current phase of a run, and measures how long each took.
pub(crate) struct Phases<'a> {
    experiment: Experiment,
    reporter: &'a Reporter,
    done: Vec<(&'static str, Duration)>,
    current: Option<(&'static str, Instant)>,
}

impl<'a> Phases<'a> {
    pub(crate) fn begin(experiment: Experiment, reporter: &'a Reporter) -> Self {
        Self { experiment, reporter, done: Vec::new(), current: None }
    }

    /// Ends the current phase and begins the next.
    pub(crate) fn enter(&mut self, phase: &'static str) {
        self.leave();
        self.reporter.step(&format!("{}: {phase}", self.experiment));
        self.current = Some((phase, Instant::now()));
    }

    fn leave(&mut self) {
        if let Some((phase, since)) = self.current.take() {
            self.done.push((phase, since.elapsed()));
        }
    }

    /// Ends the current phase, and reports the result with the duration of each phase.
    pub(crate) fn report(&mut self, result: &str) {
        self.leave();
        let mut text = format!("{}: {result}", self.experiment);
        for (phase, took) in &self.done {
            let _ = write!(text, ", {phase} {:.1} ms", took.as_secs_f64() * 1000.0);
        }
        self.reporter.note(&text);
    }
}
