//! Compares the frames of a mutant with those of the run.

use std::collections::BTreeSet;

use e2e::damage::Record;

use super::stated::{SECOND, Stated};
use crate::run::Run;
use crate::streams::streams;
use crate::wire::{self, ACK, SYN, Segment};

/// Everything in the capture that "sealed" denies.
pub(super) fn objections(original: &Run, mutant: &Run, stated: Option<&Stated>) -> Vec<String> {
    // Version and time zone of the file, and the length of a checksum that no frame has, are not about frames.
    let header =
        |run: &Run| [run.capture.get(..4), run.capture.get(16..22)].map(|part| part.map(<[u8]>::to_vec));
    if header(original) != header(mutant) {
        return vec!["another file header".to_owned()];
    }
    let (Some(records), Some(before)) = (mutant.records(), original.records()) else {
        return vec!["a damaged file".to_owned()];
    };
    let mut objections = BTreeSet::new();
    for record in &records {
        objections.extend(of_frame(record, stated));
    }
    objections.extend(of_streams(&before, &records));
    objections.into_iter().collect()
}

/// What is wrong with one frame, whatever stream it belongs to.
fn of_frame(record: &Record, stated: Option<&Stated>) -> Option<String> {
    let Record { at, original_len, bytes } = record;
    if *original_len as usize > bytes.len() {
        return Some("a frame that was cut".to_owned());
    }
    if let Some(stated) = stated
        && (*at + SECOND < stated.started || *at > stated.ended.saturating_add(SECOND))
    {
        return Some("a frame outside of the time in the manifest".to_owned());
    }
    if is_plain_arp(bytes) {
        return stated
            .is_some_and(|stated| !stated.filter.is_empty())
            .then(|| "ARP despite the filter".to_owned());
    }
    let segment = match wire::segment(bytes) {
        Ok(segment) => segment,
        Err(why) => return Some(why.to_owned()),
    };
    if segment.tcp > segment.ip + 20 {
        return Some("IP options".to_owned());
    }
    if bytes[segment.payload.end..].iter().any(|byte| *byte != 0) {
        return Some("a trailer with content".to_owned());
    }
    if !has_usual_options(&bytes[segment.tcp + 20..segment.payload.start], &segment) {
        return Some("unusual TCP options".to_owned());
    }
    (!wire::has_right_checksum(bytes, &segment)).then(|| "a wrong TCP checksum".to_owned())
}

/// An ARP request or reply for IPv4 over Ethernet (RFC 826) from the address in its Ethernet header, with zeros behind it.
fn is_plain_arp(frame: &[u8]) -> bool {
    let Some((arp, padding)) = frame.get(wire::ETHERNET..).and_then(|arp| arp.split_at_checked(28)) else {
        return false;
    };
    let is_plain = frame[12..14] == [8, 6] && arp[..7] == [0, 1, 8, 0, 6, 4, 0] && matches!(arp[7], 1 | 2);
    let is_target_known = arp[18..24] == [0; 6] || arp[18..24] == frame[..6];
    is_plain && is_target_known && arp[8..14] == frame[6..12] && padding.iter().all(|byte| *byte == 0)
}

/// The options that common stacks send, each once and in its place (ARCHITECTURE.md, "Search and verdict").
fn has_usual_options(mut options: &[u8], segment: &Segment) -> bool {
    let mut seen = BTreeSet::new();
    loop {
        let (kind, len) = match options {
            [] => return true,
            [0, rest @ ..] => return rest.iter().all(|byte| *byte == 0),
            [1, rest @ ..] => {
                options = rest;
                continue;
            }
            [kind, len, ..] => (*kind, usize::from(*len)),
            [_] => return false,
        };
        let is_syn = segment.has(SYN);
        let has_place = match (kind, len) {
            (2, 4) | (3, 3) | (4, 2) | (34, 2 | 6 | 8 | 10 | 12 | 14 | 16 | 18) => is_syn,
            (5, 10 | 18 | 26 | 34) => segment.has(ACK) && !is_syn,
            (8, 10) => true,
            _ => false,
        };
        if !has_place || len > options.len() || !seen.insert(kind) {
            return false;
        }
        options = &options[len..];
    }
}

/// What is missing in the streams, or was not in them.
fn of_streams(before: &[Record], after: &[Record]) -> BTreeSet<String> {
    let (before, after) = (streams(before), streams(after));
    let mut objections = BTreeSet::new();
    for (way, original) in &before {
        let Some(stream) = after.get(way) else {
            objections.insert("a missing stream".to_owned());
            continue;
        };
        objections.extend(stream.faults.iter().cloned());
        if stream.first != original.first {
            objections.insert("a missing SYN".to_owned());
        }
        let is_refused = after.get(&(way.1, way.0)).is_some_and(|other| other.is_reset);
        let is_reset = stream.is_reset || is_refused;
        // What the other side has reset, it has not acknowledged: only the manifest shows whether the last frame is missing
        // (ARCHITECTURE.md, "Search and verdict").
        let may_be_cut = is_refused
            && original.bytes.starts_with(&stream.bytes)
            && original.acknowledged <= stream.bytes.len() as i64;
        if !may_be_cut && explained(&stream.bytes) != explained(&original.bytes) {
            objections.insert("other bytes in a stream".to_owned());
        }
        if original.fin.is_some() && !is_reset && stream.fin.is_none_or(|fin| stream.acknowledged <= fin) {
            objections.insert("a connection without its end".to_owned());
        }
    }
    let new = after.iter().filter(|(way, _)| !before.contains_key(way));
    for (_, stream) in new {
        if !stream.bytes.is_empty() || stream.faults.iter().any(|fault| fault.contains("bytes")) {
            objections.insert("bytes in another connection".to_owned());
        }
    }
    objections
}

/// The stream as records, without what a sender may choose: the version of a record in the clear, up to two
/// `change_cipher_spec` and two alerts in the clear (docs/exposure.md).
fn explained(stream: &[u8]) -> Vec<Vec<u8>> {
    const MOST: usize = 2;
    let records = wire::tls_records(stream);
    let end = records.last().map_or(0, |record| record.range.end);
    let mut dropped = [0; 2];
    let mut kept = Vec::new();
    for record in records {
        let mut bytes = stream[record.range].to_vec();
        if record.content_type != 23 {
            bytes[1..3].fill(0);
        }
        let which = match (record.content_type, &bytes[5..]) {
            (20, [1]) => Some(0),
            (21, [1 | 2, _]) => Some(1),
            _ => None,
        };
        match which {
            Some(which) if dropped[which] < MOST => dropped[which] += 1,
            _ => kept.push(bytes),
        }
    }
    kept.push(stream[end..].to_vec());
    kept
}

/// Whether a handshake message in the clear differs.
pub(super) fn has_other_hellos(original: &Run, mutant: &Run) -> bool {
    let hellos = |run: &Run| {
        let streams = run.records().map(|records| streams(&records)).unwrap_or_default();
        let hellos = streams.into_values().map(|stream| {
            let records = wire::tls_records(&stream.bytes).into_iter();
            let plain = records.filter(|record| record.content_type == 22);
            plain.map(|record| stream.bytes[record.range].to_vec()).collect::<Vec<_>>()
        });
        hellos.collect::<Vec<_>>()
    };
    hellos(original) != hellos(mutant)
}
