//! The ClientHello in the form of SSL 2.0, with which clients of SSL 3.0 to TLS 1.2 also reached servers of SSL 2.0
//! (RFC 5246 appendix E.2).
//!
//! ```text
//!   1 │ length (15 bits) │ type │ version │ three lengths │ cipher_specs │ session_id │ challenge
//!   └──────────── record::Header ─────────┘└─────────────────── fragment ───────────────────────┘
//! ```
//!
//! It is no record and has no header of a handshake message. The deframer takes its first five bytes, up to the version, as
//! header of a record of the content type `ContentType::SSL2_CLIENT_HELLO`.

use super::cipher_suite::CipherSuite;
use super::code::{HandshakeType, ProtocolVersion};
use super::cursor::{Cursor, Parsed};
use crate::detection::Detection;

/// Longest message, without its first two bytes. All suites that are registered take some 1,100 bytes; a longer message is not
/// taken for one.
pub(super) const MAX_LENGTH: usize = 0x0fff;

/// The first bytes, up to the version.
const WITH_VERSION: usize = 5;

/// Type, version and three lengths.
const FIXED: usize = 9;

/// Bytes of a cipher spec.
const SPEC: usize = 3;

/// Longest challenge: it becomes the random of the ClientHello.
const MAX_CHALLENGE: usize = 32;

/// Whether a byte may be the first of such a message.
pub(super) fn may_begin(first: u8) -> bool {
    (0x80..=0x80 | (MAX_LENGTH >> 8) as u8).contains(&first)
}

/// Whether the first five bytes, or fewer, of a direction may begin such a message.
pub(super) fn is_plausible(header: &[u8]) -> bool {
    let mut bytes = header.iter().copied();
    let Some(first) = bytes.next() else { return true };
    let Some(low) = bytes.next() else { return may_begin(first) };
    let is_long = usize::from(first & 0x7f) << 8 | usize::from(low) >= FIXED;
    may_begin(first)
        && is_long
        && bytes.next().is_none_or(|kind| kind == HandshakeType::CLIENT_HELLO.0)
        && match (bytes.next(), bytes.next()) {
            (Some(major), Some(minor)) => is_version(ProtocolVersion(u16::from_be_bytes([major, minor]))),
            (Some(major), None) => matches!(major, 0 | 3),
            _ => true,
        }
}

fn is_version(version: ProtocolVersion) -> bool {
    version == ProtocolVersion::SSL_2_0
        || (ProtocolVersion::SSL_3_0..=ProtocolVersion::TLS_1_3).contains(&version)
}

/// Whether a stream that begins with `prefix` begins with such a message: its lengths have to add up.
pub(super) fn detect(prefix: &[u8]) -> Detection {
    if !is_plausible(prefix.get(..WITH_VERSION).unwrap_or(prefix)) {
        return Detection::NoMatch;
    }
    let Some(fixed) = prefix.first_chunk::<{ 2 + FIXED }>() else { return Detection::NeedMore };
    let [first, low, _, _, _, lengths @ ..] = *fixed;
    let length = usize::from(first & 0x7f) << 8 | usize::from(low);
    let lengths = Lengths::read(&mut Cursor::new(&lengths));
    match lengths {
        Ok(lengths) if lengths.add_up(length) => Detection::Match,
        _ => Detection::NoMatch,
    }
}

/// The three lengths.
struct Lengths {
    specs: usize,
    session_id: usize,
    challenge: usize,
}

impl Lengths {
    fn read(cursor: &mut Cursor<'_>) -> Parsed<Self> {
        let specs = usize::from(cursor.u16("cipher_spec_length")?);
        let session_id = usize::from(cursor.u16("session_id_length")?);
        Ok(Self { specs, session_id, challenge: usize::from(cursor.u16("challenge_length")?) })
    }

    /// Whether they make a message of this length, without its first two bytes.
    fn add_up(&self, length: usize) -> bool {
        let Self { specs, session_id, challenge } = *self;
        specs % SPEC == 0
            && specs > 0
            && challenge <= MAX_CHALLENGE
            && FIXED + specs + session_id + challenge == length
    }
}

