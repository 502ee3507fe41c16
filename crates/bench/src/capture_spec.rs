//! What a capture is to be: everything that decides its bytes.

use std::fmt;
use std::str::FromStr;

use experiment::Variant;
use serde::{Deserialize, Serialize};

/// Raised whenever the generator would make other bytes from the same spec: older captures are then made anew.
pub(crate) const GENERATOR: u32 = 3;

/// TCP connections in a GiB of ordinary traffic.
const CONNECTIONS_PER_GIB: u64 = 7_000;

/// TCP connections of [`Shape::Tiny`] for each GiB asked for: a million packets, five for each connection.
const TINY_CONNECTIONS_PER_GIB: u64 = 200_000;

/// Payload of a full segment: Ethernet's 1500 bytes without IPv4, TCP and the timestamps option.
pub(crate) const SEGMENT: usize = 1448;

/// Longest plaintext of a TLS record (RFC 9846, section 5.1).
pub(crate) const RECORD: usize = 1 << 14;

/// Largest capture that is made.
const MAX_SIZE: u64 = 64 << 30;

/// One capture to be made.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct CaptureSpec {
    /// Version of the generator.
    pub(crate) generator: u32,
    /// What kind of traffic.
    pub(crate) shape: Shape,
    /// Size of the file, roughly.
    pub(crate) size: Size,
    /// What chance begins with.
    pub(crate) seed: u64,
}

impl CaptureSpec {
    pub(crate) fn new(shape: Shape, size: Size, seed: u64) -> Self {
        Self { generator: GENERATOR, shape, size, seed }
    }

    /// Stem of the files.
    pub(crate) fn name(&self) -> String {
        format!("{}-{}", self.shape, self.size)
    }

    /// TCP connections.
    pub(crate) fn connections(&self) -> u64 {
        let per_gib = match self.shape {
            Shape::Tiny => TINY_CONNECTIONS_PER_GIB,
            _ => CONNECTIONS_PER_GIB,
        };
        (u128::from(per_gib) * u128::from(self.size.0) / (1 << 30)).max(1) as u64
    }

    /// Where a string has to stand in its message to be split over two units of transport: the length of the unit.
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
    /// A million packets for each GiB asked for, in 200,000 connections of one small exchange (about 200 MiB)
    Tiny,
}

impl Shape {
    pub(crate) const ALL: [Self; 4] = [Self::Http, Self::Plain, Self::Https, Self::Tiny];

    /// The variant of the experiment that speaks so.
    pub(crate) fn variant(self) -> &'static Variant {
        let name = if self.is_tls() { "https" } else { "http" };
        Variant::named(name).expect("the table of variants has http and https")
    }

    pub(crate) fn is_tls(self) -> bool {
        self == Self::Https
    }

    /// Bodies in gzip, thousandths.
    pub(crate) fn gzipped(self) -> usize {
        match self {
            Self::Plain => 0,
            _ => 150,
        }
    }

    /// What the design wants of the time of `tcpdump -w /dev/null`: at first, and in the end.
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

/// A number of bytes as people write it: `256MiB`, `1GiB`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Size(pub(crate) u64);

/// Text that is no size.
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
    fn sizes_read_as_they_are_written() {
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
