//! Links and tunnels made by `craft`: the innermost packet is found behind each, and equal addresses inside of two tunnels
//! belong to two flows.

use std::io::Write as _;
use std::process::{Command, Stdio};

use craft::encapsulation::{self as wrap, Gre, Wireless, carries, port, ppp_protocol, protocol};
use craft::frame::{self as make, ETHERTYPE_IPV4, ETHERTYPE_IPV6, Ip, Ipv4, Ipv6, Link, Tcp, Udp, flags};
use craft::{Endian, link_type, pcapng};
use dissect::decode_stop::{Blame, StopReason};
use dissect::encapsulation::{Kind, MAX_ENCAPSULATIONS, MAX_MPLS_LABELS};
use dissect::flow::{Direction, FlowTable};
use dissect::frame::{self, Frame, Network, Transport};
use dissect::link::LinkType;
use proptest::prelude::*;
use test_support::skip;

const MPLS: u16 = 0x8847;
const PPPOE: u16 = 0x8864;

fn v4(source: u8, destination: u8) -> Ip {
    Ip::V4(Ipv4::between([10, 0, 0, source].into(), [10, 0, 0, destination].into()))
}

fn v6() -> Ip {
    Ip::V6(Ipv6::between("2001:db8::1".parse().unwrap(), "2001:db8::2".parse().unwrap()))
}

fn header() -> Tcp<'static> {
    Tcp { source_port: 40_000, destination_port: 8_000, sequence: 7, ..Tcp::default() }
}

fn segment(link: &Link, ip: &Ip) -> Vec<u8> {
    let mut out = Vec::new();
    make::tcp(&mut out, link, ip, &header(), b"payload");
    out
}

fn packet(ip: &Ip) -> Vec<u8> {
    segment(&Link::RawIp, ip)
}

fn inner_frame() -> Vec<u8> {
    segment(&Link::default(), &v4(1, 2))
}

/// An Ethernet frame with this EtherType.
fn ethernet(ether_type: u16, inner: &[u8]) -> Vec<u8> {
    let mut out = Vec::new();
    make::framed(&mut out, &Link::default(), ether_type, |out| out.extend_from_slice(inner));
    out
}

/// A tunnel directly over IP.
fn over_ip(ip: &Ip, protocol: u8, inner: &[u8]) -> Vec<u8> {
    let mut out = Vec::new();
    make::ip(&mut out, &Link::default(), ip, protocol, inner);
    out
}

fn over_udp(ip: &Ip, port: u16, inner: &[u8]) -> Vec<u8> {
    let mut out = Vec::new();
    let udp = Udp { source_port: 50_000, destination_port: port, ..Udp::default() };
    make::udp(&mut out, &Link::default(), ip, &udp, inner);
    out
}

struct Case {
    name: &'static str,
    link_type: u16,
    bytes: Vec<u8>,
    /// Kinds and identifiers, outermost first.
    path: Vec<(Kind, u32)>,
}

