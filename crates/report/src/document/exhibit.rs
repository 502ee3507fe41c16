//! The first exchange as captured: the bytes of both directions in order, with marks at the strings that were found,
//! and the frame that proves the first string, byte by byte.

use std::collections::BTreeMap;
use std::ops::Range;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use exposure_schema::{Direction, Exhibit, Level};

use crate::document::evidence::Evidence;
use crate::document::line::Line;
use crate::i18n::Lang;
use crate::model::Capture;
use crate::visible;

/// Characters of a value in a mark's title; the stream shows the whole value.
const VALUE_SHOWN: usize = 60;

/// JSON paths that the mark of a TLS record names; a record may contain hundreds of strings.
const PATHS_SHOWN: usize = 4;

/// Bytes in a row of the hex view.
pub(crate) const ROW: usize = 16;

/// Rows of the hex view before the first marked byte, and in all: a printed page holds some forty.
const ROWS_BEFORE: usize = 12;
const ROWS_SHOWN: usize = 40;

/// Both directions of a connection, as Wireshark's "Follow stream" shows them.
#[derive(Debug)]
pub(crate) struct StreamView {
    pub(crate) capture: String,
    pub(crate) is_encrypted: bool,
    pub(crate) stream: u32,
    pub(crate) turns: Vec<TurnView>,
    pub(crate) marks: Vec<Mark>,
    /// How many of the bytes are shown.
    pub(crate) note: Line,
}

/// The bytes that one side sent before the other side sent anything.
#[derive(Debug)]
pub(crate) struct TurnView {
    pub(crate) direction: Direction,
    pub(crate) bytes: u64,
    pub(crate) frames: Line,
    /// Text, and the index of its mark.
    pub(crate) pieces: Vec<(String, Option<usize>)>,
}

/// A marked range of the stream: a string, or a TLS record that contains strings.
#[derive(Debug)]
pub(crate) struct Mark {
    pub(crate) level: Level,
    /// The value, or the number of values in the record.
    pub(crate) title: String,
    /// JSON paths of the values.
    pub(crate) places: Vec<String>,
    /// JSON paths beyond those in `places`.
    pub(crate) places_more: u64,
    pub(crate) frames: Vec<u64>,
    pub(crate) file_offset: Option<u64>,
    pub(crate) bytes: u64,
    /// Id of the frame's entry in the appendix.
    pub(crate) target: String,
}

/// A frame as a hex dump.
#[derive(Debug)]
pub(crate) struct HexView {
    pub(crate) capture: String,
    pub(crate) is_encrypted: bool,
    pub(crate) title: Line,
    pub(crate) rows: Vec<HexRow>,
}

#[derive(Debug)]
pub(crate) enum HexRow {
    Bytes {
        offset: usize,
        bytes: Vec<(u8, Part)>,
    },
    /// Number of bytes left out.
    Omitted(u64),
}

/// What a byte of a frame belongs to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Part {
    Header,
    Payload,
    Marked,
}

impl HexRow {
    /// Groups consecutive bytes of the same part.
    pub(crate) fn runs(bytes: &[(u8, Part)]) -> Vec<(Part, Vec<u8>)> {
        let runs = bytes.chunk_by(|one, next| one.1 == next.1);
        runs.map(|run| (run[0].1, run.iter().map(|(byte, _)| *byte).collect())).collect()
    }
}

/// The byte as a printable character, or `·`.
pub(crate) fn printable(byte: u8) -> char {
    if (b' '..=b'~').contains(&byte) { char::from(byte) } else { '·' }
}

/// The connection of a capture's first exchange, with its marks.
pub(crate) fn stream(lang: Lang, evidence: &Evidence<'_>, index: usize) -> Option<StreamView> {
    let capture = &evidence.captures()[index];
    let exhibit = capture.exhibit.as_ref()?;
    let found = found(lang, capture, exhibit);
    let mut marks: Vec<Mark> = Vec::new();
    let mut turns = Vec::new();
    for turn in &exhibit.turns {
        let bytes = decoded(&turn.bytes);
        let start = turn.stream_offset;
        let end = start + bytes.len() as u64;
        let mut ranges = Vec::new();
        let mut taken = start;
        for (place, what) in &found {
            if place.direction == turn.direction && place.start >= taken && place.start < end {
                taken = place.end.min(end);
                ranges.push(((place.start - start) as usize..(taken - start) as usize, marks.len()));
                marks.push(what.mark(*place, lang, evidence, index));
            }
        }
        turns.push(TurnView {
            direction: turn.direction,
            bytes: bytes.len() as u64,
            frames: evidence.frames(index, &turn.frames),
            pieces: pieces(&bytes, &ranges),
        });
    }
    let note = lang.stream_note(exhibit.bytes_shown, exhibit.client_bytes, exhibit.server_bytes);
    let is_encrypted = is_encrypted(capture);
    Some(StreamView {
        capture: capture.name.clone(),
        is_encrypted,
        stream: exhibit.stream,
        turns,
        marks,
        note,
    })
}

