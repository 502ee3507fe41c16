//! The parts of a body: server-sent events, lines of JSON, messages of gRPC.
//!
//! A [`Splitter`] finds them in the text of a body, behind all content codings. [`super::body`] knows where they are and reports
//! each as a [`super::fact::PartFact`].

use std::ops::Range;

use dissect::coding::Coding;
use dissect::content::{FREE_DECODED, MAX_DECODED, MAX_RATIO};
use dissect::{event_stream, grpc, ndjson};

/// Longest compressed gRPC message that is kept to be decompressed: receivers accept 4 MiB unless they are told otherwise.
pub(crate) const MAX_COMPRESSED: usize = 4 << 20;

/// Longest gRPC message that is kept to be read as JSON; the longest event and line too.
pub(crate) const MAX_TEXT: usize = event_stream::MAX_EVENT;

/// What a body contains, by its `Content-Type`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Content {
    /// One JSON text.
    Json,
    /// Server-sent events (WHATWG HTML §9.2).
    Events,
    /// JSON texts, one in each line.
    Lines,
    /// gRPC messages, and the coding of those that are compressed; `None` if the head does not name it.
    Grpc(Option<Coding>),
    /// Anything else that can be text.
    Text,
    /// Anything else.
    Other,
}

impl Content {
    /// The content that a `Content-Type` names (RFC 9110 §8.3.1).
    pub(crate) fn of(content_type: &str) -> Self {
        let essence = content_type.split(';').next().unwrap_or_default().trim();
        let is = |name: &&str| essence.eq_ignore_ascii_case(name);
        // By far the most frequent one.
        if is(&"application/json") {
            return Self::Json;
        }
        let starts =
            |name: &str| essence.get(..name.len()).is_some_and(|start| start.eq_ignore_ascii_case(name));
        // Messages of `grpc-web-text` are in base64.
        if starts("application/grpc") && !starts("application/grpc-web-text") {
            return Self::Grpc(None);
        }
        if is(&"text/event-stream") {
            return Self::Events;
        }
        if LINES.iter().any(is) {
            return Self::Lines;
        }
        let has = |name: &str| {
            let words = essence.as_bytes().windows(name.len());
            words.into_iter().any(|word| word.eq_ignore_ascii_case(name.as_bytes()))
        };
        if has("json") {
            return Self::Json;
        }
        // A body without a type may be text.
        match essence.is_empty() || TEXT_TYPES.iter().any(|known| has(known)) {
            true => Self::Text,
            false => Self::Other,
        }
    }

    /// Whether a body with this content is kept as text, if an observer needs it.
    pub(crate) fn is_text(self) -> bool {
        matches!(self, Self::Json | Self::Events | Self::Lines | Self::Text)
    }

    /// With the coding that `grpc-encoding` names, if it is gRPC.
    pub(crate) fn with_encoding(self, encoding: Option<&[u8]>) -> Self {
        match self {
            Self::Grpc(_) => Self::Grpc(encoding.map(|name| Coding::from_token(name.trim_ascii()))),
            other => other,
        }
    }
}

/// Parts of the types of bodies that can be text.
const TEXT_TYPES: [&str; 7] =
    ["text/", "x-www-form-urlencoded", "multipart/form-data", "xml", "javascript", "yaml", "graphql"];

/// Types of JSON texts in lines: none is registered.
const LINES: [&str; 8] = [
    "application/x-ndjson",
    "application/ndjson",
    "application/jsonl",
    "application/x-jsonl",
    "application/jsonlines",
    "application/x-jsonlines",
    "application/json-lines",
    "application/stream+json",
];

/// The kind of a part.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum PartKind {
    /// A server-sent event.
    Event,
    /// A line of JSON.
    Line,
    /// A gRPC message.
    Grpc,
}

impl PartKind {
    /// Its name in decode chains.
    pub(crate) fn step(self) -> &'static str {
        match self {
            Self::Event => "event-stream",
            Self::Line => "ndjson",
            Self::Grpc => "grpc",
        }
    }
}