fn links() -> Vec<Case> {
    let (four, six) = (packet(&v4(1, 2)), packet(&v6()));
    let wireless = |frame: Wireless| wrap::ieee80211(frame, &wrap::snap(ETHERTYPE_IPV4, &four));
    let qos = Wireless { qos: true, ..Wireless::default() };
    let case = |name, link_type, bytes| Case { name, link_type, bytes, path: Vec::new() };
    let pppoe = wrap::pppoe(7, &wrap::ppp(ppp_protocol::IPV6, false, false, &six));
    vec![
        case("PPP", link_type::PPP, wrap::ppp(ppp_protocol::IPV4, true, false, &four)),
        case("PPP without framing", link_type::PPP, wrap::ppp(ppp_protocol::IPV6, false, false, &six)),
        case("PPP with a short field", link_type::PPP, wrap::ppp(ppp_protocol::IPV4, true, true, &four)),
        case("PPP in HDLC", link_type::PPP_HDLC, wrap::ppp(ppp_protocol::IPV6, true, false, &six)),
        case("Cisco HDLC as PPP", link_type::PPP_HDLC, wrap::cisco_hdlc(ETHERTYPE_IPV4, &four)),
        case("Cisco HDLC", link_type::C_HDLC, wrap::cisco_hdlc(ETHERTYPE_IPV6, &six)),
        case(
            "PPP with a direction",
            link_type::PPP_WITH_DIR,
            [&[1][..], &wrap::ppp(ppp_protocol::IPV4, true, false, &four)].concat(),
        ),
        Case { path: vec![(Kind::Pppoe, 7)], ..case("PPPoE", link_type::PPP_ETHER, pppoe) },
        case("802.11", link_type::IEEE802_11, wireless(Wireless::default())),
        case("802.11 with QoS", link_type::IEEE802_11, wireless(qos)),
        case("802.11 with HT", link_type::IEEE802_11, wireless(Wireless { ht: true, ..qos })),
        case(
            "802.11 between access points",
            link_type::IEEE802_11,
            wireless(Wireless { between_access_points: true, ..qos }),
        ),
        case("radiotap", link_type::IEEE802_11_RADIOTAP, wrap::radiotap(None, &wireless(qos))),
        case(
            "radiotap with padding",
            link_type::IEEE802_11_RADIOTAP,
            wrap::radiotap(Some(0x20), &wireless(Wireless { padded: true, ..qos })),
        ),
        case("PPI", link_type::PPI, wrap::ppi(link_type::IEEE802_11, &wireless(qos))),
        case("PPI of Ethernet", link_type::PPI, wrap::ppi(link_type::ETHERNET, &inner_frame())),
        case("NFLOG", link_type::NFLOG, wrap::nflog(Endian::Little, 2, &four)),
        case("NFLOG of another host", link_type::NFLOG, wrap::nflog(Endian::Big, 10, &six)),
        Case {
            path: vec![(Kind::Mpls, 17)],
            ..case("MPLS as a link", link_type::MPLS, wrap::mpls(&[16, 17], &four))
        },
    ]
}

