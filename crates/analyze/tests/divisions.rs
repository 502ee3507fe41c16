//! What is found does not depend on how it travelled: any segmentation, any order within the window, retransmissions, packets in
//! fragments and any division into TLS records give the same messages, sessions, strings and secrets.

#[path = "../../dissect/tests/tls_support/peer.rs"]
#[expect(dead_code, reason = "the tests of dissect use the rest")]
mod peer;
#[path = "../../dissect/tests/tls_support/mod.rs"]
mod tls_support;

use std::io::Write as _;
use std::ops::ControlFlow;
use std::path::Path;
use std::sync::Arc;

use analyze::analysis::{self, Options};
use analyze::input::discover::{Input, OwnTraffic};
use analyze::input::strings::GivenStrings;
use craft::conversation::{Connection, Frames, Settings, Side};
use craft::encapsulation::fragments;
use craft::frame::{Ip, Ipv4, flags};
use craft::pcap;
use dissect::flow::Direction;
use peer::Setup;
use proptest::prelude::*;
use serde_json::{Map, Value};
use tls_support::Wire;

/// What both sides send, in turns: a side begins when everything before has arrived.
#[derive(Clone, Default)]
struct Script {
    name: &'static str,
    turns: Vec<(Side, Vec<u8>)>,
    keys: String,
}

/// How a script travels.
#[derive(Clone, Copy, Debug)]
struct Travel {
    seed: u64,
    /// Longest segment.
    mss: usize,
    /// How far a segment is from its place, at most.
    distance: usize,
    /// How many of ten segments are sent again.
    repeated: u64,
    /// Longest payload of a fragment; 0 if packets are whole.
    fragment: usize,
}

/// A generator of numbers (xorshift64*).
struct Numbers(u64);

impl Numbers {
    fn below(&mut self, end: usize) -> usize {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        (self.0.wrapping_mul(0x2545_f491_4f6c_dd1d) >> 33) as usize % end.max(1)
    }

    /// Moves each element by at most `distance` places or so.
    fn shuffle<T>(&mut self, list: &mut [T], distance: usize) {
        for at in 0..list.len() {
            let other = (at + self.below(distance + 1)).min(list.len() - 1);
            list.swap(at, other);
        }
    }
}

impl Script {
    fn client(mut self, bytes: impl AsRef<[u8]>) -> Self {
        self.turns.push((Side::Client, bytes.as_ref().to_vec()));
        self
    }

    fn server(mut self, bytes: impl AsRef<[u8]>) -> Self {
        self.turns.push((Side::Server, bytes.as_ref().to_vec()));
        self
    }

    /// A TLS connection behind what was sent so far.
    fn tls(mut self, wire: &Wire) -> Self {
        self.keys.push_str(&wire.keys);
        self.turns.extend(wire.sent.iter().map(|(direction, bytes)| match direction {
            Direction::ClientToServer => (Side::Client, bytes.clone()),
            Direction::ServerToClient => (Side::Server, bytes.clone()),
        }));
        self
    }

    /// Its frames in the simplest way: each turn in full segments.
    fn frames(&self) -> Vec<Vec<u8>> {
        let (mut connection, mut frames) = opened();
        for (side, bytes) in &self.turns {
            connection.send(*side, bytes, 0, &mut frames).expect("an open connection");
        }
        closed(connection, frames)
    }

