//! Finds captures, and the files that belong to each.

use std::path::{Path, PathBuf};
use std::{fmt, fs};

use anyhow::{Context, Result, bail};

use super::isolation_record;
use super::manifest::Manifest;

/// Deepest directory below a given one that is still walked, so that a cycle of links ends.
const MAX_DEPTH: usize = 8;

const CAPTURE_EXTENSIONS: [&str; 3] = ["pcap", "pcapng", "cap"];

/// One capture to be analyzed, with its companions.
#[derive(Debug)]
pub struct Input {
    /// The capture file; `None` for standard input.
    pub capture: Option<PathBuf>,
    /// The manifest of the capture.
    pub manifest: Option<Manifest>,
    /// Journal files of the agents.
    pub journals: Vec<PathBuf>,
    /// TLS key log.
    pub key_log: Option<PathBuf>,
    /// Companions that cannot be used.
    pub problems: Vec<CompanionProblem>,
}

/// Why a file that belongs to a capture cannot be used.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum CompanionProblem {
    /// The manifest cannot be used, for this reason.
    Manifest(String),
    /// The manifest names something that is not the name of a file beside it.
    NotBeside(String),
    /// The manifest names a file that is not there.
    Missing(PathBuf),
}

impl fmt::Display for CompanionProblem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Manifest(why) => f.write_str(why),
            Self::NotBeside(name) => {
                write!(f, "the manifest names {name:?}, which is not the name of a file beside it")
            }
            Self::Missing(path) => write!(f, "{} is missing; the manifest names it", path.display()),
        }
    }
}

impl Input {
    /// The name to show to people.
    pub fn display(&self) -> String {
        self.capture.as_ref().map_or_else(|| "standard input".to_owned(), |path| path.display().to_string())
    }

    /// Standard input, without companions.
    pub fn standard_input() -> Self {
        Self { capture: None, manifest: None, journals: Vec::new(), key_log: None, problems: Vec::new() }
    }

    /// A capture file with its companions: those that its manifest names, or else files of the same stem.
    pub fn file(path: &Path) -> Self {
        let mut problems = Vec::new();
        let manifest = manifest_of(path).unwrap_or_else(|error| {
            problems.push(CompanionProblem::Manifest(format!("{error:#}")));
            None
        });
        let directory = path.parent().unwrap_or(Path::new(""));
        let (journals, key_log) = match &manifest {
            Some(manifest) => {
                let journals =
                    manifest.journals.iter().filter_map(|name| beside(directory, name, &mut problems));
                let journals: Vec<_> = journals.collect();
                let key_log = manifest.key_log.as_ref();
                (journals, key_log.and_then(|name| beside(directory, name, &mut problems)))
            }
            None => by_name(path),
        };
        Self { capture: Some(path.to_owned()), manifest, journals, key_log, problems }
    }
}

/// The captures and isolation records that a path selects.
#[derive(Debug, Default)]
pub struct Files {
    /// Captures, in the order of their names; without those that belong to an isolation run.
    pub captures: Vec<PathBuf>,
    /// Descriptions of isolation runs.
    pub experiments: Vec<PathBuf>,
}

/// The files that `path` selects: itself, or all captures and isolation records below it in the order of their
/// names. Hidden directories are left out, because a run in progress works in one.
///
/// # Errors
///
/// The path cannot be read, or is a directory without captures.
pub fn files(path: &Path) -> Result<Files> {
    let metadata = fs::metadata(path).with_context(|| format!("cannot read {}", path.display()))?;
    let mut found = Files::default();
    if !metadata.is_dir() {
        let list = if is_experiment(path) { &mut found.experiments } else { &mut found.captures };
        list.push(path.to_owned());
        return Ok(found);
    }
    walk(path, 0, &mut found)?;
    if found.captures.is_empty() && found.experiments.is_empty() {
        bail!("there is no capture (*.pcap, *.pcapng, *.cap) in {}; `make lab` makes two", path.display());
    }
    for experiment in &found.experiments {
        // A record that cannot be read is reported when it is judged; until then it owns no captures.
        let spoken_for = isolation_record::captures_of(experiment).unwrap_or_default();
        let directory = experiment.parent();
        found.captures.retain(|capture| {
            let name = capture.file_name().and_then(|name| name.to_str());
            capture.parent() != directory
                || !name.is_some_and(|name| spoken_for.iter().any(|known| known == name))
        });
    }
    Ok(found)
}

fn is_experiment(path: &Path) -> bool {
    path.file_name().is_some_and(|name| name == isolation_record::FILE_NAME)
}

fn walk(directory: &Path, depth: usize, found: &mut Files) -> Result<()> {
    let reading = || format!("cannot read the directory {}", directory.display());
    let mut entries = fs::read_dir(directory)
        .with_context(reading)?
        .collect::<Result<Vec<_>, _>>()
        .with_context(reading)?;
    entries.sort_by_key(fs::DirEntry::file_name);
    for entry in entries {
        let path = entry.path();
        if entry.file_name().to_string_lossy().starts_with('.') {
            continue;
        }
        if path.is_dir() {
            if depth < MAX_DEPTH {
                walk(&path, depth + 1, found)?;
            }
        } else if is_experiment(&path) {
            found.experiments.push(path);
        } else if path
            .extension()
            .is_some_and(|extension| CAPTURE_EXTENSIONS.iter().any(|known| extension == *known))
        {
            found.captures.push(path);
        }
    }
    Ok(())
}

/// `http.pcap` belongs to `http.manifest.json`.
fn manifest_of(capture: &Path) -> Result<Option<Manifest>> {
    let path = capture.with_extension("manifest.json");
    if !path.exists() {
        return Ok(None);
    }
    let manifest = Manifest::read(&path)?;
    let name = capture.file_name().unwrap_or_default();
    if name != manifest.capture.file.as_str() {
        bail!("{} describes {:?}, not this file", path.display(), manifest.capture.file);
    }
    Ok(Some(manifest))
}

/// A companion that a manifest names. Only plain names: a manifest is input too, and must not lead to other
/// directories.
fn beside(directory: &Path, name: &str, problems: &mut Vec<CompanionProblem>) -> Option<PathBuf> {
    let is_plain = Path::new(name).file_name().is_some_and(|file| file == name);
    let path = directory.join(name);
    if !is_plain {
        problems.push(CompanionProblem::NotBeside(name.to_owned()));
        None
    } else if !path.exists() {
        problems.push(CompanionProblem::Missing(path));
        None
    } else {
        Some(path)
    }
}

/// `http.agent-a.jsonl`, `http.agent-b.jsonl` and `http.keys` belong to `http.pcap`.
fn by_name(capture: &Path) -> (Vec<PathBuf>, Option<PathBuf>) {
    let with = |extension: &str| Some(capture.with_extension(extension)).filter(|path| path.exists());
    let journals = ["agent-a.jsonl", "agent-b.jsonl"].into_iter().filter_map(with).collect();
    (journals, with("keys"))
}
