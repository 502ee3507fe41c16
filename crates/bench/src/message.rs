//! One HTTP/1.1 message, and where in its bytes a planted string stands.

use std::io::Write;
use std::ops::Range;

use craft::conversation::Side;
use flate2::Compression;
use flate2::write::GzEncoder;
use serde::{Deserialize, Serialize};

use crate::rng::Rng;

/// Least bytes of a split string on either side. A chance hit across a header is then one in 2^32.
const MIN_CUT: usize = 4;

/// How a planted string goes over the wire.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Form {
    /// In one segment.
    Whole,
    /// In one segment that is sent twice.
    WholeRepeated,
    /// Over two segments; in TLS over two records.
    Split,
    /// Over two segments of which the second comes first.
    SplitEarly,
    /// Over two segments of which the first is sent twice.
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

    /// Needs gzip.
    pub(crate) fn is_gzipped(self) -> bool {
        matches!(self, Self::Gzip | Self::ChunkedGzip)
    }

    /// Needs more than one segment.
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

/// How a body is written.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Coding {
    pub(crate) gzip: bool,
    pub(crate) chunked: bool,
}

/// A message ready to be sent.
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
    /// The part of `bytes` that has to be read to read the string.
    pub(crate) stands: Range<usize>,
    /// What has to be undone to it, outermost first.
    pub(crate) layers: Vec<&'static str>,
}

impl Message {
    /// A filler message.
    pub(crate) fn new(from: Side, body: &[u8], coding: Coding, rng: &mut Rng) -> Self {
        let mut cuts = Cuts::Random(rng);
        Self { bytes: Written::new(from, body, coding, &mut cuts).bytes }
    }
}

impl PlantedMessage {
    /// A message whose body holds `string`, in `form`. `unit`: bytes that transport carries in one piece.
    pub(crate) fn new(from: Side, string: &str, form: Form, unit: usize, rng: &mut Rng) -> Self {
        let target = Target::of(string, form, unit, rng);
        let mut behind = rng.between(0, 300);
        let coding = form.coding();
        let mut before = target.wish;
        // The length of the head depends on that of the body, so the place is corrected until it is met. Around a length
        // with one digit more the correction could swing for ever: then the body becomes a little longer.
        for attempt in 1_usize.. {
            behind += usize::from(attempt.is_multiple_of(8)) * 4;
            let body = planted_body(string, before, behind);
            let at = body.find(string).expect("the body holds its string");
            let mut cuts = match form {
                Form::ChunkBorder => Cuts::At(at + target.cut),
                Form::Chunked => Cuts::Behind(at + string.len()),
                _ => Cuts::Random(rng),
            };
            let written = Written::new(from, body.as_bytes(), coding, &mut cuts);
            if coding.gzip {
                let layers =
                    if coding.chunked { vec!["http1", "chunked", "gzip"] } else { vec!["http1", "gzip"] };
                let stands = written.body_start..written.bytes.len();
                return Self { bytes: written.bytes, body, stands, layers };
            }
            if let Some(stands) = written.place(at, at + string.len()) {
                let is_met = match target.start {
                    Some(start) => stands.start == start,
                    None => stands.start / unit == (stands.end - 1) / unit,
                };
                if is_met {
                    let layers =
                        if form == Form::ChunkBorder { vec!["http1", "chunked"] } else { Vec::new() };
                    return Self { bytes: written.bytes, body, stands, layers };
                }
                before = match target.start {
                    Some(start) => (before + start).saturating_sub(stands.start),
                    None => before + string.len(),
                };
            }
        }
        unreachable!("the range of attempts has no end")
    }
}

/// Where a string should stand.
struct Target {
    /// Exactly there in the message; `None`: anywhere inside a unit.
    start: Option<usize>,
    /// Bytes of the string before the cut.
    cut: usize,
    /// Filler before the string to begin with.
    wish: usize,
}

impl Target {
    fn of(string: &str, form: Form, unit: usize, rng: &mut Rng) -> Self {
        // Not at its first bytes: the last ones of a TCP header could be the same by chance, and the string would stand
        // in one frame after all.
        let cut = rng.between(MIN_CUT, string.len() - MIN_CUT);
        if form.is_split() {
            // In TLS a record is as long as a dozen segments: one border is enough.
            let border = if unit > 4096 { unit } else { unit * rng.between(1, 3) };
            return Self { start: Some(border - cut), cut, wish: border / 2 };
        }
        Self { start: None, cut, wish: rng.between(0, 900) }
    }
}

/// A body whose only string is the planted one: `true`, `false` and `null` say nothing that could be looked for.
fn planted_body(string: &str, before: usize, behind: usize) -> String {
    let mut body = String::with_capacity(before + behind + string.len() + 64);
    body.push_str(r#"{"flags":["#);
    fill(&mut body, before);
    body.push_str(r#"],"query":""#);
    body.push_str(string);
    body.push_str(r#"","more":["#);
    fill(&mut body, behind);
    body.push_str("]}");
    body
}

/// Exactly `len` bytes of array elements; whitespace (RFC 8259, section 2) makes up for what no element fits in.
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

/// Where a body is cut into chunks.
enum Cuts<'a> {
    Random(&'a mut Rng),
    /// There, and nowhere else.
    At(usize),
    /// Some way behind.
    Behind(usize),
}

impl Cuts<'_> {
    fn next(&mut self, at: usize, len: usize) -> usize {
        match self {
            Self::Random(rng) => (at + rng.between(512, 8192)).min(len),
            Self::At(cut) if at < *cut => *cut,
            Self::Behind(cut) if at < *cut => (*cut + 2).min(len),
            Self::At(_) | Self::Behind(_) => len,
        }
    }
}

/// Head and coded body.
struct Written {
    bytes: Vec<u8>,
    body_start: usize,
    /// Parts of the coded body: where each begins in it, and in the message.
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

    /// The part of the message from the first to the last byte of a part of the coded body.
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
    encoder.write_all(body).and_then(|()| encoder.finish()).expect("memory takes every byte")
}

fn write_to(bytes: &mut Vec<u8>, text: std::fmt::Arguments<'_>) {
    bytes.write_fmt(text).expect("memory takes every byte");
}

#[cfg(test)]
mod tests {
    use super::*;

    const STRING: &str = "ledger-refund-gateway";

    #[test]
    fn each_form_stands_where_it_should() {
        for seed in 0..200 {
            let mut rng = Rng::new(seed, "message");
            for form in Form::ALL {
                let unit = if seed % 2 == 0 { 1448 } else { 16_384 };
                let made = PlantedMessage::new(Side::Server, STRING, form, unit, &mut rng);
                serde_json::from_str::<serde_json::Value>(&made.body).unwrap();
                let bytes = &made.bytes[made.stands.clone()];
                let crosses = made.stands.start / unit != (made.stands.end - 1) / unit;
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
    fn fill_is_exact() {
        for len in 0..40 {
            let mut text = "[".to_owned();
            fill(&mut text, len);
            text.push(']');
            assert_eq!(text.len(), len + 2);
            serde_json::from_str::<serde_json::Value>(&text).unwrap();
        }
    }
}
