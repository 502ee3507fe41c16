//! The command line: searches captures for the strings that the agents sent, and gives verdicts.

mod annotating;
mod checking;
mod comparing;
mod flags;
mod following;
mod progress;
mod result_file;

use std::io::{self, BufWriter, Write};
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;

use crate::analysis::{self, Options, isolation};
use crate::explain::{self, sentences};
use crate::input::capture::whole;
use crate::input::discover::{self, Found, Input, OwnTraffic};
use crate::input::key_log::Keys;
use crate::input::secrets::Secrets;
use crate::input::strings::GivenStrings;
use crate::output::{console, csv, exposure, jsonl, junit, markdown, safe_text, sarif};
use crate::verdict::conclusion;
use anyhow::{Context, Result, bail};
use exposure_schema::Exposure;
use tempfile::NamedTempFile;

pub use self::flags::{Check, Flags};
use self::flags::{Command, Explain, Format, Language, Sent, TextOrJson};
use self::following::Followed;
use self::progress::Progress;

/// Checks captures by a policy: `analyze check`.
#[must_use]
pub fn check(flags: &Check) -> ExitCode {
    flags.color.write_global();
    checking::check(flags)
}

/// Does what the command line asks for.
#[must_use]
pub fn main(mut flags: Flags) -> ExitCode {
    flags.color.write_global();
    match &flags.command {
        Some(Command::Explain(explain)) => return explain_frame(explain),
        Some(Command::Diff(diff)) => return comparing::compare(diff),
        Some(Command::Check(check)) => return checking::check(check),
        None => {}
    }
    if !flags.sent.scope.is_empty() && !flags.sent.name_what_was_sent() {
        report_error("--scope needs what was sent: --strings, --json or --journal");
        return ExitCode::from(conclusion::exit::INPUT);
    }
    let own = own_traffic(&flags.sent, &flags.paths);
    let mut spool = None;
    if flags.follow {
        match follow(&flags, &own) {
            Ok(Followed::File(path)) => flags.paths = vec![path],
            Ok(Followed::StandardInput(file)) => spool = Some(file),
            Err(error) => {
                report_error(&format!("{error:#}"));
                return ExitCode::from(2);
            }
        }
    }
    let Analyzed { exposure, inputs } = analyze_all(&flags, own, spool.as_ref().map(NamedTempFile::path));
    exposure.errors.iter().for_each(|error| report_error(error));
    let mut failures = 0;
    let mut outcomes = vec![print(flags.format, &exposure), write_result(&flags, &exposure)];
    if let Some(directory) = &flags.annotate {
        outcomes.extend(annotating::annotate(directory, flags.embed_keys, &exposure, &inputs));
    }
    for outcome in outcomes {
        if let Err(error) = outcome {
            report_error(&format!("{error:#}"));
            failures += 1;
        }
    }
    let errors = exposure.errors.len() + failures;
    ExitCode::from(conclusion::exit_status(&exposure.captures, &exposure.isolation, errors))
}

/// Follows a capture until it is over, unless what was sent cannot be read.
fn follow(flags: &Flags, own: &Result<Option<Arc<OwnTraffic>>>) -> Result<Followed> {
    match own {
        Err(error) => bail!("{error:#}"),
        Ok(_) => following::follow(flags),
    }
}

/// Prints the explanation of a frame.
fn explain_frame(flags: &Explain) -> ExitCode {
    let Explain { capture, frame, keys, server_keys, language, format } = flags;
    let language = match language {
        Language::En => sentences::Language::English,
        Language::Ko => sentences::Language::Korean,
    };
    let secrets = Secrets { keys: keys.as_deref().map_or(Keys::Beside, Keys::File), server_keys };
    let explained = explain::frame(capture, *frame, secrets, &mut whole);
    let written = explained.and_then(|explained| match format {
        TextOrJson::Text => write_out(explain::console::text(&explained, language).as_bytes()),
        TextOrJson::Json => {
            let document = serde_json::to_vec_pretty(&explain::document::Document::from(&explained))?;
            printed(io::stdout().write_all(&[&document[..], b"\n"].concat()))
        }
    });
    match written {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            report_error(&format!("{error:#}"));
            ExitCode::from(2)
        }
    }
}

/// Reports an error in one line on stderr. After stderr was closed there is nowhere left to report to.
fn report_error(error: &str) {
    let _ = writeln!(io::stderr(), "analyze: {}", safe_text::safe(error));
}

fn write_result(flags: &Flags, exposure: &Exposure) -> Result<()> {
    let nothing = exposure.captures.is_empty() && exposure.isolation.is_empty();
    if flags.no_output || nothing {
        return Ok(());
    }
    let is_run = flags.sent.about_own_traffic().is_none();
    let path = flags.output.clone().or_else(|| result_file::of_run(&flags.paths).filter(|_| is_run));
    path.map_or(Ok(()), |path| result_file::write(&path, exposure))
}

