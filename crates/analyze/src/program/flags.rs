//! The flags of `analyze`.

use std::path::PathBuf;

use crate::input::scope::Scope;
use clap::{Args, Parser, Subcommand, ValueEnum};

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

    /// Directory for copies of the captures, as pcapng, with a comment on each packet that proves a finding
    #[arg(long, value_name = "DIR")]
    pub(crate) annotate: Option<PathBuf>,

    /// Put the key logs into these copies, so that Wireshark decrypts them; comments then quote what the keys open
    #[arg(long, requires = "annotate")]
    pub(crate) embed_keys: bool,

    #[command(flatten)]
    pub(crate) sent: Sent,

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

    #[command(flatten)]
    pub(crate) color: colorchoice_clap::Color,
}

/// What was sent, and the keys: for traffic that no manifest describes.
#[derive(Debug, Default, Args)]
pub(crate) struct Sent {
    /// Strings to search for, one a line, in a capture without a manifest; - for standard input
    #[arg(long, value_name = "FILE")]
    pub(crate) strings: Vec<PathBuf>,

    /// JSON documents whose strings to search for, in a capture without a manifest; - for standard input
    #[arg(long, value_name = "FILE")]
    pub(crate) json: Vec<PathBuf>,

    /// A journal of what was sent, for a capture without a manifest
    #[arg(long = "journal", value_name = "FILE")]
    pub(crate) journals: Vec<PathBuf>,

    /// A key log (SSLKEYLOGFILE format), for a capture without a manifest
    #[arg(long, value_name = "FILE")]
    pub(crate) keys: Option<PathBuf>,

    /// RSA private keys of servers in PEM, which open TLS before 1.3 without forward secrecy, for a capture
    /// without a manifest
    #[arg(long = "server-key", value_name = "FILE")]
    pub(crate) server_keys: Vec<PathBuf>,

    /// The connections that the verdict is about: ADDRESS:PORT, *:PORT or all
    #[arg(long, value_name = "SCOPE")]
    pub(crate) scope: Vec<Scope>,
}

/// What to do instead of giving verdicts.
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Explain every byte of a frame
    Explain(Explain),
    /// Compare two results: what became readable, what ceased to be
    ///
    /// Exit status: 0 nothing became readable, 1 something did or a sandbox leaks, 2 wrong usage or unusable input, 3 the newer
    /// result is in doubt where the older one was not, or the results cannot be compared in full.
    Diff(Diff),
    Check(Check),
}

/// Check captures by a policy, a file of rules: the gate of a CI run.
///
/// Exit status: 0 every rule is met, 1 one is violated, 2 wrong usage or unusable input, 3 the captures do not show whether
/// every rule is met.
#[derive(Debug, Args)]
pub struct Check {
    /// Captures, isolation.json of isolation runs, directories that are walked for both, or a document of `--format json`
    #[arg(default_value = RUN_FOLDER)]
    pub(crate) paths: Vec<PathBuf>,

    /// The policy: docs/policy.md describes its rules
    #[arg(long, value_name = "FILE", default_value = "plainsight.toml")]
    pub(crate) policy: PathBuf,

    /// An older result, whose violations are known and do not fail the check: a document of `--format json`, a capture, or a
    /// directory of captures
    #[arg(long, value_name = "PATH")]
    pub(crate) baseline: Option<PathBuf>,

    /// What to print
    #[arg(long, value_enum, default_value_t = CheckFormat::Text)]
    pub(crate) format: CheckFormat,

    /// Write the outcome into a file, too, in one of these formats
    #[arg(long, value_name = "FORMAT=FILE", value_parser = format_and_file)]
    pub(crate) write: Vec<(CheckFormat, PathBuf)>,

    #[command(flatten)]
    pub(crate) sent: Sent,

    /// Print no progress on stderr
    #[arg(short, long)]
    pub(crate) quiet: bool,

    #[command(flatten)]
    pub(crate) color: colorchoice_clap::Color,
}

/// The value of `--write`.
fn format_and_file(text: &str) -> Result<(CheckFormat, PathBuf), String> {
    let (format, file) = text.split_once('=').ok_or("a format and a file are FORMAT=FILE")?;
    match file {
        "" => Err("the file has no name".to_owned()),
        file => Ok((CheckFormat::from_str(format, false)?, file.into())),
    }
}

/// A format of the outcome of a check.
#[derive(Debug, Clone, Copy, PartialEq, ValueEnum)]
pub(crate) enum CheckFormat {
    /// Text for people
    Text,
    /// The document plainsight.check/1
    Json,
    /// A summary for the page of a CI run, as GitHub shows it
    Markdown,
    /// SARIF 2.1.0: each violation as a result
    Sarif,
    /// JUnit XML: a test case for each rule and capture
    Junit,
}

/// Flags of `analyze diff`.
#[derive(Debug, Args)]
pub(crate) struct Diff {
    /// The older result: a document of `--format json`, a capture, or a directory of captures
    pub(crate) old: PathBuf,

    /// The newer result
    pub(crate) new: PathBuf,

    /// What to print: text, or the document plainsight.diff/1
    #[arg(long, value_enum, default_value_t = TextOrJson::Text, hide_possible_values = true)]
    pub(crate) format: TextOrJson,

    /// Print no progress on stderr
    #[arg(short, long)]
    pub(crate) quiet: bool,
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

    /// RSA private keys of servers in PEM, which open TLS before 1.3 without forward secrecy
    #[arg(long = "server-key", value_name = "FILE")]
    pub(crate) server_keys: Vec<PathBuf>,

    /// Language of the explanations
    #[arg(long, value_enum, default_value_t = Language::En)]
    pub(crate) language: Language,

    /// What to print: text, or the document plainsight.explain/1
    #[arg(long, value_enum, default_value_t = TextOrJson::Text, hide_possible_values = true)]
    pub(crate) format: TextOrJson,
}

/// A language of the explanations.
#[derive(Debug, Clone, Copy, PartialEq, ValueEnum)]
pub(crate) enum Language {
    /// English
    En,
    /// Korean
    Ko,
}

impl Sent {
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

/// A format of results.
#[derive(Debug, Clone, Copy, PartialEq, ValueEnum)]
pub(crate) enum Format {
    /// Text for people
    Text,
    /// The document plainsight.exposure/1
    Json,
    /// An object for each finding, one a line
    Jsonl,
    /// A summary for the page of a CI run, as GitHub shows it
    Markdown,
    /// SARIF 2.1.0: exposures, leaks and doubts as results
    Sarif,
    /// JUnit XML: a test case for each expectation
    Junit,
    /// A row for each finding (RFC 4180)
    Csv,
}

/// A format of explanations and comparisons.
#[derive(Debug, Clone, Copy, PartialEq, ValueEnum)]
pub(crate) enum TextOrJson {
    /// Text for people
    Text,
    /// A JSON document
    Json,
}
