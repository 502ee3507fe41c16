//! Capture files: pcap and pcapng, distinguished by their first bytes.
//!
//! [`Decoder`] is pushed over the caller's buffer and borrows from it: no record is copied, none allocates. The caller
//! reads a file, a pipe or a growing capture into a buffer, calls [`Decoder::step`] on what is not consumed yet, and
//! reads more on [`Step::NeedMore`].
//!
//! ```text
//! buffer   | consumed | record header | frame bytes ... | next record ... | free |
//!                     ^ input of step                                     ^ read more here
//! ```
//!
//! ```
//! use dissect::capture::{Decoder, Step};
//!
//! fn frames(mut input: &[u8]) -> Result<u64, dissect::capture::CaptureError> {
//!     let mut decoder = Decoder::new();
//!     let mut frames = 0;
//!     loop {
//!         match decoder.step(input)? {
//!             Step::Record { consumed, record } => {
//!                 frames = record.frame;
//!                 input = &input[consumed..];
//!             }
//!             Step::Secrets { consumed, .. } | Step::Skipped { consumed } => input = &input[consumed..],
//!             Step::NeedMore { .. } => break, // a program would read more of the file here
//!         }
//!     }
//!     if let Some(truncation) = decoder.finish(input) {
//!         eprintln!("{truncation}");
//!     }
//!     Ok(frames)
//! }
//! # let mut file = craft::pcap::Writer::new(Vec::new(), 1, 64).unwrap();
//! # file.write(1, 3, b"abc").unwrap();
//! # assert_eq!(frames(&file.into_inner()), Ok(1));
//! ```

mod error;
mod pcap;
mod pcapng;

use std::fmt;

pub use error::{CaptureError, Rule};

use crate::link::LinkType;
use crate::tcp::Origin;

/// Longest frame that a record may hold: the largest snapshot length of tcpdump and Wireshark, and more than the 192
/// KiB that Linux delivers to a capture at once. A greater length is damaged; allowing it would let a file of a few
/// bytes demand gigabytes of buffer.
pub const MAX_FRAME_LEN: u32 = 262_144;

/// Longest pcapng block, other than secrets, that must be in the input as a whole: the longest frame and as much again
/// for its options, each of which can take 64 KiB. Blocks that are skipped may have any length.
pub const MAX_BLOCK_LEN: u32 = 2 * MAX_FRAME_LEN;

/// Longest pcapng block of secrets: the key log of some 15,000 TLS connections, and half the memory allowed to the
/// whole analysis.
pub const MAX_SECRETS_LEN: u32 = 16 << 20;

/// Maximum number of interfaces of one pcapng section: as many as the older packet block can number. 64 bytes are kept
/// for each.
pub const MAX_INTERFACES: usize = 65_536;

/// One captured frame.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Record<'a> {
    /// Number of the frame in the file, from 1, as Wireshark counts.
    pub frame: u64,
    /// Capture time, nanoseconds since the epoch. 0 in pcapng's simple packet blocks, which have no time. A time
    /// outside the range of the type is replaced by the nearest value in it.
    pub captured_at: u64,
    /// Link type of the frame.
    pub link_type: LinkType,
    /// Interface number within the pcapng section; 0 in pcap.
    pub interface: u32,
    /// Length of the frame on the wire.
    pub original_len: u32,
    /// The captured bytes.
    pub bytes: &'a [u8],
    /// File offset of the first byte of `bytes`.
    pub file_offset: u64,
}

impl Record<'_> {
    /// The position in the capture of the byte at `offset` of the frame.
    #[inline]
    pub fn origin(&self, offset: u32) -> Origin {
        Origin { frame: self.frame, file_offset: self.file_offset + u64::from(offset) }
    }

    /// Whether the frame was longer on the wire.
    #[inline]
    pub fn is_truncated(&self) -> bool {
        self.original_len as usize > self.bytes.len()
    }
}

