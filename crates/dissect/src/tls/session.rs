//! One TLS connection, from the bytes of both directions to events.
//!
//! ```text
//!             ┌ RecordDeframer ┐   held until the     ┌ clear:     HandshakeDeframer ─> messages ─┐
//!   chunk ──> │ header, range  │─> peer's hello is ──>│                                ├─> events, RecordCounters
//!             └────────────────┘   known (rarely)     └ protected: RecordDecrypter ─> plaintext ┘
//! ```
//!
//! Keys of a direction: none, then those of the handshake after the hellos, then those of the application data after
//! the sender's own Finished, then one generation more with each of its KeyUpdates (RFC 8446 §7). So all a direction
//! needs from the other one is its hello, and the two may arrive with any skew.

use std::collections::VecDeque;
use std::ops::Range;
use std::sync::Arc;

use super::certificate::CertificateCache;
use super::code::{Alert, CipherSuite, ContentType, HandshakeType, ProtocolVersion};
use super::counters::{NotDecrypted, Reason, RecordCounters};
use super::decrypt::{RecordDecrypter, Suite, strip_padding};
use super::event::{Anomaly, Content, DecryptedRecord, Epoch, Event, Handshake, Record};
use super::handshake::{
    ClientHello, EncryptedExtensions, Message, NewSessionTicket, ServerHello, parse_chain, parse_key_update,
};
use super::handshake_deframer::{DeframedMessage, HandshakeDeframer};
use super::record::{AfterGap, Framed, HEADER_LEN, Header, MAX_CIPHERTEXT, Place, RecordDeframer, Step};
use crate::flow::Direction;
use crate::keylog::{ClientSecrets, KeyLog, Label};

/// Most bytes of one direction, bookkeeping included, that wait for the hello of the other. A client sends no protected record before it has
/// the ServerHello, so only reordering inside the capture makes them wait: a few records. When hit, they are no longer
/// waited for and count as not opened.
pub const MAX_HELD_BYTES: usize = 64 << 10;

/// How many records in a row may fail to authenticate before no more are tried. One damaged record leaves the sequence
/// numbers intact, so a single failure need not be the end; wrong keys fail all, and a gigabyte of tries is waste.
pub const MAX_FAILURES: u32 = 16;

/// Records of `change_cipher_spec` that a direction may send. TLS 1.3 and 1.2 know one (RFC 8446 §D.4, RFC 5246 §7.1);
/// stacks exist that send one with each of two flights around a HelloRetryRequest. Any number of them, with a version in
/// each, would be a channel. Further ones are unexplained.
pub const MAX_CHANGE_CIPHER_SPECS: u64 = 2;

/// Most unused record buffers that a [`Workspace`] keeps: more than directions usually have an unfinished record at a
/// time. Each is at most 18 KiB; beyond it, buffers are freed.
pub const MAX_SPARE_BUFFERS: usize = 64;

/// Buffers that all sessions of a thread share, so that a session at rest holds none.
#[derive(Default)]
pub struct Workspace {
    /// The current record where it was split over chunks.
    assembled: Vec<u8>,
    /// The current record, decrypted.
    out: Vec<u8>,
    spare: Vec<Vec<u8>>,
    certificates: CertificateCache,
}

impl Workspace {
    /// Empty buffers; they grow to the longest record and stay.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }
}

/// One TLS connection.
///
/// ```
/// use std::sync::Arc;
/// use dissect::flow::Direction;
/// use dissect::keylog::KeyLog;
/// use dissect::tls::{Content, ContentType, Event, Session, Workspace};
///
/// let keys = Arc::new(KeyLog::parse(b"# no keys today\n"));
/// let mut workspace = Workspace::new(); // one for all sessions of a thread
/// let mut session = Session::with_control(keys);
///
/// let mut feed = session.feed(&mut workspace, Direction::ServerToClient, 0, b"\x15\x03\x03\x00\x02\x02\x28");
/// while let Some(event) = feed.next_event() {
///     match event {
///         Event::Record(record) => match &record.content {
///             Content::Decrypted(decrypted) if decrypted.content_type == ContentType::APPLICATION_DATA => {
///                 // The decrypted stream goes on at `decrypted.application_offset` with `decrypted.plaintext`.
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
    keys: Option<Arc<KeyLog>>,
    with_control: bool,
    client: DirectionState,
    server: DirectionState,
    queue: VecDeque<Queued>,
    /// Who sent the ClientHello.
    tls_client: Option<Direction>,
    offer: Option<Offer>,
    choice: Option<Choice>,
    /// Whether a HelloRetryRequest came.
    was_retried: bool,
    /// Nothing waits for a hello any longer.
    no_more_waiting: bool,
}

/// One direction.
#[derive(Default)]
struct DirectionState {
    record_deframer: RecordDeframer,
    framing: Framing,
    hello: Hello,
    epoch: Epoch,
    decrypter: Option<Box<RecordDecrypter>>,
    /// 0-RTT keys that may fit.
    early: Option<Vec<RecordDecrypter>>,
    /// Whether no 0-RTT data can come any more.
    early_is_over: bool,
    handshake_deframer: HandshakeDeframer,
    /// Plaintext handshake bytes whose message is not complete: from which stream offset, how many.
    pending: (u64, u64),
    held: VecDeque<Held>,
    held_bytes: usize,
    saw_change_cipher_spec: bool,
    failures_in_a_row: u32,
    counters: RecordCounters,
}

