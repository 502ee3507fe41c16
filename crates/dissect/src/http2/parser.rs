//! Reads the frames of one direction.
//!
//! ```text
//!   client ──> Preface ──┐
//!                        v
//!   server ──────────> Header ──> Prefix ──> Payload ──> Padding ──┐
//!                       ^  │                                       │
//!                       │  └ not valid, or missing bytes           │
//!                       │             v                            │
//!                       ├────────── Search <── joined              │
//!                       └──────────────────────────────────────────┘
//! ```

use std::collections::{BTreeMap, VecDeque};

use super::frame::{Flags, Frame, FrameType};
use super::message::{Fragment, Head, MessageKind, Outcome};
use super::{
    Desync, FRAME_HEADER, Ignored, LARGEST_MAX_FRAME, MAX_BLOCK, MAX_CONTROL, MAX_FRAGMENTS, MAX_OPEN,
    MAX_RESET, PREFACE, hpack,
};
use crate::flow::Direction;

/// What the bytes at the front of the input are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Content {
    /// A frame header, complete with these bytes: [`Parser::frame`].
    Frame,
    /// A control frame, complete: its payload is [`Parser::payload`].
    Control,
    /// A header section, complete: [`Parser::head`].
    Head,
    /// A body without head begins on this stream; no bytes.
    Headless(u32),
    /// The bytes are of the body on this stream.
    Data(u32),
    /// The bytes are of no interest to a receiver.
    Ignored(Ignored),
    /// A frame header that is not valid.
    Lost,
}

/// The result of one step: bytes consumed, and the content of the last `len` of them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Advance {
    pub(super) consumed: usize,
    pub(super) len: usize,
    pub(super) content: Option<Content>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum State {
    /// Before the client's preface.
    Preface,
    /// Before or in a frame header.
    Header,
    /// In what precedes body or header block in the payload, of which so many bytes are [`Parser::payload`].
    Prefix,
    /// In the payload.
    Payload { left: u32, padding: u32, role: Role },
    /// Behind the payload, in its padding. `is_zero`: only zeros so far.
    Padding { left: u32, is_zero: bool },
    /// At an unknown place: the next frame has to be found.
    Search,
}

/// What the payload of the current frame is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Role {
    Data,
    Block,
    Control,
    /// Reported as ignored for this reason.
    Unread(Ignored),
}

/// A header block of which frames are still to come.
#[derive(Debug)]
struct Block {
    stream: u32,
    /// The stream that a PUSH_PROMISE promises.
    promised: Option<u32>,
    ends: bool,
    start: u64,
    bytes: Vec<u8>,
    fragments: Vec<Fragment>,
    frames: usize,
    /// Whether a part is missing, or left out because the block is too long.
    is_damaged: bool,
}

/// A message that has begun and not ended.
#[derive(Clone, Copy, Debug, Default)]
struct Open {
    is_damaged: bool,
    /// The other side reset the stream with this code.
    reset: Option<u32>,
}

/// One direction.
#[derive(Debug)]
pub(super) struct Parser {
    direction: Direction,
    pub(super) state: State,
    /// Offset of the next byte to read.
    pub(super) position: u64,
    /// The beginning of a preface or of a frame header.
    pub(super) held: Vec<u8>,
    /// The prefix, or the payload of a control frame.
    pub(super) payload: Vec<u8>,
    pub(super) frame: Frame,
    /// The longest payload that the other side accepts.
    max_len: u32,
    /// Whether the other side has sent its settings.
    knows_max_len: bool,
    /// Why a frame has to be found.
    pub(super) why: Desync,
    /// Whether the current frame is the first one found, so that a header block may have begun before it.
    is_found: bool,
    block: Option<Block>,
    decoder: hpack::Decoder,
    pub(super) head: Head,
    open: BTreeMap<u32, Open>,
    /// Open messages whose stream the other side has reset, oldest first.
    reset: VecDeque<u32>,
    /// Messages that ended, still to be reported.
    pub(super) ended: VecDeque<(u32, Outcome)>,
    /// A message that ended because another one began on its stream: to be reported before the new one.
    pub(super) superseded: Option<(u32, Outcome)>,
}

