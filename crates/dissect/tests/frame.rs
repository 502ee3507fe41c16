//! Decodes frames made by `craft`, and compares with `etherparse`.

use std::net::IpAddr;

use craft::frame::{self as make, Cooked, Ethernet, Extension, Ip, Ipv4, Ipv6, Link, Tcp, Udp, Vlan};
use dissect::checksum::{self, Checksum};
use dissect::decode_stop::{Blame, DecodeStop, Layer, StopReason};
use dissect::frame::{self, Frame, Network, Transport};
use dissect::ip::{Address, Fragment, Protocol};
use dissect::link::{EtherType, LinkType};
use dissect::tcp::Flags;
use etherparse::{SlicedPacket, TransportSlice};
use proptest::prelude::*;

fn v4() -> Ipv4 {
    Ipv4::between([192, 0, 2, 1].into(), [198, 51, 100, 7].into())
}

fn v6() -> Ipv6 {
    Ipv6::between("2001:db8::1".parse().unwrap(), "2001:db8::2".parse().unwrap())
}

fn header() -> Tcp<'static> {
    Tcp { source_port: 40_000, destination_port: 8_000, sequence: 7, acknowledgment: 9, ..Tcp::default() }
}

fn tcp(link: &Link, ip: &Ip, payload: &[u8]) -> Vec<u8> {
    let mut out = Vec::new();
    make::tcp(&mut out, link, ip, &header(), payload);
    out
}

fn ethernet(ip: &Ip, payload: &[u8]) -> Vec<u8> {
    tcp(&Link::default(), ip, payload)
}

fn decode(bytes: &[u8]) -> Frame<'_> {
    frame::decode(LinkType::ETHERNET, bytes, bytes.len() as u32)
}

fn why(frame: &Frame<'_>) -> Option<(Layer, StopReason)> {
    frame.stop.map(|stop| (stop.layer, stop.reason))
}

fn links() -> Vec<Link> {
    let cooked = Cooked { packet_type: 4, source: [2, 0, 0, 0, 0, 1], interface: 3 };
    let tagged = |vlan| Link::Ethernet(Ethernet { vlan, ..Ethernet::default() });
    vec![
        Link::default(),
        tagged(vec![Vlan::tag(7)]),
        tagged(vec![Vlan::service(4095), Vlan::tag(0)]),
        tagged(vec![
            Vlan { tag_protocol: 0x9100, control: 0xe001 },
            Vlan::tag(2),
            Vlan::tag(3),
            Vlan::tag(4),
        ]),
        Link::CookedV1(cooked),
        Link::CookedV2(cooked),
        Link::Null(craft::Endian::Little),
        Link::Null(craft::Endian::Big),
        Link::Loop,
        Link::RawIp,
    ]
}

#[test]
fn decodes_the_same_segment_behind_every_link_type() {
    for link in links() {
        for ip in [Ip::V4(v4()), Ip::V6(v6())] {
            let bytes = tcp(&link, &ip, b"payload");
            let frame = frame::decode(LinkType(link.link_type()), &bytes, bytes.len() as u32);
            assert_eq!(frame.stop, None, "{link:?}");
            let tcp = frame.tcp().unwrap();
            assert_eq!(tcp.payload, b"payload");
            assert_eq!(&bytes[tcp.payload_offset as usize..], b"payload");
            assert_eq!(tcp.wire_payload_len, 7);
            assert_eq!((tcp.src_port, tcp.dst_port, tcp.seq, tcp.ack), (40_000, 8_000, 7, 9));
            let numbers: Vec<u16> = match &link {
                Link::Ethernet(ethernet) => ethernet.vlan.iter().map(|v| v.control & 0xfff).collect(),
                _ => Vec::new(),
            };
            assert_eq!(frame.vlan.numbers(), numbers);
            assert_eq!(frame.vlan.is_empty(), numbers.is_empty());
        }
    }
    for (number, ip) in [(12, Ip::V4(v4())), (14, Ip::V6(v6())), (228, Ip::V4(v4())), (229, Ip::V6(v6()))] {
        let bytes = tcp(&Link::RawIp, &ip, b"x");
        assert!(frame::decode(LinkType(number), &bytes, bytes.len() as u32).tcp().is_some());
    }
}

