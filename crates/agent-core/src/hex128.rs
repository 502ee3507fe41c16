//! 128 random bits as 32 lower-case hex digits: the form of canaries, of decoys and of run ids.

use std::fmt;
use std::str::FromStr;

use data_encoding::HEXLOWER;
use serde::Serialize;

/// Digits in the text form.
pub const HEX_DIGITS: usize = 32;

/// 128 bits, written as 32 lower-case hex digits.
///
/// As a *canary* it makes each message unique, so that a match in a capture is not chance: a capture of 1 GiB holds a given
/// value by accident with a probability of about 2^-220.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize)]
#[serde(transparent)]
pub struct Hex128(String);

/// A text that is not 32 lower-case hex digits.
#[derive(Debug, thiserror::Error)]
#[error("`{0}` is not 32 lower-case hex digits")]
pub struct NotHex128(String);

impl Hex128 {
    /// A fresh value from the operating system's generator.
    ///
    /// # Errors
    /// When the operating system returns no random bytes.
    pub fn fresh() -> Result<Self, getrandom::Error> {
        let mut bytes = [0; HEX_DIGITS / 2];
        getrandom::fill(&mut bytes)?;
        Ok(Self(HEXLOWER.encode(&bytes)))
    }

    /// The digits.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for Hex128 {
    type Err = NotHex128;

    fn from_str(text: &str) -> Result<Self, NotHex128> {
        let lower_hex = |byte: u8| matches!(byte, b'0'..=b'9' | b'a'..=b'f');
        if text.len() == HEX_DIGITS && text.bytes().all(lower_hex) {
            Ok(Self(text.to_owned()))
        } else {
            Err(NotHex128(crate::text::printable(text, 2 * HEX_DIGITS)))
        }
    }
}

impl fmt::Display for Hex128 {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fresh_values_are_well_formed_and_differ() {
        let (one, two) = (Hex128::fresh().unwrap(), Hex128::fresh().unwrap());
        assert_ne!(one, two);
        assert_eq!(one.as_str().parse::<Hex128>().unwrap(), one);
    }

    #[test]
    fn rejects_other_forms() {
        for text in
            ["", "0", &"0".repeat(31), &"0".repeat(33), &"A".repeat(32), &"g".repeat(32), &"한".repeat(11)]
        {
            assert!(text.parse::<Hex128>().is_err(), "{text}");
        }
    }
}
