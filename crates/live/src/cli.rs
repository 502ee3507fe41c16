//! The command line.

use std::net::SocketAddr;
use std::path::PathBuf;

use clap::{ArgAction, Parser};

/// Serves the page that shows a conversation beside its packets, runs experiments, and opens captures.
///
/// `lab demo` (make demo) starts it with gateway, agent-b and captures. On its own it opens captures: those of --captures,
/// and those that a browser sends it. No file leaves this machine.
///
/// Exit status: 0 after SIGTERM or SIGINT, 1 the page cannot be served, 2 usage error.
#[derive(Debug, Parser)]
#[command(name = "live", version)]
pub struct Cli {
    /// Address of the page. On another address than loopback, a browser needs the token in the printed URL.
    #[arg(long, value_name = "IP:PORT", default_value = experiment::demo::PAGE, env = "LISTEN")]
    pub(crate) listen: SocketAddr,

    /// Serve on the listening socket that is stdin, which `lab demo` opened.
    #[arg(long, hide = true, conflicts_with = "listen")]
    pub(crate) listener_is_stdin: bool,

    /// What `lab demo` started (plainsight.demo/1), or docker/demo.json. Waits for each file that it names, up to 10 s.
    #[arg(long, value_name = "FILE", env = "DEMO")]
    pub(crate) demo: Option<PathBuf>,

    /// Show the captures in this folder, such as those of `make lab` or of CI; may be repeated.
    #[arg(long, value_name = "DIR")]
    pub(crate) captures: Vec<PathBuf>,

    /// Open the page in a browser.
    #[arg(long)]
    pub(crate) open: bool,

    /// Write {"local":"ip:port"} to this file once the page is served.
    #[arg(long, value_name = "FILE")]
    pub(crate) ready_file: Option<PathBuf>,

    /// Log more to stderr; twice for everything.
    #[arg(short, long, action = ArgAction::Count)]
    pub(crate) verbose: u8,
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    #[test]
    fn clap_definition_is_valid() {
        super::Cli::command().debug_assert();
    }
}
