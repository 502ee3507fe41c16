//! Writes the first exchange byte by byte: what both sides sent in turn, and a frame that contains a string of it.

use std::ops::Range;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use dissect::flow::Direction;
use exposure_schema::{Exhibit, ExhibitFrame, Level, OpenedRecord, Turn};

use super::strings::{is_in, nearest};
use crate::input::manifest::Manifest;
use crate::needles::MatchMode;
use crate::observe::direction::direction;
use crate::observe::messages::WireMessage;
use crate::observe::transcript::{MAX_SHOWN, Opened, Piece, Transcript};
use crate::verdict::report::CaptureReport;

/// Maximum number of turns shown. HTTP over TLS needs six; only artificial one-byte segments need more.
pub(crate) const MAX_TURNS: usize = 64;

/// A string of the exchange, with its position on the wire.
struct WireString {
    path: String,
    message_id: Option<String>,
    level: Level,
    direction: Direction,
    /// Stream offsets of the bytes that carry it.
    range: Range<u64>,
}

/// Returns the first exchange, if both messages were seen on one connection and its transcript was kept.
pub(crate) fn exhibit(report: &CaptureReport<'_>) -> Option<Exhibit> {
    let first = report.observed.first_exchange.as_ref()?;
    let seen = |index: usize| report.observed.messages.occurrences[index].first.as_ref();
    let [request, answer] = [seen(first.messages[0])?, seen(first.messages[1])?];
    let stream = request.location.stream.filter(|stream| answer.location.stream == Some(*stream))?;
    let connection =
        report.observed.connections.described.iter().find(|connection| connection.stream == stream)?;
    // The number 0 means that the frame is no longer known.
    if answer.last_frame < connection.first.0 {
        return None;
    }
    let transcript = first.transcripts.of(stream)?;
    let end = |message: &WireMessage| Some(message.location.stream_offset? + message.location.wire_len);
    let ends = [end(request)?, end(answer)?];
    let turns = turns(transcript, ends);
    // The agents of the lab send no credentials. Heads of other traffic may have some, and the result says no more of them than
    // what was known before.
    let is_of_lab = report.manifest.is_some_and(Manifest::is_comparison);
    let string = first.messages.iter().find_map(|message| wire_string(report, *message));
    Some(Exhibit {
        message_id: report.known.messages[first.messages[0]].id.clone(),
        stream,
        bytes_shown: turns.iter().map(|turn| turn.bytes.len() as u64).sum(),
        turns: turns.into_iter().map(entry).collect(),
        opened: if is_of_lab { opened(transcript, ends) } else { Vec::new() },
        client_bytes: ends[0],
        server_bytes: ends[1],
        frame: string.and_then(|string| string_frame(transcript, string)),
    })
}

/// The bytes that one side sent until the other side sent some.
struct Shown {
    direction: Direction,
    stream_offset: u64,
    frames: Vec<u64>,
    bytes: Vec<u8>,
}

/// Returns what both sides sent in turn, up to the end of the exchange.
fn turns(transcript: &Transcript, ends: [u64; 2]) -> Vec<Shown> {
    let mut turns: Vec<Shown> = Vec::new();
    for piece in &transcript.pieces {
        let end = match piece.direction {
            Direction::ClientToServer => ends[0],
            Direction::ServerToClient => ends[1],
        };
        let room = end.min(MAX_SHOWN).saturating_sub(piece.stream_offset).min(piece.bytes.len() as u64);
        let bytes = &piece.bytes[..room as usize];
        if bytes.is_empty() {
            continue;
        }
        let continues = |turn: &Shown| {
            turn.direction == piece.direction
                && turn.stream_offset + turn.bytes.len() as u64 == piece.stream_offset
        };
        if !turns.last().is_some_and(continues) {
            if turns.len() == MAX_TURNS {
                break;
            }
            let Piece { direction, stream_offset, .. } = *piece;
            turns.push(Shown { direction, stream_offset, frames: Vec::new(), bytes: Vec::new() });
        }
        if let Some(turn) = turns.last_mut() {
            turn.bytes.extend_from_slice(bytes);
            turn.frames.push(piece.origin.frame);
            // Reassembly can deliver a segment in two parts, around bytes that arrived earlier.
            turn.frames.dedup();
        }
    }
    turns
}

/// Returns what the records up to the end of the exchange contain.
fn opened(transcript: &Transcript, ends: [u64; 2]) -> Vec<OpenedRecord> {
    let is_of_exchange = |record: &&Opened| match record.direction {
        Direction::ClientToServer => record.range.start < ends[0],
        Direction::ServerToClient => record.range.start < ends[1],
    };
    let entry = |record: &Opened| OpenedRecord {
        direction: direction(record.direction),
        stream_offset: record.range.start,
        wire_bytes: record.range.end - record.range.start,
        bytes: STANDARD.encode(&record.bytes),
    };
    transcript.opened.iter().filter(is_of_exchange).map(entry).collect()
}

fn entry(turn: Shown) -> Turn {
    Turn {
        direction: direction(turn.direction),
        stream_offset: turn.stream_offset,
        frames: turn.frames,
        bytes: STANDARD.encode(turn.bytes),
    }
}

/// Returns the first string of a message that was found in it by its own bytes.
fn wire_string(report: &CaptureReport<'_>, message: usize) -> Option<WireString> {
    let mut of_message = report.known.strings.iter().filter(|string| string.message == Some(message));
    of_message.find_map(|string| {
        let MatchMode::Value(needle) = string.match_mode else { return None };
        let occurrence = &report.observed.messages.occurrences[message];
        let hit = *nearest(report.observed.hits.of(needle), occurrence).first()?;
        let location = &hit.location;
        let start = location.stream_offset.filter(|_| is_in(location, occurrence))?;
        Some(WireString {
            path: string.path.to_string(),
            message_id: report.known.messages[message].id.clone(),
            level: hit.level,
            direction: location.direction?,
            range: location.ciphertext.clone().unwrap_or(start..start + location.wire_len),
        })
    })
}

/// Returns the frame in which a string begins.
fn string_frame(transcript: &Transcript, string: WireString) -> Option<ExhibitFrame> {
    let (piece, skipped) = transcript.pieces.iter().find_map(|piece| {
        let skipped = string.range.start.checked_sub(piece.stream_offset)?;
        (piece.direction == string.direction && skipped < piece.len).then_some((piece, skipped))
    })?;
    let kept = transcript.frames.get(&piece.origin.frame)?;
    Some(ExhibitFrame {
        frame: kept.frame,
        file_offset: kept.file_offset,
        wire_bytes: kept.wire_bytes,
        bytes: STANDARD.encode(&kept.bytes),
        payload_offset: u64::from(kept.payload_offset),
        path: string.path,
        message_id: string.message_id,
        level: string.level,
        offset: (piece.origin.file_offset + skipped).saturating_sub(kept.file_offset),
        length: (piece.len - skipped).min(string.range.end - string.range.start),
    })
}
