//! The analyzer's peak memory on hostile captures and with many strings.

mod programs;
mod quic;

use std::ffi::OsStr;
use std::fs::File;
use std::io::{BufWriter, Write};
use std::net::Ipv4Addr;
use std::path::Path;
use std::process::Command;

use craft::conversation::{Connection, Frames, Settings, Side};
use craft::encapsulation;
use craft::frame::{Ip, Ipv4, Link, Tcp, Udp, flags, tcp, udp};
use craft::pcap;
use serde_json::Value;

use programs::analyze;

const MIB: u64 = 1 << 20;

#[test]
fn syns_of_200_000_connections_take_less_than_64_mib() {
    let folder = tempfile::tempdir().expect("a folder");
    let capture = folder.path().join("syns.pcap");
    write_segments(&capture, 200_000, flags::SYN, &[]);
    let peak = peak_bytes(&[&capture]);
    assert!(peak < 64 * MIB, "{peak} bytes");
}

/// Each is the beginning of a ClientHello whose rest never comes. The program itself takes 12 MiB and more where it is not
/// optimized, so what counts is the difference to one connection. Of 2,048 connections the result has a description.
#[test]
fn unfinished_hellos_of_50_000_connections_take_less_than_54_mib() {
    // Headers of record and handshake, version, random, an empty session id, cipher suites (RFC 9846 §4.1.2).
    let mut hello = vec![0x16, 3, 1, 2, 0, 1, 0, 1, 0xfc, 3, 3];
    hello.extend(0..32);
    hello.extend([0; 30]);
    let folder = tempfile::tempdir().expect("a folder");
    let peak = |count| {
        let capture = folder.path().join(format!("{count}.pcap"));
        write_segments(&capture, count, flags::PSH | flags::ACK, &hello);
        peak_bytes(&[&capture])
    };
    let (one, many) = (peak(1), peak(50_000));
    assert!(many < one + 54 * MIB, "{many} bytes, {one} with one connection");
}

/// Each stream begins a request whose body never ends. The program itself takes 12 MiB and more where it is not
/// optimized.
#[test]
fn open_requests_of_http3_take_less_than_64_mib() {
    let folder = tempfile::tempdir().expect("a folder");
    let peak = |bytes| {
        let capture = folder.path().join(format!("{bytes}.pcap"));
        let mut id = quic::FREE_STREAM;
        quic::capture(&capture, bytes, || {
            id += 4;
            quic::stream(id, 0, b"\x01\x04\0\0\xd4\xd7\0\x05ab", false)
        });
        let keys = capture.with_extension("keys");
        peak_bytes(&[OsStr::new("--keys"), keys.as_os_str(), capture.as_os_str()])
    };
    let (one, many) = (peak(1), peak(2 << 20));
    assert!(one + MIB < many, "no streams are kept: {many} bytes, {one} with few streams");
    assert!(many < one + 64 * MIB, "{many} bytes, {one} with few streams");
}

