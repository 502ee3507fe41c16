//! The table of variants: the ways to run the two agents against each other.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// agent-b's name in the URL, in the certificate and in SNI, on every backend.
pub const SERVER_NAME: &str = "agent-b";

/// All variants, in the order in which they run and are shown. A new variant is a new row.
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

/// One way to run the two agents.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Variant {
    /// The name on command lines, and the stem of the run's files.
    pub name: &'static str,
    /// Plain HTTP, or HTTP over TLS.
    pub scheme: Scheme,
    /// The HTTP version that both agents are pinned to, as their `--http-version` takes it. If the agents negotiated it,
    /// TLS would choose HTTP/2 while plaintext stays with HTTP/1.1, and the runs could not be compared.
    pub http_version: &'static str,
    /// The TLS versions that both agents offer, as their `--tls-versions` takes them; empty without TLS.
    pub tls_versions: &'static [&'static str],
    /// The TCP port that agent-b listens on.
    pub port: u16,
    /// The verdict that `analyze` is expected to reach on a capture of this variant.
    pub expected_verdict: ExpectedVerdict,
}

impl Variant {
    /// The variant called `name`.
    ///
    /// # Errors
    /// [`UnknownName`], which lists the known names.
    pub fn named(name: &str) -> Result<&'static Self, UnknownName> {
        VARIANTS
            .iter()
            .find(|variant| variant.name == name)
            .ok_or_else(|| UnknownName::new("variant", name, VARIANTS.iter().map(|variant| variant.name)))
    }

    /// Whether the agents need certificates and write a key log.
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
    /// `http`: HTTP directly over TCP.
    Http,
    /// `https`: HTTP over TLS.
    Https,
}

impl Scheme {
    /// The scheme as written in a URL, without the colon.
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

/// The verdict that would confirm an experiment's claim about a capture.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum ExpectedVerdict {
    /// An eavesdropper can read some of the agents' strings without a secret.
    Exposed,
    /// An eavesdropper can read none of them, and controls prove that the search would have found them.
    Sealed,
    /// The capture holds nothing from a sandbox, and controls prove that the search would have found it.
    Isolated,
}

/// A name that a table does not hold.
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
    fn finds_each_variant_by_its_name() {
        for variant in VARIANTS {
            assert_eq!(Variant::named(variant.name), Ok(variant));
            assert_eq!(variant.name.parse::<&Variant>(), Ok(variant));
        }
    }

    #[test]
    fn names_and_ports_are_distinct() {
        for (i, a) in VARIANTS.iter().enumerate() {
            for b in &VARIANTS[i + 1..] {
                assert_ne!(a.name, b.name);
                assert_ne!(a.port, b.port);
            }
        }
    }

    #[test]
    fn a_variant_lists_tls_versions_exactly_if_it_uses_tls() {
        for variant in VARIANTS {
            assert_eq!(variant.uses_tls(), !variant.tls_versions.is_empty(), "{variant}");
        }
    }

    #[test]
    fn rejects_unknown_name_and_lists_the_known_ones() {
        let error = Variant::named("isolation").unwrap_err();
        assert_eq!(error.to_string(), "unknown variant \"isolation\"; known: http, https");
    }
}
