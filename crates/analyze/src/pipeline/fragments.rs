//! IP packets that were sent in fragments.
//!
//! The bytes of a fragment reach the observer when it is known what became of its packet: with the packet's segment, or with
//! the frame alone. A packet of which two versions exist is searched in both.

use std::ops::Range;

use dissect::capture::Record;
use dissect::flow::{Arrival, FlowSegment, Tunnel};
use dissect::fragment::{Abandoned, Abandonment, Datagram, Packet, Part, Pushed};
use dissect::frame::{self, Frame, Transport};
use dissect::ip::Ip;
use dissect::tcp::{Flags, Segment};

use super::carve::carve;
use super::datagram::{self, Quic};
use super::fact::{Bytes, Observer, Sequence, Unexplained};
use super::frames::Pipeline;
use super::protocol::Tools;
use super::provenance::{DecodeChain, Location, MAX_FRAMES, Provenance};

impl<O: Observer> Pipeline<O> {
    /// A frame whose packet is a fragment.
    #[cold]
    pub(super) fn fragment(&mut self, record: &Record<'_>, frame: &Frame<'_>, ip: &Ip) {
        let tunnel = self.flows.tunnel(Tunnel::default(), frame);
        match self.fragments.push(record, ip, tunnel.number()) {
            Pushed::Held => {}
            Pushed::Repeated => self.alone(record, Unexplained::Fragment),
            Pushed::Invalid => self.alone(record, Unexplained::InvalidFragment),
            Pushed::Complete(datagram) => self.datagram(&datagram, tunnel),
        }
        self.take_abandoned();
    }

    /// Hands over the fragments of packets that were not completed.
    pub(super) fn finish_fragments(&mut self) {
        self.fragments.finish();
        self.take_abandoned();
    }

    fn take_abandoned(&mut self) {
        while let Some(Abandoned { frames, why }) = self.fragments.pop() {
            let why = match why {
                Abandonment::Incomplete => Unexplained::IncompletePacket,
                Abandonment::Bound => Unexplained::TooManyFragments,
            };
            frames.iter().for_each(|frame| self.alone(&frame.record(), why.clone()));
        }
    }

    /// A fragment that is read as nothing more than a frame.
    fn alone(&mut self, record: &Record<'_>, why: Unexplained) {
        self.unexplained_frame(record, None, why);
        self.whole_frame(record);
    }

    fn datagram(&mut self, datagram: &Datagram, tunnel: Tunnel) {
        let why = match &datagram.other {
            Some(_) => Unexplained::OverlappingFragments,
            None => Unexplained::Fragment,
        };
        for frame in &datagram.frames {
            self.unexplained_frame(&frame.record(), None, why.clone());
        }
        if let Some(other) = &datagram.other {
            self.search_packet(datagram, other);
        }
        let packet = &datagram.packet;
        let frame = frame::decode(packet.link_type, &packet.bytes, packet.bytes.len() as u32);
        match self.flows.segment_in(tunnel, &frame) {
            Some(segment) => self.segment_in_fragments(datagram, &segment),
            None => {
                datagram.frames.iter().for_each(|frame| self.whole_frame(&frame.record()));
                self.search_packet(datagram, packet);
                if let (Some(ip), Transport::Udp(udp)) = (frame.ip(), &frame.transport)
                    && let Some(last) = datagram.frames.last()
                {
                    let (start, provenance) = (u64::from(udp.payload_offset), Parts { datagram, packet });
                    // Why its bytes are unexplained is reported with the fragments.
                    let keys = self.keys.as_deref();
                    let quic = Quic { sessions: &mut self.quic, keys, tools: &mut self.tools };
                    datagram::read(&mut self.observer, quic, &last.record(), ip, udp, &|range| {
                        provenance.locate(start + range.start as u64..start + range.end as u64)
                    });
                }
            }
        }
    }

