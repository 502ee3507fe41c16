//! NSS key logs (RFC 9850): the secrets of TLS connections, one per line, as programs write them to `SSLKEYLOGFILE`.
//!
//! Secrets are looked up by the random of the ClientHello. A line that cannot be read is reported and skipped.

use std::collections::HashMap;
use std::fmt;

use data_encoding::HEXLOWER_PERMISSIVE;
use memchr::memchr2;

/// Maximum number of connections in a key log: more than the 200,000 tiny flows of the largest measured capture; the
/// key log then needs at most about 100 MB. Further connections are left out, and [`KeyLog::is_truncated`] returns
/// true.
pub const MAX_CLIENTS: usize = 1 << 18;

/// Longest line that is read. The longest line with a known label has 193 bytes; a longer one is reported as a problem.
pub const MAX_LINE_BYTES: usize = 1024;

/// Maximum number of problems that are kept; further ones are only counted.
pub const MAX_PROBLEMS: usize = 64;

/// Longest secret of the supported hashes: SHA-384, and the master secret of TLS 1.2 (RFC 5246 §8.1).
const MAX_SECRET: usize = 48;

/// The use of a secret (RFC 9850 §2).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Label {
    /// Master secret of TLS 1.2 and before.
    ClientRandom,
    /// 0-RTT data of the client.
    ClientEarlyTrafficSecret,
    /// Exporter of 0-RTT.
    EarlyExporterSecret,
    /// Handshake messages of the client.
    ClientHandshakeTrafficSecret,
    /// Handshake messages of the server.
    ServerHandshakeTrafficSecret,
    /// Application data of the client, first generation.
    ClientTrafficSecret0,
    /// Application data of the server, first generation.
    ServerTrafficSecret0,
    /// Exporter.
    ExporterSecret,
}

impl Label {
    const ALL: [Self; 8] = [
        Self::ClientRandom,
        Self::ClientEarlyTrafficSecret,
        Self::EarlyExporterSecret,
        Self::ClientHandshakeTrafficSecret,
        Self::ServerHandshakeTrafficSecret,
        Self::ClientTrafficSecret0,
        Self::ServerTrafficSecret0,
        Self::ExporterSecret,
    ];

    /// The label as it is written in a key log.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::ClientRandom => "CLIENT_RANDOM",
            Self::ClientEarlyTrafficSecret => "CLIENT_EARLY_TRAFFIC_SECRET",
            Self::EarlyExporterSecret => "EARLY_EXPORTER_SECRET",
            Self::ClientHandshakeTrafficSecret => "CLIENT_HANDSHAKE_TRAFFIC_SECRET",
            Self::ServerHandshakeTrafficSecret => "SERVER_HANDSHAKE_TRAFFIC_SECRET",
            Self::ClientTrafficSecret0 => "CLIENT_TRAFFIC_SECRET_0",
            Self::ServerTrafficSecret0 => "SERVER_TRAFFIC_SECRET_0",
            Self::ExporterSecret => "EXPORTER_SECRET",
        }
    }
}

impl fmt::Display for Label {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

/// A secret of 32 or 48 bytes. `Debug` shows its length only.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret {
    bytes: [u8; MAX_SECRET],
    len: u8,
}

impl Secret {
    /// A secret of these bytes, or `None` if no supported hash has this length.
    #[must_use]
    pub fn new(secret: &[u8]) -> Option<Self> {
        let len = match secret.len() {
            32 => 32,
            48 => 48,
            _ => return None,
        };
        let mut bytes = [0; MAX_SECRET];
        bytes.get_mut(..secret.len())?.copy_from_slice(secret);
        Some(Self { bytes, len })
    }

    /// The secret itself.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8] {
        self.bytes.get(..usize::from(self.len)).unwrap_or_default()
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Secret({} bytes)", self.len)
    }
}

/// The secrets of one connection.
#[derive(Clone, Debug, Default)]
pub struct ClientSecrets {
    secrets: Vec<(Label, Secret)>,
}

