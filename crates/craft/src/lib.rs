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
//! - [`encapsulation`]: headers of links and tunnels around a packet, fragments.
//! - [`conversation`]: the frames of a TCP connection: handshake, data cut by MSS, acknowledgements, end.
//! - [`pcap`], [`pcapng`]: capture file writers.
#![forbid(unsafe_code)]

mod checksum;
pub mod conversation;
pub mod encapsulation;
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
    /// PPP.
    pub const PPP: u16 = 9;
    /// PPP in HDLC-like framing, or Cisco HDLC.
    pub const PPP_HDLC: u16 = 50;
    /// PPPoE without an Ethernet header.
    pub const PPP_ETHER: u16 = 51;
    /// Raw IP of either version.
    pub const RAW: u16 = 101;
    /// Cisco HDLC.
    pub const C_HDLC: u16 = 104;
    /// IEEE 802.11.
    pub const IEEE802_11: u16 = 105;
    /// OpenBSD loopback: four bytes of address family in network byte order.
    pub const LOOP: u16 = 108;
    /// Linux cooked capture v1.
    pub const LINUX_SLL: u16 = 113;
    /// IEEE 802.11 behind radiotap.
    pub const IEEE802_11_RADIOTAP: u16 = 127;
    /// Per-packet information.
    pub const PPI: u16 = 192;
    /// PPP behind a byte that names the direction.
    pub const PPP_WITH_DIR: u16 = 204;
    /// MPLS.
    pub const MPLS: u16 = 219;
    /// Netfilter log.
    pub const NFLOG: u16 = 239;
    /// Raw IPv4.
    pub const IPV4: u16 = 228;
    /// Raw IPv6.
    pub const IPV6: u16 = 229;
    /// Linux cooked capture v2.
    pub const LINUX_SLL2: u16 = 276;
}
