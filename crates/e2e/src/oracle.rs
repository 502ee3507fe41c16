//! Facts of a capture as tshark and as the analyzer read it, in the same words, and how many of them agree.
//!
//! tshark's come from its PDML, the whole dissection of each frame; the analyzer's from its JSON. A fact is a field and a value
//! that begins with the addresses of the connection, so that equal facts of two connections do not count for each other.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::{iter, panic, thread};

use serde_json::Value;

use crate::damage::{Judged, analyze_with, sha256};

/// The fields that are compared, in the order of reports.
pub const FIELDS: [&str; 17] = [
    "http1.request",
    "http1.response",
    "http1.body",
    "http2.request",
    "http2.response",
    "http2.body",
    "http3.request",
    "http3.response",
    "http3.body",
    "websocket.message",
    "tls.server_name",
    "tls.version",
    "tls.suite",
    "tls.certificate",
    "dns.name",
    "json.string",
    "credential",
];

/// Facts by field, each with the number of times that it occurs.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Facts(BTreeMap<&'static str, BTreeMap<String, u64>>);

impl Facts {
    fn add(&mut self, field: &'static str, value: String) {
        debug_assert!(FIELDS.contains(&field));
        *self.0.entry(field).or_default().entry(value).or_default() += 1;
    }

    /// As [`Facts::add`], for what a connection states once however often it is shown.
    fn add_once(&mut self, field: &'static str, value: String) {
        self.0.entry(field).or_default().insert(value, 1);
    }

    fn of(&self, field: &str) -> impl Iterator<Item = (&String, u64)> {
        self.0.get(field).into_iter().flatten().map(|(value, times)| (value, *times))
    }

    fn times(&self, field: &str, value: &str) -> u64 {
        self.0.get(field).and_then(|values| values.get(value)).copied().unwrap_or_default()
    }

    /// Each fact as often as the one states it that states it more often.
    #[must_use]
    pub fn either(mut self, other: &Self) -> Self {
        for (field, values) in &other.0 {
            let own = self.0.entry(field).or_default();
            for (value, times) in values {
                let own = own.entry(value.clone()).or_default();
                *own = (*own).max(*times);
            }
        }
        self
    }

    /// Facts of a field that `other` lacks, for messages.
    #[must_use]
    pub fn without(&self, other: &Self, field: &str) -> Vec<String> {
        self.of(field)
            .filter(|(value, times)| *times > other.times(field, value))
            .map(|(value, times)| format!("{value} ({} of {times})", other.times(field, value)))
            .collect()
    }
}

/// How many facts of one field agree.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Count {
    /// Facts of tshark.
    pub expected: u64,
    /// Those of them that the analyzer states, too.
    pub found: u64,
    /// Facts that the analyzer alone states.
    pub extra: u64,
}

impl Count {
    /// Whether both state the same.
    #[must_use]
    pub fn is_equal(&self) -> bool {
        self.expected == self.found && self.extra == 0
    }
}

/// Compares one field.
#[must_use]
pub fn compare(tshark: &Facts, analyzer: &Facts, field: &str) -> Count {
    let expected = tshark.of(field).map(|(_, times)| times).sum();
    let stated: u64 = analyzer.of(field).map(|(_, times)| times).sum();
    let found = tshark.of(field).map(|(value, times)| times.min(analyzer.times(field, value))).sum();
    Count { expected, found, extra: stated - found }
}

/// The captures of a folder, in order of their names.
///
/// # Panics
/// If the folder cannot be read.
#[must_use]
pub fn captures(folder: &Path) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(folder).unwrap_or_else(|error| panic!("{}: {error}", folder.display()));
    let mut paths: Vec<_> = entries.map(|entry| entry.expect("an entry").path()).collect();
    paths.retain(|path| path.extension().is_some_and(|kind| kind == "pcap" || kind == "pcapng"));
    paths.sort();
    paths
}

/// The key log beside a capture.
fn key_log(capture: &Path) -> Option<PathBuf> {
    let path = capture.with_extension("keys");
    path.exists().then_some(path)
}

