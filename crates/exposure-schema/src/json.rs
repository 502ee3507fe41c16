//! The document as JSON text.
//!
//! What serde generates for a document this wide is large. Here it is compiled once and optimised, not again in every
//! program that reads or writes the document.

use std::io::{self, BufReader, BufWriter, Read, Write};

use serde::Deserialize;
use serde::de::DeserializeOwned;

use crate::{Exposure, Sample};

/// Bytes that are read at once: a long run's document has hundreds of megabytes.
const READ_AT_ONCE: usize = 256 << 10;

impl Exposure {
    /// Writes the document, indented, and a line end.
    ///
    /// # Errors
    /// When `out` fails.
    pub fn write(&self, out: &mut dyn Write) -> io::Result<()> {
        let mut out = BufWriter::new(out);
        serde_json::to_writer_pretty(&mut out, self)?;
        out.write_all(b"\n")?;
        out.flush()
    }
}

impl Exposure<Sample> {
    /// Reads a document to its end and checks all of it; of each capture's strings, keeps a [`Sample`].
    ///
    /// # Errors
    /// When `input` fails, or is not such a document. [`schema_of`] first: in a document of another schema version, an
    /// error about a missing field would mislead.
    pub fn read(input: &mut dyn Read) -> Result<Self, ReadError> {
        parse(input)
    }
}

/// The `schema` of a document, whatever else is in it.
///
/// # Errors
/// When `input` fails, is not JSON, or has no schema.
pub fn schema_of(input: &mut dyn Read) -> Result<String, ReadError> {
    #[derive(Deserialize)]
    struct Header {
        schema: String,
    }
    parse(input).map(|header: Header| header.schema)
}

/// Why a document cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum ReadError {
    /// The input failed.
    #[error(transparent)]
    Input(io::Error),
    /// The input is not JSON, or ends early, or goes on after the document.
    #[error("this is not JSON: {0}")]
    NotJson(serde_json::Error),
    /// A field is missing or has another type.
    #[error("{}: {source}", named(field))]
    Field {
        /// Its path, such as `captures[0].verdict`; `.` for the document as a whole.
        field: String,
        /// What is wrong with it.
        source: serde_json::Error,
    },
}

/// serde has no path for what is missing at the top.
fn named(field: &str) -> &str {
    if field == "." { "the document" } else { field }
}

fn parse<T: DeserializeOwned>(input: &mut dyn Read) -> Result<T, ReadError> {
    let mut deserializer =
        serde_json::Deserializer::from_reader(BufReader::with_capacity(READ_AT_ONCE, input));
    let value = serde_path_to_error::deserialize(&mut deserializer).map_err(|error| {
        let field = error.path().to_string();
        let source = error.into_inner();
        match source.classify() {
            serde_json::error::Category::Data => ReadError::Field { field, source },
            serde_json::error::Category::Io => ReadError::Input(source.into()),
            _ => ReadError::NotJson(source),
        }
    })?;
    deserializer.end().map_err(ReadError::NotJson)?;
    Ok(value)
}
