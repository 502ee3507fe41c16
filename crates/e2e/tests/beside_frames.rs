//! Strings in the capture file that were never on the wire: in blocks and options of pcapng, and in the header of pcap. The
//! verdict does not depend on them, and the result lists them.

use craft::Endian;
use craft::link_type::ETHERNET;
use craft::pcapng::{COMMENT, IF_TSRESOL, Writer};
use data_encoding::HEXLOWER;
use e2e::damage::{Copied, Judged};
use e2e::run_lab;
use serde_json::{Value, json};

/// `if_description`.
const IF_DESCRIPTION: u16 = 3;
/// A custom block that may be copied, and a type that no standard assigns.
const CUSTOM: u32 = 0x0bad;
const UNKNOWN: u32 = 0x0001_2345;

type Put = fn(&mut Writer<Vec<u8>>, &[u8]);

/// Where a pcapng file holds bytes beside its frames.
const PLACES: [(&str, Put); 6] = [
    ("a custom block", |file, text| {
        file.block(CUSTOM, &[&[0, 0, 0x7e, 0xd9], text].concat()).expect("a vector");
    }),
    ("an unknown block", |file, text| file.block(UNKNOWN, text).expect("a vector")),
    ("a long unknown block", |file, text| {
        file.block(UNKNOWN, &[&vec![0x5a; 700_001], text, &[0x5a; 300_000]].concat()).expect("a vector");
    }),
    ("a name", |file, text| {
        file.name([192, 0, 2, 1], std::str::from_utf8(text).expect("text")).expect("a vector");
    }),
    ("a secret of an unknown kind", |file, text| file.secrets(7, text).expect("a vector")),
    ("a second interface", |file, text| {
        file.interface(ETHERNET, 262_144, &[(IF_TSRESOL, &[9]), (IF_DESCRIPTION, text)]).expect("a vector");
    }),
];

/// The TLS run as pcapng, with `put` in the middle and `comment` at a frame behind it.
fn judged(put: impl Fn(&mut Writer<Vec<u8>>), comment: Option<&[u8]>) -> (Judged, Vec<u8>) {
    let copied = Copied::of(run_lab("relay"));
    let mut file = Writer::new(Vec::new(), Endian::Little).expect("a vector");
    file.interface(ETHERNET, 262_144, &[(IF_TSRESOL, &[9])]).expect("a vector");
    let records = copied.records("https");
    for (number, record) in records.iter().enumerate() {
        let is_middle = number == records.len() / 2;
        if is_middle {
            put(&mut file);
        }
        let options: Vec<_> = comment.filter(|_| is_middle).map(|text| (COMMENT, text)).into_iter().collect();
        file.enhanced(0, record.at, record.original_len, &record.bytes, &options).expect("a vector");
    }
    let file = file.into_inner();
    copied.write("https.pcap", &file);
    copied.update_manifest_with("https", &file, records.len());
    (copied.analyze_only("https.pcap"), file)
}

fn beside(judged: &Judged) -> &Value {
    &judged.capture("https")["beside_frames"]
}

fn offset(file: &[u8], text: &[u8]) -> usize {
    file.windows(text.len()).position(|window| window == text).expect("the text is in the file")
}

#[test]
fn a_string_beside_the_frames_is_listed_and_no_leak() {
    let canary = Copied::of(run_lab("relay")).canary("https");
    let (undamaged, _) = judged(|_| (), None);
    let searched = &undamaged.capture("https")["controls"]["positive"]["bytes_searched"];
    assert_eq!(beside(&undamaged)["found"], json!([]));
    let check = |what: &str, judged: &Judged, file: &[u8], written: &[u8], layers: Value| {
        let capture = judged.capture("https");
        assert_eq!(
            (judged.verdict("https"), judged.status),
            ("sealed", 0),
            "{what}: {:?}",
            judged.reasons("https")
        );
        let beside = beside(judged);
        assert_eq!(beside["found_total"], 1, "{what}: {beside:#}");
        let found = &beside["found"][0];
        assert_eq!((&found["source"], &found["value"]), (&json!("string"), &json!(canary)), "{what}");
        assert_eq!(
            (&found["file_offset"], &found["layers"]),
            (&json!(offset(file, written)), &layers),
            "{what}"
        );
        assert_eq!(&capture["controls"]["positive"]["bytes_searched"], searched, "{what}");
        assert_eq!(judged.string("https", &canary)["level"], "decrypted", "{what}");
    };
    for (what, put) in PLACES {
        let text = canary.as_bytes();
        let (judged, file) = judged(|file| put(file, text), None);
        check(what, &judged, &file, text, json!([]));
    }
    let text = HEXLOWER.encode(canary.as_bytes());
    for text in [canary.as_bytes(), text.as_bytes()] {
        let layers = if text == canary.as_bytes() { json!([]) } else { json!(["hex"]) };
        let (judged, file) = judged(|_| (), Some(text));
        check("a comment at a frame", &judged, &file, text, layers);
    }
}

