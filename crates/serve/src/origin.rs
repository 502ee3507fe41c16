//! Which names lead to a server, and which sites may use it.
//!
//! A browser lets any site send requests to a server on the same machine. If the site's name suddenly leads to this machine
//! (DNS rebinding), the browser even lets the site read the answers. The request then carries the site's name in `Host`, so a
//! server that knows its own names refuses it. `Origin` and `Sec-Fetch-Site` name the site in the other cases.

use std::collections::HashSet;
use std::net::IpAddr;

use axum::http::uri::Authority;
use axum::http::{HeaderMap, HeaderName, Uri, header};

/// Browsers send it with every request (Fetch Metadata Request Headers, W3C).
const FETCH_SITE: HeaderName = HeaderName::from_static("sec-fetch-site");

/// The names of a server, and the sites that may use it besides itself.
#[derive(Clone, Debug, Default)]
pub struct Hosts {
    /// In lower case, without port.
    names: HashSet<String>,
    origins: HashSet<String>,
}

/// Why a request is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Foreign {
    /// `Host` is missing, or no name of this server.
    #[error("the Host of this request is not one of this server's names")]
    Host,
    /// The request comes from another site.
    #[error("another site made this request")]
    Origin,
}

impl Foreign {
    /// The stable code for programs.
    pub fn code(self) -> &'static str {
        match self {
            Self::Host => "foreign_host",
            Self::Origin => "foreign_origin",
        }
    }
}

impl Hosts {
    /// The names of this machine: `localhost` and its host name. Its addresses count too: see [`Hosts::check`].
    pub fn own() -> Self {
        let mut this = Self::default();
        this.allow_host("localhost");
        #[cfg(unix)]
        if let Some(name) = nix::unistd::gethostname().ok().and_then(|name| name.into_string().ok()) {
            this.allow_host(&name);
        }
        this
    }

    /// Adds a name or address of the server, without port.
    pub fn allow_host(&mut self, name: &str) {
        self.names.insert(without_brackets(name).to_ascii_lowercase());
    }

    /// Adds a site that may use the server, such as `https://chat.example`.
    pub fn allow_origin(&mut self, origin: &str) {
        self.origins.insert(origin.trim_end_matches('/').to_ascii_lowercase());
    }

    /// Checks a request that came to the address `local`: its host is a name of this server, `local`, or, if the request comes
    /// from this machine, any loopback address; and no other site has made it. The port in `Host` does not matter.
    ///
    /// # Errors
    /// When the request names another host or comes from another site.
    pub fn check(&self, uri: &Uri, headers: &HeaderMap, local: IpAddr) -> Result<(), Foreign> {
        let authority = self.check_host(uri, headers, local)?;
        match check_origin(headers, &authority) {
            Ok(()) if is_of_another_site(headers) && !self.is_allowed(headers) => Err(Foreign::Origin),
            Err(foreign) if !self.is_allowed(headers) => Err(foreign),
            _ => Ok(()),
        }
    }

    /// Checks that the request's host is a name of this server, as [`Hosts::check`] does, and returns it.
    ///
    /// # Errors
    /// When the request names another host.
    pub fn check_host(&self, uri: &Uri, headers: &HeaderMap, local: IpAddr) -> Result<Authority, Foreign> {
        authority(uri, headers).filter(|authority| self.is_own(authority, local)).ok_or(Foreign::Host)
    }

    /// Whether the only `Origin` is an allowed site.
    fn is_allowed(&self, headers: &HeaderMap) -> bool {
        let mut origins = headers.get_all(header::ORIGIN).iter();
        let origin = origins.next().and_then(|origin| origin.to_str().ok());
        origins.next().is_none()
            && origin.is_some_and(|origin| self.origins.contains(&origin.to_ascii_lowercase()))
    }

    fn is_own(&self, authority: &Authority, local: IpAddr) -> bool {
        let host = without_brackets(authority.host());
        match host.parse::<IpAddr>() {
            Ok(address) => {
                let (address, local) = (address.to_canonical(), local.to_canonical());
                address == local
                    || address.is_loopback() && local.is_loopback()
                    || self.names.contains(&address.to_string())
            }
            Err(_) => self.names.contains(&host.to_ascii_lowercase()),
        }
    }
}

/// The host and port that the request is for: the target's, if it has one (RFC 9112 §3.2.2), else those of the only `Host`.
pub fn authority(uri: &Uri, headers: &HeaderMap) -> Option<Authority> {
    let mut hosts = headers.get_all(header::HOST).iter();
    let host = hosts.next();
    if hosts.next().is_some() {
        return None;
    }
    match uri.authority() {
        Some(authority) => Some(authority.clone()),
        None => Authority::try_from(host?.as_bytes()).ok(),
    }
    // `user@` before a host is no part of a name.
    .filter(|authority| !authority.as_str().contains('@'))
}

