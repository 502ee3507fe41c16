//! The capture: connections that come and go, up to 256 at a time, each a row of questions and answers.

use std::collections::VecDeque;
use std::fs::File;
use std::net::{Ipv4Addr, SocketAddr};
use std::ops::Range;

use anyhow::Result;
use craft::conversation::{Connection, Frames, Settings, Side};

use crate::capture_spec::{CaptureSpec, Shape};
use crate::ground_truth::{GroundTruth, Place, PlantedString, SCHEMA};
use crate::message::{Coding, Form, Message, PlantedMessage};
use crate::rng::Rng;
use crate::text::{self, Filler, PLANTED};
use crate::tls::{self, Peers, Records, Session};
use crate::wire::{Fate, Segment, Wire};

/// Connections that are open at the same time: the number for which the design bounds the analyzer's memory.
const OPEN: usize = 256;

/// Values that are never sent.
const DECOYS: usize = 8;

/// Answers in chunks, thousandths.
const CHUNKED: usize = 50;

/// Below this many bytes left of its share a connection ends.
const ENOUGH: u64 = 1500;

/// A capture that was written, and what belongs to it.
pub(crate) struct Made {
    /// What is in it.
    pub(crate) truth: GroundTruth,
    /// The messages with a planted string, in their order in time.
    pub(crate) said: Vec<Said>,
    /// Secrets of the TLS sessions, in NSS format.
    pub(crate) key_log: Option<String>,
    /// Values that were never sent.
    pub(crate) decoys: Vec<String>,
    /// When the last frame was captured, ns since the epoch.
    pub(crate) ended_at: u64,
}

/// A message with a planted string, as the agents tell it.
pub(crate) struct Said {
    pub(crate) id: String,
    pub(crate) from: Side,
    pub(crate) at: u64,
    pub(crate) client: SocketAddr,
    pub(crate) server: SocketAddr,
    pub(crate) body: String,
}

/// Writes the capture of `spec` into `file`.
pub(crate) fn make(spec: &CaptureSpec, file: File) -> Result<Made> {
    let mut generator = Generator::new(spec, file)?;
    generator.run()?;
    generator.finish()
}

struct Generator<'r> {
    spec: &'r CaptureSpec,
    rng: Rng,
    filler: Filler,
    wire: Wire,
    peers: Option<Peers>,
    records: Records,
    batch: Frames,
    plants: VecDeque<Plant>,
    /// Bytes that the connections so far are allowed.
    promised: u64,
    messages: u64,
    said: Vec<Said>,
    strings: Vec<PlantedString>,
    decoys: Vec<String>,
}

/// A string that is to be sent.
struct Plant {
    string: String,
    id: String,
    form: Form,
    from: Side,
    /// On which connection.
    flow: u64,
}

