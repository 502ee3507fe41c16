//! The Huffman code of string literals (RFC 7541 §5.2, appendix B).
//!
//! The code is canonical: codes of one length ascend with their symbols, and the first code of a length follows from the
//! last one of the length before. So the lengths alone determine it.

/// Length of each symbol's code in bits; the last symbol is EOS (RFC 7541 appendix B).
const LENGTHS: [u8; SYMBOLS] = [
    13, 23, 28, 28, 28, 28, 28, 28, 28, 24, 30, 28, 28, 30, 28, 28, 28, 28, 28, 28, 28, 28, 30, 28, 28, 28,
    28, 28, 28, 28, 28, 28, 6, 10, 10, 12, 13, 6, 8, 11, 10, 10, 8, 11, 8, 6, 6, 6, 5, 5, 5, 6, 6, 6, 6, 6,
    6, 6, 7, 8, 15, 6, 12, 10, 13, 6, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 8, 7,
    8, 13, 19, 13, 14, 6, 15, 5, 6, 5, 6, 5, 6, 6, 6, 5, 7, 7, 6, 6, 6, 5, 6, 7, 6, 5, 5, 6, 7, 7, 7, 7, 7,
    15, 11, 14, 13, 28, 20, 22, 20, 20, 22, 22, 22, 23, 22, 23, 23, 23, 23, 23, 24, 23, 24, 24, 22, 23, 24,
    23, 23, 23, 23, 21, 22, 23, 22, 23, 23, 24, 22, 21, 20, 22, 22, 23, 23, 21, 23, 22, 22, 24, 21, 22, 23,
    23, 21, 21, 22, 21, 23, 22, 23, 23, 20, 22, 22, 22, 23, 22, 22, 23, 26, 26, 20, 19, 22, 23, 22, 25, 26,
    26, 26, 27, 27, 26, 24, 25, 19, 21, 26, 27, 27, 26, 27, 24, 21, 21, 26, 26, 28, 27, 27, 27, 20, 24, 20,
    21, 22, 21, 21, 23, 22, 22, 25, 25, 24, 24, 26, 23, 26, 27, 26, 26, 27, 27, 27, 27, 27, 28, 27, 27, 27,
    27, 27, 26, 30,
];

const SYMBOLS: usize = 257;

/// The symbol that no string contains; its first bits pad the last byte.
const EOS: u16 = 256;

/// Longest code in bits.
const LONGEST: usize = 30;

/// The codes of one length.
#[derive(Clone, Copy)]
struct Length {
    /// The first code.
    first: u32,
    /// Number of codes.
    count: u32,
    /// Index in [`Code::symbols`] of the first code's symbol.
    symbols_from: usize,
}

struct Code {
    lengths: [Length; LONGEST + 1],
    /// Symbols in the order of their codes.
    symbols: [u16; SYMBOLS],
}

static CODE: Code = code();

#[expect(clippy::indexing_slicing, reason = "the compiler evaluates it")]
const fn code() -> Code {
    let mut code = Code {
        lengths: [Length { first: 0, count: 0, symbols_from: 0 }; LONGEST + 1],
        symbols: [0; SYMBOLS],
    };
    let (mut length, mut next, mut known) = (1, 0u32, 0);
    while length <= LONGEST {
        let mut of_length = Length { first: next << 1, count: 0, symbols_from: known };
        let mut symbol = 0;
        while symbol < SYMBOLS {
            if LENGTHS[symbol] as usize == length {
                code.symbols[known] = symbol as u16;
                known += 1;
                of_length.count += 1;
            }
            symbol += 1;
        }
        next = of_length.first + of_length.count;
        code.lengths[length] = of_length;
        length += 1;
    }
    code
}

