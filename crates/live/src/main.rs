//! `live`: serves a page that shows a conversation on the left, its packets on the right, and the verdict as it grows.

use std::process::ExitCode;

use clap::Parser;

fn main() -> ExitCode {
    live::main(&live::Cli::parse())
}
