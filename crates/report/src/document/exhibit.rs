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

/// Bytes of a turn that are shown where no more is needed: of handshakes and of answers, before and behind each mark.
const HEAD_SHOWN: usize = 64;
const TAIL_SHOWN: usize = 32;

/// Bytes of an answer in the clear that are shown.
const ANSWER_SHOWN: usize = 400;

/// Rows of the hex view before the first marked byte, and in all.
const ROWS_BEFORE: usize = 4;
const ROWS_SHOWN: usize = 12;

/// A connection up to its first request, and the beginning of the answer in the clear, as Wireshark's "Follow stream" shows it.
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
    pub(crate) frame_count: usize,
    pub(crate) pieces: Vec<Piece>,
    /// What its TLS records contain, which only the key log shows.
    pub(crate) opened: Option<OpenedView>,
}

/// The decrypted contents of TLS records.
#[derive(Debug)]
pub(crate) struct OpenedView {
    /// Length of the records on the wire.
    pub(crate) wire_bytes: u64,
    /// The contents.
    pub(crate) text: String,
}

/// A part of a turn.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Piece {
    Text(String),
    /// Text, and the index of its mark.
    Marked(String, usize),
    /// Number of bytes left out.
    Omitted(u64),
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
    /// Id of the frame's entry in the appendix, if there is one.
    pub(crate) target: Option<String>,
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
    let is_encrypted = is_encrypted(capture);
    let request = exhibit.turns.iter().rposition(|turn| turn.direction == Direction::ClientToServer);
    for (number, turn) in exhibit.turns.iter().enumerate() {
        let is_answer = request.is_some_and(|request| number > request);
        if is_answer && is_encrypted {
            break;
        }
        let bytes = decoded(&turn.bytes);
        let shown = if is_answer { up_to(&bytes, ANSWER_SHOWN) } else { &bytes };
        let start = turn.stream_offset;
        let end = start + shown.len() as u64;
        let mut ranges = Vec::new();
        let mut taken = start;
        for (place, what) in &found {
            if place.direction == turn.direction && place.start >= taken && place.start < end {
                taken = place.end.min(end);
                ranges.push(((place.start - start) as usize..(taken - start) as usize, marks.len()));
                marks.push(what.mark(*place, lang, evidence, index));
            }
        }
        let mut pieces = pieces(shown, &ranges, is_encrypted && Some(number) != request);
        if shown.len() < bytes.len() {
            pieces.push(Piece::Omitted((bytes.len() - shown.len()) as u64));
        }
        turns.push(TurnView {
            direction: turn.direction,
            bytes: bytes.len() as u64,
            frames: evidence.frames(index, &turn.frames),
            frame_count: turn.frames.len(),
            pieces,
            opened: opened(exhibit, turn.direction, start..start + bytes.len() as u64),
        });
    }
    let note = lang.stream_note(exhibit.client_bytes, exhibit.server_bytes);
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

pub(crate) fn decoded(base64: &str) -> Vec<u8> {
    STANDARD.decode(base64).expect("reading the document checked that this is base64")
}

/// What the records that begin in a range of a direction contain.
fn opened(exhibit: &Exhibit, direction: Direction, range: Range<u64>) -> Option<OpenedView> {
    let records = || {
        let of_direction = exhibit.opened.iter().filter(move |record| record.direction == direction);
        of_direction.filter(|record| range.contains(&record.stream_offset))
    };
    records().next()?;
    let contents: Vec<u8> = records().flat_map(|record| decoded(&record.bytes)).collect();
    Some(OpenedView {
        wire_bytes: records().map(|record| record.wire_bytes).sum(),
        text: shown_text(&contents),
    })
}

/// Bytes as text. Bytes that are not UTF-8 show only printable ASCII.
pub(crate) fn shown_text(bytes: &[u8]) -> String {
    if is_text(bytes) { utf8(bytes) } else { ascii(bytes) }
}

/// The bytes of a turn as text, cut where marks begin and end. Bytes that are not UTF-8 show only printable ASCII. `is_cut`: a
/// long part without marks is represented by its beginning and its end.
fn pieces(bytes: &[u8], marked: &[(Range<usize>, usize)], is_cut: bool) -> Vec<Piece> {
    let is_text = is_text(bytes);
    let text = |bytes: &[u8]| if is_text { utf8(bytes) } else { ascii(bytes) };
    let mut pieces = Vec::new();
    let plain = |pieces: &mut Vec<Piece>, part: &[u8]| match part.len().checked_sub(HEAD_SHOWN + TAIL_SHOWN) {
        Some(omitted) if is_cut && omitted > TAIL_SHOWN => {
            let (head, rest) = part.split_at(HEAD_SHOWN);
            pieces.push(Piece::Text(text(head)));
            pieces.push(Piece::Omitted(omitted as u64));
            pieces.push(Piece::Text(text(&rest[omitted..])));
        }
        _ if part.is_empty() => {}
        _ => pieces.push(Piece::Text(text(part))),
    };
    let mut at = 0;
    for (range, mark) in marked {
        plain(&mut pieces, &bytes[at..range.start]);
        pieces.push(Piece::Marked(text(&bytes[range.clone()]), *mark));
        at = range.end;
    }
    plain(&mut pieces, &bytes[at..]);
    pieces
}

/// The longest prefix of at most this many bytes that does not end within a character of UTF-8.
fn up_to(bytes: &[u8], most: usize) -> &[u8] {
    let is_boundary = |at: usize| bytes.get(at).is_none_or(|byte| byte & 0xc0 != 0x80);
    let end = (0..=most.min(bytes.len())).rev().find(|at| is_boundary(*at)).unwrap_or(0);
    &bytes[..end]
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
        let pieces = pieces(bytes, &[(10..13, 0), (16..19, 1)], false);
        let text = |text: &str| Piece::Text(text.to_owned());
        let marked = |text: &str, mark| Piece::Marked(text.to_owned(), mark);
        assert_eq!(
            pieces,
            [text("a: b\n\n{\""), marked("말", 0), text("\":\""), marked("예", 1), text("\\u{1b}\"}")]
        );
    }

    #[test]
    fn binary_data_shows_printable_ascii_only() {
        let pieces = pieces(b"\x16\x03\x01\xff\xfeagent-b\n\0", &[], false);
        assert_eq!(pieces, [Piece::Text("·····agent-b··".to_owned())]);
    }

    #[test]
    fn long_parts_without_marks_are_cut() {
        let bytes = [b'x'; 1_000];
        let pieces = pieces(&bytes, &[(500..510, 0)], true);
        let text = |len: usize| Piece::Text("x".repeat(len));
        let omitted = |len| Piece::Omitted(len);
        assert_eq!(
            pieces,
            [
                text(HEAD_SHOWN),
                omitted(500 - 96),
                text(TAIL_SHOWN),
                Piece::Marked("x".repeat(10), 0),
                text(HEAD_SHOWN),
                omitted(490 - 96),
                text(TAIL_SHOWN)
            ]
        );
    }

    #[test]
    fn a_cut_is_between_characters() {
        let bytes = "한국어".as_bytes();
        assert_eq!([7, 9, 20, 2].map(|most| up_to(bytes, most).len()), [6, 9, 9, 0]);
    }

    #[test]
    fn runs_group_bytes_of_the_same_part() {
        let bytes = [(1, Part::Header), (2, Part::Payload), (3, Part::Payload), (4, Part::Marked)];
        let runs = HexRow::runs(&bytes);
        assert_eq!(runs, [(Part::Header, vec![1]), (Part::Payload, vec![2, 3]), (Part::Marked, vec![4])]);
    }
}
