//! The files of a run on their way to the captures folder.
//!
//! ```text
//! captures/.staging-RUN_ID/   everything of a run while it goes on; gone when the run ends, however it ends
//! captures/NAME.*             moved here only when the whole run succeeded
//! captures/NAME.partial/      what a capturer that died left behind, with the journals
//! ```

use std::fs::{self, File, TryLockError};
use std::io;
use std::path::{Path, PathBuf};

use anyhow::{Context, bail};
use experiment::RunFiles;

use crate::report::Reporter;

const STAGING_PREFIX: &str = ".staging-";

/// The captures folder, held by one lab at a time.
///
/// The lock is on the folder itself (`flock`), so that no lock file stays behind and a killed lab leaves no stale lock.
pub(crate) struct Captures {
    path: PathBuf,
    _lock: File,
}

impl Captures {
    /// Makes the folder if need be, locks it, and removes what a killed lab left in it.
    pub(crate) fn open(path: &Path, reporter: &Reporter) -> anyhow::Result<Self> {
        create_private_folder(path).with_context(|| format!("making the folder {}", path.display()))?;
        let path =
            fs::canonicalize(path).with_context(|| format!("finding the folder {}", path.display()))?;
        let lock = File::open(&path).with_context(|| format!("opening {}", path.display()))?;
        match lock.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => bail!("another lab is at work in {}", path.display()),
            Err(TryLockError::Error(error)) => {
                return Err(error).with_context(|| format!("locking {}", path.display()));
            }
        }
        let captures = Self { path, _lock: lock };
        captures.remove_stale(reporter)?;
        Ok(captures)
    }

    /// A new staging folder for one run. The staging folder must not outlive the lock.
    pub(crate) fn stage(&self, run_id: &str) -> anyhow::Result<Staging<'_>> {
        let path = self.path.join(format!("{STAGING_PREFIX}{run_id}"));
        create_private_folder(&path).with_context(|| format!("making the folder {}", path.display()))?;
        Ok(Staging { captures: self, path })
    }

    /// The folder, absolute.
    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// We hold the lock, so any staging folder belongs to a lab that was killed.
    fn remove_stale(&self, reporter: &Reporter) -> anyhow::Result<()> {
        let entries = fs::read_dir(&self.path).with_context(|| format!("reading {}", self.path.display()))?;
        for entry in entries {
            let entry = entry.with_context(|| format!("reading {}", self.path.display()))?;
            if entry.file_name().to_string_lossy().starts_with(STAGING_PREFIX) {
                let path = entry.path();
                fs::remove_dir_all(&path).with_context(|| format!("removing {}", path.display()))?;
                reporter.note(&format!("removed {}, left by a lab that was killed", path.display()));
            }
        }
        Ok(())
    }
}

/// The folder of one run that is going on. Gone when dropped.
pub(crate) struct Staging<'a> {
    captures: &'a Captures,
    path: PathBuf,
}

impl Staging<'_> {
    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// Moves the files of the run into place, replacing those of the variant's last run.
    ///
    /// The manifest goes last and the old one first: killed in between, the folder holds a capture without a manifest,
    /// never a manifest that vouches for another capture.
    pub(crate) fn publish(&self, files: &RunFiles) -> anyhow::Result<()> {
        let place = &self.captures.path;
        remove_file_if_there(&place.join(files.manifest()))?;
        for name in [files.capture(), files.journal_a(), files.journal_b(), files.key_log(), files.manifest()]
        {
            let (from, to) = (self.path.join(&name), place.join(&name));
            remove_file_if_there(&to)?;
            match experiment::files::rename_durably(&from, &to) {
                // A variant without TLS has no key log.
                Err(error) if error.kind() == io::ErrorKind::NotFound && name == files.key_log() => {}
                other => other?,
            }
        }
        remove_folder_if_there(&self.partial(files))
    }

    /// Moves these files into place, `record` last, replacing all that `is_of_an_earlier_run` knows.
    ///
    /// The old record goes first: killed in between, the folder holds captures that nothing speaks for.
    pub(crate) fn publish_as(
        &self,
        record: &str,
        files: &[String],
        is_of_an_earlier_run: impl Fn(&str) -> bool,
    ) -> anyhow::Result<()> {
        let place = &self.captures.path;
        remove_file_if_there(&place.join(record))?;
        let entries = fs::read_dir(place).with_context(|| format!("reading {}", place.display()))?;
        for entry in entries {
            let entry = entry.with_context(|| format!("reading {}", place.display()))?;
            let old = entry.file_name().to_str().is_some_and(&is_of_an_earlier_run);
            if old && entry.path().is_file() {
                remove_file_if_there(&entry.path())?;
            }
        }
        for name in files.iter().map(String::as_str).chain([record]) {
            experiment::files::rename_durably(&self.path.join(name), &place.join(name))?;
        }
        Ok(())
    }

    /// Keeps what a capturer that died left behind. `None` if it left nothing.
    pub(crate) fn keep_partial(&self, files: &RunFiles) -> anyhow::Result<Option<PathBuf>> {
        let kept: Vec<String> = [
            files.partial_capture(),
            files.partial_manifest(),
            files.capture(),
            files.manifest(),
            files.journal_a(),
            files.journal_b(),
            files.key_log(),
        ]
        .into_iter()
        .filter(|name| self.path.join(name).exists())
        .collect();
        if !kept.iter().any(|name| *name == files.partial_capture() || *name == files.capture()) {
            return Ok(None);
        }
        let partial = self.partial(files);
        remove_folder_if_there(&partial)?;
        create_private_folder(&partial)
            .with_context(|| format!("making the folder {}", partial.display()))?;
        for name in kept {
            experiment::files::rename_durably(&self.path.join(&name), &partial.join(&name))?;
        }
        Ok(Some(partial))
    }

    fn partial(&self, files: &RunFiles) -> PathBuf {
        self.captures.path.join(format!("{}.partial", files.name()))
    }
}

