//! Writes frames to the capture file, some out of order and some twice, each with a later time than the one before.

use std::fs::File;
use std::io::{self, BufWriter, Write};
use std::ops::Range;

use anyhow::{Context, Result};
use aws_lc_rs::digest;
use craft::conversation::{Frames, Side};
use craft::{link_type, pcap};
use data_encoding::HEXLOWER;

use crate::rng::Rng;

/// Time at which the capture begins: 2026-11-20 00:00 UTC, ns since the epoch.
pub(crate) const BEGIN: u64 = 1_795_132_800_000_000_000;

/// Share of data segments captured before an earlier segment of their stream, in thousandths.
const EARLY: usize = 5;

/// Share of data segments captured twice, in thousandths.
const REPEATED: usize = 5;

/// Bytes of a pcap record before its frame.
const RECORD_HEADER: u64 = 16;

/// Bytes of a pcap file before its first record.
const FILE_HEADER: u64 = 24;

/// Order and repetition of the segments of one message.
#[derive(Debug, Clone)]
pub(crate) enum Delivery {
    /// About one segment in a hundred is out of order or repeated.
    Ordinary,
    /// Every segment comes once, in order.
    Orderly,
    /// The last segment that carries some of these bytes of the message comes before its predecessor.
    Early(Range<usize>),
    /// The first segment that carries some of these bytes is captured twice.
    Repeated(Range<usize>),
}

/// A data segment in the file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Segment {
    /// Number of its frame, from 1.
    pub(crate) frame: u64,
    /// Offset of its payload in the file.
    pub(crate) file_offset: u64,
    /// Offset in the message of the first byte it carries.
    pub(crate) start: usize,
    /// Offset in the message after the last byte it carries.
    pub(crate) end: usize,
    /// Whether the segment was captured before.
    pub(crate) is_repeated: bool,
}

/// Writes a capture file.
pub(crate) struct CaptureWriter {
    writer: pcap::Writer<BufWriter<Hashing>>,
    rng: Rng,
    now: u64,
    /// Bytes written.
    pub(crate) bytes: u64,
    /// Frames written.
    pub(crate) frames: u64,
    /// Data segments written before an earlier segment of their stream.
    pub(crate) early: u64,
    /// Data segments that were written twice.
    pub(crate) repeated: u64,
    order: Vec<Slot>,
    segments: Vec<Segment>,
}

/// A frame in the order of capture.
#[derive(Debug, Clone, Copy)]
struct Slot {
    /// Index of the frame in its batch.
    frame: usize,
    /// Index of its data among the data of the batch.
    data: Option<usize>,
    is_repeated: bool,
}

/// What happens to one data segment.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Act {
    Nothing,
    /// It comes before this many of the segments that precede it.
    Overtake(usize),
    Repeat,
}

impl CaptureWriter {
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

    /// Time of the last frame, ns since the epoch.
    pub(crate) fn now(&self) -> u64 {
        self.now
    }

    /// Writes a batch without data, and empties it.
    pub(crate) fn control(&mut self, batch: &mut Frames) -> Result<()> {
        self.write(batch, Side::Client, &Delivery::Orderly).map(drop)
    }

    /// Writes only the first `count` frames of a batch without data, and empties it.
    pub(crate) fn first_frames(&mut self, batch: &mut Frames, count: usize) -> Result<()> {
        self.arrange(batch, Side::Client, &Delivery::Orderly);
        self.order.truncate(count);
        self.put(batch, Side::Client).map(drop)
    }

    /// Writes a batch with one message of `from`, and empties it. Returns the segments of the message.
    pub(crate) fn write(
        &mut self,
        batch: &mut Frames,
        from: Side,
        delivery: &Delivery,
    ) -> Result<&[Segment]> {
        self.arrange(batch, from, delivery);
        self.put(batch, from)
    }

    /// Writes the frames of a batch in `order`, and empties the batch.
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

    /// Closes the file, and returns its SHA-256.
    pub(crate) fn finish(mut self) -> Result<String> {
        self.writer.flush()?;
        let hashing = self.writer.into_inner().into_inner().map_err(io::IntoInnerError::into_error)?;
        hashing.file.sync_all().context("cannot sync the capture")?;
        let digest = hashing.context.finish();
        Ok(HEXLOWER.encode(digest.as_ref()))
    }

