//! Walks over a message and reads every text in it.

use dissect::{event_stream, ndjson};

use super::agents::{self, AgentMessage, Context};
use super::authorization::{authorization, cookies, set_cookie};
use super::codings::Codings;
use super::deltas;
use super::form::{self, Field};
use super::json::Json;
use super::names::{Names, can_be_secret, names_card, names_secret};
use super::path::Path;
use super::personal::personal;
use super::tokens::{self, tokens};
use super::{Detail, Found, Kind, MAX_FOUND, MAX_NESTING, Place};

/// Maximum number of events or lines of one body that are read. A long answer of a language model has some thousand.
pub(crate) const MAX_SERIES: usize = 65_536;

/// Bytes of nested texts that are read of one message. A message of the longest body has as many at each depth.
const MAX_NESTED_BYTES: usize = 4 << 20;

/// Head of a message, as far as it is read.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Head<'h> {
    /// Target of a request; empty in an answer.
    pub(crate) target: &'h str,
    /// Names and values of its fields.
    pub(crate) fields: &'h [(&'h [u8], &'h [u8])],
}

/// Reads messages.
#[derive(Debug, Default)]
pub(crate) struct Reader {
    codings: Codings,
    /// What was found in the current message.
    found: Vec<Found>,
    /// Number of findings beyond [`MAX_FOUND`].
    left_out: u64,
    /// Bytes of nested texts of the current message.
    nested: usize,
}

/// Everything that was found in a message, or in its head.
#[derive(Debug, Default)]
pub(crate) struct Findings {
    pub(crate) found: Vec<Found>,
    /// Number of findings that are not in the list.
    pub(crate) left_out: u64,
    /// Messages of agents.
    pub(crate) agents: Vec<AgentMessage>,
}

/// A text and the name of its field.
#[derive(Clone, Copy)]
struct Text<'t> {
    text: &'t str,
    /// The name of the field; empty if it has none.
    name: &'t str,
    /// Whether the field is one of those whose name says nothing here.
    is_plain: bool,
}

impl Reader {
    /// Reads the head of a message.
    pub(crate) fn head(&mut self, head: &Head<'_>) -> Findings {
        self.target(head.target);
        for (name, value) in head.fields {
            let (name, value) = (String::from_utf8_lossy(name), String::from_utf8_lossy(value));
            self.field(&name, &value);
        }
        self.take()
    }

    /// Reads the body of a message.
    pub(crate) fn body(&mut self, head: &Context<'_>, body: &[u8]) -> Findings {
        let mut agents = Vec::new();
        let kind = head.content_type.to_ascii_lowercase();
        if kind.contains("event-stream") {
            self.series(head, "event", &events(body), &mut agents);
        } else if kind.contains("ndjson") || kind.contains("jsonl") || kind.contains("json-seq") {
            self.series(head, "line", &lines(body), &mut agents);
        } else if let Some(json) = Json::read_container(body) {
            self.json(Place::Json, &json, &Path::root("$"), "", false);
            agents = agents::read(head, &json);
        } else if let Some(fields) = form::fields(head.content_type, body) {
            self.form(&fields);
        } else if is_text(body) {
            let text = String::from_utf8_lossy(body);
            self.text(Place::Text, Text { text: &text, name: "", is_plain: true }, &Path::root("body"));
        }
        let mut findings = self.take();
        findings.agents = agents;
        findings
    }

    fn take(&mut self) -> Findings {
        self.nested = 0;
        Findings {
            found: std::mem::take(&mut self.found),
            left_out: std::mem::take(&mut self.left_out) + std::mem::take(&mut self.codings.left_out),
            agents: Vec::new(),
        }
    }

    /// Reads a body that is a series of JSON documents, and puts the messages together of which it has parts.
    fn series(
        &mut self,
        head: &Context<'_>,
        of: &'static str,
        texts: &[Vec<u8>],
        agents: &mut Vec<AgentMessage>,
    ) {
        let documents: Vec<_> =
            texts.iter().enumerate().map(|(index, text)| (index, Json::read_container(text))).collect();
        for (index, json) in &documents {
            match json {
                Some(json) => self.json(Place::Json, json, &Path::of(of, *index), "", false),
                None => {
                    let text =
                        texts.get(*index).map(|text| String::from_utf8_lossy(text)).unwrap_or_default();
                    let name = format!("{of}[{index}]");
                    self.text(
                        Place::Text,
                        Text { text: &text, name: "", is_plain: true },
                        &Path::root(&name),
                    );
                }
            }
        }
        let documents: Vec<&Json> = documents.iter().filter_map(|(_, json)| json.as_ref()).collect();
        for whole in deltas::join(&documents) {
            let steps = ["deltas"];
            let root = Path::root("$");
            self.json(Place::Json, &whole.message, &root.inside(&steps), "", false);
            let joined = agents::read(head, &whole.message);
            agents.extend(joined.into_iter().map(|message| AgentMessage { joined: whole.parts, ..message }));
        }
        let single = documents.iter().filter(|json| !deltas::is_part(json));
        agents.extend(single.flat_map(|json| agents::read(head, json)).take(agents::MAX_OF_BODY));
    }