/// A part that ended.
#[derive(Debug)]
pub(crate) struct Found<'a> {
    pub kind: PartKind,
    /// Its bytes in the body.
    pub range: Range<u64>,
    /// The type of an event, `trailers` for those of gRPC-Web; empty for others.
    pub name: &'a [u8],
    /// What it contains, still compressed if `coding` names a coding.
    pub content: &'a [u8],
    /// Length of the content; more than `content` has if that was not kept.
    pub len: u64,
    /// The coding of a compressed message.
    pub coding: Option<Coding>,
    /// Whether all of it was captured and kept.
    pub is_complete: bool,
}

/// Divides the text of one body.
#[derive(Debug)]
pub(crate) struct Splitter {
    parser: Parser,
    /// Bytes that compressed messages may still give.
    budget: u64,
}

#[derive(Debug)]
enum Parser {
    Events(event_stream::Parser),
    Lines(ndjson::Parser),
    Grpc(Grpc),
}

impl Splitter {
    /// For content that has parts. `needs_text`: whether the content of all parts is needed, not only that of compressed ones.
    pub(crate) fn new(content: Content, needs_text: bool) -> Option<Self> {
        let parser = match content {
            Content::Events => Parser::Events(event_stream::Parser::default()),
            Content::Lines => Parser::Lines(ndjson::Parser::default()),
            Content::Grpc(coding) => Parser::Grpc(Grpc::new(coding, needs_text)),
            Content::Json | Content::Text | Content::Other => return None,
        };
        Some(Self { parser, budget: FREE_DECODED })
    }

