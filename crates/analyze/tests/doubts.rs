//! A bound of the search that is reached and a part of a frame that could hold anything lead to a doubt, never to a silent
//! "not found".

mod support;

use std::io::Write as _;

use craft::conversation::Side;
use craft::frame::{self, Ethernet, Ip, Link, Tcp};
use craft::{Endian, pcapng};
use flate2::Compression;
use flate2::write::GzEncoder;
use serde_json::Value;
use support::{Bench, Conversation, Line, STARTED_AT, record, whole};

const CLEAR_RECORDS: &str = "more handshake records in the clear than are remembered";
const LONG_STRINGS: &str = "more long strings begin in one stream than are followed";

const OVERLAPPING: &str = "more overlapping matches in one stream than are reported";

/// The one message of a journal.
const MESSAGE: &str = r#"{"text":"a string to be found"}"#;

const TOO_DEEP: &str =
    "1 message(s) of the journals are nested deeper than 128 levels: their strings are not known";

/// Maximum number of places from which a long string is followed in one stream.
const FOLLOWED: usize = 4096;

/// Length of an anchor, the part of a string that is recognised first; the rest is compared as it arrives.
const ANCHOR: usize = 32;

fn reasons(body: &str, conversation: &Conversation) -> Vec<String> {
    let line = Line { agent: "agent-a", event: "sent", at: 1, body };
    Bench::new(&[line]).analyze(&conversation.made()).reasons
}

fn has(reasons: &[String], reason: &str) -> bool {
    reasons.iter().any(|given| given == reason)
}

/// A ClientHello of `bytes` bytes, each in a record of its own.
fn hello_in_records(bytes: usize) -> Vec<u8> {
    let message = [vec![1, 0, 0, (bytes - 4) as u8], vec![3; bytes - 4]].concat();
    message.chunks(1).flat_map(|byte| record(22, byte)).collect()
}

#[test]
fn hello_in_too_many_records_is_a_doubt() {
    let is_doubted = |bytes| {
        let conversation = Conversation::open().sends(Side::Client, &hello_in_records(bytes));
        has(&reasons(MESSAGE, &conversation), CLEAR_RECORDS)
    };
    assert!(!is_doubted(32));
    assert!(is_doubted(33));
}

