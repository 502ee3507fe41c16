//! Writes the corpus of the fuzz targets: `cargo run -p fuzz-targets --example make_corpus` from the top of the checkout.
//!
//! Everything is made here, by `craft` and by rustls with certificates of the moment. Only the files of
//! `corpus/certificate`, of `corpus/tls` and those with TLS in `corpus/capture` differ from run to run.

#[path = "../../dissect/tests/tls_support/peer.rs"]
#[expect(dead_code, reason = "the tests of dissect use the rest")]
mod peer;
#[path = "../../dissect/tests/tls_support/mod.rs"]
mod tls_support;

use std::fs;
use std::io::{self, Write};
use std::path::Path;

use craft::Endian;
use craft::conversation::{Connection, Frames, Settings, Side};
use craft::encapsulation as wrap;
use craft::frame::{self as make, Ethernet, Extension, Ip, Ipv4, Ipv6, Link, Tcp, Udp, Vlan, flags};
use craft::pcap::{self, Format, Resolution};
use craft::pcapng;
use dissect::flow::Direction;
use rcgen::string::Ia5String;
use rcgen::{
    BasicConstraints, CertificateParams, DnType, DnValue, IsCa, KeyPair, OtherNameValue,
    PKCS_ECDSA_P256_SHA256, PKCS_ED25519, SanType, date_time_ymd,
};

const REQUEST: &[u8] = b"POST /tools/search HTTP/1.1\r\nHost: agent-b\r\nContent-Type: application/json\r\n\
    Content-Length: 24\r\n\r\n{\"query\":\"needle-123456\"}";
const RESPONSE: &[u8] =
    b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n\
    9\r\n{\"hits\":[\r\n2;x=y\r\n]}\r\n0\r\nServer-Timing: t\r\n\r\n";

fn main() -> io::Result<()> {
    let corpus = Path::new("corpus");
    let wire = peer::Setup::usual()
        .configs()
        .connect()
        .settle()
        .client_sends(REQUEST)
        .server_sends(RESPONSE)
        .close();
    captures(&corpus.join("capture"), &wire)?;
    certificates(&corpus.join("certificate"))?;
    contents(&corpus.join("content"))?;
    fragments(&corpus.join("fragments"))?;
    frames(&corpus.join("frame"))?;
    http1(&corpus.join("http1"))?;
    dns(&corpus.join("dns"))?;
    preambles(&corpus.join("preamble"))?;
    http2(&corpus.join("http2"))?;
    http3(&corpus.join("http3"))?;
    key_logs(&corpus.join("keylog"), &wire)?;
    readable(&corpus.join("readable"))?;
    tcp(&corpus.join("tcp"))?;
    tls(&corpus.join("tls"), &wire)?;
    websocket(&corpus.join("websocket"))
}

fn write(directory: &Path, name: &str, bytes: &[u8]) -> io::Result<()> {
    fs::create_dir_all(directory)?;
    fs::write(directory.join(name), bytes)
}

fn settings(client_port: u16) -> Settings {
    let client = format!("10.0.0.1:{client_port}").parse().expect("an address");
    let server = "10.0.0.2:8000".parse().expect("an address");
    Settings { client_isn: 100, server_isn: u32::MAX - 20, ..Settings::new(client, server) }
}

/// A connection on which both sides send in turn.
fn conversation(settings: Settings, turns: &[(Side, &[u8])]) -> Frames {
    let mut connection = Connection::new(settings).expect("a connection");
    let mut frames = Frames::default();
    let mut at = 1_700_000_000_000_000_000;
    let mut now = || {
        at += 1_000_000;
        at
    };
    connection.open(now(), &mut frames).expect("frames");
    for (side, bytes) in turns {
        connection.send(*side, bytes, now(), &mut frames).expect("frames");
    }
    connection.close(Side::Client, now(), &mut frames).expect("frames");
    connection.close(Side::Server, now(), &mut frames).expect("frames");
    frames
}

fn file(frames: &Frames, order: impl IntoIterator<Item = usize>) -> io::Result<Vec<u8>> {
    let mut file = pcap::Writer::new(Vec::new(), craft::link_type::ETHERNET, pcap::FULL_SNAPLEN)?;
    for index in order {
        let frame = frames.frame(index).expect("a frame of the batch");
        file.write(frame.at_ns, frame.bytes.len() as u32, frame.bytes)?;
    }
    Ok(file.into_inner())
}

fn captures(directory: &Path, wire: &tls_support::Wire) -> io::Result<()> {
    let turns = [(Side::Client, REQUEST), (Side::Server, RESPONSE)];
    let http = conversation(Settings { mss: 60, ..settings(40_000) }, &turns);
    write(directory, "http.pcap", &file(&http, 0..http.len())?)?;
    write(directory, "http-reversed.pcap", &file(&http, (0..http.len()).rev())?)?;
    write(directory, "http-repeated.pcap", &file(&http, (0..http.len()).flat_map(|index| [index; 2]))?)?;
    write(directory, "http-every-third-missing.pcap", &file(&http, (0..http.len()).filter(|n| n % 3 > 0))?)?;

    write(directory, "tunnels-and-fragments.pcapng", &tunnelled(&http)?)?;

    let side = |direction| match direction {
        Direction::ClientToServer => Side::Client,
        Direction::ServerToClient => Side::Server,
    };
    let turns: Vec<(Side, &[u8])> = wire.sent.iter().map(|(from, bytes)| (side(*from), &bytes[..])).collect();
    let tls = conversation(settings(40_001), &turns);
    write(directory, "https.pcap", &file(&tls, 0..tls.len())?)?;

    let mut keyed = pcapng::Writer::new(Vec::new(), Endian::Little)?;
    keyed.interface(craft::link_type::ETHERNET, 0, &[])?;
    keyed.key_log(wire.keys.as_bytes())?;
    for frame in tls.iter() {
        keyed.enhanced(0, frame.at_ns / 1000, frame.bytes.len() as u32, frame.bytes, &[])?;
    }
    write(directory, "https-with-keys.pcapng", &keyed.into_inner())?;
    write(
        directory,
        "http3-with-keys.pcapng",
        &quic(include_bytes!("../../../corpus/quic/with-keys-aes128.bin"))?,
    )?;

    let first = http.frame(0).expect("a frame");
    let format = Format {
        endian: Endian::Big,
        resolution: Resolution::Micros,
        snaplen: 40,
        link_type: craft::link_type::ETHERNET,
    };
    let mut cut = pcap::Writer::with_format(Vec::new(), format)?;
    cut.write(first.at_ns, first.bytes.len() as u32, first.bytes)?;
    write(directory, "big-endian-snaplen-40.pcap", &cut.into_inner())?;

    let mut blocks = pcapng::Writer::new(Vec::new(), Endian::Big)?;
    blocks.interface(craft::link_type::ETHERNET, 0, &[])?;
    blocks.name([10, 0, 0, 2], "agent-b")?;
    blocks.obsolete(0, 3, 1, first.bytes.len() as u32, first.bytes)?;
    blocks.simple(first.bytes.len() as u32, first.bytes)?;
    blocks.section(Endian::Little)?;
    blocks.interface(craft::link_type::RAW, 0, &[])?;
    blocks.enhanced(0, 1, first.bytes.len() as u32 - 14, &first.bytes[14..], &[])?;
    blocks.block(0x0bad, b"unknown!")?;
    write(directory, "every-block.pcapng", &blocks.into_inner())?;

    let mut frames = conversation(settings(40_002), &[(Side::Client, REQUEST)]);
    let mut again =
        Connection::new(Settings { client_isn: 9_000, ..settings(40_002) }).expect("a connection");
    again.open(1_700_000_001_000_000_000, &mut frames).expect("frames");
    again.reset(Side::Server, 1_700_000_001_000_001_000, &mut frames).expect("frames");
    write(directory, "endpoints-used-twice.pcap", &file(&frames, 0..frames.len())?)
}

fn gzip(bytes: &[u8]) -> io::Result<Vec<u8>> {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::best());
    encoder.write_all(bytes)?;
    encoder.finish()
}