/// Checks that `Origin`, if there is one, is the site at `authority`.
///
/// # Errors
/// When it is another one.
pub fn check_origin(headers: &HeaderMap, authority: &Authority) -> Result<(), Foreign> {
    let mut origins = headers.get_all(header::ORIGIN).iter();
    let Some(origin) = origins.next() else { return Ok(()) };
    let origin = origin.to_str().unwrap_or_default();
    let site = origin.strip_prefix("http://").or_else(|| origin.strip_prefix("https://"));
    let is_own = site.is_some_and(|site| site.eq_ignore_ascii_case(authority.as_str()));
    if is_own && origins.next().is_none() { Ok(()) } else { Err(Foreign::Origin) }
}

/// Whether the browser says that another site has made the request; a link or an address that a person typed is no site.
pub fn is_of_another_site(headers: &HeaderMap) -> bool {
    headers.get_all(FETCH_SITE).iter().any(|site| !["same-origin", "none"].iter().any(|own| site == own))
}

/// An IPv6 address without the brackets that it has in a URL (RFC 3986 §3.2.2).
fn without_brackets(host: &str) -> &str {
    host.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')).unwrap_or(host)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn checked(hosts: &Hosts, local: &str, uri: &str, headers: &[(&str, &str)]) -> Result<(), Foreign> {
        let headers = headers.iter().map(|(name, value)| (name.parse().unwrap(), value.parse().unwrap()));
        hosts.check(&uri.parse().unwrap(), &headers.collect(), local.parse().unwrap())
    }

    #[test]
    fn names_and_addresses_of_this_machine_are_its_own() {
        let hosts = Hosts::own();
        for (local, host) in [
            ("127.0.0.1", "localhost:8000"),
            ("127.0.0.1", "LocalHost"),
            ("127.0.0.1", "127.0.0.1:8000"),
            ("127.0.0.1", "[::1]:8000"),
            ("::1", "[::1]"),
            ("192.0.2.1", "192.0.2.1:8000"),
            ("::ffff:192.0.2.1", "192.0.2.1"),
            ("192.0.2.1", "localhost"),
        ] {
            assert_eq!(checked(&hosts, local, "/", &[("host", host)]), Ok(()), "{host} at {local}");
        }
        for (local, host) in [
            ("127.0.0.1", "rebound.example:8000"),
            ("127.0.0.1", "192.0.2.1"),
            ("127.0.0.1", "0.0.0.0"),
            ("192.0.2.1", "127.0.0.1"),
            ("127.0.0.1", "localhost.evil.example"),
            ("127.0.0.1", "localhost."),
            ("127.0.0.1", "a@localhost"),
            ("127.0.0.1", "local host"),
            ("127.0.0.1", ""),
        ] {
            assert_eq!(
                checked(&hosts, local, "/", &[("host", host)]),
                Err(Foreign::Host),
                "{host} at {local}"
            );
        }
        assert_eq!(checked(&hosts, "127.0.0.1", "/", &[]), Err(Foreign::Host));
        let two = [("host", "localhost"), ("host", "localhost")];
        assert_eq!(checked(&hosts, "127.0.0.1", "/", &two), Err(Foreign::Host));
        let absolute = checked(&hosts, "127.0.0.1", "http://evil.example/", &[("host", "localhost")]);
        assert_eq!(absolute, Err(Foreign::Host), "the target is what counts");
    }

    #[test]
    fn further_names_are_allowed_by_name() {
        let mut hosts = Hosts::own();
        hosts.allow_host("Gateway.example");
        hosts.allow_host("[2001:db8::1]");
        assert_eq!(checked(&hosts, "127.0.0.1", "/", &[("host", "gateway.EXAMPLE:443")]), Ok(()));
        assert_eq!(checked(&hosts, "127.0.0.1", "/", &[("host", "[2001:DB8::1]:443")]), Ok(()));
        assert!(checked(&hosts, "127.0.0.1", "/", &[("host", "other.example")]).is_err());
    }

    #[test]
    fn other_sites_are_refused_unless_they_are_allowed() {
        let mut hosts = Hosts::own();
        hosts.allow_origin("https://Chat.example/");
        let own = ("host", "localhost:8000");
        let site = |headers: &[(&str, &str)]| {
            let all: Vec<_> = [own].iter().chain(headers).copied().collect();
            checked(&hosts, "127.0.0.1", "/", &all)
        };
        for allowed in [
            &[][..],
            &[("origin", "http://localhost:8000")],
            &[("origin", "https://LOCALHOST:8000")],
            &[("origin", "https://chat.example"), ("sec-fetch-site", "cross-site")],
            &[("sec-fetch-site", "same-origin")],
            &[("sec-fetch-site", "none")],
        ] {
            assert_eq!(site(allowed), Ok(()), "{allowed:?}");
        }
        for foreign in [
            &[("origin", "http://evil.example")][..],
            &[("origin", "null")],
            &[("origin", "http://localhost:9000")],
            &[("origin", "http://localhost:8000"), ("origin", "http://evil.example")],
            &[("origin", "https://chat.example.evil.example")],
            &[("sec-fetch-site", "cross-site")],
            &[("sec-fetch-site", "same-site")],
            &[("origin", "http://localhost:8000"), ("sec-fetch-site", "cross-site")],
        ] {
            assert_eq!(site(foreign), Err(Foreign::Origin), "{foreign:?}");
        }
    }
}
