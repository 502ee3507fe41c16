//! Makes one escape attempt and reports its outcome.
//!
//! | kind | target | attempt |
//! |---|---|---|
//! | `tcp` | `IP:PORT` | connect, and send the canary |
//! | `neighbour` | `IP:PORT` | the same to another box, which may start to listen later |
//! | `udp`, `ipv6` | `IP:PORT` | send the canary in a datagram |
//! | `dns` | `IP:PORT` | query that server for a name that contains the canary |
//! | `raw` | `IP` | open a raw IP socket, and send the canary in a packet of an experimental protocol |
//! | `file` | a path | read the file |
//! | `lock` | a path | pass the canary to another box by locks on that file, and hear the other's |
//! | `notify` | `PLACE PATH` | the same by accesses to that file, of which the kernel notifies the other box |
//! | `counter` | `PLACE PATH` | the same by the number of the user's queued signals, which that file of procfs shows |
//! | `timing` | `PLACE cpu` | the same by the load of the CPUs, a few bits of the canary |
//!
//! `PLACE` is `INDEX/NUMBER`: the place of this box among those that take turns. See `covert/`.

use std::fmt;
use std::fs::File;
use std::io::{self, Read, Write};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, TcpStream, UdpSocket};
use std::thread;
use std::time::{Duration, Instant};

use agent_core::hex128::Hex128;
use agent_core::journal::sha256_hex;
use serde::Serialize;

use crate::covert::Place;

const SCHEMA: &str = "plainsight.attempt/1";

/// Time limit for a TCP connection and for an answer by UDP: on one machine both need milliseconds.
const CONNECT: Duration = Duration::from_secs(1);
const ANSWER: Duration = Duration::from_millis(200);

/// Time limit for another box to listen.
const NEIGHBOUR: Duration = Duration::from_secs(2);

/// Pause between two attempts to connect to it.
const AGAIN: Duration = Duration::from_millis(50);

/// Maximum number of bytes read of a file: a young store has recent messages in its first bytes.
const MOST: u64 = 1 << 20;

/// Shortest text in a file to report, in characters.
const SHORTEST: usize = 8;

/// Hex digits of the hash of a report in the answer.
const HASH: usize = 16;

/// An IP protocol number for experiments (RFC 3692 §2.1), which no other protocol uses.
#[cfg(target_os = "linux")]
const EXPERIMENT: u32 = 253;

/// An escape attempt.
pub(crate) struct Attempt<'a> {
    kind: &'a str,
    target: Target<'a>,
}

enum Target<'a> {
    Socket(SocketAddr),
    Address(IpAddr),
    Path(&'a str),
    /// What a covert channel needs.
    Shared(Option<Place>, &'a str),
}

impl fmt::Display for Target<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Socket(target) => target.fmt(f),
            Self::Address(target) => target.fmt(f),
            Self::Path(path) | Self::Shared(None, path) => f.write_str(path),
            Self::Shared(Some(place), path) => write!(f, "{place} {path}"),
        }
    }
}

/// The outcome of an attempt.
#[derive(Serialize)]
struct Report<'a> {
    schema: &'static str,
    kind: &'a str,
    target: String,
    canary: Option<&'a str>,
    succeeded: bool,
    outcome: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    data: String,
}

impl<'a> Attempt<'a> {
    /// Parses `KIND TARGET`; `None` for any other text.
    pub(crate) fn parse(text: &'a str) -> Option<Self> {
        let (kind, target) = text.split_once(' ')?;
        let target = match kind {
            "tcp" | "neighbour" | "udp" | "ipv6" | "dns" => Target::Socket(target.parse().ok()?),
            "raw" => Target::Address(target.parse().ok()?),
            "file" => Target::Path(target),
            "lock" => Target::Shared(None, target),
            "notify" | "counter" | "timing" => {
                let (place, path) = target.split_once(' ')?;
                Target::Shared(Some(Place::parse(place)?), path)
            }
            _ => return None,
        };
        Some(Self { kind, target })
    }

    /// Makes the attempt, writes the whole report to stderr, and returns the part that may leave the box, with the beginning
    /// of the report's SHA-256.
    pub(crate) fn make(&self) -> String {
        let canary = match Hex128::fresh() {
            Ok(canary) => canary.to_string(),
            Err(error) => return format!("{}: no canary: {error}", self.kind),
        };
        let made = match self.target {
            Target::Socket(target) => match self.kind {
                "tcp" => tcp(target, &canary, Duration::ZERO),
                "neighbour" => tcp(target, &canary, NEIGHBOUR),
                "dns" => datagram(target, &query(&canary)),
                _ => datagram(target, canary.as_bytes()),
            },
            Target::Address(target) => raw(target, &canary),
            Target::Path(path) => read(path),
            Target::Shared(place, path) => covert(self.kind, place, path, &canary),
        };
        let target = self.target.to_string();
        let (succeeded, outcome, data) = match made {
            Ok(Done { outcome, data }) => (true, outcome, data),
            Err(error) => (false, error.to_string(), String::new()),
        };
        let carries = self.kind != "file";
        let canary = carries.then_some(canary.as_str());
        let report = Report { schema: SCHEMA, kind: self.kind, target, canary, succeeded, outcome, data };
        let line = serde_json::to_string(&report).unwrap_or_default();
        let _ = writeln!(io::stderr(), "{line}");
        // The answer crosses the network, where it is captured: a report that is changed later has another hash.
        let hash = sha256_hex(line.as_bytes());
        format!(
            "{} {}: {} [{}]",
            report.kind,
            report.target,
            report.outcome,
            hash.get(..HASH).unwrap_or_default()
        )
    }
}

