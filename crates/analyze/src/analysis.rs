//! From one input to its entry in the result.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::File;
use std::io::{self, BufRead, BufReader, Read};
use std::sync::Arc;

use anyhow::{Context, Result, bail};
use aws_lc_rs::digest;
use dissect::keylog::KeyLog;
use exposure_schema::{
    Capture, HttpMessage, Level, Location, Name, ReadableEntry, SearchedAs, StringEntry, Summary,
};

use crate::input::capture::{self, Ended};
use crate::input::discover::Input;
use crate::input::journal::Journal;
use crate::observe::cleartext::Readable;
use crate::observe::connections::Streams;
use crate::observe::evidence::{Evidence, Listed, Occurrence, direction};
use crate::observe::hits::{Hit, NeedleHits, Place};
use crate::output::claims::{self, Said};
use crate::output::connections;
use crate::output::excerpt::Excerpts;
use crate::output::location::location;
use crate::output::transcript;
use crate::pipeline::frames::{Frames, Pipeline};
use crate::search::needles::{KnownString, KnownStrings, MatchMode};
use crate::verdict::{self, Doubts};

/// Places named for one string. One is the proof; the others are for those who look further.
const MAX_LOCATIONS: usize = 8;

/// Characters of a value that are shown.
const MAX_VALUE_CHARS: usize = 256;

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
pub fn analyze(input: &Input, options: Options, progress: &mut dyn FnMut(u64)) -> Result<Capture> {
    let mut doubts = Doubts { capture: input.problems.clone(), search: Vec::new() };
    let (messages, has_journal) = read_journals(input, &mut doubts)?;
    let decoys = input.manifest.as_ref().map_or(&[][..], |manifest| &manifest.decoys);
    let known = KnownStrings::new(&messages, decoys);
    let said = Said::new(&messages);
    drop(messages);
    let keys = read_keys(input, &mut doubts)?;

    let readable =
        (!has_journal).then(|| Readable { show_secrets: options.show_secrets, ..Readable::default() });
    let mut pass = Pipeline::new(Evidence::new(&known, readable), keys);
    let (ended, sha256, bytes) = read_capture(input, &mut pass, progress)?;
    match ended {
        None => {}
        Some(Ended::NotACapture(error)) => bail!("{}: {error}", input.display()),
        Some(Ended::TooShort(why)) => bail!("{}: {why}", input.display()),
        Some(Ended::Damaged(error)) => doubts.capture.push(error.to_string()),
        Some(Ended::Truncated(why)) => doubts.capture.push(why),
    }
    let has_keys = pass.has_keys();
    let (evidence, frames, streams) = pass.finish();
    let result =
        CaptureReport { input, known: &known, said, evidence, frames, streams, sha256, bytes, has_keys };
    Ok(result.entry(has_journal, doubts))
}

fn read_journals(input: &Input, doubts: &mut Doubts) -> Result<(Vec<crate::input::journal::Message>, bool)> {
    let mut messages = Vec::new();
    let mut runs = BTreeSet::new();
    let mut without_run = 0;
    for path in &input.journals {
        let journal = Journal::read(path)?;
        doubts.capture.extend(journal.problems);
        messages.extend(journal.messages);
        runs.extend(journal.runs);
        without_run += journal.without_run;
    }
    if let Some(manifest) = &input.manifest {
        if let Some(other) = runs.iter().find(|run| **run != manifest.run_id) {
            let run = &manifest.run_id;
            doubts.capture.push(format!("a journal is of run {other}, the capture of run {run}"));
        }
        if without_run > 0 {
            doubts.capture.push(format!("{without_run} message(s) of the journals name no run"));
        }
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
    pass: &mut Pipeline<'_>,
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
        let ended = capture::read(io::stdin().lock(), pass, each).with_context(what)?;
        return Ok((ended, capture::finish(context), bytes));
    };
    let file = File::open(path).with_context(what)?;
    if file.metadata().with_context(what)?.is_dir() {
        bail!("{} is a directory", path.display());
    }
    let hash = capture::hash_file(path);
    let each = |buffer: &[u8]| {
        bytes += buffer.len() as u64;
        progress(bytes);
    };
    let ended = capture::read(file, pass, each).with_context(what)?;
    let sha256 =
        hash.join().map_err(|_| anyhow::anyhow!("hashing {} failed", path.display()))?.with_context(what)?;
    // After a damage the rest of the file was not read, but it was hashed.
    let bytes = std::fs::metadata(path).map_or(bytes, |metadata| metadata.len());
    Ok((ended, sha256, bytes))
}

