//! The relay end to end: real sockets on both sides, and the capture parsed by other crates.
#![cfg(unix)]

mod common;

use std::fs;
use std::io::{self, Read, Write};
use std::net::{Ipv4Addr, Ipv6Addr, Shutdown, SocketAddr, TcpListener, TcpStream};
use std::process::Command;
use std::thread;
use std::time::{Duration, Instant};

use nix::sys::signal::Signal;

use common::{Capture, Capturer, DEADLINE, Segment, is_reset, pattern, sent_by, wait_until};
use test_support::skip;

fn loopback() -> TcpListener {
    TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap()
}

fn relay(folder: &std::path::Path, server: &TcpListener, args: &[&str]) -> Capturer {
    let connect = server.local_addr().unwrap().to_string();
    let listen = SocketAddr::new(server.local_addr().unwrap().ip(), 0).to_string();
    let mut all = vec!["--listen", &listen, "--connect", &connect];
    all.extend(args);
    Capturer::start("relay", folder, &all)
}

fn dial(capturer: &Capturer) -> TcpStream {
    let socket = TcpStream::connect(capturer.address()).unwrap();
    socket.set_read_timeout(Some(DEADLINE)).unwrap();
    socket
}

fn accept(server: &TcpListener) -> TcpStream {
    let socket = server.accept().unwrap().0;
    socket.set_read_timeout(Some(DEADLINE)).unwrap();
    socket
}

/// Checks the frames of a connection: handshake first, correct checksums, sequence numbers without gaps, nothing after
/// the end.
fn check(connection: &[Segment], client: SocketAddr, server: SocketAddr) {
    let flags: Vec<_> = connection.iter().map(|segment| segment.flags.as_str()).collect();
    assert_eq!(flags[..3], ["S", "SA", "A"], "{flags:?}");
    assert!(flags[3..].iter().all(|flags| !flags.contains('S')));
    assert_eq!(connection[0].from, client);
    let mut next = [connection[0].seq, connection[1].seq];
    for segment in connection {
        let (own, other) = if segment.from == client { (0, 1) } else { (1, 0) };
        assert_eq!([segment.from, segment.to].map(|address| address == client), [own == 0, own == 1]);
        assert!([segment.from, segment.to].contains(&server));
        assert!(segment.checksums_true);
        assert_eq!(segment.seq, next[own], "{segment:?}");
        if segment.flags.contains('A') {
            assert_eq!(segment.ack, next[other], "{segment:?}");
        }
        let counted = u32::from(segment.flags.contains(['S', 'F']));
        next[own] = next[own].wrapping_add(segment.payload.len() as u32 + counted);
    }
}

fn flags(connection: &[Segment], from: SocketAddr) -> Vec<&str> {
    connection.iter().filter(|segment| segment.from == from).map(|segment| segment.flags.as_str()).collect()
}

