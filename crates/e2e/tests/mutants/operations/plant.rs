//! Operations that plant known content in the clear.

use std::io::Write as _;

use craft::conversation::{Connection, Frames, Settings};
use craft::frame::{Ip, Ipv4, Link, Tcp, Udp, flags};
use e2e::damage::{Record, Side, conversation};
use flate2::Compression;
use flate2::write::{GzEncoder, ZlibEncoder};

use super::content::{self, Written};
use super::surgery::{self, insert, settle, stream};
use super::{Done, Plant, frames_with, records_of};
use crate::random::Random;
use crate::run::Run;
use crate::wire::{self, ACK, SYN};

/// Bytes that precede planted ones: no letter, digit or escape, which could belong to an encoding.
fn surrounded(written: &[u8], random: &mut Random) -> Vec<u8> {
    let mut noise = |most: usize| -> Vec<u8> {
        let len = random.below(most);
        random.bytes(len).into_iter().map(|byte| byte | 0x80).collect()
    };
    let (before, after) = (noise(30), noise(30));
    [&before[..], &[1], written, &[1], &after].concat()
}

fn strangers(random: &mut Random) -> Settings {
    let end = |last: u8, port: usize| std::net::SocketAddr::from(([192, 0, 2, last], port as u16));
    let (client, server) = (end(1, random.within(1024..65_000)), end(2, random.within(1..65_000)));
    let isn = random.next() as u32;
    Settings { ack_every: 0, client_isn: isn, server_isn: !isn, ..Settings::new(client, server) }
}

fn ip() -> Ip {
    Ip::V4(Ipv4::between([192, 0, 2, 1].into(), [192, 0, 2, 2].into()))
}

/// Inserts frames one after the other, with other frames between them or not.
fn scatter(records: &mut Vec<Record>, random: &mut Random, frames: Vec<Vec<u8>>) {
    let mut at = random.below(records.len());
    let is_apart = random.once_in(2);
    for bytes in frames {
        let time = records[at.min(records.len() - 1)].at;
        records.insert(at, Record { at: time, original_len: bytes.len() as u32, bytes });
        at += 1;
        if is_apart {
            at += random.below(3).min(records.len() - at);
        }
    }
}

pub(super) fn in_a_new_connection(run: &mut Run, random: &mut Random) -> Done {
    let Written { bytes, name } = content::written(run, random)?;
    let mut records = records_of(run)?;
    let bytes = surrounded(&bytes, random);
    let pieces = random.within(1..6);
    let mut cuts: Vec<usize> = (1..pieces).map(|_| random.below(bytes.len())).collect();
    cuts.extend([0, bytes.len()]);
    cuts.sort_unstable();
    cuts.dedup();
    let side = if random.once_in(2) { Side::Client } else { Side::Server };
    let sent: Vec<(Side, &[u8])> = cuts.windows(2).map(|cut| (side, &bytes[cut[0]..cut[1]])).collect();
    let frames = conversation(strangers(random), &sent);
    scatter(&mut records, random, frames);
    run.set_records(&records);
    Some((format!("{name}, in {} segment(s)", sent.len()), Plant::Promised))
}

/// Compressed bytes that no protocol explains are found at the start of a stream.
pub(super) fn compressed(run: &mut Run, random: &mut Random) -> Done {
    let Written { bytes, name } = content::written(run, random)?;
    let mut records = records_of(run)?;
    let (what, packed) = if random.once_in(2) {
        let mut encoder = GzEncoder::new(Vec::new(), Compression::best());
        encoder.write_all(&bytes).ok()?;
        ("gzip", encoder.finish().ok()?)
    } else {
        let mut encoder = ZlibEncoder::new(Vec::new(), Compression::best());
        encoder.write_all(&bytes).ok()?;
        ("zlib", encoder.finish().ok()?)
    };
    let frames = conversation(strangers(random), &[(Side::Server, &packed)]);
    scatter(&mut records, random, frames);
    run.set_records(&records);
    Some((format!("{name}, in {what}"), Plant::Promised))
}

