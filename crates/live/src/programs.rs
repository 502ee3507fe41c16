//! The project's other programs, beside this one: the page starts them for an experiment.

use std::ffi::OsString;
use std::process::Stdio;

use anyhow::{Context, Result, ensure};
use experiment::Executables;
use tokio::process::Command;

/// Variables that set flags of these programs; see `lab`, which removes them for the same reason.
const FOREIGN_VARIABLES: [&str; 2] = ["PLAINSIGHT_BACKEND", "LISTEN"];

/// The words that start a program, its executable first.
fn words(name: &str) -> Result<Vec<OsString>> {
    let executables = Executables::of_this().context("the path of this program is unknown")?;
    let program = executables.file(name);
    ensure!(
        program.is_file(),
        "{} is not built; run `cargo build -p lab -p agent-a -p agent-b -p capturer -p certgen -p gateway -p \
         isolation-control -p runner -p analyze -p report`",
        program.display()
    );
    Ok([vec![program.into_os_string()], executables.arguments(name)].concat())
}

fn command_of(words: &[OsString]) -> Result<Command> {
    let (executable, arguments) = words.split_first().context("a program has an executable")?;
    let mut command = Command::new(executable);
    command.args(arguments);
    Ok(command)
}

/// A command that runs a program. On Linux the kernel kills it when this process ends, as all programs of a lab.
pub(crate) fn command(name: &str) -> Result<Command> {
    let program = words(name)?;
    let mut command = if cfg!(target_os = "linux") {
        let mut command = command_of(&words("lab")?)?;
        command.arg("__enter").arg("--parent").arg(std::process::id().to_string()).arg("--").args(program);
        command
    } else {
        command_of(&program)?
    };
    for name in FOREIGN_VARIABLES {
        command.env_remove(name);
    }
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).kill_on_drop(true);
    Ok(command)
}
