//! From one input to its entry in the result.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, BufRead, BufReader, Read, Seek, SeekFrom};
use std::path::Path;
use std::sync::Arc;

use anyhow::{Context, Result, bail};
use aws_lc_rs::digest;
use dissect::keylog::KeyLog;
use dissect::tls::Certificate;

use crate::connection::Endpoint;
use crate::console;
use crate::evidence::{Evidence, Sighting, WireMessage, direction};
use crate::exposure::{
    Capture, CertificateEntry, Completeness, Controls, DecoyControl, HttpMessage, Location, PositiveControl,
    ReadableEntry, StringEntry, Summary, Tls, TlsHidden, TlsRecords, TlsSession, TlsVisible, TroubledStream,
    UnexplainedEntry, WrongKeyControl,
};
use crate::findings::{Found, Hit, Level, Place};
use crate::inputs::Input;
use crate::journal::Journal;
use crate::manifest::Manifest;
use crate::pass::{Frames, Pass};
use crate::readable::Readable;
use crate::reader::{self, Ended};
use crate::streams::{Streams, TlsConnection};
use crate::strings::{KnownMessage, KnownString, KnownStrings, Sought};
use crate::verdict::{self, Doubts};

/// Places named for one string. One is the proof; the others are for those who look further.
const MAX_LOCATIONS: usize = 8;

/// Characters of a value that are shown.
const MAX_VALUE_CHARS: usize = 256;

/// Missing messages that are named.
const MAX_MISSING: usize = 32;

/// Strings whose first place is read again from the file for an excerpt.
const MAX_EXCERPTS: usize = 2000;

/// Bytes of an excerpt.
const EXCERPT: u64 = 64;

/// Bytes of a key log that are read at once.
const KEY_LOG_PIECE: u64 = 64 << 10;

/// Longest key log that is read.
const MAX_KEY_LOG: u64 = 256 << 20;

/// How to go about it.
#[derive(Clone, Copy, Debug, Default)]
pub struct Options {
    /// Show readable values whose name says that they are secrets.
    pub show_secrets: bool,
}

/// Analyzes one input. `progress` is told how many bytes were read.
///
/// # Errors
///
/// The file cannot be read or is no capture. Everything else is a doubt in the entry.
pub fn prove(input: &Input, options: Options, progress: &mut dyn FnMut(u64)) -> Result<Capture> {
    let mut doubts = Doubts { capture: input.problems.clone(), search: Vec::new() };
    let (messages, has_journal) = read_journals(input, &mut doubts)?;
    let decoys = input.manifest.as_ref().map_or(&[][..], |manifest| &manifest.decoys);
    let known = KnownStrings::new(&messages, decoys);
    drop(messages);
    let keys = read_keys(input, &mut doubts)?;

    let readable =
        (!has_journal).then(|| Readable { show_secrets: options.show_secrets, ..Readable::default() });
    let mut pass = Pass::new(Evidence::new(&known, readable), keys);
    let (ended, sha256, bytes) = read_capture(input, &mut pass, progress)?;
    match ended {
        None => {}
        Some(Ended::NotACapture(error)) => bail!("{}: {error}", input.display()),
        Some(Ended::TooShort(why)) => bail!("{}: {why}", input.display()),
        Some(Ended::Damaged(error)) => doubts.capture.push(error.to_string()),
        Some(Ended::Truncated(why)) => doubts.capture.push(why),
    }
    let has_keys = pass.keys_mut().is_some();
    let (evidence, frames, streams) = pass.finish();
    let result = Proof { input, known: &known, evidence, frames, streams, sha256, bytes, has_keys };
    Ok(result.entry(has_journal, doubts))
}

fn read_journals(input: &Input, doubts: &mut Doubts) -> Result<(Vec<crate::journal::Message>, bool)> {
    let mut messages = Vec::new();
    let mut runs = Vec::new();
    for path in &input.journals {
        let journal = Journal::read(path)?;
        doubts.capture.extend(journal.problems);
        messages.extend(journal.messages);
        runs.extend(journal.runs);
    }
    if let Some(manifest) = &input.manifest
        && let Some(other) = runs.iter().find(|run| **run != manifest.run_id)
    {
        doubts.capture.push(format!("a journal is of run {other}, the capture of run {}", manifest.run_id));
    }
    Ok((messages, !input.journals.is_empty()))
}

