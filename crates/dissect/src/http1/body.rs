//! Reads the body of one message out of its framing.
//!
//! ```text
//!   chunked (RFC 9112 §7.1)
//!
//!            ┌────────────────────────────────────────┐
//!            v                                        │
//!   ──> Size ── size > 0 ──> Data ── size bytes ──> DataEnd
//!            └─ size = 0 ──> Trailer ── empty line ──> end
//! ```

use super::MAX_CHUNK_LINE;
use super::head::Framing;

/// The position of the reader in the body.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Body {
    /// The number of bytes to come, at least one.
    Length(u64),
    UntilClose,
    Chunked(Chunked),
}

/// The position of the reader in the chunked coding.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Chunked {
    /// In a chunk-size line.
    Size(SizeLine),
    /// In the data of a chunk, with this number of bytes to come, at least one.
    Data { left: u64, is_first: bool },
    /// In the line end behind the data of a chunk.
    DataEnd { has_cr: bool },
    /// In the trailer section: number of bytes in the current line, and in all lines without their line ends.
    Trailer { line: usize, total: usize },
}

/// The part of a chunk-size line that was read so far.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct SizeLine {
    size: u64,
    digits: u8,
    /// Behind the size: in white space, chunk extensions or the carriage return.
    is_past_size: bool,
    len: usize,
}

/// The content of a piece of input.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Piece<'a> {
    /// Only framing; the body continues.
    Framing,
    /// Bytes of the body.
    Data { bytes: &'a [u8], new_chunk: bool },
    /// The end of the body.
    End,
    /// Malformed framing. The byte that shows it is not consumed.
    Malformed,
}

/// The effect of a gap on a body.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum AfterGap {
    /// The body continues behind the gap.
    Continues,
    /// The gap ends exactly at the end of the body.
    Ends,
    /// The gap covers framing, or more than the body.
    Lost,
}

impl Body {
    /// The reader for a body with this framing; `None` if the message has no body.
    pub(super) fn new(framing: Framing) -> Option<Self> {
        match framing {
            Framing::Empty | Framing::Length(0) => None,
            Framing::Length(length) => Some(Self::Length(length)),
            Framing::Chunked => Some(Self::Chunked(Chunked::Size(SizeLine::default()))),
            Framing::UntilClose => Some(Self::UntilClose),
        }
    }

    /// Reads `input`, which must not be empty. Returns the number of bytes consumed, and their content.
    pub(super) fn step<'a>(&mut self, input: &'a [u8]) -> (usize, Piece<'a>) {
        match self {
            Self::Length(0) => (0, Piece::End),
            Self::Length(left) => {
                let (bytes, _) = split(input, *left);
                *left -= bytes.len() as u64;
                (bytes.len(), Piece::Data { bytes, new_chunk: false })
            }
            Self::UntilClose => (input.len(), Piece::Data { bytes: input, new_chunk: false }),
            Self::Chunked(chunked) => chunked.step(input),
        }
    }

    /// Whether every byte of the body was read, so that the next [`Body::step`] only reports the end.
    pub(super) fn is_over(&self) -> bool {
        matches!(self, Self::Length(0))
    }

    /// `len` bytes of the stream are missing.
    pub(super) fn gap(&mut self, len: u64) -> AfterGap {
        match self {
            Self::UntilClose => AfterGap::Continues,
            Self::Length(left) if len == *left => AfterGap::Ends,
            Self::Length(left) if len < *left => {
                *left -= len;
                AfterGap::Continues
            }
            Self::Chunked(Chunked::Data { left, is_first }) if len < *left => {
                *left -= len;
                *is_first = true;
                AfterGap::Continues
            }
            _ => AfterGap::Lost,
        }
    }
}

impl Chunked {
    fn step<'a>(&mut self, input: &'a [u8]) -> (usize, Piece<'a>) {
        let mut consumed = 0;
        while let Some((&byte, rest)) = input.get(consumed..).and_then(<[u8]>::split_first) {
            let next = match *self {
                Self::Size(line) => line.push(byte),
                Self::Data { left, is_first } => {
                    let (bytes, _) = split(input.get(consumed..).unwrap_or_default(), left);
                    *self = match left - bytes.len() as u64 {
                        0 => Self::DataEnd { has_cr: false },
                        left => Self::Data { left, is_first: false },
                    };
                    return (consumed + bytes.len(), Piece::Data { bytes, new_chunk: is_first });
                }
                Self::DataEnd { has_cr } => match byte {
                    b'\r' if !has_cr => Some(Self::DataEnd { has_cr: true }),
                    b'\n' => Some(Self::Size(SizeLine::default())),
                    _ => return (consumed, Piece::Malformed),
                },
                Self::Trailer { line: 0, total } if byte == b'\n' && total <= MAX_CHUNK_LINE => {
                    return (consumed + 1, Piece::End);
                }
                Self::Trailer { line, total } => trailer(line, total, byte),
            };
            // The byte that shows malformed framing may begin the next message.
            let Some(next) = next else { return (consumed, Piece::Malformed) };
            *self = next;
            consumed = input.len() - rest.len();
        }
        (consumed, Piece::Framing)
    }
}

