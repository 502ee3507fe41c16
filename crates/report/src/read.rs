//! Reading the analyzer's result. Whatever is wrong with it is named: the file, and the place in it.

use std::fs::File;
use std::io::{self, BufReader, Seek as _};
use std::path::{Path, PathBuf};

use serde::de::DeserializeOwned;

use crate::model::{Exposure, Header, SCHEMA};

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
    parsed(path, &file)
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