fn read_keys(input: &Input, doubts: &mut Doubts) -> Result<Option<Arc<KeyLog>>> {
    let Some(path) = &input.key_log else { return Ok(None) };
    let what = || format!("cannot read the key log {}", path.display());
    let file = File::open(path).with_context(what)?;
    let mut reader = BufReader::new(file.take(MAX_KEY_LOG));
    let mut keys = KeyLog::default();
    let mut lines = Vec::new();
    let mut lines_before = 0;
    // In pieces of whole lines: a key log of many connections is larger than what is kept of it.
    while reader.by_ref().take(KEY_LOG_PIECE).read_to_end(&mut lines).with_context(what)? > 0 {
        reader.read_until(b'\n', &mut lines).with_context(what)?;
        let known_problems = keys.problems().len();
        keys.extend(&lines);
        for problem in &keys.problems()[known_problems..] {
            let line = lines_before + problem.line;
            doubts.search.push(format!("{}: line {line}: {}", path.display(), problem.why));
        }
        lines_before += lines.iter().filter(|byte| **byte == b'\n').count() as u64;
        lines.clear();
    }
    Ok(Some(Arc::new(keys)))
}

fn read_capture(
    input: &Input,
    pass: &mut Pass<'_>,
    progress: &mut dyn FnMut(u64),
) -> Result<(Option<Ended>, [u8; 32], u64)> {
    let what = || format!("cannot read {}", input.display());
    let mut bytes = 0;
    let Some(path) = &input.capture else {
        let mut context = digest::Context::new(&digest::SHA256);
        let each = |buffer: &[u8]| {
            context.update(buffer);
            bytes += buffer.len() as u64;
        };
        let ended = reader::read(io::stdin().lock(), pass, each).with_context(what)?;
        return Ok((ended, reader::finish(context), bytes));
    };
    let file = File::open(path).with_context(what)?;
    if file.metadata().with_context(what)?.is_dir() {
        bail!("{} is a directory", path.display());
    }
    let hash = reader::hash_file(path);
    let each = |buffer: &[u8]| {
        bytes += buffer.len() as u64;
        progress(bytes);
    };
    let ended = reader::read(file, pass, each).with_context(what)?;
    let sha256 =
        hash.join().map_err(|_| anyhow::anyhow!("hashing {} failed", path.display()))?.with_context(what)?;
    // After a damage the rest of the file was not read, but it was hashed.
    let bytes = std::fs::metadata(path).map_or(bytes, |metadata| metadata.len());
    Ok((ended, sha256, bytes))
}

/// Everything that is known after the pass.
struct Proof<'a> {
    input: &'a Input,
    known: &'a KnownStrings,
    evidence: Evidence<'a>,
    frames: Frames,
    streams: Streams,
    sha256: [u8; 32],
    bytes: u64,
    has_keys: bool,
}