impl Drop for Staging<'_> {
    fn drop(&mut self) {
        // Nobody is left to tell; should it fail, the next lab here removes it and says so.
        let _ = fs::remove_dir_all(&self.path);
    }
}

/// A folder for its owner alone; one that is there already stays as it is.
fn create_private_folder(path: &Path) -> io::Result<()> {
    let mut builder = fs::DirBuilder::new();
    builder.recursive(true);
    #[cfg(unix)]
    std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
    builder.create(path)
}

fn remove_file_if_there(path: &Path) -> anyhow::Result<()> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => {
            Err(error).with_context(|| format!("removing {}", path.display()))
        }
        _ => Ok(()),
    }
}

fn remove_folder_if_there(path: &Path) -> anyhow::Result<()> {
    match fs::remove_dir_all(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => {
            Err(error).with_context(|| format!("removing {}", path.display()))
        }
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn quiet() -> Reporter {
        Reporter::new(true, false)
    }

    fn names(folder: &Path) -> Vec<String> {
        let mut names: Vec<String> =
            fs::read_dir(folder).unwrap().map(|e| e.unwrap().file_name().into_string().unwrap()).collect();
        names.sort();
        names
    }

    fn write(staging: &Staging<'_>, names: &[String]) {
        for name in names {
            fs::write(staging.path().join(name), name).unwrap();
        }
    }

    #[test]
    fn one_lab_at_a_time() {
        let folder = tempfile::tempdir().unwrap();
        let first = Captures::open(folder.path(), &quiet()).unwrap();
        let second = Captures::open(folder.path(), &quiet()).err().unwrap();
        assert!(second.to_string().contains("another lab"), "{second}");
        drop(first);
        Captures::open(folder.path(), &quiet()).unwrap();
    }

    #[test]
    fn publishing_replaces_the_last_run_and_removes_its_traces() {
        let folder = tempfile::tempdir().unwrap();
        let captures = Captures::open(&folder.path().join("deep/captures"), &quiet()).unwrap();
        let files = RunFiles::new(captures.path(), "http".parse().unwrap());
        fs::create_dir(captures.path().join("http.partial")).unwrap();
        fs::write(captures.path().join("http.keys"), "of an older run").unwrap();
        fs::write(captures.path().join("https.pcap"), "of another variant").unwrap();

        let staging = captures.stage("00").unwrap();
        write(&staging, &[files.capture(), files.manifest(), files.journal_a(), files.journal_b()]);
        fs::write(staging.path().join("agent-b.ready"), "").unwrap();
        staging.publish(&files).unwrap();
        drop(staging);
        assert_eq!(
            names(captures.path()),
            ["http.agent-a.jsonl", "http.agent-b.jsonl", "http.manifest.json", "http.pcap", "https.pcap"]
        );
    }

    #[test]
    fn a_dead_capturers_files_are_kept_and_the_rest_is_not() {
        let folder = tempfile::tempdir().unwrap();
        let captures = Captures::open(folder.path(), &quiet()).unwrap();
        let files = RunFiles::new(captures.path(), "http".parse().unwrap());
        let staging = captures.stage("00").unwrap();
        assert_eq!(staging.keep_partial(&files).unwrap(), None);
        write(&staging, &[files.partial_capture(), files.partial_manifest(), files.journal_a()]);
        fs::write(staging.path().join("agent-b.ready"), "").unwrap();
        let partial = staging.keep_partial(&files).unwrap().unwrap();
        drop(staging);
        assert_eq!(names(captures.path()), ["http.partial"]);
        assert_eq!(
            names(&partial),
            ["http.agent-a.jsonl", "http.partial.manifest.json", "http.partial.pcap"]
        );
    }

    #[test]
    fn what_a_killed_lab_left_is_removed() {
        let folder = tempfile::tempdir().unwrap();
        fs::create_dir(folder.path().join(".staging-dead")).unwrap();
        fs::write(folder.path().join(".staging-dead/http.partial.pcap"), "").unwrap();
        let captures = Captures::open(folder.path(), &quiet()).unwrap();
        assert!(names(captures.path()).is_empty());
    }
}
