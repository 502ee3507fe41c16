//! What is a doubt in the result, never a silent "not found": a bound of the search that is hit, a part of a frame that
//! could hold anything.

mod support;

use std::io::Write as _;

use craft::conversation::Side;
use craft::frame::{self, Ethernet, Ip, Link, Tcp};
use craft::{Endian, pcapng};
use flate2::Compression;
use flate2::write::GzEncoder;
use serde_json::Value;
use support::{Bench, Line, STARTED_AT, Talk, record, whole};

const CLEAR_RECORDS: &str = "more handshake records in the clear than are remembered";
const LONG_STRINGS: &str = "more long strings under way in one stream than are followed";

const OVERLAPPING: &str = "more strings that overlap each other than are told apart";

/// The one message of a journal.
const SAID: &str = r#"{"text":"a string to be found"}"#;

const TOO_DEEP: &str =
    "1 message(s) of the journals nest deeper than 128 levels: their strings are not known";

/// Places from which a long string is followed in one stream.
const FOLLOWED: usize = 4096;

/// As much of a string as is recognised at once; the rest is compared as it arrives.
const ANCHOR: usize = 32;

fn reasons(body: &str, talk: &Talk) -> Vec<String> {
    let line = Line { agent: "agent-a", event: "sent", at: 1, body };
    Bench::new(&[line]).analyze(&talk.made()).reasons
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
fn a_hello_in_more_records_than_are_remembered() {
    let told = |bytes| {
        let talk = Talk::open().says(Side::Client, &hello_in_records(bytes));
        has(&reasons(SAID, &talk), CLEAR_RECORDS)
    };
    assert!(!told(32));
    assert!(told(33));
}

#[test]
fn a_message_that_nests_deeper_than_is_read() {
    let told = |levels: usize| {
        let body = format!(r#"{}"a string to be found"{}"#, "[".repeat(levels), "]".repeat(levels));
        let head = format!("POST /tool HTTP/1.1\r\nContent-Length: {}\r\n\r\n", body.len());
        let talk = Talk::open().says(Side::Client, &[head.as_bytes(), body.as_bytes()].concat());
        has(&reasons(&body, &talk), TOO_DEEP)
    };
    assert!(!told(128));
    assert!(told(129));
    assert!(told(60_000), "as deep as a body that agent-b takes");
}

#[test]
fn a_message_that_no_journal_names() {
    let told = |requests: &[&str]| {
        let requests = requests
            .iter()
            .map(|body| format!("POST /tool HTTP/1.1\r\nContent-Length: {}\r\n\r\n{body}", body.len()));
        let talk = Talk::open().says(Side::Client, requests.collect::<String>().as_bytes());
        let given = reasons(SAID, &talk);
        given
            .into_iter()
            .filter(|reason| reason.contains("match no line of the journals"))
            .collect::<Vec<_>>()
    };
    assert_eq!(told(&[SAID]), [""; 0]);
    assert_eq!(told(&["", SAID]), [""; 0], "a message without a body says nothing");
    let lost = "{\"text\":\"a string that is in no journal\"}";
    let reason = told(&[SAID, lost, lost]);
    assert_eq!(reason.len(), 1);
    assert!(reason[0].starts_with("2 message(s) with a body"), "{reason:?}");
}

/// A string that overlaps with itself at every byte, longer than can be followed from all of them.
fn long_string() -> String {
    format!("\"{}\"", "a".repeat(2 * FOLLOWED))
}

/// As much of it as can just be followed, and one byte more.
const FITS: usize = FOLLOWED + ANCHOR - 1;

fn answered(headers: &str, body: &[u8]) -> Talk {
    let head = format!("HTTP/1.1 200 OK\r\n{headers}\r\n\r\n");
    let talk = Talk::open().says(Side::Client, b"GET / HTTP/1.1\r\n\r\n");
    talk.says(Side::Server, &[head.as_bytes(), body].concat())
}

#[test]
fn strings_under_way_where_a_segment_ends() {
    let told = |bytes: usize| {
        let talk = Talk::open().says(Side::Client, "a".repeat(bytes).as_bytes());
        has(&reasons(&long_string(), &talk), LONG_STRINGS)
    };
    assert!(told(FITS + 1));
    assert!(!told(FITS));
}

#[test]
fn strings_under_way_where_a_chunk_ends() {
    let chunks = |text: &str| format!("{:x}\r\n{text}\r\n1\r\n.\r\n0\r\n\r\n", text.len());
    let told = |bytes: usize| {
        let text = &"a".repeat(bytes);
        let talk = answered("Transfer-Encoding: chunked", chunks(text).as_bytes());
        has(&reasons(&long_string(), &talk), LONG_STRINGS)
    };
    assert!(told(FITS + 1), "what is behind the chunk border cannot be told from the segment");
    assert!(!told(FITS));
}

#[test]
fn strings_under_way_in_a_coded_body() {
    let told = |bytes: usize| {
        // What is decoded comes in pieces of 64 KiB; the string goes on behind the first.
        let body = ".".repeat((64 << 10) - bytes) + &"a".repeat(bytes) + ".";
        let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
        encoder.write_all(body.as_bytes()).expect("a vector can be written");
        let coded = encoder.finish().expect("a vector can be written");
        let headers = format!("Content-Encoding: gzip\r\nContent-Length: {}", coded.len());
        has(&reasons(&long_string(), &answered(&headers, &coded)), LONG_STRINGS)
    };
    assert!(told(FITS + 1));
    assert!(!told(FITS));
}

#[test]
fn many_strings_with_one_beginning_are_followed_together() {
    let strings: Vec<_> =
        (0..5000).map(|number| format!("\"a beginning that all of them share, {number:06}\"")).collect();
    let body = format!("[{}]", strings.join(","));
    let head = format!("POST /tool HTTP/1.1\r\nContent-Length: {}\r\n\r\n", body.len());
    let talk = Talk::open().says(Side::Client, &[head.as_bytes(), body.as_bytes()].concat());
    let line = Line { agent: "agent-a", event: "sent", at: 1, body: &body };
    let capture = Bench::new(&[line]).analyze(&talk.made());
    assert_eq!((capture.summary.total, capture.summary.absent), (5000, 0));
    assert!(!has(&capture.reasons, LONG_STRINGS) && !has(&capture.reasons, OVERLAPPING));
}

#[test]
fn strings_that_are_beginnings_of_each_other_in_a_run_of_one_letter() {
    let strings: Vec<_> = (40..540).map(|length| format!("\"{}\"", "a".repeat(length))).collect();
    let body = format!("[{}]", strings.join(","));
    let told = |bytes: usize| {
        let talk = Talk::open().says(Side::Client, "a".repeat(bytes).as_bytes());
        has(&reasons(&body, &talk), OVERLAPPING)
    };
    assert!(told(10_000));
    assert!(!told(100));
}

#[test]
fn arp_that_is_not_plain() {
    let told = |change: fn(&mut Vec<u8>)| {
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
            .any(|place| place.reason == "ARP that says more than addresses")
    };
    assert!(!told(|_| {}));
    assert!(!told(|arp| arp.extend([0; 18])));
    assert!(told(|arp| arp.extend(b"secret")));
    assert!(told(|arp| arp[14..].copy_from_slice(b"twenty-eight bytes of a text")));
    // A tag moves the packet back.
    assert!(!told(|arp| drop(arp.splice(12..12, [0x81, 0, 0, 7]))));
    assert!(told(|arp| {
        arp.splice(12..12, [0x81, 0, 0, 7]);
        arp[18..].copy_from_slice(b"twenty-eight bytes of a text");
    }));
}

/// The server acknowledges what the client has sent, and a block besides.
#[test]
fn a_selective_acknowledgment_of_what_was_not_sent() {
    let told = |left: u32, right: u32| {
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
        let mut made = Talk::open().says(Side::Client, &[b'.'; 30]).made();
        made.push(whole(answer));
        let places = Bench::new(&[]).analyze(&made).completeness.unexplained;
        places.iter().any(|place| place.reason == "a selective acknowledgment of what was not sent")
    };
    assert!(!told(20, 30));
    assert!(!told(0, 10));
    assert!(told(20, 31));
    assert!(told(30, 20));
    assert!(told(0x6167_656e, 0x742d_6200));
}

#[test]
fn a_capture_that_says_that_frames_were_dropped() {
    let file = |drops: u64| {
        let mut writer = pcapng::Writer::new(Vec::new(), Endian::Little).expect("a vector can be written");
        writer.interface(craft::link_type::ETHERNET, 0, &[]).expect("a vector can be written");
        for (at, made) in Talk::open().says(Side::Client, b"GET / HTTP/1.1\r\n\r\n").made().iter().enumerate()
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
    let told = |drops| {
        let capture = bench.analyze_file(&file(drops));
        has(&capture.reasons, "the capture itself says that 77 frame(s) were dropped")
    };
    assert!(!told(0));
    assert!(told(77));
}

/// What is in doubt of a run, after `change` to its manifest and its journal.
fn doubts_with(change: impl FnOnce(&mut Value, &mut Value)) -> Vec<String> {
    let head = format!("POST /tool HTTP/1.1\r\nContent-Length: {}\r\n\r\n", SAID.len());
    let talk = Talk::open().says(Side::Client, &[head.as_bytes(), SAID.as_bytes()].concat());
    let line = Line { agent: "agent-a", event: "sent", at: 1, body: SAID };
    Bench::new(&[line]).analyze_run(&talk.made(), change).reasons
}

#[test]
fn a_manifest_that_does_not_fit() {
    const SECOND: u64 = 1_000_000_000;
    assert_eq!(doubts_with(|_, _| {}), [""; 0]);
    type Change = Box<dyn FnOnce(&mut Value, &mut Value)>;
    let cases: [(Change, &str); 6] = [
        (Box::new(|manifest, _| manifest["capture"]["frames"] = Value::Null), "how many frames"),
        (Box::new(|manifest, _| manifest["link_type"] = 113.into()), "link type 113"),
        (
            Box::new(|manifest, _| manifest["started_at_unix_ns"] = (STARTED_AT + 2 * SECOND).into()),
            "another time",
        ),
        (
            Box::new(|manifest, _| manifest["ended_at_unix_ns"] = (STARTED_AT - 2 * SECOND).into()),
            "another time",
        ),
        (Box::new(|_, line| line["run"] = "1".into()), "of run 1"),
        (Box::new(|_, line| line["run"] = Value::Null), "name no run"),
    ];
    for (change, reason) in cases {
        let doubts = doubts_with(change);
        assert!(doubts.len() == 1 && doubts[0].contains(reason), "{reason}: {doubts:?}");
    }
    let apart = doubts_with(|manifest, _| manifest["started_at_unix_ns"] = (STARTED_AT + SECOND).into());
    assert_eq!(apart, [""; 0], "clocks may be a second apart");
}