fn tunnels() -> Vec<Case> {
    let (four, six) = (packet(&v4(1, 2)), packet(&v6()));
    let frame = inner_frame();
    let outer = v4(101, 102);
    let gre =
        |header: Gre, kind, inner: &[u8]| over_ip(&outer, protocol::GRE, &wrap::gre(header, kind, inner));
    let keyed = Gre { checksum: true, key: Some(99), sequence: Some(1) };
    let counted = Gre { sequence: Some(1), ..Gre::default() };
    let session = |inner: &[u8]| wrap::ppp(ppp_protocol::IPV4, true, false, inner);
    let gtp = |extensions: &[(u8, &[u8])]| wrap::gtp_u(0x1234_5678, Some(1), extensions, &six);
    let case = |name, path: &[(Kind, u32)], bytes| Case {
        name,
        link_type: link_type::ETHERNET,
        bytes,
        path: path.to_vec(),
    };
    vec![
        case("IPv4 in IPv4", &[(Kind::Ip, 0)], over_ip(&outer, protocol::IPV4, &four)),
        case("6in4", &[(Kind::Ip, 0)], over_ip(&outer, protocol::IPV6, &six)),
        case("4in6", &[(Kind::Ip, 0)], over_ip(&v6(), protocol::IPV4, &four)),
        case("GRE", &[(Kind::Gre, 0)], gre(Gre::default(), ETHERTYPE_IPV4, &four)),
        case("GRE with all fields", &[(Kind::Gre, 99)], gre(keyed, ETHERTYPE_IPV6, &six)),
        case("GRE with Ethernet", &[(Kind::Gre, 99)], gre(keyed, carries::ETHERNET, &frame)),
        case("GRE with PPP", &[(Kind::Gre, 0)], gre(Gre::default(), carries::PPP, &session(&four))),
        case("ERSPAN I", &[(Kind::ErspanI, 0)], gre(Gre::default(), carries::ERSPAN, &frame)),
        case("ERSPAN II", &[(Kind::ErspanII, 5)], gre(counted, carries::ERSPAN, &wrap::erspan_ii(5, &frame))),
        case(
            "ERSPAN III",
            &[(Kind::ErspanIII, 6)],
            gre(counted, carries::ERSPAN_III, &wrap::erspan_iii(6, false, &frame)),
        ),
        case(
            "ERSPAN III with a platform",
            &[(Kind::ErspanIII, 6)],
            gre(counted, carries::ERSPAN_III, &wrap::erspan_iii(6, true, &frame)),
        ),
        case(
            "PPTP",
            &[(Kind::Pptp, 77)],
            over_ip(&outer, protocol::GRE, &wrap::pptp(77, Some(3), &session(&four))),
        ),
        case(
            "EtherIP",
            &[(Kind::EtherIp, 0)],
            over_ip(&outer, protocol::ETHER_IP, &[&[0x30, 0], &frame[..]].concat()),
        ),
        case("VXLAN", &[(Kind::Vxlan, 4_096)], over_udp(&outer, port::VXLAN, &wrap::vxlan(4_096, &frame))),
        case(
            "GENEVE",
            &[(Kind::Geneve, 3)],
            over_udp(
                &v6(),
                port::GENEVE,
                &wrap::geneve(3, carries::ETHERNET, &[0, 1, 2, 1, 9, 9, 9, 9], &frame),
            ),
        ),
        case("GTP-U", &[(Kind::GtpU, 0x1234_5678)], over_udp(&outer, port::GTP_U, &gtp(&[]))),
        case(
            "GTP-U with extension headers",
            &[(Kind::GtpU, 0x1234_5678)],
            over_udp(&outer, port::GTP_U, &gtp(&[(0x85, &[0, 9]), (0x40, &[0, 0, 0, 0, 0, 0])])),
        ),
        case("MPLS", &[(Kind::Mpls, 21)], ethernet(MPLS, &wrap::mpls(&[16, 17, 21], &six))),
        case(
            "a pseudowire",
            &[(Kind::Mpls, 18)],
            ethernet(MPLS, &wrap::mpls(&[18], &wrap::control_word(&frame))),
        ),
        case("a pseudowire without control word", &[(Kind::Mpls, 19)], {
            ethernet(MPLS, &wrap::mpls(&[19], &frame))
        }),
        case("PPPoE", &[(Kind::Pppoe, 7)], {
            ethernet(PPPOE, &wrap::pppoe(7, &wrap::ppp(ppp_protocol::IPV4, false, false, &four)))
        }),
        case("VXLAN in GRE in MPLS", &[(Kind::Mpls, 9), (Kind::Gre, 0), (Kind::Vxlan, 2)], {
            let vxlan = &over_udp(&outer, port::VXLAN, &wrap::vxlan(2, &frame))[14..];
            let gre = &gre(Gre::default(), ETHERTYPE_IPV4, vxlan)[14..];
            ethernet(MPLS, &wrap::mpls(&[9], gre))
        }),
    ]
}

fn decode<'a>(case: &Case, bytes: &'a [u8], original_len: usize) -> Frame<'a> {
    frame::decode(LinkType(case.link_type), bytes, original_len as u32)
}

#[test]
fn finds_the_innermost_segment() {
    for case in links().into_iter().chain(tunnels()) {
        let frame = decode(&case, &case.bytes, case.bytes.len());
        let name = case.name;
        assert_eq!(frame.stop, None, "{name}");
        let tcp = frame.tcp().unwrap_or_else(|| panic!("{name}: {frame:?}"));
        assert_eq!((tcp.payload, tcp.src_port, tcp.seq), (&b"payload"[..], 40_000, 7), "{name}");
        assert_eq!(&case.bytes[tcp.payload_offset as usize..][..7], b"payload", "{name}");
        assert_eq!(tcp.wire_payload_len, 7, "{name}");
        let path: Vec<(Kind, u32)> =
            frame.encapsulations.iter().map(|layer| (layer.kind, layer.id)).collect();
        assert_eq!(path, case.path, "{name}");
        for layer in frame.encapsulations.iter() {
            assert_eq!(layer.ends.is_none(), matches!(layer.kind, Kind::Mpls | Kind::Pppoe), "{name}");
        }
        assert!(LinkType(case.link_type).name().is_some(), "{name}");
    }
}

