//! The experiments by name.

use std::fmt;
use std::str::FromStr;

use crate::isolation;
use crate::variant::{ExpectedVerdict, UnknownName, VARIANTS, Variant};

/// An experiment that the programs can run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Experiment {
    /// The two agents exchange messages. What an eavesdropper can read is compared between variants.
    Comparison(&'static Variant),
    /// Users' requests run in sandboxes without network, and the same escape attempts run in sandboxes with one.
    Isolation,
}

impl Experiment {
    /// All experiments, in the order in which they are listed.
    pub fn all() -> impl Iterator<Item = Self> {
        VARIANTS.iter().map(Self::Comparison).chain([Self::Isolation])
    }

    /// The experiment called `name`.
    ///
    /// # Errors
    /// [`UnknownName`], which lists the known names.
    pub fn named(name: &str) -> Result<Self, UnknownName> {
        Self::all()
            .find(|experiment| experiment.name() == name)
            .ok_or_else(|| UnknownName::new("experiment", name, Self::all().map(Self::name)))
    }

    /// The name on command lines, and the stem of the run's files.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Comparison(variant) => variant.name,
            Self::Isolation => isolation::NAME,
        }
    }

    /// The TCP port that the server listens on unless a flag sets another: agent-b's, or the gateway's.
    #[must_use]
    pub fn port(self) -> u16 {
        match self {
            Self::Comparison(variant) => variant.port,
            Self::Isolation => isolation::PORT,
        }
    }

    /// The verdict that confirms the experiment's claim about a capture.
    #[must_use]
    pub fn expected_verdict(self) -> ExpectedVerdict {
        match self {
            Self::Comparison(variant) => variant.expected_verdict,
            Self::Isolation => ExpectedVerdict::Isolated,
        }
    }
}

impl From<&'static Variant> for Experiment {
    fn from(variant: &'static Variant) -> Self {
        Self::Comparison(variant)
    }
}

impl FromStr for Experiment {
    type Err = UnknownName;

    fn from_str(name: &str) -> Result<Self, UnknownName> {
        Self::named(name)
    }
}

impl fmt::Display for Experiment {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn finds_each_experiment_by_its_name() {
        for experiment in Experiment::all() {
            assert_eq!(Experiment::named(experiment.name()), Ok(experiment));
            assert_eq!(experiment.to_string().parse(), Ok(experiment));
        }
        assert_eq!(Experiment::named("isolation"), Ok(Experiment::Isolation));
        assert_eq!(Experiment::named("http"), Ok(Variant::named("http").unwrap().into()));
    }

    #[test]
    fn names_are_distinct() {
        let mut names: Vec<_> = Experiment::all().map(Experiment::name).collect();
        names.sort_unstable();
        names.dedup();
        assert_eq!(names.len(), Experiment::all().count());
    }

    #[test]
    fn rejects_unknown_name_and_lists_the_known_ones() {
        let error = Experiment::named("gopher").unwrap_err();
        assert_eq!(error.to_string(), "unknown experiment \"gopher\"; known: http, https, isolation");
    }
}
