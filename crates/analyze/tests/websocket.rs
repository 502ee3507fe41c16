//! WebSocket (RFC 6455) over a captured connection: masked and fragmented messages are read, hashed and searched.

mod support;

use craft::conversation::Side;
use exposure_schema::{Capture, Level, StringEntry};
use support::{Bench, Conversation, Line};

const REQUEST: &str = r#"{"id":"call-0001","type":"tool_call","text":"a string that was asked"}"#;
const ANSWER: &str = r#"{"id":"call-0001","type":"tool_result","text":"a string in the answer"}"#;

const UPGRADE: &str = "GET /socket HTTP/1.1\r\nHost: b\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n";
const SWITCHING: &str =
    "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n";

const TEXT: u8 = 0x1;
const BINARY: u8 = 0x2;
const CONTINUATION: u8 = 0x0;
const PING: u8 = 0x9;
const LAST: u8 = 0x80;

/// A frame with a short payload, masked as a client must mask it.
fn masked(opcode: u8, payload: &str) -> Vec<u8> {
    let key = [0x37, 0xfa, 0x21, 0x3d];
    let body = payload.bytes().zip(key.iter().cycle()).map(|(byte, key)| byte ^ key);
    [opcode, 0x80 | payload.len() as u8].into_iter().chain(key).chain(body).collect()
}

fn unmasked(opcode: u8, payload: &str) -> Vec<u8> {
    [&[opcode, payload.len() as u8], payload.as_bytes()].concat()
}

fn upgraded() -> Conversation {
    Conversation::open().sends(Side::Client, UPGRADE.as_bytes()).sends(Side::Server, SWITCHING.as_bytes())
}

fn analyze(conversation: &Conversation) -> Capture {
    let sent = Line { agent: "agent-a", event: "sent", at: 1, body: REQUEST };
    let received = Line { agent: "agent-a", event: "received", at: 2, body: ANSWER };
    Bench::new(&[sent, received]).analyze(&conversation.made())
}

fn string<'c>(capture: &'c Capture, value: &str) -> &'c StringEntry {
    capture.strings.iter().find(|string| string.value == value).expect("a known string")
}

fn levels(capture: &Capture) -> [(Level, Vec<&str>); 2] {
    ["a string that was asked", "a string in the answer"].map(|value| {
        let string = string(capture, value);
        let layers = string.locations.first().map(|first| first.layers.iter().map(AsRef::as_ref).collect());
        (string.level, layers.unwrap_or_default())
    })
}

#[test]
fn masked_requests_are_decoded_and_unmasked_answers_are_verbatim() {
    let conversation = upgraded()
        .sends(Side::Client, &masked(LAST | TEXT, REQUEST))
        .sends(Side::Server, &unmasked(LAST | TEXT, ANSWER));
    let capture = analyze(&conversation);
    assert_eq!(levels(&capture), [(Level::Decoded, vec!["websocket", "mask"]), (Level::Verbatim, vec![])]);
    let read: Vec<_> = capture.http.iter().map(|message| (message.body_bytes, message.complete)).collect();
    assert_eq!(read[2..], [(REQUEST.len() as u64, true), (ANSWER.len() as u64, true)]);
    assert_eq!(capture.http[2].first_frame, Some(6), "the frame behind the opening handshake");
    assert_eq!(capture.completeness.messages_accounted, 2, "bodies are hashed");
    assert_eq!(capture.completeness.unexplained_bytes, 0);
}

/// A masked request in fragments around a ping, and an answer in fragments.
fn fragmented() -> Conversation {
    let (head, tail) = ANSWER.split_at(ANSWER.find("in the").expect("a part of the answer"));
    upgraded()
        .sends(Side::Client, &masked(TEXT, &REQUEST[..20]))
        .sends(Side::Client, &masked(LAST | PING, "still there?"))
        .sends(Side::Client, &masked(LAST | CONTINUATION, &REQUEST[20..]))
        .sends(Side::Server, &[unmasked(BINARY, head), unmasked(LAST | CONTINUATION, tail)].concat())
}

/// `RENEW_CORPUS=1` writes the file again.
#[test]
fn reads_the_corpus_file_that_this_test_makes() {
    let path = std::path::Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("../../corpus/websocket/masked-and-fragmented.pcap");
    let sent = Line { agent: "agent-a", event: "sent", at: 1, body: REQUEST };
    let bench = Bench::new(&[sent]);
    bench.analyze(&fragmented().made());
    let made = std::fs::read(bench.path()).expect("the capture");
    if std::env::var_os("RENEW_CORPUS").is_some() {
        std::fs::write(&path, &made).expect("the corpus");
    }
    let committed = std::fs::read(&path).expect("the corpus");
    assert!(committed == made, "RENEW_CORPUS=1 cargo test -p analyze --test websocket");
    let capture = bench.analyze_file(&committed);
    assert_eq!(capture.completeness.messages_accounted, 1);
}

