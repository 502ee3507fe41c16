//! The search finds a string wherever segments divide it: at every split point of two and three segments, in any order,
//! with duplicates. It names exactly the frames that carry the string.

use std::fs::File;
use std::io::BufWriter;
use std::ops::ControlFlow;
use std::path::Path;

use analyze::analysis::{self, Options};
use analyze::input::discover::Input;
use craft::conversation::{Connection, Frames, Settings, Side};
use craft::frame::flags;
use craft::pcap;
use data_encoding::HEXLOWER;
use exposure_schema::{Capture, Completeness, StringEntry};
use proptest::prelude::*;
use proptest::sample::Index;

const BODY: &str =
    r#"{"id":"call-0001","tool_name":"analyze_dependency","arguments":{"target":"libssl","depth":2}}"#;
const STRING: &str = "analyze_dependency";

/// A piece of the request: its range, as one frame.
type Piece = (usize, usize);

struct Bench {
    directory: tempfile::TempDir,
}

impl Bench {
    fn new() -> Self {
        let directory = tempfile::tempdir().expect("a temporary directory");
        let sha256 = aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA256, BODY.as_bytes());
        let sha256 = HEXLOWER.encode(sha256.as_ref());
        let line = serde_json::json!({
            "schema": "plainsight.journal/1", "run": "0", "agent": "agent-a", "event": "sent",
            "message_id": "call-0001", "body_sha256": sha256, "body": BODY,
        });
        std::fs::write(directory.path().join("a.jsonl"), format!("{line}\n")).expect("the journal");
        Self { directory }
    }

    /// Sends the request in these pieces, in this order, and analyzes the capture. The request's frames are numbered
    /// from 4: the handshake takes three.
    fn analyze(&self, request: &[u8], pieces: &[Piece]) -> Capture {
        let path = self.directory.path().join("a.pcap");
        write_capture(&path, request, pieces);
        let mut input = Input::file(&path);
        input.journals = vec![self.directory.path().join("a.jsonl")];
        analysis::analyze(&input, Options::default(), &mut |_| ControlFlow::Continue(())).expect("a capture")
    }
}

fn write_capture(path: &Path, request: &[u8], pieces: &[Piece]) {
    let mut connection = connection();
    let mut frames = Frames::default();
    connection.open(0, &mut frames).expect("a fresh connection");
    for &(start, end) in pieces {
        let payload = &request[start..end];
        connection.segment(Side::Client, start as u32, flags::ACK, payload, 0, &mut frames);
    }
    write_frames(path, &connection, &frames);
}

fn connection() -> Connection {
    let settings = Settings::new(
        "10.0.0.1:40000".parse().expect("an address"),
        "10.0.0.2:8000".parse().expect("an address"),
    );
    Connection::new(settings).expect("one IP version")
}

fn write_frames(path: &Path, connection: &Connection, frames: &Frames) {
    let file = BufWriter::new(File::create(path).expect("a file"));
    let mut writer = pcap::Writer::new(file, connection.link_type(), pcap::FULL_SNAPLEN).expect("a header");
    for frame in frames.iter() {
        writer.write(frame.at_ns, frame.bytes.len() as u32, frame.bytes).expect("a frame");
    }
    writer.flush().expect("the file");
}

fn request() -> Vec<u8> {
    let head = format!(
        "POST /tool HTTP/1.1\r\nHost: agent-b\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\r\n",
        BODY.len()
    );
    [head.as_bytes(), BODY.as_bytes()].concat()
}

fn string_of(capture: &Capture) -> &StringEntry {
    capture.strings.iter().find(|string| string.value == STRING).expect("the journal holds the string")
}

/// Checks the result for the string, after these pieces in this order.
fn check(capture: &Capture, request: &[u8], pieces: &[Piece]) {
    let start =
        request.windows(STRING.len()).position(|window| window == STRING.as_bytes()).expect("it is there");
    let end = start + STRING.len();
    let entry = string_of(capture);
    let whole = pieces.iter().any(|piece| piece.0 <= start && piece.1 >= end);
    let level = if whole { "verbatim" } else { "reassembled" };
    assert_eq!(entry.level.name(), level, "{pieces:?}");
    let place = &entry.locations[0];
    assert!(!place.frames.is_empty(), "{pieces:?}");
    for frame in &place.frames {
        let piece = pieces[usize::try_from(frame - 4).expect("a frame of the request")];
        assert!(piece.0 < end && piece.1 > start, "frame {frame} of {pieces:?} carries a part of the string");
    }
    let carried: usize = (start..end)
        .filter(|at| {
            place.frames.iter().any(|frame| {
                let piece = pieces[(frame - 4) as usize];
                piece.0 <= *at && *at < piece.1
            })
        })
        .count();
    assert_eq!(carried, STRING.len(), "the frames carry the whole string: {pieces:?}");
    // Everything else of the message is found too, and the message itself is accounted for.
    assert_eq!(capture.summary.absent, 0, "{pieces:?}");
    assert_eq!(capture.completeness.messages_accounted, 1, "{pieces:?}");
    assert_eq!(capture.verdict.map(exposure_schema::Verdict::name), Some("exposed"));
}