impl Proof<'_> {
    fn entry(self, has_journal: bool, mut doubts: Doubts) -> Capture {
        let manifest = self.input.manifest.as_ref();
        let sha256 = crate::hex(&self.sha256);
        let completeness = self.completeness(&sha256, has_journal, &mut doubts);
        let mut excerpts = Excerpts::open(self.input.capture.as_deref());
        let strings: Vec<StringEntry> =
            self.known.strings.iter().map(|string| self.string(string, &mut excerpts)).collect();
        let summary = summarise(&strings);
        let controls = self.controls(&summary, &mut doubts);
        let keyless = summary.verbatim + summary.reassembled + summary.decoded;
        let (verdict, reasons) = verdict::of_capture(summary.total, keyless, has_journal, doubts);
        let readable = self.evidence.readable.as_ref();
        Capture {
            name: manifest.map_or_else(|| stem(self.input), |manifest| manifest.name.clone()),
            file: self
                .input
                .capture
                .as_ref()
                .map_or_else(|| "-".to_owned(), |path| path.display().to_string()),
            sha256,
            bytes: self.bytes,
            run_id: manifest.map(|manifest| manifest.run_id.clone()),
            variant: manifest.map(|manifest| manifest.variant.name.clone()),
            backend: manifest.map(|manifest| manifest.backend.clone()),
            vantage: manifest.map(|manifest| manifest.vantage.clone()),
            expected_verdict: manifest.map(|manifest| manifest.expected_verdict),
            frames: self.frames.total,
            first_frame_at_unix_ns: self.frames.first_at,
            last_frame_at_unix_ns: self.frames.last_at,
            verdict,
            reasons,
            completeness,
            controls,
            strings,
            summary,
            tls: self.tls(),
            http: self.evidence.listed.iter().map(|(message, known)| self.http(message, *known)).collect(),
            http_total: self.evidence.messages,
            readable: readable.iter().flat_map(|readable| &readable.strings).map(readable_entry).collect(),
            readable_total: readable.map_or(0, |readable| readable.total),
        }
    }

    fn completeness(&self, sha256: &str, has_journal: bool, doubts: &mut Doubts) -> Completeness {
        let before = doubts.capture.len();
        let doubt = &mut doubts.capture;
        let manifest = self.input.manifest.as_ref();
        let hash_matches = manifest.map(|manifest| manifest.capture.sha256.as_deref() == Some(sha256));
        let kernel_drops = manifest.and_then(|manifest| manifest.capture.kernel_drops);
        match manifest {
            None if has_journal => {
                doubt.push("there is no manifest: nobody vouches for this file".to_owned());
            }
            None => {}
            Some(manifest) => self.doubt_manifest(manifest, hash_matches == Some(true), doubt),
        }
        if let Some(drops @ 1..) = kernel_drops {
            doubt.push(format!("the kernel dropped {drops} frame(s)"));
        }
        let expected: u64 = self.known.messages.iter().map(|message| message.times).sum();
        let mut accounted = 0;
        let mut missing = Vec::new();
        for (message, sighting) in self.known.messages.iter().zip(&self.evidence.sightings) {
            accounted += sighting.times.min(message.times);
            if sighting.times < message.times && missing.len() < MAX_MISSING {
                missing.push(missing_name(message, sighting));
            }
        }
        if accounted < expected {
            let lacking = expected - accounted;
            doubt.push(format!(
                "{lacking} of {expected} messages of the journals were not seen on the wire{}",
                if self.has_keys || self.streams.tls == 0 {
                    ""
                } else {
                    " (there is no key log to look behind TLS)"
                }
            ));
        }
        if self.known.not_json > 0 {
            let count = self.known.not_json;
            doubt
                .push(format!("{count} message(s) of the journals are no JSON: their strings are not known"));
        }
        if self.known.overflowed {
            doubt.push("the journals hold more strings than are searched".to_owned());
        }
        let Streams { with_data, whole, tcp, .. } = &self.streams;
        if whole < with_data {
            let first = self.streams.troubled.first();
            let example = first.map_or_else(String::new, |stream| {
                format!("; tcp.stream {}: {}", stream.index, stream.reasons.join(", "))
            });
            doubt.push(format!("{} of {with_data} TCP streams are not whole{example}", with_data - whole));
        }
        if self.frames.truncated > 0 {
            doubt.push(format!("{} frame(s) are cut by the capture's snaplen", self.frames.truncated));
        }
        if self.evidence.unexplained_bytes > 0 {
            let first = self.evidence.unexplained.first();
            let example = first.map_or_else(String::new, |first| format!("; first: {}", first.reason));
            doubt.push(format!(
                "{} payload bytes are not explained{example}",
                self.evidence.unexplained_bytes
            ));
        }
        let mut bounds: Vec<_> = self.evidence.bounds_hit.iter().cloned().collect();
        bounds.sort_unstable();
        doubt.append(&mut bounds);
        Completeness {
            passed: doubts.capture.len() == before,
            hash_matches_manifest: hash_matches,
            capture_finished: manifest.map(|manifest| manifest.finished),
            kernel_drops,
            messages_expected: expected,
            messages_accounted: accounted,
            messages_missing: missing,
            messages_unjournaled: self.evidence.unjournaled,
            streams: *with_data,
            streams_whole: *whole,
            streams_troubled: (self.streams.troubled.iter())
                .map(|stream| TroubledStream { stream: stream.index, reasons: stream.reasons.clone() })
                .collect(),
            gaps: u64::from(tcp.gaps),
            gap_bytes: tcp.gap_bytes,
            overlap_conflicts: u64::from(tcp.conflicts),
            retransmissions: u64::from(tcp.repeated) + u64::from(tcp.unverified),
            out_of_order: u64::from(tcp.early),
            frames_truncated: self.frames.truncated,
            frames_undecoded: self.frames.undecoded,
            frames_other: self.frames.other,
            frames_control: self.frames.control,
            unexplained_bytes: self.evidence.unexplained_bytes,
            unexplained: (self.evidence.unexplained.iter())
                .map(|bytes| UnexplainedEntry {
                    stream: bytes.stream,
                    direction: bytes.side.map(direction),
                    at: bytes.at,
                    bytes: bytes.bytes,
                    reason: bytes.reason.clone(),
                })
                .collect(),
        }
    }

    fn doubt_manifest(&self, manifest: &Manifest, hash_matches: bool, doubt: &mut Vec<String>) {
        if !manifest.finished {
            doubt.push("the capturer did not close this file: the capture broke off".to_owned());
        } else if !hash_matches {
            doubt.push("the file is not the one that the capturer closed: its SHA-256 differs".to_owned());
        }
        if let Some(frames) = manifest.capture.frames
            && frames != self.frames.total
        {
            doubt.push(format!("the capturer wrote {frames} frames, the file holds {}", self.frames.total));
        }
        if manifest.vantage == "interface" && manifest.finished && manifest.capture.kernel_drops.is_none() {
            doubt.push("the capturer did not ask the kernel for dropped frames".to_owned());
        }
    }

    fn controls(&self, summary: &Summary, doubts: &mut Doubts) -> Controls {
        let found = summary.total - summary.absent;
        let positive = PositiveControl {
            passed: summary.total > 0 && summary.absent == 0,
            strings: summary.total,
            found,
            key_log: self.has_keys,
            bytes_searched: self.evidence.searched_bytes,
            bytes_decrypted: self.evidence.decrypted_bytes,
        };
        let has_tls = self.streams.tls > 0;
        if has_tls && !self.has_keys {
            doubts.search.push(
                "there is no positive control: no key log shows that the search would have found the strings"
                    .to_owned(),
            );
        } else if summary.absent > 0 {
            let why = format!(
                "the positive control failed: {} of {} strings were found at no level",
                summary.absent, summary.total
            );
            // In plaintext, too, a string that is nowhere says that something was missed.
            doubts.capture.push(why);
        }

        if has_tls && self.has_keys && self.streams.tls_unopened > 0 {
            let count = self.streams.tls_unopened;
            doubts.search.push(format!("the key log does not open both sides of {count} TLS connection(s)"));
        }
        if self.streams.http > 0 {
            // It was read, but a string could be hidden in it behind two encodings; TLS leaves no such place.
            doubts.search.push(format!("{} TCP stream(s) speak HTTP in the clear", self.streams.http));
        }

        let decoys = self.known.needles.iter().enumerate().filter(|(_, needle)| needle.is_decoy);
        let found = decoys.filter(|(id, _)| self.evidence.findings.of(*id as u32).total() > 0).count() as u64;
        let searched = self.known.decoys() as u64;
        let decoys = DecoyControl { passed: searched > 0 && found == 0, searched, found };
        if found > 0 {
            doubts.capture.push(format!("{found} decoy(s) that were never sent were found"));
        } else if searched == 0 {
            doubts.search.push("there are no decoys: the manifest names none".to_owned());
        }

        let records = &self.streams.tls_records;
        let wrong_key = (has_tls && self.has_keys).then_some(WrongKeyControl {
            passed: records.control_tries > 0 && records.control_opened == 0,
            tried: records.control_tries,
            authenticated: records.control_opened,
        });
        if let Some(control) = &wrong_key {
            if control.authenticated > 0 {
                doubts
                    .search
                    .push(format!("{} record(s) authenticated with wrong keys", control.authenticated));
            } else if control.tried == 0 {
                doubts.search.push("no record was tried with wrong keys".to_owned());
            }
        }
        Controls { positive, decoys, wrong_key }
    }

    fn string(&self, string: &KnownString, excerpts: &mut Excerpts) -> StringEntry {
        let message = &self.known.messages[string.message];
        let sighting = &self.evidence.sightings[string.message];
        let (searched_as, level, chance, total, locations) = match string.sought {
            Sought::Value(needle) | Sought::Pair(needle) => {
                let found = self.evidence.findings.of(needle);
                let length = self.known.needles[needle as usize].bytes.len();
                let chance = chance_hits(self.evidence.searched_bytes, length);
                let hits = nearest(found, sighting);
                let locations = hits.into_iter().map(|hit| location(&hit.place, &hit.layers)).collect();
                let searched_as = if let Sought::Value(_) = string.sought { "value" } else { "pair" };
                (searched_as, found.level(), chance, found.total(), locations)
            }
            Sought::Message => match &sighting.first {
                Some(seen) => {
                    ("message", seen.level, 0.0, sighting.times, vec![location(&seen.place, &seen.layers)])
                }
                None => ("message", Level::Absent, 0.0, 0, Vec::new()),
            },
        };
        let mut locations: Vec<Location> = locations;
        if let Some(first) = locations.first_mut() {
            first.excerpt = excerpts.read(first.file_offset);
        }
        StringEntry {
            value: string.value.chars().take(MAX_VALUE_CHARS).collect(),
            value_bytes: string.value.len() as u64,
            path: string.path.to_string(),
            message_id: message.id.clone(),
            direction: message.direction,
            level,
            searched_as,
            expected_chance_hits: chance,
            locations,
            locations_total: total,
        }
    }

    fn http(&self, message: &WireMessage, known: Option<usize>) -> HttpMessage {
        let text = |text: &String| Some(text.clone()).filter(|text| !text.is_empty());
        HttpMessage {
            stream: message.place.stream,
            direction: message.place.side.map(direction),
            first_frame: message.place.frames.first().copied(),
            last_frame: message.last_frame,
            method: text(&message.method),
            target: text(&message.target),
            status: Some(message.status).filter(|status| *status != 0),
            content_type: text(&message.content_type),
            body_bytes: message.body_len,
            complete: message.complete,
            level: message.level,
            layers: message.layers.to_vec(),
            message_id: known.and_then(|index| self.known.messages[index].id.clone()),
        }
    }

    fn tls(&self) -> Option<Tls> {
        let records = &self.streams.tls_records;
        (self.streams.tls > 0).then(|| Tls {
            connections: self.streams.tls,
            records: TlsRecords {
                total: records.total,
                application_data: records.application_data,
                authenticated: records.authenticated,
                failed: records.failed,
                not_opened: records.not_opened,
            },
            sessions: self.streams.tls_connections.iter().map(tls_session).collect(),
        })
    }
}

