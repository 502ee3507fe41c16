//! Operations that cut frames, tails, lines and fields.

use serde_json::Value;

use super::surgery::ways;
use super::{Done, Plant, frames_with, records_of};
use crate::random::Random;
use crate::run::Run;
use crate::wire::{self, FIN, RST};

pub(super) fn frames(run: &mut Run, random: &mut Random) -> Done {
    let mut records = records_of(run)?;
    let which = match random.below(3) {
        0 => frames_with(&records, |segment| !segment.payload.is_empty()),
        1 => frames_with(&records, |segment| segment.payload.is_empty()),
        _ => (0..records.len()).collect(),
    };
    let mut cut = Vec::new();
    for _ in 0..random.within(1..4) {
        cut.push(*random.pick(&which)?);
    }
    cut.sort_unstable();
    cut.dedup();
    cut.iter().rev().for_each(|at| drop(records.remove(*at)));
    run.set_records(&records);
    Some((format!("frames {:?}", cut.iter().map(|at| at + 1).collect::<Vec<_>>()), Plant::None))
}

pub(super) fn a_range(run: &mut Run, random: &mut Random) -> Done {
    let mut records = records_of(run)?;
    let total = records.len();
    let count =
        if random.once_in(3) { random.within(1..total + 1) } else { random.within(1..13.min(total + 1)) };
    let from = match random.below(3) {
        0 => 0,
        1 => total - count,
        _ => random.below(total - count + 1),
    };
    drop(records.drain(from..from + count));
    run.set_records(&records);
    Some((format!("frames {} to {}", from + 1, from + count), Plant::None))
}

pub(super) fn the_end_of_a_connection(run: &mut Run, random: &mut Random) -> Done {
    let mut records = records_of(run)?;
    let way = *random.pick(&ways(&records))?;
    let ends = [way.0.min(way.1), way.0.max(way.1)];
    let of = frames_with(&records, |segment| segment.ends() == ends);
    let what = if random.once_in(3) {
        let closing =
            frames_with(&records, |segment| segment.ends() == ends && segment.flags & (FIN | RST) != 0);
        closing.iter().rev().for_each(|at| drop(records.remove(*at)));
        "all FINs".to_owned()
    } else {
        let count = random.within(1..8.min(of.len()));
        of.iter().rev().take(count).for_each(|at| drop(records.remove(*at)));
        format!("{count} frame(s)")
    };
    run.set_records(&records);
    Some((format!("{what} of {ends:?}"), Plant::None))
}

pub(super) fn bytes_of_a_frame(run: &mut Run, random: &mut Random) -> Done {
    let mut records = records_of(run)?;
    let at = random.below(records.len());
    let record = &mut records[at];
    let len = record.bytes.len();
    let kept = if random.once_in(2) { len - random.within(1..20) } else { random.below(len) };
    record.bytes.truncate(kept);
    let is_shorter = random.once_in(2);
    if is_shorter {
        record.original_len = kept as u32;
        wire::mend(&mut record.bytes);
    }
    run.set_records(&records);
    Some((format!("frame {} after {kept} of {len} bytes, as if sent so: {is_shorter}", at + 1), Plant::None))
}

pub(super) fn the_file(run: &mut Run, random: &mut Random) -> Done {
    let len = run.capture.len();
    let kept = match random.below(3) {
        0 => len - random.within(1..100.min(len)),
        1 => random.below(100.min(len)),
        _ => random.below(len),
    };
    run.capture.truncate(kept);
    Some((format!("after {kept} of {len} bytes"), Plant::None))
}

pub(super) fn lines_of_a_journal(run: &mut Run, random: &mut Random) -> Done {
    let which = random.below(2);
    let note = lines(&mut run.journals[which], random)?;
    Some((format!("{note} of journal {which}"), Plant::None))
}

pub(super) fn lines_of_the_key_log(run: &mut Run, random: &mut Random) -> Done {
    Some((lines(&mut run.keys, random)?, Plant::None))
}

fn lines(text: &mut Vec<u8>, random: &mut Random) -> Option<String> {
    if text.is_empty() {
        return None;
    }
    if random.once_in(4) {
        let len = text.len();
        text.truncate(random.below(len));
        return Some(format!("after {} of {len} bytes", text.len()));
    }
    let mut lines: Vec<&[u8]> = text.split_inclusive(|byte| *byte == b'\n').collect();
    let count = if random.once_in(4) { lines.len() } else { random.within(1..lines.len() + 1) };
    let from = random.below(lines.len() - count + 1);
    drop(lines.drain(from..from + count));
    *text = lines.concat();
    Some(format!("lines {} to {}", from + 1, from + count))
}

pub(super) fn a_manifest_field(run: &mut Run, random: &mut Random) -> Done {
    let mut manifest: Value = serde_json::from_slice(&run.manifest).ok()?;
    let parents = ["", "", "/variant", "/capture", "/program"];
    let parent = *random.pick(&parents)?;
    let object = manifest.pointer_mut(parent)?.as_object_mut()?;
    let keys: Vec<String> = object.keys().cloned().collect();
    let key = random.pick(&keys)?;
    object.remove(key);
    run.manifest = manifest.to_string().into_bytes();
    Some((format!("{parent}/{key}"), Plant::None))
}
