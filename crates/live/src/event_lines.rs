//! Reads a stream of server-sent events (WHATWG HTML §9.2.6) as its bytes arrive.

/// Longest line and longest event: an answer of 768 KiB with every byte escaped.
const MAX_EVENT: usize = 8 << 20;

/// A reader of one stream.
#[derive(Debug, Default)]
pub(crate) struct EventLines {
    /// The beginning of a line.
    line: Vec<u8>,
    name: String,
    data: String,
}

impl EventLines {
    /// Takes the next bytes, and returns the names and the data of the events that they complete.
    pub(crate) fn push(&mut self, bytes: &[u8]) -> Vec<(String, String)> {
        let mut events = Vec::new();
        for &byte in bytes {
            if byte != b'\n' {
                if self.line.len() < MAX_EVENT {
                    self.line.push(byte);
                }
                continue;
            }
            let line = std::mem::take(&mut self.line);
            let line = String::from_utf8_lossy(line.strip_suffix(b"\r").unwrap_or(&line)).into_owned();
            if line.is_empty() {
                let (name, data) = (std::mem::take(&mut self.name), std::mem::take(&mut self.data));
                if !data.is_empty() {
                    events.push((name, data));
                }
                continue;
            }
            let (field, value) = line.split_once(':').unwrap_or((&line, ""));
            let value = value.strip_prefix(' ').unwrap_or(value);
            match field {
                "event" => value.clone_into(&mut self.name),
                "data" if self.data.len() + value.len() < MAX_EVENT => {
                    if !self.data.is_empty() {
                        self.data.push('\n');
                    }
                    self.data.push_str(value);
                }
                // A comment keeps the connection open.
                _ => {}
            }
        }
        events
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const STREAM: &[u8] = b": a comment\n\nevent: delta\ndata: {\"text\":\"\xed\x95\x9c\"}\n\nevent: done\r\ndata: one\ndata:two\n\n\n";

    #[test]
    fn reads_events_however_they_are_divided() {
        let expected =
            [("delta".to_owned(), "{\"text\":\"한\"}".to_owned()), ("done".into(), "one\ntwo".into())];
        for size in 1..STREAM.len() {
            let mut lines = EventLines::default();
            let events: Vec<_> = STREAM.chunks(size).flat_map(|piece| lines.push(piece)).collect();
            assert_eq!(events, expected, "{size}");
        }
    }

    #[test]
    fn a_line_without_end_needs_bounded_memory() {
        let mut lines = EventLines::default();
        for _ in 0..2 * MAX_EVENT / 65_536 {
            lines.push(&[b'x'; 65_536]);
        }
        assert_eq!(lines.line.len(), MAX_EVENT);
    }
}