/// If the capture cut the frame, at any length, the capture is at fault, whatever had to be guessed from what is there. If
/// the frame was cut on the wire, the sender is.
#[test]
fn a_frame_cut_at_any_length_names_the_fault() {
    for case in links().into_iter().chain(tunnels()) {
        let len = case.bytes.len();
        let whole = decode(&case, &case.bytes, len);
        let payload = whole.tcp().expect("TCP");
        // Padding behind the payload is not missed.
        for cut_at in 0..payload.payload_offset as usize + payload.payload.len() {
            let cut = decode(&case, &case.bytes[..cut_at], len);
            let stop = cut.stop.unwrap_or_else(|| panic!("{} cut at {cut_at} of {len}: {cut:?}", case.name));
            assert_eq!(stop.reason, StopReason::CutByCapture, "{} cut at {cut_at}: {stop}", case.name);
            if let Some(tcp) = cut.tcp() {
                assert!(b"payload".starts_with(tcp.payload) && tcp.is_cut(), "{}", case.name);
            }
            let wire = decode(&case, &case.bytes[..cut_at], cut_at);
            let stop = wire.stop.expect("something is missing");
            assert_eq!(stop.blame(), Blame::Traffic, "{} ends at {cut_at}: {stop}", case.name);
        }
    }
}

#[test]
fn what_only_resembles_a_tunnel_stays_a_datagram() {
    for (port, bytes) in [
        (port::VXLAN, &b"GET / not VXLAN"[..]),
        (port::GTP_U, &[0x32, 1, 0, 4, 0, 0, 0, 0, 0, 0, 0, 0]), // an echo request
        (port::GENEVE, &[0xc0; 32]),
        (53, &[8; 60]),
    ] {
        let bytes = over_udp(&v4(1, 2), port, bytes);
        let frame = frame::decode(LinkType::ETHERNET, &bytes, bytes.len() as u32);
        assert!(matches!(frame.transport, Transport::Udp(_)), "{port}");
        assert_eq!((frame.stop, frame.encapsulations.is_empty()), (None, true), "{port}");
    }
    // The header fits, the contents do not: the outer packet is shown, and why.
    let bytes = over_udp(&v4(1, 2), port::VXLAN, &wrap::vxlan(1, &ethernet(ETHERTYPE_IPV6, &[0x45; 40])));
    let frame = frame::decode(LinkType::ETHERNET, &bytes, bytes.len() as u32);
    assert_eq!(frame.stop.unwrap().reason, StopReason::WrongVersion);
    assert!(matches!(frame.transport, Transport::Udp(udp) if udp.dst_port == port::VXLAN));
    // Ends inside of the tunnel's packet do not reach behind it: the rest is a trailer of the outer one.
    let mut short = over_ip(&v4(1, 2), protocol::IPV4, &packet(&v4(3, 4)));
    short.extend_from_slice(b"trailer");
    let frame = frame::decode(LinkType::ETHERNET, &short, short.len() as u32);
    assert_eq!(frame.tcp().unwrap().payload, b"payload");
}

#[test]
fn bounds_encapsulations_and_labels() {
    let mut inner = packet(&v4(1, 2));
    for _ in 0..MAX_ENCAPSULATIONS {
        inner = over_ip(&v4(5, 6), protocol::IPV4, &inner)[14..].to_vec();
    }
    let decoded = frame::decode(LinkType::RAW, &inner, inner.len() as u32);
    assert_eq!((decoded.stop, decoded.encapsulations.iter().count()), (None, MAX_ENCAPSULATIONS));
    let more = over_ip(&v4(5, 6), protocol::IPV4, &inner)[14..].to_vec();
    let decoded = frame::decode(LinkType::RAW, &more, more.len() as u32);
    assert_eq!(decoded.stop.unwrap().reason, StopReason::TooManyEncapsulations);
    assert_eq!(decoded.tcp(), None);

    let labels = [3; MAX_MPLS_LABELS + 1];
    let most = wrap::mpls(&labels[1..], &packet(&v4(1, 2)));
    assert!(frame::decode(LinkType::MPLS, &most, most.len() as u32).tcp().is_some());
    let more = wrap::mpls(&labels, &packet(&v4(1, 2)));
    assert_eq!(frame::decode(LinkType::MPLS, &more, 999).stop.unwrap().reason, StopReason::TooManyLabels);

    let chain = [(0x85_u8, &[0, 9][..]); dissect::encapsulation::MAX_GTP_EXTENSIONS + 1];
    let most = over_udp(&v4(1, 2), port::GTP_U, &wrap::gtp_u(1, None, &chain[1..], &packet(&v6())));
    assert!(frame::decode(LinkType::ETHERNET, &most, most.len() as u32).tcp().is_some());
    let more = over_udp(&v4(1, 2), port::GTP_U, &wrap::gtp_u(1, None, &chain, &packet(&v6())));
    let decoded = frame::decode(LinkType::ETHERNET, &more, more.len() as u32);
    assert_eq!(decoded.stop.unwrap().reason, StopReason::UnsupportedForm);
}

