//! Operations that change bytes and fields.

use serde_json::{Value, json};

use super::surgery::{self, stream};
use super::{Done, Plant, frames_with, records_of};
use crate::random::Random;
use crate::run::Run;
use crate::wire;

/// Changes one to three bytes of a part of a random frame.
fn part(
    run: &mut Run,
    random: &mut Random,
    is_mended: bool,
    part: impl Fn(&wire::Segment) -> std::ops::Range<usize>,
) -> Done {
    let mut records = records_of(run)?;
    let at = *random.pick(&frames_with(&records, |_| true))?;
    let segment = wire::segment(&records[at].bytes).ok()?;
    let part = part(&segment);
    let mut changed = Vec::new();
    for _ in 0..(if random.once_in(4) { random.within(2..4) } else { 1 }) {
        let byte = random.within(part.clone());
        records[at].bytes[byte] = random.other(records[at].bytes[byte]);
        changed.push(byte);
    }
    if is_mended {
        wire::mend(&mut records[at].bytes);
    }
    run.set_records(&records);
    Some((format!("bytes {changed:?} of frame {}, checksums mended: {is_mended}", at + 1), Plant::None))
}

pub(super) fn ethernet(run: &mut Run, random: &mut Random) -> Done {
    part(run, random, false, |segment| 0..segment.ip)
}

pub(super) fn ip(run: &mut Run, random: &mut Random) -> Done {
    let is_mended = !random.once_in(3);
    part(run, random, is_mended, |segment| segment.ip..segment.tcp)
}

pub(super) fn tcp(run: &mut Run, random: &mut Random) -> Done {
    part(run, random, true, |segment| segment.tcp..segment.payload.start)
}

pub(super) fn tcp_unmended(run: &mut Run, random: &mut Random) -> Done {
    part(run, random, false, |segment| segment.tcp..segment.payload.start)
}

pub(super) fn vlan(run: &mut Run, random: &mut Random) -> Done {
    let mut records = records_of(run)?;
    let at = random.below(records.len());
    let last = if random.once_in(2) { records.len() } else { at + 1 };
    let control = random.next() as u16;
    for record in &mut records[at..last] {
        let tag = [0x81, 0, (control >> 8) as u8, control as u8];
        record.bytes.splice(12..12, tag);
        record.original_len = record.bytes.len() as u32;
    }
    run.set_records(&records);
    Some((format!("{control:#06x} in frames {} to {last}", at + 1), Plant::None))
}

/// Changes bytes in this range of a stream, in every frame that carries them.
fn in_stream(run: &mut Run, random: &mut Random, pick: impl Fn(&[u8], &mut Random) -> Option<usize>) -> Done {
    let mut records = records_of(run)?;
    let (way, bytes) = stream(&records, random)?;
    let at = pick(&bytes, random)?;
    let byte = random.other(bytes[at]);
    surgery::edit_stream(&mut records, way, at, 1, &[byte])?;
    run.set_records(&records);
    Some((format!("byte {at} of the stream from port {} to {byte:#04x}", way.0.1), Plant::None))
}

/// A byte of one of the records of which `is` is true, within `part` of it.
fn in_record(
    stream: &[u8],
    random: &mut Random,
    is: impl Fn(u8) -> bool,
    part: std::ops::Range<usize>,
) -> Option<usize> {
    let records: Vec<_> =
        wire::tls_records(stream).into_iter().filter(|record| is(record.content_type)).collect();
    let record = random.pick(&records)?;
    Some(record.range.start + random.within(part.start..part.end.min(record.range.len())))
}

pub(super) fn hello(run: &mut Run, random: &mut Random) -> Done {
    in_stream(run, random, |stream, random| in_record(stream, random, |kind| kind == 22, 5..usize::MAX))
}

pub(super) fn record_header(run: &mut Run, random: &mut Random) -> Done {
    in_stream(run, random, |stream, random| in_record(stream, random, |_| true, 0..5))
}

pub(super) fn protected_record(run: &mut Run, random: &mut Random) -> Done {
    in_stream(run, random, |stream, random| in_record(stream, random, |kind| kind == 23, 5..usize::MAX))
}

/// A record between two others, or bytes that are none.
pub(super) fn insert_a_record(run: &mut Run, random: &mut Random) -> Done {
    let mut records = records_of(run)?;
    let (way, bytes) = stream(&records, random)?;
    let tls = wire::tls_records(&bytes);
    let borders: Vec<usize> = tls.iter().flat_map(|record| [record.range.start, record.range.end]).collect();
    let at = *random.pick(&borders)?;
    let (what, inserted) = match random.below(6) {
        0 => ("a change_cipher_spec", vec![20, 3, 3, 0, 1, 1]),
        1 => ("an alert", vec![21, 3, 3, 0, 2, 1 + random.below(2) as u8, random.next() as u8]),
        2 => ("an empty record", vec![random.within(20..24) as u8, 3, 3, 0, 0]),
        3 => {
            let len = random.within(1..64);
            (
                "a random record",
                [&[random.within(20..24) as u8, 3, 3, 0, len as u8], &random.bytes(len)[..]].concat(),
            )
        }
        4 => {
            let record = random.pick(&tls)?;
            ("a copy of a record", bytes[record.range.clone()].to_vec())
        }
        _ => {
            let len = random.within(1..64);
            ("random bytes", random.bytes(len))
        }
    };
    surgery::edit_stream(&mut records, way, at, 0, &inserted)?;
    run.set_records(&records);
    Some((format!("{what} at byte {at} of the stream from port {}", way.0.1), Plant::None))
}

