//! TLS connections: what stays visible, and what the key log opens.

use std::sync::Arc;

use dissect::keylog::KeyLog;
use dissect::tls::{
    Certificate, Content, ContentType, Event, Message, NamedGroup, PlaintextMap, Reason, Session, Side,
    Workspace,
};

use crate::detect::{Detector, Protocol};
use crate::evidence::Evidence;
use crate::findings::{Level, Place};
use crate::frame_map::FrameMap;
use crate::http::{Http, Source};
use crate::search::Scanner;

/// One TLS connection.
#[derive(Debug)]
pub(crate) struct Tls {
    session: Session,
    plain: [Plain; 2],
    inner: Inner,
    /// Stream offset behind the last record that was told, by side.
    record_end: [u64; 2],
    /// Where each side stopped being TLS.
    dead_from: [Option<u64>; 2],
    facts: Facts,
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
    fn place(&self, side: Side, start: u64, end: u64) -> Place {
        let range = start..end.max(start + 1);
        let mut records = self.plain[side as usize].map.locate(range).map(|located| located.record);
        let first = records.next().unwrap_or(0..0);
        let end = records.last().map_or(first.end, |record| record.end);
        self.frames[side as usize].place(first.start, end)
    }

    fn frame_before(&self, side: Side, end: u64) -> u64 {
        self.place(side, end.saturating_sub(1), end).frames.last().copied().unwrap_or(0)
    }

    fn is_in_one_frame(&self, _side: Side, _start: u64, _end: u64) -> bool {
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
            plain: Default::default(),
            inner: Inner::Undecided(Detector::default()),
            record_end: [0; 2],
            dead_from: [None; 2],
            facts: Facts::default(),
        }
    }

    /// What the connection shows of itself.
    pub(crate) fn facts(&self) -> &Facts {
        &self.facts
    }

    /// The session, for its accounts.
    pub(crate) fn session(&self) -> &Session {
        &self.session
    }

    /// The lowest stream offset of a side whose frames may still be asked for.
    pub(crate) fn keep_from(&self, side: Side) -> u64 {
        let plain = &self.plain[side as usize];
        let mut keep = plain.scanner.keep_from();
        match &self.inner {
            Inner::Undecided(detector) => keep = detector.keep_from(side).unwrap_or(keep).min(keep),
            Inner::Http(http) => keep = keep.min(http.keep_from(side)),
            Inner::Other => {}
        }
        let record = plain.map.locate(keep..u64::MAX).next().map(|located| located.record.start);
        record.map_or(self.record_end[side as usize], |start| start.min(self.record_end[side as usize]))
    }

    /// From where on the bytes of a side are no TLS.
    pub(crate) fn dead_from(&self, side: Side) -> Option<u64> {
        self.dead_from[side as usize]
    }

    /// Takes the next bytes of a side.
    pub(crate) fn push(
        &mut self,
        side: Side,
        offset: u64,
        bytes: &[u8],
        frames: &[FrameMap; 2],
        workspace: &mut Workspace,
        evidence: &mut Evidence<'_>,
    ) {
        let Self { session, plain, inner, record_end, dead_from, facts } = self;
        let mut feed = session.feed(workspace, side, offset, bytes);
        while let Some(event) = feed.next_event() {
            take(event, plain, inner, record_end, dead_from, facts, frames, evidence);
        }
    }

    /// Bytes of a side are missing.
    pub(crate) fn gap(
        &mut self,
        side: Side,
        offset: u64,
        len: u64,
        frames: &[FrameMap; 2],
        workspace: &mut Workspace,
        evidence: &mut Evidence<'_>,
    ) {
        let Self { session, plain, inner, record_end, dead_from, facts } = self;
        let mut feed = session.gap(workspace, side, offset, len);
        while let Some(event) = feed.next_event() {
            take(event, plain, inner, record_end, dead_from, facts, frames, evidence);
        }
    }

    /// The connection is over.
    pub(crate) fn finish(
        &mut self,
        frames: &[FrameMap; 2],
        workspace: &mut Workspace,
        evidence: &mut Evidence<'_>,
    ) {
        let Self { session, plain, inner, record_end, dead_from, facts } = self;
        let mut feed = session.finish(workspace);
        while let Some(event) = feed.next_event() {
            take(event, plain, inner, record_end, dead_from, facts, frames, evidence);
        }
        drop(feed);
        if let Inner::Http(http) = inner {
            let source = Decrypted { plain, frames };
            for side in [Side::Client, Side::Server] {
                http.close(side, &source, evidence);
            }
        }
    }
}

#[expect(
    clippy::too_many_arguments,
    reason = "the fields of Tls, apart from the session that lends the event"
)]
fn take(
    event: Event<'_>,
    plain: &mut [Plain; 2],
    inner: &mut Inner,
    record_end: &mut [u64; 2],
    dead_from: &mut [Option<u64>; 2],
    facts: &mut Facts,
    frames: &[FrameMap; 2],
    evidence: &mut Evidence<'_>,
) {
    match event {
        Event::Record(record) => {
            let side = record.side as usize;
            record_end[side] = record_end[side].max(record.range.end);
            plain[side].map.push(&record);
            match &record.content {
                Content::Opened(opened) if opened.content_type == ContentType::APPLICATION_DATA => {
                    let offset = opened.application_offset;
                    application_data(record.side, offset, opened.plaintext, plain, inner, frames, evidence);
                }
                // What a lost record held is not part of the plaintext offsets: nothing may be matched across it.
                Content::NotAuthentic | Content::Damaged => {
                    plain[side].scanner.gap(0);
                    if let Inner::Http(http) = inner {
                        http.gap(record.side, 0);
                    }
                }
                _ => {}
            }
        }
        Event::Handshake(handshake) => facts.take(&handshake.message, handshake.was_encrypted),
        Event::Trouble(trouble) => {
            if let Reason::NotTls(_) | Reason::AfterGap = trouble.reason {
                dead_from[trouble.side as usize].get_or_insert(trouble.range.start);
            }
        }
    }
}

fn application_data(
    side: Side,
    offset: u64,
    bytes: &[u8],
    plain: &mut [Plain; 2],
    inner: &mut Inner,
    frames: &[FrameMap; 2],
    evidence: &mut Evidence<'_>,
) {
    evidence.decrypted_bytes += bytes.len() as u64;
    let mut matches = std::mem::take(&mut evidence.matches);
    plain[side as usize].scanner.push(&evidence.known.matcher, bytes, &mut matches);
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
                for (side, first) in
                    [Side::Client, Side::Server].into_iter().zip(std::mem::take(detector).into_first())
                {
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