    fn travelled(&self, how: Travel) -> Vec<Vec<u8>> {
        let mut numbers = Numbers(how.seed | 1);
        let (mut connection, mut frames) = opened();
        for (side, bytes) in &self.turns {
            let start = connection.sent(*side) as usize;
            let mut segments = Vec::new();
            let mut at = 0;
            while at < bytes.len() {
                let end = (at + 1 + numbers.below(how.mss)).min(bytes.len());
                segments.push((at, end));
                if (numbers.below(10) as u64) < how.repeated {
                    // The same segment, or one that begins and ends elsewhere.
                    let from = at - numbers.below(at.min(how.mss) + 1);
                    segments.push(if numbers.below(2) == 0 { (at, end) } else { (from, end) });
                }
                at = end;
            }
            numbers.shuffle(&mut segments, how.distance);
            for (from, to) in segments {
                let offset = (start + from) as u32;
                connection.segment(*side, offset, flags::ACK, &bytes[from..to], 0, &mut frames);
            }
            // The connection counts the bytes; these frames are left out.
            connection.send(*side, bytes, 0, &mut Frames::default()).expect("an open connection");
        }
        let mut out = Vec::new();
        for (id, frame) in (1..).zip(closed(connection, frames)) {
            if how.fragment > 0 && numbers.below(2) == 0 {
                let mut parts = in_fragments(&frame, id, how.fragment);
                numbers.shuffle(&mut parts, how.distance);
                out.extend(parts);
            } else {
                out.push(frame);
            }
        }
        out
    }
}

fn opened() -> (Connection, Frames) {
    let settings = Settings {
        ack_every: 0,
        client_isn: u32::MAX - 3, // the numbers wrap
        ..Settings::new(
            "10.0.0.1:40000".parse().expect("an address"),
            "10.0.0.2:8000".parse().expect("an address"),
        )
    };
    let mut connection = Connection::new(settings).expect("one IP version");
    let mut frames = Frames::default();
    connection.open(0, &mut frames).expect("a fresh connection");
    (connection, frames)
}

fn closed(mut connection: Connection, mut frames: Frames) -> Vec<Vec<u8>> {
    connection.close(Side::Client, 0, &mut frames).expect("an open connection");
    connection.close(Side::Server, 0, &mut frames).expect("an open connection");
    frames.iter().map(|frame| frame.bytes.to_vec()).collect()
}

/// Lengths of the headers of Ethernet and of IPv4 without options.
const ETHERNET: usize = 14;
const IPV4: usize = 20;

fn in_fragments(frame: &[u8], id: u32, size: usize) -> Vec<Vec<u8>> {
    let (ethernet, packet) = frame.split_at(ETHERNET);
    let address = |at: usize| <[u8; 4]>::try_from(&packet[at..at + 4]).expect("four bytes").into();
    let header = Ip::V4(Ipv4::between(address(12), address(16)));
    let packets = fragments(&header, 6, id, size, &packet[IPV4..]);
    packets.iter().map(|packet| [ethernet, packet].concat()).collect()
}

fn analyze(frames: &[Vec<u8>], keys: &str) -> Value {
    let directory = tempfile::tempdir().expect("a temporary directory");
    let path = directory.path().join("a.pcap");
    write(&path, frames);
    let mut input = Input::file(&path);
    if !keys.is_empty() {
        let key_log = directory.path().join("a.keys");
        std::fs::write(&key_log, keys).expect("the key log");
        input.key_log = Some(key_log);
    }
    let run = |input: &Input| {
        let options = Options { show_secrets: true, ..Options::default() };
        let capture =
            analysis::analyze(input, options, &mut |_| ControlFlow::Continue(())).expect("a capture");
        findings(serde_json::to_value(&capture).expect("JSON"))
    };
    let unknown = run(&input);
    let lines = directory.path().join("strings.txt");
    std::fs::write(&lines, STRINGS.join("\n")).expect("the strings");
    let mut strings = GivenStrings::default();
    strings.add_lines(&lines).expect("lines");
    input.own = Some(Arc::new(OwnTraffic { strings, scope: Vec::new() }));
    let mut known = run(&input);
    for string in known["strings"].as_array_mut().expect("a list") {
        let string = string.as_object_mut().expect("an object");
        string.retain(|name, _| ["value", "level", "kind"].contains(&name.as_str()));
    }
    serde_json::json!({"unknown": unknown, "known": known})
}

/// Strings that are searched for.
const STRINGS: [&str; 9] = [
    "hunter22",
    "0123456789abcdef",
    "ada@example.com",
    "the first text",
    "in a gRPC message",
    "another one",
    "www.example.com",
    "agents.example",
    "is nowhere",
];

