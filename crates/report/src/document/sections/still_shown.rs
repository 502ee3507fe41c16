//! Chapter 6.3: what TLS still shows.

use exposure_schema::{CertificateEntry, TlsSession, TlsVisible};

use super::Builder;
use crate::document::exhibit::is_encrypted;
use crate::document::line::{Line, captured, line};
use crate::document::{Block, Rank, Section, Table};
use crate::figure;
use crate::model::Capture;

/// TLS connections of a capture that get a table each. Most connections of a run differ only in their ports.
const SESSIONS_DESCRIBED: usize = 2;

/// Names in one cell: versions, protocols, names in a certificate.
const NAMES_LISTED: usize = 8;

impl Builder<'_> {
    pub(super) fn still_shown(&self) -> Section {
        let lang = self.lang;
        let mut blocks = Vec::new();
        for (index, capture) in self.numbered() {
            let Some(tls) = &capture.tls else { continue };
            if blocks.is_empty() {
                blocks.push(Block::Paragraph(lang.still_text()));
            }
            // Connections that differ in nothing but their port need no table each.
            let mut described: Vec<&TlsSession> = Vec::new();
            for session in &tls.sessions {
                let is_new = described.iter().all(|other| !is_alike(other, session));
                if is_new && described.len() < SESSIONS_DESCRIBED {
                    described.push(session);
                }
            }
            blocks
                .extend(described.iter().map(|session| Block::Table(self.session(index, capture, session))));
            let shown = described.len() as u64;
            if tls.connections > shown {
                let text = lang.still_connections(tls.connections, shown, tls.records.total);
                blocks.push(Block::Paragraph(text));
            }
        }
        if blocks.is_empty() {
            blocks.push(Block::Paragraph(lang.still_none()));
        }
        let shapes: Vec<(&Capture, bool)> =
            self.captures.iter().map(|capture| (capture, is_encrypted(capture))).collect();
        if let Some(shape) = figure::shape(lang, &shapes) {
            blocks.push(Block::Paragraph(lang.shape_text(self.is_same_conversation())));
            blocks.push(Block::Figures(vec![shape]));
        }
        self.part("still-shown", Rank::Part, lang.still_shown(), blocks)
    }

    /// What a TLS connection shows to an eavesdropper, what only the key log shows, and the frame that proves it.
    fn session(&self, index: usize, capture: &Capture, session: &TlsSession) -> Table {
        let lang = self.lang;
        let (shown, hidden) = (&session.visible, &session.hidden);
        let proof = |frame: Option<u64>| frame.map(|frame| line![self.evidence.short(index, frame)]);
        let connection = capture.connections.iter().find(|connection| connection.stream == session.stream);
        let syn = proof(connection.map(|connection| connection.first_frame));
        let client_hello = proof(frame_with(capture, session.stream, "ClientHello"));
        let server_hello = proof(frame_with(capture, session.stream, "ServerHello"));

        let ends = line![captured(format!("{} → {}", session.client, session.server))];
        let mut rows = vec![row(lang.visible_addresses(), ends, None, syn)];
        rows.extend(self.offered(shown).map(|(name, value)| row(name, value, None, client_hello.clone())));
        rows.push(row(
            lang.visible_alpn(),
            shown.alpn.as_deref().map_or_else(|| line![lang.encrypted()], |alpn| line![captured(alpn)]),
            hidden.alpn.as_deref().map(|alpn| line![captured(alpn)]),
            None,
        ));
        rows.extend(self.chosen(shown).map(|(name, value)| row(name, value, None, server_hello.clone())));
        rows.push(row(
            lang.visible_certificate(),
            leaf(&shown.certificates).unwrap_or_else(|| line![lang.encrypted()]),
            leaf(&hidden.certificates),
            None,
        ));
        let pair = |numbers: [u64; 2]| line![numbers[0], ", ", numbers[1]];
        rows.push(row(lang.visible_records(), pair(shown.records), None, None));
        rows.push(row(lang.visible_bytes(), pair(shown.stream_bytes), None, None));
        Table {
            caption: lang.still_table(&capture.name, session.stream),
            columns: vec![
                self.column(lang.measure()),
                self.column(lang.visible()),
                self.column(lang.with_key_log()),
                self.column(lang.first_proof()),
            ],
            rows,
            note: None,
        }
    }

    /// What the ClientHello shows: name and value.
    fn offered(&self, shown: &TlsVisible) -> [(&'static str, Line); 3] {
        let lang = self.lang;
        let list = |values: &[String]| match values {
            [] => line![lang.none()],
            values => names(values),
        };
        [
            (lang.visible_sni(), self.or_none(shown.server_name.as_deref())),
            (lang.visible_alpn_offered(), list(&shown.alpn_offered)),
            (lang.visible_versions(), list(&shown.versions_offered)),
        ]
    }

    /// What the ServerHello shows: name and value.
    fn chosen(&self, shown: &TlsVisible) -> [(&'static str, Line); 3] {
        let lang = self.lang;
        let hybrid = shown.post_quantum_hybrid.map(|hybrid| {
            line![" (", if hybrid { lang.post_quantum() } else { lang.not_post_quantum() }, ")"]
        });
        [
            (lang.visible_version(), self.or_none(shown.version.as_deref())),
            (lang.visible_suite(), self.or_none(shown.cipher_suite.as_deref())),
            (lang.visible_group(), line![self.or_none(shown.named_group.as_deref()), hybrid]),
        ]
    }
}

fn row(name: &str, shown: Line, with_key_log: Option<Line>, proof: Option<Line>) -> Vec<Line> {
    vec![line![name], shown, with_key_log.unwrap_or_default(), proof.unwrap_or_default()]
}

/// The first frame of a stream in which a TLS message of this name begins.
fn frame_with(capture: &Capture, stream: u32, message: &str) -> Option<u64> {
    let of_stream = capture.packets.iter().filter(|packet| packet.stream == Some(stream));
    let holding = of_stream.filter(|packet| packet.holds.iter().any(|held| held == message));
    holding.map(|packet| packet.frame).min()
}

/// Subject and names of the server's own certificate, the first of the chain.
fn leaf(certificates: &[CertificateEntry]) -> Option<Line> {
    let leaf = certificates.first()?;
    Some(line![captured(&leaf.subject), "; ", names(&leaf.subject_alt_names)])
}

fn names(names: &[String]) -> Line {
    Line::joined(names.iter().take(NAMES_LISTED).map(captured), ", ")
}

/// Whether two connections show the same to an eavesdropper, apart from addresses and sizes.
fn is_alike(one: &TlsSession, other: &TlsSession) -> bool {
    let (one, other) = (&one.visible, &other.visible);
    (&one.server_name, &one.alpn_offered, &one.version, &one.cipher_suite, &one.named_group)
        == (&other.server_name, &other.alpn_offered, &other.version, &other.cipher_suite, &other.named_group)
}
