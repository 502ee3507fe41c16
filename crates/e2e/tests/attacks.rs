//! Attacks on the verdict "sealed": each test injects one canary of a TLS run into the capture in the clear, hidden in
//! another way, and updates the manifest to match.
//!
//! If the canary must be found at a certain level, the test checks level, frames and offset. Otherwise the verdict may
//! be "exposed" or "inconclusive". "sealed" is always wrong.

use std::io::Write as _;
use std::net::SocketAddr;
use std::ops::RangeInclusive;

use craft::Endian;
use craft::conversation::{Connection, Frames, Settings};
use craft::frame::{Cooked, Ethernet, Extension, Ip, Ipv4, Ipv6, Link, Tcp, Udp, Vlan, flags};
use craft::link_type::ETHERNET;
use data_encoding::HEXLOWER;
use e2e::damage::{self, Copied, Judged, Record, Side, conversation, file_offset, insert, strangers};
use e2e::run_lab;
use e2e::tls::{record, vec16};
use flate2::Compression;
use flate2::write::{DeflateEncoder, GzEncoder, ZlibEncoder};
use serde_json::json;

/// The analyzer's result for the capture with the injected frames.
struct Attacked {
    judged: Judged,
    canary: String,
    records: Vec<Record>,
    /// Index of the first injected frame.
    first: usize,
}

/// Injects frames with the canary into the middle of the capture.
fn attacked(frames: impl FnOnce(&str) -> Vec<Vec<u8>>) -> Attacked {
    let copied = Copied::of(run_lab("relay"));
    let canary = copied.canary("https");
    let mut records = copied.records("https");
    let first = records.len() / 2;
    insert(&mut records, first, frames(&canary));
    copied.write_records("https", ETHERNET, &records);
    copied.update_manifest("https");
    let judged = copied.analyze_only("https.pcap");
    let attacked = Attacked { judged, canary, records, first };
    attacked.not_sealed();
    attacked
}

/// Injects a connection with these segments.
fn connection<'a>(pieces: impl FnOnce(&str) -> Vec<(Side, Vec<u8>)> + 'a) -> Attacked {
    attacked(|canary| {
        let pieces = pieces(canary);
        let pieces: Vec<_> = pieces.iter().map(|(side, bytes)| (*side, &bytes[..])).collect();
        conversation(strangers(), &pieces)
    })
}

/// Injects a connection with a request and this answer.
fn answered(answer: impl FnOnce(&str) -> Vec<u8>) -> Attacked {
    connection(|canary| vec![(Side::Client, REQUEST.to_vec()), (Side::Server, answer(canary))])
}

impl Attacked {
    fn not_sealed(&self) {
        let Judged { status, .. } = self.judged;
        assert!(matches!(self.judged.verdict("https"), "exposed" | "inconclusive"), "sealed, exit {status}");
        assert!(matches!(status, 1 | 3), "exit {status}");
    }

    /// Asserts that the canary was found at this level, under these layers, and in these frames, counted from the
    /// first injected one. Its location must begin at `needle` in the first of them.
    fn found(&self, level: &str, layers: &[&str], frames: RangeInclusive<usize>, needle: &[u8]) {
        let string = self.judged.string("https", &self.canary);
        assert_eq!(string["level"], level, "{:#?} {string:#}", self.judged.reasons("https"));
        let at = self.first + frames.start();
        let record = &self.records[at];
        // The last occurrence, because a short needle can also occur in a header by chance.
        let start = record.bytes.windows(needle.len()).rposition(|window| window == needle);
        let start = start.expect("the frame contains the needle") as u64;
        let location = &string["locations"][0];
        let expected: Vec<_> = frames.map(|frame| self.first + frame + 1).collect();
        assert_eq!(location["frames"], json!(expected), "{location:#}");
        assert_eq!(location["file_offset"], file_offset(&self.records, at) + start, "{location:#}");
        assert_eq!(location["layers"], json!(layers), "{location:#}");
        self.exposed();
    }

    fn exposed(&self) {
        assert_eq!(self.judged.verdict("https"), "exposed", "{:#?}", self.judged.reasons("https"));
        assert_eq!((self.judged.conclusion(), self.judged.status), ("refuted", 1));
    }

    /// Asserts that the verdict is inconclusive for this reason.
    fn doubted(&self, reason: &str) {
        let reasons = self.judged.reasons("https");
        assert_eq!((self.judged.verdict("https"), self.judged.status), ("inconclusive", 3), "{reasons:#?}");
        assert!(reasons.iter().any(|given| given.contains(reason)), "{reason:?} is not among {reasons:#?}");
    }
}

const REQUEST: &[u8] = b"GET /stolen HTTP/1.1\r\nHost: agent-b\r\n\r\n";

/// Frames of the handshake before the first segment with payload.
const HANDSHAKE: usize = 3;

fn answer(headers: &str, body: &[u8]) -> Vec<u8> {
    let head = format!("HTTP/1.1 200 OK\r\n{headers}Content-Length: {}\r\n\r\n", body.len());
    [head.as_bytes(), body].concat()
}

fn gzip(text: impl AsRef<[u8]>) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::best());
    encoder.write_all(text.as_ref()).expect("a vector can be written");
    encoder.finish().expect("a vector can be written")
}

fn zlib(text: impl AsRef<[u8]>) -> Vec<u8> {
    let mut encoder = ZlibEncoder::new(Vec::new(), Compression::best());
    encoder.write_all(text.as_ref()).expect("a vector can be written");
    encoder.finish().expect("a vector can be written")
}

fn raw_deflate(text: impl AsRef<[u8]>) -> Vec<u8> {
    let mut encoder = DeflateEncoder::new(Vec::new(), Compression::best());
    encoder.write_all(text.as_ref()).expect("a vector can be written");
    encoder.finish().expect("a vector can be written")
}

/// A brotli stream of two uncompressed pieces (RFC 7932 §9.2), so that no search for the text finds it.
fn brotli(text: &[u8]) -> Vec<u8> {
    let (head, tail) = text.split_at(text.len() / 2);
    let piece = |bytes: &[u8], stream_header_bits: u32| {
        // ISLAST 0, MNIBBLES 0 (four), MLEN - 1, ISUNCOMPRESSED 1; the first piece follows WBITS 0.
        let bits = ((bytes.len() as u32 - 1) << 3 | 1 << 19) << stream_header_bits;
        [&bits.to_le_bytes()[..3], bytes].concat()
    };
    [piece(head, 1), piece(tail, 0), vec![3]].concat()
}

/// A zstd frame of two raw blocks (RFC 8878 §3.1.1).
fn zstd(text: &[u8]) -> Vec<u8> {
    let (head, tail) = text.split_at(text.len() / 2);
    let block = |bytes: &[u8], last: u32| {
        let header = (bytes.len() as u32) << 3 | last;
        [&header.to_le_bytes()[..3], bytes].concat()
    };
    [vec![0x28, 0xb5, 0x2f, 0xfd, 0, 0x58], block(head, 0), block(tail, 1)].concat()
}

