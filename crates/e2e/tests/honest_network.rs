//! What a network and the place of a capture do to an honest run: the frames of the lab's TLS run are tagged, repeated, reordered,
//! lost and sent again, merged, divided, or captured on another link. Each capture stays "sealed" as a whole, without the
//! lab's manifest.

use craft::Endian;
use craft::frame::{Checksum, Cooked, Ethernet, Ip, Ipv6, Link, Vlan, flags};
use craft::link_type;
use e2e::damage::{Copied, Judged, Record, own_traffic};
use e2e::segment::{self, Segment, records, segments};
use e2e::{has_netns, run_lab, skip};

/// Captures of the lab by each backend that works here. Frames of `netns` have the options that Linux sends.
fn runs() -> Vec<Copied> {
    let backends = match has_netns() {
        Ok(()) => vec!["relay", "netns"],
        Err(reason) => {
            skip(&reason);
            vec!["relay"]
        }
    };
    backends.into_iter().map(|backend| Copied::of(run_lab(backend))).collect()
}

/// The verdict on these frames of the run, with its own keys.
fn judged(run: &Copied, link_type: u16, frames: &[Record]) -> Judged {
    own_traffic(run, link_type, frames, run.read("https.keys"))
}

fn assert_sealed(judged: &Judged, what: &str) {
    let verdict = (judged.verdict("mine"), judged.status);
    assert_eq!(verdict, ("sealed", 0), "{what}: {:#?}", judged.reasons("mine"));
}

/// Asserts that the run is sealed after this change of its segments.
fn sealed(what: &str, change: impl Fn(Vec<Segment>) -> Vec<Segment>) {
    sealed_as(what, link_type::ETHERNET, |segments| records(&change(segments)));
}

fn sealed_as(what: &str, link_type: u16, write: impl Fn(Vec<Segment>) -> Vec<Record>) {
    for run in runs() {
        let before = run.records("https");
        let after = write(segments(&before));
        assert!(after != before, "{what} changes something");
        assert_sealed(&judged(&run, link_type, &after), what);
    }
}

/// Whether the second segment begins where the first ends.
fn continues(one: &Segment, next: &Segment) -> bool {
    one.is_of_direction(next) && one.end() == next.sequence
}

/// The segments without those that were sent before, which a busy machine causes: of a merged segment they would be a part.
fn without_repetitions(mut segments: Vec<Segment>) -> Vec<Segment> {
    let mut seen: Vec<Segment> = Vec::new();
    segments.retain(|segment| {
        let is_before = |other: &Segment| {
            other.is_of_direction(segment) && other.end().wrapping_sub(segment.end()) as i32 >= 0
        };
        let is_new = segment.payload.is_empty() || !seen.iter().any(is_before);
        if !segment.payload.is_empty() {
            seen.push(segment.clone());
        }
        is_new
    });
    segments
}

/// Whether a segment has payload and belongs to an open connection.
fn is_data(segment: &Segment) -> bool {
    !segment.payload.is_empty() && segment.flags & (flags::SYN | flags::FIN | flags::RST) == 0
}

#[test]
fn taken_apart_and_put_together_a_capture_is_the_same() {
    for run in runs() {
        let before = run.records("https");
        assert!(records(&segments(&before)) == before);
        assert_sealed(&judged(&run, link_type::ETHERNET, &before), "unchanged");
    }
}

// Links

#[test]
fn vlan_tags() {
    for tags in [
        vec![Vlan::tag(7)],
        vec![Vlan::service(3), Vlan::tag(7)],
        vec![Vlan { control: 0xe007, ..Vlan::tag(7) }],
    ] {
        sealed(&format!("{tags:?}"), |mut segments| {
            segments.iter_mut().for_each(|segment| segment.ethernet.vlan.clone_from(&tags));
            segments
        });
    }
}

#[test]
fn tags_of_one_direction_only() {
    sealed("tags of the client", |mut segments| {
        let client = segments[0].clone();
        for segment in segments.iter_mut().filter(|segment| segment.ports.1 == client.ports.1) {
            segment.ethernet.vlan = vec![Vlan::tag(7)];
        }
        segments
    });
}

