//! A result as a sequence of findings, each with a code: what the formats for other programs are made of.
//!
//! A finding is a verdict, a doubt, a leak, a string with the level at which it was found, or another content of a message.
//! Nothing here decides: the severity follows from the exit status that the capture gives by itself.

use std::borrow::Cow;

use exposure_schema::{
    AgentEntry, BesideFramesEntry, Capture, Direction, DoubtEntry, Expected, Exposure, FindingEntry,
    FragmentEntry, FragmentSource, HandshakeWord, Isolation, IsolationVerdict, Level, Location,
    ReadableEntry, StringEntry, Verdict,
};
use serde::Serialize;

use super::safe_text::shortened;
use crate::verdict::conclusion::{capture_status, exit, isolation_status};

/// Most columns of a value in the text of a finding.
const VALUE: usize = 80;

/// The code of the doubt that only states that there is no journal.
pub(super) const NO_JOURNAL: &str = "journal.missing";

/// One finding. A field that does not apply is `null` in JSON.
#[derive(Clone, Debug, Serialize)]
pub struct Finding<'a> {
    /// What it is.
    pub kind: Kind,
    /// Stable code, such as `exposure.verbatim` or `capture.hash-differs`.
    pub code: Cow<'a, str>,
    /// How much it matters.
    pub severity: Severity,
    /// Name of the capture.
    pub capture: Option<&'a str>,
    /// Path of the capture, or of the record of an isolation run.
    pub file: Option<&'a str>,
    /// The level at which a string was found.
    pub level: Option<Level>,
    /// Id of the message.
    pub message_id: Option<&'a str>,
    /// Direction of the message.
    pub direction: Option<Direction>,
    /// Position of the string in its message.
    pub path: Option<&'a str>,
    /// The string. What is secret or personal in it is left out unless secrets were requested.
    pub value: Option<&'a str>,
    /// The finding in a sentence. It may change from version to version.
    pub text: String,
    /// Where it is in the capture: the first locations.
    pub locations: Cow<'a, [Location]>,
    /// Number of all locations.
    pub locations_total: u64,
}

/// What a finding is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Kind {
    /// The verdict on a capture or an isolation run, or the conclusion.
    Verdict,
    /// A reason why a verdict is not certain.
    Doubt,
    /// Something left a sandbox.
    Leak,
    /// Something can be read without a secret.
    Exposure,
    /// Something can be read with the keys only.
    Opened,
    /// A string that was sent was found nowhere.
    Absent,
    /// Something is in the file, but was not on the wire.
    BesideFrames,
    /// An input could not be analyzed.
    Error,
}

impl Kind {
    /// The kind as it is written in outputs.
    pub fn name(self) -> &'static str {
        match self {
            Self::Verdict => "verdict",
            Self::Doubt => "doubt",
            Self::Leak => "leak",
            Self::Exposure => "exposure",
            Self::Opened => "opened",
            Self::Absent => "absent",
            Self::BesideFrames => "beside_frames",
            Self::Error => "error",
        }
    }
}

/// How much a finding matters.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Severity {
    /// It contradicts what was expected, or nothing could be analyzed.
    Error,
    /// It is a doubt, or should be looked at.
    Warning,
    /// It is as expected, or only informs.
    Note,
}

impl Severity {
    /// The severity as it is written in outputs.
    pub fn name(self) -> &'static str {
        match self {
            Self::Error => "error",
            Self::Warning => "warning",
            Self::Note => "note",
        }
    }

    /// The severity of a verdict, by the exit status that it gives.
    fn of_status(status: u8) -> Self {
        match status {
            exit::MET => Self::Note,
            exit::NOT_MET => Self::Error,
            _ => Self::Warning,
        }
    }
}

/// Receives one finding after the other, and ends the sequence with an error.
pub type Sink<'a, 's, E> = &'s mut dyn FnMut(Finding<'a>) -> Result<(), E>;

/// Hands every finding of a result to `sink`: the errors, then those of each capture and each isolation run, and the conclusion.
///
/// # Errors
///
/// The first error of `sink`, which gets no further finding.
pub fn each<'a, E>(exposure: &'a Exposure, sink: Sink<'a, '_, E>) -> Result<(), E> {
    for error in &exposure.errors {
        let severity = Severity::Error;
        sink(Finding { kind: Kind::Error, severity, ..plain("input.unusable".into(), error.clone()) })?;
    }
    for capture in &exposure.captures {
        of_capture(capture, sink)?;
    }
    for run in &exposure.isolation {
        of_run(run, sink)?;
    }
    if let Some(conclusion) = exposure.conclusion {
        let name = conclusion.name();
        let severity = match conclusion {
            exposure_schema::Conclusion::Proven => Severity::Note,
            exposure_schema::Conclusion::Refuted => Severity::Error,
            exposure_schema::Conclusion::Inconclusive => Severity::Warning,
        };
        let text = match exposure.reasons.is_empty() {
            true => format!("the conclusion is {name}"),
            false => format!("the conclusion is {name}: {}", exposure.reasons.join("; ")),
        };
        sink(Finding { severity, ..plain(format!("conclusion.{name}").into(), text) })?;
    }
    Ok(())
}