impl Parser {
    /// At the beginning of a direction, whose first byte is at offset `start`.
    pub(super) fn new(direction: Direction, start: u64) -> Self {
        let state = match direction {
            Direction::ClientToServer => State::Preface,
            Direction::ServerToClient => State::Header,
        };
        Self {
            direction,
            state,
            position: start,
            held: Vec::new(),
            payload: Vec::new(),
            frame: Frame::parse([0; FRAME_HEADER], start),
            max_len: LARGEST_MAX_FRAME,
            knows_max_len: false,
            why: Desync::Gap,
            is_found: false,
            block: None,
            decoder: hpack::Decoder::default(),
            head: Head::default(),
            open: BTreeMap::new(),
            reset: VecDeque::new(),
            ended: VecDeque::new(),
            superseded: None,
        }
    }

    /// Bytes that it keeps.
    pub(super) fn kept_bytes(&self) -> usize {
        let block = self.block.as_ref().map_or(0, |block| block.bytes.capacity());
        self.held.capacity() + self.payload.capacity() + block + self.decoder.table_size()
    }

    /// Reads the front of the input. Not for [`State::Search`].
    pub(super) fn advance(&mut self, input: &[u8]) -> Advance {
        let mut consumed = 0;
        loop {
            let rest = input.get(consumed..).unwrap_or_default();
            let (len, content) = match self.state {
                State::Preface => self.preface(rest),
                State::Header => self.header(rest),
                State::Prefix => self.prefix(rest),
                State::Payload { left: 0, padding, .. } => {
                    self.state = State::Padding { left: padding, is_zero: true };
                    continue;
                }
                State::Padding { left: 0, .. } => match self.end_frame() {
                    None if self.ended.is_empty() => continue,
                    content => return Advance { consumed, len: 0, content },
                },
                _ if rest.is_empty() => (0, None),
                State::Payload { left, padding, role } => self.payload(rest, left, padding, role),
                State::Padding { left, is_zero } => self.padding(rest, left, is_zero),
                State::Search => (0, None),
            };
            consumed += len;
            self.position += len as u64;
            let is_exhausted = consumed == input.len() && (rest.is_empty() || len > 0);
            if content.is_some() || self.state == State::Search || is_exhausted && !self.is_at_end_of_frame()
            {
                return Advance { consumed, len, content };
            }
        }
    }

    /// Whether the current frame is complete, but not yet reported.
    fn is_at_end_of_frame(&self) -> bool {
        matches!(self.state, State::Payload { left: 0, padding: 0, .. } | State::Padding { left: 0, .. })
    }

    fn preface(&mut self, rest: &[u8]) -> (usize, Option<Content>) {
        let known = self.held.len();
        let expected = PREFACE.get(known..).unwrap_or_default();
        let take = expected.len().min(rest.len());
        let Some((bytes, expected)) = rest.get(..take).zip(expected.get(..take)) else { return (0, None) };
        if bytes != expected {
            self.why = Desync::NoPreface;
            self.lose();
            return (0, Some(Content::Lost));
        }
        self.held.extend_from_slice(bytes);
        if self.held.len() == PREFACE.len() {
            self.held.clear();
            self.state = State::Header;
        }
        (take, None)
    }

    fn header(&mut self, rest: &[u8]) -> (usize, Option<Content>) {
        let take = FRAME_HEADER.saturating_sub(self.held.len()).min(rest.len());
        self.held.extend_from_slice(rest.get(..take).unwrap_or_default());
        let Some(header) = self.held.first_chunk::<FRAME_HEADER>() else { return (take, None) };
        let at = self.position + take as u64 - FRAME_HEADER as u64;
        self.frame = Frame::parse(*header, at);
        let is_found = std::mem::take(&mut self.is_found);
        match self.begin_frame(is_found) {
            Ok(()) => {
                self.held.clear();
                (take, Some(Content::Frame))
            }
            Err(why) => {
                self.why = why;
                self.lose();
                (take, Some(Content::Lost))
            }
        }
    }

