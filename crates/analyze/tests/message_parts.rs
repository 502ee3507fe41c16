//! Bodies that consist of parts: server-sent events, lines of JSON and gRPC messages are listed one by one, with their strings
//! and frames, over HTTP/1 and HTTP/2.

mod support;

use std::io::Write;
use std::ops::ControlFlow;

use analyze::analysis::{self, Options};
use analyze::input::discover::Input;
use craft::conversation::Side;
use craft::pcap;
use exposure_schema::{Capture, Level, PartKind};
use flate2::Compression;
use support::{Bench, Conversation, Line, Made};

/// An answer of an MCP server over streamable HTTP.
const EVENTS: &str = concat!(
    ": connected\r\n\r\n",
    "event: message\r\n",
    r#"data: {"jsonrpc":"2.0","id":1,"result":{"content":[{"type":"text","text":"the first text"}]}}"#,
    "\r\n\r\n",
    "event: message\r\n",
    r#"data: {"jsonrpc":"2.0","method":"notifications/message","params":{"data":"the second text"}}"#,
    "\r\n\r\n",
    "data: [DONE]\r\n\r\n",
);

const LINES: &str =
    "{\"response\":\"the first text\"}\n{\"response\":\"the second text\",\"done\":\"yes\"}\n";

const REQUEST: &str = "GET /mcp HTTP/1.1\r\nHost: b\r\n\r\n";

fn frame(frame_type: u8, flags: u8, stream: u8, payload: &[u8]) -> Vec<u8> {
    let [a, b] = (payload.len() as u16).to_be_bytes();
    [&[0, a, b, frame_type, flags, 0, 0, 0, stream][..], payload].concat()
}

const DATA: u8 = 0;
const HEADERS: u8 = 1;
const SETTINGS: [u8; 9] = [0, 0, 0, 4, 0, 0, 0, 0, 0];
const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

/// A header block: status 200 and these fields, each a literal without indexing (RFC 7541 §6.2.2).
fn answer_block(fields: &[(&str, &str)]) -> Vec<u8> {
    let mut block = vec![0x88];
    for (name, value) in fields {
        block.extend([0, name.len() as u8]);
        block.extend(name.bytes());
        block.push(value.len() as u8);
        block.extend(value.bytes());
    }
    block
}

/// Analyzes a capture without journals.
fn read(made: &[Made]) -> Capture {
    let mut writer = pcap::Writer::new(Vec::new(), craft::link_type::ETHERNET, pcap::FULL_SNAPLEN)
        .expect("a vector can be written");
    for (at, made) in (1..).zip(made) {
        writer.write(at * 1000, made.original_len, &made.bytes).expect("a vector can be written");
    }
    let directory = tempfile::tempdir().expect("a directory");
    let path = directory.path().join("a.pcap");
    std::fs::write(&path, writer.into_inner()).expect("the capture");
    let input = Input::file(&path);
    analysis::analyze(&input, Options::default(), &mut |_| ControlFlow::Continue(())).expect("a capture")
}

/// The strings that can be read: path, value, frames.
fn readable(capture: &Capture) -> Vec<(&str, &str, &[u64])> {
    let entries = capture.readable.iter();
    let entry = entries.map(|entry| {
        (entry.path.as_str(), entry.value.as_deref().unwrap_or_default(), entry.location.frames.as_slice())
    });
    entry.collect()
}

fn answer(content_type: &str, more: &str, body: &[u8]) -> Vec<u8> {
    let head = format!("HTTP/1.1 200 OK\r\nContent-Type: {content_type}\r\n{more}\r\n");
    [head.as_bytes(), body].concat()
}

fn chunked(body: &[u8], size: usize) -> Vec<u8> {
    let mut text = Vec::new();
    for chunk in body.chunks(size) {
        text.extend(format!("{:x}\r\n", chunk.len()).bytes());
        text.extend_from_slice(chunk);
        text.extend(b"\r\n");
    }
    text.extend(b"0\r\n\r\n");
    text
}

fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut writer = flate2::write::GzEncoder::new(Vec::new(), Compression::default());
    writer.write_all(bytes).expect("a vector can be written");
    writer.finish().expect("a vector can be written")
}

