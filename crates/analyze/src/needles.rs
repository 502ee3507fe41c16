//! Turns the agents' messages into needles: every string in the JSON of the journals, and every part of a message.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::fmt;
use std::sync::Arc;

use dissect::keylog::{KeyLog, Label};
use exposure_schema::Direction;
use search::fragments::{Fragments, FragmentsBuilder, GUARANTEED};
use search::{MIN_PATTERN, Matcher, NeedleId, Patterns, PatternsBuilder};
use serde_json::value::RawValue;

use crate::input::journal::Message;

/// Maximum number of strings of one run. A body of the agents' limit contains some ten thousand; ten thousand messages
/// of a dozen strings stay far below. Reaching it is a doubt.
pub(crate) const MAX_STRINGS: usize = 4_000_000;

/// Quotation marks of a serialised string.
const QUOTES: usize = 2;

/// Deepest nesting of a body that is read; `serde_json` itself reads no deeper. Each level costs a call and one more
/// reading of everything below it, so without a bound a body of brackets alone would exhaust the stack.
pub(crate) const MAX_DEPTH: usize = 128;

/// Longest path of a string in bytes. Each string has a copy of its path, so with a long key above many strings the
/// memory would grow with the product of both.
const MAX_PATH: usize = 256;

/// Bytes of a message that a string is searched with if neither its key nor its quotes make it long enough.
const CONTEXT: usize = 16;

/// How a string is searched.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum MatchMode {
    /// By its own bytes.
    Value(NeedleId),
    /// Together with its key, in an array with its quotes, or else with what surrounds it, as it was serialised: alone it
    /// is too short to be evidence.
    Pair(NeedleId),
    /// Not at all: its whole message is shorter than a needle. It counts as found where its message is found, which is a
    /// doubt.
    Message,
}

/// One string (or number) of one message.
#[derive(Clone, Debug)]
pub(crate) struct KnownString {
    /// Its value; `None` if that is its needle. See [`KnownStrings::value_of`].
    value: Option<Box<str>>,
    pub path: StringPath,
    /// Index of its message in [`KnownStrings::messages`]; `None` for a string that was given without one.
    pub message: Option<usize>,
    pub match_mode: MatchMode,
}

/// Where a string comes from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum StringPath {
    /// Its path in a JSON document: `$.arguments.repo`.
    Json(Box<str>),
    /// A line of a file, from 1.
    Line { file: Arc<str>, line: u32 },
}

impl fmt::Display for StringPath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Json(path) => f.write_str(path),
            Self::Line { file, line } => write!(f, "{file}:{line}"),
        }
    }
}

/// A string to search for that belongs to no message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct GivenString {
    /// Its value, at least [`MIN_PATTERN`] bytes long.
    pub value: Box<str>,
    pub path: StringPath,
}

/// One message, merged from the journals of both agents.
#[derive(Clone, Debug)]
pub(crate) struct KnownMessage {
    pub id: Option<String>,
    pub direction: Direction,
    pub body_sha256: [u8; 32],
    /// Length of its body in bytes.
    pub body_len: u64,
    /// How often it was sent: the larger count of the two journals.
    pub times: u64,
    /// Agents whose journal contains it.
    pub agents: Vec<String>,
    /// Whether it has strings that are listed.
    pub has_strings: bool,
}

/// The origin of the bytes of which any part is searched. As small as it can be: there is one for every long string.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum FragmentSource {
    /// The body of a message: its index in [`KnownStrings::messages`].
    Message(u32),
    /// A string that was given without a message, or whose value is written otherwise in its message, because it has
    /// escapes: its index in [`KnownStrings::strings`].
    String(u32),
    /// A secret of the key log: its index in [`KnownStrings::secrets`].
    Secret(u32),
}

/// A secret of the key log: who reads it can read everything.
#[derive(Clone, Debug)]
pub(crate) struct KnownSecret {
    /// Its label.
    pub label: Label,
    /// Random of the ClientHello of its connection.
    pub client_random: [u8; 32],
    /// Its length in bytes.
    len: usize,
}