#[test]
fn finds_strings_across_fragments_and_control_frames() {
    let conversation = fragmented();
    let capture = analyze(&conversation);
    let fragments = (Level::Decoded, vec!["websocket", "fragments"]);
    assert_eq!(levels(&capture), [(Level::Decoded, vec!["websocket", "mask"]), fragments]);
    assert_eq!(capture.completeness.messages_accounted, 2);
    assert_eq!(capture.completeness.unexplained_bytes, 0);
}

#[test]
fn searches_masked_control_frames() {
    let conversation = upgraded().sends(Side::Client, &masked(LAST | PING, "a string that was asked"));
    let capture = analyze(&conversation);
    assert_eq!(levels(&capture)[0], (Level::Decoded, vec!["websocket", "mask"]));
}

#[test]
fn every_division_into_segments_gives_the_same_result() {
    let client = [masked(TEXT, &REQUEST[..20]), masked(LAST | CONTINUATION, &REQUEST[20..])].concat();
    for at in 1..client.len() {
        let conversation = upgraded().sends(Side::Client, &client[..at]).sends(Side::Client, &client[at..]);
        let capture = analyze(&conversation);
        assert_eq!(levels(&capture)[0].0, Level::Decoded, "split at {at}");
        assert_eq!(capture.completeness.messages_accounted, 1, "split at {at}");
    }
}

#[test]
fn invalid_websocket_is_unexplained() {
    let conversation = upgraded().sends(Side::Client, &unmasked(LAST | TEXT, "no mask"));
    let unexplained = analyze(&conversation).completeness.unexplained;
    assert_eq!(
        unexplained[0].reason,
        "not read as WebSocket: a WebSocket frame with the mask of the other side"
    );
    assert_eq!(unexplained[0].bytes, 9);
}

#[test]
fn a_frame_that_does_not_go_on_is_unexplained() {
    let ping = masked(LAST | PING, "a ping");
    const HEADER: usize = 6;
    // A whole header is read, and after it the payload, once it is whole.
    for (len, unread) in
        (1..HEADER).map(|len| (len, len)).chain((HEADER + 1..ping.len()).map(|len| (len, len - HEADER)))
    {
        let conversation = upgraded().sends(Side::Client, &ping[..len]);
        let unexplained = analyze(&conversation).completeness.unexplained;
        assert_eq!(unexplained.len(), 1, "{len} bytes");
        assert_eq!(unexplained[0].reason, "the beginning of a message that does not go on");
        assert_eq!(unexplained[0].bytes, unread as u64, "{len} bytes");
    }
}

const DEFLATED: &str = "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
    Sec-WebSocket-Extensions: permessage-deflate; client_max_window_bits=15\r\n\r\n";

/// Marks the first frame of a compressed message (RFC 7692 §6).
const COMPRESSED: u8 = 0x40;

/// Compresses messages of one direction, with context from one to the next.
fn deflate(messages: &[&str]) -> Vec<Vec<u8>> {
    let mut state = flate2::Compress::new(flate2::Compression::best(), false);
    let one = |message: &&str| {
        let mut payload = Vec::with_capacity(2 * message.len() + 100);
        let flush = flate2::FlushCompress::Sync;
        state.compress_vec(message.as_bytes(), &mut payload, flush).expect("room");
        payload.truncate(payload.len() - 4);
        payload
    };
    messages.iter().map(one).collect()
}

fn frame_of(direction: Side, opcode: u8, payload: &[u8]) -> Vec<u8> {
    let key = [0x37, 0xfa, 0x21, 0x3d];
    match direction {
        Side::Server => [&[opcode, payload.len() as u8], payload].concat(),
        Side::Client => {
            let body = payload.iter().zip(key.iter().cycle()).map(|(byte, key)| byte ^ key);
            [opcode, 0x80 | payload.len() as u8].into_iter().chain(key).chain(body).collect()
        }
    }
}