/// If the capture cut the frame, at any length, the capture is at fault. If the frame was cut on the wire, the sender
/// is.
#[test]
fn a_frame_cut_at_any_length_names_the_fault() {
    for link in links() {
        let with_options = Ipv4 { options: vec![7, 4, 0, 0], ..v4() };
        let extended = Ipv6 { extensions: vec![Extension::hop_by_hop()], ..v6() };
        for ip in [Ip::V4(v4()), Ip::V4(with_options), Ip::V6(v6()), Ip::V6(extended)] {
            let mut bytes = Vec::new();
            let options = [1; 12];
            make::tcp(&mut bytes, &link, &ip, &Tcp { options: &options, ..header() }, b"payload");
            let link_type = LinkType(link.link_type());
            let whole = frame::decode(link_type, &bytes, bytes.len() as u32);
            assert_eq!(whole.stop, None);
            let payload_offset = whole.tcp().unwrap().payload_offset;
            for length in 0..bytes.len() {
                let cut = frame::decode(link_type, &bytes[..length], bytes.len() as u32);
                let stop = cut.stop.expect("something is missing");
                assert_eq!(stop.reason, StopReason::CutByCapture, "{link:?} {ip:?} cut at {length}: {stop}");
                assert_eq!(stop.blame(), Blame::Capture);
                assert!(stop.available < stop.needed, "{stop}");
                assert_eq!(stop.offset + stop.available, length as u32);
                assert_eq!(cut.tcp().is_some(), length as u32 >= payload_offset);
                if let Some(tcp) = cut.tcp() {
                    assert_eq!((stop.layer, tcp.is_cut()), (Layer::Payload, true));
                    assert_eq!(tcp.wire_payload_len, 7);
                    assert_eq!(tcp.payload, &bytes[payload_offset as usize..length]);
                }
                let wire = frame::decode(link_type, &bytes[..length], length as u32);
                let stop = wire.stop.expect("something is missing");
                assert_eq!(stop.blame(), Blame::Traffic, "{link:?} {ip:?} ends at {length}: {stop}");
            }
        }
    }
}

#[test]
fn excludes_padding_from_the_payload() {
    let link = Link::Ethernet(Ethernet { pad: true, ..Ethernet::default() });
    for payload in [&b""[..], b"abc"] {
        let bytes = tcp(&link, &Ip::V4(v4()), payload);
        assert_eq!(bytes.len(), 60);
        let frame = decode(&bytes);
        assert_eq!((frame.tcp().unwrap().payload, frame.stop), (payload, None));
        // Padding that was not captured is not missed.
        let cut = frame::decode(LinkType::ETHERNET, &bytes[..54 + payload.len()], 60);
        assert_eq!((cut.tcp().unwrap().is_cut(), cut.stop), (false, None));
    }
}

#[test]
fn uses_the_frame_length_for_an_ip_length_of_zero() {
    let payload = vec![b'x'; 70_000];
    for ip in [Ip::V4(v4()), Ip::V6(v6())] {
        let bytes = ethernet(&ip, &payload);
        let frame = decode(&bytes);
        assert_eq!((frame.tcp().unwrap().payload.len(), frame.stop), (70_000, None));
        let cut = frame::decode(LinkType::ETHERNET, &bytes[..1_000], bytes.len() as u32);
        assert_eq!(cut.tcp().unwrap().wire_payload_len, 70_000);
        assert_eq!(why(&cut), Some((Layer::Payload, StopReason::CutByCapture)));
    }
}

#[test]
fn stops_at_lengths_that_contradict_the_frame() {
    let lie = |total| ethernet(&Ip::V4(Ipv4 { total_length: Some(total), ..v4() }), b"payload");
    let bytes = lie(100);
    let frame = decode(&bytes);
    assert_eq!(why(&frame), Some((Layer::Payload, StopReason::LengthBeyondFrame)));
    let tcp = frame.tcp().unwrap();
    assert_eq!((tcp.payload, tcp.wire_payload_len), (&b"payload"[..], 60));
    assert_eq!(frame.stop.unwrap().blame(), Blame::Traffic);

    assert_eq!(why(&decode(&lie(19))), Some((Layer::Ip, StopReason::LengthBelowHeader)));
    assert_eq!(why(&decode(&lie(39))), Some((Layer::Tcp, StopReason::FrameTooShort)));
    // A TCP header whose length exceeds its packet.
    let mut bytes = ethernet(&Ip::V4(v4()), b"");
    bytes[14 + 20 + 12] = 0xf0;
    assert_eq!(why(&decode(&bytes)), Some((Layer::Tcp, StopReason::FrameTooShort)));
    bytes[14 + 20 + 12] = 0x40;
    assert_eq!(why(&decode(&bytes)), Some((Layer::Tcp, StopReason::LengthBelowHeader)));
    bytes[14] = 0x44;
    assert_eq!(why(&decode(&bytes)), Some((Layer::Ip, StopReason::LengthBelowHeader)));
    bytes[14] = 0x65;
    let frame = decode(&bytes);
    assert_eq!(why(&frame), Some((Layer::Ip, StopReason::WrongVersion)));
    assert_eq!(
        frame.stop.unwrap().to_string(),
        "IP header at byte 14: not the IP version that was announced"
    );
}