struct Done {
    outcome: String,
    data: String,
}

impl Done {
    fn sent(outcome: impl Into<String>) -> Self {
        Self { outcome: outcome.into(), data: String::new() }
    }
}

fn tcp(target: SocketAddr, canary: &str, patience: Duration) -> io::Result<Done> {
    let began = Instant::now();
    let mut stream = loop {
        match TcpStream::connect_timeout(&target, CONNECT) {
            Err(error) if error.kind() == io::ErrorKind::ConnectionRefused && began.elapsed() < patience => {
                thread::sleep(AGAIN);
            }
            other => break other?,
        }
    };
    stream.write_all(format!("{canary}\n").as_bytes())?;
    Ok(Done::sent("connected and sent"))
}

fn datagram(target: SocketAddr, bytes: &[u8]) -> io::Result<Done> {
    let any = match target {
        SocketAddr::V4(_) => IpAddr::from(Ipv4Addr::UNSPECIFIED),
        SocketAddr::V6(_) => IpAddr::from(Ipv6Addr::UNSPECIFIED),
    };
    let socket = UdpSocket::bind((any, 0))?;
    socket.send_to(bytes, target)?;
    socket.set_read_timeout(Some(ANSWER))?;
    let answered = socket.recv(&mut [0; 512]).is_ok();
    Ok(Done::sent(if answered { "sent and answered" } else { "sent, no answer" }))
}

/// A query for `CANARY.plainsight.invalid`, type A (RFC 1035 §4.1).
fn query(canary: &str) -> Vec<u8> {
    let mut message = vec![0x70, 0x73, 1, 0, 0, 1, 0, 0, 0, 0, 0, 0];
    for label in [canary, "plainsight", "invalid"] {
        message.extend(u8::try_from(label.len()));
        message.extend(label.as_bytes());
    }
    message.extend([0, 0, 1, 0, 1]);
    message
}

#[cfg(target_os = "linux")]
fn raw(target: IpAddr, canary: &str) -> io::Result<Done> {
    use rustix::net::{AddressFamily, Protocol, RawProtocol, SendFlags, SocketType, sendto, socket};

    let family = if target.is_ipv4() { AddressFamily::INET } else { AddressFamily::INET6 };
    let number = RawProtocol::new(EXPERIMENT).map(Protocol::from_raw);
    let socket = socket(family, SocketType::RAW, number)?;
    sendto(&socket, canary.as_bytes(), SendFlags::empty(), &SocketAddr::new(target, 0))?;
    Ok(Done::sent("sent"))
}

/// Passes the canary to another box, and hears that of the other.
#[cfg(target_os = "linux")]
fn covert(kind: &str, place: Option<Place>, path: &str, canary: &str) -> io::Result<Done> {
    use crate::covert::{counter, lock, notify, timing};

    let heard = match (kind, place) {
        ("notify", Some(place)) => notify::speak_and_listen(path, place, canary)?,
        ("counter", Some(place)) => counter::speak_and_listen(path, place, canary)?,
        ("timing", Some(place)) => {
            let data = timing::speak_and_listen(place, canary)?.join(" ");
            return Ok(Done { outcome: "measured".to_owned(), data });
        }
        _ => lock::speak_and_listen(path, canary)?,
    };
    Ok(Done { outcome: "spoke, and heard another".to_owned(), data: heard.join(" ") })
}

#[cfg(not(target_os = "linux"))]
fn covert(_kind: &str, _place: Option<Place>, _path: &str, _canary: &str) -> io::Result<Done> {
    Err(io::ErrorKind::Unsupported.into())
}

#[cfg(not(target_os = "linux"))]
fn raw(_target: IpAddr, _canary: &str) -> io::Result<Done> {
    Err(io::ErrorKind::Unsupported.into())
}

fn read(path: &str) -> io::Result<Done> {
    let mut bytes = Vec::new();
    File::open(path)?.take(MOST).read_to_end(&mut bytes)?;
    Ok(Done { outcome: format!("read {} bytes", bytes.len()), data: texts(&bytes) })
}

/// The readable texts in a file, a line each.
fn texts(bytes: &[u8]) -> String {
    let all = String::from_utf8_lossy(bytes);
    let is_noise = |letter: char| letter.is_control() || letter == char::REPLACEMENT_CHARACTER;
    let texts: Vec<&str> = all.split(is_noise).filter(|text| text.chars().count() >= SHORTEST).collect();
    texts.join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn extracts_readable_texts_from_binary_data() {
        let file =
            b"SQLite format 3\0\x10\0\x01short\0\xffKeep this for me: 0123\x80\xec\x95\x88\xeb\x85\x95 12345";
        assert_eq!(texts(file), "SQLite format 3\nKeep this for me: 0123\n안녕 12345");
        assert_eq!(texts(&[0; 100]), "");
    }
}
