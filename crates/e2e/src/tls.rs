//! Rewrites a TLS 1.3 session of a capture with the secrets of its key log: hellos and records get other contents, and both
//! Finished messages fit again, as if the endpoints had sent them so.

use aws_lc_rs::aead::{self, Aad, LessSafeKey, Nonce, UnboundKey};
use aws_lc_rs::{digest, hkdf, hmac};
use data_encoding::HEXLOWER_PERMISSIVE;

use crate::damage::{Copied, Side};

const HANDSHAKE: u8 = 22;
const APPLICATION_DATA: u8 = 23;
const RECORD_HEADER: usize = 5;
const MESSAGE_HEADER: usize = 4;

/// Type of a handshake message.
pub const CLIENT_HELLO: u8 = 1;
/// Type of a handshake message.
pub const SERVER_HELLO: u8 = 2;
const NEW_SESSION_TICKET: u8 = 4;
const FINISHED: u8 = 20;

/// A plaintext record.
#[must_use]
pub fn record(content_type: u8, bytes: &[u8]) -> Vec<u8> {
    [&[content_type, 3, 3][..], &(bytes.len() as u16).to_be_bytes(), bytes].concat()
}

/// A vector with its length before it in two bytes.
#[must_use]
pub fn vec16(bytes: &[u8]) -> Vec<u8> {
    [&(bytes.len() as u16).to_be_bytes()[..], bytes].concat()
}

/// The body of a ClientHello, field by field.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ClientHello {
    /// Random.
    pub random: [u8; 32],
    /// Session id.
    pub session_id: Vec<u8>,
    /// Cipher suites.
    pub suites: Vec<u16>,
    /// Extensions: type and contents.
    pub extensions: Vec<(u16, Vec<u8>)>,
}

impl ClientHello {
    fn parse(body: &[u8]) -> Self {
        let mut rest = &body[2..];
        let mut take = |len: usize| {
            let (taken, behind) = rest.split_at(len);
            rest = behind;
            taken.to_vec()
        };
        let random = take(32).try_into().expect("32 bytes");
        let len = usize::from(take(1)[0]);
        let session_id = take(len);
        let number = |bytes: Vec<u8>| u16::from_be_bytes(bytes.try_into().expect("two bytes"));
        let len = usize::from(number(take(2)));
        let suites = take(len).chunks(2).map(|pair| number(pair.to_vec())).collect();
        assert_eq!(take(2), [1, 0], "compression methods");
        let mut left = usize::from(number(take(2)));
        let mut extensions = Vec::new();
        while left > 0 {
            let (kind, len) = (number(take(2)), usize::from(number(take(2))));
            extensions.push((kind, take(len)));
            left -= 4 + len;
        }
        Self { random, session_id, suites, extensions }
    }

    fn body(&self) -> Vec<u8> {
        let suites: Vec<u8> = self.suites.iter().flat_map(|suite| suite.to_be_bytes()).collect();
        let extension =
            |(kind, contents): &(u16, Vec<u8>)| [&kind.to_be_bytes()[..], &vec16(contents)].concat();
        let extensions: Vec<u8> = self.extensions.iter().flat_map(extension).collect();
        let id = [&[self.session_id.len() as u8][..], &self.session_id].concat();
        [&[3, 3][..], &self.random, &id, &vec16(&suites), &[1, 0], &vec16(&extensions)].concat()
    }

    /// The contents of an extension that the hello has.
    ///
    /// # Panics
    /// If it does not.
    pub fn extension(&mut self, kind: u16) -> &mut Vec<u8> {
        let found = self.extensions.iter_mut().find(|(other, _)| *other == kind);
        &mut found.expect("the hello has this extension").1
    }

    /// Adds an extension, or replaces it.
    pub fn with(&mut self, kind: u16, contents: Vec<u8>) {
        self.extensions.retain(|(other, _)| *other != kind);
        self.extensions.push((kind, contents));
    }
}

/// The first connection of a run's TLS capture: its records in the order in which they were sent.
pub struct Session {
    /// Sender and bytes of each record, with its header.
    pub records: Vec<(Side, Vec<u8>)>,
    key_log: String,
    random: [u8; 32],
    suite: u16,
}

