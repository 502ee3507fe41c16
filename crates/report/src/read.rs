//! Reads the analyzer's result. Every error names the file and the field.

use std::fs::File;
use std::io::{self, Seek as _};
use std::path::{Path, PathBuf};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use exposure_schema::{SCHEMA, schema_of};

use crate::model::{self, Exposure};

/// Why the result cannot be used.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ReadError {
    #[error("cannot read {}: {source}{}", path.display(), hint(source))]
    File { path: PathBuf, source: io::Error },
    #[error("{}: {source}", path.display())]
    Document { path: PathBuf, source: exposure_schema::ReadError },
    #[error("{}: schema: expected {SCHEMA:?}, found {found:?}", path.display())]
    Schema { path: PathBuf, found: String },
    #[error("{}: {field}: not base64: {source}", path.display())]
    NotBase64 { path: PathBuf, field: String, source: base64::DecodeError },
}

/// Reads a document.
///
/// # Errors
/// When the file is missing, is not JSON, has another schema, or lacks a field.
pub(crate) fn exposure(path: &Path) -> Result<Exposure, ReadError> {
    let failed = |source| ReadError::File { path: path.to_owned(), source };
    let unreadable = |source| match source {
        exposure_schema::ReadError::Input(source) => failed(source),
        source => ReadError::Document { path: path.to_owned(), source },
    };
    let mut file = File::open(path).map_err(failed)?;
    let found = schema_of(&mut file).map_err(unreadable)?;
    if found != SCHEMA {
        return Err(ReadError::Schema { path: path.to_owned(), found });
    }
    file.rewind().map_err(failed)?;
    let mut exposure = Exposure::read(&mut file).map_err(unreadable)?;
    check_base64(&exposure).map_err(|(field, source)| {
        let path = path.to_owned();
        ReadError::NotBase64 { path, field, source }
    })?;
    model::cut_lists(&mut exposure);
    Ok(exposure)
}

/// Checks that the bytes of the exhibits are base64. The error names the field.
fn check_base64(exposure: &Exposure) -> Result<(), (String, base64::DecodeError)> {
    let check = |field: String, text: &str| STANDARD.decode(text).map(drop).map_err(|error| (field, error));
    for (index, capture) in exposure.captures.iter().enumerate() {
        let Some(exhibit) = &capture.exhibit else { continue };
        for (turn, bytes) in exhibit.turns.iter().map(|turn| &turn.bytes).enumerate() {
            check(format!("captures[{index}].exhibit.turns[{turn}].bytes"), bytes)?;
        }
        for (record, bytes) in exhibit.opened.iter().map(|record| &record.bytes).enumerate() {
            check(format!("captures[{index}].exhibit.opened[{record}].bytes"), bytes)?;
        }
        if let Some(frame) = &exhibit.frame {
            check(format!("captures[{index}].exhibit.frame.bytes"), &frame.bytes)?;
        }
    }
    Ok(())
}

fn hint(error: &io::Error) -> &'static str {
    match error.kind() {
        io::ErrorKind::NotFound => "; `make lab` writes one",
        _ => "",
    }
}
