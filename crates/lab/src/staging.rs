//! The staging folder of a run, and the publication of its files in the captures folder.
//!
//! ```text
//! captures/.staging-RUN_ID/   the files of a run in progress; removed when the run ends, successful or not
//! captures/NAME.*             the files of the last successful run
//! captures/NAME.partial/      the files of a run whose capturer died, with the journals
//! ```

use std::fs::{self, File, TryLockError};
use std::io;
use std::path::{Path, PathBuf};

use anyhow::{Context, bail};
use experiment::RunFiles;

use crate::report::Reporter;

const STAGING_PREFIX: &str = ".staging-";

/// The captures folder, locked for one lab at a time.
///
/// The lock is on the folder itself (`flock`): there is no lock file, and a killed lab leaves no stale lock.
pub(crate) struct Captures {
    path: PathBuf,
    _lock: File,
}

impl Captures {
    /// Creates the folder if it is missing, locks it, and removes staging folders of killed labs.
    pub(crate) fn open(path: &Path, reporter: &Reporter) -> anyhow::Result<Self> {
        create_private_folder(path)
            .with_context(|| format!("cannot create the folder {}", path.display()))?;
        let path =
            fs::canonicalize(path).with_context(|| format!("cannot find the folder {}", path.display()))?;
        let lock = File::open(&path).with_context(|| format!("cannot open {}", path.display()))?;
        match lock.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => bail!("another lab uses {}; wait until it ends", path.display()),
            Err(TryLockError::Error(error)) => {
                return Err(error).with_context(|| format!("cannot lock {}", path.display()));
            }
        }
        let captures = Self { path, _lock: lock };
        captures.remove_stale(reporter)?;
        Ok(captures)
    }

    /// Creates the staging folder of a run. It must not outlive the lock.
    pub(crate) fn stage(&self, run_id: &str) -> anyhow::Result<Staging<'_>> {
        let path = self.path.join(format!("{STAGING_PREFIX}{run_id}"));
        create_private_folder(&path)
            .with_context(|| format!("cannot create the folder {}", path.display()))?;
        Ok(Staging { captures: self, path })
    }

    /// The absolute path of the folder.
    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// This lab holds the lock, so any staging folder belongs to a lab that was killed.
    fn remove_stale(&self, reporter: &Reporter) -> anyhow::Result<()> {
        let entries =
            fs::read_dir(&self.path).with_context(|| format!("cannot read {}", self.path.display()))?;
        for entry in entries {
            let entry = entry.with_context(|| format!("cannot read {}", self.path.display()))?;
            if entry.file_name().to_string_lossy().starts_with(STAGING_PREFIX) {
                let path = entry.path();
                fs::remove_dir_all(&path).with_context(|| format!("cannot remove {}", path.display()))?;
                reporter.note(&format!("removed {}, left behind by a killed lab", path.display()));
            }
        }
        Ok(())
    }
}

/// The staging folder of a run. Removed on drop.
pub(crate) struct Staging<'a> {
    captures: &'a Captures,
    path: PathBuf,
}

impl Staging<'_> {
    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// Publishes the files of the run, replacing those of the variant's last run.
    ///
    /// The old manifest is removed first and the new one moved last: if the lab is killed in between, the folder holds a
    /// capture without a manifest, never a manifest of another capture.
    pub(crate) fn publish(&self, files: &RunFiles) -> anyhow::Result<()> {
        let folder = &self.captures.path;
        remove_file_if_there(&folder.join(files.manifest()))?;
        for name in [files.capture(), files.journal_a(), files.journal_b(), files.key_log(), files.manifest()]
        {
            let (from, to) = (self.path.join(&name), folder.join(&name));
            remove_file_if_there(&to)?;
            match experiment::files::rename_durably(&from, &to) {
                // A variant without TLS has no key log.
                Err(error) if error.kind() == io::ErrorKind::NotFound && name == files.key_log() => {}
                other => other?,
            }
        }
        remove_folder_if_there(&self.partial(files))
    }

    /// Publishes these files, replacing all for which `is_of_an_earlier_run` holds.
    ///
    /// The old `record` is removed first and the new one moved last: if the lab is killed in between, the folder holds
    /// captures without a record.
    pub(crate) fn publish_as(
        &self,
        record: &str,
        files: &[String],
        is_of_an_earlier_run: impl Fn(&str) -> bool,
    ) -> anyhow::Result<()> {
        let folder = &self.captures.path;
        remove_file_if_there(&folder.join(record))?;
        let entries = fs::read_dir(folder).with_context(|| format!("cannot read {}", folder.display()))?;
        for entry in entries {
            let entry = entry.with_context(|| format!("cannot read {}", folder.display()))?;
            let old = entry.file_name().to_str().is_some_and(&is_of_an_earlier_run);
            if old && entry.path().is_file() {
                remove_file_if_there(&entry.path())?;
            }
        }
        for name in files.iter().map(String::as_str).chain([record]) {
            experiment::files::rename_durably(&self.path.join(name), &folder.join(name))?;
        }
        Ok(())
    }

    /// Keeps the files of a capturer that died, and returns their folder; `None` if there are none.
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
            .with_context(|| format!("cannot create the folder {}", partial.display()))?;
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
        // If this fails, the next lab removes the folder and reports it.
        let _ = fs::remove_dir_all(&self.path);
    }
}

/// Creates a folder of mode 0700; an existing folder keeps its mode.
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
            Err(error).with_context(|| format!("cannot remove {}", path.display()))
        }
        _ => Ok(()),
    }
}

fn remove_folder_if_there(path: &Path) -> anyhow::Result<()> {
    match fs::remove_dir_all(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => {
            Err(error).with_context(|| format!("cannot remove {}", path.display()))
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
    fn refuses_a_second_lab_in_the_same_folder() {
        let folder = tempfile::tempdir().unwrap();
        let first = Captures::open(folder.path(), &quiet()).unwrap();
        let second = Captures::open(folder.path(), &quiet()).err().unwrap();
        assert!(second.to_string().contains("another lab"), "{second}");
        drop(first);
        Captures::open(folder.path(), &quiet()).unwrap();
    }

    #[test]
    fn publishing_replaces_all_files_of_the_last_run() {
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
    fn keeps_the_files_of_a_dead_capturer_and_no_others() {
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
    fn removes_staging_folders_of_killed_labs() {
        let folder = tempfile::tempdir().unwrap();
        fs::create_dir(folder.path().join(".staging-dead")).unwrap();
        fs::write(folder.path().join(".staging-dead/http.partial.pcap"), "").unwrap();
        let captures = Captures::open(folder.path(), &quiet()).unwrap();
        assert!(names(captures.path()).is_empty());
    }
}
