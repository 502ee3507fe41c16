//! The work of the analyzer on hostile captures: four times as much of the same costs less than five times, and no byte costs
//! more than a bound.
//!
//! Work is counted in instructions (valgrind), not in time: on one machine the count is the same in each run, but for the keys
//! of hash tables.

mod programs;
mod quic;

use std::fs::File;
use std::io::{BufWriter, Write as _};
use std::net::Ipv4Addr;
use std::path::Path;
use std::process::Command;

use craft::conversation::{Connection, Frames, Settings, Side};
use craft::encapsulation;
use craft::frame::{Ip, Ipv4, Link, Udp, udp};
use craft::pcap;
use flate2::{Compress, Compression, FlushCompress};

use programs::analyze;

/// Bytes of the smaller capture of each shape, beside what comes first.
const SMALL: usize = 16 << 10;

/// Most instructions that a byte may cost, where the program is not optimized: some 600 for each of the 128 bytes that a coded byte
/// may become, with room for what any body has free. Without bombs, the most expensive shape takes 9,000.
const MOST_FOR_A_BYTE: u64 = 200_000;

/// A hostile capture: what comes first, and what comes again and again.
#[derive(Default)]
struct Shape {
    begin: Vec<(Side, Vec<u8>)>,
    side: Option<Side>,
    again: Vec<u8>,
    /// Numbers each repetition: writes it into the bytes.
    number: Option<fn(u32, &mut [u8])>,
    /// Bytes that are missing before what comes again.
    lost: usize,
    /// Longest segment; 0 for full ones.
    mss: u16,
}

impl Shape {
    fn client(mut self, bytes: impl AsRef<[u8]>) -> Self {
        self.begin.push((Side::Client, bytes.as_ref().to_vec()));
        self
    }

    fn server(mut self, bytes: impl AsRef<[u8]>) -> Self {
        self.begin.push((Side::Server, bytes.as_ref().to_vec()));
        self
    }

    fn again(mut self, side: Side, bytes: impl AsRef<[u8]>) -> Self {
        (self.side, self.again) = (Some(side), bytes.as_ref().to_vec());
        self
    }

    fn numbered(mut self, number: fn(u32, &mut [u8])) -> Self {
        self.number = Some(number);
        self
    }

    fn lost(mut self, lost: usize) -> Self {
        self.lost = lost;
        self
    }

    /// Writes a capture with so many bytes of what comes again. Returns how many there are.
    fn write(&self, path: &Path, bytes: usize) -> u64 {
        let settings = Settings {
            mss: if self.mss > 0 { self.mss } else { craft::conversation::ETHERNET_MSS },
            timestamps: false,
            ack_every: 0,
            ..Settings::new(
                "10.0.0.1:40000".parse().expect("an address"),
                "10.0.0.2:80".parse().expect("an address"),
            )
        };
        let mut connection = Connection::new(settings).expect("one IP version");
        let mut frames = Frames::default();
        connection.open(0, &mut frames).expect("a fresh connection");
        for (side, bytes) in &self.begin {
            connection.send(*side, bytes, 0, &mut frames).expect("an open connection");
        }
        let side = self.side.expect("a side that sends");
        if self.lost > 0 {
            connection
                .send(side, &vec![b'x'; self.lost], 0, &mut Frames::default())
                .expect("an open connection");
        }
        let mut all = Vec::new();
        for number in 0..bytes.div_ceil(self.again.len()) as u32 {
            let at = all.len();
            all.extend_from_slice(&self.again);
            if let Some(write) = self.number {
                write(number, &mut all[at..]);
            }
        }
        if bytes > 0 {
            connection.send(side, &all, 0, &mut frames).expect("an open connection");
        }
        let frames: Vec<_> = frames.iter().map(|frame| frame.bytes).collect();
        write(path, &frames);
        all.len() as u64
    }
}

fn write(path: &Path, frames: &[&[u8]]) {
    let file = BufWriter::new(File::create(path).expect("a file"));
    let mut writer =
        pcap::Writer::new(file, craft::link_type::ETHERNET, pcap::FULL_SNAPLEN).expect("a header");
    for frame in frames {
        writer.write(0, frame.len() as u32, frame).expect("a frame");
    }
    writer.flush().expect("the file");
}