#[derive(Clone, Copy, Debug, Default)]
enum Framing {
    #[default]
    Tls,
    /// No records from here on; every byte is unexplained.
    Dead(Reason),
}

/// Whether the direction's hello came.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Hello {
    #[default]
    Awaited,
    /// A HelloRetryRequest; the ServerHello is still to come.
    Retry,
    Seen,
    Never,
}

/// A record that waits for the peer's hello.
struct Held {
    header: Header,
    range: Range<u64>,
    /// Header and fragment.
    bytes: Vec<u8>,
}

/// What is remembered of the ClientHello.
#[derive(Debug)]
struct Offer {
    random: [u8; 32],
    has_early_data: bool,
    suites: Vec<CipherSuite>,
    /// Whether a second ClientHello came.
    is_repeated: bool,
}

/// What is remembered of the ServerHello.
#[derive(Clone, Copy, Debug)]
struct Choice {
    version: ProtocolVersion,
    suite: CipherSuite,
}

#[derive(Debug)]
enum Queued {
    Handshake(Handshake),
    Anomaly(Anomaly),
}

/// A record without the borrowed bytes.
struct Found {
    direction: Direction,
    index: u64,
    range: Range<u64>,
    header: Header,
    place: Place,
    content: FoundContent,
}

enum FoundContent {
    Handshake,
    ChangeCipherSpec { well_formed: bool },
    Alert(Option<Alert>),
    Decrypted(FoundDecrypted),
    NotAuthentic,
    NotDecrypted(NotDecrypted),
    Damaged,
    Unexpected,
}

struct FoundDecrypted {
    content_type: ContentType,
    length: usize,
    application_offset: u64,
    padding: usize,
    epoch: Epoch,
    sequence: u64,
}

/// What a decrypted handshake message does to the keys of its sender, once its record is over.
#[derive(Clone, Copy)]
enum KeyChange {
    ToHandshake,
    ToApplication,
    Update,
}

/// Without the buffers: they hold decrypted data.
impl std::fmt::Debug for Workspace {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Workspace").field("spare", &self.spare.len()).finish_non_exhaustive()
    }
}

impl std::fmt::Debug for DirectionState {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("DirectionState")
            .field("framing", &self.framing)
            .field("hello", &self.hello)
            .field("epoch", &self.epoch)
            .field("counters", &self.counters)
            .finish_non_exhaustive()
    }
}

impl Session {
    /// A connection whose secrets are looked up in `keys`, if there are any.
    #[must_use]
    pub fn new(keys: Option<Arc<KeyLog>>) -> Self {
        Self { keys, ..Self::default() }
    }

    /// The same with the wrong-key control: the first [`CONTROL_TRIES`](super::CONTROL_TRIES) protected records of each
    /// direction and generation of keys are tried under the secrets of [`KeyLog::wrong_key_control`] as well. The
    /// counters count the tries and what they opened, which must be 0.
    #[must_use]
    pub fn with_control(keys: Arc<KeyLog>) -> Self {
        Self { keys: Some(keys), with_control: true, ..Self::default() }
    }

