//! The programs that the tests start.

use std::env::consts::EXE_SUFFIX;
use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::Command;

/// The analyzer in the target folder. It is built here if it is missing; `make test` and CI build all programs before.
pub(crate) fn analyze() -> PathBuf {
    let test = std::env::current_exe().expect("a test has an executable");
    let deps = test.parent().expect("in a folder");
    let folder = if deps.ends_with("deps") { deps.parent().expect("in the target folder") } else { deps };
    let path = folder.join(format!("analyze{EXE_SUFFIX}"));
    // The tests run in parallel, and only one of them may build.
    let lock = File::create(folder.join(".bench-build.lock")).expect("the target folder is writable");
    lock.lock().expect("a lock in the target folder");
    if !path.is_file() {
        build(folder);
    }
    assert!(path.is_file(), "{} is missing; run `cargo build -p analyze` first", path.display());
    path
}

fn build(folder: &Path) {
    let mut command = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    command.args(["build", "--quiet", "-p", "analyze"]);
    let profile = folder.file_name().and_then(|name| name.to_str()).unwrap_or_default();
    if profile != "debug" {
        command.args(["--profile", profile]);
    }
    if let Some(target) = folder.parent() {
        command.arg("--target-dir").arg(target);
    }
    let built = command.current_dir(env!("CARGO_MANIFEST_DIR")).status().expect("cargo can be started");
    assert!(built.success(), "analyze could not be built");
}
