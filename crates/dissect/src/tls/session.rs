//! One TLS connection, from the bytes of both directions to events.
//!
//! ```text
//!            ┌────────────────┐    held until the     ┌ clear: HandshakeDeframer ──> messages ─┐
//!   chunk ──>│ RecordDeframer │──> peer's hello is ──>│                                        ├──> events, counters
//!            └────────────────┘    there (rarely)     └ protected: RecordDecrypter ─> plaintext┘
//! ```
//!
//! A direction needs only the hello of the other one, so the two may arrive with any delay between them. The states are
//! in two files: those of a direction in `direction`, those of the hellos in `negotiation`.

use std::collections::VecDeque;
use std::ops::Range;
use std::sync::Arc;

use super::cipher_suite::CipherSuite;
use super::code::{Alert, ContentType, ProtocolVersion};
use super::counters::{NotDecrypted, Reason, RecordCounters};
use super::decrypt::TriedKey;
use super::direction::{DirectionState, Framing, Phase};
use super::event::{Anomaly, Epoch, Handshake};
use super::held::HeldRecord;
use super::legacy_handshakes::LegacyHandshakes;
use super::negotiation::Negotiation;
use super::record::{AfterGap, Framed, HEADER_LEN, Header, Place};
use super::resumption::Resumption;
use super::transcript::{Finished, Transcript};
use super::workspace::Scratch;
use crate::flow::{Direction, PerDirection};
use crate::keylog::KeyLog;

/// One TLS connection.
///
/// ```
/// use std::sync::Arc;
/// use dissect::flow::Direction;
/// use dissect::keylog::KeyLog;
/// use dissect::tls::{Content, ContentType, Event, Session, Workspace};
///
/// let keys = Arc::new(KeyLog::parse(b"# an empty key log\n"));
/// let mut workspace = Workspace::new(); // one for all sessions of a thread
/// let mut session = Session::new(Some(keys));
///
/// let mut feed = session.feed(&mut workspace, Direction::ServerToClient, 0, b"\x15\x03\x03\x00\x02\x02\x28");
/// while let Some(event) = feed.next_event() {
///     match event {
///         Event::Record(record) => match &record.content {
///             Content::Decrypted(decrypted) if decrypted.content_type == ContentType::APPLICATION_DATA => {
///                 // The decrypted stream continues at `decrypted.application_offset` with `decrypted.plaintext`.
///             }
///             Content::Alert(Some(alert)) => assert_eq!(alert.description.to_string(), "handshake_failure"),
///             _ => {}
///         },
///         Event::Handshake(handshake) => println!("{:?}", handshake.message),
///         Event::Anomaly(anomaly) => println!("{:?}: {}", anomaly.range, anomaly.reason),
///     }
/// }
/// drop(feed);
/// drop(session.finish(&mut workspace));
/// assert!(session.counters(Direction::ServerToClient).is_explained());
/// ```
#[derive(Debug, Default)]
pub struct Session {
    pub(super) keys: Option<Arc<KeyLog>>,
    /// `None` until the direction sends something, because a capture may contain many thousand idle connections.
    directions: PerDirection<Option<Box<DirectionState>>>,
    pub(super) negotiation: Negotiation,
    /// `None` for a connection without secrets in the key log.
    pub(super) transcript: Option<Box<Transcript>>,
    /// `None` until the ServerHello chooses a version before TLS 1.3.
    pub(super) legacy: Option<Box<LegacyHandshakes>>,
    /// Events that are not delivered yet; `None` between two feeds.
    #[expect(
        clippy::box_collection,
        reason = "most sessions are idle, and then this takes 8 bytes instead of 32"
    )]
    queue: Option<Box<VecDeque<Queued>>>,
}

/// An event that borrows nothing.
#[derive(Debug)]
pub(super) enum Queued {
    Handshake(Handshake),
    Anomaly(Anomaly),
}

/// The result for a record, without the borrowed bytes.
pub(super) struct Judgement {
    pub(super) content: JudgedContent,
    /// The key that was tried on it.
    pub(super) tried: Option<TriedKey>,
    /// Whether it comes behind change_cipher_spec in a version before TLS 1.3.
    pub(super) is_legacy: bool,
}

pub(super) enum JudgedContent {
    Handshake,
    ChangeCipherSpec { well_formed: bool },
    Alert(Option<Alert>),
    Decrypted(JudgedPlaintext),
    NotAuthentic,
    NotDecrypted(NotDecrypted),
    Damaged,
    Unexpected,
}