pub(super) fn in_another_protocol(run: &mut Run, random: &mut Random) -> Done {
    let Written { bytes, name } = content::written(run, random)?;
    let mut records = records_of(run)?;
    let bytes = surrounded(&bytes, random);
    let mut frame = Vec::new();
    let link = Link::default();
    let what = match random.below(5) {
        0 => {
            let udp = Udp { source_port: 5353, destination_port: random.next() as u16, ..Udp::default() };
            craft::frame::udp(&mut frame, &link, &ip(), &udp, &bytes);
            "UDP"
        }
        1 => {
            let echo = [&[8, 0, 0, 0, 0, 1, 0, 1], &bytes[..]].concat();
            craft::frame::ip(&mut frame, &link, &ip(), 1, &echo);
            "ICMP"
        }
        2 => {
            let protocol = random.within(100..250) as u8;
            craft::frame::ip(&mut frame, &link, &ip(), protocol, &bytes);
            "another IP protocol"
        }
        3 => {
            craft::frame::framed(&mut frame, &link, 0x88b5, |out| out.extend_from_slice(&bytes));
            "another EtherType"
        }
        _ => {
            let hardware = craft::frame::Ethernet::default().source;
            craft::frame::arp(&mut frame, &link, hardware, [192, 0, 2, 1].into(), [192, 0, 2, 2].into());
            frame.extend_from_slice(&bytes);
            "the padding of ARP"
        }
    };
    let at = insert(&mut records, random, frame);
    let is_cut = random.once_in(4);
    if is_cut {
        records[at].original_len += random.within(1..2000) as u32;
    }
    run.set_records(&records);
    Some((format!("{name}, in {what} before frame {}, cut: {is_cut}", at + 1), Plant::Promised))
}

pub(super) fn in_a_trailer(run: &mut Run, random: &mut Random) -> Done {
    let Written { bytes, name } = content::written(run, random)?;
    let mut records = records_of(run)?;
    let at = random.below(records.len());
    let bytes = surrounded(&bytes, random);
    records[at].bytes.extend_from_slice(&bytes);
    records[at].original_len = records[at].bytes.len() as u32;
    run.set_records(&records);
    Some((format!("{name}, behind frame {}", at + 1), Plant::Promised))
}

pub(super) fn in_options(run: &mut Run, random: &mut Random) -> Done {
    const ROOM: usize = 36;
    let text = content::short_string(run, random, ROOM)?;
    let mut records = records_of(run)?;
    let option = |kind: u8| [&[kind, 2 + text.len() as u8], text.as_bytes()].concat();
    let mut frame = Vec::new();
    let tcp = Tcp { source_port: 7000, destination_port: 9000, flags: flags::SYN, ..Tcp::default() };
    let options = option(253);
    if random.once_in(2) {
        let ip =
            Ipv4 { options: option(0x88), ..Ipv4::between([192, 0, 2, 1].into(), [192, 0, 2, 2].into()) };
        craft::frame::tcp(&mut frame, &Link::default(), &Ip::V4(ip), &tcp, b"");
    } else {
        craft::frame::tcp(&mut frame, &Link::default(), &ip(), &Tcp { options: &options, ..tcp }, b"");
    }
    let at = insert(&mut records, random, frame);
    run.set_records(&records);
    Some((format!("the string {text:?} before frame {}", at + 1), Plant::Promised))
}

/// A second version of a segment, behind it.
pub(super) fn in_a_contradicting_segment(run: &mut Run, random: &mut Random) -> Done {
    let Written { bytes, name } = content::written(run, random)?;
    let mut records = records_of(run)?;
    let at = *random.pick(&frames_with(&records, |segment| segment.payload.len() > bytes.len()))?;
    let mut record = records[at].clone();
    let segment = wire::segment(&record.bytes).ok()?;
    let start = segment.payload.start + random.below(segment.payload.len() - bytes.len());
    record.bytes[start..start + bytes.len()].copy_from_slice(&bytes);
    settle(&mut record);
    let behind = at + 1 + random.below((records.len() - at).min(20));
    record.at = records[behind - 1].at;
    records.insert(behind, record);
    run.set_records(&records);
    Some((format!("{name}, in a second version of frame {} behind frame {behind}", at + 1), Plant::Promised))
}