#[test]
fn recognises_fragments() {
    let first = Ipv4 { more_fragments: true, dont_fragment: false, ..v4() };
    let bytes = ethernet(&Ip::V4(first.clone()), b"half");
    let frame = decode(&bytes);
    assert_eq!(frame.ip().unwrap().fragment, Fragment::First);
    // Half a segment is none: it becomes one with its packet.
    assert_eq!((frame.transport, why(&frame)), (Transport::Absent, Some((Layer::Ip, StopReason::Fragment))));

    let mut bytes = Vec::new();
    let later = Ip::V4(Ipv4 { fragment_offset: 24, more_fragments: false, ..first });
    make::ip(&mut bytes, &Link::default(), &later, 6, b"other half, looks like TCP or not");
    let frame = decode(&bytes);
    assert_eq!(frame.ip().unwrap().fragment, Fragment::Later { offset: 24 });
    assert_eq!((frame.transport, why(&frame)), (Transport::Absent, Some((Layer::Ip, StopReason::Fragment))));
    assert_eq!(frame.stop.unwrap().blame(), Blame::Unsupported);
    assert_eq!(checksum::verify(&frame, &bytes).transport, Checksum::Unverifiable);

    let fragment =
        |offset, more| Ip::V6(Ipv6 { extensions: vec![Extension::fragment(offset, more, 1)], ..v6() });
    let of = |ip: &Ip| decode(&ethernet(ip, b"x")).ip().unwrap().fragment;
    assert_eq!(of(&fragment(0, true)), Fragment::First);
    assert_eq!(of(&fragment(1_448, false)), Fragment::Later { offset: 1_448 });
    assert_eq!(of(&fragment(0, false)), Fragment::No);
    assert!(decode(&ethernet(&fragment(0, false), b"x")).tcp().is_some());
}

#[test]
fn bounds_extension_headers_and_tags() {
    let chain = |count| Ip::V6(Ipv6 { extensions: vec![Extension::destination_options(); count], ..v6() });
    let bytes = ethernet(&chain(8), b"x");
    assert_eq!((decode(&bytes).tcp().unwrap().payload, decode(&bytes).stop), (&b"x"[..], None));
    assert_eq!(
        why(&decode(&ethernet(&chain(9), b"x"))),
        Some((Layer::Ipv6Extension, StopReason::TooManyExtensions))
    );

    let vlan = (1..=5).map(Vlan::tag).collect();
    let link = Link::Ethernet(Ethernet { vlan, ..Ethernet::default() });
    let bytes = tcp(&link, &Ip::V4(v4()), b"x");
    let frame = decode(&bytes);
    assert_eq!(frame.vlan.numbers(), [1, 2, 3, 4]);
    assert_eq!(why(&frame), Some((Layer::Vlan, StopReason::TooManyTags)));
}

#[test]
fn stops_at_an_extension_header_longer_than_its_packet() {
    let long = Ipv6 { extensions: vec![Extension::destination_options()], ..v6() };
    let mut bytes = ethernet(&Ip::V6(long), b"x");
    bytes[14 + 40 + 1] = 200;
    let frame = decode(&bytes);
    assert_eq!(why(&frame), Some((Layer::Ipv6Extension, StopReason::LengthBeyondFrame)));
    assert_eq!(frame.ip().unwrap().src, Address::from("2001:db8::1".parse::<IpAddr>().unwrap()));
}