impl Session {
    /// The first connection in `https.pcap`.
    ///
    /// # Panics
    /// If it has no TLS 1.3 session.
    #[must_use]
    pub fn of(run: &Copied) -> Self {
        let frames = run.frames("https");
        let client = frames[0].from;
        let mut waiting = [Vec::new(), Vec::new()];
        let mut records = Vec::new();
        for frame in frames.iter().filter(|frame| frame.from == client || frame.to == client) {
            let side = if frame.from == client { Side::Client } else { Side::Server };
            let stream: &mut Vec<u8> = &mut waiting[side as usize];
            stream.extend_from_slice(&frame.payload);
            while let Some(len) = stream.get(3..RECORD_HEADER).map(|len| u16::from_be_bytes([len[0], len[1]]))
            {
                let end = RECORD_HEADER + usize::from(len);
                if stream.len() < end {
                    break;
                }
                records.push((side, stream.drain(..end).collect()));
            }
        }
        let key_log = String::from_utf8(run.read("https.keys")).expect("text");
        let mut session = Self { records, key_log, random: [0; 32], suite: 0 };
        session.random = ClientHello::parse(session.message(CLIENT_HELLO)).random;
        let server = session.message(SERVER_HELLO);
        let suite_at = 35 + usize::from(server[34]);
        session.suite = u16::from_be_bytes([server[suite_at], server[suite_at + 1]]);
        session
    }

    fn record_of(&self, message: u8) -> usize {
        let is = |(_, record): &(Side, Vec<u8>)| record[0] == HANDSHAKE && record[RECORD_HEADER] == message;
        self.records.iter().position(is).expect("a hello in a record of its own")
    }

    fn message(&self, message: u8) -> &[u8] {
        &self.records[self.record_of(message)].1[RECORD_HEADER + MESSAGE_HEADER..]
    }

    fn set_message(&mut self, message: u8, body: &[u8]) {
        let at = self.record_of(message);
        let [_, a, b, c] = (body.len() as u32).to_be_bytes();
        self.records[at].1 = record(HANDSHAKE, &[&[message, a, b, c], body].concat());
    }

    /// Changes the ClientHello, and makes both Finished messages fit.
    pub fn change_client_hello(&mut self, change: impl FnOnce(&mut ClientHello)) {
        self.change(|session| {
            let mut hello = ClientHello::parse(session.message(CLIENT_HELLO));
            change(&mut hello);
            session.set_message(CLIENT_HELLO, &hello.body());
            let hex = |random: &[u8]| HEXLOWER_PERMISSIVE.encode(random);
            session.key_log = session.key_log.replace(&hex(&session.random), &hex(&hello.random));
            session.random = hello.random;
        });
    }

    /// Changes the body of the ServerHello, and makes both Finished messages fit.
    pub fn change_server_hello(&mut self, change: impl FnOnce(&mut Vec<u8>)) {
        self.change(|session| {
            let mut body = session.message(SERVER_HELLO).to_vec();
            change(&mut body);
            session.set_message(SERVER_HELLO, &body);
        });
    }

    fn change(&mut self, change: impl FnOnce(&mut Self)) {
        change(self);
        let mut transcript = Vec::new();
        for hello in [CLIENT_HELLO, SERVER_HELLO] {
            transcript.extend_from_slice(&self.records[self.record_of(hello)].1[RECORD_HEADER..]);
        }
        for (side, label) in [
            (Side::Server, "SERVER_HANDSHAKE_TRAFFIC_SECRET"),
            (Side::Client, "CLIENT_HANDSHAKE_TRAFFIC_SECRET"),
        ] {
            self.finish(side, &self.secret(label), &mut transcript);
        }
    }

