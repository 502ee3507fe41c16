//! Canaries as bits, and what was heard of others.

use std::io;

/// The words that were heard.
pub(crate) type Heard = Vec<String>;

/// Hexadecimal digits of a canary.
pub(super) const DIGITS: usize = 32;

/// The bits of a canary, the most significant first.
pub(super) fn bits(canary: &str) -> io::Result<impl Iterator<Item = bool> + Clone + use<>> {
    let number = u128::from_str_radix(canary, 16).map_err(io::Error::other)?;
    Ok((0..u128::BITS).rev().map(move |bit| number >> bit & 1 == 1))
}

/// The hexadecimal digits of these bits; `None` for another number of bits.
pub(super) fn word(bits: &[bool], digits: usize) -> Option<String> {
    let number = bits.iter().fold(0_u128, |number, bit| number << 1 | u128::from(*bit));
    (bits.len() == 4 * digits).then(|| format!("{number:0digits$x}"))
}

/// The distinct words that were heard; an error if there are none.
pub(super) fn distinct(mut words: Heard) -> io::Result<Heard> {
    words.sort();
    words.dedup();
    if words.is_empty() { Err(io::Error::other("heard nothing")) } else { Ok(words) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_canary_is_its_bits() {
        let canary = "8000000000000000000000000000abcd";
        let bits: Vec<bool> = bits(canary).unwrap().collect();
        assert_eq!((bits.len(), bits[0], bits[1]), (128, true, false));
        assert_eq!(word(&bits, DIGITS).as_deref(), Some(canary));
        assert_eq!(word(&bits[..32], 8).as_deref(), Some("80000000"));
        assert_eq!(word(&bits[1..], DIGITS), None);
    }
}
