//! Reads the frames of a capture, and hashes it on another thread.

use std::error::Error;
use std::fmt;
use std::fs::File;
use std::io::{self, BufRead, BufReader, Read};
use std::ops::ControlFlow;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;

use anyhow::{Context, Result, anyhow, bail};
use aws_lc_rs::digest;
use data_encoding::HEXLOWER;
use dissect::capture::{Decoder, Record, SkippedBlocks, Step};
use dissect::keylog::KeyLog;

use super::compression;

/// Bytes read at once. Between 64 KiB and 1 MiB the speed is the same; mapping the file would cost more in page faults
/// than the copy does.
const BUFFER: usize = 64 << 10;

/// Bytes read ahead to recognise a compression, and at once where a decompression asks for fewer. Reads of [`BUFFER`]
/// bypass this buffer.
const READ_AHEAD: usize = 64 << 10;

/// Most bytes behind a frame in a pcapng block without options: padding and the repeated length.
const NO_OPTIONS: usize = 3 + 4;

/// Receives the number of bytes read so far, and decides whether to go on.
pub type Progress<'p> = &'p mut dyn FnMut(u64) -> ControlFlow<()>;

/// A [`Progress`] that reads the whole capture.
pub fn whole(_bytes: u64) -> ControlFlow<()> {
    ControlFlow::Continue(())
}

/// The caller ended the reading.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Cancelled;

impl fmt::Display for Cancelled {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("cancelled")
    }
}

impl Error for Cancelled {}

/// Receives the frames of a capture.
pub(crate) trait Sink {
    /// The next frame.
    fn record(&mut self, record: &Record<'_>);

    /// A key log that is in the capture itself.
    fn secrets(&mut self, key_log: &[u8]);

    /// Bytes of the file that are no part of a frame: headers, blocks without a frame, and the options of a frame's block.
    fn beside_frames(&mut self, file_offset: u64, bytes: &[u8]);

    /// The number of frames that the capture itself counts as dropped; called once, at its end.
    fn dropped(&mut self, frames: u64);

    /// The most bytes that the capture's headers allow for a frame, `None` without a limit; called once, at its end.
    fn snaplen(&mut self, snaplen: Option<u32>);

    /// The numbers of blocks without a frame (pcapng); called once, at its end.
    fn skipped_blocks(&mut self, _blocks: SkippedBlocks) {}
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
    /// The file.
    pub file: Digest,
    /// The capture in it: another one than the file if the file is compressed.
    pub contents: Digest,
    /// Name of the compression of the file.
    pub compression: Option<&'static str>,
}

/// Hash and size of a file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Digest {
    /// SHA-256, in hexadecimal digits.
    pub sha256: String,
    /// Size in bytes.
    pub bytes: u64,
}

/// Reads a capture file, or standard input if there is no file, and hands its frames to `sink`. Calls `progress` with
/// the number of bytes of the file read so far.
///
/// # Errors
///
/// The file cannot be read, or is not a capture.
pub(crate) fn read(path: Option<&Path>, sink: &mut impl Sink, progress: Progress<'_>) -> Result<ReadCapture> {
    let Some(path) = path else {
        return read_from(io::stdin().lock(), "standard input", None, sink, progress);
    };
    let what = || format!("cannot read {}", path.display());
    let file = File::open(path).with_context(what)?;
    let metadata = file.metadata().with_context(what)?;
    if metadata.is_dir() {
        bail!("{} is a directory", path.display());
    }
    // A pipe can be read only once.
    let hash = metadata.is_file().then(|| hash_file(path));
    read_from(file, &path.display().to_string(), hash, sink, progress)
}

/// The key logs that a pcapng file contains, wherever they are: a session may be captured before its secrets are written.
/// `None` for other formats, for a file without secrets, and for one that can be read only once. Errors are left to
/// [`read`].
pub(crate) fn secrets(path: &Path) -> Option<KeyLog> {
    let file =
        File::open(path).ok().filter(|file| file.metadata().is_ok_and(|metadata| metadata.is_file()))?;
    let (contents, _) = compression::reader(BufReader::with_capacity(READ_AHEAD, file)).ok()?;
    let mut contents = BufReader::with_capacity(READ_AHEAD, contents);
    if !contents.fill_buf().ok()?.starts_with(&PCAPNG) {
        return None;
    }
    let mut secrets = Secrets::default();
    // What was read before an error counts, as it does for frames.
    let _ = read_frames(contents, &mut secrets, |_| {});
    secrets.0
}