/// Decodes a whole string: at most eight fifths of its length. `None` if it contains EOS, or if its padding is longer than seven
/// bits or not the beginning of EOS (RFC 7541 §5.2).
pub(crate) fn decode(coded: &[u8]) -> Option<Vec<u8>> {
    let mut text = Vec::with_capacity(coded.len() + coded.len() / 2);
    let (mut code, mut length) = (0u32, 0usize);
    for byte in coded {
        for shift in (0..8).rev() {
            code = code << 1 | u32::from(byte >> shift & 1);
            length += 1;
            let of_length = CODE.lengths.get(length)?;
            if let Some(at) = code.checked_sub(of_length.first).filter(|at| *at < of_length.count) {
                let symbol = CODE.symbols.get(of_length.symbols_from + at as usize);
                match symbol.copied().map(u8::try_from) {
                    Some(Ok(symbol)) => text.push(symbol),
                    _ => return None, // EOS
                }
                (code, length) = (0, 0);
            }
        }
    }
    let padding = (1u32 << length.min(8)) - 1;
    if length > 7 || code != padding {
        return None;
    }
    Some(text)
}

const _: () = assert!(EOS as usize == SYMBOLS - 1);

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use proptest::prelude::*;

    /// The code of a symbol, by its position among the codes of its length.
    fn code_of(symbol: u16) -> (u32, usize) {
        let length = usize::from(LENGTHS[usize::from(symbol)]);
        let of_length = CODE.lengths[length];
        let at = (of_length.symbols_from..)
            .find(|at| CODE.symbols[*at] == symbol)
            .expect("every symbol has a code");
        (of_length.first + (at - of_length.symbols_from) as u32, length)
    }

    pub(in crate::http2) fn encode(text: &[u8]) -> Vec<u8> {
        let mut bits: Vec<bool> = Vec::new();
        for byte in text {
            let (code, length) = code_of(u16::from(*byte));
            bits.extend((0..length).rev().map(|shift| code >> shift & 1 == 1));
        }
        bits.resize(bits.len().next_multiple_of(8), true);
        bits.chunks(8).map(|bits| bits.iter().fold(0, |byte, bit| byte << 1 | u8::from(*bit))).collect()
    }

    /// Rows of RFC 7541 appendix B.
    #[test]
    fn derives_the_codes_of_the_rfc() {
        for (symbol, code, length) in [
            (0, 0x1ff8, 13),
            (1, 0x7f_ffd8, 23),
            (10, 0x3fff_fffc, 30),
            (u16::from(b' '), 0x14, 6),
            (u16::from(b'0'), 0x0, 5),
            (u16::from(b'a'), 0x3, 5),
            (u16::from(b'Z'), 0xfd, 8),
            (u16::from(b'\\'), 0x7fff0, 19),
            (127, 0xfff_fffc, 28),
            (128, 0xfffe6, 20),
            (249, 0xfff_fffe, 28),
            (255, 0x3ff_ffee, 26),
            (EOS, 0x3fff_ffff, 30),
        ] {
            assert_eq!(code_of(symbol), (code, length), "symbol {symbol}");
        }
    }

    #[test]
    fn rejects_eos_and_wrong_padding() {
        assert_eq!(decode(&[0x1f]), Some(b"a".to_vec()), "00011 and three ones");
        assert_eq!(decode(&[0x18]), None, "padding of zeros");
        assert_eq!(decode(&[0x1f, 0xff]), None, "more than seven bits of padding");
        assert_eq!(decode(&[0xff; 4]), None, "EOS");
        assert_eq!(decode(&[]), Some(Vec::new()));
    }

    proptest! {
        #[test]
        fn decodes_what_it_encodes(text in prop::collection::vec(any::<u8>(), 0..200)) {
            prop_assert_eq!(decode(&encode(&text)), Some(text));
        }

        #[test]
        fn output_is_bounded(coded in prop::collection::vec(any::<u8>(), 0..200)) {
            if let Some(text) = decode(&coded) {
                prop_assert!(text.len() * 5 <= coded.len() * 8);
            }
        }
    }
}
