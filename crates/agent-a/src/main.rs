//! `agent-a`: the client of the experiment.

use std::process::ExitCode;

use clap::Parser;

fn main() -> ExitCode {
    agent_a::main(&agent_a::Cli::parse())
}
