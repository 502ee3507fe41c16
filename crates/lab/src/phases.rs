//! The parts of a run, timed.

use std::fmt::Write as _;
use std::time::{Duration, Instant};

use experiment::Experiment;

use crate::report::Reporter;

/// What a run is doing, and how long each part took.
pub(crate) struct Phases<'a> {
    experiment: Experiment,
    reporter: &'a Reporter,
    done: Vec<(&'static str, Duration)>,
    current: Option<(&'static str, Instant)>,
}

impl<'a> Phases<'a> {
    /// Nothing done yet.
    pub(crate) fn begin(experiment: Experiment, reporter: &'a Reporter) -> Self {
        Self { experiment, reporter, done: Vec::new(), current: None }
    }

    /// The next part begins.
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

    /// Says what came of it, and what each part took.
    pub(crate) fn report(&mut self, result: &str) {
        self.leave();
        let mut text = format!("{}: {result}", self.experiment);
        for (phase, took) in &self.done {
            let _ = write!(text, ", {phase} {:.1} ms", took.as_secs_f64() * 1000.0);
        }
        self.reporter.note(&text);
    }
}
