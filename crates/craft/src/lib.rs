//! Builds frames, TCP conversations and capture files.
//!
//! The crate is the counterpart of `dissect` and shares no code with it, because tests could not detect a
//! misunderstanding of a header that both share. The capturer's relay uses it to build frames from the bytes that pass
//! through its sockets; benchmarks and tests use it to generate traffic.
//!
//! All functions append to the caller's buffers. The crate uses no clock, file, socket or random source: times, initial
//! sequence numbers and identifiers are arguments.
//!
//! - [`frame`]: one frame, from the link layer to the payload, with correct checksums.
//! - [`conversation`]: the frames of a TCP connection: handshake, data cut by MSS, acknowledgements, end.
//! - [`pcap`], [`pcapng`]: capture file writers.
#![forbid(unsafe_code)]

mod checksum;
pub mod conversation;
pub mod frame;
pub mod pcap;
pub mod pcapng;

/// Byte order of a capture file's headers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Endian {
    /// Least significant byte first, as nearly all writers do today.
    #[default]
    Little,
    /// Most significant byte first.
    Big,
}

impl Endian {
    pub(crate) fn u16(self, value: u16) -> [u8; 2] {
        match self {
            Endian::Little => value.to_le_bytes(),
            Endian::Big => value.to_be_bytes(),
        }
    }

    pub(crate) fn u32(self, value: u32) -> [u8; 4] {
        match self {
            Endian::Little => value.to_le_bytes(),
            Endian::Big => value.to_be_bytes(),
        }
    }
}

/// Link types of capture formats
/// (<https://www.ietf.org/archive/id/draft-ietf-opsawg-pcaplinktype-04.html>).
pub mod link_type {
    /// BSD loopback: four bytes of address family in the byte order of the capturing host.
    pub const NULL: u16 = 0;
    /// Ethernet II and 802.3.
    pub const ETHERNET: u16 = 1;
    /// Raw IP of either version.
    pub const RAW: u16 = 101;
    /// OpenBSD loopback: four bytes of address family in network byte order.
    pub const LOOP: u16 = 108;
    /// Linux cooked capture v1.
    pub const LINUX_SLL: u16 = 113;
    /// Raw IPv4.
    pub const IPV4: u16 = 228;
    /// Raw IPv6.
    pub const IPV6: u16 = 229;
    /// Linux cooked capture v2.
    pub const LINUX_SLL2: u16 = 276;
}