#[test]
fn records_exactly_the_relayed_bytes() {
    let folder = tempfile::tempdir().unwrap();
    let server = loopback();
    let run_id = "00112233445566778899aabbccddeeff";
    let capturer = relay(folder.path(), &server, &["--run-id", run_id, "--key-log", "http.keys"]);
    let address = capturer.address();

    let partial = capturer.manifest("http.partial.manifest.json");
    assert_eq!(partial["finished"], false);
    assert_eq!(partial["capture"]["file"], "http.partial.pcap");
    for unknown in ["sha256", "frames", "bytes", "kernel_drops"] {
        assert!(partial["capture"][unknown].is_null(), "{unknown}");
    }
    assert!(partial["ended_at_unix_ns"].is_null());
    capturer.only_files_are(&["http.partial.manifest.json", "http.partial.pcap"]);

    let (up, down) = (pattern(300_000, 1), pattern(70_000, 2));
    let (expected, answer) = (up.clone(), down.clone());
    let serving = thread::spawn(move || {
        let mut socket = accept(&server);
        let mut got = vec![0; expected.len()];
        socket.read_exact(&mut got).unwrap();
        assert!(got == expected, "the bytes arrive as they were sent");
        socket.write_all(&answer).unwrap();
        assert_eq!(socket.read(&mut [0]).unwrap(), 0);
    });
    let mut socket = dial(&capturer);
    let client = socket.local_addr().unwrap();
    socket.write_all(&up).unwrap();
    let mut got = vec![0; down.len()];
    socket.read_exact(&mut got).unwrap();
    assert!(got == down);
    drop(socket);
    serving.join().unwrap();

    let (capture, manifest) = capturer.finish();
    assert_eq!((capture.link_type, capture.snaplen), (1, 262_144));
    assert_eq!(manifest["vantage"], "relay");
    assert_eq!(manifest["backend"], "relay");
    assert_eq!(manifest["run_id"], run_id);
    assert_eq!(manifest["key_log"], "http.keys");
    assert_eq!(manifest["variant"]["port"], address.port());
    assert!(manifest["interface"].is_null() && manifest["capture"]["kernel_drops"].is_null());
    assert_eq!(manifest["decoys"], partial["decoys"]);

    let connections = capture.connections();
    assert_eq!(connections.len(), 1);
    let connection = &connections[0];
    check(connection, client, address);
    assert!(sent_by(connection, client) == up);
    assert!(sent_by(connection, address) == down);
    assert!(connection.iter().all(|segment| segment.payload.len() <= 1460));
    assert!(connection.iter().any(|segment| segment.payload.len() == 1460));
    assert_eq!(flags(connection, client).iter().filter(|f| f.contains('F')).count(), 1);
    assert_eq!(flags(connection, address).iter().filter(|f| f.contains('F')).count(), 1);
    assert_eq!(connection.last().unwrap().flags, "A", "the last FIN is acknowledged");
}

#[test]
fn a_half_close_is_relayed_as_a_half_close() {
    let folder = tempfile::tempdir().unwrap();
    let server = loopback();
    let capturer = relay(folder.path(), &server, &[]);
    let address = capturer.address();
    let mut here = dial(&capturer);
    let client = here.local_addr().unwrap();
    let mut there = accept(&server);

    here.write_all(b"question").unwrap();
    here.shutdown(Shutdown::Write).unwrap();
    let mut question = Vec::new();
    there.read_to_end(&mut question).unwrap();
    assert_eq!(question, b"question");
    there.write_all(b"answer").unwrap();
    drop(there);
    let mut answer = Vec::new();
    here.read_to_end(&mut answer).unwrap();
    assert_eq!(answer, b"answer");

    let (capture, _) = capturer.finish();
    let connection = &capture.connections()[0];
    check(connection, client, address);
    let at = |what: &dyn Fn(&Segment) -> bool| connection.iter().position(what).unwrap();
    let fin = at(&|s| s.from == client && s.flags.contains('F'));
    let answer = at(&|s| s.payload == b"answer");
    assert!(fin < answer, "the server answers after the client's FIN");
}

#[test]
fn a_reset_is_recorded_and_relayed() {
    for by_client in [true, false] {
        let folder = tempfile::tempdir().unwrap();
        let server = loopback();
        let capturer = relay(folder.path(), &server, &[]);
        let address = capturer.address();
        let mut here = dial(&capturer);
        let client = here.local_addr().unwrap();
        let mut there = accept(&server);
        here.write_all(b"first").unwrap();
        there.read_exact(&mut [0; 5]).unwrap();

        // Closing a socket with unread bytes resets the connection (RFC 1122 §4.2.2.13).
        let (resetting, mut other) = if by_client { (here, there) } else { (there, here) };
        other.write_all(b"unread").unwrap();
        let mut peeked = [0; 6];
        wait_until("the unread bytes", || resetting.peek(&mut peeked).unwrap() == 6);
        drop(resetting);
        let error = other.read(&mut [0]).unwrap_err();
        assert!(is_reset(&error), "{error}");

        let (capture, _) = capturer.finish();
        let connection = &capture.connections()[0];
        check(connection, client, address);
        let last = connection.last().unwrap();
        assert!(last.flags.contains('R'), "{last:?}");
        assert_eq!(last.from, if by_client { client } else { address });
        assert!(connection.iter().all(|segment| !segment.flags.contains('F')));
    }
}

