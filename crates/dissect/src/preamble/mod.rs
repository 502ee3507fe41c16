//! Protocols that hand a connection over to another one: SOCKS proxies, and services whose clients ask for TLS.
//!
//! ```text
//!   client                          server
//!     │ ...                            │
//!     │ asks: STARTTLS, CONNECT ─────> │
//!     │ <───────────────────── accepts │
//!     │ <════ the other protocol ════> │
//! ```
//!
//! | protocol | asked for by | accepted by | source |
//! |---|---|---|---|
//! | SMTP, FTP | `STARTTLS`, `AUTH TLS` | `220`, `234` | RFC 3207 §4, RFC 4217 §4 |
//! | IMAP | tag `STARTTLS` | tag `OK` | RFC 9051 §6.2.1 |
//! | POP3 | `STLS` | `+OK` | RFC 2595 §4 |
//! | XMPP | `<starttls/>` | `<proceed/>` | RFC 6120 §5.4.2 |
//! | LDAP | extended request | extended response | RFC 4511 §4.14 |
//! | PostgreSQL | `SSLRequest` | `S` | PostgreSQL documentation, "SSL Session Encryption" |
//! | MySQL | `SSLRequest` | nothing | MySQL documentation, "Protocol::SSLRequest" |
//! | SOCKS 4, 4a | `CONNECT` | 90 | <https://www.openssh.com/txt/socks4.protocol> |
//! | SOCKS 5 | `CONNECT` | 0 | RFC 1928 §4, RFC 1929 §2 |
//!
//! A client that asks for TLS and sends more before its request is accepted is not followed: such bytes may be from an attacker who
//! wants them to count as protected (CVE-2011-0411). A proxy only passes them on, so that a client of SOCKS may send its request and
//! what is inside of the tunnel at once.

mod binary;
mod lines;
mod socks;

use std::fmt;

use crate::flow::{Direction, PerDirection};

/// Bytes of one direction that are kept of a unit, such as a line, that is not complete.
const MAX_UNIT: usize = 8 << 10;

/// Bytes of one direction of SOCKS that wait for the turn of the other one: more than a TLS ClientHello or the head of a request
/// needs.
const MAX_EARLY: usize = 64 << 10;

/// A protocol that may hand over.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Kind {
    /// SMTP or FTP: both greet with the code 220.
    SmtpOrFtp,
    /// IMAP.
    Imap,
    /// POP3.
    Pop3,
    /// XMPP.
    Xmpp,
    /// LDAP.
    Ldap,
    /// PostgreSQL.
    PostgreSql,
    /// MySQL and MariaDB.
    MySql,
    /// SOCKS 4 and 4a.
    Socks4,
    /// SOCKS 5.
    Socks5,
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::SmtpOrFtp => "SMTP or FTP",
            Self::Imap => "IMAP",
            Self::Pop3 => "POP3",
            Self::Xmpp => "XMPP",
            Self::Ldap => "LDAP",
            Self::PostgreSql => "PostgreSQL",
            Self::MySql => "MySQL",
            Self::Socks4 => "SOCKS 4",
            Self::Socks5 => "SOCKS 5",
        })
    }
}

/// The protocol that the first bytes of a direction show, if it is one of these.
#[must_use]
pub fn detect(direction: Direction, prefix: &[u8]) -> Option<Kind> {
    match direction {
        Direction::ServerToClient => {
            lines::detect_greeting(prefix).or_else(|| binary::detect_greeting(prefix))
        }
        Direction::ClientToServer => lines::detect_opening(prefix)
            .or_else(|| binary::detect_opening(prefix))
            .or_else(|| socks::detect(prefix)),
    }
}

/// What a unit means for the handover.
enum Meaning {
    /// Nothing.
    Talk,
    /// The client asks for the other protocol. Its answer must contain these bytes, if any.
    Asks(Vec<u8>),
    /// The server refuses, or the client goes on without.
    Refuses,
    /// The server accepts.
    Accepts,
    /// No handover will follow.
    Ends,
}

/// Both directions until they are handed over.
#[derive(Debug)]
pub struct Preamble {
    kind: Kind,
    sides: PerDirection<Side>,
    /// What the client asked for with; `None` while it has not, or was refused.
    asked: Option<Vec<u8>>,
    socks: socks::Stage,
    /// Whether no handover can follow.
    is_over: bool,
    /// Bytes behind the places where the other protocol begins.
    early: PerDirection<Vec<u8>>,
}

