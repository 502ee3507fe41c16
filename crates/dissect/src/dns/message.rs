//! One message (RFC 1035 §4.1).

use std::ops::Range;

use super::code::{Class, Opcode, RecordType, ResponseCode};
use super::malformed::Malformed;
use super::name::Name;
use super::reader::Reader;
use super::record::{Data, Record, Section};

/// Length of the header in bytes.
pub const HEADER_LEN: usize = 12;

/// Maximum number of questions and records that are read of one message. A message of 64 KiB has room for some 5,900 of
/// the shortest; real ones have below a hundred, zone transfers some hundred.
pub const MAX_RECORDS: usize = 4096;

/// The first bit of the class: in a question of multicast DNS, that the answer may be unicast (RFC 6762 §5.4); in a record,
/// that it replaces others (RFC 6762 §10.2).
const CLASS_FLAG: u16 = 0x8000;

/// The header of a message (RFC 1035 §4.1.1). It is [`HEADER_LEN`] bytes: id at 0, flags at 2, and the four counts from 4 on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Header {
    /// Number that connects an answer with its query.
    pub id: u16,
    /// Whether it is an answer.
    pub is_response: bool,
    /// Kind.
    pub opcode: Opcode,
    /// Whether the answer comes from an authority for the name.
    pub is_authoritative: bool,
    /// Whether the message was too long for its transport.
    pub is_truncated: bool,
    /// All flags as they are on the wire, with opcode and response code.
    pub flags: u16,
    /// Numbers of questions, answers, authority records and additional records that the header states.
    pub counts: [u16; 4],
}

impl Header {
    fn new(bytes: [u8; HEADER_LEN]) -> Self {
        let [i1, i2, f1, f2, q1, q2, an1, an2, ns1, ns2, ar1, ar2] = bytes;
        let flags = u16::from_be_bytes([f1, f2]);
        Self {
            id: u16::from_be_bytes([i1, i2]),
            is_response: flags & 0x8000 != 0,
            opcode: Opcode((flags >> 11) as u8 & 0xf),
            is_authoritative: flags & 0x0400 != 0,
            is_truncated: flags & 0x0200 != 0,
            flags,
            counts: [[q1, q2], [an1, an2], [ns1, ns2], [ar1, ar2]].map(u16::from_be_bytes),
        }
    }
}

/// A question (RFC 1035 §4.1.2).
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Question {
    /// The name that is asked for.
    pub name: Name,
    /// Type.
    pub kind: RecordType,
    /// Class, without the flag of multicast DNS.
    pub class: Class,
    /// The flag of multicast DNS: the answer may be unicast.
    pub wants_unicast: bool,
    /// Its bytes in the message: those of the name, two of the type and two of the class.
    pub range: Range<usize>,
}

/// A message, or what could be read of it.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Message {
    /// The header.
    pub header: Header,
    /// Questions in their order.
    pub questions: Vec<Question>,
    /// Records of all sections in their order.
    pub records: Vec<Record>,
    /// Number of bytes that were read.
    pub length: usize,
    /// Why reading ended before the last record; `None` if all were read.
    pub stop: Option<Malformed>,
}

impl Message {
    /// Reads a message. Bytes behind its last record are left alone: see [`Message::length`].
    ///
    /// # Errors
    /// If there is no whole header.
    pub fn parse(bytes: &[u8]) -> Result<Self, Malformed> {
        let mut reader = Reader::new(bytes, 0);
        let header = Header::new(reader.array("a header")?);
        let mut message =
            Self { header, questions: Vec::new(), records: Vec::new(), length: HEADER_LEN, stop: None };
        message.stop = message.read(&mut reader).err();
        Ok(message)
    }

    fn read(&mut self, reader: &mut Reader<'_>) -> Result<(), Malformed> {
        let [questions, answers, authorities, additional] = self.header.counts;
        for _ in 0..questions {
            self.room(reader)?;
            let question = Question::read(reader)?;
            self.length = reader.position;
            self.questions.push(question);
        }
        let sections = [
            (Section::Answer, answers),
            (Section::Authority, authorities),
            (Section::Additional, additional),
        ];
        for (section, count) in sections {
            for _ in 0..count {
                self.room(reader)?;
                let record = read_record(section, reader)?;
                self.length = reader.position;
                self.records.push(record);
            }
        }
        Ok(())
    }

    fn room(&self, reader: &Reader<'_>) -> Result<(), Malformed> {
        match self.questions.len() + self.records.len() < MAX_RECORDS {
            true => Ok(()),
            false => Err(reader.wrong("more records than are read")),
        }
    }

    /// Outcome of the query, with the upper bits from an OPT record.
    #[must_use]
    pub fn response_code(&self) -> ResponseCode {
        let upper = self.records.iter().find(|record| record.kind == RecordType::OPT);
        let upper = upper.map_or(0, |record| (record.ttl >> 24) as u16);
        ResponseCode(upper << 4 | self.header.flags & 0xf)
    }

    /// Records of a section.
    pub fn section(&self, section: Section) -> impl Iterator<Item = &Record> {
        self.records.iter().filter(move |record| record.section == section)
    }
}

