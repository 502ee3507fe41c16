//! TLS connections: what stays visible, and what the key log opens.

use std::collections::VecDeque;
use std::ops::Range;
use std::sync::Arc;

use dissect::flow::Direction;
use dissect::keylog::KeyLog;
use dissect::tls::record::HEADER_LEN;
use dissect::tls::{
    Certificate, Content, ContentType, Epoch, Event, ExtensionType, Handshake, Message, NamedGroup,
    PlaintextMap, Reason, Record, Session, Workspace, is_grease,
};
use exposure_schema::Level;

use crate::observe::byte_counts::TlsBytes;
use crate::observe::evidence::Evidence;
use crate::observe::hits::Place;
use crate::observe::packet_list;
use crate::pipeline::carve::carve;
use crate::pipeline::detect::{Detector, Protocol};
use crate::pipeline::http1::{Http, Source};
use crate::pipeline::provenance::FrameMap;
use crate::search::Scanner;

/// One TLS connection.
#[derive(Debug)]
pub(crate) struct Tls {
    session: Session,
    observer: TlsObserver,
}

/// What the session has told so far.
#[derive(Debug)]
struct TlsObserver {
    plain: [Plain; 2],
    inner: Inner,
    /// Stream offset behind the last record that was told, by side.
    record_end: [u64; 2],
    /// Where each side stopped being TLS.
    dead_from: [Option<u64>; 2],
    clear: [Clear; 2],
    bytes: [TlsBytes; 2],
    /// Records of the server that the client waited for.
    awaited_records: u64,
    facts: Facts,
}

/// Alerts in the clear that one side may send: a warning and the fatal one that ends the connection. Each holds a byte
/// of the sender's choice.
const MAX_CLEAR_ALERTS: u32 = 2;

/// Records of handshake messages in the clear that are remembered, to name the frames of a string across them.
const MAX_CLEAR_RECORDS: usize = 32;

/// What one side sent in the clear, without record headers: a ClientHello may be cut into records anywhere.
#[derive(Debug, Default)]
struct Clear {
    scanner: Scanner,
    /// Offset in the joined messages, and the record in the stream.
    records: VecDeque<(u64, Range<u64>)>,
    next: u64,
    alerts: u32,
}

impl Clear {
    fn handshake(
        &mut self,
        record: &Range<u64>,
        bytes: &[u8],
        frames: &FrameMap,
        evidence: &mut Evidence<'_>,
    ) {
        self.records.push_back((self.next, record.clone()));
        if self.records.len() > MAX_CLEAR_RECORDS {
            self.records.pop_front();
            evidence.bound_hit("more handshake records in the clear than are remembered");
        }
        self.next += bytes.len() as u64;
        let mut matches = evidence.search(&mut self.scanner, bytes);
        let layers = evidence.layers(&["tls-records"]);
        for found in matches.drain(..) {
            let record_of = |offset: u64| self.records.iter().rev().find(|(first, _)| *first <= offset);
            // What stands within one record was found in the stream as it is.
            if let (Some((from, first)), Some((to, last))) =
                (record_of(found.start), record_of(found.end - 1))
                && from != to
            {
                evidence.hit(found.pattern, Level::Decoded, &layers, || frames.place(first.start, last.end));
            }
        }
        evidence.matches = matches;
        carve(bytes, evidence, |_, _| frames.place(record.start, record.end));
    }
}

/// The decrypted application data of one side.
#[derive(Debug, Default)]
struct Plain {
    scanner: Scanner,
    map: PlaintextMap,
}

#[derive(Debug)]
enum Inner {
    Undecided(Detector),
    Http(Box<Http>),
    Other,
}

/// What a connection shows of itself.
#[derive(Clone, Debug, Default)]
pub(crate) struct Facts {
    /// Versions that the client offered.
    pub versions_offered: Vec<String>,
    /// Server name that the client asked for (RFC 6066 §3).
    pub server_name: Option<String>,
    /// Application protocols that the client offered (RFC 7301).
    pub alpn_offered: Vec<String>,
    /// Whether the client hid its hello (RFC 9849).
    pub encrypted_client_hello: bool,
    /// Version that the server chose.
    pub version: Option<String>,
    /// Cipher suite that the server chose.
    pub cipher_suite: Option<String>,
    /// Group of the key exchange.
    pub named_group: Option<String>,
    /// Whether that group combines a classical and a post-quantum exchange.
    pub post_quantum_hybrid: Option<bool>,
    /// Application protocol that the server chose; encrypted in TLS 1.3.
    pub alpn: Option<String>,
    /// Whether `alpn` was readable without keys.
    pub alpn_visible: bool,
    /// Certificates of the server, leaf first.
    pub certificates: Vec<Arc<Certificate>>,
    /// Whether they were readable without keys, as up to TLS 1.2.
    pub certificates_visible: bool,
}

