//! Every program of the project in one: `plainsight NAME …` is the program NAME.
//!
//! The programs stay separate libraries, and the lab starts them as separate processes: this program again, with another name.
#![forbid(unsafe_code)]

use std::env;
use std::process::ExitCode;

use clap::{CommandFactory, Parser, Subcommand};

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

/// The programs, in the order in which an experiment uses them.
#[derive(Debug, Subcommand)]
enum Program {
    /// Run the experiment on this machine
    Lab(lab::Cli),
    /// Check what works on this machine, with a remedy for each thing that does not
    Doctor(lab::DoctorArgs),
    /// Prove which strings of the agents can be read in captures
    Analyze(Box<analyze::Cli>),
    /// Turn the analyzer's result into a report: Markdown, HTML, PDF
    Report(report::Cli),
    /// Record packets from an interface, or as a TCP relay
    #[command(visible_alias = "capturer")]
    Capture(capturer::Cli),
    /// Make the certificate authority and the certificates of the lab
    #[command(visible_alias = "certgen")]
    Certs(certgen::Cli),
    /// Serve the page: a conversation beside its packets
    Live(live::Cli),
    /// Serve POST /api/conversation: each request in a sandbox of its own
    Gateway(Box<gateway::cli::Cli>),
    /// The client of the experiment: post tool calls, and check every answer
    AgentA(agent_a::Cli),
    /// The server of the experiment: answer tool calls over HTTP or HTTPS
    AgentB(agent_b::Cli),
    /// The positive control of the isolation experiment; `lab` starts it
    #[command(hide = true)]
    IsolationControl(isolation_control::Cli),
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
        None => match Cli::command().print_help() {
            Ok(()) => ExitCode::SUCCESS,
            // The reader may have closed the pipe early.
            Err(error) if error.kind() == std::io::ErrorKind::BrokenPipe => ExitCode::SUCCESS,
            Err(_) => ExitCode::FAILURE,
        },
    }
}

fn run(program: Program) -> ExitCode {
    match program {
        Program::Lab(cli) => lab::main(cli),
        Program::Doctor(args) => lab::doctor(&args),
        Program::Analyze(cli) => analyze::main(*cli),
        Program::Report(cli) => report::main(cli),
        Program::Capture(cli) => capturer::main(&cli),
        Program::Certs(cli) => certgen::main(cli),
        Program::Live(cli) => live::main(&cli),
        Program::Gateway(cli) => gateway::main(*cli),
        Program::AgentA(cli) => agent_a::main(&cli),
        Program::AgentB(cli) => agent_b::main(cli),
        Program::IsolationControl(cli) => isolation_control::main(&cli),
    }
}
