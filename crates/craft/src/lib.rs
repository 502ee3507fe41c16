//! Frames, TCP conversations and capture files, made rather than read.
//!
//! The counterpart of `dissect`, and deliberately without a line in common with it: were both to share their idea of a
//! header, one wrong idea would look right from both sides. `craft` serves the relay of the capturer (frames built from
//! bytes that really crossed its sockets), the traffic generator of the benchmarks, and tests.
//!
//! Everything appends to buffers of the caller; there is no clock, file, socket or source of chance in here: times,
//! initial sequence numbers and identifiers come in as arguments.
//!
//! - [`frame`]: one frame, from the link layer to the payload, with true checksums.
//! - [`conversation`]: a TCP connection as frames: handshake, data cut by MSS, acknowledgements, end.
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
    /// Least significant byte first, what nearly every writer produces today.
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

/// Link types as the capture formats number them
/// (<https://www.ietf.org/archive/id/draft-ietf-opsawg-pcaplinktype-04.html>).
pub mod link_type {
    /// BSD loopback: four bytes of address family in the order of the capturing host.
    pub const NULL: u16 = 0;
    /// Ethernet II and 802.3.
    pub const ETHERNET: u16 = 1;
    /// Raw IP, version told by the first nibble.
    pub const RAW: u16 = 101;
    /// OpenBSD loopback: four bytes of address family in network order.
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
