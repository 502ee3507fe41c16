//! Reads the frames of a capture, and hashes it on another thread.

use std::fmt;
use std::fs::File;
use std::io::{self, Read};
use std::path::Path;
use std::thread;

use anyhow::{Context, Result, anyhow, bail};
use aws_lc_rs::digest;
use data_encoding::HEXLOWER;
use dissect::capture::{Decoder, Record, Step};

/// Bytes read at once. Between 64 KiB and 1 MiB the speed is the same; mapping the file would cost more in page faults
/// than the copy does.
const BUFFER: usize = 256 << 10;

/// Receives the frames of a capture.
pub(crate) trait Sink {
    /// The next frame.
    fn record(&mut self, record: &Record<'_>);

    /// A key log that is in the capture itself.
    fn secrets(&mut self, key_log: &[u8]);

    /// The number of frames that the capture itself counts as dropped; called once, at its end.
    fn dropped(&mut self, frames: u64);
}

/// How reading ended, if not at the end of the last record.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum CaptureEnd {
    /// The file is damaged; the frames before the damage were read.
    Damaged(String),
    /// The file ends inside a record; the frames before it were read.
    Truncated(String),
}

impl fmt::Display for CaptureEnd {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Damaged(why) | Self::Truncated(why) => f.write_str(why),
        }
    }
}

/// A capture file that was read.
#[derive(Debug)]
pub(crate) struct ReadCapture {
    /// How reading ended; `None` at the end of the last record.
    pub end: Option<CaptureEnd>,
    /// SHA-256 of the whole file, in hexadecimal digits.
    pub sha256: String,
    /// Size of the file in bytes.
    pub bytes: u64,
}

/// Reads a capture file, or standard input if there is no file, and hands its frames to `sink`. Calls `progress` with
/// the number of bytes read so far.
///
/// # Errors
///
/// The file cannot be read, or is not a capture.
pub(crate) fn read(
    path: Option<&Path>,
    sink: &mut impl Sink,
    progress: &mut dyn FnMut(u64),
) -> Result<ReadCapture> {
    let Some(path) = path else { return read_standard_input(sink) };
    let what = || format!("cannot read {}", path.display());
    let file = File::open(path).with_context(what)?;
    if file.metadata().with_context(what)?.is_dir() {
        bail!("{} is a directory", path.display());
    }
    let hash = hash_file(path);
    let mut bytes = 0;
    let ended = read_frames(file, sink, |buffer| {
        bytes += buffer.len() as u64;
        progress(bytes);
    });
    let end = usable(ended.with_context(what)?, path.display())?;
    let sha256 = hash.join().map_err(|_| anyhow!("hashing {} failed", path.display()))?.with_context(what)?;
    // After damage the rest of the file was not read, but it was hashed.
    let bytes = std::fs::metadata(path).map_or(bytes, |metadata| metadata.len());
    Ok(ReadCapture { end, sha256: HEXLOWER.encode(&sha256), bytes })
}

fn read_standard_input(sink: &mut impl Sink) -> Result<ReadCapture> {
    let mut context = digest::Context::new(&digest::SHA256);
    let mut bytes = 0;
    let ended = read_frames(io::stdin().lock(), sink, |buffer| {
        context.update(buffer);
        bytes += buffer.len() as u64;
    });
    let end = usable(ended.context("cannot read standard input")?, "standard input")?;
    Ok(ReadCapture { end, sha256: HEXLOWER.encode(&finish(context)), bytes })
}

/// Returns how reading ended, or the error if the file is not a capture.
fn usable(ended: Option<Ended>, name: impl fmt::Display) -> Result<Option<CaptureEnd>> {
    match ended {
        None => Ok(None),
        Some(Ended::Early(end)) => Ok(Some(end)),
        Some(Ended::NotACapture(why)) => bail!("{name}: {why}"),
    }
}

enum Ended {
    NotACapture(String),
    Early(CaptureEnd),
}

/// Reads the frames into `sink`. Calls `each_buffer` with the bytes read, in order.
fn read_frames(
    input: impl Read,
    sink: &mut impl Sink,
    each_buffer: impl FnMut(&[u8]),
) -> io::Result<Option<Ended>> {
    let mut decoder = Decoder::new();
    let ended = read_into(&mut decoder, input, sink, each_buffer);
    sink.dropped(decoder.dropped());
    ended
}

fn read_into(
    decoder: &mut Decoder,
    mut input: impl Read,
    sink: &mut impl Sink,
    mut each_buffer: impl FnMut(&[u8]),
) -> io::Result<Option<Ended>> {
    let mut buffer = vec![0; BUFFER];
    let (mut start, mut end) = (0, 0);
    loop {
        let at_least = loop {
            match decoder.step(&buffer[start..end]) {
                Ok(Step::Record { consumed, record }) => {
                    sink.record(&record);
                    start += consumed;
                }
                Ok(Step::Secrets { consumed, key_log }) => {
                    sink.secrets(key_log);
                    start += consumed;
                }
                Ok(Step::Skipped { consumed }) => start += consumed,
                Ok(Step::NeedMore { at_least }) => break at_least,
                Err(error) if decoder.position() == 0 => {
                    return Ok(Some(Ended::NotACapture(error.to_string())));
                }
                Err(error) => return Ok(Some(Ended::Early(CaptureEnd::Damaged(error.to_string())))),
            }
        };
        buffer.copy_within(start..end, 0);
        end -= start;
        start = 0;
        if at_least > buffer.len() {
            // The decoder bounds the length of every record and block.
            buffer.resize(at_least, 0);
        }
        let read = loop {
            match input.read(&mut buffer[end..]) {
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                other => break other?,
            }
        };
        if read == 0 {
            break;
        }
        each_buffer(&buffer[end..end + read]);
        end += read;
    }
    let truncation = decoder.finish(&buffer[..end]);
    Ok(truncation.map(|truncation| match decoder.position() {
        0 => Ended::NotACapture(truncation.to_string()),
        _ => Ended::Early(CaptureEnd::Truncated(truncation.to_string())),
    }))
}

/// Hashes a file on a thread of its own: SHA-256 costs about as much as the analysis.
fn hash_file(path: &Path) -> thread::JoinHandle<io::Result<[u8; 32]>> {
    let path = path.to_owned();
    thread::spawn(move || {
        let mut file = File::open(path)?;
        let mut context = digest::Context::new(&digest::SHA256);
        let mut buffer = vec![0; BUFFER];
        loop {
            match file.read(&mut buffer) {
                Ok(0) => return Ok(finish(context)),
                Ok(len) => context.update(&buffer[..len]),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
    })
}

/// The 32 bytes of a SHA-256.
fn finish(context: digest::Context) -> [u8; 32] {
    let mut bytes = [0; 32];
    bytes.copy_from_slice(context.finish().as_ref());
    bytes
}