/// The frame that proves the first string of a capture.
pub(crate) fn hex(lang: Lang, evidence: &Evidence<'_>, index: usize) -> Option<HexView> {
    let capture = &evidence.captures()[index];
    let frame = capture.exhibit.as_ref()?.frame.as_ref()?;
    let marked = frame.offset..frame.offset.saturating_add(frame.length);
    let part = |at: usize| match at as u64 {
        at if marked.contains(&at) => Part::Marked,
        at if at < frame.payload_offset => Part::Header,
        _ => Part::Payload,
    };
    let captured = decoded(&frame.bytes);
    let bytes: Vec<(u8, Part)> = captured.iter().enumerate().map(|(at, byte)| (*byte, part(at))).collect();
    // From the start if the mark is near it; otherwise the headers, and some rows before the mark.
    let first = (usize::try_from(frame.offset).unwrap_or(usize::MAX) / ROW).saturating_sub(ROWS_BEFORE);
    let mut rows = Vec::new();
    let mut omitted = 0;
    for (number, row) in bytes.chunks(ROW).enumerate() {
        let is_header = row.iter().any(|(_, part)| *part == Part::Header);
        if rows.len() >= ROWS_SHOWN || (number < first && !is_header) {
            omitted += row.len() as u64;
            continue;
        }
        if omitted > 0 {
            rows.push(HexRow::Omitted(omitted));
            omitted = 0;
        }
        rows.push(HexRow::Bytes { offset: number * ROW, bytes: row.to_vec() });
    }
    // The analyzer may have cut the frame, too.
    let omitted = omitted + frame.wire_bytes.saturating_sub(captured.len() as u64);
    if omitted > 0 {
        rows.push(HexRow::Omitted(omitted));
    }
    let title = lang.hex_title(evidence.frame(index, frame.frame), frame);
    Some(HexView { capture: capture.name.clone(), is_encrypted: is_encrypted(capture), title, rows })
}

/// Whether the capture contains TLS.
pub(crate) fn is_encrypted(capture: &Capture) -> bool {
    capture.tls.is_some()
}

/// A range of stream offsets in one direction.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Place {
    direction: Direction,
    start: u64,
    end: u64,
}

/// What was found at a place. A record contains many strings, and a string may occur in a message more than once.
struct Found {
    level: Level,
    title: String,
    paths: Vec<String>,
    frames: Vec<u64>,
    file_offset: Option<u64>,
}

impl Found {
    fn mark(&self, place: Place, lang: Lang, evidence: &Evidence<'_>, index: usize) -> Mark {
        let is_record = self.level == Level::Decrypted;
        Mark {
            level: self.level,
            title: if is_record { lang.strings(self.paths.len() as u64) } else { self.title.clone() },
            places: self.paths.iter().take(PATHS_SHOWN).cloned().collect(),
            places_more: self.paths.len().saturating_sub(PATHS_SHOWN) as u64,
            frames: self.frames.clone(),
            file_offset: self.file_offset,
            bytes: place.end - place.start,
            target: evidence.target(index, self.frames.first().copied().unwrap_or(1)),
        }
    }
}

/// The places of the first message's strings in the stream, and of the server's name, which TLS does not encrypt.
fn found(lang: Lang, capture: &Capture, exhibit: &Exhibit) -> BTreeMap<Place, Found> {
    let mut found: BTreeMap<Place, Found> = BTreeMap::new();
    let of_message = |id: &Option<String>| id.is_some() && *id == exhibit.message_id;
    for string in capture.strings.iter().filter(|string| of_message(&string.message_id)) {
        for location in &string.locations {
            let (Some(direction), Some(start)) = (location.direction, location.stream_offset) else {
                continue;
            };
            // A value may occur in both request and answer. Each occurrence is marked as the string of its own message.
            let is_elsewhere = location.stream != Some(exhibit.stream) || Some(direction) != string.direction;
            if is_elsewhere || location.frames.is_empty() || location.wire_bytes == 0 {
                continue;
            }
            let place = Place { direction, start, end: start.saturating_add(location.wire_bytes) };
            let found = found.entry(place).or_insert_with(|| Found {
                level: string.level,
                title: visible::shortened(&string.value, VALUE_SHOWN),
                paths: Vec::new(),
                frames: location.frames.to_vec(),
                file_offset: Some(location.file_offset),
            });
            if !found.paths.contains(&string.path) {
                found.paths.push(string.path.clone());
            }
        }
    }
    if let Some((place, name)) = server_name(lang, capture, exhibit) {
        found.entry(place).or_insert(name);
    }
    found
}

