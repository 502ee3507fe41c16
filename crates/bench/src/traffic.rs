//! Generates the traffic of a capture: up to 256 connections at a time, each a sequence of requests and answers.

use std::collections::VecDeque;
use std::fs::File;
use std::net::{Ipv4Addr, SocketAddr};
use std::ops::Range;

use anyhow::Result;
use craft::conversation::{Connection, Frames, Settings, Side};

use crate::capture_spec::{CaptureSpec, Shape};
use crate::capture_writer::{CaptureWriter, Delivery, Segment};
use crate::ground_truth::{GroundTruth, Place, PlantedString, SCHEMA};
use crate::message::{Coding, Form, Message, PlantedMessage};
use crate::rng::Rng;
use crate::text::{self, Filler, PLANTED};
use crate::tls::{self, Peers, Records, Session};

/// Connections that are open at the same time. The goal for the analyzer's peak memory is set for this number.
const OPEN: usize = 256;

/// Number of decoys: values that are never sent.
const DECOYS: usize = 8;

/// Share of chunked answers, in thousandths.
const CHUNKED: usize = 50;

/// A connection ends when fewer bytes of its share are left.
const ENOUGH: u64 = 1500;

/// The contents of a capture that was written, for the files beside it.
pub(crate) struct Generated {
    pub(crate) truth: GroundTruth,
    /// The messages with a planted string, in order of time.
    pub(crate) journaled: Vec<JournaledMessage>,
    /// Secrets of the TLS sessions, in NSS format.
    pub(crate) key_log: Option<String>,
    /// Values that were never sent.
    pub(crate) decoys: Vec<String>,
    /// Time of the last frame, ns since the epoch.
    pub(crate) ended_at: u64,
}

/// A message with a planted string, which both journals contain.
pub(crate) struct JournaledMessage {
    pub(crate) id: String,
    pub(crate) from: Side,
    pub(crate) at: u64,
    pub(crate) client: SocketAddr,
    pub(crate) server: SocketAddr,
    pub(crate) body: String,
}

/// Writes the capture of `spec` into `file`.
pub(crate) fn make(spec: &CaptureSpec, file: File) -> Result<Generated> {
    let mut generator = Generator::new(spec, file)?;
    generator.run()?;
    generator.finish()
}

struct Generator<'r> {
    spec: &'r CaptureSpec,
    rng: Rng,
    filler: Filler,
    writer: CaptureWriter,
    peers: Option<Peers>,
    records: Records,
    batch: Frames,
    plants: VecDeque<Plant>,
    /// Bytes of the file assigned to the connections opened so far.
    assigned: u64,
    messages: u64,
    journaled: Vec<JournaledMessage>,
    strings: Vec<PlantedString>,
    decoys: Vec<String>,
}

/// A string to plant.
struct Plant {
    string: String,
    id: String,
    form: Form,
    from: Side,
    /// Index of the connection.
    flow: u64,
}

/// An open connection.
struct Flow {
    index: u64,
    client: SocketAddr,
    server: SocketAddr,
    tcp: Connection,
    tls: Option<Session>,
    /// Bytes left of its share of the file.
    left: u64,
    plants: VecDeque<Plant>,
    /// The side that sends next.
    turn: Side,
}

impl<'r> Generator<'r> {
    fn new(spec: &'r CaptureSpec, file: File) -> Result<Self> {
        let seed = spec.seed;
        let mut rng = Rng::new(seed, "traffic");
        let peers = if spec.shape.is_tls() { Some(Peers::new(seed)?) } else { None };
        Ok(Self {
            spec,
            filler: Filler::new(&mut Rng::new(seed, "filler")),
            writer: CaptureWriter::new(file, seed)?,
            peers,
            records: Records::default(),
            batch: Frames::default(),
            plants: plants(spec, &mut Rng::new(seed, "plants")),
            assigned: 0,
            messages: 0,
            journaled: Vec::new(),
            strings: Vec::new(),
            decoys: (0..DECOYS).map(|_| text::decoy(&mut rng)).collect(),
            rng,
        })
    }

    fn run(&mut self) -> Result<()> {
        let connections = self.spec.connections();
        let mut opened = 0;
        let mut open: Vec<Flow> = Vec::with_capacity(OPEN);
        loop {
            while open.len() < OPEN && opened < connections {
                open.push(self.open(opened)?);
                opened += 1;
            }
            if open.is_empty() {
                return Ok(());
            }
            let index = self.rng.below(open.len());
            let before = self.writer.bytes;
            let is_over = self.step(&mut open[index])?;
            let flow = &mut open[index];
            flow.left = flow.left.saturating_sub(self.writer.bytes - before);
            if is_over {
                let flow = open.swap_remove(index);
                self.close(flow)?;
            }
        }
    }

