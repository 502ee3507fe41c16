//! `agent-b`: the server of the experiment.

use std::process::ExitCode;

use clap::Parser;

fn main() -> ExitCode {
    agent_b::main(agent_b::Cli::parse())
}
