//! The header sections of messages (RFC 9113 §8).

use std::ops::Range;

use super::MAX_CODING_NAMES;
use super::hpack::{self, Field, Part};
use crate::coding::Coding;

/// The kind of header section.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum MessageKind {
    /// Begins a request.
    #[default]
    Request,
    /// Begins a final response.
    Response,
    /// A whole interim response (RFC 9113 §8.1; RFC 9110 §15.2).
    Interim,
    /// A whole request that the server answers without being asked (RFC 9113 §8.4). It is read in the server's direction.
    Pushed,
    /// Fields behind a body (RFC 9113 §8.1).
    Trailers,
    /// No header section: a body continues whose head was not captured, or not read.
    Headless,
}

/// How a message ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// Its sender ended it, and nothing of it is missing.
    Complete,
    /// Its sender ended it, but the capture lacks a part of it, or a part of it was not read.
    Damaged,
    /// One side reset the stream with this error code (RFC 9113 §6.4).
    Reset(u32),
    /// The input ended first, or too many messages were open.
    Unfinished,
}

/// A header section.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Head {
    /// What it begins.
    pub kind: MessageKind,
    /// The stream of its message. For [`MessageKind::Pushed`], the promised one.
    pub stream: u32,
    /// For [`MessageKind::Pushed`], the stream of the request that it belongs to.
    pub promised_on: Option<u32>,
    /// Its fields in their order, pseudo-header fields included.
    pub fields: Vec<Field>,
    /// How the reading of its header block ended.
    pub decoded: hpack::Outcome,
    /// Whether no body and no trailers follow.
    pub ends: bool,
    /// Its frames, from the first byte of the first header to the last byte of the last payload, by offsets in its
    /// direction.
    pub frames: Range<u64>,
    pub(super) fragments: Vec<Fragment>,
}

/// A contiguous part of a header block.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Fragment {
    /// Offset in the block of its first byte.
    pub(super) block: usize,
    /// Offset in the direction of its first byte.
    pub(super) at: u64,
}

impl Head {
    /// The value of the first field of a name, which is lower case; `None` if there is none, or if it is unknown.
    #[must_use]
    pub fn value(&self, name: &str) -> Option<&[u8]> {
        self.values(name).next()
    }

    /// The known values of all fields of a name.
    pub fn values(&self, name: &str) -> impl Iterator<Item = &[u8]> {
        let of_name = move |field: &&Field| field.name.bytes() == name.as_bytes();
        self.fields.iter().filter(of_name).filter_map(|field| field.value.octets.as_deref())
    }

    /// The status code of a response (RFC 9113 §8.3.2); 0 if there is none, or if it is unknown.
    #[must_use]
    pub fn status(&self) -> u16 {
        let digits = self.value(":status").filter(|value| value.len() == 3);
        digits.and_then(|digits| std::str::from_utf8(digits).ok()?.parse().ok()).unwrap_or(0)
    }

    /// `content-length`, if it is a number.
    #[must_use]
    pub fn content_length(&self) -> Option<u64> {
        let digits = self.value("content-length")?;
        // Digits alone: `parse` would accept a sign.
        digits.iter().all(u8::is_ascii_digit).then(|| std::str::from_utf8(digits).ok()?.parse().ok())?
    }

    /// Codings to undo on the body, outermost first. More than [`MAX_CODING_NAMES`] bytes of them are one unknown coding.
    #[must_use]
    pub fn codings(&self) -> Vec<Coding> {
        if self.values("content-encoding").map(<[u8]>::len).sum::<usize>() > MAX_CODING_NAMES {
            return vec![Coding::Unknown];
        }
        let names = self.values("content-encoding").flat_map(|value| value.split(|byte| *byte == b','));
        let names = names.map(<[u8]>::trim_ascii).filter(|name| !name.is_empty());
        let mut codings: Vec<Coding> = names.map(Coding::from_token).collect();
        codings.retain(|coding| *coding != Coding::Identity);
        // Codings are listed in the order in which they were applied, and undone in the opposite order.
        codings.reverse();
        codings
    }

    /// Whether a field has a part that is not known.
    #[must_use]
    pub fn has_unknown(&self) -> bool {
        self.fields.iter().any(|field| field.name.octets.is_none() || field.value.octets.is_none())
    }

    /// Where a part is, by offsets in the direction of the message: from its first to its last byte. `false`: frame
    /// headers separate its bytes.
    #[must_use]
    pub fn locate(&self, part: &Part) -> (Range<u64>, bool) {
        let (start, first) = self.offset(part.range.start);
        let (last, of_last) = self.offset(part.range.end.saturating_sub(1).max(part.range.start));
        let end = if part.range.is_empty() { start } else { last + 1 };
        (start..end, first == of_last)
    }

    /// Offset of a byte of the block, and the number of its fragment.
    fn offset(&self, block: usize) -> (u64, usize) {
        let number = self.fragments.partition_point(|fragment| fragment.block <= block).saturating_sub(1);
        let fragment = self.fragments.get(number);
        (fragment.map_or(0, |fragment| fragment.at + (block - fragment.block) as u64), number)
    }

    /// Whether the first field is a pseudo-header field, as in every header section that begins a message (RFC 9113 §8.3);
    /// `None` if it is unknown or if there is none.
    pub(super) fn begins_message(&self) -> Option<bool> {
        let name = self.fields.first()?.name.octets.as_deref()?;
        Some(name.first() == Some(&b':'))
    }
}