/// A finding with a code and a text, and nothing else: a verdict that needs no attention.
fn plain<'a>(code: Cow<'a, str>, text: String) -> Finding<'a> {
    Finding {
        kind: Kind::Verdict,
        code,
        severity: Severity::Note,
        capture: None,
        file: None,
        level: None,
        message_id: None,
        direction: None,
        path: None,
        value: None,
        text,
        locations: Cow::Borrowed(&[]),
        locations_total: 0,
    }
}

/// Every finding of one capture.
///
/// # Errors
///
/// The first error of `sink`.
pub(crate) fn of_capture<'a, E>(capture: &'a Capture, sink: Sink<'a, '_, E>) -> Result<(), E> {
    let of = OfCapture { capture, severity: severity(capture) };
    if let Some(verdict) = capture.verdict {
        sink(of.verdict(verdict))?;
    }
    for doubt in &capture.doubts {
        sink(of.doubt(doubt))?;
    }
    for word in capture.tls.iter().flat_map(|tls| &tls.words_in_handshake) {
        sink(of.handshake_word(word))?;
    }
    for string in &capture.strings {
        sink(of.string(string))?;
    }
    for fragment in &capture.fragments {
        sink(of.fragment(fragment))?;
    }
    if let Some(contents) = &capture.contents {
        for entry in &contents.credentials {
            sink(of.content(entry, "exposure.credential"))?;
        }
        for entry in &contents.personal {
            sink(of.content(entry, "exposure.personal-data"))?;
        }
        for entry in &contents.agents {
            sink(of.agent(entry))?;
        }
    }
    for entry in &capture.readable {
        sink(of.text(entry, true))?;
    }
    for entry in &capture.opened {
        sink(of.text(entry, false))?;
    }
    for entry in capture.beside_frames.iter().flat_map(|beside| &beside.found) {
        sink(of.beside_frames(entry))?;
    }
    Ok(())
}

/// What an exposure in this capture is.
fn severity(capture: &Capture) -> Severity {
    match (capture.expected_verdict, capture_status(capture)) {
        (Some(Expected::Exposed), _) => Severity::Note,
        (_, exit::NOT_MET) => Severity::Error,
        _ => Severity::Warning,
    }
}

fn of_run<'a, E>(run: &'a Isolation, sink: Sink<'a, '_, E>) -> Result<(), E> {
    let name = run.verdict.name();
    let text = match run.verdict {
        IsolationVerdict::Isolated => "nothing from any sandbox reached a network interface or another user",
        IsolationVerdict::Leaked => "something from a sandbox reached a network interface or another user",
        IsolationVerdict::Inconclusive => "doubts remain, so nothing is proven",
    };
    let file = Some(run.file.as_str());
    let severity = Severity::of_status(isolation_status(run));
    let code = format!("verdict.{name}").into();
    sink(Finding { file, severity, ..plain(code, format!("the run is {name}: {text}")) })?;
    let leaks = run.leaks.iter().map(|leak| (Kind::Leak, Severity::Error, leak));
    let doubts = run.doubts.iter().map(|doubt| (Kind::Doubt, Severity::Warning, doubt));
    for (kind, severity, entry) in leaks.chain(doubts) {
        let code = Cow::Borrowed(&*entry.code);
        sink(Finding { kind, severity, file, ..plain(code, entry.text.clone()) })?;
    }
    Ok(())
}

/// A capture, and how much an exposure in it matters.
struct OfCapture<'a> {
    capture: &'a Capture,
    severity: Severity,
}