    fn begin_frame(&mut self, is_found: bool) -> Result<(), Desync> {
        let frame = self.frame;
        frame.check(self.max_len)?;
        let continues = frame.frame_type == FrameType::CONTINUATION;
        match &mut self.block {
            Some(block) if continues && block.stream == frame.stream => block.frames += 1,
            None if !continues => {}
            // The frames before it were not captured: the decoder has forgotten its table already.
            None if is_found => {}
            _ => return Err(Desync::OutOfTurn),
        }
        let role = match frame.frame_type {
            FrameType::DATA => Role::Data,
            FrameType::CONTINUATION if self.block.is_none() => Role::Unread(Ignored::Block),
            FrameType::HEADERS | FrameType::PUSH_PROMISE | FrameType::CONTINUATION => Role::Block,
            known if known.name().is_some() && frame.len as usize <= MAX_CONTROL => Role::Control,
            _ => Role::Unread(Ignored::Payload),
        };
        if matches!(frame.frame_type, FrameType::HEADERS | FrameType::PUSH_PROMISE) {
            self.block = Some(Block {
                stream: frame.stream,
                promised: None,
                ends: frame.frame_type == FrameType::HEADERS && frame.flags.has(Flags::END_STREAM),
                start: frame.at,
                bytes: Vec::new(),
                fragments: Vec::new(),
                frames: 1,
                is_damaged: false,
            });
        }
        self.payload.clear();
        self.state = if frame.prefix_len() > 0 {
            State::Prefix
        } else {
            State::Payload { left: frame.len, padding: 0, role }
        };
        Ok(())
    }

    fn prefix(&mut self, rest: &[u8]) -> (usize, Option<Content>) {
        let len = self.frame.prefix_len();
        let take = len.saturating_sub(self.payload.len()).min(rest.len());
        self.payload.extend_from_slice(rest.get(..take).unwrap_or_default());
        if self.payload.len() < len {
            return (take, None);
        }
        let left = self.frame.len.saturating_sub(len as u32);
        let padding = match self.payload.first() {
            Some(padding) if self.frame.has_padding() => u32::from(*padding),
            _ => 0,
        };
        if let Some(block) = &mut self.block
            && self.frame.frame_type == FrameType::PUSH_PROMISE
        {
            let promised =
                self.payload.last_chunk::<4>().map(|bytes| u32::from_be_bytes(*bytes) & !(1 << 31));
            block.promised = promised;
        }
        let is_block = self.block.is_some();
        self.state = match left.checked_sub(padding) {
            Some(left) => {
                State::Payload { left, padding, role: if is_block { Role::Block } else { Role::Data } }
            }
            None => {
                match &mut self.block {
                    Some(block) => block.is_damaged = true,
                    None => self.damage(self.frame.stream),
                }
                State::Payload { left, padding: 0, role: Role::Unread(Ignored::Payload) }
            }
        };
        (take, None)
    }

    fn payload(&mut self, rest: &[u8], left: u32, padding: u32, role: Role) -> (usize, Option<Content>) {
        if role == Role::Data && !self.open.contains_key(&self.frame.stream) {
            self.open(self.frame.stream, Open { is_damaged: true, reset: None });
            return (0, Some(Content::Headless(self.frame.stream)));
        }
        let take = rest.len().min(left as usize);
        let bytes = rest.get(..take).unwrap_or_default();
        self.state = State::Payload { left: left - take as u32, padding, role };
        let content = match role {
            Role::Data => Some(Content::Data(self.frame.stream)),
            Role::Unread(why) => Some(Content::Ignored(why)),
            Role::Control => {
                self.payload.extend_from_slice(bytes);
                None
            }
            Role::Block => {
                let position = self.position;
                let too_long = self.block.as_mut().is_some_and(|block| !block.push(bytes, position));
                too_long.then_some(Content::Ignored(Ignored::Block))
            }
        };
        (take, content)
    }

    /// Reads zeros, or everything from the first other byte on.
    fn padding(&mut self, rest: &[u8], left: u32, is_zero: bool) -> (usize, Option<Content>) {
        let present = rest.len().min(left as usize);
        let zeros = rest.iter().take(present).take_while(|byte| is_zero && **byte == 0).count();
        let take = if zeros > 0 { zeros } else { present };
        self.state = State::Padding { left: left - take as u32, is_zero: zeros > 0 };
        (take, (zeros == 0).then_some(Content::Ignored(Ignored::Padding)))
    }