/// Instructions of the analyzer for a capture, with the key log beside it if there is one; `None` without valgrind.
fn instructions(capture: &Path) -> Option<u64> {
    let mut command = Command::new("valgrind");
    command.args(["--tool=cachegrind", "--cache-sim=no", "--cachegrind-out-file=/dev/null"]);
    command.arg(analyze()).arg("--no-output").arg(capture);
    let keys = capture.with_extension("keys");
    if keys.is_file() {
        command.arg("--keys").arg(keys);
    }
    let output = command.output().ok()?;
    let text = String::from_utf8_lossy(&output.stderr);
    let count =
        text.lines().find_map(|line| line.split_once("refs:")).map(|(_, count)| count.replace(',', ""));
    let count = count.unwrap_or_else(|| panic!("no count of instructions: {text}"));
    Some(count.trim().parse().expect("a number"))
}

/// Checks the work for a shape; `make` writes a capture with so many bytes and returns their number.
fn check(name: &str, make: impl Fn(&Path, usize) -> u64) {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("a.pcap");
    let count = |bytes| {
        let bytes = make(&path, bytes);
        Some((bytes, instructions(&path)?))
    };
    let (Some((_, none)), Some((_, small)), Some((bytes, large))) =
        (count(0), count(SMALL), count(4 * SMALL))
    else {
        test_support::skip("valgrind, which counts instructions, is not installed");
        return;
    };
    // The keys of hash tables change the count a little.
    let (small, large) = (small.saturating_sub(none).max(1_000_000), large.saturating_sub(none));
    eprintln!(
        "{name}: {small}, then {large}, {:.1} times, {} a byte",
        large as f64 / small as f64,
        large / bytes
    );
    assert!(large < 5 * small, "{name}: {small} instructions, {large} for four times as much");
    assert!(large < MOST_FOR_A_BYTE * bytes, "{name}: {large} instructions for {bytes} bytes");
}

const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

fn frame(frame_type: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let [_, a, b, c] = (payload.len() as u32).to_be_bytes();
    [&[a, b, c, frame_type, flags][..], &stream.to_be_bytes(), payload].concat()
}

const DATA: u8 = 0;
const HEADERS: u8 = 1;
const RST_STREAM: u8 = 3;
const SETTINGS: u8 = 4;
const PING: u8 = 6;
const CONTINUATION: u8 = 9;
const END_STREAM: u8 = 1;
const END_HEADERS: u8 = 4;

/// GET, http, / (RFC 7541 §6.1).
const GET: &[u8] = b"\x82\x86\x84";

fn http2() -> Shape {
    Shape::default().client([PREFACE, &frame(SETTINGS, 0, 0, &[])].concat()).server(frame(
        SETTINGS,
        0,
        0,
        &[],
    ))
}

/// Another stream each time.
fn next_stream(number: u32, frame: &mut [u8]) {
    frame[5..9].copy_from_slice(&(2 * number + 101).to_be_bytes());
}

/// An integer of HPACK behind a prefix (RFC 7541 §5.1).
fn integer(first: u8, bits: u32, value: usize) -> Vec<u8> {
    let most = (1 << bits) - 1;
    let mut rest = value - most;
    let mut out = vec![first | most as u8];
    while rest >= 128 {
        out.push(rest as u8 | 0x80);
        rest >>= 7;
    }
    out.push(rest as u8);
    out
}

/// A header block that inserts a long field into a table of 64 KiB, in frames.
fn long_field(first: &[u8], name: &str, value: &str) -> Vec<u8> {
    let value: Vec<u8> = value.bytes().cycle().take(60_000).collect();
    let field =
        [&[0x40, name.len() as u8][..], name.as_bytes(), &integer(0, 7, value.len()), &value].concat();
    let block = [&integer(0x20, 5, 65_536)[..], first, &field].concat();
    let last = block.chunks(16_000).count() - 1;
    let frames = block.chunks(16_000).enumerate().map(|(at, part)| {
        let end = if at == last { END_HEADERS } else { 0 };
        match at {
            0 => frame(HEADERS, end | END_STREAM, 1, part),
            _ => frame(CONTINUATION, end, 1, part),
        }
    });
    frames.collect::<Vec<_>>().concat()
}

