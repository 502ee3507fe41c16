//! The server's URL, and the addresses that `--resolve` sets for its name.

use std::fmt;
use std::net::{IpAddr, SocketAddr};
use std::str::FromStr;
use std::sync::Arc;

use anyhow::{Context, Result, ensure};
use reqwest::Url;
use reqwest::dns::{Addrs, Name, Resolving};

/// `HOST=IP[:PORT]`: connect to this address instead of resolving the name. The name stays in the Host header and in the
/// check of the certificate.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Resolve {
    host: String,
    address: IpAddr,
    port: Option<u16>,
}

/// The text is not `HOST=IP[:PORT]`.
#[derive(Debug, thiserror::Error)]
#[error("`{0}` is not HOST=IP or HOST=IP:PORT")]
pub struct NotResolve(String);

impl FromStr for Resolve {
    type Err = NotResolve;

    fn from_str(text: &str) -> Result<Self, NotResolve> {
        let wrong = || NotResolve(agent_core::text::printable(text, 200));
        let (host, address) = text.split_once('=').ok_or_else(wrong)?;
        if host.is_empty() {
            return Err(wrong());
        }
        let host = host.to_ascii_lowercase();
        if let Ok(address) = address.parse::<SocketAddr>() {
            if address.port() == 0 {
                return Err(wrong());
            }
            return Ok(Self { host, address: address.ip(), port: Some(address.port()) });
        }
        let bare = address.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')).unwrap_or(address);
        let address = bare.parse().map_err(|_| wrong())?;
        Ok(Self { host, address, port: None })
    }
}

/// The server's URL with its address.
#[derive(Clone, Debug)]
pub struct Endpoint {
    /// The URL of the requests. It has no port if `--resolve` sets an address, so that the resolver's port applies.
    pub(crate) url: Url,
    /// The Host header, with the port of the given URL.
    pub(crate) host_header: String,
    pub(crate) resolver: LabResolver,
    https: bool,
}

impl Endpoint {
    /// The endpoint at `url`, with the address that `resolve` sets for the URL's host, if any.
    ///
    /// # Errors
    /// If `url` is not an `http` or `https` URL with a host and without credentials.
    pub fn new(url: &str, resolve: &[Resolve]) -> Result<Self> {
        let named = || format!("SERVER_URL `{}`", agent_core::text::printable(url, 200));
        let mut parsed = Url::parse(url).with_context(named)?;
        ensure!(
            matches!(parsed.scheme(), "http" | "https"),
            "{}: the scheme is neither http nor https",
            named()
        );
        ensure!(
            parsed.username().is_empty() && parsed.password().is_none(),
            "{}: the URL must not hold credentials",
            named()
        );
        let host = parsed.host_str().with_context(named)?.to_owned();
        let host_header = match parsed.port() {
            Some(port) => format!("{host}:{port}"),
            None => host.clone(),
        };
        let mine = resolve.iter().find(|resolve| resolve.host == host);
        if let Some(other) = resolve.iter().find(|resolve| resolve.host != host) {
            tracing::warn!(
                "--resolve {}=… has no effect: the host is {host}",
                agent_core::text::printable(&other.host, 200)
            );
        }
        let port = parsed.port_or_known_default().unwrap_or(80);
        let target = mine.map(|mine| SocketAddr::new(mine.address, mine.port.unwrap_or(port)));
        if target.is_some() {
            // A port in the URL would override the resolver's.
            parsed.set_port(None).map_err(|()| anyhow::anyhow!("{}: the URL cannot have a port", named()))?;
        }
        let https = parsed.scheme() == "https";
        Ok(Self { url: parsed, host_header, resolver: LabResolver { target }, https })
    }

    /// Whether the scheme is `https`.
    pub fn is_https(&self) -> bool {
        self.https
    }
}

/// Resolves the server's name to the given address, or asks the system.
#[derive(Clone, Debug)]
pub(crate) struct LabResolver {
    target: Option<SocketAddr>,
}

/// The system has no address for the name (yet).
#[derive(Debug)]
pub(crate) struct NameNotFound {
    name: String,
    source: std::io::Error,
}

impl fmt::Display for NameNotFound {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "no address for {}", self.name)
    }
}

impl std::error::Error for NameNotFound {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        Some(&self.source)
    }
}

impl reqwest::dns::Resolve for LabResolver {
    fn resolve(&self, name: Name) -> Resolving {
        let target = self.target;
        Box::pin(async move {
            if let Some(target) = target {
                return Ok(Box::new(std::iter::once(target)) as Addrs);
            }
            let name = name.as_str().to_owned();
            let found = tokio::net::lookup_host((name.as_str(), 0)).await.map(Iterator::collect::<Vec<_>>);
            match found {
                Ok(found) => Ok(Box::new(found.into_iter()) as Addrs),
                Err(source) => Err(Box::new(NameNotFound { name, source }) as _),
            }
        })
    }
}

impl LabResolver {
    pub(crate) fn shared(&self) -> Arc<Self> {
        Arc::new(self.clone())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parts(text: &str) -> (String, String, Option<u16>) {
        let resolve: Resolve = text.parse().unwrap();
        (resolve.host, resolve.address.to_string(), resolve.port)
    }

    #[test]
    fn resolve_accepts_every_documented_form() {
        assert_eq!(parts("agent-b=10.0.0.2"), ("agent-b".into(), "10.0.0.2".into(), None));
        assert_eq!(parts("Agent-B=10.0.0.2:81"), ("agent-b".into(), "10.0.0.2".into(), Some(81)));
        assert_eq!(parts("b=::1"), ("b".into(), "::1".into(), None));
        assert_eq!(parts("b=[::1]"), ("b".into(), "::1".into(), None));
        assert_eq!(parts("b=[::1]:81"), ("b".into(), "::1".into(), Some(81)));
        for text in ["", "b", "b=", "=10.0.0.2", "b=c", "b=10.0.0.2:0", "b=10.0.0.2:x", "b=[::1"] {
            assert!(text.parse::<Resolve>().is_err(), "{text}");
        }
    }

    #[test]
    fn the_host_header_keeps_the_port_of_the_url() {
        let resolve = ["agent-b=127.0.0.1:4567".parse().unwrap()];
        let endpoint = Endpoint::new("http://agent-b:8000/tool", &resolve).unwrap();
        assert_eq!(endpoint.host_header, "agent-b:8000");
        assert_eq!(endpoint.url.as_str(), "http://agent-b/tool");
        assert_eq!(endpoint.resolver.target, Some("127.0.0.1:4567".parse().unwrap()));
        let same_port =
            Endpoint::new("https://agent-b:8443/tool", &["agent-b=127.0.0.1".parse().unwrap()]).unwrap();
        assert_eq!(same_port.resolver.target, Some("127.0.0.1:8443".parse().unwrap()));
        assert_eq!(Endpoint::new("http://agent-b:8000/tool", &[]).unwrap().url.port(), Some(8000));
    }

    #[test]
    fn rejects_urls_with_another_scheme_without_host_or_with_credentials() {
        for url in ["", "agent-b:8000", "ftp://agent-b/tool", "http://", "http://u:p@agent-b/tool"] {
            assert!(Endpoint::new(url, &[]).is_err(), "{url}");
        }
    }
}