#[test]
fn an_unreachable_server_resets_the_connection() {
    let folder = tempfile::tempdir().unwrap();
    let server = loopback();
    let capturer = relay(folder.path(), &server, &[]);
    drop(server);
    let mut socket = dial(&capturer);
    let client = socket.local_addr().unwrap();
    assert!(is_reset(&socket.read(&mut [0]).unwrap_err()));
    let (capture, _) = capturer.finish();
    let connection = &capture.connections()[0];
    assert_eq!(flags(connection, client), ["S", "A"]);
    assert_eq!(connection.last().unwrap().flags, "AR");
}

#[test]
fn keeps_simultaneous_connections_apart() {
    const CONNECTIONS: u32 = 40;
    let folder = tempfile::tempdir().unwrap();
    let server = loopback();
    let capturer = relay(folder.path(), &server, &[]);
    let address = capturer.address();
    let echoing = thread::spawn(move || {
        let echoes: Vec<_> = (0..CONNECTIONS)
            .map(|_| accept(&server))
            .map(|socket| thread::spawn(move || io::copy(&mut &socket, &mut &socket).unwrap()))
            .collect();
        for echo in echoes {
            echo.join().unwrap();
        }
    });
    // All are open before the first byte is sent.
    let sockets: Vec<_> = (0..CONNECTIONS).map(|_| dial(&capturer)).collect();
    let talks: Vec<_> = sockets
        .into_iter()
        .zip(0..)
        .map(|(mut socket, seed)| {
            thread::spawn(move || {
                let sent = pattern(20_000, seed * 7919);
                socket.write_all(&sent).unwrap();
                socket.shutdown(Shutdown::Write).unwrap();
                let mut echoed = Vec::new();
                socket.read_to_end(&mut echoed).unwrap();
                assert!(echoed == sent);
                (socket.local_addr().unwrap(), sent)
            })
        })
        .collect();
    let exchanged: Vec<_> = talks.into_iter().map(|talk| talk.join().unwrap()).collect();
    echoing.join().unwrap();

    let (capture, _) = capturer.finish();
    let connections = capture.connections();
    assert_eq!(connections.len(), CONNECTIONS as usize);
    for (client, sent) in exchanged {
        let connection = connections.iter().find(|connection| connection[0].from == client).unwrap();
        check(connection, client, address);
        assert!(sent_by(connection, client) == sent);
        assert!(sent_by(connection, address) == sent);
    }
}

#[test]
fn records_ipv6_connections_as_ipv6() {
    let Ok(server) = TcpListener::bind((Ipv6Addr::LOCALHOST, 0)) else {
        return skip("no IPv6 loopback");
    };
    let folder = tempfile::tempdir().unwrap();
    let capturer = relay(folder.path(), &server, &[]);
    let address = capturer.address();
    let mut here = dial(&capturer);
    let client = here.local_addr().unwrap();
    let mut there = accept(&server);
    let sent = pattern(5000, 3);
    here.write_all(&sent).unwrap();
    there.read_exact(&mut vec![0; sent.len()]).unwrap();
    drop((here, there));

    let (capture, _) = capturer.finish();
    let connection = &capture.connections()[0];
    check(connection, client, address);
    assert!(sent_by(connection, client) == sent);
    assert!(connection.iter().any(|segment| segment.payload.len() == 1440), "the MSS leaves room for IPv6");
}

