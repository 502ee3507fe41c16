//! Parts of messages, and the key log itself, in the clear beside an honest TLS run. Each must make the capture "exposed",
//! whatever else is wrong with it.

use craft::frame::{Ip, Ipv4, Link, Udp};
use craft::link_type::ETHERNET;
use data_encoding::{BASE32, BASE64, BASE64URL_NOPAD, HEXLOWER, HEXUPPER};
use e2e::capture::Frame;
use e2e::damage::{Copied, Judged, Record, Side, conversation, insert, sha256, strangers};
use e2e::run_lab;
use serde_json::{Value, json};

/// Any run of so many bytes of a message is found.
const GUARANTEED: usize = 47;

/// Plants these bytes in the middle of the TLS capture, in a connection of strangers.
fn planted_in(copied: &Copied, bytes: &[u8]) -> Judged {
    planted_frames(copied, conversation(strangers(), &[(Side::Client, bytes)]))
}

fn planted_frames(copied: &Copied, frames: Vec<Vec<u8>>) -> Judged {
    let mut records = copied.records("https");
    let at = records.len() / 2;
    insert(&mut records, at, frames);
    copied.write_records("https", ETHERNET, &records);
    copied.update_manifest("https");
    copied.analyze_only("https.pcap")
}

fn planted(bytes: &[u8]) -> Judged {
    planted_in(&Copied::of(run_lab("relay")), bytes)
}

/// The only entry of the parts, in a capture that is exposed by it.
fn only_part(judged: &Judged) -> &Value {
    let capture = judged.capture("https");
    assert_eq!(judged.verdict("https"), "exposed", "{}", capture["reasons"]);
    let parts = capture["fragments"].as_array().unwrap();
    assert_eq!(parts.len(), 1, "{parts:#?}");
    &parts[0]
}

/// The body of a request of the TLS run, with its id.
fn body(copied: &Copied) -> (String, String) {
    let line = copied.journal("https", "agent-a").swap_remove(4);
    (line["body"].as_str().unwrap().to_owned(), line["message_id"].as_str().unwrap().to_owned())
}