#[derive(Debug, Default)]
struct Side {
    /// Stream offset of the first byte held.
    offset: u64,
    held: Vec<u8>,
}

impl Preamble {
    /// A connection whose directions begin at these stream offsets.
    #[must_use]
    pub fn new(kind: Kind, begins: PerDirection<u64>) -> Self {
        let sides = PerDirection::from_fn(|direction| Side { offset: begins[direction], ..Side::default() });
        Self {
            kind,
            sides,
            asked: None,
            socks: socks::Stage::default(),
            is_over: false,
            early: PerDirection::default(),
        }
    }

    /// The protocol before the handover.
    #[must_use]
    pub fn kind(&self) -> Kind {
        self.kind
    }

    /// Bytes that both directions keep of units that are not complete.
    #[must_use]
    pub fn kept_bytes(&self) -> usize {
        self.sides.values().map(|side| side.held.capacity()).sum()
    }

    /// Takes the next bytes of a direction. Returns the stream offsets at which the other protocol begins, once it is agreed on.
    pub fn push(&mut self, direction: Direction, bytes: &[u8]) -> Option<PerDirection<u64>> {
        if self.is_over {
            return None;
        }
        let mut agreed = self.take(direction, bytes);
        // What waited may have its turn now.
        let mut next = direction.opposite();
        while agreed.is_none() && self.has_unit(next) {
            agreed = self.take(next, &[]);
            next = next.opposite();
        }
        agreed
    }

    /// The bytes of both directions that were taken behind the places where the other protocol begins. To be called once it is
    /// agreed on; only SOCKS has any.
    pub fn take_early(&mut self) -> PerDirection<Vec<u8>> {
        std::mem::take(&mut self.early)
    }

    /// Stream offset of the first byte of a direction that [`Preamble::take_early`] may return.
    #[must_use]
    pub fn keep_from(&self, direction: Direction) -> Option<u64> {
        let side = &self.sides[direction];
        (self.passes_on() && !side.held.is_empty()).then_some(side.offset)
    }

    /// Whether the server only passes on what the client sends behind its request.
    fn passes_on(&self) -> bool {
        matches!(self.kind, Kind::Socks4 | Kind::Socks5)
    }

    fn has_unit(&self, direction: Direction) -> bool {
        !self.is_over && self.unit(direction, &self.sides[direction].held).is_some()
    }

    /// Takes the units of a direction whose turn it is.
    fn take(&mut self, direction: Direction, bytes: &[u8]) -> Option<PerDirection<u64>> {
        let mut held = std::mem::take(&mut self.sides[direction].held);
        held.extend_from_slice(bytes);
        let mut taken = 0;
        while let Some(unit) = held.get(taken..).and_then(|held| self.unit(direction, held)) {
            taken += unit.len();
            self.sides[direction].offset += unit.len() as u64;
            match self.meaning(direction, unit) {
                Meaning::Talk => {}
                Meaning::Asks(with) => self.asked = Some(with),
                Meaning::Refuses => self.asked = None,
                Meaning::Ends => return self.end(),
                Meaning::Accepts => {
                    let begins = PerDirection::from_fn(|of| self.sides[of].offset);
                    let is_early = !self.sides[direction.opposite()].held.is_empty();
                    if self.passes_on() {
                        held.drain(..taken);
                        self.sides[direction].held = held;
                        self.early = PerDirection::from_fn(|of| std::mem::take(&mut self.sides[of].held));
                    } else if is_early {
                        return self.end();
                    }
                    self.end();
                    return Some(begins);
                }
            }
        }
        held.drain(..taken);
        if held.len() > if self.passes_on() { MAX_EARLY } else { MAX_UNIT } {
            return self.end();
        }
        self.sides[direction].held = held;
        None
    }

    /// Bytes are missing: what was agreed on is not known.
    pub fn gap(&mut self) {
        self.end();
    }

    fn end(&mut self) -> Option<PerDirection<u64>> {
        self.is_over = true;
        self.sides = PerDirection::default();
        None
    }

