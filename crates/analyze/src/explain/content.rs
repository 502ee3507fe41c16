//! The parts of a message: head, framing, and the JSON of its content, even where the framing divides its tokens.

use std::ops::Range;

use dissect::fields::{self, Field, Kind, Value};

use super::{ExplainedField, json};

/// A part of a message, by offsets in it.
#[derive(Debug)]
pub(super) struct Part {
    pub kind: Kind,
    pub range: Range<usize>,
    pub value: Value,
    /// In JSON, the path of the value.
    pub path: Option<String>,
}

/// The parts of an HTTP/1 message, which may be incomplete.
pub(super) fn http(message: &[u8]) -> Vec<Part> {
    let mut head = fields::of_head(message);
    let body = head.pop_if(|field| field.kind == Kind::HttpBody);
    let about = About::of(&head);
    let mut parts: Vec<_> = head.into_iter().map(Part::from).collect();
    let Some(Field { range: body, .. }) = body else { return parts };
    let body_fields = match about.is_chunked {
        true => fields::of_chunked(&message[body.clone()]),
        false => vec![Field { kind: Kind::HttpChunkData, range: 0..body.len(), value: Value::Bytes }],
    };
    let mut content = Vec::new();
    for Field { kind, range, value } in body_fields {
        let range = body.start + range.start..body.start + range.end;
        match kind {
            Kind::HttpChunkData => content.push(range),
            _ => parts.push(Part { kind, range, value, path: None }),
        }
    }
    let kind = if about.is_chunked { Kind::HttpChunkData } else { Kind::HttpBody };
    parts.extend(match about.is_json(message, &content) {
        true => json_parts(message, &content),
        false => whole_parts(kind, content),
    });
    parts.sort_by_key(|part| part.range.start);
    parts
}

/// The parts of the frames of one WebSocket message, which may be incomplete, and of control frames in between.
pub(super) fn websocket(frames: &[u8]) -> Vec<Part> {
    /// Opcodes from this one on are those of control frames (RFC 6455 §5.2).
    const FIRST_CONTROL: u64 = 8;
    let (mut parts, mut content) = (Vec::new(), Vec::new());
    let mut is_control = false;
    for field in fields::of_websocket(frames) {
        if field.kind == Kind::WebSocketOpcode {
            is_control = matches!(field.value, Value::Number(FIRST_CONTROL..));
        }
        match field.kind {
            Kind::WebSocketPayload if !is_control => content.push(field.range),
            _ => parts.push(Part::from(field)),
        }
    }
    parts.extend(match begins_like_json(frames, &content) {
        true => json_parts(frames, &content),
        false => whole_parts(Kind::WebSocketPayload, content),
    });
    parts.sort_by_key(|part| part.range.start); // stable: fields of bits keep their order
    parts
}

/// What a head says about the content.
#[derive(Debug, Default)]
struct About {
    is_chunked: bool,
    is_coded: bool,
    /// Whether `Content-Type` names JSON; `None` without one.
    names_json: Option<bool>,
}

impl About {
    fn of(head: &[Field]) -> Self {
        let mut about = Self::default();
        let mut name = "";
        for field in head {
            match (field.kind, &field.value) {
                (Kind::HttpFieldName, Value::Text(text)) => name = text,
                (Kind::HttpFieldValue, Value::Text(text)) => about.field(name, &text.to_ascii_lowercase()),
                _ => {}
            }
        }
        about
    }

    fn field(&mut self, name: &str, value: &str) {
        match &*name.to_ascii_lowercase() {
            "transfer-encoding" => self.is_chunked |= value.contains("chunked"),
            "content-encoding" => self.is_coded |= value != "identity",
            "content-type" => self.names_json = Some(value.contains("json")),
            _ => {}
        }
    }

    fn is_json(&self, message: &[u8], content: &[Range<usize>]) -> bool {
        !self.is_coded && self.names_json.unwrap_or_else(|| begins_like_json(message, content))
    }
}

fn begins_like_json(bytes: &[u8], content: &[Range<usize>]) -> bool {
    content.first().is_some_and(|first| matches!(bytes.get(first.start), Some(b'{' | b'[')))
}

fn whole_parts(kind: Kind, content: Vec<Range<usize>>) -> Vec<Part> {
    content.into_iter().map(|range| Part { kind, range, value: Value::Bytes, path: None }).collect()
}