fn missing_name(message: &KnownMessage, sighting: &Sighting) -> String {
    let id = message.id.as_deref().unwrap_or("without id");
    let what = match message.direction {
        crate::journal::Direction::ClientToServer => "request",
        crate::journal::Direction::ServerToClient => "answer",
    };
    let agents = message.agents.join(" and ");
    format!("{what} {id}: said {} time(s) by {agents}, seen {}", message.times, sighting.times)
}

fn stem(input: &Input) -> String {
    let stem = input.capture.as_ref().and_then(|path| path.file_stem());
    stem.map_or_else(|| "standard input".to_owned(), |stem| stem.to_string_lossy().into_owned())
}

fn summarise(strings: &[StringEntry]) -> Summary {
    let mut counts: BTreeMap<Level, u64> = BTreeMap::new();
    for string in strings {
        *counts.entry(string.level).or_default() += 1;
    }
    let of = |level| counts.get(&level).copied().unwrap_or(0);
    Summary {
        verbatim: of(Level::Verbatim),
        reassembled: of(Level::Reassembled),
        decoded: of(Level::Decoded),
        decrypted: of(Level::Decrypted),
        absent: of(Level::Absent),
        total: strings.len() as u64,
    }
}

/// Matches of a needle to be expected in as many random bytes: `(n - len + 1) / 256^len`.
fn chance_hits(searched: u64, length: usize) -> f64 {
    let places = (searched + 1).saturating_sub(length as u64) as f64;
    places * (-(length as f64) * 8.0).exp2()
}

