//! One JSON object for each finding, each in a line of its own.

use std::io::{self, Write};

use exposure_schema::Exposure;
use serde::Serialize;

use super::finding::{self, Finding};
use super::json_text;

/// Name and version of the objects.
const SCHEMA: &str = "plainsight.finding/1";

#[derive(Serialize)]
struct Line<'a> {
    schema: &'static str,
    #[serde(flatten)]
    finding: Finding<'a>,
}

/// Writes the findings of a result.
///
/// # Errors
///
/// `out` fails.
pub fn write(exposure: &Exposure, out: &mut dyn Write) -> io::Result<()> {
    finding::each(exposure, &mut |finding| {
        json_text::write(&Line { schema: SCHEMA, finding }, out)?;
        out.write_all(b"\n")
    })
}