    /// The first unit of these bytes, if it is complete.
    fn unit<'h>(&self, direction: Direction, held: &'h [u8]) -> Option<&'h [u8]> {
        let len = match self.kind {
            Kind::SmtpOrFtp | Kind::Imap | Kind::Pop3 => lines::line_len(held),
            Kind::Xmpp => lines::tag_len(held),
            Kind::Ldap => binary::ldap_len(held),
            Kind::PostgreSql => binary::postgresql_len(direction),
            Kind::MySql => binary::mysql_len(held),
            Kind::Socks4 | Kind::Socks5 => self.socks.unit_len(self.kind, direction, held),
        };
        held.get(..len?).filter(|unit| (1..=MAX_UNIT).contains(&unit.len()))
    }

    fn meaning(&mut self, direction: Direction, unit: &[u8]) -> Meaning {
        let asked = self.asked.as_deref();
        match self.kind {
            Kind::SmtpOrFtp => lines::smtp_or_ftp(direction, unit, asked),
            Kind::Imap => lines::imap(direction, unit, asked),
            Kind::Pop3 => lines::pop3(direction, unit, asked),
            Kind::Xmpp => lines::xmpp(direction, unit, asked),
            Kind::Ldap => binary::ldap(direction, unit, asked),
            Kind::PostgreSql => binary::postgresql(direction, unit, asked),
            Kind::MySql => binary::mysql(direction, unit),
            Kind::Socks4 | Kind::Socks5 => self.socks.take(self.kind, unit),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use Direction::{ClientToServer as C, ServerToClient as S};

    type Said<'a> = (Direction, &'a [u8]);

    /// The kind that the first bytes show, and what is agreed on after all of them.
    fn read(talk: &[Said<'_>]) -> (Option<Kind>, Option<(u64, u64)>) {
        let kind = talk.first().and_then(|(direction, bytes)| detect(*direction, bytes));
        let Some(mut preamble) = kind.map(|kind| Preamble::new(kind, PerDirection::default())) else {
            return (None, None);
        };
        let begins = talk.iter().filter_map(|(direction, bytes)| preamble.push(*direction, bytes)).last();
        (kind, begins.map(|begins| (begins[C], begins[S])))
    }

    /// Reads the talk as it is, and byte by byte.
    fn expect(talk: &[Said<'_>], kind: Kind, begins: Option<(u64, u64)>) {
        assert_eq!(read(talk), (Some(kind), begins));
        let mut preamble = Preamble::new(kind, PerDirection::default());
        let bytes =
            talk.iter().flat_map(|(direction, bytes)| bytes.chunks(1).map(move |byte| (*direction, byte)));
        let found = bytes.filter_map(|(direction, byte)| preamble.push(direction, byte)).last();
        assert_eq!(found.map(|begins| (begins[C], begins[S])), begins, "byte by byte");
    }

    #[test]
    fn services_change_to_tls_where_they_accept() {
        expect(
            &[
                (S, b"220 mail.test ESMTP\r\n"),
                (C, b"EHLO a\r\n"),
                (S, b"250-mail.test\r\n250 STARTTLS\r\n"),
                (C, b"STARTTLS\r\n"),
                (S, b"220 ready\r\n"),
            ],
            Kind::SmtpOrFtp,
            Some((18, 61)),
        );
        expect(
            &[(S, b"220 ftp\r\n"), (C, b"AUTH TLS\r\n"), (S, b"234 go on\r\n")],
            Kind::SmtpOrFtp,
            Some((10, 20)),
        );
        expect(
            &[(S, b"* OK ready\r\n"), (C, b"a1 starttls\r\n"), (S, b"* BAD x\r\na1 OK begin\r\n")],
            Kind::Imap,
            Some((13, 34)),
        );
        expect(&[(S, b"+OK hi\r\n"), (C, b"STLS\r\n"), (S, b"+OK begin\r\n")], Kind::Pop3, Some((6, 19)));
        expect(
            &[
                (C, b"<?xml version='1.0'?><stream:stream to='x'>"),
                (S, b"<stream:stream><stream:features><starttls/></stream:features>"),
                (C, b"<starttls xmlns='urn:ietf:params:xml:ns:xmpp-tls'></starttls>"),
                (S, b"<proceed xmlns='urn:ietf:params:xml:ns:xmpp-tls'/>"),
            ],
            Kind::Xmpp,
            Some((104, 111)),
        );
        expect(
            &[
                (C, b"\x30\x1d\x02\x01\x01\x77\x18\x80\x161.3.6.1.4.1.1466.20037"),
                (S, b"\x30\x0c\x02\x01\x01\x78\x07\x0a\x01\x00\x04\x00\x04\x00"),
            ],
            Kind::Ldap,
            Some((31, 14)),
        );
        expect(&[(C, b"\0\0\0\x08\x04\xd2\x16\x2f"), (S, b"S")], Kind::PostgreSql, Some((8, 1)));
        expect(
            &[(C, b"\0\0\0\x08\x04\xd2\x16\x30"), (S, b"N"), (C, b"\0\0\0\x08\x04\xd2\x16\x2f"), (S, b"S")],
            Kind::PostgreSql,
            Some((16, 2)),
        );
        let greeting = [b"\x10\0\0\0\x0a8.0.1\0".as_slice(), &[7; 9]].concat();
        let request = [b"\x20\0\0\x01\x05\xae\xff\x19".as_slice(), &[0; 28]].concat();
        expect(&[(S, &greeting), (C, &request)], Kind::MySql, Some((36, 20)));
    }

    #[test]
    fn proxies_connect_where_they_accept() {
        expect(
            &[(C, b"\x04\x01\x00\x50\x0a\0\0\x01me\0"), (S, b"\0\x5a\0\0\0\0\0\0")],
            Kind::Socks4,
            Some((11, 8)),
        );
        expect(
            &[(C, b"\x04\x01\x00\x50\0\0\0\x01me\0host.test\0"), (S, b"\0\x5a\0\0\0\0\0\0")],
            Kind::Socks4,
            Some((21, 8)),
        );
        expect(
            &[
                (C, b"\x05\x01\x00"),
                (S, b"\x05\x00"),
                (C, b"\x05\x01\x00\x03\x04host\x01\xbb"),
                (S, b"\x05\x00\x00\x01\0\0\0\0\0\0"),
            ],
            Kind::Socks5,
            Some((14, 12)),
        );
        expect(
            &[
                (C, b"\x05\x02\x00\x02"),
                (S, b"\x05\x02"),
                (C, b"\x01\x02me\x02pw"),
                (S, b"\x01\x00"),
                (C, b"\x05\x01\x00\x04\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\x01\x01\xbb"),
                (S, b"\x05\x00\x00\x01\0\0\0\0\0\0"),
            ],
            Kind::Socks5,
            Some((33, 14)),
        );
    }

    #[test]
    fn a_client_of_socks_need_not_wait() {
        let hello = b"\x16\x03\x01\x00\x04\x01\0\0\0".as_slice();
        let methods = b"\x05\x01\x00".as_slice();
        let request = b"\x05\x01\x00\x03\x04host\x01\xbb".as_slice();
        let (choice, reply) = (b"\x05\x00".as_slice(), b"\x05\x00\x00\x01\0\0\0\0\0\0".as_slice());
        let at_once = [methods, request, hello].concat();
        let with_data = [request, hello].concat();
        let both = [choice, reply].concat();
        let socks4 = [b"\x04\x01\x00\x50\x0a\0\0\x01me\0".as_slice(), b"GET / HTTP/1.1\r\n"].concat();
        type Talk<'a> = (Vec<Said<'a>>, Kind, (u64, u64), &'a [u8]);
        let talks: [Talk<'_>; 4] = [
            (vec![(C, &at_once), (S, choice), (S, reply)], Kind::Socks5, (14, 12), hello),
            (vec![(C, &at_once), (S, &both)], Kind::Socks5, (14, 12), hello),
            (vec![(C, methods), (S, choice), (C, &with_data), (S, reply)], Kind::Socks5, (14, 12), hello),
            (vec![(C, &socks4), (S, b"\0\x5a\0\0\0\0\0\0")], Kind::Socks4, (11, 8), b"GET / HTTP/1.1\r\n"),
        ];
        for (talk, kind, begins, inside) in talks {
            assert_eq!(read(&talk), (Some(kind), Some(begins)));
            for size in [1, 3, 100] {
                let mut preamble = Preamble::new(kind, PerDirection::default());
                let pieces =
                    talk.iter().flat_map(|(way, bytes)| bytes.chunks(size).map(|piece| (*way, piece)));
                let agreed = pieces.filter_map(|(way, piece)| preamble.push(way, piece)).last();
                assert_eq!(agreed.map(|begins| (begins[C], begins[S])), Some(begins), "{size}");
                let early = preamble.take_early();
                assert_eq!((&*early[C], &*early[S]), (inside, &b""[..]), "{size}");
            }
        }
        // What is no protocol of a tunnel shows no SOCKS.
        for other in [b"\x04\x01\x00\x50\x0a\0\0\x01me\0\xff\xff".as_slice(), b"\x05\x01\x00\x07\x07\x07"] {
            assert_eq!(detect(C, other), None, "{other:?}");
        }
    }

    #[test]
    fn more_than_enough_early_bytes_end_the_reading() {
        let mut preamble = Preamble::new(Kind::Socks4, PerDirection::default());
        assert_eq!(preamble.push(C, b"\x04\x01\x00\x50\x0a\0\0\x01me\0"), None);
        for _ in 0..100 {
            assert_eq!(preamble.push(C, &[b'x'; 1000]), None);
            assert!(preamble.sides[C].held.capacity() <= 2 * MAX_EARLY);
        }
        assert_eq!(preamble.push(S, b"\0\x5a\0\0\0\0\0\0"), None);
    }

    #[test]
    fn what_is_refused_is_not_handed_over() {
        let ask = (C, b"STARTTLS\r\n".as_slice());
        expect(
            &[(S, b"220 a\r\n"), ask, (S, b"454 no\r\n"), (C, b"QUIT\r\n"), (S, b"221 x\r\n")],
            Kind::SmtpOrFtp,
            None,
        );
        expect(
            &[(C, b"\0\0\0\x08\x04\xd2\x16\x2f"), (S, b"N"), (C, b"\0\0\0\x10\0\x03\0\0")],
            Kind::PostgreSql,
            None,
        );
        expect(&[(C, b"\x05\x01\x00"), (S, b"\x05\xff")], Kind::Socks5, None);
        expect(&[(C, b"\x04\x01\x00\x50\x0a\0\0\x01me\0"), (S, b"\0\x5b\0\0\0\0\0\0")], Kind::Socks4, None);
        expect(
            &[(S, b"+OK hi\r\n"), (C, b"STLS\r\n"), (S, b"-ERR no\r\n"), (C, b"USER a\r\n"), (S, b"+OK\r\n")],
            Kind::Pop3,
            None,
        );
    }

    /// An attacker adds commands behind the request, which the server may take as protected ones.
    #[test]
    fn what_a_client_sends_before_the_acceptance_ends_the_reading() {
        expect(
            &[(S, b"220 a\r\n"), (C, b"STARTTLS\r\nMAIL FROM:<a>\r\n"), (S, b"220 ready\r\n")],
            Kind::SmtpOrFtp,
            None,
        );
        expect(&[(S, b"220 a\r\n"), (C, b"STARTTLS\r\nMAIL"), (S, b"220 ready\r\n")], Kind::SmtpOrFtp, None);
        expect(&[(C, b"\0\0\0\x08\x04\xd2\x16\x2f\x16"), (S, b"S")], Kind::PostgreSql, None);
    }

    #[test]
    fn other_first_bytes_show_none_of_them() {
        for (direction, bytes) in [
            (S, b"220".as_slice()),
            (S, b"HTTP/1.1 220 x"),
            (S, b"\x16\x03\x01\x00\x0a8.0"),
            (C, b"\x16\x03\x01\x02\x00"),
            (C, b"GET / HTTP/1.1"),
            (C, b"\x05\x01"),
            (C, b"\x05\x01\x00\x00"),
            (C, b"<?xml version='1.0'?><a>"),
            (C, b""),
        ] {
            assert_eq!(detect(direction, bytes), None, "{bytes:?}");
        }
    }

    #[test]
    fn an_endless_line_takes_no_memory() {
        let mut preamble = Preamble::new(Kind::SmtpOrFtp, PerDirection::default());
        for _ in 0..100 {
            assert_eq!(preamble.push(S, &[b'x'; 1000]), None);
            assert!(preamble.sides[S].held.capacity() <= 4 * MAX_UNIT);
        }
        assert!(preamble.is_over);
    }
}