fn contents(directory: &Path) -> io::Result<()> {
    let text = b"{\"text\":\"needle-123456 needle-123456 needle-123456\"}".repeat(3);
    let level = flate2::Compression::best();
    let gzip = gzip(&text)?;
    write(directory, "text.gz", &gzip)?;
    write(directory, "two-members.gz", &[&gzip[..], &gzip].concat())?;
    write(directory, "wrong-checksum.gz", &[&gzip[..gzip.len() - 8], &[0; 8]].concat())?;
    let mut zlib = flate2::write::ZlibEncoder::new(Vec::new(), level);
    zlib.write_all(&text)?;
    write(directory, "text.zlib", &zlib.finish()?)?;
    let mut deflate = flate2::write::DeflateEncoder::new(Vec::new(), level);
    deflate.write_all(&text)?;
    write(directory, "text.deflate", &deflate.finish()?)?;
    write(directory, "bomb-1-mib.gz", &self::gzip(&vec![0; 1 << 20])?)?;
    // RFC 8878 §3.1: magic number, a single-segment frame of 5 bytes, one raw block.
    write(directory, "raw-block.zst", b"\x28\xb5\x2f\xfd\x20\x05\x29\x00\x00hello")?;
    // The same with a block of one byte that is repeated.
    write(directory, "run-length-block.zst", b"\x28\xb5\x2f\xfd\x20\x05\x2b\x00\x00a")?;
    // RFC 7932 §9.2: a window of 64 KiB, one uncompressed meta-block of 5 bytes, the empty last one.
    write(directory, "uncompressed.br", b"\x08\x00\x40hello\x03")
}