#[test]
fn message_nested_too_deep_is_a_doubt() {
    let is_doubted = |levels: usize| {
        let body = format!(r#"{}"a string to be found"{}"#, "[".repeat(levels), "]".repeat(levels));
        let head = format!("POST /tool HTTP/1.1\r\nContent-Length: {}\r\n\r\n", body.len());
        let conversation =
            Conversation::open().sends(Side::Client, &[head.as_bytes(), body.as_bytes()].concat());
        has(&reasons(&body, &conversation), TOO_DEEP)
    };
    assert!(!is_doubted(128));
    assert!(is_doubted(129));
    assert!(is_doubted(60_000), "as deep as a body that agent-b accepts");
}

#[test]
fn message_without_a_journal_line_is_a_doubt() {
    let doubts = |requests: &[&str]| {
        let requests = requests
            .iter()
            .map(|body| format!("POST /tool HTTP/1.1\r\nContent-Length: {}\r\n\r\n{body}", body.len()));
        let conversation = Conversation::open().sends(Side::Client, requests.collect::<String>().as_bytes());
        let given = reasons(MESSAGE, &conversation);
        given
            .into_iter()
            .filter(|reason| reason.contains("match no line of the journals"))
            .collect::<Vec<_>>()
    };
    assert_eq!(doubts(&[MESSAGE]), [""; 0]);
    assert_eq!(doubts(&["", MESSAGE]), [""; 0], "a message without a body contains no string");
    let lost = "{\"text\":\"a string that is in no journal\"}";
    let reason = doubts(&[MESSAGE, lost, lost]);
    assert_eq!(reason.len(), 1);
    assert!(reason[0].starts_with("2 message(s) with a body"), "{reason:?}");
}

/// A string that overlaps with itself at every byte, longer than can be followed from all of them.
fn long_string() -> String {
    format!("\"{}\"", "a".repeat(2 * FOLLOWED))
}

/// Longest part of it that can be followed.
const FITS: usize = FOLLOWED + ANCHOR - 1;

fn answered(headers: &str, body: &[u8]) -> Conversation {
    let head = format!("HTTP/1.1 200 OK\r\n{headers}\r\n\r\n");
    let conversation = Conversation::open().sends(Side::Client, b"GET / HTTP/1.1\r\n\r\n");
    conversation.sends(Side::Server, &[head.as_bytes(), body].concat())
}

#[test]
fn too_many_partial_strings_at_the_end_of_a_segment_are_a_doubt() {
    let is_doubted = |bytes: usize| {
        let conversation = Conversation::open().sends(Side::Client, "a".repeat(bytes).as_bytes());
        has(&reasons(&long_string(), &conversation), LONG_STRINGS)
    };
    assert!(is_doubted(FITS + 1));
    assert!(!is_doubted(FITS));
}

#[test]
fn too_many_partial_strings_at_the_end_of_a_chunk_are_a_doubt() {
    let chunks = |text: &str| format!("{:x}\r\n{text}\r\n1\r\n.\r\n0\r\n\r\n", text.len());
    let is_doubted = |bytes: usize| {
        let text = &"a".repeat(bytes);
        let conversation = answered("Transfer-Encoding: chunked", chunks(text).as_bytes());
        has(&reasons(&long_string(), &conversation), LONG_STRINGS)
    };
    assert!(is_doubted(FITS + 1), "a string can continue behind the chunk border");
    assert!(!is_doubted(FITS));
}

#[test]
fn too_many_partial_strings_in_a_coded_body_are_a_doubt() {
    let is_doubted = |bytes: usize| {
        // The decoder's output comes in pieces of 64 KiB; the string continues behind the first.
        let body = ".".repeat((64 << 10) - bytes) + &"a".repeat(bytes) + ".";
        let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
        encoder.write_all(body.as_bytes()).expect("a vector can be written");
        let coded = encoder.finish().expect("a vector can be written");
        let headers = format!("Content-Encoding: gzip\r\nContent-Length: {}", coded.len());
        has(&reasons(&long_string(), &answered(&headers, &coded)), LONG_STRINGS)
    };
    assert!(is_doubted(FITS + 1));
    assert!(!is_doubted(FITS));
}

#[test]
fn follows_many_strings_with_one_beginning_together() {
    let strings: Vec<_> =
        (0..5000).map(|number| format!("\"a beginning that all of them share, {number:06}\"")).collect();
    let body = format!("[{}]", strings.join(","));
    let head = format!("POST /tool HTTP/1.1\r\nContent-Length: {}\r\n\r\n", body.len());
    let conversation = Conversation::open().sends(Side::Client, &[head.as_bytes(), body.as_bytes()].concat());
    let line = Line { agent: "agent-a", event: "sent", at: 1, body: &body };
    let capture = Bench::new(&[line]).analyze(&conversation.made());
    assert_eq!((capture.summary.total, capture.summary.absent), (5000, 0));
    assert!(!has(&capture.reasons, LONG_STRINGS) && !has(&capture.reasons, OVERLAPPING));
}

#[test]
fn too_many_overlapping_matches_are_a_doubt() {
    let strings: Vec<_> = (40..540).map(|length| format!("\"{}\"", "a".repeat(length))).collect();
    let body = format!("[{}]", strings.join(","));
    let is_doubted = |bytes: usize| {
        let conversation = Conversation::open().sends(Side::Client, "a".repeat(bytes).as_bytes());
        has(&reasons(&body, &conversation), OVERLAPPING)
    };
    assert!(is_doubted(10_000));
    assert!(!is_doubted(100));
}

#[test]
fn arp_with_other_data_is_unexplained() {
    let is_doubted = |change: fn(&mut Vec<u8>)| {
        let mut arp = Vec::new();
        let ethernet = Ethernet::default();
        let source = ethernet.source;
        frame::arp(&mut arp, &Link::Ethernet(ethernet), source, [10, 0, 0, 1].into(), [10, 0, 0, 2].into());
        change(&mut arp);
        let capture = Bench::new(&[]).analyze(&[whole(arp)]);
        assert_eq!(capture.completeness.frames_control, 1);
        capture
            .completeness
            .unexplained
            .iter()
            .any(|place| place.reason == "an ARP packet that contains more than addresses")
    };
    assert!(!is_doubted(|_| {}));
    assert!(!is_doubted(|arp| arp.extend([0; 18])));
    assert!(is_doubted(|arp| arp.extend(b"secret")));
    assert!(is_doubted(|arp| arp[14..].copy_from_slice(b"twenty-eight bytes of a text")));
    // A VLAN tag moves the packet by four bytes.
    assert!(!is_doubted(|arp| drop(arp.splice(12..12, [0x81, 0, 0, 7]))));
    assert!(is_doubted(|arp| {
        arp.splice(12..12, [0x81, 0, 0, 7]);
        arp[18..].copy_from_slice(b"twenty-eight bytes of a text");
    }));
}

/// The server acknowledges what the client has sent, and additionally a block.
#[test]
fn selective_acknowledgment_of_unsent_bytes_is_unexplained() {
    let is_doubted = |left: u32, right: u32| {
        let first_byte = (u32::MAX - 3).wrapping_add(1);
        let number = |offset: u32| first_byte.wrapping_add(offset).to_be_bytes();
        let options = [&[1, 1, 5, 10][..], &number(left), &number(right)].concat();
        let tcp = Tcp {
            source_port: 8000,
            destination_port: 40_000,
            sequence: 8,
            acknowledgment: first_byte.wrapping_add(10),
            options: &options,
            ..Tcp::default()
        };
        let ip = Ip::between([10, 0, 0, 2].into(), [10, 0, 0, 1].into()).expect("one IP version");
        let mut answer = Vec::new();
        frame::tcp(&mut answer, &Link::default(), &ip, &tcp, b"");
        let mut made = Conversation::open().sends(Side::Client, &[b'.'; 30]).made();
        made.push(whole(answer));
        let places = Bench::new(&[]).analyze(&made).completeness.unexplained;
        places.iter().any(|place| place.reason == "a selective acknowledgment of bytes that were not sent")
    };
    assert!(!is_doubted(20, 30));
    assert!(!is_doubted(0, 10));
    assert!(is_doubted(20, 31));
    assert!(is_doubted(30, 20));
    assert!(is_doubted(0x6167_656e, 0x742d_6200));
}

#[test]
fn dropped_frames_in_the_capture_file_are_a_doubt() {
    let file = |drops: u64| {
        let mut writer = pcapng::Writer::new(Vec::new(), Endian::Little).expect("a vector can be written");
        writer.interface(craft::link_type::ETHERNET, 0, &[]).expect("a vector can be written");
        for (at, made) in
            Conversation::open().sends(Side::Client, b"GET / HTTP/1.1\r\n\r\n").made().iter().enumerate()
        {
            let options: &[pcapng::BlockOption<'_>] =
                if at == 2 { &[(4, &drops.to_le_bytes())] } else { &[] };
            writer
                .enhanced(0, at as u64, made.original_len, &made.bytes, options)
                .expect("a vector can be written");
        }
        writer.into_inner()
    };
    let bench = Bench::new(&[]);
    let is_doubted = |drops| {
        let capture = bench.analyze_file(&file(drops));
        has(&capture.reasons, "the capture file itself counts 77 dropped frame(s)")
    };
    assert!(!is_doubted(0));
    assert!(is_doubted(77));
}

/// The doubts about a run, after `change` to its manifest and its journal.
fn doubts_with(change: impl FnOnce(&mut Value, &mut Value)) -> Vec<String> {
    let length = MESSAGE.len();
    let head =
        format!("POST /tool HTTP/1.1\r\nContent-Type: application/json\r\nContent-Length: {length}\r\n\r\n");
    let conversation = Conversation::open()
        .sends(Side::Client, &[head.as_bytes(), MESSAGE.as_bytes()].concat())
        .closes(Side::Client)
        .closes(Side::Server);
    let line = Line { agent: "agent-a", event: "sent", at: STARTED_AT, body: MESSAGE };
    Bench::new(&[line]).analyze_run(&conversation.made(), change).reasons
}

#[test]
fn manifest_that_disagrees_with_the_capture_is_a_doubt() {
    const SECOND: u64 = 1_000_000_000;
    /// Later than the first frame, and earlier than the last.
    const MARGIN: u64 = 2_000;
    assert_eq!(doubts_with(|_, _| {}), [""; 0]);
    type Change = Box<dyn FnOnce(&mut Value, &mut Value)>;
    let cases: [(Change, &str); 39] = [
        (Box::new(|manifest, _| manifest["capture"]["frames"] = Value::Null), "how many frames"),
        (Box::new(|manifest, _| manifest["link_type"] = 113.into()), "link type 113"),
        (
            Box::new(|manifest, line| {
                manifest["started_at_unix_ns"] = (STARTED_AT + 2 * SECOND).into();
                manifest["ended_at_unix_ns"] = (STARTED_AT + 2 * SECOND).into();
                line["at_unix_ns"] = (STARTED_AT + SECOND).into();
            }),
            "frames lie outside the time",
        ),
        (
            Box::new(|manifest, line| {
                manifest["started_at_unix_ns"] = (STARTED_AT - 2 * SECOND + MARGIN).into();
                manifest["ended_at_unix_ns"] = (STARTED_AT - 2 * SECOND + MARGIN).into();
                line["at_unix_ns"] = (STARTED_AT - SECOND + MARGIN).into();
            }),
            "frames lie outside the time",
        ),
        (Box::new(|_, line| line["run"] = "1".into()), "to run 1"),
        (Box::new(|_, line| line["run"] = Value::Null), "name no run"),
        (
            Box::new(|_, line| line["at_unix_ns"] = (STARTED_AT + SECOND + MARGIN).into()),
            "2 line(s) of the journals lie outside the time that the manifest states",
        ),
        (Box::new(|manifest, _| manifest["capture"]["bytes"] = 7.into()), "states capture.bytes \"7\""),
        (Box::new(|manifest, _| manifest["capture"]["truncated_frames"] = 7.into()), "truncated_frames"),
        (Box::new(|manifest, _| manifest["capture"]["snaplen"] = 7.into()), "capture.snaplen"),
        (Box::new(|manifest, _| manifest["capture"]["filter"] = "tcp port 7".into()), "capture.filter"),
        (Box::new(|manifest, _| manifest["vantage"] = "elsewhere".into()), "vantage"),
        (Box::new(|manifest, _| manifest["variant"]["scheme"] = "https".into()), "no connection is TLS"),
        (Box::new(|manifest, _| manifest["variant"]["scheme"] = "gopher".into()), "variant.scheme"),
        (
            Box::new(|manifest, _| manifest["variant"]["expected_verdict"] = "sealed".into()),
            "variant.expected_verdict",
        ),
        (Box::new(|manifest, _| manifest["decoys"][0] = "not a canary".into()), "the form of a canary"),
        (Box::new(|manifest, _| manifest["decoys"][0] = "F".repeat(32).into()), "the form of a canary"),
        (
            Box::new(|manifest, _| {
                let decoys = manifest["decoys"].as_array_mut().expect("decoys");
                decoys.push(decoys[0].clone());
            }),
            "are distinct",
        ),
        (
            Box::new(|manifest, _| drop(manifest["decoys"].as_array_mut().expect("decoys").pop())),
            "a capturer generates 8",
        ),
        (Box::new(|manifest, _| manifest["name"] = "b".into()), "states name \"b\""),
        (Box::new(|manifest, _| manifest["variant"]["http_version"] = "1.0".into()), "a message is HTTP/1.1"),
        (Box::new(|manifest, _| manifest["variant"]["tls_versions"] = vec!["1.3"].into()), "there is no TLS"),
        (
            Box::new(|manifest, _| manifest["variant"]["port"] = 8443.into()),
            "no connection goes to this port",
        ),
        (Box::new(|manifest, _| manifest["backend"] = "netns".into()), "states backend"),
        (Box::new(|manifest, _| manifest["backend"] = "cloud".into()), "states backend"),
        (Box::new(|manifest, _| manifest["interface"] = "eth0".into()), "a relay has no interface"),
        (
            Box::new(|manifest, _| manifest["capture"]["kernel_drops"] = 0.into()),
            "a relay has no kernel drops",
        ),
        (
            Box::new(|manifest, _| manifest["capture"]["snaplen"] = 300_000.into()),
            "file's header states 262144",
        ),
        (
            Box::new(|manifest, _| manifest["capture"]["unfinished_checksums"] = 1.into()),
            "unfinished_checksums",
        ),
        (
            Box::new(|manifest, _| manifest["capture"]["segmentation_offload_frames"] = 1.into()),
            "segmentation_offload_frames",
        ),
        (
            Box::new(|manifest, _| manifest["ended_at_unix_ns"] = (STARTED_AT + 400 * SECOND).into()),
            "states ended_at_unix_ns",
        ),
        (Box::new(|manifest, _| manifest["drained"] = false.into()), "ended in silence"),
        (Box::new(|manifest, _| manifest["drained"] = Value::Null), "ended in silence"),
        (
            Box::new(|manifest, _| drop(manifest.as_object_mut().expect("an object").remove("drained"))),
            "the manifest lacks drained",
        ),
        (Box::new(|_, line| line["remote"] = "10.0.0.2:8001".into()), "name another connection"),
        (Box::new(|_, line| line["local"] = "10.0.0.9:40000".into()), "name another connection"),
        (Box::new(|_, line| line["remote"] = "agent-b".into()), "name another connection"),
        (Box::new(|_, line| line["content_type"] = "text/plain".into()), "another content type"),
        (
            Box::new(|manifest, line| {
                manifest["ended_at_unix_ns"] = (STARTED_AT + 3 * SECOND).into();
                line["at_unix_ns"] = (STARTED_AT + 2 * SECOND).into();
            }),
            "2 line(s) of the journals lie outside the time of the connection",
        ),
    ];
    for (change, reason) in cases {
        let doubts = doubts_with(change);
        assert!(doubts.len() == 1 && doubts[0].contains(reason), "{reason}: {doubts:?}");
    }
    let apart = doubts_with(|manifest, _| manifest["started_at_unix_ns"] = (STARTED_AT + SECOND).into());
    assert_eq!(apart, [""; 0], "clocks may be a second apart");
}