/// All strings that the agents sent.
#[derive(Debug)]
pub(crate) struct KnownStrings {
    /// The messages, in the order of the first journal.
    pub messages: Vec<KnownMessage>,
    /// The strings in these messages.
    pub strings: Vec<KnownString>,
    /// For each needle, whether it is a decoy: a value that was never sent and must not be found.
    is_decoy: Vec<bool>,
    /// The needles.
    patterns: Arc<Patterns>,
    /// The secrets of the key log.
    pub secrets: Vec<KnownSecret>,
    /// The fragment sources, by the numbers that the search has for them.
    pub fragment_sources: Vec<FragmentSource>,
    /// Number of fragment sources that are not searched.
    pub fragment_sources_left_out: u64,
    /// Number of messages whose body is not JSON: their strings are unknown.
    pub not_json: usize,
    /// Number of messages that are nested deeper than [`MAX_DEPTH`]: their strings are unknown too.
    pub too_deep: usize,
    /// Whether [`MAX_STRINGS`] or the maximum number of needles was reached.
    pub overflowed: bool,
}

/// What finds the known strings. Observers share it while they search; it is most of the memory that strings take, so it does
/// not outlive the search.
#[derive(Debug)]
pub(crate) struct StringSearch {
    /// Finds the needles, each in every form.
    pub matcher: Matcher,
    /// Finds parts of the fragment sources.
    pub fragments: Fragments,
}

impl KnownStrings {
    /// Collects the strings of these messages, the decoys, and the secrets of a key log.
    #[cfg(test)]
    pub(crate) fn new(
        messages: &[Message],
        decoys: &[String],
        keys: Option<&KeyLog>,
    ) -> (Self, Arc<StringSearch>) {
        Self::with_given(messages, &[], decoys, keys)
    }

    /// Collects the strings of these messages, the strings that were given without one, the decoys, and the secrets of a key
    /// log.
    pub(crate) fn with_given(
        messages: &[Message],
        given: &[GivenString],
        decoys: &[String],
        keys: Option<&KeyLog>,
    ) -> (Self, Arc<StringSearch>) {
        let mut builder = Builder::default();
        let mut known: Vec<KnownMessage> = Vec::new();
        let mut index: HashMap<(Direction, Option<&str>, [u8; 32]), usize> = HashMap::new();
        let mut counts: HashMap<(usize, &str), u64> = HashMap::new();
        for message in messages {
            let key = (message.direction, message.message_id.as_deref(), message.body_sha256);
            let at = match index.entry(key) {
                Entry::Occupied(entry) => *entry.get(),
                Entry::Vacant(entry) => {
                    known.push(KnownMessage {
                        id: message.message_id.clone(),
                        direction: message.direction,
                        body_sha256: message.body_sha256,
                        body_len: message.body.len() as u64,
                        times: 0,
                        agents: Vec::new(),
                        has_strings: false,
                    });
                    let before = builder.strings.len();
                    builder.take_message(known.len() - 1, &message.body);
                    known.last_mut().expect("it was just added").has_strings = builder.strings.len() > before;
                    *entry.insert(known.len() - 1)
                }
            };
            let count = counts.entry((at, &message.agent)).or_default();
            *count += 1;
            known[at].times = known[at].times.max(*count);
            if !known[at].agents.contains(&message.agent) {
                known[at].agents.push(message.agent.clone());
            }
        }
        // All at once: memory that grows step by step leaves holes.
        builder.strings.reserve_exact(given.len());
        builder.is_decoy.reserve(given.len() + decoys.len());
        let given_bytes: usize = given.iter().map(|string| string.value.len()).sum();
        let decoy_bytes: usize = decoys.iter().map(String::len).sum();
        builder.patterns.reserve(given.len() + decoys.len(), given_bytes + decoy_bytes);
        for string in given {
            builder.give(string);
        }
        for decoy in decoys {
            builder.decoy(decoy);
        }
        builder.take_secrets(keys);
        builder.finish(known)
    }