fn write(path: &Path, frames: &[Vec<u8>]) {
    let mut writer =
        pcap::Writer::new(Vec::new(), craft::link_type::ETHERNET, pcap::FULL_SNAPLEN).expect("a vector");
    for (at, frame) in (1..).zip(frames) {
        writer.write(at * 1000, frame.len() as u32, frame).expect("a vector can be written");
    }
    std::fs::write(path, writer.into_inner()).expect("the capture");
}

/// The parts of a result that say what was sent.
const PARTS: [&str; 12] = [
    "http",
    "http_total",
    "parts",
    "parts_total",
    "readable",
    "readable_total",
    "contents",
    "tls",
    "dns",
    "strings",
    "fragments",
    "verdict",
];

/// The fields that say how it travelled: frames, times, places, and whether one frame has it whole.
const TRAVEL: [&str; 15] = [
    "first_frame",
    "last_frame",
    "frame",
    "frames",
    "first_at_unix_ns",
    "last_at_unix_ns",
    "location",
    "query_frame",
    "answer_frame",
    "locations",
    "file_offset",
    "ms",
    "wire_len",
    "stream_offset",
    "in_frame",
];

fn findings(result: Value) -> Value {
    let Value::Object(result) = result else { panic!("no object") };
    let parts = result.into_iter().filter(|(name, _)| PARTS.contains(&name.as_str()));
    without_travel(Value::Object(parts.collect()))
}

fn without_travel(value: Value) -> Value {
    match value {
        Value::Object(members) => {
            let kept = members.into_iter().filter(|(name, _)| !TRAVEL.contains(&name.as_str()));
            Value::Object(kept.map(|(name, value)| (name, without_travel(value))).collect::<Map<_, _>>())
        }
        // The same: whether one frame has it whole.
        Value::String(level) if level == "verbatim" || level == "reassembled" => "in the clear".into(),
        Value::Array(elements) => Value::Array(elements.into_iter().map(without_travel).collect()),
        value => value,
    }
}

const CALL: &str = r#"{"jsonrpc":"2.0","id":2,"method":"tools/call","params":{"name":"fetch","arguments":{"api_key":"0123456789abcdef","to":"ada@example.com","inner":"{\"password\":\"hunter22\"}"}}}"#;

const EVENTS: &str = concat!(
    ": connected\r\n\r\nevent: message\r\n",
    r#"data: {"jsonrpc":"2.0","id":2,"result":{"content":[{"type":"text","text":"the first text"}]}}"#,
    "\r\n\r\n",
    r#"data: {"object":"chat.completion.chunk","id":"x","choices":[{"index":0,"delta":{"content":"to be"}}]}"#,
    "\n\n",
    r#"data: {"object":"chat.completion.chunk","id":"x","choices":[{"index":0,"delta":{"content":" joined"}}]}"#,
    "\n\ndata: [DONE]\n\n",
);

const LINES: &str =
    "{\"response\":\"a line\"}\n{\"response\":\"another one\",\"token\":\"0123456789abcdef0\"}\n";

fn script(name: &'static str) -> Script {
    Script { name, ..Script::default() }
}

fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut writer = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::default());
    writer.write_all(bytes).expect("a vector can be written");
    writer.finish().expect("a vector can be written")
}

fn post(body: &str) -> Vec<u8> {
    let head =
        "POST /mcp?user=ada HTTP/1.1\r\nHost: b\r\nAuthorization: Basic QWxhZGRpbjpvcGVuIHNlc2FtZQ==\r\n";
    format!("{head}Content-Type: application/json\r\nContent-Length: {}\r\n\r\n{body}", body.len())
        .into_bytes()
}

fn answer(fields: &str, body: &[u8]) -> Vec<u8> {
    let head = format!("HTTP/1.1 200 OK\r\n{fields}\r\nContent-Length: {}\r\n\r\n", body.len());
    [head.as_bytes(), body].concat()
}

