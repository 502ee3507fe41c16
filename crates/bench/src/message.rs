//! Builds one HTTP/1.1 message, and knows which of its bytes carry a planted string.

use std::io::Write;
use std::ops::Range;

use craft::conversation::Side;
use flate2::Compression;
use flate2::write::GzEncoder;
use serde::{Deserialize, Serialize};

use crate::rng::Rng;

/// Fewest bytes of a split string on either side of the cut. A chance match in a header then has probability 2^-32.
const MIN_CUT: usize = 4;

/// How a planted string is transferred.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Form {
    /// In one segment.
    Whole,
    /// In one segment that is captured twice.
    WholeRepeated,
    /// Over two segments; in TLS over two records.
    Split,
    /// Over two segments, captured in reverse order.
    SplitEarly,
    /// Over two segments, the first of which is captured twice.
    SplitRepeated,
    /// Inside one chunk.
    Chunked,
    /// Over two chunks.
    ChunkBorder,
    /// In a gzipped body.
    Gzip,
    /// In a gzipped body in chunks.
    ChunkedGzip,
}

impl Form {
    pub(crate) const ALL: [Self; 9] = [
        Self::Whole,
        Self::Split,
        Self::Gzip,
        Self::ChunkBorder,
        Self::SplitEarly,
        Self::ChunkedGzip,
        Self::WholeRepeated,
        Self::Chunked,
        Self::SplitRepeated,
    ];

    pub(crate) fn is_gzipped(self) -> bool {
        matches!(self, Self::Gzip | Self::ChunkedGzip)
    }

    pub(crate) fn is_split(self) -> bool {
        matches!(self, Self::Split | Self::SplitEarly | Self::SplitRepeated)
    }

    fn coding(self) -> Coding {
        Coding {
            gzip: self.is_gzipped(),
            chunked: matches!(self, Self::Chunked | Self::ChunkBorder | Self::ChunkedGzip),
        }
    }
}

/// Codings of a body.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Coding {
    pub(crate) gzip: bool,
    pub(crate) chunked: bool,
}

/// A message without a planted string.
#[derive(Debug)]
pub(crate) struct Message {
    /// Head and body.
    pub(crate) bytes: Vec<u8>,
}

/// A message with a planted string.
#[derive(Debug)]
pub(crate) struct PlantedMessage {
    /// Head and body.
    pub(crate) bytes: Vec<u8>,
    /// The body before any coding.
    pub(crate) body: String,
    /// The part of `bytes` that carries the string.
    pub(crate) carrier: Range<usize>,
    /// Layers to undo in order to read the string, outermost first.
    pub(crate) layers: Vec<&'static str>,
}

impl Message {
    pub(crate) fn new(from: Side, body: &[u8], coding: Coding, rng: &mut Rng) -> Self {
        let mut cuts = Cuts::Random(rng);
        Self { bytes: Written::new(from, body, coding, &mut cuts).bytes }
    }
}

impl PlantedMessage {
    /// A message whose body contains `string` in `form`. `unit` is the number of bytes that the transport carries in
    /// one piece.
    pub(crate) fn new(from: Side, string: &str, form: Form, unit: usize, rng: &mut Rng) -> Self {
        let target = Target::of(string, form, unit, rng);
        let mut after = rng.between(0, 300);
        let coding = form.coding();
        let mut before = target.filler_before;
        // The head states the length of the body, so its own length depends on the body's. The loop corrects the filler
        // until the string is at its target. Where the length gains a digit, the correction could oscillate; a slightly
        // longer body ends that.
        for attempt in 1_usize.. {
            after += usize::from(attempt.is_multiple_of(8)) * 4;
            let body = planted_body(string, before, after);
            let at = body.find(string).expect("the body contains its string");
            let mut cuts = match form {
                Form::ChunkBorder => Cuts::At(at + target.cut),
                Form::Chunked => Cuts::ShortlyAfter(at + string.len()),
                _ => Cuts::Random(rng),
            };
            let written = Written::new(from, body.as_bytes(), coding, &mut cuts);
            if coding.gzip {
                let layers =
                    if coding.chunked { vec!["http1", "chunked", "gzip"] } else { vec!["http1", "gzip"] };
                let carrier = written.body_start..written.bytes.len();
                return Self { bytes: written.bytes, body, carrier, layers };
            }
            if let Some(carrier) = written.place(at, at + string.len()) {
                let is_at_target = match target.start {
                    Some(start) => carrier.start == start,
                    None => carrier.start / unit == (carrier.end - 1) / unit,
                };
                if is_at_target {
                    let layers =
                        if form == Form::ChunkBorder { vec!["http1", "chunked"] } else { Vec::new() };
                    return Self { bytes: written.bytes, body, carrier, layers };
                }
                before = match target.start {
                    Some(start) => (before + start).saturating_sub(carrier.start),
                    None => before + string.len(),
                };
            }
        }
        unreachable!("the range of attempts has no end")
    }
}