/// Blocks of 400 references to a long field of a request.
fn references(name: &str, value: &str) -> Shape {
    let block = [GET, &[0xbe; 400]].concat();
    http2()
        .client(long_field(GET, name, value))
        .again(Side::Client, frame(HEADERS, END_HEADERS, 1, &block))
        .numbered(next_stream)
}

const ASKED: &str = "GET / HTTP/1.1\r\nHost: a\r\n\r\n";

/// One body with this type that goes on and on.
fn body(content_type: &str, again: impl AsRef<[u8]>) -> Shape {
    let head = format!("HTTP/1.1 200 OK\r\nContent-Type: {content_type}\r\nContent-Length: 1000000\r\n\r\n");
    Shape::default().client(ASKED).server(head).again(Side::Server, again)
}

/// Answers with this body, one behind the other.
fn bodies(content_type: &str, body: impl AsRef<[u8]>) -> Shape {
    let body = body.as_ref();
    let head =
        format!("HTTP/1.1 200 OK\r\nContent-Type: {content_type}\r\nContent-Length: {}\r\n\r\n", body.len());
    Shape::default().client(ASKED.repeat(200)).again(Side::Server, [head.as_bytes(), body].concat())
}

fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut writer = flate2::write::GzEncoder::new(Vec::new(), Compression::best());
    writer.write_all(bytes).expect("a vector can be written");
    writer.finish().expect("a vector can be written")
}

fn base64(bytes: &[u8]) -> String {
    data_encoding::BASE64.encode(bytes)
}

fn websocket(again: impl AsRef<[u8]>) -> Shape {
    let extensions = "Sec-WebSocket-Extensions: permessage-deflate\r\n\r\n";
    Shape::default()
        .client(format!("GET / HTTP/1.1\r\nHost: a\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n{extensions}"))
        .server(format!("HTTP/1.1 101 S\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n{extensions}"))
        .again(Side::Server, again)
}

/// A compressed message that needs no other one.
fn deflated(text: &[u8]) -> Vec<u8> {
    let mut payload = Vec::with_capacity(text.len() + 100);
    let mut state = Compress::new(Compression::best(), false);
    state.compress_vec(text, &mut payload, FlushCompress::Sync).expect("room");
    payload.truncate(payload.len() - 4);
    let length = match payload.len() {
        short @ ..126 => vec![short as u8],
        long => [&[126][..], &(long as u16).to_be_bytes()].concat(),
    };
    [&[0xc1][..], &length, &payload].concat()
}

fn grpc(again: &[u8]) -> Shape {
    let field = |name: &str, value: &str| {
        [&[0, name.len() as u8][..], name.as_bytes(), &[value.len() as u8], value.as_bytes()].concat()
    };
    let block = [GET, &field("content-type", "application/grpc"), &field("grpc-encoding", "gzip")].concat();
    let message = [&[1][..], &(again.len() as u32).to_be_bytes(), again].concat();
    http2().client(frame(HEADERS, END_HEADERS, 1, &block)).again(Side::Client, frame(DATA, 0, 1, &message))
}

fn record(content_type: u8, body: &[u8]) -> Vec<u8> {
    [&[content_type, 3, 3][..], &(body.len() as u16).to_be_bytes(), body].concat()
}

fn handshake(message_type: u8, body: &[u8]) -> Vec<u8> {
    let [_, a, b, c] = (body.len() as u32).to_be_bytes();
    [&[message_type, a, b, c][..], body].concat()
}

