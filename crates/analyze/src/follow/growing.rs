//! Decodes a capture that comes piece by piece.

use std::fs::File;
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};
use dissect::capture::{CaptureError, Decoder, Record, Step};

/// Bytes read at once.
const PIECE: usize = 256 << 10;

/// A capture of which more comes. It keeps what is not decoded yet: at most the longest block that the decoder accepts, and
/// one piece.
#[derive(Debug, Default)]
pub(super) struct Growing {
    decoder: Decoder,
    buffer: Vec<u8>,
    /// The bytes in `buffer` that are not decoded.
    start: usize,
    end: usize,
}

/// A capture file of which more comes.
#[derive(Debug)]
pub(super) struct GrowingFile {
    path: PathBuf,
    file: File,
    growing: Growing,
}

/// A part of a capture.
#[derive(Clone, Copy, Debug)]
pub(super) enum Part<'a> {
    /// A frame.
    Frame(Record<'a>),
    /// A key log that is in the capture itself.
    Secrets(&'a [u8]),
}

impl GrowingFile {
    /// Opens a file, which may be empty.
    pub(super) fn open(path: &Path) -> Result<Self> {
        let what = || format!("cannot read {}", path.display());
        // Opening a pipe would wait for its writer.
        if !path.metadata().with_context(what)?.is_file() {
            bail!("{} is not a file", path.display());
        }
        let file = File::open(path).with_context(what)?;
        Ok(Self { path: path.to_owned(), file, growing: Growing::default() })
    }

    /// Hands over what was written since the last call, as far as it is whole. Does not wait for more.
    pub(super) fn read(&mut self, each: &mut dyn FnMut(Part<'_>)) -> Result<()> {
        let Self { path, file, growing } = self;
        let what = || format!("cannot read {}", path.display());
        if file.metadata().with_context(what)?.len() < growing.received() {
            bail!("{}: the file became shorter while it was read", path.display());
        }
        loop {
            let len = growing.fill(|free| read_some(file, free)).with_context(what)?;
            growing.decode(each).with_context(|| path.display().to_string())?;
            if len == 0 {
                return Ok(());
            }
        }
    }
}

/// Reads what is there; nothing at the end of the file.
pub(super) fn read_some(file: &mut File, free: &mut [u8]) -> io::Result<usize> {
    loop {
        match file.read(free) {
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            read => return read,
        }
    }
}

impl Growing {
    /// Number of bytes received so far.
    pub(super) fn received(&self) -> u64 {
        self.decoder.position() + (self.end - self.start) as u64
    }

    /// Receives bytes: `read` writes them to the beginning of its argument and returns their number.
    pub(super) fn fill(&mut self, read: impl FnOnce(&mut [u8]) -> io::Result<usize>) -> io::Result<usize> {
        self.buffer.copy_within(self.start..self.end, 0);
        (self.start, self.end) = (0, self.end - self.start);
        if self.buffer.len() < self.end + PIECE {
            self.buffer.resize(self.end + PIECE, 0);
        }
        let len = read(&mut self.buffer[self.end..self.end + PIECE])?;
        self.end += len;
        Ok(len)
    }

    /// Hands over what is whole.
    pub(super) fn decode(&mut self, each: &mut dyn FnMut(Part<'_>)) -> Result<(), CaptureError> {
        loop {
            let step = self.decoder.step(&self.buffer[self.start..self.end])?;
            match step {
                Step::Record { record, .. } => each(Part::Frame(record)),
                Step::Secrets { key_log, .. } => each(Part::Secrets(key_log)),
                Step::Skipped { .. } => {}
                Step::NeedMore { .. } => return Ok(()),
            }
            self.start += step.consumed();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keeps_no_more_than_one_piece_beside_an_unfinished_block() {
        let mut writer = craft::pcap::Writer::new(Vec::new(), 1, 65_535).expect("a vector can be written");
        for at in 0..2000 {
            writer.write(at, 1000, &[7; 1000]).expect("a vector can be written");
        }
        let file = writer.into_inner();
        let (mut growing, mut frames) = (Growing::default(), 0);
        for piece in file.chunks(70_001) {
            let len = growing.fill(|free| {
                free[..piece.len()].copy_from_slice(piece);
                Ok(piece.len())
            });
            assert_eq!(len.expect("no input"), piece.len());
            growing.decode(&mut |_| frames += 1).expect("a capture");
            assert!(growing.buffer.len() <= PIECE + 2000, "{}", growing.buffer.len());
        }
        assert_eq!((frames, growing.received()), (2000, file.len() as u64));
    }
}
