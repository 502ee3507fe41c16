//! Turns TLS connections into facts: records, handshake messages, and the protocols in decrypted application data.
//!
//! ```text
//!   stream ──> Session ──> records, handshake messages ──> facts
//!                 │        handshake bytes in the clear ──> joined, searched across records
//!                 └─ decrypted application data ──> searched ──> the reader within
//! ```

use std::collections::VecDeque;
use std::ops::Range;
use std::sync::Arc;

use dissect::flow::{Direction, PerDirection};
use dissect::keylog::KeyLog;
use dissect::tls::record::HEADER_LEN;
use dissect::tls::{
    Content, ContentType, DecryptedRecord, Event, Handshake, Irregularity, Message, PlaintextMap,
    ProtocolVersion, Reason, Record, Session,
};

use super::carve::carve;
use super::fact::{
    Bound, Bytes, Fact, HandshakeFact, Observer, RecordBytes, RecordFact, Sequence, Spoken, TlsDirection,
    Unexplained,
};
use super::protocol::{Context, Decryption, Handover, Reader, Tools};
use super::provenance::{DecodeChain, LocateBy, Location, Provenance, Source};

/// The name of decryption in decode chains.
fn step(version: ProtocolVersion) -> &'static str {
    match version {
        ProtocolVersion::TLS_1_0 => "tls1.0",
        ProtocolVersion::TLS_1_1 => "tls1.1",
        ProtocolVersion::TLS_1_2 => "tls1.2",
        _ => "tls1.3",
    }
}

/// The name of joining handshake messages across records, in decode chains.
const JOINED: &str = "tls-records";

/// Alerts in the clear that each side may send: a warning, and the fatal one that ends the connection. Each contains a
/// byte of the sender's choice.
const MAX_CLEAR_ALERTS: u32 = 2;

/// Maximum number of records with handshake messages in the clear that are remembered, to name the frames of a string
/// across them.
pub(crate) const MAX_CLEAR_RECORDS: usize = 32;

/// One TLS connection; `R` reads its application data.
#[derive(Debug)]
pub(crate) struct Tls<O: Observer, R> {
    session: Session,
    /// `None` until the first record is complete, because many connections never complete a hello, unless another protocol
    /// was before.
    sides: Option<Box<PerDirection<Side<O>>>>,
    within: R,
}

/// The state of one direction.
#[derive(Debug)]
struct Side<O: Observer> {
    /// Stream offset of the first record.
    begins: u64,
    /// Decrypted application data; `None` until there are any.
    plaintext: Option<Box<Plaintext<O>>>,
    /// Handshake messages in the clear; `None` until the first is complete, because many connections never complete
    /// one.
    clear: Option<Box<ClearHandshake<O>>>,
    alerts: u32,
    /// Stream offset behind the last record.
    record_end: u64,
    /// Stream offset at which it stopped being TLS.
    dead_from: Option<u64>,
    /// Whether a record has authenticated.
    is_protected: bool,
    /// The ranges of the stream that authenticated since the last [`Tls::decided`].
    authentic: Vec<Range<u64>>,
    bytes: RecordBytes,
}

/// The decrypted application data of one direction.
#[derive(Debug)]
struct Plaintext<O: Observer> {
    memory: O::Memory,
    map: PlaintextMap,
    version: ProtocolVersion,
    /// Whether all of it was encrypted: a NULL cipher suite only protects it by a MAC.
    needs_secret: bool,
}

/// The handshake messages that one direction sent in the clear, joined without record headers: a ClientHello may be cut
/// into records at any byte.
#[derive(Debug)]
struct ClearHandshake<O: Observer> {
    memory: O::Memory,
    /// The offset of each piece in the joined messages, and its record in the stream.
    records: VecDeque<(u64, Range<u64>)>,
    next: u64,
}

impl<O: Observer, R: Reader<O>> Tls<O, R> {
    /// `begins`: the stream offsets of the first records.
    pub(crate) fn new(keys: Option<&Arc<KeyLog>>, begins: PerDirection<u64>, within: R) -> Self {
        let mut session = Session::new(keys.map(Arc::clone));
        for direction in Direction::BOTH.into_iter().filter(|direction| begins[*direction] > 0) {
            session.begin_at(direction, begins[direction]);
        }
        let is_behind = begins.values().any(|begin| *begin > 0);
        let side = |direction| Side { begins: begins[direction], ..Side::default() };
        let sides = is_behind.then(|| Box::new(PerDirection::from_fn(side)));
        Self { session, sides, within }
    }