pub(super) struct JudgedPlaintext {
    pub(super) content_type: ContentType,
    pub(super) length: usize,
    pub(super) application_offset: u64,
    pub(super) padding: usize,
    pub(super) epoch: Epoch,
    pub(super) sequence: u64,
    /// Offset in the fragment of the byte that carries the first one of the plaintext.
    pub(super) carried_from: usize,
    pub(super) version: ProtocolVersion,
    pub(super) needs_secret: bool,
}

impl From<JudgedContent> for Judgement {
    fn from(content: JudgedContent) -> Self {
        Self { content, tried: None, is_legacy: false }
    }
}

impl Session {
    /// Bytes that the session keeps: unfinished records and messages, records that wait, the handshake until it is checked.
    #[must_use]
    pub fn kept_bytes(&self) -> usize {
        let directions: usize = self.directions.values().flatten().map(|state| state.kept_bytes()).sum();
        directions + self.transcript.as_ref().map_or(0, |transcript| transcript.kept_bytes())
    }

    /// A connection whose secrets are in `keys`, if there is a key log.
    #[must_use]
    pub fn new(keys: Option<Arc<KeyLog>>) -> Self {
        Self { keys, ..Self::default() }
    }

    /// States that the first record of `direction` begins at this stream offset, behind what another protocol used. To be
    /// called before the first bytes of the direction.
    pub fn begin_at(&mut self, direction: Direction, stream_offset: u64) {
        let state = self.state_mut(direction);
        if let Framing::Records(deframer) = &mut state.framing {
            deframer.begin_at(stream_offset);
            state.counters.preceding_bytes = stream_offset;
        }
    }

    /// The counters of `direction`.
    #[must_use]
    pub fn counters(&self, direction: Direction) -> &RecordCounters {
        static NONE: RecordCounters = RecordCounters::new();
        self.state(direction).map_or(&NONE, |state| &state.counters)
    }

    /// The keys that the next record of `direction` is decrypted with.
    #[must_use]
    pub fn epoch(&self, direction: Direction) -> Epoch {
        self.state(direction).map_or(Epoch::Clear, |state| state.phase.epoch())
    }

    /// The direction of the ClientHello, if it was seen. In a capture that begins late, the TCP roles may be wrong.
    #[must_use]
    pub fn tls_client(&self) -> Option<Direction> {
        self.negotiation.client()
    }

    /// The random of the ClientHello, if it was seen; a key log lists the secrets of the connection under it.
    #[must_use]
    pub fn client_random(&self) -> Option<&[u8; 32]> {
        self.negotiation.offer().map(|offer| &offer.random)
    }

    /// Version and cipher suite of the ServerHello, if it was seen.
    #[must_use]
    pub fn negotiated(&self) -> Option<(ProtocolVersion, CipherSuite)> {
        self.negotiation.choice().map(|choice| (choice.version, choice.suite))
    }

    /// What is known of the Finished message of `direction`.
    #[must_use]
    pub fn finished(&self, direction: Direction) -> Finished {
        self.transcript.as_ref().map_or(Finished::NotSeen, |transcript| transcript.finished(direction))
    }

    pub(super) fn state(&self, direction: Direction) -> Option<&DirectionState> {
        self.directions[direction].as_deref()
    }

    pub(super) fn state_mut(&mut self, direction: Direction) -> &mut DirectionState {
        let is_tls13 = self.negotiation.is_tls13();
        self.directions[direction].get_or_insert_with(|| {
            let mut state = Box::<DirectionState>::default();
            if is_tls13 {
                state.expect_tls13();
            }
            state
        })
    }

    /// Applies the version of the ServerHello to both directions.
    pub(super) fn expect_chosen_version(&mut self) {
        if self.negotiation.is_tls13() {
            for (_, state) in self.directions.iter_mut() {
                state.iter_mut().for_each(|state| state.expect_tls13());
            }
        }
    }

    pub(super) fn is_after_hello(&self, direction: Direction) -> bool {
        self.state(direction).is_some_and(|state| state.phase.is_after_hello())
    }

    /// Queues an event.
    pub(super) fn queue(&mut self, event: Queued) {
        self.queue.get_or_insert_default().push_back(event);
    }

    /// The next queued event.
    pub(super) fn unqueue(&mut self) -> Option<Queued> {
        let queue = self.queue.as_mut()?;
        let event = queue.pop_front();
        if queue.is_empty() {
            self.queue = None;
        }
        event
    }

    pub(super) fn anomaly(&mut self, direction: Direction, range: Range<u64>, reason: Reason) {
        self.queue(Queued::Anomaly(Anomaly { direction, range, reason }));
    }

    /// Counts bytes as unexplained and reports them.
    pub(super) fn unexplained(
        &mut self,
        direction: Direction,
        bytes: u64,
        range: Range<u64>,
        reason: Reason,
    ) {
        self.state_mut(direction).counters.unexplained(bytes, range.start, reason);
        self.anomaly(direction, range, reason);
    }

