//! The messages of a growing capture, each as soon as it is complete.
//!
//! The frames go through the pipeline of the analysis. A TLS session looks up its secrets while its records are read, and
//! programs write secrets to the key log a moment after the ClientHello. So with a key log, a ClientHello and the frames
//! behind it wait until the key log has its secrets, for a bounded time.

use std::collections::VecDeque;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use dissect::flow::Direction;
use dissect::frame;
use dissect::tls::Message;

use super::Frame;
use super::growing::{Growing, GrowingFile, Part};
use super::key_file::KeyFile;
use crate::input::capture::Sink as _;
use crate::input::server_key;
use crate::pipeline::fact::{Fact, FactObserver, HandshakeFact, MessageFact};
use crate::pipeline::frames::Pipeline;
use crate::pipeline::protocol::BodyNeeds;
use crate::timeline::{Way, milliseconds_between};

/// How long a ClientHello waits for its secrets. A client logs them when it has the ServerHello, so this is longer than a
/// round trip; a connection whose secrets are not logged at all delays everything behind it by so much.
const WAIT_FOR_SECRETS: Duration = Duration::from_secs(5);

/// Maximum number of bytes of frames that wait. Beyond it the oldest one no longer waits.
const MAX_WAITING: usize = 64 << 20;

/// The messages of a growing capture.
#[derive(Debug)]
pub struct Messages {
    source: Source,
    queue: Queue,
}

/// Where the capture comes from.
#[derive(Debug)]
enum Source {
    File(GrowingFile),
    /// The caller, piece by piece.
    Pieces(Growing),
}

/// The frames that wait for secrets, and the pipeline behind them.
#[derive(Debug)]
struct Queue {
    pipeline: Pipeline<Lines>,
    keys: Option<KeyFile>,
    /// Whether to wait for secrets although the key log does not exist yet.
    keys_are_given: bool,
    waiting: VecDeque<Waiting>,
    waiting_bytes: usize,
    /// Number of frames so far.
    frames: u64,
}

#[derive(Debug)]
struct Waiting {
    frame: Frame,
    since: Instant,
}

/// A message that is complete, or a TLS hello.
#[derive(Clone, Debug, PartialEq)]
pub struct Completed {
    /// Number of the frame that completes it, from 1.
    pub frame: u64,
    /// Milliseconds since the first frame of the capture.
    pub ms: f64,
    /// Number of its connection, as Wireshark's `tcp.stream`.
    pub stream: Option<u32>,
    /// Where it goes.
    pub direction: Option<Way>,
    /// What it is: method and target of a request, the status of an answer, the visible fields of a hello. It can contain
    /// any text.
    pub what: String,
    /// `Content-Type` of a message; empty if there is none.
    pub content_type: String,
    /// Length of a message's body after all codings are undone; of a hello, of its records.
    pub bytes: u64,
    /// Whether only the key log makes it readable.
    pub needs_keys: bool,
    /// Whether it is a message or a hello.
    pub kind: Kind,
}

/// What was completed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// A message of an application protocol.
    Message,
    /// A ClientHello or ServerHello, which anyone can read.
    Hello,
}

impl Messages {
    /// Follows a file, which may be empty. `keys` is the key log, and whether it was given: then it is waited for although it
    /// does not exist yet.
    ///
    /// # Errors
    ///
    /// The file cannot be opened, or is a pipe or a directory.
    pub fn of_file(path: &Path, keys: Option<(&Path, bool)>) -> Result<Self> {
        Ok(Self::new(Source::File(GrowingFile::open(path)?), keys))
    }

    /// Follows a capture of which the caller has the bytes: see [`Messages::push`].
    pub fn of_pieces(keys: Option<(&Path, bool)>) -> Self {
        Self::new(Source::Pieces(Growing::default()), keys)
    }