/// A capture's name, and its facts as tshark states them and as the analyzer does; `None` of a program that does not read it.
pub type Read = (String, Option<Facts>, Option<Facts>);

/// Reads captures with both programs, in the order of their names. tshark takes a second for each, so all CPUs share the captures.
///
/// # Panics
/// If a capture has no name.
#[must_use]
pub fn read_by_both(captures: &[PathBuf]) -> Vec<Read> {
    let next = AtomicUsize::new(0);
    let read_one = |capture: &PathBuf| {
        let name = capture.file_stem().expect("a name").to_string_lossy().into_owned();
        let tshark = panic::catch_unwind(|| by_tshark(capture)).ok();
        (name, tshark, panic::catch_unwind(|| by_analyzer(capture)).ok())
    };
    let read = || {
        let captures = iter::from_fn(|| captures.get(next.fetch_add(1, Ordering::Relaxed)));
        captures.map(read_one).collect::<Vec<Read>>()
    };
    let threads = thread::available_parallelism().map_or(1, usize::from);
    let mut all: Vec<Read> = thread::scope(|scope| {
        let readers: Vec<_> = (0..threads).map(|_| scope.spawn(read)).collect();
        readers.into_iter().flat_map(|reader| reader.join().expect("a reader does not panic")).collect()
    });
    all.sort_by(|(left, ..), (right, ..)| left.cmp(right));
    all
}

/// Whether this machine has tshark.
#[must_use]
pub fn has_tshark() -> bool {
    Command::new("tshark").arg("--version").output().is_ok()
}

/// What the analyzer states about a capture, with the key log beside it (`NAME.keys`).
///
/// # Panics
/// If `analyze` does not answer with its JSON.
#[must_use]
pub fn by_analyzer(capture: &Path) -> Facts {
    let judged = match key_log(capture) {
        Some(keys) => {
            let keys = keys.to_str().expect("the path of a key log is text");
            Judged::of(&analyze_with(
                &[capture],
                &["--format", "json", "--no-output", "--show-secrets", "--keys", keys],
            ))
        }
        None => Judged::of(&analyze_with(&[capture], &["--format", "json", "--no-output", "--show-secrets"])),
    };
    let captures = judged.document["captures"].as_array().expect("an array of captures");
    captures.first().map(stated).unwrap_or_default()
}

/// A field and the analyzer's name of it.
const SERVER_NAME: (&str, &str) = ("tls.server_name", "server_name");
const SUITE: (&str, &str) = ("tls.suite", "cipher_suite");