    /// Handles missing bytes of a direction.
    pub(super) fn lose(&mut self, direction: Direction, length: u64) {
        let state = self.state_mut(direction);
        let at = state.end();
        state.counters.gap_bytes += length;
        state.counters.unexplained(0, at, Reason::Gap);
        self.expect_no_key_exchange();
        let state = self.state_mut(direction);
        if let Framing::Records(deframer) = &mut state.framing
            && deframer.gap(length) == AfterGap::Lost
        {
            if let Some((offset, seen)) = state.kill(Reason::AfterGap) {
                state.counters.unexplained(seen, offset, Reason::Gap);
            }
            self.drop_unfinished_message(direction, at);
        }
        self.anomaly(direction, at..at + length, Reason::Gap);
    }

    /// Gives up the rest of an unfinished handshake message.
    pub(super) fn drop_unfinished_message(&mut self, direction: Direction, end: u64) {
        let state = self.state_mut(direction);
        state.handshake_deframer = None;
        let bytes = std::mem::take(&mut state.unfinished_bytes);
        if bytes > 0 {
            let range = state.unfinished_from..end;
            self.unexplained(direction, bytes.into(), range, Reason::PartialHandshake);
        }
    }

    /// Counts the bytes of a direction whose framing is dead.
    pub(super) fn dead(&mut self, direction: Direction, reason: Reason, bytes: u64) {
        let state = self.state_mut(direction);
        let offset = state.end().saturating_sub(bytes);
        state.counters.unexplained(bytes, offset, reason);
    }

    /// Handles a direction that is not TLS from this offset on.
    pub(super) fn not_tls(&mut self, direction: Direction, stream_offset: u64, reason: Reason) {
        let state = self.state_mut(direction);
        let taken = state.kill(reason).map_or(0, |(_, seen)| seen);
        state.counters.unexplained(taken, stream_offset, reason);
        let end = state.end();
        self.expect_no_key_exchange();
        self.drop_unfinished_message(direction, stream_offset);
        self.anomaly(direction, stream_offset..end, reason);
    }

    /// Counts everything that is unfinished at the end as unexplained.
    pub(super) fn close(&mut self) {
        for direction in Direction::BOTH {
            let Some(state) = &mut self.directions[direction] else { continue };
            let end = state.end();
            if let Framing::Records(deframer) = &state.framing
                && let Some((offset, seen)) = deframer.unfinished()
            {
                state.kill(Reason::PartialRecord);
                self.unexplained(direction, seen, offset..end, Reason::PartialRecord);
            }
            self.drop_unfinished_message(direction, end);
        }
    }
}

/// Records that wait for the peer's hello.
impl Session {
    /// Whether protected records of `direction` cannot be judged yet, because the peer's hello may still come.
    fn awaits_peer(&self, direction: Direction) -> bool {
        let peer_may_still = match self.state(direction.opposite()).map(|peer| &peer.phase) {
            None | Some(Phase::AwaitingHello) => true,
            Some(Phase::AwaitingSecondHello) => self.negotiation.is_client(direction),
            Some(_) => false,
        };
        !self.negotiation.no_more_waiting && self.is_after_hello(direction) && peer_may_still
    }

    /// Whether the next record of `direction` has to wait.
    pub(super) fn must_hold(&self, direction: Direction, content_type: ContentType) -> bool {
        if self.awaits_key_exchange(direction) {
            return true;
        }
        let Some(own) = self.state(direction).filter(|_| self.awaits_peer(direction)) else { return false };
        if own.held.is_some() {
            return true;
        }
        if content_type == ContentType::APPLICATION_DATA {
            // 0-RTT data come before any ServerHello.
            return !matches!(own.phase, Phase::EarlyData(_));
        }
        // The ServerHello decides whether a record behind change_cipher_spec is encrypted (TLS 1.2) or not (TLS 1.3),
        // and whether a handshake message of the client may follow its hello in the clear (in TLS 1.2 any, in TLS 1.3
        // a second hello that the server asked for).
        let depends = own.saw_change_cipher_spec
            || content_type == ContentType::HANDSHAKE && self.negotiation.choice().is_none();
        let peer = self.state(direction.opposite()).map(|peer| &peer.phase);
        depends && matches!(peer, None | Some(Phase::AwaitingHello))
    }

    pub(super) fn hold(&mut self, direction: Direction, framed: &Framed, fragment: &[u8]) {
        let held = self.state_mut(direction).held.get_or_insert_default();
        held.push(framed, fragment);
        if held.is_over_bound() {
            self.negotiation.no_more_waiting = true;
        }
    }

