//! The flags of `analyze`.

use std::path::PathBuf;

use crate::input::scope::Scope;
use clap::{ArgGroup, Args, Parser, Subcommand, ValueEnum};

use super::result_file::RUN_FOLDER;

/// Find out which of the agents' strings can be read in a capture, and prove it: exposed, sealed or inconclusive.
///
/// Reads each capture with its manifest, journals and key log, searches for every string that the agents sent, at every
/// level (in one frame, across segments, in encodings, with the key log), and checks by controls that "not found" means
/// "not there".
///
/// For traffic that the lab did not make, --strings, --json or --journal name what was sent, and --keys the keys: see
/// docs/own-traffic.md.
///
/// Exit status: 0 every verdict is the expected one, 1 one is not, 2 wrong usage or unusable input, 3 inconclusive.
#[derive(Debug, Parser)]
#[command(version, max_term_width = 100, args_conflicts_with_subcommands = true)]
#[command(group = ArgGroup::new("known").multiple(true))]
pub struct Flags {
    #[command(subcommand)]
    pub(crate) command: Option<Command>,

    /// Captures, isolation.json of isolation runs, directories that are walked for both, or - for standard input
    #[arg(default_value = RUN_FOLDER)]
    pub(crate) paths: Vec<PathBuf>,

    /// What to print
    #[arg(long, value_enum, default_value_t = Format::Text)]
    pub(crate) format: Format,

    /// File for the result as JSON; without it, analysis/exposure.json if all paths are in the folder captures
    #[arg(long, value_name = "FILE")]
    pub(crate) output: Option<PathBuf>,

    /// Write no file
    #[arg(long, conflicts_with = "output")]
    pub(crate) no_output: bool,

    /// Strings to search for, one a line, in a capture without a manifest; - for standard input
    #[arg(long, value_name = "FILE", group = "known")]
    pub(crate) strings: Vec<PathBuf>,

    /// JSON documents whose strings to search for, in a capture without a manifest; - for standard input
    #[arg(long, value_name = "FILE", group = "known")]
    pub(crate) json: Vec<PathBuf>,

    /// A journal of what was sent, for a capture without a manifest
    #[arg(long = "journal", value_name = "FILE", group = "known")]
    pub(crate) journals: Vec<PathBuf>,

    /// A key log (SSLKEYLOGFILE format), for a capture without a manifest
    #[arg(long, value_name = "FILE")]
    pub(crate) keys: Option<PathBuf>,

    /// RSA private keys of servers in PEM, which open TLS before 1.3 without forward secrecy, for a capture
    /// without a manifest
    #[arg(long = "server-key", value_name = "FILE")]
    pub(crate) server_keys: Vec<PathBuf>,

    /// The connections that the verdict is about: ADDRESS:PORT, *:PORT or all
    #[arg(long, value_name = "SCOPE", requires = "known")]
    pub(crate) scope: Vec<Scope>,

    /// Show values whose name marks them as secrets, in captures without journals
    #[arg(long)]
    pub(crate) show_secrets: bool,

    /// Follow one capture that another program is writing, or standard input: print a line for each message as it
    /// completes, and the result when the capture is over
    #[arg(long)]
    pub(crate) follow: bool,

    /// With --follow, a capture is over that did not grow for this many seconds
    #[arg(long, value_name = "SECONDS", requires = "follow")]
    pub(crate) follow_for: Option<u64>,

    /// Print no progress on stderr
    #[arg(short, long)]
    pub(crate) quiet: bool,
}

/// What to do instead of giving verdicts.
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Explain every byte of a frame
    Explain(Explain),
}

/// Flags of `analyze explain`.
#[derive(Debug, Args)]
pub(crate) struct Explain {
    /// The capture
    pub(crate) capture: PathBuf,

    /// Number of the frame, from 1, as Wireshark counts
    pub(crate) frame: u64,

    /// A key log (SSLKEYLOGFILE format); by default the one that belongs to the capture
    #[arg(long, value_name = "FILE")]
    pub(crate) keys: Option<PathBuf>,

    /// Language of the explanations
    #[arg(long, value_enum, default_value_t = Language::En)]
    pub(crate) language: Language,

    /// What to print: text, or the document plainsight.explain/1
    #[arg(long, value_enum, default_value_t = Format::Text, hide_possible_values = true)]
    pub(crate) format: Format,
}

/// A language of the explanations.
#[derive(Debug, Clone, Copy, PartialEq, ValueEnum)]
pub(crate) enum Language {
    /// English
    En,
    /// Korean
    Ko,
}

impl Flags {
    /// Whether flags name what was sent.
    pub(crate) fn name_what_was_sent(&self) -> bool {
        !(self.strings.is_empty() && self.json.is_empty() && self.journals.is_empty())
    }

    /// The first flag that is only of use for traffic that no manifest describes.
    pub(crate) fn about_own_traffic(&self) -> Option<&'static str> {
        let given = [
            ("--strings", !self.strings.is_empty()),
            ("--json", !self.json.is_empty()),
            ("--journal", !self.journals.is_empty()),
            ("--keys", self.keys.is_some()),
            ("--server-key", !self.server_keys.is_empty()),
        ];
        given.into_iter().find(|(_, is_given)| *is_given).map(|(flag, _)| flag)
    }
}

#[derive(Debug, Clone, Copy, PartialEq, ValueEnum)]
pub(crate) enum Format {
    /// Text for people
    Text,
    /// The document plainsight.exposure/1
    Json,
}
