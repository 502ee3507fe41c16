use dissect::flow::{Direction, PerDirection};
use dissect::websocket::{Event, Extensions, Parser, Step};

use crate::piece_size;

/// WebSocket frames of either direction, with and without compression: every division of the bytes gives the same frames, and the number of bytes
/// held back is bounded.
pub fn websocket(data: &[u8]) {
    let deflate = Extensions { deflate: Some(PerDirection::default()) };
    for direction in Direction::BOTH {
        for extensions in [Extensions::default(), deflate] {
            let whole = read(direction, extensions, data, data.len().max(1));
            assert_eq!(read(direction, extensions, data, piece_size(data, 20)), whole);
        }
    }
}

/// The result of reading one direction.
#[derive(Debug, Default, PartialEq, Eq)]
struct Outcome {
    /// Frame headers, ends and control frames, as text.
    events: Vec<String>,
    payload: Vec<u8>,
    is_opaque: bool,
}

fn read(direction: Direction, extensions: Extensions, data: &[u8], size: usize) -> Outcome {
    let mut parser = Parser::new(direction);
    parser.accept(extensions);
    let mut outcome = Outcome::default();
    for piece in data.chunks(size) {
        let mut rest = piece;
        loop {
            let Step { consumed, event } = parser.step(rest);
            rest = &rest[consumed..];
            match event {
                Event::NeedMore => {
                    assert!(rest.is_empty());
                    break;
                }
                Event::Frame(frame) => outcome.events.push(format!("{frame:?}")),
                Event::Payload(bytes) => outcome.payload.extend_from_slice(bytes),
                Event::End { complete } => outcome.events.push(format!("end {complete}")),
                Event::Control(opcode, bytes) => outcome.events.push(format!("{opcode:?} {bytes:?}")),
                Event::Opaque(..) => {
                    outcome.is_opaque = true;
                    return outcome;
                }
            }
        }
        assert!(parser.held_back() <= 256);
    }
    // The end of a message may come with the last byte or with the next input.
    let Step { event, .. } = parser.step(&[]);
    if let Event::End { complete } = event {
        outcome.events.push(format!("end {complete}"));
    }
    outcome
}