/// The server name (SNI) in the ClientHello.
fn server_name(lang: Lang, capture: &Capture, exhibit: &Exhibit) -> Option<(Place, Found)> {
    let sessions = &capture.tls.as_ref()?.sessions;
    let session = sessions.iter().find(|session| session.stream == exhibit.stream)?;
    let name = session.visible.server_name.as_ref().filter(|name| !name.is_empty())?;
    let turn = exhibit.turns.iter().find(|turn| turn.direction == Direction::ClientToServer)?;
    let at = decoded(&turn.bytes).windows(name.len()).position(|window| window == name.as_bytes())?;
    let start = turn.stream_offset + at as u64;
    let place = Place { direction: turn.direction, start, end: start + name.len() as u64 };
    let found = Found {
        level: Level::Verbatim,
        title: format!("{}: {}", lang.server_name_mark(), visible::shortened(name, VALUE_SHOWN)),
        paths: Vec::new(),
        frames: turn.frames.first().copied().into_iter().collect(),
        file_offset: None,
    };
    Some((place, found))
}

fn decoded(base64: &str) -> Vec<u8> {
    STANDARD.decode(base64).expect("reading the document checked that this is base64")
}

/// The bytes of a turn as text, cut where marks begin and end. Bytes that are not UTF-8 show only printable ASCII.
fn pieces(bytes: &[u8], marked: &[(Range<usize>, usize)]) -> Vec<(String, Option<usize>)> {
    let is_text = is_text(bytes);
    let text = |bytes: &[u8]| if is_text { utf8(bytes) } else { ascii(bytes) };
    let mut pieces = Vec::new();
    let mut at = 0;
    for (range, mark) in marked {
        if at < range.start {
            pieces.push((text(&bytes[at..range.start]), None));
        }
        pieces.push((text(&bytes[range.clone()]), Some(*mark)));
        at = range.end;
    }
    if at < bytes.len() {
        pieces.push((text(&bytes[at..]), None));
    }
    pieces
}

/// Whether these bytes are UTF-8, possibly cut within the last character.
fn is_text(bytes: &[u8]) -> bool {
    match std::str::from_utf8(bytes) {
        Ok(_) => true,
        Err(error) => error.error_len().is_none(),
    }
}

fn utf8(bytes: &[u8]) -> String {
    visible::block(&String::from_utf8_lossy(bytes).replace("\r\n", "\n"))
}

fn ascii(bytes: &[u8]) -> String {
    let mut text = String::with_capacity(bytes.len());
    let mut rest = bytes;
    while let [byte, after @ ..] = rest {
        rest = match (byte, after) {
            (b'\r', [b'\n', after @ ..]) => {
                text.push('\n');
                after
            }
            (byte, after) => {
                text.push(printable(*byte));
                after
            }
        };
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn utf8_is_shown_as_text_and_cut_at_marks() {
        let bytes = "a: b\r\n\r\n{\"말\":\"예\u{1b}\"}".as_bytes();
        let pieces = pieces(bytes, &[(10..13, 0), (16..19, 1)]);
        let text: Vec<&str> = pieces.iter().map(|(text, _)| text.as_str()).collect();
        assert_eq!(text, ["a: b\n\n{\"", "말", "\":\"", "예", "\\u{1b}\"}"]);
        assert_eq!(pieces[1].1, Some(0));
    }

    #[test]
    fn binary_data_shows_printable_ascii_only() {
        let pieces = pieces(b"\x16\x03\x01\xff\xfeagent-b\n\0", &[]);
        assert_eq!(pieces, [("·····agent-b··".to_owned(), None)]);
    }

    #[test]
    fn runs_group_bytes_of_the_same_part() {
        let bytes = [(1, Part::Header), (2, Part::Payload), (3, Part::Payload), (4, Part::Marked)];
        let runs = HexRow::runs(&bytes);
        assert_eq!(runs, [(Part::Header, vec![1]), (Part::Payload, vec![2, 3]), (Part::Marked, vec![4])]);
    }
}
