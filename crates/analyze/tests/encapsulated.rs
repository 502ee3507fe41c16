//! HTTP in fragments, in tunnels and over links other than Ethernet is read as directly over Ethernet, and never called
//! `sealed`.

mod support;

use craft::conversation::Side;
use craft::encapsulation::{self as wrap, Gre, Wireless, carries, port, ppp_protocol, protocol};
use craft::frame::{self, ETHERTYPE_IPV4, Ip, Ipv4, Link, Udp};
use craft::{Endian, link_type, pcap, pcapng};
use exposure_schema::{ByKind, Capture, Level, Name, StringEntry, Verdict};
use proptest::prelude::*;
use support::{Bench, Conversation, Line, Made, whole};

const REQUEST: &str = r#"{"id":"call-0001","type":"tool_call","text":"a string to be found"}"#;
const STRING: &str = "a string to be found";

const TCP: u8 = 6;

fn bench() -> Bench {
    Bench::new(&[Line { agent: "agent-a", event: "sent", at: 1, body: REQUEST }])
}

fn request() -> Vec<u8> {
    let head = format!("POST /tool HTTP/1.1\r\nContent-Length: {}\r\n\r\n", REQUEST.len());
    [head.as_bytes(), REQUEST.as_bytes()].concat()
}

fn exchange() -> Conversation {
    let answer = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}";
    let conversation = Conversation::open().sends(Side::Client, &request()).sends(Side::Server, answer);
    conversation.closes(Side::Client).closes(Side::Server)
}

/// The IP packets of the exchange.
fn packets() -> Vec<Vec<u8>> {
    exchange().made().iter().map(|made| made.bytes[14..].to_vec()).collect()
}

fn ethernet(packet: &[u8]) -> Vec<u8> {
    let mut out = Vec::new();
    frame::framed(&mut out, &Link::default(), ETHERTYPE_IPV4, |out| out.extend_from_slice(packet));
    out
}

fn outer() -> Ip {
    Ip::V4(Ipv4::between([192, 0, 2, 1].into(), [192, 0, 2, 2].into()))
}

fn over_ip(protocol: u8, inner: &[u8]) -> Vec<u8> {
    let mut out = Vec::new();
    frame::ip(&mut out, &Link::default(), &outer(), protocol, inner);
    out
}

fn over_udp(port: u16, inner: &[u8]) -> Vec<u8> {
    let mut out = Vec::new();
    let udp = Udp { source_port: 50_000, destination_port: port, ..Udp::default() };
    frame::udp(&mut out, &Link::default(), &outer(), &udp, inner);
    out
}

fn file(link_type: u16, frames: &[Vec<u8>]) -> Vec<u8> {
    let mut writer = pcap::Writer::new(Vec::new(), link_type, pcap::FULL_SNAPLEN).expect("a vector");
    for (at, bytes) in (1..).zip(frames) {
        writer.write(at * 1000, bytes.len() as u32, bytes).expect("a vector");
    }
    writer.into_inner()
}

fn analyzed(link_type: u16, frames: &[Vec<u8>]) -> Capture {
    let capture = bench().analyze_file(&file(link_type, frames));
    assert_ne!(capture.verdict, Some(Verdict::Sealed));
    let on_the_wire: usize = frames.iter().map(Vec::len).sum();
    let ByKind { headers, clear, tls_clear, ciphertext, other } = capture.traffic.by_kind;
    assert_eq!(headers + clear + tls_clear + ciphertext + other, capture.traffic.wire_bytes);
    assert_eq!(capture.traffic.wire_bytes, on_the_wire as u64, "every byte is counted once");
    assert!(capture.controls.coverage.as_ref().is_some_and(|coverage| coverage.passed));
    capture
}

fn string(capture: &Capture) -> &StringEntry {
    capture.strings.iter().find(|entry| entry.value == STRING).expect("a known string")
}

/// The reasons why bytes are unexplained.
fn reasons(capture: &Capture) -> Vec<&str> {
    capture.completeness.unexplained.iter().map(|entry| entry.reason.as_str()).collect()
}