/// Hellos of TLS 1.2 with TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256.
fn tls(again: impl AsRef<[u8]>) -> Shape {
    let client = [&[3, 3][..], &[7; 32], &[0, 0, 2, 0xc0, 0x2f, 1, 0]].concat();
    let server = [&[3, 3][..], &[8; 32], &[0, 0xc0, 0x2f, 0]].concat();
    Shape::default()
        .client(record(22, &handshake(1, &client)))
        .server(record(22, &handshake(2, &server)))
        .again(Side::Server, again)
}

/// A compressed Certificate message (RFC 8879 §4) of 60,000 zeros.
fn compressed_certificates() -> Vec<u8> {
    let mut writer = flate2::write::ZlibEncoder::new(Vec::new(), Compression::best());
    writer.write_all(&[0; 60_000]).expect("a vector can be written");
    let data = writer.finish().expect("a vector can be written");
    let length = |len: usize| (len as u32).to_be_bytes()[1..].to_vec();
    record(22, &handshake(25, &[vec![0, 1], length(60_000), length(data.len()), data].concat()))
}

fn delta(text: &str) -> String {
    format!(
        "data: {{\"object\":\"chat.completion.chunk\",\"id\":\"x\",\"choices\":[{{\"index\":0,\"delta\":{{\"content\":\"{text}\"}}}}]}}\n\n"
    )
}

/// JSON in a string of JSON, and so on.
fn nested(levels: usize) -> String {
    (0..levels).fold("a text inside".to_owned(), |text, _| serde_json::json!({"a": text}).to_string())
}

macro_rules! shapes {
    ($($name:ident => $shape:expr;)*) => {
        $(
            #[test]
            fn $name() {
                let shape: Shape = $shape;
                check(stringify!($name), |path, bytes| shape.write(path, bytes));
            }
        )*
    };
}

