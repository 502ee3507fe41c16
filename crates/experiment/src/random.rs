//! Randomness from the operating system: run ids and decoys.
//!
//! Asked for directly, not through a TLS library: aws-lc's own generator may spend 35 ms on its first byte, and that
//! would stand in the lab's timings.

use std::fmt;
use std::io;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// How many decoys a manifest records. Eight never-sent values: one chance hit of 128 bit is out of the question, so a
/// few suffice to show that the search does not find what was never said.
pub const DECOYS: usize = 8;

/// Fresh values of the canaries' form (128 bit as 32 lower-case hex digits) that are never sent by anyone.
///
/// # Errors
/// When the operating system gives no random bytes.
pub fn decoys() -> io::Result<Vec<String>> {
    (0..DECOYS).map(|_| hex128()).collect()
}

/// 128 random bits as 32 lower-case hex digits.
///
/// # Errors
/// When the operating system gives no random bytes.
pub fn hex128() -> io::Result<String> {
    Ok(format!("{:032x}", u128::from_le_bytes(bytes()?)))
}

/// `N` random bytes.
///
/// # Errors
/// When the operating system gives no random bytes.
pub fn bytes<const N: usize>() -> io::Result<[u8; N]> {
    let mut buffer = [0; N];
    getrandom::fill(&mut buffer)
        .map_err(|error| io::Error::other(format!("operating system's randomness: {error}")))?;
    Ok(buffer)
}

/// What ties the files of one run together: 32 lower-case hex digits.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct RunId(String);

impl RunId {
    /// A new one, different from all others.
    ///
    /// # Errors
    /// When the operating system gives no random bytes.
    pub fn fresh() -> io::Result<Self> {
        hex128().map(Self)
    }

    /// The 32 digits.
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
    fn fresh_ids_and_decoys_have_the_form_and_differ() {
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
    fn other_forms_are_refused() {
        for text in ["", "abc", "ABCDEF00112233445566778899aabbcc", "zz000000000000000000000000000000"] {
            assert!(text.parse::<RunId>().is_err(), "{text}");
        }
        assert!(serde_json::from_str::<RunId>("\"short\"").is_err());
    }
}