fn stated(capture: &Value) -> Facts {
    let mut facts = Facts::default();
    let connections = entries(&capture["connections"]);
    let flows: HashMap<_, _> =
        connections.iter().map(|connection| (connection["stream"].as_u64(), flow_of(connection))).collect();
    let sessions = entries(&capture["quic"]["sessions"]);
    for message in entries(&capture["http"]) {
        let session = message["quic_session"].as_u64().and_then(|session| sessions.get(session as usize));
        if let Some(session) = session {
            stated_http3(&mut facts, &flow_of(session), message);
            continue;
        }
        let stream = &message["stream"];
        let flow = flows.get(&stream.as_u64()).cloned().unwrap_or_else(|| format!("stream {stream}"));
        stated_message(&mut facts, &flow, message);
    }
    for session in sessions {
        // Its `version` is QUIC's; the handshake inside is always TLS 1.3 (RFC 9001 §4.2).
        let flow = flow_of(session);
        stated_session(&mut facts, &flow, session, &[SERVER_NAME, SUITE]);
        stated_certificates(&mut facts, &flow, &session["hidden"]);
    }
    for session in entries(&capture["tls"]["sessions"]) {
        let (stream, visible) = (flow_of(session), &session["visible"]);
        stated_session(&mut facts, &stream, visible, &[SERVER_NAME, SUITE, ("tls.version", "version")]);
        for part in [visible, &session["hidden"]] {
            stated_certificates(&mut facts, &stream, part);
        }
    }
    for list in ["readable", "opened"] {
        for string in entries(&capture[list]) {
            let (stream, place) = (&string["location"]["stream"], text(&string["path"]));
            let is_json = place.starts_with('$') || place.contains(" > $");
            // Neither a value with a secret in it is shown, nor one whose name names one.
            if let Some(value) = string["value"].as_str().filter(|_| is_json) {
                let flow = flows.get(&stream.as_u64()).cloned().unwrap_or_default();
                facts.add("json.string", format!("{flow} {}", comparable(value)));
            }
        }
    }
    for found in entries(&capture["contents"]["credentials"]) {
        let value = text(&found["value"]);
        match text(&found["kind"]) {
            "basic" => {
                let user = entries(&found["details"]).iter().find(|detail| detail["name"] == "user");
                let user = user.map_or("", |user| text(&user["value"]));
                facts.add_once("credential", format!("basic {user}:{value}"));
            }
            kind @ ("digest" | "bearer" | "ntlm") => facts.add_once("credential", kind.to_owned()),
            "cookie" | "set_cookie" => {
                let name = text(&found["path"]).split_once(['.', '[']).map_or("", |(_, name)| name);
                let name = name.trim_end_matches(']').trim_matches('"');
                facts.add_once("credential", format!("cookie {name}"));
            }
            _ => {}
        }
    }
    for question in entries(&capture["dns"]["lookups"]) {
        // A repeated question is one lookup.
        facts.add_once("dns.name", text(&question["name"]).to_owned());
    }
    facts
}

fn stated_certificates(facts: &mut Facts, flow: &str, part: &Value) {
    let sides = ["certificates", "client_certificates"].map(|side| entries(&part[side]));
    for certificate in sides.into_iter().flatten() {
        facts.add("tls.certificate", format!("{flow} {}", text(&certificate["sha256"])));
    }
}

/// What a session of TLS, in TCP or in QUIC, shows without keys.
fn stated_session(facts: &mut Facts, flow: &str, visible: &Value, names: &[(&'static str, &'static str)]) {
    for (field, name) in names {
        if let Some(text) = visible[name].as_str() {
            facts.add_once(field, format!("{flow} {text}"));
        }
    }
}

/// The two ends of a connection, in the order of their texts: the two programs need not agree on which of them is the client.
fn flow_of(connection: &Value) -> String {
    flow(text(&connection["client"]).to_owned(), text(&connection["server"]).to_owned())
}

fn flow(one: String, other: String) -> String {
    let (first, second) = if one <= other { (one, other) } else { (other, one) };
    format!("{first} {second}")
}

fn stated_message(facts: &mut Facts, stream: &str, message: &Value) {
    let has = |name: &str| entries(&message["layers"]).iter().any(|layer| layer == name);
    let bytes = message["body_bytes"].as_u64().unwrap_or_default();
    let (request, response, body) = match has("http2") {
        true => ("http2.request", "http2.response", "http2.body"),
        false => ("http1.request", "http1.response", "http1.body"),
    };
    if let Some(method) = message["method"].as_str() {
        facts.add(request, format!("{stream} {method} {}", text(&message["target"])));
    } else if let Some(status) = message["status"].as_u64() {
        facts.add(response, format!("{stream} {status}"));
    } else if has("websocket") {
        return facts.add("websocket.message", format!("{stream} {bytes}"));
    } else {
        // A part of a body, such as one event, that is listed by itself.
        return;
    }
    if bytes > 0 {
        facts.add(body, format!("{stream} {bytes}"));
    }
}

/// tshark does not show what a head says, so that the number of the stream is compared in its place.
fn stated_http3(facts: &mut Facts, flow: &str, message: &Value) {
    let line = format!("{flow} {}", message["http3_stream"]);
    if message["method"].is_string() {
        facts.add("http3.request", line.clone());
    } else if message["status"].as_u64().is_some_and(|status| status >= 200) {
        facts.add("http3.response", line.clone());
    }
    if let Some(bytes) = message["body_bytes"].as_u64().filter(|bytes| *bytes > 0) {
        facts.add("http3.body", format!("{line} {bytes}"));
    }
}

