//! Hellos that are not those of the endpoints. Each change keeps the frame's length, and the manifest is updated.

use craft::link_type::ETHERNET;
use e2e::damage::{Copied, Record};
use e2e::run_lab;
use e2e::segment::{payload_at, tcp_at};

/// The addresses and ports of a frame, which the relay writes as IPv4.
fn endpoints(record: &Record) -> (&[u8], &[u8]) {
    let tcp = tcp_at(&record.bytes);
    (&record.bytes[tcp - 8..tcp], &record.bytes[tcp..tcp + 4])
}

/// Changes the first hello of a kind (1 ClientHello, 2 ServerHello), and returns the reasons of the verdict.
fn with_changed_hello(kind: u8, change: impl Fn(&mut [u8])) -> Vec<String> {
    let copied = Copied::of(run_lab("relay"));
    let mut records = copied.records("https");
    let hello = records.iter_mut().find(|record| {
        let payload = &record.bytes[payload_at(&record.bytes)..];
        payload.len() > 9 && payload[0] == 22 && payload[5] == kind
    });
    let hello = hello.expect("a hello");
    let at = payload_at(&hello.bytes);
    change(&mut hello.bytes[at + 9..]);
    copied.write_records("https", ETHERNET, &records);
    copied.update_manifest("https");
    let judged = copied.analyze();
    let reasons = judged.reasons("https").into_iter().map(str::to_owned).collect();
    assert_eq!(judged.verdict("https"), "inconclusive", "{reasons:?}");
    assert_eq!(judged.conclusion(), "inconclusive");
    reasons
}

fn assert_reason(reasons: &[String], cause: &str) {
    assert!(reasons.iter().any(|reason| reason.contains(cause)), "{cause:?} is not among {reasons:#?}");
}

/// Offset of the session id in the body of a hello: behind version, random and length.
const SESSION_ID: usize = 35;

#[test]
fn a_changed_session_id_is_noticed_in_either_hello() {
    for kind in [1, 2] {
        let reasons = with_changed_hello(kind, |hello| hello[SESSION_ID] ^= 1);
        assert_reason(&reasons, "a session id that does not repeat the client's");
    }
}

/// The same change in both hellos breaks no rule: only Finished shows it.
#[test]
fn a_session_id_that_is_changed_in_both_hellos_is_noticed() {
    let copied = Copied::of(run_lab("relay"));
    let mut records = copied.records("https");
    let mut changed = 0;
    for record in &mut records {
        let at = payload_at(&record.bytes);
        if record.bytes.len() > at + 9 && record.bytes[at] == 22 && matches!(record.bytes[at + 5], 1 | 2) {
            record.bytes[at + 9 + SESSION_ID] ^= 1;
            changed += 1;
        }
    }
    assert!(changed >= 2);
    copied.write_records("https", ETHERNET, &records);
    copied.update_manifest("https");
    let judged = copied.analyze();
    assert_eq!(judged.verdict("https"), "inconclusive");
    let reasons: Vec<_> = judged.reasons("https").into_iter().map(str::to_owned).collect();
    assert_reason(&reasons, "a Finished message contradicts it");
}

#[test]
fn a_hello_with_values_without_meaning_is_noticed() {
    // Behind the session id: the length of the cipher suites, then the first of them.
    let reasons = with_changed_hello(1, |hello| {
        let suites = SESSION_ID + usize::from(hello[SESSION_ID - 1]);
        hello[suites + 2..suites + 4].copy_from_slice(b"pw");
    });
    assert_reason(&reasons, "an unknown cipher suite: 0x7077");
    let reasons = with_changed_hello(1, |hello| {
        let suites = SESSION_ID + usize::from(hello[SESSION_ID - 1]);
        let compression = suites + 2 + usize::from(u16::from_be_bytes([hello[suites], hello[suites + 1]]));
        hello[compression + 1] = 0x41;
    });
    assert_reason(&reasons, "a compression method");
}

/// Where a ClientHello says its server name, counted from 0.
struct ServerName {
    /// The frame in which the hello begins. The name may follow in the next frame: rustls orders extensions at random.
    hello: usize,
    frame: usize,
    /// Offset in that frame.
    at: usize,
}

/// The server name of the first ClientHello that has it whole in one frame.
fn server_name(records: &[Record]) -> ServerName {
    let find = |record: &Record| record.bytes.windows(7).position(|window| window == b"agent-b");
    let mut named = records.iter().enumerate().filter_map(|(number, record)| Some((number, find(record)?)));
    let (frame, at) = named.next().expect("a server name");
    let begins = |record: &Record| {
        let payload = &record.bytes[payload_at(&record.bytes)..];
        payload.len() > 5
            && payload[0] == 22
            && payload[5] == 1
            && endpoints(record) == endpoints(&records[frame])
    };
    let hello = records[..=frame].iter().rposition(begins).expect("a ClientHello");
    ServerName { hello, frame, at }
}

/// Short values and keys of the messages, as server names of the same length.
#[test]
fn a_word_of_a_message_as_server_name_is_exposed() {
    for (name, word, is) in [
        (b"libssl0", None, ""),
        (b"libssl.", Some("libssl"), "value"),
        (b"a.depth", Some("depth"), "key"),
        (b"target.", Some("target"), "key"),
    ] {
        let copied = Copied::of(run_lab("relay"));
        let mut records = copied.records("https");
        let ServerName { hello, frame, at } = server_name(&records);
        records[frame].bytes[at..at + 7].copy_from_slice(name);
        copied.write_records("https", ETHERNET, &records);
        copied.update_manifest("https");
        let judged = copied.analyze();
        let found = &judged.capture("https")["tls"]["words_in_handshake"];
        let Some(word) = word else {
            assert_eq!((judged.verdict("https"), found), ("inconclusive", &serde_json::json!([])));
            continue;
        };
        assert_eq!((judged.verdict("https"), judged.conclusion(), judged.status), ("exposed", "refuted", 1));
        assert_eq!((&found[0]["word"], &found[0]["is"]), (&word.into(), &is.into()), "{found}");
        assert_eq!(found[0]["frame"], hello + 1);
    }
}