/// The first bytes of a pcapng file.
const PCAPNG: [u8; 4] = [0x0a, 0x0d, 0x0d, 0x0a];

#[derive(Default)]
struct Secrets(Option<KeyLog>);

impl Sink for Secrets {
    fn record(&mut self, _record: &Record<'_>) {}

    fn secrets(&mut self, key_log: &[u8]) {
        self.0.get_or_insert_default().extend(key_log);
    }

    fn beside_frames(&mut self, _file_offset: u64, _bytes: &[u8]) {}

    fn dropped(&mut self, _frames: u64) {}

    fn snaplen(&mut self, _snaplen: Option<u32>) {}
}

/// Reads a capture. Hashes the bytes as they are read unless a thread does.
fn read_from(
    file: impl Read,
    name: &str,
    hash: Option<HashThread>,
    sink: &mut impl Sink,
    progress: Progress<'_>,
) -> Result<ReadCapture> {
    let what = || format!("cannot read {name}");
    let mut source = Source {
        inner: file,
        hasher: hash.is_none().then(Hasher::default),
        failed: false,
        bytes: 0,
        progress,
        cancelled: false,
    };
    let buffered = BufReader::with_capacity(READ_AHEAD, &mut source);
    let (contents, compression) = match compression::reader(buffered) {
        Err(error) if error.get_ref().is_some_and(<dyn Error + Send + Sync>::is::<Cancelled>) => {
            bail!(Cancelled)
        }
        opened => opened.with_context(what)?,
    };
    let mut hasher = compression.map(|_| Hasher::default());
    let ended = read_frames(contents, sink, |bytes| {
        if let Some(hasher) = &mut hasher {
            hasher.update(bytes);
        }
    });
    let Source { hasher: source_hasher, failed, bytes, cancelled, .. } = source;
    if cancelled {
        hash.iter().for_each(|thread| thread.stop.store(true, Ordering::Relaxed));
        bail!(Cancelled);
    }
    let ended = match (ended, compression) {
        (Err((error, has_frames)), Some(compression)) if !failed => {
            Some(damaged(&error, compression, has_frames))
        }
        (ended, _) => ended.map_err(|(error, _)| error).with_context(what)?,
    };
    let end = match ended {
        None => None,
        Some(Ended::Early(end)) => Some(end),
        Some(Ended::NotACapture(why)) => bail!("{name}: {why}"),
    };
    let file = match (hash, source_hasher) {
        (Some(thread), _) => {
            thread.handle.join().map_err(|_| anyhow!("hashing {name} failed"))?.with_context(what)?
        }
        (None, hasher) => hasher.map_or(Digest { sha256: String::new(), bytes }, Hasher::finish),
    };
    let contents = hasher.map_or_else(|| file.clone(), Hasher::finish);
    Ok(ReadCapture { end, file, contents, compression })
}

/// How reading ended with an error of the decompression.
fn damaged(error: &io::Error, compression: &str, has_frames: bool) -> Ended {
    let is_early_end = compression::is_early_end(error);
    let why = match is_early_end {
        true => format!("the {compression} data ends early"),
        false => format!("the {compression} data is damaged: {error}"),
    };
    match has_frames {
        false => Ended::NotACapture(why),
        true if is_early_end => Ended::Early(CaptureEnd::Truncated(why)),
        true => Ended::Early(CaptureEnd::Damaged(why)),
    }
}

/// The bytes of a file, counted and perhaps hashed as they are read.
struct Source<'p, R> {
    inner: R,
    hasher: Option<Hasher>,
    /// Whether reading the file itself failed.
    failed: bool,
    bytes: u64,
    progress: Progress<'p>,
    /// Whether `progress` ended the reading.
    cancelled: bool,
}

impl<R: Read> Read for Source<'_, R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let len = loop {
            match self.inner.read(buffer) {
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => {
                    self.failed = true;
                    return Err(error);
                }
                Ok(len) => break len,
            }
        };
        if let Some(hasher) = &mut self.hasher {
            hasher.update(&buffer[..len]);
        }
        self.bytes += len as u64;
        if (self.progress)(self.bytes).is_break() {
            (self.failed, self.cancelled) = (true, true);
            return Err(io::Error::other(Cancelled));
        }
        Ok(len)
    }
}

/// How reading ended before the end of the file.
pub(crate) enum Ended {
    /// The file is no capture, for this reason.
    NotACapture(String),
    /// It is cut or damaged.
    Early(CaptureEnd),
}

/// Why reading failed, and whether anything of the capture was read before.
type Failed = (io::Error, bool);

