//! Captures that the page opens: those of `--captures`, and those that a browser sends. Nothing of them leaves this machine.

use std::collections::BTreeMap;
use std::ops::{ControlFlow, Range};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use analyze::analysis::{self, Options, isolation};
use analyze::explain::{self, Explained};
use analyze::input::capture::{Cancelled, Progress};
use analyze::input::discover::{self, Input, OwnTraffic};
use analyze::input::key_log::Keys;
use analyze::input::scope::Scope;
use analyze::input::strings::GivenStrings;
use analyze::output::exposure;
use analyze::walk::{self, Index, PacketRow};
use anyhow::{Context, Result, bail, ensure};
use axum::body::BodyDataStream;
use exposure_schema::Exposure;
use futures_util::StreamExt as _;
use serde::{Deserialize, Serialize};
use tokio::io::AsyncWriteExt as _;
use tokio::sync::Semaphore;

use crate::events::Events;

/// Longest file that is taken from a browser.
const MAX_UPLOAD: u64 = 16 << 30;

/// Longest file that belongs to a capture, and most of them. Journals and strings are read into memory.
const MAX_COMPANION: u64 = 256 << 20;
const MAX_COMPANIONS: usize = 16;

/// Most captures in the list.
const MAX_OPENED: usize = 200;

/// Captures that are analyzed at a time.
const AT_A_TIME: usize = 2;

/// Shortest time between two events about the progress of one capture.
const PROGRESS_INTERVAL: Duration = Duration::from_millis(100);

/// Longest name of a file on disk.
const MAX_FILE_NAME: usize = 100;

/// Longest name that is kept of a file, in characters.
const MAX_NAME: usize = 200;

/// All captures of the page.
#[derive(Debug)]
pub(crate) struct Captures {
    opened: Mutex<BTreeMap<u64, Arc<Opened>>>,
    next: AtomicU64,
    events: Events,
    /// Files from browsers. Removed when the page ends.
    uploads: tempfile::TempDir,
    turns: Arc<Semaphore>,
}

/// One capture, or the record of an isolation run.
#[derive(Debug)]
struct Opened {
    id: u64,
    name: String,
    path: PathBuf,
    is_upload: bool,
    is_isolation: bool,
    is_cancelled: AtomicBool,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    name: StateName,
    companions: Vec<Companion>,
    read_bytes: u64,
    why: Option<String>,
    index: Option<Arc<Index>>,
    summary: Option<Summary>,
    /// The document `plainsight.exposure/1`.
    exposure: Option<Arc<str>>,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
enum StateName {
    #[default]
    Closed,
    Uploaded,
    Reading,
    Done,
    Failed,
}

/// A file that belongs to a capture.
#[derive(Clone, Debug, Serialize)]
struct Companion {
    kind: CompanionKind,
    name: String,
    #[serde(skip)]
    path: PathBuf,
}

/// What a companion is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum CompanionKind {
    /// A key log.
    Keys,
    /// Strings, one a line.
    Strings,
    /// A JSON document.
    Json,
    /// A journal.
    Journal,
}

/// What to do with a capture.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct OpenRequest {
    scope: Vec<String>,
    show_secrets: bool,
}

/// A capture, as the API gives it.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct OpenedView {
    id: String,
    name: String,
    bytes: u64,
    source: &'static str,
    companions: Vec<Companion>,
    state: StateName,
    read_bytes: u64,
    why: Option<String>,
    frames: Option<u64>,
    summary: Option<Summary>,
}

#[derive(Clone, Debug, Serialize)]
struct Summary {
    verdict: serde_json::Value,
    readable: u64,
    total: u64,
}

/// A capture with its result.
#[derive(Debug)]
pub(crate) struct WithResult {
    pub(crate) opened: OpenedView,
    /// The document `plainsight.exposure/1`.
    pub(crate) exposure: Option<Arc<str>>,
}

/// Frames of a capture.
#[derive(Debug, Serialize)]
pub(crate) struct PacketPage {
    total: u64,
    packets: Vec<PacketRow>,
}