fn base64(bytes: &[u8]) -> String {
    const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut text = String::new();
    for group in bytes.chunks(3) {
        let padded = [group[0], group.get(1).copied().unwrap_or(0), group.get(2).copied().unwrap_or(0)];
        let bits = u32::from_be_bytes([0, padded[0], padded[1], padded[2]]);
        for at in 0..4 {
            let digit = ALPHABET[(bits >> (18 - 6 * at) & 63) as usize];
            text.push(if at <= group.len() { char::from(digit) } else { '=' });
        }
    }
    text
}

fn v4() -> Ipv4 {
    Ipv4::between([192, 0, 2, 1].into(), [192, 0, 2, 2].into())
}

fn ports() -> Tcp<'static> {
    Tcp { source_port: 50_000, destination_port: 9_000, ..Tcp::default() }
}

fn frame(build: impl FnOnce(&mut Vec<u8>)) -> Vec<Vec<u8>> {
    let mut bytes = Vec::new();
    build(&mut bytes);
    vec![bytes]
}

/// A connection that also sends unusual segments before it closes.
fn extraordinary(ordinary: &[u8], extraordinary: impl FnOnce(&Connection, &mut Frames)) -> Vec<Vec<u8>> {
    let mut connection = Connection::new(strangers()).expect("two addresses");
    let mut frames = Frames::default();
    connection.open(0, &mut frames).expect("it opens");
    if !ordinary.is_empty() {
        connection.send(Side::Client, ordinary, 0, &mut frames).expect("it sends");
    }
    extraordinary(&connection, &mut frames);
    for side in [Side::Client, Side::Server] {
        connection.close(side, 0, &mut frames).expect("it closes");
    }
    frames.iter().map(|frame| frame.bytes.to_vec()).collect()
}

// Not in a TCP stream

#[test]
fn in_a_udp_datagram() {
    let udp = Udp { source_port: 5353, destination_port: 5353, ..Udp::default() };
    let sent = attacked(|canary| {
        frame(|out| craft::frame::udp(out, &Link::default(), &Ip::V4(v4()), &udp, canary.as_bytes()))
    });
    sent.found("verbatim", &[], 0..=0, sent.canary.as_bytes());
    let packed = attacked(|canary| {
        frame(|out| craft::frame::udp(out, &Link::default(), &Ip::V4(v4()), &udp, &gzip(canary)))
    });
    packed.found("decoded", &["carved", "gzip"], 0..=0, &gzip(&packed.canary));
    let strange = attacked(|canary| {
        let bytes = brotli(canary.as_bytes());
        frame(|out| craft::frame::udp(out, &Link::default(), &Ip::V4(v4()), &udp, &bytes))
    });
    strange.doubted("UDP is searched, but not read");
}

#[test]
fn in_tcp_in_a_tunnel() {
    let sent = attacked(|canary| {
        let mut inner = Vec::new();
        craft::frame::tcp(&mut inner, &Link::RawIp, &Ip::V4(v4()), &ports(), &brotli(canary.as_bytes()));
        frame(|out| craft::frame::ip(out, &Link::default(), &Ip::V4(v4()), 4, &inner))
    });
    sent.doubted("headers of a tunnel");
}

#[test]
fn in_an_icmp_echo() {
    let sent = attacked(|canary| {
        let echo = [&[8, 0, 0, 0, 0, 1, 0, 1], canary.as_bytes()].concat();
        frame(|out| craft::frame::ip(out, &Link::default(), &Ip::V4(v4()), 1, &echo))
    });
    sent.found("verbatim", &[], 0..=0, sent.canary.as_bytes());
}

#[test]
fn in_a_frame_of_an_unknown_ethertype() {
    let sent = attacked(|canary| {
        frame(|out| {
            craft::frame::framed(out, &Link::default(), 0x88b5, |out| {
                out.extend_from_slice(&brotli(canary.as_bytes()));
            });
        })
    });
    sent.doubted("EtherType");
}

#[test]
fn split_over_ip_fragments() {
    let sent = attacked(|canary| {
        let mut whole = Vec::new();
        let text = format!("stolen: {canary}, all of it");
        craft::frame::tcp(&mut whole, &Link::RawIp, &Ip::V4(v4()), &ports(), text.as_bytes());
        // A multiple of eight that falls into the canary.
        let (head, tail) = whole[20..].split_at(40);
        let fragment = |more_fragments, fragment_offset, bytes: &[u8]| {
            let ip = Ipv4 { dont_fragment: false, more_fragments, fragment_offset, ..v4() };
            frame(|out| craft::frame::ip(out, &Link::default(), &Ip::V4(ip), 6, bytes)).remove(0)
        };
        vec![fragment(true, 0, head), fragment(false, 40, tail)]
    });
    sent.not_sealed();
    let reasons = sent.judged.reasons("https");
    assert!(reasons.iter().any(|reason| reason.contains("fragment")), "{reasons:#?}");
}

#[test]
fn split_over_ipv6_fragments() {
    let sent = attacked(|canary| {
        let (source, destination) = ("2001:db8::1".parse().unwrap(), "2001:db8::2".parse().unwrap());
        let ip = |extensions| Ip::V6(Ipv6 { extensions, ..Ipv6::between(source, destination) });
        let mut whole = Vec::new();
        craft::frame::tcp(&mut whole, &Link::RawIp, &ip(Vec::new()), &ports(), canary.as_bytes());
        let (head, tail) = whole[40..].split_at(32);
        let fragment = |offset, more, bytes: &[u8]| {
            let ip = ip(vec![Extension::fragment(offset, more, 7)]);
            frame(|out| craft::frame::ip(out, &Link::default(), &ip, 6, bytes)).remove(0)
        };
        vec![fragment(0, true, head), fragment(32, false, tail)]
    });
    // The packet is put together, and the canary found in it.
    sent.exposed();
    let reasons = sent.judged.reasons("https");
    assert!(reasons.iter().any(|reason| reason.contains("fragment")), "{reasons:#?}");
}

// In headers and around the payload

#[test]
fn in_the_trailer_of_a_frame() {
    for with_payload in [false, true] {
        let sent = attacked(|canary| {
            let payload: &[u8] = if with_payload { b"hello" } else { b"" };
            let mut frames =
                conversation(strangers(), &[(Side::Client, payload)][..usize::from(with_payload)]);
            let at = if with_payload { HANDSHAKE } else { 2 };
            frames[at].extend_from_slice(canary.as_bytes());
            frames
        });
        let at = if with_payload { HANDSHAKE } else { 2 };
        sent.found("verbatim", &[], at..=at, sent.canary.as_bytes());
    }
}

#[test]
fn half_in_the_payload_and_half_in_the_trailer() {
    let sent = attacked(|canary| {
        let mut frames = conversation(strangers(), &[(Side::Client, &canary.as_bytes()[..16])]);
        frames[HANDSHAKE].extend_from_slice(&canary.as_bytes()[16..]);
        frames
    });
    sent.found("verbatim", &[], HANDSHAKE..=HANDSHAKE, sent.canary.as_bytes());
}