    /// The last byte of the frame was read.
    fn end_frame(&mut self) -> Option<Content> {
        self.state = State::Header;
        let frame = self.frame;
        match frame.frame_type {
            FrameType::DATA => {
                if frame.flags.has(Flags::END_STREAM) {
                    // Without an open message, an empty frame ends a body whose other frames were not captured.
                    self.end(frame.stream, Outcome::Complete);
                }
                None
            }
            FrameType::HEADERS | FrameType::PUSH_PROMISE | FrameType::CONTINUATION => {
                let is_last = frame.flags.has(Flags::END_HEADERS);
                self.block.take_if(|_| is_last).map(|block| self.end_block(block))
            }
            known if known.name().is_some() && self.payload.len() == frame.len as usize => {
                if known == FrameType::RST_STREAM {
                    let code = self.payload.first_chunk().map_or(0, |bytes| u32::from_be_bytes(*bytes));
                    self.end(frame.stream, Outcome::Reset(code));
                }
                Some(Content::Control)
            }
            _ => None,
        }
    }

    fn end_block(&mut self, block: Block) -> Content {
        let head = &mut self.head;
        head.stream = block.promised.unwrap_or(block.stream);
        head.promised_on = block.promised.map(|_| block.stream);
        head.ends = block.ends || block.promised.is_some();
        head.frames = block.start..self.position;
        head.fragments = block.fragments;
        head.fields.clear();
        head.decoded = hpack::Outcome::default();
        let is_readable = !block.is_damaged;
        if is_readable {
            head.decoded = self.decoder.decode(&block.bytes, |field| head.fields.push(field));
        } else {
            self.decoder.forget();
        }
        let (stream, is_open) = (head.stream, self.open.contains_key(&head.stream));
        let begins = head.begins_message();
        head.kind = match (self.direction, head.status()) {
            _ if block.promised.is_some() => MessageKind::Pushed,
            _ if !is_readable && !is_open => MessageKind::Headless,
            _ if begins == Some(false) || is_open && begins.is_none() => MessageKind::Trailers,
            (Direction::ClientToServer, _) => MessageKind::Request,
            (Direction::ServerToClient, 100..=199) => MessageKind::Interim,
            (Direction::ServerToClient, _) => MessageKind::Response,
        };
        head.ends |= head.kind == MessageKind::Interim;
        let (kind, ends) = (head.kind, head.ends);
        let is_whole = is_readable && head.decoded.error.is_none() && head.decoded.left_out == 0;
        let is_new = !is_open || kind != MessageKind::Trailers;
        if is_open && is_new {
            // The end of the message before it was not captured.
            self.end(stream, Outcome::Unfinished);
            self.superseded = self.ended.pop_back();
        }
        if is_new {
            let is_damaged = !is_whole || matches!(kind, MessageKind::Trailers | MessageKind::Headless);
            self.open(stream, Open { is_damaged, reset: None });
        } else if !is_whole {
            self.damage(stream);
        }
        if ends {
            self.end(stream, Outcome::Complete);
        }
        Content::Head
    }

    fn open(&mut self, stream: u32, open: Open) {
        self.open.insert(stream, open);
        if self.open.len() > MAX_OPEN {
            self.end_oldest(stream);
        }
    }

    /// Ends the oldest message but that on `stream`.
    pub(super) fn end_oldest(&mut self, stream: u32) {
        if let Some(oldest) = self.open.keys().find(|known| **known != stream).copied() {
            self.end(oldest, Outcome::Unfinished);
        }
    }

    /// Ends a message, if it is open.
    fn end(&mut self, stream: u32, outcome: Outcome) {
        let Some(open) = self.open.remove(&stream) else { return };
        if open.reset.is_some() {
            self.reset.retain(|known| *known != stream);
        }
        let outcome = match (outcome, open) {
            (Outcome::Unfinished, Open { reset: Some(code), .. }) => Outcome::Reset(code),
            (Outcome::Complete, Open { is_damaged: true, .. }) => Outcome::Damaged,
            (outcome, _) => outcome,
        };
        self.ended.push_back((stream, outcome));
    }

