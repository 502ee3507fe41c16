//! The command line.

use std::ffi::OsString;
use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;

use clap::error::ErrorKind;
use clap::{Args, CommandFactory as _, Parser, Subcommand, ValueEnum};
use experiment::{Experiment, RunId, Variant};

/// Runs the experiments on this machine: two agents, a network between them, and a capturer on the network.
///
/// Exit status: 0 success, 1 the run failed, 2 usage error.
#[derive(Debug, Parser)]
#[command(name = "lab", version)]
pub struct Cli {
    /// Show the output of the programs while they run.
    #[arg(short, long, global = true)]
    pub(crate) verbose: bool,

    /// Print errors only.
    #[arg(short, long, global = true, conflicts_with = "verbose")]
    pub(crate) quiet: bool,

    #[command(subcommand)]
    pub(crate) command: Command,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Run experiments in the order given, and publish their captures, journals and manifests.
    Run(RunArgs),
    Doctor(DoctorArgs),
    /// Run the variants many times, and print the latency of cold and warm requests as measured in the captures.
    Cost(CostArgs),
    /// Start gateway, agent-b and capture, and serve the page that shows what an eavesdropper reads, until Ctrl-C.
    Demo(DemoArgs),
    /// Enter a network namespace and execute a program that the kernel kills when the lab dies.
    #[command(name = "__enter", hide = true)]
    Enter(EnterArgs),
    /// Do one step of the isolation experiment, in a container of its own.
    #[command(name = "__isolation", hide = true)]
    Isolation(IsolationArgs),
    /// Try the netns backend in this process, and print the result as JSON.
    #[command(name = "__probe", hide = true)]
    Probe,
}

#[derive(Debug, Args)]
pub(crate) struct RunArgs {
    #[arg(required = true, value_name = "EXPERIMENT", help = experiments_help())]
    pub(crate) experiments: Vec<Experiment>,

    #[command(flatten)]
    pub(crate) setup: SetupArgs,

    /// Folder for the files of the runs.
    #[arg(long, value_name = "DIR", default_value = "captures")]
    pub(crate) captures: PathBuf,

    /// Number of messages that agent-a posts; without the flag, its whole script.
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    pub(crate) count: Option<u32>,

    /// What to print: text, the path of each result; or json, an object for each experiment, one a line.
    #[arg(long, value_enum, default_value_t = Format::Text, hide_possible_values = true)]
    pub(crate) format: Format,
}

impl RunArgs {
    /// Refuses flags that contradict each other.
    pub(crate) fn check(&self) -> Result<(), clap::Error> {
        if self.setup.backend == BackendChoice::Relay && self.experiments.contains(&Experiment::Isolation) {
            let why = "backend relay cannot carry the isolation experiment, whose sandboxes have network namespaces; leave out \
                       --backend (PLAINSIGHT_BACKEND), or run it in containers with `make isolation`";
            return Err(Cli::command().error(ErrorKind::ArgumentConflict, why));
        }
        Ok(())
    }
}

/// What the result is printed as.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Format {
    /// Text for people.
    Text,
    /// JSON for programs.
    Json,
}

#[derive(Debug, Args)]
pub(crate) struct CostArgs {
    /// Number of runs of each variant.
    #[arg(long, value_name = "N", default_value_t = 200, value_parser = clap::value_parser!(u32).range(1..=100_000))]
    pub(crate) runs: u32,

    /// The variants to run; without any, all of them.
    #[arg(value_name = "VARIANT", value_parser = variant)]
    pub(crate) variants: Vec<&'static Variant>,

    #[command(flatten)]
    pub(crate) setup: SetupArgs,

    /// What to print: text, a table; or json, the document plainsight.cost/1.
    #[arg(long, value_enum, default_value_t = Format::Text, hide_possible_values = true)]
    pub(crate) format: Format,
}

#[derive(Debug, Args)]
pub(crate) struct DemoArgs {
    /// Address of the page. On another address than loopback, a browser needs the token in the printed URL.
    #[arg(long, value_name = "IP:PORT", default_value = experiment::demo::PAGE, env = "LISTEN")]
    pub(crate) listen: SocketAddr,

    /// Open the page in a browser.
    #[arg(long)]
    pub(crate) open: bool,

    #[command(flatten)]
    pub(crate) setup: SetupArgs,

    /// Folder in which the demo keeps its files while it runs.
    #[arg(long, value_name = "DIR", default_value = "captures")]
    pub(crate) captures: PathBuf,
}