    /// Collects values that do not belong to messages. Needle N is value N if no two values are equal.
    pub(crate) fn values<'v>(
        values: impl IntoIterator<Item = &'v str>,
        decoys: &[String],
    ) -> (Self, Arc<StringSearch>) {
        let mut builder = Builder::default();
        for value in values {
            builder.needle(value.as_bytes());
        }
        for decoy in decoys {
            builder.decoy(decoy);
        }
        builder.finish(Vec::new())
    }

    /// Number of needles.
    pub(crate) fn needle_count(&self) -> usize {
        self.is_decoy.len()
    }

    /// The needles by their numbers, and their bytes.
    pub(crate) fn needles(&self) -> impl Iterator<Item = (NeedleId, &[u8])> {
        (0..).zip(self.patterns.needles())
    }

    /// The bytes of a needle.
    pub(crate) fn bytes_of(&self, needle: NeedleId) -> &[u8] {
        self.patterns.needle(needle)
    }

    /// The value of a string.
    pub(crate) fn value_of<'s>(&'s self, string: &'s KnownString) -> &'s str {
        match (&string.value, string.match_mode) {
            (Some(value), _) => value,
            (None, MatchMode::Value(needle)) => {
                std::str::from_utf8(self.bytes_of(needle)).expect("a value is text")
            }
            (None, _) => unreachable!("only a value that is its needle has no copy"),
        }
    }

    /// Length of a fragment source in bytes.
    pub(crate) fn source_len(&self, source: FragmentSource) -> u64 {
        match source {
            FragmentSource::Message(message) => self.messages[message as usize].body_len,
            FragmentSource::String(string) => self.value_of(&self.strings[string as usize]).len() as u64,
            FragmentSource::Secret(secret) => self.secrets[secret as usize].len as u64,
        }
    }

    /// Whether a needle was never sent and must not be found.
    pub(crate) fn is_decoy(&self, needle: NeedleId) -> bool {
        self.is_decoy[needle as usize]
    }

    /// Length of the shortest written form of a needle, which is the most likely one to occur by chance.
    pub(crate) fn shortest_form(&self, needle: NeedleId) -> usize {
        self.patterns.shortest_of(needle)
    }

    /// The values that were never sent, by their numbers, and their bytes.
    pub(crate) fn decoys(&self) -> impl Iterator<Item = (NeedleId, &[u8])> {
        self.needles().filter(|(needle, _)| self.is_decoy(*needle))
    }

    /// Number of decoys that are searched by their own bytes.
    pub(crate) fn searched_decoys(&self) -> usize {
        self.decoys().filter(|(_, bytes)| bytes.len() >= MIN_PATTERN).count()
    }

    /// Number of decoys that are too short to be searched: not finding them proves nothing.
    pub(crate) fn short_decoys(&self) -> usize {
        self.decoys().filter(|(_, bytes)| bytes.len() < MIN_PATTERN).count()
    }
}

#[derive(Default)]
struct Builder {
    fragments: FragmentsBuilder,
    secrets: Vec<KnownSecret>,
    fragment_sources: Vec<FragmentSource>,
    strings: Vec<KnownString>,
    patterns: PatternsBuilder,
    is_decoy: Vec<bool>,
    not_json: usize,
    too_deep: usize,
    overflowed: bool,
}

impl Builder {
    fn take_message(&mut self, message: usize, body: &[u8]) {
        let Ok(text) = std::str::from_utf8(body) else {
            self.not_json += 1;
            return;
        };
        let Ok(raw) = serde_json::from_str::<&RawValue>(text) else {
            self.not_json += 1;
            return;
        };
        if depth(raw.get()) > MAX_DEPTH {
            self.too_deep += 1;
            return;
        }
        self.walk(&Body { text, message: Some(message) }, raw.get(), "$", None);
        self.fragment_source(FragmentSource::Message(message as u32), body);
    }

    fn take_secrets(&mut self, keys: Option<&KeyLog>) {
        let mut clients: Vec<_> = keys.into_iter().flat_map(KeyLog::clients).collect();
        clients.sort_unstable_by_key(|(random, _)| *random);
        for (random, secrets) in clients {
            for (label, secret) in secrets.iter() {
                let source = FragmentSource::Secret(self.secrets.len() as u32);
                self.secrets.push(KnownSecret {
                    label,
                    client_random: *random,
                    len: secret.as_bytes().len(),
                });
                self.fragment_source(source, secret.as_bytes());
            }
        }
    }

    fn fragment_source(&mut self, source: FragmentSource, bytes: &[u8]) {
        let number = self.fragment_sources.len() as u32;
        let is_added = match source {
            FragmentSource::Secret(_) => self.fragments.add_secret(number, bytes),
            _ => self.fragments.add_text(number, bytes),
        };
        if is_added || !matches!(source, FragmentSource::String(_)) {
            self.fragment_sources.push(source);
        }
    }