/// Two bytes of link type before each frame.
fn frames(directory: &Path) -> io::Result<()> {
    let v4 = Ipv4::between([10, 0, 0, 1].into(), [10, 0, 0, 2].into());
    let v6 =
        Ipv6::between("2001:db8::1".parse().expect("an address"), "2001:db8::2".parse().expect("an address"));
    let tcp = Tcp {
        source_port: 40_000,
        destination_port: 8_000,
        sequence: 7,
        flags: flags::ACK,
        options: &[1, 1, 5, 10, 0, 0, 0, 1, 0, 0, 0, 9],
        ..Tcp::default()
    };
    let tagged =
        Link::Ethernet(Ethernet { vlan: vec![Vlan::service(7), Vlan::tag(8)], ..Ethernet::default() });
    let extended =
        Ipv6 { extensions: vec![Extension::hop_by_hop(), Extension::fragment(0, true, 9)], ..v6.clone() };
    let put = |name: &str, link: &Link, frame: &dyn Fn(&mut Vec<u8>)| {
        let mut bytes = link.link_type().to_be_bytes().to_vec();
        frame(&mut bytes);
        write(directory, name, &bytes)
    };
    let ethernet = Link::default();
    for (name, link, ip) in [
        ("tcp-v4.bin", &ethernet, Ip::V4(v4.clone())),
        ("tcp-v6.bin", &ethernet, Ip::V6(v6)),
        ("tcp-v6-extensions.bin", &ethernet, Ip::V6(extended)),
        ("tcp-two-tags.bin", &tagged, Ip::V4(v4.clone())),
        ("tcp-null.bin", &Link::Null(Endian::Little), Ip::V4(v4.clone())),
        ("tcp-raw.bin", &Link::RawIp, Ip::V4(v4.clone())),
    ] {
        put(name, link, &|out| make::tcp(out, link, &ip, &tcp, b"payload"))?;
    }
    let ip = Ip::V4(v4);
    let udp = Udp { source_port: 53, destination_port: 40_000, ..Udp::default() };
    put("udp.bin", &ethernet, &|out| make::udp(out, &ethernet, &ip, &udp, b"datagram"))?;
    let packet = {
        let mut out = Vec::new();
        make::tcp(&mut out, &Link::RawIp, &ip, &tcp, b"payload");
        out
    };
    let with_link = |name: &str, link_type: u16, bytes: &[u8]| {
        write(directory, name, &[&link_type.to_be_bytes(), bytes].concat())
    };
    let link = craft::link_type::PPP;
    with_link("ppp.bin", link, &wrap::ppp(wrap::ppp_protocol::IPV4, true, false, &packet))?;
    with_link("cisco-hdlc.bin", craft::link_type::C_HDLC, &wrap::cisco_hdlc(0x0800, &packet))?;
    let session = wrap::pppoe(5, &wrap::ppp(wrap::ppp_protocol::IPV4, false, false, &packet));
    with_link("pppoe.bin", craft::link_type::PPP_ETHER, &session)?;
    with_link("mpls.bin", craft::link_type::MPLS, &wrap::mpls(&[16, 17], &packet))?;
    with_link("nflog.bin", craft::link_type::NFLOG, &wrap::nflog(Endian::Little, 2, &packet))?;
    let qos = wrap::Wireless { qos: true, ht: true, padded: true, ..wrap::Wireless::default() };
    let wireless = wrap::ieee80211(qos, &wrap::snap(0x0800, &packet));
    let link = craft::link_type::IEEE802_11_RADIOTAP;
    with_link("radiotap.bin", link, &wrap::radiotap(Some(0x20), &wireless))?;
    let ppi = wrap::ppi(
        craft::link_type::IEEE802_11,
        &wrap::ieee80211(wrap::Wireless::default(), &wrap::snap(0x0800, &packet)),
    );
    with_link("ppi.bin", craft::link_type::PPI, &ppi)?;
    let mut whole = Vec::new();
    make::tcp(&mut whole, &ethernet, &ip, &tcp, b"payload");
    let over = |protocol: u8, bytes: &[u8]| {
        let mut out = Vec::new();
        make::ip(&mut out, &ethernet, &ip, protocol, bytes);
        out
    };
    let over_udp = |port, bytes: &[u8]| {
        let mut out = Vec::new();
        let header = Udp { source_port: 50_000, destination_port: port, ..Udp::default() };
        make::udp(&mut out, &ethernet, &ip, &header, bytes);
        out
    };
    let keyed = wrap::Gre { checksum: true, key: Some(7), sequence: Some(1) };
    let counted = wrap::Gre { sequence: Some(1), ..wrap::Gre::default() };
    for (name, bytes) in [
        ("ip-in-ip.bin", over(wrap::protocol::IPV4, &packet)),
        ("gre.bin", over(wrap::protocol::GRE, &wrap::gre(keyed, wrap::carries::ETHERNET, &whole))),
        ("pptp.bin", {
            let inner = wrap::ppp(wrap::ppp_protocol::IPV4, true, false, &packet);
            over(wrap::protocol::GRE, &wrap::pptp(7, Some(1), &inner))
        }),
        ("erspan-ii.bin", {
            let inner = wrap::erspan_ii(7, &whole);
            over(wrap::protocol::GRE, &wrap::gre(counted, wrap::carries::ERSPAN, &inner))
        }),
        ("erspan-iii.bin", {
            let inner = wrap::erspan_iii(7, true, &whole);
            over(wrap::protocol::GRE, &wrap::gre(counted, wrap::carries::ERSPAN_III, &inner))
        }),
        ("vxlan.bin", over_udp(wrap::port::VXLAN, &wrap::vxlan(7, &whole))),
        (
            "geneve.bin",
            over_udp(wrap::port::GENEVE, &wrap::geneve(7, wrap::carries::ETHERNET, &[0; 8], &whole)),
        ),
        ("gtp-u.bin", over_udp(wrap::port::GTP_U, &wrap::gtp_u(7, Some(1), &[(0x85, &[0, 9])], &packet))),
    ] {
        with_link(name, craft::link_type::ETHERNET, &bytes)?;
    }
    put("icmp.bin", &ethernet, &|out| make::ip(out, &ethernet, &ip, 1, &[8, 0, 0xf7, 0xff, 0, 0, 0, 0]))?;
    put("arp.bin", &ethernet, &|out| {
        make::arp(out, &ethernet, [2, 0, 0, 0, 0, 1], [10, 0, 0, 1].into(), [10, 0, 0, 2].into());
    })
}

/// Five bytes for each operation: see the target `fragments`.
fn fragments(directory: &Path) -> io::Result<()> {
    let in_order = [[0, 64, 1, 1, 0], [8, 64, 1, 2, 0], [16, 9, 0, 3, 0]];
    write(directory, "in-order.bin", &in_order.concat())?;
    let reordered =
        [[16, 9, 2, 3, 0], [8, 64, 3, 2, 0], [8, 64, 3, 2, 0], [0, 64, 3, 1, 0], [0, 64, 3, 1, 0]];
    write(directory, "v6-reordered-and-repeated.bin", &reordered.concat())?;
    let contradicting = [[0, 64, 1, 1, 0], [4, 64, 1, 9, 0], [12, 8, 0, 3, 0], [13, 8, 0, 3, 0]];
    write(directory, "contradicting.bin", &contradicting.concat())?;
    let damaged =
        [[0, 64, 0x11, 1, 0], [255, 255, 0x20, 1, 0], [1, 3, 1, 1, 0], [1, 0, 0, 1, 0], [1, 8, 1, 1, 90]];
    write(directory, "cut-odd-far-and-late.bin", &damaged.concat())
}

/// A connection in fragments, and copies of it in tunnels: equal addresses, other contents.
fn tunnelled(http: &Frames) -> io::Result<Vec<u8>> {
    let outer = Ip::between([192, 0, 2, 1].into(), [192, 0, 2, 2].into()).expect("one version");
    let between = |packet: &[u8]| {
        let (source, destination) = ([10, 0, 0, packet[15]], [10, 0, 0, packet[19]]);
        Ip::between(source.into(), destination.into()).expect("one version")
    };
    let mut file = pcapng::Writer::new(Vec::new(), Endian::Little)?;
    file.interface(craft::link_type::ETHERNET, 0, &[])?;
    file.interface(craft::link_type::IEEE802_11_RADIOTAP, 0, &[])?;
    file.interface(craft::link_type::RAW, 0, &[])?;
    let udp = |port, bytes: &[u8]| {
        let mut out = Vec::new();
        let header = Udp { source_port: 50_000, destination_port: port, ..Udp::default() };
        make::udp(&mut out, &Link::default(), &outer, &header, bytes);
        out
    };
    for (id, frame) in (0..).zip(http.iter()) {
        let mut put = |interface, bytes: &[u8]| file.enhanced(interface, 1, bytes.len() as u32, bytes, &[]);
        let packet = &frame.bytes[14..];
        put(0, &udp(wrap::port::VXLAN, &wrap::vxlan(7, frame.bytes)))?;
        put(0, &udp(wrap::port::GTP_U, &wrap::gtp_u(9, Some(1), &[(0x85, &[0, 9])], packet)))?;
        let gre =
            wrap::gre(wrap::Gre { key: Some(3), ..wrap::Gre::default() }, 0x8847, &wrap::mpls(&[16], packet));
        let mut over_ip = Vec::new();
        make::ip(&mut over_ip, &Link::RawIp, &outer, wrap::protocol::GRE, &gre);
        put(2, &over_ip)?;
        let wireless = wrap::Wireless { qos: true, aggregate: true, ..wrap::Wireless::default() };
        let subframe = wrap::subframe(true, &wrap::snap(0x0800, packet));
        put(1, &wrap::radiotap(Some(0), &wrap::ieee80211(wireless, &subframe)))?;
        for fragment in wrap::fragments(&between(packet), 6, id, 24, &packet[20..]).iter().rev() {
            put(2, fragment)?;
        }
    }
    Ok(file.into_inner())
}