    fn target(&mut self, target: &str) {
        if let Some((_, query)) = target.split_once('?') {
            let query = query.split('#').next().unwrap_or_default();
            for (name, value) in form::pairs(query).map(form::pair_of) {
                let text = Text { text: &value, name: &name, is_plain: false };
                self.text(Place::Target, text, &Path::root(&name));
            }
        }
        // A path can contain a key, and an absolute target user information.
        let path = target.split('?').next().unwrap_or_default();
        self.text(Place::Target, Text { text: path, name: "", is_plain: true }, &Path::root("path"));
    }

    fn form(&mut self, fields: &[Field<'_>]) {
        for Field { name, value, is_file } in fields {
            // A file has a name, and its contents are no secret by that name.
            if !is_file || is_text(value) {
                let text = String::from_utf8_lossy(value);
                self.text(Place::Form, Text { text: &text, name, is_plain: *is_file }, &Path::root(name));
            }
        }
    }

    fn field(&mut self, name: &str, value: &str) {
        let lower = name.to_ascii_lowercase();
        let path = Path::root(&lower);
        match lower.as_str() {
            "authorization" | "proxy-authorization" => {
                if let Some(credential) = authorization(value) {
                    let redacted = beginning(&credential.value, credential.shown);
                    self.add(
                        credential.kind,
                        Place::Header,
                        &path,
                        &credential.value,
                        redacted,
                        credential.details,
                    );
                }
            }
            "cookie" => {
                for (name, value) in cookies(value) {
                    self.cookie(Kind::Cookie, &path, name, value, Vec::new());
                }
            }
            "set-cookie" => {
                if let Some((name, value, details)) = set_cookie(value) {
                    self.cookie(Kind::SetCookie, &path, name, value, details);
                }
            }
            // What the framing says, and what the body is.
            ":path" | ":method" | ":scheme" | ":status" | "content-length" | "date" | "accept" | "host" => {}
            _ => self.text(Place::Header, Text { text: value, name, is_plain: false }, &path),
        }
    }

    fn cookie(&mut self, kind: Kind, path: &Path<'_>, name: &str, value: &str, mut details: Vec<Detail>) {
        let (path, value) = (path.member(name), value.trim_matches('"'));
        let token = tokens::whole(value);
        let shown = token.as_ref().map_or(0, |token| token.shown);
        details.extend(token.into_iter().flat_map(|token| token.details));
        self.add(kind, Place::Header, &path, value, beginning(value, shown), details);
    }

    /// Reads every text of a JSON value. As deep as it was read: 128 levels.
    fn json(&mut self, place: Place, value: &Json, path: &Path<'_>, name: &str, is_plain: bool) {
        match value {
            Json::Word => {}
            Json::Number(text) => {
                let names = names_secret(name).filter(|names| *names == Names::Password && !is_plain);
                if names.is_some() || names_card(name) {
                    self.text(place, Text { text, name, is_plain }, path);
                }
            }
            Json::Text(text) => self.text(place, Text { text, name, is_plain }, path),
            Json::List(elements) => {
                for (index, element) in elements.iter().enumerate() {
                    self.json(place, element, &path.element(index), name, is_plain);
                }
            }
            Json::Object(members) => {
                // A list of probabilities names each piece of text a token.
                let is_probability = members.iter().any(|(name, _)| name == "logprob" || name == "logit");
                for (name, value) in members {
                    self.json(place, value, &path.member(name), name, is_probability);
                }
            }
        }
    }

    /// Reads a text.
    fn text(&mut self, place: Place, text: Text<'_>, path: &Path<'_>) {
        let Text { text: value, name, is_plain } = text;
        if value.is_empty() {
            return;
        }
        let mut is_named = false;
        if let Some(names) = names_secret(name).filter(|names| !is_plain && can_be_secret(*names, value))
            && tokens::whole(value).is_none()
        {
            let kind = if names == Names::Password { Kind::Password } else { Kind::NamedSecret };
            is_named = true;
            self.add(kind, place, path, value, String::from("…"), Vec::new());
        }
        for token in tokens(value) {
            let secret = value.get(token.range).unwrap_or_default();
            let redacted = beginning(secret, token.shown);
            self.add(token.kind, place, path, secret, redacted, token.details);
        }
        for found in personal(value, names_card(name)) {
            let data = value.get(found.range).unwrap_or_default();
            self.add(found.kind, place, path, data, partly(found.kind, data), found.details);
        }
        if !is_named {
            self.nested(place, value, path);
        }
    }

    /// Reads what a text contains in another coding.
    fn nested(&mut self, place: Place, text: &str, path: &Path<'_>) {
        if !could_be_coded(text) || path.depth >= MAX_NESTING || self.nested + text.len() > MAX_NESTED_BYTES {
            return;
        }
        self.nested += text.len();
        if let Some(json) = Json::read_container(text.as_bytes()) {
            self.json(place, &json, &path.document(), "", false);
        } else if let Some((steps, inner)) = self.codings.decode(text) {
            let path = path.inside(&steps);
            self.nested += inner.len();
            match Json::read_container(inner.as_bytes()).filter(|_| path.depth < MAX_NESTING) {
                Some(json) => self.json(place, &json, &path.document(), "", false),
                None => self.text(place, Text { text: &inner, name: "", is_plain: true }, &path),
            }
        }
    }

    fn add(
        &mut self,
        kind: Kind,
        place: Place,
        path: &Path<'_>,
        value: &str,
        redacted: String,
        details: Vec<Detail>,
    ) {
        // A scheme or a cookie without a value is no credential; a user without a password is one.
        if value.is_empty() && kind != Kind::Basic {
            return;
        }
        if self.found.len() >= MAX_FOUND {
            self.left_out += 1;
            return;
        }
        let (path, steps) = (path.text(), path.steps());
        self.found.push(Found { kind, place, path, value: value.to_owned(), redacted, details, steps });
    }
}

/// The documents of a body of server-sent events.
fn events(body: &[u8]) -> Vec<Vec<u8>> {
    let mut parser = event_stream::Parser::default();
    let mut events = Vec::new();
    let mut rest = body;
    while !rest.is_empty() && events.len() < MAX_SERIES {
        let (consumed, event) = parser.step(rest);
        rest = rest.get(consumed..).unwrap_or_default();
        events.extend(event.map(|event| event.data));
    }
    if rest.is_empty() {
        events.extend(parser.finish().map(|event| event.data));
    }
    events
}

/// The lines of a body of newline-delimited JSON, or of a JSON text sequence (RFC 7464).
fn lines(body: &[u8]) -> Vec<Vec<u8>> {
    let mut parser = ndjson::Parser::default();
    let mut lines = Vec::new();
    let mut rest = body;
    while !rest.is_empty() && lines.len() < MAX_SERIES {
        let (consumed, line) = parser.step(rest);
        rest = rest.get(consumed..).unwrap_or_default();
        lines.extend(line.map(|line| line.text));
    }
    if rest.is_empty() {
        lines.extend(parser.finish().map(|line| line.text));
    }
    for line in &mut lines {
        if line.first() == Some(&0x1e) {
            line.remove(0);
        }
    }
    lines
}

/// Whether bytes are text: UTF-8, or nearly, and without zeros.
fn is_text(body: &[u8]) -> bool {
    let start = body.get(..body.len().min(1024)).unwrap_or_default();
    !start.contains(&0)
}

/// Whether it is worth the while to look for a coding: JSON, base64 or a data URL have no blank at their beginning.
fn could_be_coded(text: &str) -> bool {
    let text = text.trim_start();
    text.starts_with(['{', '['])
        || text.starts_with("data:")
        || !text.bytes().take(16).any(|byte| byte.is_ascii_whitespace())
}

/// The beginning of a secret that is no secret, and an ellipsis.
fn beginning(value: &str, shown: usize) -> String {
    format!("{}…", value.get(..shown).unwrap_or_default())
}

/// What is shown of personal data: enough to recognise it for whom it belongs to.
fn partly(kind: Kind, value: &str) -> String {
    let last_four = || {
        let digits: String = value.chars().filter(|letter| letter.is_alphanumeric()).collect();
        digits.get(digits.len().saturating_sub(4)..).unwrap_or_default().to_owned()
    };
    match (kind, value.split_once('@')) {
        (Kind::Email, Some((local, domain))) => {
            format!("{}…@{domain}", local.chars().next().map(String::from).unwrap_or_default())
        }
        (Kind::Iban, _) => format!("{}…{}", value.get(..4).unwrap_or_default(), last_four()),
        _ => format!("…{}", last_four()),
    }
}
