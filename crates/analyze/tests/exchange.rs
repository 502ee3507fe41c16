//! An exchange that is read from its frames has the levels of the ordinary analysis, and exact places.

#[path = "../../dissect/tests/tls_support/peer.rs"]
#[expect(dead_code, reason = "the tests of dissect use the rest")]
mod peer;
mod support;
#[path = "../../dissect/tests/tls_support/mod.rs"]
mod tls_support;

use std::ops::ControlFlow;
use std::path::{Path, PathBuf};
use std::time::Instant;

use analyze::analysis::{self, Options};
use analyze::exchange::{self, Exchange, Part, Said, VisibleTls, Way};
use analyze::explain;
use analyze::follow::Frame;
use analyze::input::capture::whole;
use analyze::input::discover::Input;
use analyze::input::key_log::Keys;
use craft::conversation::{Connection, Frames, Settings, Side};
use craft::pcap;
use data_encoding::HEXLOWER;
use dissect::flow;
use dissect::link::LinkType;
use exposure_schema::{Direction, Level};
use peer::Setup;
use support::{Conversation, Made};
use tls_support::Wire;

const REQUEST: &str = r#"{"message":"Find who depends on libssl","n":7,"tag":"ünïcode in it","ok":true}"#;
const ANSWER: &str = r#"{"answer":"Find who depends on libssl: 14 packages","list":["a","b"]}"#;

/// Number of the first frame in its capture.
const FIRST: u64 = 101;

fn kept(made: Vec<Made>) -> Vec<Frame> {
    let mut file_offset = 5000;
    let mut frames = Vec::new();
    for (index, Made { original_len, bytes }) in (0..).zip(made) {
        let number = FIRST + index;
        let len = bytes.len() as u64;
        let captured_at = 1_000_000_000 + index * 250_000;
        let link_type = LinkType::ETHERNET;
        frames.push(Frame { number, captured_at, link_type, original_len, file_offset, bytes });
        file_offset += 16 + len;
    }
    frames
}

fn said() -> [Said<'static>; 2] {
    [
        Said { direction: Direction::ClientToServer, body: REQUEST.as_bytes() },
        Said { direction: Direction::ServerToClient, body: ANSWER.as_bytes() },
    ]
}

fn request(body: &[u8]) -> Vec<u8> {
    let head = format!(
        "POST /api/conversation HTTP/1.1\r\nHost: a\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\r\n",
        body.len()
    );
    [head.as_bytes(), body].concat()
}

fn answer(body: &[u8]) -> Vec<u8> {
    let head = format!(
        "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\r\n",
        body.len()
    );
    [head.as_bytes(), body].concat()
}

fn plain() -> Vec<Frame> {
    let conversation = Conversation::open()
        .sends(Side::Client, &request(REQUEST.as_bytes()))
        .sends(Side::Server, &answer(ANSWER.as_bytes()));
    kept(conversation.made())
}

/// The frames of a TLS connection, and its key log.
fn encrypted() -> (Vec<Frame>, String) {
    encrypted_in_records(&[&answer(ANSWER.as_bytes())])
}

/// The same, with the pieces of an answer in a record each.
fn encrypted_in_records(answer: &[&[u8]]) -> (Vec<Frame>, String) {
    let configs = Setup::usual().configs();
    let mut connection = configs.connect();
    connection.settle();
    connection.client_sends(&request(REQUEST.as_bytes()));
    for piece in answer {
        connection.server_sends(piece);
    }
    let Wire { sent, keys } = connection.close();
    let settings = Settings::new(
        "10.0.0.1:40000".parse().expect("an address"),
        "10.0.0.2:8443".parse().expect("an address"),
    );
    let mut connection = Connection::new(settings).expect("one IP version");
    let mut frames = Frames::default();
    connection.open(0, &mut frames).expect("a fresh connection");
    for (direction, bytes) in &sent {
        let side = match direction {
            flow::Direction::ClientToServer => Side::Client,
            flow::Direction::ServerToClient => Side::Server,
        };
        connection.send(side, bytes, 0, &mut frames).expect("an open connection");
    }
    (kept(frames.iter().map(|frame| support::whole(frame.bytes.to_vec())).collect()), keys)
}

/// Writes a capture of these frames to a folder.
fn write_capture(directory: &Path, frames: &[Frame]) -> PathBuf {
    let path = directory.join("a.pcap");
    let mut writer = pcap::Writer::new(Vec::new(), craft::link_type::ETHERNET, pcap::FULL_SNAPLEN)
        .expect("a vector can be written");
    for frame in frames {
        writer.write(frame.captured_at, frame.original_len, &frame.bytes).expect("a vector can be written");
    }
    std::fs::write(&path, writer.into_inner()).expect("the capture");
    path
}

