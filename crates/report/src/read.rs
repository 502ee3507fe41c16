//! Reading the analyzer's result. Whatever is wrong with it is named: the file, and the place in it.

use std::fs::File;
use std::io::{self, BufReader, Seek as _};
use std::path::{Path, PathBuf};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use exposure_schema::SCHEMA;
use serde::Deserialize;
use serde::de::DeserializeOwned;

use crate::model::{self, Exposure};

/// Why there is no result to report on.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ReadError {
    #[error("{}: {source}{}", path.display(), hint(source))]
    File { path: PathBuf, source: io::Error },
    #[error("{}: this is not JSON: {source}", path.display())]
    NotJson { path: PathBuf, source: serde_json::Error },
    #[error("{}: {}: {source}", path.display(), place(field))]
    Field { path: PathBuf, field: String, source: serde_json::Error },
    #[error("{}: schema: this reads {SCHEMA}, the file says {found:?}", path.display())]
    Schema { path: PathBuf, found: String },
    #[error("{}: {field}: not base64: {source}", path.display())]
    NotBase64 { path: PathBuf, field: String, source: base64::DecodeError },
}

/// The schema alone, read before anything else is expected of the document.
#[derive(Deserialize)]
struct Header {
    schema: String,
}

/// Reads a document.
///
/// # Errors
/// When it is missing, no JSON, of another schema, or lacks something.
pub(crate) fn exposure(path: &Path) -> Result<Exposure, ReadError> {
    let failed = |source| ReadError::File { path: path.to_owned(), source };
    let mut file = File::open(path).map_err(failed)?;
    // The schema first: of another version it would be unfair to say that a field is missing.
    let header: Header = parsed(path, &file)?;
    if header.schema != SCHEMA {
        return Err(ReadError::Schema { path: path.to_owned(), found: header.schema });
    }
    file.rewind().map_err(failed)?;
    let mut exposure: Exposure = parsed(path, &file)?;
    check_base64(&exposure).map_err(|(field, source)| {
        let path = path.to_owned();
        ReadError::NotBase64 { path, field, source }
    })?;
    model::cut_lists(&mut exposure);
    Ok(exposure)
}

/// Checks the bytes of the exhibits. Fails with the path of the field.
fn check_base64(exposure: &Exposure) -> Result<(), (String, base64::DecodeError)> {
    let check = |field: String, text: &str| STANDARD.decode(text).map(drop).map_err(|error| (field, error));
    for (index, capture) in exposure.captures.iter().enumerate() {
        let Some(exhibit) = &capture.exhibit else { continue };
        for (turn, bytes) in exhibit.turns.iter().map(|turn| &turn.bytes).enumerate() {
            check(format!("captures[{index}].exhibit.turns[{turn}].bytes"), bytes)?;
        }
        if let Some(frame) = &exhibit.frame {
            check(format!("captures[{index}].exhibit.frame.bytes"), &frame.bytes)?;
        }
    }
    Ok(())
}

fn parsed<T: DeserializeOwned>(path: &Path, file: &File) -> Result<T, ReadError> {
    let mut deserializer = serde_json::Deserializer::from_reader(BufReader::with_capacity(1 << 18, file));
    let value = serde_path_to_error::deserialize(&mut deserializer).map_err(|error| {
        let path = path.to_owned();
        let field = error.path().to_string();
        let source = error.into_inner();
        match source.classify() {
            serde_json::error::Category::Data => ReadError::Field { path, field, source },
            serde_json::error::Category::Io => ReadError::File { path, source: source.into() },
            _ => ReadError::NotJson { path, source },
        }
    })?;
    deserializer.end().map_err(|source| ReadError::NotJson { path: path.to_owned(), source })?;
    Ok(value)
}

fn hint(error: &io::Error) -> &'static str {
    match error.kind() {
        io::ErrorKind::NotFound => " (`make lab` or `cargo run --bin analyze` writes one)",
        _ => "",
    }
}

/// The path of a field; serde has none for what is missing at the top.
fn place(field: &str) -> &str {
    if field == "." { "the document" } else { field }
}