impl Captures {
    /// The captures in these folders. Files from browsers are kept in a folder of their own `within` this one.
    ///
    /// # Errors
    ///
    /// The folder for files from browsers cannot be made.
    pub(crate) fn new(folders: &[PathBuf], within: Option<&Path>, events: Events) -> Result<Arc<Self>> {
        let mut builder = tempfile::Builder::new();
        builder.prefix("plainsight-");
        // The folder of a demo is removed with it, whatever happens to this program.
        let uploads = within.map_or_else(|| builder.tempdir(), |folder| builder.tempdir_in(folder));
        let uploads = uploads.context("no folder for files from browsers")?;
        let all = Self {
            opened: Mutex::default(),
            next: AtomicU64::new(1),
            events,
            uploads,
            turns: Arc::new(Semaphore::new(AT_A_TIME)),
        };
        let found = if folders.is_empty() { discover::Found::default() } else { discover::find(folders) };
        for error in &found.errors {
            tracing::warn!("{error:#}");
        }
        let captures = found.captures.into_iter().flatten().map(|path| (path, false));
        for (path, is_isolation) in captures.chain(found.experiments.into_iter().map(|path| (path, true))) {
            let shown = folders.iter().find_map(|folder| path.strip_prefix(folder).ok()).unwrap_or(&path);
            let name = shown.display().to_string();
            all.add(name, path, false, is_isolation, StateName::Closed);
        }
        Ok(Arc::new(all))
    }

    /// All captures.
    pub(crate) fn list(&self) -> Vec<OpenedView> {
        let all: Vec<_> = self.lock().values().cloned().collect();
        all.iter().map(|one| one.view()).collect()
    }

    /// Takes a file from a browser.
    ///
    /// # Errors
    ///
    /// It is too long, or cannot be written.
    pub(crate) async fn upload(&self, name: &str, body: BodyDataStream) -> Result<OpenedView> {
        ensure!(self.lock().len() < MAX_OPENED, "there are {MAX_OPENED} captures already; remove one first");
        let name: String = name.chars().take(MAX_NAME).collect();
        // A folder of its own: what lies beside a capture belongs to it.
        let folder =
            tempfile::Builder::new().tempdir_in(self.uploads.path()).context("no folder for the file")?;
        let file = folder.path().join(file_name(&name));
        write(&file, body, MAX_UPLOAD).await?;
        let _ = folder.keep();
        let opened = self.add(name, file, true, false, StateName::Uploaded);
        Ok(opened.view())
    }

    /// Takes a file that belongs to a capture. Only captures from browsers can be given others.
    ///
    /// # Errors
    ///
    /// There is no such capture, or the file cannot be written.
    pub(crate) async fn companion(
        &self,
        id: &str,
        kind: CompanionKind,
        name: &str,
        body: BodyDataStream,
    ) -> Result<Option<OpenedView>> {
        let Some(opened) = self.get(id) else { return Ok(None) };
        ensure!(opened.is_upload, "{} belongs to a folder, whose files are its companions", opened.name);
        let count = opened.lock().companions.len();
        ensure!(
            count < MAX_COMPANIONS,
            "{} has {MAX_COMPANIONS} files that belong to it already",
            opened.name
        );
        let beside = opened.path.parent().context("the capture is in no folder")?;
        let folder = tempfile::Builder::new().tempdir_in(beside).context("no folder for the file")?;
        let path = folder.path().join(file_name(name));
        write(&path, body, MAX_COMPANION).await?;
        let _ = folder.keep();
        let name = name.chars().take(MAX_NAME).collect();
        opened.lock().companions.push(Companion { kind, name, path });
        Ok(Some(opened.view()))
    }

