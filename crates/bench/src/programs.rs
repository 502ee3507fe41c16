//! Finds the programs to measure.

use std::env::consts::EXE_SUFFIX;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};

/// The analyzer: the one that was named, or the one beside this executable. `PATH` is not searched, because it could
/// lead to an older build.
pub(crate) fn analyze(named: Option<&Path>) -> Result<PathBuf> {
    let path = match named {
        Some(path) => path.to_owned(),
        None => {
            let this = std::env::current_exe().context("cannot find this program")?;
            this.with_file_name(format!("analyze{EXE_SUFFIX}"))
        }
    };
    if !path.is_file() {
        let release = if cfg!(debug_assertions) { "" } else { " --release" };
        bail!("not built: {}; run `cargo build{release} -p analyze`", path.display());
    }
    Ok(path)
}

/// A program of the system; `None` if it is not installed.
pub(crate) fn find(name: &str) -> Option<PathBuf> {
    let paths = std::env::var_os("PATH")?;
    std::env::split_paths(&paths)
        // tcpdump is in a directory for administrators, which the PATH of other users often lacks.
        .chain(["/usr/sbin", "/sbin", "/usr/local/sbin"].map(PathBuf::from))
        .map(|folder| folder.join(name))
        .find(|path| path.is_file())
}
