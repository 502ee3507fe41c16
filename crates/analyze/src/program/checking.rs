//! `analyze check`: judges captures by a policy.

use std::fs;
use std::io::{self, BufWriter, Write};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;

use anyhow::{Context, Result};
use exposure_schema::Exposure;
use policy::Policy;
use time::OffsetDateTime;

use super::flags::{Check, CheckFormat};
use super::{analyze_found, comparing, input, own_traffic, printed, report_error, write_out};
use crate::analysis::Options;
use crate::check::{self, Checked};
use crate::input::discover::{self, OwnTraffic};
use crate::output::layout;
use crate::verdict::conclusion::exit;

/// Checks what the flags name, and prints the outcome.
pub(super) fn check(flags: &Check) -> ExitCode {
    let checked = match checked(flags) {
        Ok(checked) => checked,
        Err(error) => {
            report_error(&format!("{error:#}"));
            return ExitCode::from(exit::INPUT);
        }
    };
    checked.errors.iter().for_each(|error| report_error(error));
    let written = print(flags.format, &checked)
        .and_then(|()| flags.write.iter().try_for_each(|(format, path)| write_file(*format, path, &checked)));
    match written {
        Ok(()) => ExitCode::from(checked.exit_status()),
        Err(error) => {
            report_error(&format!("{error:#}"));
            ExitCode::from(exit::INPUT)
        }
    }
}

fn checked(flags: &Check) -> Result<Checked> {
    let path = &flags.policy;
    let text =
        fs::read_to_string(path).with_context(|| format!("cannot read the policy {}", path.display()))?;
    let policy = Policy::read(&text).with_context(|| format!("{} is no policy", path.display()))?;
    let today = OffsetDateTime::now_utc().date();
    let exposure = result(&flags.paths, flags, &policy)?;
    let mut judgement = policy::judge(&policy, &exposure, today);
    if let Some(baseline) = &flags.baseline {
        let older =
            result(std::slice::from_ref(baseline), flags, &policy).context("the baseline cannot be used")?;
        judgement.compare(&policy::judge(&policy, &older, today));
    }
    let display = |path: &Path| path.display().to_string();
    let baseline = flags.baseline.as_deref().map(display);
    Ok(Checked::new(display(&flags.policy), baseline, &exposure, judgement))
}

/// The result in a document, or that of captures, in which the strings of the policy are searched for.
fn result(paths: &[PathBuf], flags: &Check, policy: &Policy) -> Result<Exposure> {
    if let [path] = paths
        && let Some(document) = comparing::document_at(path)?
    {
        return Ok(document);
    }
    let own = own_of_policy(flags, paths, policy)?;
    let is_given = flags.sent.name_what_was_sent();
    let reads_contents = !(policy.sealed.secrets.is_empty() && policy.sealed.personal.is_empty());
    let options = Options { reads_contents, ..Options::default() };
    let analyzed = analyze_found(discover::find(paths), options, flags.quiet, &|path| {
        let mut input = input(&flags.sent, own.as_ref(), path)?;
        // The manifest names what was sent.
        if input.manifest.is_some() && !is_given {
            input.own = None;
        }
        Ok(input)
    });
    Ok(analyzed.exposure)
}

/// What was sent, as flags and the policy state it.
fn own_of_policy(flags: &Check, paths: &[PathBuf], policy: &Policy) -> Result<Option<Arc<OwnTraffic>>> {
    let mut own = own_traffic(&flags.sent, paths)?;
    if !policy.sealed.strings.is_empty() {
        let mut own_traffic = match own.take().map(Arc::try_unwrap) {
            Some(Ok(own)) => own,
            _ => OwnTraffic { strings: Default::default(), scope: flags.sent.scope.clone() },
        };
        let source = flags.policy.display().to_string();
        for (number, string) in (1..).zip(&policy.sealed.strings) {
            own_traffic.strings.add_string(&source, number, string)?;
        }
        own = Some(Arc::new(own_traffic));
    }
    Ok(own)
}

fn print(format: CheckFormat, checked: &Checked) -> Result<()> {
    if format == CheckFormat::Text {
        let text = layout::fold(&check::console::text(checked), layout::columns());
        return write_out(text.as_bytes());
    }
    let mut out = BufWriter::new(io::stdout().lock());
    printed(write(format, checked, &mut out).and_then(|()| out.flush()))
}

fn write_file(format: CheckFormat, path: &Path, checked: &Checked) -> Result<()> {
    let mut bytes = Vec::new();
    write(format, checked, &mut bytes)
        .and_then(|()| fs::write(path, bytes))
        .with_context(|| format!("cannot write {}", path.display()))
}

fn write(format: CheckFormat, checked: &Checked, out: &mut dyn Write) -> io::Result<()> {
    match format {
        CheckFormat::Text => {
            let text = check::console::text(checked);
            out.write_all(anstream::adapter::strip_str(&text).to_string().as_bytes())
        }
        CheckFormat::Json => {
            serde_json::to_writer_pretty(&mut *out, checked)?;
            out.write_all(b"\n")
        }
        CheckFormat::Markdown => check::markdown::write(checked, out),
        CheckFormat::Sarif => check::sarif::write(checked, out),
        CheckFormat::Junit => check::junit::write(checked, out),
    }
}
