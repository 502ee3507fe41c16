//! The messages of a growing capture come as soon as they are complete, those inside of TLS as soon as the key log has their
//! secrets.

#[path = "../../dissect/tests/tls_support/peer.rs"]
#[expect(dead_code, reason = "the tests of dissect use the rest")]
mod peer;
mod support;
#[path = "../../dissect/tests/tls_support/mod.rs"]
mod tls_support;

use std::fs;
use std::io::Write as _;

use analyze::exchange::Way;
use analyze::follow::{Completed, Kind, Messages};
use craft::conversation::{Connection, Frames, Settings, Side};
use craft::pcap;
use dissect::flow::Direction;
use peer::Setup;
use support::{Conversation, Made};

const REQUEST: &[u8] =
    b"POST /tool HTTP/1.1\r\nContent-Type: application/json\r\nContent-Length: 2\r\n\r\n{}";
const ANSWER: &[u8] = b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nnull";

fn file(frames: &[Made]) -> Vec<u8> {
    let mut writer = pcap::Writer::new(Vec::new(), craft::link_type::ETHERNET, pcap::FULL_SNAPLEN)
        .expect("a vector can be written");
    for (at, frame) in (1..).zip(frames) {
        writer.write(at * 1_000_000, frame.original_len, &frame.bytes).expect("a vector can be written");
    }
    writer.into_inner()
}

fn plain() -> Vec<u8> {
    file(&Conversation::open().sends(Side::Client, REQUEST).sends(Side::Server, ANSWER).made())
}

/// A capture of a TLS connection, and its key log.
fn encrypted() -> (Vec<u8>, String) {
    let configs = Setup::usual().configs();
    let mut connection = configs.connect();
    connection.settle();
    connection.client_sends(REQUEST).server_sends(ANSWER);
    let wire = connection.close();
    let settings = Settings::new(
        "10.0.0.1:40000".parse().expect("an address"),
        "10.0.0.2:8443".parse().expect("an address"),
    );
    let mut connection = Connection::new(settings).expect("one IP version");
    let mut frames = Frames::default();
    connection.open(0, &mut frames).expect("a fresh connection");
    for (direction, bytes) in &wire.sent {
        let side = match direction {
            Direction::ClientToServer => Side::Client,
            Direction::ServerToClient => Side::Server,
        };
        connection.send(side, bytes, 0, &mut frames).expect("an open connection");
    }
    let made: Vec<_> = frames.iter().map(|frame| support::whole(frame.bytes.to_vec())).collect();
    (file(&made), wire.keys)
}

/// The names of what was completed.
fn names(completed: &[Completed]) -> Vec<&str> {
    completed.iter().map(|completed| completed.what.split(" TLS_").next().unwrap_or_default()).collect()
}

const HELLOS: [&str; 2] = ["ClientHello for agent-b offers h2, http/1.1", "ServerHello TLS 1.3"];
const MESSAGES: [&str; 2] = ["POST /tool", "status 200"];

#[test]
fn a_message_comes_with_the_frame_that_completes_it() {
    for size in [1, 100, 100_000] {
        let mut messages = Messages::of_pieces(None);
        let (mut seen, mut frames) = (Vec::new(), 0);
        for piece in plain().chunks(size) {
            frames += messages.push(piece, &mut |completed| seen.push(completed.clone())).expect("a capture");
            assert!(seen.iter().all(|completed| completed.frame <= frames));
        }
        assert_eq!((frames, names(&seen)), (5, MESSAGES.to_vec()));
        let expected = Completed {
            frame: 4,
            ms: 3.0,
            stream: Some(0),
            direction: Some(Way::Out),
            what: "POST /tool".to_owned(),
            content_type: "application/json".to_owned(),
            bytes: 2,
            needs_keys: false,
            kind: Kind::Message,
        };
        assert_eq!(seen[0], expected);
        assert_eq!((seen[1].direction, seen[1].frame, seen[1].bytes), (Some(Way::In), 5, 4));
        messages.finish(&mut |completed| panic!("nothing is left: {completed:?}"));
    }
}

#[test]
fn without_keys_only_the_hellos_can_be_read() {
    let (capture, _) = encrypted();
    let mut messages = Messages::of_pieces(None);
    let mut seen = Vec::new();
    messages.push(&capture, &mut |completed| seen.push(completed.clone())).expect("a capture");
    assert_eq!(names(&seen), HELLOS);
    assert!(seen.iter().all(|completed| completed.kind == Kind::Hello && !completed.needs_keys));
}

#[test]
fn frames_wait_for_secrets_that_are_logged_after_them() {
    let (capture, keys) = encrypted();
    let directory = tempfile::tempdir().expect("a temporary directory");
    let (path, key_log) = (directory.path().join("a.partial.pcap"), directory.path().join("a.keys"));
    fs::write(&path, &capture).expect("the capture");
    let mut log = fs::File::create(&key_log).expect("the key log");
    for is_given in [false, true] {
        let mut messages = Messages::of_file(&path, Some((&key_log, is_given))).expect("a file");
        let mut seen = Vec::new();
        assert!(messages.read(&mut |completed| seen.push(completed.clone())).expect("a capture") > 10);
        if !is_given {
            assert_eq!(names(&seen), [""; 0], "the key log is empty");
            let missing = keys.find("SERVER_TRAFFIC_SECRET_0").expect("a secret");
            let (first, rest) = keys.split_at(missing);
            log.write_all(first.as_bytes()).expect("the key log");
            messages.read(&mut |completed| seen.push(completed.clone())).expect("a capture");
            assert_eq!(names(&seen), [""; 0], "a secret is missing");
            log.write_all(rest.as_bytes()).expect("the key log");
            messages.read(&mut |completed| seen.push(completed.clone())).expect("a capture");
        }
        assert_eq!(names(&seen), [HELLOS, MESSAGES].concat());
        assert!(seen.iter().all(|completed| completed.needs_keys == (completed.kind == Kind::Message)));
    }
}

#[test]
fn the_end_of_the_capture_ends_all_waiting() {
    let (capture, keys) = encrypted();
    let directory = tempfile::tempdir().expect("a temporary directory");
    let key_log = directory.path().join("a.keys");
    for (text, expected) in [("", HELLOS.to_vec()), (&*keys, [HELLOS, MESSAGES].concat())] {
        let mut messages = Messages::of_pieces(Some((&key_log, true)));
        messages.push(&capture, &mut |completed| panic!("no key log yet: {completed:?}")).expect("a capture");
        fs::write(&key_log, text).expect("the key log");
        let mut seen = Vec::new();
        messages.finish(&mut |completed| seen.push(completed.clone()));
        assert_eq!(names(&seen), expected);
        fs::remove_file(&key_log).expect("the key log");
    }
}

#[test]
fn rejects_bytes_that_are_no_capture() {
    let mut messages = Messages::of_pieces(None);
    for _ in 0..2 {
        let error = messages.push(b"a text and no capture at all", &mut |_| {}).expect_err("no capture");
        assert!(format!("{error:#}").starts_with("standard input: "), "{error:#}");
    }
}
