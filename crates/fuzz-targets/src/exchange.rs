use std::collections::BTreeMap;

use analyze::exchange::{self, Direction, Said};
use analyze::explain;
use analyze::follow::{Completed, Frame, Messages};
use dissect::capture::{Decoder, Step};

/// Most frames that are kept of a capture.
const MAX_FRAMES: usize = 200;

/// The frames of a capture file as those of one exchange. Every place is in its frame, the counts agree with the places, and
/// every frame that is kept has an explanation. The messages of the file are the same for every division of it.
pub fn exchange(data: &[u8]) {
    let frames = frames(data);
    let said = [
        Said { direction: Direction::ClientToServer, body: br#"{"id":"call-0001","depth":2,"x":"y"}"# },
        Said { direction: Direction::ServerToClient, body: data },
    ];
    let exchange = exchange::read(&frames, &said, Some(data));
    assert_eq!(exchange.packets.len(), frames.len());
    assert!(exchange.readable <= exchange.with_keys && exchange.with_keys <= exchange.total);
    let by_number: BTreeMap<_, _> = frames.iter().map(|frame| (frame.number, frame)).collect();
    for place in exchange.strings.iter().flat_map(|string| &string.places) {
        assert!(place.start < place.end && place.end <= by_number[&place.frame].bytes.len(), "{place:?}");
    }
    for packet in &exchange.packets {
        assert!(packet.marks <= packet.marks_with_keys && packet.marks_with_keys <= exchange.total);
    }
    for frame in frames.iter().take(3) {
        let explained = explain::kept(&frames, frame.number, None).expect("a kept frame");
        assert_eq!(explained.fields.last().map_or(0, |field| field.range.end), frame.bytes.len());
    }
    assert_eq!(messages(data, data.len()), messages(data, crate::piece_size(data, 700)));
}

fn frames(data: &[u8]) -> Vec<Frame> {
    let (mut decoder, mut frames, mut rest) = (Decoder::new(), Vec::new(), data);
    while let Ok(step) = decoder.step(rest)
        && step.consumed() > 0
        && frames.len() < MAX_FRAMES
    {
        if let Step::Record { record, .. } = &step {
            frames.push(Frame {
                number: record.frame,
                captured_at: record.captured_at,
                link_type: record.link_type,
                original_len: record.original_len,
                file_offset: record.file_offset,
                bytes: record.bytes.to_vec(),
            });
        }
        rest = &rest[step.consumed()..];
    }
    frames
}

/// What is completed by a capture that comes in pieces of this size.
fn messages(data: &[u8], size: usize) -> Vec<Completed> {
    let mut messages = Messages::of_pieces(None);
    let mut completed = Vec::new();
    for piece in data.chunks(size.max(1)) {
        if messages.push(piece, &mut |found| completed.push(found.clone())).is_err() {
            break;
        }
    }
    messages.finish(&mut |found| completed.push(found.clone()));
    completed
}