    /// Returns a held record that no longer has to wait.
    pub(super) fn release(&mut self) -> Option<(Direction, HeldRecord)> {
        for direction in Direction::BOTH {
            if self.state(direction).is_some_and(|state| state.held.is_some())
                && !self.awaits_peer(direction)
                && !self.awaits_key_exchange(direction)
            {
                let state = self.state_mut(direction);
                let held = state.held.as_mut()?;
                let record = held.pop();
                if held.is_empty() {
                    state.held = None;
                }
                return record.map(|record| (direction, record));
            }
        }
        None
    }
}

/// Judges one record.
impl Session {
    pub(super) fn judge(
        &mut self,
        direction: Direction,
        framed: &Framed,
        fragment: &[u8],
        scratch: &mut Scratch,
    ) -> Judgement {
        let headers = self.counters(direction).header_bytes;
        let judgement = self.judge_contents(direction, framed, fragment, scratch);
        // Nothing else notices records of SSL 3.0 in a connection that negotiates another version.
        let version = framed.header.version;
        if version <= ProtocolVersion::SSL_3_0 {
            let counters = &mut self.state_mut(direction).counters;
            let header = std::mem::replace(&mut counters.header_bytes, headers) - headers;
            counters.unexplained(header, framed.range.start, Reason::RecordVersion(version));
        }
        judgement
    }

    fn judge_contents(
        &mut self,
        direction: Direction,
        framed: &Framed,
        fragment: &[u8],
        scratch: &mut Scratch,
    ) -> Judgement {
        let Framed { header, range, place } = framed;
        let is_before_tls13 = self.negotiation.is_before_tls13();
        let state = self.state_mut(direction);
        state.counters.record(header.content_type);
        // A direction that does not begin with a handshake was not captured from its start. A server may warn in front of its hello
        // that it does not know the name (RFC 6066 §3).
        let may_precede_hello = match header.content_type {
            ContentType::HANDSHAKE | ContentType::CHANGE_CIPHER_SPEC | ContentType::SSL2_CLIENT_HELLO => true,
            ContentType::ALERT => Alert::parse(fragment).is_some(),
            _ => false,
        };
        if !may_precede_hello {
            state.phase.begins_without_hello();
        }
        if let Place::Damaged { seen } = place {
            return self.damaged(direction, *header, range, *seen, &scratch.resumption).into();
        }
        // Up to TLS 1.2, everything behind change_cipher_spec is encrypted, whatever its outer type.
        if state.saw_change_cipher_spec && is_before_tls13 {
            return self.legacy_protected(direction, *header, range, fragment, scratch);
        }
        if header.content_type == ContentType::APPLICATION_DATA {
            return self.protected(direction, *header, range, fragment, scratch);
        }
        self.in_the_clear(direction, *header, range, fragment, scratch).into()
    }

    /// Handles a record with missing bytes, and skips its sequence number.
    fn damaged(
        &mut self,
        direction: Direction,
        header: Header,
        range: &Range<u64>,
        seen: u64,
        resumption: &Resumption,
    ) -> JudgedContent {
        let state = self.state_mut(direction);
        state.counters.unexplained(seen.saturating_sub(HEADER_LEN as u64), range.start, Reason::Gap);
        if header.content_type == ContentType::APPLICATION_DATA {
            state.phase.skip_sequence_number();
        }
        self.legacy_skip(direction, resumption);
        let state = self.state_mut(direction);
        state.phase.begins_without_hello();
        self.drop_unfinished_message(direction, range.end);
        self.lose_transcript();
        JudgedContent::Damaged
    }

    /// A handshake message may be missing.
    pub(super) fn lose_transcript(&mut self) {
        if let Some(transcript) = &mut self.transcript {
            transcript.lose();
        }
    }

    pub(super) fn not_decrypted(
        &mut self,
        direction: Direction,
        fragment: &[u8],
        range: &Range<u64>,
        why: NotDecrypted,
    ) -> JudgedContent {
        let counters = &mut self.state_mut(direction).counters;
        counters.not_decrypted += 1;
        counters.unexplained_record(fragment.len() as u64, range.start, Reason::NotDecrypted(why));
        JudgedContent::NotDecrypted(why)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tls::decrypt::RecordDecrypter;

    /// A capture may contain many thousand idle connections.
    #[test]
    fn keeps_sessions_at_rest_small() {
        assert!(size_of::<Session>() <= 96, "{}", size_of::<Session>());
        assert!(size_of::<DirectionState>() <= 384, "{}", size_of::<DirectionState>());
        assert!(size_of::<RecordDecrypter>() <= 320, "{}", size_of::<RecordDecrypter>());
    }
}
