use dissect::flow::{Direction, PerDirection};
use dissect::preamble::{Kind, Preamble, detect};

use crate::piece_size;

/// A talk of both sides: before each piece a byte whose highest bit is set for the server, and whose others are its length. What is
/// agreed on is the same for every division of the pieces, and within the bytes that were sent.
pub fn preamble(data: &[u8]) {
    let talk = talk(data);
    let Some(kind) = talk.first().and_then(|(direction, bytes)| detect(*direction, bytes)) else { return };
    let whole = read(kind, &talk, usize::MAX);
    assert_eq!(read(kind, &talk, piece_size(data, 20)), whole);
    if let Some(begins) = whole {
        for direction in Direction::BOTH {
            let own = talk.iter().filter(|(of, _)| *of == direction);
            let sent: u64 = own.map(|(_, bytes)| bytes.len() as u64).sum();
            assert!(begins[direction] <= sent);
        }
    }
}

fn talk(data: &[u8]) -> Vec<(Direction, &[u8])> {
    let mut talk = Vec::new();
    let mut rest = data;
    while let Some((first, after)) = rest.split_first() {
        let direction = if first & 0x80 == 0 { Direction::ClientToServer } else { Direction::ServerToClient };
        let (bytes, after) = after.split_at(usize::from(first & 0x7f).min(after.len()));
        talk.push((direction, bytes));
        rest = after;
    }
    talk
}

fn read(kind: Kind, talk: &[(Direction, &[u8])], size: usize) -> Option<PerDirection<u64>> {
    let mut preamble = Preamble::new(kind, PerDirection::default());
    for (direction, bytes) in talk {
        let mut found = None;
        for piece in bytes.chunks(size) {
            found = found.or(preamble.push(*direction, piece));
        }
        if found.is_some() {
            return found;
        }
    }
    None
}
