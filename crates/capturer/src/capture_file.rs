//! The writer of the capture file, which hashes and counts what it writes.

use std::fs::File;
use std::io::{self, BufWriter, Write};

use aws_lc_rs::digest::{Context, SHA256};
use craft::pcap;
use data_encoding::HEXLOWER;

/// Memory that collects frames between flushes.
const BUFFER_BYTES: usize = 256 * 1024;

/// A pcap file that is hashed while it is written, so that it need not be read again.
pub(crate) struct CaptureFile {
    pcap: pcap::Writer<BufWriter<Hashed>>,
    snaplen: u32,
    frames: u64,
    truncated_frames: u64,
    last: u64,
}

/// A finished capture file.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Closed {
    /// SHA-256 of the whole file, 64 lower-case hex digits.
    pub(crate) sha256: String,
    /// Size of the file.
    pub(crate) bytes: u64,
    /// Number of frames.
    pub(crate) frames: u64,
    /// Number of frames that were cut.
    pub(crate) truncated_frames: u64,
}

impl CaptureFile {
    /// Writes the file header to the empty `file`.
    pub(crate) fn new(file: File, link_type: u16, snaplen: u32) -> io::Result<Self> {
        let hashed = Hashed { file, hash: Context::new(&SHA256), bytes: 0 };
        let mut pcap = pcap::Writer::new(BufWriter::with_capacity(BUFFER_BYTES, hashed), link_type, snaplen)?;
        pcap.flush()?;
        Ok(Self { pcap, snaplen, frames: 0, truncated_frames: 0, last: 0 })
    }

    /// Writes a frame, cut to the snaplen.
    pub(crate) fn record(&mut self, captured_at: u64, original_len: u32, bytes: &[u8]) -> io::Result<()> {
        self.pcap.write(captured_at, original_len, bytes)?;
        self.frames += 1;
        if bytes.len().min(self.snaplen as usize) < original_len as usize {
            self.truncated_frames += 1;
        }
        self.last = self.last.max(captured_at);
        Ok(())
    }

    /// Passes all frames to the operating system, so that they survive the death of this process.
    pub(crate) fn flush(&mut self) -> io::Result<()> {
        self.pcap.flush()
    }

    /// Number of frames so far.
    pub(crate) fn frames(&self) -> u64 {
        self.frames
    }

    /// The latest capture time of all frames, ns since the Unix epoch; 0 without frames.
    pub(crate) fn last_captured_at(&self) -> u64 {
        self.last
    }

    /// Syncs the file to the disk and closes it.
    pub(crate) fn close(mut self) -> io::Result<Closed> {
        self.pcap.flush()?;
        let Hashed { file, hash, bytes } =
            self.pcap.into_inner().into_inner().map_err(io::IntoInnerError::into_error)?;
        file.sync_all()?;
        let sha256 = HEXLOWER.encode(hash.finish().as_ref());
        Ok(Closed { sha256, bytes, frames: self.frames, truncated_frames: self.truncated_frames })
    }
}

/// A file that hashes and counts every byte written to it.
struct Hashed {
    file: File,
    hash: Context,
    bytes: u64,
}

impl Write for Hashed {
    fn write(&mut self, buffer: &[u8]) -> io::Result<usize> {
        let written = self.file.write(buffer)?;
        self.hash.update(&buffer[..written]);
        self.bytes += written as u64;
        Ok(written)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.file.flush()
    }
}

#[cfg(test)]
mod tests {
    use aws_lc_rs::digest::digest;

    use super::*;

    #[test]
    fn hash_size_and_counts_match_the_file() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("x.pcap");
        let mut file = CaptureFile::new(File::create(&path).unwrap(), 1, 96).unwrap();
        file.record(7, 96, &[1; 96]).unwrap();
        file.record(9, 200, &[2; 200]).unwrap();
        file.record(8, 1500, &[3; 90]).unwrap();
        assert_eq!((file.frames(), file.last_captured_at()), (3, 9));
        let closed = file.close().unwrap();

        let bytes = std::fs::read(&path).unwrap();
        let hash = HEXLOWER.encode(digest(&SHA256, &bytes).as_ref());
        let expected = Closed { sha256: hash, bytes: bytes.len() as u64, frames: 3, truncated_frames: 2 };
        assert_eq!(closed, expected);
        assert_eq!(bytes.len(), 24 + 3 * 16 + 96 + 96 + 90);
    }

    #[test]
    fn writes_the_header_at_once_and_frames_on_flush() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("x.pcap");
        let mut file = CaptureFile::new(File::create(&path).unwrap(), 1, 96).unwrap();
        assert_eq!(std::fs::metadata(&path).unwrap().len(), 24);
        file.record(7, 60, &[1; 60]).unwrap();
        file.flush().unwrap();
        assert_eq!(std::fs::metadata(&path).unwrap().len(), 24 + 16 + 60);
    }
}