    /// Begins to analyze a capture.
    ///
    /// # Errors
    ///
    /// The scope is not valid, or the capture is being read.
    pub(crate) fn open(self: &Arc<Self>, id: &str, request: &OpenRequest) -> Result<Option<OpenedView>> {
        let Some(opened) = self.get(id) else { return Ok(None) };
        let scope = request.scope.iter().map(|scope| scope.parse::<Scope>());
        let scope = scope.collect::<Result<Vec<_>, _>>().map_err(anyhow::Error::msg)?;
        {
            let mut state = opened.lock();
            if state.name == StateName::Reading {
                bail!("{} is being read already", opened.name);
            }
            *state = State {
                name: StateName::Reading,
                companions: std::mem::take(&mut state.companions),
                ..State::default()
            };
        }
        opened.is_cancelled.store(false, Ordering::Relaxed);
        self.events.send("capture", &opened.view());
        let (all, one) = (Arc::clone(self), Arc::clone(&opened));
        let options = Options { show_secrets: request.show_secrets, ..Options::default() };
        tokio::spawn(async move {
            let Ok(_turn) = Arc::clone(&all.turns).acquire_owned().await else { return };
            let reader = (Arc::clone(&all), Arc::clone(&one));
            let read =
                tokio::task::spawn_blocking(move || reader.1.read(scope, options, &reader.0.events)).await;
            let outcome = read.unwrap_or_else(|error| Err(anyhow::anyhow!("the analysis failed: {error}")));
            {
                let mut state = one.lock();
                match outcome {
                    Ok((exposure, index)) => {
                        state.name = StateName::Done;
                        state.summary = Summary::of(&exposure);
                        state.exposure = one.written(&exposure);
                        state.index = index.map(Arc::new);
                    }
                    Err(error) => {
                        state.name = StateName::Failed;
                        let why = if error.is::<Cancelled>() {
                            "cancelled".to_owned()
                        } else {
                            one.without_folder(&format!("{error:#}"))
                        };
                        state.why = Some(why);
                    }
                }
            }
            all.events.send("capture", &one.view());
        });
        Ok(Some(opened.view()))
    }

    /// Ends the reading of a capture. One from a browser is removed.
    pub(crate) fn close(&self, id: &str) -> bool {
        let Some(opened) = self.get(id) else { return false };
        opened.is_cancelled.store(true, Ordering::Relaxed);
        if opened.is_upload {
            self.lock().remove(&opened.id);
            let folder = opened.path.parent().filter(|folder| folder.starts_with(self.uploads.path()));
            if let Some(Err(error)) = folder.map(std::fs::remove_dir_all) {
                tracing::warn!("cannot remove {}: {error}", opened.path.display());
            }
        }
        true
    }

    /// Ends all reading, and removes the files from browsers. A task that still runs may hold this value.
    pub(crate) fn remove_uploads(&self) {
        for opened in self.lock().values() {
            opened.is_cancelled.store(true, Ordering::Relaxed);
        }
        if let Err(error) = std::fs::remove_dir_all(self.uploads.path()) {
            tracing::warn!("cannot remove {}: {error}", self.uploads.path().display());
        }
    }

    /// A capture with its result.
    pub(crate) fn result(&self, id: &str) -> Option<WithResult> {
        let opened = self.get(id)?;
        let exposure = opened.lock().exposure.clone();
        Some(WithResult { opened: opened.view(), exposure })
    }

    /// Frames of a capture that was read.
    pub(crate) fn packets(
        &self,
        id: &str,
        from: u64,
        count: usize,
        stream: Option<u32>,
    ) -> Option<PacketPage> {
        let index = self.get(id)?.lock().index.clone()?;
        Some(PacketPage { total: index.total(), packets: index.packets(from, count, stream) })
    }

    /// Explains a frame.
    ///
    /// # Errors
    ///
    /// The capture cannot be read, has no such frame, or `progress` ended the reading.
    pub(crate) fn explain(
        &self,
        id: &str,
        frame: u64,
        with_keys: bool,
        progress: Progress<'_>,
    ) -> Option<Result<Explained>> {
        let opened = self.get(id)?;
        let given = opened.companion(CompanionKind::Keys);
        Some(explain::frame(&opened.path, frame, opened.keys(with_keys, given.as_deref()), progress))
    }

