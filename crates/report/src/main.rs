//! `report`: turns the analyzer's result into the lab report.

use std::process::ExitCode;

use clap::Parser;

fn main() -> ExitCode {
    report::main(report::Cli::parse())
}