/// In the place of bytes of a hello or a protected record.
pub(super) fn over_a_stream(run: &mut Run, random: &mut Random) -> Done {
    let Written { bytes, name } = content::written(run, random)?;
    let mut records = records_of(run)?;
    let fits = frames_with(&records, |segment| segment.payload.len() > bytes.len());
    let hellos = &fits[..fits.len().min(3)];
    let at = *(if random.once_in(2) { random.pick(hellos) } else { random.pick(&fits) })?;
    let segment = wire::segment(&records[at].bytes).ok()?;
    let start = random.below(segment.payload.len() - bytes.len());
    let from = segment.payload.start + start;
    records[at].bytes[from..from + bytes.len()].copy_from_slice(&bytes);
    let is_mended = !random.once_in(3);
    if is_mended {
        wire::mend(&mut records[at].bytes);
    }
    run.set_records(&records);
    let mended = if is_mended { "" } else { ", checksum not mended" };
    Some((format!("{name}, from byte {start} of the payload of frame {}{mended}", at + 1), Plant::Promised))
}

/// Between two records of a stream, before the first or behind the last; with a header of its own or without.
pub(super) fn between_records(run: &mut Run, random: &mut Random) -> Done {
    let Written { bytes, name } = content::written(run, random)?;
    let mut records = records_of(run)?;
    let (way, stream) = stream(&records, random)?;
    let tls = wire::tls_records(&stream);
    let borders: Vec<usize> = tls.iter().flat_map(|record| [record.range.start, record.range.end]).collect();
    let at = *random.pick(&borders)?;
    let content_type = random.within(20..25) as u8;
    let inserted = match random.once_in(2) {
        true => surrounded(&bytes, random),
        false => [&[content_type, 3, 3], &(bytes.len() as u16).to_be_bytes()[..], &bytes].concat(),
    };
    surgery::edit_stream(&mut records, way, at, 0, &inserted)?;
    run.set_records(&records);
    Some((format!("{name}, at offset {at} of the stream from port {}", way.0.1), Plant::Promised))
}

/// In an unknown or reserved extension of a ClientHello, whose lengths follow.
pub(super) fn in_a_hello_extension(run: &mut Run, random: &mut Random) -> Done {
    let Written { bytes, name } = content::written(run, random)?;
    let mut records = records_of(run)?;
    let (way, stream) = stream(&records, random)?;
    let hello = wire::tls_records(&stream).into_iter().next()?;
    if stream[hello.range.start..].get(5) != Some(&1) {
        return None;
    }
    let mut record = stream[hello.range.clone()].to_vec();
    let kind = *random.pick(&[0xfafa_u16, 0x1a1a, 0xff77, 21, 35, 44, 0xfe0d])?;
    let extension = [&kind.to_be_bytes()[..], &(bytes.len() as u16).to_be_bytes(), &bytes].concat();
    // Behind random, session id, cipher suites and compression methods (RFC 9846 §4.1.2).
    let mut at = 9 + 34;
    at += 1 + usize::from(*record.get(at)?);
    at += 2 + usize::from(wire::u16_at(record.get(at..at + 2)?, 0));
    at += 1 + usize::from(*record.get(at)?);
    let longer = |bytes: &mut [u8]| {
        let len = wire::u16_at(bytes, 0) + extension.len() as u16;
        bytes[..2].copy_from_slice(&len.to_be_bytes());
    };
    longer(record.get_mut(at..at + 2)?);
    longer(&mut record[3..5]);
    longer(&mut record[7..9]);
    record.splice(at + 2..at + 2, extension.iter().copied());
    // The hello needs two segments, and only one of them can be replaced as a whole.
    let head = at + 2;
    let header = record[..head].to_vec();
    surgery::edit_stream(&mut records, way, hello.range.start, head, &[&header[..], &extension].concat())?;
    run.set_records(&records);
    Some((format!("{name}, in extension {kind:#06x} of the hello from port {}", way.0.1), Plant::Promised))
}

