//! The fields of a form: `application/x-www-form-urlencoded` (WHATWG URL §5.1) and `multipart/form-data` (RFC 7578).

use std::borrow::Cow;

use memchr::memmem;

/// Maximum number of fields of a form, and of parameters of a target, that are read.
pub(super) const MAX_FIELDS: usize = 1024;

/// Maximum number of lines in the head of one part of a multipart body. A browser sends two.
const MAX_PART_LINES: usize = 16;

/// Longest boundary of parts in bytes (RFC 2046 §5.1.1).
const MAX_BOUNDARY: usize = 70;

/// A field of a form.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Field<'b> {
    /// Its name; empty if it has none.
    pub(super) name: Cow<'b, str>,
    /// Its value, or the contents of a file.
    pub(super) value: Cow<'b, [u8]>,
    /// Whether it is a file.
    pub(super) is_file: bool,
}

/// The fields of a body; `None` if its type is not one of a form. The first [`MAX_FIELDS`] fields.
pub(super) fn fields<'b>(content_type: &str, body: &'b [u8]) -> Option<Vec<Field<'b>>> {
    let (kind, parameters) = content_type.split_once(';').unwrap_or((content_type, ""));
    match kind.trim().to_ascii_lowercase().as_str() {
        "application/x-www-form-urlencoded" => Some(urlencoded(body)),
        "multipart/form-data" => {
            let boundary = parameter(parameters.as_bytes(), b"boundary")?;
            (1..=MAX_BOUNDARY).contains(&boundary.len()).then(|| multipart(boundary, body))
        }
        _ => None,
    }
}

fn urlencoded(body: &[u8]) -> Vec<Field<'_>> {
    let field = |pair| {
        let (name, value) = pair_of(pair);
        let value = match value {
            Cow::Borrowed(value) => Cow::Borrowed(value.as_bytes()),
            Cow::Owned(value) => Cow::Owned(value.into_bytes()),
        };
        Field { name, value, is_file: false }
    };
    match std::str::from_utf8(body) {
        Ok(text) => pairs(text).map(field).collect(),
        // Its fields are percent-encoded ASCII; what is not is no text of a form.
        Err(_) => Vec::new(),
    }
}

/// The pairs of a form, or of the query of a target, still coded.
pub(super) fn pairs(text: &str) -> impl Iterator<Item = &str> {
    text.split('&').filter(|pair| !pair.is_empty()).take(MAX_FIELDS)
}

/// Name and value of a pair.
pub(super) fn pair_of(pair: &str) -> (Cow<'_, str>, Cow<'_, str>) {
    let (name, value) = pair.split_once('=').unwrap_or(("", pair));
    (decoded(name), decoded(value))
}

/// Undoes the coding of form fields: `+` and percent-encoding.
fn decoded(text: &str) -> Cow<'_, str> {
    if !text.contains(['+', '%']) {
        return text.into();
    }
    let mut out = Vec::with_capacity(text.len());
    let mut bytes = text.bytes();
    while let Some(byte) = bytes.next() {
        match byte {
            b'+' => out.push(b' '),
            b'%' => {
                let mut ahead = bytes.clone();
                let digits = ahead.next().zip(ahead.next()).and_then(|(high, low)| {
                    Some(char::from(high).to_digit(16)? * 16 + char::from(low).to_digit(16)?)
                });
                match digits.and_then(|digits| u8::try_from(digits).ok()) {
                    Some(decoded) => {
                        out.push(decoded);
                        bytes = ahead;
                    }
                    None => out.push(byte),
                }
            }
            byte => out.push(byte),
        }
    }
    String::from_utf8_lossy(&out).into_owned().into()
}

/// The parts of a multipart body (RFC 2046 §5.1.1). The last one may lack its end.
fn multipart<'b>(boundary: &[u8], body: &'b [u8]) -> Vec<Field<'b>> {
    // The line break in front of a delimiter is part of it; the first delimiter can be the beginning of the body.
    let delimiter = [b"\r\n--", boundary].concat();
    let finder = memmem::Finder::new(&delimiter);
    let first = delimiter.get(2..).unwrap_or_default();
    let mut rest = match body.strip_prefix(first) {
        Some(rest) => rest,
        None => match finder.find(body) {
            Some(at) => body.get(at + delimiter.len()..).unwrap_or_default(),
            None => return Vec::new(),
        },
    };
    let mut fields = Vec::new();
    while fields.len() < MAX_FIELDS && !rest.starts_with(b"--") {
        let end = finder.find(rest);
        let part = rest.get(..end.unwrap_or(rest.len())).unwrap_or_default();
        fields.extend(part_of(part));
        match end {
            Some(end) => rest = rest.get(end + delimiter.len()..).unwrap_or_default(),
            None => break,
        }
    }
    fields
}

/// A part: the rest of the delimiter's line, a head, an empty line, the value.
fn part_of(part: &[u8]) -> Option<Field<'_>> {
    let (mut name, mut is_file) = (Cow::Borrowed(""), false);
    let mut rest = part.get(memmem::find(part, b"\r\n")? + 2..)?;
    for _ in 0..MAX_PART_LINES {
        let end = memmem::find(rest, b"\r\n")?;
        let (line, after) = (rest.get(..end)?, rest.get(end + 2..)?);
        rest = after;
        if line.is_empty() {
            return Some(Field { name, value: Cow::Borrowed(rest), is_file });
        }
        let colon = line.iter().position(|byte| *byte == b':').unwrap_or(line.len());
        let (field, value) = line.split_at(colon);
        if field.eq_ignore_ascii_case(b"content-disposition") {
            name = parameter(value, b"name").map(String::from_utf8_lossy).unwrap_or_default();
            is_file = parameter(value, b"filename").is_some() || parameter(value, b"filename*").is_some();
        }
    }
    None
}