/// The bytes of application data, traced back to frames.
struct Decrypted<'a> {
    plain: &'a [Plain; 2],
    frames: &'a [FrameMap; 2],
}

impl Source for Decrypted<'_> {
    fn place(&self, side: Direction, start: u64, end: u64) -> Place {
        let range = start..end.max(start + 1);
        let mut located = self.plain[side as usize].map.locate(range);
        let Some(first) = located.next() else { return self.frames[side as usize].place(0, 0) };
        let last = located.last();
        let last = last.as_ref().unwrap_or(&first);
        Place {
            ciphertext: Some(first.ciphertext.start..last.ciphertext.end),
            ..self.frames[side as usize].place(first.record.start, last.record.end)
        }
    }

    fn visible_frame(&self, _side: Direction, _offset: u64) -> Option<u64> {
        None
    }

    fn frame_before(&self, side: Direction, end: u64) -> u64 {
        self.place(side, end.saturating_sub(1), end).frames.last().copied().unwrap_or(0)
    }

    fn is_in_one_frame(&self, _side: Direction, _start: u64, _end: u64) -> bool {
        false
    }

    fn layers(&self) -> &'static [&'static str] {
        &["tls1.3"]
    }

    fn is_encrypted(&self) -> bool {
        true
    }
}

impl Tls {
    /// A connection at its beginning. With a key log the wrong-key control runs beside it.
    pub(crate) fn new(keys: Option<&Arc<KeyLog>>) -> Self {
        Self {
            session: keys.map_or_else(|| Session::new(None), |keys| Session::with_control(Arc::clone(keys))),
            observer: TlsObserver {
                plain: Default::default(),
                inner: Inner::Undecided(Detector::default()),
                record_end: [0; 2],
                dead_from: [None; 2],
                clear: Default::default(),
                bytes: Default::default(),
                awaited_records: 0,
                facts: Facts::default(),
            },
        }
    }

    /// What the connection shows of itself.
    pub(crate) fn facts(&self) -> &Facts {
        &self.observer.facts
    }

    /// What a side sent, by who can read it.
    pub(crate) fn bytes(&self, side: Direction) -> TlsBytes {
        self.observer.bytes[side as usize]
    }

    /// Records of the server that the client waited for: all but those that follow the handshake unasked, such as
    /// session tickets (RFC 8446 §4.6).
    pub(crate) fn awaited_records(&self) -> u64 {
        self.observer.awaited_records
    }

    /// Whether an HTTP answer has begun.
    pub(crate) fn is_answered(&self) -> bool {
        matches!(&self.observer.inner, Inner::Http(http) if http.is_answered())
    }

    /// The session, for its accounts.
    pub(crate) fn session(&self) -> &Session {
        &self.session
    }

    /// The lowest stream offset of a side whose frames may still be asked for.
    pub(crate) fn keep_from(&self, side: Direction) -> u64 {
        let TlsObserver { plain, inner, record_end, .. } = &self.observer;
        let (plain, record_end) = (&plain[side as usize], record_end[side as usize]);
        let mut keep = plain.scanner.keep_from();
        match inner {
            Inner::Undecided(detector) => keep = detector.keep_from(side).unwrap_or(keep).min(keep),
            Inner::Http(http) => keep = keep.min(http.keep_from(side)),
            Inner::Other => {}
        }
        let record = plain.map.locate(keep..u64::MAX).next().map(|located| located.record.start);
        record.map_or(record_end, |start| start.min(record_end))
    }

    /// From where on the bytes of a side are no TLS.
    pub(crate) fn dead_from(&self, side: Direction) -> Option<u64> {
        self.observer.dead_from[side as usize]
    }

    /// Takes the next bytes of a side.
    pub(crate) fn push(
        &mut self,
        side: Direction,
        offset: u64,
        bytes: &[u8],
        frames: &[FrameMap; 2],
        workspace: &mut Workspace,
        evidence: &mut Evidence<'_>,
    ) {
        let Self { session, observer } = self;
        let mut feed = session.feed(workspace, side, offset, bytes);
        while let Some(event) = feed.next_event() {
            observer.take(event, frames, evidence);
        }
    }

    /// Bytes of a side are missing.
    pub(crate) fn gap(
        &mut self,
        side: Direction,
        offset: u64,
        len: u64,
        frames: &[FrameMap; 2],
        workspace: &mut Workspace,
        evidence: &mut Evidence<'_>,
    ) {
        let Self { session, observer } = self;
        let mut feed = session.gap(workspace, side, offset, len);
        while let Some(event) = feed.next_event() {
            observer.take(event, frames, evidence);
        }
    }