impl<'a> OfCapture<'a> {
    fn finding(&self, kind: Kind, code: impl Into<Cow<'a, str>>, text: String) -> Finding<'a> {
        let (capture, file) = (Some(self.capture.name.as_str()), Some(self.capture.file.as_str()));
        Finding { kind, capture, file, ..plain(code.into(), text) }
    }

    fn verdict(&self, verdict: Verdict) -> Finding<'a> {
        let name = verdict.name();
        let expected = match (self.capture.expected_verdict, verdict) {
            (Some(Expected::Exposed), Verdict::Exposed) | (Some(Expected::Sealed), Verdict::Sealed) => {
                ", as expected"
            }
            (Some(Expected::Exposed), _) => ", expected exposed",
            (Some(Expected::Sealed), _) => ", expected sealed",
            _ => "",
        };
        let scope = if self.capture.scope.is_some() { " in its scope" } else { "" };
        let total = self.capture.summary.total;
        let readable = self.capture.summary.keyless();
        let text = format!(
            "{} is {name}{scope}{expected}: {readable} of {total} strings can be read without a secret",
            shortened(&self.capture.name, VALUE)
        );
        let severity = Severity::of_status(capture_status(self.capture));
        Finding { severity, ..self.finding(Kind::Verdict, format!("verdict.{name}"), text) }
    }