#[test]
fn names_what_a_link_does_not_show() {
    let reason = |bytes: &[u8]| {
        frame::decode(LinkType::IEEE802_11, bytes, bytes.len() as u32).stop.map(|stop| stop.reason)
    };
    let llc = wrap::snap(ETHERTYPE_IPV4, &packet(&v4(1, 2)));
    let encrypted = wrap::ieee80211(Wireless { protected: true, ..Wireless::default() }, &llc);
    assert_eq!(reason(&encrypted), Some(StopReason::Encrypted));
    let mut fragment = wrap::ieee80211(Wireless::default(), &llc);
    fragment[22] |= 1;
    assert_eq!(reason(&fragment), Some(StopReason::Fragment));
    // A beacon and a frame without data.
    for control in [0x80, 0x48] {
        let mut other = wrap::ieee80211(Wireless::default(), &llc);
        other[0] = control;
        let frame = frame::decode(LinkType::IEEE802_11, &other, other.len() as u32);
        assert!(matches!(frame.network, Network::Other(_)) && frame.stop.is_none());
    }
    // GRE with routing (RFC 1701), which was abandoned.
    let routed = over_ip(&v4(1, 2), protocol::GRE, &[0x40, 0, 8, 0, 0, 0, 0, 0]);
    let stop = frame::decode(LinkType::ETHERNET, &routed, routed.len() as u32).stop.unwrap();
    assert_eq!(stop.to_string(), "tunnel header at byte 34: this form of it is not decoded");
}

#[test]
fn an_aggregate_has_several_frames() {
    let texts = [&b"one"[..], b"another", b"the last"];
    let subframes: Vec<Vec<u8>> = texts
        .iter()
        .enumerate()
        .map(|(index, text)| {
            let mut packet = Vec::new();
            make::tcp(&mut packet, &Link::RawIp, &v4(1, 2), &header(), text);
            wrap::subframe(index == 2, &wrap::snap(ETHERTYPE_IPV4, &packet))
        })
        .collect();
    let frame = Wireless { qos: true, aggregate: true, ..Wireless::default() };
    let bytes = wrap::radiotap(None, &wrap::ieee80211(frame, &subframes.concat()));
    let decoded = frame::decode(LinkType::IEEE802_11_RADIOTAP, &bytes, bytes.len() as u32);
    let Network::Aggregate(offset) = decoded.network else { panic!("{decoded:?}") };
    let found: Vec<&[u8]> = frame::aggregated(&bytes, offset)
        .map(|range| {
            let subframe = &bytes[range];
            frame::decode(LinkType::ETHERNET, subframe, subframe.len() as u32).tcp().expect("TCP").payload
        })
        .collect();
    assert_eq!(found, texts);
    // Cut anywhere: whole subframes stay, and no range reaches behind the end.
    for len in 0..bytes.len() {
        assert!(frame::aggregated(&bytes[..len], offset).all(|range| range.start < len && range.end <= len));
    }
    assert_eq!(frame::aggregated(&[0; 100], 0).count(), 6, "lengths of zero still have headers");
}

