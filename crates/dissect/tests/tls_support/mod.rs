//! What the TLS tests share: a recorded conversation, ways to cut it into pieces, and what a session says about it.

#![allow(dead_code, reason = "each test file uses a part")]

use std::sync::Arc;

use dissect::keylog::KeyLog;
use dissect::tls::{
    Account, Content, ContentType, Epoch, Event, Handshake, Message, PlaintextMap, Reason, Session, Side,
    Workspace,
};

/// Bytes of both directions in the order in which they were sent, and the key log.
#[derive(Clone, Default)]
pub(crate) struct Wire {
    pub(crate) sent: Vec<(Side, Vec<u8>)>,
    pub(crate) keys: String,
}

impl Wire {
    /// All that `side` sent.
    pub(crate) fn stream(&self, side: Side) -> Vec<u8> {
        self.sent.iter().filter(|(sender, _)| *sender == side).flat_map(|(_, bytes)| bytes.clone()).collect()
    }

    pub(crate) fn key_log(&self) -> Arc<KeyLog> {
        Arc::new(KeyLog::parse(self.keys.as_bytes()))
    }

    /// The same bytes with every piece cut into pieces of at most `size`.
    pub(crate) fn chopped(&self, size: usize) -> Self {
        let pieces = |(side, bytes): &(Side, Vec<u8>)| {
            let side = *side;
            bytes.chunks(size).map(|piece| (side, piece.to_vec())).collect::<Vec<_>>()
        };
        Self { sent: self.sent.iter().flat_map(pieces).collect(), keys: self.keys.clone() }
    }
}

/// What a session said, with nothing borrowed.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Seen {
    /// Everything, in order, as text.
    pub(crate) events: Vec<String>,
    /// Handshake messages.
    pub(crate) messages: Vec<Handshake>,
    /// Decrypted application data: client's, server's.
    pub(crate) plain: [Vec<u8>; 2],
    /// Accounts: client's, server's.
    pub(crate) accounts: [Account; 2],
    /// Alerts that were decrypted.
    pub(crate) alerts: Vec<(Side, String)>,
    pub(crate) epochs: Option<[Epoch; 2]>,
    pub(crate) troubles: Vec<(Side, Reason)>,
}

pub(crate) fn at(side: Side) -> usize {
    match side {
        Side::Client => 0,
        Side::Server => 1,
    }
}

impl Seen {
    pub(crate) fn account(&self, side: Side) -> &Account {
        &self.accounts[at(side)]
    }

    pub(crate) fn message(&self, side: Side, wanted: impl Fn(&Message) -> bool) -> Option<&Handshake> {
        self.messages.iter().find(|found| found.side == side && wanted(&found.message))
    }

    /// The events of one direction.
    pub(crate) fn of(&self, side: Side) -> Vec<&String> {
        self.events.iter().filter(|event| event.starts_with(&format!("{side:?}"))).collect()
    }

    /// Every byte of both directions is explained and every protected record authenticated.
    pub(crate) fn assert_sealed(&self) {
        for account in &self.accounts {
            assert!(account.is_explained(), "{account:#?}");
            assert_eq!((account.failed, account.not_opened, account.control_opened), (0, 0, 0));
            assert!(account.control_tries > 0);
            assert!(account.authenticated > 0);
        }
    }
}

/// Lets a fresh session watch the pieces, and checks what must hold of every session.
pub(crate) fn watch(session: Session, sent: &[(Side, Vec<u8>)]) -> Seen {
    watch_steps(session, sent.iter().map(|(side, bytes)| Step::Bytes(*side, bytes)))
}

/// One thing that happens to a session.
pub(crate) enum Step<'a> {
    Bytes(Side, &'a [u8]),
    Gap(Side, u64),
}

pub(crate) fn watch_steps<'a>(mut session: Session, steps: impl Iterator<Item = Step<'a>>) -> Seen {
    let mut workspace = Workspace::new();
    let mut seen = Seen::default();
    let mut offsets = [0_u64; 2];
    let mut maps = [PlaintextMap::default(), PlaintextMap::default()];
    let mut streams = [Vec::new(), Vec::new()];
    for step in steps {
        let mut feed = match step {
            Step::Bytes(side, bytes) => {
                let offset = offsets[at(side)];
                offsets[at(side)] += bytes.len() as u64;
                streams[at(side)].extend_from_slice(bytes);
                session.feed(&mut workspace, side, offset, bytes)
            }
            Step::Gap(side, length) => {
                let offset = offsets[at(side)];
                offsets[at(side)] += length;
                streams[at(side)].extend(vec![0xee; usize::try_from(length).unwrap()]);
                session.gap(&mut workspace, side, offset, length)
            }
        };
        while let Some(event) = feed.next_event() {
            note(&mut seen, &mut maps, event);
        }
    }
    let mut feed = session.finish(&mut workspace);
    while let Some(event) = feed.next_event() {
        note(&mut seen, &mut maps, event);
    }
    drop(feed);
    seen.accounts = [session.account(Side::Client).clone(), session.account(Side::Server).clone()];
    seen.epochs = Some([session.epoch(Side::Client), session.epoch(Side::Server)]);
    for account in &seen.accounts {
        assert!(account.adds_up(), "{account:#?}");
        assert_eq!(account.is_explained(), account.first_unexplained.is_none(), "{account:#?}");
    }
    // Each plaintext byte leads back to exactly one byte on the wire, inside a record of this direction.
    for (map, plain) in maps.iter().zip(&seen.plain) {
        let mut covered = 0;
        for part in map.locate(0..plain.len() as u64) {
            assert_eq!(part.plaintext.start, covered);
            assert_eq!(part.plaintext.end - covered, part.ciphertext.end - part.ciphertext.start);
            assert!(
                part.record.start + 5 <= part.ciphertext.start && part.ciphertext.end + 17 <= part.record.end
            );
            covered = part.plaintext.end;
        }
        assert_eq!(covered, plain.len() as u64);
    }
    seen
}

fn note(seen: &mut Seen, maps: &mut [PlaintextMap; 2], event: Event<'_>) {
    match event {
        Event::Record(record) => {
            seen.events.push(format!("{:?} {record:?}", record.side));
            maps[at(record.side)].push(&record);
            if let Content::Opened(opened) = &record.content {
                if let Some(alert) = opened.alert() {
                    seen.alerts.push((record.side, alert.description.to_string()));
                }
                let plain = &mut seen.plain[at(record.side)];
                assert_eq!(opened.application_offset, plain.len() as u64);
                if opened.content_type == ContentType::APPLICATION_DATA {
                    plain.extend_from_slice(opened.plaintext);
                }
            }
        }
        Event::Handshake(handshake) => {
            seen.events.push(format!("{:?} {handshake:?}", handshake.side));
            seen.messages.push(handshake);
        }
        Event::Trouble(trouble) => {
            seen.events.push(format!("{:?} {trouble:?}", trouble.side));
            seen.troubles.push((trouble.side, trouble.reason));
        }
    }
}