    /// The parts of the next string. A string that is no longer than a part is found as a whole.
    fn parts_of_string(&mut self, value: &str) {
        if value.len() > GUARANTEED {
            self.fragment_source(FragmentSource::String(self.strings.len() as u32), value.as_bytes());
        }
    }

    fn give(&mut self, GivenString { value, path }: &GivenString) {
        if self.strings.len() == MAX_STRINGS {
            self.overflowed = true;
            return;
        }
        self.parts_of_string(value);
        let Some(needle) = self.needle(value.as_bytes()) else { return };
        let match_mode = MatchMode::Value(needle);
        self.strings.push(KnownString { value: None, path: path.clone(), message: None, match_mode });
    }

    /// Adds the leaves below one value, no deeper than [`MAX_DEPTH`]. `key_at` is the offset in the body at which the
    /// key of this value begins.
    fn walk(&mut self, body: &Body<'_>, raw: &str, path: &str, key_at: Option<usize>) {
        match raw.as_bytes().first() {
            Some(b'{') => {
                let Ok(Members(members)) = serde_json::from_str(raw) else { return };
                for (key, value) in members {
                    let key_at = key.in_body(body);
                    let path = child(path, key.text());
                    self.walk(body, value.get(), &path, key_at);
                }
            }
            Some(b'[') => {
                let Ok(elements) = serde_json::from_str::<Vec<&RawValue>>(raw) else { return };
                for (index, value) in elements.into_iter().enumerate() {
                    self.walk(body, value.get(), &element(path, index), None);
                }
            }
            Some(b'"') => {
                let Ok(value) = serde_json::from_str::<String>(raw) else { return };
                self.add(body, raw, value, path, key_at, true);
            }
            Some(b'-' | b'0'..=b'9') => self.add(body, raw, raw.to_owned(), path, key_at, false),
            _ => {} // finding true, false or null would prove nothing
        }
    }

    fn add(
        &mut self,
        body: &Body<'_>,
        raw: &str,
        value: String,
        path: &str,
        key_at: Option<usize>,
        is_string: bool,
    ) {
        if self.strings.len() == MAX_STRINGS {
            self.overflowed = true;
            return;
        }
        let match_mode = if is_string && value.len() >= MIN_PATTERN {
            self.needle(value.as_bytes()).map(MatchMode::Value)
        } else {
            // An element of an array has no key; its quotes distinguish it from a part of a longer word.
            let quoted = || Some(raw).filter(|_| is_string);
            let long_enough = |text: &&str| text.len() >= MIN_PATTERN;
            let pair = body.pair(raw, key_at).or_else(quoted).filter(long_enough);
            match pair.or_else(|| body.context(raw).filter(long_enough)) {
                Some(pair) => self.needle(pair.as_bytes()).map(MatchMode::Pair),
                None => Some(MatchMode::Message),
            }
        };
        let Some(match_mode) = match_mode else { return };
        if is_string && raw.len() != value.len() + QUOTES {
            self.parts_of_string(&value);
        }
        let value = (!matches!(match_mode, MatchMode::Value(_))).then(|| value.into_boxed_str());
        let path = StringPath::Json(path.into());
        self.strings.push(KnownString { value, path, message: body.message, match_mode });
    }

    /// The number of the needle with these bytes; `None` if there are too many.
    fn needle(&mut self, bytes: &[u8]) -> Option<NeedleId> {
        let Some((needle, is_new)) = self.patterns.add(bytes) else {
            self.overflowed = true;
            return None;
        };
        if is_new {
            self.is_decoy.push(false);
        }
        Some(needle)
    }

    /// A decoy that was sent after all must fail its control.
    fn decoy(&mut self, decoy: &str) {
        if let Some(needle) = self.needle(decoy.as_bytes()) {
            self.is_decoy[needle as usize] = true;
        }
    }

