//! Users and their ids. The header `X-User-Id` names one without proof: any client of the gateway can send it, and over plain
//! HTTP an eavesdropper can replay it. The module `auth` has the ways to prove it.

use std::fmt;

use axum::http::HeaderMap;

/// The header in lower case; HTTP compares names without case (RFC 9110 §5.1).
pub const HEADER: &str = "x-user-id";

/// Longest user id in bytes: the longest e-mail address (RFC 5321 §4.5.3.1).
pub const MAX_USER_ID: usize = 320;

/// A well-formed user id: ASCII letters and digits, and after the first also `. _ - @ +`. Such a text is harmless in a
/// log, a path or a query.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct UserId(String);

/// Why a request names no user.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BadUser {
    /// The header is missing.
    #[error("the header X-User-Id is missing")]
    Missing,
    /// The header is repeated: neither value is preferable.
    #[error("the header X-User-Id is repeated")]
    Repeated,
    /// The value has another form.
    #[error(
        "X-User-Id is not 1 to {MAX_USER_ID} of A-Z a-z 0-9 . _ - @ +, beginning with a letter or a digit"
    )]
    Malformed,
    /// There is no bearer token, and users have to show one.
    #[error("there is no `Authorization: Bearer TOKEN`, which this server needs")]
    NoToken,
    /// The token is not one of this server's.
    #[error("the token is not valid here, or no longer")]
    WrongToken,
    /// The connection has no client certificate, and users have to show one.
    #[error("the connection has no client certificate, which this server needs")]
    NoCertificate,
    /// The certificate names no user.
    #[error("the subject of the client certificate is not one common name that is a user id")]
    WrongCertificate,
    /// X-User-Id names another user than the one that was shown.
    #[error("X-User-Id names another user than the one who is logged in")]
    Other,
}

impl UserId {
    /// The user that `headers` name.
    ///
    /// # Errors
    /// When they name no user, or not exactly one well-formed id.
    pub fn of(headers: &HeaderMap) -> Result<Self, BadUser> {
        let mut values = headers.get_all(HEADER).iter();
        let value = values.next().ok_or(BadUser::Missing)?;
        if values.next().is_some() {
            return Err(BadUser::Repeated);
        }
        Self::parse(value.to_str().map_err(|_| BadUser::Malformed)?)
    }

    /// Parses a user id.
    ///
    /// # Errors
    /// When the text has another form.
    pub fn parse(text: &str) -> Result<Self, BadUser> {
        let begins_well = text.starts_with(|first: char| first.is_ascii_alphanumeric());
        let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || b"._-@+".contains(&byte);
        if begins_well && text.len() <= MAX_USER_ID && text.bytes().all(is_plain) {
            Ok(Self(text.to_owned()))
        } else {
            Err(BadUser::Malformed)
        }
    }

    /// The id as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for UserId {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use axum::http::HeaderValue;

    #[test]
    fn accepts_well_formed_ids_unchanged() {
        for text in ["a", "0", "alice", "Alice.B_c-d+e@example.org", &"x".repeat(MAX_USER_ID)] {
            assert_eq!(UserId::parse(text).unwrap().as_str(), text);
        }
    }

    #[test]
    fn rejects_other_forms() {
        let long = "x".repeat(MAX_USER_ID + 1);
        for text in ["", " ", ".", "..", "-a", "a b", "a/b", "a\n", "é", "a%2f", "a,b", &long] {
            assert_eq!(UserId::parse(text), Err(BadUser::Malformed), "{text:?}");
        }
    }

    #[test]
    fn rejects_a_missing_or_repeated_header() {
        let mut headers = HeaderMap::new();
        assert_eq!(UserId::of(&headers), Err(BadUser::Missing));
        headers.insert(HEADER, HeaderValue::from_bytes(b"\xe9").unwrap());
        assert_eq!(UserId::of(&headers), Err(BadUser::Malformed));
        headers.insert(HEADER, HeaderValue::from_static("alice"));
        assert_eq!(UserId::of(&headers).unwrap().as_str(), "alice");
        headers.append(HEADER, HeaderValue::from_static("alice"));
        assert_eq!(UserId::of(&headers), Err(BadUser::Repeated));
    }
}