    /// Sets `order`, in which the frames of a batch are captured.
    fn arrange(&mut self, batch: &Frames, from: Side, delivery: &Delivery) {
        self.order.clear();
        // The position in `order` of each data segment, and the first segment that a later one may still overtake.
        let (mut at, mut first_movable) = (Vec::new(), 0);
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
            match self.act(delivery, &range, data - first_movable) {
                Act::Overtake(count) => {
                    // The segment moves forward, so acknowledgements stay after what they acknowledge.
                    at.push(at[data - count]);
                    self.order.insert(at[data - count], slot);
                    first_movable = data + 1;
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
                        first_movable = data + 1;
                        self.repeated += 1;
                    }
                }
            }
        }
        self.order.extend(again);
    }

    /// Decides what happens to a data segment that carries `range` of the message and may overtake up to `may_overtake`
    /// segments.
    fn act(&mut self, delivery: &Delivery, range: &Range<usize>, may_overtake: usize) -> Act {
        let overlaps = |wanted: &Range<usize>| range.start < wanted.end && wanted.start < range.end;
        match delivery {
            Delivery::Orderly => Act::Nothing,
            Delivery::Ordinary if self.rng.chance(REPEATED) => Act::Repeat,
            Delivery::Ordinary if may_overtake > 0 && self.rng.chance(EARLY) => {
                Act::Overtake(self.rng.between(1, may_overtake.min(3)))
            }
            Delivery::Ordinary => Act::Nothing,
            Delivery::Early(wanted) if may_overtake > 0 && range.contains(&(wanted.end - 1)) => {
                Act::Overtake(1)
            }
            Delivery::Repeated(wanted) if overlaps(wanted) && range.contains(&wanted.start) => Act::Repeat,
            Delivery::Early(_) | Delivery::Repeated(_) => Act::Nothing,
        }
    }
}

fn is_data(frame: &craft::conversation::BuiltFrame<'_>, from: Side) -> bool {
    frame.from == from && frame.payload_len > 0
}

/// A file that is hashed while it is written.
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

    fn sent(delivery: &Delivery, bytes: usize) -> (Vec<Segment>, u64, u64) {
        let file = File::options().write(true).open("/dev/null").unwrap();
        let mut writer = CaptureWriter::new(file, 1).unwrap();
        let settings = Settings::new("10.0.0.1:1".parse().unwrap(), "10.0.0.2:2".parse().unwrap());
        let mut connection = Connection::new(settings).unwrap();
        let mut batch = Frames::default();
        connection.open(1, &mut batch).unwrap();
        writer.control(&mut batch).unwrap();
        connection.send(Side::Client, &vec![0; bytes], 2, &mut batch).unwrap();
        let segments = writer.write(&mut batch, Side::Client, delivery).unwrap().to_vec();
        (segments, writer.early, writer.repeated)
    }

    fn order(segments: &[Segment]) -> Vec<(u64, usize, bool)> {
        segments.iter().map(|segment| (segment.frame, segment.start, segment.is_repeated)).collect()
    }

    #[test]
    fn delivery_moves_or_repeats_the_chosen_segment() {
        let (orderly, ..) = sent(&Delivery::Orderly, 4000);
        assert_eq!(order(&orderly), [(4, 0, false), (5, 1448, false), (7, 2896, false)]);
        let (early, count, _) = sent(&Delivery::Early(1440..1460), 4000);
        assert_eq!(order(&early), [(4, 1448, false), (5, 0, false), (7, 2896, false)]);
        assert_eq!(count, 1);
        let (repeated, _, count) = sent(&Delivery::Repeated(1440..1460), 4000);
        assert_eq!(order(&repeated), [(4, 0, false), (5, 1448, false), (6, 0, true), (8, 2896, false)]);
        assert_eq!(count, 1);
    }

    #[test]
    fn about_one_segment_in_a_hundred_is_out_of_order_or_repeated() {
        let (segments, early, repeated) = sent(&Delivery::Ordinary, 1448 * 20_000);
        assert_eq!(segments.len() as u64, 20_000 + repeated);
        assert!((60..140).contains(&early) && (60..140).contains(&repeated), "{early}, {repeated}");
        let overtakes = |pair: &&[Segment]| !pair[1].is_repeated && pair[1].start < pair[0].start;
        assert_eq!(segments.windows(2).filter(overtakes).count() as u64, early);
    }
}
