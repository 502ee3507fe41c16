//! The names of content codings (RFC 9110 §8.4.1), without their decoders.

/// A content coding.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Coding {
    /// No coding at all.
    Identity,
    /// `gzip`, also under its old name `x-gzip`.
    Gzip,
    /// `deflate`: a zlib stream, or a bare deflate stream.
    Deflate,
    /// `br`
    Brotli,
    /// `zstd`
    Zstd,
    /// Any other coding, which cannot be undone.
    Unknown,
}

impl Coding {
    /// The coding that a token of `Content-Encoding` or `Transfer-Encoding` names, in any letter case (RFC 9110
    /// §8.4.1).
    pub fn from_token(token: &[u8]) -> Self {
        let is = |name: &[u8]| token.eq_ignore_ascii_case(name);
        if is(b"gzip") || is(b"x-gzip") {
            Self::Gzip
        } else if is(b"deflate") {
            Self::Deflate
        } else if is(b"br") {
            Self::Brotli
        } else if is(b"zstd") {
            Self::Zstd
        } else if is(b"identity") {
            Self::Identity
        } else {
            Self::Unknown
        }
    }

    /// The coding that `bytes` begin with the magic number of. Deflate and br have none.
    pub fn from_magic(bytes: &[u8]) -> Option<Self> {
        match bytes {
            [0x1f, 0x8b, 0x08, ..] => Some(Self::Gzip),
            [0x28, 0xb5, 0x2f, 0xfd, ..] => Some(Self::Zstd),
            _ => None,
        }
    }

    /// The name in `Content-Encoding`.
    pub fn name(self) -> &'static str {
        match self {
            Self::Identity => "identity",
            Self::Gzip => "gzip",
            Self::Deflate => "deflate",
            Self::Brotli => "br",
            Self::Zstd => "zstd",
            Self::Unknown => "unknown coding",
        }
    }
}