impl ClientSecrets {
    /// The secret with this label.
    #[must_use]
    pub fn secret(&self, label: Label) -> Option<&Secret> {
        self.secrets.iter().find(|(known, _)| *known == label).map(|(_, secret)| secret)
    }

    /// All secrets with their labels, in the order of the key log.
    pub fn iter(&self) -> impl Iterator<Item = (Label, &Secret)> + '_ {
        self.secrets.iter().map(|(label, secret)| (*label, secret))
    }

    /// The labels of all secrets.
    pub fn labels(&self) -> impl Iterator<Item = Label> + '_ {
        self.secrets.iter().map(|(label, _)| *label)
    }
}

/// A line that was skipped.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Problem {
    /// Line number from 1, in the text given to [`KeyLog::parse`] or [`KeyLog::extend`].
    pub line: u64,
    /// Why it was skipped.
    pub why: LineError,
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "line {}: {}", self.line, self.why)
    }
}

/// Reason why a line was skipped. It does not quote the line, which may contain a secret.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum LineError {
    /// Not three fields.
    #[error("not of the form LABEL CLIENT_RANDOM SECRET")]
    Fields,
    /// The random is not 64 hex digits.
    #[error("the client random is not 64 hex digits")]
    Random,
    /// The secret is not hex.
    #[error("the secret is not hex")]
    SecretHex,
    /// No supported hash has the length of the secret.
    #[error("the secret of {label} has {length} bytes")]
    SecretLength {
        /// Its label.
        label: Label,
        /// Length of the secret in bytes.
        length: usize,
    },
    /// An earlier line has another secret for the same connection and label; the first one is kept.
    #[error("another secret for the same client random and {0}; the first one is kept")]
    Conflict(Label),
    /// The line is longer than [`MAX_LINE_BYTES`].
    #[error("longer than {MAX_LINE_BYTES} bytes")]
    TooLong,
    /// The key log has more connections than [`MAX_CLIENTS`].
    #[error("more than {MAX_CLIENTS} connections")]
    TooMany,
}

/// The secrets of many connections, by client random.
#[derive(Clone, Default)]
pub struct KeyLog {
    clients: HashMap<[u8; 32], ClientSecrets>,
    problems: Vec<Problem>,
    problems_total: u64,
    unknown_labels: u64,
    truncated: bool,
}

impl fmt::Debug for KeyLog {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("KeyLog")
            .field("connections", &self.clients.len())
            .field("problems", &self.problems_total)
            .finish_non_exhaustive()
    }
}

impl KeyLog {
    /// Parses a whole key log. Never fails: [`KeyLog::problems`] lists the lines that were skipped.
    #[must_use]
    pub fn parse(text: &[u8]) -> Self {
        let mut log = Self::default();
        log.extend(text);
        log
    }

    /// Parses more text, for example a Decryption Secrets Block. Lines end with LF, CRLF or CR (RFC 9850 §2). The line
    /// numbers of each text begin with 1.
    pub fn extend(&mut self, text: &[u8]) {
        let mut rest = text;
        let mut number = 0;
        while !rest.is_empty() {
            number += 1;
            let line;
            (line, rest) = split_line(rest);
            if line.is_empty() || line.starts_with(b"#") {
                continue;
            }
            if let Err(why) = self.line(line) {
                self.problems_total += 1;
                if self.problems.len() < MAX_PROBLEMS {
                    self.problems.push(Problem { line: number, why });
                }
            }
        }
    }

    /// Adds the secrets of another key log. What contradicts the secrets that are known is left out.
    pub fn add(&mut self, other: &Self) {
        for (client, secrets) in &other.clients {
            if self.clients.len() >= MAX_CLIENTS && !self.clients.contains_key(client) {
                self.truncated = true;
                continue;
            }
            let known = self.clients.entry(*client).or_default();
            for (label, secret) in &secrets.secrets {
                if known.secret(*label).is_none() {
                    known.secrets.push((*label, secret.clone()));
                }
            }
        }
    }