impl Question {
    fn read(reader: &mut Reader<'_>) -> Result<Self, Malformed> {
        let start = reader.position;
        let name = reader.name()?;
        let kind = RecordType(reader.u16("the type of a question")?);
        let class = reader.u16("the class of a question")?;
        Ok(Self {
            name,
            kind,
            class: Class(class & !CLASS_FLAG),
            wants_unicast: class & CLASS_FLAG != 0,
            range: start..reader.position,
        })
    }
}

fn read_record(section: Section, reader: &mut Reader<'_>) -> Result<Record, Malformed> {
    let start = reader.position;
    let name = reader.name()?;
    let kind = RecordType(reader.u16("the type of a record")?);
    let class = reader.u16("the class of a record")?;
    let ttl = reader.u32("the lifetime of a record")?;
    let len = reader.u16("the length of a record")?;
    let data_range = reader.bytes(usize::from(len), "the data of a record")?;
    // In an OPT record the field is a length.
    let flag = if kind == RecordType::OPT { 0 } else { CLASS_FLAG };
    Ok(Record {
        section,
        name,
        kind,
        class: Class(class & !flag),
        flushes_cache: class & flag != 0,
        ttl,
        data: Data::read(kind, reader.part(&data_range)),
        data_range,
        range: start..reader.position,
    })
}

/// The protocol that uses DNS messages on a UDP port: `dns`, `mdns` (RFC 6762 §3) or `llmnr` (RFC 4795 §2).
#[must_use]
pub fn service_of_port(port: u16) -> Option<&'static str> {
    match port {
        53 => Some("dns"),
        5353 => Some("mdns"),
        5355 => Some("llmnr"),
        _ => None,
    }
}

/// Whether bytes that no port names are a message: known kinds alone, no reserved flag, at least one question or record, and
/// everything that the header states, up to the last byte.
#[must_use]
pub fn is_plausible(message: &Message, bytes: &[u8]) -> bool {
    let Header { opcode, flags, counts, .. } = message.header;
    let is_reserved = flags & 0x0040 != 0;
    opcode.is_known()
        && !is_reserved
        && counts.iter().any(|count| *count > 0)
        && message.stop.is_none()
        && message.length == bytes.len()
        && message.questions.iter().all(|question| question.kind.is_known() && question.class.is_known())
}