/// A segment from 10.0.0.1 to 10.0.0.2, or back.
fn turn(is_answer: bool, tcp_flags: u8) -> Vec<u8> {
    let (ip, ports) = match is_answer {
        false => (v4(1, 2), (40_000, 8_000)),
        true => (v4(2, 1), (8_000, 40_000)),
    };
    let tcp = Tcp { source_port: ports.0, destination_port: ports.1, flags: tcp_flags, ..Tcp::default() };
    let mut out = Vec::new();
    make::tcp(&mut out, &Link::RawIp, &ip, &tcp, b"");
    out
}

fn flow_of(table: &mut FlowTable, bytes: &[u8]) -> (u32, Direction) {
    let frame = frame::decode(LinkType::ETHERNET, bytes, bytes.len() as u32);
    let found = table.segment(&frame).expect("TCP");
    (found.flow.number(), found.direction)
}

const UP: Direction = Direction::ClientToServer;
const DOWN: Direction = Direction::ServerToClient;

#[test]
fn equal_addresses_in_two_tunnels_are_two_flows() {
    let (there, back) = ((v4(101, 102), v4(102, 101)), false);
    let vxlan = |network, is_answer: bool| {
        let outer = if is_answer { &there.1 } else { &there.0 };
        let inner = ethernet(ETHERTYPE_IPV4, &turn(is_answer, if is_answer { 0x12 } else { flags::SYN }));
        over_udp(outer, port::VXLAN, &wrap::vxlan(network, &inner))
    };
    let other_ends = over_udp(
        &v4(103, 102),
        port::VXLAN,
        &wrap::vxlan(1, &ethernet(ETHERTYPE_IPV4, &turn(back, flags::SYN))),
    );
    let gre = over_ip(
        &v4(101, 102),
        protocol::GRE,
        &wrap::gre(Gre { key: Some(1), ..Gre::default() }, ETHERTYPE_IPV4, &turn(back, flags::SYN)),
    );
    let direct = ethernet(ETHERTYPE_IPV4, &turn(back, flags::SYN));
    let mut table = FlowTable::default();
    for (bytes, expected) in [
        (vxlan(1, false), (0, UP)),
        (vxlan(2, false), (1, UP)),
        (vxlan(1, true), (0, DOWN)),
        (vxlan(2, true), (1, DOWN)),
        (other_ends, (2, UP)),
        (gre, (3, UP)),
        (direct, (4, UP)),
        (ethernet(ETHERTYPE_IPV4, &turn(true, 0x12)), (4, DOWN)),
        // Labels and tags identify no tunnel.
        (ethernet(MPLS, &wrap::mpls(&[16], &turn(true, flags::ACK))), (4, DOWN)),
    ] {
        assert_eq!(flow_of(&mut table, &bytes), expected);
    }
}

fn gtp(endpoint: u32, is_answer: bool, tcp_flags: u8) -> Vec<u8> {
    let outer = if is_answer { v4(102, 101) } else { v4(101, 102) };
    over_udp(&outer, port::GTP_U, &wrap::gtp_u(endpoint, None, &[], &turn(is_answer, tcp_flags)))
}

#[test]
fn directions_with_own_identifiers_are_joined_by_a_connection() {
    // Two users with the same address, one after the other.
    let mut table = FlowTable::default();
    assert_eq!(flow_of(&mut table, &gtp(1, false, flags::SYN)), (0, UP));
    assert_eq!(flow_of(&mut table, &gtp(11, true, 0x12)), (0, DOWN));
    assert_eq!(flow_of(&mut table, &gtp(2, false, flags::SYN)), (1, UP));
    assert_eq!(flow_of(&mut table, &gtp(12, true, 0x12)), (1, DOWN));
    for (endpoint, is_answer, expected) in [(1, false, 0), (11, true, 0), (2, false, 1), (12, true, 1)] {
        assert_eq!(flow_of(&mut table, &gtp(endpoint, is_answer, flags::ACK)).0, expected, "{endpoint}");
    }
}

