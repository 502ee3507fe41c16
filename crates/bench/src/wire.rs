//! Frames into the file: some out of order, some twice, each with the next number and the next moment.

use std::fs::File;
use std::io::{self, BufWriter, Write};
use std::ops::Range;

use anyhow::{Context, Result};
use aws_lc_rs::digest;
use craft::conversation::{Frames, Side};
use craft::{link_type, pcap};
use data_encoding::HEXLOWER;

use crate::rng::Rng;

/// When the first frame is captured: 2026-11-20 00:00 UTC, ns since the epoch.
pub(crate) const BEGIN: u64 = 1_795_132_800_000_000_000;

/// Data segments that come before one they follow, thousandths.
const EARLY: usize = 5;

/// Data segments that are sent twice, thousandths.
const REPEATED: usize = 5;

/// Bytes of a pcap record before its frame.
const RECORD_HEADER: u64 = 16;

/// Bytes of a pcap file before its first record.
const FILE_HEADER: u64 = 24;

/// What happens to the segments of one message on their way.
#[derive(Debug, Clone)]
pub(crate) enum Fate {
    /// What happens to one in a hundred.
    Ordinary,
    /// Nothing.
    Orderly,
    /// The last segment that carries some of these bytes of the message comes before the one before it.
    Early(Range<usize>),
    /// The first segment that carries some of these bytes is sent twice.
    Repeated(Range<usize>),
}

/// A data segment as it stands in the file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Segment {
    /// Number of its frame, from 1.
    pub(crate) frame: u64,
    /// Where its payload begins in the file.
    pub(crate) file_offset: u64,
    /// Which bytes of the message it carries: first.
    pub(crate) start: usize,
    /// Behind the last.
    pub(crate) end: usize,
    /// It was in the file before.
    pub(crate) is_repeated: bool,
}

/// A capture file that grows.
pub(crate) struct Wire {
    writer: pcap::Writer<BufWriter<Hashing>>,
    rng: Rng,
    now: u64,
    /// Bytes written.
    pub(crate) bytes: u64,
    /// Frames written.
    pub(crate) frames: u64,
    /// Data segments that came before one they follow.
    pub(crate) early: u64,
    /// Data segments that were written twice.
    pub(crate) repeated: u64,
    order: Vec<Slot>,
    segments: Vec<Segment>,
}

#[derive(Debug, Clone, Copy)]
struct Slot {
    /// Index of the frame in its batch.
    frame: usize,
    /// Index of its data among the data of the batch.
    data: Option<usize>,
    is_repeated: bool,
}

#[derive(Debug, Clone, Copy, PartialEq)]
enum Act {
    Nothing,
    /// It overtakes so many segments.
    Overtake(usize),
    Repeat,
}

impl Wire {
    /// A capture of Ethernet frames.
    pub(crate) fn new(file: File, seed: u64) -> Result<Self> {
        let hashing = Hashing { file, context: digest::Context::new(&digest::SHA256) };
        let writer = BufWriter::with_capacity(1 << 20, hashing);
        let writer = pcap::Writer::new(writer, link_type::ETHERNET, pcap::FULL_SNAPLEN)?;
        Ok(Self {
            writer,
            rng: Rng::new(seed, "wire"),
            now: BEGIN,
            bytes: FILE_HEADER,
            frames: 0,
            early: 0,
            repeated: 0,
            order: Vec::new(),
            segments: Vec::new(),
        })
    }

    /// The moment of the last frame.
    pub(crate) fn now(&self) -> u64 {
        self.now
    }

    /// Writes a batch without any data.
    pub(crate) fn control(&mut self, batch: &mut Frames) -> Result<()> {
        self.write(batch, Side::Client, &Fate::Orderly).map(drop)
    }

    /// Writes the first `count` frames of a batch without any data, and empties it: the others were never sent.
    pub(crate) fn first_frames(&mut self, batch: &mut Frames, count: usize) -> Result<()> {
        self.arrange(batch, Side::Client, &Fate::Orderly);
        self.order.truncate(count);
        self.put(batch, Side::Client).map(drop)
    }

    /// Writes a batch with one message of `from`, and empties it. Tells where the message stands.
    pub(crate) fn write(&mut self, batch: &mut Frames, from: Side, fate: &Fate) -> Result<&[Segment]> {
        self.arrange(batch, from, fate);
        self.put(batch, from)
    }

    /// Writes the frames that the order names.
    fn put(&mut self, batch: &mut Frames, from: Side) -> Result<&[Segment]> {
        self.segments.clear();
        let mut starts = Vec::with_capacity(batch.len());
        let mut next = 0;
        for frame in batch.iter().filter(|frame| is_data(frame, from)) {
            starts.push(next);
            next += frame.payload_len as usize;
        }
        for index in 0..self.order.len() {
            let slot = self.order[index];
            let frame = batch.frame(slot.frame).expect("the order names frames of the batch");
            self.now += self.rng.between(400, 1600) as u64;
            self.writer.write(self.now, frame.bytes.len() as u32, frame.bytes)?;
            self.frames += 1;
            self.bytes += RECORD_HEADER + frame.bytes.len() as u64;
            if let Some(data) = slot.data {
                let (start, len) = (starts[data], frame.payload_len as usize);
                self.segments.push(Segment {
                    frame: self.frames,
                    file_offset: self.bytes - len as u64,
                    start,
                    end: start + len,
                    is_repeated: slot.is_repeated,
                });
            }
        }
        batch.clear();
        Ok(&self.segments)
    }