    fn finish(self, messages: Vec<KnownMessage>) -> (KnownStrings, Arc<StringSearch>) {
        let fragments = self.fragments.build();
        let patterns = Arc::new(self.patterns.build());
        let known = KnownStrings {
            fragment_sources_left_out: fragments.left_out(),
            secrets: self.secrets,
            fragment_sources: self.fragment_sources,
            messages,
            strings: self.strings,
            is_decoy: self.is_decoy,
            patterns: Arc::clone(&patterns),
            not_json: self.not_json,
            too_deep: self.too_deep,
            overflowed: self.overflowed,
        };
        (known, Arc::new(StringSearch { matcher: Matcher::new(patterns), fragments }))
    }
}

struct Body<'a> {
    text: &'a str,
    message: Option<usize>,
}

impl Body<'_> {
    /// Offset in the body at which this part of it begins.
    fn position(&self, part: &str) -> Option<usize> {
        let at = (part.as_ptr() as usize).checked_sub(self.text.as_ptr() as usize)?;
        (at + part.len() <= self.text.len()).then_some(at)
    }

    /// The key, the value and the byte behind it, exactly as they were serialised: `"depth":2}`. Without that byte the
    /// pair would also match `"depth":25`.
    fn pair(&self, raw: &str, key_at: Option<usize>) -> Option<&str> {
        let end = self.position(raw)? + raw.len();
        let ended = if raw.ends_with('"') { end } else { (end + 1).min(self.text.len()) };
        self.text.get(key_at?..ended)
    }

    /// The value with what surrounds it, about [`CONTEXT`] bytes, or the whole body if that is shorter.
    fn context(&self, raw: &str) -> Option<&str> {
        let start = self.position(raw)?;
        let missing = CONTEXT.saturating_sub(raw.len());
        let (mut from, mut to) = (start.saturating_sub(missing / 2), start + raw.len() + missing.div_ceil(2));
        to = (to + missing / 2 - (start - from)).min(self.text.len());
        from = from.min(to.saturating_sub(CONTEXT.max(raw.len())));
        // A boundary of characters is at most three bytes away.
        let is_boundary = |at: &usize| self.text.is_char_boundary(*at);
        let from = (0..=from).rev().find(is_boundary)?;
        let to = (to..=self.text.len()).find(is_boundary)?;
        Some(&self.text[from..to])
    }
}

/// The members of an object in their order, including duplicates.
struct Members<'a>(Vec<(Key<'a>, &'a RawValue)>);

/// A key, borrowed from the text if it has no escapes.
enum Key<'a> {
    Plain(&'a str),
    Escaped(String),
}

impl Key<'_> {
    fn text(&self) -> &str {
        match self {
            Self::Plain(text) => text,
            Self::Escaped(text) => text,
        }
    }

    /// Offset of its opening quote.
    fn in_body(&self, body: &Body<'_>) -> Option<usize> {
        match self {
            Self::Plain(text) => body.position(text)?.checked_sub(1),
            Self::Escaped(_) => None,
        }
    }
}

impl<'de> serde::Deserialize<'de> for Key<'de> {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Visitor;
        impl<'de> serde::de::Visitor<'de> for Visitor {
            type Value = Key<'de>;
            fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str("a key")
            }
            fn visit_borrowed_str<E>(self, text: &'de str) -> Result<Key<'de>, E> {
                Ok(Key::Plain(text))
            }
            fn visit_str<E>(self, text: &str) -> Result<Key<'de>, E> {
                Ok(Key::Escaped(text.to_owned()))
            }
        }
        deserializer.deserialize_str(Visitor)
    }
}

impl<'de> serde::Deserialize<'de> for Members<'de> {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Visitor;
        impl<'de> serde::de::Visitor<'de> for Visitor {
            type Value = Members<'de>;
            fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str("an object")
            }
            fn visit_map<A: serde::de::MapAccess<'de>>(self, mut map: A) -> Result<Members<'de>, A::Error> {
                let mut members = Vec::new();
                while let Some(member) = map.next_entry()? {
                    members.push(member);
                }
                Ok(Members(members))
            }
        }
        deserializer.deserialize_map(Visitor)
    }
}

