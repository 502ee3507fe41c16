//! `certgen`: creates the lab's certificates, and keeps those that are still valid.

use std::process::ExitCode;

use clap::Parser;

fn main() -> ExitCode {
    certgen::main(certgen::Cli::parse())
}
