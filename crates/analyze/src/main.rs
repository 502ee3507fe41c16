//! `analyze`: searches captures for the strings that the agents sent, and gives verdicts.

mod flags;
mod result_file;

use std::fs;
use std::io::{self, IsTerminal, Write};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;

use analyze::analysis::{self, Options, isolation};
use analyze::input::discover::{self, Input, OwnTraffic};
use analyze::input::strings::GivenStrings;
use analyze::output::console;
use analyze::verdict::conclusion::{self, Comparison};
use anyhow::{Context, Result, bail};
use clap::Parser;
use exposure_schema::{Exposure, Program, SCHEMA};
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

use crate::flags::{Flags, Format};

fn main() -> ExitCode {
    let flags = Flags::parse();
    let exposure = analyze_all(&flags);
    exposure.errors.iter().for_each(|error| report_error(error));
    let mut failures = 0;
    for outcome in [print(flags.format, &exposure), write_result(&flags, &exposure)] {
        if let Err(error) = outcome {
            report_error(&format!("{error:#}"));
            failures += 1;
        }
    }
    let errors = exposure.errors.len() + failures;
    ExitCode::from(conclusion::exit_status(&exposure.captures, &exposure.isolation, errors))
}

/// Reports an error in one line on stderr. After stderr was closed there is nowhere left to report to.
fn report_error(error: &str) {
    let _ = writeln!(io::stderr(), "analyze: {}", console::safe(error));
}

fn write_result(flags: &Flags, exposure: &Exposure) -> Result<()> {
    let nothing = exposure.captures.is_empty() && exposure.isolation.is_empty();
    if flags.no_output || nothing {
        return Ok(());
    }
    let is_run = flags.about_own_traffic().is_none();
    let path = flags.output.clone().or_else(|| result_file::of_run(&flags.paths).filter(|_| is_run));
    path.map_or(Ok(()), |path| result_file::write(&path, exposure))
}

fn analyze_all(flags: &Flags) -> Exposure {
    let mut captures = Vec::new();
    let mut found = discover::find(&flags.paths);
    let mut errors: Vec<_> = found.errors.iter().map(|error| format!("{error:#}")).collect();
    let own = own_traffic(flags, found.captures.contains(&None)).unwrap_or_else(|error| {
        errors.push(format!("{error:#}"));
        found.captures.clear();
        None
    });
    for path in found.captures {
        let input = match input(flags, own.as_ref(), path) {
            Ok(input) => input,
            Err(error) => {
                errors.push(format!("{error:#}"));
                continue;
            }
        };
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

/// What the flags state about traffic that no manifest describes; `None` if they do not name what was sent.
fn own_traffic(flags: &Flags, is_stdin_a_capture: bool) -> Result<Option<Arc<OwnTraffic>>> {
    let from_stdin = |paths: &[PathBuf]| paths.iter().filter(|path| *path == Path::new("-")).count();
    if from_stdin(&flags.strings) + from_stdin(&flags.json) + usize::from(is_stdin_a_capture) > 1 {
        bail!("standard input can be read only once: it is given more than once as -");
    }
    let mut strings = GivenStrings::default();
    for path in &flags.strings {
        strings.add_lines(path)?;
    }
    for path in &flags.json {
        strings.add_json(path)?;
    }
    Ok(flags.name_what_was_sent().then(|| Arc::new(OwnTraffic { strings, scope: flags.scope.clone() })))
}

/// A capture with its companions, those that flags name included.
fn input(flags: &Flags, own: Option<&Arc<OwnTraffic>>, path: Option<PathBuf>) -> Result<Input> {
    let mut input = path.map_or_else(Input::standard_input, |path| Input::file(&path));
    let given = flags.about_own_traffic();
    if let (Some(_), Some(flag)) = (&input.manifest, given) {
        bail!(
            "{}: {flag} cannot be used, because a manifest beside the capture names its journals and keys; \
             analyze a copy of the capture in another folder",
            input.display()
        );
    }
    input.journals.extend(flags.journals.iter().cloned());
    input.own = own.cloned();
    if let Some(keys) = &flags.keys {
        input.key_log = Some(keys.clone());
        input.key_log_is_given = true;
    }
    Ok(input)
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
