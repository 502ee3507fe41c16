//! `analyze`: searches captures for the strings that the agents sent, and gives verdicts.

use std::process::ExitCode;

use clap::Parser;

fn main() -> ExitCode {
    analyze::main(analyze::Cli::parse())
}
