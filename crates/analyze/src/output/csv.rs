//! A row for each finding, as RFC 4180 describes.

use std::borrow::Cow;
use std::io::{self, Write};

use csv::{Terminator, WriterBuilder};
use exposure_schema::Exposure;

use super::finding::{self, Finding, direction_name};
use super::safe_text::safe;

const COLUMNS: [&str; 16] = [
    "kind",
    "code",
    "severity",
    "capture",
    "file",
    "level",
    "message_id",
    "direction",
    "path",
    "value",
    "text",
    "frames",
    "file_offset",
    "stream",
    "layers",
    "filter",
];

/// Writes a header and a row for each finding. The last five columns are about its first location.
///
/// # Errors
///
/// `out` fails.
pub fn write(exposure: &Exposure, out: &mut dyn Write) -> io::Result<()> {
    let mut writer = WriterBuilder::new().terminator(Terminator::CRLF).from_writer(out);
    writer.write_record(COLUMNS)?;
    finding::each(exposure, &mut |finding| {
        writer.write_record(row(&finding).iter().map(|cell| cell.as_bytes()))
    })?;
    writer.flush()
}

fn row<'f>(finding: &'f Finding<'_>) -> [Cow<'f, str>; COLUMNS.len()] {
    let place = finding.locations.first();
    let frames = place.map(|place| place.frames.iter().map(u64::to_string).collect::<Vec<_>>().join(" "));
    [
        finding.kind.name().into(),
        text(&finding.code),
        finding.severity.name().into(),
        text(finding.capture.unwrap_or_default()),
        text(finding.file.unwrap_or_default()),
        finding.level.map_or("", exposure_schema::Level::name).into(),
        text(finding.message_id.unwrap_or_default()),
        finding.direction.map_or("", direction_name).into(),
        text(finding.path.unwrap_or_default()),
        text(finding.value.unwrap_or_default()),
        text(&finding.text),
        frames.unwrap_or_default().into(),
        place.map(|place| place.file_offset.to_string()).unwrap_or_default().into(),
        place.and_then(|place| place.stream).map(|stream| stream.to_string()).unwrap_or_default().into(),
        text(&place.map(|place| place.layers.join(", ")).unwrap_or_default()).into_owned().into(),
        text(place.map(|place| place.filter.as_str()).unwrap_or_default()),
    ]
}

/// A cell that a spreadsheet shows as it is. Spreadsheets take a cell that begins with one of these characters for a formula,
/// and run it; the apostrophe marks text for them. Control characters are escapes, so that a row is one line.
fn text(value: &str) -> Cow<'_, str> {
    const FORMULA: [char; 8] = ['=', '+', '-', '@', '＝', '＋', '－', '＠'];
    let value = safe(value);
    // Spreadsheets ignore white space in front of a formula.
    match value.trim_start().starts_with(FORMULA) {
        true => format!("'{value}").into(),
        false => value.into(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn formulas_become_text() {
        for value in ["=1+1", "+1", "-1", "@SUM(A1)", " =1", "\u{3000}＝1"] {
            assert_eq!(text(value), format!("'{value}"));
        }
        assert_eq!(text("\t=1"), r"\u{9}=1", "a tab is an escape");
        assert_eq!(text("a=1"), "a=1");
        assert_eq!(text("a\r\nb\0"), r"a\u{d}\u{a}b\u{0}");
    }
}
