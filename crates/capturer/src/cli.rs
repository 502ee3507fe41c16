//! The command line.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use clap::{ArgAction, Args, Parser, Subcommand};
use experiment::files::RunName;
use experiment::{Backend, Experiment, RunId};

/// Records packets to a pcap file, and describes the capture of an experiment in a manifest.
///
/// After SIGTERM or SIGINT the capturer drains until no frame has arrived for --quiet-ms, then closes the file and finishes
/// the manifest. Until then both files have `.partial` in their names and can be read. A flag overrides its variable.
///
/// Without --variant it records traffic that is not the lab's, without a manifest. A capture from which the kernel dropped
/// frames then keeps `.partial` in its name, and the exit status is 1.
#[derive(Debug, Parser)]
#[command(version)]
pub struct Cli {
    #[command(subcommand)]
    pub(crate) command: Command,
    /// Log more to stderr; twice for everything.
    #[arg(short, long, global = true, action = ArgAction::Count)]
    pub(crate) verbose: u8,
    /// Log errors only.
    #[arg(long, global = true, conflicts_with = "verbose")]
    pub(crate) quiet: bool,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Capture on a network interface (Linux; needs root or CAP_NET_RAW).
    Interface(InterfaceArgs),
    /// Relay TCP connections and record them (any system, no privilege).
    Relay(RelayArgs),
    /// Check whether a capturer is recording: exit 0 if its ready file exists, else 1. For containers, whose images hold no
    /// shell.
    Healthcheck(HealthcheckArgs),
}

/// The flags of both vantages.
#[derive(Debug, Args)]
pub(crate) struct RunArgs {
    /// The experiment that is run: a variant's name, or isolation [default: none, and no manifest].
    #[arg(long = "variant", value_name = "EXPERIMENT", env = "CAPTURE_VARIANT")]
    pub(crate) experiment: Option<Experiment>,
    /// Folder for the capture and its manifest; created if missing.
    #[arg(long, value_name = "DIR", env = "CAPTURE_OUTPUT")]
    pub(crate) output: PathBuf,
    /// Stem of the file names [default: the experiment's name, or capture].
    #[arg(long, env = "CAPTURE_NAME")]
    pub(crate) name: Option<RunName>,
    /// The server's port [default: the experiment's, or 0]. The kernel filter of `interface` keeps this port only; 0 keeps
    /// every frame.
    #[arg(long, env = "CAPTURE_PORT")]
    pub(crate) port: Option<u16>,
    /// Maximum number of bytes kept of each frame.
    #[arg(long, default_value_t = craft::pcap::FULL_SNAPLEN, value_name = "BYTES", env = "CAPTURE_SNAPLEN",
          value_parser = clap::value_parser!(u32).range(64..=i64::from(craft::pcap::FULL_SNAPLEN)))]
    pub(crate) snaplen: u32,
    /// The run id, 32 hex digits, the same as in the journals [default: fresh].
    #[arg(long, value_name = "HEX", env = "RUN_ID")]
    pub(crate) run_id: Option<RunId>,
    /// File to write once the capturer is recording.
    #[arg(long, value_name = "FILE", env = READY_FILE)]
    pub(crate) ready_file: Option<PathBuf>,
    /// File name of the key log, for the manifest; with the variant isolation the manifest then states TLS 1.3.
    #[arg(long, value_name = "NAME", env = "CAPTURE_KEY_LOG")]
    pub(crate) key_log: Option<String>,
    /// After a signal, drain until no frame has arrived for this long.
    #[arg(long, default_value_t = 300, value_name = "MS", env = "CAPTURE_QUIET_MS",
          value_parser = clap::value_parser!(u32).range(..=60_000))]
    quiet_ms: u32,
}

impl RunArgs {
    /// How long no frame may arrive before the capture ends.
    pub(crate) fn quiet(&self) -> Duration {
        Duration::from_millis(self.quiet_ms.into())
    }
}

#[derive(Debug, Args)]
pub(crate) struct InterfaceArgs {
    /// Name of the interface, as in `ip link`.
    #[arg(long, value_name = "IF", env = "CAPTURE_INTERFACE")]
    pub(crate) interface: String,
    /// Environment of the traffic, for the manifest: netns, relay or docker.
    #[arg(long, env = "CAPTURE_BACKEND", 
          required_if_eq_any = Experiment::all().map(|it| ("experiment", it.name())))]
    pub(crate) backend: Option<Backend>,
    /// Capture every frame, on any port.
    #[arg(long)]
    pub(crate) no_filter: bool,
    /// User and group to switch to once the packet socket is open; they own the files.
    #[cfg(target_os = "linux")]
    #[arg(long, value_name = "UID:GID", env = "CAPTURE_USER")]
    pub(crate) user: Option<crate::interface::privileges::Owner>,
    #[command(flatten)]
    pub(crate) run: RunArgs,
}

#[derive(Debug, Args)]
pub(crate) struct RelayArgs {
    /// Address to listen on for agent-a; port 0 selects a free port, which the ready file contains.
    #[arg(long, value_name = "ADDR:PORT", env = "CAPTURE_LISTEN")]
    pub(crate) listen: SocketAddr,
    /// Address of agent-b.
    #[arg(long, value_name = "ADDR:PORT", env = "CAPTURE_CONNECT")]
    pub(crate) connect: SocketAddr,
    /// Environment of the traffic, for the manifest: netns, relay or docker.
    #[arg(long, default_value_t = Backend::Relay, env = "CAPTURE_BACKEND")]
    pub(crate) backend: Backend,
    #[command(flatten)]
    pub(crate) run: RunArgs,
}

#[derive(Debug, Args)]
pub(crate) struct HealthcheckArgs {
    /// The capturer's --ready-file.
    #[arg(long, value_name = "FILE", env = READY_FILE)]
    pub(crate) ready_file: PathBuf,
}

/// The capturer and its health check use the same variable, so that a container sets it once.
const READY_FILE: &str = "CAPTURE_READY_FILE";

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    #[test]
    fn clap_definition_is_valid() {
        Cli::command().debug_assert();
    }

    #[test]
    fn rejects_invalid_values_and_names_valid_ones() {
        let relay =
            ["capturer", "relay", "--listen", "127.0.0.1:0", "--connect", "127.0.0.1:1", "--output", "x"];
        let error = |extra: &[&str]| Cli::try_parse_from(relay.iter().chain(extra)).unwrap_err().to_string();
        assert!(error(&["--variant", "gopher"]).contains("known: http, https"));
        assert!(error(&["--variant", "http", "--name", "../x"]).contains("run name"));
        assert!(error(&["--variant", "http", "--run-id", "12"]).contains("32 lower-case hex digits"));
        assert!(error(&["--variant", "http", "--snaplen", "1"]).contains("64..=262144"));
    }
}