fn entries(value: &Value) -> &[Value] {
    value.as_array().map(Vec::as_slice).unwrap_or_default()
}

fn text(value: &Value) -> &str {
    value.as_str().unwrap_or_default()
}

/// What tshark reads in a capture, with the secrets that the file contains and those beside it (`NAME.keys`).
///
/// # Panics
/// If tshark cannot be started, or fails.
#[must_use]
pub fn by_tshark(capture: &Path) -> Facts {
    run_tshark(capture, &[])
}

/// Reads a capture as [`by_tshark`] does, with more help for tshark: the protocol of each port on which the analyzer alone states
/// facts, and segments in their order. A fact that tshark states with this help is no error of the analyzer.
///
/// # Panics
/// As [`by_tshark`].
#[must_use]
pub fn by_tshark_with_help(capture: &Path, tshark: &Facts, analyzer: &Facts) -> Facts {
    let alone =
        |field: &'static str| analyzer.without(tshark, field).into_iter().map(move |fact| (field, fact));
    let mut protocols = BTreeMap::new();
    for (field, fact) in FIELDS.into_iter().flat_map(alone) {
        let protocol = match field.split('.').next() {
            Some("http2") => "http2",
            Some("tls") => "tls",
            Some("http1" | "websocket") => "http",
            _ => continue,
        };
        for end in fact.split(' ').take(2) {
            let port = end.rsplit(':').next().and_then(|port| port.parse::<u16>().ok());
            // TLS decides itself what is inside.
            let known = port.map(|port| protocols.entry(port).or_insert(protocol));
            if let (Some(known), "tls") = (known, protocol) {
                *known = protocol;
            }
        }
    }
    let mut help = vec!["-o".to_owned(), "tcp.reassemble_out_of_order:TRUE".to_owned()];
    for (port, protocol) in protocols {
        help.extend(["-d".to_owned(), format!("tcp.port=={port},{protocol}")]);
    }
    let whole = run_tshark(capture, &help);
    // It shows the head of a message whose body is cut only if it does not wait for the body.
    help.extend(["-o".to_owned(), "http.desegment_body:FALSE".to_owned()]);
    let mut heads = run_tshark(capture, &help);
    heads.0.retain(|field, _| !field.ends_with(".body"));
    whole.either(&heads)
}

fn run_tshark(capture: &Path, help: &[String]) -> Facts {
    let home = tempfile::tempdir().expect("a folder");
    let keys = key_log(capture).map(|path| format!("tls.keylog_file:{}", path.display()));
    let output = Command::new("tshark")
        // On these ports HTTP/2 begins without TLS and without an upgrade, which tshark recognises on no port but HTTP's.
        .args(["-n", "-d", "tcp.port==81,http2", "-d", "tcp.port==50051,http2", "-T", "pdml", "-r"])
        .arg(capture)
        .args(keys.iter().flat_map(|keys| ["-o", keys]))
        .args(help)
        // Without the user's configuration.
        .env("HOME", home.path())
        .output()
        .expect("tshark starts");
    assert!(output.status.success(), "{}: {}", capture.display(), String::from_utf8_lossy(&output.stderr));
    let pdml = String::from_utf8_lossy(&output.stdout);
    let mut reading = Reading::default();
    pdml.lines().filter_map(Element::read).for_each(|element| reading.element(&element));
    reading.end()
}

/// One field or protocol of the PDML.
struct Element<'a> {
    name: &'a str,
    show: String,
    showname: String,
    value: &'a str,
    size: u64,
}

impl<'a> Element<'a> {
    /// An element is on a line of its own. `None` for a line that is something else.
    fn read(line: &'a str) -> Option<Self> {
        let line = line.trim_start();
        (line.starts_with("<field ") || line.starts_with("<proto ") || line.starts_with("<packet>")).then(
            || Self {
                name: if line.starts_with("<packet>") { "packet" } else { attribute(line, "name") },
                show: unescaped(attribute(line, "show")),
                showname: unescaped(attribute(line, "showname")),
                value: attribute(line, "value"),
                size: attribute(line, "size").parse().unwrap_or_default(),
            },
        )
    }

