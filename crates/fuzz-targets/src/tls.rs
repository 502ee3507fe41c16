use std::sync::Arc;

use dissect::flow::{Direction, PerDirection};
use dissect::keylog::KeyLog;
use dissect::tls::record::{RecordDeframer, Step};
use dissect::tls::{
    ClientHello, Content, ContentType, EncryptedExtensions, Event, Feed, NewSessionTicket, ServerHello,
    ServerKey, ServerKeys, Session, Workspace,
};

use crate::piece_size;

/// The pieces of an input: each is a byte that names its kind (0 from the client, 1 from the server, 2 text of a key log, 3
/// a gap of the client, 4 one of the server), two bytes of length in network order, and so many bytes.
fn pieces(mut data: &[u8]) -> impl Iterator<Item = (u8, &[u8])> {
    std::iter::from_fn(move || {
        let ([kind, high, low], rest) = data.split_first_chunk()?;
        let len = usize::from(u16::from_be_bytes([*high, *low])).min(rest.len());
        let (piece, rest) = rest.split_at(len);
        data = rest;
        Some((kind % 5, piece))
    })
}

/// TLS records: every division of the bytes gives the same records, and each byte is consumed once.
pub fn tls_records(data: &[u8]) {
    let stream: Vec<u8> =
        pieces(data).filter(|(kind, _)| *kind == 0).flat_map(|(_, piece)| piece).copied().collect();
    for stream in [data, &stream] {
        assert_eq!(records(stream, piece_size(data, 50)), records(stream, stream.len().max(1)));
    }
}

/// Header and stream offsets of each record, and the offset from which the stream is not TLS.
fn records(stream: &[u8], size: usize) -> (Vec<String>, Option<u64>) {
    let mut deframer = RecordDeframer::default();
    let mut assembled = Vec::new();
    let mut found = Vec::new();
    for piece in stream.chunks(size) {
        let mut rest = piece;
        loop {
            let (consumed, step) = deframer.step(rest, &mut assembled);
            rest = &rest[consumed..];
            match step {
                Step::NeedMore => {
                    assert!(rest.is_empty());
                    break;
                }
                Step::Record(framed) => {
                    assert!(framed.range.end <= stream.len() as u64);
                    found.push(format!("{:?} {:?}", framed.header, framed.range));
                }
                Step::NotTls { stream_offset, .. } => return (found, Some(stream_offset)),
            }
        }
    }
    assert_eq!(deframer.next_offset(), stream.len() as u64);
    (found, None)
}

/// Handshake messages: reading a body twice gives the same result, and an error has its position inside the body.
pub fn tls_handshake(data: &[u8]) {
    macro_rules! read {
        ($($message:ty),*) => {
            $(match (<$message>::parse(data), <$message>::parse(data)) {
                (Ok(one), Ok(other)) => assert_eq!(one, other),
                (Err(one), Err(other)) => {
                    assert_eq!(one, other);
                    assert!(one.offset <= data.len());
                }
                (one, other) => panic!("{one:?} {other:?}"),
            })*
        };
    }
    read!(ClientHello, ServerHello, EncryptedExtensions, NewSessionTicket);
}

/// The key that `corpus/tls/session-*-server-key.bin` needs.
const SERVER_KEY: &[u8] = include_bytes!("../../../corpus/server_key/pkcs1-1024.der");

/// A whole session: every byte of both directions is counted once, and the plaintext offsets have no gaps. With a server key, the
/// session is fed twice, so that it may resume itself.
pub fn tls_session(data: &[u8]) {
    session(data, &mut Workspace::new());
    let mut workspace = Workspace::new();
    let mut keys = ServerKeys::default();
    assert!(keys.add(ServerKey::from_der(SERVER_KEY).expect("the corpus has a key")));
    workspace.use_server_keys(keys);
    session(data, &mut workspace);
    session(data, &mut workspace);
}

fn session(data: &[u8], workspace: &mut Workspace) {
    let text: Vec<u8> =
        pieces(data).filter(|(kind, _)| *kind == 2).flat_map(|(_, piece)| piece).copied().collect();
    let mut session = Session::new(Some(Arc::new(KeyLog::parse(&text))));
    let mut offsets = PerDirection::<u64>::default();
    let mut plain = PerDirection::<u64>::default();
    for (kind, piece) in pieces(data) {
        let direction = if kind % 3 == 0 { Direction::ClientToServer } else { Direction::ServerToClient };
        let at = offsets[direction];
        let len = piece.len() as u64;
        match kind {
            0 | 1 => {
                offsets[direction] += len;
                drain(session.feed(workspace, direction, at, piece), &mut plain);
            }
            3 | 4 => {
                offsets[direction] += len;
                drain(session.gap(workspace, direction, at, len), &mut plain);
            }
            _ => {}
        }
    }
    drain(session.finish(workspace), &mut plain);
    for direction in Direction::BOTH {
        let counters = session.counters(direction);
        assert!(counters.adds_up(), "{counters:#?}");
        assert_eq!(counters.bytes + counters.gap_bytes, offsets[direction]);
    }
}

fn drain(mut feed: Feed<'_>, plain: &mut PerDirection<u64>) {
    while let Some(event) = feed.next_event() {
        if let Event::Record(record) = event
            && let Content::Decrypted(opened) = &record.content
        {
            assert_eq!(opened.application_offset, plain[record.direction]);
            if opened.content_type == ContentType::APPLICATION_DATA {
                plain[record.direction] += opened.plaintext.len() as u64;
            }
        }
    }
}