/// Check which backends work on this machine, and print a remedy for each that does not.
#[derive(Debug, Args)]
pub struct DoctorArgs {
    /// Folder of the certificates.
    #[arg(long, value_name = "DIR", default_value = "certs")]
    pub(crate) certs: PathBuf,

    /// What to print: text, a table; or json, the document plainsight.doctor/1.
    #[arg(long, value_enum, default_value_t = Format::Text, hide_possible_values = true)]
    pub(crate) format: Format,
}

/// The environment of a run.
#[derive(Debug, Args)]
pub(crate) struct SetupArgs {
    /// The backend that carries the traffic.
    #[arg(long, env = "PLAINSIGHT_BACKEND", value_enum, default_value_t = BackendChoice::Auto)]
    pub(crate) backend: BackendChoice,

    /// Folder of the certificates; certgen creates or renews them when an experiment needs them.
    #[arg(long, value_name = "DIR", default_value = "certs")]
    pub(crate) certs: PathBuf,
}

/// The backend that the user asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum BackendChoice {
    /// netns if it works on this machine, else relay.
    Auto,
    /// Two network namespaces joined by a veth pair (Linux).
    Netns,
    /// Loopback with a recording relay between the agents (any system).
    Relay,
}

#[derive(Debug, Args)]
pub(crate) struct EnterArgs {
    /// The network namespace to enter, if any.
    #[arg(long, value_name = "PATH")]
    pub(crate) netns: Option<PathBuf>,

    /// Process id of the lab; the program dies with it.
    #[arg(long, value_name = "PID")]
    pub(crate) parent: i32,

    /// The program and its arguments.
    #[arg(last = true, required = true, value_name = "PROGRAM")]
    pub(crate) program: Vec<OsString>,
}

#[derive(Debug, Args)]
pub(crate) struct IsolationArgs {
    /// The step to do.
    #[arg(value_enum)]
    pub(crate) step: IsolationStep,

    /// Folder of the run's files.
    #[arg(long, value_name = "DIR")]
    pub(crate) folder: PathBuf,

    /// The run id, 32 hex digits.
    #[arg(long, env = "RUN_ID", value_name = "HEX")]
    pub(crate) run_id: RunId,

    /// The gateway's listening address.
    #[arg(long, value_name = "IP:PORT")]
    pub(crate) server: SocketAddr,

    /// This container's address on the users' network.
    #[arg(long, value_name = "IP")]
    pub(crate) client: IpAddr,

    /// The address from which the plan has another client replay a user's id.
    #[arg(long, value_name = "IP")]
    pub(crate) intruder: Option<IpAddr>,

    /// The phase that a beacon belongs to, or whose owner or intruder this is.
    #[arg(long, value_name = "NAME")]
    pub(crate) phase: Option<String>,

    /// Whether a beacon starts or ends the captures of its phase.
    #[arg(long, value_name = "start|end")]
    pub(crate) moment: Option<String>,

    /// IPv4 address of agent-b, outside the gateway's host.
    #[arg(long, value_name = "IP")]
    pub(crate) outside: IpAddr,

    /// IPv6 address of agent-b.
    #[arg(long, value_name = "IP")]
    pub(crate) outside_v6: IpAddr,

    /// The Docker network of the control's sandboxes.
    #[arg(long, value_name = "NAME")]
    pub(crate) network: String,
}

/// The steps of the isolation experiment in containers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum IsolationStep {
    Settle,
    Plan,
    Beacon,
    UserTraffic,
    Replay,
    Control,
    Unboxed,
    Owner,
    Intruder,
    Record,
}

fn variant(name: &str) -> Result<&'static Variant, String> {
    Variant::named(name).map_err(|error| match Experiment::named(name) {
        Ok(Experiment::Isolation) => {
            format!("{error}. The isolation experiment compares no latencies: `lab run isolation` runs it")
        }
        _ => error.to_string(),
    })
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
    fn clap_definition_is_valid() {
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
        assert!(error.to_string().contains("`lab run isolation`"), "{error}");
    }

    #[test]
    fn isolation_over_the_relay_is_refused_with_the_reason() {
        let checked = |arguments: &[&str]| {
            let cli = Cli::try_parse_from([&["lab", "run"], arguments].concat()).unwrap();
            let Command::Run(args) = cli.command else { panic!("run expected") };
            args.check()
        };
        let error = checked(&["http", "isolation", "--backend", "relay"]).unwrap_err();
        assert!(error.to_string().contains("backend relay cannot carry the isolation experiment"), "{error}");
        assert_eq!(error.exit_code(), 2);
        assert!(checked(&["isolation", "--backend", "netns"]).is_ok());
        assert!(checked(&["http", "--backend", "relay"]).is_ok());
    }
}