/// Reads the frames into `sink`. Calls `each_buffer` with the bytes read, in order.
fn read_frames(
    input: impl Read,
    sink: &mut impl Sink,
    each_buffer: impl FnMut(&[u8]),
) -> Result<Option<Ended>, Failed> {
    let mut decoder = Decoder::new();
    let ended = read_into(&mut decoder, input, sink, each_buffer);
    sink.dropped(decoder.dropped());
    sink.snaplen(decoder.snaplen());
    sink.skipped_blocks(decoder.skipped_blocks());
    ended.map_err(|error| (error, decoder.position() > 0))
}

fn read_into(
    decoder: &mut Decoder,
    input: impl Read,
    sink: &mut impl Sink,
    each_buffer: impl FnMut(&[u8]),
) -> io::Result<Option<Ended>> {
    each_step(decoder, input, each_buffer, &mut |at, raw, step| {
        match step {
            Step::Record { record, .. } => {
                sink.record(record);
                let behind = (record.file_offset - at) as usize + record.bytes.len();
                if raw.len() - behind > NO_OPTIONS {
                    sink.beside_frames(at + behind as u64, &raw[behind..]);
                }
            }
            Step::Secrets { key_log, .. } => {
                sink.secrets(key_log);
                sink.beside_frames(at, raw);
            }
            Step::Skipped { .. } => {
                let (offset, bytes) = free_part(at, raw);
                sink.beside_frames(at + offset, bytes);
            }
            Step::NeedMore { .. } => {}
        }
        Ok(())
    })
}

/// Reads a capture in steps of the decoder, and calls `each` with the offset and the bytes of each step, and what they are.
///
/// # Errors
///
/// The input or `each` fails.
pub(crate) fn each_step(
    decoder: &mut Decoder,
    mut input: impl Read,
    mut each_buffer: impl FnMut(&[u8]),
    each: &mut impl FnMut(u64, &[u8], &Step<'_>) -> io::Result<()>,
) -> io::Result<Option<Ended>> {
    let mut buffer = vec![0; BUFFER];
    let (mut start, mut end) = (0, 0);
    loop {
        let at_least = loop {
            let at = decoder.position();
            match decoder.step(&buffer[start..end]) {
                Ok(Step::NeedMore { at_least }) => break at_least,
                Ok(step) => {
                    let consumed = step.consumed();
                    each(at, &buffer[start..start + consumed], &step)?;
                    start += consumed;
                }
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

/// The part of skipped bytes that can contain anything, and its offset. In the header of a classic pcap file these are two
/// fields that are zero in practice.
fn free_part(at: u64, skipped: &[u8]) -> (u64, &[u8]) {
    const PCAP_HEADER: usize = 24;
    const UNUSED: std::ops::Range<usize> = 8..16;
    if at > 0 || skipped.len() != PCAP_HEADER {
        return (0, skipped);
    }
    let unused = &skipped[UNUSED];
    let has_content = unused.iter().any(|byte| *byte != 0);
    (UNUSED.start as u64, if has_content { unused } else { &[] })
}

/// A thread that hashes a file.
struct HashThread {
    handle: thread::JoinHandle<io::Result<Digest>>,
    /// Whether the hash is no longer needed.
    stop: Arc<AtomicBool>,
}

/// Hashes a file on a thread of its own: SHA-256 costs about as much as the analysis.
fn hash_file(path: &Path) -> HashThread {
    let path = path.to_owned();
    let stop = Arc::new(AtomicBool::new(false));
    let is_stopped = Arc::clone(&stop);
    let handle = thread::spawn(move || {
        let mut file = File::open(path)?;
        let mut hasher = Hasher::default();
        let mut buffer = vec![0; BUFFER];
        loop {
            if is_stopped.load(Ordering::Relaxed) {
                return Err(io::Error::other(Cancelled));
            }
            match file.read(&mut buffer) {
                Ok(0) => return Ok(hasher.finish()),
                Ok(len) => hasher.update(&buffer[..len]),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
    });
    HashThread { handle, stop }
}

/// SHA-256 of bytes that come one after the other.
struct Hasher {
    context: digest::Context,
    bytes: u64,
}

impl Default for Hasher {
    fn default() -> Self {
        Self { context: digest::Context::new(&digest::SHA256), bytes: 0 }
    }
}

impl Hasher {
    fn update(&mut self, bytes: &[u8]) {
        self.context.update(bytes);
        self.bytes += bytes.len() as u64;
    }

    fn finish(self) -> Digest {
        Digest { sha256: HEXLOWER.encode(self.context.finish().as_ref()), bytes: self.bytes }
    }
}