    fn number(&self) -> u64 {
        self.show.parse().unwrap_or_default()
    }
}

fn attribute<'a>(line: &'a str, name: &str) -> &'a str {
    let start = format!(" {name}=\"");
    let value = line.find(&start).map(|at| &line[at + start.len()..]);
    value.and_then(|value| value.find('"').map(|end| &value[..end])).unwrap_or_default()
}

fn unescaped(text: &str) -> String {
    let plain = text.replace("&lt;", "<").replace("&gt;", ">").replace("&quot;", "\"");
    plain.replace("&#x27;", "'").replace("&apos;", "'").replace("&amp;", "&")
}

/// The type of a DATA frame (RFC 9113 §6.1).
const H2_DATA: u64 = 0;

/// The types of frames of HTTP/3 (RFC 9114 §7.2).
const H3_DATA: u64 = 0;
const H3_HEADERS: u64 = 1;

/// The opcode of a binary message; those of text and of a continuation are lower (RFC 6455 §11.8).
const WEBSOCKET_BINARY: u64 = 2;

/// The type of a ServerHello (RFC 8446 §4).
const SERVER_HELLO: u64 = 2;

/// The connection's side that a frame comes from.
type Sender = (String, String);

/// Parts of a stream by their offsets.
type Pieces = BTreeMap<u64, Vec<u8>>;

/// Reads the elements in order, and keeps what the frames before have begun.
#[derive(Default)]
struct Reading {
    facts: Facts,
    /// Of the innermost packet: the addresses, the ports, whether it is a datagram.
    addresses: [String; 2],
    ports: [String; 2],
    is_datagram: bool,
    /// Method of the request whose head is being read.
    method: Option<String>,
    /// Whether the element of HTTP/1 that is being read has a start line.
    has_start_line: bool,
    /// Of the HTTP/2 frame that is being read: length, type, stream.
    h2_length: u64,
    h2_type: u64,
    h2_stream: u64,
    h2_method: Option<String>,
    h2_authority: Option<String>,
    h2_path: Option<String>,
    /// Body bytes by sender and HTTP/2 stream: as they were sent, and decoded.
    h2_bodies: BTreeMap<(Sender, u64), (u64, Option<u64>)>,
    /// Stream and offset of the QUIC frame that is being read.
    quic_stream: u64,
    quic_offset: u64,
    /// The bytes of the requests' streams by flow and stream: of each sender, the client first, the pieces by their
    /// offsets.
    quic_streams: BTreeMap<(String, u64), Vec<(Sender, Pieces)>>,
    /// The flows in which tshark finds HTTP/3.
    h3_flows: BTreeSet<String>,
    websocket_opcode: u64,
    websocket_is_final: bool,
    /// Bytes of the frame of data that is being read.
    websocket_bytes: Option<u64>,
    /// Bytes of a message that is not finished.
    websocket_open: HashMap<Sender, u64>,
    handshake: u64,
    hello_version: Option<String>,
    dns_is_answer: bool,
}