#[test]
fn decodes_protocols_other_than_tcp() {
    let link = Link::default();
    let mut bytes = Vec::new();
    make::udp(
        &mut bytes,
        &link,
        &Ip::V4(v4()),
        &Udp { source_port: 53, destination_port: 5353, ..Udp::default() },
        b"dns",
    );
    let frame = decode(&bytes);
    let Transport::Udp(udp) = frame.transport else { panic!("{frame:?}") };
    assert_eq!((udp.src_port, udp.dst_port, udp.payload, udp.wire_payload_len), (53, 5353, &b"dns"[..], 3));
    assert_eq!(&bytes[udp.payload_offset as usize..], b"dns");
    // A datagram that claims more than its packet holds.
    let mut long = bytes.clone();
    long[14 + 20 + 5] = 200;
    assert_eq!(why(&decode(&long)), Some((Layer::Udp, StopReason::LengthBeyondFrame)));
    long[14 + 20 + 5] = 7;
    assert_eq!(why(&decode(&long)), Some((Layer::Udp, StopReason::LengthBelowHeader)));

    let carried = |ip: Ip, protocol| {
        let mut bytes = Vec::new();
        make::ip(&mut bytes, &link, &ip, protocol, &[0; 8]);
        let frame = decode(&bytes);
        assert_eq!(frame.stop, None);
        match frame.transport {
            Transport::Icmp => "icmp",
            Transport::Icmpv6 => "icmpv6",
            Transport::Other(Protocol(p)) if p == protocol => "other",
            _ => "wrong",
        }
    };
    assert_eq!(carried(Ip::V4(v4()), 1), "icmp");
    assert_eq!(carried(Ip::V6(v6()), 58), "icmpv6");
    assert_eq!(carried(Ip::V4(v4()), 132), "other");
    assert_eq!(carried(Ip::V6(v6()), 59), "other");

    let mut bytes = Vec::new();
    make::arp(&mut bytes, &link, [2; 6], [10, 0, 0, 1].into(), [10, 0, 0, 2].into());
    assert_eq!((decode(&bytes).network, decode(&bytes).stop), (Network::Arp, None));

    bytes.clear();
    make::framed(&mut bytes, &link, 0x88cc, |out| out.extend_from_slice(&[0; 50]));
    assert_eq!(decode(&bytes).network, Network::Other(EtherType(0x88cc)));
    // 802.3: a length, then LLC; with SNAP an EtherType after all.
    bytes.clear();
    make::framed(&mut bytes, &link, 46, |out| out.extend_from_slice(&[0x42; 46]));
    assert_eq!((decode(&bytes).network, decode(&bytes).stop), (Network::Other(EtherType::UNKNOWN), None));
    bytes.clear();
    make::framed(&mut bytes, &link, 60, |out| {
        out.extend_from_slice(&[0xaa, 0xaa, 3, 0, 0, 0, 8, 0]);
        make::tcp(out, &Link::RawIp, &Ip::V4(v4()), &header(), b"snap");
    });
    assert_eq!(decode(&bytes).tcp().unwrap().payload, b"snap");

    let frame = frame::decode(LinkType(147), &bytes, 100);
    assert_eq!(why(&frame), Some((Layer::Link, StopReason::UnknownLinkType)));
    assert_eq!(LinkType(147).to_string(), "link type 147");
}

#[test]
fn verifies_checksums() {
    for ip in [Ip::V4(v4()), Ip::V6(v6())] {
        let mut bytes = ethernet(&ip, b"odd");
        let transport = |bytes: &[u8]| checksum::verify(&decode(bytes), bytes).transport;
        let ip_header = |bytes: &[u8]| checksum::verify(&decode(bytes), bytes).ip;
        assert_eq!(transport(&bytes), Checksum::Good);
        assert_eq!(
            ip_header(&bytes),
            if matches!(ip, Ip::V4(_)) { Checksum::Good } else { Checksum::Absent }
        );
        // A wrong field: the right value is known.
        let at = decode(&bytes).ip().unwrap().payload_offset as usize + 16;
        let expected = u16::from_be_bytes([bytes[at], bytes[at + 1]]);
        bytes[at] ^= 0x55;
        let found = u16::from_be_bytes([bytes[at], bytes[at + 1]]);
        assert_eq!(transport(&bytes), Checksum::Bad { found, expected });
        // Cut: the checksum cannot be verified.
        let cut = frame::decode(LinkType::ETHERNET, &bytes[..bytes.len() - 1], bytes.len() as u32);
        assert_eq!(checksum::verify(&cut, &bytes[..bytes.len() - 1]).transport, Checksum::Unverifiable);

        let mut bytes = Vec::new();
        let unfinished = Tcp { checksum: make::Checksum::Unfinished, ..header() };
        make::tcp(&mut bytes, &Link::default(), &ip, &unfinished, b"payload");
        assert_eq!(transport(&bytes), Checksum::Unfinished);

        let mut bytes = Vec::new();
        let none = Udp { checksum: make::Checksum::Raw(0), ..Udp::default() };
        make::udp(&mut bytes, &Link::default(), &ip, &none, b"payload");
        let allowed = matches!(ip, Ip::V4(_));
        assert_eq!(transport(&bytes) == Checksum::Absent, allowed);
    }
    let mut bytes = ethernet(&Ip::V4(v4()), b"x");
    bytes[14 + 8] = 1;
    assert!(matches!(checksum::verify(&decode(&bytes), &bytes).ip, Checksum::Bad { .. }));
}

