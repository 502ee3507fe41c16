//! Reads key logs (SSLKEYLOGFILE format) in pieces of whole lines.

use std::fs::File;
use std::io::{BufRead, BufReader, Read};
use std::path::Path;
use std::sync::Arc;

use anyhow::{Context, Result, bail};
use dissect::keylog::KeyLog;

use super::discover::Input;

/// Which key log belongs to a capture.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Keys<'p> {
    /// None: nothing is decrypted, except with keys that the capture itself contains.
    None,
    /// The one that the capture's manifest names, or that has its name.
    Beside,
    /// This one.
    File(&'p Path),
}

/// Bytes read at once.
const PIECE: u64 = 64 << 10;

/// Longest key log that is read: larger than `dissect::keylog::MAX_CLIENTS` connections fill.
const MAX_KEY_LOG: u64 = 256 << 20;

/// Reads the key log of a capture.
///
/// # Errors
///
/// The key log cannot be read, or the given one is none.
pub(crate) fn of(capture: &Path, keys: Keys<'_>) -> Result<Option<Arc<KeyLog>>> {
    let read = match keys {
        Keys::None => None,
        Keys::Beside => Input::file(capture).key_log.map(|path| read(&path)).transpose()?,
        Keys::File(given) => Some(read_given(given)?),
    };
    Ok(read.map(|(keys, _)| Arc::new(keys)))
}

/// Reads a key log. Also returns the lines that cannot be used.
///
/// # Errors
///
/// The file cannot be read.
pub(crate) fn read(path: &Path) -> Result<(KeyLog, Vec<String>)> {
    let what = || format!("cannot read the key log {}", path.display());
    let file = File::open(path).with_context(what)?;
    let mut reader = BufReader::new(file.take(MAX_KEY_LOG));
    let mut keys = KeyLog::default();
    let mut problems = Vec::new();
    let mut lines = Vec::new();
    let mut lines_before = 0;
    // A key log of many connections is larger than what is kept of it.
    while reader.by_ref().take(PIECE).read_to_end(&mut lines).with_context(what)? > 0 {
        reader.read_until(b'\n', &mut lines).with_context(what)?;
        let known_problems = keys.problems().len();
        keys.extend(&lines);
        for problem in &keys.problems()[known_problems..] {
            let line = lines_before + problem.line;
            problems.push(format!("{}: line {line}: {}", path.display(), problem.why));
        }
        lines_before += lines.iter().filter(|byte| **byte == b'\n').count() as u64;
        lines.clear();
    }
    Ok((keys, problems))
}

/// Reads a key log that must be one: a file without a single secret is refused.
///
/// # Errors
///
/// As [`read`], or no line is one of a key log.
pub(crate) fn read_given(path: &Path) -> Result<(KeyLog, Vec<String>)> {
    let (keys, problems) = read(path)?;
    match problems.first() {
        Some(problem) if keys.is_empty() => {
            bail!("{problem}; a key log (SSLKEYLOGFILE) has lines of three words")
        }
        None if keys.is_empty() => {
            bail!(
                "{}: no key log: it has no secret; was SSLKEYLOGFILE set when the client started?",
                path.display()
            )
        }
        _ => Ok((keys, problems)),
    }
}
