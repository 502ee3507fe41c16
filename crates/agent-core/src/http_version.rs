//! The version of HTTP that an experiment's variant asks for.

use std::fmt;
use std::str::FromStr;

/// A version that both agents support.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum HttpVersion {
    /// HTTP/1.1 (RFC 9112).
    #[default]
    Http11,
}

/// A version that the agents do not support.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error("HTTP version `{0}` is not supported; supported: 1.1")]
pub struct UnsupportedHttpVersion(String);

impl FromStr for HttpVersion {
    type Err = UnsupportedHttpVersion;

    fn from_str(text: &str) -> Result<Self, UnsupportedHttpVersion> {
        match text {
            "1.1" => Ok(Self::Http11),
            _ => Err(UnsupportedHttpVersion(crate::text::printable(text, 16))),
        }
    }
}

impl fmt::Display for HttpVersion {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Http11 => out.write_str("1.1"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn accepts_only_versions_that_the_agents_support() {
        assert_eq!("1.1".parse(), Ok(HttpVersion::Http11));
        assert_eq!(HttpVersion::Http11.to_string(), "1.1");
        for text in ["", "1", "1.0", "1.10", "2", "2.0", "3", " 1.1"] {
            assert!(text.parse::<HttpVersion>().is_err(), "{text}");
        }
    }

    #[test]
    fn the_error_names_the_value_and_the_supported_versions() {
        let error = "2".parse::<HttpVersion>().unwrap_err();
        assert_eq!(error.to_string(), "HTTP version `2` is not supported; supported: 1.1");
    }
}