#[test]
fn distinguishes_addresses_of_different_versions() {
    let v4 = Address::from("10.0.0.1".parse::<IpAddr>().unwrap());
    let mapped = Address::from("::ffff:10.0.0.1".parse::<IpAddr>().unwrap());
    assert_ne!(v4, mapped);
    assert_eq!((v4.to_string(), mapped.to_string()), ("10.0.0.1".into(), "::ffff:10.0.0.1".into()));
    assert!(v4.is_v4() && !mapped.is_v4());
    assert_eq!(format!("{:?}", Flags(0x12)), "SYN|ACK");
    assert_eq!(format!("{:?}", Flags(0)), "none");
}

#[test]
fn displays_a_stop() {
    let bytes = ethernet(&Ip::V4(v4()), b"payload");
    let stop: DecodeStop = frame::decode(LinkType::ETHERNET, &bytes[..56], bytes.len() as u32).stop.unwrap();
    assert_eq!(
        stop.to_string(),
        "payload at byte 54: cut by the capture's snapshot length (7 bytes needed, 2 there)"
    );
}

/// The result of `etherparse` for a frame that is not a fragment: VLAN numbers, addresses, ports, sequence number,
/// flags, payload.
type Opinion = (Vec<u16>, IpAddr, IpAddr, u16, u16, u32, Vec<u8>);

fn theirs(bytes: &[u8]) -> Option<Opinion> {
    let packet = SlicedPacket::from_ethernet(bytes).ok()?;
    let net = packet.net.as_ref()?;
    let (src, dst) = match net {
        etherparse::NetSlice::Ipv4(ip) => {
            (IpAddr::V4(ip.header().source_addr()), IpAddr::V4(ip.header().destination_addr()))
        }
        etherparse::NetSlice::Ipv6(ip) => {
            (IpAddr::V6(ip.header().source_addr()), IpAddr::V6(ip.header().destination_addr()))
        }
        etherparse::NetSlice::Arp(_) => return None,
    };
    let vlan = packet.vlan_ids().iter().map(|id| id.value()).collect();
    match packet.transport.as_ref()? {
        TransportSlice::Tcp(tcp) => Some((
            vlan,
            src,
            dst,
            tcp.source_port(),
            tcp.destination_port(),
            tcp.sequence_number(),
            tcp.payload().to_vec(),
        )),
        TransportSlice::Udp(udp) => {
            Some((vlan, src, dst, udp.source_port(), udp.destination_port(), 0, udp.payload().to_vec()))
        }
        _ => None,
    }
}

fn ours(bytes: &[u8]) -> Option<Opinion> {
    let frame = decode(bytes);
    let ip = frame.ip()?;
    let vlan = frame.vlan.numbers().to_vec();
    let (src, dst) = (ip.src.to_ip(), ip.dst.to_ip());
    match frame.transport {
        Transport::Tcp(tcp) => {
            Some((vlan, src, dst, tcp.src_port, tcp.dst_port, tcp.seq, tcp.payload.to_vec()))
        }
        Transport::Udp(udp) => Some((vlan, src, dst, udp.src_port, udp.dst_port, 0, udp.payload.to_vec())),
        _ => None,
    }
}

