use dissect::flow::Direction;
use dissect::http3;
use dissect::keylog::KeyLog;
use dissect::quic::{
    Connection, Datagram, Event, Frames, Kind, Outcome, Place, StreamEvent, Version, begins_connection,
    is_plausible, packets,
};

/// What is in the input: a byte that names its kind (0 a datagram of the client, 1 one of the server, 2 text of a key log), its
/// length in two bytes, and so many bytes.
type Piece<'a> = (u8, &'a [u8]);

/// The datagrams of one QUIC connection, and its key log. Packets follow each other within their datagram, and reading the datagrams
/// again finds the same. The bytes are also read as one datagram and as frames.
pub fn quic(data: &[u8]) {
    in_order(data);
    let _ = (begins_connection(data), is_plausible(data, true), Frames::new(data).count());
    for version in [Version::V1, Version(0x5430_3531)] {
        let _ = Frames::of(Kind::OneRtt, version, data).count();
    }
    let pieces = pieces(data);
    for (_, datagram) in &pieces {
        in_order(datagram);
    }
    assert_eq!(read(&pieces), read(&pieces));
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

fn pieces(mut rest: &[u8]) -> Vec<Piece<'_>> {
    let mut pieces = Vec::new();
    while let Some((&[kind, high, low], after)) = rest.split_first_chunk() {
        let len = usize::from(u16::from_be_bytes([high, low])).min(after.len());
        let (payload, behind) = after.split_at(len);
        pieces.push((kind % 3, payload));
        rest = behind;
    }
    pieces
}

/// The events as text.
fn read(pieces: &[Piece<'_>]) -> Vec<String> {
    let mut keys = KeyLog::default();
    let mut connection = Connection::default();
    connection.follow_streams();
    let mut http3 = http3::Connection::default();
    let mut events = Vec::new();
    for (kind, payload) in pieces {
        let Some(direction) = Direction::BOTH.get(usize::from(*kind)) else {
            keys.extend(payload);
            continue;
        };
        let datagram =
            Datagram { direction: *direction, payload, is_truncated: false, place: Place::default() };
        connection.push(&datagram, Some(&keys), |event| {
            if let Event::Packet {
                packet,
                outcome: Outcome::Opened { payload, .. } | Outcome::Decrypted { payload, .. },
            } = &event
            {
                assert!(payload.len() < packet.range.len());
            }
            events.push(format!("{event:?}"));
            if let Event::Stream(direction, stream, event) = event {
                let each = |event: http3::Event<'_>| events.push(format!("{event:?}"));
                match event {
                    StreamEvent::Data { bytes, .. } => http3.push(direction, stream, bytes, false, each),
                    StreamEvent::Gap(len) => http3.gap(direction, stream, len, each),
                    StreamEvent::End => http3.push(direction, stream, &[], true, each),
                    StreamEvent::Reset => http3.reset(direction, stream, each),
                }
            }
        });
    }
    events
}