#[test]
fn compressed_messages_are_read_with_their_context() {
    let client = deflate(&[REQUEST, REQUEST]);
    let server = deflate(&[ANSWER, ANSWER]);
    assert!(client[1].len() < client[0].len() / 2, "the second refers to the first");
    let opcode = LAST | COMPRESSED | TEXT;
    let (head, tail) = server[1].split_at(3);
    let conversation = Conversation::open()
        .sends(Side::Client, UPGRADE.as_bytes())
        .sends(Side::Server, DEFLATED.as_bytes())
        .sends(Side::Client, &frame_of(Side::Client, opcode, &client[0]))
        .sends(Side::Server, &frame_of(Side::Server, opcode, &server[0]))
        .sends(Side::Client, &frame_of(Side::Client, opcode, &client[1]))
        .sends(Side::Server, &frame_of(Side::Server, COMPRESSED | TEXT, head))
        .sends(Side::Server, &frame_of(Side::Server, LAST | CONTINUATION, tail));
    let capture = analyze(&conversation);
    assert_eq!(
        levels(&capture),
        [
            (Level::Decoded, vec!["websocket", "mask", "permessage-deflate"]),
            (Level::Decoded, vec!["websocket", "permessage-deflate"])
        ]
    );
    let read: Vec<_> = capture.http.iter().map(|message| (message.body_bytes, message.complete)).collect();
    let (request, answer) = ((REQUEST.len() as u64, true), (ANSWER.len() as u64, true));
    assert_eq!(read[2..], [request, answer, request, answer]);
    // How a message is compressed is the choice of its sender.
    let payloads: usize = client.iter().chain(&server).map(Vec::len).sum();
    assert_eq!(
        capture.completeness.unexplained_bytes,
        payloads as u64 + 2,
        "and the header of a continuation"
    );
}

#[test]
fn a_compressed_message_without_its_context_is_unexplained() {
    let server = deflate(&[ANSWER, ANSWER]);
    let opcode = LAST | COMPRESSED | TEXT;
    let conversation = Conversation::open()
        .sends(Side::Client, UPGRADE.as_bytes())
        .sends(Side::Server, DEFLATED.as_bytes())
        .sends(Side::Server, &frame_of(Side::Server, opcode, &server[1]));
    let capture = analyze(&conversation);
    let reasons = &capture.completeness.unexplained;
    assert!(reasons.iter().any(|entry| entry.reason.contains("does not decode")), "{reasons:?}");
    assert_eq!(capture.completeness.messages_accounted, 0);
}

#[test]
fn compression_that_was_not_accepted_is_not_read() {
    let server = deflate(&[ANSWER]);
    let frame = frame_of(Side::Server, LAST | COMPRESSED | TEXT, &server[0]);
    let capture = analyze(&upgraded().sends(Side::Server, &frame));
    assert_eq!(capture.completeness.unexplained_bytes, frame.len() as u64);
}

/// A frame of HTTP/2 on stream 1.
fn http2_frame(frame_type: u8, flags: u8, payload: &[u8]) -> Vec<u8> {
    [&[0, 0, payload.len() as u8, frame_type, flags, 0, 0, 0, 1], payload].concat()
}

/// RFC 8441 §5.1: a request that asks for WebSocket, its answer, and the frames of both.
#[test]
fn a_websocket_over_http2_is_read() {
    let settings = [0, 0, 0, 4, 0, 0, 0, 0, 0];
    let ask = b"\x02\x07CONNECT\x00\x09:protocol\x09websocket\x87\x44\x02/s\x41\x01b";
    let accept = b"\x88\x00\x18sec-websocket-extensions\x12permessage-deflate";
    let server = deflate(&[ANSWER]);
    let from_client = masked(LAST | TEXT, REQUEST);
    let from_server = frame_of(Side::Server, LAST | COMPRESSED | TEXT, &server[0]);
    let client =
        [b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n".to_vec(), settings.to_vec(), http2_frame(1, 4, ask)].concat();
    for at in 1..from_client.len() {
        let (head, tail) = from_client.split_at(at);
        let conversation = Conversation::open()
            .sends(Side::Client, &client)
            .sends(Side::Server, &[settings.to_vec(), http2_frame(1, 4, accept)].concat())
            .sends(Side::Client, &http2_frame(0, 0, head))
            .sends(Side::Client, &http2_frame(0, 0, tail))
            .sends(Side::Server, &http2_frame(0, 0, &from_server))
            .sends(Side::Server, &http2_frame(0, 1, b""))
            .sends(Side::Client, &http2_frame(0, 1, b""));
        let capture = analyze(&conversation);
        assert_eq!(
            levels(&capture),
            [
                (Level::Decoded, vec!["http2", "websocket", "mask"]),
                (Level::Decoded, vec!["http2", "websocket", "permessage-deflate"])
            ],
            "split at {at}"
        );
        let found = |bytes: &str| {
            // The tunnel's own request and answer have a method or a status.
            let messages = capture.http.iter().filter(|message| {
                message.method.is_none()
                    && message.status.is_none()
                    && message.body_bytes == bytes.len() as u64
            });
            messages.map(|message| (message.http2_stream, message.first_frame)).collect::<Vec<_>>()
        };
        assert_eq!(found(REQUEST), [(Some(1), Some(6))]);
        assert_eq!(found(ANSWER), [(Some(1), Some(8))]);
        assert_eq!(capture.completeness.messages_accounted, 2);
    }
}