/// The fields of such a message.
pub(super) struct Ssl2Hello<'a> {
    pub(super) version: ProtocolVersion,
    /// The suites of SSL 3.0 and TLS; those of SSL 2.0 are left out.
    pub(super) cipher_suites: Vec<CipherSuite>,
    pub(super) session_id: &'a [u8],
    /// The challenge, filled up with zeros in front.
    pub(super) random: [u8; 32],
}

impl<'a> Ssl2Hello<'a> {
    /// Reads the message from its version on.
    pub(super) fn parse(body: &'a [u8]) -> Parsed<Self> {
        let mut cursor = Cursor::new(body);
        let version = ProtocolVersion(cursor.u16("version")?);
        let wrong = cursor.wrong("lengths");
        let lengths = Lengths::read(&mut cursor)?;
        if !lengths.add_up(1 + body.len()) {
            return Err(wrong);
        }
        let specs = cursor.bytes(lengths.specs, "cipher_specs")?;
        // Those of SSL 2.0 itself begin with another byte.
        let suites = specs.chunks_exact(SPEC).filter_map(|spec| match spec {
            [0, suite @ ..] => suite.try_into().ok().map(|suite| CipherSuite(u16::from_be_bytes(suite))),
            _ => None,
        });
        let session_id = cursor.bytes(lengths.session_id, "session_id")?;
        let challenge = cursor.bytes(lengths.challenge, "challenge")?;
        cursor.end("bytes after the challenge")?;
        let mut random = [0; 32];
        random.iter_mut().rev().zip(challenge.iter().rev()).for_each(|(random, byte)| *random = *byte);
        Ok(Self { version, cipher_suites: suites.collect(), session_id, random })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The message with this version, cipher specs, session id and challenge.
    fn message(version: u16, specs: &[[u8; 3]], session_id: &[u8], challenge: &[u8]) -> Vec<u8> {
        let mut body = vec![1];
        body.extend(version.to_be_bytes());
        for length in [specs.len() * 3, session_id.len(), challenge.len()] {
            body.extend((length as u16).to_be_bytes());
        }
        body.extend(specs.concat());
        body.extend(session_id);
        body.extend(challenge);
        let mut message = (0x8000 | body.len() as u16).to_be_bytes().to_vec();
        message.extend(body);
        message
    }

    const SPECS: [[u8; 3]; 3] = [[7, 0, 0xc0], [0, 0, 0x39], [0, 0, 0x35]];

    #[test]
    fn reads_suites_and_challenge() {
        let message = message(0x0301, &SPECS, &[], &[7; 16]);
        assert_eq!(detect(&message), Detection::Match);
        let hello = Ssl2Hello::parse(&message[3..]).unwrap();
        assert_eq!(hello.version, ProtocolVersion::TLS_1_0);
        assert_eq!(hello.cipher_suites, [CipherSuite(0x39), CipherSuite(0x35)]);
        assert_eq!((&hello.random[..16], &hello.random[16..]), (&[0; 16][..], &[7; 16][..]));
    }

    #[test]
    fn recognises_it_by_its_lengths() {
        let whole = message(0x0002, &SPECS, &[9; 16], &[7; 32]);
        for length in 0..=whole.len() {
            let expected = if length < 11 { Detection::NeedMore } else { Detection::Match };
            assert_eq!(detect(&whole[..length]), expected, "{length}");
        }
        for at in 0..11 {
            let mut other = whole.clone();
            other[at] ^= 0x41;
            assert_eq!(detect(&other), Detection::NoMatch, "{at}");
        }
        let long = message(0x0300, &SPECS, &[], &[7; 33]);
        assert_eq!(detect(&long), Detection::NoMatch);
        assert_eq!(detect(&message(0x0300, &[], &[], &[7; 32])), Detection::NoMatch);
    }

    #[test]
    fn a_cut_message_does_not_parse() {
        let whole = message(0x0300, &SPECS, &[], &[7; 32]);
        for length in 3..whole.len() {
            assert!(Ssl2Hello::parse(&whole[3..length]).is_err(), "{length}");
        }
    }
}
