use dissect::flow::Direction;
use dissect::http1::{Connection, Event, MAX_HEAD};

use crate::piece_size;

/// The line between the bytes of the client and those of the server.
const TURN: &[u8] = b"\n<<<<\n";

/// HTTP/1: requests, a line `<<<<`, responses. Every division of the bytes gives the same messages, and events come in
/// order. Reads the input again with gaps.
pub fn http1(data: &[u8]) {
    let split = data.windows(TURN.len()).position(|window| window == TURN);
    let (requests, responses) = split.map_or((data, &[][..]), |at| (&data[..at], &data[at + TURN.len()..]));
    let whole = read(requests, responses, usize::MAX, 0);
    let size = piece_size(data, 40);
    assert_eq!(read(requests, responses, size, 0), whole, "in pieces of {size} bytes");
    read(requests, responses, size, 3);
}

/// What is read: the messages, and the bytes that are none.
#[derive(Debug, Default, PartialEq, Eq)]
struct Read {
    messages: Vec<Message>,
    opaque: Vec<u8>,
}

/// A message: its head, its body, whether it is complete.
#[derive(Debug, Default, PartialEq, Eq)]
struct Message {
    head: String,
    body: Vec<u8>,
    is_complete: Option<bool>,
}

/// Reads both streams in pieces of at most `size` bytes, and leaves out one of every `gap_every` pieces.
fn read(requests: &[u8], responses: &[u8], size: usize, gap_every: usize) -> Read {
    let mut connection = Connection::default();
    let Read { mut messages, mut opaque } = Read::default();
    for (direction, stream) in [(Direction::ClientToServer, requests), (Direction::ServerToClient, responses)]
    {
        let mut open: Option<Message> = None;
        for (number, piece) in (1..).zip(stream.chunks(size)) {
            if gap_every > 0 && number % gap_every == 0 {
                connection.gap(direction, piece.len() as u64);
                push(&mut connection, direction, &[], &mut open, &mut messages, &mut opaque);
                continue;
            }
            push(&mut connection, direction, piece, &mut open, &mut messages, &mut opaque);
        }
        if let Some(Event::End { complete }) = connection.finish(direction) {
            end(&mut open, complete, &mut messages);
        }
        messages.extend(open);
    }
    Read { messages, opaque }
}

fn push(
    connection: &mut Connection,
    direction: Direction,
    mut rest: &[u8],
    open: &mut Option<Message>,
    messages: &mut Vec<Message>,
    opaque: &mut Vec<u8>,
) {
    // Each step but the last takes bytes of the input or of those held back, or ends a message.
    for _ in 0..3 * (rest.len() + connection.held_back(direction)) + 8 {
        let step = connection.step(direction, rest);
        rest = &rest[step.consumed..];
        assert!(step.held_back <= MAX_HEAD);
        match step.event {
            Event::NeedMore => {
                assert!(rest.is_empty());
                return;
            }
            Event::Head => {
                assert!(open.is_none(), "a message follows the end of the one before");
                let head = format!("{:?}", connection.head(direction));
                *open = Some(Message { head, ..Message::default() });
            }
            Event::Body { bytes, .. } => {
                assert!(!bytes.is_empty());
                open.as_mut().expect("a body follows its head").body.extend_from_slice(bytes);
            }
            Event::End { complete } => end(open, complete, messages),
            Event::Opaque(bytes, _) => {
                assert!(!bytes.is_empty());
                assert!(open.is_none(), "lost framing ends a message");
                opaque.extend_from_slice(bytes);
            }
        }
    }
    panic!("reading makes no progress");
}

fn end(open: &mut Option<Message>, complete: bool, messages: &mut Vec<Message>) {
    let message = open.take().expect("an end follows its head");
    messages.push(Message { is_complete: Some(complete), ..message });
}