/// A frame of HTTP/2 (RFC 9113 §4.1).
/// A record of DNS with the class IN.
fn dns_record(name: &[u8], kind: u16, data: &[u8]) -> Vec<u8> {
    let length = (data.len() as u16).to_be_bytes();
    [name, &kind.to_be_bytes(), &[0, 1, 0, 0, 0, 60], &length, data].concat()
}

fn dns(directory: &Path) -> io::Result<()> {
    let question = b"\x03www\x07example\x03com\0\0\x01\0\x01";
    let options = [0, 0, 41, 0x04, 0xd0, 0, 0, 0x80, 0, 0, 8, 0, 10, 0, 4, 1, 2, 3, 4];
    let query = [&[0x12, 0x34, 1, 0, 0, 1, 0, 0, 0, 0, 0, 1][..], question, &options].concat();
    let (www, example) = (&b"\xc0\x0c"[..], &b"\xc0\x10"[..]);
    let records = [
        dns_record(www, 5, b"\x01a\xc0\x10"),
        dns_record(b"\x01a\xc0\x10", 1, &[192, 0, 2, 1]),
        dns_record(www, 28, &[0x20, 1, 0xd, 0xb8, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1]),
        dns_record(example, 15, b"\0\x0a\x04mail\xc0\x10"),
        dns_record(example, 16, b"\x05v=one\x03two"),
        dns_record(example, 33, b"\0\x01\0\x02\x01\xbb\xc0\x0c"),
        dns_record(www, 65, b"\0\x01\0\0\x01\0\x06\x02h2\x02h3\0\x04\0\x04\xc0\0\x02\x07"),
        dns_record(example, 12, www),
        dns_record(example, 2, b"\x02ns\xc0\x10"),
        dns_record(example, 6, b"\xc0\x0c\xc0\x10\0\0\0\x07\0\0\0\x01\0\0\0\x01\0\0\0\x01\0\0\0\x01"),
    ]
    .concat();
    let answer =
        [&[0x12, 0x34, 0x81, 0x80, 0, 1, 0, 9, 0, 1, 0, 1][..], question, &records, &options].concat();
    // The class has the flag of a record that replaces others.
    let announced = b"\x07printer\x05local\0\0\x01\x80\x01\0\0\0\x78\0\x04\x0a\0\0\x01";
    let mdns = [&[0, 0, 0x84, 0, 0, 0, 0, 1, 0, 0, 0, 0][..], announced].concat();
    let chain: Vec<u8> = (0..100_u16).flat_map(|n| (0xc000 | (12 + 2 * n)).to_be_bytes()).collect();
    let pointers =
        [&[0, 0, 0, 0, 0, 3, 0, 0, 0, 0, 0, 0, 0, 0][..], &chain, b"\0\x01\0\x01\xc0\xff"].concat();
    let framed = |message: &[u8]| [&(message.len() as u16).to_be_bytes()[..], message].concat();
    fs::write(directory.join("query.bin"), &query)?;
    fs::write(directory.join("answer.bin"), &answer)?;
    fs::write(directory.join("mdns.bin"), mdns)?;
    fs::write(directory.join("pointers.bin"), pointers)?;
    fs::write(directory.join("stream.bin"), [framed(&query), framed(&answer)].concat())
}

/// A recorded session of QUIC, as the target `quic` reads it, with its key log in the capture.
fn quic(mut pieces: &[u8]) -> io::Result<Vec<u8>> {
    let mut keyed = pcapng::Writer::new(Vec::new(), Endian::Little)?;
    keyed.interface(craft::link_type::ETHERNET, 0, &[])?;
    let (client, server) = ([10, 0, 0, 1], [10, 0, 0, 2]);
    let mut at_us = 0;
    while let Some((&[kind, high, low], after)) = pieces.split_first_chunk() {
        let (payload, behind) = after.split_at(usize::from(u16::from_be_bytes([high, low])));
        pieces = behind;
        let ((from, to), (source_port, destination_port)) = match kind {
            0 => ((client, server), (50_000, 443)),
            1 => ((server, client), (443, 50_000)),
            _ => {
                keyed.key_log(payload)?;
                continue;
            }
        };
        let header = Udp { source_port, destination_port, ..Udp::default() };
        let mut frame = Vec::new();
        make::udp(
            &mut frame,
            &Link::default(),
            &Ip::V4(Ipv4::between(from.into(), to.into())),
            &header,
            payload,
        );
        at_us += 100;
        keyed.enhanced(0, at_us, frame.len() as u32, &frame, &[])?;
    }
    Ok(keyed.into_inner())
}

/// A piece of a stream, as the target reads it: the client's or the server's (0, 1), to be continued or the last one
/// (0, 2).
fn http3_piece(kind: u8, stream: u8, bytes: &[u8]) -> Vec<u8> {
    let [high, low] = (bytes.len() as u16).to_be_bytes();
    [&[kind, stream, high, low][..], bytes].concat()
}