#[test]
fn a_short_snaplen_cuts_frames_and_counts_them() {
    let folder = tempfile::tempdir().unwrap();
    let server = loopback();
    let capturer = relay(folder.path(), &server, &["--snaplen", "96"]);
    let mut here = dial(&capturer);
    let mut there = accept(&server);
    here.write_all(&pattern(1000, 4)).unwrap();
    there.read_exact(&mut [0; 1000]).unwrap();
    drop((here, there));

    let (capture, manifest) = capturer.finish();
    assert_eq!(capture.snaplen, 96);
    let cut: Vec<_> = capture.frames.iter().filter(|f| f.bytes.len() < f.original_len as usize).collect();
    assert_eq!(manifest["capture"]["truncated_frames"], cut.len());
    assert_eq!(manifest["capture"]["snaplen"], 96);
    let whole: u32 = cut.iter().map(|frame| frame.original_len - 54).sum();
    assert_eq!(whole, 1000, "the original lengths cover every byte");
    assert!(cut.iter().all(|frame| frame.bytes.len() == 96));
}

/// No byte passes unrecorded: what a peer has received is in the file, even if the relay is killed at that moment.
#[test]
fn a_killed_relay_leaves_every_byte_that_passed() {
    let folder = tempfile::tempdir().unwrap();
    let server = loopback();
    let mut capturer = relay(folder.path(), &server, &[]);
    let address = capturer.address();
    let mut here = dial(&capturer);
    let client = here.local_addr().unwrap();
    let mut there = accept(&server);
    let (up, down) = (pattern(100_000, 5), pattern(3000, 6));
    let sending = {
        let up = up.clone();
        thread::spawn(move || {
            here.write_all(&up).unwrap();
            here.read_exact(&mut [0; 3000]).unwrap();
            here
        })
    };
    there.read_exact(&mut vec![0; up.len()]).unwrap();
    there.write_all(&down).unwrap();
    let _here = sending.join().unwrap();
    capturer.signal(Signal::SIGKILL);
    assert!(!capturer.wait().success());

    capturer.only_files_are(&["http.partial.manifest.json", "http.partial.pcap"]);
    let manifest = capturer.manifest("http.partial.manifest.json");
    assert_eq!(manifest["finished"], false);
    assert!(manifest["capture"]["sha256"].is_null());
    let capture = Capture::read(&fs::read(capturer.path("http.partial.pcap")).unwrap());
    let connection = &capture.connections()[0];
    check(connection, client, address);
    assert!(sent_by(connection, client) == up);
    assert!(sent_by(connection, address) == down);
}

#[test]
fn keeps_relaying_during_the_drain() {
    let folder = tempfile::tempdir().unwrap();
    let server = loopback();
    let mut capturer = relay(folder.path(), &server, &["--quiet-ms", "400"]);
    let address = capturer.address();
    let mut here = dial(&capturer);
    let client = here.local_addr().unwrap();
    let mut there = accept(&server);
    here.write_all(b"before").unwrap();
    there.read_exact(&mut [0; 6]).unwrap();
    capturer.signal(Signal::SIGINT);
    thread::sleep(Duration::from_millis(100));
    there.write_all(b"after").unwrap();
    here.read_exact(&mut [0; 5]).unwrap();
    let heard = Instant::now();
    assert!(capturer.wait().success());
    assert!(heard.elapsed() >= Duration::from_millis(390), "the quiet time starts with the last byte");

    let (capture, _) = capturer.finished();
    let connection = &capture.connections()[0];
    check(connection, client, address);
    assert_eq!(sent_by(connection, address), b"after");
    assert!(!connection.last().unwrap().flags.contains(['F', 'R']), "the capture shows no FIN or RST");
}

#[test]
fn a_failed_start_reports_the_reason_and_leaves_no_ready_file() {
    let folder = tempfile::tempdir().unwrap();
    let taken = loopback();
    let ready = folder.path().join("ready");
    let output = Command::new(env!("CARGO_BIN_EXE_capturer"))
        .args(["relay", "--variant", "http", "--connect", "127.0.0.1:1", "--listen"])
        .arg(taken.local_addr().unwrap().to_string())
        .arg("--output")
        .arg(folder.path())
        .arg("--ready-file")
        .arg(&ready)
        .output()
        .unwrap();
    assert_eq!(output.status.code(), Some(1));
    assert!(output.stdout.is_empty());
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert!(stderr.contains(&format!("listen on {}", taken.local_addr().unwrap())), "{stderr}");
    assert!(!ready.exists());
}