fn has_reason(capture: &Capture, part: &str) -> bool {
    reasons(capture).iter().any(|reason| reason.contains(part))
}

fn assert_read(capture: &Capture, name: &str) {
    assert_eq!(capture.http_total, 2, "{name}: {:?}", reasons(capture));
    assert!(capture.http.iter().all(|message| message.complete), "{name}");
    assert_eq!(string(capture).level, Level::Verbatim, "{name}");
    assert_eq!(capture.connections_total, 1, "{name}");
}

#[test]
fn reads_http_behind_every_link_and_in_every_tunnel() {
    type Wrap = fn(&[u8]) -> Vec<u8>;
    let cases: [(&str, u16, Wrap); 13] = [
        ("PPP", link_type::PPP, |packet| wrap::ppp(ppp_protocol::IPV4, true, false, packet)),
        ("Cisco HDLC", link_type::C_HDLC, |packet| wrap::cisco_hdlc(ETHERTYPE_IPV4, packet)),
        ("radiotap", link_type::IEEE802_11_RADIOTAP, |packet| {
            let qos = Wireless { qos: true, ..Wireless::default() };
            wrap::radiotap(Some(0), &wrap::ieee80211(qos, &wrap::snap(ETHERTYPE_IPV4, packet)))
        }),
        ("NFLOG", link_type::NFLOG, |packet| wrap::nflog(Endian::Little, 2, packet)),
        ("IP in IP", link_type::ETHERNET, |packet| over_ip(protocol::IPV4, packet)),
        ("GRE", link_type::ETHERNET, |packet| {
            let header = Gre { checksum: true, key: Some(7), sequence: None };
            over_ip(protocol::GRE, &wrap::gre(header, ETHERTYPE_IPV4, packet))
        }),
        ("ERSPAN II", link_type::ETHERNET, |packet| {
            let header = Gre { sequence: Some(1), ..Gre::default() };
            let mirrored = wrap::erspan_ii(3, &ethernet(packet));
            over_ip(protocol::GRE, &wrap::gre(header, carries::ERSPAN, &mirrored))
        }),
        ("VXLAN", link_type::ETHERNET, |packet| over_udp(port::VXLAN, &wrap::vxlan(1, &ethernet(packet)))),
        ("GENEVE", link_type::ETHERNET, |packet| {
            over_udp(port::GENEVE, &wrap::geneve(1, ETHERTYPE_IPV4, &[], packet))
        }),
        ("GTP-U", link_type::ETHERNET, |packet| {
            // Each direction has an identifier of its own.
            let endpoint = if packet[15] == 1 { 17 } else { 99 };
            over_udp(port::GTP_U, &wrap::gtp_u(endpoint, None, &[], packet))
        }),
        ("MPLS", link_type::MPLS, |packet| wrap::mpls(&[20, 30], packet)),
        ("PPPoE", link_type::PPP_ETHER, |packet| {
            wrap::pppoe(5, &wrap::ppp(ppp_protocol::IPV4, false, false, packet))
        }),
        ("PPI", link_type::PPI, |packet| wrap::ppi(link_type::ETHERNET, &ethernet(packet))),
    ];
    for (name, link_type, wrapped) in cases {
        let frames: Vec<Vec<u8>> = packets().iter().map(|packet| wrapped(packet)).collect();
        let capture = analyzed(link_type, &frames);
        assert_read(&capture, name);
        let around = &capture.connections[0].encapsulations;
        let is_link = ["PPP", "Cisco HDLC", "radiotap", "NFLOG", "PPI"].contains(&name);
        assert_eq!(around.iter().map(|layer| layer.kind.as_str()).next_back(), (!is_link).then_some(name));
        assert!(has_reason(&capture, "headers of a tunnel or of a link"), "{name}: {:?}", reasons(&capture));
        let location = &string(&capture).locations[0];
        assert_eq!(location.frames, [4], "{name}");
        let at = frames[3].windows(STRING.len()).position(|window| window == STRING.as_bytes());
        let before: usize = frames[..3].iter().map(|frame| 16 + frame.len()).sum();
        let expected = 24 + before + 16 + at.expect("the string");
        assert_eq!(location.file_offset, expected as u64, "{name}");
    }
}

