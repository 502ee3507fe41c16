//! The planted control: shows that the search without keys finds what is there.
//!
//! Strings of the run are written in every form by code that shares nothing with the search, and put at seeded places into
//! copies of a real connection of the capture: its own link, addresses, lengths and segmentation. The same pipeline and the
//! same search then run over these frames, and each string must be found at its level and in its frames.

mod forms;

use std::collections::BTreeSet;
use std::io::Write as _;
use std::sync::Arc;

use dissect::capture::Record;
use dissect::flow::Direction;
use dissect::link::LinkType;
use exposure_schema::Level;
use flate2::Compression;
use flate2::write::GzEncoder;
use search::NeedleId;
use search::fragments::GUARANTEED;

use self::forms::{FORMS, Form, Strings};
use crate::input::capture::Sink as _;
use crate::needles::{FragmentSource, KnownStrings, StringSearch};
use crate::observe::CaptureObserver;
use crate::observe::template::{MIN_PAYLOAD, Template, TemplateFrame};
use crate::pipeline::frames::Pipeline;
use crate::verdict::controls::Planted;

/// Longest string that is planted: its longest form fits into a segment.
const MAX_PLANTED: usize = 64;

/// Fewest UTF-16 code units of a string that is planted: written in UTF-16, a shorter one is too short to be searched.
const MIN_UNITS: usize = 5;

/// Fewest distinct bytes in a part that is planted: others could be padding.
const MIN_DISTINCT: usize = 8;

/// A layer into which a string is planted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Layer {
    /// A frame that is no TCP.
    Frame,
    /// A segment of a stream.
    Segment,
    /// Two segments of a stream.
    Segments,
    /// The body of an HTTP message.
    Http,
    /// The same, cut into chunks.
    Chunked,
    /// The same, compressed.
    Gzip,
}

const LAYERS: [Layer; 6] =
    [Layer::Frame, Layer::Segment, Layer::Segments, Layer::Http, Layer::Chunked, Layer::Gzip];

/// Where in its host a string begins.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Place {
    Start,
    Middle,
    End,
}

const PLACES: [Place; 3] = [Place::Start, Place::Middle, Place::End];

/// A planted string, and where it must be found.
struct Plant<'a> {
    form: &'a Form,
    layer: Layer,
    needle: NeedleId,
    level: Level,
    frames: Vec<u64>,
}

/// Runs the control. `None` if the capture has no connection that can be copied, or no string to plant.
pub(crate) fn run(
    template: &Template,
    known: &KnownStrings,
    search: &Arc<StringSearch>,
    seed: u64,
) -> Option<Planted> {
    let (link_type, originals) = template.connection()?;
    let mut random = Random(seed | 1);
    let needles = plantable(known);
    let hosts = Hosts::of(originals)?;
    let mut shadow = Shadow::new(link_type, known, search);
    let mut plants = Vec::new();
    let mut copies = 0;
    for form in &FORMS {
        let needles = written_in(form, &needles);
        for layer in LAYERS {
            for place in PLACES {
                let Some((needle, text)) = needles.get(random.below(needles.len())).copied() else {
                    continue;
                };
                let written = (form.write)(text);
                let is_plain = written == text.as_bytes();
                let Some((mut frames, changed)) = hosts.plant(layer, place, &written, &mut random) else {
                    continue;
                };
                let first = shadow.frames + 1;
                copies += 1;
                frames.iter_mut().zip(originals).for_each(|(bytes, frame)| renumber(bytes, frame, copies));
                frames.iter().for_each(|bytes| shadow.push(bytes));
                plants.push(Plant {
                    form,
                    layer,
                    needle,
                    level: expected_level(layer, is_plain),
                    frames: changed.iter().map(|index| first + *index as u64).collect(),
                });
            }
        }
    }

    if plants.is_empty() {
        return None;
    }
    let observed = shadow.pipeline.finish().observer;
    let is_found = |plant: &Plant<'_>| {
        let hits = &observed.hits.of(plant.needle).hits;
        hits.iter().any(|hit| hit.level == plant.level && hit.location.frames == plant.frames)
    };
    let missed: Vec<_> = plants.iter().filter(|plant| !is_found(plant)).collect();
    let name = |plant: &&Plant<'_>| {
        let form = if plant.form.name.is_empty() { "plain" } else { plant.form.name };
        format!("{form} in {:?}", plant.layer)
    };
    let parts = plant_parts(known, search, link_type, &hosts, &mut random);
    let parts_missed: Vec<_> = parts.iter().filter_map(|part| *part).collect();
    let layers: BTreeSet<_> = plants.iter().map(|plant| plant.layer).collect();
    let forms = FORMS.iter().filter(|form| plants.iter().any(|plant| std::ptr::eq(plant.form, *form)));
    Some(Planted {
        planted: (plants.len() + parts.len()) as u64,
        found: (plants.len() - missed.len() + parts.len() - parts_missed.len()) as u64,
        forms: forms.count() as u64,
        places: PLACES.len() as u64,
        layers: layers.len() as u64,
        first_missed: missed
            .first()
            .map(name)
            .or_else(|| parts_missed.first().map(|form| format!("a part of a message, {form}"))),
    })
}