#[test]
fn in_tcp_options() {
    let sent = attacked(|canary| {
        let options = [&[253, 34], canary.as_bytes()].concat();
        let tcp = Tcp { options: &options, flags: flags::SYN, ..ports() };
        frame(|out| craft::frame::tcp(out, &Link::default(), &Ip::V4(v4()), &tcp, b""))
    });
    sent.found("verbatim", &[], 0..=0, sent.canary.as_bytes());
}

#[test]
fn half_in_tcp_options_and_half_in_the_payload() {
    let sent = attacked(|canary| {
        let options = [&[253, 20, 0, 0], &canary.as_bytes()[..16]].concat();
        let tcp = Tcp { options: &options, flags: flags::SYN, ..ports() };
        let payload = &canary.as_bytes()[16..];
        frame(|out| craft::frame::tcp(out, &Link::default(), &Ip::V4(v4()), &tcp, payload))
    });
    sent.found("verbatim", &[], 0..=0, sent.canary.as_bytes());
}

#[test]
fn in_an_ipv4_option() {
    let sent = attacked(|canary| {
        let options = [&[0x88, 34], canary.as_bytes()].concat();
        let ip = Ip::V4(Ipv4 { options, ..v4() });
        frame(|out| {
            craft::frame::tcp(out, &Link::default(), &ip, &Tcp { flags: flags::SYN, ..ports() }, b"");
        })
    });
    sent.found("verbatim", &[], 0..=0, sent.canary.as_bytes());
}

fn v6_with(kind: u8, option: &[u8]) -> Ip {
    let body = [&[0x1e, option.len() as u8], option].concat();
    let between = Ipv6::between("2001:db8::1".parse().unwrap(), "2001:db8::2".parse().unwrap());
    Ip::V6(Ipv6 { extensions: vec![Extension { kind, body }], ..between })
}

#[test]
fn in_an_ipv6_extension_header() {
    for kind in [0, 60] {
        let sent = attacked(|canary| {
            let ip = v6_with(kind, canary.as_bytes());
            let tcp = Tcp { flags: flags::SYN, ..ports() };
            frame(|out| craft::frame::tcp(out, &Link::default(), &ip, &tcp, b""))
        });
        sent.found("verbatim", &[], 0..=0, sent.canary.as_bytes());
    }
}

// In a TCP stream, against its rules

#[test]
fn in_a_retransmission_that_contradicts() {
    let sent = attacked(|canary| {
        let delivered = ".".repeat(canary.len());
        extraordinary(delivered.as_bytes(), |connection, frames| {
            connection.segment(Side::Client, 0, flags::ACK, canary.as_bytes(), 0, frames);
        })
    });
    sent.found("verbatim", &[], HANDSHAKE + 1..=HANDSHAKE + 1, sent.canary.as_bytes());
    assert_eq!(sent.judged.capture("https")["completeness"]["overlap_conflicts"], 1);
    let packed = attacked(|canary| {
        let packed = gzip(canary);
        extraordinary(&vec![b'.'; packed.len()], |connection, frames| {
            connection.segment(Side::Client, 0, flags::ACK, &packed, 0, frames);
        })
    });
    packed.found("decoded", &["carved", "gzip"], HANDSHAKE + 1..=HANDSHAKE + 1, &gzip(&packed.canary));
}

/// The first version of the bytes is wrong, and each of two contradicting segments brings half of the canary.
#[test]
fn in_two_retransmissions_that_contradict() {
    let sent = attacked(|canary| {
        let (head, tail) = canary.split_at(16);
        extraordinary(&[b'.'; 32], |connection, frames| {
            connection.segment(Side::Client, 0, flags::ACK, head.as_bytes(), 0, frames);
            connection.segment(Side::Client, 16, flags::ACK, tail.as_bytes(), 0, frames);
        })
    });
    sent.doubted("not whole");
}

#[test]
fn in_a_segment_before_the_syn() {
    let sent = attacked(|canary| {
        let mut frames = Frames::default();
        let connection = Connection::new(strangers()).expect("two addresses");
        connection.segment(Side::Client, 0, flags::ACK, canary.as_bytes(), 0, &mut frames);
        let early = frames.iter().map(|frame| frame.bytes.to_vec());
        early.chain(conversation(strangers(), &[])).collect()
    });
    sent.found("verbatim", &[], 0..=0, sent.canary.as_bytes());
    let packed = attacked(|canary| {
        let mut frames = Frames::default();
        let connection = Connection::new(strangers()).expect("two addresses");
        connection.segment(Side::Client, 0, flags::ACK, &brotli(canary.as_bytes()), 0, &mut frames);
        let early = frames.iter().map(|frame| frame.bytes.to_vec());
        early.chain(conversation(strangers(), &[])).collect()
    });
    packed.doubted("not whole");
}

#[test]
fn in_a_syn() {
    for tcp_flags in [flags::SYN, flags::SYN | flags::FIN, flags::SYN | flags::RST] {
        let sent = attacked(|canary| {
            let tcp = Tcp { flags: tcp_flags, ..ports() };
            frame(|out| craft::frame::tcp(out, &Link::default(), &Ip::V4(v4()), &tcp, canary.as_bytes()))
        });
        sent.found("verbatim", &[], 0..=0, sent.canary.as_bytes());
    }
}

#[test]
fn after_a_fin_and_in_a_reset() {
    for (tcp_flags, disguise) in
        [(flags::ACK, false), (flags::ACK, true), (flags::RST, false), (flags::RST, true)]
    {
        let sent = attacked(|canary| {
            let mut connection = Connection::new(strangers()).expect("two addresses");
            let mut frames = Frames::default();
            connection.open(0, &mut frames).expect("it opens");
            connection.close(Side::Client, 0, &mut frames).expect("it closes");
            connection.close(Side::Server, 0, &mut frames).expect("it closes");
            let bytes = if disguise { brotli(canary.as_bytes()) } else { canary.as_bytes().to_vec() };
            connection.segment(Side::Client, 1, tcp_flags, &bytes, 0, &mut frames);
            frames.iter().map(|frame| frame.bytes.to_vec()).collect()
        });
        match disguise {
            true => sent.doubted("not explained"),
            false => sent.found("verbatim", &[], 7..=7, sent.canary.as_bytes()),
        }
    }
}

#[test]
fn outside_of_the_window() {
    let offset = 1_u32 << 31;
    for packed in [false, true] {
        let sent = attacked(|canary| {
            extraordinary(b"", |connection, frames| {
                let bytes = if packed { gzip(canary) } else { canary.as_bytes().to_vec() };
                connection.segment(Side::Client, offset, flags::ACK, &bytes, 0, frames);
            })
        });
        match packed {
            true => sent.found("decoded", &["carved", "gzip"], 3..=3, &gzip(&sent.canary)),
            false => sent.found("verbatim", &[], 3..=3, sent.canary.as_bytes()),
        }
    }
}

/// Each segment repeats the last byte of the request, as a keep-alive probe does, but contains a byte of the canary.
#[test]
fn in_keep_alive_probes() {
    let sent = attacked(|canary| {
        extraordinary(REQUEST, |connection, frames| {
            for byte in canary.as_bytes() {
                let last = REQUEST.len() as u32 - 1;
                connection.segment(Side::Client, last, flags::ACK, &[*byte], 0, frames);
            }
        })
    });
    sent.doubted("contradicting");
}