fn check_events(capture: &Capture) {
    let strings: Vec<_> = readable(capture).iter().map(|(path, value, _)| (*path, *value)).collect();
    assert_eq!(
        strings,
        [
            ("$.jsonrpc", "2.0"),
            ("$.result.content[0].type", "text"),
            ("$.result.content[0].text", "the first text"),
            ("$.jsonrpc", "2.0"),
            ("$.method", "notifications/message"),
            ("$.params.data", "the second text"),
        ]
    );
    assert_eq!(capture.parts_total, 3);
    let names: Vec<_> = capture.parts.iter().map(|part| (part.kind, part.name.as_deref())).collect();
    let event = |name| (PartKind::Event, name);
    assert_eq!(names, [event(Some("message")), event(Some("message")), event(None)]);
    assert!(capture.parts.iter().all(|part| part.complete));
}

#[test]
fn events_over_http1_have_their_own_frames() {
    let whole = answer("text/event-stream", "Transfer-Encoding: chunked\r\n", b"");
    let events: Vec<&str> = EVENTS.split_inclusive("\r\n\r\n").collect();
    let mut conversation =
        Conversation::open().sends(Side::Client, REQUEST.as_bytes()).sends(Side::Server, &whole);
    for event in &events {
        let chunk = format!("{:x}\r\n{event}\r\n", event.len());
        conversation = conversation.sends(Side::Server, chunk.as_bytes());
    }
    let capture = read(&conversation.sends(Side::Server, b"0\r\n\r\n").made());
    check_events(&capture);
    // Three frames of the handshake, the request, the head, the comment.
    let of = |text: &str| {
        readable(&capture).iter().find(|(_, value, _)| *value == text).map(|entry| entry.2.to_vec())
    };
    assert_eq!((of("the first text"), of("the second text")), (Some(vec![7]), Some(vec![8])));
    let levels: Vec<_> = capture.parts.iter().map(|part| (part.first_frame, part.level)).collect();
    let verbatim = |frame| (Some(frame), Level::Verbatim);
    assert_eq!(
        levels,
        [verbatim(7), verbatim(8), verbatim(9)],
        "an event within one chunk is there as it is"
    );
    let layers: Vec<_> = capture.parts[0].layers.iter().map(ToString::to_string).collect();
    assert_eq!(layers, ["http1", "chunked", "event-stream"]);
}

#[test]
fn events_of_a_stream_that_goes_on_are_read() {
    let text = answer("text/event-stream; charset=utf-8", "", EVENTS.as_bytes());
    let conversation =
        Conversation::open().sends(Side::Client, REQUEST.as_bytes()).sends(Side::Server, &text);
    check_events(&read(&conversation.made()));
}

#[test]
fn every_division_of_events_gives_the_same_strings() {
    let plain =
        answer("text/event-stream", &format!("Content-Length: {}\r\n", EVENTS.len()), EVENTS.as_bytes());
    let in_chunks =
        answer("text/event-stream", "Transfer-Encoding: chunked\r\n", &chunked(EVENTS.as_bytes(), 11));
    let coded = gzip(EVENTS.as_bytes());
    let more = format!("Content-Encoding: gzip\r\nContent-Length: {}\r\n", coded.len());
    let coded = answer("text/event-stream", &more, &coded);
    for text in [plain, in_chunks, coded] {
        for at in (1..text.len()).step_by(13) {
            let conversation = Conversation::open()
                .sends(Side::Client, REQUEST.as_bytes())
                .sends(Side::Server, &text[..at])
                .sends(Side::Server, &text[at..]);
            check_events(&read(&conversation.made()));
        }
    }
}

#[test]
fn lines_of_json_are_read_one_by_one() {
    let text = answer("application/x-ndjson", "", LINES.as_bytes());
    let conversation =
        Conversation::open().sends(Side::Client, REQUEST.as_bytes()).sends(Side::Server, &text);
    let capture = read(&conversation.made());
    let strings: Vec<_> = readable(&capture).iter().map(|(path, value, _)| (*path, *value)).collect();
    assert_eq!(
        strings,
        [("$.response", "the first text"), ("$.response", "the second text"), ("$.done", "yes")]
    );
    assert_eq!(capture.parts.iter().map(|part| part.kind).collect::<Vec<_>>(), [PartKind::Line; 2]);
}