    /// Takes the bytes that `direction` sent at `stream_offset`. Offsets must not go back; one that leaps ahead counts as a
    /// [`Session::gap`]. The events are in the answer; what is not asked for there is passed over when it is dropped.
    pub fn feed<'f>(
        &'f mut self,
        workspace: &'f mut Workspace,
        direction: Direction,
        stream_offset: u64,
        bytes: &'f [u8],
    ) -> Feed<'f> {
        let next = self.state(direction).counters.bytes + self.state(direction).counters.gap_bytes;
        if let Some(missing @ 1..) = stream_offset.checked_sub(next) {
            self.lose(direction, missing);
        }
        // Bytes that were taken before are not taken twice.
        let repeated = usize::try_from(next.saturating_sub(stream_offset)).unwrap_or(usize::MAX);
        let input = bytes.get(repeated..).unwrap_or_default();
        self.state_mut(direction).counters.bytes += input.len() as u64;
        Feed { session: self, workspace, direction, input, current: &[], is_last: false }
    }

    /// `length` bytes of `direction` are missing from the capture at `stream_offset`.
    pub fn gap<'f>(
        &'f mut self,
        workspace: &'f mut Workspace,
        direction: Direction,
        stream_offset: u64,
        length: u64,
    ) -> Feed<'f> {
        let next = self.state(direction).counters.bytes + self.state(direction).counters.gap_bytes;
        let end = stream_offset.saturating_add(length);
        if let Some(missing @ 1..) = end.checked_sub(next) {
            self.lose(direction, missing);
        }
        Feed { session: self, workspace, direction, input: &[], current: &[], is_last: false }
    }

    /// Both directions are over: what waits is let go, what is unfinished becomes unexplained.
    pub fn finish<'f>(&'f mut self, workspace: &'f mut Workspace) -> Feed<'f> {
        self.no_more_waiting = true;
        Feed {
            session: self,
            workspace,
            direction: Direction::ClientToServer,
            input: &[],
            current: &[],
            is_last: true,
        }
    }

    /// The counters of what `direction` sent.
    #[must_use]
    pub fn counters(&self, direction: Direction) -> &RecordCounters {
        &self.state(direction).counters
    }

    /// Which keys the records of `direction` are opened with now.
    #[must_use]
    pub fn epoch(&self, direction: Direction) -> Epoch {
        self.state(direction).epoch
    }

    /// Who sent the ClientHello, if it was seen.
    #[must_use]
    pub fn tls_client(&self) -> Option<Direction> {
        self.tls_client
    }

    /// The random of the ClientHello, if it was seen: the name of the connection in a key log.
    #[must_use]
    pub fn client_random(&self) -> Option<&[u8; 32]> {
        self.offer.as_ref().map(|offer| &offer.random)
    }

    /// Version and cipher suite of the ServerHello, if it was seen.
    #[must_use]
    pub fn negotiated(&self) -> Option<(ProtocolVersion, CipherSuite)> {
        self.choice.map(|choice| (choice.version, choice.suite))
    }

    fn state(&self, direction: Direction) -> &DirectionState {
        match direction {
            Direction::ClientToServer => &self.client,
            Direction::ServerToClient => &self.server,
        }
    }

    fn state_mut(&mut self, direction: Direction) -> &mut DirectionState {
        match direction {
            Direction::ClientToServer => &mut self.client,
            Direction::ServerToClient => &mut self.server,
        }
    }

    /// Whether `direction` is the client of TLS.
    fn is_client(&self, direction: Direction) -> bool {
        self.tls_client.unwrap_or(Direction::ClientToServer) == direction
    }

    fn anomaly(&mut self, direction: Direction, range: Range<u64>, reason: Reason) {
        self.queue.push_back(Queued::Anomaly(Anomaly { direction, range, reason }));
    }

    /// Counts bytes as unexplained and tells it.
    fn unexplained(&mut self, direction: Direction, bytes: u64, range: Range<u64>, reason: Reason) {
        self.state_mut(direction).counters.unexplained(bytes, range.start, reason);
        self.anomaly(direction, range, reason);
    }

    /// Bytes of one direction are missing.
    fn lose(&mut self, direction: Direction, length: u64) {
        let state = self.state_mut(direction);
        let at = state.counters.bytes + state.counters.gap_bytes;
        state.counters.gap_bytes += length;
        state.counters.unexplained(0, at, Reason::Gap);
        if matches!(state.framing, Framing::Tls) && state.record_deframer.gap(length) == AfterGap::Lost {
            state.framing = Framing::Dead(Reason::AfterGap);
            state.hello = match state.hello {
                Hello::Seen => Hello::Seen,
                _ => Hello::Never,
            };
            let unfinished = state.record_deframer.unfinished();
            state.record_deframer = RecordDeframer::default();
            if let Some((offset, seen)) = unfinished {
                state.counters.unexplained(seen, offset, Reason::Gap);
            }
            self.drop_unfinished_message(direction, at);
        }
        self.anomaly(direction, at..at + length, Reason::Gap);
    }

    /// The rest of an unfinished handshake message will not come.
    fn drop_unfinished_message(&mut self, direction: Direction, end: u64) {
        let state = self.state_mut(direction);
        state.handshake_deframer = HandshakeDeframer::default();
        let (from, bytes) = std::mem::take(&mut state.pending);
        if bytes > 0 {
            self.unexplained(direction, bytes, from..end, Reason::PartialHandshake);
        }
    }

    /// Whether protected records of `direction` cannot be judged yet, because the peer's hello may still come.
    fn awaits_peer(&self, direction: Direction) -> bool {
        let (own, peer) = (self.state(direction), self.state(direction.opposite()));
        let peer_may_still = match peer.hello {
            Hello::Awaited => true,
            Hello::Retry => self.is_client(direction),
            Hello::Seen | Hello::Never => false,
        };
        !self.no_more_waiting && own.hello == Hello::Seen && peer_may_still
    }

    /// Whether this record has to wait.
    fn must_hold(&self, direction: Direction, content_type: ContentType) -> bool {
        if !self.awaits_peer(direction) {
            return false;
        }
        let own = self.state(direction);
        if !own.held.is_empty() {
            return true;
        }
        if content_type == ContentType::APPLICATION_DATA {
            // 0-RTT data come before any ServerHello: that is their point.
            return !(self.may_be_early(direction));
        }
        // The ServerHello decides: whether a record after this is encrypted (TLS 1.2) or not (TLS 1.3), and whether any
        // handshake message of the client may follow its hello in the clear (TLS 1.2, or another hello if asked for).
        let depends =
            own.saw_change_cipher_spec || content_type == ContentType::HANDSHAKE && self.choice.is_none();
        depends && self.state(direction.opposite()).hello == Hello::Awaited
    }

    fn may_be_early(&self, direction: Direction) -> bool {
        self.is_client(direction)
            && !self.state(direction).early_is_over
            && self.offer.as_ref().is_some_and(|offer| offer.has_early_data)
    }

    fn hold(&mut self, direction: Direction, framed: &Framed, fragment: &[u8]) {
        let state = self.state_mut(direction);
        let mut bytes = Vec::with_capacity(HEADER_LEN + fragment.len());
        bytes.extend_from_slice(&framed.header.to_bytes());
        bytes.extend_from_slice(fragment);
        state.held_bytes += bytes.len() + size_of::<Held>();
        state.held.push_back(Held { header: framed.header, range: framed.range.clone(), bytes });
        if state.held_bytes > MAX_HELD_BYTES {
            self.no_more_waiting = true;
        }
    }

    /// A held record that no longer has to wait.
    fn release(&mut self) -> Option<(Direction, Held)> {
        for direction in [Direction::ClientToServer, Direction::ServerToClient] {
            if !self.state(direction).held.is_empty() && !self.awaits_peer(direction) {
                let state = self.state_mut(direction);
                let held = state.held.pop_front()?;
                state.held_bytes = state.held_bytes.saturating_sub(held.bytes.len() + size_of::<Held>());
                return Some((direction, held));
            }
        }
        None
    }

    /// Judges one record.
    fn record(
        &mut self,
        direction: Direction,
        framed: &Framed,
        fragment: &[u8],
        out: &mut Vec<u8>,
        certificates: &mut CertificateCache,
    ) -> FoundContent {
        let length = fragment.len() as u64;
        let (header, range, choice) = (framed.header, &framed.range, self.choice);
        let state = self.state_mut(direction);
        state.counters.records += 1;
        state.counters.header_bytes += HEADER_LEN as u64;
        if header.content_type == ContentType::APPLICATION_DATA {
            state.counters.application_data_records += 1;
        }
        // A direction that does not begin with a handshake was not captured from its start.
        if state.hello == Hello::Awaited
            && !matches!(header.content_type, ContentType::HANDSHAKE | ContentType::CHANGE_CIPHER_SPEC)
        {
            state.hello = Hello::Never;
        }
        if let Place::Damaged { seen } = framed.place {
            return self.damaged(direction, header, range, seen);
        }
        // TLS 1.2 and before: after it everything is encrypted, whatever the outer type says.
        if state.saw_change_cipher_spec
            && let Some(choice) = choice
            && choice.version < ProtocolVersion::TLS_1_3
        {
            return self.not_decrypted(direction, length, range, NotDecrypted::Version(choice.version));
        }
        match header.content_type {
            ContentType::APPLICATION_DATA => {
                self.protected(direction, header, range, fragment, out, certificates)
            }
            ContentType::CHANGE_CIPHER_SPEC => self.change_cipher_spec(direction, range, fragment),
            kind if state.counters.authenticated > 0 => {
                self.unexplained(direction, length, range.clone(), Reason::PlaintextAfterEncryption(kind));
                FoundContent::Unexpected
            }
            ContentType::HANDSHAKE => self.plaintext_handshake(direction, range, fragment, certificates),
            ContentType::ALERT => {
                let alert = Alert::parse(fragment);
                if alert.is_some() {
                    state.counters.alert_bytes += length;
                } else {
                    self.unexplained(direction, length, range.clone(), Reason::Alert);
                }
                FoundContent::Alert(alert)
            }
            kind => {
                self.unexplained(direction, length, range.clone(), Reason::UnexpectedContentType(kind));
                FoundContent::Unexpected
            }
        }
    }

    fn not_decrypted(
        &mut self,
        direction: Direction,
        length: u64,
        range: &Range<u64>,
        why: NotDecrypted,
    ) -> FoundContent {
        let counters = &mut self.state_mut(direction).counters;
        counters.not_decrypted += 1;
        counters.unexplained(length, range.start, Reason::NotDecrypted(why));
        FoundContent::NotDecrypted(why)
    }

    /// A record with a hole in it. Its sequence number is used up all the same.
    fn damaged(
        &mut self,
        direction: Direction,
        header: Header,
        range: &Range<u64>,
        seen: u64,
    ) -> FoundContent {
        let state = self.state_mut(direction);
        state.counters.unexplained(seen.saturating_sub(HEADER_LEN as u64), range.start, Reason::Gap);
        if header.content_type == ContentType::APPLICATION_DATA
            && let Some(decrypter) = &mut state.decrypter
        {
            decrypter.advance();
        }
        if state.hello == Hello::Awaited {
            state.hello = Hello::Never;
        }
        self.drop_unfinished_message(direction, range.end);
        FoundContent::Damaged
    }

    fn change_cipher_spec(
        &mut self,
        direction: Direction,
        range: &Range<u64>,
        fragment: &[u8],
    ) -> FoundContent {
        let state = self.state_mut(direction);
        let well_formed = fragment == [1]
            && !matches!(state.epoch, Epoch::Application(_))
            && state.counters.change_cipher_spec_bytes < MAX_CHANGE_CIPHER_SPECS;
        state.saw_change_cipher_spec = true;
        if well_formed {
            state.counters.change_cipher_spec_bytes += 1;
        } else {
            self.unexplained(direction, fragment.len() as u64, range.clone(), Reason::ChangeCipherSpec);
        }
        FoundContent::ChangeCipherSpec { well_formed }
    }

    fn plaintext_handshake(
        &mut self,
        direction: Direction,
        range: &Range<u64>,
        fragment: &[u8],
        certificates: &mut CertificateCache,
    ) -> FoundContent {
        let length = fragment.len() as u64;
        if self.state(direction).hello == Hello::Never {
            let why = if self.is_client(direction) {
                NotDecrypted::NoClientHello
            } else {
                NotDecrypted::NoServerHello
            };
            return self.not_decrypted(direction, length, range, why);
        }
        let state = self.state_mut(direction);
        if state.pending.1 == 0 {
            state.pending.0 = range.start;
        }
        state.pending.1 += length;
        let mut deframer = std::mem::take(&mut state.handshake_deframer);
        deframer.push(fragment, range, |deframed| self.plaintext_message(direction, &deframed, certificates));
        self.state_mut(direction).handshake_deframer = deframer;
        FoundContent::Handshake
    }

    /// A handshake message in the clear: takes it if it belongs there.
    fn plaintext_message(
        &mut self,
        direction: Direction,
        deframed: &DeframedMessage<'_>,
        certificates: &mut CertificateCache,
    ) {
        let kind = deframed.message_type;
        let state = self.state(direction);
        let is_first = state.hello == Hello::Awaited;
        let is_old = self.choice.is_some_and(|choice| choice.version < ProtocolVersion::TLS_1_3);
        let client_may = self.tls_client.is_none_or(|client| client == direction);
        let expected = match kind {
            // A second one answers a HelloRetryRequest; there is no third (RFC 8446 §4.1.2).
            HandshakeType::CLIENT_HELLO => match &self.offer {
                None => client_may && is_first,
                Some(offer) => {
                    client_may
                        && self.was_retried
                        && !offer.is_repeated
                        && !is_old
                        && state.epoch == Epoch::Clear
                }
            },
            HandshakeType::SERVER_HELLO => {
                self.tls_client != Some(direction) && matches!(state.hello, Hello::Awaited | Hello::Retry)
            }
            HandshakeType::HELLO_REQUEST
            | HandshakeType::NEW_SESSION_TICKET
            | HandshakeType::CERTIFICATE
            | HandshakeType::SERVER_KEY_EXCHANGE
            | HandshakeType::CERTIFICATE_REQUEST
            | HandshakeType::SERVER_HELLO_DONE
            | HandshakeType::CERTIFICATE_VERIFY
            | HandshakeType::CLIENT_KEY_EXCHANGE
            | HandshakeType::CERTIFICATE_STATUS => state.hello == Hello::Seen && is_old,
            _ => false,
        };
        let message = if expected {
            read_message(deframed, false, certificates)
        } else {
            Message::Other { message_type: kind, length: deframed.length }
        };
        let belongs = match &message {
            // Both hellos of a client have one random (RFC 8446 §4.1.2), and a client is asked to retry once (§4.1.4).
            Message::ClientHello(hello) => {
                self.offer.as_ref().is_none_or(|offer| offer.random == hello.random)
            }
            Message::ServerHello(hello) => !(hello.is_hello_retry_request && self.was_retried),
            _ => true,
        };
        let reason = match &message {
            _ if !expected || !belongs => Some(Reason::UnexpectedHandshake(kind)),
            Message::Malformed { error, .. } => Some(Reason::Handshake(kind, *error)),
            Message::TooLong { .. } => Some(Reason::HandshakeTooLong(kind)),
            _ => None,
        };
        match &message {
            _ if !belongs => {}
            Message::ClientHello(hello) => self.client_hello(direction, hello),
            Message::ServerHello(hello) => self.server_hello(direction, hello),
            _ if is_first => self.state_mut(direction).hello = Hello::Never,
            _ => {}
        }
        let state = self.state_mut(direction);
        let bytes = deframed.wire_length();
        state.pending.1 = state.pending.1.saturating_sub(bytes);
        if state.pending.1 > 0 {
            // What is left of this record begins the next message.
            state.pending.0 = deframed.range.end.saturating_sub(state.pending.1);
        }
        match reason {
            None => state.counters.handshake_bytes += bytes,
            Some(reason) => self.unexplained(direction, bytes, deframed.range.clone(), reason),
        }
        let range = deframed.range.clone();
        self.queue.push_back(Queued::Handshake(Handshake {
            direction,
            range,
            was_encrypted: false,
            message,
        }));
    }

    fn client_hello(&mut self, direction: Direction, hello: &ClientHello) {
        self.tls_client = Some(direction);
        self.state_mut(direction).hello = Hello::Seen;
        if let Some(offer) = &mut self.offer {
            offer.is_repeated = true;
            // After a HelloRetryRequest there is no 0-RTT (RFC 8446 §4.2.10); the random stays (§4.1.2).
            self.state_mut(direction).early_is_over = true;
            return;
        }
        self.offer = Some(Offer {
            random: hello.random,
            has_early_data: hello.offers_early_data,
            suites: hello.cipher_suites.iter().copied().filter(|suite| Suite::of(*suite).is_some()).collect(),
            is_repeated: false,
        });
    }

    fn server_hello(&mut self, direction: Direction, hello: &ServerHello) {
        if self.tls_client.is_none() && direction == Direction::ClientToServer {
            self.tls_client = Some(direction.opposite());
        }
        if hello.is_hello_retry_request {
            self.state_mut(direction).hello = Hello::Retry;
            self.was_retried = true;
            return;
        }
        self.state_mut(direction).hello = Hello::Seen;
        self.choice = Some(Choice { version: hello.version, suite: hello.cipher_suite });
        if hello.version == ProtocolVersion::TLS_1_3 {
            self.client.record_deframer.set_tls13();
            self.server.record_deframer.set_tls13();
        }
    }

    /// The secrets of this connection.
    fn secrets(&self) -> Result<(&ClientSecrets, Choice), NotDecrypted> {
        let offer = self.offer.as_ref().ok_or(NotDecrypted::NoClientHello)?;
        let choice = self.choice.ok_or(NotDecrypted::NoServerHello)?;
        if choice.version != ProtocolVersion::TLS_1_3 {
            return Err(NotDecrypted::Version(choice.version));
        }
        let keys = self.keys.as_ref().ok_or(NotDecrypted::NoKeyLog)?;
        let secrets = keys.client(&offer.random).ok_or(NotDecrypted::ClientRandomNotInKeyLog)?;
        Ok((secrets, choice))
    }

    /// Sees to it that the direction has a decrypter, if the keys are there.
    fn ensure_decrypter(&mut self, direction: Direction) -> Result<(), NotDecrypted> {
        if self.state(direction).decrypter.is_some() {
            return Ok(());
        }
        let (secrets, choice) = self.secrets()?;
        let suite = Suite::of(choice.suite).ok_or(NotDecrypted::CipherSuite(choice.suite))?;
        let epoch = match self.state(direction).epoch {
            Epoch::Clear | Epoch::Early => Epoch::Handshake,
            later => later,
        };
        let label = match (epoch, self.is_client(direction)) {
            (Epoch::Application(_), true) => Label::ClientTrafficSecret0,
            (Epoch::Application(_), false) => Label::ServerTrafficSecret0,
            (_, true) => Label::ClientHandshakeTrafficSecret,
            (_, false) => Label::ServerHandshakeTrafficSecret,
        };
        let secret = secrets.secret(label).ok_or(NotDecrypted::SecretMissing(label))?;
        let decrypter = RecordDecrypter::new(suite, secret, self.with_control)
            .ok_or(NotDecrypted::SecretLength(label))?;
        let state = self.state_mut(direction);
        state.decrypter = Some(Box::new(decrypter));
        if !matches!(state.epoch, Epoch::Early) {
            state.epoch = epoch;
        }
        Ok(())
    }

    /// A record of the outer type `application_data`.
    fn protected(
        &mut self,
        direction: Direction,
        header: Header,
        range: &Range<u64>,
        fragment: &[u8],
        out: &mut Vec<u8>,
        certificates: &mut CertificateCache,
    ) -> FoundContent {
        let length = fragment.len() as u64;
        if out.len() < MAX_CIPHERTEXT {
            out.resize(MAX_CIPHERTEXT, 0);
        }
        let is_early = self.may_be_early(direction)
            && matches!(self.state(direction).epoch, Epoch::Clear | Epoch::Early);
        if is_early && let Some((inner, sequence)) = self.open_early(direction, header, fragment, out) {
            self.state_mut(direction).epoch = Epoch::Early;
            return self.opened(direction, range, length, inner, sequence, out, certificates);
        }
        if let Err(why) = self.ensure_decrypter(direction) {
            let why = if is_early && self.choice.is_none() { NotDecrypted::EarlyData } else { why };
            return self.not_decrypted(direction, length, range, why);
        }
        let state = self.state_mut(direction);
        if state.failures_in_a_row >= MAX_FAILURES {
            return self.not_decrypted(direction, length, range, NotDecrypted::AfterFailures);
        }
        let Some(decrypter) = &mut state.decrypter else {
            return self.not_decrypted(direction, length, range, NotDecrypted::NoKeyLog);
        };
        let sequence = decrypter.sequence();
        let outcome = decrypter.open(header, fragment, out);
        state.counters.control_tries += u64::from(outcome.control_tried);
        state.counters.control_opened += u64::from(outcome.control_opened);
        match outcome.inner {
            Some(inner) => {
                decrypter.advance();
                if is_early {
                    state.early_is_over = true;
                    state.early = None;
                    state.epoch = Epoch::Handshake;
                }
                state.failures_in_a_row = 0;
                self.opened(direction, range, length, inner, sequence, out, certificates)
            }
            // The server passes over 0-RTT data it does not take, without counting them (RFC 8446 §4.2.10).
            None if is_early => self.not_decrypted(direction, length, range, NotDecrypted::EarlyData),
            None => {
                decrypter.advance();
                state.failures_in_a_row += 1;
                state.counters.failed += 1;
                self.unexplained(direction, length, range.clone(), Reason::NotAuthentic);
                self.drop_unfinished_message(direction, range.end);
                FoundContent::NotAuthentic
            }
        }
    }

    /// Tries 0-RTT keys. Which suite they are for is not known before the ServerHello, so every offered one is tried
    /// until one opens.
    fn open_early(
        &mut self,
        direction: Direction,
        header: Header,
        fragment: &[u8],
        out: &mut [u8],
    ) -> Option<(usize, u64)> {
        if self.state(direction).early.is_none() {
            let offer = self.offer.as_ref()?;
            let secret =
                self.keys.as_ref()?.client(&offer.random)?.secret(Label::ClientEarlyTrafficSecret)?;
            let suites = [
                CipherSuite::TLS_AES_128_GCM_SHA256,
                CipherSuite::TLS_AES_256_GCM_SHA384,
                CipherSuite::TLS_CHACHA20_POLY1305_SHA256,
            ];
            let offered =
                suites.into_iter().filter(|suite| offer.suites.contains(suite)).filter_map(Suite::of);
            let decrypters =
                offered.filter_map(|suite| RecordDecrypter::new(suite, secret, self.with_control)).collect();
            self.state_mut(direction).early = Some(decrypters);
        }
        let state = self.state_mut(direction);
        let early = state.early.as_mut()?;
        for at in 0..early.len() {
            let decrypter = early.get_mut(at)?;
            let outcome = decrypter.open(header, fragment, out);
            state.counters.control_tries += u64::from(outcome.control_tried);
            state.counters.control_opened += u64::from(outcome.control_opened);
            if let Some(inner) = outcome.inner {
                let sequence = decrypter.sequence();
                decrypter.advance();
                early.swap(0, at);
                early.truncate(1);
                return Some((inner, sequence));
            }
        }
        None
    }

    /// An authenticated record, whose inner plaintext is `out[..inner]`.
    #[expect(clippy::too_many_arguments, reason = "one record's parts and the two shared buffers")]
    fn opened(
        &mut self,
        direction: Direction,
        range: &Range<u64>,
        fragment_length: u64,
        inner: usize,
        sequence: u64,
        out: &[u8],
        certificates: &mut CertificateCache,
    ) -> FoundContent {
        let (content_type, length, padding) = strip_padding(out.get(..inner).unwrap_or_default());
        let plaintext = out.get(..length).unwrap_or_default();
        // What an unfinished message in the clear left behind cannot go on inside protected records.
        if self.state(direction).pending.1 > 0 {
            self.drop_unfinished_message(direction, range.start);
        }
        let state = self.state_mut(direction);
        state.counters.authenticated += 1;
        state.counters.authenticated_bytes += fragment_length;
        let epoch = state.epoch;
        let application_offset = state.counters.application_bytes;
        if content_type == ContentType::APPLICATION_DATA {
            state.counters.application_bytes += length as u64;
        } else if content_type == ContentType::HANDSHAKE {
            let mut deframer = std::mem::take(&mut state.handshake_deframer);
            let mut change = None;
            deframer.push(plaintext, range, |deframed| {
                let message = read_message(&deframed, true, certificates);
                change = match (&message, epoch) {
                    (Message::EndOfEarlyData, Epoch::Early) => Some(KeyChange::ToHandshake),
                    (Message::Finished, Epoch::Handshake) => Some(KeyChange::ToApplication),
                    (Message::KeyUpdate { .. }, Epoch::Application(_)) => Some(KeyChange::Update),
                    _ => change,
                };
                let range = deframed.range;
                self.queue.push_back(Queued::Handshake(Handshake {
                    direction,
                    range,
                    was_encrypted: true,
                    message,
                }));
            });
            self.state_mut(direction).handshake_deframer = deframer;
            if let Some(change) = change {
                self.change_keys(direction, change);
            }
        }
        FoundContent::Decrypted(FoundDecrypted {
            content_type,
            length,
            application_offset,
            padding,
            epoch,
            sequence,
        })
    }

    fn change_keys(&mut self, direction: Direction, change: KeyChange) {
        let state = self.state_mut(direction);
        match change {
            KeyChange::ToHandshake => {
                state.early = None;
                state.early_is_over = true;
                state.epoch = Epoch::Clear;
            }
            KeyChange::ToApplication => {
                state.decrypter = None;
                state.epoch = Epoch::Application(0);
            }
            KeyChange::Update => {
                if let Epoch::Application(generation) = &mut state.epoch {
                    *generation += 1;
                }
                if state.decrypter.as_mut().and_then(|decrypter| decrypter.update()).is_none() {
                    state.failures_in_a_row = MAX_FAILURES;
                }
            }
        }
    }

    /// The rest of a direction that is no TLS.
    fn dead(&mut self, direction: Direction, reason: Reason, bytes: u64) {
        let counters = &mut self.state_mut(direction).counters;
        let offset = (counters.bytes + counters.gap_bytes).saturating_sub(bytes);
        counters.unexplained(bytes, offset, reason);
    }

    /// What is unfinished at the end stays unexplained.
    fn close(&mut self) {
        for direction in [Direction::ClientToServer, Direction::ServerToClient] {
            let end = self.state(direction).counters.bytes + self.state(direction).counters.gap_bytes;
            if let Some((offset, seen)) = self.state(direction).record_deframer.unfinished() {
                self.state_mut(direction).record_deframer = RecordDeframer::default();
                self.state_mut(direction).framing = Framing::Dead(Reason::PartialRecord);
                self.unexplained(direction, seen, offset..end, Reason::PartialRecord);
            }
            self.drop_unfinished_message(direction, end);
        }
    }
}