prop_compose! {
    fn any_frame()(
        version_6 in any::<bool>(),
        addresses in any::<[u8; 32]>(),
        ports in any::<(u16, u16)>(),
        sequence in any::<u32>(),
        flags in any::<u8>(),
        // etherparse knows at most three tags.
        vlan in prop::collection::vec((prop::sample::select(vec![0x8100, 0x88a8, 0x9100]), any::<u16>()), 0..=3),
        ip_options in prop::collection::vec(any::<u8>(), 0..=40),
        extensions in prop::collection::vec(any::<bool>(), 0..=2),
        tcp_options in prop::collection::vec(any::<u8>(), 0..=40),
        payload in prop::collection::vec(any::<u8>(), 0..200),
        pad in any::<bool>(),
        datagram in any::<bool>(),
    ) -> (Vec<u8>, Vec<u8>) {
        let [s @ .., _, _, _, _, _, _, _, _, _, _, _, _, _, _, _, _] = addresses;
        let d: [u8; 16] = addresses[16..].try_into().unwrap();
        let ip = if version_6 {
            let kinds = extensions.iter().enumerate().map(|(i, _)| match i {
                0 => Extension::hop_by_hop(),
                _ => Extension::destination_options(),
            });
            Ip::V6(Ipv6 { extensions: kinds.collect(), ..Ipv6::between(s.into(), d.into()) })
        } else {
            let four = |bytes: [u8; 16]| std::net::Ipv4Addr::new(bytes[0], bytes[1], bytes[2], bytes[3]);
            Ip::V4(Ipv4 { options: ip_options, ..Ipv4::between(four(s), four(d)) })
        };
        let tags = vlan.into_iter().map(|(tag_protocol, control)| Vlan { tag_protocol, control });
        let link = Link::Ethernet(Ethernet { vlan: tags.collect(), pad, ..Ethernet::default() });
        let mut out = Vec::new();
        let (source_port, destination_port) = ports;
        if datagram {
            let udp = Udp { source_port, destination_port, ..Udp::default() };
            make::udp(&mut out, &link, &ip, &udp, &payload);
        } else {
            let tcp = Tcp { source_port, destination_port, sequence, flags, options: &tcp_options, ..Tcp::default() };
            make::tcp(&mut out, &link, &ip, &tcp, &payload);
        }
        (out, payload)
    }
}

proptest! {
    #[test]
    fn etherparse_agrees((bytes, payload) in any_frame()) {
        let theirs = theirs(&bytes);
        prop_assert!(theirs.is_some());
        prop_assert_eq!(&theirs.as_ref().unwrap().6, &payload);
        prop_assert_eq!(ours(&bytes), theirs);
        let frame = decode(&bytes);
        prop_assert_eq!(frame.stop, None);
        let sums = checksum::verify(&frame, &bytes);
        prop_assert_eq!(sums.transport, Checksum::Good);
        prop_assert!(matches!(sums.ip, Checksum::Good | Checksum::Absent));
    }

    /// Everything that the stricter parser accepts completely, this crate decodes to the same values, damaged or not.
    #[test]
    fn etherparse_agrees_on_damaged_frames(
        (mut bytes, _) in any_frame(),
        hits in prop::collection::vec((0..80usize, any::<u8>()), 1..4),
    ) {
        for (at, value) in hits {
            let at = at % bytes.len();
            bytes[at] = value;
        }
        if let Some(theirs) = theirs(&bytes) {
            prop_assert_eq!(ours(&bytes), Some(theirs));
        }
    }

    #[test]
    fn random_bytes_never_panic(
        bytes in prop::collection::vec(any::<u8>(), 0..120),
        link_type in prop::sample::select(vec![
            0u16, 1, 9, 12, 14, 50, 51, 101, 104, 105, 108, 113, 127, 192, 204, 219, 228, 229, 239, 276, 999,
        ]),
        original_len in any::<u32>(),
        version in prop::sample::select(vec![0x45, 0x46, 0x4f, 0x60]),
    ) {
        let mut bytes = bytes;
        if let Some(first) = bytes.first_mut() {
            *first = version;
        }
        let frame = frame::decode(LinkType(link_type), &bytes, original_len);
        checksum::verify(&frame, &bytes);
        if let Some(tcp) = frame.tcp() {
            prop_assert_eq!(&bytes[tcp.payload_offset as usize..][..tcp.payload.len()], tcp.payload);
            prop_assert!(tcp.payload.len() <= tcp.wire_payload_len as usize);
            prop_assert_eq!(tcp.is_cut() && frame.stop.is_none(), false);
        }
        // A cut frame never shows more than the whole frame does.
        for length in 0..bytes.len() {
            frame::decode(LinkType(link_type), &bytes[..length], original_len);
        }
    }
}