/// Plants a part of a message in each form, in one segment or in two, and returns the names of those forms that were missed.
fn plant_parts(
    known: &KnownStrings,
    search: &Arc<StringSearch>,
    link_type: LinkType,
    hosts: &Hosts<'_>,
    random: &mut Random,
) -> Vec<Option<&'static str>> {
    let mut results = Vec::new();
    let is_message = |source: &&FragmentSource| matches!(source, FragmentSource::Message(_));
    let messages = known.fragment_sources.iter().filter(is_message).count();
    if messages + known.not_json + known.too_deep < known.messages.len() {
        results.push(Some("which is not searched"));
    }
    for form in FORMS.iter().filter(|form| !matches!(form.strings, Strings::Only(_))) {
        let Some(part) = a_part(search, random) else { continue };
        let is_split = hosts.pair.is_some() && random.below(2) == 0;
        let layer = if is_split { Layer::Segments } else { Layer::Segment };
        let place = PLACES[random.below(PLACES.len())];
        let written = (form.write)(part);
        let Some((frames, changed)) = hosts.plant(layer, place, &written, random) else { continue };
        let planted_in: Vec<u64> = changed.iter().map(|index| 1 + *index as u64).collect();
        // One after the other, because few locations of the parts of a source are remembered.
        let observed = searched(known, search, link_type, &frames);
        let mut hits = observed.hits.fragments.values().flat_map(|found| &found.hits);
        let is_found = hits.any(|hit| {
            let found = &hit.location.frames;
            let is_there = !found.is_empty() && found.iter().all(|frame| planted_in.contains(frame));
            // What JSON and URLs leave as it is can be long enough to be found by itself.
            let may_be_plain = form.name.is_empty() || matches!(form.strings, Strings::Preferably(_));
            is_there && (may_be_plain || hit.decode_chain.last() == Some(&form.name))
        });
        let name = if form.name.is_empty() { "plain" } else { form.name };
        results.push((!is_found).then_some(name));
    }
    results
}

/// A part of a message that is found in every form, and is ASCII.
fn a_part<'s>(search: &'s StringSearch, random: &mut Random) -> Option<&'s str> {
    const TRIES: usize = 64;
    // One byte more at each end, because an alignment can cost it.
    const LEN: usize = GUARANTEED + 2;
    let texts: Vec<_> = search.fragments.texts().filter(|text| text.len() > LEN).collect();
    (0..TRIES).find_map(|_| {
        let text = texts.get(random.below(texts.len()))?;
        let from = random.below(text.len() - LEN);
        let part = &text[from..from + LEN];
        let distinct = part.iter().collect::<BTreeSet<_>>().len();
        (part.is_ascii() && distinct > MIN_DISTINCT).then(|| std::str::from_utf8(part).ok()).flatten()
    })
}

/// Searches frames as those of a capture.
fn searched<'k>(
    known: &'k KnownStrings,
    search: &Arc<StringSearch>,
    link_type: LinkType,
    frames: &[Vec<u8>],
) -> CaptureObserver<'k> {
    let mut shadow = Shadow::new(link_type, known, search);
    frames.iter().for_each(|bytes| shadow.push(bytes));
    shadow.pipeline.finish().observer
}

/// A capture of copied frames, on its way through the pipeline.
struct Shadow<'k> {
    link_type: LinkType,
    pipeline: Pipeline<CaptureObserver<'k>>,
    frames: u64,
    bytes: u64,
}

impl<'k> Shadow<'k> {
    fn new(link_type: LinkType, known: &'k KnownStrings, search: &Arc<StringSearch>) -> Self {
        let observer = CaptureObserver::new(known, search);
        let needs = observer.needs(known);
        Self { link_type, pipeline: Pipeline::new(observer, needs, None), frames: 0, bytes: 0 }
    }

    fn push(&mut self, bytes: &[u8]) {
        self.pipeline.record(&Record {
            frame: self.frames + 1,
            captured_at: self.frames,
            link_type: self.link_type,
            interface: 0,
            original_len: bytes.len() as u32,
            bytes,
            file_offset: self.bytes,
        });
        self.frames += 1;
        self.bytes += bytes.len() as u64;
    }
}

