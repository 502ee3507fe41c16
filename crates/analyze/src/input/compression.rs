//! Captures in compressed files: `mine.pcap.gz`, `mine.pcapng.zst`.

use std::error::Error;
use std::io::{self, BufRead, Cursor, Read};
use std::path::{Path, PathBuf};

use dissect::coding::Coding;
use dissect::content;

/// Extensions that name a compression. The contents decide; the extensions only lead to the companions of a capture.
const EXTENSIONS: [&str; 2] = ["gz", "zst"];

/// Number of bytes that show whether a file is compressed.
const MAGIC: u64 = 4;

/// The compression that the first bytes of a file show.
fn detect(start: &[u8]) -> Option<Coding> {
    match start {
        // A skippable frame, with which parallel compressors begin a zstd file (RFC 8878 §3.1.2).
        [0x50..=0x5f, 0x2a, 0x4d, 0x18, ..] => Some(Coding::Zstd),
        _ => Coding::from_magic(start),
    }
}

/// Reads the first bytes of `input`, and returns a reader of its contents and the name of its compression, if it has one.
///
/// # Errors
///
/// The input cannot be read.
pub(crate) fn reader<'a>(
    mut input: impl BufRead + 'a,
) -> io::Result<(Box<dyn Read + 'a>, Option<&'static str>)> {
    let mut start = Vec::new();
    input.by_ref().take(MAGIC).read_to_end(&mut start)?;
    let coding = detect(&start);
    let whole = Cursor::new(start).chain(input);
    Ok(match coding {
        Some(coding) => (content::file_reader(coding, whole), Some(coding.name())),
        None => (Box::new(whole), None),
    })
}

/// Whether the error says that compressed data ends early, rather than that it is malformed.
pub(crate) fn is_early_end(error: &io::Error) -> bool {
    if error.kind() == io::ErrorKind::UnexpectedEof {
        return true;
    }
    let mut cause: Option<&(dyn Error + 'static)> = match error.get_ref() {
        Some(inner) => Some(inner),
        None => None,
    };
    while let Some(error) = cause {
        let io = error.downcast_ref::<io::Error>();
        if io.is_some_and(|error| error.kind() == io::ErrorKind::UnexpectedEof) {
            return true;
        }
        cause = error.source();
    }
    false
}

/// The path without the extension of a compression: `http.pcap` for `http.pcap.gz`.
pub(crate) fn without_extension(path: &Path) -> PathBuf {
    let is_compressed =
        path.extension().is_some_and(|extension| EXTENSIONS.iter().any(|ours| extension == *ours));
    if is_compressed { path.with_extension("") } else { path.to_owned() }
}