    /// Reads the next bytes of the body.
    pub(crate) fn push(&mut self, mut bytes: &[u8], each: &mut dyn FnMut(&Found<'_>, &mut u64)) {
        let budget = &mut self.budget;
        *budget = budget.saturating_add(MAX_RATIO * bytes.len() as u64).min(MAX_DECODED);
        match &mut self.parser {
            Parser::Events(parser) => {
                while !bytes.is_empty() {
                    let (consumed, event) = parser.step(bytes);
                    bytes = bytes.get(consumed..).unwrap_or_default();
                    if let Some(event) = event {
                        each(&Found::event(&event), budget);
                    }
                }
            }
            Parser::Lines(parser) => {
                while !bytes.is_empty() {
                    let (consumed, line) = parser.step(bytes);
                    bytes = bytes.get(consumed..).unwrap_or_default();
                    if let Some(line) = line {
                        each(&Found::line(&line), budget);
                    }
                }
            }
            Parser::Grpc(messages) => messages.push(bytes, &mut |found| each(found, budget)),
        }
    }

    /// `len` bytes of the body are missing; 0 if their number is unknown.
    pub(crate) fn gap(&mut self, len: u64) {
        match &mut self.parser {
            Parser::Events(parser) => parser.gap(len),
            Parser::Lines(parser) => parser.gap(len),
            Parser::Grpc(messages) if len == 0 => messages.parser.lose(),
            Parser::Grpc(messages) => {
                messages.position += len;
                messages.parser.gap(len);
            }
        }
    }

    /// Ends the body: the part that nothing ends, if there is one.
    pub(crate) fn finish(&mut self, each: &mut dyn FnMut(&Found<'_>, &mut u64)) {
        let budget = &mut self.budget;
        match &mut self.parser {
            Parser::Events(parser) => {
                if let Some(event) = parser.finish() {
                    each(&Found::event(&event), budget);
                }
            }
            Parser::Lines(parser) => {
                if let Some(line) = parser.finish() {
                    each(&Found::line(&line), budget);
                }
            }
            Parser::Grpc(messages) => {
                if messages.current.is_some() {
                    messages.end(false, &mut |found| each(found, budget));
                }
            }
        }
    }

    /// Offset in the body of the first byte of the part that has not ended.
    pub(crate) fn pending_from(&self) -> u64 {
        match &self.parser {
            Parser::Events(parser) => parser.pending_from(),
            Parser::Lines(parser) => parser.pending_from(),
            Parser::Grpc(messages) => {
                let current = messages.current.as_ref().map(|prefix| prefix.at);
                current.unwrap_or(messages.position.saturating_sub(PREFIX))
            }
        }
    }

    /// Keeps no content from here on. Returns whether the parts have to be read all the same: a compressed message that is not
    /// kept is not decompressed, which is reported.
    pub(crate) fn keep_nothing(&mut self) -> bool {
        match &mut self.parser {
            Parser::Events(_) | Parser::Lines(_) => false,
            Parser::Grpc(messages) => {
                messages.keeps_content = false;
                messages.content = Vec::new();
                true
            }
        }
    }

    /// Number of bytes kept of the part that has not ended.
    pub(crate) fn kept(&self) -> usize {
        match &self.parser {
            Parser::Events(parser) => parser.kept(),
            Parser::Lines(parser) => parser.kept(),
            Parser::Grpc(messages) => messages.content.len(),
        }
    }
}

impl<'a> Found<'a> {
    fn event(event: &'a event_stream::Message) -> Self {
        Self {
            kind: PartKind::Event,
            range: event.range.clone(),
            name: &event.event,
            content: &event.data,
            len: event.data.len() as u64,
            coding: None,
            is_complete: event.is_complete && !event.is_cut,
        }
    }

    fn line(line: &'a ndjson::Line) -> Self {
        Self {
            kind: PartKind::Line,
            range: line.range.clone(),
            name: &[],
            content: &line.text,
            len: line.text.len() as u64,
            coding: None,
            is_complete: !line.is_cut,
        }
    }
}

/// Length of what precedes a gRPC message.
const PREFIX: u64 = 5;

/// The messages of gRPC in one body.
#[derive(Debug)]
struct Grpc {
    parser: grpc::Parser,
    coding: Option<Coding>,
    needs_text: bool,
    /// Whether content is kept that is needed.
    keeps_content: bool,
    /// Offset of the next byte.
    position: u64,
    current: Option<grpc::Prefix>,
    content: Vec<u8>,
}

impl Grpc {
    fn new(coding: Option<Coding>, needs_text: bool) -> Self {
        let parser = grpc::Parser::default();
        Self {
            parser,
            coding,
            needs_text,
            keeps_content: true,
            position: 0,
            current: None,
            content: Vec::new(),
        }
    }

    fn push(&mut self, mut bytes: &[u8], each: &mut dyn FnMut(&Found<'_>)) {
        loop {
            let grpc::Step { consumed, event } = self.parser.step(bytes);
            bytes = bytes.get(consumed..).unwrap_or_default();
            self.position += consumed as u64;
            match event {
                grpc::Event::NeedMore => return,
                grpc::Event::Begin(prefix) => self.current = Some(prefix),
                grpc::Event::Bytes(bytes) => {
                    let Some(prefix) = &self.current else { continue };
                    let most = match prefix.is_compressed {
                        _ if !self.keeps_content => 0,
                        true => MAX_COMPRESSED,
                        false if self.needs_text => MAX_TEXT,
                        false => 0,
                    };
                    // Of a message that is too long, the beginning is of no use.
                    if prefix.len as usize <= most {
                        self.content.extend_from_slice(bytes);
                    }
                }
                grpc::Event::End { complete } => self.end(complete, each),
                grpc::Event::Opaque(_) => {
                    if self.current.is_some() {
                        self.end(false, each);
                    }
                }
            }
        }
    }

    fn end(&mut self, is_complete: bool, each: &mut dyn FnMut(&Found<'_>)) {
        let Some(prefix) = self.current.take() else { return };
        let content = std::mem::take(&mut self.content);
        let coding = prefix.is_compressed.then(|| {
            let named = self.coding.filter(|coding| *coding != Coding::Identity);
            named.or_else(|| Coding::from_magic(&content)).unwrap_or(Coding::Unknown)
        });
        let is_kept = content.len() as u64 == u64::from(prefix.len);
        let is_needed = coding.is_some() || self.needs_text && !self.keeps_content;
        each(&Found {
            kind: PartKind::Grpc,
            range: prefix.at..self.position.min(prefix.at + PREFIX + u64::from(prefix.len)),
            name: if prefix.is_trailers { b"trailers" } else { b"" },
            content: &content,
            len: u64::from(prefix.len),
            coding,
            is_complete: is_complete && (is_kept || !is_needed),
        });
        // The next message is probably as long.
        self.content = content;
        self.content.clear();
        self.content.shrink_to(KEEP_CAPACITY);
    }
}

/// Capacity that stays between messages.
const KEEP_CAPACITY: usize = 16 << 10;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn content_types_name_the_parts() {
        for (content_type, content) in [
            ("application/json", Content::Json),
            ("Application/JSON; charset=utf-8", Content::Json),
            ("application/problem+json", Content::Json),
            ("text/event-stream", Content::Events),
            ("Text/Event-Stream;charset=UTF-8", Content::Events),
            ("application/x-ndjson", Content::Lines),
            ("application/jsonl; x=1", Content::Lines),
            ("application/grpc", Content::Grpc(None)),
            ("application/grpc+proto", Content::Grpc(None)),
            ("application/grpc-web+json", Content::Grpc(None)),
            ("application/grpc-web-text", Content::Other),
            ("text/html", Content::Text),
            ("", Content::Text),
        ] {
            assert_eq!(Content::of(content_type), content, "{content_type}");
        }
        let encoded = Content::of("application/grpc").with_encoding(Some(b" gzip"));
        assert_eq!(encoded, Content::Grpc(Some(Coding::Gzip)));
        assert_eq!(Content::Json.with_encoding(Some(b"gzip")), Content::Json);
    }

    fn split(content: Content, pieces: &[&[u8]]) -> Vec<(Range<u64>, String, bool)> {
        let mut splitter = Splitter::new(content, true).expect("content with parts");
        let mut seen = Vec::new();
        let mut each = |found: &Found<'_>, _: &mut u64| {
            let text = String::from_utf8_lossy(found.content).into_owned();
            seen.push((found.range.clone(), text, found.is_complete));
        };
        for piece in pieces {
            splitter.push(piece, &mut each);
        }
        splitter.finish(&mut each);
        seen
    }

    #[test]
    fn every_division_gives_the_same_parts() {
        let bodies: [(Content, &[u8]); 3] = [
            (Content::Events, b"event: message\ndata: {\"a\":1}\n\ndata: 2\n\ndata: 3"),
            (Content::Lines, b"{\"a\":1}\n{\"b\":2}\n{"),
            (Content::Grpc(None), b"\0\0\0\0\x02hi\x80\0\0\0\x01a\0\0\0\0\x05abc"),
        ];
        for (content, body) in bodies {
            let whole = split(content, &[body]);
            assert_eq!(whole.len(), 3, "{whole:?}");
            for at in 0..=body.len() {
                let (head, tail) = body.split_at(at);
                assert_eq!(split(content, &[head, tail]), whole, "{content:?} split at {at}");
            }
        }
    }

    /// Of a body that is not kept, what is compressed is not complete: it is reported as unexplained.
    #[test]
    fn compressed_messages_that_are_not_kept_are_not_complete() {
        let mut splitter = Splitter::new(Content::Grpc(None), false).expect("content with parts");
        let mut seen = Vec::new();
        let mut each = |found: &Found<'_>, _: &mut u64| {
            seen.push((found.coding.is_some(), found.content.len(), found.is_complete));
        };
        splitter.push(b"\x01\0\0\0\x03abc\x01\0\0\0\x03ab", &mut each);
        assert!(splitter.keep_nothing());
        assert_eq!(splitter.kept(), 0);
        splitter.push(b"c\x01\0\0\0\x03abc\0\0\0\0\x03abc", &mut each);
        assert_eq!(seen, [(true, 3, true), (true, 0, false), (true, 0, false), (false, 0, true)]);
    }

    #[test]
    fn places_of_grpc_messages_have_their_prefix() {
        let seen = split(Content::Grpc(None), &[b"\0\0\0\0\x02hi\0\0\0\0\x05abc"]);
        assert_eq!(seen, [(0..7, "hi".into(), true), (7..15, "abc".into(), false)]);
    }
}