/// The seed for a capture with this SHA-256, so that a repeated analysis plants the same.
pub(crate) fn seed(sha256: &str) -> u64 {
    sha256.get(..16).and_then(|digits| u64::from_str_radix(digits, 16).ok()).unwrap_or(1)
}

/// The needles that are short enough, with their texts. Decoys are left out: they must not be found.
fn plantable(known: &KnownStrings) -> Vec<(NeedleId, &str)> {
    let needles = known.needles().filter(|(needle, _)| !known.is_decoy(*needle));
    let short = needles.filter(|(_, bytes)| bytes.len() <= MAX_PLANTED);
    let texts = short.filter_map(|(needle, bytes)| Some((needle, std::str::from_utf8(bytes).ok()?)));
    texts.filter(|(_, text)| text.encode_utf16().count() >= MIN_UNITS).collect()
}

/// The needles to write in a form.
fn written_in<'k>(form: &Form, needles: &[(NeedleId, &'k str)]) -> Vec<(NeedleId, &'k str)> {
    let those = |is: fn(&str) -> bool| needles.iter().copied().filter(|(_, text)| is(text)).collect();
    match form.strings {
        Strings::All => needles.to_vec(),
        Strings::Only(is) => those(is),
        Strings::Preferably(is) => {
            let preferred: Vec<_> = those(is);
            if preferred.is_empty() { needles.to_vec() } else { preferred }
        }
    }
}

fn expected_level(layer: Layer, is_plain: bool) -> Level {
    match layer {
        Layer::Frame | Layer::Segment | Layer::Http if is_plain => Level::Verbatim,
        Layer::Segments if is_plain => Level::Reassembled,
        _ => Level::Decoded,
    }
}

/// The segments of the template that can carry a planted string.
struct Hosts<'t> {
    frames: &'t [TemplateFrame],
    /// The segment with the first bytes of the client: an HTTP message can begin there.
    first: usize,
    /// The segment with the most payload.
    longest: usize,
    /// Two segments of which the second continues the first.
    pair: Option<[usize; 2]>,
}

impl<'t> Hosts<'t> {
    fn of(frames: &'t [TemplateFrame]) -> Option<Self> {
        let of_client = |frame: &&TemplateFrame| frame.direction == Direction::ClientToServer;
        let opening = frames.iter().find(of_client)?.seq;
        // Segments can come out of order, and a SYN can have a payload (RFC 7413).
        let is_first = |frame: &TemplateFrame| {
            of_client(&frame) && !frame.payload.is_empty() && frame.seq.wrapping_sub(opening) <= 1
        };
        let first = frames.iter().position(is_first)?;
        let longest = (0..frames.len()).max_by_key(|index| frames[*index].payload.len())?;
        let follows = |one: &TemplateFrame, next: &TemplateFrame| {
            one.direction == next.direction && one.seq.wrapping_add(one.payload.len() as u32) == next.seq
        };
        let long = |frame: &TemplateFrame| frame.payload.len() >= MIN_PAYLOAD;
        let pair = (0..frames.len()).find_map(|one| {
            let next = (one + 1..frames.len()).find(|next| follows(&frames[one], &frames[*next]))?;
            (long(&frames[one]) && long(&frames[next])).then_some([one, next])
        });
        Some(Self { frames, first, longest, pair })
    }

    /// Copies of all frames with the form in one of them, and the indices of those that carry it.
    fn plant(
        &self,
        layer: Layer,
        place: Place,
        form: &[u8],
        random: &mut Random,
    ) -> Option<(Vec<Vec<u8>>, Vec<usize>)> {
        let mut copies: Vec<Vec<u8>> = self.frames.iter().map(|frame| frame.bytes.clone()).collect();
        let index = match layer {
            Layer::Frame | Layer::Segment => self.longest,
            _ => self.first,
        };
        let host = &self.frames[index];
        let room = host.payload.len();
        for (copy, frame) in copies.iter_mut().zip(self.frames) {
            random.fill(&mut copy[frame.payload.clone()]);
        }
        if layer == Layer::Segments {
            let [one, next] = self.pair?;
            // Inside of the string itself, whatever the form has around it.
            let split = match place {
                Place::Start => form.len() * 2 / 5,
                Place::Middle => form.len() / 2,
                Place::End => form.len() * 3 / 5,
            };
            let (head, tail) = form.split_at(split);
            let end = self.frames[one].payload.end;
            copies[one][end - head.len()..end].copy_from_slice(head);
            let start = self.frames[next].payload.start;
            copies[next][start..start + tail.len()].copy_from_slice(tail);
            return Some((copies, vec![one, next]));
        }
        let payload = match layer {
            Layer::Frame | Layer::Segment => {
                let mut payload = random.bytes(room);
                let at = at(place, room, form.len());
                payload[at..at + form.len()].copy_from_slice(form);
                payload
            }
            _ => http_message(layer, place, form, room)?,
        };
        let copy = &mut copies[index];
        copy[host.payload.start..host.payload.start + payload.len()].copy_from_slice(&payload);
        if layer == Layer::Frame {
            // A protocol that nothing reads: the field of the IP header that names TCP.
            let protocol = protocol_field(copy, host)?;
            copy[protocol] = 253;
        }
        Some((copies, vec![index]))
    }
}

