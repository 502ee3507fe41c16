//! Writes the report on one capture into the result.

use dissect::capture;
use exposure_schema::{
    Capture, Completeness, Controls, FragmentEntry, HttpMessage, MessagePart, Name, ReadableEntry, Scope,
    SkippedBlocks, StringEntry, Summary, Verdict,
};

use super::beside_frames;
use super::claims::{self, Claims};
use super::location::location;
use super::{connections, datagrams, peers, readable, server_keys, transcript};
use crate::input::compression;
use crate::input::discover::Input;
use crate::observe::cleartext::{Cleartext, CleartextString, Strings};
use crate::observe::direction::direction;
use crate::observe::messages::Listed;
use crate::observe::parts::ListedPart;
use crate::pipeline::parts::PartKind;
use crate::pipeline::provenance::HttpStream;
use crate::verdict::doubt::Doubt;
use crate::verdict::report::CaptureReport;

/// The verdict on a capture, and what it rests on.
pub(crate) struct Judgement {
    /// The verdict; `None` without journals.
    pub verdict: Option<Verdict>,
    /// Every doubt.
    pub doubts: Vec<Doubt>,
    /// Whether the capture contains everything that was sent.
    pub completeness: Completeness,
    /// Whether "not found" means "not there".
    pub controls: Controls,
    /// Number of strings by level.
    pub summary: Summary,
    /// Readable parts of messages and secrets.
    pub fragments: Vec<FragmentEntry>,
    /// What the verdict is about; `None` if it is about the whole capture.
    pub scope: Option<Scope>,
}

/// Writes down everything that is known about a capture.
pub(crate) fn entry(
    input: &Input,
    claims: Claims,
    report: CaptureReport<'_>,
    strings: Vec<StringEntry>,
    judgement: Judgement,
) -> Capture {
    let manifest = report.manifest;
    let Judgement { verdict, doubts, completeness, controls, summary, fragments, scope } = judgement;
    let exhibit = transcript::exhibit(&report);
    let cleartext = report.observed.cleartext.as_ref();
    let body_strings = |of: fn(&Cleartext) -> &Strings| {
        cleartext.iter().flat_map(|cleartext| &of(cleartext).listed).map(readable_string).collect()
    };
    Capture {
        name: manifest.map_or_else(|| stem(input), |manifest| manifest.name.clone()),
        file: input.capture.as_ref().map_or_else(|| "-".to_owned(), |path| path.display().to_string()),
        bytes: report.file.bytes,
        compression: report.compression.map(str::to_owned),
        run_id: manifest.map(|manifest| manifest.run_id.clone()),
        variant: manifest.map(|manifest| manifest.variant.name.clone()),
        backend: manifest.map(|manifest| manifest.backend.clone()),
        vantage: manifest.map(|manifest| manifest.vantage.clone()),
        expected_verdict: manifest.map(|manifest| manifest.expected_verdict),
        frames: report.observed.frames.total,
        first_frame_at_unix_ns: report.observed.frames.first_at,
        last_frame_at_unix_ns: report.observed.frames.last_at,
        verdict,
        reasons: doubts.iter().map(ToString::to_string).collect(),
        doubts: doubts.iter().map(Doubt::entry).collect(),
        scope,
        completeness,
        controls,
        strings,
        summary,
        fragments,
        server_keys: report.server_keys.iter().map(server_keys::entry).collect(),
        tls: connections::tls(&report.observed.connections, report.observed.text_fields.as_ref()),
        skipped_blocks: skipped_blocks(report.skipped_blocks),
        dns: datagrams::dns(&report.observed.dns, &report.observed.connections),
        quic: datagrams::quic(&report.observed.quic),
        http: report.observed.messages.listed.iter().map(|listed| http(&report, listed)).collect(),
        http_total: report.observed.messages.total,
        parts: report.observed.parts.listed.iter().map(part).collect(),
        parts_total: report.observed.parts.total,
        readable: body_strings(|cleartext| &cleartext.readable),
        readable_total: cleartext.map_or(0, |cleartext| cleartext.readable.total),
        opened: body_strings(|cleartext| &cleartext.opened),
        opened_total: cleartext.map_or(0, |cleartext| cleartext.opened.total),
        contents: report.observed.readable.as_ref().map(readable::entry),
        manifest: manifest.map(claims::manifest),
        journal: claims.journal,
        journal_total: claims.total,
        messages_sha256: claims.messages_sha256,
        connections: connections::connections(&report.observed.connections),
        connections_total: report.observed.connections.total,
        peers: peers::peers(&report.observed.peers),
        peers_left_out_bytes: report.observed.peers.left_out_bytes,
        traffic: report.observed.byte_counts.entry(),
        beside_frames: beside_frames::beside_frames(&report),
        packets: report.observed.packets.into_entries(),
        exhibit,
        sha256: report.file.sha256,
    }
}