    fn new(source: Source, keys: Option<(&Path, bool)>) -> Self {
        let queue = Queue {
            pipeline: Pipeline::new(Lines::default(), BodyNeeds::default(), None),
            keys_are_given: keys.is_some_and(|(_, is_given)| is_given),
            keys: keys.map(|(path, _)| KeyFile::new(path.to_owned())),
            waiting: VecDeque::new(),
            waiting_bytes: 0,
            frames: 0,
        };
        Self { source, queue }
    }

    /// Opens TLS with the RSA private keys of servers in these PEM files, too. To be called before the first frame.
    ///
    /// # Errors
    ///
    /// A file cannot be read, or has no RSA private key that can be used.
    pub fn with_server_keys(mut self, files: &[PathBuf]) -> Result<Self> {
        let given = server_key::read(files.iter().map(PathBuf::as_path))?;
        self.queue.pipeline.use_server_keys(given.keys);
        Ok(self)
    }

    /// Hands over what was completed since the last call. Does not wait for more. Returns the number of new frames.
    ///
    /// # Errors
    ///
    /// The file cannot be read, is not a capture, is damaged, or became shorter. Further calls return the same error.
    pub fn read(&mut self, each: &mut dyn FnMut(&Completed)) -> Result<u64> {
        let Self { source, queue } = self;
        let before = queue.frames;
        queue.read_keys();
        queue.release(each);
        if let Source::File(file) = source {
            file.read(&mut |part| queue.take(part, each))?;
        }
        Ok(queue.frames - before)
    }

    /// Hands over what the next bytes of the capture complete. Returns the number of new frames.
    ///
    /// # Errors
    ///
    /// The bytes are no capture, or a damaged one. Further calls return the same error.
    pub fn push(&mut self, bytes: &[u8], each: &mut dyn FnMut(&Completed)) -> Result<u64> {
        let Self { source, queue } = self;
        let before = queue.frames;
        if let Source::Pieces(growing) = source {
            let mut rest = bytes;
            while !rest.is_empty() {
                growing.fill(|free| {
                    let (now, later) = rest.split_at(rest.len().min(free.len()));
                    free[..now.len()].copy_from_slice(now);
                    rest = later;
                    Ok(now.len())
                })?;
                growing.decode(&mut |part| queue.take(part, each)).context("standard input")?;
            }
        }
        Ok(queue.frames - before)
    }

    /// Ends the capture: nothing waits any longer.
    pub fn finish(self, each: &mut dyn FnMut(&Completed)) {
        let Self { mut queue, .. } = self;
        queue.read_keys();
        while let Some(Waiting { frame, .. }) = queue.waiting.pop_front() {
            queue.process(&frame, each);
        }
        let Lines { completed, .. } = queue.pipeline.finish().observer;
        completed.iter().for_each(each);
    }
}

impl Queue {
    /// Takes a part of the capture.
    fn take(&mut self, part: Part<'_>, each: &mut dyn FnMut(&Completed)) {
        match part {
            Part::Frame(record) => {
                self.frames += 1;
                self.waiting_bytes += record.bytes.len();
                self.waiting.push_back(Waiting { frame: Frame::from(&record), since: Instant::now() });
                self.release(each);
            }
            Part::Secrets(text) => self.pipeline.secrets(text),
        }
    }

    /// Processes the frames that need not wait.
    fn release(&mut self, each: &mut dyn FnMut(&Completed)) {
        while let Some(first) = self.waiting.front()
            && !self.waits(first)
            && let Some(Waiting { frame, .. }) = self.waiting.pop_front()
        {
            self.waiting_bytes -= frame.bytes.len();
            self.process(&frame, each);
        }
    }

    fn read_keys(&mut self) {
        let lines = self.keys.as_mut().map(KeyFile::new_lines).unwrap_or_default();
        if !lines.is_empty() {
            self.pipeline.secrets(&lines);
        }
    }