/// The places at the cheapest level, those in the string's own message first.
fn nearest<'f>(found: &'f Found, sighting: &Sighting) -> Vec<&'f Hit> {
    let level = found.level();
    let own = |hit: &Hit| {
        sighting.first.as_ref().is_some_and(|message| {
            let (place, whole) = (&hit.place, &message.place);
            let range = whole.stream_offset.zip(Some(whole.wire_len));
            (place.stream, place.side) == (whole.stream, whole.side)
                && place
                    .stream_offset
                    .zip(range)
                    .is_some_and(|(at, (start, len))| at >= start && at < start + len)
        })
    };
    let at_level = || found.hits.iter().filter(|hit| hit.level == level);
    at_level().filter(|hit| own(hit)).chain(at_level().filter(|hit| !own(hit))).take(MAX_LOCATIONS).collect()
}

fn location(place: &Place, layers: &[&'static str]) -> Location {
    Location {
        filter: display_filter(place),
        frames: place.frames.clone(),
        file_offset: place.file_offset,
        stream: place.stream,
        direction: place.side.map(direction),
        stream_offset: place.stream_offset,
        layers: layers.to_vec(),
        excerpt: None,
    }
}

/// A filter to paste into Wireshark that shows exactly the contributing frames.
fn display_filter(place: &Place) -> String {
    match (place.frames.as_slice(), place.stream) {
        ([], Some(stream)) => format!("tcp.stream == {stream}"),
        (frames, _) if frames.len() <= 4 => {
            frames.iter().map(|frame| format!("frame.number == {frame}")).collect::<Vec<_>>().join(" || ")
        }
        (frames, _) => format!("frame.number in {{{}}}", runs(frames).join(", ")),
    }
}

/// Ascending numbers with their neighbours drawn together: `88..132`, `134`.
fn runs(numbers: &[u64]) -> Vec<String> {
    numbers
        .chunk_by(|one, next| one + 1 == *next)
        .map(|run| match run {
            [first, .., last] => format!("{first}..{last}"),
            run => run.iter().map(u64::to_string).collect(),
        })
        .collect()
}

fn readable_entry(string: &crate::readable::ReadableString) -> ReadableEntry {
    let value = string.value.as_ref().map(|value| value.chars().take(MAX_VALUE_CHARS).collect());
    ReadableEntry { value, path: string.path.clone(), location: location(&string.place, &["http1"]) }
}

fn tls_session(connection: &TlsConnection) -> TlsSession {
    let facts = &connection.facts;
    let certificates: Vec<_> =
        facts.certificates.iter().map(|certificate| certificate_entry(certificate)).collect();
    let (shown, hidden) =
        if facts.certificates_visible { (certificates, Vec::new()) } else { (Vec::new(), certificates) };
    TlsSession {
        stream: connection.index,
        client: endpoint(connection.client),
        server: endpoint(connection.server),
        visible: TlsVisible {
            server_name: facts.server_name.clone(),
            versions_offered: facts.versions_offered.clone(),
            alpn_offered: facts.alpn_offered.clone(),
            alpn: facts.alpn.clone().filter(|_| facts.alpn_visible),
            version: facts.version.clone(),
            cipher_suite: facts.cipher_suite.clone(),
            named_group: facts.named_group.clone(),
            post_quantum_hybrid: facts.post_quantum_hybrid,
            certificates: shown,
            records: connection.records,
            stream_bytes: connection.protected_bytes,
        },
        hidden: TlsHidden { alpn: facts.alpn.clone().filter(|_| !facts.alpn_visible), certificates: hidden },
    }
}

fn certificate_entry(certificate: &Certificate) -> CertificateEntry {
    let fields = certificate.fields.as_ref().ok();
    CertificateEntry {
        subject: fields.map_or_else(String::new, |fields| fields.subject.clone()),
        issuer: fields.map_or_else(String::new, |fields| fields.issuer.clone()),
        subject_alt_names: fields.map_or_else(Vec::new, |fields| fields.subject_alt_names.clone()),
        sha256: crate::hex(&certificate.sha256),
    }
}

fn endpoint((address, port): Endpoint) -> String {
    std::net::SocketAddr::new(address.to_ip(), port).to_string()
}

/// Reads wire bytes again, for people.
struct Excerpts {
    file: Option<File>,
    left: usize,
}

impl Excerpts {
    fn open(path: Option<&Path>) -> Self {
        Self { file: path.and_then(|path| File::open(path).ok()), left: MAX_EXCERPTS }
    }

    /// The bytes at an offset; what is not printable ASCII as `\xNN`.
    fn read(&mut self, offset: u64) -> Option<String> {
        let file = self.file.as_mut().filter(|_| self.left > 0)?;
        self.left -= 1;
        file.seek(SeekFrom::Start(offset)).ok()?;
        let mut bytes = Vec::new();
        file.take(EXCERPT).read_to_end(&mut bytes).ok()?;
        Some(escape(&bytes))
    }
}

/// Text where the bytes are text, apart from a character that the end cuts; else byte by byte.
fn escape(bytes: &[u8]) -> String {
    let text = match std::str::from_utf8(bytes) {
        Ok(text) => Some(text),
        Err(error) if error.error_len().is_none() => std::str::from_utf8(&bytes[..error.valid_up_to()]).ok(),
        Err(_) => None,
    };
    let mut out = String::with_capacity(bytes.len());
    let Some(text) = text else {
        bytes.iter().for_each(|byte| escape_byte(*byte, &mut out));
        return out;
    };
    for c in text.chars() {
        if c.is_ascii() || console::is_misleading(c) {
            c.encode_utf8(&mut [0; 4]).bytes().for_each(|byte| escape_byte(byte, &mut out));
        } else {
            out.push(c);
        }
    }
    out
}

fn escape_byte(byte: u8, out: &mut String) {
    match byte {
        b'\\' => out.push_str("\\\\"),
        b' '..=b'~' => out.push(char::from(byte)),
        byte => out.push_str(&format!("\\x{byte:02x}")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn chance_is_computed_as_the_design_says() {
        assert!((chance_hits(256, 1) - 1.0).abs() < 1e-12);
        assert!(chance_hits(1 << 30, 8) < 1e-9);
        assert_eq!(chance_hits(3, 8), 0.0);
    }

    #[test]
    fn neighbouring_frames_are_drawn_together() {
        assert_eq!(runs(&[3, 5, 6, 7, 9, 10]), ["3", "5..7", "9..10"]);
    }

    #[test]
    fn excerpts_show_nothing_hostile() {
        assert_eq!(escape(b"a\x1b[31m\"\\\xec-"), r#"a\x1b[31m"\\\xec-"#);
        assert_eq!(escape("평문\u{202e}\u{1b}평".as_bytes()), r"평문\xe2\x80\xae\x1b평");
        assert_eq!(escape(&"평문".as_bytes()[..4]), "평", "the end cuts a character");
    }
}