impl Reading {
    fn element(&mut self, element: &Element<'_>) {
        let stream = self.flow();
        match element.name {
            "packet" => {
                self.finish_websocket();
                self.finish_head();
                self.finish_hello();
                self.is_datagram = false;
            }
            "ip.src" => self.addresses[0] = element.show.clone(),
            "ip.dst" => self.addresses[1] = element.show.clone(),
            "ipv6.src" => self.addresses[0] = format!("[{}]", element.show),
            "ipv6.dst" => self.addresses[1] = format!("[{}]", element.show),
            "tcp.srcport" | "udp.srcport" => {
                self.ports[0] = element.show.clone();
                self.is_datagram = element.name.starts_with("udp");
            }
            "tcp.dstport" | "udp.dstport" => self.ports[1] = element.show.clone(),
            // The messages of SSDP have HTTP's form, in datagrams.
            name if self.is_datagram && name.starts_with("http.") => {}
            "http" | "http2" | "http2.stream" => {
                self.finish_head();
                self.has_start_line = false;
            }
            "http.request.method" => {
                self.method = Some(element.show.clone());
                self.has_start_line = true;
            }
            "http.request.uri" => {
                if let Some(method) = self.method.take() {
                    self.facts.add("http1.request", format!("{stream} {method} {}", element.show));
                }
            }
            "http.response.code" => {
                self.has_start_line = true;
                self.facts.add("http1.response", format!("{stream} {}", element.show));
            }
            // On HTTP's ports tshark calls each segment a continuation, a body of its own, whatever it has, if no message that it
            // put together reaches so far: behind lost frames, in TLS, in protocols of their own.
            "http.file_data" if element.size > 0 && self.has_start_line => {
                self.facts.add("http1.body", format!("{stream} {}", element.size));
            }
            "http2.length" => self.h2_length = element.number(),
            "http2.type" => self.h2_type = element.number(),
            "http2.streamid" => {
                self.h2_stream = element.number();
                if self.h2_type == H2_DATA {
                    self.h2_body().0 += self.h2_length;
                }
            }
            // The length of the padding is itself one byte of the frame; tshark makes the field up where there is none.
            "http2.pad_length" if self.h2_type == H2_DATA && element.size > 0 => {
                let body = self.h2_body();
                body.0 = body.0.saturating_sub(1 + element.number());
            }
            "http2.headers.method" => self.h2_method = Some(element.show.clone()),
            "http2.headers.authority" => self.h2_authority = Some(element.show.clone()),
            "http2.headers.path" => self.h2_path = Some(element.show.clone()),
            "http2.headers.status" => self.facts.add("http2.response", format!("{stream} {}", element.show)),
            "json.value.string" if !self.is_datagram => {
                self.facts.add("json.string", format!("{stream} {}", comparable(&element.show)));
            }
            "http.authbasic" => {
                self.facts.add_once("credential", format!("basic {}", element.show));
            }
            "http.authorization" => {
                let scheme = element.show.split(' ').next().unwrap_or_default().to_ascii_lowercase();
                if ["digest", "bearer", "ntlm"].contains(&scheme.as_str()) {
                    self.facts.add_once("credential", scheme);
                }
            }
            "http.cookie" | "http2.headers.cookie" => {
                for pair in element.show.split(';').filter_map(|pair| pair.trim().split_once('=')) {
                    self.cookie(pair);
                }
            }
            "http.set_cookie" | "http2.headers.set_cookie" => {
                let pair = element.show.split(';').next().unwrap_or_default();
                if let Some(pair) = pair.trim().split_once('=') {
                    self.cookie(pair);
                }
            }
            "quic.stream.stream_id" => (self.quic_stream, self.quic_offset) = (element.number(), 0),
            "quic.stream.offset" => self.quic_offset = element.number(),
            "quic.stream_data" => self.quic_data(element),
            "http3" => drop(self.h3_flows.insert(stream)),
            name => match name.split('.').next() {
                Some("websocket") => self.websocket(element),
                Some("tls") => self.tls(element),
                Some("dns") => self.dns(element),
                _ => self.decoded(element),
            },
        }
    }

    /// A cookie without a value is no credential.
    fn cookie(&mut self, (name, value): (&str, &str)) {
        if !value.is_empty() {
            self.facts.add_once("credential", format!("cookie {name}"));
        }
    }

    fn flow(&self) -> String {
        let [from, to] = [0, 1].map(|end| format!("{}:{}", self.addresses[end], self.ports[end]));
        flow(from, to)
    }

    fn sender(&self) -> Sender {
        (self.flow(), format!("{}:{}", self.addresses[0], self.ports[0]))
    }