/// The levels of all strings by their paths, as the ordinary analysis of a capture of these frames has them.
fn analyzed(frames: &[Frame], said: &[Said<'_>], keys: Option<&str>) -> Vec<(String, String, Level)> {
    let directory = tempfile::tempdir().expect("a temporary directory");
    let path = write_capture(directory.path(), frames);
    let journal = directory.path().join("a.jsonl");
    let lines = said.iter().map(|said| {
        let event = if said.direction == Direction::ClientToServer { "sent" } else { "received" };
        let body = std::str::from_utf8(said.body).expect("text");
        let sha256 = aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA256, said.body);
        let line = serde_json::json!({
            "schema": "plainsight.journal/1", "run": "0", "agent": "agent-a", "event": event,
            "message_id": null, "at_unix_ns": 1, "local": null, "remote": null,
            "content_type": "application/json", "body_sha256": HEXLOWER.encode(sha256.as_ref()), "body": body,
        });
        format!("{line}\n")
    });
    std::fs::write(&journal, lines.collect::<String>()).expect("the journal");
    let mut input = Input::file(&path);
    input.journals = vec![journal];
    if let Some(keys) = keys {
        let path = directory.path().join("a.keys");
        std::fs::write(&path, keys).expect("the key log");
        input.key_log = Some(path);
    }
    let capture = analysis::analyze(&input, Options::default(), &mut |_| ControlFlow::Continue(()));
    let strings = capture.expect("a capture").strings.into_iter();
    strings.map(|string| (string.value, string.path, string.level)).collect()
}

fn levels(exchange: &Exchange) -> Vec<(String, String, Level)> {
    let of = |string: &exchange::FoundString| {
        (string.text.clone(), string.path.clone().unwrap_or_default(), string.level)
    };
    exchange.strings.iter().map(of).collect()
}

/// The bytes at the places of a string, one after the other.
fn bytes_of(exchange: &Exchange, frames: &[Frame], id: usize) -> Vec<u8> {
    let places = exchange.strings[id].places.iter();
    let bytes = places.flat_map(|place| {
        let frame = frames.iter().find(|frame| frame.number == place.frame).expect("a kept frame");
        frame.bytes[place.start..place.end].to_vec()
    });
    bytes.collect()
}

#[test]
fn finds_the_strings_of_a_plain_exchange_in_its_frames() {
    let frames = plain();
    let exchange = exchange::read(&frames, &said(), None);
    assert_eq!(levels(&exchange), analyzed(&frames, &said(), None));
    assert_eq!((exchange.readable, exchange.with_keys, exchange.total), (6, 6, 6));
    // The same prepared search, first when only the request was captured.
    let strings = exchange::Strings::of(&said());
    assert_eq!(strings.read(&frames[..4], None).readable, 3);
    assert_eq!(levels(&strings.read(&frames, None)), levels(&exchange));
    let message = &exchange.strings[0];
    assert_eq!((message.part, message.path.as_deref()), (Part::Request, Some("$.message")));
    assert_eq!((message.level, message.encoding.as_deref()), (Level::Verbatim, Some("as it is")));
    // In the request, and again in the answer.
    assert_eq!(bytes_of(&exchange, &frames, 0), [message.text.as_bytes(); 2].concat());
    assert_eq!(bytes_of(&exchange, &frames, 1), b"7", "searched with its surroundings, marked by itself");
    assert_eq!(bytes_of(&exchange, &frames, 2), "ünïcode in it".as_bytes());
    let carrier = &exchange.packets[(message.places[0].frame - FIRST) as usize];
    assert_eq!((&carrier.what[..], carrier.marks), (&["POST /api/conversation".to_owned()][..], 3));
    assert_eq!((carrier.direction, carrier.ms), (Some(Way::Out), 0.75));
    assert_eq!(exchange.packets[0].what, ["SYN"]);
    assert_eq!(
        (&exchange.packets[1].what[..], exchange.packets[1].direction),
        (&["SYN, ACK".to_owned()][..], Some(Way::In))
    );
    assert_eq!(exchange.bytes, frames.iter().map(|frame| frame.bytes.len() as u64).sum::<u64>());
    assert!(exchange.tls.is_none());
}

