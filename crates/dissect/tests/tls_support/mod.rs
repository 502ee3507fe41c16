//! Shared by the TLS tests: a recorded connection, ways to split it, and the events of a session that reads it.

#![allow(dead_code, reason = "each test file uses a part")]

use std::sync::Arc;

use dissect::flow::Direction;
use dissect::keylog::{KeyLog, Secret};
use dissect::tls::{
    Content, ContentType, DecryptAttempt, Epoch, Event, Finished, Handshake, Message, PlaintextMap, Reason,
    RecordCounters, Session, Workspace,
};

/// Bytes of both directions in the order in which they were sent, and the key log.
#[derive(Clone, Default)]
pub(crate) struct Wire {
    pub(crate) sent: Vec<(Direction, Vec<u8>)>,
    pub(crate) keys: String,
}

impl Wire {
    /// The bytes of `direction`.
    pub(crate) fn stream(&self, direction: Direction) -> Vec<u8> {
        self.sent
            .iter()
            .filter(|(sender, _)| *sender == direction)
            .flat_map(|(_, bytes)| bytes.clone())
            .collect()
    }

    pub(crate) fn key_log(&self) -> Arc<KeyLog> {
        Arc::new(KeyLog::parse(self.keys.as_bytes()))
    }

    /// The same bytes with every piece cut into pieces of at most `size`.
    pub(crate) fn chopped(&self, size: usize) -> Self {
        let pieces = |(direction, bytes): &(Direction, Vec<u8>)| {
            let direction = *direction;
            bytes.chunks(size).map(|piece| (direction, piece.to_vec())).collect::<Vec<_>>()
        };
        Self { sent: self.sent.iter().flat_map(pieces).collect(), keys: self.keys.clone() }
    }
}

/// The events of a session.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Seen {
    /// All events in order, as text.
    pub(crate) events: Vec<String>,
    /// Handshake messages.
    pub(crate) messages: Vec<Handshake>,
    /// Decrypted application data: client's, server's.
    pub(crate) plain: [Vec<u8>; 2],
    /// Counters: client's, server's.
    pub(crate) counters: [RecordCounters; 2],
    /// Attempts with wrong keys: client's, server's.
    pub(crate) wrong_keys: [WrongKeys; 2],
    /// Alerts that were decrypted.
    pub(crate) alerts: Vec<(Direction, String)>,
    pub(crate) epochs: Option<[Epoch; 2]>,
    pub(crate) finished: [Finished; 2],
    pub(crate) anomalies: Vec<(Direction, Reason)>,
}

/// The first record under each generation of keys, tried with another secret.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct WrongKeys {
    pub(crate) tries: u64,
    pub(crate) authenticated: u64,
}

impl WrongKeys {
    fn observe(&mut self, attempt: &DecryptAttempt<'_>) {
        if attempt.records_before > 0 {
            return;
        }
        let mut wrong = attempt.secret.as_bytes().to_vec();
        wrong[0] ^= 1;
        let authenticates = attempt.authenticates_under(&Secret::new(&wrong).unwrap()).unwrap();
        self.tries += 1;
        self.authenticated += u64::from(authenticates);
    }
}

pub(crate) fn at(direction: Direction) -> usize {
    match direction {
        Direction::ClientToServer => 0,
        Direction::ServerToClient => 1,
    }
}

impl Seen {
    pub(crate) fn counters(&self, direction: Direction) -> &RecordCounters {
        &self.counters[at(direction)]
    }

    pub(crate) fn message(
        &self,
        direction: Direction,
        wanted: impl Fn(&Message) -> bool,
    ) -> Option<&Handshake> {
        self.messages.iter().find(|found| found.direction == direction && wanted(&found.message))
    }

    /// The events of one direction.
    pub(crate) fn of(&self, direction: Direction) -> Vec<&String> {
        self.events.iter().filter(|event| event.starts_with(&format!("{direction:?}"))).collect()
    }

    /// Every byte of both directions is explained and every protected record authenticated.
    pub(crate) fn assert_sealed(&self) {
        for counters in &self.counters {
            assert!(counters.is_explained(), "{counters:#?}");
            assert_eq!((counters.failed, counters.not_decrypted), (0, 0));
            assert!(counters.authenticated > 0);
        }
        for wrong_keys in &self.wrong_keys {
            assert!(wrong_keys.tries > 0);
            assert_eq!(wrong_keys.authenticated, 0);
        }
    }
}