impl SizeLine {
    /// Adds a byte; `None` if it is not allowed there (RFC 9112 §7.1).
    fn push(self, byte: u8) -> Option<Chunked> {
        let Self { size, digits, is_past_size, len } = self;
        let len = len + 1;
        if len > MAX_CHUNK_LINE {
            return None;
        }
        Some(match (byte, char::from(byte).to_digit(16)) {
            (b'\n', _) if digits == 0 => return None,
            (b'\n', _) if size == 0 => Chunked::Trailer { line: 0, total: 0 },
            (b'\n', _) => Chunked::Data { left: size, is_first: true },
            (_, Some(digit)) if !is_past_size && digits < 16 => Chunked::Size(Self {
                size: size << 4 | u64::from(digit),
                digits: digits + 1,
                is_past_size,
                len,
            }),
            (b'\r' | b';' | b' ' | b'\t', _) if digits > 0 => {
                Chunked::Size(Self { size, digits, is_past_size: true, len })
            }
            _ if is_past_size => Chunked::Size(Self { size, digits, is_past_size, len }),
            _ => return None,
        })
    }
}

/// Adds a byte to the trailer section, other than the last one; `None` if it is too long.
fn trailer(line: usize, total: usize, byte: u8) -> Option<Chunked> {
    let line = match byte {
        b'\n' => 0,
        b'\r' => line,
        _ => line + 1,
    };
    (total <= MAX_CHUNK_LINE).then_some(Chunked::Trailer { line, total: total + 1 })
}

/// Splits `input` after at most `len` bytes.
fn split(input: &[u8], len: u64) -> (&[u8], &[u8]) {
    let len = usize::try_from(len).unwrap_or(usize::MAX).min(input.len());
    input.split_at_checked(len).unwrap_or((input, &[]))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Reads the body of `input` in pieces of `size` bytes. Returns the body and the bytes behind it; `Err` has the
    /// bytes before the error.
    fn read(framing: Framing, input: &[u8], size: usize) -> Result<(Vec<u8>, usize), usize> {
        let mut body = Body::new(framing).expect("a body");
        let (mut read, mut at) = (Vec::new(), 0);
        while at < input.len() {
            let end = (at + size).min(input.len());
            let (consumed, piece) = body.step(&input[at..end]);
            at += consumed;
            match piece {
                Piece::Data { bytes, .. } => read.extend_from_slice(bytes),
                Piece::Framing => assert_eq!(at, end, "all input is framing"),
                Piece::End => break,
                Piece::Malformed => return Err(at),
            }
        }
        Ok((read, input.len() - at))
    }

    fn chunked(input: &[u8]) -> Result<(Vec<u8>, usize), usize> {
        let whole = read(Framing::Chunked, input, usize::MAX >> 1);
        assert_eq!(read(Framing::Chunked, input, 1), whole, "byte by byte: {input:?}");
        whole
    }

    #[test]
    fn empty_framings_have_no_body() {
        assert_eq!(Body::new(Framing::Empty), None);
        assert_eq!(Body::new(Framing::Length(0)), None);
    }

    #[test]
    fn reads_as_many_bytes_as_the_length_says() {
        for size in 1..8 {
            assert_eq!(read(Framing::Length(5), b"helloGET", size), Ok((b"hello".to_vec(), 3)));
        }
    }

    #[test]
    fn reads_chunks_with_extensions_and_trailers() {
        let expected = Ok((b"abc0123456789".to_vec(), 4));
        assert_eq!(chunked(b"3\r\nabc\r\nA\r\n0123456789\r\n0\r\n\r\nNEXT"), expected);
        assert_eq!(
            chunked(b"3;x=y\r\nabc\r\na ;z\r\n0123456789\r\n00\r\nT: v\r\nU: w\r\n\r\nNEXT"),
            expected
        );
        assert_eq!(chunked(b"3\nabc\nA\n0123456789\n0\n\nNEXT"), expected);
    }

    #[test]
    fn rejects_malformed_chunk_framing() {
        for (input, at) in [
            (&b"\r\n"[..], 0),
            (b"x\r\n", 0),
            (b";a\r\n", 0),
            (b"-1\r\n", 0),
            (b"11111111111111111\r\n", 16),
            (b"1\r\nabc", 4),
            (b"1\r\na\r\r\n", 5),
            (b"3\r\nabcX", 6),
        ] {
            assert_eq!(chunked(input), Err(at), "{:?}", input.escape_ascii().to_string());
        }
    }

    #[test]
    fn bounds_size_lines_and_trailer_sections() {
        let line = [b"1;", &[b'x'; MAX_CHUNK_LINE][..]].concat();
        assert_eq!(chunked(&line), Err(MAX_CHUNK_LINE));
        let trailer = [b"0\n", &[b'x'; 2 * MAX_CHUNK_LINE][..]].concat();
        assert_eq!(chunked(&trailer), Err(b"0\n".len() + MAX_CHUNK_LINE + 1));
    }

    #[test]
    fn a_gap_within_the_body_keeps_the_framing() {
        let data = |left| Body::Chunked(Chunked::Data { left, is_first: false });
        let size = Body::Chunked(Chunked::Size(SizeLine::default()));
        for (mut body, len, expected) in [
            (Body::Length(10), 9, AfterGap::Continues),
            (Body::Length(10), 10, AfterGap::Ends),
            (Body::Length(10), 11, AfterGap::Lost),
            (Body::UntilClose, u64::MAX, AfterGap::Continues),
            (data(10), 9, AfterGap::Continues),
            (data(10), 10, AfterGap::Lost),
            (size, 1, AfterGap::Lost),
        ] {
            assert_eq!(body.gap(len), expected, "{body:?} {len}");
        }
        let mut body = data(10);
        body.gap(9);
        assert_eq!(body.step(b"xy"), (1, Piece::Data { bytes: b"x", new_chunk: true }));
    }
}