    /// Closes the file: its SHA-256.
    pub(crate) fn finish(mut self) -> Result<String> {
        self.writer.flush()?;
        let hashing = self.writer.into_inner().into_inner().map_err(io::IntoInnerError::into_error)?;
        hashing.file.sync_all().context("cannot sync the capture")?;
        let digest = hashing.context.finish();
        Ok(HEXLOWER.encode(digest.as_ref()))
    }

    /// Puts the frames of a batch into the order in which they are captured.
    fn arrange(&mut self, batch: &Frames, from: Side, fate: &Fate) {
        self.order.clear();
        // Where each data segment stands in the order, and from which one on the order is still the sender's.
        let (mut at, mut untouched) = (Vec::new(), 0);
        let mut again: Option<Slot> = None;
        let mut start = 0;
        for (index, frame) in batch.iter().enumerate() {
            if !is_data(&frame, from) {
                self.order.push(Slot { frame: index, data: None, is_repeated: false });
                continue;
            }
            let data = at.len();
            let range = start..start + frame.payload_len as usize;
            start = range.end;
            let slot = Slot { frame: index, data: Some(data), is_repeated: false };
            match self.act(fate, &range, data - untouched) {
                Act::Overtake(count) => {
                    // Acknowledgements stay behind what they acknowledge: it moves to the front.
                    at.push(at[data - count]);
                    self.order.insert(at[data - count], slot);
                    untouched = data + 1;
                    self.early += 1;
                }
                act => {
                    at.push(self.order.len());
                    self.order.push(slot);
                    if let Some(again) = again.take() {
                        self.order.push(again);
                    }
                    if act == Act::Repeat {
                        again = Some(Slot { is_repeated: true, ..slot });
                        untouched = data + 1;
                        self.repeated += 1;
                    }
                }
            }
        }
        self.order.extend(again);
    }

    /// What happens to a data segment that carries `range` of the message and may overtake so many others.
    fn act(&mut self, fate: &Fate, range: &Range<usize>, may_overtake: usize) -> Act {
        let overlaps = |wanted: &Range<usize>| range.start < wanted.end && wanted.start < range.end;
        match fate {
            Fate::Orderly => Act::Nothing,
            Fate::Ordinary if self.rng.chance(REPEATED) => Act::Repeat,
            Fate::Ordinary if may_overtake > 0 && self.rng.chance(EARLY) => {
                Act::Overtake(self.rng.between(1, may_overtake.min(3)))
            }
            Fate::Ordinary => Act::Nothing,
            Fate::Early(wanted) if may_overtake > 0 && range.contains(&(wanted.end - 1)) => Act::Overtake(1),
            Fate::Repeated(wanted) if overlaps(wanted) && range.contains(&wanted.start) => Act::Repeat,
            Fate::Early(_) | Fate::Repeated(_) => Act::Nothing,
        }
    }
}

fn is_data(frame: &craft::conversation::BuiltFrame<'_>, from: Side) -> bool {
    frame.from == from && frame.payload_len > 0
}

/// A file that is hashed as it is written.
struct Hashing {
    file: File,
    context: digest::Context,
}

impl Write for Hashing {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let written = self.file.write(bytes)?;
        self.context.update(&bytes[..written]);
        Ok(written)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.file.flush()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use craft::conversation::{Connection, Settings};

    fn sent(fate: &Fate, bytes: usize) -> (Vec<Segment>, u64, u64) {
        let file = File::options().write(true).open("/dev/null").unwrap();
        let mut wire = Wire::new(file, 1).unwrap();
        let settings = Settings::new("10.0.0.1:1".parse().unwrap(), "10.0.0.2:2".parse().unwrap());
        let mut connection = Connection::new(settings).unwrap();
        let mut batch = Frames::default();
        connection.open(1, &mut batch).unwrap();
        wire.control(&mut batch).unwrap();
        connection.send(Side::Client, &vec![0; bytes], 2, &mut batch).unwrap();
        let segments = wire.write(&mut batch, Side::Client, fate).unwrap().to_vec();
        (segments, wire.early, wire.repeated)
    }

    fn told(segments: &[Segment]) -> Vec<(u64, usize, bool)> {
        segments.iter().map(|segment| (segment.frame, segment.start, segment.is_repeated)).collect()
    }

    #[test]
    fn a_fate_befalls_the_segment_that_is_meant() {
        let (orderly, ..) = sent(&Fate::Orderly, 4000);
        assert_eq!(told(&orderly), [(4, 0, false), (5, 1448, false), (7, 2896, false)]);
        let (early, count, _) = sent(&Fate::Early(1440..1460), 4000);
        assert_eq!(told(&early), [(4, 1448, false), (5, 0, false), (7, 2896, false)]);
        assert_eq!(count, 1);
        let (repeated, _, count) = sent(&Fate::Repeated(1440..1460), 4000);
        assert_eq!(told(&repeated), [(4, 0, false), (5, 1448, false), (6, 0, true), (8, 2896, false)]);
        assert_eq!(count, 1);
    }

    #[test]
    fn about_one_segment_in_a_hundred_is_out_of_order_or_repeated() {
        let (segments, early, repeated) = sent(&Fate::Ordinary, 1448 * 20_000);
        assert_eq!(segments.len() as u64, 20_000 + repeated);
        assert!((60..140).contains(&early) && (60..140).contains(&repeated), "{early}, {repeated}");
        let overtakes = |pair: &&[Segment]| !pair[1].is_repeated && pair[1].start < pair[0].start;
        assert_eq!(segments.windows(2).filter(overtakes).count() as u64, early);
    }
}
