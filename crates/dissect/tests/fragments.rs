//! Fragments made by `craft` become the packet that its sender built, in any order.

use craft::encapsulation as wrap;
use craft::frame::{self as make, Extension, Ip, Ipv4, Ipv6, Link};
use dissect::capture::Record;
use dissect::fragment::{
    Abandonment, Datagram, MAX_AGE_NS, MAX_BYTES, MAX_DATAGRAMS, MAX_FRAGMENTS, Pushed, Reassembler,
};
use dissect::frame;
use dissect::link::LinkType;
use proptest::prelude::*;

const UDP: u8 = 17;

fn v4() -> Ip {
    let between = Ipv4::between([192, 0, 2, 1].into(), [198, 51, 100, 7].into());
    Ip::V4(Ipv4 { options: vec![7, 4, 0, 0], id: 9, dont_fragment: false, ..between })
}

fn v6() -> Ip {
    let between = Ipv6::between("2001:db8::1".parse().unwrap(), "2001:db8::2".parse().unwrap());
    Ip::V6(Ipv6 { extensions: vec![Extension::hop_by_hop()], ..between })
}

/// The packet as it was before it was divided.
fn whole(ip: &Ip, payload: &[u8]) -> Vec<u8> {
    let mut out = Vec::new();
    make::ip(&mut out, &Link::RawIp, ip, UDP, payload);
    out
}

fn record(frame: u64, captured_at: u64, bytes: &[u8]) -> Record<'_> {
    Record {
        frame,
        captured_at,
        link_type: LinkType::RAW,
        interface: 0,
        original_len: bytes.len() as u32,
        bytes,
        file_offset: frame * 100_000,
    }
}

fn push(reassembler: &mut Reassembler, record: &Record<'_>) -> Pushed {
    let frame = frame::decode(record.link_type, record.bytes, record.original_len);
    let ip = frame.ip().unwrap_or_else(|| panic!("{frame:?}"));
    reassembler.push(record, ip, 0)
}

/// Pushes packets as frames from 1 on. Returns what was completed.
fn push_all(reassembler: &mut Reassembler, packets: &[Vec<u8>]) -> Vec<Datagram> {
    let mut completed = Vec::new();
    for (number, packet) in (1..).zip(packets) {
        if let Pushed::Complete(datagram) = push(reassembler, &record(number, number, packet)) {
            completed.push(*datagram);
        }
    }
    completed
}

/// Every byte of the packet's payload is where the parts say.
fn assert_parts(datagram: &Datagram) {
    let packet = &datagram.packet;
    let mut at = 0;
    for (index, part) in packet.parts.iter().enumerate() {
        assert_eq!(part.range.start, at);
        at = part.range.end;
        let record = datagram.frames[part.frame].record();
        let there = &record.bytes[part.frame_offset..][..part.range.len()];
        assert!(index == 0 || there == &packet.bytes[part.range.clone()], "part {index}");
        let origin = datagram.origin(part).unwrap();
        assert_eq!(origin.file_offset, record.file_offset + part.frame_offset as u64);
        assert_eq!(origin.frame, record.frame);
    }
    assert_eq!(at, packet.bytes.len());
}

fn payload(len: usize) -> Vec<u8> {
    (0..len).map(|index| (index * 7 + index / 256) as u8).collect()
}

