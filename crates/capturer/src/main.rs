//! Records packets to a pcap file, and states in a manifest what it recorded and what it may have missed.
//!
//! Two vantages: `interface` takes frames from a network interface (Linux), `relay` stands between the agents as a TCP
//! relay and builds the frames from the bytes that cross it (any operating system, no privilege). Neither looks into
//! what it records.

mod capture_file;
mod cli;
mod drain;
#[cfg(target_os = "linux")]
mod interface;
mod relay;
mod session;

use std::process::ExitCode;

use anyhow::Context;
use clap::Parser;
use tracing::Level;

use crate::cli::{Cli, Command, HealthcheckArgs};

fn main() -> ExitCode {
    let cli = Cli::parse();
    log_to_stderr(&cli);
    let result = match &cli.command {
        #[cfg(target_os = "linux")]
        Command::Interface(args) => interface::run(args),
        #[cfg(not(target_os = "linux"))]
        Command::Interface(args) => Err(anyhow::anyhow!(
            "interface {}: this system has no Linux packet sockets; `capturer relay` records on any system",
            args.interface
        )),
        Command::Relay(args) => relay::run(args),
        Command::Healthcheck(args) => healthcheck(args),
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            tracing::error!("{error:#}");
            ExitCode::FAILURE
        }
    }
}

/// Only whether the file is there is asked, since it is readable by its owner alone, and in a container the question
/// comes from a root without the right to override that.
fn healthcheck(args: &HealthcheckArgs) -> anyhow::Result<()> {
    let path = &args.ready_file;
    std::fs::symlink_metadata(path).with_context(|| format!("not recording: {}", path.display()))?;
    Ok(())
}

fn log_to_stderr(cli: &Cli) {
    let level = match (cli.quiet, cli.verbose) {
        (true, _) => Level::ERROR,
        (false, 0) => Level::INFO,
        (false, 1) => Level::DEBUG,
        (false, _) => Level::TRACE,
    };
    tracing_subscriber::fmt()
        .with_max_level(level)
        .with_target(false)
        .with_ansi(
            std::io::IsTerminal::is_terminal(&std::io::stderr()) && std::env::var_os("NO_COLOR").is_none(),
        )
        .with_writer(std::io::stderr)
        .init();
}
