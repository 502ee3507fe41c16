//! The list of a capture's frames, and its connections one by one.

#[path = "../../dissect/tests/tls_support/peer.rs"]
#[expect(dead_code, reason = "the tests of dissect use the rest")]
mod peer;
#[path = "../../dissect/tests/tls_support/mod.rs"]
mod tls_support;

use std::io::Write as _;
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};

use analyze::exchange::Way;
use analyze::input::capture::whole;
use analyze::input::key_log::Keys;
use analyze::walk::{self, Index, Piece};
use craft::conversation::{Connection, Frames, Settings, Side};
use craft::pcap;
use data_encoding::HEXLOWER;
use dissect::flow::Direction;
use peer::Setup;

const REQUEST: &[u8] = b"POST /tool HTTP/1.1\r\nContent-Length: 2\r\n\r\n{}";
const ANSWER: &[u8] = b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nnull";

/// A capture of two connections: one in the clear with this answer, then one with TLS. Also its key log.
fn capture(directory: &Path, answer: &[u8]) -> (PathBuf, PathBuf) {
    let mut frames = Frames::default();
    let mut plain = connection(40_000);
    plain.open(0, &mut frames).expect("a fresh connection");
    plain.send(Side::Client, REQUEST, 1_000_000, &mut frames).expect("an open connection");
    plain.send(Side::Server, answer, 2_000_000, &mut frames).expect("an open connection");
    let configs = Setup::usual().configs();
    let mut peers = configs.connect();
    peers.settle();
    peers.client_sends(REQUEST).server_sends(ANSWER);
    let wire = peers.close();
    let mut encrypted = connection(40_001);
    encrypted.open(3_000_000, &mut frames).expect("a fresh connection");
    for (direction, bytes) in &wire.sent {
        let side = match direction {
            Direction::ClientToServer => Side::Client,
            Direction::ServerToClient => Side::Server,
        };
        encrypted.send(side, bytes, 4_000_000, &mut frames).expect("an open connection");
    }
    let mut writer = pcap::Writer::new(Vec::new(), plain.link_type(), pcap::FULL_SNAPLEN).expect("a vector");
    for frame in frames.iter() {
        writer.write(frame.at_ns, frame.bytes.len() as u32, frame.bytes).expect("a vector");
    }
    let (path, keys) = (directory.join("a.pcap"), directory.join("b.keys"));
    std::fs::write(&path, writer.into_inner()).expect("the capture");
    std::fs::write(&keys, wire.keys).expect("the key log");
    (path, keys)
}

fn connection(port: u16) -> Connection {
    let server = "10.0.0.2:8000".parse().expect("an address");
    let settings = Settings::new(([10, 0, 0, 1], port).into(), server);
    Connection::new(settings).expect("one IP version")
}

fn index(path: &Path) -> Index {
    walk::index(path, Keys::None, &mut |_| ControlFlow::Continue(())).expect("a capture")
}

/// The bytes of a direction.
fn joined(pieces: &[Piece], direction: Way) -> Vec<u8> {
    let pieces = pieces.iter().filter(|piece| piece.direction == direction);
    pieces.flat_map(|piece| HEXLOWER.decode(piece.bytes.as_bytes()).expect("hexadecimal digits")).collect()
}