/// Feeds the pieces to a new session, and checks the invariants of every session.
pub(crate) fn watch(session: Session, sent: &[(Direction, Vec<u8>)]) -> Seen {
    watch_steps(session, sent.iter().map(|(direction, bytes)| Step::Bytes(*direction, bytes)))
}

/// As [`watch`], with what the sessions before have left in the workspace.
pub(crate) fn watch_in(workspace: &mut Workspace, session: Session, sent: &[(Direction, Vec<u8>)]) -> Seen {
    watch_steps_in(workspace, session, sent.iter().map(|(direction, bytes)| Step::Bytes(*direction, bytes)))
}

/// One input of a session.
pub(crate) enum Step<'a> {
    Bytes(Direction, &'a [u8]),
    Gap(Direction, u64),
}

pub(crate) fn watch_steps<'a>(session: Session, steps: impl Iterator<Item = Step<'a>>) -> Seen {
    watch_steps_in(&mut Workspace::new(), session, steps)
}

fn watch_steps_in<'a>(
    workspace: &mut Workspace,
    mut session: Session,
    steps: impl Iterator<Item = Step<'a>>,
) -> Seen {
    let mut seen = Seen::default();
    let mut offsets = [0_u64; 2];
    let mut maps = [PlaintextMap::default(), PlaintextMap::default()];
    let mut streams = [Vec::new(), Vec::new()];
    for step in steps {
        let mut feed = match step {
            Step::Bytes(direction, bytes) => {
                let offset = offsets[at(direction)];
                offsets[at(direction)] += bytes.len() as u64;
                streams[at(direction)].extend_from_slice(bytes);
                session.feed(workspace, direction, offset, bytes)
            }
            Step::Gap(direction, length) => {
                let offset = offsets[at(direction)];
                offsets[at(direction)] += length;
                streams[at(direction)].extend(vec![0xee; usize::try_from(length).unwrap()]);
                session.gap(workspace, direction, offset, length)
            }
        };
        while let Some(event) = feed.next_event() {
            note(&mut seen, &mut maps, event);
        }
    }
    let mut feed = session.finish(workspace);
    while let Some(event) = feed.next_event() {
        note(&mut seen, &mut maps, event);
    }
    drop(feed);
    seen.counters = [
        session.counters(Direction::ClientToServer).clone(),
        session.counters(Direction::ServerToClient).clone(),
    ];
    seen.finished = [Direction::ClientToServer, Direction::ServerToClient].map(|way| session.finished(way));
    seen.epochs = Some([session.epoch(Direction::ClientToServer), session.epoch(Direction::ServerToClient)]);
    for counters in &seen.counters {
        assert!(counters.adds_up(), "{counters:#?}");
        assert_eq!(counters.is_explained(), counters.first_unexplained.is_none(), "{counters:#?}");
    }
    // Each plaintext byte leads back to exactly one byte on the wire, inside a record of this direction.
    for (map, plain) in maps.iter().zip(&seen.plain) {
        let mut covered = 0;
        for part in map.locate(0..plain.len() as u64) {
            assert_eq!(part.plaintext.start, covered);
            assert_eq!(part.plaintext.end - covered, part.ciphertext.end - part.ciphertext.start);
            assert!(
                part.record.start + 5 <= part.ciphertext.start && part.ciphertext.end + 8 <= part.record.end
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
            seen.events.push(format!("{:?} {record:?}", record.direction));
            maps[at(record.direction)].push(&record);
            if let Some(attempt) = &record.attempt {
                let is_authentic = matches!(record.content, Content::Decrypted(_));
                assert_eq!(attempt.authenticates_under(&attempt.secret), Some(is_authentic));
                seen.wrong_keys[at(record.direction)].observe(attempt);
            }
            if let Content::Decrypted(decrypted) = &record.content {
                if let Some(alert) = decrypted.alert() {
                    seen.alerts.push((record.direction, alert.description.to_string()));
                }
                let plain = &mut seen.plain[at(record.direction)];
                assert_eq!(decrypted.application_offset, plain.len() as u64);
                if decrypted.content_type == ContentType::APPLICATION_DATA {
                    plain.extend_from_slice(decrypted.plaintext);
                }
            }
        }
        Event::Handshake(handshake) => {
            seen.events.push(format!("{:?} {handshake:?}", handshake.direction));
            seen.messages.push(handshake);
        }
        Event::Anomaly(anomaly) => {
            seen.events.push(format!("{:?} {anomaly:?}", anomaly.direction));
            seen.anomalies.push((anomaly.direction, anomaly.reason));
        }
    }
}