/// The tokens of a JSON text whose pieces are at these places. A token that is divided has a part in each piece.
fn json_parts(bytes: &[u8], content: &[Range<usize>]) -> Vec<Part> {
    let text: Vec<u8> = content.iter().flat_map(|piece| &bytes[piece.clone()]).copied().collect();
    let tokens = fields::of_json(&text);
    let paths = json::paths(&text, &tokens);
    let mut parts = Vec::new();
    let mut pieces = content.iter().filter(|piece| !piece.is_empty());
    let mut piece = pieces.next().cloned().unwrap_or_default();
    for (Field { kind, range, value }, path) in tokens.into_iter().zip(paths) {
        let mut left = range.len();
        while left > 0 {
            let len = left.min(piece.len());
            let part = piece.start..piece.start + len;
            parts.push(Part { kind, range: part, value: value.clone(), path: path.clone() });
            left -= len;
            piece.start += len;
            if piece.is_empty() {
                match pieces.next() {
                    Some(next) => piece = next.clone(),
                    None => break,
                }
            }
        }
    }
    parts
}

impl Part {
    /// The part of it in these bytes of the message, by offsets in them.
    pub(super) fn within(&self, bytes: &Range<usize>) -> Option<ExplainedField> {
        let (start, end) = (self.range.start.max(bytes.start), self.range.end.min(bytes.end));
        (start < end).then(|| ExplainedField {
            kind: self.kind,
            range: start - bytes.start..end - bytes.start,
            value: self.value.clone(),
            path: self.path.clone(),
            begins_before: self.range.start < start,
            goes_on: self.range.end > end,
            plaintext: None,
        })
    }
}

impl From<Field> for Part {
    fn from(Field { kind, range, value }: Field) -> Self {
        Self { kind, range, value, path: None }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HEAD: &str =
        "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n";

    /// Paths of the JSON values, and the bytes of their parts.
    fn values(message: &[u8], parts: &[Part]) -> Vec<(String, String)> {
        let is_value = |part: &&Part| matches!(part.kind, Kind::JsonString | Kind::JsonNumber);
        let text = |part: &Part| String::from_utf8_lossy(&message[part.range.clone()]).into_owned();
        let values = parts.iter().filter(is_value);
        values.map(|part| (part.path.clone().unwrap_or_default(), text(part))).collect()
    }

    fn assert_covered(message: &[u8], parts: &[Part]) {
        let mut last = 0..0;
        for part in parts {
            assert!(part.range == last || part.range.start == last.end, "{part:?} behind {last:?}");
            last = part.range.clone();
        }
        assert_eq!(last.end, message.len());
    }

    #[test]
    fn json_is_read_across_chunks_that_divide_its_tokens() {
        let message =
            format!("{HEAD}8\r\n{{\"a\":\"tw\r\n5\r\no\",\"b\r\n4\r\n\":12\r\n2\r\n3}}\r\n0\r\n\r\n");
        let parts = http(message.as_bytes());
        assert_covered(message.as_bytes(), &parts);
        let expected = [("$.a", "\"tw"), ("$.a", "o\""), ("$.b", "12"), ("$.b", "3")];
        let expected = expected.map(|(path, text)| (path.to_owned(), text.to_owned()));
        assert_eq!(values(message.as_bytes(), &parts), expected);
        let whole: Vec<_> = parts.iter().filter(|part| part.kind == Kind::JsonNumber).collect();
        assert!(
            whole.iter().all(|part| part.value.to_string() == "123"),
            "the value is that of the whole token"
        );
    }

    #[test]
    fn a_message_cut_anywhere_is_covered() {
        let message = format!("{HEAD}8\r\n{{\"a\":\"tw\r\n5;x\r\no\",\"b\r\n0\r\nT: v\r\n\r\n");
        for end in 0..=message.len() {
            assert_covered(&message.as_bytes()[..end], &http(&message.as_bytes()[..end]));
        }
    }

    #[test]
    fn coded_content_and_other_types_are_not_read_as_json() {
        let kinds = |head: &str| {
            http(format!("HTTP/1.1 200 OK\r\n{head}\r\n\r\n{{}}").as_bytes()).pop().map(|part| part.kind)
        };
        assert_eq!(kinds("A: b"), Some(Kind::JsonPunctuation));
        assert_eq!(kinds("Content-Type: text/html"), Some(Kind::HttpBody));
        assert_eq!(kinds("Content-Type: application/json\r\nContent-Encoding: gzip"), Some(Kind::HttpBody));
    }

    #[test]
    fn json_is_read_across_websocket_frames() {
        // With a ping in between.
        let frames = [&[0x01, 6][..], b"{\"a\":\"", &[0x89, 1, b'"'], &[0x80, 4], b"xy\"}"].concat();
        let parts = websocket(&frames);
        assert_covered(&frames, &parts);
        let expected =
            [("$.a", "\""), ("$.a", "xy\"")].map(|(path, text)| (path.to_owned(), text.to_owned()));
        assert_eq!(values(&frames, &parts), expected);
    }
}
