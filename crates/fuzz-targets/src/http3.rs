use std::collections::{BTreeMap, BTreeSet};

use dissect::flow::Direction;
use dissect::http3::{Connection, Event, MAX_BLOCK, MAX_HELD, MAX_STREAMS, MAX_TABLE};

use crate::piece_size;

/// A piece of a stream: what it is (the lowest bit is the direction; 2 for the last one, 4 for missing bytes, 6 for a
/// reset), the stream, and the bytes.
type Piece<'a> = (u8, u64, &'a [u8]);

/// HTTP/3: pieces of streams, each with a byte for what it is, a byte with the number of its stream, its length in
/// two bytes. Every division of the pieces gives the same messages; bodies are at their stated offsets; what is kept
/// is bounded.
pub fn http3(data: &[u8]) {
    let pieces = pieces(data);
    let size = piece_size(data, 40);
    assert_eq!(read(&pieces, size), read(&pieces, usize::MAX), "in pieces of {size} bytes");
}

fn pieces(mut rest: &[u8]) -> Vec<Piece<'_>> {
    let mut pieces = Vec::new();
    while let Some((&[kind, stream, high, low], after)) = rest.split_first_chunk() {
        let len = usize::from(u16::from_be_bytes([high, low])).min(after.len());
        let (bytes, behind) = after.split_at(len);
        pieces.push((kind, u64::from(stream), bytes));
        rest = behind;
    }
    pieces
}

/// What was read of one direction of a stream: its bytes, as far as they are known, and the events in it, of which
/// adjacent bodies are joined.
#[derive(Debug, Default, PartialEq, Eq)]
struct Outcome {
    sent: Vec<Option<u8>>,
    events: Vec<String>,
    body: Option<(u64, Vec<u8>)>,
}

impl Outcome {
    fn add(&mut self, event: &Event<'_>) {
        if let Event::Data { offset, bytes, .. } = event {
            let known = self.sent[*offset as usize..][..bytes.len()].iter();
            assert!(known.eq(bytes.iter().copied().map(Some).collect::<Vec<_>>().iter()), "at its offset");
            match &mut self.body {
                Some((at, body)) if *at + body.len() as u64 == *offset => body.extend_from_slice(bytes),
                body => {
                    let before = body.replace((*offset, bytes.to_vec()));
                    self.events.extend(before.map(|before| format!("{before:?}")));
                }
            }
            return;
        }
        let before = self.body.take();
        self.events.extend(before.map(|before| format!("{before:?}")));
        let range = match event {
            Event::Head(head) => head.range.clone(),
            Event::Inserted { range, .. } => range.clone(),
            _ => 0..0,
        };
        assert!(range.start <= range.end && range.end <= self.sent.len() as u64);
        self.events.push(format!("{event:?}"));
    }
}

/// Reads the pieces in parts of at most `size` bytes.
fn read(pieces: &[Piece<'_>], size: usize) -> BTreeMap<(usize, u64), Outcome> {
    let mut connection = Connection::default();
    let mut found: BTreeMap<(usize, u64), Outcome> = BTreeMap::new();
    let mut largest = 0;
    let mut over = BTreeSet::new();
    for &(kind, stream, bytes) in pieces {
        let side = usize::from(kind & 1);
        // QUIC delivers nothing behind the end of a stream, and no empty gaps.
        if over.contains(&(side, stream)) || kind & 6 == 4 && bytes.is_empty() {
            continue;
        }
        if kind & 2 != 0 {
            over.insert((side, stream));
        }
        let direction = Direction::BOTH[side];
        let number = |event: &Event<'_>| match event {
            Event::Head(head) => head.stream,
            Event::Data { stream, .. }
            | Event::Gap { stream, .. }
            | Event::End { stream, .. }
            | Event::Inserted { stream, .. } => *stream,
            other => panic!("{other:?}"),
        };
        let sent = |found: &mut BTreeMap<(usize, u64), Outcome>,
                    part: &mut dyn Iterator<Item = Option<u8>>| {
            found.entry((side, stream)).or_default().sent.extend(part);
        };
        match kind & 6 {
            4 => {
                sent(&mut found, &mut bytes.iter().map(|_| None));
                connection.gap(direction, stream, bytes.len() as u64, |event| {
                    found.entry((side, number(&event))).or_default().add(&event);
                });
            }
            6 => connection.reset(direction, stream, |event| {
                found.entry((side, number(&event))).or_default().add(&event);
            }),
            end => {
                let last = bytes.chunks(size).count().max(1) - 1;
                for (index, part) in bytes.chunks(size).chain(bytes.is_empty().then_some(bytes)).enumerate() {
                    sent(&mut found, &mut part.iter().copied().map(Some));
                    let is_last = end == 2 && index == last;
                    connection.push(direction, stream, part, is_last, |event| {
                        found.entry((side, number(&event))).or_default().add(&event);
                    });
                    let pending = connection.pending_from(direction, stream).unwrap_or_default();
                    assert!(pending <= found[&(side, stream)].sent.len() as u64);
                }
            }
        }
        largest = largest.max(bytes.len());
        let streams = MAX_STREAMS.min(pieces.len() + 1) * (MAX_BLOCK + 1024);
        assert!(connection.kept() <= 2 * (streams + MAX_HELD + MAX_BLOCK + MAX_TABLE) + 8 * largest);
    }
    for (side, direction) in Direction::BOTH.into_iter().enumerate() {
        connection.finish(direction, |event| {
            let stream = match &event {
                Event::Head(head) => head.stream,
                Event::Data { stream, .. } | Event::End { stream, .. } | Event::Gap { stream, .. } => *stream,
                other => panic!("{other:?}"),
            };
            found.entry((side, stream)).or_default().add(&event);
        });
    }
    found
}
