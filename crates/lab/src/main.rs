//! `lab`: runs the experiments on this machine, without Docker and without root.

use std::process::ExitCode;

use clap::Parser;

fn main() -> ExitCode {
    lab::main(lab::Cli::parse())
}