    fn damage(&mut self, stream: u32) {
        if let Some(open) = self.open.get_mut(&stream) {
            open.is_damaged = true;
        }
    }

    /// The other side reset a stream. The rest of its message may still arrive.
    pub(super) fn reset_by_peer(&mut self, stream: u32, code: u32) {
        let Some(open) = self.open.get_mut(&stream) else { return };
        if open.reset.replace(code).is_none() {
            self.reset.push_back(stream);
        }
        if self.reset.len() > MAX_RESET
            && let Some(oldest) = self.reset.front().copied()
        {
            self.end(oldest, Outcome::Unfinished);
        }
    }

    /// The other side accepts payloads up to this length.
    pub(super) fn accept_frames(&mut self, max_len: u32) {
        self.max_len = if self.knows_max_len { self.max_len.max(max_len) } else { max_len };
        self.knows_max_len = true;
    }

    /// The place in the stream is unknown from here on.
    pub(super) fn lose(&mut self) {
        self.state = State::Search;
        self.block = None;
        self.decoder.forget();
        self.open.values_mut().for_each(|open| open.is_damaged = true);
    }

    /// A frame was found.
    pub(super) fn found(&mut self) {
        self.state = State::Header;
        self.held.clear();
        self.is_found = true;
    }

    /// `len` bytes are missing within the current payload. `false` if they are not, or not all.
    pub(super) fn gap_in_payload(&mut self, len: u64) -> bool {
        let (left, padding) = match self.state {
            State::Payload { left, padding, .. } => (left, padding),
            State::Padding { left, .. } => (0, left),
            _ => return false,
        };
        let Some(rest) = u64::from(left + padding).checked_sub(len).filter(|_| len > 0) else { return false };
        let of_padding = u64::from(padding).min(rest);
        let rest = (rest - of_padding) as u32;
        let padding = of_padding as u32; // at most what it was
        if let State::Payload { role, .. } = self.state {
            let role = match role {
                Role::Control => Role::Unread(Ignored::Payload),
                role => role,
            };
            self.state = State::Payload { left: rest, padding, role };
            match (role, &mut self.block) {
                (Role::Data, _) => self.damage(self.frame.stream),
                (_, Some(block)) => block.is_damaged = true,
                _ => {}
            }
        } else {
            self.state = State::Padding { left: padding, is_zero: true };
        }
        self.position += len;
        true
    }

    /// Ends all messages.
    pub(super) fn finish(&mut self) {
        while let Some(stream) = self.open.keys().next().copied() {
            self.end(stream, Outcome::Unfinished);
        }
    }

    /// Number of bytes kept of an incomplete preface, frame header, control frame or header block.
    pub(super) fn held_back(&self) -> usize {
        let payload = match self.state {
            State::Prefix | State::Payload { role: Role::Control, .. } => self.payload.len(),
            _ => 0,
        };
        self.held.len() + payload + self.block.as_ref().map_or(0, |block| block.bytes.len())
    }

    /// The offset from which on the parser has not reported everything.
    pub(super) fn pending_from(&self) -> u64 {
        match (&self.block, self.state) {
            (Some(block), _) => block.start,
            (None, State::Header | State::Preface) => self.position - self.held.len() as u64,
            (None, State::Search) => self.position,
            (None, _) => self.frame.at,
        }
    }

    /// Number of messages that have begun and not ended.
    pub(super) fn open_messages(&self) -> usize {
        self.open.len()
    }
}

impl Block {
    /// Adds bytes at offset `at` of the direction. `false`: they are left out, because the block is too long.
    fn push(&mut self, bytes: &[u8], at: u64) -> bool {
        self.is_damaged |= self.bytes.len() + bytes.len() > MAX_BLOCK || self.frames > MAX_FRAGMENTS;
        if self.is_damaged {
            self.bytes = Vec::new();
            return false;
        }
        let block = self.bytes.len();
        let continues = self.fragments.last().is_some_and(|last| last.at + (block - last.block) as u64 == at);
        if !continues {
            self.fragments.push(Fragment { block, at });
        }
        self.bytes.extend_from_slice(bytes);
        true
    }
}