#[test]
fn finds_a_string_at_every_split_point_of_two_segments() {
    let bench = Bench::new();
    let request = request();
    for split in 1..request.len() {
        let (first, second) = ((0, split), (split, request.len()));
        for pieces in [vec![first, second], vec![second, first], vec![second, first, second]] {
            check(&bench.analyze(&request, &pieces), &request, &pieces);
        }
    }
}

/// A connection without any captured payload, in which the server acknowledges the request and `more` bytes.
fn acknowledged_only(more: u32) -> Completeness {
    let directory = tempfile::tempdir().expect("a temporary directory");
    let path = directory.path().join("a.pcap");
    let (mut frames, mut lost) = (Frames::default(), Frames::default());
    let mut connection = connection();
    connection.open(0, &mut frames).expect("a fresh connection");
    connection.send(Side::Client, &request(), 0, &mut lost).expect("an open connection");
    connection.segment(Side::Server, 0, flags::ACK, b"", 0, &mut frames);
    let mut frames: Vec<_> = frames.iter().map(|frame| frame.bytes.to_vec()).collect();
    let last = frames.last_mut().expect("a frame");
    // Behind Ethernet, IPv4 and the first half of the TCP header.
    let ack = &mut last[14 + 20 + 8..][..4];
    let number = u32::from_be_bytes(ack.try_into().expect("four bytes")).wrapping_add(more);
    ack.copy_from_slice(&number.to_be_bytes());
    let file = BufWriter::new(File::create(&path).expect("a file"));
    let mut writer = pcap::Writer::new(file, connection.link_type(), pcap::FULL_SNAPLEN).expect("a header");
    for frame in &frames {
        writer.write(0, frame.len() as u32, frame).expect("a frame");
    }
    writer.flush().expect("the file");
    drop(writer);
    let capture =
        analysis::analyze(&Input::file(&path), Options::default(), &mut |_| ControlFlow::Continue(()))
            .expect("a capture");
    capture.completeness
}

#[test]
fn acknowledged_bytes_that_were_not_captured_are_a_gap() {
    let completeness = acknowledged_only(0);
    assert_eq!((completeness.gaps, completeness.gap_bytes), (1, request().len() as u64));
    assert_eq!((completeness.streams, completeness.streams_whole), (1, 0));
}

#[test]
fn an_acknowledgment_outside_any_window_is_a_doubt() {
    for more in [1_300_000_000, 2_147_000_000, 3_000_000_000] {
        let completeness = acknowledged_only(more);
        assert_eq!((completeness.streams, completeness.streams_whole), (1, 0), "{more}");
        let trouble = &completeness.streams_troubled[0].reasons[0];
        assert!(trouble.contains("outside any window of the client"), "{trouble}");
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, ..ProptestConfig::default() })]

    /// The splits lie around the string; order and duplicates are random.
    #[test]
    fn finds_a_string_in_three_segments_in_any_order_with_duplicates(
        splits in (0usize..40, 0usize..40),
        order in Just([0usize, 1, 2]).prop_shuffle(),
        again in prop::collection::vec((any::<Index>(), any::<Index>()), 0..4),
    ) {
        let bench = Bench::new();
        let request = request();
        let start = request.windows(STRING.len()).position(|window| window == STRING.as_bytes()).expect("it is there");
        let mut cuts = [start - 10 + splits.0, start - 10 + splits.1];
        cuts.sort_unstable();
        let all = [(0, cuts[0]), (cuts[0], cuts[1]), (cuts[1], request.len())];
        let mut pieces: Vec<Piece> = order.iter().map(|index| all[*index]).filter(|piece| piece.0 < piece.1).collect();
        for (which, position) in again {
            let piece = pieces[which.index(pieces.len())];
            pieces.insert(position.index(pieces.len() + 1), piece);
        }
        check(&bench.analyze(&request, &pieces), &request, &pieces);
    }
}