    /// The connection is over.
    pub(crate) fn finish(
        &mut self,
        frames: &[FrameMap; 2],
        workspace: &mut Workspace,
        evidence: &mut Evidence<'_>,
    ) {
        let Self { session, observer } = self;
        let mut feed = session.finish(workspace);
        while let Some(event) = feed.next_event() {
            observer.take(event, frames, evidence);
        }
        drop(feed);
        if let Inner::Http(http) = &mut observer.inner {
            let source = Decrypted { plain: &observer.plain, frames };
            for side in Direction::BOTH {
                http.close(side, &source, evidence);
            }
        }
    }
}

impl TlsObserver {
    fn take(&mut self, event: Event<'_>, frames: &[FrameMap; 2], evidence: &mut Evidence<'_>) {
        match event {
            Event::Record(record) => self.record(&record, frames, evidence),
            Event::Handshake(handshake) => self.handshake(&handshake, frames, evidence),
            Event::Anomaly(anomaly) => {
                if let Reason::NotTls(_) | Reason::AfterGap = anomaly.reason {
                    self.dead_from[anomaly.direction as usize].get_or_insert(anomaly.range.start);
                }
            }
        }
    }

    fn record(&mut self, record: &Record<'_>, frames: &[FrameMap; 2], evidence: &mut Evidence<'_>) {
        let side = record.direction as usize;
        let Self { plain, inner, record_end, clear, .. } = self;
        record_end[side] = record_end[side].max(record.range.end);
        plain[side].map.push(record);
        self.bytes[side].add(record);
        self.awaited_records +=
            u64::from(record.direction == Direction::ServerToClient && !is_unasked(record));
        let frame = frames[side].frame_at(record.range.start);
        evidence.packets.begins(frame, || packet_list::record_name(record));
        match &record.content {
            Content::Decrypted(opened) if opened.content_type == ContentType::APPLICATION_DATA => {
                let offset = opened.application_offset;
                application_data(record.direction, offset, opened.plaintext, plain, inner, frames, evidence);
            }
            Content::Handshake(bytes) => {
                clear[side].handshake(&record.range, bytes, &frames[side], evidence);
            }
            Content::Alert(_) => {
                clear[side].alerts += 1;
                if clear[side].alerts > MAX_CLEAR_ALERTS {
                    let (index, at) = (frames[side].stream(), record.range.start);
                    let bytes = record.range.end - at;
                    let reason = "one alert after the other";
                    evidence.unexplained(Some(index), Some(record.direction), at, bytes, reason);
                }
            }
            // What a lost record held is not part of the plaintext offsets: nothing may be matched across it.
            Content::NotAuthentic | Content::Damaged => {
                plain[side].scanner.gap(0);
                if let Inner::Http(http) = inner {
                    http.gap(record.direction, 0);
                }
            }
            _ => {}
        }
    }

    fn handshake(&mut self, handshake: &Handshake, frames: &[FrameMap; 2], evidence: &mut Evidence<'_>) {
        self.facts.take(&handshake.message, handshake.was_encrypted);
        if handshake.was_encrypted {
            return;
        }
        let (frames, range) = (&frames[handshake.direction as usize], &handshake.range);
        let frame = frames.frame_at(range.start);
        evidence.packets.begins(frame, || packet_list::message_name(&handshake.message));
        if let Some(unknown) = unknown_extension(&handshake.message) {
            let reason = format!("a hello with an extension that is not known here: {unknown}");
            let bytes = range.end - range.start;
            let stream = Some(frames.stream());
            evidence.unexplained(stream, Some(handshake.direction), range.start, bytes, reason);
        }
    }
}

impl TlsBytes {
    fn add(&mut self, record: &Record<'_>) {
        let len = record.range.end - record.range.start;
        match record.content {
            // How much of it was captured, its session does not tell.
            Content::Damaged => {}
            _ if packet_list::is_protected(record) => {
                self.open += HEADER_LEN as u64;
                self.sealed += len - HEADER_LEN as u64;
            }
            _ => self.open += len,
        }
    }
}

/// A handshake message behind the handshake: the client did not wait for it.
fn is_unasked(record: &Record<'_>) -> bool {
    matches!(&record.content, Content::Decrypted(opened)
        if opened.content_type == ContentType::HANDSHAKE && matches!(opened.epoch, Epoch::Application(_)))
}

