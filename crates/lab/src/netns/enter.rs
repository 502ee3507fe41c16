//! `lab __enter`: the step between fork and exec of every program the lab starts.

use std::fs::File;
use std::os::unix::process::CommandExt;
use std::process::Command;

use anyhow::{Context, bail};
use nix::sched::{CloneFlags, setns};
use nix::sys::prctl::set_pdeathsig;
use nix::sys::signal::Signal;
use nix::unistd::getppid;

use crate::cli::EnterArgs;

/// Enters the namespace, ties this process to the lab's life, and becomes the program.
pub(crate) fn main(args: &EnterArgs) -> anyhow::Result<()> {
    die_with(args.parent)?;
    if let Some(path) = &args.netns {
        let namespace =
            File::open(path).with_context(|| format!("opening the namespace {}", path.display()))?;
        setns(&namespace, CloneFlags::CLONE_NEWNET)
            .with_context(|| format!("entering the namespace {}", path.display()))?;
    }
    let (program, arguments) = args.program.split_first().context("no program to become")?;
    let error = Command::new(program).args(arguments).exec();
    Err(error).with_context(|| format!("starting {}", program.display()))
}

/// Asks the kernel to kill this process when `parent` dies. The request survives `exec`.
fn die_with(parent: i32) -> anyhow::Result<()> {
    set_pdeathsig(Signal::SIGKILL).context("asking to be killed with the lab")?;
    // It may have died before the kernel was asked; then somebody else is the parent by now.
    if getppid().as_raw() != parent {
        bail!("the lab (process {parent}) is gone");
    }
    Ok(())
}
