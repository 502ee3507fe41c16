use dissect::flow::Direction;
use dissect::quic::{Connection, Event, Frames, Outcome, begins_connection, is_plausible, packets};

/// Datagrams of one QUIC connection: for each a byte of direction, its length in two bytes, and its payload. Packets follow each other
/// within their datagram, and reading the datagrams again finds the same. The bytes are also read as one datagram and as frames.
pub fn quic(data: &[u8]) {
    in_order(data);
    let _ = (begins_connection(data), is_plausible(data, true), Frames::new(data).count());
    let datagrams = datagrams(data);
    for (_, datagram) in &datagrams {
        in_order(datagram);
    }
    assert_eq!(read(&datagrams), read(&datagrams));
}

fn in_order(datagram: &[u8]) {
    for is_truncated in [false, true] {
        let mut at = 0;
        for packet in packets(datagram, is_truncated).flatten() {
            assert!(packet.range.start == at && packet.range.end <= datagram.len());
            assert!(packet.range.start < packet.protected_at && packet.protected_at <= packet.range.end);
            assert!(packet.token.is_empty() || packet.token.end <= packet.range.end);
            at = packet.range.end;
        }
    }
}

fn datagrams(mut rest: &[u8]) -> Vec<(Direction, &[u8])> {
    let mut datagrams = Vec::new();
    while let Some((&[direction, high, low], after)) = rest.split_first_chunk() {
        let len = usize::from(u16::from_be_bytes([high, low])).min(after.len());
        let (payload, behind) = after.split_at(len);
        datagrams.push((Direction::BOTH[usize::from(direction & 1)], payload));
        rest = behind;
    }
    datagrams
}

/// The events as text.
fn read(datagrams: &[(Direction, &[u8])]) -> Vec<String> {
    let mut connection = Connection::default();
    let mut events = Vec::new();
    for (direction, datagram) in datagrams {
        connection.push(*direction, datagram, false, |event| {
            if let Event::Packet { packet, outcome: Outcome::Opened { payload, .. } } = &event {
                assert!(payload.len() < packet.range.len());
            }
            events.push(format!("{event:?}"));
        });
    }
    events
}