/// A run in the middle of a body that contains no whole string that is searched.
fn middle_of_a_string(body: &str) -> &str {
    let from = body.find(r#""text":""#).map_or(body.len() / 2, |at| at + 12);
    &body[from..from + GUARANTEED]
}

#[test]
fn a_part_of_a_message_is_found_in_every_form() {
    let copied = Copied::of(run_lab("relay"));
    let (body, id) = body(&copied);
    // One byte more at each end, because an alignment can cost it.
    let from = body.len() / 2;
    let run = &body.as_bytes()[from..from + GUARANTEED + 2];
    let text = std::str::from_utf8(run).unwrap();
    let base64 = BASE64.encode(run);
    let broken: Vec<&[u8]> = base64.as_bytes().chunks(11).collect();
    let percent: String = run.iter().map(|byte| format!("%{byte:02x}")).collect();
    let utf16 = |order: fn(u16) -> [u8; 2]| text.encode_utf16().flat_map(order).collect::<Vec<u8>>();
    let forms = [
        ("plain", run.to_vec()),
        ("base64", BASE64.encode(run).into_bytes()),
        ("base64 in lines", broken.join(&b"\r\n"[..])),
        ("base64url", BASE64URL_NOPAD.encode(run).into_bytes()),
        ("base32", BASE32.encode(run).into_bytes()),
        ("base32 in lower case", BASE32.encode(run).to_lowercase().into_bytes()),
        ("hex", HEXLOWER.encode(run).into_bytes()),
        ("hex in upper case", HEXUPPER.encode(run).into_bytes()),
        ("percent", percent.into_bytes()),
        ("escaped JSON", serde_json::to_vec(text).unwrap()),
        ("JSON in JSON", serde_json::to_vec(&serde_json::to_string(text).unwrap()).unwrap()),
        ("UTF-16LE", utf16(u16::to_le_bytes)),
        ("UTF-16BE", utf16(u16::to_be_bytes)),
    ];
    for (name, form) in forms {
        let judged = planted_in(&copied.copy(), &[b"\x01..", &form[..], b"\x01"].concat());
        // Whole strings of the run may be readable, too.
        assert_eq!(judged.verdict("https"), "exposed", "{name}");
        let parts = judged.capture("https")["fragments"].as_array().unwrap();
        let summary = &judged.capture("https")["summary"];
        let strings = ["verbatim", "reassembled", "decoded"].map(|level| summary[level].as_u64().unwrap());
        if strings == [0; 3] {
            assert!(parts.iter().any(|part| part["message_id"] == json!(id)), "{name}: {parts:#?}");
        }
    }
}

#[test]
fn a_part_of_one_long_string_is_found() {
    let copied = Copied::of(run_lab("relay"));
    // Without anything that repeats, so that only this string has the part.
    let long: String = (0..16_384).map(|number| format!("{number:04x}")).collect();
    for agent in ["agent-a", "agent-b"] {
        let mut lines = copied.journal("https", agent);
        let line = &mut lines[0];
        let mut body: Value = serde_json::from_str(line["body"].as_str().unwrap()).unwrap();
        body["long"] = json!(long);
        line["body_sha256"] = json!(sha256(body.to_string().as_bytes()));
        line["body"] = json!(body.to_string());
        let text: String = lines.iter().map(|line| format!("{line}\n")).collect();
        copied.write(&format!("https.{agent}.jsonl"), text);
    }
    let judged = planted_in(&copied, &long.as_bytes()[3_000..63_000]);
    let part = only_part(&judged);
    assert_eq!((&part["source"], &part["longest_bytes"]), (&json!("message"), &json!(60_000)), "{part:#}");
}

#[test]
fn a_message_of_short_strings_is_found() {
    for body in [
        r#"{"n":["ab","cd","ef","gh","ij","kl","mn","op","qr","st"]}"#,
        r#"["a","b","c"]"#,
        r#"[1,22,333,4444,[5,6],{"7":8}]"#,
    ] {
        let copied = Copied::of(run_lab("relay"));
        for agent in ["agent-a", "agent-b"] {
            let mut lines = copied.journal("https", agent);
            lines[0]["body"] = json!(body);
            lines[0]["body_sha256"] = json!(sha256(body.as_bytes()));
            let text: String = lines.iter().map(|line| format!("{line}\n")).collect();
            copied.write(&format!("https.{agent}.jsonl"), text);
        }
        let judged = planted_in(&copied, body.as_bytes());
        assert_eq!(judged.verdict("https"), "exposed", "{body}");
        let strings = judged.capture("https")["strings"].as_array().unwrap();
        assert!(strings.iter().all(|string| string["searched_as"] != "message"), "{body}");
    }
}

#[test]
fn the_key_log_in_the_clear_exposes_everything() {
    let copied = Copied::of(run_lab("relay"));
    let keys = String::from_utf8(copied.read("https.keys")).unwrap();
    let judged = planted_in(&copied, keys.as_bytes());
    assert_eq!(judged.verdict("https"), "exposed");
    let parts = judged.capture("https")["fragments"].as_array().unwrap();
    let labels: Vec<_> = parts.iter().map(|part| part["label"].as_str().unwrap()).collect();
    for label in ["CLIENT_TRAFFIC_SECRET_0", "SERVER_TRAFFIC_SECRET_0", "CLIENT_HANDSHAKE_TRAFFIC_SECRET"] {
        assert!(labels.contains(&label), "{label} is not among {labels:?}");
    }
}

#[test]
fn one_secret_is_found_in_every_form_and_is_not_shown() {
    let copied = Copied::of(run_lab("relay"));
    let keys = String::from_utf8(copied.read("https.keys")).unwrap();
    let line = keys.lines().find(|line| line.starts_with("SERVER_TRAFFIC_SECRET_0")).unwrap();
    let [label, random, secret] = line.split(' ').collect::<Vec<_>>()[..] else { panic!("{line}") };
    let raw = HEXLOWER.decode(secret.as_bytes()).unwrap();
    for form in [
        raw.clone(),
        secret.as_bytes().to_vec(),
        secret.to_uppercase().into_bytes(),
        BASE64.encode(&raw).into_bytes(),
        BASE64URL_NOPAD.encode(&raw).into_bytes(),
        BASE32.encode(&raw).into_bytes(),
    ] {
        let judged = planted_in(&copied.copy(), &[&b"key="[..], &form].concat());
        let part = only_part(&judged);
        assert_eq!((&part["source"], &part["label"]), (&json!("secret"), &json!(label)));
        assert_eq!(part["client_random"], json!(random));
        assert_eq!(part["locations"][0]["excerpt"], Value::Null);
    }
}

#[test]
fn a_part_is_found_outside_of_any_stream() {
    let copied = Copied::of(run_lab("relay"));
    let (body, _) = body(&copied);
    let run = middle_of_a_string(&body);
    let mut datagram = Vec::new();
    let ip = Ip::V4(Ipv4::between([192, 0, 2, 1].into(), [192, 0, 2, 2].into()));
    craft::frame::udp(&mut datagram, &Link::default(), &ip, &Udp::default(), run.as_bytes());
    let judged = planted_frames(&copied, vec![datagram]);
    assert_eq!(judged.verdict("https"), "exposed");
}

#[test]
fn what_is_no_part_of_a_message_is_not_found() {
    let judged = planted(&[b'x'; 4000]);
    assert_eq!(judged.verdict("https"), "inconclusive");
    assert_eq!(judged.capture("https")["fragments"], json!([]));
}

/// A run of a message inside the TLS connection itself, where no record authenticates any more.
#[test]
fn a_part_inside_a_record_that_does_not_authenticate_is_found() {
    /// Offset in the payload of a frame at which the part begins.
    const AT: usize = 100;
    let lab = Copied::of(run_lab("relay"));
    let (body, _) = body(&lab);
    let part = middle_of_a_string(&body).as_bytes();
    let frames = lab.frames("https");
    // A record of application data that begins with its frame. The first ones are the handshake.
    let begins = |number: &usize| {
        let payload = &frames[*number].payload;
        payload.len() > AT + GUARANTEED && payload.starts_with(&[0x17, 3, 3])
    };
    let of_record = |number: usize| {
        usize::from(u16::from_be_bytes([frames[number].payload[3], frames[number].payload[4]]))
    };
    let numbers: Vec<usize> = (0..frames.len()).filter(begins).collect();
    let last = *numbers.last().expect("records");
    let long = *numbers.iter().rev().find(|number| of_record(**number) > 2 * 1460).expect("a long record");
    let continuation = (long + 1..frames.len())
        .find(|number| frames[*number].from == frames[long].from && !frames[*number].payload.is_empty())
        .expect("the record goes on");
    for kind in ["in a changed record", "in a record without end", "in a record with a gap"] {
        let copied = lab.copy();
        let mut records = copied.records("https");
        match kind {
            "in a record without end" => {
                write(&mut records, &frames, last, 3, &[0x40, 0]);
                write(&mut records, &frames, last, AT, part);
            }
            "in a record with a gap" => {
                write(&mut records, &frames, long, AT, part);
                records.remove(continuation);
            }
            _ => write(&mut records, &frames, last, AT, part),
        }
        copied.write_records("https", ETHERNET, &records);
        copied.update_manifest("https");
        let judged = copied.analyze_only("https.pcap");
        assert_eq!(judged.verdict("https"), "exposed", "{kind}: {:?}", judged.reasons("https"));
    }
}

/// Overwrites bytes of a frame's TCP payload.
fn write(records: &mut [Record], frames: &[Frame], number: usize, at: usize, bytes: &[u8]) {
    let payload = records[number].bytes.len() - frames[number].payload.len();
    records[number].bytes[payload + at..payload + at + bytes.len()].copy_from_slice(bytes);
}