    fn h2_body(&mut self) -> &mut (u64, Option<u64>) {
        self.h2_bodies.entry((self.sender(), self.h2_stream)).or_default()
    }

    /// Keeps a piece of a stream in which the client asks (RFC 9000 §2.1).
    fn quic_data(&mut self, element: &Element<'_>) {
        if !self.quic_stream.is_multiple_of(4) {
            return;
        }
        let (sender, offset) = (self.sender(), self.quic_offset);
        let bytes = data_encoding::HEXLOWER_PERMISSIVE.decode(element.value.as_bytes());
        let sides = self.quic_streams.entry((self.flow(), self.quic_stream)).or_default();
        let known = sides.iter().position(|(known, _)| *known == sender);
        let index = known.unwrap_or_else(|| {
            sides.push((sender, Pieces::new()));
            sides.len() - 1
        });
        let bytes = bytes.expect("hexadecimal digits");
        let piece = sides[index].1.entry(offset).or_default();
        if piece.len() < bytes.len() {
            *piece = bytes;
        }
    }

    /// tshark shows frames of HTTP/3 only where one packet has all of them, so they are read here, from the streams
    /// that it opens.
    fn finish_http3(&mut self) {
        let streams = std::mem::take(&mut self.quic_streams);
        for ((flow, stream), sides) in streams.iter().filter(|((flow, _), _)| self.h3_flows.contains(flow)) {
            for (fact, (_, pieces)) in ["http3.request", "http3.response"].into_iter().zip(sides) {
                let (heads, body) = http3_frames(&joined(pieces));
                if heads > 0 {
                    self.facts.add(fact, format!("{flow} {stream}"));
                }
                if body > 0 {
                    self.facts.add("http3.body", format!("{flow} {stream} {body}"));
                }
            }
        }
    }

    /// tshark shows the length of a body of HTTP/2 whose coding it has undone in words only.
    fn decoded(&mut self, element: &Element<'_>) {
        let words = [element.show.as_str(), element.showname.as_str()];
        let is_body = words.iter().find(|words| words.starts_with("Content-encoded entity body"));
        let length = is_body.and_then(|words| words.split("-> ").nth(1)?.split(' ').next()?.parse().ok());
        if length.is_some() && self.h2_bodies.contains_key(&(self.sender(), self.h2_stream)) {
            self.h2_body().1 = length;
        }
    }

    /// The fields of an HTTP/2 head come in the sender's order.
    fn finish_head(&mut self) {
        let path = self.h2_path.take().or(self.h2_authority.take());
        self.h2_authority = None;
        if let Some(method) = self.h2_method.take() {
            let line = format!("{} {method} {}", self.flow(), path.unwrap_or_default());
            self.facts.add("http2.request", line);
        }
    }

    fn websocket(&mut self, element: &Element<'_>) {
        match element.name {
            "websocket.fin" => {
                self.finish_websocket();
                self.websocket_is_final = element.number() == 1 || element.show == "True";
            }
            "websocket.opcode" => self.websocket_opcode = element.number(),
            "websocket.payload_length"
            | "websocket.payload_length_ext_16"
            | "websocket.payload_length_ext_64" => {
                self.websocket_bytes = (self.websocket_opcode <= WEBSOCKET_BINARY).then(|| element.number());
            }
            // What is shown behind it is inflated.
            "websocket.payload.text" | "websocket.payload.binary" if self.websocket_bytes.is_some() => {
                self.websocket_bytes = Some(element.size);
            }
            _ => {}
        }
    }

    fn finish_websocket(&mut self) {
        let Some(bytes) = self.websocket_bytes.take() else { return };
        let open = self.websocket_open.entry(self.sender()).or_default();
        *open += bytes;
        if self.websocket_is_final {
            let message = std::mem::take(open);
            self.facts.add("websocket.message", format!("{} {message}", self.flow()));
        }
    }

