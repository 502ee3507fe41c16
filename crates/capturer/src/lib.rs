//! Records packets to a pcap file, and describes in a manifest what was recorded and what may be missing.
//!
//! There are two vantages: `interface` captures frames on a network interface (Linux); `relay` is a TCP relay between the
//! agents that builds frames from the bytes that pass through it (any system, no privilege). Neither parses payloads.

mod capture_file;
mod cli;
mod drain;
#[cfg(target_os = "linux")]
mod interface;
mod relay;
mod session;

use std::io::Write as _;
use std::process::ExitCode;

use anyhow::Context;
use experiment::exit_status;
use tracing::Level;

pub use crate::cli::Cli;
use crate::cli::{Command, HealthcheckArgs};

/// Does what the command line asks for.
#[must_use]
pub fn main(cli: &Cli) -> ExitCode {
    log_to_stderr(cli);
    let result = match &cli.command {
        #[cfg(target_os = "linux")]
        Command::Interface(args) => interface::run(args),
        #[cfg(not(target_os = "linux"))]
        Command::Interface(args) => Err(anyhow::anyhow!(
            "cannot capture on interface {}: packet sockets need Linux; use `capturer relay`, which works on any system",
            args.interface
        )),
        Command::Relay(args) => relay::run(args),
        Command::Healthcheck(args) => healthcheck(args),
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            // After stderr was closed there is nowhere left to report to.
            let _ = writeln!(std::io::stderr(), "capturer: {error:#}");
            ExitCode::from(exit_status::of(error.as_ref()))
        }
    }
}

/// Checks only that the file exists. Only its owner may read it, and a container's health check runs as a root without the
/// capability to override that.
fn healthcheck(args: &HealthcheckArgs) -> anyhow::Result<()> {
    let path = &args.ready_file;
    std::fs::symlink_metadata(path)
        .with_context(|| format!("not recording: no ready file {}", path.display()))?;
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
        .with_ansi(anstream::AutoStream::choice(&std::io::stderr()) != anstream::ColorChoice::Never)
        .with_writer(std::io::stderr)
        .init();
}