/// CRC-32 bit by bit (IEEE 802.3 §3.2.9), unlike the analyzer's table.
fn check_sequence(frame: &[u8]) -> [u8; 4] {
    let mut crc = u32::MAX;
    for byte in frame {
        crc ^= u32::from(*byte);
        for _ in 0..8 {
            crc = (crc >> 1) ^ (0xedb8_8320 * (crc & 1));
        }
    }
    (!crc).to_le_bytes()
}

#[test]
fn frame_check_sequences() {
    for (pad, tags) in [(false, vec![]), (true, vec![]), (true, vec![Vlan::tag(7)])] {
        sealed_as("check sequences", link_type::ETHERNET, |segments| {
            let checked = |segment: &Segment| {
                let link = Link::Ethernet(Ethernet { pad, vlan: tags.clone(), ..segment.ethernet.clone() });
                let mut frame = segment.frame_on(&link, Checksum::True);
                frame.extend(check_sequence(&frame));
                segment::record(segment.at, frame)
            };
            segments.iter().map(checked).collect()
        });
    }
}

/// A wrong sequence could be anything.
#[test]
fn wrong_frame_check_sequence_is_a_doubt() {
    let run = Copied::of(run_lab("relay"));
    let mut frames = run.records("https");
    for (number, frame) in frames.iter_mut().enumerate() {
        let mut sequence = check_sequence(&frame.bytes);
        sequence[0] ^= u8::from(number == 20);
        frame.bytes.extend(sequence);
        frame.original_len += 4;
    }
    let judged = judged(&run, link_type::ETHERNET, &frames);
    assert_eq!((judged.verdict("mine"), judged.codes("mine")), ("inconclusive", vec!["bytes.unexplained"]));
}

#[test]
fn padding_of_short_frames() {
    let mut padded = 0;
    for run in runs() {
        let before = run.records("https");
        let mut segments = segments(&before);
        segments.iter_mut().for_each(|segment| segment.ethernet.pad = true);
        let after = records(&segments);
        // With time stamps, only a reset is short, and not every run has one.
        padded += usize::from(after != before);
        assert_sealed(&judged(&run, link_type::ETHERNET, &after), "padding");
    }
    assert!(padded > 0, "no run has a short frame");
}

#[test]
fn other_links() {
    let cooked = Cooked { packet_type: 4, source: [2; 6], interface: 3 };
    for link in [
        Link::CookedV1(cooked),
        Link::CookedV2(cooked),
        Link::Null(Endian::Little),
        Link::Null(Endian::Big),
        Link::Loop,
        Link::RawIp,
    ] {
        sealed_as(&format!("{link:?}"), link.link_type(), |segments| {
            let frame = |segment: &Segment| segment.frame_on(&link, Checksum::True);
            segments.iter().map(|segment| segment::record(segment.at, frame(segment))).collect()
        });
    }
}

// IP

#[test]
fn ipv6() {
    sealed("IPv6", |mut segments| {
        for segment in &mut segments {
            let Ip::V4(ip) = &segment.ip else { continue };
            segment.ip = Ip::V6(Ipv6::between(ip.source.to_ipv6_mapped(), ip.destination.to_ipv6_mapped()));
        }
        segments
    });
}

/// A router lowers the time to live; a congested one marks packets, and TCP answers (RFC 3168).
#[test]
fn routers_and_congestion() {
    sealed("routers", |mut segments| {
        for (number, segment) in segments.iter_mut().enumerate() {
            let Ip::V4(ip) = &mut segment.ip else { continue };
            (ip.ttl, ip.id) = (ip.ttl - 7, number as u16 ^ 0x5a5a);
            ip.tos = [0, 2, 3, 0xb8][number % 4];
            segment.flags |= [0, 0x40, 0x80, 0xc0][number % 4];
        }
        segments
    });
}

// Segments

