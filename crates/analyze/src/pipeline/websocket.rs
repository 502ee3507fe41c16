//! Turns the WebSocket messages of one stream into facts.

use std::fmt;

use dissect::flow::{Direction, PerDirection};
use dissect::websocket::{DataFrame, Event, Opcode, Parser};

use super::body::{Body, Carriage};
use super::fact::{
    Bytes, ControlFrame, Fact, MessageFact, MessageStart, Observer, Sequence, Spoken, Unexplained,
};
use super::protocol::{Context, Handover, Reader};
use super::provenance::{Source, Whole};

/// The name of a WebSocket message in decode chains.
const STEP: &str = "websocket";

/// The name of unmasking payload (RFC 6455 §5.3) in decode chains.
const MASK: &str = "mask";

/// The name of joining a message from several frames (RFC 6455 §5.4) in decode chains.
const FRAGMENTS: &str = "fragments";

/// Length of the header of a control frame, by its sender: a client's has a masking key (RFC 6455 §5.2, §5.3).
const HEADER: PerDirection<u64> = PerDirection { client_to_server: 2 + 4, server_to_client: 2 };

/// Both directions of one WebSocket connection, from the end of its opening handshake on.
#[derive(Debug)]
pub(crate) struct WebSocket<O: Observer> {
    sides: PerDirection<Side<O>>,
}

#[derive(Debug)]
struct Side<O: Observer> {
    parser: Parser,
    /// Offset of the first byte that the parser has not received yet.
    next: u64,
    /// Offset at which the current message or frame begins.
    start: u64,
    message: Option<Box<Message<O>>>,
}

/// A message of which frames are still to come.
#[derive(Debug)]
struct Message<O: Observer> {
    body: Body<O>,
    /// Whether a frame header separates the bytes so far from the next.
    new_piece: bool,
}

impl<O: Observer> WebSocket<O> {
    pub(crate) fn new() -> Self {
        let side = |direction| Side { parser: Parser::new(direction), next: 0, start: 0, message: None };
        Self { sides: PerDirection::from_fn(side) }
    }
}

impl<O: Observer> Reader<O> for WebSocket<O> {
    fn push(
        &mut self,
        direction: Direction,
        offset: u64,
        bytes: &[u8],
        source: &dyn Source,
        cx: &mut Context<'_, O>,
    ) -> Option<Handover> {
        let Side { parser, next, start, message } = &mut self.sides[direction];
        *next = offset;
        if message.is_none() && parser.held_back() == 0 {
            *start = offset;
        }
        let mut rest = bytes;
        loop {
            let before = *next;
            let step = parser.step(rest);
            *next += step.consumed as u64;
            rest = rest.get(step.consumed..).unwrap_or_default();
            match step.event {
                Event::NeedMore => return None,
                Event::Frame(frame) => match message {
                    Some(message) => message.new_piece = true,
                    None => *message = Some(begin(&frame, direction, *start, *next, source, cx)),
                },
                Event::Payload(payload) => {
                    if let Some(message) = message {
                        let new_piece = std::mem::take(&mut message.new_piece);
                        message.body.push(direction, before, payload, new_piece, source, cx);
                    }
                }
                Event::End { complete } => {
                    if let Some(message) = message.take() {
                        end(message.body, direction, *start..*next, complete, source, cx);
                    }
                    *start = *next;
                }
                Event::Control(_, payload) => {
                    let len = HEADER[direction] + payload.len() as u64;
                    let (needs_secret, range) = (source.needs_secret(), next.saturating_sub(len)..*next);
                    let frame = ControlFrame { stream: cx.stream, direction, range, needs_secret };
                    cx.observer.observe(&Fact::ControlFrame(&frame));
                    if direction == Direction::ClientToServer {
                        control(payload, direction, before..*next, source, cx);
                    }
                    if message.is_none() {
                        *start = *next;
                    }
                }
                Event::Opaque(bytes, why) => {
                    *message = None;
                    *start = *next;
                    let at = *next - bytes.len() as u64;
                    cx.unexplained(direction, at, bytes, Unexplained::NotWebSocket(why), source);
                    return None;
                }
            }
        }
    }

    fn gap(
        &mut self,
        direction: Direction,
        _offset: u64,
        len: u64,
        _source: &dyn Source,
        cx: &mut Context<'_, O>,
    ) {
        let side = &mut self.sides[direction];
        side.parser.gap(len);
        side.next += len;
        if let Some(message) = &mut side.message {
            message.body.gap(len, cx.observer);
        }
    }

    fn finish(self, source: &dyn Source, cx: &mut Context<'_, O>) -> Spoken {
        for (direction, side) in self.sides {
            let held = side.parser.held_back() as u64;
            if held > 0 {
                cx.report(direction, side.next - held, held, Unexplained::Unfinished, source);
            }
            if let Some(message) = side.message {
                end(message.body, direction, side.start..side.next, false, source, cx);
            }
        }
        Spoken::Messages
    }

    fn keep_from(&self, direction: Direction, _observer: &O) -> u64 {
        self.sides[direction].start
    }
}

/// Begins a message, whose first frame begins at `start` and its payload at `payload`.
fn begin<O: Observer>(
    frame: &DataFrame,
    direction: Direction,
    start: u64,
    payload: u64,
    source: &dyn Source,
    cx: &mut Context<'_, O>,
) -> Box<Message<O>> {
    cx.observer.observe(&Fact::MessageStart(&MessageStart {
        stream: cx.stream,
        visible_in: source.visible_frame(direction, start),
        minor_version: None,
        start_line: &StartLine(frame.opcode),
        is_final_answer: direction == Direction::ServerToClient,
    }));
    let carriage = match frame {
        DataFrame { is_masked: true, .. } => Carriage::Transformed(MASK),
        DataFrame { is_final: true, payload_len, .. } => Carriage::AsIs(Some(*payload_len)),
        _ => Carriage::InPieces(FRAGMENTS),
    };
    let is_json = frame.opcode == Opcode::Text;
    let body = Body::new(payload, STEP, carriage, &[], is_json, &cx.tools.needs);
    Box::new(Message { body, new_piece: true })
}

fn end<O: Observer>(
    body: Body<O>,
    direction: Direction,
    range: std::ops::Range<u64>,
    is_whole: bool,
    source: &dyn Source,
    cx: &mut Context<'_, O>,
) {
    let body = body.finish(direction, range.end, is_whole, source, cx);
    cx.observer.observe(&Fact::Message(&MessageFact {
        location: source.locate(direction, range.clone()),
        last_frame: source.frame_before(direction, range.end),
        method: "",
        target: "",
        status: 0,
        content_type: "",
        body_bytes: body.len,
        body_sha256: body.sha256,
        json: body.json.as_deref(),
        is_complete: is_whole,
        is_in_one_frame: source.is_in_one_frame(direction, body.start..range.end),
        is_encoded: body.is_encoded,
        needs_secret: source.needs_secret(),
        chain: body.chain,
    }));
}

/// Searches a masked control frame: up to 125 bytes of the sender's choice.
fn control<O: Observer>(
    payload: &[u8],
    direction: Direction,
    range: std::ops::Range<u64>,
    source: &dyn Source,
    cx: &mut Context<'_, O>,
) {
    let bytes = Bytes {
        bytes: payload,
        sequence: Sequence::Decoded,
        chain: source.chain().then(STEP).then(MASK),
        needs_secret: source.needs_secret(),
    };
    cx.observer.bytes(&mut O::Memory::default(), &bytes, &Whole { source, direction, range });
}

struct StartLine(Opcode);

impl fmt::Display for StartLine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "WebSocket {}", self.0.name())
    }
}
