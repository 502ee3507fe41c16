//! Who asks: the header `X-User-Id`. It is a claim, not a proof: whoever can reach the gateway can say it, and over plain
//! HTTP whoever can see the packets can read it and say it again.

use std::fmt;

use axum::http::HeaderMap;

/// The header, as HTTP/1.1 compares it (RFC 9110, section 5.1).
pub const HEADER: &str = "x-user-id";

/// Longest user id: that of an e-mail address (RFC 5321, section 4.5.3.1) fits.
pub const MAX_USER_ID: usize = 320;

/// A well-formed user id: letters and digits of ASCII, and `. _ - @ +` behind the first. Such a text can do no harm in a
/// log, a path or a query.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct UserId(String);

/// Why a request names no user.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BadUser {
    /// The header is not there.
    #[error("the header X-User-Id is missing")]
    Missing,
    /// It is there twice: which one counts would be a guess.
    #[error("the header X-User-Id is there more than once")]
    Repeated,
    /// It is not of the form.
    #[error(
        "X-User-Id is not 1 to {MAX_USER_ID} of A-Z a-z 0-9 . _ - @ +, beginning with a letter or a digit"
    )]
    Malformed,
}

impl UserId {
    /// The user that `headers` name.
    ///
    /// # Errors
    /// When they name none, or none of the form.
    pub fn of(headers: &HeaderMap) -> Result<Self, BadUser> {
        let mut values = headers.get_all(HEADER).iter();
        let value = values.next().ok_or(BadUser::Missing)?;
        if values.next().is_some() {
            return Err(BadUser::Repeated);
        }
        Self::parse(value.to_str().map_err(|_| BadUser::Malformed)?)
    }

    /// `text` as a user id.
    ///
    /// # Errors
    /// When it is not of the form.
    pub fn parse(text: &str) -> Result<Self, BadUser> {
        let begins_well = text.starts_with(|first: char| first.is_ascii_alphanumeric());
        let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || b"._-@+".contains(&byte);
        if begins_well && text.len() <= MAX_USER_ID && text.bytes().all(is_plain) {
            Ok(Self(text.to_owned()))
        } else {
            Err(BadUser::Malformed)
        }
    }

    /// The text.
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
    fn ids_of_the_form_are_taken_as_they_are() {
        for text in ["a", "0", "alice", "Alice.B_c-d+e@example.org", &"x".repeat(MAX_USER_ID)] {
            assert_eq!(UserId::parse(text).unwrap().as_str(), text);
        }
    }

    #[test]
    fn other_forms_are_refused() {
        let long = "x".repeat(MAX_USER_ID + 1);
        for text in ["", " ", ".", "..", "-a", "a b", "a/b", "a\n", "é", "a%2f", "a,b", &long] {
            assert_eq!(UserId::parse(text), Err(BadUser::Malformed), "{text:?}");
        }
    }

    #[test]
    fn the_header_must_be_there_once() {
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