    /// See [`super::stack::Stack::is_protected`].
    pub(crate) fn is_protected(&self, direction: Direction) -> bool {
        self.sides.as_ref().is_some_and(|sides| {
            let side = &sides[direction];
            side.is_protected && side.dead_from.is_none()
        })
    }

    /// See [`super::stack::Stack::decided`]. The last range is empty.
    pub(crate) fn decided(&mut self, direction: Direction) -> Option<impl Iterator<Item = Range<u64>>> {
        let side = &mut self.sides.as_mut()?[direction];
        let end = if side.dead_from.is_some() { u64::MAX } else { side.record_end };
        Some(side.authentic.drain(..).chain(std::iter::once(end..end)))
    }

    /// Passes input to the session, and processes its events.
    fn feed(&mut self, input: Input<'_>, source: &dyn Source, cx: &mut Context<'_, O>) {
        let Self { session, sides, within } = self;
        let Context { observer, tools, stream, decryption, is_within_stream, .. } = cx;
        let Some(Decryption { workspace, .. }) = decryption else { return };
        let mut feed = match input {
            Input::Bytes(direction, offset, bytes) => session.feed(workspace, direction, offset, bytes),
            Input::Gap(direction, offset, len) => session.gap(workspace, direction, offset, len),
            Input::End => session.finish(workspace),
        };
        let mut cx = Context {
            observer: &mut **observer,
            tools,
            stream: *stream,
            is_midstream: false,
            carvers: None,
            decryption: None,
            is_within_stream: *is_within_stream,
        };
        while let Some(event) = feed.next_event() {
            let sides = sides.get_or_insert_default();
            match event {
                Event::Record(record) => take_record(&record, sides, within, source, &mut cx),
                Event::Handshake(handshake) => take_handshake(&handshake, source, &mut cx),
                Event::Anomaly(anomaly) => {
                    if let Reason::NotTls(_) | Reason::AfterGap = anomaly.reason {
                        sides[anomaly.direction].dead_from.get_or_insert(anomaly.range.start);
                    }
                }
            }
        }
    }
}

/// Input of a session.
#[derive(Clone, Copy)]
enum Input<'a> {
    /// The next bytes of a direction, and the offset of the first of them.
    Bytes(Direction, u64, &'a [u8]),
    /// A number of missing bytes of a direction, from an offset on.
    Gap(Direction, u64, u64),
    /// The end of both directions.
    End,
}

impl<O: Observer, R: Reader<O>> Reader<O> for Tls<O, R> {
    fn push(
        &mut self,
        direction: Direction,
        offset: u64,
        bytes: &[u8],
        source: &dyn Source,
        cx: &mut Context<'_, O>,
    ) -> Option<Handover> {
        self.feed(Input::Bytes(direction, offset, bytes), source, cx);
        if let Some(from) = self.sides.as_ref().and_then(|sides| sides[direction].dead_from) {
            let explained = from.saturating_sub(offset).min(bytes.len() as u64) as usize;
            cx.keep_to_carve(direction, offset + explained as u64, &bytes[explained..]);
        }
        None
    }

    fn gap(
        &mut self,
        direction: Direction,
        offset: u64,
        len: u64,
        source: &dyn Source,
        cx: &mut Context<'_, O>,
    ) {
        self.feed(Input::Gap(direction, offset, len), source, cx);
    }

