//! `isolation-control`: the positive control of the isolation experiment.

use std::process::ExitCode;

use clap::Parser;

fn main() -> ExitCode {
    // The sandboxes re-execute this program.
    sandbox::enter_if_asked();
    isolation_control::main(&isolation_control::Cli::parse())
}