fn application_data(
    side: Direction,
    offset: u64,
    bytes: &[u8],
    plain: &mut [Plain; 2],
    inner: &mut Inner,
    frames: &[FrameMap; 2],
    evidence: &mut Evidence<'_>,
) {
    evidence.decrypted_bytes += bytes.len() as u64;
    let mut matches = evidence.search(&mut plain[side as usize].scanner, bytes);
    let source = Decrypted { plain, frames };
    if !matches.is_empty() {
        let layers = evidence.layers(source.layers());
        for found in matches.drain(..) {
            let place = || source.place(side, found.start, found.end);
            evidence.hit(found.pattern, Level::Decrypted, &layers, place);
        }
    }
    evidence.matches = matches;
    match inner {
        Inner::Http(http) => http.push(side, offset, bytes, &source, evidence),
        Inner::Undecided(detector) => match detector.push(side, offset, bytes) {
            None => {}
            Some(Protocol::Http1) => {
                let mut http = Box::new(Http::default());
                for (side, first) in Direction::BOTH.into_iter().zip(std::mem::take(detector).into_first()) {
                    if !first.bytes.is_empty() {
                        http.push(side, first.offset, &first.bytes, &source, evidence);
                    }
                }
                *inner = Inner::Http(http);
            }
            Some(_) => *inner = Inner::Other,
        },
        Inner::Other => {}
    }
    let mut keep = plain[side as usize].scanner.keep_from();
    match inner {
        Inner::Http(http) => keep = keep.min(http.keep_from(side)),
        Inner::Undecided(_) => return,
        Inner::Other => {}
    }
    plain[side as usize].map.forget_before(keep);
}

/// An extension of a hello in the clear that has no name here and is not reserved for nonsense (RFC 8701).
fn unknown_extension(message: &Message) -> Option<ExtensionType> {
    let extensions = match message {
        Message::ClientHello(hello) => &hello.extensions,
        Message::ServerHello(hello) => &hello.extensions,
        _ => return None,
    };
    extensions.iter().copied().find(|extension| extension.name().is_none() && !is_grease(extension.0))
}

impl Facts {
    fn take(&mut self, message: &Message, was_encrypted: bool) {
        match message {
            Message::ClientHello(hello) if self.versions_offered.is_empty() => {
                self.versions_offered = if hello.supported_versions.is_empty() {
                    vec![hello.legacy_version.to_string()]
                } else {
                    hello.supported_versions.iter().map(ToString::to_string).collect()
                };
                self.server_name.clone_from(&hello.server_name);
                self.alpn_offered.clone_from(&hello.alpn);
                self.encrypted_client_hello = hello.offers_encrypted_client_hello;
            }
            Message::ServerHello(hello) if !hello.is_hello_retry_request => {
                self.version = Some(hello.version.to_string());
                self.cipher_suite = Some(hello.cipher_suite.to_string());
                self.named_group = hello.key_share_group.map(|group| group.to_string());
                self.post_quantum_hybrid = hello.key_share_group.map(NamedGroup::is_post_quantum_hybrid);
                if let Some(alpn) = &hello.alpn {
                    self.alpn = Some(alpn.clone());
                    self.alpn_visible = true;
                }
            }
            Message::EncryptedExtensions(extensions) => self.alpn.clone_from(&extensions.alpn),
            Message::Certificate(chain) if self.certificates.is_empty() => {
                self.certificates.clone_from(&chain.certificates);
                self.certificates_visible = !was_encrypted;
            }
            _ => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::input::journal::Message;
    use crate::search::needles::KnownStrings;
    use exposure_schema::Event;

    /// Bytes of a string that overlaps with itself at each of them, which are just followed: `MAX_OPEN` anchors.
    const FITS: usize = 4096 + 31;

    fn long_string() -> KnownStrings {
        let body = format!("\"{}\"", "a".repeat(2 * FITS)).into_bytes();
        let message = Message {
            agent: "agent-a".to_owned(),
            event: Event::Sent,
            message_id: None,
            direction: exposure_schema::Direction::ClientToServer,
            at_unix_ns: None,
            local: None,
            remote: None,
            content_type: None,
            body,
            body_sha256: [0; 32],
        };
        KnownStrings::new(&[message], &[])
    }

    /// Decrypts to these records, and says whether a doubt is left.
    fn leaves_doubt(known: &KnownStrings, records: &[&str]) -> bool {
        let mut evidence = Evidence::new(known, None);
        let (mut plain, mut inner) = (Default::default(), Inner::Undecided(Detector::default()));
        let frames = Direction::BOTH.map(|side| FrameMap::new(0, side));
        let mut offset = 0;
        for record in records {
            let bytes = record.as_bytes();
            application_data(
                Direction::ClientToServer,
                offset,
                bytes,
                &mut plain,
                &mut inner,
                &frames,
                &mut evidence,
            );
            offset += bytes.len() as u64;
        }
        !evidence.bounds_hit.is_empty()
    }

    #[test]
    fn strings_under_way_where_a_decrypted_record_ends() {
        let known = long_string();
        let text = "a".repeat(FITS + 1);
        assert!(leaves_doubt(&known, &[&text, "."]));
        assert!(!leaves_doubt(&known, &[&text[1..], "."]));
        assert!(!leaves_doubt(&known, &[&(text + ".")]), "what follows in the same record decides at once");
    }
}