/// The value of a parameter of a header field (RFC 9110 §5.6.6), without its quotation marks. A quotation mark in a name is sent as
/// `%22` (RFC 7578 §2), so that the next one ends the value.
fn parameter<'h>(mut rest: &'h [u8], wanted: &[u8]) -> Option<&'h [u8]> {
    while !rest.is_empty() {
        let name_end = rest.iter().position(|byte| matches!(byte, b'=' | b';')).unwrap_or(rest.len());
        let name = rest.get(..name_end)?.trim_ascii();
        let is_value = rest.get(name_end) == Some(&b'=');
        rest = rest.get(name_end + 1..).unwrap_or_default();
        if !is_value {
            continue;
        }
        let after = rest.trim_ascii_start();
        let (value, end) = match after.strip_prefix(b"\"") {
            Some(quoted) => {
                let end = quoted.iter().position(|byte| *byte == b'"').unwrap_or(quoted.len());
                (quoted.get(..end)?, quoted.get(end + 1..).unwrap_or_default())
            }
            None => {
                let end = after.iter().position(|byte| *byte == b';').unwrap_or(after.len());
                (after.get(..end)?.trim_ascii_end(), after.get(end..)?)
            }
        };
        if name.eq_ignore_ascii_case(wanted) {
            return Some(value);
        }
        let next = end.iter().position(|byte| *byte == b';').map_or(end.len(), |at| at + 1);
        rest = end.get(next..)?;
    }
    None
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn read(content_type: &str, body: &[u8]) -> Vec<(String, String, bool)> {
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        let all = fields(content_type, body).expect("a form");
        all.iter().map(|field| (field.name.to_string(), text(&field.value), field.is_file)).collect()
    }

    fn field(name: &str, value: &str, is_file: bool) -> (String, String, bool) {
        (name.to_owned(), value.to_owned(), is_file)
    }

    #[test]
    fn urlencoded_fields_are_decoded() {
        assert_eq!(
            read("application/x-www-form-urlencoded; charset=utf-8", b"user=b%C3%B6b&note=a+b%zz&&flag"),
            [field("user", "böb", false), field("note", "a b%zz", false), field("", "flag", false)]
        );
    }

    #[test]
    fn parts_have_names_and_files() {
        let body = b"preamble\r\n--AaB03x\r\nContent-Disposition: form-data; name=\"user\"\r\n\r\nalice\r\n\
            --AaB03x \r\nContent-Type: text/plain\r\ncontent-disposition: form-data; filename=\"a;b.txt\"; name=\"a file\"\r\n\r\n\
            one\r\ntwo\r\n--AaB03x\r\nContent-Disposition: form-data; name=bare\r\n\r\n\r\n--AaB03x--\r\nepilogue";
        for content_type in
            ["multipart/form-data; boundary=AaB03x", "Multipart/Form-Data;charset=x; Boundary=\"AaB03x\""]
        {
            assert_eq!(
                read(content_type, body),
                [
                    field("user", "alice", false),
                    field("a file", "one\r\ntwo", true),
                    field("bare", "", false)
                ]
            );
        }
    }

    #[test]
    fn a_body_that_ends_early_keeps_its_last_part() {
        let body = b"--b\r\nContent-Disposition: form-data; name=\"key\"\r\n\r\nsecr";
        assert_eq!(read("multipart/form-data; boundary=b", body), [field("key", "secr", false)]);
        let body = b"--b\r\nContent-Disposition: form-data; name=\"key\"\r\n";
        assert_eq!(read("multipart/form-data; boundary=b", body), []);
    }

    #[test]
    fn other_bodies_are_no_forms() {
        for content_type in ["", "application/json", "multipart/mixed; boundary=b", "multipart/form-data"] {
            assert_eq!(fields(content_type, b"a=b"), None, "{content_type}");
        }
    }

    proptest! {
        #[test]
        fn any_parts_are_found_again(
            values in prop::collection::vec(("[a-z \";]{0,12}", "[^\u{0}]{0,40}"), 0..6),
        ) {
            let mut body = Vec::new();
            for (name, value) in &values {
                let name = name.replace('"', "%22");
                let part = format!("--=_b\r\nContent-Disposition: form-data; name=\"{name}\"\r\n\r\n{value}\r\n");
                body.extend(part.into_bytes());
            }
            body.extend(b"--=_b--\r\n");
            let expected: Vec<_> =
                values.iter().map(|(name, value)| field(&name.replace('"', "%22"), value, false)).collect();
            prop_assert_eq!(read("multipart/form-data; boundary==_b", &body), expected);
        }

        #[test]
        fn any_bytes_are_read_without_panic(bytes in prop::collection::vec(prop::sample::select(b"-b\r\n:;=\"na".to_vec()), 0..200)) {
            let _ = fields("multipart/form-data; boundary=b", &bytes);
            let _ = parameter(&bytes, b"n");
        }
    }
}
