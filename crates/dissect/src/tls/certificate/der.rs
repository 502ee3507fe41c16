//! A reader of DER (ITU-T X.690): the values of one byte string, one after another. It opens no nested value by itself,
//! so that its depth is that of the code that calls it, and it copies no bytes. A failed read names its field.

use std::fmt;

/// Identifier octets of universal types (X.680 §8.4, X.690 §8.1.2).
pub(super) mod tag {
    pub(crate) const BOOLEAN: u8 = 0x01;
    pub(crate) const INTEGER: u8 = 0x02;
    pub(crate) const BIT_STRING: u8 = 0x03;
    pub(crate) const OCTET_STRING: u8 = 0x04;
    pub(crate) const OBJECT_IDENTIFIER: u8 = 0x06;
    pub(crate) const OBJECT_DESCRIPTOR: u8 = 0x07;
    pub(crate) const UTF8_STRING: u8 = 0x0c;
    pub(crate) const NUMERIC_STRING: u8 = 0x12;
    pub(crate) const PRINTABLE_STRING: u8 = 0x13;
    pub(crate) const TELETEX_STRING: u8 = 0x14;
    pub(crate) const VIDEOTEX_STRING: u8 = 0x15;
    pub(crate) const IA5_STRING: u8 = 0x16;
    pub(crate) const UTC_TIME: u8 = 0x17;
    pub(crate) const GENERALIZED_TIME: u8 = 0x18;
    pub(crate) const GRAPHIC_STRING: u8 = 0x19;
    pub(crate) const VISIBLE_STRING: u8 = 0x1a;
    pub(crate) const GENERAL_STRING: u8 = 0x1b;
    pub(crate) const BMP_STRING: u8 = 0x1e;
    pub(crate) const SEQUENCE: u8 = 0x30;
    pub(crate) const SET: u8 = 0x31;

    /// A context-specific tag of a value that contains values, e.g. `[3] EXPLICIT`.
    pub(crate) const fn context_constructed(number: u8) -> u8 {
        0xa0 | number
    }

    /// A context-specific tag of a value that contains none, e.g. `[2] IMPLICIT IA5String`.
    pub(crate) const fn context(number: u8) -> u8 {
        0x80 | number
    }
}

/// The low bits of an identifier octet that is followed by others (X.690 §8.1.2.4). Certificates use no tag number above
/// 30.
const MORE_TAG_OCTETS: u8 = 0x1f;

/// Most octets of a length: a TLS message has at most 2^24 bytes.
const MAX_LENGTH_OCTETS: usize = 4;

/// A value that cannot be read: which, where, and why.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Malformed {
    /// The field, as RFC 5280 names it.
    pub(super) field: &'static str,
    /// Offset in the certificate (bytes).
    pub(super) offset: usize,
    /// What is wrong.
    pub(super) why: &'static str,
}

impl fmt::Display for Malformed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} at byte {}: {}", self.field, self.offset, self.why)
    }
}

pub(super) type Parsed<T> = Result<T, Malformed>;

/// One value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Value<'a> {
    /// The identifier octet.
    pub(super) tag: u8,
    /// The contents octets.
    pub(super) content: &'a [u8],
    /// Offset of the contents octets in the certificate (bytes).
    offset: usize,
}

impl<'a> Value<'a> {
    /// The tag number.
    pub(super) fn number(self) -> u8 {
        self.tag & MORE_TAG_OCTETS
    }

    /// Whether the tag is of the class context-specific.
    pub(super) fn is_context_specific(self) -> bool {
        self.tag & 0xc0 == 0x80
    }

    /// Reads the values in this one.
    pub(super) fn open(self) -> Der<'a> {
        Der { rest: self.content, offset: self.offset }
    }

    /// The error for the contents of this value.
    pub(super) fn malformed(self, field: &'static str, why: &'static str) -> Malformed {
        Malformed { field, offset: self.offset, why }
    }

    /// The octets of a BIT STRING (X.690 §8.6, §11.2) of whole octets, which keys and signatures are.
    pub(super) fn whole_octets(self, field: &'static str) -> Parsed<Value<'a>> {
        match self.content {
            [0, octets @ ..] => Ok(Value { content: octets, offset: self.offset + 1, ..self }),
            [] => Err(self.malformed(field, "an empty BIT STRING")),
            [_, ..] => Err(self.malformed(field, "a BIT STRING that is not of whole bytes")),
        }
    }
}

/// Reads values from front to back.
#[derive(Clone, Copy, Debug)]
pub(super) struct Der<'a> {
    rest: &'a [u8],
    offset: usize,
}

impl<'a> Der<'a> {
    pub(super) fn new(bytes: &'a [u8]) -> Self {
        Self { rest: bytes, offset: 0 }
    }