fn at(place: Place, room: usize, len: usize) -> usize {
    match place {
        Place::Start => 0,
        Place::Middle => (room - len) / 2,
        Place::End => room - len,
    }
}

/// A request that has exactly `room` bytes, with the form in its body.
fn http_message(layer: Layer, place: Place, form: &[u8], room: usize) -> Option<Vec<u8>> {
    const BODY: usize = 64;
    let mut body = vec![b'.'; BODY.max(form.len())];
    let start = at(place, body.len(), form.len());
    body[start..start + form.len()].copy_from_slice(form);
    let (fields, body) = match layer {
        Layer::Chunked => {
            let middle = start + form.len() / 2;
            let chunk = |part: &[u8]| [format!("{:x}\r\n", part.len()).as_bytes(), part, b"\r\n"].concat();
            let body = [chunk(&body[..middle]), chunk(&body[middle..]), b"0\r\n\r\n".to_vec()].concat();
            ("Transfer-Encoding: chunked".to_owned(), body)
        }
        Layer::Gzip => {
            let mut encoder = GzEncoder::new(Vec::new(), Compression::best());
            encoder.write_all(&body).ok()?;
            let body = encoder.finish().ok()?;
            (format!("Content-Encoding: gzip\r\nContent-Length: {}", body.len()), body)
        }
        _ => (format!("Content-Length: {}", body.len()), body),
    };
    let head =
        |filler: &str| format!("POST / HTTP/1.1\r\nHost: shadow\r\nFiller: {filler}\r\n{fields}\r\n\r\n");
    let filler = room.checked_sub(head("").len() + body.len())?;
    Some([head(&"-".repeat(filler)).as_bytes(), &body].concat())
}

/// Offset of the field that names the protocol of an IP packet without options or extension headers.
fn protocol_field(frame: &[u8], host: &TemplateFrame) -> Option<usize> {
    let (v4, v6) = (host.tcp_at.checked_sub(20), host.tcp_at.checked_sub(40));
    let is = |at: Option<usize>, first: u8| at.filter(|at| frame[*at] & 0xf0 == first);
    let v4 = is(v4, 0x40).map(|at| at + 9);
    v4.or_else(|| is(v6, 0x60).map(|at| at + 6)).filter(|at| frame[*at] == 6)
}

/// Gives a copy of the connection a client port of its own.
fn renumber(bytes: &mut [u8], frame: &TemplateFrame, copy: u16) {
    let at = frame.tcp_at + if frame.direction == Direction::ClientToServer { 0 } else { 2 };
    if let Some(port) = bytes.get_mut(at..at + 2) {
        port.copy_from_slice(&(1024 + copy).to_be_bytes());
    }
}

/// A generator of numbers that need not be good (xorshift).
struct Random(u64);

/// The highest bit of each byte.
const NOT_ASCII: u64 = 0x8080_8080_8080_8080;

impl Random {
    fn next(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0
    }

    fn below(&mut self, bound: usize) -> usize {
        (self.next() % bound.max(1) as u64) as usize
    }

    /// Bytes that no protocol begins with.
    fn bytes(&mut self, len: usize) -> Vec<u8> {
        let mut bytes = vec![0; len];
        self.fill(&mut bytes);
        bytes
    }

    fn fill(&mut self, bytes: &mut [u8]) {
        for word in bytes.chunks_mut(size_of::<u64>()) {
            let noise = (self.next() | NOT_ASCII).to_le_bytes();
            word.copy_from_slice(&noise[..word.len()]);
        }
    }
}

#[cfg(test)]
mod tests {
    use craft::conversation::{Connection, Frames, Settings, Side};
    use exposure_schema::Event;
    use search::fragments::FragmentsBuilder;
    use search::{Matcher, PatternsBuilder};

    use super::*;
    use crate::input::journal::Message;