    /// Reads the protected handshake of a side, appends it to the transcript, and corrects its Finished message.
    fn finish(&mut self, side: Side, secret: &[u8], transcript: &mut Vec<u8>) {
        let keys = self.keys(secret);
        let mine = (0..self.records.len()).filter(|at| self.records[*at].0 == side);
        let protected: Vec<usize> = mine.filter(|at| self.records[*at].1[0] == APPLICATION_DATA).collect();
        for (sequence, at) in protected.into_iter().enumerate() {
            let mut inner = keys.open(&self.records[at].1, sequence as u64);
            let mut next = 0;
            while inner[next..].len() > MESSAGE_HEADER {
                let len = u32::from_be_bytes([0, inner[next + 1], inner[next + 2], inner[next + 3]]) as usize;
                let (kind, end) = (inner[next], next + MESSAGE_HEADER + len);
                if kind == FINISHED {
                    let data = keys.verify_data(secret, transcript);
                    inner[next + MESSAGE_HEADER..end].copy_from_slice(&data);
                }
                transcript.extend_from_slice(&inner[next..end]);
                if kind == FINISHED {
                    self.records[at].1 = keys.seal(&inner, sequence as u64);
                    return;
                }
                next = end;
            }
        }
        panic!("no Finished message");
    }

    /// Makes the ciphertext of the server's first session ticket begin with these bytes: it knows the keystream.
    ///
    /// # Panics
    /// If the ticket is shorter, or the first record behind the handshake holds none.
    pub fn spell_in_ticket(&mut self, bytes: &[u8]) {
        let handshake = self.keys(&self.secret("SERVER_HANDSHAKE_TRAFFIC_SECRET"));
        let keys = self.keys(&self.secret("SERVER_TRAFFIC_SECRET_0"));
        let mine = |(side, record): &(Side, Vec<u8>)| *side == Side::Server && record[0] == APPLICATION_DATA;
        let protected: Vec<usize> = (0..self.records.len()).filter(|at| mine(&self.records[*at])).collect();
        let is_finish = |(sequence, at): &(usize, &usize)| {
            handshake.try_open(&self.records[**at].1, *sequence as u64).is_none()
        };
        let (_, &first) = protected.iter().enumerate().find(is_finish).expect("records behind the handshake");
        let sealed = self.records[first].1.clone();
        let mut inner = keys.open(&sealed, 0);
        assert_eq!(inner[0], NEW_SESSION_TICKET, "a ticket behind the handshake");
        let nonce = usize::from(inner[MESSAGE_HEADER + 8]);
        let ticket = MESSAGE_HEADER + 9 + nonce + 2;
        for (at, byte) in (ticket..).zip(bytes) {
            let keystream = inner[at] ^ sealed[RECORD_HEADER + at];
            inner[at] = byte ^ keystream;
        }
        self.records[first].1 = keys.seal(&inner, 0);
        assert!(self.records[first].1.windows(bytes.len()).any(|window| window == bytes));
    }

    /// Adds a record under the server's application keys behind all others of the server, whose contents are chosen so that
    /// its ciphertext begins with these bytes.
    pub fn spell_in_record(&mut self, inner_type: u8, bytes: &[u8]) {
        let keys = self.keys(&self.secret("SERVER_TRAFFIC_SECRET_0"));
        let handshake = self.keys(&self.secret("SERVER_HANDSHAKE_TRAFFIC_SECRET"));
        let mine = |(side, record): &&(Side, Vec<u8>)| *side == Side::Server && record[0] == APPLICATION_DATA;
        let protected = self.records.iter().filter(mine).enumerate();
        let before = protected
            .filter(|(sequence, (_, record))| handshake.try_open(record, *sequence as u64).is_some())
            .count();
        let all = self.records.iter().filter(mine).count();
        let sequence = (all - before) as u64;
        let zeros = [&vec![0; bytes.len()][..], &[inner_type]].concat();
        let keystream = keys.seal(&zeros, sequence);
        let chosen: Vec<u8> = bytes.iter().zip(&keystream[RECORD_HEADER..]).map(|(a, b)| a ^ b).collect();
        let sealed = keys.seal(&[&chosen[..], &[inner_type]].concat(), sequence);
        self.records.push((Side::Server, sealed));
    }

    /// The key log of the run, with this session's random.
    #[must_use]
    pub fn key_log(&self) -> &str {
        &self.key_log
    }

