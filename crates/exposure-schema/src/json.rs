//! The document as JSON text.
//!
//! serde generates much code for a document this wide. It is compiled here, once, and not again in every program that reads
//! or writes the document.

use std::io::{self, BufReader, BufWriter, Read, Write};

use serde::Deserialize;
use serde::de::DeserializeOwned;

use crate::{Exposure, Sample};

/// Size of the read buffer: the document of a long run has hundreds of megabytes.
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
    /// Reads and checks a whole document, and keeps a [`Sample`] of each capture's strings.
    ///
    /// # Errors
    /// When `input` fails, or is not such a document. Call [`schema_of`] first: in a document of another schema
    /// version, an error about a missing field would mislead.
    pub fn read(input: &mut dyn Read) -> Result<Self, ReadError> {
        parse(input)
    }
}

impl Exposure {
    /// Reads and checks a whole document with all of its strings, which can be millions.
    ///
    /// # Errors
    /// As for a document with a [`Sample`].
    pub fn read_all(input: &mut dyn Read) -> Result<Self, ReadError> {
        parse(input)
    }
}

/// Reads only the `schema` of a document, and ignores the other fields.
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
    /// The input is not JSON, ends early, or continues after the document.
    #[error("not JSON: {0}")]
    NotJson(serde_json::Error),
    /// A field is missing or has another type.
    #[error("{}: {source}", named(field))]
    Field {
        /// Path of the field, such as `captures[0].verdict`; `.` for the document as a whole.
        field: String,
        /// What is wrong with the field.
        source: serde_json::Error,
    },
}

/// The path of a field. serde reports a field that is missing at the top level as ".".
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