/// Everything that is known after the pass.
pub(crate) struct CaptureReport<'a> {
    pub(crate) input: &'a Input,
    pub(crate) known: &'a KnownStrings,
    pub(crate) said: Said,
    pub(crate) evidence: Evidence<'a>,
    pub(crate) frames: Frames,
    pub(crate) streams: Streams,
    pub(crate) sha256: [u8; 32],
    pub(crate) bytes: u64,
    pub(crate) has_keys: bool,
}

impl CaptureReport<'_> {
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
        let exhibit = self.input.capture.as_deref().zip(self.exhibit());
        let exhibit = exhibit.and_then(|(path, plan)| transcript::read(path, plan));
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
            tls: connections::tls(&self.streams),
            http: self.evidence.listed.iter().map(|listed| self.http(listed)).collect(),
            http_total: self.evidence.messages,
            readable: readable.iter().flat_map(|readable| &readable.strings).map(readable_entry).collect(),
            readable_total: readable.map_or(0, |readable| readable.total),
            manifest: manifest.map(claims::manifest),
            journal: self.said.journal,
            journal_total: self.said.total,
            connections: connections::connections(&self.streams),
            connections_total: self.streams.total,
            packets: self.evidence.packets.into_entries(),
            traffic: self.evidence.traffic.entry(),
            exhibit,
        }
    }

    fn string(&self, string: &KnownString, excerpts: &mut Excerpts) -> StringEntry {
        let message = &self.known.messages[string.message];
        let sighting = &self.evidence.sightings[string.message];
        let (searched_as, level, chance, total, locations) = match string.match_mode {
            MatchMode::Value(needle) | MatchMode::Pair(needle) => {
                let found = self.evidence.findings.of(needle);
                let length = self.known.needles[needle as usize].shortest;
                let chance = chance_hits(self.evidence.searched_bytes, length);
                let hits = nearest(found, sighting);
                let locations = hits.into_iter().map(|hit| location(&hit.place, &hit.layers)).collect();
                let searched_as = if let MatchMode::Value(_) = string.match_mode {
                    SearchedAs::Value
                } else {
                    SearchedAs::Pair
                };
                (searched_as, found.level(), chance, found.total(), locations)
            }
            MatchMode::Message => match &sighting.first {
                Some(seen) => (
                    SearchedAs::Message,
                    seen.level,
                    0.0,
                    sighting.times,
                    vec![location(&seen.place, &seen.layers)],
                ),
                None => (SearchedAs::Message, Level::Absent, 0.0, 0, Vec::new()),
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

    fn http(&self, listed: &Listed) -> HttpMessage {
        let message = &listed.message;
        let text = |text: &String| Some(text.clone()).filter(|text| !text.is_empty());
        HttpMessage {
            stream: message.place.stream,
            direction: message.place.side.map(direction),
            first_frame: message.place.frames.first().copied(),
            last_frame: message.last_frame,
            first_at_unix_ns: listed.first_at,
            last_at_unix_ns: listed.last_at,
            method: text(&message.method),
            target: text(&message.target),
            status: Some(message.status).filter(|status| *status != 0),
            content_type: text(&message.content_type),
            body_bytes: message.body_len,
            complete: message.complete,
            level: message.level,
            layers: message.layers.iter().copied().map(Name::from).collect(),
            message_id: listed.known.and_then(|index| self.known.messages[index].id.clone()),
        }
    }
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
pub(crate) fn nearest<'f>(found: &'f NeedleHits, sighting: &Occurrence) -> Vec<&'f Hit> {
    let level = found.level();
    let own = |hit: &Hit| is_in(&hit.place, sighting);
    let at_level = || found.hits.iter().filter(|hit| hit.level == level);
    at_level().filter(|hit| own(hit)).chain(at_level().filter(|hit| !own(hit))).take(MAX_LOCATIONS).collect()
}

/// Whether a place lies in the message that was sighted.
pub(crate) fn is_in(place: &Place, sighting: &Occurrence) -> bool {
    sighting.first.as_ref().is_some_and(|message| {
        let whole = &message.place;
        let range = whole.stream_offset.zip(Some(whole.wire_len));
        (place.stream, place.side) == (whole.stream, whole.side)
            && place
                .stream_offset
                .zip(range)
                .is_some_and(|(at, (start, len))| at >= start && at < start + len)
    })
}

fn readable_entry(string: &crate::observe::cleartext::ReadableString) -> ReadableEntry {
    let value = string.value.as_ref().map(|value| value.chars().take(MAX_VALUE_CHARS).collect());
    ReadableEntry { value, path: string.path.clone(), location: location(&string.place, &["http1"]) }
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
}