/// The result of a step. `consumed` is the number of bytes to drop from the input, always at least one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Step<'a> {
    /// A frame.
    Record {
        /// Bytes to drop from the input.
        consumed: usize,
        /// The frame.
        record: Record<'a>,
    },
    /// An NSS key log embedded in the capture.
    Secrets {
        /// Bytes to drop from the input.
        consumed: usize,
        /// The text.
        key_log: &'a [u8],
    },
    /// A record or block without relevant content.
    Skipped {
        /// Bytes to drop from the input.
        consumed: usize,
    },
    /// The input must hold at least so many bytes before the next step can have another result.
    NeedMore {
        /// Number of bytes, counted from the beginning of the input.
        at_least: usize,
    },
}

impl Step<'_> {
    /// Bytes to drop from the input; 0 if more input is needed.
    #[inline]
    pub fn consumed(&self) -> usize {
        match *self {
            Self::Record { consumed, .. } | Self::Secrets { consumed, .. } | Self::Skipped { consumed } => {
                consumed
            }
            Self::NeedMore { .. } => 0,
        }
    }
}

/// The part of a file that is incomplete.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Unfinished {
    /// The header of the file; an empty file lacks all of it.
    FileHeader,
    /// The record of this frame.
    Frame(u64),
    /// A pcapng block that holds no frame, or so little of it that its type is unknown.
    Block,
}

/// A file that ends in the middle of a record or block.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Truncation {
    /// The incomplete part.
    pub unfinished: Unfinished,
    /// File offset of the remaining bytes.
    pub file_offset: u64,
    /// Number of remaining bytes.
    pub available: u64,
    /// Number of bytes needed, as far as it is known.
    pub needed: u64,
}

impl fmt::Display for Truncation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Truncation { unfinished, file_offset, available, needed } = self;
        match unfinished {
            Unfinished::Frame(frame) => write!(f, "the file ends inside the record of frame {frame}")?,
            Unfinished::Block => f.write_str("the file ends inside a block")?,
            Unfinished::FileHeader if *available == 0 => return f.write_str("the file is empty"),
            Unfinished::FileHeader => f.write_str("the file ends inside its header")?,
        }
        write!(f, " (file offset {file_offset}: {available} of {needed} bytes)")
    }
}

/// Numbers of the blocks of a pcapng file that carry no frame, by kind. Their contents are skipped, but for the drops that
/// statistics count.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct SkippedBlocks {
    /// Name resolution.
    pub name_resolution: u64,
    /// Interface statistics.
    pub statistics: u64,
    /// Secrets of other protocols than TLS.
    pub other_secrets: u64,
    /// Custom blocks.
    pub custom: u64,
    /// Blocks of unknown types.
    pub unknown: u64,
}

/// Decodes a capture file that is pushed to it.
#[derive(Debug, Clone, Default)]
pub struct Decoder {
    format: Format,
    /// Bytes consumed so far.
    position: u64,
    /// Frames delivered so far.
    frames: u64,
}

#[derive(Debug, Clone, Default)]
enum Format {
    /// Nothing of the file was seen yet.
    #[default]
    Unknown,
    Pcap(pcap::Pcap),
    Pcapng(pcapng::Pcapng),
}

/// The position of a format's decoder in the file.
#[derive(Debug, Clone, Copy)]
struct Place {
    /// Number of the next frame.
    frame: u64,
    /// File offset of the first byte of the input.
    offset: u64,
}

impl Decoder {
    /// A decoder at the beginning of a file.
    pub fn new() -> Self {
        Self::default()
    }

    /// Frames delivered so far.
    pub fn frames(&self) -> u64 {
        self.frames
    }

    /// Bytes consumed so far.
    pub fn position(&self) -> u64 {
        self.position
    }

    /// Number of frames that the file itself reports as dropped: in pcapng, by the options epb_dropcount, isb_ifdrop
    /// and isb_osdrop so far. pcap has no field for them.
    pub fn dropped(&self) -> u64 {
        match &self.format {
            Format::Pcapng(pcapng) => pcapng.dropped(),
            Format::Pcap(_) | Format::Unknown => 0,
        }
    }

