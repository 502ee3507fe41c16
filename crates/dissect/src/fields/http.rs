//! The fields of an HTTP/1 head (RFC 9112 §2.1).

use super::layout::Fields;
use super::{Field, Kind, Value};

/// The fields of start line and header section, up to the empty line that ends them. Bytes behind it are
/// [`Kind::HttpBody`].
#[must_use]
pub fn of_head(bytes: &[u8]) -> Vec<Field> {
    let mut fields = Fields::of(bytes);
    let _ = head(&mut fields);
    fields.rest(Kind::HttpBody);
    fields.into_vec()
}

fn head(fields: &mut Fields<'_>) -> Option<()> {
    start_line(fields)?;
    field_lines(fields)
}

/// A header or trailer section, and the empty line behind it.
fn field_lines(fields: &mut Fields<'_>) -> Option<()> {
    loop {
        let line = line(fields)?;
        if line.is_empty() {
            return line_end(fields);
        }
        let name = line.iter().position(|byte| *byte == b':')?;
        fields.next(Kind::HttpFieldName, name, Value::text)?;
        separator(fields, |byte| matches!(byte, b':' | b' ' | b'\t'), line.len() - name)?;
        text_of_line(fields, Kind::HttpFieldValue)?;
    }
}

/// The fields of a chunked body, up to the end of its trailer section (RFC 9112 §7.1). The body can be incomplete. Bytes behind
/// it, or behind a malformed length, are [`Kind::HttpBody`].
#[must_use]
pub fn of_chunked(bytes: &[u8]) -> Vec<Field> {
    let mut fields = Fields::of(bytes);
    let _ = chunks(&mut fields);
    fields.rest(Kind::HttpBody);
    fields.into_vec()
}

fn chunks(fields: &mut Fields<'_>) -> Option<()> {
    loop {
        let line = line(fields)?;
        let digits = line.iter().take_while(|byte| byte.is_ascii_hexdigit()).count();
        let size = std::str::from_utf8(line.get(..digits)?).ok();
        let size = size.and_then(|digits| u64::from_str_radix(digits, 16).ok())?;
        fields.next(Kind::HttpChunkSize, digits, |_| Value::Number(size))?;
        fields.next(Kind::HttpChunkExtension, line.len() - digits, Value::text)?;
        boundary(fields)?;
        if size == 0 {
            return field_lines(fields);
        }
        let len = usize::try_from(size).unwrap_or(usize::MAX).min(fields.remaining().len());
        fields.next(Kind::HttpChunkData, len, |_| Value::Bytes)?;
        boundary(fields)?;
    }
}

/// A line end, as far as it was captured.
fn boundary(fields: &mut Fields<'_>) -> Option<()> {
    let len = match fields.remaining() {
        [b'\r', b'\n', ..] => 2,
        [b'\n', ..] | [b'\r'] => 1,
        _ => return None,
    };
    fields.next(Kind::HttpChunkBoundary, len, |_| Value::Bytes)
}

fn start_line(fields: &mut Fields<'_>) -> Option<()> {
    let is_answer = fields.remaining().starts_with(b"HTTP/");
    let [first, second, third] = match is_answer {
        true => [Kind::HttpResponseVersion, Kind::HttpStatus, Kind::HttpReason],
        false => [Kind::HttpMethod, Kind::HttpTarget, Kind::HttpRequestVersion],
    };
    for kind in [first, second] {
        let line = line(fields)?;
        let len = line.iter().position(|byte| *byte == b' ').unwrap_or(line.len());
        fields.next(kind, len, Value::text)?;
        separator(fields, |byte| byte == b' ', line.len() - len)?;
    }
    text_of_line(fields, third)
}

/// The rest of the line, and its end.
fn text_of_line(fields: &mut Fields<'_>, kind: Kind) -> Option<()> {
    let line = line(fields)?;
    fields.next(kind, line.len(), Value::text)?;
    line_end(fields)
}

fn line_end(fields: &mut Fields<'_>) -> Option<()> {
    let len = if fields.remaining().starts_with(b"\r\n") { 2 } else { 1 };
    fields.next(Kind::HttpSeparator, len, |_| Value::Bytes)
}

/// The rest of the line without its end.
fn line<'b>(fields: &Fields<'b>) -> Option<&'b [u8]> {
    let rest = fields.remaining();
    let line = rest.get(..memchr::memchr(b'\n', rest)?)?;
    Some(line.strip_suffix(b"\r").unwrap_or(line))
}

