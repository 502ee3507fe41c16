//! The command line: what can be asked of the lab, and nothing of how it is done.

use std::ffi::OsString;
use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;

use clap::{Args, Parser, Subcommand, ValueEnum};
use experiment::{Experiment, RunId, Variant, variant::UnknownName};

/// Runs the experiment on this machine: two agents, a wire between them, and a capturer on the wire.
///
/// Exit status: 0 done, 1 the run failed, 2 wrong usage.
#[derive(Debug, Parser)]
#[command(name = "lab", version)]
pub(crate) struct Cli {
    /// Show what the programs say while they run.
    #[arg(short, long, global = true)]
    pub(crate) verbose: bool,

    /// Say nothing but errors.
    #[arg(short, long, global = true, conflicts_with = "verbose")]
    pub(crate) quiet: bool,

    #[command(subcommand)]
    pub(crate) command: Command,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Run experiments in the order given, and publish their captures, journals and manifests.
    Run(RunArgs),
    /// Say what this machine can do and, where it refuses something, the remedy.
    Doctor(DoctorArgs),
    /// Run the variants many times and print what a cold and a warm request cost, read from the captures.
    Cost(CostArgs),
    /// Enter a network namespace, arrange to die with the lab, become the program.
    #[command(name = "__enter", hide = true)]
    Enter(EnterArgs),
    /// Do one step of the isolation experiment in a container of its own.
    #[command(name = "__isolation", hide = true)]
    Isolation(IsolationArgs),
    /// Try the netns backend in this process and print the outcome as JSON.
    #[command(name = "__probe", hide = true)]
    Probe,
}

#[derive(Debug, Args)]
pub(crate) struct RunArgs {
    #[arg(required = true, value_name = "EXPERIMENT", help = experiments_help())]
    pub(crate) experiments: Vec<Experiment>,

    #[command(flatten)]
    pub(crate) setup: SetupArgs,

    /// Where the files of the runs go.
    #[arg(long, value_name = "DIR", default_value = "captures")]
    pub(crate) captures: PathBuf,

    /// How many messages agent-a posts (its `--count`); its own script when left out.
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    pub(crate) count: Option<u32>,
}

#[derive(Debug, Args)]
pub(crate) struct CostArgs {
    /// How often each variant is run.
    #[arg(long, value_name = "N", default_value_t = 200, value_parser = clap::value_parser!(u32).range(1..=100_000))]
    pub(crate) runs: u32,

    /// The variants to run; all of them when left out.
    #[arg(value_name = "VARIANT", value_parser = variant)]
    pub(crate) variants: Vec<&'static Variant>,

    #[command(flatten)]
    pub(crate) setup: SetupArgs,
}

#[derive(Debug, Args)]
pub(crate) struct DoctorArgs {
    /// The certificates to look for.
    #[arg(long, value_name = "DIR", default_value = "certs")]
    pub(crate) certs: PathBuf,
}

/// Where and with what a run takes place.
#[derive(Debug, Args)]
pub(crate) struct SetupArgs {
    /// Where the traffic runs.
    #[arg(long, env = "PLAINSIGHT_BACKEND", value_enum, default_value_t = BackendChoice::Auto)]
    pub(crate) backend: BackendChoice,

    /// Certificates; made or renewed when a variant needs them.
    #[arg(long, value_name = "DIR", default_value = "certs")]
    pub(crate) certs: PathBuf,
}

/// The backend that was asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum BackendChoice {
    /// The first that works: netns, then relay.
    Auto,
    /// Two network namespaces joined by a veth pair (Linux).
    Netns,
    /// Loopback with a recording relay in between (everywhere).
    Relay,
}

#[derive(Debug, Args)]
pub(crate) struct EnterArgs {
    /// The network namespace to enter; this one when left out.
    #[arg(long, value_name = "PATH")]
    pub(crate) netns: Option<PathBuf>,

    /// Process id of the lab that must outlive the program.
    #[arg(long, value_name = "PID")]
    pub(crate) parent: i32,

    /// The program and its arguments.
    #[arg(last = true, required = true, value_name = "PROGRAM")]
    pub(crate) program: Vec<OsString>,
}

#[derive(Debug, Args)]
pub(crate) struct IsolationArgs {
    /// Which step.
    #[arg(value_enum)]
    pub(crate) step: IsolationStep,

    /// Where the files of the run are.
    #[arg(long, value_name = "DIR")]
    pub(crate) folder: PathBuf,

    /// 32 hex digits.
    #[arg(long, env = "RUN_ID", value_name = "HEX")]
    pub(crate) run_id: RunId,

    /// Where the gateway listens.
    #[arg(long, value_name = "IP:PORT")]
    pub(crate) server: SocketAddr,

    /// This container's own address on the users' network.
    #[arg(long, value_name = "IP")]
    pub(crate) client: IpAddr,

    /// The other agent, beyond the gateway.
    #[arg(long, value_name = "IP")]
    pub(crate) outside: IpAddr,

    /// The same by IPv6.
    #[arg(long, value_name = "IP")]
    pub(crate) outside_v6: IpAddr,

    /// The network that the control's boxes are given, as the engine names it.
    #[arg(long, value_name = "NAME")]
    pub(crate) network: String,
}

/// The steps of the isolation experiment in containers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum IsolationStep {
    Talk,
    Intrude,
    Control,
    Unboxed,
    Record,
}

fn variant(name: &str) -> Result<&'static Variant, UnknownName> {
    Variant::named(name)
}

fn experiments_help() -> String {
    format!(
        "The experiments to run: {}",
        Experiment::all().map(Experiment::name).collect::<Vec<_>>().join(", ")
    )
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    #[test]
    fn the_definition_is_sound() {
        Cli::command().debug_assert();
    }

    #[test]
    fn run_accepts_every_experiment_and_rejects_unknown_names() {
        for experiment in Experiment::all() {
            let cli = Cli::try_parse_from(["lab", "run", experiment.name()]).unwrap();
            let Command::Run(args) = cli.command else { panic!("run expected") };
            assert_eq!(args.experiments, [experiment]);
        }
        let error = Cli::try_parse_from(["lab", "run", "gopher"]).unwrap_err();
        assert!(error.to_string().contains("known: http, https, isolation"), "{error}");
        assert_eq!(error.exit_code(), 2);
    }

    #[test]
    fn cost_accepts_variants_only() {
        let cli = Cli::try_parse_from(["lab", "cost", "http", "https"]).unwrap();
        let Command::Cost(args) = cli.command else { panic!("cost expected") };
        assert_eq!(args.variants.len(), 2);
        let error = Cli::try_parse_from(["lab", "cost", "isolation"]).unwrap_err();
        assert!(error.to_string().contains("known: http, https"), "{error}");
    }
}