pub(super) fn time(run: &mut Run, random: &mut Random) -> Done {
    const SCALES: [u64; 4] = [1_000_000, 900_000_000, 5_000_000_000, 1_000_000_000_000];
    let mut records = records_of(run)?;
    let at = random.below(records.len());
    let by = random.next() % *random.pick(&SCALES)?;
    let record = &mut records[at];
    record.at = if random.once_in(2) { record.at + by } else { record.at - by };
    run.set_records(&records);
    Some((format!("frame {} by {by} ns", at + 1), Plant::None))
}

/// Any byte of the file: headers of the file and of records, frames.
pub(super) fn file(run: &mut Run, random: &mut Random) -> Done {
    let len = run.capture.len();
    let at = if random.once_in(3) { random.below(wire::FILE_HEADER.min(len)) } else { random.below(len) };
    run.capture[at] = random.other(*run.capture.get(at)?);
    Some((format!("byte {at} of the capture"), Plant::None))
}

pub(super) fn journal_field(run: &mut Run, random: &mut Random) -> Done {
    let which = random.below(2);
    let text = String::from_utf8(run.journals[which].clone()).ok()?;
    let mut lines: Vec<String> = text.lines().map(str::to_owned).collect();
    let number = random.below(lines.len().max(1));
    let mut line: Value = serde_json::from_str(lines.get(number)?).ok()?;
    let object = line.as_object_mut()?;
    let keys: Vec<String> = object.keys().cloned().collect();
    let key = random.pick(&keys)?;
    if random.once_in(5) {
        object.remove(key);
    } else {
        object[key] = another(&object[key], random);
    }
    lines[number] = line.to_string();
    run.journals[which] = (lines.join("\n") + "\n").into_bytes();
    Some((format!("{key} in line {} of journal {which}", number + 1), Plant::None))
}

/// Another value of the same type, or null.
fn another(value: &Value, random: &mut Random) -> Value {
    match value {
        _ if random.once_in(8) => Value::Null,
        Value::Bool(value) => json!(!value),
        Value::Number(number) => {
            let number = number.as_u64().unwrap_or(0);
            let by = random.next() >> (random.within(4..64) as u32);
            json!(if random.once_in(2) {
                number.wrapping_add(by) >> 1 << 1
            } else {
                number.wrapping_sub(by) >> 1
            })
        }
        Value::String(text) => {
            let mut characters: Vec<char> = text.chars().collect();
            if characters.is_empty() || random.once_in(8) {
                return json!(format!("{text}x"));
            }
            let at = random.below(characters.len());
            match random.below(3) {
                0 => drop(characters.remove(at)),
                1 => characters[at] = char::from(random.other(characters[at] as u8) & 0x7f),
                _ => characters.insert(at, char::from(random.within(32..127) as u8)),
            }
            json!(characters.into_iter().collect::<String>())
        }
        Value::Array(values) if !values.is_empty() => {
            let mut values = values.clone();
            let at = random.below(values.len());
            match random.below(3) {
                0 => drop(values.remove(at)),
                1 => values.push(values[at].clone()),
                _ => values[at] = another(&values[at], random),
            }
            Value::Array(values)
        }
        _ => json!(["other"]),
    }
}

fn bytes_of(text: &mut [u8], random: &mut Random) -> Option<String> {
    let at = random.below(text.len().max(1));
    let byte = random.other(*text.get(at)?);
    text[at] = byte;
    Some(format!("byte {at} to {byte:#04x}"))
}

pub(super) fn journal_bytes(run: &mut Run, random: &mut Random) -> Done {
    let which = random.below(2);
    let note = bytes_of(&mut run.journals[which], random)?;
    Some((format!("{note}, of journal {which}"), Plant::None))
}

pub(super) fn manifest_field(run: &mut Run, random: &mut Random) -> Done {
    let mut manifest: Value = serde_json::from_slice(&run.manifest).ok()?;
    let parents = ["", "", "/variant", "/capture", "/program"];
    let parent = *random.pick(&parents)?;
    let object = manifest.pointer_mut(parent)?.as_object_mut()?;
    let keys: Vec<String> =
        object.iter().filter(|(_, value)| !value.is_object()).map(|(key, _)| key.clone()).collect();
    let key = random.pick(&keys)?;
    object[key] = another(&object[key], random);
    let note = format!("{parent}/{key}: {}", object[key]);
    run.manifest = manifest.to_string().into_bytes();
    Some((note, Plant::None))
}

pub(super) fn manifest_bytes(run: &mut Run, random: &mut Random) -> Done {
    Some((bytes_of(&mut run.manifest, random)?, Plant::None))
}

pub(super) fn key_log(run: &mut Run, random: &mut Random) -> Done {
    if random.once_in(3) {
        return Some((bytes_of(&mut run.keys, random)?, Plant::None));
    }
    let text = String::from_utf8(run.keys.clone()).ok()?;
    let mut lines: Vec<String> = text.lines().map(str::to_owned).collect();
    let (one, other) = (random.below(lines.len().max(1)), random.below(lines.len().max(1)));
    let words = |line: &str| line.split(' ').map(str::to_owned).collect::<Vec<_>>();
    let (mut changed, from) = (words(lines.get(one)?), words(lines.get(other)?));
    let what = random.below(3);
    *changed.get_mut(what)? = from.get(what)?.clone();
    lines[one] = changed.join(" ");
    run.keys = (lines.join("\n") + "\n").into_bytes();
    let what = ["label", "random", "secret"][what];
    Some((format!("the {what} of line {} as in line {}", one + 1, other + 1), Plant::None))
}