/// Where several choices exist, nothing is joined: the bytes of two users never come into one stream.
#[test]
fn ambiguous_directions_are_not_joined() {
    let mut table = FlowTable::default();
    let numbers: Vec<u32> = [(1, false), (2, false), (11, true), (12, true)]
        .map(|(endpoint, is_answer)| flow_of(&mut table, &gtp(endpoint, is_answer, flags::ACK)).0)
        .to_vec();
    assert_eq!(numbers, [0, 1, 2, 3]);
}

/// What tshark finds in each frame: the innermost addresses and the payload, or `None` without tshark.
fn by_tshark(file: &[u8]) -> Option<Vec<[String; 3]>> {
    let fields = ["ip.src", "ipv6.src", "tcp.payload"];
    let mut command = Command::new("tshark");
    command.args(["-r", "-", "-T", "fields", "-E", "occurrence=l", "-E", "separator=|"]);
    // Nothing in the frame says what a pseudowire carries.
    command.args(["-d", "mpls.label==18,pwethcw", "-d", "mpls.label==19,pwethnocw"]);
    command.args(fields.iter().flat_map(|field| ["-e", field]));
    let child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::null()).spawn();
    let mut child = child.ok()?;
    child.stdin.take().expect("a pipe").write_all(file).expect("tshark reads");
    let output = child.wait_with_output().expect("tshark ends");
    let lines = String::from_utf8(output.stdout).expect("tshark prints text");
    let of_line = |line: &str| {
        let mut columns = line.split('|').map(str::to_owned);
        [(); 3].map(|()| columns.next().unwrap_or_default())
    };
    Some(lines.lines().map(of_line).collect())
}

/// The address is compared where the innermost packet has the version of its column.
#[test]
fn tshark_finds_the_same_segments() {
    let cases: Vec<Case> = links().into_iter().chain(tunnels()).collect();
    let mut file = pcapng::Writer::new(Vec::new(), Endian::Little).unwrap();
    for case in &cases {
        file.interface(case.link_type, 0, &[]).unwrap();
    }
    for (interface, case) in (0..).zip(&cases) {
        file.enhanced(interface, 1, case.bytes.len() as u32, &case.bytes, &[]).unwrap();
    }
    let Some(theirs) = by_tshark(&file.into_inner()) else { return skip("there is no tshark") };
    assert_eq!(theirs.len(), cases.len());
    let hex: String = b"payload".iter().map(|byte| format!("{byte:02x}")).collect();
    let mut differences = Vec::new();
    for (case, [four, six, payload]) in cases.iter().zip(theirs) {
        let frame = decode(case, &case.bytes, case.bytes.len());
        let source = frame.ip().expect("a packet").src;
        let theirs = (if source.is_v4() { four } else { six }, payload);
        if theirs != (source.to_string(), hex.clone()) {
            differences.push((case.name, theirs));
        }
    }
    differences.retain(|(name, _)| !OTHERWISE.contains(name));
    assert_eq!(differences, []);
}

/// Cases that tshark reads otherwise: attributes of NFLOG in the order of the host that runs tshark, whatever host captured
/// them; no frames of link type 219.
const OTHERWISE: [&str; 2] = ["NFLOG of another host", "MPLS as a link"];

proptest! {
    /// Damaged tunnels: no panic, and payloads where the frame says that they are.
    #[test]
    fn damaged_tunnels_never_panic(
        which in any::<prop::sample::Index>(),
        changes in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 0..6),
        end in any::<prop::sample::Index>(),
    ) {
        let mut cases: Vec<Case> = links().into_iter().chain(tunnels()).collect();
        let index = which.index(cases.len());
        let mut case = cases.swap_remove(index);
        for (at, value) in changes {
            let at = at.index(case.bytes.len());
            case.bytes[at] = value;
        }
        let len = end.index(case.bytes.len() + 1);
        let frame = decode(&case, &case.bytes[..len], case.bytes.len());
        if let Some(tcp) = frame.tcp() {
            prop_assert_eq!(&case.bytes[tcp.payload_offset as usize..][..tcp.payload.len()], tcp.payload);
        }
        prop_assert!(frame.encapsulations.iter().all(|layer| (layer.offset as usize) < len));
        let mut table = FlowTable::default();
        table.segment(&frame);
    }
}
