//! `analyze explain`: every byte of a frame has its field, and tshark finds the same fields at the same places.

use std::collections::BTreeMap;
use std::process::Command;

use craft::conversation::Settings;
use e2e::damage::{Copied, Record, Side, analyze_command, conversation};
use e2e::{run_lab, skip};
use serde_json::Value;

/// The explanation of a frame.
fn explain(copied: &Copied, name: &str, frame: u64) -> Value {
    let mut command = analyze_command();
    command.arg("explain").arg(copied.path(&format!("{name}.pcap"))).arg(frame.to_string());
    let output = command.args(["--format", "json"]).output().expect("analyze starts");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    serde_json::from_slice(&output.stdout).expect("a document")
}

fn fields(explained: &Value) -> &[Value] {
    explained["fields"].as_array().expect("fields")
}

fn place(field: &Value) -> (u64, u64) {
    let number = |name: &str| field[name].as_u64().expect("a number");
    (number("offset"), number("length"))
}

/// The frames to look at: the first ones of every kind, then some of all.
fn chosen(frames: usize) -> impl Iterator<Item = u64> {
    (1..=frames as u64).filter(|frame| *frame <= 20 || frame % 17 == 0)
}

#[test]
fn every_byte_of_every_frame_has_a_field() {
    let copied = Copied::of(run_lab("relay"));
    for name in ["http", "https"] {
        for frame in chosen(copied.records(name).len()) {
            let explained = explain(&copied, name, frame);
            let mut last = (0, 0);
            for field in fields(&explained) {
                let (offset, length) = place(field);
                assert!((offset, length) == last || offset == last.0 + last.1, "{name} {frame}: {field}");
                assert!(length > 0, "{name} {frame}: {field}");
                last = (offset, length);
            }
            let bytes = explained["bytes"].as_str().expect("bytes").len() / 2;
            assert_eq!(last.0 + last.1, bytes as u64, "{name} {frame}");
        }
    }
}

/// Bits that tshark takes from fewer or more bytes, and fields of which it has no counterpart.
const OTHERWISE: [&str; 9] = [
    "ip.flags.rb",
    "ip.flags.df",
    "ip.flags.mf",
    "tcp.flags",
    "ipv6.version",
    "ipv6.flow",
    "http.header.name",
    "http.header.value",
    "http.separator",
];

#[test]
fn tshark_finds_the_same_fields_at_the_same_places() {
    if Command::new("tshark").arg("--version").output().is_err() {
        return skip("there is no tshark");
    }
    let copied = Copied::of(run_lab("relay"));
    let mut compared: BTreeMap<String, usize> = BTreeMap::new();
    for name in ["http", "https"] {
        compare(&copied, name, &mut compared);
    }
    for id in
        ["eth.src", "ip.ttl", "tcp.seq_raw", "tls.record.length", "http.request.method", "json.value.string"]
    {
        assert!(compared.contains_key(id), "{id} is compared: {compared:?}");
    }
}

/// Compares the places of the fields that both know, and counts them.
fn compare(copied: &Copied, name: &str, compared: &mut BTreeMap<String, usize>) {
    let output = Command::new("tshark")
        .args(["-n", "-T", "jsonraw", "--no-duplicate-keys", "-r"])
        .arg(copied.path(&format!("{name}.pcap")))
        .env("HOME", copied.folder())
        .output()
        .expect("tshark starts");
    let packets: Vec<Value> = serde_json::from_slice(&output.stdout).expect("tshark prints JSON");
    for frame in chosen(packets.len()) {
        let explained = explain(copied, name, frame);
        let mut theirs: BTreeMap<String, Vec<(u64, u64)>> = BTreeMap::new();
        places(&packets[frame as usize - 1]["_source"]["layers"], &mut theirs);
        // What is in several frames or chunks, tshark shows with the places in what it put together.
        let is_joined = theirs.keys().any(|name| name.starts_with("tcp.segment"));
        let is_dechunked = theirs.contains_key("http.chunk_size");
        let is_content = |id: &str| ["tls.", "http.", "json."].iter().any(|layer| id.starts_with(layer));
        let mut ours: BTreeMap<&str, Vec<(u64, u64)>> = BTreeMap::new();
        for field in fields(&explained) {
            ours.entry(field["id"].as_str().expect("a name")).or_default().push(place(field));
        }
        for (id, ours) in ours {
            let Some(theirs) = theirs.get(id) else { continue };
            // For tshark the length of a chunk is its whole line; for us the digits.
            let starts = |all: &[(u64, u64)]| all.iter().map(|(at, _)| (*at, 1)).collect::<Vec<_>>();
            let (ours, theirs) = match id {
                "http.chunk_size" => (starts(&ours), starts(theirs)),
                _ => (ours, theirs.clone()),
            };
            let is_elsewhere = is_content(id) && is_joined || id.starts_with("json.") && is_dechunked;
            if OTHERWISE.contains(&id) || is_elsewhere {
                continue;
            }
            let is_in =
                |some: &[(u64, u64)], all: &[(u64, u64)]| some.iter().all(|place| all.contains(place));
            // A record that goes on is not shown at all.
            let agree = is_in(&theirs, &ours) && (is_content(id) || is_in(&ours, &theirs));
            assert!(agree, "{name} {frame}: {id} at {ours:?}, tshark: {theirs:?}");
            *compared.entry(id.to_owned()).or_default() += ours.len();
        }
    }
}