fn chunked(content_type: &str, body: &[u8], size: usize) -> Vec<u8> {
    let head =
        format!("HTTP/1.1 200 OK\r\nContent-Type: {content_type}\r\nTransfer-Encoding: chunked\r\n\r\n");
    let mut text = head.into_bytes();
    for chunk in body.chunks(size) {
        text.extend(format!("{:x}\r\n", chunk.len()).bytes());
        text.extend_from_slice(chunk);
        text.extend(b"\r\n");
    }
    text.extend(b"0\r\nX-Trailer: 1\r\n\r\n");
    text
}

fn http1() -> Script {
    // Two requests at once, an interim response, a folded line and white space before a colon.
    let odd = "GET /b HTTP/1.1\r\nHost: b\r\nX-Odd : a\r\n b\r\nCookie: sid=31d4d96e407aad42\r\n\r\n";
    let interim = b"HTTP/1.1 100 Continue\r\n\r\n";
    script("http1")
        .client([&post(CALL)[..], odd.as_bytes()].concat())
        .server([&interim[..], &chunked("text/event-stream", EVENTS.as_bytes(), 17)].concat())
        .server(answer("Content-Type: application/json\r\nContent-Encoding: gzip", &gzip(CALL.as_bytes())))
        .client(post("{\"secret\":\"0123456789abcdef\"}"))
        .server(chunked("application/x-ndjson", LINES.as_bytes(), 9))
}

fn frame(frame_type: u8, flags: u8, stream: u8, payload: &[u8]) -> Vec<u8> {
    let [a, b] = (payload.len() as u16).to_be_bytes();
    [&[0, a, b, frame_type, flags, 0, 0, 0, stream][..], payload].concat()
}

const DATA: u8 = 0;
const HEADERS: u8 = 1;
const CONTINUATION: u8 = 9;
const END_STREAM: u8 = 1;
const END_HEADERS: u8 = 4;
const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

/// Literals that are inserted into the table (RFC 7541 §6.2.1).
fn literals(fields: &[(&str, &str)]) -> Vec<u8> {
    let string = |text: &str| [&[text.len() as u8][..], text.as_bytes()].concat();
    fields.iter().flat_map(|(name, value)| [vec![0x40], string(name), string(value)].concat()).collect()
}