    /// Passes a segment on in as many pieces as there are fragments, so that each byte keeps the frame that carries it.
    fn segment_in_fragments(&mut self, datagram: &Datagram, whole: &FlowSegment<'_, '_>) {
        let segment = whole.segment;
        let start = segment.payload_offset as usize;
        let end = start + segment.payload.len();
        let mut pieces: Vec<(&Part, Range<usize>)> = datagram
            .packet
            .parts
            .iter()
            .map(|part| (part, part.range.start.max(start)..part.range.end.min(end)))
            .filter(|(_, range)| !range.is_empty())
            .collect();
        // Every frame is handed over, the ones without payload first: they have the headers.
        if pieces.is_empty()
            && let Some(first) = datagram.packet.parts.first()
        {
            pieces.push((first, start..start));
        }
        let is_carrier = |index: usize| pieces.iter().filter(|(part, _)| part.frame == index).count() == 1;
        for (index, frame) in datagram.frames.iter().enumerate() {
            if !is_carrier(index) {
                self.whole_frame(&frame.record());
            }
        }
        let count = pieces.len();
        for (index, (part, range)) in pieces.into_iter().enumerate() {
            let Some(frame) = datagram.frames.get(part.frame) else { continue };
            let (is_first, is_last) = (index == 0, index + 1 == count);
            let offset = (range.start - start) as u32;
            // The SYN takes the number before the first byte.
            let syn = u32::from(segment.flags.syn() && !is_first);
            let piece = Segment {
                seq: segment.seq.wrapping_add(offset).wrapping_add(syn),
                flags: flags_of(segment.flags, is_first, is_last),
                payload: segment.payload.get(range.start - start..range.end - start).unwrap_or_default(),
                payload_offset: (part.frame_offset + (range.start - part.range.start)) as u32,
                wire_payload_len: range.len() as u32,
                ..*segment
            };
            let arrival = if is_first { whole.arrival } else { Arrival::Continues };
            let piece = FlowSegment { segment: &piece, arrival, ..*whole };
            self.segment(&frame.record(), &piece);
        }
    }

    /// Searches a packet as one sequence: a string in it may have a part in each of several fragments.
    fn search_packet(&mut self, datagram: &Datagram, packet: &Packet) {
        let chain = DecodeChain::default().then("ip").then("fragments");
        let provenance = Parts { datagram, packet };
        let (observer, Tools { decoder, carve_budget, .. }) = self.tools();
        let bytes = Bytes { bytes: &packet.bytes, sequence: Sequence::Joined, chain, needs_secret: false };
        observer.bytes(&mut O::Memory::default(), &bytes, &provenance);
        carve(&packet.bytes, observer, decoder, carve_budget, |from, to| {
            provenance.locate(from as u64..to as u64)
        });
    }
}

/// SYN belongs to the first piece of a segment, FIN, RST and PSH to the last.
fn flags_of(flags: Flags, is_first: bool, is_last: bool) -> Flags {
    let at_end = Flags::FIN.0 | Flags::RST.0 | Flags::PSH.0;
    let mut bits = flags.0;
    if !is_first {
        bits &= !Flags::SYN.0;
    }
    if !is_last {
        bits &= !at_end;
    }
    Flags(bits)
}

/// The bytes of a packet that was put together, and the frames that carry them.
struct Parts<'d> {
    datagram: &'d Datagram,
    packet: &'d Packet,
}

impl Parts<'_> {
    fn of(&self, range: Range<u64>) -> impl Iterator<Item = &Part> {
        let overlaps =
            move |part: &&Part| (part.range.start as u64) < range.end && range.start < part.range.end as u64;
        self.packet.parts.iter().filter(overlaps)
    }
}

impl Provenance for Parts<'_> {
    fn locate(&self, range: Range<u64>) -> Location {
        let mut frames: Vec<u64> = self
            .of(range.clone())
            .filter_map(|part| self.datagram.origin(part))
            .map(|origin| origin.frame)
            .take(MAX_FRAMES)
            .collect();
        frames.sort_unstable();
        frames.dedup();
        let first = self.of(range.clone()).next().and_then(|part| {
            let behind = range.start.saturating_sub(part.range.start as u64);
            self.datagram.origin(part).map(|origin| origin.file_offset + behind)
        });
        Location {
            frames,
            file_offset: first.unwrap_or_default(),
            stream: None,
            direction: None,
            stream_offset: None,
            wire_len: range.end.saturating_sub(range.start),
            ciphertext: None,
        }
    }

    /// The frames are searched one by one.
    fn is_below(&self, range: Range<u64>) -> bool {
        self.of(range).count() == 1
    }
}