/// Messages of gRPC on stream 1, of which frames divide the prefix of the second one.
fn grpc_answer(messages: &[(bool, &[u8])]) -> Vec<u8> {
    let mut body = Vec::new();
    for (is_compressed, message) in messages {
        body.push(u8::from(*is_compressed));
        body.extend((message.len() as u32).to_be_bytes());
        body.extend_from_slice(message);
    }
    let cut = (5 + messages[0].1.len() + 2).min(body.len() - 1);
    let head = answer_block(&[("content-type", "application/grpc+json"), ("grpc-encoding", "gzip")]);
    let trailers = b"\x00\x0bgrpc-status\x010";
    [
        SETTINGS.to_vec(),
        frame(HEADERS, 4, 1, &head),
        frame(DATA, 0, 1, &body[..cut]),
        frame(DATA, 0, 1, &body[cut..]),
        frame(HEADERS, 5, 1, trailers),
    ]
    .concat()
}

fn grpc_request() -> Vec<u8> {
    // POST http://…/x (RFC 7541 §6.1).
    [PREFACE, &SETTINGS, &frame(HEADERS, 5, 1, b"\x83\x86\x44\x02/x\x41\x01b")].concat()
}

#[test]
fn grpc_messages_are_read_and_decompressed() {
    let second = gzip(br#"{"text":"the second text"}"#);
    let text = grpc_answer(&[(false, br#"{"text":"the first text"}"#), (true, &second)]);
    for at in (1..text.len()).step_by(9) {
        let conversation = Conversation::open()
            .sends(Side::Client, &grpc_request())
            .sends(Side::Server, &text[..at])
            .sends(Side::Server, &text[at..]);
        let capture = read(&conversation.made());
        let strings: Vec<_> = readable(&capture).iter().map(|(path, value, _)| (*path, *value)).collect();
        assert_eq!(strings, [("$.text", "the first text"), ("$.text", "the second text")], "split at {at}");
        let parts: Vec<_> = capture
            .parts
            .iter()
            .map(|part| (part.kind, part.http2_stream, part.bytes, part.complete, part.level))
            .collect();
        assert_eq!(parts[1], (PartKind::Grpc, Some(1), 26, true, Level::Decoded));
        let streams: Vec<_> = capture.http.iter().map(|message| message.http2_stream).collect();
        assert_eq!(streams, [Some(1), Some(1)], "a request and its answer have the same stream");
    }
}

#[test]
fn strings_in_compressed_grpc_messages_are_found() {
    let sent = Line { agent: "agent-b", event: "sent", at: 1, body: r#"{"text":"a string in the answer"}"# };
    let message = gzip(b"\x0a\x16a string in the answer");
    let text = grpc_answer(&[(true, &message)]);
    let conversation = Conversation::open().sends(Side::Client, &grpc_request()).sends(Side::Server, &text);
    let capture = Bench::new(&[sent]).analyze(&conversation.made());
    let string = capture.strings.iter().find(|string| string.value == "a string in the answer");
    let string = string.expect("a known string");
    let layers: Vec<_> = string.locations[0].layers.iter().map(ToString::to_string).collect();
    assert_eq!((string.level, layers.join(" ")), (Level::Decoded, "http2 frames grpc gzip".to_owned()));
}

#[test]
fn a_compressed_grpc_message_that_does_not_decode_is_unexplained() {
    let mut message = gzip(br#"{"text":"the first text"}"#);
    message.truncate(20);
    let conversation = Conversation::open()
        .sends(Side::Client, &grpc_request())
        .sends(Side::Server, &grpc_answer(&[(true, &message)]));
    let capture = read(&conversation.made());
    assert!(!capture.parts[0].complete);
    let unexplained = &capture.completeness.unexplained;
    let entry = unexplained.iter().find(|entry| entry.reason.contains("does not decode"));
    assert_eq!(entry.expect("the message").bytes, 20);
}