fn skipped_blocks(blocks: capture::SkippedBlocks) -> Option<SkippedBlocks> {
    let capture::SkippedBlocks { name_resolution, statistics, other_secrets, custom, unknown } = blocks;
    let any = blocks != capture::SkippedBlocks::default();
    any.then_some(SkippedBlocks { name_resolution, statistics, other_secrets, custom, unknown })
}

fn http(report: &CaptureReport<'_>, listed: &Listed) -> HttpMessage {
    let message = &listed.message;
    let text = |text: &String| Some(text.clone()).filter(|text| !text.is_empty());
    HttpMessage {
        stream: message.location.stream,
        http2_stream: http2_stream(message.http_stream),
        quic_session: quic_session(message.http_stream),
        http3_stream: http3_stream(message.http_stream),
        direction: message.location.direction.map(direction),
        first_frame: message.location.frames.first().copied(),
        last_frame: message.last_frame,
        first_at_unix_ns: listed.first_at,
        last_at_unix_ns: listed.last_at,
        method: text(&message.method),
        target: text(&message.target),
        status: Some(message.status).filter(|status| *status != 0),
        content_type: text(&message.content_type),
        body_bytes: message.body_bytes,
        complete: message.is_complete,
        level: message.level,
        layers: message.decode_chain.iter().copied().map(Name::from).collect(),
        message_id: listed.known.and_then(|index| report.known.messages[index].id.clone()),
    }
}

fn http2_stream(of: Option<HttpStream>) -> Option<u32> {
    match of? {
        HttpStream::Http2(stream) => Some(stream),
        HttpStream::Http3 { .. } => None,
    }
}

fn quic_session(of: Option<HttpStream>) -> Option<u32> {
    match of? {
        HttpStream::Http3 { session, .. } => Some(session),
        HttpStream::Http2(_) => None,
    }
}

fn http3_stream(of: Option<HttpStream>) -> Option<u64> {
    match of? {
        HttpStream::Http3 { stream, .. } => Some(stream),
        HttpStream::Http2(_) => None,
    }
}

/// A string of a body.
pub(crate) fn readable_string(string: &CleartextString) -> ReadableEntry {
    ReadableEntry {
        value: string.value.clone(),
        path: string.path.clone(),
        location: location(&string.location, string.chain.as_slice()),
    }
}

fn part(part: &ListedPart) -> MessagePart {
    MessagePart {
        stream: part.stream,
        http2_stream: http2_stream(part.http_stream),
        quic_session: quic_session(part.http_stream),
        http3_stream: http3_stream(part.http_stream),
        direction: direction(part.direction),
        kind: part.kind.into(),
        name: Some(part.name.clone()).filter(|name| !name.is_empty()),
        first_frame: part.first_frame,
        last_frame: part.last_frame,
        bytes: part.bytes,
        complete: part.is_complete,
        level: part.level,
        layers: part.decode_chain.iter().copied().map(Name::from).collect(),
    }
}

impl From<PartKind> for exposure_schema::PartKind {
    fn from(kind: PartKind) -> Self {
        match kind {
            PartKind::Event => Self::Event,
            PartKind::Line => Self::Line,
            PartKind::Grpc => Self::Grpc,
        }
    }
}

fn stem(input: &Input) -> String {
    let capture = input.capture.as_deref().map(compression::without_extension);
    let stem = capture.as_ref().and_then(|path| path.file_stem());
    stem.map_or_else(|| "standard input".to_owned(), |stem| stem.to_string_lossy().into_owned())
}