/// The leaf strings of a JSON document that are long enough to be searched by themselves, in their order. Also returns the
/// number of its other leaves: shorter strings, and numbers. `None` if it is nested deeper than [`MAX_DEPTH`].
pub(crate) fn leaves(document: &RawValue) -> Option<(Vec<GivenString>, u64)> {
    let text = document.get();
    if depth(text) > MAX_DEPTH {
        return None;
    }
    let mut builder = Builder::default();
    builder.walk(&Body { text, message: None }, text, "$", None);
    let needles = builder.patterns.build();
    let all = builder.strings.len();
    let long = builder.strings.into_iter().filter_map(|string| {
        let MatchMode::Value(needle) = string.match_mode else { return None };
        let value = std::str::from_utf8(needles.needle(needle)).expect("a value is text").into();
        Some(GivenString { value, path: string.path })
    });
    let long: Vec<_> = long.collect();
    let short = (all - long.len()) as u64;
    Some((long, short))
}

/// Returns how deep the arrays and objects of a JSON text are nested.
fn depth(json: &str) -> usize {
    let (mut open, mut deepest) = (0_usize, 0);
    let (mut in_string, mut is_escaped) = (false, false);
    for byte in json.bytes() {
        match byte {
            _ if is_escaped => is_escaped = false,
            b'\\' if in_string => is_escaped = true,
            b'"' => in_string = !in_string,
            b'[' | b'{' if !in_string => {
                open += 1;
                deepest = deepest.max(open);
            }
            b']' | b'}' if !in_string => open = open.saturating_sub(1),
            _ => {}
        }
    }
    deepest
}

/// A step of a JSONPath (RFC 9535 §2.5.1) to a member, in the short form if the name allows it.
pub(crate) fn child(path: &str, name: &str) -> String {
    let short = !name.is_empty()
        && !name.starts_with(|c: char| c.is_ascii_digit())
        && name.chars().all(|c| c == '_' || c.is_alphanumeric());
    let step = if short { format!(".{name}") } else { format!("[{}]", serde_json::Value::from(name)) };
    longer(path, &step)
}

/// A step of a JSONPath to an element.
pub(crate) fn element(path: &str, index: usize) -> String {
    longer(path, &format!("[{index}]"))
}

/// Appends a step to a path. A path that would exceed [`MAX_PATH`] ends there, in an ellipsis.
fn longer(path: &str, step: &str) -> String {
    const CUT: char = '…';
    if path.ends_with(CUT) {
        return path.to_owned();
    }
    let room = MAX_PATH.saturating_sub(path.len() + CUT.len_utf8());
    if step.len() <= room {
        return format!("{path}{step}");
    }
    let whole = (0..=room).rev().find(|at| step.is_char_boundary(*at)).unwrap_or(0);
    format!("{path}{}{CUT}", &step[..whole])
}

#[cfg(test)]
mod tests {
    use super::*;
    use exposure_schema::Event;

