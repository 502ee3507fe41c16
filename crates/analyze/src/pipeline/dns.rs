//! Turns DNS messages into facts: those of one stream, and what every carrier of them shares.

use std::collections::HashSet;
use std::ops::Range;

use dissect::dns::{self, Data, Event, Message, Parser, Step};
use dissect::flow::{Direction, PerDirection};

use super::fact::{Bytes, DnsFact, Fact, Observer, Sequence, Spoken, Unexplained};
use super::protocol::{Context, Handover, Reader};
use super::provenance::{DecodeChain, LocateBy, Location, Source};

/// The name of DNS in decode chains: names are labels with lengths between them, and parts of them may be elsewhere.
const STEP: &str = "dns";

/// The name of joining the strings of a TXT record in decode chains.
const STRINGS: &str = "strings";

/// The port of NetBIOS names (RFC 1002 §4.2), whose messages look like those of DNS, but have another meaning.
const NETBIOS: u16 = 137;

/// Both directions of one stream of DNS messages (RFC 7766).
#[derive(Debug, Default)]
pub(crate) struct Dns {
    sides: PerDirection<Side>,
}

#[derive(Debug, Default)]
struct Side {
    parser: Parser,
    /// Offset of the first byte that the parser has not received yet.
    next: u64,
}

impl<O: Observer> Reader<O> for Dns {
    fn push(
        &mut self,
        direction: Direction,
        offset: u64,
        bytes: &[u8],
        source: &dyn Source,
        cx: &mut Context<'_, O>,
    ) -> Option<Handover> {
        cx.unexplained(direction, offset, bytes, Unexplained::DnsStream, source);
        let Side { parser, next } = &mut self.sides[direction];
        *next = offset;
        let mut rest = bytes;
        while !rest.is_empty() {
            let Step { consumed, event } = parser.step(rest);
            *next += consumed as u64;
            rest = rest.get(consumed..).unwrap_or_default();
            if let Event::Message(bytes) = event {
                let start = next.saturating_sub(bytes.len() as u64);
                let in_stream = |range: &Range<usize>| start + range.start as u64..start + range.end as u64;
                let Ok(message) = Message::parse(bytes) else { continue };
                report(
                    cx.observer,
                    &DnsFact {
                        protocol: "dns",
                        stream: cx.stream.map(|stream| (stream, direction)),
                        ends: None,
                        frame: source.frame_before(direction, *next),
                        needs_secret: source.needs_secret(),
                        message: &message,
                        bytes,
                    },
                    source.chain(),
                    &|range| source.locate(direction, in_stream(range)),
                );
            }
        }
        // A message that ends with the input must not stay in memory.
        parser.step(&[]);
        None
    }

    fn gap(
        &mut self,
        direction: Direction,
        _offset: u64,
        len: u64,
        _source: &dyn Source,
        _cx: &mut Context<'_, O>,
    ) {
        self.sides[direction].parser.gap(len);
    }

    fn finish(self, _source: &dyn Source, _cx: &mut Context<'_, O>) -> Spoken {
        Spoken::Unknown
    }

    fn kept_bytes(&self) -> usize {
        self.sides.values().map(|side| side.parser.held_back()).sum()
    }

    fn keep_from(&self, direction: Direction, _observer: &O) -> u64 {
        let Side { parser, next } = &self.sides[direction];
        match parser.held_back() {
            0 => u64::MAX,
            held => next.saturating_sub(held as u64),
        }
    }
}

/// Reports a message, and hands over the text that its bytes do not contain as it is: names, and strings of TXT records.
/// `locate` gives the place of a range of the message.
pub(super) fn report<O: Observer>(
    observer: &mut O,
    fact: &DnsFact<'_>,
    chain: DecodeChain,
    locate: &dyn Fn(&Range<usize>) -> Location,
) {
    observer.observe(&Fact::Dns(fact));
    let chain = chain.then(STEP);
    let mut search = |text: &[u8], range: &Range<usize>, chain: DecodeChain| {
        let bytes =
            Bytes { bytes: text, sequence: Sequence::Decoded, chain, needs_secret: fact.needs_secret };
        observer.bytes(&mut O::Memory::default(), &bytes, &LocateBy(|_| locate(range)));
    };
    let DnsFact { message, bytes, .. } = fact;
    let questions = message.questions.iter().map(|question| &question.name);
    let records =
        message.records.iter().flat_map(|record| [&record.name].into_iter().chain(record.data.names()));
    let mut seen = HashSet::new();
    for name in questions.chain(records) {
        if name.text != "." && seen.insert(name.text.as_str()) {
            search(name.text.as_bytes(), &name.range, chain);
        }
    }
    for record in &message.records {
        if let Data::Txt(strings) = &record.data
            && strings.len() > 1
        {
            let parts: Vec<&[u8]> = strings.iter().filter_map(|at| bytes.get(at.clone())).collect();
            search(&parts.concat(), &record.data_range, chain.then(STRINGS));
        }
    }
}

/// The protocol of a datagram between these ports, and the message, if it is DNS.
pub(super) fn of_datagram(ports: [u16; 2], payload: &[u8]) -> Option<(&'static str, Message)> {
    let [from_source, from_destination] = ports.map(dns::service_of_port);
    let protocol = from_destination.or(from_source);
    let is_named = ports.into_iter().any(|port| dns::service_of_port(port).is_some());
    // Elsewhere only a message with one question counts, so that other protocols cost no more than this.
    let has_one_question = matches!(payload.get(4..6), Some([0, 1]));
    if ports.contains(&NETBIOS) || !is_named && !has_one_question {
        return None;
    }
    let message = Message::parse(payload).ok()?;
    let is_whole = dns::is_plausible(&message, payload);
    let is_known = match protocol {
        // A port names the protocol, so that a part of a message is enough.
        Some(_) => is_whole || dns::begins_plausibly(&message),
        None => is_whole && !message.questions.is_empty(),
    };
    is_known.then_some((protocol.unwrap_or("dns"), message))
}