fn http3(directory: &Path) -> io::Result<()> {
    let p = http3_piece;
    let table = p(1, 3, b"\0\x04\x05\x01\x40\xdc\x07\x10");
    // Two insertions with names of the static table, the second value in Huffman code (RFC 7541 §C.4.1), and a
    // duplicate.
    let authority = b"\xc0\x0fwww.example.com";
    let path = b"\xc1\x8c\xf1\xe3\xc2\xe5\xf2\x3a\x6b\xa0\xab\x90\xf4\xff";
    let capacity = b"\x02\x3f\xbd\x01";
    // A head that refers to both, a body in two frames, a frame of an unknown type.
    let request = b"\x01\x06\x03\x81\xd1\xd7\x10\x11\0\x05hello\x21\x01x\0\x01!";
    let answer = b"\x01\x08\0\0\x5f\x09\x03103\x01\x03\0\0\xd9\0\x0b{\"hits\":[]}\x01\x0a\0\0\x23abc\x03yes";
    let exchange = [
        table.clone(),
        p(0, 2, capacity),
        p(0, 2, authority),
        p(0, 2, path),
        p(0, 2, b"\x01"),
        p(2, 0, request),
        p(3, 0, answer),
    ];
    write(directory, "exchange.h3", &exchange.concat())?;
    let late = [
        table.clone(),
        p(2, 0, request),
        p(0, 2, capacity),
        p(0, 4, &request[..10]),
        p(0, 2, &[&authority[..], path, &[&authority[..]; 8].concat()].concat()),
        p(2, 4, &request[10..]),
        p(1, 0, b"\x01\x03\0\0\xd9\x05\x06\x05\0\0\xd1\xd7\xc1"),
        p(3, 15, b"\x01\x05\x01\x03\0\0\xd9\0\x02hi"),
    ];
    write(directory, "late-entries.h3", &late.concat())?;
    let missing = [
        table.clone(),
        p(0, 2, &capacity[..2]),
        p(4, 2, b"??"),
        p(2, 0, request),
        p(1, 0, &answer[..22]),
        p(5, 0, b"????"),
        p(1, 0, &answer[26..]),
        p(7, 0, b""),
        p(0, 4, &request[..9]),
        p(4, 4, b"?"),
        p(2, 4, request),
    ];
    write(directory, "missing.h3", &missing.concat())?;
    let references = [&b"\x01\x41\x02\x03\x81"[..], &[0x80; 256]].concat();
    let mut floods = vec![table, p(0, 2, capacity)];
    floods.extend((0..40).map(|stream| p(0, stream * 4, &references)));
    floods.extend((0..40).map(|_| p(0, 160, b"\0\0\x21\0\x01\0")));
    floods.extend([p(0, 2, authority), p(0, 2, path), p(0, 2, &[0; 64]), p(0, 2, b"\x4a")]);
    write(directory, "floods.h3", &floods.concat())
}

fn http2_frame(frame_type: u8, flags: u8, stream: u8, payload: &[u8]) -> Vec<u8> {
    let [a, b] = (payload.len() as u16).to_be_bytes();
    [&[0, a, b, frame_type, flags, 0, 0, 0, stream][..], payload].concat()
}

fn http2(directory: &Path) -> io::Result<()> {
    let preface = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n".to_vec();
    let f = http2_frame;
    // :authority www.example.com in Huffman code (RFC 7541 §C.4.1), inserted.
    let authority = b"\x41\x8c\xf1\xe3\xc2\xe5\xf2\x3a\x6b\xa0\xab\x90\xf4\xff";
    let client = [
        preface.clone(),
        f(4, 0, 0, b"\0\x05\0\0\x80\0\0\x03\0\0\0\x64"),
        f(1, 0, 1, b"\x83\x86\x44\x06/to"),
        f(9, 4, 1, &[b"ols", &authority[..]].concat()),
        f(0, 8, 1, b"\x02{\"query\":\0\0"),
        f(1, 0x25, 3, b"\0\0\0\0\x0f\x82\x86\x84\xbe"),
        f(0, 0, 1, b"\"needle-123456\"}"),
        f(1, 5, 1, b"\0\x07trailer\x05value"),
        f(6, 0, 0, b"12345678"),
        f(3, 0, 3, b"\0\0\0\x08"),
    ];
    let server = [
        f(4, 0, 0, b""),
        f(4, 1, 0, b""),
        f(1, 4, 1, b"\x08\x03103"),
        f(1, 4, 1, b"\x88\x5f\x10application/json"),
        f(5, 4, 1, b"\0\0\0\x02\x82\x86\x85\x01\x01b"),
        f(0, 0, 1, b"{\"hits\":"),
        f(1, 5, 2, b"\x8d"),
        f(0, 1, 1, b"[]}"),
        f(0x0a, 0, 0, b"\0\x09example.ah3=\":443\""),
        f(7, 0, 0, b"\0\0\0\x03\0\0\0\0bye"),
    ];
    let put = |name: &str, client: &[u8], server: &[u8]| {
        write(directory, name, &[client, b"\n<<<<\n", server].concat())
    };
    put("exchange.h2", &client.concat(), &server.concat())?;
    let within = |frames: &[Vec<u8>]| frames[4..].concat().split_off(5);
    put("within.h2", &within(&client), &within(&server))?;
    let empty = f(9, 0, 1, b"").repeat(70);
    let resets: Vec<u8> = (1..100)
        .step_by(2)
        .flat_map(|stream| [f(1, 5, stream, b"\x82\x86\x84"), f(3, 0, stream, &[0; 4])].concat())
        .collect();
    let flood = [preface, f(4, 0, 0, b""), f(1, 0, 1, b"\x82"), empty, f(9, 4, 1, b"\x84"), resets];
    // Size updates, entries that evict each other, references to one long entry, an index of no entry.
    let entry = [b"\x40\x01n\x7f\xa1\x1e", &[b'v'; 4000][..]].concat();
    let tables = [
        f(4, 0, 0, b""),
        f(1, 4, 1, &[b"\x20\x3f\xe1\x1f\x88", &entry[..]].concat()),
        f(1, 5, 3, &[&b"\x88"[..], &[0xbe; 60]].concat()),
        f(1, 5, 5, &entry.repeat(2)),
        f(1, 5, 7, b"\x88\xbf"),
        f(1, 5, 9, b"\x88\xbe"),
    ];
    put("floods.h2", &flood.concat(), &tables.concat())
}