/// At most `most` bytes that separate.
fn separator(fields: &mut Fields<'_>, is_separator: impl Fn(u8) -> bool, most: usize) -> Option<()> {
    let bytes = fields.remaining().iter().take(most);
    let len = bytes.take_while(|byte| is_separator(**byte)).count();
    fields.next(Kind::HttpSeparator, len, |_| Value::Bytes)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn names_the_chunks_of_a_body() {
        let body = b"5\r\n{\"a\":\r\n2;x=y\r\n1}\r\n0\r\nX-T: v\r\n\r\n";
        let found: Vec<_> = of_chunked(body)
            .iter()
            .map(|field| (field.kind, String::from_utf8_lossy(&body[field.range.clone()]).into_owned()))
            .collect();
        let expected = [
            (Kind::HttpChunkSize, "5"),
            (Kind::HttpChunkBoundary, "\r\n"),
            (Kind::HttpChunkData, "{\"a\":"),
            (Kind::HttpChunkBoundary, "\r\n"),
            (Kind::HttpChunkSize, "2"),
            (Kind::HttpChunkExtension, ";x=y"),
            (Kind::HttpChunkBoundary, "\r\n"),
            (Kind::HttpChunkData, "1}"),
            (Kind::HttpChunkBoundary, "\r\n"),
            (Kind::HttpChunkSize, "0"),
            (Kind::HttpChunkBoundary, "\r\n"),
            (Kind::HttpFieldName, "X-T"),
            (Kind::HttpSeparator, ": "),
            (Kind::HttpFieldValue, "v"),
            (Kind::HttpSeparator, "\r\n"),
            (Kind::HttpSeparator, "\r\n"),
        ];
        assert_eq!(found, expected.map(|(kind, text)| (kind, text.to_owned())));
    }

    #[test]
    fn a_length_beyond_the_body_or_without_digits_ends_the_chunks() {
        let kinds = |body: &[u8]| of_chunked(body).iter().map(|field| field.kind).collect::<Vec<_>>();
        let cut = [Kind::HttpChunkSize, Kind::HttpChunkBoundary, Kind::HttpChunkData];
        assert_eq!(kinds(b"ffffffffffffffff\r\nabc"), cut);
        assert_eq!(kinds(b"fffffffffffffffff\r\nabc"), [Kind::HttpBody]);
        assert_eq!(kinds(b"\r\nabc"), [Kind::HttpBody]);
        assert_eq!(kinds(b""), []);
    }

    proptest! {
        #[test]
        fn every_byte_of_chunks_is_in_one_field(body in "[0-9a-f;x\r\n]{0,60}") {
            let mut end = 0;
            for field in of_chunked(body.as_bytes()) {
                prop_assert_eq!(field.range.start, end);
                prop_assert!(!field.range.is_empty());
                end = field.range.end;
            }
            prop_assert_eq!(end, body.len());
        }
    }

    fn named(bytes: &[u8]) -> Vec<(&'static str, String)> {
        let fields = of_head(bytes);
        let named = fields.iter().filter(|field| field.kind != Kind::HttpSeparator);
        named.map(|field| (field.kind.id(), field.value.to_string())).collect()
    }

    #[test]
    fn names_the_parts_of_a_request() {
        let head = b"POST /tool HTTP/1.1\r\nHost: agent-b\r\nX-Empty:\r\n\r\n{}";
        let expected = [
            ("http.request.method", "POST"),
            ("http.request.uri", "/tool"),
            ("http.request.version", "HTTP/1.1"),
            ("http.header.name", "Host"),
            ("http.header.value", "agent-b"),
            ("http.header.name", "X-Empty"),
            ("http.file_data", ""),
        ];
        assert_eq!(named(head), expected.map(|(id, value)| (id, value.to_owned())));
    }

    #[test]
    fn names_the_parts_of_an_answer_with_bare_line_feeds() {
        let expected = [
            ("http.response.version", "HTTP/1.1"),
            ("http.response.code", "404"),
            ("http.response.phrase", "Not Found"),
            ("http.header.name", "Server"),
            ("http.header.value", "x"),
        ];
        let head = b"HTTP/1.1 404 Not Found\nServer: x\n\n";
        assert_eq!(named(head), expected.map(|(id, value)| (id, value.to_owned())));
    }

    proptest! {
        #[test]
        fn every_byte_has_one_field(bytes in "[A-Z/:. \r\n]{0,80}|(GET|HTTP/1.1) [a-z0-9:\r\n ]{0,80}") {
            let fields = of_head(bytes.as_bytes());
            let ends = fields.iter().scan(0, |end, field| {
                let is_next = field.range.start == *end && !field.range.is_empty();
                *end = field.range.end;
                Some((is_next, *end))
            });
            let ends: Vec<_> = ends.collect();
            prop_assert!(ends.iter().all(|(is_next, _)| *is_next), "{fields:?}");
            prop_assert_eq!(ends.last().map_or(0, |(_, end)| *end), bytes.len());
        }
    }
}
