//! Copies of captures in which the packets that prove something have a comment: Wireshark shows it beside the packet.
//!
//! A copy is pcapng. It has the same packets with the same times, lengths and interfaces as its capture; in the copy of a pcapng
//! file all other blocks and options stay as they are. On request it contains the key log, so that Wireshark decrypts it.

pub mod comments;
mod pcapng;

use std::collections::HashSet;
use std::fs::File;
use std::io::{self, BufReader, BufWriter, Read, Write};
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail, ensure};
use dissect::capture::MAX_SECRETS_LEN;
use tempfile::NamedTempFile;

use self::comments::Comments;
use self::pcapng::Copying;
use crate::input::capture::{CaptureEnd, Ended, each_step};
use crate::input::compression;

/// What the name of a copy ends with.
const SUFFIX: &str = ".annotated.pcapng";

/// A capture to be copied.
#[derive(Clone, Copy, Debug)]
pub struct Source<'a> {
    /// The file. It is read again.
    pub file: &'a Path,
    /// The name that the copy is named after; usually the file.
    pub name: &'a Path,
    /// Number of its frames, if the analysis states it.
    pub frames: Option<u64>,
    /// The key log to embed.
    pub key_log: Option<&'a Path>,
}

/// A copy that was written.
#[derive(Debug)]
pub struct Written {
    /// Its path.
    pub path: PathBuf,
    /// Number of packets with a comment.
    pub commented: u64,
    /// What a user should know: packets that cannot have a comment, comments that were left out, a damaged capture.
    pub notes: Vec<String>,
}

/// The folder that copies are written to, and the names that were used in it.
#[derive(Debug)]
pub struct Folder {
    path: PathBuf,
    used: HashSet<PathBuf>,
}

impl Folder {
    /// Creates the folder if it is missing.
    ///
    /// # Errors
    ///
    /// The folder cannot be created.
    pub fn open(path: &Path) -> Result<Self> {
        std::fs::create_dir_all(path)
            .with_context(|| format!("cannot create the folder {}", path.display()))?;
        Ok(Self { path: path.to_owned(), used: HashSet::new() })
    }

    /// Writes the copy of a capture. It replaces an earlier copy of the same name when it is complete, but never the capture.
    ///
    /// # Errors
    ///
    /// The capture or the key log cannot be read, the capture has changed since its analysis, or the copy cannot be written.
    pub fn write(&mut self, source: Source<'_>, comments: &Comments) -> Result<Written> {
        let path = self.path_of(source.name);
        let what = || format!("cannot write {}", path.display());
        let is_input = path
            .canonicalize()
            .is_ok_and(|target| source.file.canonicalize().is_ok_and(|file| file == target));
        ensure!(!is_input, "{} is the capture itself, and is not replaced", path.display());
        let key_log = source.key_log.map(read_key_log).transpose()?;
        let file = NamedTempFile::new_in(&self.path)
            .map_err(|error| io::Error::from(error.kind()))
            .with_context(what)?;
        let mut copy = Copying::new(BufWriter::new(file.as_file()), comments, key_log);
        let end = read(source.file, &mut copy)?;
        copy.finish().with_context(what)?;
        let frames = source.frames.unwrap_or(copy.frames);
        ensure!(
            copy.frames == frames,
            "{} has changed since it was analyzed: it had {frames} frames, and has {}",
            source.file.display(),
            copy.frames
        );
        let mut notes = Vec::new();
        if copy.without > 0 {
            notes.push(format!(
                "{} packet(s) are of a kind that can have no comment, or are too long",
                copy.without
            ));
        }
        if comments.left_out() > 0 {
            notes.push(format!("{} comment(s) are left out: there are too many", comments.left_out()));
        }
        notes.extend(end.map(|end| format!("the copy ends early, as the capture does: {end}")));
        let (commented, complete) = (copy.commented, copy.complete);
        drop(copy);
        // A block that the capture does not have as a whole.
        file.as_file().set_len(complete).with_context(what)?;
        file.persist(&path).map_err(|error| error.error).with_context(what)?;
        Ok(Written { path, commented, notes })
    }

    /// The path of a copy. Captures of equal names in several folders get numbers.
    fn path_of(&mut self, capture: &Path) -> PathBuf {
        let name = compression::without_extension(capture);
        let stem = name.file_stem().unwrap_or(name.as_os_str()).to_owned();
        let numbered = |number: u64| {
            let mut name = stem.clone();
            if number > 1 {
                name.push(format!("-{number}"));
            }
            name.push(SUFFIX);
            self.path.join(name)
        };
        let path = (1..).map(numbered).find(|path| !self.used.contains(path)).unwrap_or_default();
        self.used.insert(path.clone());
        path
    }
}

/// Reads the text of a key log that fits in one block.
fn read_key_log(path: &Path) -> Result<Vec<u8>> {
    let what = || format!("cannot read the key log {}", path.display());
    let mut text = Vec::new();
    let limit = u64::from(pcapng::MAX_KEY_LOG);
    File::open(path).with_context(what)?.take(limit + 1).read_to_end(&mut text).with_context(what)?;
    if text.len() as u64 > limit {
        bail!(
            "{} is longer than the {} MiB that a capture can contain",
            path.display(),
            MAX_SECRETS_LEN >> 20
        );
    }
    Ok(text)
}

/// Hands the parts of a capture to the copy, and returns how it ended.
fn read<W: Write>(path: &Path, copy: &mut Copying<'_, W>) -> Result<Option<CaptureEnd>> {
    let what = || format!("cannot read {}", path.display());
    let file = BufReader::new(File::open(path).with_context(what)?);
    let (contents, compression) = compression::reader(file).with_context(what)?;
    let mut decoder = dissect::capture::Decoder::new();
    let ended = each_step(&mut decoder, contents, |_| {}, &mut |at, raw, step| copy.part(at, raw, step));
    match ended {
        Ok(None) => Ok(None),
        Ok(Some(Ended::Early(end))) => Ok(Some(end)),
        Ok(Some(Ended::NotACapture(why))) => bail!("{}: {why}", path.display()),
        Err(error) => match compression.filter(|_| copy.frames > 0) {
            Some(compression) => Ok(Some(CaptureEnd::Damaged(format!("the {compression} data: {error}")))),
            None => Err(error).context(format!("cannot copy {}", path.display())),
        },
    }
}