    fn doubt(&self, doubt: &'a DoubtEntry) -> Finding<'a> {
        let is_usual = doubt.code == NO_JOURNAL && self.capture.expected_verdict.is_none();
        let severity = if is_usual { Severity::Note } else { Severity::Warning };
        Finding { severity, ..self.finding(Kind::Doubt, &*doubt.code, doubt.text.clone()) }
    }

    fn string(&self, string: &'a StringEntry) -> Finding<'a> {
        let (kind, code, severity) = match string.level {
            Level::Verbatim => (Kind::Exposure, "exposure.verbatim", self.severity),
            Level::Reassembled => (Kind::Exposure, "exposure.reassembled", self.severity),
            Level::Decoded => (Kind::Exposure, "exposure.decoded", self.severity),
            Level::Decrypted => (Kind::Opened, "opened.string", Severity::Note),
            Level::Absent => (Kind::Absent, "absent.string", Severity::Note),
        };
        let what = format!(
            "\"{}\" ({})",
            shortened(&string.value, VALUE),
            position(Some(&string.path), string.message_id.as_deref())
        );
        let text = match string.level {
            Level::Absent => format!("{what} was found nowhere"),
            level => format!("{what} {}", readable(level, string.locations.first())),
        };
        Finding {
            severity,
            level: Some(string.level),
            message_id: string.message_id.as_deref(),
            direction: string.direction,
            path: Some(&string.path),
            value: Some(&string.value),
            locations: Cow::Borrowed(&string.locations),
            locations_total: string.locations_total,
            ..self.finding(kind, code, text)
        }
    }

    fn fragment(&self, fragment: &'a FragmentEntry) -> Finding<'a> {
        let whole = match fragment.source {
            FragmentSource::Message => position(None, fragment.message_id.as_deref()),
            FragmentSource::String => position(fragment.path.as_deref(), fragment.message_id.as_deref()),
            FragmentSource::Secret => {
                format!("secret {} of the key log", fragment.label.as_deref().unwrap_or_default())
            }
        };
        let text = format!(
            "{} of {} bytes of {whole} {}",
            fragment.longest_bytes,
            fragment.source_bytes,
            readable(fragment.level, fragment.locations.first())
        );
        let (kind, code, severity) = match fragment.level.is_keyless() {
            true => (Kind::Exposure, "exposure.part", self.severity),
            false => (Kind::Opened, "opened.content", Severity::Note),
        };
        Finding {
            severity,
            level: Some(fragment.level),
            message_id: fragment.message_id.as_deref(),
            direction: fragment.direction,
            path: fragment.path.as_deref(),
            locations: Cow::Borrowed(&fragment.locations),
            locations_total: fragment.locations_total,
            ..self.finding(kind, code, text)
        }
    }

    fn handshake_word(&self, word: &'a HandshakeWord) -> Finding<'a> {
        let text = format!(
            "\"{}\" of a message is in a handshake of TLS, in \"{}\" (tcp.stream {})",
            shortened(&word.word, VALUE),
            shortened(&word.text, VALUE),
            word.stream
        );
        Finding {
            severity: self.severity,
            value: Some(&word.word),
            level: Some(Level::Verbatim),
            locations_total: 1,
            ..self.finding(Kind::Exposure, "exposure.handshake-word", text)
        }
    }

    fn content(&self, entry: &'a FindingEntry, code: &'static str) -> Finding<'a> {
        let text = format!(
            "{} {} in {} {} {}",
            entry.kind,
            shortened(&entry.redacted, VALUE),
            entry.place,
            shortened(&entry.path, VALUE),
            readable(entry.level, Some(&entry.location))
        );
        let (kind, code, severity) = match entry.level.is_keyless() {
            true => (Kind::Exposure, code, Severity::Warning),
            false => (Kind::Opened, "opened.content", Severity::Note),
        };
        Finding {
            severity,
            level: Some(entry.level),
            path: Some(&entry.path),
            value: Some(entry.value.as_deref().unwrap_or(&entry.redacted)),
            locations: Cow::Borrowed(std::slice::from_ref(&entry.location)),
            locations_total: entry.times,
            ..self.finding(kind, code, text)
        }
    }

    fn agent(&self, entry: &'a AgentEntry) -> Finding<'a> {
        let mut about = vec![entry.protocol.to_string(), entry.what.to_string()];
        about.extend(entry.method.clone());
        about.extend(entry.tools.iter().cloned());
        let about = shortened(&about.join(" "), VALUE);
        let text = format!("message {about} {}", readable(entry.level, Some(&entry.location)));
        let (kind, code) = match entry.level.is_keyless() {
            true => (Kind::Exposure, "exposure.agent-message"),
            false => (Kind::Opened, "opened.content"),
        };
        Finding {
            level: Some(entry.level),
            message_id: entry.id.as_deref(),
            locations: Cow::Borrowed(std::slice::from_ref(&entry.location)),
            locations_total: 1,
            ..self.finding(kind, code, text)
        }
    }

    fn text(&self, entry: &'a ReadableEntry, is_keyless: bool) -> Finding<'a> {
        let (kind, code, who) = match is_keyless {
            true => (Kind::Exposure, "exposure.text", "without a secret"),
            false => (Kind::Opened, "opened.string", "with the keys only"),
        };
        let what = match &entry.value {
            Some(value) => format!("\"{}\"", shortened(value, VALUE)),
            None => "a value that looks like a secret".to_owned(),
        };
        let text = format!(
            "{what} ({}) can be read {who}{}",
            shortened(&entry.path, VALUE),
            frames(Some(&entry.location))
        );
        Finding {
            path: Some(&entry.path),
            value: entry.value.as_deref(),
            locations: Cow::Borrowed(std::slice::from_ref(&entry.location)),
            locations_total: 1,
            ..self.finding(kind, code, text)
        }
    }

    fn beside_frames(&self, entry: &'a BesideFramesEntry) -> Finding<'a> {
        let what = match (entry.source, &entry.value) {
            (FragmentSource::Secret, _) => "a secret of the key log".to_owned(),
            (_, Some(value)) => format!("\"{}\"", shortened(value, VALUE)),
            (_, None) => format!("a part of {}", position(None, entry.message_id.as_deref())),
        };
        let text = format!(
            "{what} is in the file at offset {}, but in no frame: it was not on the wire",
            entry.file_offset
        );
        Finding {
            message_id: entry.message_id.as_deref(),
            path: entry.path.as_deref(),
            value: entry.value.as_deref(),
            ..self.finding(Kind::BesideFrames, "beside-frames.string", text)
        }
    }
}

/// The position of a string in a message.
fn position(path: Option<&str>, message_id: Option<&str>) -> String {
    let message = message_id.map(|id| format!("message {}", shortened(id, VALUE)));
    match (path.map(|path| shortened(path, VALUE)), message) {
        (Some(path), Some(message)) => format!("{path} of {message}"),
        (Some(path), None) => path,
        (None, Some(message)) => message,
        (None, None) => "a message without id".to_owned(),
    }
}

/// What a reader needs, and where the bytes are.
fn readable(level: Level, place: Option<&Location>) -> String {
    let undo = match place {
        Some(place) if !place.layers.is_empty() => format!(" through {}", place.layers.join(", ")),
        _ => String::new(),
    };
    let how = match level {
        Level::Verbatim => "can be read as it is".to_owned(),
        Level::Reassembled => "can be read in joined segments".to_owned(),
        Level::Decoded => format!("can be read{undo}"),
        Level::Decrypted => "can be read with the keys only".to_owned(),
        Level::Absent => "was found nowhere".to_owned(),
    };
    format!("{how}{}", frames(place))
}

fn frames(place: Option<&Location>) -> String {
    match place.map(|place| place.frames.as_slice()) {
        None | Some([]) => String::new(),
        Some([frame]) => format!(", in frame {frame}"),
        Some([first, .., last]) => format!(", in frames {first} to {last}"),
    }
}

/// The direction as it is written in outputs.
pub(crate) fn direction_name(direction: Direction) -> &'static str {
    match direction {
        Direction::ClientToServer => "client_to_server",
        Direction::ServerToClient => "server_to_client",
    }
}