#[test]
fn a_string_that_crosses_segments_has_one_place_in_each() {
    let long = format!(r#"{{"message":"{}"}}"#, (0..800).map(|n| format!("{n:05}")).collect::<String>());
    let frames = kept(Conversation::open().sends(Side::Client, &request(long.as_bytes())).made());
    let said = [Said { direction: Direction::ClientToServer, body: long.as_bytes() }];
    let exchange = exchange::read(&frames, &said, None);
    assert_eq!(levels(&exchange)[0].2, Level::Reassembled);
    assert_eq!(exchange.strings[0].places.len(), 3);
    assert_eq!(bytes_of(&exchange, &frames, 0), exchange.strings[0].text.as_bytes());
    assert!(exchange.packets.iter().filter(|packet| packet.payload > 0).all(|packet| packet.marks == 1));
}

#[test]
fn a_compressed_answer_is_marked_as_a_whole() {
    let body = ANSWER;
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::best());
    std::io::Write::write_all(&mut encoder, body.as_bytes()).expect("a vector can be written");
    let coded = encoder.finish().expect("a vector can be written");
    let head = format!(
        "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Encoding: gzip\r\nContent-Length: {}\r\n\r\n",
        coded.len()
    );
    let frames = kept(
        Conversation::open()
            .sends(Side::Client, &request(b"{}"))
            .sends(Side::Server, &[head.as_bytes(), &coded].concat())
            .made(),
    );
    let exchange = exchange::read(&frames, &said()[1..], None);
    assert_eq!(levels(&exchange), analyzed(&frames, &said()[1..], None));
    let string = &exchange.strings[0];
    assert_eq!((string.level, string.encoding.as_deref()), (Level::Decoded, Some("gzip")));
    assert_eq!(bytes_of(&exchange, &frames, 0), coded);
}

#[test]
fn an_encrypted_exchange_is_readable_with_the_key_log_only() {
    let (frames, keys) = encrypted();
    let without = exchange::read(&frames, &said(), None);
    assert_eq!((without.readable, without.with_keys, without.total), (0, 0, 6));
    assert!(without.strings.iter().all(|string| string.places.is_empty() && string.encoding.is_none()));

    let exchange = exchange::read(&frames, &said(), Some(keys.as_bytes()));
    assert_eq!(levels(&exchange), analyzed(&frames, &said(), Some(&keys)));
    assert_eq!((exchange.readable, exchange.with_keys), (0, 6));
    let record = bytes_of(&exchange, &frames, 1);
    assert_eq!(record[..3], [23, 3, 3], "the whole record");
    assert_eq!(record.len(), 5 + usize::from(record[3]) * 256 + usize::from(record[4]));
    assert!(exchange.packets.iter().all(|packet| packet.marks == 0));
    assert_eq!(exchange.packets.iter().map(|packet| packet.marks_with_keys).max(), Some(4));
    let shown = VisibleTls {
        server_name: Some("agent-b".to_owned()),
        version: Some("TLS 1.3".to_owned()),
        cipher_suite: Some("TLS_AES_128_GCM_SHA256".to_owned()),
        group: Some("x25519".to_owned()),
        alpn: Some("h2, http/1.1".to_owned()),
    };
    assert_eq!((&without.tls, &exchange.tls), (&Some(shown.clone()), &Some(shown)));
    assert!(exchange.packets.iter().any(|packet| packet.what == ["ClientHello"]));
}