    /// The blocks without a frame so far; none in pcap.
    pub fn skipped_blocks(&self) -> SkippedBlocks {
        match &self.format {
            Format::Pcapng(pcapng) => pcapng.skipped(),
            Format::Pcap(_) | Format::Unknown => SkippedBlocks::default(),
        }
    }

    /// The most bytes that the file's headers allow for a frame, so far: the largest snaplen of its interfaces. `None` if
    /// one of them has no limit (0), or if no interface was described yet.
    pub fn snaplen(&self) -> Option<u32> {
        match &self.format {
            Format::Pcap(pcap) => pcap.snaplen(),
            Format::Pcapng(pcapng) => pcapng.snaplen(),
            Format::Unknown => None,
        }
    }

    /// Reads the record or block at the front of `input`, which must begin where the last step stopped consuming.
    ///
    /// After an error the decoder does not continue: every further step returns the same error.
    #[inline]
    pub fn step<'a>(&mut self, input: &'a [u8]) -> Result<Step<'a>, CaptureError> {
        let place = Place { frame: self.frames + 1, offset: self.position };
        let step = match &mut self.format {
            Format::Pcap(pcap) => pcap.step(input, place)?,
            Format::Pcapng(pcapng) => pcapng.step(input, place)?,
            Format::Unknown => self.begin(input)?,
        };
        match step {
            Step::Record { consumed, .. } => {
                self.frames += 1;
                self.position += consumed as u64;
            }
            Step::Secrets { consumed, .. } | Step::Skipped { consumed } => self.position += consumed as u64,
            Step::NeedMore { .. } => {}
        }
        Ok(step)
    }

    /// Returns `None` if the file ends between records, otherwise the record that is cut. `rest` is the input that was
    /// not consumed.
    pub fn finish(&self, rest: &[u8]) -> Option<Truncation> {
        let next = self.frames + 1;
        let unfinished = match &self.format {
            Format::Unknown => Some((Unfinished::FileHeader, header_needed(rest))),
            Format::Pcap(pcap) => pcap.needed(rest).map(|needed| (Unfinished::Frame(next), needed)),
            Format::Pcapng(pcapng) => pcapng.unfinished(rest, next),
        };
        let (file_offset, available) = (self.position, rest.len() as u64);
        unfinished.map(|(unfinished, needed)| Truncation { unfinished, file_offset, available, needed })
    }

    /// Recognises the format by the first bytes.
    #[cold]
    fn begin<'a>(&mut self, input: &'a [u8]) -> Result<Step<'a>, CaptureError> {
        let Some(magic) = input.first_chunk::<MAGIC_LEN>() else {
            return Ok(Step::NeedMore { at_least: MAGIC_LEN });
        };
        if *magic == pcapng::MAGIC {
            // A section header is a block like any other.
            let mut pcapng = pcapng::Pcapng::default();
            let step = pcapng.step(input, Place { frame: 1, offset: 0 })?;
            if !matches!(step, Step::NeedMore { .. }) {
                self.format = Format::Pcapng(pcapng);
            }
            return Ok(step);
        }
        match pcap::Pcap::begin(input)? {
            Some(pcap) => {
                self.format = Format::Pcap(pcap);
                Ok(Step::Skipped { consumed: pcap::FILE_HEADER_LEN })
            }
            None => Ok(Step::NeedMore { at_least: pcap::FILE_HEADER_LEN }),
        }
    }
}

/// Both formats begin with a magic number of four bytes.
const MAGIC_LEN: usize = 4;

fn header_needed(rest: &[u8]) -> u64 {
    if rest.first_chunk() == Some(&pcapng::MAGIC) {
        pcapng::section_header_needed(rest)
    } else {
        pcap::FILE_HEADER_LEN as u64
    }
}