proptest! {
    /// Any order, with repetitions at any place.
    #[test]
    fn the_packet_does_not_depend_on_order_and_repetition(
        is_v4 in any::<bool>(),
        len in 9_usize..3_000,
        units in 1_usize..100,
        order in prop::collection::vec(any::<prop::sample::Index>(), 0..20),
        seed in any::<u64>(),
    ) {
        let ip = if is_v4 { v4() } else { v6() };
        let payload = payload(len);
        let size = (units * 8).max(len.div_ceil(MAX_FRAGMENTS).next_multiple_of(8)).min((len - 1) / 8 * 8);
        let fragments = wrap::fragments(&ip, UDP, 9, size, &payload);
        prop_assume!(fragments.len() > 1);
        let mut shuffled: Vec<Vec<u8>> = order.iter().map(|index| index.get(&fragments).clone()).collect();
        let mut rest = fragments.clone();
        rest.rotate_left(seed as usize % fragments.len());
        if seed & 1 == 0 {
            rest.reverse();
        }
        shuffled.extend(rest);
        let mut reassembler = Reassembler::default();
        let completed = push_all(&mut reassembler, &shuffled);
        prop_assert_eq!(completed.len(), 1);
        prop_assert_eq!(&completed[0].packet.bytes, &whole(&ip, &payload));
        prop_assert!(completed[0].other.is_none());
        assert_parts(&completed[0]);
        reassembler.finish();
        prop_assert!(reassembler.pop().is_none());
    }

    /// Every frame comes back once, whatever the fragments say.
    #[test]
    fn no_frame_is_lost(
        fragments in prop::collection::vec((0_usize..12, 1_usize..6, any::<bool>(), 0_u32..3, any::<u8>()), 1..60),
    ) {
        let mut reassembler = Reassembler::default();
        let mut back = Vec::new();
        for (number, (start, units, more, id, fill)) in (1..).zip(&fragments) {
            let bytes = vec![*fill; units * 8];
            let packet = wrap::fragment(&v4(), UDP, *id, start * 8, *more, &bytes);
            let record = record(number, number, &packet);
            let frame = frame::decode(LinkType::RAW, &packet, packet.len() as u32);
            let ip = frame.ip().expect("a packet");
            match reassembler.push(&record, ip, 0) {
                Pushed::Held => {}
                Pushed::Repeated | Pushed::Invalid => back.push(number),
                Pushed::Complete(datagram) => {
                    assert_parts(&datagram);
                    back.extend(datagram.frames.iter().map(|frame| frame.record().frame));
                }
            }
        }
        reassembler.finish();
        while let Some(abandoned) = reassembler.pop() {
            back.extend(abandoned.frames.iter().map(|frame| frame.record().frame));
        }
        back.sort_unstable();
        // What is no fragment at all is not taken.
        let expected: Vec<u64> = (1..=fragments.len() as u64).collect();
        prop_assert_eq!(back, expected);
    }
}

#[test]
fn contradicting_fragments_make_two_versions() {
    for ip in [v4(), v6()] {
        let fragment = |offset, more, bytes: &[u8]| wrap::fragment(&ip, UDP, 1, offset, more, bytes);
        let packets = [
            fragment(0, true, b"headers!AAAAAAAA"),
            fragment(8, true, b"BBBBBBBB"),
            fragment(16, false, b"tail"),
        ];
        let completed = push_all(&mut Reassembler::default(), &packets);
        let [datagram] = completed.as_slice() else { panic!("{completed:?}") };
        assert_eq!(datagram.packet.bytes, whole(&with_id(&ip, 1), b"headers!AAAAAAAAtail"));
        let other = datagram.other.as_ref().expect("another version");
        assert_eq!(other.bytes, whole(&with_id(&ip, 1), b"headers!BBBBBBBBtail"));
        assert_parts(datagram);
        // Overlaps that agree are no contradiction.
        let agreeing = [packets[0].clone(), fragment(8, true, b"AAAAAAAA"), packets[2].clone()];
        let completed = push_all(&mut Reassembler::default(), &agreeing);
        assert!(completed[0].other.is_none());
        // Two ends: the first one counts.
        let ends = [fragment(8, false, b"end"), fragment(16, false, b"late"), fragment(0, true, b"headers!")];
        let completed = push_all(&mut Reassembler::default(), &ends);
        assert_eq!(completed[0].packet.bytes, whole(&with_id(&ip, 1), b"headers!end"));
        assert!(completed[0].other.is_some());
    }
}

fn with_id(ip: &Ip, id: u16) -> Ip {
    match ip {
        Ip::V4(v4) => Ip::V4(Ipv4 { id, ..v4.clone() }),
        Ip::V6(_) => ip.clone(),
    }
}

#[test]
fn packets_are_told_apart() {
    let fragments = |ip: &Ip, protocol, id| wrap::fragments(ip, protocol, id, 16, &payload(32));
    let mut other_source = v4();
    if let Ip::V4(ip) = &mut other_source {
        ip.source = [192, 0, 2, 99].into();
    }
    let of = [
        fragments(&v4(), UDP, 1),
        fragments(&v4(), UDP, 2),
        fragments(&v4(), 6, 1),
        fragments(&other_source, UDP, 1),
        fragments(&v6(), UDP, 1),
    ];
    let mut reassembler = Reassembler::default();
    let firsts: Vec<Vec<u8>> = of.iter().map(|fragments| fragments[0].clone()).collect();
    assert!(push_all(&mut reassembler, &firsts).is_empty());
    let lasts: Vec<Vec<u8>> = of.iter().map(|fragments| fragments[1].clone()).collect();
    assert_eq!(push_all(&mut reassembler, &lasts).len(), of.len());
    // The same packet in two tunnels.
    let mut reassembler = Reassembler::default();
    for (context, index) in [(1, 0), (2, 1)] {
        let packet = &of[0][index];
        let frame = frame::decode(LinkType::RAW, packet, packet.len() as u32);
        let pushed = reassembler.push(&record(1, 1, packet), frame.ip().unwrap(), context);
        assert!(matches!(pushed, Pushed::Held));
    }
}