shapes! {
    http1_status_lines_behind_a_gap => Shape::default()
        .client(ASKED).server("HTTP/1.1 200 OK\r\nContent-Len").lost(100).again(Side::Server, "HTTP/1.1 200 ");
    http1_methods_behind_a_gap => Shape::default().client("GET / HTTP/1.1\r\nHos").lost(100).again(Side::Client, "GET GET /");
    http1_lenient_fields => Shape::default()
        .again(Side::Client, ["GET / HTTP/1.1\r\n", &"a : b\r\n c\r\n".repeat(200), "\r\n"].concat());
    http1_heads_in_small_segments => Shape {
        mss: 4,
        ..Shape::default().again(Side::Client, ["GET / HTTP/1.1\r\n", &"a: b\r\n".repeat(100), "\r\n"].concat())
    };
    http1_chunks_of_one_byte => Shape::default().client(ASKED)
        .server("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nContent-Type: application/json\r\n\r\n")
        .again(Side::Server, "1\r\n[\r\n");
    http2_continuations => http2().client(frame(HEADERS, 0, 1, GET)).again(Side::Client, frame(CONTINUATION, 0, 1, b"\x84"));
    http2_settings => http2().again(Side::Client, frame(SETTINGS, 0, 0, &[0, 1, 0, 0, 0, 0]));
    http2_pings => http2().again(Side::Client, frame(PING, 0, 0, &[0; 8]));
    http2_empty_data => http2().client(frame(HEADERS, END_HEADERS, 1, GET)).again(Side::Client, frame(DATA, 0, 1, b""));
    http2_open_streams => http2().again(Side::Client, frame(HEADERS, END_HEADERS, 1, GET)).numbered(next_stream);
    http2_rapid_reset => http2()
        .again(Side::Client, [frame(HEADERS, END_HEADERS, 1, GET), frame(RST_STREAM, 0, 1, &[0; 4])].concat())
        .numbered(|number, bytes| {
            let (head, reset) = bytes.split_at_mut(12);
            next_stream(number, head);
            next_stream(number, reset);
        });
    http2_table_growth => http2()
        .again(Side::Client, frame(HEADERS, END_HEADERS, 1, &[GET, b"\x40\x04name\x14vvvvvvvvvvvvvvvvvvvv"].concat()))
        .numbered(next_stream);
    http2_references_to_codings => references("content-encoding", "gzip,");
    http2_references_to_a_content_type => references("content-type", "text/");
    http2_references_to_extensions => http2()
        .server(long_field(b"\x88", "sec-websocket-extensions", "a,"))
        .again(Side::Server, frame(HEADERS, END_HEADERS, 1, &[&b"\x88"[..], &[0xbe; 400]].concat()))
        .numbered(next_stream);
    http2_longest_huffman_codes => http2()
        .again(Side::Client, frame(HEADERS, END_HEADERS, 1, &[GET, b"\x00\x01n", &integer(0x80, 7, 1000), &[0xff, 0xff, 0xff, 0xf3].repeat(250)].concat()))
        .numbered(next_stream);
    http2_frames_that_are_lost_again => http2()
        .again(Side::Client, [frame(PING, 0, 0, &[0; 8]).repeat(3), frame(CONTINUATION, 0, 1, b"")].concat());
    grpc_bombs => grpc(&gzip(&vec![0; 60_000]));
    grpc_empty => grpc(&gzip(b""));
    events_of_no_data => body("text/event-stream", "data\n\n");
    events_of_line_ends => body("text/event-stream", "\n");
    events_of_deltas => body("text/event-stream", delta("a"));
    lines_of_json => body("application/x-ndjson", "{\"a\":\"b\"}\n");
    websocket_empty_messages => websocket([0x81, 0]);
    websocket_fragments => websocket([1, 0].into_iter().chain([0, 0].repeat(500)).chain([0x80, 0]).collect::<Vec<u8>>());
    websocket_compressed_messages => websocket(deflated(b"a"));
    websocket_bombs => websocket(deflated(&vec![b'x'; 20_000]));
    websocket_final_blocks => websocket([&[0xc1, 30][..], &[3, 0].repeat(15)].concat());
    smtp_lines => Shape::default().server("220 a ESMTP\r\n").again(Side::Server, "250-a\r\n");
    smtp_line_in_small_segments => Shape {
        mss: 4,
        ..Shape::default().server("220 a ESMTP\r\n").again(Side::Client, "EHLO")
    };
    socks4_name_in_small_segments => Shape {
        mss: 4,
        ..Shape::default().client(b"\x04\x01\x00\x50\x01\x02\x03\x04").again(Side::Client, "name")
    };
    xmpp_tags => Shape::default()
        .client("<?xml version='1.0'?><stream:stream xmlns:stream='http://etherx.jabber.org/streams' to='a'>")
        .again(Side::Client, "<");
    tls_records_of_one_byte => tls(record(22, &[0]));
    tls_empty_messages => tls(record(22, &handshake(0, b"").repeat(1000)));
    tls_hellos_again => tls(record(22, &handshake(1, &[3; 100])));
    tls_compressed_certificates => tls(compressed_certificates());
    json_strings => bodies("application/json", format!("[{}1]", "\"a\",".repeat(1000)));
    json_in_json => bodies("application/json", nested(10));
    json_in_base64 => bodies("application/json", serde_json::json!({"a": base64(nested(6).as_bytes())}).to_string());
    json_of_bombs => bodies("application/json", serde_json::json!([base64(&gzip(&vec![b'x'; 20_000]))]).to_string());
    text_of_at_signs => bodies("text/plain", "a@".repeat(2000));
    text_of_addresses => bodies("text/plain", "a@bc.de ".repeat(500));
    text_of_digits => bodies("text/plain", "4111 ".repeat(800));
    text_of_account_numbers => bodies("text/plain", "DE89 ".repeat(800));
    text_of_private_keys => bodies("text/plain", "-----BEGIN PRIVATE KEY-----".repeat(150));
    text_of_urls => bodies("text/plain", "aa://u:p@".repeat(450));
    text_of_tokens => bodies("text/plain", "eyJ.".repeat(1000));
    forms_of_escapes => bodies("application/x-www-form-urlencoded", "a=%7b&".repeat(600));
    mcp_results => bodies("application/json", serde_json::json!({"jsonrpc": "2.0", "id": 1, "result": {"content": vec![serde_json::json!({"type": "text", "text": "abc"}); 100]}}).to_string());
    dns_over_tcp => Shape::default().again(Side::Client, [&[0, 12][..], &[0; 12]].concat());
}

