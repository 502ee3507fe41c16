//! `analyze`: searches captures for the strings that the agents sent, and gives verdicts.

use std::fs;
use std::io::{self, IsTerminal, Write};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use analyze::analysis::{self, Options, isolation};
use analyze::input::discover::{self, Input};
use analyze::output::console;
use analyze::verdict::conclusion::{self, Comparison, exit};
use anyhow::{Context, Result};
use clap::{Parser, ValueEnum};
use exposure_schema::{Exposure, Program, SCHEMA};
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

/// Find out which of the agents' strings can be read in a capture, and prove it: exposed, sealed or inconclusive.
///
/// Reads each capture with its manifest, journals and key log, searches for every string that the agents sent, at every
/// level (in one frame, across segments, in encodings, with the key log), and checks by controls that "not found" means
/// "not there".
///
/// Exit status: 0 every verdict is the expected one, 1 one is not, 2 wrong usage or unusable input, 3 inconclusive.
#[derive(Parser)]
#[command(version, max_term_width = 100)]
struct Flags {
    /// Captures, isolation.json of isolation runs, directories that are walked for both, or - for standard input
    #[arg(default_value = "captures")]
    paths: Vec<PathBuf>,

    /// What to print
    #[arg(long, value_enum, default_value_t = Format::Text)]
    format: Format,

    /// File for the result as JSON
    #[arg(long, value_name = "FILE", default_value = "analysis/exposure.json")]
    output: PathBuf,

    /// Write no file
    #[arg(long, conflicts_with = "output")]
    no_output: bool,

    /// A journal of what was sent, for captures without a manifest
    #[arg(long = "journal", value_name = "FILE")]
    journals: Vec<PathBuf>,

    /// A key log (SSLKEYLOGFILE format), for captures without a manifest
    #[arg(long, value_name = "FILE")]
    keys: Option<PathBuf>,

    /// Show values whose name marks them as secrets, in captures without journals
    #[arg(long)]
    show_secrets: bool,

    /// Print no progress on stderr
    #[arg(short, long)]
    quiet: bool,
}

#[derive(Clone, Copy, PartialEq, ValueEnum)]
enum Format {
    /// Text for people
    Text,
    /// The document plainsight.exposure/1
    Json,
}

fn main() -> ExitCode {
    let flags = Flags::parse();
    match run(&flags) {
        Ok(status) => ExitCode::from(status),
        Err(error) => {
            // After stdout and stderr were closed there is nowhere left to report to.
            let _ = writeln!(io::stderr(), "analyze: {error:#}");
            ExitCode::from(exit::INPUT)
        }
    }
}

fn run(flags: &Flags) -> Result<u8> {
    let exposure = analyze_all(flags);
    let nothing = exposure.captures.is_empty() && exposure.isolation.is_empty();
    if !flags.no_output && !nothing {
        write_result(&flags.output, &exposure)?;
    }
    for error in &exposure.errors {
        let _ = writeln!(io::stderr(), "analyze: {error}");
    }
    print(flags.format, &exposure)?;
    Ok(conclusion::exit_status(&exposure.captures, &exposure.isolation, exposure.errors.len()))
}

fn analyze_all(flags: &Flags) -> Exposure {
    let mut captures = Vec::new();
    let mut errors = Vec::new();
    let found = find_inputs(flags, &mut errors);
    for input in found.captures {
        let progress = progress(flags, &input);
        let options = Options { show_secrets: flags.show_secrets };
        let proved = analysis::analyze(&input, options, &mut |bytes| progress.set_position(bytes));
        progress.finish_and_clear();
        match proved {
            Ok(capture) => captures.push(capture),
            Err(error) => errors.push(format!("{error:#}")),
        }
    }
    let mut isolation = Vec::new();
    for file in found.experiments {
        match isolation::analyze(&file) {
            Ok(run) => isolation.push(run),
            Err(error) => errors.push(format!("{error:#}")),
        }
    }
    let Comparison { conclusion, reasons, compared, not_compared } = conclusion::compare(&captures);
    let program = Program { name: env!("CARGO_PKG_NAME").into(), version: env!("CARGO_PKG_VERSION").into() };
    Exposure {
        schema: SCHEMA.into(),
        program,
        captures,
        conclusion,
        reasons,
        compared,
        not_compared,
        isolation,
        errors,
    }
}

/// The inputs that the paths select.
struct Inputs {
    captures: Vec<Input>,
    /// Files that describe isolation runs, each with captures of its own.
    experiments: Vec<PathBuf>,
}

fn find_inputs(flags: &Flags, errors: &mut Vec<String>) -> Inputs {
    let mut captures = Vec::new();
    let mut experiments = Vec::new();
    for path in &flags.paths {
        if path == Path::new("-") {
            captures.push(Input::standard_input());
            continue;
        }
        match discover::files(path) {
            Ok(files) => {
                captures.extend(files.captures.iter().map(|file| Input::file(file)));
                experiments.extend(files.experiments);
            }
            Err(error) => errors.push(format!("{error:#}")),
        }
    }
    for input in &mut captures {
        if input.manifest.is_none() {
            input.journals.extend(flags.journals.iter().cloned());
            if let Some(keys) = &flags.keys {
                input.key_log = Some(keys.clone());
            }
        }
    }
    Inputs { captures, experiments }
}

/// A progress bar for large files, on a terminal only.
fn progress(flags: &Flags, input: &Input) -> ProgressBar {
    let length =
        input.capture.as_ref().and_then(|path| fs::metadata(path).ok()).map_or(0, |metadata| metadata.len());
    if flags.quiet || length < 64 << 20 || !io::stderr().is_terminal() {
        return ProgressBar::hidden();
    }
    let bar = ProgressBar::with_draw_target(Some(length), ProgressDrawTarget::stderr_with_hz(10));
    let style = ProgressStyle::with_template("{msg} {bar:40} {bytes}/{total_bytes} {bytes_per_sec}");
    bar.set_style(style.unwrap_or_else(|_| ProgressStyle::default_bar()));
    bar.set_message(input.display());
    bar
}

/// Writes to a temporary file first, so that an earlier result stays intact until the new one is complete.
fn write_result(path: &Path, exposure: &Exposure) -> Result<()> {
    let what = || format!("cannot write {}", path.display());
    let directory = path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
    fs::create_dir_all(directory).with_context(what)?;
    let mut file = tempfile::NamedTempFile::new_in(directory).with_context(what)?;
    exposure.write(&mut file).with_context(what)?;
    file.persist(path).map_err(|error| error.error).with_context(what)?;
    Ok(())
}

fn print(format: Format, exposure: &Exposure) -> Result<()> {
    let printed = match format {
        Format::Text => anstream::stdout().write_all(console::text(exposure).as_bytes()),
        Format::Json => exposure.write(&mut io::stdout().lock()),
    };
    match printed {
        // The reader may have closed the pipe early.
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(()),
        printed => printed.context("cannot write to stdout"),
    }
}