fn http1(directory: &Path) -> io::Result<()> {
    let put = |name: &str, requests: &[u8], responses: &[u8]| {
        write(directory, name, &[requests, b"\n<<<<\n", responses].concat())
    };
    put("exchange.http", REQUEST, RESPONSE)?;
    put(
        "pipelined.http",
        b"HEAD /a HTTP/1.1\r\n\r\nGET /b HTTP/1.1\r\n\r\nGET /c HTTP/1.1\n\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: 7\r\n\r\nHTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\n\
          Content-Length: 2\r\n\r\nokHTTP/1.0 200 OK\r\n\r\nuntil the end",
    )?;
    put(
        "websocket.http",
        b"GET /chat HTTP/1.1\r\nUpgrade: websocket\r\nConnection: upgrade\r\n\r\n\x81\x82\0\0\0\0hi",
        b"HTTP/1.1 101 Switching Protocols\r\n\r\n\x81\x02hi",
    )?;
    put(
        "connect.http",
        b"CONNECT example.org:443 HTTP/1.1\r\n\r\n\x16\x03\x01",
        b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n\x16\x03\x03",
    )?;
    put(
        "smuggling.http",
        b"POST / HTTP/1.1\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\nPOST / HTTP/1.1\r\n\
          Content-Length: 5\r\nContent-Length: 6\r\n\r\nhello",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip\r\n\r\n",
    )?;
    put(
        "coded.http",
        b"GET / HTTP/1.1\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Encoding: gzip, br\r\n\r\nbytes",
    )
}

fn certificates(directory: &Path) -> io::Result<()> {
    let put = |name: &str, params: &CertificateParams, algorithm| {
        let key = KeyPair::generate_for(algorithm).expect("a key");
        write(directory, name, params.self_signed(&key).expect("a certificate").der())
    };
    let text = |text: &str| Ia5String::try_from(text).expect("ASCII");
    let names = vec!["agent-b".to_owned(), "10.0.0.2".to_owned(), "::1".to_owned()];
    let mut every_name = CertificateParams::new(names).expect("names");
    every_name.subject_alt_names.extend([
        SanType::Rfc822Name(text("a@example.org")),
        SanType::URI(text("https://example.org/")),
        SanType::OtherName((vec![1, 2, 3], OtherNameValue::Utf8String("other".to_owned()))),
    ]);
    put("every-kind-of-name.der", &every_name, &PKCS_ECDSA_P256_SHA256)?;
    let mut long_subject = CertificateParams::default();
    for (kind, value) in [
        (DnType::CountryName, DnValue::PrintableString("KR".try_into().expect("letters"))),
        (DnType::OrganizationName, DnValue::BmpString("한국 회사".try_into().expect("no surrogates"))),
        (DnType::OrganizationalUnitName, DnValue::TeletexString("Lab".try_into().expect("ASCII"))),
        (DnType::CustomDnType(vec![2, 5, 4, 97]), DnValue::Utf8String("VAT-1".to_owned())),
    ] {
        long_subject.distinguished_name.push(kind, value);
    }
    long_subject.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    long_subject.not_after = date_time_ymd(2050, 1, 1);
    put("authority-with-every-string.der", &long_subject, &PKCS_ED25519)
}

fn key_logs(directory: &Path, wire: &tls_support::Wire) -> io::Result<()> {
    write(directory, "session.txt", wire.keys.as_bytes())?;
    let random = "ab".repeat(32);
    let secret = "01".repeat(32);
    let text = format!(
        "# comment\r\nCLIENT_TRAFFIC_SECRET_0 {random} {secret}\rCLIENT_TRAFFIC_SECRET_0 {random} {}\n\
         CLIENT_RANDOM {random} {}\nFUTURE_LABEL 00 11\nnot a line\nSERVER_TRAFFIC_SECRET_0 {random} 0g\n",
        "02".repeat(32),
        "5a".repeat(48),
    );
    write(directory, "every-kind-of-line.txt", text.as_bytes())
}