    fn finish(mut self, source: &dyn Source, cx: &mut Context<'_, O>) -> Spoken {
        self.feed(Input::End, source, cx);
        let Self { session, sides, within } = self;
        let sides = sides.unwrap_or_default();
        within.finish(&Decrypted { sides: &sides, source }, &mut cx.within_tls());
        let older = session.negotiated().map(|(version, _)| version);
        // Nor do the rules cover drafts of TLS 1.3.
        let older = older.filter(|version| *version != ProtocolVersion::TLS_1_3);
        let directions = PerDirection::from_fn(|direction| {
            let counters = session.counters(direction).clone();
            if let Some(first) = counters.first_unexplained {
                let why = Unexplained::Tls(first.reason);
                cx.report(direction, first.stream_offset, counters.unexplained_bytes, why, source);
            }
            if let Some(version) = older.filter(|_| counters.authenticated > 0) {
                let bytes = counters.header_bytes + counters.handshake_bytes;
                cx.report(direction, 0, bytes, Unexplained::OlderTls(version), source);
            }
            let Side { begins, bytes, dead_from, .. } = &sides[direction];
            TlsDirection {
                begins: *begins,
                counters,
                bytes: *bytes,
                is_dead: dead_from.is_some(),
                finished: session.finished(direction),
            }
        });
        Spoken::Tls(Box::new(directions))
    }

    fn kept_bytes(&self) -> usize {
        self.session.kept_bytes() + self.within.kept_bytes()
    }

    fn keep_from(&self, direction: Direction, observer: &O) -> u64 {
        let Some(sides) = &self.sides else { return 0 };
        let Side { plaintext, record_end, .. } = &sides[direction];
        let Some(plaintext) = plaintext else { return *record_end };
        let keep = plaintext.keep_from(direction, &self.within, observer);
        let record = plaintext.map.locate(keep..u64::MAX).next().map(|located| located.record.start);
        record.map_or(*record_end, |start| start.min(*record_end))
    }
}

impl<O: Observer> Default for Side<O> {
    fn default() -> Self {
        Self {
            begins: 0,
            plaintext: None,
            clear: None,
            alerts: 0,
            record_end: 0,
            dead_from: None,
            is_protected: false,
            authentic: Vec::new(),
            bytes: RecordBytes::default(),
        }
    }
}

impl<O: Observer> Side<O> {
    fn authenticated(&mut self, record: &Range<u64>) {
        self.is_protected = true;
        match self.authentic.last_mut() {
            Some(last) if last.end == record.start => last.end = record.end,
            _ => self.authentic.push(record.clone()),
        }
    }
}

impl<O: Observer> Plaintext<O> {
    fn new(version: ProtocolVersion) -> Self {
        Self { memory: O::Memory::default(), map: PlaintextMap::default(), version, needs_secret: true }
    }

    /// The lowest offset of the plaintext that its reader or the observer may still ask for.
    fn keep_from(&self, direction: Direction, within: &impl Reader<O>, observer: &O) -> u64 {
        observer.keep_from(&self.memory).min(within.keep_from(direction, observer))
    }
}

impl<O: Observer> Default for ClearHandshake<O> {
    fn default() -> Self {
        Self { memory: O::Memory::default(), records: VecDeque::new(), next: 0 }
    }
}

fn take_record<O: Observer>(
    record: &Record<'_>,
    sides: &mut PerDirection<Side<O>>,
    within: &mut impl Reader<O>,
    source: &dyn Source,
    cx: &mut Context<'_, O>,
) {
    let direction = record.direction;
    let side = &mut sides[direction];
    side.record_end = side.record_end.max(record.range.end);
    let is_protected = record.is_protected;
    // What a NULL cipher suite carries is searched as the bytes of the wire that it is.
    if matches!(&record.content, Content::Decrypted(decrypted) if decrypted.needs_secret) {
        side.authenticated(&record.range);
    }
    side.bytes.add(record, is_protected);
    let frame = source.visible_frame(direction, record.range.start);
    if let Some(stream) = cx.stream {
        cx.observer.observe(&Fact::TlsRecord(&RecordFact { stream, frame, is_protected, record }));
    }
    match &record.content {
        Content::Decrypted(decrypted) if decrypted.content_type == ContentType::APPLICATION_DATA => {
            let plaintext = side.plaintext.get_or_insert_with(|| Box::new(Plaintext::new(decrypted.version)));
            plaintext.map.push(record);
            plaintext.needs_secret &= decrypted.needs_secret;
            take_plaintext(direction, decrypted, sides, within, source, cx);
        }
        // Messages follow as events of their own.
        Content::Decrypted(decrypted) if decrypted.content_type == ContentType::HANDSHAKE => {}
        Content::Decrypted(decrypted) if decrypted.alert().is_none() && !changes_keys(decrypted) => {
            let why = Unexplained::InnerRecord(decrypted.content_type);
            cx.report(direction, record.range.start, decrypted.plaintext.len() as u64, why, source);
        }
        Content::Handshake(bytes) => {
            side.clear.get_or_insert_default().take(direction, &record.range, bytes, source, cx);
        }
        Content::Alert(_) => {
            side.alerts += 1;
            if side.alerts > MAX_CLEAR_ALERTS {
                let bytes = record.range.end - record.range.start;
                cx.report(direction, record.range.start, bytes, Unexplained::RepeatedAlert, source);
            }
        }
        // Plaintext offsets do not count the content of a lost record, so no match may cross it.
        Content::NotAuthentic | Content::Damaged => {
            if let Some(plaintext) = &mut side.plaintext {
                cx.observer.gap(&mut plaintext.memory, 0);
            }
            let decrypted = Decrypted { sides, source };
            within.gap(direction, 0, 0, &decrypted, cx);
        }
        _ => {}
    }
}

