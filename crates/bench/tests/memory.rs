//! The analyzer's peak memory on hostile captures and with many strings.

mod programs;

use std::ffi::OsStr;
use std::fs::File;
use std::io::{BufWriter, Write};
use std::net::Ipv4Addr;
use std::path::Path;
use std::process::Command;

use craft::frame::{Ip, Ipv4, Link, Tcp, flags, tcp};
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