    /// The bytes of a connection in order.
    ///
    /// # Errors
    ///
    /// The capture cannot be read, has no such connection, or `progress` ended the reading.
    pub(crate) fn stream(
        &self,
        id: &str,
        stream: u32,
        with_keys: bool,
        wanted: Range<usize>,
        progress: Progress<'_>,
    ) -> Option<Result<walk::Stream>> {
        let opened = self.get(id)?;
        let given = opened.companion(CompanionKind::Keys);
        Some(walk::stream(&opened.path, stream, opened.keys(with_keys, given.as_deref()), wanted, progress))
    }

    fn add(
        &self,
        name: String,
        path: PathBuf,
        is_upload: bool,
        is_isolation: bool,
        state: StateName,
    ) -> Arc<Opened> {
        let id = self.next.fetch_add(1, Ordering::Relaxed);
        let opened = Arc::new(Opened {
            id,
            name,
            path,
            is_upload,
            is_isolation,
            is_cancelled: AtomicBool::new(false),
            state: Mutex::new(State { name: state, ..State::default() }),
        });
        self.lock().insert(id, Arc::clone(&opened));
        opened
    }

    fn get(&self, id: &str) -> Option<Arc<Opened>> {
        let id = id.strip_prefix('c')?.parse().ok()?;
        self.lock().get(&id).cloned()
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<u64, Arc<Opened>>> {
        self.opened.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Opened {
    fn view(&self) -> OpenedView {
        let bytes = std::fs::metadata(&self.path).map_or(0, |metadata| metadata.len());
        let state = self.lock();
        OpenedView {
            id: format!("c{}", self.id),
            name: self.name.clone(),
            bytes,
            source: if self.is_upload { "upload" } else { "folder" },
            companions: state.companions.clone(),
            state: state.name,
            read_bytes: state.read_bytes,
            why: state.why.clone(),
            frames: state.index.as_ref().map(|index| index.total()),
            summary: state.summary.clone(),
        }
    }

    /// Reads the capture twice: for the verdict, and for the list of its frames.
    fn read(
        &self,
        scope: Vec<Scope>,
        options: Options,
        events: &Events,
    ) -> Result<(Exposure, Option<Index>)> {
        if self.is_isolation {
            return Ok((exposure::of(Vec::new(), vec![isolation::analyze(&self.path)?]), None));
        }
        let input = self.input(scope)?;
        let length = std::fs::metadata(&self.path).map_or(0, |metadata| metadata.len());
        let mut last = Instant::now();
        // Each of the two passes is half of the work.
        let mut progress = |done: u64| {
            if self.is_cancelled.load(Ordering::Relaxed) {
                return ControlFlow::Break(());
            }
            if last.elapsed() >= PROGRESS_INTERVAL {
                last = Instant::now();
                self.lock().read_bytes = done.min(length);
                events.send("capture", &self.view());
            }
            ControlFlow::Continue(())
        };
        let capture = analysis::analyze(&input, options, &mut |bytes| progress(bytes / 2))?;
        let given = self.companion(CompanionKind::Keys);
        let keys = self.keys(false, given.as_deref());
        let index = walk::index(&self.path, keys, &mut |bytes| progress(length / 2 + bytes / 2))?;
        Ok((exposure::of(vec![capture], Vec::new()), Some(index)))
    }

    fn input(&self, scope: Vec<Scope>) -> Result<Input> {
        let mut input = Input::file(&self.path);
        let mut strings = GivenStrings::default();
        let companions = self.lock().companions.clone();
        let mut is_named = false;
        for Companion { kind, path, .. } in companions {
            match kind {
                CompanionKind::Keys => {
                    input.key_log = Some(path);
                    input.key_log_is_given = true;
                    continue;
                }
                CompanionKind::Journal => input.journals.push(path),
                CompanionKind::Strings => strings.add_lines(&path)?,
                CompanionKind::Json => strings.add_json(&path)?,
            }
            is_named = true;
        }
        if is_named {
            input.own = Some(Arc::new(OwnTraffic { strings, scope }));
        } else {
            ensure!(scope.is_empty(), "a scope needs strings, JSON or a journal that name what was sent");
        }
        Ok(input)
    }

    fn companion(&self, kind: CompanionKind) -> Option<PathBuf> {
        let state = self.lock();
        state
            .companions
            .iter()
            .find(|companion| companion.kind == kind)
            .map(|companion| companion.path.clone())
    }

    fn keys<'p>(&self, with_keys: bool, given: Option<&'p Path>) -> Keys<'p> {
        match (with_keys, given) {
            (false, _) => Keys::None,
            (true, Some(path)) => Keys::File(path),
            (true, None) => Keys::Beside,
        }
    }

    /// The result as a document, with the names of files from a browser and not where they are kept.
    fn written(&self, exposure: &Exposure) -> Option<Arc<str>> {
        let document = serde_json::to_string(exposure);
        let document =
            document.inspect_err(|error| tracing::error!("a result cannot be written: {error}")).ok()?;
        Some(self.without_folder(&document).into())
    }

    fn without_folder(&self, text: &str) -> String {
        let folder = self.path.parent().filter(|_| self.is_upload).map(|folder| folder.display().to_string());
        let Some(folder) = folder else { return text.to_owned() };
        // Companions have folders of their own in it.
        let folder = format!("{folder}/");
        let mut parts = text.split(&folder);
        let first = parts.next().unwrap_or_default().to_owned();
        parts.fold(first, |whole, part| {
            let name = part
                .strip_prefix(".tmp")
                .and_then(|rest| rest.split_once('/'))
                .map_or(part, |(_, name)| name);
            whole + name
        })
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Summary {
    fn of(exposure: &Exposure) -> Option<Self> {
        let capture = serde_json::to_value(exposure.captures.first()?).ok()?;
        let levels = capture.get("summary")?;
        let count = |level: &str| levels.get(level).and_then(serde_json::Value::as_u64).unwrap_or(0);
        let total = count("total");
        Some(Self {
            verdict: capture.get("verdict")?.clone(),
            readable: count("verbatim") + count("reassembled") + count("decoded"),
            total,
        })
    }
}

/// A name for a file on disk: that of the browser's file, as far as it has usual characters.
fn file_name(name: &str) -> String {
    let usual = |c: char| if c.is_ascii_alphanumeric() || "._-".contains(c) { c } else { '_' };
    let name: String = name.chars().map(usual).skip_while(|c| *c == '.').take(MAX_FILE_NAME).collect();
    if name.is_empty() { "file".to_owned() } else { name }
}

/// Writes a body to a new file of mode 0600. What cannot be written as a whole is removed.
async fn write(path: &Path, mut body: BodyDataStream, most: u64) -> Result<()> {
    let file = experiment::files::create_private(path)?;
    let mut file = tokio::fs::File::from_std(file);
    let mut written = 0;
    let result = async {
        while let Some(piece) = body.next().await {
            let piece = piece.context("the file did not arrive as a whole")?;
            written += piece.len() as u64;
            ensure!(written <= most, "the file is longer than {} MiB", most >> 20);
            file.write_all(&piece).await.context("cannot write the file")?;
        }
        file.flush().await.context("cannot write the file")
    };
    let result = result.await;
    if result.is_err() {
        // The first error is the one to report.
        let _ = std::fs::remove_file(path);
    }
    result
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_files_cannot_leave_their_folder() {
        assert_eq!(file_name("https.pcapng.gz"), "https.pcapng.gz");
        assert_eq!(file_name("../../etc/passwd"), "_.._etc_passwd");
        assert_eq!(file_name(".."), "file");
        assert_eq!(file_name("캡처 1.pcap"), "___1.pcap");
        assert_eq!(file_name(&"x".repeat(5000)).len(), MAX_FILE_NAME);
    }
}