fn take_plaintext<O: Observer>(
    direction: Direction,
    record: &DecryptedRecord<'_>,
    sides: &mut PerDirection<Side<O>>,
    within: &mut impl Reader<O>,
    source: &dyn Source,
    cx: &mut Context<'_, O>,
) {
    let (offset, bytes, needs_secret) = (record.application_offset, record.plaintext, record.needs_secret);
    // Taken out for the call: the observer changes its memory while it asks this direction for locations.
    let Some(mut memory) = sides[direction].plaintext.as_mut().map(|plain| std::mem::take(&mut plain.memory))
    else {
        return;
    };
    let decrypted = Decrypted { sides, source };
    let provenance = LocateBy(|range| decrypted.locate(direction, range));
    let fact = Bytes { bytes, sequence: Sequence::Decrypted, chain: decrypted.chain(), needs_secret };
    cx.observer.bytes(&mut memory, &fact, &provenance);
    within.push(direction, offset, bytes, &decrypted, cx);
    if let Some(plaintext) = &mut sides[direction].plaintext {
        plaintext.memory = memory;
        let keep = plaintext.keep_from(direction, within, cx.observer);
        plaintext.map.forget_before(keep);
    }
}

impl<O: Observer> ClearHandshake<O> {
    fn take(
        &mut self,
        direction: Direction,
        record: &Range<u64>,
        bytes: &[u8],
        source: &dyn Source,
        cx: &mut Context<'_, O>,
    ) {
        self.records.push_back((self.next, record.clone()));
        if self.records.len() > MAX_CLEAR_RECORDS {
            self.records.pop_front();
            cx.observer.observe(&Fact::BoundHit(Bound::HandshakeRecords));
        }
        self.next += bytes.len() as u64;
        let chain = source.chain().then(JOINED);
        let needs_secret = source.needs_secret();
        let fact = Bytes { bytes, sequence: Sequence::Joined, chain, needs_secret };
        let provenance = AcrossRecords { records: &self.records, source, direction };
        cx.observer.bytes(&mut self.memory, &fact, &provenance);
        let Tools { decoder, carve_budget, .. } = &mut *cx.tools;
        let whole = || source.locate(direction, record.clone());
        carve(bytes, cx.observer, decoder, carve_budget, |_, _| whole());
    }
}

/// Maps joined handshake messages back to their records.
struct AcrossRecords<'a> {
    records: &'a VecDeque<(u64, Range<u64>)>,
    source: &'a dyn Source,
    direction: Direction,
}

impl AcrossRecords<'_> {
    /// The first and the last record of a range, if they are remembered.
    fn ends(&self, range: Range<u64>) -> Option<(&Range<u64>, &Range<u64>)> {
        let of = |offset: u64| self.records.iter().rev().find(|(first, _)| *first <= offset);
        Some((&of(range.start)?.1, &of(range.end - 1)?.1))
    }
}

impl Provenance for AcrossRecords<'_> {
    fn locate(&self, range: Range<u64>) -> Location {
        let range = self.ends(range).map_or(0..0, |(first, last)| first.start..last.end);
        self.source.locate(self.direction, range)
    }

    fn is_below(&self, range: Range<u64>) -> bool {
        self.ends(range).is_none_or(|(first, last)| first == last)
    }
}