#[test]
fn in_a_second_connection_on_the_same_ports() {
    for isn in [1000, 1001, 77_000_000] {
        for disguise in [false, true] {
            let sent = attacked(|canary| {
                let bytes = if disguise { gzip(canary) } else { canary.as_bytes().to_vec() };
                let again = Settings { client_isn: isn, ..strangers() };
                [conversation(strangers(), &[]), conversation(again, &[(Side::Client, &bytes)])].concat()
            });
            match disguise {
                true => sent.exposed(),
                false => sent.found("verbatim", &[], 10..=10, sent.canary.as_bytes()),
            }
        }
    }
}

/// The ports are those of the agents, but the client is another host.
#[test]
fn in_a_second_connection_on_the_ports_of_the_agents() {
    let copied = Copied::of(run_lab("relay"));
    let opening = &copied.frames("https")[0];
    let again = Settings { client_isn: opening.seq ^ 0x5555_5555, ..Settings::new(opening.from, opening.to) };
    let canary = copied.canary("https");
    let mut records = copied.records("https");
    let frames = conversation(again, &[(Side::Client, canary.as_bytes())]);
    let time = records.last().expect("a frame").at;
    records.extend(frames.into_iter().map(|bytes| Record {
        at: time,
        original_len: bytes.len() as u32,
        bytes,
    }));
    copied.write_records("https", ETHERNET, &records);
    copied.update_manifest("https");
    let judged = copied.analyze_only("https.pcap");
    assert_eq!((judged.verdict("https"), judged.status), ("exposed", 1), "{:#?}", judged.reasons("https"));
    assert_eq!(judged.string("https", &canary)["level"], "verbatim");
}

#[test]
fn split_over_three_segments_out_of_order() {
    for order in [[2, 1, 0], [1, 2, 0], [2, 0, 1], [0, 2, 1]] {
        let sent = attacked(|canary| {
            let pieces = [&canary[..10], &canary[10..20], &canary[20..]];
            extraordinary(b"", |connection, frames| {
                for at in order {
                    let bytes = pieces[at].as_bytes();
                    connection.segment(Side::Server, 10 * at as u32, flags::ACK, bytes, 0, frames);
                }
            })
        });
        let string = sent.judged.string("https", &sent.canary);
        assert_eq!(string["level"], "reassembled", "{order:?}");
        let location = &string["locations"][0];
        let frames: Vec<_> = (0..3).map(|frame| sent.first + HANDSHAKE + frame + 1).collect();
        assert_eq!(location["frames"], json!(frames), "{order:?}");
        let first = sent.first + HANDSHAKE + order.iter().position(|at| *at == 0).expect("it is sent");
        let start = sent.records[first].bytes.len() - 10;
        let offset = file_offset(&sent.records, first) + start as u64;
        assert_eq!(location["file_offset"], offset, "{order:?}");
        sent.exposed();
    }
}

#[test]
fn one_byte_in_each_segment() {
    let sent = connection(|canary| canary.bytes().map(|byte| (Side::Client, vec![byte])).collect());
    sent.found("reassembled", &[], HANDSHAKE..=HANDSHAKE + 31, &sent.canary.as_bytes()[..1]);
}

// Other links, other files