/// A WebSocket frame of a client, masked as it must be.
fn masked(opcode: u8, payload: &[u8]) -> Vec<u8> {
    let key = [0x37, 0xfa, 0x21, 0x3d];
    let body = payload.iter().zip(key.iter().cycle()).map(|(byte, key)| byte ^ key);
    [opcode, 0x80 | payload.len() as u8].into_iter().chain(key).chain(body).collect()
}

/// A folder with two captures: a chunked answer, and messages of WebSocket.
fn chunked_and_websocket() -> Copied {
    let copied = Copied::empty();
    let settings = || {
        Settings::new(
            "10.0.0.1:40000".parse().expect("an address"),
            "10.0.0.2:80".parse().expect("an address"),
        )
    };
    let write = |name: &str, sent: &[(Side, &[u8])]| {
        let frames = conversation(settings(), sent).into_iter();
        let records: Vec<_> =
            frames.map(|bytes| Record { at: 1, original_len: bytes.len() as u32, bytes }).collect();
        copied.write_records(name, craft::link_type::ETHERNET, &records);
    };
    let answer = "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n\
                  9\r\n{\"text\":\"\r\nb;a=b\r\none and two\r\n2\r\n\"}\r\n0\r\n\r\n";
    write(
        "chunked",
        &[(Side::Client, b"GET / HTTP/1.1\r\nHost: a\r\n\r\n"), (Side::Server, answer.as_bytes())],
    );
    let upgrade = "GET / HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
                   Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n";
    let switching = "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
                     Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n\r\n";
    let long = format!("{{\"text\":\"{}\"}}", "a".repeat(200));
    let answer = [&[0x81, 126, 0, long.len() as u8][..], long.as_bytes()].concat();
    write(
        "websocket",
        &[
            (Side::Client, upgrade.as_bytes()),
            (Side::Server, switching.as_bytes()),
            (Side::Client, &masked(0x81, b"{\"text\":\"a question\"}")),
            (Side::Server, &[0x89, 2, b'h', b'i']),
            (Side::Client, &masked(0x8a, b"hi")),
            (Side::Server, &answer),
        ],
    );
    copied
}

#[test]
fn tshark_finds_chunks_and_websocket_frames_at_the_same_places() {
    if Command::new("tshark").arg("--version").output().is_err() {
        return skip("there is no tshark");
    }
    let copied = chunked_and_websocket();
    let mut compared: BTreeMap<String, usize> = BTreeMap::new();
    for name in ["chunked", "websocket"] {
        compare(&copied, name, &mut compared);
    }
    for id in ["http.chunk_size", "http.chunk_boundary"].into_iter().chain(WEBSOCKET) {
        assert!(compared.contains_key(id), "{id} is compared: {compared:?}");
    }
}

/// Fields of WebSocket frames.
const WEBSOCKET: [&str; 7] = [
    "websocket.fin",
    "websocket.rsv",
    "websocket.opcode",
    "websocket.mask",
    "websocket.payload_length",
    "websocket.payload_length_ext_16",
    "websocket.masking_key",
];