fn take_handshake<O: Observer>(handshake: &Handshake, source: &dyn Source, cx: &mut Context<'_, O>) {
    let Handshake { direction, range, was_encrypted, message, .. } = handshake;
    let frame = source.visible_frame(*direction, range.start);
    if let Some(stream) = cx.stream {
        cx.observer.observe(&Fact::TlsHandshake(&HandshakeFact { stream, frame, handshake }));
    }
    let why = match was_encrypted {
        true => unread(message).map(Unexplained::Tls),
        false => irregularity(message).map(Unexplained::Hello),
    };
    if let Some(why) = why {
        cx.report(*direction, range.start, range.end - range.start, why, source);
    }
}

/// The reason why an encrypted message is not read: that it authenticates explains nothing of what it says.
fn unread(message: &Message) -> Option<Reason> {
    match message {
        Message::Malformed { message_type, error } => Some(Reason::Handshake(*message_type, *error)),
        Message::TooLong { message_type, .. } => Some(Reason::HandshakeTooLong(*message_type)),
        Message::Other { message_type, .. } if message_type.name().is_none() => {
            Some(Reason::UnexpectedHandshake(*message_type))
        }
        _ => None,
    }
}

/// The first thing in a hello that no rule foresees: it can have any value.
fn irregularity(message: &Message) -> Option<Irregularity> {
    match message {
        Message::ClientHello(hello) => hello.irregularity,
        Message::ServerHello(hello) => hello.irregularity,
        _ => None,
    }
}

/// Whether a protected record is the change_cipher_spec of a renegotiation, before TLS 1.3 (RFC 5246 §7.1).
fn changes_keys(record: &DecryptedRecord<'_>) -> bool {
    record.version < ProtocolVersion::TLS_1_3
        && record.content_type == ContentType::CHANGE_CIPHER_SPEC
        && record.plaintext == [1]
}

impl RecordBytes {
    fn add(&mut self, record: &Record<'_>, is_protected: bool) {
        let len = record.range.end - record.range.start;
        match record.content {
            // The session does not count how much of it was captured.
            Content::Damaged => {}
            _ if is_protected => {
                self.clear += HEADER_LEN as u64;
                self.protected += len - HEADER_LEN as u64;
            }
            _ => self.clear += len,
        }
    }
}

/// Decrypted application data, as the input of the protocol inside TLS.
struct Decrypted<'a, O: Observer> {
    sides: &'a PerDirection<Side<O>>,
    source: &'a dyn Source,
}

impl<O: Observer> Source for Decrypted<'_, O> {
    fn locate(&self, direction: Direction, range: Range<u64>) -> Location {
        let range = range.start..range.end.max(range.start + 1);
        let plaintext = self.sides[direction].plaintext.as_ref();
        let mut located = plaintext.into_iter().flat_map(|plaintext| plaintext.map.locate(range.clone()));
        let Some(first) = located.next() else { return self.source.locate(direction, 0..0) };
        let last = located.last();
        let last = last.as_ref().unwrap_or(&first);
        Location {
            ciphertext: Some(first.ciphertext.start..last.ciphertext.end),
            ..self.source.locate(direction, first.record.start..last.record.end)
        }
    }

    fn stream_offset(&self, direction: Direction, offset: u64) -> u64 {
        self.locate(direction, offset..offset).stream_offset.unwrap_or_default()
    }

    fn visible_frame(&self, _direction: Direction, _offset: u64) -> Option<u64> {
        None
    }

    fn frame_before(&self, direction: Direction, end: u64) -> u64 {
        self.locate(direction, end.saturating_sub(1)..end).frames.last().copied().unwrap_or(0)
    }

    fn is_in_one_frame(&self, _direction: Direction, _range: Range<u64>) -> bool {
        false
    }

    fn chain(&self) -> DecodeChain {
        let plaintext = self.sides.values().find_map(|side| side.plaintext.as_ref());
        let version = plaintext.map_or(ProtocolVersion::TLS_1_3, |plaintext| plaintext.version);
        self.source.chain().then(step(version))
    }

    fn needs_secret(&self) -> bool {
        self.sides.values().filter_map(|side| side.plaintext.as_ref()).all(|plaintext| plaintext.needs_secret)
    }
}