    fn secret(&self, label: &str) -> Vec<u8> {
        let start = format!("{label} {} ", HEXLOWER_PERMISSIVE.encode(&self.random));
        let line =
            self.key_log.lines().find_map(|line| line.strip_prefix(&start)).expect("a line of the key log");
        HEXLOWER_PERMISSIVE.decode(line.as_bytes()).expect("hex")
    }

    fn keys(&self, secret: &[u8]) -> Keys {
        let (aead, hash, mac, kdf) = match self.suite {
            0x1301 => (&aead::AES_128_GCM, &digest::SHA256, hmac::HMAC_SHA256, hkdf::HKDF_SHA256),
            0x1302 => (&aead::AES_256_GCM, &digest::SHA384, hmac::HMAC_SHA384, hkdf::HKDF_SHA384),
            0x1303 => (&aead::CHACHA20_POLY1305, &digest::SHA256, hmac::HMAC_SHA256, hkdf::HKDF_SHA256),
            other => panic!("cipher suite {other:#x}"),
        };
        let key = expand(kdf, secret, "key", aead.key_len());
        let iv = expand(kdf, secret, "iv", aead::NONCE_LEN).try_into().expect("as long");
        let key = LessSafeKey::new(UnboundKey::new(aead, &key).expect("a key of this length"));
        Keys { key, iv, hash, mac, kdf }
    }
}

/// The keys of a direction.
struct Keys {
    key: LessSafeKey,
    iv: [u8; aead::NONCE_LEN],
    hash: &'static digest::Algorithm,
    mac: hmac::Algorithm,
    kdf: hkdf::Algorithm,
}

impl Keys {
    /// The sequence number in the last bytes of the initialization vector (RFC 9846 §5.3).
    fn nonce(&self, sequence: u64) -> Nonce {
        let mut nonce = self.iv;
        for (byte, part) in nonce[4..].iter_mut().zip(sequence.to_be_bytes()) {
            *byte ^= part;
        }
        Nonce::assume_unique_for_key(nonce)
    }

    fn try_open(&self, record: &[u8], sequence: u64) -> Option<Vec<u8>> {
        let (header, body) = record.split_at(RECORD_HEADER);
        let mut body = body.to_vec();
        let opened = self.key.open_in_place(self.nonce(sequence), Aad::from(header), &mut body);
        opened.ok().map(|inner| inner.to_vec())
    }

    fn open(&self, record: &[u8], sequence: u64) -> Vec<u8> {
        self.try_open(record, sequence).expect("the record opens")
    }

    fn seal(&self, inner: &[u8], sequence: u64) -> Vec<u8> {
        const TAG: usize = 16;
        let header = &record(APPLICATION_DATA, &vec![0; inner.len() + TAG])[..RECORD_HEADER];
        let mut body = inner.to_vec();
        let sealed = self.key.seal_in_place_append_tag(self.nonce(sequence), Aad::from(header), &mut body);
        sealed.expect("it seals");
        [header, &body].concat()
    }

    /// RFC 9846 §4.4.4.
    fn verify_data(&self, secret: &[u8], transcript: &[u8]) -> Vec<u8> {
        let key = expand(self.kdf, secret, "finished", self.hash.output_len());
        let hash = digest::digest(self.hash, transcript);
        hmac::sign(&hmac::Key::new(self.mac, &key), hash.as_ref()).as_ref().to_vec()
    }
}

/// HKDF-Expand-Label without context (RFC 9846 §7.1).
fn expand(kdf: hkdf::Algorithm, secret: &[u8], label: &str, len: usize) -> Vec<u8> {
    struct Len(usize);
    impl hkdf::KeyType for Len {
        fn len(&self) -> usize {
            self.0
        }
    }
    let label = format!("tls13 {label}");
    let info = [&(len as u16).to_be_bytes()[..], &[label.len() as u8], label.as_bytes(), &[0]];
    let prk = hkdf::Prk::new_less_safe(kdf, secret);
    let mut out = vec![0; len];
    prk.expand(&info, Len(len)).expect("a length").fill(&mut out).expect("as long");
    out
}
