//! The project's other programs, beside this one: the page starts them for an experiment.

use std::path::PathBuf;
use std::process::Stdio;

use anyhow::{Context, Result, ensure};
use tokio::process::Command;

/// Variables that set flags of these programs; see `lab`, which removes them for the same reason.
const FOREIGN_VARIABLES: [&str; 2] = ["PLAINSIGHT_BACKEND", "LISTEN"];

/// The path of a program in the folder of this one.
pub(crate) fn path(name: &str) -> Result<PathBuf> {
    let this = std::env::current_exe().context("the path of this program is unknown")?;
    let program = this.with_file_name(format!("{name}{}", std::env::consts::EXE_SUFFIX));
    ensure!(
        program.is_file(),
        "{} is not built; run `cargo build -p lab -p agent-a -p agent-b -p capturer -p certgen -p gateway -p \
         isolation-control -p runner -p analyze -p report`",
        program.display()
    );
    Ok(program)
}

/// A command that runs a program. On Linux the kernel kills it when this process ends, as all programs of a lab.
pub(crate) fn command(name: &str) -> Result<Command> {
    let program = path(name)?;
    let mut command = if cfg!(target_os = "linux") {
        let mut command = Command::new(path("lab")?);
        command.arg("__enter").arg("--parent").arg(std::process::id().to_string()).arg("--").arg(program);
        command
    } else {
        Command::new(program)
    };
    for name in FOREIGN_VARIABLES {
        command.env_remove(name);
    }
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).kill_on_drop(true);
    Ok(command)
}
