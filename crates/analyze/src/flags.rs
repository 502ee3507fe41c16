//! The flags of `analyze`.

use std::path::PathBuf;

use clap::{Parser, ValueEnum};

use crate::result_file::RUN_FOLDER;

/// Find out which of the agents' strings can be read in a capture, and prove it: exposed, sealed or inconclusive.
///
/// Reads each capture with its manifest, journals and key log, searches for every string that the agents sent, at every
/// level (in one frame, across segments, in encodings, with the key log), and checks by controls that "not found" means
/// "not there".
///
/// Exit status: 0 every verdict is the expected one, 1 one is not, 2 wrong usage or unusable input, 3 inconclusive.
#[derive(Parser)]
#[command(version, max_term_width = 100)]
pub(crate) struct Flags {
    /// Captures, isolation.json of isolation runs, directories that are walked for both, or - for standard input
    #[arg(default_value = RUN_FOLDER)]
    pub paths: Vec<PathBuf>,

    /// What to print
    #[arg(long, value_enum, default_value_t = Format::Text)]
    pub format: Format,

    /// File for the result as JSON; without it, analysis/exposure.json if all paths are in the folder captures
    #[arg(long, value_name = "FILE")]
    pub output: Option<PathBuf>,

    /// Write no file
    #[arg(long, conflicts_with = "output")]
    pub no_output: bool,

    /// A journal of what was sent, for captures without a manifest
    #[arg(long = "journal", value_name = "FILE")]
    pub journals: Vec<PathBuf>,

    /// A key log (SSLKEYLOGFILE format), for captures without a manifest
    #[arg(long, value_name = "FILE")]
    pub keys: Option<PathBuf>,

    /// Show values whose name marks them as secrets, in captures without journals
    #[arg(long)]
    pub show_secrets: bool,

    /// Print no progress on stderr
    #[arg(short, long)]
    pub quiet: bool,
}

#[derive(Clone, Copy, PartialEq, ValueEnum)]
pub(crate) enum Format {
    /// Text for people
    Text,
    /// The document plainsight.exposure/1
    Json,
}
