//! The specification of a capture to generate. It determines every byte of the file.

use std::fmt;
use std::str::FromStr;

use experiment::Variant;
use serde::{Deserialize, Serialize};

/// Version of the generator. Raise it when the same spec gives other bytes, so that older captures are generated again.
pub(crate) const GENERATOR: u32 = 3;

/// TCP connections in a GiB of ordinary traffic.
const CONNECTIONS_PER_GIB: u64 = 7_000;

/// TCP connections in each requested GiB of [`Shape::Tiny`]: a million packets, five for each connection.
const TINY_CONNECTIONS_PER_GIB: u64 = 200_000;

/// Payload of a full segment: Ethernet's 1500 bytes without IPv4, TCP and the timestamps option.
pub(crate) const SEGMENT: usize = 1448;

/// Longest plaintext of a TLS record (RFC 9846, section 5.1).
pub(crate) const RECORD: usize = 1 << 14;

/// Largest size that can be requested.
const MAX_SIZE: u64 = 64 << 30;

/// One capture to generate.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct CaptureSpec {
    /// Version of the generator.
    pub(crate) generator: u32,
    /// Kind of traffic.
    pub(crate) shape: Shape,
    /// Approximate size of the file.
    pub(crate) size: Size,
    /// Seed of the random numbers.
    pub(crate) seed: u64,
}

impl CaptureSpec {
    pub(crate) fn new(shape: Shape, size: Size, seed: u64) -> Self {
        Self { generator: GENERATOR, shape, size, seed }
    }

    /// File name without extension.
    pub(crate) fn name(&self) -> String {
        format!("{}-{}", self.shape, self.size)
    }

    /// Number of TCP connections.
    pub(crate) fn connections(&self) -> u64 {
        let per_gib = match self.shape {
            Shape::Tiny => TINY_CONNECTIONS_PER_GIB,
            _ => CONNECTIONS_PER_GIB,
        };
        (u128::from(per_gib) * u128::from(self.size.0) / (1 << 30)).max(1) as u64
    }

    /// Bytes of a message that one unit of the transport carries: a TCP segment, or a TLS record. A string that crosses
    /// a multiple of this offset is split.
    pub(crate) fn unit(&self) -> usize {
        if self.shape.is_tls() { RECORD } else { SEGMENT }
    }
}

/// Kind of traffic.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, clap::ValueEnum)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Shape {
    /// HTTP, 15 % of the bodies gzipped
    Http,
    /// HTTP, no body gzipped
    Plain,
    /// The traffic of `http` in TLS 1.3
    Https,
    /// A million packets in each requested GiB, in 200,000 connections of one small exchange (about 200 MiB)
    Tiny,
}

impl Shape {
    pub(crate) const ALL: [Self; 4] = [Self::Http, Self::Plain, Self::Https, Self::Tiny];

    /// The variant of the experiment with this scheme.
    pub(crate) fn variant(self) -> &'static Variant {
        let name = if self.is_tls() { "https" } else { "http" };
        Variant::named(name).expect("the table of variants has http and https")
    }

    pub(crate) fn is_tls(self) -> bool {
        self == Self::Https
    }

    /// Share of gzipped bodies in thousandths.
    pub(crate) fn gzipped(self) -> usize {
        match self {
            Self::Plain => 0,
            _ => 150,
        }
    }

    /// Goals for the analyzer's time as a multiple of `tcpdump -w /dev/null`: the first goal, and the final one.
    pub(crate) fn goals(self) -> [f64; 2] {
        match self {
            Self::Http => [2.6, 1.8],
            Self::Plain => [1.6, 1.1],
            Self::Https => [1.0, 0.6],
            Self::Tiny => [1.2, 0.7],
        }
    }
}

impl fmt::Display for Shape {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Http => "http",
            Self::Plain => "plain",
            Self::Https => "https",
            Self::Tiny => "tiny",
        })
    }
}

/// A number of bytes, written as `256MiB` or `1GiB`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Size(pub(crate) u64);

/// The error for text that is not a [`Size`].
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct BadSize(String);

impl fmt::Display for BadSize {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?} is not a size from 1MiB to 64GiB, such as 256MiB", self.0)
    }
}

impl std::error::Error for BadSize {}

impl FromStr for Size {
    type Err = BadSize;

    fn from_str(text: &str) -> Result<Self, BadSize> {
        let units = [("GiB", 30), ("MiB", 20)];
        let parsed = units.into_iter().find_map(|(unit, shift)| {
            let number: u64 = text.strip_suffix(unit)?.parse().ok()?;
            number.checked_mul(1 << shift)
        });
        match parsed {
            Some(bytes) if (1..=MAX_SIZE).contains(&bytes) => Ok(Self(bytes)),
            _ => Err(BadSize(text.to_owned())),
        }
    }
}

impl fmt::Display for Size {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            bytes if bytes.is_multiple_of(1 << 30) => write!(f, "{}GiB", bytes >> 30),
            bytes => write!(f, "{}MiB", bytes >> 20),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_parse_from_their_display() {
        for text in ["1MiB", "256MiB", "1GiB", "64GiB"] {
            assert_eq!(text.parse::<Size>().unwrap().to_string(), text);
        }
        assert_eq!("1024MiB".parse::<Size>().unwrap().to_string(), "1GiB");
        for text in ["", "1", "GiB", "-1GiB", "0MiB", "65GiB", "1.5GiB", "99999999999999999999GiB"] {
            assert!(text.parse::<Size>().is_err(), "{text}");
        }
    }

    #[test]
    fn connections_grow_with_the_size() {
        let connections = |shape, size: &str| CaptureSpec::new(shape, size.parse().unwrap(), 1).connections();
        assert_eq!(connections(Shape::Http, "1GiB"), 7_000);
        assert_eq!(connections(Shape::Https, "256MiB"), 1_750);
        assert_eq!(connections(Shape::Tiny, "1GiB"), 200_000);
    }
}
