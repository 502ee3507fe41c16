//! Reads the frames of a capture, and hashes it on another thread.

use std::fs::File;
use std::io::{self, Read};
use std::ops::ControlFlow;
use std::path::Path;
use std::thread;

use aws_lc_rs::digest;
use dissect::capture::{CaptureError, Decoder, Record, Step};

/// How much is read at once. Between 64 KiB and 1 MiB the speed is the same; a map of the file would cost more in page
/// faults than the copy does.
const BUFFER: usize = 256 << 10;

/// What takes the frames.
pub(crate) trait Sink {
    /// Takes the next frame, and says whether more are wanted.
    fn record(&mut self, record: &Record<'_>) -> ControlFlow<()>;

    /// Takes a key log that stands in the capture itself.
    fn secrets(&mut self, _key_log: &[u8]) {}

    /// Takes the number of frames that the capture itself says were dropped, once, at its end.
    fn dropped(&mut self, _frames: u64) {}
}

/// How reading ended, when it did not at the end of the last record.
#[derive(Debug)]
pub(crate) enum Ended {
    /// The file is no capture at all.
    NotACapture(CaptureError),
    /// The file is damaged; the frames before the damage were read.
    Damaged(CaptureError),
    /// The file is too short to be a capture.
    TooShort(String),
    /// The file ends inside a record; the frames before it were read.
    Truncated(String),
}

/// Reads the frames into `sink`, as long as it wants more. `each_buffer` is handed what was read, in order.
///
/// # Errors
///
/// Reading fails.
pub(crate) fn read(
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
                    if sink.record(&record).is_break() {
                        return Ok(None);
                    }
                    start += consumed;
                }
                Ok(Step::Secrets { consumed, key_log }) => {
                    sink.secrets(key_log);
                    start += consumed;
                }
                Ok(Step::Skipped { consumed }) => start += consumed,
                Ok(Step::NeedMore { at_least }) => break at_least,
                Err(error) if decoder.position() == 0 => return Ok(Some(Ended::NotACapture(error))),
                Err(error) => return Ok(Some(Ended::Damaged(error))),
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
        0 => Ended::TooShort(truncation.to_string()),
        _ => Ended::Truncated(truncation.to_string()),
    }))
}

/// Hashes a file on a thread of its own: SHA-256 costs about as much as the analysis.
pub(crate) fn hash_file(path: &Path) -> thread::JoinHandle<io::Result<[u8; 32]>> {
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
pub(crate) fn finish(context: digest::Context) -> [u8; 32] {
    let mut bytes = [0; 32];
    bytes.copy_from_slice(context.finish().as_ref());
    bytes
}