#[test]
fn a_journal_a_part_of_a_message_and_a_key_log_in_a_block_are_listed() {
    let copied = Copied::of(run_lab("relay"));
    let keys = copied.read("https.keys");
    let (judged, _) =
        judged(|file| file.key_log(&keys).expect("a vector"), Some(b"a comment that says nothing"));
    assert_eq!((judged.verdict("https"), judged.status), ("sealed", 0), "{:?}", judged.reasons("https"));
    let found = beside(&judged)["found"].as_array().expect("an array");
    assert!(found.len() > 3 && found.iter().all(|entry| entry["source"] == "secret"), "{found:?}");

    let journal = copied.read("https.agent-a.jsonl");
    let line = journal.split(|byte| *byte == b'\n').next().expect("a line").to_vec();
    let (judged, _) = self::judged(|file| file.block(UNKNOWN, &line).expect("a vector"), None);
    assert_eq!(judged.verdict("https"), "sealed");
    let canary = copied.canary("https");
    let found = beside(&judged)["found"].as_array().expect("an array");
    assert!(found.iter().any(|entry| entry["value"] == canary.as_str()), "{found:?}");
    assert!(found.iter().all(|entry| entry["source"] == "string"), "{found:?}");

    let bodies = copied.journal("https", "agent-a").into_iter();
    let bodies = bodies.filter_map(|line| serde_json::from_str::<Value>(line["body"].as_str()?).ok());
    let texts = bodies.filter_map(|body| Some(body["arguments"]["text"].as_str()?.to_owned()));
    let longest = texts.max_by_key(String::len).expect("a message with a text").into_bytes();
    let part = longest[longest.len() / 2..][..100].to_vec();
    let (judged, _) = self::judged(|file| file.block(UNKNOWN, &part).expect("a vector"), None);
    let found = beside(&judged)["found"].as_array().expect("an array");
    assert!(found.iter().any(|entry| entry["source"] == "message"), "{found:?}");
}

#[test]
fn the_console_says_that_it_was_not_on_the_wire() {
    let copied = Copied::of(run_lab("relay"));
    let canary = copied.canary("https");
    let mut file = Writer::new(Vec::new(), Endian::Big).expect("a vector");
    file.interface(ETHERNET, 262_144, &[(IF_TSRESOL, &[9]), (COMMENT, canary.as_bytes())]).expect("a vector");
    let records = copied.records("https");
    for record in &records {
        file.enhanced(0, record.at, record.original_len, &record.bytes, &[]).expect("a vector");
    }
    let file = file.into_inner();
    copied.write("https.pcap", &file);
    copied.update_manifest_with("https", &file, records.len());
    let output = e2e::damage::analyze_with(&[&copied.path("https.pcap")], &["--no-output"]);
    let text = String::from_utf8_lossy(&output.stdout);
    assert_eq!(output.status.code(), Some(0), "{text}");
    let expected = format!("\"{canary}\"  file offset {}", offset(&file, canary.as_bytes()));
    assert!(text.contains("In the capture file, not on the wire") && text.contains(&expected), "{text}");
}

/// The header of a pcap file has eight bytes without a use.
#[test]
fn a_short_string_in_the_header_of_a_pcap_file_is_listed() {
    let copied = Copied::of(run_lab("relay"));
    let mut file = copied.read("https.pcap");
    file[8..16].copy_from_slice(b"demo-rep");
    copied.write("https.pcap", &file);
    copied.update_manifest("https");
    let judged = copied.analyze_only("https.pcap");
    assert_eq!((judged.verdict("https"), &beside(&judged)["bytes_searched"]), ("sealed", &json!(8)));
    // Whole files have none.
    let judged = Copied::of(run_lab("relay")).analyze_only("https.pcap");
    assert_eq!(beside(&judged), &Value::Null);
}
