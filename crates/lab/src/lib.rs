//! `lab`: runs the experiments on this machine, without Docker and without root.
//!
//! It owns the order of a run (certificates, capturer, agent-b, agent-a, and back) and the environment that carries the
//! traffic (see `backend`). It leaves no process, namespace or temporary file behind, whether a run succeeds, fails, is
//! interrupted, or one of its programs is killed.
//! It knows nothing about packets, except for `lab cost`, and nothing about TLS: the other programs do the work as child
//! processes, controlled by their flags.

mod backend;
mod cli;
mod connection_timing;
mod cost;
mod demo;
mod doctor;
#[cfg(target_os = "linux")]
mod isolation;
mod machine;
#[cfg(target_os = "linux")]
mod netns;
mod phases;
mod process;
mod programs;
mod report;
mod run;
mod runs;
mod signals;
mod staging;

use std::process::ExitCode;

pub use cli::{Cli, DoctorArgs};
use experiment::exit_status;

use cli::Command;
use report::Reporter;

/// Does what the command line asks for.
#[must_use]
pub fn main(cli: Cli) -> ExitCode {
    let reporter = Reporter::new(cli.quiet, cli.verbose);
    let outcome = match cli.command {
        Command::Run(args) => match args.check() {
            Ok(()) => runs::main(&args, &reporter),
            Err(error) => {
                let _ = error.print();
                return ExitCode::from(exit_status::UNUSABLE);
            }
        },
        Command::Doctor(args) => doctor::main(&args),
        Command::Cost(args) => cost::main(&args, &reporter),
        Command::Demo(args) => demo::main(&args, &reporter),
        #[cfg(target_os = "linux")]
        Command::Enter(args) => netns::enter::main(&args),
        #[cfg(target_os = "linux")]
        Command::Isolation(args) => isolation::containers::main(&args),
        #[cfg(target_os = "linux")]
        Command::Probe => netns::probe::main(),
        #[cfg(not(target_os = "linux"))]
        Command::Enter(_) | Command::Isolation(_) | Command::Probe => {
            Err(anyhow::anyhow!("network namespaces need Linux"))
        }
    };
    status(outcome, &reporter)
}

/// Checks which backends work on this machine, and prints a remedy for each that does not.
#[must_use]
pub fn doctor(args: &DoctorArgs) -> ExitCode {
    status(doctor::main(args), &Reporter::new(false, false))
}

fn status(outcome: anyhow::Result<()>, reporter: &Reporter) -> ExitCode {
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            reporter.error(&format!("{error:#}"));
            ExitCode::from(exit_status::of(error.as_ref()))
        }
    }
}
