use dissect::dns::{Event, MAX_NAME, MAX_RECORDS, Message, Parser, Step};

use crate::piece_size;

/// A DNS message: parts follow each other within the bytes, text is bounded, and a cut message has no other parts. The same bytes as a
/// stream of messages: every division gives the same ones.
pub fn dns(data: &[u8]) {
    if let Ok(message) = Message::parse(data) {
        check(&message, data);
        let cut = piece_size(data, data.len());
        if let Ok(shorter) = Message::parse(&data[..cut.min(data.len())]) {
            assert!(shorter.questions.len() <= message.questions.len());
            assert_eq!(shorter.questions[..], message.questions[..shorter.questions.len()]);
            assert!(shorter.records.len() <= message.records.len());
        }
    }
    let whole = read(data, data.len().max(1));
    assert_eq!(read(data, piece_size(data, 20)), whole);
    for message in &whole {
        if let Ok(parsed) = Message::parse(message) {
            check(&parsed, message);
        }
    }
}

fn check(message: &Message, bytes: &[u8]) {
    assert!(message.questions.len() + message.records.len() <= MAX_RECORDS);
    let mut at = 12;
    for question in &message.questions {
        assert!(question.range.start == at && question.name.range.start == at);
        at = question.range.end;
    }
    for record in &message.records {
        assert!(record.range.start == at && record.data_range.end == record.range.end);
        at = record.range.end;
        for name in record.data.names() {
            assert!(record.data_range.start <= name.range.start && name.range.end <= record.data_range.end);
        }
        let _ = (record.data.alpn(bytes), record.data.hints(bytes));
    }
    assert!(at == message.length && at <= bytes.len());
    assert_eq!(message.stop.is_none(), {
        let counts: usize = message.header.counts.iter().map(|count| usize::from(*count)).sum();
        counts == message.questions.len() + message.records.len()
    });
    let owners = message.questions.iter().map(|question| &question.name);
    for name in owners.chain(message.records.iter().flat_map(|record| record.data.names())) {
        // A byte is four characters at most, and no control character is left.
        assert!(name.text.len() <= 4 * MAX_NAME && !name.text.chars().any(char::is_control));
    }
}

fn read(data: &[u8], size: usize) -> Vec<Vec<u8>> {
    let mut parser = Parser::default();
    let mut messages = Vec::new();
    for piece in data.chunks(size) {
        let mut rest = piece;
        while !rest.is_empty() {
            let Step { consumed, event } = parser.step(rest);
            assert!(consumed > 0);
            if let Event::Message(bytes) = event {
                messages.push(bytes.to_vec());
            }
            rest = &rest[consumed..];
        }
        assert!(parser.held_back() < 2 + (1 << 16));
    }
    messages
}