    fn tls(&mut self, element: &Element<'_>) {
        let stream = self.flow();
        match element.name {
            "tls.handshake.type" => {
                self.finish_hello();
                self.handshake = element.number();
            }
            "tls.handshake.extensions_server_name" => {
                self.facts.add_once("tls.server_name", format!("{stream} {}", element.show));
            }
            "tls.handshake.version" | "tls.handshake.extensions.supported_version" if self.is_datagram => {}
            "tls.handshake.version" if self.handshake == SERVER_HELLO => {
                self.hello_version = Some(named(&element.showname));
            }
            "tls.handshake.extensions.supported_version" if self.handshake == SERVER_HELLO => {
                self.hello_version = Some(named(&element.showname));
            }
            "tls.handshake.ciphersuite" if self.handshake == SERVER_HELLO => {
                self.facts.add_once("tls.suite", format!("{stream} {}", named(&element.showname)));
            }
            "tls.handshake.certificate" => {
                let bytes = data_encoding::HEXLOWER_PERMISSIVE.decode(element.value.as_bytes());
                let hash = sha256(&bytes.expect("hexadecimal digits"));
                self.facts.add("tls.certificate", format!("{stream} {hash}"));
            }
            _ => {}
        }
    }

    fn finish_hello(&mut self) {
        if let Some(version) = self.hello_version.take() {
            self.facts.add_once("tls.version", format!("{} {version}", self.flow()));
        }
    }

    fn dns(&mut self, element: &Element<'_>) {
        match element.name {
            "dns.flags.response" => self.dns_is_answer = element.show == "1" || element.show == "True",
            "dns.qry.name" if !self.dns_is_answer => self.facts.add_once("dns.name", element.show.clone()),
            _ => {}
        }
    }

    fn end(mut self) -> Facts {
        self.finish_websocket();
        self.finish_head();
        self.finish_hello();
        self.finish_http3();
        for (((stream, _), _), (sent, decoded)) in std::mem::take(&mut self.h2_bodies) {
            let bytes = decoded.unwrap_or(sent);
            if bytes > 0 {
                self.facts.add("http2.body", format!("{stream} {bytes}"));
            }
        }
        self.facts
    }
}

/// The bytes of a stream up to the first that is missing.
fn joined(pieces: &Pieces) -> Vec<u8> {
    let mut bytes = Vec::new();
    for (offset, piece) in pieces {
        let known = (bytes.len() as u64).checked_sub(*offset).and_then(|known| usize::try_from(known).ok());
        let Some(known) = known else { break };
        bytes.extend_from_slice(piece.get(known..).unwrap_or_default());
    }
    bytes
}

/// Number of heads in a stream of HTTP/3, and of bytes in its DATA frames, as far as they are there.
fn http3_frames(mut rest: &[u8]) -> (u64, u64) {
    let (mut heads, mut body) = (0, 0);
    while let Some((kind, behind)) = quic_number(rest)
        && let Some((len, behind)) = quic_number(behind)
    {
        let there = behind.len().min(usize::try_from(len).unwrap_or(usize::MAX));
        heads += u64::from(kind == H3_HEADERS);
        body += if kind == H3_DATA { there as u64 } else { 0 };
        rest = &behind[there..];
    }
    (heads, body)
}

/// A number in the form of RFC 9000 §16, and what is behind it.
fn quic_number(bytes: &[u8]) -> Option<(u64, &[u8])> {
    let len = 1 << (bytes.first()? >> 6);
    let (number, behind) = bytes.split_at_checked(len)?;
    let number = number.iter().fold(0, |number, byte| number << 8 | u64::from(*byte));
    Some((number & (u64::MAX >> (66 - 8 * len)), behind))
}

/// The name in a text such as `Cipher Suite: TLS_AES_128_GCM_SHA256 (0x1301)`.
fn named(showname: &str) -> String {
    let name = showname.split_once(": ").map_or(showname, |(_, name)| name);
    name.split(" (0x").next().unwrap_or(name).to_owned()
}

/// The beginning of a string of JSON without what the two programs print differently: escapes, and controls.
fn comparable(value: &str) -> String {
    value.chars().filter(|letter| letter.is_alphanumeric()).take(60).collect()
}