#[test]
fn duplicates() {
    sealed("every frame twice", |segments| {
        segments.into_iter().flat_map(|segment| [segment.clone(), segment]).collect()
    });
    sealed("every run of four frames twice", |segments| {
        segments.chunks(4).flat_map(|run| [run, run].concat()).collect()
    });
}

/// Exchanges neighbours, both of them data of one direction.
#[test]
fn reordered_segments() {
    for distance in [1, 2, 3] {
        sealed("reordering", |mut segments| {
            let mut at = 0;
            while at + distance < segments.len() {
                let is_same = segments[at].is_of_direction(&segments[at + distance]);
                if is_same && is_data(&segments[at]) && is_data(&segments[at + distance]) {
                    let (one, other) = (segments[at].at, segments[at + distance].at);
                    segments.swap(at, at + distance);
                    (segments[at].at, segments[at + distance].at) = (one, other);
                    at += distance;
                }
                at += 1;
            }
            // In the relay's run the hellos alone have neighbours.
            segments
        });
    }
}

/// Behind the place of the capture two segments are lost: they come again, as one (Linux merges what it sends again).
#[test]
fn segments_lost_behind_the_capture() {
    sealed("retransmission", |segments| {
        let mut out: Vec<Segment> = Vec::new();
        let mut rest = &segments[..];
        while let [one, behind @ ..] = rest {
            rest = behind;
            out.push(one.clone());
            let next = behind.first().filter(|next| is_data(next) && continues(one, next));
            match next {
                Some(next) if is_data(one) => {
                    let payload = [&one.payload[..], &next.payload].concat();
                    out.extend([next.clone(), Segment { payload, ..one.clone() }]);
                    rest = &behind[1..];
                }
                _ if is_data(one) => out.push(one.clone()),
                _ => {}
            }
        }
        out
    });
}

/// Of a delivered segment a hash is kept, so that a part of it cannot be compared (`tcp::HISTORY_BYTES`).
#[test]
fn part_of_a_segment_that_is_sent_again_is_a_doubt() {
    let run = Copied::of(run_lab("relay"));
    let mut all = segments(&run.records("https"));
    let at = all.iter().rposition(|segment| segment.payload.len() > 100).expect("a segment");
    let [head, _] = all[at].split(40);
    all.insert(at + 1, head);
    let judged = judged(&run, link_type::ETHERNET, &records(&all));
    assert_eq!((judged.verdict("mine"), judged.codes("mine")), ("inconclusive", vec!["stream.not-whole"]));
}

/// Before the place of the capture a segment is lost: it comes late, behind the acknowledgment that lacks it.
#[test]
fn segments_lost_before_the_capture() {
    sealed("a segment that comes late", |segments| {
        let mut out: Vec<Segment> = Vec::new();
        let mut late: Option<Segment> = None;
        for segment in segments {
            let follows = late.as_ref().is_some_and(|late| {
                late.is_of_direction(&segment) && segment.sequence == late.end() && is_data(&segment)
            });
            match late.take() {
                // Behind the next segment of its direction.
                Some(missing) if follows => out.extend([segment, missing]),
                Some(missing) => out.extend([missing, segment]),
                None if is_data(&segment) => late = Some(segment),
                None => out.push(segment),
            }
        }
        out.extend(late);
        out
    });
}

/// A selective acknowledgment names what came behind a lost segment (RFC 2018).
#[test]
fn selective_acknowledgments() {
    sealed("SACK", |segments| {
        let mut out: Vec<Segment> = Vec::new();
        for segment in segments {
            if is_data(&segment) && segment.payload.len() > 60 {
                let [lost, arrived] = segment.split(30);
                let acknowledges = out.iter().rev().find(|other| {
                    !other.is_of_direction(&segment)
                        && other.ports.0 == segment.ports.1
                        && other.ports.1 == segment.ports.0
                });
                let receiver = acknowledges.expect("the handshake came before").clone();
                let block = [arrived.sequence.to_be_bytes(), arrived.end().to_be_bytes()].concat();
                let duplicate = Segment {
                    at: segment.at,
                    sequence: receiver.end(),
                    acknowledgment: lost.sequence,
                    flags: flags::ACK,
                    options: [&[1, 1, 5, 10][..], &block].concat(),
                    payload: Vec::new(),
                    ..receiver
                };
                out.extend([arrived, duplicate, lost]);
            } else {
                out.push(segment);
            }
        }
        out
    });
}

