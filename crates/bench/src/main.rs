//! Generates large captures with known contents, and measures the analyzer on them.
//!
//! A time counts only if the answer is exact: the analyzer must find every planted string at its level with its exact
//! frames, and all counts must be right. The generator records the ground truth; it shares no code with the observer.

#![forbid(unsafe_code)]

mod capture_spec;
mod capture_writer;
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

use std::ffi::OsString;
use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::Result;
use clap::{Parser, Subcommand};

use crate::capture_spec::{CaptureSpec, Shape, Size};

/// Generates large captures with known contents, and measures the analyzer on them.
///
/// Exit status: 0 every answer is exact, 1 an answer is wrong, 2 an error prevented the measurement.
#[derive(Parser)]
#[command(version)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Generate captures, measure the analyzer and other programs on them, and check every answer
    Run(run::Flags),
    /// Generate one capture with journals, manifest and ground truth
    Generate {
        /// Kind of traffic
        #[arg(long, value_enum)]
        shape: Shape,
        /// Approximate size of the capture
        #[arg(long, default_value = "256MiB")]
        size: Size,
        /// Seed of the random numbers: the same seed gives the same capture
        #[arg(long, default_value_t = 1)]
        seed: u64,
        /// Folder for the capture [default: a private folder in the system's temporary folder]
        #[arg(long)]
        dir: Option<PathBuf>,
    },
    /// Run a program and print its cost as JSON
    #[command(hide = true)]
    Measure {
        /// File for its standard output [default: /dev/null]
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