    /// Whether a frame is a ClientHello whose secrets are not known yet, but may come.
    fn waits(&self, Waiting { frame, since }: &Waiting) -> bool {
        let Some(keys) = self.keys.as_ref().filter(|keys| self.keys_are_given || keys.exists()) else {
            return false;
        };
        self.waiting_bytes <= MAX_WAITING
            && since.elapsed() < WAIT_FOR_SECRETS
            && client_random(frame).is_some_and(|random| !keys.knows(&random))
    }

    fn process(&mut self, frame: &Frame, each: &mut dyn FnMut(&Completed)) {
        self.pipeline.record(&frame.as_record(frame.number, frame.file_offset));
        self.pipeline.observer_mut().completed.drain(..).for_each(|completed| each(&completed));
    }
}

/// The random of a ClientHello that begins with the payload of this frame (RFC 9846 §4.1.2, §5.1).
fn client_random(frame: &Frame) -> Option<[u8; 32]> {
    /// Headers of the record and of the message, and the version.
    const BEFORE_RANDOM: usize = 5 + 4 + 2;
    let decoded = frame::decode(frame.link_type, &frame.bytes, frame.original_len);
    let payload = decoded.tcp()?.payload;
    let is_hello = matches!(payload, [22, 3, _, _, _, 1, ..]);
    payload.get(BEFORE_RANDOM..)?.first_chunk().copied().filter(|_| is_hello)
}

/// The observer that collects what is completed.
#[derive(Debug, Default)]
struct Lines {
    /// Capture time of the first frame.
    first_at: Option<u64>,
    /// Number and capture time of the current frame.
    current: (u64, u64),
    completed: Vec<Completed>,
}

impl Lines {
    fn add(&mut self, completed: Completed) {
        let (frame, at) = self.current;
        let ms = milliseconds_between(self.first_at.unwrap_or(at), at);
        self.completed.push(Completed { frame, ms, ..completed });
    }

    fn message(&mut self, message: &MessageFact<'_>) {
        let what = match (message.method, message.status) {
            ("", 0) => "message".to_owned(),
            ("", status) => format!("status {status}"),
            (method, _) => format!("{method} {}", message.target),
        };
        self.add(Completed {
            frame: 0,
            ms: 0.0,
            stream: message.location.stream,
            direction: message.location.direction.map(Way::from),
            what,
            content_type: message.content_type.to_owned(),
            bytes: message.body_bytes,
            needs_keys: message.needs_secret,
            kind: Kind::Message,
        });
    }

    fn handshake(&mut self, fact: &HandshakeFact<'_>) {
        let range = &fact.handshake.range;
        let (direction, what) = match &fact.handshake.message {
            Message::ClientHello(hello) => {
                let name = hello.server_name.iter().map(|name| format!("for {name}"));
                let offers = (!hello.alpn.is_empty()).then(|| format!("offers {}", hello.alpn.join(", ")));
                let what = ["ClientHello".to_owned()].into_iter().chain(name).chain(offers);
                (Direction::ClientToServer, what.collect::<Vec<_>>().join(" "))
            }
            Message::ServerHello(hello) => {
                let what = format!("ServerHello {} {}", hello.version, hello.cipher_suite);
                (Direction::ServerToClient, what)
            }
            _ => return,
        };
        self.add(Completed {
            frame: 0,
            ms: 0.0,
            stream: Some(fact.stream),
            direction: Some(direction.into()),
            what,
            content_type: String::new(),
            bytes: range.end - range.start,
            needs_keys: false,
            kind: Kind::Hello,
        });
    }
}

impl FactObserver for Lines {
    fn observe(&mut self, fact: &Fact<'_>) {
        match fact {
            Fact::Frame(record, _) => {
                self.first_at.get_or_insert(record.captured_at);
                self.current = (record.frame, record.captured_at);
            }
            Fact::Message(message) if message.is_complete => self.message(message),
            Fact::TlsHandshake(fact) if !fact.handshake.was_encrypted => self.handshake(fact),
            _ => {}
        }
    }
}