    fn message(agent: &str, direction: Direction, body: &str) -> Message {
        let digest = aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA256, body.as_bytes());
        Message {
            agent: agent.to_owned(),
            event: Event::Sent,
            message_id: Some("call-0001".to_owned()),
            direction,
            at_unix_ns: None,
            local: None,
            remote: None,
            content_type: None,
            body: body.as_bytes().to_vec(),
            body_sha256: digest.as_ref().try_into().expect("SHA-256 has 32 bytes"),
        }
    }

    fn known(body: &str) -> KnownStrings {
        KnownStrings::new(&[message("agent-a", Direction::ClientToServer, body)], &[], None).0
    }

    fn listed(known: &KnownStrings) -> Vec<(String, String, String)> {
        let match_mode = |match_mode: MatchMode| match match_mode {
            MatchMode::Value(needle) | MatchMode::Pair(needle) => {
                String::from_utf8_lossy(known.bytes_of(needle)).into_owned()
            }
            MatchMode::Message => "-".to_owned(),
        };
        known
            .strings
            .iter()
            .map(|s| (s.path.to_string(), known.value_of(s).to_owned(), match_mode(s.match_mode)))
            .collect()
    }

    fn row(path: &str, value: &str, match_mode: &str) -> (String, String, String) {
        (path.to_owned(), value.to_owned(), match_mode.to_owned())
    }

    #[test]
    fn lists_every_leaf_of_the_labs_message() {
        let body = r#"{"id":"call-0001","type":"tool_call","arguments":{"repo":"demo-repo","target":"libssl","depth":2}}"#;
        let expected = [
            row("$.id", "call-0001", "call-0001"),
            row("$.type", "tool_call", "tool_call"),
            row("$.arguments.repo", "demo-repo", "demo-repo"),
            row("$.arguments.target", "libssl", r#""target":"libssl""#),
            row("$.arguments.depth", "2", r#""depth":2}"#),
        ];
        assert_eq!(listed(&known(body)), expected);
    }

    #[test]
    fn reads_arrays_escapes_and_unusual_keys() {
        let body =
            r#"{ "a b" : ["abc", "quoted", "long enough \"text\""], "k\u0041y": 5, "x": 1, "flag": true }"#;
        let expected = [
            row(r#"$["a b"][0]"#, "abc", r#"" : ["abc", "quo"#),
            row(r#"$["a b"][1]"#, "quoted", r#""quoted""#),
            row(r#"$["a b"][2]"#, "long enough \"text\"", "long enough \"text\""),
            row("$.kAy", "5", r#"041y": 5, "x": 1"#),
            row("$.x", "1", r#", "x": 1, "flag""#),
        ];
        assert_eq!(listed(&known(body)), expected);
    }

    #[test]
    fn a_short_value_is_searched_with_what_surrounds_it() {
        let needles =
            |body: &str| listed(&known(body)).into_iter().map(|(.., needle)| needle).collect::<Vec<_>>();
        assert_eq!(needles("[\"a\",\"b\"]"), ["[\"a\",\"b\"]"; 2], "the whole body is shorter");
        assert_eq!(needles("[1,22]"), ["-", "-"], "a body that is too short to be evidence");
        for needle in needles(r#"["é","한","abc",["d","e"],1,2,3,"양","f"]"#) {
            assert!((CONTEXT..CONTEXT + 8).contains(&needle.len()), "{needle}");
        }
    }

    #[test]
    fn merges_a_message_that_both_journals_contain() {
        let body = r#"{"text":"long enough"}"#;
        let both = [
            message("agent-a", Direction::ClientToServer, body),
            message("agent-b", Direction::ClientToServer, body),
        ];
        let (known, _) = KnownStrings::new(&both, &[], None);
        assert_eq!((known.messages.len(), known.strings.len(), known.messages[0].times), (1, 1, 1));
        let twice = [both[0].clone(), both[0].clone()];
        assert_eq!(KnownStrings::new(&twice, &[], None).0.messages[0].times, 2);
    }

    #[test]
    fn a_decoy_that_was_sent_stays_a_decoy() {
        let sent = [message("agent-a", Direction::ClientToServer, r#"{"canary":"0123456789abcdef"}"#)];
        assert_eq!(KnownStrings::new(&sent, &["0123456789abcdef".to_owned()], None).0.searched_decoys(), 1);
    }

    #[test]
    fn a_decoy_that_is_too_short_is_not_searched() {
        let decoys = ["", "zz", "0123456", "01234567"].map(str::to_owned);
        let (known, _) = KnownStrings::new(&[], &decoys, None);
        assert_eq!((known.searched_decoys(), known.short_decoys()), (1, 3));
    }

    #[test]
    fn counts_bodies_that_are_not_json() {
        assert_eq!(known("not json").not_json, 1);
    }

    #[test]
    fn reads_nested_values_up_to_the_bound() {
        let nested =
            |depth: usize| format!(r#"{}"a string [ in \" it"{}"#, "[".repeat(depth), "]".repeat(depth));
        let deepest = known(&nested(MAX_DEPTH));
        assert_eq!((deepest.strings.len(), deepest.too_deep), (1, 0));
        for depth in [MAX_DEPTH + 1, 1_000_000] {
            let deeper = known(&nested(depth));
            assert_eq!((deeper.strings.len(), deeper.too_deep, deeper.not_json), (0, 1, 0));
        }
        assert_eq!(
            known(&format!("[{}]", vec!["[]"; 1000].join(","))).too_deep,
            0,
            "siblings do not count as nesting"
        );
    }

    #[test]
    fn cuts_a_long_key_in_the_paths_below_it() {
        let body = format!(r#"{{"{}":[{{"text":"long enough"}}]}}"#, "é".repeat(5000));
        let path = known(&body).strings[0].path.to_string();
        assert!(path.len() <= MAX_PATH && path.starts_with("$.éé") && path.ends_with("é…"), "{path}");
    }
}