/// Before the SYN, in it, behind the FIN, in a reset, or far outside of the window.
pub(super) fn before_and_after(run: &mut Run, random: &mut Random) -> Done {
    let Written { bytes, name } = content::written(run, random)?;
    let mut records = records_of(run)?;
    let mut frames = Frames::default();
    let mut connection = Connection::new(strangers(random)).ok()?;
    let side = if random.once_in(2) { Side::Client } else { Side::Server };
    let place = random.below(5);
    if place == 0 {
        connection.segment(side, 0, flags::ACK, &bytes, 0, &mut frames);
    }
    if place == 1 {
        let settings = strangers(random);
        let tcp = Tcp { source_port: settings.client.port(), flags: flags::SYN, ..Tcp::default() };
        let mut frame = Vec::new();
        craft::frame::tcp(&mut frame, &Link::default(), &ip(), &tcp, &bytes);
        scatter(&mut records, random, vec![frame]);
    }
    connection.open(0, &mut frames).ok()?;
    if place == 2 {
        connection.segment(side, 1 << 31, flags::ACK, &bytes, 0, &mut frames);
    }
    for side in [Side::Client, Side::Server] {
        connection.close(side, 0, &mut frames).ok()?;
    }
    if place > 2 {
        let flags = if place == 3 { flags::ACK } else { flags::RST };
        connection.segment(side, 1, flags, &bytes, 0, &mut frames);
    }
    scatter(&mut records, random, frames.iter().map(|frame| frame.bytes.to_vec()).collect());
    run.set_records(&records);
    let places = ["before the SYN", "in a SYN", "outside of the window", "behind the FIN", "in a reset"];
    Some((format!("{name}, {}", places[place]), Plant::Promised))
}

/// In several datagrams, byte by byte in probes, or in a form that no search finds.
pub(super) fn hidden(run: &mut Run, random: &mut Random) -> Done {
    let text = content::short_string(run, random, 200)?;
    let mut records = records_of(run)?;
    let disguised: Vec<u8> = match random.below(4) {
        0 => text.bytes().map(|byte| byte ^ 0x55).collect(),
        1 => text.bytes().rev().collect(),
        2 => text.bytes().flat_map(|byte| [byte, 0xa7]).collect(),
        _ => text.clone().into_bytes(),
    };
    let frames: Vec<Vec<u8>> = match random.below(4) {
        0 => {
            let datagram = |piece: &[u8]| {
                let mut frame = Vec::new();
                craft::frame::udp(&mut frame, &Link::default(), &ip(), &Udp::default(), piece);
                frame
            };
            disguised.chunks(random.within(1..9)).map(datagram).collect()
        }
        1 => conversation(strangers(random), &[(Side::Client, &disguised)]),
        2 => {
            let mut connection = Connection::new(strangers(random)).ok()?;
            let mut frames = Frames::default();
            connection.open(0, &mut frames).ok()?;
            for byte in &disguised {
                connection.segment(Side::Client, u32::MAX, flags::ACK, &[*byte], 0, &mut frames);
            }
            frames.iter().map(|frame| frame.bytes.to_vec()).collect()
        }
        _ => {
            let acknowledgments = frames_with(&records, |segment| segment.payload.is_empty());
            let mut left = &disguised[..];
            for at in acknowledgments {
                let (piece, rest) = left.split_at(left.len().min(random.within(1..8)));
                records[at].bytes.extend_from_slice(piece);
                settle(&mut records[at]);
                left = rest;
            }
            Vec::new()
        }
    };
    if !frames.is_empty() {
        scatter(&mut records, random, frames);
    }
    run.set_records(&records);
    Some((format!("the string {text:?}"), Plant::Hidden))
}

/// In fields that docs/exposure.md lists: "sealed" does not cover them.
pub(super) fn spread_over_headers(run: &mut Run, random: &mut Random) -> Done {
    let text = content::short_string(run, random, 100)?;
    let mut records = records_of(run)?;
    let field = random.below(4);
    let mut left = text.bytes();
    for at in frames_with(&records, |segment| segment.has(ACK) && !segment.has(SYN)) {
        let record = &mut records[at];
        let segment = wire::segment(&record.bytes).ok()?;
        let (ip, tcp) = (segment.ip, segment.tcp);
        let at = [ip + 4, ip + 8, tcp + 14, tcp + 18][field];
        let Some(byte) = left.next() else { break };
        record.bytes[at] = byte;
        wire::mend(&mut record.bytes);
    }
    run.set_records(&records);
    let fields = ["identification", "hop limit", "window", "urgent pointer"];
    Some((format!("the string {text:?} over the field {}", fields[field]), Plant::Hidden))
}
