//! Makes large captures whose content is known, and measures the analyzer on them.
//!
//! No time counts before the answer is right: every planted string has to be found at its level with its exact frames,
//! and all counts have to be exact. The truth comes from the generator, which shares no code with the observer.

#![forbid(unsafe_code)]

mod capture_spec;
mod check;
mod files;
mod ground_truth;
mod measure;
mod message;
mod programs;
mod rng;
mod run;
mod table;
mod text;
mod tls;
mod traffic;
mod wire;

use std::ffi::OsString;
use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::Result;
use clap::{Parser, Subcommand};

use crate::capture_spec::{CaptureSpec, Shape, Size};

/// Makes large captures whose content is known, and measures the analyzer on them.
///
/// Exit status: 0 every answer was exact, 1 one was not, 2 something could not be done.
#[derive(Parser)]
#[command(version)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Make captures, measure the analyzer and others on them, check every answer
    Run(run::Flags),
    /// Make one capture with journals, manifest and truth
    Generate {
        /// Kind of traffic
        #[arg(long, value_enum)]
        shape: Shape,
        /// Size of the capture, roughly
        #[arg(long, default_value = "256MiB")]
        size: Size,
        /// What chance begins with: the same seed makes the same capture
        #[arg(long, default_value_t = 1)]
        seed: u64,
        /// Where it is made [default: a folder of the user's in the system's folder for temporary files]
        #[arg(long)]
        dir: Option<PathBuf>,
    },
    /// Run a program and tell its cost as JSON
    #[command(hide = true)]
    Measure {
        /// Where its standard output goes [default: /dev/null]
        #[arg(long)]
        stdout: Option<PathBuf>,
        /// The program and its arguments
        #[arg(last = true, required = true)]
        command: Vec<OsString>,
    },
}

fn main() -> ExitCode {
    match run(Cli::parse().command) {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::from(1),
        Err(error) => {
            eprintln!("bench: {error:#}");
            ExitCode::from(2)
        }
    }
}

fn run(command: Command) -> Result<bool> {
    match command {
        Command::Run(flags) => run::run(&flags),
        Command::Generate { shape, size, seed, dir } => {
            let capture = run::obtain(&run::folder(dir.as_deref())?, &CaptureSpec::new(shape, size, seed))?;
            println!("{}", capture.path().display());
            Ok(true)
        }
        Command::Measure { stdout, command } => {
            measure::measuring_process(&command, stdout.as_ref()).map(|()| true)
        }
    }
}
