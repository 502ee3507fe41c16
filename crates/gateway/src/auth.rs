//! Who the user of a request is: by its header, by a bearer token, or by the certificate of the connection.

use std::sync::Arc;

use axum::extract::FromRequestParts;
use axum::http::request::Parts;
use axum::http::{HeaderMap, header};
use clap::ValueEnum;
use serve::ClientCertificate;
use x509_parser::prelude::{FromDer, X509Certificate};

use crate::tokens::Tokens;
use crate::user::{BadUser, HEADER, UserId};

/// What names the user.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum AuthMode {
    /// The header X-User-Id, which any client can send.
    Header,
    /// A bearer token (RFC 6750), made by `gateway token add`.
    Token,
    /// The subject of the client's certificate.
    Mtls,
}

/// Finds the user of a request.
#[derive(Clone, Debug)]
pub enum Auth {
    /// By `X-User-Id`.
    Header,
    /// By `Authorization: Bearer`.
    Token(Arc<Tokens>),
    /// By the certificate of the connection, which TLS has verified.
    Mtls,
}

/// What a request says about its user.
#[derive(Clone, Debug)]
pub struct Caller {
    headers: HeaderMap,
    certificate: Option<ClientCertificate>,
}

impl Caller {
    /// The caller of the request with this head.
    pub fn of(head: &Parts) -> Self {
        Self { headers: head.headers.clone(), certificate: head.extensions.get().cloned() }
    }
}

impl<S: Sync> FromRequestParts<S> for Caller {
    type Rejection = std::convert::Infallible;

    async fn from_request_parts(head: &mut Parts, _: &S) -> Result<Self, Self::Rejection> {
        Ok(Self::of(head))
    }
}

impl Auth {
    /// The user of the caller. Where the user is authenticated, `X-User-Id` is not needed, and must be right if it is there.
    ///
    /// # Errors
    /// When the caller names no user, or has not shown to be the user that it names.
    pub fn user(&self, caller: &Caller) -> Result<UserId, BadUser> {
        let user = match self {
            Self::Header => return UserId::of(&caller.headers),
            Self::Token(tokens) => tokens.user(bearer(&caller.headers)?).ok_or(BadUser::WrongToken)?,
            Self::Mtls => subject(caller.certificate.as_ref().ok_or(BadUser::NoCertificate)?)?,
        };
        if caller.headers.contains_key(HEADER) && UserId::of(&caller.headers)? != user {
            return Err(BadUser::Other);
        }
        Ok(user)
    }
}

/// The token of a request, which must have exactly one `Authorization`.
fn bearer(headers: &HeaderMap) -> Result<&str, BadUser> {
    let mut values = headers.get_all(header::AUTHORIZATION).iter();
    let value = values.next().ok_or(BadUser::NoToken)?;
    let value = value.to_str().map_err(|_| BadUser::WrongToken)?;
    let (scheme, token) = value.split_once(' ').ok_or(BadUser::NoToken)?;
    if values.next().is_some() || !scheme.eq_ignore_ascii_case("bearer") {
        return Err(BadUser::NoToken);
    }
    Ok(token.trim_start_matches(' '))
}

/// The user in a certificate: its subject has exactly one common name, and that is a user id.
fn subject(certificate: &ClientCertificate) -> Result<UserId, BadUser> {
    let (_, certificate) =
        X509Certificate::from_der(&certificate.0).map_err(|_| BadUser::WrongCertificate)?;
    let mut names = certificate.subject().iter_common_name();
    match (names.next(), names.next()) {
        (Some(name), None) => {
            let name = name.as_str().map_err(|_| BadUser::WrongCertificate)?;
            UserId::parse(name).map_err(|_| BadUser::WrongCertificate)
        }
        _ => Err(BadUser::WrongCertificate),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tokens;

    fn caller(headers: &[(&str, &str)]) -> Caller {
        let headers = headers.iter().map(|(name, value)| (name.parse().unwrap(), value.parse().unwrap()));
        Caller { headers: headers.collect(), certificate: None }
    }

    #[test]
    fn a_token_names_its_user_and_a_replayed_header_does_not() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("tokens.json");
        let token = tokens::add(&path, &UserId::parse("alice").unwrap()).unwrap();
        let auth = Auth::Token(Arc::new(Tokens::open(&path).unwrap()));
        let bearer = format!("Bearer {token}");
        let alice = Ok(UserId::parse("alice").unwrap());
        assert_eq!(auth.user(&caller(&[("authorization", &bearer)])), alice);
        assert_eq!(auth.user(&caller(&[("authorization", &format!("bEARER  {token}"))])), alice);
        assert_eq!(auth.user(&caller(&[("authorization", &bearer), (HEADER, "alice")])), alice);
        for (headers, refused) in [
            (&[][..], BadUser::NoToken),
            (&[(HEADER, "alice")], BadUser::NoToken),
            (&[("authorization", &token)], BadUser::NoToken),
            (&[("authorization", "Basic YTpi")], BadUser::NoToken),
            (&[("authorization", &bearer), ("authorization", &bearer)], BadUser::NoToken),
            (&[("authorization", "Bearer x")], BadUser::WrongToken),
            (&[("authorization", &format!("{bearer}x"))], BadUser::WrongToken),
            (&[("authorization", &bearer), (HEADER, "bob")], BadUser::Other),
        ] {
            assert_eq!(auth.user(&caller(headers)), Err(refused), "{headers:?}");
        }
    }

    #[test]
    fn the_subject_of_a_certificate_is_the_user() {
        let auth = Auth::Mtls;
        assert_eq!(auth.user(&caller(&[(HEADER, "alice")])), Err(BadUser::NoCertificate));
        let authority = certgen::Authority::new(time::OffsetDateTime::now_utc(), &[]).unwrap();
        let shown = |name: &str| {
            let issued = authority.issue_client(name, time::OffsetDateTime::now_utc()).unwrap();
            let certificate = rustls::pki_types::pem::PemObject::from_pem_slice(issued.0.as_bytes()).unwrap();
            Caller { certificate: Some(ClientCertificate(Arc::new(certificate))), ..caller(&[]) }
        };
        assert_eq!(auth.user(&shown("a.b@example.org")), UserId::parse("a.b@example.org"));
        for name in ["", "a b", "../a", "알"] {
            assert_eq!(auth.user(&shown(name)), Err(BadUser::WrongCertificate), "{name}");
        }
        let mut other = shown("alice");
        other.headers.insert(HEADER, "bob".parse().unwrap());
        assert_eq!(auth.user(&other), Err(BadUser::Other));
    }
}