    fn finish(self) -> Result<Generated> {
        let ended_at = self.writer.now();
        let CaptureWriter { frames, bytes, early, repeated, .. } = self.writer;
        let truth = GroundTruth {
            schema: SCHEMA.to_owned(),
            spec: self.spec.clone(),
            frames,
            bytes,
            sha256: self.writer.finish()?,
            streams: self.spec.connections(),
            messages: self.messages,
            out_of_order: early,
            repeated,
            records: self.records.total,
            records_encrypted: self.records.encrypted,
            strings: self.strings,
        };
        let key_log = self.peers.map(|peers| peers.key_log());
        Ok(Generated { truth, journaled: self.journaled, key_log, decoys: self.decoys, ended_at })
    }

    fn open(&mut self, index: u64) -> Result<Flow> {
        let connections = self.spec.connections();
        let share = self.spec.size.0.saturating_sub(self.assigned) / (connections - index);
        self.assigned += share;
        // Every connection has a client address of its own, of 16 million.
        let address = Ipv4Addr::from(0x0a01_0000 + index as u32);
        let client = SocketAddr::from((address, self.rng.between(32_768, 60_999) as u16));
        let server = SocketAddr::from((Ipv4Addr::new(10, 0, 0, 2), self.spec.shape.variant().port));
        let mut tcp = Connection::new(Settings {
            client_isn: self.rng.next() as u32,
            server_isn: self.rng.next() as u32,
            ack_every: if self.spec.shape == Shape::Tiny { 0 } else { 2 },
            ..Settings::new(client, server)
        })?;
        let before = self.writer.bytes;
        tcp.open(self.writer.now(), &mut self.batch)?;
        if self.spec.shape == Shape::Tiny {
            // The first request acknowledges the server's SYN, which saves a packet.
            self.writer.first_frames(&mut self.batch, 2)?;
        } else {
            self.writer.control(&mut self.batch)?;
        }
        let planned = self.plants.iter().take_while(|plant| plant.flow == index).count();
        let plants: VecDeque<Plant> = self.plants.drain(..planned).collect();
        let mut flow =
            Flow { index, client, server, tcp, tls: None, left: share, plants, turn: Side::Client };
        if let Some(peers) = &self.peers {
            let mut session = peers.session()?;
            for (side, flight) in session.handshake()? {
                self.records.count(&flight);
                self.send(&mut flow, side, &flight, &Delivery::Ordinary)?;
            }
            flow.tls = Some(session);
        }
        flow.left = flow.left.saturating_sub(self.writer.bytes - before);
        Ok(flow)
    }

    /// Sends the next message of a connection. Returns whether it was the last.
    fn step(&mut self, flow: &mut Flow) -> Result<bool> {
        let from = flow.turn;
        flow.turn = from.other();
        self.messages += 1;
        let is_late = flow.left < ENOUGH || self.spec.shape == Shape::Tiny;
        match flow.plants.front() {
            Some(plant) if plant.from == from && (is_late || self.rng.chance(200)) => {
                let plant = flow.plants.pop_front().expect("the front was just looked at");
                self.plant(flow, plant)?;
            }
            _ => self.filler(flow, from)?,
        }
        Ok(from == Side::Server && is_late && flow.plants.is_empty())
    }

    fn filler(&mut self, flow: &mut Flow, from: Side) -> Result<()> {
        let rng = &mut self.rng;
        let body = match (from, self.spec.shape) {
            (Side::Client, Shape::Tiny) => self.filler.request(rng.size(80, 160), rng),
            (Side::Server, Shape::Tiny) => self.filler.answer(rng.size(100, 800), rng),
            (Side::Client, _) => self.filler.request(rng.size(120, 4096), rng),
            (Side::Server, _) => {
                let most = 65_536.min(flow.left as usize).max(400);
                self.filler.answer(rng.size(300, 65_536).min(most), rng)
            }
        };
        let gzip = rng.chance(self.spec.shape.gzipped());
        let coding = Coding { gzip, chunked: from == Side::Server && rng.chance(CHUNKED) };
        let message = Message::new(from, body.as_bytes(), coding, rng);
        let bytes = match &mut flow.tls {
            None => message.bytes,
            Some(session) => session.seal(from, &message.bytes)?,
        };
        if flow.tls.is_some() {
            self.records.count(&bytes);
        }
        self.send(flow, from, &bytes, &Delivery::Ordinary).map(drop)
    }

    fn plant(&mut self, flow: &mut Flow, plant: Plant) -> Result<()> {
        let Plant { string, id, form, from, .. } = plant;
        let message = PlantedMessage::new(from, &string, form, self.spec.unit(), &mut self.rng);
        let (bytes, carrier) = match &mut flow.tls {
            None => (message.bytes, message.carrier),
            Some(session) => {
                let sealed = session.seal(from, &message.bytes)?;
                self.records.count(&sealed);
                let carrier = tls::carriers(&sealed, &message.carrier);
                (sealed, carrier)
            }
        };
        let delivery = match form {
            Form::SplitEarly => Delivery::Early(carrier.clone()),
            Form::SplitRepeated | Form::WholeRepeated => Delivery::Repeated(carrier.clone()),
            _ => Delivery::Orderly,
        };
        let message_start = u64::from(flow.tcp.sent(from));
        let (stream, is_tls) = (flow.index, flow.tls.is_some());
        let segments = self.send(flow, from, &bytes, &delivery)?;
        let is_plain = !is_tls && message.layers.is_empty();
        let places = places(segments, &carrier, stream, message_start, is_plain);
        let level = match (is_tls, is_plain, places[0].frames.len()) {
            (true, ..) => "decrypted",
            (_, true, 1) => "verbatim",
            (_, true, _) => "reassembled",
            (_, false, _) => "decoded",
        };
        let layers = is_tls.then_some("tls1.3").into_iter().chain(message.layers);
        self.strings.push(PlantedString {
            value: string,
            message_id: id.clone(),
            form,
            level: level.to_owned(),
            layers: layers.map(str::to_owned).collect(),
            places,
        });
        let (client, server, at) = (flow.client, flow.server, self.writer.now());
        self.journaled.push(JournaledMessage { id, from, at, client, server, body: message.body });
        Ok(())
    }