/// Reads a message by its type.
fn read_message(
    deframed: &DeframedMessage<'_>,
    is_tls13: bool,
    certificates: &mut CertificateCache,
) -> Message {
    let (message_type, length) = (deframed.message_type, deframed.length);
    let Some(body) = deframed.body else { return Message::TooLong { message_type, length } };
    let read = match message_type {
        HandshakeType::CLIENT_HELLO => {
            ClientHello::parse(body).map(|hello| Message::ClientHello(Box::new(hello)))
        }
        HandshakeType::SERVER_HELLO => {
            ServerHello::parse(body).map(|hello| Message::ServerHello(Box::new(hello)))
        }
        HandshakeType::CERTIFICATE => {
            parse_chain(body, is_tls13, |der| certificates.read(der)).map(Message::Certificate)
        }
        HandshakeType::ENCRYPTED_EXTENSIONS => {
            EncryptedExtensions::parse(body).map(Message::EncryptedExtensions)
        }
        HandshakeType::NEW_SESSION_TICKET if is_tls13 => {
            NewSessionTicket::parse(body).map(Message::NewSessionTicket)
        }
        HandshakeType::KEY_UPDATE => {
            parse_key_update(body).map(|update_requested| Message::KeyUpdate { update_requested })
        }
        HandshakeType::FINISHED => Ok(Message::Finished),
        HandshakeType::END_OF_EARLY_DATA => Ok(Message::EndOfEarlyData),
        _ => Ok(Message::Other { message_type, length }),
    };
    read.unwrap_or_else(|error| Message::Malformed { message_type, error })
}