/// The position that a string should have in its message.
struct Target {
    /// Offset in the message; `None` for any offset inside a unit.
    start: Option<usize>,
    /// Bytes of the string before the cut.
    cut: usize,
    /// First guess of the filler's length before the string, in bytes.
    filler_before: usize,
}

impl Target {
    fn of(string: &str, form: Form, unit: usize, rng: &mut Rng) -> Self {
        // Not within the first bytes of the string: the end of a TCP header could equal them by chance, and one frame
        // would contain the whole string.
        let cut = rng.between(MIN_CUT, string.len() - MIN_CUT);
        if form.is_split() {
            // A TLS record is as long as a dozen segments, so the string goes across its first border.
            let border = if unit > 4096 { unit } else { unit * rng.between(1, 3) };
            return Self { start: Some(border - cut), cut, filler_before: border / 2 };
        }
        Self { start: None, cut, filler_before: rng.between(0, 900) }
    }
}

/// A body whose only string is the planted one; the filler around it consists of `true`, `false` and `null`.
fn planted_body(string: &str, before: usize, after: usize) -> String {
    let mut body = String::with_capacity(before + after + string.len() + 64);
    body.push_str(r#"{"flags":["#);
    fill(&mut body, before);
    body.push_str(r#"],"query":""#);
    body.push_str(string);
    body.push_str(r#"","more":["#);
    fill(&mut body, after);
    body.push_str("]}");
    body
}

/// Appends exactly `len` bytes of array elements, with whitespace at the end (RFC 8259 §2).
fn fill(body: &mut String, len: usize) {
    let end = body.len() + len;
    let words = ["true,", "null,", "false,", "true,"];
    for word in words.iter().cycle() {
        if body.len() + word.len() + 4 > end {
            break;
        }
        body.push_str(word);
    }
    if body.len() + 4 <= end {
        body.push_str("null");
    }
    while body.len() < end {
        body.push(' ');
    }
}

/// Where a body is divided into chunks.
enum Cuts<'a> {
    Random(&'a mut Rng),
    /// At this offset only.
    At(usize),
    /// At an offset shortly after this one.
    ShortlyAfter(usize),
}

impl Cuts<'_> {
    /// The end of the chunk that begins at `at` in a body of `len` bytes.
    fn next(&mut self, at: usize, len: usize) -> usize {
        match self {
            Self::Random(rng) => (at + rng.between(512, 8192)).min(len),
            Self::At(cut) if at < *cut => *cut,
            Self::ShortlyAfter(cut) if at < *cut => (*cut + 2).min(len),
            Self::At(_) | Self::ShortlyAfter(_) => len,
        }
    }
}

/// Head and coded body.
struct Written {
    bytes: Vec<u8>,
    body_start: usize,
    /// Chunks of the coded body: range in the coded body, and offset in the message.
    parts: Vec<(Range<usize>, usize)>,
}

impl Written {
    fn new(from: Side, body: &[u8], coding: Coding, cuts: &mut Cuts<'_>) -> Self {
        let gzipped = coding.gzip.then(|| gzip(body));
        let coded = gzipped.as_deref().unwrap_or(body);
        let mut bytes = Vec::with_capacity(coded.len() + 512);
        bytes.extend_from_slice(match from {
            Side::Client => {
                b"POST /tool HTTP/1.1\r\nhost: agent-b:8000\r\naccept: */*\r\nuser-agent: agent-a/0.1.0\r\n"
            }
            Side::Server => b"HTTP/1.1 200 OK\r\ndate: Fri, 20 Nov 2026 00:00:00 GMT\r\n",
        });
        bytes.extend_from_slice(b"content-type: application/json\r\n");
        if coding.gzip {
            bytes.extend_from_slice(b"content-encoding: gzip\r\n");
        }
        if coding.chunked {
            bytes.extend_from_slice(b"transfer-encoding: chunked\r\n\r\n");
        } else {
            write_to(&mut bytes, format_args!("content-length: {}\r\n\r\n", coded.len()));
        }
        let body_start = bytes.len();
        let mut parts = Vec::new();
        if coding.chunked {
            let mut at = 0;
            while at < coded.len() {
                let end = cuts.next(at, coded.len());
                write_to(&mut bytes, format_args!("{:x}\r\n", end - at));
                parts.push((at..end, bytes.len()));
                bytes.extend_from_slice(&coded[at..end]);
                bytes.extend_from_slice(b"\r\n");
                at = end;
            }
            bytes.extend_from_slice(b"0\r\n\r\n");
        } else {
            parts.push((0..coded.len(), bytes.len()));
            bytes.extend_from_slice(coded);
        }
        Self { bytes, body_start, parts }
    }

    /// The range of the message that carries this range of the coded body.
    fn place(&self, start: usize, end: usize) -> Option<Range<usize>> {
        let at = |offset: usize| {
            let (part, message) = self.parts.iter().find(|(part, _)| part.contains(&offset))?;
            Some(message + offset - part.start)
        };
        Some(at(start)?..at(end - 1)? + 1)
    }
}

fn gzip(body: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::with_capacity(body.len() / 2 + 64), Compression::default());
    encoder.write_all(body).and_then(|()| encoder.finish()).expect("writing to a Vec cannot fail")
}

fn write_to(bytes: &mut Vec<u8>, text: std::fmt::Arguments<'_>) {
    bytes.write_fmt(text).expect("writing to a Vec cannot fail");
}

#[cfg(test)]
mod tests {
    use super::*;

    const STRING: &str = "ledger-refund-gateway";

    #[test]
    fn planted_string_is_carried_in_its_form() {
        for seed in 0..200 {
            let mut rng = Rng::new(seed, "message");
            for form in Form::ALL {
                let unit = if seed % 2 == 0 { 1448 } else { 16_384 };
                let made = PlantedMessage::new(Side::Server, STRING, form, unit, &mut rng);
                serde_json::from_str::<serde_json::Value>(&made.body).unwrap();
                let bytes = &made.bytes[made.carrier.clone()];
                let crosses = made.carrier.start / unit != (made.carrier.end - 1) / unit;
                match form {
                    Form::Whole | Form::WholeRepeated | Form::Chunked => {
                        assert!(bytes == STRING.as_bytes() && !crosses);
                    }
                    Form::Split | Form::SplitEarly | Form::SplitRepeated => {
                        assert!(bytes == STRING.as_bytes() && crosses);
                    }
                    Form::ChunkBorder => assert!(bytes.len() > STRING.len() && bytes.starts_with(b"l")),
                    Form::Gzip => assert!(bytes.starts_with(&[0x1f, 0x8b])),
                    Form::ChunkedGzip => assert!(bytes.ends_with(b"\r\n0\r\n\r\n")),
                }
            }
        }
    }

    #[test]
    fn fill_appends_exactly_the_requested_bytes() {
        for len in 0..40 {
            let mut text = "[".to_owned();
            fill(&mut text, len);
            text.push(']');
            assert_eq!(text.len(), len + 2);
            serde_json::from_str::<serde_json::Value>(&text).unwrap();
        }
    }
}