/// A bridge or a mirror port may show each direction with a VLAN of its own.
#[test]
fn vlans_are_stated_and_do_not_part_a_connection() {
    let frames: Vec<Vec<u8>> = packets()
        .iter()
        .map(|packet| {
            let mut frame = ethernet(packet);
            let vlan = if packet[15] == 1 { 100 } else { 200 };
            frame.splice(12..12, [0x81, 0x00, 0, vlan]);
            frame
        })
        .collect();
    let capture = analyzed(link_type::ETHERNET, &frames);
    assert_read(&capture, "VLAN");
    assert_eq!(capture.connections[0].vlan, [100]);
    assert_eq!(capture.connections[0].encapsulations, []);
}

/// A reader of the result sees which of two equal pairs of addresses is in which tunnel.
#[test]
fn the_tunnel_of_a_connection_is_stated() {
    let tunnels: Vec<Vec<u8>> = [1, 2]
        .iter()
        .flat_map(|network| {
            packets()
                .into_iter()
                .map(|packet| over_udp(port::VXLAN, &wrap::vxlan(*network, &ethernet(&packet))))
        })
        .collect();
    let capture = analyzed(link_type::ETHERNET, &tunnels);
    let stated: Vec<_> = capture
        .connections
        .iter()
        .flat_map(|connection| &connection.encapsulations)
        .map(|layer| (layer.kind.as_str(), layer.id, layer.source.is_some(), layer.destination.is_some()))
        .collect();
    assert_eq!(stated, [("VXLAN", 1, true, true), ("VXLAN", 2, true, true)]);
}

/// Blocks that carry no frame are counted in the result, with the bytes that are searched beside the frames.
#[test]
fn skipped_blocks_are_counted() {
    let file = |is_skipped: bool| {
        let mut writer = pcapng::Writer::new(Vec::new(), Endian::Little).expect("a vector");
        writer.interface(link_type::RAW, 0, &[]).expect("a vector");
        if is_skipped {
            writer.name([10, 0, 0, 1], "a.example").expect("a vector");
            // A type for local use.
            writer.block(0x8000_0001, &[1; 4]).expect("a vector");
        }
        for packet in packets() {
            writer.simple(packet.len() as u32, &packet).expect("a vector");
        }
        writer.into_inner()
    };
    assert_eq!(bench().analyze_file(&file(false)).skipped_blocks, None);
    let skipped = bench().analyze_file(&file(true)).skipped_blocks.expect("two blocks");
    assert_eq!((skipped.name_resolution, skipped.unknown, skipped.custom), (1, 1, 0));
}

#[test]
fn reads_the_frames_of_an_aggregate() {
    let all = packets();
    let subframe = |is_last, packet: &[u8]| wrap::subframe(is_last, &wrap::snap(ETHERTYPE_IPV4, packet));
    let aggregate = Wireless { qos: true, aggregate: true, ..Wireless::default() };
    let frames: Vec<Vec<u8>> = all
        .chunks(2)
        .map(|pair| {
            let last = pair.len() - 1;
            let subframes: Vec<u8> =
                pair.iter().enumerate().flat_map(|(index, packet)| subframe(index == last, packet)).collect();
            wrap::ieee80211(aggregate, &subframes)
        })
        .collect();
    let capture = analyzed(link_type::IEEE802_11, &frames);
    assert_read(&capture, "A-MSDU");
    assert_eq!(capture.frames, frames.len() as u64);
}