    fn send(&mut self, flow: &mut Flow, from: Side, bytes: &[u8], delivery: &Delivery) -> Result<&[Segment]> {
        flow.tcp.send(from, bytes, self.writer.now(), &mut self.batch)?;
        self.writer.write(&mut self.batch, from, delivery)
    }

    fn close(&mut self, mut flow: Flow) -> Result<()> {
        if self.spec.shape == Shape::Tiny {
            flow.tcp.reset(Side::Client, self.writer.now(), &mut self.batch)?;
            return self.writer.control(&mut self.batch);
        }
        for side in [Side::Client, Side::Server] {
            if let Some(session) = &mut flow.tls {
                let alert = session.close(side)?;
                self.records.count(&alert);
                self.send(&mut flow, side, &alert, &Delivery::Ordinary)?;
            }
            flow.tcp.close(side, self.writer.now(), &mut self.batch)?;
            self.writer.control(&mut self.batch)?;
        }
        Ok(())
    }
}

/// Plans the planted strings: spread evenly over the capture, in both directions, in every form that the shape allows.
fn plants(spec: &CaptureSpec, rng: &mut Rng) -> VecDeque<Plant> {
    let fits = |form: &Form| {
        (spec.shape.gzipped() > 0 || !form.is_gzipped()) && (spec.shape != Shape::Tiny || !form.is_split())
    };
    let forms: Vec<Form> = Form::ALL.into_iter().filter(fits).collect();
    let connections = spec.connections();
    let strings = text::planted(rng).into_iter().enumerate();
    strings
        .map(|(index, string)| Plant {
            string,
            id: format!("call-{:04}", index + 1),
            form: forms[index % forms.len()],
            // At random, because alternating sides would always pair a form with the same side.
            from: if rng.chance(500) { Side::Client } else { Side::Server },
            flow: (2 * index as u64 + 1) * connections / (2 * PLANTED as u64),
        })
        .collect()
}

/// The places of a range of a message: first the original segments, then each repetition that contains the whole range.
fn places(
    segments: &[Segment],
    carrier: &Range<usize>,
    stream: u64,
    message_start: u64,
    is_plain: bool,
) -> Vec<Place> {
    let holds_start = |segment: &&Segment| segment.start <= carrier.start && carrier.start < segment.end;
    let carrying = || segments.iter().filter(|s| s.start < carrier.end && carrier.start < s.end);
    let mut frames: Vec<u64> = carrying().filter(|s| !s.is_repeated).map(|s| s.frame).collect();
    frames.sort_unstable();
    let offset = |segment: &Segment| segment.file_offset + (carrier.start - segment.start) as u64;
    let first = carrying().filter(|s| !s.is_repeated).find(holds_start).expect("every byte was sent");
    let mut places = vec![Place {
        frames,
        file_offset: offset(first),
        stream,
        stream_offset: Some(message_start + carrier.start as u64),
    }];
    let whole = |s: &&Segment| s.is_repeated && holds_start(s) && carrier.end <= s.end;
    places.extend(segments.iter().filter(|_| is_plain).filter(whole).map(|segment| Place {
        frames: vec![segment.frame],
        file_offset: offset(segment),
        stream,
        stream_offset: None,
    }));
    places
}

#[cfg(test)]
mod tests {
    use super::*;

    fn segment(frame: u64, start: usize, is_repeated: bool) -> Segment {
        Segment { frame, file_offset: frame * 1000, start, end: start + 100, is_repeated }
    }

    #[test]
    fn place_lists_each_contributing_frame_once() {
        let segments =
            [segment(7, 100, false), segment(8, 0, false), segment(9, 100, true), segment(10, 200, false)];
        let split = places(&segments, &(90..110), 3, 5000, true);
        let expected = Place { frames: vec![7, 8], file_offset: 8090, stream: 3, stream_offset: Some(5090) };
        assert_eq!(split, [expected]);
        let whole = places(&segments, &(110..120), 3, 5000, true);
        assert_eq!(whole.len(), 2);
        assert_eq!(
            (&whole[1].frames[..], whole[1].file_offset, whole[1].stream_offset),
            (&[9][..], 9010, None)
        );
        assert_eq!(
            places(&segments, &(110..120), 3, 5000, false).len(),
            1,
            "an encoded string is not in the repeated frame alone"
        );
    }
}