    pub(super) fn rest(&self) -> &'a [u8] {
        self.rest
    }

    pub(super) fn is_empty(&self) -> bool {
        self.rest.is_empty()
    }

    /// The next value, of any type.
    pub(super) fn any(&mut self, field: &'static str) -> Parsed<Value<'a>> {
        let wrong = |why| Malformed { field, offset: self.offset, why };
        let (&tag, after_tag) = self.rest.split_first().ok_or(wrong("it is missing"))?;
        if tag & MORE_TAG_OCTETS == MORE_TAG_OCTETS {
            return Err(wrong("a tag number above 30"));
        }
        let (length, after_length) = length(after_tag).map_err(wrong)?;
        let (content, rest) =
            after_length.split_at_checked(length).ok_or(wrong("it is longer than what contains it"))?;
        let offset = self.offset + (self.rest.len() - after_length.len());
        self.rest = rest;
        self.offset = offset + length;
        Ok(Value { tag, content, offset })
    }

    /// The next value, which has this tag.
    pub(super) fn value(&mut self, tag: u8, field: &'static str) -> Parsed<Value<'a>> {
        let before = self.offset;
        let value = self.any(field)?;
        if value.tag == tag {
            Ok(value)
        } else {
            Err(Malformed { field, offset: before, why: "it has another type" })
        }
    }

    /// Reads the values in the next one, a SEQUENCE.
    pub(super) fn sequence(&mut self, field: &'static str) -> Parsed<Self> {
        self.value(tag::SEQUENCE, field).map(Value::open)
    }

    /// The next value if it has this tag.
    pub(super) fn optional(&mut self, tag: u8, field: &'static str) -> Parsed<Option<Value<'a>>> {
        if self.rest.first() == Some(&tag) { self.any(field).map(Some) } else { Ok(None) }
    }

    /// The next value, an OBJECT IDENTIFIER, as text.
    pub(super) fn object_identifier(&mut self, field: &'static str) -> Parsed<String> {
        let value = self.value(tag::OBJECT_IDENTIFIER, field)?;
        dotted(value.content).ok_or(value.malformed(field, "not an OBJECT IDENTIFIER"))
    }

    /// Fails if values are left.
    pub(super) fn end(&self, field: &'static str) -> Parsed<()> {
        if self.is_empty() {
            Ok(())
        } else {
            Err(Malformed { field, offset: self.offset, why: "more than belongs here" })
        }
    }
}

/// A definite length in the fewest possible octets (X.690 §10.1), and what follows it.
fn length(bytes: &[u8]) -> Result<(usize, &[u8]), &'static str> {
    const CUT: &str = "it is cut off";
    let (&first, rest) = bytes.split_first().ok_or(CUT)?;
    let count = usize::from(first & 0x7f);
    if first & 0x80 == 0 {
        return Ok((count, rest));
    }
    if count == 0 {
        return Err("an indefinite length");
    }
    if count > MAX_LENGTH_OCTETS {
        return Err("a length of more than four bytes");
    }
    let (octets, rest) = rest.split_at_checked(count).ok_or(CUT)?;
    let length = octets.iter().fold(0_u64, |length, octet| length << 8 | u64::from(*octet));
    if octets.starts_with(&[0]) || length < 0x80 {
        return Err("a length that is not in its shortest form");
    }
    usize::try_from(length).map(|length| (length, rest)).map_err(|_| "a length of more than four bytes")
}

/// The contents of an OBJECT IDENTIFIER as text, e.g. `2.5.4.3` (X.690 §8.19). `None` if they are none, or if an arc has
/// more than 128 bits: the longest known arcs are UUIDs.
pub(super) fn dotted(content: &[u8]) -> Option<String> {
    if content.last()? & 0x80 != 0 {
        return None;
    }
    let mut text = String::new();
    let mut arc = 0_u128;
    let mut starts = true;
    for octet in content {
        if starts && *octet == 0x80 {
            return None;
        }
        arc = arc.checked_mul(0x80)? | u128::from(octet & 0x7f);
        starts = octet & 0x80 == 0;
        if starts {
            // The first subidentifier encodes two arcs; the first arc is 0, 1 or 2.
            if text.is_empty() {
                let top = (arc / 40).min(2);
                text = format!("{top}.{}", arc - top * 40);
            } else {
                text.push('.');
                text.push_str(&arc.to_string());
            }
            arc = 0;
        }
    }
    Some(text)
}

/// One value in DER.
#[cfg(test)]
pub(super) fn encoded(tag: u8, parts: &[&[u8]]) -> Vec<u8> {
    let content = parts.concat();
    let length = match content.len() {
        short @ 0..0x80 => vec![short as u8],
        byte @ 0x80..0x100 => vec![0x81, byte as u8],
        long => [&[0x82][..], &u16::try_from(long).unwrap().to_be_bytes()].concat(),
    };
    [&[tag][..], &length, &content].concat()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn one(bytes: &[u8]) -> Result<(u8, &[u8]), &'static str> {
        Der::new(bytes).any("x").map(|value| (value.tag, value.content)).map_err(|error| error.why)
    }

    #[test]
    fn reads_a_tag_a_length_and_contents() {
        assert_eq!(one(&[0x02, 0x01, 0x05]), Ok((tag::INTEGER, &[5][..])));
        assert_eq!(one(&[0x05, 0x00]), Ok((0x05, &[][..])));
        assert_eq!(one(&[0x02, 0x01, 0x05, 0xff]), Ok((tag::INTEGER, &[5][..])));
        let long = [&[0x04, 0x81, 0x80][..], &[7; 0x80]].concat();
        assert_eq!(long, encoded(0x04, &[&[7; 0x80]]));
        assert_eq!(one(&long), Ok((tag::OCTET_STRING, &[7; 0x80][..])));
        let longer = [&[0x04, 0x82, 0x01, 0x00][..], &[7; 0x100]].concat();
        assert_eq!(one(&longer), Ok((tag::OCTET_STRING, &[7; 0x100][..])));
    }

    #[test]
    fn rejects_what_is_not_der() {
        for (bytes, why) in [
            (&[][..], "it is missing"),
            (&[0x30], "it is cut off"),
            (&[0x30, 0x82, 0x01], "it is cut off"),
            (&[0x30, 0x01], "it is longer than what contains it"),
            (&[0x30, 0x84, 0xff, 0xff, 0xff, 0xff], "it is longer than what contains it"),
            (&[0x30, 0x80, 0x00, 0x00], "an indefinite length"),
            (&[0x30, 0x85, 1, 1, 1, 1, 1], "a length of more than four bytes"),
            (&[0x30, 0xff, 1], "a length of more than four bytes"),
            (&[0x04, 0x81, 0x01, 0x00], "a length that is not in its shortest form"),
            (&[0x04, 0x82, 0x00, 0x80], "a length that is not in its shortest form"),
            (&[0x1f, 0x1f, 0x00], "a tag number above 30"),
            (&[0xbf, 0x1f, 0x00], "a tag number above 30"),
        ] {
            assert_eq!(one(bytes), Err(why), "{bytes:02x?}");
        }
    }

    #[test]
    fn names_the_field_and_its_place_in_the_certificate() {
        let bytes = [0x30, 0x06, 0x02, 0x01, 0x05, 0x30, 0x01, 0x00];
        let mut inner = Der::new(&bytes).sequence("outer").unwrap();
        assert_eq!(inner.value(tag::INTEGER, "number").unwrap().content, [5]);
        let mut other = inner;
        let error = other.value(tag::INTEGER, "second number").unwrap_err();
        assert_eq!(error.to_string(), "second number at byte 5: it has another type");
        let deeper = inner.sequence("inner").unwrap();
        let error = deeper.end("inner").unwrap_err();
        assert_eq!(error.to_string(), "inner at byte 7: more than belongs here");
        assert!(inner.is_empty() && inner.end("outer").is_ok());
    }

    #[test]
    fn reads_an_optional_value_only_if_its_tag_follows() {
        let mut der = Der::new(&[0x01, 0x01, 0xff, 0x02, 0x01, 0x05]);
        assert_eq!(der.optional(tag::INTEGER, "x"), Ok(None));
        assert_eq!(der.optional(tag::BOOLEAN, "x").unwrap().unwrap().content, [0xff]);
        assert_eq!(der.optional(tag::INTEGER, "x").unwrap().unwrap().content, [5]);
        assert_eq!(der.optional(tag::INTEGER, "x"), Ok(None));
        assert!(Der::new(&[0x02, 0x09]).optional(tag::INTEGER, "x").is_err());
    }

    #[test]
    fn reads_bit_strings_of_whole_octets_only() {
        let bits = |content| Der::new(content).any("x").unwrap().whole_octets("x").map(|value| value.content);
        assert_eq!(bits(&[0x03, 0x03, 0x00, 0xab, 0xcd]), Ok(&[0xab, 0xcd][..]));
        assert_eq!(bits(&[0x03, 0x01, 0x00]), Ok(&[][..]));
        assert!(bits(&[0x03, 0x00]).is_err());
        assert!(bits(&[0x03, 0x02, 0x01, 0xfe]).is_err());
    }

    #[test]
    fn writes_object_identifiers_with_dots() {
        for (content, text) in [
            (&[0x55, 0x04, 0x03][..], "2.5.4.3"),
            (&[0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x01, 0x0b], "1.2.840.113549.1.1.11"),
            (&[0x09, 0x92, 0x26, 0x89, 0x93, 0xf2, 0x2c, 0x64, 0x01, 0x19], "0.9.2342.19200300.100.1.25"),
            (&[0x27], "0.39"),
            (&[0x28], "1.0"),
            (&[0x50], "2.0"),
            // 2.999, the example of X.690 §8.19.5.
            (&[0x88, 0x37, 0x03], "2.999.3"),
        ] {
            assert_eq!(dotted(content).as_deref(), Some(text));
        }
        let uuid = [&[0x69, 0x83][..], &[0xff; 17], &[0x7f]].concat();
        assert_eq!(dotted(&uuid), Some(format!("2.25.{}", u128::MAX)));
    }

    #[test]
    fn rejects_object_identifiers_that_are_cut_padded_or_too_large() {
        assert_eq!(dotted(&[]), None);
        assert_eq!(dotted(&[0x2a, 0x86]), None);
        assert_eq!(dotted(&[0x2a, 0x80, 0x01]), None);
        assert_eq!(dotted(&[&[0x69, 0x84][..], &[0x80; 17], &[0x00]].concat()), None);
    }
}
