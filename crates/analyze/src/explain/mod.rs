//! Explains every byte of a frame: the field that it belongs to, its value, and for what was encrypted the plaintext.
//!
//! The headers of a frame explain themselves ([`dissect::fields`]). What its payload is depends on the bytes before and behind
//! it in the stream: a TLS record can begin in one frame and end in the next. So the capture is read twice, first to find the
//! place of the payload in its stream, then to read the records and messages at that place.

use std::ops::Range;
use std::path::Path;
use std::sync::Arc;

use anyhow::{Result, anyhow, bail};
use dissect::fields::{self, Kind, Value};
use dissect::keylog::KeyLog;
use dissect::link::LinkType;

use crate::follow::Frame;
use crate::input::capture::{self, Progress, Sink as _};
use crate::input::secrets::{Opened, Secrets};
use crate::pipeline::fact::Observer;
use crate::pipeline::frames::Pipeline;
use crate::pipeline::protocol::BodyNeeds;

mod collect;
pub mod console;
mod content;
pub mod document;
mod json;
mod locate;
mod plaintext;
pub mod sentences;

use collect::Collect;
use locate::Locate;

/// A frame, explained.
#[derive(Clone, Debug)]
pub struct Explained {
    /// Its number, from 1.
    pub frame: u64,
    /// When it was captured, nanoseconds since the epoch.
    pub captured_at: u64,
    /// Its link type.
    pub link_type: LinkType,
    /// Its captured bytes.
    pub bytes: Vec<u8>,
    /// Offset in the capture of the first of them.
    pub file_offset: u64,
    /// Number of its connection, as Wireshark's `tcp.stream`.
    pub stream: Option<u32>,
    /// Its fields, in the order of their bytes. Every byte is in one, or in several of bits.
    pub fields: Vec<ExplainedField>,
    /// What the keys open of the records that the frame has a part of.
    pub plaintexts: Vec<Plaintext>,
}

/// A field of a frame, or of a plaintext.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ExplainedField {
    /// What it is.
    pub kind: Kind,
    /// Its bytes in the frame, or in the plaintext.
    pub range: Range<usize>,
    /// Its value.
    pub value: Value,
    /// In JSON, the path of the value: `$.arguments.repo`.
    pub path: Option<String>,
    /// Whether it begins in an earlier frame.
    pub begins_before: bool,
    /// Whether it goes on in a later frame.
    pub goes_on: bool,
    /// For ciphertext that the keys open, the index of its plaintext in [`Explained::plaintexts`].
    pub plaintext: Option<usize>,
}

/// The plaintext of a record.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Plaintext {
    /// Name of its content type.
    pub content_type: String,
    /// Its bytes, without padding.
    pub bytes: Vec<u8>,
    /// Their fields, by their offsets in it.
    pub fields: Vec<ExplainedField>,
}

/// Explains a frame of a capture, with these secrets. Standard input cannot be read twice, so that it needs a file. Calls
/// `progress` as [`analysis::analyze`](crate::analysis::analyze) does, for each of two passes.
///
/// # Errors
///
/// The capture or a file with secrets cannot be read, the capture has no such frame, or `progress` ended the reading
/// ([`Cancelled`](capture::Cancelled)).
pub fn frame<'p>(
    capture: &Path,
    number: u64,
    secrets: impl Into<Secrets<'p>>,
    progress: Progress<'_>,
) -> Result<Explained> {
    explain(&InFile(capture), number, secrets.into().of(capture)?, progress)?
        .map_err(|frames| anyhow!("{}: there is no frame {number}: it has {frames}", capture.display()))
}

/// Explains a frame that was kept. `frames` has all frames of its connection; `keys` is the text of a key log (SSLKEYLOGFILE
/// format). These frames do not show the number of the connection in the whole capture: the caller sets
/// [`Explained::stream`].
///
/// # Errors
///
/// No frame has this number.
pub fn kept(frames: &[Frame], number: u64, keys: Option<&[u8]>) -> Result<Explained> {
    let Some(index) = frames.iter().position(|frame| frame.number == number) else {
        bail!("there is no frame {number}");
    };
    let keys = keys.map(|text| Arc::new(KeyLog::parse(text)));
    let opened = Opened { keys, ..Opened::default() };
    let explained = explain(&Kept(frames), index as u64 + 1, opened, &mut capture::whole)?;
    let explained = explained.map_err(|_| anyhow!("there is no frame {number}"))?;
    Ok(Explained { frame: number, file_offset: frames[index].file_offset, stream: None, ..explained })
}

/// Frames that can be read twice.
trait Source {
    /// Reads them into a pipeline.
    fn read<O: Observer>(&self, pipeline: &mut Pipeline<O>, progress: Progress<'_>) -> Result<()>;
}

/// The frames of a capture file.
struct InFile<'p>(&'p Path);

/// Frames that were kept. They are numbered from 1, and the file offsets are those of a file with nothing else in it.
struct Kept<'f>(&'f [Frame]);

impl Source for InFile<'_> {
    fn read<O: Observer>(&self, pipeline: &mut Pipeline<O>, progress: Progress<'_>) -> Result<()> {
        capture::read(Some(self.0), pipeline, progress).map(drop)
    }
}

impl Source for Kept<'_> {
    fn read<O: Observer>(&self, pipeline: &mut Pipeline<O>, _progress: Progress<'_>) -> Result<()> {
        let mut file_offset = 0;
        for (number, frame) in (1..).zip(self.0) {
            pipeline.record(&frame.as_record(number, file_offset));
            file_offset += frame.bytes.len() as u64;
        }
        Ok(())
    }
}

/// Explains a frame. Without a frame of this number, the result is the number of frames.
fn explain(
    source: &impl Source,
    number: u64,
    opened: Opened,
    progress: Progress<'_>,
) -> Result<Result<Explained, u64>> {
    let mut pipeline = Pipeline::new(Locate::of(number), BodyNeeds::default(), None);
    source.read(&mut pipeline, progress)?;
    let located = pipeline.finish().observer;
    let Some(found) = located.frame else { return Ok(Err(located.frames)) };
    let headers = fields::of_frame(found.link_type, &found.bytes, found.original_len);
    let mut explained = Explained {
        frame: number,
        captured_at: found.captured_at,
        link_type: found.link_type,
        bytes: found.bytes,
        file_offset: found.file_offset,
        stream: located.stream.map(|(stream, _)| stream),
        fields: headers.into_iter().map(ExplainedField::whole).collect(),
        plaintexts: Vec::new(),
    };
    if let Some((stream, direction)) = located.stream
        && !located.pieces.is_empty()
    {
        let collect = Collect::of(stream, direction, &located.pieces);
        let mut pipeline = Pipeline::new(collect, BodyNeeds::default(), opened.keys);
        pipeline.use_server_keys(opened.server_keys);
        source.read(&mut pipeline, progress)?;
        pipeline.finish().observer.explain(&located.pieces, &mut explained);
    }
    Ok(Ok(explained))
}

impl ExplainedField {
    fn whole(field: fields::Field) -> Self {
        let fields::Field { kind, range, value } = field;
        Self { kind, range, value, path: None, begins_before: false, goes_on: false, plaintext: None }
    }
}

/// A part of a frame's payload, and its place in the stream.
#[derive(Clone, Debug)]
struct Piece {
    /// Offset in the frame.
    at: usize,
    /// Stream offsets.
    range: Range<u64>,
}
