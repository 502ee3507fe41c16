use dissect::flow::{Direction, PerDirection};
use dissect::http2::{Connection, Event, MAX_BLOCK, MAX_CONTROL, MAX_OPEN, PREFACE, Step};

use crate::piece_size;

/// The line between the bytes of the client and those of the server.
const TURN: &[u8] = b"\n<<<<\n";

/// HTTP/2: bytes of the client, a line `<<<<`, bytes of the server. Every division of the bytes gives the same messages, from
/// the beginning of a connection and from within it; pieces are at their stated offsets; what is kept is bounded. Reads the
/// input again with gaps.
pub fn http2(data: &[u8]) {
    let split = data.windows(TURN.len()).position(|window| window == TURN);
    let (client, server) = split.map_or((data, &[][..]), |at| (&data[..at], &data[at + TURN.len()..]));
    let size = piece_size(data, 40);
    for joins in [false, true] {
        let whole = read([client, server], usize::MAX, 0, joins);
        assert_eq!(read([client, server], size, 0, joins), whole, "in pieces of {size} bytes");
        read([client, server], size, 3, joins);
    }
}

/// What was read: events as text, with the bytes of bodies that follow each other joined.
#[derive(Debug, Default, PartialEq, Eq)]
struct Outcome {
    events: Vec<String>,
    /// Stream, offset and bytes of each contiguous piece of a body.
    bodies: Vec<(u32, u64, Vec<u8>)>,
    /// Whether the last event was a piece of a body.
    in_body: bool,
    /// Number of bytes of no message.
    others: usize,
}

/// Reads both streams in pieces of at most `size` bytes, and leaves out one of every `gap_every` pieces.
fn read(streams: [&[u8]; 2], size: usize, gap_every: usize, joins: bool) -> Outcome {
    let start = PerDirection::default();
    let mut connection = if joins { Connection::joined(start) } else { Connection::new(start) };
    let mut outcome = Outcome::default();
    for (direction, stream) in Direction::BOTH.into_iter().zip(streams) {
        let mut offset = 0;
        for (number, piece) in (1..).zip(stream.chunks(size)) {
            if gap_every > 0 && number % gap_every == 0 {
                connection.gap(direction, piece.len() as u64);
            } else {
                push(&mut connection, direction, piece, stream, &mut outcome);
            }
            offset += piece.len() as u64;
            assert!(connection.pending_from(direction) <= offset);
        }
        connection.finish(direction);
        push(&mut connection, direction, &[], stream, &mut outcome);
        assert_eq!(connection.open_messages(direction), 0);
        outcome.in_body = false;
    }
    outcome
}

fn push(
    connection: &mut Connection,
    direction: Direction,
    mut rest: &[u8],
    stream: &[u8],
    outcome: &mut Outcome,
) {
    // Kept bytes can be read with any input, and all open messages can end with it.
    for _ in 0..4 * (rest.len() + connection.kept(direction)) + 2 * MAX_OPEN + 100 {
        assert!(connection.held_back(direction) <= MAX_BLOCK + MAX_CONTROL + PREFACE.len());
        assert!(connection.open_messages(direction) <= MAX_OPEN + 1);
        let Step { consumed, offset, event } = connection.step(direction, rest);
        rest = &rest[consumed..];
        let was_in_body = std::mem::replace(&mut outcome.in_body, false);
        match event {
            Event::NeedMore => {
                assert!(rest.is_empty());
                outcome.in_body = was_in_body;
                return;
            }
            Event::Data { stream: number, bytes } => {
                assert_eq!(&stream[offset as usize..][..bytes.len()], bytes, "at its offset");
                outcome.in_body = true;
                match outcome.bodies.last_mut().filter(|_| was_in_body) {
                    Some((last, at, body)) if *last == number && *at + body.len() as u64 == offset => {
                        body.extend_from_slice(bytes);
                    }
                    _ => outcome.bodies.push((number, offset, bytes.to_vec())),
                }
            }
            Event::Ignored(bytes, _) | Event::Opaque(bytes, _) => {
                assert_eq!(&stream[offset as usize..][..bytes.len()], bytes, "at its offset");
                outcome.others += bytes.len();
            }
            Event::Head => {
                let head = connection.head(direction);
                for field in &head.fields {
                    for part in [&field.name, &field.value] {
                        let (range, _) = head.locate(part);
                        assert!(head.frames.start <= range.start && range.end <= head.frames.end);
                    }
                }
                outcome.events.push(format!("{head:?}"));
            }
            event => outcome.events.push(format!("{event:?}")),
        }
    }
    panic!("reading makes no progress");
}