#[test]
fn chunks_and_websocket_frames_are_explained_down_to_their_strings() {
    let copied = chunked_and_websocket();
    let explained = |name: &str| {
        let frames = 1..=copied.records(name).len() as u64;
        frames.map(|frame| explain(&copied, name, frame)).collect::<Vec<_>>()
    };
    let values = |name: &str, id: &str| -> Vec<String> {
        let frames = explained(name);
        let fields = frames.iter().flat_map(fields).filter(|field| field["id"] == id);
        fields.map(|field| field["value"].as_str().unwrap_or_default().to_owned()).collect()
    };
    // Its quotation marks and its text are in three chunks.
    assert_eq!(values("chunked", "json.value.string"), ["one and two"; 3]);
    assert_eq!(values("chunked", "http.chunk_size"), ["9", "11", "2", "0"]);
    assert_eq!(values("websocket", "websocket.masked_payload"), ["{\"text\":\"a question\"}", "hi"]);
    assert_eq!(values("websocket", "json.value.string"), ["a".repeat(200)]);
    assert_eq!(values("websocket", "websocket.opcode"), ["1", "9", "10", "1"]);
}

/// The places of all fields, by their names.
fn places(layer: &Value, found: &mut BTreeMap<String, Vec<(u64, u64)>>) {
    match layer {
        Value::Object(members) => {
            for (name, value) in members {
                if let Some(name) = name.strip_suffix("_raw") {
                    raw(name, value, found);
                }
                places(value, found);
            }
        }
        Value::Array(elements) => elements.iter().for_each(|element| places(element, found)),
        _ => {}
    }
}

/// `[hex, offset, length, mask, type]`, or several of these.
fn raw(name: &str, value: &Value, found: &mut BTreeMap<String, Vec<(u64, u64)>>) {
    let Value::Array(elements) = value else { return };
    match (elements.get(1).and_then(Value::as_u64), elements.get(2).and_then(Value::as_u64)) {
        (Some(offset), Some(length)) => found.entry(name.to_owned()).or_default().push((offset, length)),
        _ => elements.iter().for_each(|element| raw(name, element, found)),
    }
}

#[test]
fn a_request_is_explained_down_to_its_strings() {
    let copied = Copied::of(run_lab("relay"));
    let frames = copied.records("http").len() as u64;
    let first = (1..=frames)
        .map(|frame| explain(&copied, "http", frame))
        .find(|explained| fields(explained).iter().any(|field| field["id"] == "http.request.method"));
    let explained = first.expect("a request");
    let path = |path: &str| {
        let field = fields(&explained).iter().find(|field| {
            field["path"] == path && field["id"].as_str().is_some_and(|id| id.starts_with("json.value"))
        });
        field.map_or("", |field| field["value"].as_str().unwrap_or_default())
    };
    assert_eq!(path("$.id"), "call-0001");
    assert_eq!(path("$.arguments.repo"), "demo-repo");
    assert_eq!(path("$.arguments.depth"), "2");
}

#[test]
fn ciphertext_has_its_plaintext_with_the_key_log_alone() {
    let copied = Copied::of(run_lab("relay"));
    let frames = copied.records("https").len() as u64;
    let opened = |copied: &Copied| {
        let explained = (1..=frames).map(|frame| explain(copied, "https", frame));
        let mut plaintexts = explained.filter_map(|explained| {
            let first = explained["plaintexts"].get(0)?["bytes"].as_str()?.to_owned();
            Some(first)
        });
        plaintexts.find(|hex| hex.contains(&hex_of(b"POST /tool")))
    };
    assert!(opened(&copied).is_some());
    copied.remove("https.keys");
    assert_eq!(opened(&copied), None);
}

fn hex_of(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

#[test]
fn a_frame_that_is_not_there_is_an_error() {
    let copied = Copied::of(run_lab("relay"));
    for frame in ["0", "99999"] {
        let mut command = analyze_command();
        command.arg("explain").arg(copied.path("http.pcap")).arg(frame);
        let output = command.output().expect("analyze starts");
        assert_eq!(output.status.code(), Some(2));
        let stderr = String::from_utf8_lossy(&output.stderr);
        assert!(stderr.contains(&format!("there is no frame {frame}")), "{stderr}");
    }
}
