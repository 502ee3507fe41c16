//! A capture that is read while it is written gives each frame once, whole.

use std::fs::OpenOptions;
use std::io::Write as _;

use analyze::follow::{Frame, Tail};
use craft::conversation::{Connection, Frames, Settings, Side};
use craft::{pcap, pcapng};

fn frames() -> (u16, Frames) {
    let settings = Settings::new(
        "10.0.0.1:40000".parse().expect("an address"),
        "10.0.0.2:8000".parse().expect("an address"),
    );
    let mut connection = Connection::new(settings).expect("one IP version");
    let mut frames = Frames::default();
    connection.open(1000, &mut frames).expect("a fresh connection");
    connection.send(Side::Client, b"GET / HTTP/1.1\r\n\r\n", 2000, &mut frames).expect("an open connection");
    connection.send(Side::Server, &[b'a'; 5000], 3000, &mut frames).expect("an open connection");
    (connection.link_type(), frames)
}

fn as_pcap() -> Vec<u8> {
    let (link_type, frames) = frames();
    let mut writer = pcap::Writer::new(Vec::new(), link_type, pcap::FULL_SNAPLEN).expect("a vector");
    for frame in frames.iter() {
        writer.write(frame.at_ns, frame.bytes.len() as u32, frame.bytes).expect("a vector");
    }
    writer.into_inner()
}

fn as_pcapng() -> Vec<u8> {
    let (link_type, frames) = frames();
    let mut writer = pcapng::Writer::new(Vec::new(), craft::Endian::Little).expect("a vector");
    writer.interface(link_type, 0, &[]).expect("a vector");
    writer.key_log(b"# no secrets\n").expect("a vector");
    for frame in frames.iter() {
        writer.simple(frame.bytes.len() as u32, frame.bytes).expect("a vector");
    }
    writer.into_inner()
}

/// The frames that come when the file is written in pieces of this size.
fn followed(file: &[u8], size: usize) -> Vec<Frame> {
    let directory = tempfile::tempdir().expect("a temporary directory");
    let path = directory.path().join("a.pcap.partial");
    let mut writer = OpenOptions::new().create(true).append(true).open(&path).expect("a file");
    let mut tail = Tail::open(&path).expect("an empty file can be followed");
    let mut found = Vec::new();
    assert_eq!(tail.read(&mut |new| found.push(new.frame)).expect("no error"), 0);
    for piece in file.chunks(size) {
        writer.write_all(piece).expect("the file");
        let before = found.len();
        let read = tail.read(&mut |new| found.push(new.frame)).expect("a capture");
        assert_eq!(read as usize, found.len() - before);
    }
    // The capturer renames the file when it is done.
    std::fs::rename(&path, directory.path().join("a.pcap")).expect("a new name");
    assert_eq!(tail.read(&mut |new| found.push(new.frame)).expect("the same file"), 0);
    assert!(file == as_pcap() || tail.key_log() == b"# no secrets\n\n");
    found
}

#[test]
fn gives_each_frame_once_for_every_division_of_the_file() {
    for file in [as_pcap(), as_pcapng()] {
        let whole = followed(&file, file.len());
        assert_eq!(whole.len(), frames().1.len());
        for (number, frame) in (1..).zip(&whole) {
            let at = frame.file_offset as usize;
            assert_eq!((frame.number, &frame.bytes[..]), (number, &file[at..at + frame.bytes.len()]));
        }
        for size in [1, 2, 7, 24, 100, 1500] {
            assert_eq!(followed(&file, size), whole, "pieces of {size}");
        }
    }
}

#[test]
fn names_the_ends_and_the_connection_of_a_segment() {
    let directory = tempfile::tempdir().expect("a temporary directory");
    let path = directory.path().join("a.pcap");
    std::fs::write(&path, as_pcap()).expect("the capture");
    let mut seen = Vec::new();
    let mut tail = Tail::open(&path).expect("a file");
    tail.read(&mut |new| seen.push((new.ends, new.stream, new.payload.to_vec()))).expect("a capture");
    let client: std::net::SocketAddr = "10.0.0.1:40000".parse().expect("an address");
    let server = "10.0.0.2:8000".parse().expect("an address");
    assert_eq!((seen[0].0, seen[1].0), (Some((client, server)), Some((server, client))));
    assert!(seen.iter().all(|(_, stream, _)| *stream == Some(0)));
    assert_eq!(seen[3].2, b"GET / HTTP/1.1\r\n\r\n");
}

#[test]
fn rejects_what_is_no_capture_and_a_file_that_shrinks() {
    let directory = tempfile::tempdir().expect("a temporary directory");
    assert!(Tail::open(directory.path()).is_err());
    assert!(Tail::open(&directory.path().join("missing")).is_err());
    let path = directory.path().join("a.pcap");
    std::fs::write(&path, "this is a text, and no capture").expect("a file");
    let mut tail = Tail::open(&path).expect("a file");
    for _ in 0..2 {
        let error = tail.read(&mut |_| {}).expect_err("no capture");
        assert!(format!("{error:#}").contains("a.pcap"), "{error:#}");
    }
    std::fs::write(&path, as_pcap()).expect("a file");
    let mut tail = Tail::open(&path).expect("a file");
    tail.read(&mut |_| {}).expect("a capture");
    std::fs::write(&path, &as_pcap()[..100]).expect("a file");
    let error = tail.read(&mut |_| {}).expect_err("the file is shorter");
    assert!(error.to_string().contains("became shorter"), "{error:#}");
}