#[test]
fn lists_frames_with_what_begins_in_them() {
    let directory = tempfile::tempdir().expect("a temporary directory");
    let (path, _) = capture(directory.path(), ANSWER);
    let index = index(&path);
    let rows = index.packets(1, 1000, None);
    assert_eq!((rows.len() as u64, index.left_out(), index.lacks_names()), (index.total(), 0, false));
    let what: Vec<_> = rows[..4].iter().map(|row| row.what.join(" | ")).collect();
    assert_eq!(what, ["SYN", "SYN, ACK", "ACK", "POST /tool"]);
    assert_eq!((rows[3].frame, rows[3].ms, rows[3].direction), (4, 1.0, Some(Way::Out)));
    assert_eq!((rows[3].payload, rows[3].stream), (REQUEST.len() as u64, Some(0)));
    assert!(rows.iter().any(|row| row.stream == Some(1) && row.what == ["ClientHello"]));

    let of_second = index.packets(1, 1000, Some(1));
    assert!(of_second.iter().all(|row| row.stream == Some(1)) && !of_second.is_empty());
    assert_eq!(of_second.len() as u64, index.total_of(1));
    assert_eq!(index.packets(3, 2, None), rows[2..4]);
    assert_eq!(index.packets(u64::MAX, 2, None), []);
    assert_eq!(index.packets(0, 1, None), rows[..1]);
}

#[test]
fn lists_a_compressed_capture_likewise() {
    let directory = tempfile::tempdir().expect("a temporary directory");
    let (path, _) = capture(directory.path(), ANSWER);
    let compressed = directory.path().join("b.pcap.gz");
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    encoder.write_all(&std::fs::read(&path).expect("the capture")).expect("a vector");
    std::fs::write(&compressed, encoder.finish().expect("a vector")).expect("a file");
    assert_eq!(index(&compressed).packets(1, 1000, None), index(&path).packets(1, 1000, None));
}

#[test]
fn reads_a_stream_in_pieces() {
    let directory = tempfile::tempdir().expect("a temporary directory");
    let body: Vec<u8> = (0..100_000).map(|at| (at % 251) as u8).collect();
    let answer = [&b"HTTP/1.1 200 OK\r\nContent-Length: 100000\r\n\r\n"[..], &body].concat();
    let (path, _) = capture(directory.path(), &answer);
    let all = walk::stream(&path, 0, Keys::None, 0..1000, &mut whole).expect("a connection");
    assert_eq!((&*all.client, &*all.server), ("10.0.0.1:40000", "10.0.0.2:8000"));
    assert_eq!(all.total_pieces, all.pieces.len());
    assert_eq!((joined(&all.pieces, Way::Out), joined(&all.pieces, Way::In)), (REQUEST.to_vec(), answer));
    assert_eq!((all.pieces[0].frame, all.pieces[0].offset, all.pieces[0].decrypted), (4, 0, false));
    let some = walk::stream(&path, 0, Keys::None, 3..8, &mut whole).expect("a connection");
    assert_eq!((some.total_pieces, &some.pieces[..]), (all.total_pieces, &all.pieces[3..8]));
    assert!(
        walk::stream(&path, 0, Keys::None, 5000..5005, &mut whole).expect("a connection").pieces.is_empty()
    );
    let error = walk::stream(&path, 7, Keys::None, 0..5, &mut whole).expect_err("two connections only");
    assert!(error.to_string().contains("no TCP connection 7"), "{error}");
}

#[test]
fn application_data_inside_of_tls_is_decrypted_with_the_keys() {
    let directory = tempfile::tempdir().expect("a temporary directory");
    let (path, keys) = capture(directory.path(), ANSWER);
    let without = walk::stream(&path, 1, Keys::None, 0..1000, &mut whole).expect("a connection");
    assert!(without.pieces.iter().all(|piece| !piece.decrypted));
    assert_eq!(joined(&without.pieces, Way::Out)[..2], [22, 3]);
    let with_keys = walk::stream(&path, 1, Keys::File(&keys), 0..1000, &mut whole).expect("a connection");
    assert!(with_keys.pieces.iter().all(|piece| piece.decrypted && piece.frame > 0));
    assert_eq!(joined(&with_keys.pieces, Way::Out), REQUEST);
    assert_eq!(joined(&with_keys.pieces, Way::In), ANSWER);
    // The keys open nothing of a connection without TLS.
    let plain = walk::stream(&path, 0, Keys::File(&keys), 0..1000, &mut whole).expect("a connection");
    assert_eq!(joined(&plain.pieces, Way::Out), REQUEST);
}
