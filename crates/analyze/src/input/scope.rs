//! The scope of a verdict on traffic that no manifest describes: the connections that it is about.

use std::fmt;
use std::net::SocketAddr;
use std::str::FromStr;

use dissect::flow::{Endpoint, Endpoints};

/// One value of `--scope`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Scope {
    /// Everything in the capture.
    All,
    /// The connections with this address and port at one end.
    At(SocketAddr),
    /// The connections with this port at one end.
    Port(u16),
}

impl Scope {
    /// Whether a connection belongs to the scope.
    pub(crate) fn contains(self, ends: &Endpoints) -> bool {
        let any = |is: &dyn Fn(Endpoint) -> bool| is(ends.client) || is(ends.server);
        match self {
            Self::All => true,
            Self::At(address) => any(&|end| SocketAddr::from(end) == address),
            Self::Port(port) => any(&|end| end.port == port),
        }
    }
}

impl FromStr for Scope {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        if text == "all" {
            return Ok(Self::All);
        }
        if let Some(port) = text.strip_prefix("*:") {
            return port.parse().map(Self::Port).map_err(|_| format!("{port:?} is no port"));
        }
        text.parse().map(Self::At).map_err(|_| {
            "it must be ADDRESS:PORT, *:PORT or all, with an IPv4 address or an IPv6 address in brackets; \
             packets contain no host names"
                .to_owned()
        })
    }
}

impl fmt::Display for Scope {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::All => f.write_str("all"),
            Self::At(address) => write!(f, "{address}"),
            Self::Port(port) => write!(f, "*:{port}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_what_it_writes() {
        for text in ["all", "192.0.2.1:443", "[2001:db8::1]:8443", "*:443"] {
            assert_eq!(text.parse::<Scope>().unwrap().to_string(), text);
        }
    }

    #[test]
    fn rejects_names_and_incomplete_endpoints() {
        for text in ["localhost:443", "192.0.2.1", "2001:db8::1:443", "*:", "*:65536", "*", "*:*", ":443", ""]
        {
            assert!(text.parse::<Scope>().is_err(), "{text}");
        }
    }
}
