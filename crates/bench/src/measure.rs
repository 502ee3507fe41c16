//! Measures the cost of a program: wall-clock time, CPU time, peak memory.
//!
//! The kernel reports peak memory only for all children of a process together, and a child's peak includes the memory
//! of its parent at the time of the fork. So a small process without other children, `bench measure`, runs each
//! program.

use std::ffi::OsString;
use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Instant;

use anyhow::{Context, Result, bail};
use experiment::files::create_private;
use nix::sys::resource::{UsageWho, getrusage};
use nix::sys::time::TimeVal;
use serde::{Deserialize, Serialize};

/// The cost of one run of a program.
#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
pub(crate) struct Cost {
    /// Exit status; `None` after a signal.
    pub(crate) status: Option<i32>,
    /// Wall-clock time in seconds.
    pub(crate) seconds: f64,
    /// CPU time, user and system, of all threads in seconds.
    pub(crate) cpu_seconds: f64,
    /// Peak memory (resident set) in bytes.
    pub(crate) peak_bytes: u64,
}

impl Cost {
    /// The shorter time of two runs, and the larger peak.
    pub(crate) fn quicker(self, other: Self) -> Self {
        // The peak is compared with a limit, so the worst one counts.
        let peak_bytes = self.peak_bytes.max(other.peak_bytes);
        Self { peak_bytes, ..if other.seconds < self.seconds { other } else { self } }
    }
}

/// Runs `program` in a measuring process, and returns its cost.
pub(crate) fn measure(program: &Path, arguments: &[OsString], stdout: Option<&Path>) -> Result<Cost> {
    let mut command = Command::new(std::env::current_exe().context("cannot find this program")?);
    command.arg("measure");
    if let Some(stdout) = stdout {
        command.arg("--stdout").arg(stdout);
    }
    let output = command.arg("--").arg(program).args(arguments).output();
    let output = output.context("cannot start the measuring process")?;
    let cost: Option<Cost> = serde_json::from_slice(&output.stdout).ok();
    if cost.is_none_or(|cost| cost.status != Some(0)) {
        // The program's messages matter only if it failed.
        eprint!("{}", String::from_utf8_lossy(&output.stderr));
    }
    cost.with_context(|| format!("{} could not be measured", program.display()))
}

/// The measuring process: runs `command`, and prints its cost to stdout as JSON.
pub(crate) fn measuring_process(command: &[OsString], stdout: Option<&PathBuf>) -> Result<()> {
    let [program, arguments @ ..] = command else { bail!("nothing to measure") };
    let stdout = match stdout {
        Some(path) => create_private(path)?,
        None => File::options().write(true).open("/dev/null").context("cannot open /dev/null")?,
    };
    let mut command = Command::new(program);
    command.args(arguments).stdin(Stdio::null()).stdout(stdout).stderr(Stdio::inherit());
    let begin = Instant::now();
    let status = command.status().with_context(|| format!("cannot start {}", program.display()))?;
    let seconds = begin.elapsed().as_secs_f64();
    let usage = getrusage(UsageWho::RUSAGE_CHILDREN).context("cannot read the resource usage")?;
    // Linux counts in KiB, macOS in bytes.
    let unit = if cfg!(target_vendor = "apple") { 1 } else { 1024 };
    let cost = Cost {
        status: status.code(),
        seconds,
        cpu_seconds: in_seconds(usage.user_time()) + in_seconds(usage.system_time()),
        peak_bytes: u64::try_from(usage.max_rss()).unwrap_or(0) * unit,
    };
    println!("{}", serde_json::to_string(&cost)?);
    Ok(())
}

fn in_seconds(time: TimeVal) -> f64 {
    time.tv_sec() as f64 + time.tv_usec() as f64 / 1e6
}