/// The same addresses and ports in two networks, their frames in turn.
#[test]
fn equal_connections_in_two_tunnels_do_not_mix() {
    let other = Conversation::open().sends(Side::Client, b"nothing that is HTTP, in the other network");
    let other: Vec<Vec<u8>> = other.made().iter().map(|made| made.bytes.clone()).collect();
    let mut frames = Vec::new();
    for (index, packet) in packets().iter().enumerate() {
        frames.push(over_udp(port::VXLAN, &wrap::vxlan(1, &ethernet(packet))));
        if let Some(other) = other.get(index) {
            frames.push(over_udp(port::VXLAN, &wrap::vxlan(2, other)));
        }
    }
    let capture = analyzed(link_type::ETHERNET, &frames);
    assert_eq!((capture.connections_total, capture.http_total), (2, 2));
    assert!(capture.http.iter().all(|message| message.complete));
    assert!(has_reason(&capture, "an unknown protocol"), "{:?}", reasons(&capture));
}

fn header() -> Ip {
    Ip::V4(Ipv4::between([10, 0, 0, 1].into(), [10, 0, 0, 2].into()))
}

/// The frames of the exchange, with the request in fragments of this size.
fn fragmented(size: usize) -> (Vec<Vec<u8>>, std::ops::Range<usize>) {
    let mut frames: Vec<Vec<u8>> = packets().iter().map(|packet| ethernet(packet)).collect();
    let segment = frames[3][34..].to_vec();
    let fragments = wrap::fragments(&header(), TCP, 5, size, &segment);
    let end = 3 + fragments.len();
    frames.splice(3..4, fragments.iter().map(|fragment| ethernet(fragment)));
    (frames, 3..end)
}

#[test]
fn reads_http_in_fragments() {
    for size in [8, 16, 24, 64, 120] {
        let (frames, fragments) = fragmented(size);
        let capture = analyzed(link_type::ETHERNET, &frames);
        assert_eq!(capture.http_total, 2, "{size}");
        assert!(capture.http.iter().all(|message| message.complete), "{size}");
        let found = string(&capture);
        assert!(found.level == Level::Reassembled || found.level == Level::Verbatim, "{size}");
        let location = &found.locations[0];
        assert_eq!(found.locations_total, 1, "{size}: a fragment is searched with its stream");
        // Exactly the frames that carry the string.
        let carriers: Vec<u64> = location.frames.clone();
        let text: Vec<u8> =
            carriers.iter().flat_map(|number| frames[*number as usize - 1][34..].to_vec()).collect();
        assert!(text.windows(STRING.len()).any(|window| window == STRING.as_bytes()), "{size}: {carriers:?}");
        assert!(carriers.iter().all(|number| fragments.contains(&(*number as usize - 1))), "{size}");
        assert!(has_reason(&capture, "an IP fragment"), "{:?}", reasons(&capture));
        assert_eq!(capture.completeness.frames_undecoded, fragments.len() as u64);
    }
}

#[test]
fn reads_a_tunnel_in_fragments() {
    let mut frames: Vec<Vec<u8>> =
        packets().iter().map(|packet| over_udp(port::VXLAN, &wrap::vxlan(1, &ethernet(packet)))).collect();
    let datagram = frames[3][34..].to_vec();
    let fragments = wrap::fragments(&outer(), 17, 5, 64, &datagram);
    frames.splice(3..4, fragments.iter().map(|fragment| ethernet(fragment)));
    let capture = analyzed(link_type::ETHERNET, &frames);
    assert_eq!((capture.http_total, capture.connections_total), (2, 1), "{:?}", reasons(&capture));
    assert!(capture.http.iter().all(|message| message.complete));
}

/// A string that is in the fragments of a datagram of another protocol, in no single one.
#[test]
fn searches_every_packet_as_one_sequence() {
    let fragments = wrap::fragments(&header(), 99, 5, 8, format!("......{STRING}").as_bytes());
    let frames: Vec<Vec<u8>> = fragments.iter().map(|fragment| ethernet(fragment)).collect();
    let capture = analyzed(link_type::ETHERNET, &frames);
    let found = string(&capture);
    assert_eq!((found.level, found.locations_total), (Level::Decoded, 1));
    assert_eq!(found.locations[0].frames, [1, 2, 3, 4]);
    assert_eq!(found.locations[0].layers, ["ip", "fragments"].map(Name::from));
}