#[test]
fn rejects_what_fits_no_packet() {
    let mut reassembler = Reassembler::default();
    let empty = wrap::fragment(&v4(), UDP, 1, 8, false, b"");
    let odd = wrap::fragment(&v4(), UDP, 1, 0, true, b"seven b");
    let beyond = wrap::fragment(&v4(), UDP, 1, 65_528, false, &[0; 64]);
    let cut = wrap::fragment(&v4(), UDP, 1, 0, true, &[0; 64]);
    for (packet, len) in [(&empty, empty.len()), (&odd, odd.len()), (&beyond, beyond.len()), (&cut, 60)] {
        let record = Record { bytes: &packet[..len], ..record(1, 1, packet) };
        assert!(matches!(push(&mut reassembler, &record), Pushed::Invalid), "{} bytes", packet.len());
    }
    reassembler.finish();
    assert!(reassembler.pop().is_none());
}

#[test]
fn an_incomplete_packet_is_given_up() {
    let fragments = wrap::fragments(&v4(), UDP, 1, 16, &payload(48));
    let mut reassembler = Reassembler::default();
    assert!(push_all(&mut reassembler, &fragments[..2]).is_empty());
    // Much later the same identification is another packet.
    let late = record(3, 2 + MAX_AGE_NS + 1, &fragments[2]);
    assert!(matches!(push(&mut reassembler, &late), Pushed::Held));
    let abandoned = reassembler.pop().expect("the first two");
    assert_eq!((abandoned.frames.len(), abandoned.why), (2, Abandonment::Incomplete));
    reassembler.finish();
    let abandoned = reassembler.pop().expect("the third");
    assert_eq!((abandoned.frames[0].record(), abandoned.why), (late, Abandonment::Incomplete));
    assert!(reassembler.pop().is_none());
}

/// After a packet is complete, its fragments may be captured once more, but others begin a new packet.
#[test]
fn repetitions_of_a_complete_packet_are_recognised() {
    let fragments = wrap::fragments(&v6(), UDP, 1, 16, &payload(40));
    let mut reassembler = Reassembler::default();
    assert_eq!(push_all(&mut reassembler, &fragments).len(), 1);
    for packet in &fragments {
        assert!(matches!(push(&mut reassembler, &record(9, 9, packet)), Pushed::Repeated));
    }
    let different = wrap::fragments(&v6(), UDP, 1, 16, &[b'x'; 40]);
    assert_eq!(push_all(&mut reassembler, &different).len(), 1);
}

#[test]
fn bounds_what_is_kept() {
    let mut reassembler = Reassembler::default();
    let first = |id| wrap::fragment(&v6(), UDP, id, 0, true, &[0; 8]);
    for id in 0..MAX_DATAGRAMS as u32 + 3 {
        push(&mut reassembler, &record(id.into(), 1, &first(id)));
    }
    let abandoned: Vec<u64> = std::iter::from_fn(|| reassembler.pop())
        .inspect(|abandoned| assert_eq!(abandoned.why, Abandonment::Bound))
        .map(|abandoned| abandoned.frames[0].record().frame)
        .collect();
    assert_eq!(abandoned, [0, 1, 2], "the oldest go first");

    let mut reassembler = Reassembler::default();
    for index in 0..=MAX_FRAGMENTS {
        let packet = wrap::fragment(&v4(), UDP, 1, 16 * index, true, &[0; 8]);
        push(&mut reassembler, &record(1, 1, &packet));
    }
    let abandoned = reassembler.pop().expect("too many fragments");
    assert_eq!((abandoned.frames.len(), abandoned.why), (MAX_FRAGMENTS, Abandonment::Bound));

    let mut reassembler = Reassembler::default();
    let large = |id| wrap::fragment(&v6(), UDP, id, 0, true, &[0; 60_000]);
    let (mut held, mut most) = (0_usize, 0);
    for id in 0..300 {
        let packet = large(id);
        push(&mut reassembler, &record(1, 1, &packet));
        held += packet.len();
        while let Some(abandoned) = reassembler.pop() {
            held -= abandoned.frames.iter().map(|frame| frame.record().bytes.len()).sum::<usize>();
        }
        most = most.max(held);
    }
    assert!(most <= MAX_BYTES && most > MAX_BYTES - 61_000, "{most}");
}