    fn line(&mut self, line: &[u8]) -> Result<(), LineError> {
        if line.len() > MAX_LINE_BYTES {
            return Err(LineError::TooLong);
        }
        // The continuation of a line that was copied from a shell's script.
        let line = line.strip_suffix(b"\\").unwrap_or(line);
        let mut fields = line.split(|byte| *byte == b' ');
        let (Some(label), Some(random), Some(secret), None) =
            (fields.next(), fields.next(), fields.next(), fields.next())
        else {
            return Err(LineError::Fields);
        };
        // Programs once wrote the secrets of QUIC under names of their own (draft-ietf-quic-tls-13 and its time).
        let label = label.strip_prefix(b"QUIC_").unwrap_or(label);
        let Some(label) = Label::ALL.into_iter().find(|known| known.as_str().as_bytes() == label) else {
            // Unknown labels are not an error (RFC 9850 §2).
            self.unknown_labels += 1;
            return Ok(());
        };
        let mut client = [0; 32];
        if decode_hex(random, &mut client) != Some(32) {
            return Err(LineError::Random);
        }
        let mut bytes = [0; MAX_LINE_BYTES];
        let length = decode_hex(secret, &mut bytes).ok_or(LineError::SecretHex)?;
        let secret = bytes
            .get(..length)
            .and_then(Secret::new)
            .filter(|secret| label != Label::ClientRandom || secret.len == 48)
            .ok_or(LineError::SecretLength { label, length })?;

        if self.clients.len() >= MAX_CLIENTS && !self.clients.contains_key(&client) {
            self.truncated = true;
            return Err(LineError::TooMany);
        }
        let known = self.clients.entry(client).or_default();
        match known.secret(label) {
            None => known.secrets.push((label, secret)),
            // Both ends of a connection may write to the same file.
            Some(same) if *same == secret => {}
            Some(_) => return Err(LineError::Conflict(label)),
        }
        Ok(())
    }

    /// All connections: the random of the ClientHello and the secrets, in no particular order.
    pub fn clients(&self) -> impl Iterator<Item = (&[u8; 32], &ClientSecrets)> + '_ {
        self.clients.iter()
    }

    /// The secrets of the connection whose ClientHello has this random.
    #[must_use]
    pub fn client(&self, random: &[u8; 32]) -> Option<&ClientSecrets> {
        self.clients.get(random)
    }

    /// Number of connections.
    #[must_use]
    pub fn len(&self) -> usize {
        self.clients.len()
    }

    /// Whether there are no connections.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.clients.is_empty()
    }

    /// The first [`MAX_PROBLEMS`] lines that were skipped.
    #[must_use]
    pub fn problems(&self) -> &[Problem] {
        &self.problems
    }

    /// Number of lines that were skipped.
    #[must_use]
    pub fn problems_total(&self) -> u64 {
        self.problems_total
    }

    /// Number of lines with an unknown label.
    #[must_use]
    pub fn unknown_labels(&self) -> u64 {
        self.unknown_labels
    }

    /// Whether connections were left out because of [`MAX_CLIENTS`].
    #[must_use]
    pub fn is_truncated(&self) -> bool {
        self.truncated
    }
}

/// The next line without its line ending, and the rest of the text.
fn split_line(text: &[u8]) -> (&[u8], &[u8]) {
    let Some((line, rest)) = memchr2(b'\n', b'\r', text).and_then(|at| text.split_at_checked(at)) else {
        return (text, &[]);
    };
    (line, rest.strip_prefix(b"\r\n").or_else(|| rest.get(1..)).unwrap_or_default())
}

