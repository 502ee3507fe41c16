//! Random bytes from the operating system: run ids and decoys.
//!
//! They come from the operating system directly, not through a TLS library: aws-lc's generator may spend 35 ms on its
//! first byte, which would distort the lab's timings.

use std::fmt;
use std::io;
use std::str::FromStr;

use data_encoding::HEXLOWER;
use serde::{Deserialize, Serialize};

/// Number of decoys in a manifest. A chance hit on 128 bits is practically impossible, so a few values that no program
/// sends suffice to show that the search finds nothing that is not there.
pub const DECOYS: usize = 8;

/// Fresh values in the form of canaries (128 bits as 32 lower-case hex digits) that no program sends.
///
/// # Errors
/// If the operating system returns no random bytes.
pub fn decoys() -> io::Result<Vec<String>> {
    (0..DECOYS).map(|_| hex128()).collect()
}

/// 128 random bits as 32 lower-case hex digits.
///
/// # Errors
/// If the operating system returns no random bytes.
pub fn hex128() -> io::Result<String> {
    Ok(HEXLOWER.encode(&bytes::<16>()?))
}

/// `N` random bytes.
///
/// # Errors
/// If the operating system returns no random bytes.
pub fn bytes<const N: usize>() -> io::Result<[u8; N]> {
    let mut buffer = [0; N];
    getrandom::fill(&mut buffer)
        .map_err(|error| io::Error::other(format!("random bytes from the operating system: {error}")))?;
    Ok(buffer)
}

/// The id that ties the files of one run together: 32 lower-case hex digits.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct RunId(String);

impl RunId {
    /// Draws a new id.
    ///
    /// # Errors
    /// If the operating system returns no random bytes.
    pub fn fresh() -> io::Result<Self> {
        hex128().map(Self)
    }

    /// The id as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// A run id that is not 32 lower-case hex digits.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("run id {0:?} is not 32 lower-case hex digits")]
pub struct BadRunId(String);

impl TryFrom<String> for RunId {
    type Error = BadRunId;

    fn try_from(text: String) -> Result<Self, BadRunId> {
        if text.len() == 32 && text.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f')) {
            Ok(Self(text))
        } else {
            Err(BadRunId(text))
        }
    }
}

impl FromStr for RunId {
    type Err = BadRunId;

    fn from_str(text: &str) -> Result<Self, BadRunId> {
        text.to_owned().try_into()
    }
}

impl From<RunId> for String {
    fn from(id: RunId) -> Self {
        id.0
    }
}

impl fmt::Display for RunId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fresh_ids_and_decoys_have_32_hex_digits_and_differ() {
        let mut all = decoys().unwrap();
        assert_eq!(all.len(), DECOYS);
        all.push(RunId::fresh().unwrap().to_string());
        for value in &all {
            value.parse::<RunId>().unwrap();
        }
        all.sort();
        all.dedup();
        assert_eq!(all.len(), DECOYS + 1);
    }

    #[test]
    fn rejects_ids_in_another_form() {
        for text in ["", "abc", "ABCDEF00112233445566778899aabbcc", "zz000000000000000000000000000000"] {
            assert!(text.parse::<RunId>().is_err(), "{text}");
        }
        assert!(serde_json::from_str::<RunId>("\"short\"").is_err());
    }
}
