//! Finds the workspace's programs in the target folder of the running test, and builds missing ones.

use std::env::consts::EXE_SUFFIX;
use std::fs::{self, File, Permissions};
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;

use tempfile::TempDir;

/// The programs that the lab starts, and the lab.
const LAB: [&str; 9] =
    ["agent-a", "agent-b", "capturer", "certgen", "gateway", "isolation-control", "live", "runner", "lab"];

/// The path of a program of the workspace. A missing program is built.
///
/// An existing program is not rebuilt: `make test` and CI build all programs before the tests start.
///
/// # Panics
/// If the program cannot be built. The message names the command to run.
#[must_use]
pub fn program(name: &str) -> PathBuf {
    let path = folder().join(format!("{name}{EXE_SUFFIX}"));
    if !path.is_file() {
        build(&path, name);
    }
    path
}

/// The path of the lab, beside all programs that it starts.
#[must_use]
pub fn lab() -> PathBuf {
    static PATH: OnceLock<PathBuf> = OnceLock::new();
    PATH.get_or_init(|| LAB.map(program).into_iter().last().expect("the list ends with the lab")).clone()
}

/// A folder with the lab and the programs that it starts, one of them replaced by a shell script.
///
/// The lab starts the programs beside it, so the script can do what no flag makes the real program do.
///
/// # Panics
/// If the folder cannot be made.
#[must_use]
pub fn with_script(replaced: &str, script: &str) -> TempDir {
    let _ = lab();
    let place = tempfile::Builder::new().prefix("plainsight-programs-").tempdir_in(folder());
    let place = place.expect("a folder in the target folder");
    for name in LAB {
        let path = place.path().join(name);
        if name == replaced {
            fs::write(&path, format!("#!/bin/sh\n{script}\n")).expect("a script");
            fs::set_permissions(&path, Permissions::from_mode(0o755)).expect("a script that can be run");
        } else if name == "lab" {
            // Not a symbolic link, because the lab would resolve it to find the programs beside it.
            fs::hard_link(program(name), &path).expect("a link in the same folder");
        } else {
            symlink(program(name), &path).expect("a link");
        }
    }
    place
}

/// The folder in which cargo puts programs: the parent of `deps`, which contains the test executables.
#[must_use]
pub fn folder() -> &'static Path {
    static FOLDER: OnceLock<PathBuf> = OnceLock::new();
    FOLDER.get_or_init(|| {
        let test = std::env::current_exe().expect("a test has an executable");
        let deps = test.parent().expect("in a folder");
        let is_below = deps.ends_with("deps") || deps.ends_with("examples");
        let profile = if is_below { deps.parent() } else { Some(deps) };
        profile.expect("below the target folder").to_owned()
    })
}

/// Builds a program under a lock, because tests run in parallel threads and processes.
fn build(path: &Path, name: &str) {
    let lock_path = folder().join(".e2e-build.lock");
    let lock = File::create(&lock_path).expect("the target folder is writable");
    lock.lock().expect("a lock in the target folder");
    if path.is_file() {
        return;
    }
    let mut command = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    command.args(["build", "--quiet", "-p", name]);
    let profile = folder().file_name().and_then(|name| name.to_str()).unwrap_or_default();
    if profile != "debug" {
        command.args(["--profile", profile]);
    }
    if let Some(target) = folder().parent() {
        command.arg("--target-dir").arg(target);
    }
    let built = command.current_dir(env!("CARGO_MANIFEST_DIR")).status();
    assert!(
        built.is_ok_and(|status| status.success()) && path.is_file(),
        "{} is missing and could not be built; run `cargo build --workspace --bins` first",
        path.display()
    );
}