fn http2_turns() -> [Vec<u8>; 2] {
    let settings = frame(4, 0, 0, &[]);
    // The authority is in Huffman code (RFC 7541 §C.4.1); the block has a CONTINUATION; the second one refers to the table.
    let authority = [0x41, 0x8c, 0xf1, 0xe3, 0xc2, 0xe5, 0xf2, 0x3a, 0x6b, 0xa0, 0xab, 0x90, 0xf4, 0xff];
    let fields = literals(&[("content-type", "application/json"), ("x-api-key", "0123456789abcdef")]);
    let (fields, rest) = fields.split_at(30);
    let block = [&b"\x83\x86\x44\x06/tools"[..], &authority, fields].concat();
    let (head, tail) = CALL.as_bytes().split_at(50);
    let client = [
        PREFACE.to_vec(),
        settings.clone(),
        frame(HEADERS, 0, 1, &block),
        frame(CONTINUATION, END_HEADERS, 1, rest),
        frame(DATA, 0, 1, head),
        frame(HEADERS, END_HEADERS | END_STREAM, 3, b"\x82\x86\x84\xbe"),
        frame(DATA, END_STREAM | 8, 1, &[&[2][..], tail, &[0, 0]].concat()),
    ];
    let events = literals(&[("content-type", "text/event-stream")]);
    let grpc = literals(&[("content-type", "application/grpc+json"), ("grpc-encoding", "gzip")]);
    let message = gzip(br#"{"text":"in a gRPC message"}"#);
    let message = [&[1, 0, 0, 0, message.len() as u8][..], &message].concat();
    let (first, second) = message.split_at(7);
    let (head, tail) = EVENTS.as_bytes().split_at(100);
    let server = [
        settings,
        frame(HEADERS, END_HEADERS, 1, &[&[0x88][..], &events].concat()),
        frame(DATA, 0, 1, head),
        frame(HEADERS, END_HEADERS, 3, &[&[0x88][..], &grpc].concat()),
        frame(DATA, 0, 3, first),
        frame(DATA, END_STREAM, 1, tail),
        frame(DATA, 0, 3, second),
        frame(HEADERS, END_HEADERS | END_STREAM, 3, &literals(&[("grpc-status", "0")])),
    ];
    [client.concat(), server.concat()]
}

fn http2() -> Script {
    let [client, server] = http2_turns();
    script("http2").client(client).server(server)
}

/// A compressed WebSocket message, in two frames, and one that refers to it.
fn websocket() -> Script {
    let upgrade = "GET /s HTTP/1.1\r\nHost: b\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Extensions: permessage-deflate\r\n\r\n";
    let accepted = "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\nSec-WebSocket-Extensions: permessage-deflate\r\n\r\n";
    let mut state = flate2::Compress::new(flate2::Compression::best(), false);
    let mut deflated = |text: &str| {
        let mut payload = Vec::with_capacity(2 * text.len() + 100);
        state.compress_vec(text.as_bytes(), &mut payload, flate2::FlushCompress::Sync).expect("room");
        payload.truncate(payload.len() - 4);
        payload
    };
    let of = |opcode: u8, payload: &[u8]| {
        let len = payload.len() as u16;
        let length = if len < 126 { vec![len as u8] } else { [&[126][..], &len.to_be_bytes()].concat() };
        [vec![opcode], length, payload.to_vec()].concat()
    };
    let (first, second) = (deflated(CALL), deflated(CALL));
    let (head, tail) = first.split_at(40);
    let key = [0x37, 0xfa, 0x21, 0x3d];
    let masked: Vec<u8> = "{\"a\":1}".bytes().zip(key.iter().cycle()).map(|(byte, key)| byte ^ key).collect();
    let asked = [&[0x81, 0x80 | masked.len() as u8][..], &key, &masked].concat();
    script("websocket")
        .client(upgrade)
        .server([accepted.as_bytes(), &of(0x41, head), &of(0x89, b"ping"), &of(0x80, tail)].concat())
        .client(asked)
        .server(of(0xc1, &second))
}

fn dns_over_tcp() -> Script {
    let framed = |message: &[u8]| [&(message.len() as u16).to_be_bytes()[..], message].concat();
    let name = b"\x06agents\x07example\0\0\x01\0\x01";
    let query = [&b"\0\x01\x01\0\0\x01\0\0\0\0\0\0"[..], name].concat();
    let record = b"\xc0\x0c\0\x01\0\x01\0\0\0\x3c\0\x04\x0a\0\0\x02";
    let reply = [&b"\0\x01\x81\x80\0\x01\0\x01\0\0\0\0"[..], name, record].concat();
    script("dns").client(framed(&query)).server(framed(&reply))
}

/// A TLS connection that carries HTTP, each piece in a record of its own.
fn tls(client: &[Vec<u8>], server: &[Vec<u8>]) -> Wire {
    let mut connection = Setup::usual().configs().connect();
    connection.settle();
    for piece in client {
        connection.client_sends(piece);
    }
    for piece in server {
        connection.server_sends(piece);
    }
    connection.close()
}

fn behind(name: &'static str, handover: Script) -> Script {
    let answer = answer("Content-Type: application/json", CALL.as_bytes());
    let wire = tls(&[post(CALL)], &[answer]);
    Script { name, ..handover }.tls(&wire)
}

fn starttls() -> Script {
    let smtp = script("")
        .server("220 mail.example ESMTP\r\n")
        .client("EHLO a\r\n")
        .server("250-mail.example\r\n250 STARTTLS\r\n")
        .client("STARTTLS\r\n")
        .server("220 ready\r\n");
    behind("starttls", smtp)
}

fn socks() -> Script {
    let socks = script("")
        .client(b"\x05\x01\x00")
        .server(b"\x05\x00")
        .client(b"\x05\x01\x00\x03\x09b.example\x01\xbb")
        .server(b"\x05\x00\x00\x01\x0a\x00\x00\x03\x01\xbb");
    behind("socks", socks)
}

fn connect() -> Script {
    let proxy = script("")
        .client("CONNECT b.example:443 HTTP/1.1\r\nHost: b.example:443\r\n\r\n")
        .server("HTTP/1.1 200 Connection established\r\n\r\n");
    behind("connect", proxy)
}

fn scripts() -> Vec<Script> {
    vec![http1(), http2(), websocket(), dns_over_tcp(), starttls(), socks(), connect()]
}

/// What the scripts contain is found at all; otherwise all ways to travel would agree on nothing.
#[test]
fn the_scripts_are_read() {
    for script in scripts() {
        let found = analyze(&script.frames(), &script.keys).to_string();
        let expected: &[&str] = match script.name {
            "http1" => {
                &["hunter22", "to be joined", "another one", "31d4d96e407aad42", "ada@example.com", "/b"]
            }
            "http2" => &["hunter22", "to be joined", "in a gRPC message", "x-api-key", "the first text"],
            "websocket" => &["hunter22", "0123456789abcdef"],
            "dns" => &["agents.example", "10.0.0.2"],
            _ => &["\"version\":\"TLS 1.3\"", "hunter22", "ada@example.com"],
        };
        for text in expected {
            assert!(found.contains(text), "{} without {text}: {found}", script.name);
        }
    }
}

/// The first place where two results differ, with what each has there.
fn difference(one: &Value, other: &Value) -> Option<String> {
    match (one, other) {
        (Value::Object(one), Value::Object(other)) if one.keys().eq(other.keys()) => {
            one.iter().find_map(|(name, value)| Some(format!(".{name}{}", difference(value, &other[name])?)))
        }
        (Value::Array(one), Value::Array(other)) if one.len() == other.len() => {
            let mut pairs = one.iter().zip(other).enumerate();
            pairs.find_map(|(at, (one, other))| Some(format!("[{at}]{}", difference(one, other)?)))
        }
        _ => (one != other).then(|| format!(": {one}, not {other}")),
    }
}

fn travel() -> impl Strategy<Value = Travel> {
    let fragment = prop_oneof![Just(0_usize), (1_usize..40).prop_map(|blocks| 8 * blocks)];
    (any::<u64>(), 1_usize..300, 0_usize..20, 0_u64..6, fragment).prop_map(
        |(seed, mss, distance, repeated, fragment)| Travel { seed, mss, distance, repeated, fragment },
    )
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 24, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn every_way_to_travel_gives_the_same_findings(how in travel()) {
        for script in scripts() {
            let expected = analyze(&script.frames(), &script.keys);
            let found = analyze(&script.travelled(how), &script.keys);
            prop_assert_eq!(difference(&found, &expected), None, "{}", script.name);
        }
    }

    /// HTTP/1 and HTTP/2 within TLS, in records of any length.
    #[test]
    fn every_division_into_records_gives_the_same_findings(seed in any::<u64>(), longest in 1_usize..400) {
        let answer = [&chunked("text/event-stream", EVENTS.as_bytes(), 31)[..]].concat();
        let [client2, server2] = http2_turns();
        for (client, server) in [(post(CALL), answer), (client2, server2)] {
            let mut numbers = Numbers(seed | 1);
            let mut pieces = |bytes: &[u8]| {
                let mut pieces = Vec::new();
                let mut rest = bytes.to_vec();
                while !rest.is_empty() {
                    let tail = rest.split_off((1 + numbers.below(longest)).min(rest.len()));
                    pieces.push(std::mem::replace(&mut rest, tail));
                }
                pieces
            };
            let (of_client, of_server) = (pieces(&client), pieces(&server));
            let divided = tls(&of_client, &of_server);
            let whole = tls(&[client], &[server]);
            let found = |wire: &Wire| {
                let script = script("").tls(wire);
                let mut found = analyze(&script.frames(), &script.keys);
                // The random numbers of the session, and the number of its records, differ.
                for part in found.as_object_mut().expect("an object").values_mut() {
                    part.as_object_mut().expect("an object").remove("tls");
                }
                found
            };
            prop_assert_eq!(difference(&found(&divided), &found(&whole)), None);
        }
    }
}
