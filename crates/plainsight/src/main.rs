//! Every program of the project in one: `plainsight NAME …` is the program NAME.
//!
//! The programs stay separate libraries, and the lab starts them as separate processes: this program again, with another name.
#![forbid(unsafe_code)]

mod pages;

use std::env;
use std::io::{self, Write as _};
use std::path::PathBuf;
use std::process::ExitCode;

use clap::{CommandFactory, Parser, Subcommand};
use clap_complete::Shell;

/// What can an eavesdropper read of what two agents send each other?
///
/// Records agents over HTTP and HTTPS, proves string by string what is readable in the packets, and writes the report.
#[derive(Debug, Parser)]
#[command(name = "plainsight", version, max_term_width = 100, after_help = FIRST_STEPS)]
struct Cli {
    #[command(subcommand)]
    program: Option<Program>,
}

const FIRST_STEPS: &str = "\
First steps:
  plainsight lab run http https     record both variants
  plainsight analyze captures/      prove what is readable in them
  plainsight report                 write the report

In a checkout, `make lab` does all three, and `make help` lists the rest.";

/// The programs, in the order in which an experiment uses them. Each has the description of its own command line.
#[derive(Debug, Subcommand)]
enum Program {
    Lab(lab::Cli),
    Doctor(lab::DoctorArgs),
    Analyze(Box<analyze::Cli>),
    Check(analyze::Check),
    Report(report::Cli),
    #[command(visible_alias = "capturer")]
    Capture(capturer::Cli),
    #[command(visible_alias = "certgen")]
    Certs(certgen::Cli),
    Live(live::Cli),
    Gateway(Box<gateway::cli::Cli>),
    AgentA(agent_a::Cli),
    AgentB(agent_b::Cli),
    #[command(hide = true)]
    IsolationControl(isolation_control::Cli),
    /// Print what completes the commands in a shell.
    Completions {
        /// The shell.
        shell: Shell,
    },
    /// Write the manual pages.
    Man {
        /// Folder for the pages, which must exist.
        folder: PathBuf,
    },
}

/// The program in a sandbox. It has a command line of its own, which does without the parser.
const RUNNER: &str = "runner";

fn main() -> ExitCode {
    // Before threads exist: this program is also the helper that makes a sandbox.
    sandbox::enter_if_asked();
    experiment::executables::this_contains_all();
    let mut arguments = env::args_os().skip(1);
    if arguments.next().is_some_and(|name| name == RUNNER) {
        return runner::main(arguments);
    }
    match Cli::parse().program {
        Some(program) => run(program),
        None => written(Cli::command().print_help()),
    }
}

/// The reader may have closed the pipe early.
fn written(result: io::Result<()>) -> ExitCode {
    match result {
        Err(error) if error.kind() != io::ErrorKind::BrokenPipe => ExitCode::FAILURE,
        _ => ExitCode::SUCCESS,
    }
}

fn run(program: Program) -> ExitCode {
    match program {
        Program::Lab(cli) => lab::main(cli),
        Program::Doctor(args) => lab::doctor(&args),
        Program::Analyze(cli) => analyze::main(*cli),
        Program::Check(flags) => analyze::check(&flags),
        Program::Report(cli) => report::main(cli),
        Program::Capture(cli) => capturer::main(&cli),
        Program::Certs(cli) => certgen::main(cli),
        Program::Live(cli) => live::main(&cli),
        Program::Gateway(cli) => gateway::main(*cli),
        Program::AgentA(cli) => agent_a::main(&cli),
        Program::AgentB(cli) => agent_b::main(cli),
        Program::IsolationControl(cli) => isolation_control::main(&cli),
        Program::Completions { shell } => {
            written(io::stdout().write_all(&pages::completions(Cli::command(), shell)))
        }
        Program::Man { folder } => match pages::write_manual(Cli::command(), &folder) {
            Ok(()) => ExitCode::SUCCESS,
            Err(error) => {
                eprintln!("plainsight: cannot write the manual pages to {}: {error}", folder.display());
                ExitCode::from(2)
            }
        },
    }
}
