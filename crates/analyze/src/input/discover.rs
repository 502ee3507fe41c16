//! Finds captures, and the files that belong to each.

use std::collections::{HashSet, VecDeque};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::{fmt, fs};

use anyhow::{Context, Result, anyhow, bail};
use exposure_schema::Expected;

use super::manifest::Manifest;
use super::scope::Scope;
use super::strings::GivenStrings;
use super::{compression, isolation_record};

/// Deepest directory below a given one that is still walked. Each level costs a call and an open directory.
const MAX_DEPTH: usize = 64;

const CAPTURE_EXTENSIONS: [&str; 3] = ["pcap", "pcapng", "cap"];

/// One capture to be analyzed, with its companions.
#[derive(Debug)]
pub struct Input {
    /// The capture file; `None` for standard input.
    pub capture: Option<PathBuf>,
    /// The file that standard input was written to; `None` if it was not read yet.
    pub spool: Option<PathBuf>,
    /// The manifest of the capture.
    pub manifest: Option<Manifest>,
    /// Journal files of the agents.
    pub journals: Vec<PathBuf>,
    /// TLS key log.
    pub key_log: Option<PathBuf>,
    /// The strings and the scope of a verdict on traffic that no manifest describes.
    pub own: Option<Arc<OwnTraffic>>,
    /// Whether the key log was named by a flag.
    pub key_log_is_given: bool,
    /// PEM files with RSA private keys of servers.
    pub server_keys: Vec<PathBuf>,
    /// Companions that cannot be used.
    pub problems: Vec<CompanionProblem>,
}

/// What flags state about traffic that no manifest describes.
#[derive(Debug)]
pub struct OwnTraffic {
    /// The strings to search for, besides those of journals.
    pub strings: GivenStrings,
    /// The connections that the verdict is about; empty if that was left open.
    pub scope: Vec<Scope>,
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
        Self {
            capture: None,
            spool: None,
            manifest: None,
            journals: Vec::new(),
            key_log: None,
            own: None,
            key_log_is_given: false,
            server_keys: Vec::new(),
            problems: Vec::new(),
        }
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
        let capture = Some(path.to_owned());
        Self {
            capture,
            spool: None,
            manifest,
            journals,
            key_log,
            own: None,
            key_log_is_given: false,
            server_keys: Vec::new(),
            problems,
        }
    }
}

/// The captures and isolation records that paths select.
#[derive(Debug, Default)]
pub struct Found {
    /// Captures, without those that belong to an isolation run; `None` for standard input. In the order of the paths, below
    /// one path in the order of their names.
    pub captures: Vec<Option<PathBuf>>,
    /// Descriptions of isolation runs.
    pub experiments: Vec<PathBuf>,
    /// Paths that cannot be read, and directories without captures.
    pub errors: Vec<anyhow::Error>,
}

/// The files that the paths select: themselves, or all captures and isolation records below them. Hidden directories are
/// left out, because a run in progress works in one. A file or directory that several paths or links lead to is read once,
/// under its own name if that is among them.
pub fn find(paths: &[PathBuf]) -> Found {
    let mut found = Found::default();
    let mut seen = HashSet::new();
    for path in paths {
        if path == Path::new("-") {
            if !found.captures.contains(&None) {
                found.captures.push(None);
            }
            continue;
        }
        match fs::metadata(path).with_context(|| format!("cannot read {}", path.display())) {
            Err(error) => found.errors.push(error),
            Ok(metadata) if metadata.is_dir() => below(path, &mut seen, &mut found),
            Ok(_) => {
                if !is_first(path, &mut seen) {
                    continue;
                }
                match is_experiment(path) {
                    true => found.experiments.push(path.clone()),
                    false => found.captures.push(Some(path.clone())),
                }
            }
        }
    }
    found
}

/// Adds the captures and isolation records below a directory.
fn below(directory: &Path, seen: &mut HashSet<PathBuf>, found: &mut Found) {
    let mut walk =
        Walk { seen, links: VecDeque::new(), files: Files::default(), errors: Vec::new(), is_empty: true };
    walk.directory(directory, 0);
    while let Some((link, depth)) = walk.links.pop_front() {
        walk.entry(link, depth);
    }
    let Walk { mut files, errors, is_empty, .. } = walk;
    if is_empty && errors.is_empty() {
        found.errors.push(anyhow!(
            "there is no capture (*.pcap, *.pcapng, *.cap) in {}; `make lab` makes two",
            directory.display()
        ));
    }
    found.errors.extend(errors);
    files.captures.sort();
    files.experiments.sort();
    for experiment in &files.experiments {
        // A record that cannot be read is reported when it is judged; until then it owns no captures.
        let Ok((run_id, claimed)) = isolation_record::captures_of(experiment) else { continue };
        let directory = experiment.parent();
        files.captures.retain(|capture| {
            let name = capture.file_name().and_then(|name| name.to_str());
            let is_claimed = name.is_some_and(|name| claimed.iter().any(|known| known == name));
            capture.parent() != directory || !is_claimed || !is_of_isolation_run(capture, &run_id)
        });
    }
    found.captures.extend(files.captures.into_iter().map(Some));
    found.experiments.extend(files.experiments);
}