/// Datagrams between changing ports of a client and one of a server.
fn datagrams(path: &Path, port: u16, bytes: usize, payload: impl Fn(u32) -> Vec<u8>) -> u64 {
    let ip = Ip::V4(Ipv4::between(Ipv4Addr::new(10, 0, 0, 1), Ipv4Addr::new(10, 0, 0, 2)));
    let (mut frames, mut sum) = (Vec::new(), 0);
    while sum < bytes {
        let number = frames.len() as u32;
        let payload = payload(number);
        sum += payload.len();
        let mut frame = Vec::new();
        let header =
            Udp { source_port: 1024 + (number % 60_000) as u16, destination_port: port, ..Udp::default() };
        udp(&mut frame, &Link::default(), &ip, &header, &payload);
        frames.push(frame);
    }
    write(path, &frames.iter().map(Vec::as_slice).collect::<Vec<_>>());
    sum as u64
}

#[test]
fn dns_lookups() {
    let query = |number: u32| {
        let name = format!("n{number:06}");
        [&b"\0\x01\x01\0\0\x01\0\0\0\0\0\0"[..], &[7], name.as_bytes(), b"\0\0\x01\0\x01"].concat()
    };
    check("dns_lookups", |path, bytes| datagrams(path, 53, bytes, query));
}

/// Each record's name points to a chain of pointers.
#[test]
fn dns_pointers() {
    let message = |_: u32| {
        let mut out =
            b"\0\x01\x81\x80\0\x01\x01\x90\0\0\0\0\x01a\0\0\x01\0\x01\0\0\x10\0\x01\0\0\0\0".to_vec();
        let (start, links) = (out.len() + 2, 100);
        out.extend((4 * links as u16).to_be_bytes());
        let mut target = 12;
        for link in 0..links {
            out.extend([1, b'a', 0xc0 | (target >> 8) as u8, target as u8]);
            target = start + 4 * link;
        }
        for _ in 0..399 {
            out.extend([0xc0 | (target >> 8) as u8, target as u8]);
            out.extend(b"\0\x01\0\x01\0\0\0\0\0\x04\x0a\0\0\x02");
        }
        out
    };
    check("dns_pointers", |path, bytes| datagrams(path, 53, bytes, message));
}

/// Datagrams that may be Initial packets: keys are derived for each.
#[test]
fn quic_initial_packets() {
    let packet = |number: u32| {
        let mut out = b"\xc0\0\0\0\x01\x08aaaa".to_vec();
        out.extend(number.to_be_bytes());
        out.extend([0, 0, 0x44, 0x96]);
        out.resize(1200, b'x');
        out
    };
    check("quic_initial_packets", |path, bytes| datagrams(path, 443, bytes, packet));
}

/// Checks the work for a stream of HTTP/3 that repeats these bytes.
fn check_http3(name: &str, id: u64, begin: &[u8], again: &[u8]) {
    check(name, |path, bytes| {
        let (mut offset, mut is_first) = (0, true);
        quic::capture(path, bytes, || {
            let part = if std::mem::take(&mut is_first) { begin } else { again };
            let frame = quic::stream(id, offset, part, false);
            offset += part.len() as u64;
            frame
        })
    });
}

/// Empty frames: DATA, and a type that is not known.
#[test]
fn http3_empty_frames() {
    let empty = [0, 0, 0x21, 0].repeat(250);
    check_http3("http3_empty_frames", quic::FREE_STREAM, b"\x01\x04\0\0\xd1\xd7", &empty);
}

/// A body in frames of one byte, each in a frame of QUIC.
#[test]
fn http3_short_frames() {
    check_http3("http3_short_frames", quic::FREE_STREAM, b"\x01\x04\0\0\xd4\xd7", b"\0\x01a");
}

/// Header blocks that have a reference in each byte.
#[test]
fn http3_references() {
    let block = [&b"\x01\x43\xea\0\0"[..], &[0xd1; 1000]].concat();
    check_http3("http3_references", quic::FREE_STREAM, b"\x01\x04\0\0\xd4\xd7", &block);
}

