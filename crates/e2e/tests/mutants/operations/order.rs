//! Operations that reorder, duplicate and divide.

use e2e::damage::Record;

use super::surgery::settle;
use super::{Done, Plant, frames_with, records_of};
use crate::random::Random;
use crate::run::Run;
use crate::wire;

/// Gives the frames the times that were at their places before, so that time does not run backwards.
fn keep_times(records: &mut [Record], before: &[Record], random: &mut Random) -> &'static str {
    if random.once_in(2) {
        return "with their times";
    }
    records.iter_mut().zip(before).for_each(|(record, before)| record.at = before.at);
    "without their times"
}

pub(super) fn neighbours(run: &mut Run, random: &mut Random) -> Done {
    let before = records_of(run)?;
    let mut records = before.clone();
    let mut swapped = Vec::new();
    for _ in 0..random.within(1..4) {
        let at = random.below(records.len().checked_sub(1).filter(|most| *most > 0)?);
        records.swap(at, at + 1);
        swapped.push(at + 1);
    }
    let times = keep_times(&mut records, &before, random);
    run.set_records(&records);
    Some((format!("frames {swapped:?} and the next, {times}"), Plant::None))
}

pub(super) fn a_frame(run: &mut Run, random: &mut Random) -> Done {
    let before = records_of(run)?;
    let mut records = before.clone();
    let from = random.below(records.len());
    let record = records.remove(from);
    let to = random.below(records.len() + 1);
    records.insert(to, record);
    let times = keep_times(&mut records, &before, random);
    run.set_records(&records);
    Some((format!("frame {} to place {}, {times}", from + 1, to + 1), Plant::None))
}

pub(super) fn a_range(run: &mut Run, random: &mut Random) -> Done {
    let before = records_of(run)?;
    let mut records = before.clone();
    let count = random.within(2..12).min(records.len());
    let from = random.below(records.len() - count + 1);
    for at in (1..count).rev() {
        records.swap(from + at, from + random.below(at + 1));
    }
    let times = keep_times(&mut records, &before, random);
    run.set_records(&records);
    Some((format!("frames {} to {}, {times}", from + 1, from + count), Plant::None))
}

/// Some lines of a file.
fn a_text<'a>(run: &'a mut Run, random: &mut Random) -> (&'static str, &'a mut Vec<u8>) {
    let [journal_a, journal_b] = &mut run.journals;
    match random.below(3) {
        0 => ("agent-a's journal", journal_a),
        1 => ("agent-b's journal", journal_b),
        _ => ("the key log", &mut run.keys),
    }
}

pub(super) fn lines(run: &mut Run, random: &mut Random) -> Done {
    let (name, text) = a_text(run, random);
    let mut lines: Vec<Vec<u8>> = text.split_inclusive(|byte| *byte == b'\n').map(<[u8]>::to_vec).collect();
    for at in (1..lines.len()).rev() {
        lines.swap(at, random.below(at + 1));
    }
    *text = lines.concat();
    Some((name.to_owned(), Plant::None))
}

pub(super) fn duplicate_lines(run: &mut Run, random: &mut Random) -> Done {
    let (name, text) = a_text(run, random);
    let mut lines: Vec<Vec<u8>> = text.split_inclusive(|byte| *byte == b'\n').map(<[u8]>::to_vec).collect();
    let line = random.pick(&lines)?.clone();
    let at = random.below(lines.len() + 1);
    lines.insert(at, line);
    *text = lines.concat();
    Some((format!("a line of {name} to place {}", at + 1), Plant::None))
}

pub(super) fn duplicate_frames(run: &mut Run, random: &mut Random) -> Done {
    let mut records = records_of(run)?;
    let count = random.within(1..6).min(records.len());
    let from = random.below(records.len() - count + 1);
    let copies = records[from..from + count].to_vec();
    let to = match random.once_in(2) {
        true => from + count,
        false => random.below(records.len() + 1),
    };
    let time = records[to.saturating_sub(1)].at;
    let late = copies.into_iter().map(|record| Record { at: time, ..record });
    records.splice(to..to, late);
    run.set_records(&records);
    Some((format!("frames {} to {} at place {}", from + 1, from + count, to + 1), Plant::None))
}

/// Two segments in the place of one, in order or not; or a retransmission of a part of it.
pub(super) fn divide_a_segment(run: &mut Run, random: &mut Random) -> Done {
    let mut records = records_of(run)?;
    let at = *random.pick(&frames_with(&records, |segment| segment.payload.len() > 1))?;
    let segment = wire::segment(&records[at].bytes).ok()?;
    let split = random.within(1..segment.payload.len());
    let (mut head, mut tail) = (records[at].clone(), records[at].clone());
    drop(head.bytes.drain(segment.payload.start + split..segment.payload.end));
    drop(tail.bytes.drain(segment.payload.start..segment.payload.start + split));
    for (part, len) in [(&mut head, split), (&mut tail, segment.payload.len() - split)] {
        let total = (segment.payload.start - segment.ip + len) as u16;
        part.bytes[segment.ip + 2..segment.ip + 4].copy_from_slice(&total.to_be_bytes());
    }
    let number = segment.sequence.wrapping_add(split as u32);
    tail.bytes[segment.tcp + 4..segment.tcp + 8].copy_from_slice(&number.to_be_bytes());
    let fin = segment.flags & wire::FIN;
    head.bytes[segment.tcp + 13] ^= fin;
    settle(&mut head);
    settle(&mut tail);
    let how = match random.below(4) {
        0 => {
            records.splice(at..=at, [tail, head]);
            "the second part first"
        }
        1 => {
            records.insert(at + 1, tail);
            "the second part again"
        }
        _ => {
            records.splice(at..=at, [head, tail]);
            "in order"
        }
    };
    run.set_records(&records);
    Some((format!("frame {} after {split} bytes, {how}", at + 1), Plant::None))
}