/// Whether what could be read of a message is usual, where its port is one of DNS: the rest may be cut, or follow behind.
#[must_use]
pub fn begins_plausibly(message: &Message) -> bool {
    let is_usual = |kind: RecordType, class: Class| kind.is_known() && class.is_known();
    let first = match (message.questions.first(), message.records.first()) {
        (Some(question), _) => is_usual(question.kind, question.class),
        (None, Some(record)) => message.header.counts[0] == 0 && is_usual(record.kind, record.class),
        (None, None) => false,
    };
    first && message.header.opcode.is_known()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A query for the name, and an answer with a record of each kind.
    pub(in crate::dns) fn answer() -> Vec<u8> {
        let mut bytes = vec![0x12, 0x34, 0x81, 0x80, 0, 1, 0, 9, 0, 1, 0, 1];
        bytes.extend(b"\x03www\x07example\x03com\0\0\x01\0\x01"); // 12..33
        let mut record = |name: &[u8], kind: u16, data: &[u8]| {
            bytes.extend(name);
            bytes.extend(kind.to_be_bytes());
            bytes.extend([0, 1, 0, 0, 0, 60]);
            bytes.extend((data.len() as u16).to_be_bytes());
            bytes.extend(data);
        };
        record(b"\xc0\x0c", 5, b"\x01a\xc0\x10");
        record(b"\x01a\xc0\x10", 1, &[192, 0, 2, 1]);
        record(b"\xc0\x0c", 28, &[0x20, 1, 0xd, 0xb8, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1]);
        record(b"\xc0\x10", 15, b"\0\x0a\x04mail\xc0\x10");
        record(b"\xc0\x10", 16, b"\x05v=one\x03two");
        record(b"\xc0\x10", 33, b"\0\x01\0\x02\x01\xbb\xc0\x0c");
        record(b"\xc0\x0c", 65, b"\0\x01\0\0\x01\0\x06\x02h2\x02h3\0\x04\0\x04\xc0\0\x02\x07");
        record(b"\xc0\x10", 12, b"\xc0\x0c");
        record(b"\xc0\x10", 48, b"\x01\x02");
        record(b"\xc0\x10", 6, b"\xc0\x0c\xc0\x10\0\0\0\x07\0\0\0\x01\0\0\0\x01\0\0\0\x01\0\0\0\x01");
        bytes.extend([0, 0, 41, 0x04, 0xd0, 1, 0, 0x80, 0, 0, 8, 0, 10, 0, 4, 1, 2, 3, 4]);
        bytes
    }

    #[test]
    fn reads_every_kind_of_record() {
        let bytes = answer();
        let message = Message::parse(&bytes).unwrap();
        assert_eq!(message.stop, None);
        assert_eq!(message.length, bytes.len());
        assert!(is_plausible(&message, &bytes));
        assert!(message.header.is_response && !message.header.is_authoritative);
        assert_eq!((message.header.id, message.header.counts), (0x1234, [1, 9, 1, 1]));
        assert_eq!(message.response_code(), ResponseCode(16));
        let [question] = &message.questions[..] else { panic!("one question") };
        assert_eq!((question.name.text.as_str(), question.kind), ("www.example.com", RecordType::A));
        assert_eq!((question.name.range.clone(), question.range.clone()), (12..29, 12..33));
        let data: Vec<_> = message.records.iter().map(|record| record.data.clone()).collect();
        let name = |text: &str, data: &Data| match data {
            Data::Name(name) => assert_eq!(name.text, text),
            other => panic!("{other:?}"),
        };
        name("a.example.com", &data[0]);
        assert_eq!(data[1], Data::A("192.0.2.1".parse().unwrap()));
        assert_eq!(message.records[1].name.text, "a.example.com");
        assert_eq!(data[2], Data::Aaaa("2001:db8::1".parse().unwrap()));
        assert!(
            matches!(&data[3], Data::Mx { preference: 10, exchange } if exchange.text == "mail.example.com")
        );
        let Data::Txt(strings) = &data[4] else { panic!("TXT") };
        assert_eq!(strings.iter().map(|at| &bytes[at.clone()]).collect::<Vec<_>>(), [&b"v=one"[..], b"two"]);
        assert!(matches!(&data[5], Data::Srv { port: 443, target, .. } if target.text == "www.example.com"));
        assert_eq!(data[6].alpn(&bytes), ["h2", "h3"]);
        assert_eq!(data[6].hints(&bytes), ["192.0.2.7".parse::<std::net::IpAddr>().unwrap()]);
        name("www.example.com", &data[7]);
        assert_eq!(data[8], Data::Other);
        let Data::Soa { primary, mailbox, serial: 7 } = &data[9] else { panic!("SOA") };
        assert_eq!((primary.text.as_str(), mailbox.text.as_str()), ("www.example.com", "example.com"));
        let Data::Opt(options) = &data[10] else { panic!("OPT") };
        assert_eq!((options[0].key, &bytes[options[0].value.clone()]), (10, &[1, 2, 3, 4][..]));
        assert_eq!((message.records[10].class, message.records[10].name.text.as_str()), (Class(1232), "."));
        // Ranges follow each other without gaps.
        let mut at = question.range.end;
        for record in &message.records {
            assert_eq!((record.range.start, record.data_range.end), (at, record.range.end));
            at = record.range.end;
        }
        assert_eq!(at, bytes.len());
    }

    #[test]
    fn keeps_what_a_cut_message_still_shows() {
        let bytes = answer();
        for len in 0..bytes.len() {
            let Ok(message) = Message::parse(&bytes[..len]) else {
                assert!(len < HEADER_LEN);
                continue;
            };
            assert!(message.stop.is_some() && message.length <= len, "{len}");
            assert_eq!(message.questions.len(), usize::from(len >= 33), "{len}");
            assert!(!is_plausible(&message, &bytes[..len]));
        }
    }

    #[test]
    fn reads_the_flags_of_multicast_dns() {
        let mut bytes = vec![0, 0, 0x84, 0, 0, 1, 0, 1, 0, 0, 0, 0];
        bytes.extend(b"\x01b\x05local\0\0\x0c\x80\x01");
        bytes.extend(b"\xc0\x0c\0\x01\x80\x01\0\0\0\x78\0\x04\x0a\0\0\x01");
        let message = Message::parse(&bytes).unwrap();
        assert!(message.questions[0].wants_unicast && message.records[0].flushes_cache);
        assert_eq!((message.questions[0].class, message.records[0].class), (Class::IN, Class::IN));
        assert_eq!(message.records[0].data, Data::A("10.0.0.1".parse().unwrap()));
    }

    #[test]
    fn bounds_the_number_of_records() {
        let mut bytes = vec![0, 0, 0x84, 0, 0, 0, 0xff, 0xff, 0, 0, 0, 0];
        for _ in 0..5000 {
            bytes.extend([0, 0, 1, 0, 1, 0, 0, 0, 0, 0, 0]);
        }
        let message = Message::parse(&bytes).unwrap();
        assert_eq!(message.records.len(), MAX_RECORDS);
        assert_eq!(message.stop.unwrap().what, "more records than are read");
        // An address of no bytes.
        assert!(matches!(message.records[0].data, Data::Malformed(_)));
    }

    #[test]
    fn finds_noise_implausible() {
        let other = [1, 2, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0];
        assert!(!is_plausible(&Message::parse(&other).unwrap(), &other));
        let mut bytes = answer();
        bytes[2] |= 0x78;
        assert!(!is_plausible(&Message::parse(&bytes).unwrap(), &bytes));
        bytes = answer();
        bytes.push(0);
        assert!(!is_plausible(&Message::parse(&bytes).unwrap(), &bytes));
    }
}
