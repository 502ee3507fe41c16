//! One TCP segment: the fields of its header and its payload.

use std::fmt;

/// A TCP segment (RFC 9293 §3.1). Options are not decoded.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Segment<'a> {
    /// Sender's port.
    pub src_port: u16,
    /// Receiver's port.
    pub dst_port: u16,
    /// Sequence number of the SYN, or of the first byte of payload.
    pub seq: u32,
    /// The next sequence number that the sender expects; valid if [`Flags::ACK`] is set.
    pub ack: u32,
    /// Control bits.
    pub flags: Flags,
    /// Window, unscaled.
    pub window: u16,
    /// The captured part of the payload.
    pub payload: &'a [u8],
    /// Offset of the payload in the frame.
    pub payload_offset: u32,
    /// Length of the payload on the wire; more than `payload.len()` if the capture cut it.
    pub wire_payload_len: u32,
}

impl Segment<'_> {
    /// The acknowledgment number, if the segment has one.
    #[inline]
    pub fn acknowledgment(&self) -> Option<u32> {
        self.flags.ack().then_some(self.ack)
    }

    /// Number of payload bytes that the capture cut.
    #[inline]
    pub fn missing(&self) -> u32 {
        (self.wire_payload_len as usize).saturating_sub(self.payload.len()) as u32
    }

    /// Whether bytes of the payload were not captured.
    #[inline]
    pub fn is_cut(&self) -> bool {
        self.missing() > 0
    }
}

/// The control bits of a TCP header (RFC 9293 §3.1).
#[derive(Clone, Copy, PartialEq, Eq, Hash, Default)]
pub struct Flags(pub u8);

impl Flags {
    /// No more data from the sender.
    pub const FIN: Self = Flags(0x01);
    /// Synchronize sequence numbers.
    pub const SYN: Self = Flags(0x02);
    /// Reset the connection.
    pub const RST: Self = Flags(0x04);
    /// Push.
    pub const PSH: Self = Flags(0x08);
    /// The acknowledgment number is valid.
    pub const ACK: Self = Flags(0x10);
    /// The urgent pointer is valid.
    pub const URG: Self = Flags(0x20);

    /// Whether every bit of `other` is set.
    #[inline]
    pub const fn contains(self, other: Self) -> bool {
        self.0 & other.0 == other.0
    }

    /// [`Self::FIN`] is set.
    #[inline]
    pub const fn fin(self) -> bool {
        self.contains(Self::FIN)
    }

    /// [`Self::SYN`] is set.
    #[inline]
    pub const fn syn(self) -> bool {
        self.contains(Self::SYN)
    }

    /// [`Self::RST`] is set.
    #[inline]
    pub const fn rst(self) -> bool {
        self.contains(Self::RST)
    }

    /// [`Self::ACK`] is set.
    #[inline]
    pub const fn ack(self) -> bool {
        self.contains(Self::ACK)
    }

    /// The names of the bits that are set, the lowest first.
    pub fn names(self) -> impl Iterator<Item = &'static str> {
        let names = ["FIN", "SYN", "RST", "PSH", "ACK", "URG", "ECE", "CWR"];
        (0..).zip(names).filter(move |(bit, _)| self.0 >> bit & 1 == 1).map(|(_, name)| name)
    }
}

impl fmt::Debug for Flags {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut set = self.names();
        f.write_str(set.next().unwrap_or("none"))?;
        set.try_for_each(|name| write!(f, "|{name}"))
    }
}

/// One block of a selective acknowledgment (RFC 2018 §3), by sequence numbers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SackBlock {
    /// The first byte in the block.
    pub left: u32,
    /// The first byte behind the block.
    pub right: u32,
}