/// The events of one input. Ask with [`Feed::next_event`] until there is none; dropping it takes the rest of the input
/// in silence, so that the session is never left in the middle.
#[derive(Debug)]
pub struct Feed<'f> {
    session: &'f mut Session,
    workspace: &'f mut Workspace,
    direction: Direction,
    /// What is not taken yet.
    input: &'f [u8],
    /// What the last step took.
    current: &'f [u8],
    is_last: bool,
}

enum Advanced {
    Queued(Queued),
    Found(Found),
}

impl Feed<'_> {
    /// The next event. What it borrows is valid until the next call.
    pub fn next_event(&mut self) -> Option<Event<'_>> {
        let found = match self.advance()? {
            Advanced::Queued(Queued::Handshake(handshake)) => return Some(Event::Handshake(handshake)),
            Advanced::Queued(Queued::Anomaly(anomaly)) => return Some(Event::Anomaly(anomaly)),
            Advanced::Found(found) => found,
        };
        let Found { direction, index, range, header, place, content } = found;
        let fragment = fragment(&place, self.current, &self.workspace.assembled);
        let content = match content {
            FoundContent::Handshake => Content::Handshake(fragment),
            FoundContent::ChangeCipherSpec { well_formed } => Content::ChangeCipherSpec { well_formed },
            FoundContent::Alert(alert) => Content::Alert(alert),
            FoundContent::NotAuthentic => Content::NotAuthentic,
            FoundContent::NotDecrypted(why) => Content::NotDecrypted(why),
            FoundContent::Damaged => Content::Damaged,
            FoundContent::Unexpected => Content::Unexpected(fragment),
            FoundContent::Decrypted(decrypted) => Content::Decrypted(DecryptedRecord {
                content_type: decrypted.content_type,
                plaintext: self.workspace.out.get(..decrypted.length).unwrap_or_default(),
                application_offset: decrypted.application_offset,
                padding: decrypted.padding,
                epoch: decrypted.epoch,
                sequence: decrypted.sequence,
            }),
        };
        Some(Event::Record(Record { direction, index, range, header, content }))
    }

    fn advance(&mut self) -> Option<Advanced> {
        loop {
            if let Some(queued) = self.session.queue.pop_front() {
                return Some(Advanced::Queued(queued));
            }
            if let Some((direction, held)) = self.session.release() {
                let framed = Framed { header: held.header, range: held.range, place: Place::Assembled };
                self.workspace.assembled = held.bytes;
                return Some(self.judge(direction, framed));
            }
            if self.input.is_empty() {
                if !std::mem::take(&mut self.is_last) {
                    return None;
                }
                self.session.close();
                continue;
            }
            let state = self.session.state_mut(self.direction);
            if let Framing::Dead(reason) = state.framing {
                let rest = std::mem::take(&mut self.input);
                self.session.dead(self.direction, reason, rest.len() as u64);
                continue;
            }
            state.record_deframer.lend(&mut self.workspace.spare);
            let (taken, step) = state.record_deframer.step(self.input, &mut self.workspace.assembled);
            state.record_deframer.give_back(&mut self.workspace.spare, MAX_SPARE_BUFFERS);
            (self.current, self.input) = self.input.split_at_checked(taken).unwrap_or((self.input, &[]));
            match step {
                Step::NeedMore => {}
                Step::NotTls { stream_offset, why } => self.not_tls(stream_offset, Reason::NotTls(why)),
                Step::Record(framed)
                    if self.session.must_hold(self.direction, framed.header.content_type) =>
                {
                    match framed.place {
                        Place::Damaged { .. } => return Some(self.judge(self.direction, framed)),
                        _ => {
                            let fragment = fragment(&framed.place, self.current, &self.workspace.assembled);
                            self.session.hold(self.direction, &framed, fragment);
                        }
                    }
                }
                Step::Record(framed) => return Some(self.judge(self.direction, framed)),
            }
        }
    }

    fn not_tls(&mut self, stream_offset: u64, reason: Reason) {
        let state = self.session.state_mut(self.direction);
        state.framing = Framing::Dead(reason);
        if matches!(state.hello, Hello::Awaited | Hello::Retry) {
            state.hello = Hello::Never;
        }
        let taken = state.record_deframer.unfinished().map_or(0, |(_, seen)| seen);
        state.record_deframer = RecordDeframer::default();
        state.counters.unexplained(taken, stream_offset, reason);
        let end = state.counters.bytes + state.counters.gap_bytes;
        self.session.drop_unfinished_message(self.direction, stream_offset);
        self.session.anomaly(self.direction, stream_offset..end, reason);
    }

    fn judge(&mut self, direction: Direction, framed: Framed) -> Advanced {
        let Workspace { assembled, out, certificates, .. } = &mut *self.workspace;
        let fragment = fragment(&framed.place, self.current, assembled);
        let index = self.session.state(direction).counters.records;
        let content = self.session.record(direction, &framed, fragment, out, certificates);
        let Framed { header, range, place } = framed;
        Advanced::Found(Found { direction, index, range, header, place, content })
    }
}

impl Drop for Feed<'_> {
    fn drop(&mut self) {
        while self.advance().is_some() {}
    }
}

/// The fragment of a record where it lies.
fn fragment<'a>(place: &Place, current: &'a [u8], assembled: &'a [u8]) -> &'a [u8] {
    match place {
        Place::Input(range) => current.get(range.clone()),
        Place::Assembled => assembled.get(HEADER_LEN..),
        Place::Damaged { .. } => None,
    }
    .unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A capture may hold many thousand connections at rest.
    #[test]
    fn a_session_at_rest_is_small() {
        assert!(size_of::<Session>() <= 1280, "{}", size_of::<Session>());
        assert!(size_of::<RecordDecrypter>() <= 320, "{}", size_of::<RecordDecrypter>());
    }
}
