//! `lab __enter`: runs between fork and exec of every program that the lab starts.

use std::fs::File;
use std::os::unix::process::CommandExt;
use std::process::Command;

use anyhow::{Context, bail};
use nix::sched::{CloneFlags, setns};
use nix::sys::prctl::set_pdeathsig;
use nix::sys::signal::Signal;
use nix::unistd::getppid;

use crate::cli::EnterArgs;

/// Enters the namespace, asks the kernel to kill this process with the lab, and executes the program.
pub(crate) fn main(args: &EnterArgs) -> anyhow::Result<()> {
    die_with(args.parent)?;
    if let Some(path) = &args.netns {
        let namespace =
            File::open(path).with_context(|| format!("cannot open the namespace {}", path.display()))?;
        setns(&namespace, CloneFlags::CLONE_NEWNET)
            .with_context(|| format!("cannot enter the namespace {}", path.display()))?;
    }
    let (program, arguments) = args.program.split_first().context("no program to execute")?;
    let error = Command::new(program).args(arguments).exec();
    Err(error).with_context(|| format!("cannot execute {}", program.display()))
}

/// Asks the kernel to kill this process when `parent` dies. The request survives `exec`.
fn die_with(parent: i32) -> anyhow::Result<()> {
    set_pdeathsig(Signal::SIGKILL).context("cannot set the parent-death signal")?;
    // If the parent died before the request, another process is the parent now.
    if getppid().as_raw() != parent {
        bail!("the lab (process {parent}) has exited");
    }
    Ok(())
}