fn linked(link: &Link, packed: bool) {
    let copied = Copied::of(run_lab("relay"));
    let canary = copied.canary("https");
    let lab = copied.records("https");
    let settings = Settings { link: link.clone(), ..strangers() };
    let text = if packed { gzip(&canary) } else { canary.clone().into_bytes() };
    let injected = conversation(settings, &[(Side::Client, &text[..9]), (Side::Client, &text[9..])]);
    let mut file = craft::pcapng::Writer::new(Vec::new(), Endian::Little).expect("a vector can be written");
    let nanoseconds: [craft::pcapng::BlockOption<'_>; 1] = [(craft::pcapng::IF_TSRESOL, &[9])];
    file.interface(ETHERNET, 262_144, &nanoseconds).expect("a vector can be written");
    file.interface(link.link_type(), 262_144, &nanoseconds).expect("a vector can be written");
    let mut frames = 0;
    let mut put = |interface, at, original_len, bytes: &[u8]| {
        file.enhanced(interface, at, original_len, bytes, &[]).expect("a vector can be written");
        frames += 1;
    };
    for (at, record) in lab.iter().enumerate() {
        if at == lab.len() / 2 {
            injected.iter().for_each(|bytes| put(1, record.at, bytes.len() as u32, bytes));
        }
        put(0, record.at, record.original_len, &record.bytes);
    }
    let file = file.into_inner();
    copied.write("https.pcap", &file);
    copied.update_manifest_with("https", &file, frames);
    let judged = copied.analyze_only("https.pcap");
    assert_eq!(
        (judged.verdict("https"), judged.status),
        ("exposed", 1),
        "{link:?} {:#?}",
        judged.reasons("https")
    );
    let string = judged.string("https", &canary);
    assert_eq!(string["level"], if packed { "decoded" } else { "reassembled" }, "{link:?}");
    let location = &string["locations"][0];
    let first = lab.len() / 2 + HANDSHAKE + 1;
    assert_eq!(location["frames"], json!([first, first + 1]), "{link:?}");
    let offset = location["file_offset"].as_u64().expect("an offset") as usize;
    assert_eq!(file[offset..offset + 9], text[..9], "{link:?}");
}

#[test]
fn on_a_second_interface_of_every_link_type() {
    let cooked = Cooked { packet_type: 4, source: [2; 6], interface: 3 };
    let vlan = |vlan| Link::Ethernet(Ethernet { vlan, ..Ethernet::default() });
    let links = [
        Link::default(),
        vlan(vec![Vlan::tag(7)]),
        vlan(vec![Vlan::service(3), Vlan::tag(7)]),
        Link::CookedV1(cooked),
        Link::CookedV2(cooked),
        Link::Null(Endian::Little),
        Link::Null(Endian::Big),
        Link::Loop,
        Link::RawIp,
    ];
    for link in links {
        linked(&link, false);
        linked(&link, true);
    }
}

#[test]
fn on_an_unknown_link_type() {
    let copied = Copied::of(run_lab("relay"));
    let canary = copied.canary("https");
    let mut file = craft::pcapng::Writer::new(Vec::new(), Endian::Big).expect("a vector can be written");
    file.interface(ETHERNET, 0, &[]).expect("a vector can be written");
    file.interface(147, 0, &[]).expect("a vector can be written");
    let records = copied.records("https");
    for record in &records {
        file.enhanced(0, record.at / 1000, record.original_len, &record.bytes, &[]).expect("a vector");
    }
    let strange = brotli(canary.as_bytes());
    file.enhanced(1, 0, strange.len() as u32, &strange, &[]).expect("a vector can be written");
    let file = file.into_inner();
    copied.write("https.pcap", &file);
    copied.update_manifest_with("https", &file, records.len() + 1);
    let judged = copied.analyze_only("https.pcap");
    let reasons = judged.reasons("https");
    assert_eq!((judged.verdict("https"), judged.status), ("inconclusive", 3), "{reasons:#?}");
    assert!(reasons.iter().any(|reason| reason.contains("not explained")), "{reasons:#?}");
}

/// The file format makes no difference to the verdict.
#[test]
fn as_pcapng_it_is_still_sealed() {
    let copied = Copied::of(run_lab("relay"));
    for endian in [Endian::Little, Endian::Big] {
        let mut file = craft::pcapng::Writer::new(Vec::new(), endian).expect("a vector can be written");
        file.interface(ETHERNET, 262_144, &[(craft::pcapng::IF_TSRESOL, &[9])]).expect("a vector");
        let records = Copied::of(run_lab("relay")).records("https");
        for record in &records {
            file.enhanced(0, record.at, record.original_len, &record.bytes, &[]).expect("a vector");
        }
        let file = file.into_inner();
        copied.write("https.pcap", &file);
        copied.update_manifest_with("https", &file, records.len());
        let judged = copied.analyze_only("https.pcap");
        assert_eq!((judged.verdict("https"), judged.status), ("sealed", 0), "{:#?}", judged.reasons("https"));
    }
}

#[test]
fn after_the_end_of_the_capture() {
    let canary = Copied::of(run_lab("relay")).canary("https");
    for garbage in [canary.as_bytes()[..15].to_vec(), canary.clone().into_bytes(), gzip(&canary)] {
        let copied = Copied::of(run_lab("relay"));
        let records = copied.records("https").len();
        let file = [copied.read("https.pcap"), garbage].concat();
        copied.write("https.pcap", &file);
        copied.update_manifest_with("https", &file, records);
        let judged = copied.analyze_only("https.pcap");
        let reasons = judged.reasons("https");
        assert_eq!((judged.verdict("https"), judged.status), ("inconclusive", 3), "{reasons:#?}");
    }
}

// Encoded

/// The protocol is unknown, but the search finds the encoded canary.
#[test]
fn encoded_in_an_unknown_protocol() {
    type Encode = fn(&str) -> String;
    let encodings: [(&str, Encode); 6] = [
        ("base64", |canary| base64(canary.as_bytes())),
        ("base64", |canary| base64(format!("x{canary}").as_bytes())),
        ("base64", |canary| base64(format!("xx{canary}").as_bytes())),
        ("hex", |canary| HEXLOWER.encode(canary.as_bytes())),
        ("hex", |canary| HEXLOWER.encode(canary.as_bytes()).to_uppercase()),
        ("hex", |canary| HEXLOWER.encode(format!("{{\"canary\":\"{canary}\"}}").as_bytes())),
    ];
    for (layer, encode) in encodings {
        let sent =
            connection(|canary| vec![(Side::Server, format!("stolen: {}", encode(canary)).into_bytes())]);
        let string = sent.judged.string("https", &sent.canary);
        assert_eq!(string["level"], "decoded", "{layer}");
        assert_eq!(string["locations"][0]["layers"], json!([layer]));
        assert_eq!(string["locations"][0]["frames"], json!([sent.first + HANDSHAKE + 1]), "{layer}");
        sent.exposed();
    }
}

#[test]
fn encoded_and_split_over_segments() {
    let sent = connection(|canary| {
        let text = base64(canary.as_bytes());
        text.as_bytes().chunks(11).map(|piece| (Side::Client, piece.to_vec())).collect()
    });
    sent.found(
        "decoded",
        &["base64"],
        HANDSHAKE..=HANDSHAKE + 3,
        &base64(sent.canary.as_bytes()).as_bytes()[..11],
    );
}

/// A text with characters that serialisers escape in different ways.
#[test]
fn in_a_text_with_escapes() {
    let judged = Copied::of(run_lab("relay")).analyze_only("https.pcap");
    let strings = judged.capture("https")["strings"].as_array().expect("an array of strings");
    let is_korean = |text: &&str| text.chars().any(|c| ('가'..='힣').contains(&c)) && text.len() < 250;
    let korean = strings.iter().filter_map(|string| string["value"].as_str()).find(is_korean);
    let korean = korean.expect("a message contains Korean text").to_owned();
    let mut escaped = String::new();
    for c in serde_json::to_string(&korean).expect("a string").trim_matches('"').chars() {
        match c.is_ascii() {
            true => escaped.push(c),
            false => c.encode_utf16(&mut [0; 2]).iter().for_each(|unit| escaped += &format!("\\u{unit:04x}")),
        }
    }
    let percent = |byte: u8| match byte {
        b'-' | b'.' | b'_' | b'~' => char::from(byte).to_string(),
        byte if byte.is_ascii_alphanumeric() => char::from(byte).to_string(),
        byte => format!("%{byte:02X}"),
    };
    let percent: String = korean.bytes().map(percent).collect();
    for (text, layer) in [(escaped, "json-escapes"), (percent, "percent")] {
        let sent = connection(|_| vec![(Side::Client, text.into_bytes())]);
        let string = sent.judged.string("https", &korean);
        assert_eq!(string["level"], "decoded", "{string:#}");
        assert_eq!(string["locations"][0]["layers"], json!([layer]));
        assert_eq!(string["locations"][0]["frames"], json!([sent.first + HANDSHAKE + 1]));
        sent.exposed();
    }
}

// In HTTP

#[test]
fn in_a_request_target() {
    let sent = connection(|canary| {
        let request = format!("GET /?q={canary} HTTP/1.1\r\nHost: agent-b\r\n\r\n");
        vec![(Side::Client, request.into_bytes())]
    });
    sent.found("verbatim", &[], HANDSHAKE..=HANDSHAKE, sent.canary.as_bytes());
}

#[test]
fn in_an_http_header() {
    let sent = answered(|canary| answer(&format!("X-Stolen: {canary}\r\n"), b"{}"));
    sent.found("verbatim", &[], HANDSHAKE + 1..=HANDSHAKE + 1, sent.canary.as_bytes());
    let encoded = answered(|canary| answer(&format!("X-Stolen: {}\r\n", base64(canary.as_bytes())), b"{}"));
    encoded.exposed();
}

#[test]
fn in_a_trailer_section() {
    let sent = answered(|canary| {
        format!(
            "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\nX-Stolen: {canary}\r\n\r\n"
        )
        .into_bytes()
    });
    sent.found("verbatim", &[], HANDSHAKE + 1..=HANDSHAKE + 1, sent.canary.as_bytes());
}

fn chunked(headers: &str, body: &[u8], size: usize) -> Vec<u8> {
    let mut out = format!("HTTP/1.1 200 OK\r\n{headers}Transfer-Encoding: chunked\r\n\r\n").into_bytes();
    for chunk in body.chunks(size) {
        out.extend_from_slice(format!("{:x}\r\n", chunk.len()).as_bytes());
        out.extend_from_slice(chunk);
        out.extend_from_slice(b"\r\n");
    }
    out.extend_from_slice(b"0\r\n\r\n");
    out
}

#[test]
fn split_over_chunks() {
    for size in [1, 7, 16, 31] {
        let sent = answered(|canary| chunked("", canary.as_bytes(), size));
        let at = HANDSHAKE + 1;
        let first = &sent.canary.as_bytes()[..size];
        // The head of the answer also contains most single characters.
        if size > 1 {
            sent.found("decoded", &["http1", "chunked"], at..=at, first);
        }
        sent.exposed();
    }
}

#[test]
fn split_over_chunks_and_encoded() {
    let sent = answered(|canary| chunked("", base64(canary.as_bytes()).as_bytes(), 10));
    let string = sent.judged.string("https", &sent.canary);
    assert_eq!(string["locations"][0]["layers"], json!(["http1", "chunked", "base64"]));
    sent.exposed();
}

#[test]
fn compressed_in_http() {
    type Compress = fn(&[u8]) -> Vec<u8>;
    let codings: [(&str, &str, Compress); 5] = [
        ("gzip", "gzip", |text| gzip(text)),
        ("deflate", "deflate", |text| zlib(text)),
        ("deflate", "deflate", |text| raw_deflate(text)),
        ("br", "br", |text| brotli(text)),
        ("zstd", "zstd", |text| zstd(text)),
    ];
    for (coding, layer, compress) in codings {
        let header = format!("Content-Encoding: {coding}\r\n");
        let text = |canary: &str| format!("stolen: {canary}").into_bytes();
        let sent = answered(|canary| answer(&header, &compress(&text(canary))));
        let packed = compress(&text(&sent.canary));
        sent.found("decoded", &["http1", layer], HANDSHAKE + 1..=HANDSHAKE + 1, &packed);
        let chunked = answered(|canary| chunked(&header, &compress(&text(canary)), 5));
        let string = chunked.judged.string("https", &chunked.canary);
        assert_eq!(string["locations"][0]["layers"], json!(["http1", "chunked", layer]), "{string:#}");
        chunked.exposed();
    }
}

#[test]
fn compressed_twice_in_http() {
    let sent = answered(|canary| answer("Content-Encoding: br, gzip\r\n", &gzip(brotli(canary.as_bytes()))));
    sent.exposed();
}

#[test]
fn compressed_and_encoded_in_http() {
    let sent = answered(|canary| answer("Content-Encoding: gzip\r\n", &gzip(base64(canary.as_bytes()))));
    let string = sent.judged.string("https", &sent.canary);
    assert_eq!(string["locations"][0]["layers"], json!(["http1", "gzip", "base64"]));
    sent.exposed();
}

#[test]
fn in_the_second_member_of_a_gzip_body() {
    let body = |canary: &str| [gzip("nothing to see here"), gzip(canary)].concat();
    let sent = answered(|canary| answer("Content-Encoding: gzip\r\n", &body(canary)));
    sent.exposed();
}

#[test]
fn gzip_split_over_many_segments_in_http() {
    let sent = connection(|canary| {
        let answer = answer("Content-Encoding: gzip\r\n", &gzip(canary));
        let pieces = answer.chunks(9).map(|piece| (Side::Server, piece.to_vec()));
        [(Side::Client, REQUEST.to_vec())].into_iter().chain(pieces).collect()
    });
    let string = sent.judged.string("https", &sent.canary);
    assert_eq!(
        (&string["level"], string["locations"][0]["layers"][1].as_str()),
        (&json!("decoded"), Some("gzip"))
    );
    sent.exposed();
}

#[test]
fn in_a_coding_other_than_the_declared_one() {
    let sent = answered(|canary| answer("Content-Encoding: br\r\n", &gzip(canary)));
    sent.not_sealed();
    let unknown = answered(|canary| answer("Content-Encoding: exi\r\n", &brotli(canary.as_bytes())));
    unknown.doubted("not explained");
}

/// HTTP explains these bytes, but no decoder of the analyzer undoes their encoding. An eavesdropper could, without a
/// secret, so the capture must not be sealed.
#[test]
fn in_http_in_encodings_without_a_decoder() {
    type Hide = fn(&str) -> Vec<u8>;
    let hidden: [(&str, Hide); 14] = [
        ("a gzip file", |c| answer("Content-Type: application/gzip\r\n", &gzip(c))),
        ("a brotli file", |c| answer("", &brotli(c.as_bytes()))),
        ("a gzip file in chunks", |c| chunked("", &gzip(c), 9)),
        ("base64 of gzip", |c| answer("", base64(&gzip(c)).as_bytes())),
        ("base64 of gzip in a header", |c| answer(&format!("X-A: {}\r\n", base64(&gzip(c))), b"{}")),
        ("base64 of base64", |c| answer("", base64(base64(c.as_bytes()).as_bytes()).as_bytes())),
        ("base64 in lines", |c| {
            let text = base64(c.as_bytes());
            answer("", [&text[..20], "\r\n", &text[20..40], "\r\n", &text[40..]].concat().as_bytes())
        }),
        ("JSON escapes of ASCII", |c| {
            let escaped: String = c.bytes().map(|byte| format!("\\u{byte:04x}")).collect();
            answer("Content-Type: application/json\r\n", format!("{{\"a\":\"{escaped}\"}}").as_bytes())
        }),
        ("percent of unreserved characters", |c| {
            answer("", c.bytes().map(|byte| format!("%{byte:02X}")).collect::<String>().as_bytes())
        }),
        ("chunk extensions", |c| {
            let (head, tail) = c.split_at(16);
            format!("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1;a={head}\r\n.\r\n1;a={tail}\r\n.\r\n0\r\n\r\n")
                .into_bytes()
        }),
        ("a folded header", |c| answer(&format!("X-A: {}\r\n {}\r\n", &c[..16], &c[16..]), b"{}")),
        ("after the end of a brotli body", |c| {
            answer("Content-Encoding: br\r\n", &[brotli(b"text"), gzip(c)].concat())
        }),
        ("after the end of a zlib body", |c| {
            answer("Content-Encoding: deflate\r\n", &[zlib("text"), brotli(c.as_bytes())].concat())
        }),
        ("a body that must not be there", |c| {
            [b"HTTP/1.1 304 Not Modified\r\nContent-Length: 9\r\n\r\n", &brotli(c.as_bytes())[..]].concat()
        }),
    ];
    for (name, hide) in hidden {
        let sent = answered(hide);
        let reasons = sent.judged.reasons("https");
        assert!(sent.judged.verdict("https") == "exposed" || !reasons.is_empty(), "{name}");
    }
}

#[test]
fn in_a_tunnel_through_http() {
    let sent = connection(|canary| {
        vec![
            (Side::Client, b"CONNECT agent-c:1 HTTP/1.1\r\nHost: agent-c\r\n\r\n".to_vec()),
            (Side::Server, b"HTTP/1.1 200 OK\r\n\r\n".to_vec()),
            (Side::Client, brotli(canary.as_bytes())),
        ]
    });
    sent.doubted("not explained");
}

#[test]
fn in_a_transfer_coding() {
    let sent = answered(|canary| {
        let body = gzip(canary);
        let head = format!("HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip, chunked\r\n\r\n{:x}\r\n", body.len());
        [head.as_bytes(), &body, b"\r\n0\r\n\r\n"].concat()
    });
    sent.exposed();
}

#[test]
fn in_a_body_that_ends_with_the_connection() {
    let head = b"HTTP/1.0 200 OK\r\nContent-Encoding: gzip\r\n\r\n";
    answered(|canary| [&head[..], &gzip(canary)].concat()).exposed();
}

#[test]
fn masked_in_a_websocket() {
    let sent = connection(|canary| {
        let upgrade = b"GET / HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n";
        let switching =
            b"HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n";
        let masked = canary.bytes().zip([0x11, 0xa2, 0x33, 0xc4].into_iter().cycle()).map(|(a, b)| a ^ b);
        let frame: Vec<u8> = [0x81, 0x80 | 32, 0x11, 0xa2, 0x33, 0xc4].into_iter().chain(masked).collect();
        vec![(Side::Client, upgrade.to_vec()), (Side::Server, switching.to_vec()), (Side::Client, frame)]
    });
    sent.not_sealed();
}

#[test]
fn in_http2_in_the_clear() {
    let sent = connection(|canary| {
        let preface = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0".to_vec();
        vec![(Side::Client, preface), (Side::Client, brotli(canary.as_bytes()))]
    });
    sent.not_sealed();
}

#[test]
fn in_http_0_9() {
    let sent = connection(|canary| {
        vec![(Side::Client, b"GET /\r\n".to_vec()), (Side::Server, brotli(canary.as_bytes()))]
    });
    sent.not_sealed();
}

// In bytes that look like TLS

/// A ClientHello (RFC 9846 §4.1.2) that asks for `name` and carries one more extension.
fn client_hello(name: &[u8], extension: &[u8]) -> Vec<u8> {
    let server_name = vec16(&[&[0][..], &vec16(name)].concat());
    let versions = [2, 3, 4];
    let extensions =
        [&[0, 0][..], &vec16(&server_name), &[0, 43], &vec16(&versions), &[0xfa, 0xfa], &vec16(extension)]
            .concat();
    let hello = [&[3, 3][..], &[7; 32], &[0, 0, 2, 0x13, 1, 1, 0], &vec16(&extensions)].concat();
    [&[1, 0][..], &vec16(&hello)].concat()
}

#[test]
fn in_plaintext_tls_records() {
    for content_type in [20, 21, 22, 23] {
        let sent = connection(|canary| vec![(Side::Client, record(content_type, canary.as_bytes()))]);
        sent.found("verbatim", &[], HANDSHAKE..=HANDSHAKE, sent.canary.as_bytes());
        let packed =
            connection(|canary| vec![(Side::Client, record(content_type, &brotli(canary.as_bytes())))]);
        packed.doubted("not explained");
    }
}

#[test]
fn in_plaintext_tls_records_after_a_hello() {
    for content_type in [20, 21, 22, 23] {
        let packed = connection(|canary| {
            let hello = record(22, &client_hello(b"agent-b", b""));
            vec![(Side::Client, hello), (Side::Client, record(content_type, &brotli(canary.as_bytes())))]
        });
        packed.doubted("not explained");
    }
}

#[test]
fn in_a_server_name() {
    let sent = connection(|canary| vec![(Side::Client, record(22, &client_hello(canary.as_bytes(), b"")))]);
    sent.found("verbatim", &[], HANDSHAKE..=HANDSHAKE, sent.canary.as_bytes());
    let encoded = connection(|canary| {
        vec![(Side::Client, record(22, &client_hello(base64(canary.as_bytes()).as_bytes(), b"")))]
    });
    encoded.exposed();
}

#[test]
fn in_an_alert_after_the_handshake() {
    let copied = Copied::of(run_lab("relay"));
    let canary = copied.canary("https");
    let frames = copied.frames("https");
    let mut records = copied.records("https");
    let client = frames[0].from;
    let last = frames.iter().rposition(|frame| frame.from == client && !frame.payload.is_empty()).unwrap();
    let alerts: Vec<u8> = canary.as_bytes().chunks(2).flat_map(|pair| record(21, pair)).collect();
    for (frame, record) in frames.iter().zip(&mut records).skip(last + 1) {
        if frame.from == client {
            record.bytes = damage::shifted(frame, alerts.len() as u32);
        }
    }
    let sequence = frames[last].seq.wrapping_add(frames[last].payload.len() as u32);
    insert(&mut records, last + 1, vec![damage::segment_like(&frames[last], sequence, flags::ACK, &alerts)]);
    copied.write_records("https", ETHERNET, &records);
    copied.update_manifest("https");
    let judged = copied.analyze_only("https.pcap");
    let reasons = judged.reasons("https");
    assert_eq!((judged.verdict("https"), judged.status), ("inconclusive", 3), "{reasons:#?}");
    assert!(reasons.iter().any(|reason| reason.contains("not explained")), "{reasons:#?}");
}

/// Before the ServerHello names the version, a handshake message of the client would be legal in TLS 1.2. In TLS 1.3 no
/// plaintext handshake message is legal there, whatever its type.
#[test]
fn in_a_handshake_message_between_the_hellos() {
    for message_type in [0, 4, 12, 15, 16, 22] {
        let copied = Copied::of(run_lab("relay"));
        let canary: Vec<u8> = copied.canary("https").bytes().map(|byte| !byte).collect();
        let message = record(22, &[&[message_type, 0, 0, canary.len() as u8], &canary[..]].concat());
        let frames = copied.frames("https");
        let client = frames[0].from;
        // The hello needs two segments.
        let answer =
            frames.iter().position(|frame| frame.from != client && !frame.payload.is_empty()).unwrap();
        let hello = frames[..answer].iter().rposition(|frame| !frame.payload.is_empty()).unwrap();
        let sequence = frames[hello].seq.wrapping_add(frames[hello].payload.len() as u32);
        let mut records = copied.records("https");
        for (frame, record) in frames.iter().zip(&mut records).skip(hello + 1) {
            record.bytes = match (frame.from == client, frame.to == client) {
                (true, _) => damage::shifted(frame, message.len() as u32),
                (_, true) => damage::acknowledging(frame, message.len() as u32),
                _ => continue,
            };
        }
        let sent = damage::segment_like(&frames[hello], sequence, flags::ACK, &message);
        insert(&mut records, hello + 1, vec![sent]);
        copied.write_records("https", ETHERNET, &records);
        copied.update_manifest("https");
        let judged = copied.analyze_only("https.pcap");
        let reasons = judged.reasons("https");
        assert_eq!((judged.verdict("https"), judged.status), ("inconclusive", 3), "{reasons:#?}");
        assert!(reasons.iter().all(|reason| reason.contains("not explained")), "{reasons:#?}");
    }
}

/// A complete TLS connection between other hosts. Without its keys its contents are unknown.
#[test]
fn in_a_tls_connection_without_keys() {
    let copied = Copied::of(run_lab("relay"));
    let client = copied.frames("https")[0].from;
    let own = copied.frames("https").into_iter().filter(|frame| frame.from == client || frame.to == client);
    let other = SocketAddr::from(([198, 51, 100, 7], 40_000));
    // Its hellos are copies of the agents' with another random, so the key log has no entry for them.
    let mut sent: Vec<(Side, Vec<u8>)> = own
        .filter(|frame| !frame.payload.is_empty())
        .map(|frame| (if frame.from == client { Side::Client } else { Side::Server }, frame.payload))
        .collect();
    sent[0].1[11..43].fill(0x5a);
    let pieces: Vec<_> = sent.iter().map(|(side, bytes)| (*side, &bytes[..])).collect();
    let settings = Settings { client: other, server: ([198, 51, 100, 8], 443).into(), ..strangers() };
    let sent = attacked(|_| conversation(settings, &pieces));
    sent.doubted("not explained");
}

/// An ICMP echo can carry any payload, which is only searched and not explained.
#[test]
fn packed_or_split_in_icmp() {
    let echo = |protocol: u8, kind: u8, ip: &Ip, bytes: &[u8]| {
        let echo = [&[kind, 0, 0, 0, 0, 1, 0, 1], bytes].concat();
        frame(|out| craft::frame::ip(out, &Link::default(), ip, protocol, &echo)).remove(0)
    };
    let (v4, v6) =
        (Ip::V4(v4()), Ip::V6(Ipv6::between("2001:db8::1".parse().unwrap(), "2001:db8::2".parse().unwrap())));
    let _ = attacked(|canary| vec![echo(1, 8, &v4, &brotli(canary.as_bytes()))]);
    let _ = attacked(|canary| vec![echo(58, 128, &v6, &brotli(canary.as_bytes()))]);
    let _ = attacked(|canary| canary.as_bytes().chunks(16).map(|half| echo(1, 8, &v4, half)).collect());
}

/// Two ARP requests, each with 18 bytes of padding.
#[test]
fn split_over_the_padding_of_arp() {
    let _ = attacked(|canary| {
        let request = |half: &[u8]| {
            frame(|out| {
                craft::frame::arp(
                    out,
                    &Link::default(),
                    craft::frame::Ethernet::default().source,
                    [192, 0, 2, 1].into(),
                    [192, 0, 2, 2].into(),
                );
                out.extend_from_slice(half);
            })
            .remove(0)
        };
        canary.as_bytes().chunks(16).map(request).collect()
    });
}

/// Only ARP requests and replies of the usual form are explained. Other bytes after the EtherType of ARP could carry
/// anything, with and without a VLAN tag.
#[test]
fn split_over_malformed_arp_frames() {
    for tag in [&b""[..], b"\x81\x00\x00\x07"] {
        let _ = attacked(|canary| {
            let ethernet = craft::frame::Ethernet::default();
            let frame = |half: &[u8]| {
                let header = [0, 1, 8, 0, 6, 4, 0, 1];
                let packet = [&header[..], half, &[0; 4]].concat();
                [&ethernet.destination[..], &ethernet.source, tag, &[8, 6], &packet].concat()
            };
            canary.as_bytes().chunks(16).map(frame).collect()
        });
    }
}

/// An empty datagram does not explain the bytes after it, neither in the IP payload nor in the trailer.
#[test]
fn after_an_empty_udp_datagram() {
    let _ = attacked(|canary| {
        let bytes = [&[0, 53, 0, 53, 0, 8, 0, 0][..], &brotli(canary.as_bytes())].concat();
        frame(|out| craft::frame::ip(out, &Link::default(), &Ip::V4(v4()), 17, &bytes))
    });
    let _ = attacked(|canary| {
        frame(|out| {
            craft::frame::udp(out, &Link::default(), &Ip::V4(v4()), &Udp::default(), b"");
            out.extend_from_slice(&brotli(canary.as_bytes()));
        })
    });
}

/// The parts around a TCP payload (trailer, options, extension headers) could carry anything, so only usual values are
/// explained. The test changes the agents' own frames, so that no foreign stream causes the doubt.
#[test]
fn packed_in_the_trailer_of_an_agents_frame() {
    for split in [false, true] {
        let copied = Copied::of(run_lab("relay"));
        let canary = copied.canary("https");
        let mut records = copied.records("https");
        let pieces = if split {
            canary.as_bytes().chunks(16).map(<[u8]>::to_vec).collect()
        } else {
            vec![gzip(&canary)]
        };
        for (record, piece) in records.iter_mut().zip(pieces) {
            record.bytes.extend_from_slice(&piece);
            record.original_len = record.bytes.len() as u32;
        }
        copied.write_records("https", ETHERNET, &records);
        copied.update_manifest("https");
        let judged = copied.analyze_only("https.pcap");
        assert_ne!(judged.verdict("https"), "sealed", "split: {split}");
    }
}

#[test]
fn packed_in_an_ipv6_extension_header() {
    let _ = attacked(|canary| {
        let tcp = Tcp { flags: flags::SYN, ..ports() };
        frame(|out| craft::frame::tcp(out, &Link::default(), &v6_with(60, &gzip(canary)), &tcp, b""))
    });
}

#[test]
fn split_over_the_tcp_options_of_two_segments() {
    let _ = attacked(|canary| {
        let syn = |half: &[u8]| {
            let options = [&[253, 18], half].concat();
            let tcp = Tcp { options: &options, flags: flags::SYN, ..ports() };
            frame(|out| craft::frame::tcp(out, &Link::default(), &Ip::V4(v4()), &tcp, b"")).remove(0)
        };
        canary.as_bytes().chunks(16).map(syn).collect()
    });
}

/// A ClientHello may be divided into several records (RFC 9846 §5.1), as tools that evade filters do. In the stream,
/// the five bytes of a record header interrupt the name.
#[test]
fn in_a_server_name_split_over_two_records() {
    let sent = connection(|canary| {
        let hello = client_hello(canary.as_bytes(), b"");
        let name = hello.windows(32).position(|window| window == canary.as_bytes()).expect("its name");
        let (head, tail) = hello.split_at(name + 16);
        vec![(Side::Client, [record(22, head), record(22, tail)].concat())]
    });
    assert_eq!(sent.judged.string("https", &sent.canary)["level"], "decoded");
    sent.exposed();
}

/// A ClientHello explains all its bytes, even those of unknown extensions, and two ClientHellos can carry half of a
/// canary each. A handshake without a key log entry and without an answer is therefore a doubt.
#[test]
fn packed_in_a_client_hello() {
    let _ = connection(|canary| vec![(Side::Client, record(22, &client_hello(b"agent-b", &gzip(canary))))]);
    let _ = attacked(|canary| {
        let hello = |(at, half): (usize, &[u8])| {
            let settings = Settings { client_isn: 5000 + 99_999 * at as u32, ..strangers() };
            conversation(settings, &[(Side::Client, &record(22, &client_hello(half, b"")))])
        };
        canary.as_bytes().chunks(16).enumerate().flat_map(hello).collect()
    });
}

/// The descriptions of 32 plaintext warning alerts spell the canary. Unknown descriptions, and more than two alerts of a
/// side, are not explained.
#[test]
fn one_byte_in_each_of_many_alerts() {
    let _ = connection(|canary| {
        let alerts = canary.bytes().flat_map(|byte| record(21, &[1, byte])).collect();
        vec![(Side::Client, record(22, &client_hello(b"agent-b", b""))), (Side::Server, alerts)]
    });
}