/// Six bytes for each operation: see the target `tcp`.
/// Messages of HTTP: target, fields, an empty line, body. Every secret in them is invented: letters in their order.
fn readable(directory: &Path) -> io::Result<()> {
    let json = "Content-Type: application/json\n\n";
    let base64 = |bytes: &[u8]| data_encoding::BASE64.encode(bytes);
    let key = "sk_live_0aA1bB2cC3dD4eE5fF6gG7hH";
    let token = format!(
        "{}.{}.0aA1bB2cC3dD4eE5",
        data_encoding::BASE64URL_NOPAD.encode(br#"{"alg":"HS256","typ":"JWT","kid":"k1"}"#),
        data_encoding::BASE64URL_NOPAD
            .encode(br#"{"iss":"issuer","sub":"ada","exp":1700000000,"email":"ada@example.com"}"#),
    );
    // Field lengths, allocated lengths and offsets of the third message ([MS-NLMP] §2.2.1.3), without Unicode.
    let mut ntlm = b"NTLMSSP\0\x03\0\0\0".to_vec();
    let parts: [&[u8]; 6] = [&[1; 24], &[2; 24], b"DOMAIN", b"ada", b"HOST", b""];
    let mut at = 64u32;
    for part in parts {
        let len = u16::try_from(part.len()).expect("a short part").to_le_bytes();
        ntlm.extend([len, len].concat());
        ntlm.extend(at.to_le_bytes());
        at += u32::from(u16::from_le_bytes(len));
    }
    ntlm.extend([0; 4]);
    ntlm.extend(parts.concat());
    let headers = [
        "/v1/items?access_token=0123456789abcdef&note=a%20b+c&\
            url=https%3A%2F%2Fada%3As3cret%40db.example%2F"
            .to_owned(),
        format!("Authorization: Basic {}", base64(b"Aladdin:open sesame")),
        format!("Proxy-Authorization: NTLM {}", base64(&ntlm)),
        "Authorization: Digest username=\"ada\", realm=\"r\", uri=\"/\", \
            response=\"8ca523f5e9506fed4657c9700eebdbec\""
            .to_owned(),
        "Authorization: AWS4-HMAC-SHA256 Credential=AKIA0123456789ABCDEF/x, SignedHeaders=host, \
            Signature=fe5f80"
            .to_owned(),
        format!("Cookie: SID=31d4d96e407aad42; lang=en-US; jwt={token}"),
        "Set-Cookie: SID=31d4d96e407aad42; Path=/; Secure; HttpOnly".to_owned(),
        format!("X-Api-Key: {key}"),
        "\n".to_owned(),
    ];
    write(directory, "headers.txt", headers.join("\n").as_bytes())?;
    let call = format!(
        "/mcp\n{json}[{{\"jsonrpc\":\"2.0\",\"id\":2,\"method\":\"tools/call\",\"params\":{{\"name\":\"add\",\
        \"arguments\":{{\"a\":1,\
        \"api_key\":\"0123456789ab\",\"pwd\":\"x1\",\"note\":\"pay 4111 1111 1111 1111 to DE89 3704 0044 0532 0130 00\",\
        \"to\":\"ada@example.com\",\"db\":\"postgres://app:s3cret@db.example/x\",\"{key}\":\"{key}\"}}}}}},\
        {{\"jsonrpc\":\"2.0\",\"id\":\"{key}\",\
        \"result\":{{\"content\":[{{\"type\":\"text\",\"text\":\"{token}\"}}]}}}}]"
    );
    write(directory, "mcp.txt", call.as_bytes())?;
    let inner = r#"{"list":[{"client_secret":"0123456789abcdef","password":4711}]}"#;
    let nested = serde_json::json!({
        "arguments": inner,
        "base64": base64(inner.as_bytes()),
        "gzip": base64(&gzip(inner.as_bytes())?),
        "url": format!("data:application/json;base64,{}", base64(inner.as_bytes())),
        "deep": serde_json::json!({ "inner": serde_json::json!({ "inner": inner }).to_string() }).to_string(),
    });
    write(directory, "nested.txt", format!("/v1\n{json}{nested}").as_bytes())?;
    let events = [
        r#"{"id":"x","object":"chat.completion.chunk","model":"m","choices":[{"index":0,"delta":{"role":"assistant","content":"Hel"}}]}"#,
        r#"{"id":"x","object":"chat.completion.chunk","choices":[{"index":0,"delta":{"content":"lo","tool_calls":[{"index":0,"id":"c","function":{"name":"get","arguments":"{\"password\":"}}]}}]}"#,
        r#"{"id":"x","object":"chat.completion.chunk","choices":[{"index":0,"delta":{"tool_calls":[{"index":0,"function":{"arguments":"\"hunter22\"}"}}]},"finish_reason":"tool_calls"}]}"#,
        r#"{"type":"message_start","message":{"id":"y","type":"message","role":"assistant","model":"m","content":[]}}"#,
        r#"{"type":"content_block_delta","index":1,"delta":{"type":"input_json_delta","partial_json":"{\"q\":\"x\"}"}}"#,
        r#"{"type":"response.output_text.delta","output_index":0,"content_index":0,"delta":"token"}"#,
        "[DONE]",
    ];
    let stream: String = events.iter().map(|event| format!("event: e\ndata: {event}\n\n")).collect();
    write(directory, "events.txt", format!("\nContent-Type: text/event-stream\n\n{stream}").as_bytes())?;
    let lines = format!("\nContent-Type: application/x-ndjson\n\n{inner}\n{{\"a\":[\"{key}\"]}}\nno JSON\n");
    write(directory, "lines.txt", lines.as_bytes())?;
    let chat = "/v1/messages\nContent-Type: application/json\n\n{\"model\":\"m\",\"system\":\"s\",\"messages\":[\
        {\"role\":\"user\",\"content\":\"call https://ada:s3cret@db.example/\"}],\"logprobs\":[{\"token\":\"a token\",\"logprob\":-1.5}]}";
    write(directory, "chat.txt", chat.as_bytes())?;
    let form = "/login\nContent-Type: application/x-www-form-urlencoded\n\nuser=ada%40example.com&password=a+b%21&\
        card=4111111111111111&q=%7B%22passwd%22%3A%22x1%22%7D";
    write(directory, "form.txt", form.as_bytes())?;
    let parts = "/upload\nContent-Type: multipart/form-data; boundary=b\n\n--b\r\n\
        Content-Disposition: form-data; name=\"passphrase\"\r\n\r\ncorrect horse\r\n--b\r\n\
        Content-Disposition: form-data; name=\"file\"; filename=\"id.pem\"\r\n\r\n-----BEGIN PRIVATE KEY-----\n\
        MC4CAQAwBQYDK2VwBCIEIAABAgMEBQYHCAkKCwwNDg8QERITFBUWFxgZGhscHR4f\n-----END PRIVATE KEY-----\r\n--b--\r\n";
    write(directory, "parts.txt", parts.as_bytes())?;
    let text = format!(
        "/\nContent-Type: text/plain\n\nThe key is {key}. Write to ada@example.com, \
        card 4111111111111111, git@example.com:a/b, logo@2x.png, GB29NWBK60161331926819.\n"
    );
    write(directory, "text.txt", text.as_bytes())
}

fn tcp(directory: &Path) -> io::Result<()> {
    let in_order = [[1, 0, 0, 0, 0, 0], [0, 0, 1, 9, 0, 0], [0, 0, 10, 9, 0, 0], [2, 0, 19, 0, 0, 0]];
    write(directory, "in-order.bin", &in_order.concat())?;
    let reordered = [[1, 0, 0, 0, 0, 0], [0, 0, 10, 9, 0, 0], [0, 0, 5, 9, 0, 0], [0, 0, 1, 9, 0, 0]];
    write(directory, "reordered-and-overlapping.bin", &reordered.concat())?;
    let across_the_wrap =
        [[1, 0, 250, 0, 0, 0], [0, 1, 4, 99, 0, 0], [0, 0, 251, 9, 0, 0], [16, 1, 90, 9, 0, 99]];
    write(directory, "across-the-sequence-wrap.bin", &across_the_wrap.concat())?;
    let forged = [[1, 0, 0, 0, 0, 0], [0, 0, 1, 9, 0, 0], [4, 0, 1, 9, 0, 0], [8, 3, 1, 9, 0, 0]];
    write(directory, "forged-and-far-away.bin", &forged.concat())?;
    let lossy = [[1, 0, 0, 0, 0, 0], [0, 0, 1, 9, 5, 0], [0, 0, 40, 9, 0, 0], [32, 0, 80, 9, 0, 0]];
    write(directory, "cut-and-lost.bin", &lossy.concat())
}

/// Pieces of both directions: see the target `tls_session`.
fn tls(directory: &Path, wire: &tls_support::Wire) -> io::Result<()> {
    let pieces = |wire: &tls_support::Wire, with_keys: bool| {
        let keys = wire.keys.as_bytes().chunks(u16::MAX.into()).filter(|_| with_keys).map(|text| (2, text));
        let sent =
            wire.sent.iter().map(|(from, bytes)| (u8::from(*from == Direction::ServerToClient), &bytes[..]));
        let mut out = Vec::new();
        for (kind, bytes) in keys.chain(sent) {
            out.push(kind);
            out.extend_from_slice(&(bytes.len() as u16).to_be_bytes());
            out.extend_from_slice(bytes);
        }
        out
    };
    write(directory, "session-with-keys.bin", &pieces(wire, true))?;
    write(directory, "session-without-keys.bin", &pieces(wire, false))?;
    write(directory, "session-in-pieces.bin", &pieces(&wire.chopped(700), true))?;
    let early = peer::Setup { early_data: true, ..peer::Setup::usual() }.configs();
    early.connect().settle().client_sends(b"first").server_sends(b"answer").close();
    let resumed = early.connect().settle().client_sends(REQUEST).server_sends(RESPONSE).close();
    write(directory, "session-resumed.bin", &pieces(&resumed, true))
}

/// RFC 6455 §5.7: a text message in two fragments with a ping between them, a binary message, a close.
fn websocket(directory: &Path) -> io::Result<()> {
    let masked = |first: u8, payload: &[u8]| {
        let key = [0x37, 0xfa, 0x21, 0x3d];
        let body = payload.iter().zip(key.iter().cycle()).map(|(byte, key)| byte ^ key);
        [first, 0x80 | payload.len() as u8].into_iter().chain(key).chain(body).collect::<Vec<u8>>()
    };
    let plain = |first: u8, payload: &[u8]| [&[first, payload.len() as u8], payload].concat();
    let client = [masked(0x01, b"Hel"), masked(0x89, b"ping"), masked(0x80, b"lo"), masked(0x88, &[3, 0xe8])];
    write(directory, "frames-of-the-client.bin", &client.concat())?;
    let long = [&[0x82, 126, 1, 0][..], &[7; 256]].concat();
    let server = [plain(0x8a, b"ping"), plain(0x02, &[1, 2, 3]), plain(0x80, &[]), long, plain(0x88, &[])];
    write(directory, "frames-of-the-server.bin", &server.concat())
}

/// Whether the server sends it, and its bytes.
type Piece<'a> = (bool, &'a [u8]);

/// The pieces of a talk: before each a byte whose highest bit is set for the server, and whose others are its length.
fn talk(pieces: &[Piece<'_>]) -> Vec<u8> {
    let piece = |(is_server, bytes): &Piece<'_>| {
        let length = u8::try_from(bytes.len()).expect("a short piece");
        assert!(length < 0x80, "a short piece");
        [&[u8::from(*is_server) << 7 | length], *bytes].concat()
    };
    pieces.iter().flat_map(piece).collect()
}

fn preambles(directory: &Path) -> io::Result<()> {
    const CLIENT: bool = false;
    const SERVER: bool = true;
    fs::create_dir_all(directory)?;
    let mysql = [b"\x10\0\0\0\x0a8.0.1\0".as_slice(), &[7; 9]].concat();
    let mysql_request = [b"\x20\0\0\x01\x05\xae\xff\x19".as_slice(), &[0; 28]].concat();
    let talks: [(&str, &[Piece<'_>]); 10] = [
        (
            "smtp",
            &[
                (SERVER, b"220 mail.test ESMTP\r\n"),
                (CLIENT, b"EHLO a\r\n"),
                (SERVER, b"250-mail.test\r\n250 STARTTLS\r\n"),
                (CLIENT, b"STARTTLS\r\n"),
                (SERVER, b"220 ready\r\n"),
            ],
        ),
        (
            "injected",
            &[(SERVER, b"220 a\r\n"), (CLIENT, b"STARTTLS\r\nMAIL FROM:<a>\r\n"), (SERVER, b"220 ready\r\n")],
        ),
        ("imap", &[(SERVER, b"* OK ready\r\n"), (CLIENT, b"a1 STARTTLS\r\n"), (SERVER, b"a1 OK begin\r\n")]),
        ("pop3", &[(SERVER, b"+OK hi\r\n"), (CLIENT, b"STLS\r\n"), (SERVER, b"+OK begin\r\n")]),
        (
            "xmpp",
            &[
                (CLIENT, b"<?xml version='1.0'?><stream:stream to='x'>"),
                (SERVER, b"<stream:stream>"),
                (CLIENT, b"<starttls xmlns='urn:ietf:params:xml:ns:xmpp-tls'/>"),
                (SERVER, b"<proceed xmlns='urn:ietf:params:xml:ns:xmpp-tls'/>"),
            ],
        ),
        (
            "ldap",
            &[
                (CLIENT, b"\x30\x1d\x02\x01\x01\x77\x18\x80\x161.3.6.1.4.1.1466.20037"),
                (SERVER, b"\x30\x0c\x02\x01\x01\x78\x07\x0a\x01\x00\x04\x00\x04\x00"),
            ],
        ),
        (
            "postgresql",
            &[
                (CLIENT, b"\0\0\0\x08\x04\xd2\x16\x30"),
                (SERVER, b"N"),
                (CLIENT, b"\0\0\0\x08\x04\xd2\x16\x2f"),
                (SERVER, b"S"),
            ],
        ),
        ("mysql", &[(SERVER, &mysql), (CLIENT, &mysql_request)]),
        (
            "socks4",
            &[(CLIENT, b"\x04\x01\x00\x50\0\0\0\x01me\0host.test\0"), (SERVER, b"\0\x5a\0\0\0\0\0\0")],
        ),
        (
            "socks5",
            &[
                (CLIENT, b"\x05\x02\x00\x02"),
                (SERVER, b"\x05\x02"),
                (CLIENT, b"\x01\x02me\x02pw"),
                (SERVER, b"\x01\x00"),
                (CLIENT, b"\x05\x01\x00\x03\x04host\x01\xbb"),
                (SERVER, b"\x05\x00\x00\x01\0\0\0\0\0\0"),
            ],
        ),
    ];
    for (name, pieces) in talks {
        fs::write(directory.join(name).with_extension("bin"), talk(pieces))?;
    }
    Ok(())
}
