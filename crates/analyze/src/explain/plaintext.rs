//! The fields of what was decrypted.

use dissect::detection::Detection;
use dissect::fields::{self, Field, Kind, Value};
use dissect::flow::Direction;
use dissect::http1;
use dissect::tls::ContentType;

use super::ExplainedField;
use super::content::{self, Part};

/// Header of a handshake message: its type and its length (RFC 9846 §4).
const HANDSHAKE_HEADER: usize = 4;

/// The fields of a record's plaintext. A record can begin in the middle of a message; then it is one field.
pub(super) fn fields_of(
    direction: Direction,
    content_type: ContentType,
    bytes: &[u8],
) -> Vec<ExplainedField> {
    match content_type {
        ContentType::HANDSHAKE => handshake(bytes),
        ContentType::APPLICATION_DATA if http1::detect(direction, bytes) == Detection::Match => http(bytes),
        _ if bytes.is_empty() => Vec::new(),
        _ => {
            let whole = Field { kind: Kind::Data, range: 0..bytes.len(), value: Value::Bytes };
            vec![ExplainedField::whole(whole)]
        }
    }
}

/// Whole messages, and what is left of another one.
fn handshake(bytes: &[u8]) -> Vec<ExplainedField> {
    let mut found = Vec::new();
    let mut at = 0;
    while at < bytes.len() {
        let rest = &bytes[at..];
        let len = rest
            .get(1..HANDSHAKE_HEADER)
            .map(|len| len.iter().fold(0, |len, byte| len << 8 | usize::from(*byte)));
        let len = len.map_or(rest.len(), |len| rest.len().min(HANDSHAKE_HEADER + len));
        found.extend(moved(fields::of_handshake(&rest[..len]), at).map(ExplainedField::whole));
        at += len;
    }
    found
}

fn http(bytes: &[u8]) -> Vec<ExplainedField> {
    let parts = content::http(bytes).into_iter();
    let field = |Part { kind, range, value, path }| ExplainedField {
        path,
        ..ExplainedField::whole(Field { kind, range, value })
    };
    parts.map(field).collect()
}

fn moved(fields: Vec<Field>, by: usize) -> impl Iterator<Item = Field> {
    fields
        .into_iter()
        .map(move |field| Field { range: field.range.start + by..field.range.end + by, ..field })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn assert_covered(fields: &[ExplainedField], len: usize) {
        let mut end = 0;
        for field in fields {
            assert_eq!(field.range.start, end, "{field:?}");
            end = field.range.end;
        }
        assert_eq!(end, len);
    }

    #[test]
    fn every_byte_has_a_field() {
        let request = b"POST /tool HTTP/1.1\r\ncontent-length: 9\r\n\r\n{\"a\": 12}";
        let handshake = [8, 0, 0, 2, 0, 0, 20, 0, 0, 3, 1, 2, 3, 4, 0];
        for (content_type, bytes) in [
            (ContentType::APPLICATION_DATA, &request[..]),
            (ContentType::APPLICATION_DATA, b"the rest of a body"),
            (ContentType::APPLICATION_DATA, b""),
            (ContentType::HANDSHAKE, &handshake),
            (ContentType::ALERT, &[1, 0]),
        ] {
            assert_covered(&fields_of(Direction::ClientToServer, content_type, bytes), bytes.len());
        }
        let fields = fields_of(Direction::ClientToServer, ContentType::APPLICATION_DATA, request);
        let value = fields.iter().find(|field| field.kind == Kind::JsonNumber).expect("a number");
        assert_eq!((value.path.as_deref(), value.value.to_string()), (Some("$.a"), "12".to_owned()));
    }
}