#[derive(Debug, Default)]
struct Files {
    captures: Vec<PathBuf>,
    experiments: Vec<PathBuf>,
}

/// A walk through the directories below one path.
struct Walk<'s> {
    /// Files and directories that were visited, by their canonical paths.
    seen: &'s mut HashSet<PathBuf>,
    /// Links, followed after everything else, so that a file is read under its own name; with their depth.
    links: VecDeque<(PathBuf, usize)>,
    files: Files,
    errors: Vec<anyhow::Error>,
    /// Whether no capture was met, not even one that was visited before.
    is_empty: bool,
}

impl Walk<'_> {
    /// Visits the entries of a directory. What cannot be read costs nothing but itself.
    fn directory(&mut self, directory: &Path, depth: usize) {
        let failed = |error| {
            anyhow::Error::from(error).context(format!("cannot read the directory {}", directory.display()))
        };
        if !is_first(directory, self.seen) {
            self.is_empty = false; // what is in it was reported when it was visited
            return;
        }
        if depth > MAX_DEPTH {
            let why = format!("it is more than {MAX_DEPTH} directories deep");
            self.errors.push(anyhow!("cannot read the directory {}: {why}", directory.display()));
            return;
        }
        let entries = match fs::read_dir(directory) {
            Ok(entries) => entries,
            Err(error) => return self.errors.push(failed(error)),
        };
        for entry in entries {
            match entry.and_then(|entry| Ok((entry.file_type()?, entry))) {
                Err(error) => self.errors.push(failed(error)),
                Ok((_, entry)) if entry.file_name().to_string_lossy().starts_with('.') => {}
                Ok((kind, entry)) if kind.is_symlink() => self.links.push_back((entry.path(), depth + 1)),
                Ok((kind, entry)) if kind.is_dir() => self.directory(&entry.path(), depth + 1),
                Ok((_, entry)) => self.file(entry.path()),
            }
        }
    }

    /// Visits what a link leads to.
    fn entry(&mut self, link: PathBuf, depth: usize) {
        match link.is_dir() {
            true => self.directory(&link, depth),
            false => self.file(link),
        }
    }

    fn file(&mut self, path: PathBuf) {
        let list = match (is_experiment(&path), is_capture(&path)) {
            (true, _) => &mut self.files.experiments,
            (_, true) => &mut self.files.captures,
            _ => return,
        };
        self.is_empty = false;
        if is_first(&path, self.seen) {
            list.push(path);
        }
    }
}

/// Whether the path leads to a file or directory that no path led to before.
fn is_first(path: &Path, seen: &mut HashSet<PathBuf>) -> bool {
    seen.insert(path.canonicalize().unwrap_or_else(|_| path.to_owned()))
}

fn is_experiment(path: &Path) -> bool {
    path.file_name().is_some_and(|name| name == isolation_record::FILE_NAME)
}

/// Whether the manifest of a capture says itself that it belongs to this isolation run. A record that claims another capture
/// must not take it away from the verdict on that capture.
fn is_of_isolation_run(capture: &Path, run_id: &str) -> bool {
    let manifest = manifest_of(capture).ok().flatten();
    manifest
        .is_some_and(|manifest| manifest.expected_verdict == Expected::Isolated && manifest.run_id == run_id)
}

fn is_capture(path: &Path) -> bool {
    let name = compression::without_extension(path);
    name.extension().is_some_and(|extension| CAPTURE_EXTENSIONS.iter().any(|known| extension == *known))
}

/// `http.pcap` belongs to `http.manifest.json`, and so does `http.pcap.gz`.
fn manifest_of(capture: &Path) -> Result<Option<Manifest>> {
    let uncompressed = compression::without_extension(capture);
    let path = uncompressed.with_extension("manifest.json");
    if !path.exists() {
        return Ok(None);
    }
    let manifest = Manifest::read(&path)?;
    let is_described =
        |path: &Path| path.file_name().is_some_and(|name| name == manifest.capture.file.as_str());
    if !is_described(capture) && !is_described(&uncompressed) {
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
    let capture = compression::without_extension(capture);
    let with = |extension: &str| Some(capture.with_extension(extension)).filter(|path| path.exists());
    let journals = ["agent-a.jsonl", "agent-b.jsonl"].into_iter().filter_map(with).collect();
    (journals, with("keys"))
}
