//! `analyze diff`: compares two results, or two sets of captures.

use std::fs::File;
use std::io::{self, Write};
use std::path::Path;
use std::process::ExitCode;

use anyhow::{Context, Result, bail};
use exposure_schema::{Exposure, SCHEMA, schema_of};

use super::flags::{Diff, TextOrJson};
use super::{analyze_found, printed, report_error, write_out};
use crate::analysis::Options;
use crate::diff;
use crate::input::discover::{self, Input};
use crate::output::layout;
use crate::verdict::conclusion::exit;

/// Compares what the flags name, and prints the difference.
pub(super) fn compare(flags: &Diff) -> ExitCode {
    let compared =
        result(&flags.old, flags.quiet).and_then(|old| Ok((old, result(&flags.new, flags.quiet)?)));
    let (old, new) = match compared {
        Ok(results) => results,
        Err(error) => {
            report_error(&format!("{error:#}"));
            return ExitCode::from(exit::INPUT);
        }
    };
    let [old_name, new_name] = [&flags.old, &flags.new].map(|path| path.display().to_string());
    let diff = diff::compare((&old_name, &old), (&new_name, &new));
    diff.errors.iter().for_each(|error| report_error(error));
    let written = match flags.format {
        TextOrJson::Text => {
            write_out(layout::fold(&diff::console::text(&diff), layout::columns()).as_bytes())
        }
        TextOrJson::Json => serde_json::to_vec_pretty(&diff)
            .context("cannot write the comparison as JSON")
            .and_then(|document| printed(io::stdout().write_all(&[&document[..], b"\n"].concat()))),
    };
    match written {
        Ok(()) => ExitCode::from(diff::exit_status(&diff)),
        Err(error) => {
            report_error(&format!("{error:#}"));
            ExitCode::from(exit::INPUT)
        }
    }
}

/// The result in a document, or that of captures.
fn result(path: &Path, quiet: bool) -> Result<Exposure> {
    if let Some(document) = document_at(path)? {
        return Ok(document);
    }
    let found = discover::find(&[path.to_owned()]);
    let nothing = found.captures.is_empty() && found.experiments.is_empty();
    if let (true, Some(error)) = (nothing, found.errors.first()) {
        bail!("{error:#}");
    }
    let input = |path: Option<std::path::PathBuf>| {
        Ok(path.map_or_else(Input::standard_input, |path| Input::file(&path)))
    };
    Ok(analyze_found(found, Options::default(), quiet, &input).exposure)
}

/// The result in a document; `None` if the path names none.
pub(super) fn document_at(path: &Path) -> Result<Option<Exposure>> {
    let is_document = path.extension().is_some_and(|extension| extension == "json") && !is_record(path);
    match is_document {
        true => document(path).map(Some).with_context(|| format!("cannot use {}", path.display())),
        false => Ok(None),
    }
}

/// Whether the path is the record of an isolation run.
fn is_record(path: &Path) -> bool {
    path.file_name().is_some_and(|name| name == "isolation.json")
}

fn document(path: &Path) -> Result<Exposure> {
    let read = Exposure::read_all(&mut File::open(path)?);
    // Of another version of the schema, an error about a field would mislead. A document can be long, so that it is read for
    // its schema only where it cannot be read as a whole.
    let schema = match &read {
        Ok(exposure) => exposure.schema.to_string(),
        Err(_) => schema_of(&mut File::open(path)?)?,
    };
    if schema != SCHEMA {
        bail!("its schema is {schema:?}, and this program reads {SCHEMA:?}");
    }
    Ok(read?)
}
