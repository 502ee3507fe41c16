//! Who may use the page: a browser of the person who started it, and no other site in that browser.
//!
//! - The `Host` must be an address of the page, so that no name of another site can lead here (DNS rebinding).
//! - An `Origin` must be the page's own, and `Sec-Fetch-Site` must not name another site. There is no CORS.
//! - Everything but the page itself and its scripts needs the token that the page contains. Where the page is not on a
//!   loopback address, the page needs it too: it is in the printed URL.

use std::net::SocketAddr;
use std::sync::Arc;

use axum::extract::{Request, State};
use axum::http::{HeaderMap, HeaderName, HeaderValue, StatusCode, Uri, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use experiment::{RunId, demo};
use serve::origin::{self, Foreign, Hosts};

use crate::error::ApiError;

/// The header that carries the token.
const TOKEN: HeaderName = HeaderName::from_static("x-plainsight-token");

/// What the page may load and do: only its own files, nothing inline, in no frame of another page.
const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src 'self' data:; \
base-uri 'none'; form-action 'none'; frame-ancestors 'none'";

/// The rules of one page.
#[derive(Debug)]
pub(crate) struct Guard {
    local: SocketAddr,
    token: String,
    hosts: Hosts,
    /// Whether the page itself needs the token.
    is_remote: bool,
}

impl Guard {
    /// The rules for a page on `local`. Without a token that was given, it draws one.
    ///
    /// # Errors
    ///
    /// The operating system returns no random bytes.
    pub(crate) fn new(local: SocketAddr, token: Option<String>) -> std::io::Result<Self> {
        let token = match token {
            Some(token) => token,
            None => RunId::fresh()?.as_str().to_owned(),
        };
        let mut hosts = Hosts::default();
        hosts.allow_host("localhost");
        Ok(Self { local, token, hosts, is_remote: !local.ip().is_loopback() })
    }

    /// The token that the page contains.
    pub(crate) fn token(&self) -> &str {
        &self.token
    }

    /// The address to open in a browser.
    pub(crate) fn url(&self) -> String {
        demo::url(self.local, self.is_remote.then_some(&self.token))
    }

    fn check(&self, uri: &Uri, headers: &HeaderMap) -> Result<(), ApiError> {
        let text = |name: &HeaderName| headers.get(name).and_then(|value| value.to_str().ok());
        let host = if self.is_remote {
            // Any name can lead to this machine. The token keeps other sites out.
            origin::authority(uri, headers).ok_or(Foreign::Host)
        } else {
            self.hosts.check_host(uri, headers, self.local.ip())
        };
        host.and_then(|host| origin::check_origin(headers, &host))
            .map_err(|foreign| ApiError::forbidden(foreign.code(), &foreign.to_string()))?;
        let is_page = uri.path() == "/" || uri.path().starts_with("/assets/");
        // A link may lead to the page, but no other site may fetch from it.
        if origin::is_of_another_site(headers) && !is_page {
            return Err(ApiError::forbidden("foreign_site", "another site made this request"));
        }
        let needs_token = !is_page || self.is_remote && uri.path() == "/";
        let given = text(&TOKEN).or_else(|| query_token(uri));
        if needs_token && !given.is_some_and(|given| equal(given.as_bytes(), self.token.as_bytes())) {
            return Err(ApiError::forbidden("no_token", "this request has no valid token")
                .with_remedy("open the URL that was printed when the page was started"));
        }
        Ok(())
    }
}

/// Refuses requests that break the rules, and sets the headers that bound what the page can do.
pub(crate) async fn guard(State(guard): State<Arc<Guard>>, request: Request, next: Next) -> Response {
    let mut response = match guard.check(request.uri(), request.headers()) {
        Ok(()) => next.run(request).await,
        Err(refused) => refused.into_response(),
    };
    let headers = response.headers_mut();
    let set = |headers: &mut HeaderMap, name: HeaderName, value: &'static str| {
        headers.insert(name, HeaderValue::from_static(value));
    };
    // The report is a page of its own, with styles inside.
    if !headers.contains_key(header::CONTENT_SECURITY_POLICY) {
        set(headers, header::CONTENT_SECURITY_POLICY, POLICY);
    }
    set(headers, header::X_CONTENT_TYPE_OPTIONS, "nosniff");
    set(headers, header::REFERRER_POLICY, "no-referrer");
    set(headers, header::CACHE_CONTROL, "no-store");
    set(headers, HeaderName::from_static("cross-origin-resource-policy"), "same-origin");
    set(headers, HeaderName::from_static("cross-origin-opener-policy"), "same-origin");
    response
}

fn query_token(uri: &Uri) -> Option<&str> {
    uri.query()?.split('&').find_map(|pair| pair.strip_prefix("token="))
}

/// Compares in a time that does not depend on the contents.
fn equal(given: &[u8], expected: &[u8]) -> bool {
    given.len() == expected.len()
        && given.iter().zip(expected).fold(0, |differs, (a, b)| differs | a ^ b) == 0
}

/// Answers a path that does not exist.
pub(crate) async fn not_found() -> ApiError {
    ApiError::new(StatusCode::NOT_FOUND, "not_found", "there is no such path")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn guard(local: &str) -> Guard {
        Guard::new(local.parse().unwrap(), Some("secret".into())).unwrap()
    }

    fn checked(guard: &Guard, uri: &str, headers: &[(&str, &str)]) -> Result<(), ApiError> {
        let headers = headers.iter().map(|(name, value)| (name.parse().unwrap(), value.parse().unwrap()));
        guard.check(&uri.parse().unwrap(), &headers.collect::<HeaderMap>())
    }

    #[test]
    fn the_page_is_open_on_loopback_and_its_api_needs_the_token() {
        let guard = guard("127.0.0.1:3000");
        let host = ("host", "127.0.0.1:3000");
        assert!(checked(&guard, "/", &[host]).is_ok());
        assert!(checked(&guard, "/assets/style.css", &[host]).is_ok());
        assert!(checked(&guard, "/api/state", &[host]).is_err());
        assert!(checked(&guard, "/api/state", &[host, ("x-plainsight-token", "secret")]).is_ok());
        assert!(checked(&guard, "/api/events?user=a&token=secret", &[host]).is_ok());
        assert!(checked(&guard, "/api/events?user=a&token=secrex", &[host]).is_err());
    }

    #[test]
    fn other_sites_cannot_drive_the_page() {
        let guard = guard("127.0.0.1:3000");
        let token = ("x-plainsight-token", "secret");
        let own = ("host", "localhost:3000");
        for foreign in [
            [("host", "evil.example:3000"), token, ("origin", "http://evil.example:3000")],
            [own, token, ("origin", "http://evil.example")],
            [own, token, ("origin", "null")],
            [own, token, ("sec-fetch-site", "cross-site")],
            [own, token, ("sec-fetch-site", "same-site")],
        ] {
            assert!(checked(&guard, "/api/state", &foreign).is_err(), "{foreign:?}");
        }
        assert!(checked(&guard, "/api/state", &[own, token, ("origin", "http://localhost:3000")]).is_ok());
        assert!(checked(&guard, "/", &[("host", "rebound.example:3000")]).is_err());
        assert!(checked(&guard, "/", &[]).is_err());
    }

    #[test]
    fn beyond_loopback_the_page_itself_needs_the_token() {
        let guard = guard("0.0.0.0:3000");
        let host = ("host", "192.0.2.1:3000");
        assert!(checked(&guard, "/", &[host]).is_err());
        assert!(checked(&guard, "/?token=secret", &[host]).is_ok());
        assert!(guard.url().ends_with("/?token=secret"));
    }
}