#[test]
fn a_message_too_short_to_be_searched_is_found_with_its_message() {
    let said = [Said { direction: Direction::ClientToServer, body: br#"["ab"]"# }];
    let frames = kept(Conversation::open().sends(Side::Client, &request(said[0].body)).made());
    let exchange = exchange::read(&frames, &said, None);
    assert_eq!(levels(&exchange), analyzed(&frames, &said, None));
    assert_eq!((exchange.strings[0].level, exchange.readable), (Level::Verbatim, 1));
    assert!(!exchange.strings[0].places.is_empty());
}

#[test]
fn the_document_has_the_names_of_the_page() {
    let document = serde_json::to_value(exchange::read(&plain(), &said(), None)).expect("a document");
    let string = &document["strings"][0];
    assert_eq!((&string["in"], &string["level"]), (&"request".into(), &"verbatim".into()));
    assert_eq!(string["places"][0]["level"], "verbatim");
    assert_eq!(document["packets"][3]["direction"], "out");
    assert_eq!((&document["total"], &document["tls"]), (&6.into(), &serde_json::Value::Null));
}

#[test]
fn reads_arbitrary_and_many_frames() {
    let noise = |index: u64| {
        let bytes: Vec<u8> = (0..index % 97).map(|at| (at * index % 251) as u8).collect();
        Made { original_len: (index % 7) as u32, bytes }
    };
    let exchange = exchange::read(&kept((0..200).map(noise).collect()), &said(), Some(b"no key log"));
    assert_eq!((exchange.packets.len(), exchange.readable), (200, 0));
    assert_eq!(exchange::read(&[], &[], None).packets.len(), 0);
    // The same string in every segment: its places are bounded.
    let text = r#"{"a":"the same string again and again"}"#.repeat(50_000);
    let said =
        [Said { direction: Direction::ClientToServer, body: br#"{"a":"the same string again and again"}"# }];
    let frames = kept(Conversation::open().sends(Side::Client, text.as_bytes()).made());
    let started = Instant::now();
    let exchange = exchange::read(&frames, &said, None);
    println!("{} frames in {:?}", frames.len(), started.elapsed());
    assert!(exchange.strings[0].places.len() <= 32);
}

#[test]
fn a_kept_frame_is_explained_as_in_its_capture() {
    let (frames, keys) = encrypted();
    let directory = tempfile::tempdir().expect("a temporary directory");
    let path = write_capture(directory.path(), &frames);
    let key_log = directory.path().join("other.keys");
    std::fs::write(&key_log, &keys).expect("the key log");
    let mut opened = 0;
    for (number, frame) in (1..).zip(&frames) {
        for (text, file) in [(None, Keys::None), (Some(keys.as_bytes()), Keys::File(&key_log))] {
            let kept = explain::kept(&frames, frame.number, text).expect("a kept frame");
            let read = explain::frame(&path, number, file, &mut whole).expect("a frame of the capture");
            assert_eq!((&kept.fields, &kept.plaintexts), (&read.fields, &read.plaintexts), "{number}");
            assert_eq!((kept.frame, kept.file_offset, kept.stream), (frame.number, frame.file_offset, None));
            assert!(text.is_some() || kept.plaintexts.is_empty());
            opened += kept.plaintexts.len();
        }
    }
    assert!(opened > 5, "{opened}");
    assert!(explain::kept(&frames, FIRST - 1, None).is_err());
}

#[test]
fn keys_beside_the_capture_are_used_only_where_they_are_asked_for() {
    let (frames, keys) = encrypted();
    let directory = tempfile::tempdir().expect("a temporary directory");
    let path = write_capture(directory.path(), &frames);
    std::fs::write(directory.path().join("a.keys"), &keys).expect("the key log");
    let opened = |keys: Keys<'_>| -> usize {
        let numbers = 1..=frames.len() as u64;
        numbers
            .map(|number| explain::frame(&path, number, keys, &mut whole).expect("a frame").plaintexts.len())
            .sum()
    };
    assert_eq!(opened(Keys::None), 0);
    assert!(opened(Keys::Beside) > 5);
}

#[test]
fn a_record_that_continues_a_message_is_explained_as_a_part_of_it() {
    let head = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n";
    let pieces: [&[u8]; 4] =
        [head, b"9\r\n{\"text\":\"\r\n", b"9\r\ntwo words\r\n", b"2\r\n\"}\r\n0\r\n\r\n"];
    let (frames, keys) = encrypted_in_records(&pieces);
    let mut strings = Vec::new();
    for frame in &frames {
        let explained = explain::kept(&frames, frame.number, Some(keys.as_bytes())).expect("a kept frame");
        for plaintext in explained.plaintexts {
            let end = plaintext.fields.iter().fold(0, |end, field| {
                assert_eq!(field.range.start, end, "{field:?}");
                field.range.end
            });
            assert_eq!(end, plaintext.bytes.len());
            let fields = plaintext.fields.iter().filter(|field| field.path.as_deref() == Some("$.text"));
            strings.extend(
                fields
                    .filter(|field| field.kind.id() == "json.value.string")
                    .map(|field| String::from_utf8_lossy(&plaintext.bytes[field.range.clone()]).into_owned()),
            );
        }
    }
    assert_eq!(strings, ["\"", "two words", "\""]);
}

/// Prints how long it takes; asserts nothing about it, because that depends on the machine.
#[test]
fn prints_the_time_of_twenty_frames() {
    for (name, (frames, keys)) in
        [("plain", (plain(), None)), ("encrypted", (encrypted().0, Some(encrypted().1)))]
    {
        for _ in 0..3 {
            let started = Instant::now();
            let exchange = exchange::read(&frames, &said(), keys.as_ref().map(String::as_bytes));
            println!("{name}: {} frames, {} strings: {:?}", frames.len(), exchange.total, started.elapsed());
        }
    }
}