/// Each connection has sent as much as a parser keeps of it, and stays open: 250 MiB, of which 500 MiB would be kept without a
/// bound over all connections.
#[test]
fn connections_at_their_bounds_take_less_than_160_mib_together() {
    let head = [&b"GET / HTTP/1.1\r\nX: "[..], &[b'a'; 60_000]].concat();
    let request = b"GET / HTTP/1.1\r\n\r\n".to_vec();
    let answer = [&b"HTTP/1.1 200 OK\r\nX: "[..], &[b'a'; 60_000]].concat();
    let frame = |kind: u8, flags: u8, payload: &[u8]| {
        let len = u32::try_from(payload.len()).expect("a short payload").to_be_bytes();
        // RFC 9113 §4.1; stream 1, the settings on stream 0.
        [&len[1..], &[kind, flags, 0, 0, 0, u8::from(kind != 4)], payload].concat()
    };
    let block =
        [b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n".to_vec(), frame(4, 0, &[]), frame(1, 1, &[b'a'; 16_000])];
    let block = [block.concat(), frame(9, 0, &[b'a'; 16_000]).repeat(14)].concat();
    let record = |payload: &[u8]| [&[22, 3, 1], &(payload.len() as u16).to_be_bytes()[..], payload].concat();
    // A ClientHello of 60,000 bytes, of which the last ones are missing.
    let hello =
        [record(&[&[1, 0, 0xea, 0x60, 3, 3][..], &[7; 16_000]].concat()), record(&[0; 16_000]).repeat(2)];
    let query = [&[0xff, 0xff, 0, 1, 1, 0, 0, 1, 0, 0, 0, 0, 0, 0, 1, b'a', 0, 0, 1, 0, 1][..], &[0; 60_000]]
        .concat();
    let line = [&b"EHLO "[..], &[b'a'; 8_000]].concat();
    let shapes: [Vec<(Side, Vec<u8>)>; 7] = [
        vec![(Side::Client, head)],
        vec![(Side::Client, request), (Side::Server, answer)],
        vec![(Side::Client, block)],
        vec![(Side::Client, hello.concat())],
        vec![(Side::Client, query)],
        vec![(Side::Server, b"220 mail ESMTP\r\n".to_vec()), (Side::Client, line)],
        vec![(Side::Client, vec![1; 64 << 10]), (Side::Server, vec![2; 64 << 10])],
    ];
    let folder = tempfile::tempdir().expect("a folder");
    let peak = |count| {
        let capture = folder.path().join(format!("{count}.pcap"));
        write_connections(&capture, count, &shapes);
        peak_bytes(&[&capture])
    };
    let (few, many) = (peak(7), peak(7 * 440));
    assert!(many < few + 160 * MIB, "{many} bytes, {few} with one connection of each kind");
}

/// Datagrams of which only the first fragment arrives.
#[test]
fn unfinished_datagrams_take_less_than_24_mib() {
    let folder = tempfile::tempdir().expect("a folder");
    let peak = |count| {
        let capture = folder.path().join(format!("{count}.pcap"));
        write_frames(&capture, count, |number, frame| {
            let hosts = Ip::V4(Ipv4::between(Ipv4Addr::new(10, 0, 0, 1), Ipv4Addr::new(10, 0, 0, 2)));
            let packet = encapsulation::fragment(&hosts, 17, number, 0, true, &[b'a'; 1_400]);
            frame.extend(packet);
        });
        peak_bytes(&[&capture])
    };
    let (one, many) = (peak(1), peak(30_000));
    assert!(many < one + 24 * MIB, "{many} bytes, {one} with one datagram");
}

/// A connection in each network of VXLAN, which has the same addresses in all of them.
#[test]
fn connections_in_20_000_tunnels_take_less_than_64_mib() {
    let link = Link::default();
    let folder = tempfile::tempdir().expect("a folder");
    let peak = |count| {
        let capture = folder.path().join(format!("{count}.pcap"));
        write_frames(&capture, count, |number, frame| {
            let hosts =
                |last| Ip::V4(Ipv4::between(Ipv4Addr::new(10, 0, last, 1), Ipv4Addr::new(10, 0, last, 2)));
            let header =
                Tcp { source_port: 40_000, destination_port: 80, flags: flags::SYN, ..Tcp::default() };
            let mut inner = Vec::new();
            tcp(&mut inner, &link, &hosts(1), &header, &[]);
            // Nested, as a tunnel between two networks has it.
            let inner = encapsulation::vxlan(number, &inner);
            let ports = Udp { source_port: 50_000, destination_port: 4789, ..Udp::default() };
            let mut outer = Vec::new();
            udp(&mut outer, &link, &hosts(2), &ports, &inner);
            let outer = encapsulation::vxlan(number >> 4, &outer);
            udp(frame, &link, &hosts(3), &ports, &outer);
        });
        peak_bytes(&[&capture])
    };
    let (one, many) = (peak(1), peak(20_000));
    assert!(many < one + 64 * MIB, "{many} bytes, {one} with one connection");
}

/// Parts of strings are searched from 48 bytes on. The result lists each string, and is made when the tables of the search are
/// gone.
#[test]
fn a_hundred_thousand_strings_take_less_than_64_mib() {
    let folder = tempfile::tempdir().expect("a folder");
    let capture = folder.path().join("one.pcap");
    write_segments(&capture, 1, flags::PSH | flags::ACK, b"nothing of this is searched for");
    for (beginning, lengths) in [("", 12..=24), ("", 32..=48), ("https://api.test/?user=", 32..=48)] {
        let peak = |count| {
            let strings = folder.path().join(format!("{count}.txt"));
            write_strings(&strings, count, beginning, &lengths);
            peak_bytes(&[OsStr::new("--strings"), strings.as_os_str(), capture.as_os_str()])
        };
        let (one, many) = (peak(1), peak(100_000));
        assert!(one + 2 * MIB < many, "the strings are not kept: {many} bytes, {one} with one string");
        assert!(many < one + 64 * MIB, "{lengths:?} bytes: {many} bytes, {one} with one string");
    }
}

/// The first data or SYN segment of `count` connections, each of another client.
fn write_segments(path: &Path, count: u32, flags: u8, payload: &[u8]) {
    let file = BufWriter::new(File::create_new(path).expect("a new file"));
    let link = Link::default();
    let mut file =
        pcap::Writer::new(file, link.link_type(), pcap::FULL_SNAPLEN).expect("the file can be written");
    let mut frame = Vec::new();
    for number in 0..count {
        let client = Ipv4Addr::from_bits(Ipv4Addr::new(10, 1, 0, 0).to_bits() + number);
        let ip = Ip::V4(Ipv4::between(client, Ipv4Addr::new(10, 0, 0, 2)));
        let sequence = number.wrapping_mul(7919);
        let header = Tcp { source_port: 40_000, destination_port: 443, sequence, flags, ..Tcp::default() };
        frame.clear();
        tcp(&mut frame, &link, &ip, &header, payload);
        let length = u32::try_from(frame.len()).expect("a short frame");
        file.write(u64::from(number) * 1_000, length, &frame).expect("the file can be written");
    }
    file.flush().expect("the file can be written");
}

/// Frames that `make` makes, from their number. What it makes without a link header is IPv4.
fn write_frames(path: &Path, count: u32, make: impl Fn(u32, &mut Vec<u8>)) {
    let file = BufWriter::new(File::create_new(path).expect("a new file"));
    let mut frame = Vec::new();
    make(0, &mut frame);
    let is_bare = frame.first().is_some_and(|first| first >> 4 == 4);
    let link_type = if is_bare { craft::link_type::RAW } else { Link::default().link_type() };
    let mut file = pcap::Writer::new(file, link_type, pcap::FULL_SNAPLEN).expect("the file can be written");
    for number in 0..count {
        frame.clear();
        make(number, &mut frame);
        let length = u32::try_from(frame.len()).expect("a short frame");
        file.write(u64::from(number) * 1_000, length, &frame).expect("the file can be written");
    }
    file.flush().expect("the file can be written");
}

/// Open connections of these shapes in turn, each of another client, in long segments.
fn write_connections(path: &Path, count: u32, shapes: &[Vec<(Side, Vec<u8>)>]) {
    let file = BufWriter::new(File::create_new(path).expect("a new file"));
    let mut file = pcap::Writer::new(file, Link::default().link_type(), pcap::FULL_SNAPLEN)
        .expect("the file can be written");
    for (number, turns) in (0..count).zip(shapes.iter().cycle()) {
        let client = Ipv4Addr::from_bits(Ipv4Addr::new(10, 1, 0, 0).to_bits() + number);
        let server = "10.0.0.2:80".parse().expect("an address");
        let settings =
            Settings { mss: 16_000, ack_every: 0, ..Settings::new((client, 40_000).into(), server) };
        let mut connection = Connection::new(settings).expect("one IP version");
        let mut frames = Frames::default();
        let at = u64::from(number) * 1_000_000;
        connection.open(at, &mut frames).expect("a fresh connection");
        for (side, bytes) in turns {
            connection.send(*side, bytes, at, &mut frames).expect("an open connection");
        }
        for frame in frames.iter() {
            let length = u32::try_from(frame.bytes.len()).expect("a short frame");
            file.write(at, length, frame.bytes).expect("the file can be written");
        }
    }
    file.flush().expect("the file can be written");
}

/// Strings with this beginning and random lower-case letters, one a line. Each has its number, so that they differ.
fn write_strings(path: &Path, count: u32, beginning: &str, lengths: &std::ops::RangeInclusive<u32>) {
    let mut file = BufWriter::new(File::create(path).expect("a new file"));
    let mut state = 1_u32;
    for number in 0..count {
        // A linear congruential generator (Numerical Recipes, 2nd edition, §7.1); its high bits are the better ones.
        let mut random = |below: u32| {
            state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            (state >> 16) % below
        };
        let length = lengths.start() + random(lengths.end() - lengths.start() + 1);
        let mut line = format!("{beginning}{number:05x}");
        while line.len() < length as usize {
            line.push(char::from(b'a' + random(26) as u8));
        }
        writeln!(file, "{line}").expect("the file can be written");
    }
    file.flush().expect("the file can be written");
}

/// Peak memory of the analyzer with these arguments.
fn peak_bytes(arguments: &[impl AsRef<OsStr>]) -> u64 {
    let mut command = Command::new(env!("CARGO_BIN_EXE_bench"));
    command.args(["measure", "--"]).arg(analyze()).arg("--no-output").args(arguments);
    let output = command.output().expect("bench can be started");
    let cost: Value = serde_json::from_slice(&output.stdout).expect("bench prints the cost as JSON");
    // Nothing is known of these captures' traffic: no verdict is the expected one.
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert!(cost["status"].as_u64().is_some_and(|status| status != 2), "{cost} {stderr}");
    cost["peak_bytes"].as_u64().expect("the cost names the peak")
}