/// A result, and the inputs of its captures in the same order.
struct Analyzed {
    exposure: Exposure,
    inputs: Vec<Input>,
}

fn analyze_all(flags: &Flags, own: Result<Option<Arc<OwnTraffic>>>, spool: Option<&Path>) -> Analyzed {
    let mut found = discover::find(&flags.paths);
    let own = own.unwrap_or_else(|error| {
        found.errors.push(error);
        found.captures.clear();
        None
    });
    let options = Options { show_secrets: flags.show_secrets, ..Options::default() };
    analyze_found(found, options, flags.quiet, &|path| {
        input(&flags.sent, own.as_ref(), path)
            .map(|input| Input { spool: spool.map(Path::to_owned), ..input })
    })
}

/// Analyzes what was found. `input` adds to a capture the files that belong to it.
fn analyze_found(
    found: Found,
    options: Options,
    quiet: bool,
    input: &dyn Fn(Option<PathBuf>) -> Result<Input>,
) -> Analyzed {
    let (mut captures, mut inputs) = (Vec::new(), Vec::new());
    let mut errors: Vec<_> = found.errors.iter().map(|error| format!("{error:#}")).collect();
    let mut progress = Progress::new(quiet, &found.captures);
    for path in found.captures {
        let input = match input(path) {
            Ok(input) => input,
            Err(error) => {
                errors.push(format!("{error:#}"));
                continue;
            }
        };
        progress.begin(&input.display());
        let proved = analysis::analyze(&input, options, &mut |bytes| {
            progress.at(bytes);
            ControlFlow::Continue(())
        });
        match proved {
            Ok(capture) => {
                captures.push(capture);
                inputs.push(input);
            }
            Err(error) => errors.push(format!("{error:#}")),
        }
    }
    progress.end();
    let mut isolation = Vec::new();
    for file in found.experiments {
        match isolation::analyze(&file) {
            Ok(run) => isolation.push(run),
            Err(error) => errors.push(format!("{error:#}")),
        }
    }
    Analyzed { exposure: Exposure { errors, ..exposure::of(captures, isolation) }, inputs }
}

/// What the flags state about traffic that no manifest describes; `None` if they do not name what was sent.
fn own_traffic(sent: &Sent, captures: &[PathBuf]) -> Result<Option<Arc<OwnTraffic>>> {
    let from_stdin = |paths: &[PathBuf]| paths.iter().filter(|path| *path == Path::new("-")).count();
    let is_capture = usize::from(from_stdin(captures) > 0);
    if from_stdin(&sent.strings) + from_stdin(&sent.json) + is_capture > 1 {
        bail!("standard input can be read only once: it is given more than once as -");
    }
    let mut strings = GivenStrings::default();
    for path in &sent.strings {
        strings.add_lines(path)?;
    }
    for path in &sent.json {
        strings.add_json(path)?;
    }
    Ok(sent.name_what_was_sent().then(|| Arc::new(OwnTraffic { strings, scope: sent.scope.clone() })))
}

/// A capture with its companions, those that flags name included.
fn input(sent: &Sent, own: Option<&Arc<OwnTraffic>>, path: Option<PathBuf>) -> Result<Input> {
    let mut input = path.map_or_else(Input::standard_input, |path| Input::file(&path));
    let given = sent.about_own_traffic();
    if let (Some(_), Some(flag)) = (&input.manifest, given) {
        bail!(
            "{}: {flag} cannot be used, because a manifest beside the capture names its journals and keys; \
             analyze a copy of the capture in another folder",
            input.display()
        );
    }
    input.journals.extend(sent.journals.iter().cloned());
    input.own = own.cloned();
    if let Some(keys) = &sent.keys {
        input.key_log = Some(keys.clone());
        input.key_log_is_given = true;
    }
    input.server_keys.extend(sent.server_keys.iter().cloned());
    Ok(input)
}

fn print(format: Format, exposure: &Exposure) -> Result<()> {
    let mut out = BufWriter::new(io::stdout().lock());
    let written = match format {
        Format::Text => return write_out(console::text(exposure).as_bytes()),
        Format::Json => exposure.write(&mut out),
        Format::Jsonl => jsonl::write(exposure, &mut out),
        Format::Markdown => markdown::write(exposure, &mut out),
        Format::Sarif => sarif::write(exposure, &mut out),
        Format::Junit => junit::write(exposure, &mut out),
        Format::Csv => csv::write(exposure, &mut out),
    };
    printed(written.and_then(|()| out.flush()))
}

/// Writes text with terminal styles to stdout.
fn write_out(text: &[u8]) -> Result<()> {
    printed(anstream::stdout().write_all(text))
}

/// The reader of stdout may have closed the pipe early.
fn printed(written: io::Result<()>) -> Result<()> {
    match written {
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(()),
        written => written.context("cannot write to stdout"),
    }
}
