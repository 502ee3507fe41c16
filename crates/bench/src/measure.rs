//! What a program costs: time on the clock, time of the processor, memory at its peak.
//!
//! The kernel tells the peak of the *children* of a process, all of them together, and counts to a program's peak what its
//! parent had in memory when it started it. So every program is measured by a process of its own that is small and has
//! no other child: `bench measure`.

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

/// What one run of a program took.
#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
pub(crate) struct Cost {
    /// Exit status; `None` after a signal.
    pub(crate) status: Option<i32>,
    /// From its start to its end, seconds.
    pub(crate) seconds: f64,
    /// Time of the processor, user and system, all threads, seconds.
    pub(crate) cpu_seconds: f64,
    /// Most memory in use at any time, bytes.
    pub(crate) peak_bytes: u64,
}

impl Cost {
    /// The quicker of two.
    pub(crate) fn quicker(self, other: Self) -> Self {
        // Memory is what it can come to, not what it came to at best.
        let peak_bytes = self.peak_bytes.max(other.peak_bytes);
        Self { peak_bytes, ..if other.seconds < self.seconds { other } else { self } }
    }
}

/// Runs `program` from a small process of its own.
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
        // What it had to say is of interest only if it failed.
        eprint!("{}", String::from_utf8_lossy(&output.stderr));
    }
    cost.with_context(|| format!("{} could not be measured", program.display()))
}

/// The measuring process: runs `command` and tells its cost on stdout.
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
    let usage = getrusage(UsageWho::RUSAGE_CHILDREN).context("cannot ask what it took")?;
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