/// A connection that is open.
struct Flow {
    index: u64,
    client: SocketAddr,
    server: SocketAddr,
    tcp: Connection,
    tls: Option<Session>,
    /// Bytes of the file it may still fill.
    left: u64,
    plants: VecDeque<Plant>,
    /// Who speaks next.
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
            wire: Wire::new(file, seed)?,
            peers,
            records: Records::default(),
            batch: Frames::default(),
            plants: plants(spec, &mut Rng::new(seed, "plants")),
            promised: 0,
            messages: 0,
            said: Vec::new(),
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
            let before = self.wire.bytes;
            let is_over = self.step(&mut open[index])?;
            let flow = &mut open[index];
            flow.left = flow.left.saturating_sub(self.wire.bytes - before);
            if is_over {
                let flow = open.swap_remove(index);
                self.close(flow)?;
            }
        }
    }

    fn finish(self) -> Result<Made> {
        let ended_at = self.wire.now();
        let Wire { frames, bytes, early, repeated, .. } = self.wire;
        let truth = GroundTruth {
            schema: SCHEMA.to_owned(),
            spec: self.spec.clone(),
            frames,
            bytes,
            sha256: self.wire.finish()?,
            streams: self.spec.connections(),
            messages: self.messages,
            out_of_order: early,
            repeated,
            records: self.records.total,
            records_encrypted: self.records.encrypted,
            strings: self.strings,
        };
        let key_log = self.peers.map(|peers| peers.key_log());
        Ok(Made { truth, said: self.said, key_log, decoys: self.decoys, ended_at })
    }

    fn open(&mut self, index: u64) -> Result<Flow> {
        let connections = self.spec.connections();
        let share = self.spec.size.0.saturating_sub(self.promised) / (connections - index);
        self.promised += share;
        // Every connection from an address of its own: 16 million of them.
        let address = Ipv4Addr::from(0x0a01_0000 + index as u32);
        let client = SocketAddr::from((address, self.rng.between(32_768, 60_999) as u16));
        let server = SocketAddr::from((Ipv4Addr::new(10, 0, 0, 2), self.spec.shape.variant().port));
        let mut tcp = Connection::new(Settings {
            client_isn: self.rng.next() as u32,
            server_isn: self.rng.next() as u32,
            ack_every: if self.spec.shape == Shape::Tiny { 0 } else { 2 },
            ..Settings::new(client, server)
        })?;
        let before = self.wire.bytes;
        tcp.open(self.wire.now(), &mut self.batch)?;
        if self.spec.shape == Shape::Tiny {
            // The first question itself acknowledges the SYN of the server: one packet less.
            self.wire.first_frames(&mut self.batch, 2)?;
        } else {
            self.wire.control(&mut self.batch)?;
        }
        let mine = self.plants.iter().take_while(|plant| plant.flow == index).count();
        let plants: VecDeque<Plant> = self.plants.drain(..mine).collect();
        let mut flow =
            Flow { index, client, server, tcp, tls: None, left: share, plants, turn: Side::Client };
        if let Some(peers) = &self.peers {
            let mut session = peers.session()?;
            for (side, flight) in session.handshake()? {
                self.records.count(&flight);
                self.send(&mut flow, side, &flight, &Fate::Ordinary)?;
            }
            flow.tls = Some(session);
        }
        flow.left = flow.left.saturating_sub(self.wire.bytes - before);
        Ok(flow)
    }

    /// The next message of a connection. True if it was the last.
    fn step(&mut self, flow: &mut Flow) -> Result<bool> {
        let from = flow.turn;
        flow.turn = from.other();
        self.messages += 1;
        let is_late = flow.left < ENOUGH || self.spec.shape == Shape::Tiny;
        match flow.plants.front() {
            Some(plant) if plant.from == from && (is_late || self.rng.chance(200)) => {
                let plant = flow.plants.pop_front().expect("there is a first one");
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
        self.send(flow, from, &bytes, &Fate::Ordinary).map(drop)
    }

    fn plant(&mut self, flow: &mut Flow, plant: Plant) -> Result<()> {
        let Plant { string, id, form, from, .. } = plant;
        let message = PlantedMessage::new(from, &string, form, self.spec.unit(), &mut self.rng);
        let (bytes, stands) = match &mut flow.tls {
            None => (message.bytes, message.stands),
            Some(session) => {
                let sealed = session.seal(from, &message.bytes)?;
                self.records.count(&sealed);
                let stands = tls::carriers(&sealed, &message.stands);
                (sealed, stands)
            }
        };
        let fate = match form {
            Form::SplitEarly => Fate::Early(stands.clone()),
            Form::SplitRepeated | Form::WholeRepeated => Fate::Repeated(stands.clone()),
            _ => Fate::Orderly,
        };
        let message_start = u64::from(flow.tcp.sent(from));
        let (stream, is_tls) = (flow.index, flow.tls.is_some());
        let segments = self.send(flow, from, &bytes, &fate)?;
        let is_plain = !is_tls && message.layers.is_empty();
        let places = places(segments, &stands, stream, message_start, is_plain);
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
        let (client, server, at) = (flow.client, flow.server, self.wire.now());
        self.said.push(Said { id, from, at, client, server, body: message.body });
        Ok(())
    }

    fn send(&mut self, flow: &mut Flow, from: Side, bytes: &[u8], fate: &Fate) -> Result<&[Segment]> {
        flow.tcp.send(from, bytes, self.wire.now(), &mut self.batch)?;
        self.wire.write(&mut self.batch, from, fate)
    }

    fn close(&mut self, mut flow: Flow) -> Result<()> {
        if self.spec.shape == Shape::Tiny {
            flow.tcp.reset(Side::Client, self.wire.now(), &mut self.batch)?;
            return self.wire.control(&mut self.batch);
        }
        for side in [Side::Client, Side::Server] {
            if let Some(session) = &mut flow.tls {
                let alert = session.close(side)?;
                self.records.count(&alert);
                self.send(&mut flow, side, &alert, &Fate::Ordinary)?;
            }
            flow.tcp.close(side, self.wire.now(), &mut self.batch)?;
            self.wire.control(&mut self.batch)?;
        }
        Ok(())
    }
}

/// Which string goes when and how: evenly over the capture, in both directions, in every form that the shape has.
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
            // Not every other: with an even number of forms each would always go the same way.
            from: if rng.chance(500) { Side::Client } else { Side::Server },
            flow: (2 * index as u64 + 1) * connections / (2 * PLANTED as u64),
        })
        .collect()
}

/// Where a part of a message stands, first as it came, then each time as it was repeated.
fn places(
    segments: &[Segment],
    stands: &Range<usize>,
    stream: u64,
    message_start: u64,
    is_plain: bool,
) -> Vec<Place> {
    let holds_start = |segment: &&Segment| segment.start <= stands.start && stands.start < segment.end;
    let carrying = || segments.iter().filter(|s| s.start < stands.end && stands.start < s.end);
    let mut frames: Vec<u64> = carrying().filter(|s| !s.is_repeated).map(|s| s.frame).collect();
    frames.sort_unstable();
    let offset = |segment: &Segment| segment.file_offset + (stands.start - segment.start) as u64;
    let first = carrying().filter(|s| !s.is_repeated).find(holds_start).expect("every byte was sent");
    let mut places = vec![Place {
        frames,
        file_offset: offset(first),
        stream,
        stream_offset: Some(message_start + stands.start as u64),
    }];
    let whole = |s: &&Segment| s.is_repeated && holds_start(s) && stands.end <= s.end;
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
    fn a_place_names_every_frame_that_contributes_once() {
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
            "sealed or coded: it is not there"
        );
    }
}