/// Decodes hex of either case. Returns the number of bytes, or `None` if the text is not hex or does not fit.
fn decode_hex(text: &[u8], out: &mut [u8]) -> Option<usize> {
    let length = HEXLOWER_PERMISSIVE.decode_len(text.len()).ok()?;
    HEXLOWER_PERMISSIVE.decode_mut(text, out.get_mut(..length)?).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    const RANDOM: [u8; 32] = [0xab; 32];

    fn line(label: &str, random: &str, secret: &str) -> String {
        format!("{label} {random} {secret}\n")
    }

    #[test]
    fn reads_every_label_and_line_ending() {
        let random = "aB".repeat(32);
        let mut text = String::from("# comment\r\n\n");
        for (n, label) in Label::ALL.into_iter().enumerate() {
            let end = ["\n", "\r\n", "\r"][n % 3];
            text += &format!("{label} {random} {}{end}", "0f".repeat(48));
        }
        text += "SOMETHING_NEW 00 11";
        let log = KeyLog::parse(text.as_bytes());
        assert_eq!(log.problems(), []);
        assert_eq!((log.len(), log.unknown_labels()), (1, 1));
        let client = log.client(&RANDOM).unwrap();
        assert_eq!(client.labels().count(), 8);
        assert_eq!(client.secret(Label::ExporterSecret).unwrap().as_bytes(), [0x0f; 48]);
        assert!(log.client(&[0; 32]).is_none());
    }

    #[test]
    fn reports_bad_lines_and_reads_the_others() {
        let random = "ab".repeat(32);
        let secret = "01".repeat(32);
        let label = "CLIENT_TRAFFIC_SECRET_0";
        let text = [
            "nonsense\n".to_owned(),
            line(label, "ab", &secret),
            line(label, &random, "0g"),
            line(label, &random, "01"),
            line("CLIENT_RANDOM", &random, &secret),
            line(label, &random, &secret),
            line(label, &random, &secret),
            line(label, &random, &"02".repeat(32)),
            line(label, &random, &"02".repeat(600)),
            line(label, &random, "02 "),
        ]
        .concat();
        let log = KeyLog::parse(text.as_bytes());
        let problems: Vec<_> = log.problems().iter().map(|p| (p.line, p.why)).collect();
        assert_eq!(
            problems,
            [
                (1, LineError::Fields),
                (2, LineError::Random),
                (3, LineError::SecretHex),
                (4, LineError::SecretLength { label: Label::ClientTrafficSecret0, length: 1 }),
                (5, LineError::SecretLength { label: Label::ClientRandom, length: 32 }),
                (8, LineError::Conflict(Label::ClientTrafficSecret0)),
                (9, LineError::TooLong),
                (10, LineError::Fields),
            ]
        );
        let kept = log.client(&RANDOM).unwrap().secret(Label::ClientTrafficSecret0).unwrap();
        assert_eq!(kept.as_bytes(), [1; 32]);
    }

    #[test]
    fn reads_the_labels_of_quic_and_a_continuation() {
        let (random, secret) = ("ab".repeat(32), "5a".repeat(32));
        let mut text = line("QUIC_CLIENT_HANDSHAKE_TRAFFIC_SECRET", &random, &secret);
        text += &line("QUIC_SERVER_TRAFFIC_SECRET_0", &random, &format!("{secret}\\"));
        let log = KeyLog::parse(text.as_bytes());
        assert!(log.problems().is_empty(), "{:?}", log.problems());
        let labels: Vec<_> = log.client(&RANDOM).unwrap().labels().collect();
        assert_eq!(labels, [Label::ClientHandshakeTrafficSecret, Label::ServerTrafficSecret0]);
    }

    #[test]
    fn counts_problems_beyond_the_bound() {
        let log = KeyLog::parse(&b"x\n".repeat(1000));
        assert_eq!((log.problems().len(), log.problems_total()), (MAX_PROBLEMS, 1000));
    }

    #[test]
    fn debug_output_shows_no_secret() {
        let text = line("CLIENT_TRAFFIC_SECRET_0", &"ab".repeat(32), &"5a".repeat(32));
        let log = KeyLog::parse(text.as_bytes());
        let client = log.client(&RANDOM).unwrap();
        for shown in [format!("{log:?}"), format!("{client:#?}")] {
            assert!(!shown.contains("90") && !shown.to_lowercase().contains("5a"), "{shown}");
        }
    }

    #[test]
    fn parses_any_bytes_without_panic() {
        let mut text: Vec<u8> = (0..=255).collect();
        text.extend(line("CLIENT_RANDOM", &"ab".repeat(32), &"5a".repeat(48)).as_bytes());
        for cut in 0..text.len() {
            let _ = KeyLog::parse(&text[cut..]);
            let _ = KeyLog::parse(&text[..cut]);
        }
    }
}