#[test]
fn searches_both_versions_of_contradicting_fragments() {
    let fragment = |offset, more, bytes: &str| {
        ethernet(&wrap::fragment(&header(), 99, 5, offset, more, bytes.as_bytes()))
    };
    let of = |middle: [&str; 2]| {
        let frames = [
            fragment(0, true, "a string"),
            fragment(8, true, middle[0]),
            fragment(8, true, middle[1]),
            fragment(16, false, "ound"),
        ];
        analyzed(link_type::ETHERNET, &frames)
    };
    for middle in [[" to be f", "--------"], ["--------", " to be f"]] {
        let capture = of(middle);
        assert_eq!(string(&capture).level, Level::Decoded, "{middle:?}");
        assert!(has_reason(&capture, "IP fragments that contradict each other"), "{:?}", reasons(&capture));
    }
    let capture = of(["--------"; 2]);
    assert_eq!(string(&capture).level, Level::Absent);
    assert!(!has_reason(&capture, "contradict"));
}

#[test]
fn names_packets_that_are_not_complete() {
    let (mut frames, fragments) = fragmented(64);
    frames.remove(fragments.start + 1);
    let capture = analyzed(link_type::ETHERNET, &frames);
    assert!(has_reason(&capture, "a packet that was not captured completely"), "{:?}", reasons(&capture));
    let odd = ethernet(&wrap::fragment(&header(), TCP, 6, 8, true, b"odd"));
    let capture = analyzed(link_type::ETHERNET, &[odd]);
    assert!(has_reason(&capture, "an IP fragment that fits no packet"), "{:?}", reasons(&capture));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    /// Fragments in any order, some of them twice: the same messages and strings.
    #[test]
    fn order_and_repetition_of_fragments_do_not_matter(
        units in 2_usize..10,
        rotation in 0_usize..30,
        is_reversed in any::<bool>(),
        repeated in prop::collection::vec(any::<prop::sample::Index>(), 0..4),
    ) {
        let (frames, fragments) = fragmented(units * 8);
        let mut shuffled = frames.clone();
        let part = &mut shuffled[fragments.clone()];
        let len = part.len();
        part.rotate_left(rotation % len);
        if is_reversed {
            part.reverse();
        }
        for index in repeated {
            let again = shuffled[fragments.start + index.index(len)].clone();
            shuffled.insert(fragments.start + index.index(len), again);
        }
        let (capture, expected) = (analyzed(link_type::ETHERNET, &shuffled), analyzed(link_type::ETHERNET, &frames));
        prop_assert_eq!(capture.http_total, expected.http_total);
        prop_assert!(capture.http.iter().all(|message| message.complete));
        prop_assert!(string(&capture).level <= Level::Reassembled);
        prop_assert_eq!(capture.connections_total, 1);
    }
}

#[test]
fn the_exchange_itself_is_read() {
    let made: Vec<Made> = packets().iter().map(|packet| whole(ethernet(packet))).collect();
    assert_read(&bench().analyze(&made), "Ethernet");
}

/// Several interfaces with different links in one file, in sections of both byte orders.
#[test]
fn reads_one_connection_from_several_interfaces_and_sections() {
    let mut file = pcapng::Writer::new(Vec::new(), Endian::Little).expect("a vector");
    for (index, packet) in packets().iter().enumerate() {
        file.section(if index % 2 == 0 { Endian::Big } else { Endian::Little }).expect("a vector");
        file.interface(link_type::ETHERNET, 0, &[]).expect("a vector");
        file.interface(link_type::PPP, 0, &[]).expect("a vector");
        let (interface, bytes) = match index % 3 {
            0 => (0, ethernet(packet)),
            _ => (1, wrap::ppp(ppp_protocol::IPV4, true, false, packet)),
        };
        file.enhanced(interface, index as u64, bytes.len() as u32, &bytes, &[]).expect("a vector");
    }
    let capture = bench().analyze_file(&file.into_inner());
    assert_read(&capture, "several interfaces");
}
