//! The file: TOML with a table for each kind of rule.

use serde::Deserialize;
use time::Date;
use time::macros::format_description;

use crate::hosts::Hosts;

/// A policy. A table that is absent has no rules.
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Policy {
    /// What TLS connections and QUIC sessions must use.
    #[serde(default)]
    pub tls: Tls,
    /// Between which hosts nothing may be in the clear.
    #[serde(default)]
    pub cleartext: Cleartext,
    /// What must not be readable.
    #[serde(default)]
    pub sealed: Sealed,
    /// Doubts that are accepted for a time.
    #[serde(default)]
    pub allow: Vec<Allow>,
}

/// Rules for every TLS connection and QUIC session.
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Tls {
    /// The oldest version that may be used.
    pub minimum: Option<Version>,
    /// Whether the key exchange must resist quantum computers: a recording of it stays closed.
    pub post_quantum: Option<Wanted>,
    /// Whether the server's key must not open a recording.
    pub forward_secrecy: Option<Wanted>,
    /// What certificates must be.
    pub certificates: Option<Certificates>,
}

/// Rules for the certificates that the capture shows, in the clear or with keys.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Certificates {
    /// Days for which a certificate must still be valid at the time of its connection.
    pub valid_for_days: u32,
}

/// Rules for payload outside of TLS and QUIC.
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Cleartext {
    /// Hosts to which and from which nothing may go in the clear.
    #[serde(default)]
    pub forbidden: Hosts,
    /// Protocols to which that does not apply: `UDP`, `UDP/53`, `ICMP`.
    #[serde(default)]
    pub except: Vec<String>,
}

/// What no eavesdropper may be able to read.
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Sealed {
    /// Whether every capture with known strings must have the verdict `sealed`.
    #[serde(default)]
    pub verdict: bool,
    /// Strings. The analyzer must have searched for them.
    #[serde(default)]
    pub strings: Vec<String>,
    /// Kinds of credentials, by the names that the result gives them; `*` for all.
    #[serde(default)]
    pub secrets: Vec<String>,
    /// Kinds of personal data, likewise.
    #[serde(default)]
    pub personal: Vec<String>,
}

/// A doubt that is accepted.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Allow {
    /// Code of the doubt.
    pub doubt: String,
    /// Name of the capture or the isolation run; every one if it is absent.
    pub capture: Option<String>,
    /// Why it is accepted.
    pub reason: String,
    /// The last day on which it is.
    #[serde(deserialize_with = "day")]
    pub until: Date,
}

/// Whether something is a rule, or a wish.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Wanted {
    /// A violation fails the check.
    Required,
    /// A violation is a warning.
    Wished,
}

/// A version of TLS.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Deserialize)]
pub enum Version {
    /// TLS 1.0.
    #[serde(rename = "1.0")]
    Tls10,
    /// TLS 1.1.
    #[serde(rename = "1.1")]
    Tls11,
    /// TLS 1.2.
    #[serde(rename = "1.2")]
    Tls12,
    /// TLS 1.3.
    #[serde(rename = "1.3")]
    Tls13,
}

impl Version {
    /// The version of this name in the result; `None` of SSL and of unknown ones.
    pub(crate) fn named(name: &str) -> Option<Self> {
        Some(match name {
            "TLS 1.0" => Self::Tls10,
            "TLS 1.1" => Self::Tls11,
            "TLS 1.2" => Self::Tls12,
            "TLS 1.3" => Self::Tls13,
            _ => return None,
        })
    }

    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Tls10 => "TLS 1.0",
            Self::Tls11 => "TLS 1.1",
            Self::Tls12 => "TLS 1.2",
            Self::Tls13 => "TLS 1.3",
        }
    }
}

/// Why a text is no policy.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// It is not TOML, or has a field that no policy has.
    #[error("{0}")]
    Toml(#[from] toml::de::Error),
    /// An accepted doubt has no reason.
    #[error("[[allow]] {0}: the reason is empty")]
    NoReason(String),
    /// No rule is in it, so that every result would pass.
    #[error("the policy has no rule: every capture would pass")]
    NoRule,
}

impl Policy {
    /// Reads a policy.
    ///
    /// # Errors
    /// The text is not TOML, has an unknown field or value, or states no rule.
    pub fn read(text: &str) -> Result<Self, Error> {
        let policy: Self = toml::from_str(text)?;
        if let Some(allow) = policy.allow.iter().find(|allow| allow.reason.trim().is_empty()) {
            return Err(Error::NoReason(allow.doubt.clone()));
        }
        let Self { tls, cleartext, sealed, allow: _ } = &policy;
        if *tls == Tls::default() && cleartext.forbidden.is_empty() && *sealed == Sealed::default() {
            return Err(Error::NoRule);
        }
        Ok(policy)
    }
}

/// A date of TOML, written as one or as a string.
fn day<'de, D: serde::Deserializer<'de>>(deserializer: D) -> Result<Date, D::Error> {
    #[derive(Deserialize)]
    #[serde(untagged)]
    enum Day {
        Date(toml::value::Datetime),
        Text(String),
    }
    let text = match Day::deserialize(deserializer)? {
        Day::Date(date) => date.to_string(),
        Day::Text(text) => text,
    };
    Date::parse(&text, format_description!("[year]-[month]-[day]"))
        .map_err(|_| serde::de::Error::custom(format!("`{text}` is no day; write it as 2027-01-31")))
}

#[cfg(test)]
mod tests {
    use time::macros::date;

    use super::*;

    #[test]
    fn reads_every_rule() {
        let policy = Policy::read(
            r#"
            [tls]
            minimum = "1.2"
            post-quantum = "wished"
            forward-secrecy = "required"
            certificates = { valid-for-days = 14 }

            [cleartext]
            forbidden = ["10.0.0.0/8", "*.internal.example"]
            except = ["UDP/53"]

            [sealed]
            verdict = true
            strings = ["hunter2"]
            secrets = ["*"]
            personal = ["iban"]

            [[allow]]
            doubt = "keys.missing"
            reason = "the service keeps its keys"
            until = 2027-01-31
            "#,
        );
        let policy = policy.unwrap();
        assert_eq!(policy.tls.minimum, Some(Version::Tls12));
        assert_eq!(policy.tls.post_quantum, Some(Wanted::Wished));
        assert_eq!(policy.allow[0].until, date!(2027 - 01 - 31));
        assert_eq!(policy.sealed.strings, ["hunter2"]);
    }

    #[test]
    fn refuses_what_is_no_rule() {
        for (text, expected) in [
            ("", "no rule"),
            ("[[allow]]\ndoubt='a'\nreason='b'\nuntil=2027-01-31", "no rule"),
            ("[tls]\nminimum='1.4'", "unknown variant `1.4`"),
            ("[tls]\nminimun='1.2'", "unknown field `minimun`"),
            ("[sealed]\nverdict=true\n[[allow]]\ndoubt='a'\nreason=' '\nuntil=2027-01-31", "reason is empty"),
            ("[sealed]\nverdict=true\n[[allow]]\ndoubt='a'\nreason='b'\nuntil='soon'", "`soon` is no day"),
            ("[cleartext]\nforbidden=['10.0.0.0/40']", "10.0.0.0/40"),
        ] {
            let error = Policy::read(text).unwrap_err().to_string();
            assert!(error.contains(expected), "{error}");
        }
    }
}
