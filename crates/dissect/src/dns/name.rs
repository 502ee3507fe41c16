//! Domain names (RFC 1035 §3.1), with compression (RFC 1035 §4.1.4).

use std::fmt::Write as _;
use std::ops::Range;

use super::malformed::Malformed;

/// Longest name on the wire, its lengths and the root included (RFC 1035 §2.3.4).
pub const MAX_NAME: usize = 255;

/// Maximum number of compression pointers in one name: a name has at most 127 labels, and an encoder writes at most one
/// pointer in front of each.
pub const MAX_POINTERS: usize = 127;

/// A domain name.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct Name {
    /// The labels with dots between them, without the last dot; `.` for the root. In a label, `.` and `\` have a `\`
    /// before them, and bytes that are neither printable ASCII nor part of UTF-8 text (RFC 6762 §16) are `\DDD` in
    /// decimal digits (RFC 1035 §5.1).
    pub text: String,
    /// The bytes of the message at this place, up to the root label or the first pointer. Labels behind a pointer lie
    /// before them.
    pub range: Range<usize>,
}

impl Name {
    /// Reads the name at `at`. Each pointer must lead to a place before the labels that it ends, so that no loop is
    /// possible; their number is bounded, so that a message full of pointers costs no more than a multiple of its length.
    pub(super) fn read(message: &[u8], at: usize) -> Result<Self, Malformed> {
        let mut text = String::new();
        let mut position = at;
        // The place that a pointer must lead to is before this one.
        let mut before = at;
        let mut end = None;
        let mut length = 1; // the root label
        let mut pointers = 0;
        loop {
            let wrong = |what| Malformed { what, offset: position };
            match *message.get(position).ok_or(wrong("the end of a name"))? {
                0 => {
                    position += 1;
                    break;
                }
                label @ 1..=63 => {
                    let label_at = position + 1;
                    let label_end = label_at + usize::from(label);
                    let bytes = message.get(label_at..label_end).ok_or(wrong("the end of a label"))?;
                    length += bytes.len() + 1;
                    if length > MAX_NAME {
                        return Err(wrong("a name above 255 bytes"));
                    }
                    if !text.is_empty() {
                        text.push('.');
                    }
                    write_label(bytes, &mut text);
                    position = label_end;
                }
                high @ 0xc0..=0xff => {
                    let low = *message.get(position + 1).ok_or(wrong("the end of a pointer"))?;
                    let target = usize::from(high & 0x3f) << 8 | usize::from(low);
                    if target >= before {
                        return Err(wrong("a pointer that does not lead backwards"));
                    }
                    pointers += 1;
                    if pointers > MAX_POINTERS {
                        return Err(wrong("a name with too many pointers"));
                    }
                    end.get_or_insert(position + 2);
                    (position, before) = (target, target);
                }
                // The other two kinds are not in use (RFC 6891 §5).
                _ => return Err(wrong("a label of an unknown kind")),
            }
        }
        if text.is_empty() {
            text.push('.');
        }
        Ok(Self { text, range: at..end.unwrap_or(position) })
    }
}

/// Adds a label in the presentation format.
fn write_label(bytes: &[u8], text: &mut String) {
    for chunk in bytes.utf8_chunks() {
        for c in chunk.valid().chars() {
            match c {
                '.' | '\\' => text.extend(['\\', c]),
                c if c.is_control() => {
                    let mut buffer = [0; 4];
                    c.encode_utf8(&mut buffer).bytes().for_each(|byte| decimal(byte, text));
                }
                c => text.push(c),
            }
        }
        chunk.invalid().iter().for_each(|byte| decimal(*byte, text));
    }
}

fn decimal(byte: u8, text: &mut String) {
    // Writing to a string does not fail.
    let _ = write!(text, "\\{byte:03}");
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(message: &[u8], at: usize) -> Result<String, &'static str> {
        Name::read(message, at).map(|name| name.text).map_err(|error| error.what)
    }

    #[test]
    fn follows_the_pointers_of_rfc_1035() {
        // RFC 1035 §4.1.4, with the names at 0, 12, 18 and 20.
        let message = b"\x01F\x03ISI\x04ARPA\0\x03FOO\xc0\x00\xc0\x06\0";
        assert_eq!(text(message, 0).as_deref(), Ok("F.ISI.ARPA"));
        assert_eq!(text(message, 12).as_deref(), Ok("FOO.F.ISI.ARPA"));
        assert_eq!(text(message, 18).as_deref(), Ok("ARPA"));
        assert_eq!(text(message, 20).as_deref(), Ok("."));
        let name = Name::read(message, 12).unwrap();
        assert_eq!(name.range, 12..18);
    }

    #[test]
    fn refuses_loops_and_pointers_forwards() {
        assert_eq!(text(b"\xc0\x00", 0), Err("a pointer that does not lead backwards"));
        assert_eq!(text(b"\x01a\xc0\x00", 0), Err("a pointer that does not lead backwards"));
        assert_eq!(text(b"\xc0\x02\0", 0), Err("a pointer that does not lead backwards"));
        assert_eq!(text(b"\0\xc0\x00\xc0\x01", 3).as_deref(), Ok("."));
    }

    #[test]
    fn bounds_length_and_pointers() {
        let label = [&[63][..], &[b'a'; 63]].concat();
        let long = [&label.repeat(3)[..], &[61], &[b'a'; 61], &[0]].concat();
        assert_eq!(long.len(), MAX_NAME);
        assert!(text(&long, 0).is_ok());
        let longer = [&label.repeat(3)[..], &[62], &[b'a'; 62], &[0]].concat();
        assert_eq!(text(&longer, 0), Err("a name above 255 bytes"));
        // Pointers to pointers: allowed by the format, and costly without a bound.
        let mut chain = vec![0];
        for number in 0..=MAX_POINTERS as u16 {
            let target = if number == 0 { 0 } else { 1 + 2 * (number - 1) };
            chain.extend((0xc000 | target).to_be_bytes());
        }
        let last = chain.len() - 2;
        assert_eq!(text(&chain, last), Err("a name with too many pointers"));
        assert_eq!(text(&chain, last - 2).as_deref(), Ok("."));
    }

    #[test]
    fn escapes_what_is_no_text() {
        assert_eq!(text(b"\x03a.b\x02c\\\0", 0).as_deref(), Ok("a\\.b.c\\\\"));
        assert_eq!(text(b"\x04\x1b[2J\x03\xff\xc3\xa9\0", 0).as_deref(), Ok("\\027[2J.\\255é"));
        assert_eq!(text(b"\x40a", 0), Err("a label of an unknown kind"));
        assert_eq!(text(b"\x03ab", 0), Err("the end of a label"));
        assert_eq!(text(b"\x01a", 0), Err("the end of a name"));
    }
}