/// An entry that is repeated: each repetition replaces the one before.
#[test]
fn http3_repeated_entries() {
    let begin = [&b"\x02\x3f\xe1\x1f\x41a\x7f\xe9\x07"[..], &[b'v'; 1128]].concat();
    check_http3("http3_repeated_entries", quic::FREE_ONE_WAY, &begin, &[0; 500]);
}

/// An instruction that comes byte by byte, and does not end.
#[test]
fn http3_unfinished_instruction() {
    check_http3("http3_unfinished_instruction", quic::FREE_ONE_WAY, b"\x02\x61a\xff\xff\x7f", b"a");
}

/// A request in each frame of QUIC, on another stream each time.
fn each_stream(name: &str, bytes_of: &[u8], is_last: bool) {
    check(name, |path, bytes| {
        let mut id = quic::FREE_STREAM;
        quic::capture(path, bytes, || {
            id += 4;
            quic::stream(id, 0, bytes_of, is_last)
        })
    });
}

#[test]
fn http3_requests() {
    each_stream("http3_requests", b"\x01\x04\0\0\xd1\xd7", true);
}

#[test]
fn http3_open_requests() {
    each_stream("http3_open_requests", b"\x01\x04\0\0\xd4\xd7\0\x05ab", false);
}

/// Heads that wait for entries that never come.
#[test]
fn http3_blocked_streams() {
    each_stream("http3_blocked_streams", b"\x01\x04\x64\0\xd1\xd7", false);
}

/// Bytes of a stream in the wrong order: all wait for the first.
#[test]
fn http3_bytes_that_wait() {
    check("http3_bytes_that_wait", |path, bytes| {
        let mut offset = 1 << 20;
        quic::capture(path, bytes, || {
            offset -= 1;
            quic::stream(quic::FREE_STREAM, offset, b"a", false)
        })
    });
}

/// Frames with this many bytes in all. Returns how many there are.
fn frames(path: &Path, bytes: usize, make: impl Fn(u32) -> Vec<u8>) -> u64 {
    let (mut frames, mut sum) = (Vec::new(), 0);
    while sum < bytes {
        let frame = make(frames.len() as u32);
        sum += frame.len();
        frames.push(frame);
    }
    write(path, &frames.iter().map(Vec::as_slice).collect::<Vec<_>>());
    sum as u64
}

/// An Ethernet header for IPv4, and this packet.
fn ethernet(packet: &[u8]) -> Vec<u8> {
    [&[2, 0, 0, 0, 0, 1, 2, 0, 0, 0, 0, 2, 8, 0][..], packet].concat()
}

fn hosts() -> Ip {
    Ip::V4(Ipv4::between(Ipv4Addr::new(10, 0, 0, 1), Ipv4Addr::new(10, 0, 0, 2)))
}

#[test]
fn fragments_of_datagrams_that_never_end() {
    check("fragments_of_datagrams_that_never_end", |path, bytes| {
        frames(path, bytes, |number| {
            ethernet(&encapsulation::fragment(&hosts(), 17, number, 8, true, &[b'a'; 8]))
        })
    });
}

#[test]
fn fragments_of_one_datagram_again() {
    check("fragments_of_one_datagram_again", |path, bytes| {
        frames(path, bytes, |number| {
            let offset = 16 * (number as usize % 200);
            ethernet(&encapsulation::fragment(&hosts(), 17, 1, offset, true, &[number as u8; 8]))
        })
    });
}

#[test]
fn tunnels_in_tunnels() {
    check("tunnels_in_tunnels", |path, bytes| {
        frames(path, bytes, |number| {
            let ports = Udp { source_port: 50_000, destination_port: 4789, ..Udp::default() };
            let mut inner = ethernet(&[0x45, 0]);
            for level in 0..6 {
                let mut outer = Vec::new();
                let payload = encapsulation::vxlan(number >> level, &inner);
                udp(&mut outer, &Link::default(), &hosts(), &ports, &payload);
                inner = outer;
            }
            inner
        })
    });
}