#[test]
fn other_segment_limits() {
    for most in [216, 536, 1220] {
        sealed(&format!("segments of at most {most} bytes"), |segments| divided(segments, most));
    }
}

/// In segments this short no string can be planted, so that the control of the search is missing.
#[test]
fn tiny_segments_are_a_doubt() {
    for most in [1, 7, 100] {
        let run = Copied::of(run_lab("relay"));
        let frames = records(&divided(segments(&run.records("https")), most));
        let judged = judged(&run, link_type::ETHERNET, &frames);
        let expected = ("inconclusive", vec!["control.nothing-planted"]);
        assert_eq!((judged.verdict("mine"), judged.codes("mine")), expected, "{most}");
    }
}

/// The segments, with at most so many bytes in each.
fn divided(segments: Vec<Segment>, most: usize) -> Vec<Segment> {
    let mut out = Vec::new();
    for mut segment in segments {
        while segment.payload.len() > most {
            let [head, tail] = segment.split(most);
            out.push(head);
            segment = tail;
        }
        out.push(segment);
    }
    out
}

/// Segments as the sender's network card gets them, and the receiver's hands them over: merged, with the length of the IP
/// packet as 0 and the checksum left to the card.
#[test]
fn offloaded_segments() {
    for (without_length, checksum) in
        [(false, Checksum::True), (false, Checksum::Unfinished), (true, Checksum::Unfinished)]
    {
        sealed_as("offload", link_type::ETHERNET, |segments| {
            let mut merged: Vec<Segment> = Vec::new();
            for segment in without_repetitions(segments) {
                match merged.last_mut() {
                    Some(last) if is_data(last) && is_data(&segment) && continues(last, &segment) => {
                        last.payload.extend_from_slice(&segment.payload);
                        last.flags |= segment.flags;
                    }
                    _ => merged.push(segment),
                }
            }
            let frame = |segment: &mut Segment| {
                if let Ip::V4(ip) = &mut segment.ip {
                    ip.total_length = without_length.then_some(0);
                }
                let checksum = if segment.payload.is_empty() { Checksum::True } else { checksum };
                let link = Link::Ethernet(segment.ethernet.clone());
                segment::record(segment.at, segment.frame_on(&link, checksum))
            };
            merged.iter_mut().map(frame).collect()
        });
    }
}

/// Probes repeat the last byte, or nothing, below what was acknowledged (RFC 9293 §3.8.4); a closed window is probed likewise.
#[test]
fn keep_alive_and_window_probes() {
    let last_byte = |segment: &Segment| segment.payload[segment.payload.len() - 1..].to_vec();
    // Windows sends a zero.
    let probes: [fn(&Segment) -> Vec<u8>; 3] = [|_| Vec::new(), last_byte, |_| vec![0]];
    for probe in probes {
        sealed("probes", |segments| {
            let mut out: Vec<Segment> = Vec::new();
            for segment in segments {
                out.push(segment.clone());
                if is_data(&segment) {
                    let payload = probe(&segment);
                    let sequence = segment.end().wrapping_sub(1);
                    out.push(Segment { payload, sequence, flags: flags::ACK, ..segment });
                }
            }
            out
        });
    }
}

#[test]
fn repeated_handshakes_and_ends() {
    sealed("SYN, SYN-ACK, FIN and RST three times", |segments| {
        let is_mark = |segment: &Segment| segment.flags & (flags::SYN | flags::FIN | flags::RST) != 0;
        let times = |segment: &Segment| if is_mark(segment) { 3 } else { 1 };
        segments.into_iter().flat_map(|segment| vec![segment.clone(); times(&segment)]).collect()
    });
}
