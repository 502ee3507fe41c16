//! Errors in a capture file.

use std::fmt;

/// Why a capture file cannot be read, or not to its end.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum CaptureError {
    /// The first bytes are not those of a capture.
    #[error("not a pcap or pcapng file: it begins with {}", Hex(first))]
    NotACapture {
        /// The first bytes.
        first: [u8; 4],
    },
    /// The first bytes are those of a compressed file.
    #[error("the file is compressed with {with}: unpack it first, for instance by `{command}`")]
    Compressed {
        /// Name of the compression.
        with: &'static str,
        /// A command that writes the unpacked file to stdout.
        command: &'static str,
    },
    /// A known capture format that is not supported.
    #[error("{format} files are not read: convert it first, for instance by `editcap -F pcapng IN OUT`")]
    UnsupportedFormat {
        /// Name of the format.
        format: &'static str,
    },
    /// A version of pcap or pcapng that is not supported.
    #[error("{format} version {major}.{minor} is not read (file offset {offset})")]
    UnsupportedVersion {
        /// Name of the format.
        format: &'static str,
        /// Major version.
        major: u16,
        /// Minor version.
        minor: u16,
        /// File offset of the version.
        offset: u64,
    },
    /// The file contradicts itself, so the bytes behind this place cannot be trusted.
    #[error(
        "damaged capture at file offset {offset}, before frame {frame} is whole: {field} is {value}, {rule}"
    )]
    Damaged {
        /// Number of the current or next frame.
        frame: u64,
        /// File offset at which the record or block begins.
        offset: u64,
        /// Name of the wrong field.
        field: &'static str,
        /// Value of the field.
        value: u64,
        /// The rule that the value breaks.
        rule: Rule,
    },
}

/// A rule for the value of a field.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Rule {
    /// At most this value.
    AtMost(u64),
    /// At least this value.
    AtLeast(u64),
    /// Exactly this value.
    Equal(u64),
    /// A multiple of this value.
    MultipleOf(u64),
    /// Less than the number of interfaces described so far.
    BelowInterfaces(u64),
    /// A body that parses as a block of its type.
    Parsable,
}

impl fmt::Display for Rule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Rule::AtMost(limit) => write!(f, "at most {limit} is possible"),
            Rule::AtLeast(limit) => write!(f, "at least {limit} is needed"),
            Rule::Equal(expected) => write!(f, "{expected} was expected"),
            Rule::MultipleOf(unit) => write!(f, "a multiple of {unit} was expected"),
            Rule::BelowInterfaces(count) => write!(f, "{count} interfaces were described"),
            Rule::Parsable => f.write_str("and the block cannot be parsed"),
        }
    }
}

struct Hex<'a>(&'a [u8]);

impl fmt::Display for Hex<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (i, byte) in self.0.iter().enumerate() {
            write!(f, "{}{byte:02x}", if i > 0 { " " } else { "" })?;
        }
        if self.0.iter().all(|b| b.is_ascii_graphic() || *b == b' ') {
            write!(f, " (\"{}\")", self.0.escape_ascii())?;
        }
        Ok(())
    }
}
