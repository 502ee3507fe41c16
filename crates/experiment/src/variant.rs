//! The table of variants: the same two agents, run in different ways. Beside it the one other experiment, [`ISOLATION`].

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// Every variant there is, in the order in which they are run and shown. A new variant is a new row.
pub const VARIANTS: &[Variant] = &[
    Variant {
        name: "http",
        scheme: Scheme::Http,
        http_version: "1.1",
        tls_versions: &[],
        port: 8000,
        expected_verdict: ExpectedVerdict::Exposed,
    },
    Variant {
        name: "https",
        scheme: Scheme::Https,
        http_version: "1.1",
        tls_versions: &["1.3"],
        port: 8443,
        expected_verdict: ExpectedVerdict::Sealed,
    },
];

/// The other experiment: users' requests in boxes without network. What is captured is everything that passes where
/// packets of a box could pass, so that no port stands for it.
pub const ISOLATION: Variant = Variant {
    name: "isolation",
    scheme: Scheme::Http,
    http_version: "1.1",
    tls_versions: &[],
    port: 8000,
    expected_verdict: ExpectedVerdict::Isolated,
};

/// One way to run the experiment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Variant {
    /// The name on command lines and the stem of the run's files.
    pub name: &'static str,
    /// Plain HTTP, or HTTP over TLS.
    pub scheme: Scheme,
    /// The one HTTP version that both agents are pinned to: left to negotiate, TLS would silently take another than
    /// plaintext and the comparison would be of two protocols.
    pub http_version: &'static str,
    /// TLS versions that both agents offer, as `--tls-versions` takes them; empty without TLS.
    pub tls_versions: &'static [&'static str],
    /// The TCP port that agent-b listens on.
    pub port: u16,
    /// What the analyzer is expected to prove about a capture of this variant.
    pub expected_verdict: ExpectedVerdict,
}

impl Variant {
    /// The variant of that name.
    ///
    /// # Errors
    /// [`UnknownName`], which lists the names there are.
    pub fn named(name: &str) -> Result<&'static Self, UnknownName> {
        VARIANTS
            .iter()
            .chain([&ISOLATION])
            .find(|variant| variant.name == name)
            .ok_or_else(|| UnknownName::new("variant", name, Self::names()))
    }

    /// The names of all variants, in the order of the table, and of the other experiment.
    pub fn names() -> impl Iterator<Item = &'static str> {
        VARIANTS.iter().chain([&ISOLATION]).map(|variant| variant.name)
    }

    /// Whether it is the isolation of boxes that is tried, not what can be read of a talk.
    #[must_use]
    pub fn is_isolation(&self) -> bool {
        self.expected_verdict == ExpectedVerdict::Isolated
    }

    /// Whether the agents need certificates for it, and a key log is worth asking for.
    #[must_use]
    pub fn uses_tls(&self) -> bool {
        self.scheme == Scheme::Https
    }
}

impl FromStr for &'static Variant {
    type Err = UnknownName;

    fn from_str(name: &str) -> Result<Self, UnknownName> {
        Variant::named(name)
    }
}

impl fmt::Display for Variant {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name)
    }
}

/// The scheme of agent-b's URL.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Scheme {
    /// `http`: nothing between HTTP and TCP.
    Http,
    /// `https`: TLS between HTTP and TCP.
    Https,
}

impl Scheme {
    /// The scheme as it stands in a URL, without the colon.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Http => "http",
            Self::Https => "https",
        }
    }
}

impl fmt::Display for Scheme {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// The verdict that would confirm the lab report's conclusion for a capture.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum ExpectedVerdict {
    /// Some string of the agents can be read without a secret.
    Exposed,
    /// None can, and that is proven by controls.
    Sealed,
    /// Nothing of a box is there, and that is proven by controls.
    Isolated,
}

/// A name that is in no table.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("unknown {what} {given:?}; known: {}", known.join(", "))]
pub struct UnknownName {
    what: &'static str,
    given: String,
    known: Vec<&'static str>,
}

impl UnknownName {
    pub(crate) fn new(what: &'static str, given: &str, known: impl Iterator<Item = &'static str>) -> Self {
        Self { what, given: given.to_owned(), known: known.collect() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_row_is_found_by_its_name() {
        for variant in VARIANTS {
            assert_eq!(Variant::named(variant.name), Ok(variant));
            assert_eq!(variant.name.parse::<&Variant>(), Ok(variant));
        }
    }

    #[test]
    fn names_and_ports_are_distinct_and_tls_versions_go_with_tls() {
        for (i, a) in VARIANTS.iter().enumerate() {
            assert_eq!(a.uses_tls(), !a.tls_versions.is_empty(), "{a}");
            for b in &VARIANTS[i + 1..] {
                assert_ne!(a.name, b.name);
                assert_ne!(a.port, b.port);
            }
        }
    }

    #[test]
    fn an_unknown_name_lists_the_known_ones() {
        let error = Variant::named("gopher").unwrap_err();
        assert_eq!(error.to_string(), "unknown variant \"gopher\"; known: http, https, isolation");
    }
}
