//! `gateway`: users, conversations, sandboxes.

use std::process::ExitCode;

use clap::Parser;

fn main() -> ExitCode {
    // Before threads exist: this program is also the helper that makes a sandbox.
    sandbox::enter_if_asked();
    gateway::main(gateway::cli::Cli::parse())
}