    fn known() -> (KnownStrings, Arc<StringSearch>) {
        let body = r#"{"id":"call-0001","type":"tool_call","canary":"00112233445566778899aabbccddeeff","text":"\"quoted\" & 한글 / more","n":12345678}"#;
        let message = Message {
            agent: "agent-a".to_owned(),
            event: Event::Sent,
            message_id: None,
            direction: exposure_schema::Direction::ClientToServer,
            at_unix_ns: None,
            local: None,
            remote: None,
            content_type: None,
            body: body.as_bytes().to_vec(),
            body_sha256: [0; 32],
        };
        KnownStrings::new(&[message], &[], None)
    }

    /// A connection with these sends, as a template.
    fn template(known: &KnownStrings, search: &Arc<StringSearch>, sends: &[(Side, usize)]) -> Template {
        template_of(known, search, &frames(sends))
    }

    /// The frames of a connection with these sends.
    fn frames(sends: &[(Side, usize)]) -> Vec<Vec<u8>> {
        let settings = Settings::new(
            "10.0.0.1:40000".parse().expect("an address"),
            "10.0.0.2:8443".parse().expect("an address"),
        );
        let mut connection = Connection::new(settings).expect("one IP version");
        let mut frames = Frames::default();
        connection.open(0, &mut frames).expect("a fresh connection");
        for (side, len) in sends {
            connection.send(*side, &vec![0xee; *len], 0, &mut frames).expect("an open connection");
        }
        frames.iter().map(|frame| frame.bytes.to_vec()).collect()
    }

    fn template_of(known: &KnownStrings, search: &Arc<StringSearch>, frames: &[Vec<u8>]) -> Template {
        let mut observer = CaptureObserver::new(known, search);
        observer.template = Some(Template::default());
        let needs = observer.needs(known);
        let mut pipeline = Pipeline::new(observer, needs, None);
        for (index, frame) in frames.iter().enumerate() {
            pipeline.record(&Record {
                frame: index as u64 + 1,
                captured_at: 0,
                link_type: LinkType::ETHERNET,
                interface: 0,
                original_len: frame.len() as u32,
                bytes: frame,
                file_offset: 0,
            });
        }
        pipeline.finish().observer.template.expect("it was asked for")
    }

    #[test]
    fn finds_every_planted_string_whatever_the_seed() {
        let (known, search) = known();
        let template = template(&known, &search, &[(Side::Client, 1700), (Side::Server, 900)]);
        for seed in 0..40_u64 {
            let planted = run(&template, &known, &search, seed.wrapping_mul(0x9e37_79b9_7f4a_7c15))
                .expect("there is room");
            assert_eq!((planted.found, planted.first_missed), (planted.planted, None), "seed {seed}");
            assert_eq!((planted.forms, planted.places, planted.layers), (14, 3, 6));
            // One part of a message in each form that any text can have.
            assert_eq!(planted.planted, 14 * 3 * 6 + 12);
        }
    }

    #[test]
    fn finds_every_planted_string_in_segments_out_of_order() {
        let (known, search) = known();
        let mut frames = frames(&[(Side::Client, 1700), (Side::Server, 900)]);
        // Behind the handshake, the two segments of the client.
        frames.swap(3, 4);
        let planted = run(&template_of(&known, &search, &frames), &known, &search, 5).expect("there is room");
        assert_eq!((planted.found, planted.first_missed), (planted.planted, None));
        assert!(planted.layers >= 5, "{} layers", planted.layers);
    }

    #[test]
    fn a_search_that_finds_nothing_fails_the_control() {
        let (known, mut search) = known();
        let template = template(&known, &search, &[(Side::Client, 1700)]);
        let tables = Arc::get_mut(&mut search).expect("it is not shared yet");
        tables.matcher = Matcher::new(Arc::new(PatternsBuilder::default().build()));
        tables.fragments = FragmentsBuilder::default().build();
        let planted = run(&template, &known, &search, 1).expect("there is room");
        assert_eq!(planted.found, 0);
        assert!(planted.first_missed.is_some());
    }

    #[test]
    fn a_short_request_before_a_long_answer_has_fewer_layers() {
        let (known, search) = known();
        let template = template(&known, &search, &[(Side::Client, 100), (Side::Server, 1000)]);
        let planted = run(&template, &known, &search, 7).expect("there is room");
        assert_eq!((planted.found, planted.layers), (planted.planted, 2));
    }

    #[test]
    fn nothing_is_planted_where_there_is_no_room() {
        let (known, search) = known();
        assert_eq!(run(&template(&known, &search, &[(Side::Client, 100)]), &known, &search, 1), None);
        assert_eq!(run(&template(&known, &search, &[]), &known, &search, 1), None);
    }
}
