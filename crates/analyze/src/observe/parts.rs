//! The parts of messages: server-sent events, lines of JSON, gRPC messages.

use std::sync::Arc;

use dissect::flow::Direction;
use exposure_schema::Level;

use crate::pipeline::fact::PartFact;
use crate::pipeline::parts::PartKind;
use crate::pipeline::provenance::HttpStream;

/// Maximum number of parts listed one by one; the others are counted.
pub(crate) const MAX_LISTED: usize = 10_000;

/// Longest name of a part that is listed, in bytes.
const MAX_NAME: usize = 256;

/// A part as the capture shows it.
#[derive(Clone, Debug)]
pub(crate) struct ListedPart {
    /// Number of its TCP connection; `None` in QUIC.
    pub stream: Option<u32>,
    pub direction: Direction,
    /// The stream of its message in HTTP/2 or HTTP/3.
    pub http_stream: Option<HttpStream>,
    pub kind: PartKind,
    /// The type of an event, `trailers` for those of gRPC-Web; empty for others.
    pub name: String,
    /// Frame of its first byte.
    pub first_frame: Option<u64>,
    /// Frame of its last byte.
    pub last_frame: u64,
    /// Length of its content in bytes, after all codings are undone.
    pub bytes: u64,
    /// Whether it was captured completely.
    pub is_complete: bool,
    /// The level at which it can be read.
    pub level: Level,
    /// The decode chain that leads to it, outermost layer first.
    pub decode_chain: Arc<[&'static str]>,
}

/// All parts in a capture.
#[derive(Debug, Default)]
pub(crate) struct Parts {
    /// The first [`MAX_LISTED`].
    pub listed: Vec<ListedPart>,
    /// Number of parts.
    pub total: u64,
}

impl Parts {
    /// Adds a part.
    pub(crate) fn take(&mut self, part: &PartFact<'_>) {
        self.total += 1;
        if self.listed.len() >= MAX_LISTED {
            return;
        }
        let place = (part.place)();
        let level = match part {
            PartFact { needs_secret: true, .. } => Level::Decrypted,
            PartFact { is_encoded: true, .. } => Level::Decoded,
            _ if place.is_in_one_frame => Level::Verbatim,
            _ => Level::Reassembled,
        };
        let name = part.name.get(..MAX_NAME).unwrap_or(part.name);
        self.listed.push(ListedPart {
            stream: part.stream,
            direction: part.direction,
            http_stream: part.http_stream,
            kind: part.kind,
            name: String::from_utf8_lossy(name).into_owned(),
            first_frame: place.location.frames.first().copied(),
            last_frame: place.last_frame,
            bytes: part.bytes,
            is_complete: part.is_complete,
            level,
            decode_chain: part.chain.as_slice().into(),
        });
    }
}
