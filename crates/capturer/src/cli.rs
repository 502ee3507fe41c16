//! The command line.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use clap::{ArgAction, Args, Parser, Subcommand};
use experiment::files::RunName;
use experiment::{Backend, Experiment, RunId};

/// Records packets to a pcap file and states in a manifest what was recorded.
///
/// SIGTERM or SIGINT ends a capture: it reads on until nothing has come for --quiet-ms, closes the file and finishes
/// the manifest. Until then both carry `.partial` in their names and are readable. A flag wins over its variable.
#[derive(Debug, Parser)]
#[command(version)]
pub(crate) struct Cli {
    #[command(subcommand)]
    pub(crate) command: Command,
    /// Say more on stderr; twice for still more.
    #[arg(short, long, global = true, action = ArgAction::Count)]
    pub(crate) verbose: u8,
    /// Say nothing but errors.
    #[arg(long, global = true, conflicts_with = "verbose")]
    pub(crate) quiet: bool,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Capture from a network interface (Linux; root or CAP_NET_RAW).
    Interface(InterfaceArgs),
    /// Relay TCP connections and record what crosses (any system, no privilege).
    Relay(RelayArgs),
    /// Ask whether a capturer records: exit 0 when its ready file is there, 1 when not. For containers, whose images
    /// hold no shell to ask with.
    Healthcheck(HealthcheckArgs),
}

/// What both vantages are told about the run.
#[derive(Debug, Args)]
pub(crate) struct RunArgs {
    /// The experiment that is run: a variant's name, or isolation.
    #[arg(long = "variant", value_name = "EXPERIMENT", env = "CAPTURE_VARIANT")]
    pub(crate) experiment: Experiment,
    /// Folder for the capture and its manifest; made if absent.
    #[arg(long, value_name = "DIR", env = "CAPTURE_OUTPUT")]
    pub(crate) output: PathBuf,
    /// Stem of the file names [default: the experiment's name].
    #[arg(long, env = "CAPTURE_NAME")]
    pub(crate) name: Option<RunName>,
    /// The server's port [default: the experiment's]. The kernel filter of `interface` keeps this port only; 0 keeps
    /// every frame.
    #[arg(long, env = "CAPTURE_PORT")]
    pub(crate) port: Option<u16>,
    /// Bytes kept of each frame.
    #[arg(long, default_value_t = craft::pcap::FULL_SNAPLEN, value_name = "BYTES", env = "CAPTURE_SNAPLEN",
          value_parser = clap::value_parser!(u32).range(64..=i64::from(craft::pcap::FULL_SNAPLEN)))]
    pub(crate) snaplen: u32,
    /// 32 hex digits that the journals of the run carry too [default: fresh].
    #[arg(long, value_name = "HEX", env = "RUN_ID")]
    pub(crate) run_id: Option<RunId>,
    /// Write this file once packets are recorded.
    #[arg(long, value_name = "FILE", env = READY_FILE)]
    pub(crate) ready_file: Option<PathBuf>,
    /// File name of the key log the agents write, for the manifest.
    #[arg(long, value_name = "NAME", env = "CAPTURE_KEY_LOG")]
    pub(crate) key_log: Option<String>,
    /// After a signal, read on until nothing has come for this long.
    #[arg(long, default_value_t = 300, value_name = "MS", env = "CAPTURE_QUIET_MS",
          value_parser = clap::value_parser!(u32).range(..=60_000))]
    quiet_ms: u32,
}

impl RunArgs {
    /// How long nothing must come before the end.
    pub(crate) fn quiet(&self) -> Duration {
        Duration::from_millis(self.quiet_ms.into())
    }
}

#[derive(Debug, Args)]
pub(crate) struct InterfaceArgs {
    /// The interface, as `ip link` names it.
    #[arg(long, value_name = "IF", env = "CAPTURE_INTERFACE")]
    pub(crate) interface: String,
    /// Where the traffic runs: netns, relay or docker.
    #[arg(long, env = "CAPTURE_BACKEND")]
    pub(crate) backend: Backend,
    /// Take every frame, whatever its port.
    #[arg(long)]
    pub(crate) no_filter: bool,
    /// Once the packet socket is open, become this user and group, who then own the files.
    #[cfg(target_os = "linux")]
    #[arg(long, value_name = "UID:GID", env = "CAPTURE_USER")]
    pub(crate) user: Option<crate::interface::privileges::Owner>,
    #[command(flatten)]
    pub(crate) run: RunArgs,
}

#[derive(Debug, Args)]
pub(crate) struct RelayArgs {
    /// Where agent-a connects to; port 0 takes a free one, which the ready file tells.
    #[arg(long, value_name = "ADDR:PORT", env = "CAPTURE_LISTEN")]
    pub(crate) listen: SocketAddr,
    /// Where agent-b listens.
    #[arg(long, value_name = "ADDR:PORT", env = "CAPTURE_CONNECT")]
    pub(crate) connect: SocketAddr,
    /// Where the traffic runs: netns, relay or docker.
    #[arg(long, default_value_t = Backend::Relay, env = "CAPTURE_BACKEND")]
    pub(crate) backend: Backend,
    #[command(flatten)]
    pub(crate) run: RunArgs,
}

#[derive(Debug, Args)]
pub(crate) struct HealthcheckArgs {
    /// The capturer's own --ready-file.
    #[arg(long, value_name = "FILE", env = READY_FILE)]
    pub(crate) ready_file: PathBuf,
}

/// The same variable for the capturer and for who asks after it, so that a container needs to be told once.
const READY_FILE: &str = "CAPTURE_READY_FILE";

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    #[test]
    fn the_command_line_is_sound() {
        Cli::command().debug_assert();
    }

    #[test]
    fn wrong_values_are_refused_with_what_is_known() {
        let relay =
            ["capturer", "relay", "--listen", "127.0.0.1:0", "--connect", "127.0.0.1:1", "--output", "x"];
        let error = |extra: &[&str]| Cli::try_parse_from(relay.iter().chain(extra)).unwrap_err().to_string();
        assert!(error(&["--variant", "gopher"]).contains("known: http, https"));
        assert!(error(&["--variant", "http", "--name", "../x"]).contains("run name"));
        assert!(error(&["--variant", "http", "--run-id", "12"]).contains("32 lower-case hex digits"));
        assert!(error(&["--variant", "http", "--snaplen", "1"]).contains("64..=262144"));
    }
}
