//! Where and why the decoding of a frame ended before its payload.

use std::fmt;

/// The part of a frame that could not be decoded.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Layer {
    /// The header of the link.
    Link,
    /// A VLAN tag.
    Vlan,
    /// The IPv4 or IPv6 header.
    Ip,
    /// An IPv6 extension header.
    Ipv6Extension,
    /// The header of a tunnel, or of what a tunnel or MPLS carries.
    Encapsulation,
    /// The TCP header.
    Tcp,
    /// The UDP header.
    Udp,
    /// The payload of TCP or UDP: all headers were decoded.
    Payload,
}

impl fmt::Display for Layer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Layer::Link => "link header",
            Layer::Vlan => "VLAN tag",
            Layer::Ip => "IP header",
            Layer::Ipv6Extension => "IPv6 extension header",
            Layer::Encapsulation => "tunnel header",
            Layer::Tcp => "TCP header",
            Layer::Udp => "UDP header",
            Layer::Payload => "payload",
        })
    }
}

/// Why the decoding ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum StopReason {
    /// The frame on the wire was longer than the captured part (snapshot length).
    CutByCapture,
    /// The frame was captured completely and ends inside the layer.
    FrameTooShort,
    /// A length in the IP or UDP header reaches beyond the frame, which was captured completely.
    LengthBeyondFrame,
    /// The version in the IP header is not the one announced before it.
    WrongVersion,
    /// A length is smaller than the header it counts.
    LengthBelowHeader,
    /// A link type that is not decoded.
    UnknownLinkType,
    /// More VLAN tags than [`crate::link::MAX_VLAN_TAGS`].
    TooManyTags,
    /// More extension headers than [`crate::ip::MAX_EXTENSION_HEADERS`].
    TooManyExtensions,
    /// More tunnels than [`crate::encapsulation::MAX_ENCAPSULATIONS`].
    TooManyEncapsulations,
    /// More labels than [`crate::encapsulation::MAX_MPLS_LABELS`].
    TooManyLabels,
    /// A form of the header that is not decoded.
    UnsupportedForm,
    /// Encrypted on the link, as IEEE 802.11 does.
    Encrypted,
    /// A fragment of a packet. [`crate::fragment`] puts those of IP together.
    Fragment,
}

/// The party at fault for a [`DecodeStop`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Blame {
    /// The capture, which keeps too little of the frame.
    Capture,
    /// The sender, whose headers contradict themselves.
    Traffic,
    /// This crate, which does not support it.
    Unsupported,
}

impl StopReason {
    /// The party at fault.
    pub fn blame(self) -> Blame {
        match self {
            StopReason::CutByCapture => Blame::Capture,
            StopReason::FrameTooShort
            | StopReason::LengthBeyondFrame
            | StopReason::WrongVersion
            | StopReason::LengthBelowHeader => Blame::Traffic,
            StopReason::UnknownLinkType
            | StopReason::TooManyTags
            | StopReason::TooManyExtensions
            | StopReason::TooManyEncapsulations
            | StopReason::TooManyLabels
            | StopReason::UnsupportedForm
            | StopReason::Encrypted
            | StopReason::Fragment => Blame::Unsupported,
        }
    }
}

impl fmt::Display for StopReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            StopReason::CutByCapture => "cut by the capture's snapshot length",
            StopReason::FrameTooShort => "the frame ends inside it",
            StopReason::LengthBeyondFrame => "its length reaches beyond the frame",
            StopReason::WrongVersion => "not the IP version that was announced",
            StopReason::LengthBelowHeader => "its length is smaller than its header",
            StopReason::UnknownLinkType => "this link type is not decoded",
            StopReason::TooManyTags => "more VLAN tags than are decoded",
            StopReason::TooManyExtensions => "more extension headers than are decoded",
            StopReason::TooManyEncapsulations => "more tunnels than are decoded",
            StopReason::TooManyLabels => "more MPLS labels than are decoded",
            StopReason::UnsupportedForm => "this form of it is not decoded",
            StopReason::Encrypted => "encrypted on the link",
            StopReason::Fragment => "a fragment of a packet",
        })
    }
}

/// Where and why the decoding of a frame ended early.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct DecodeStop {
    /// The layer that could not be decoded.
    pub layer: Layer,
    /// Why the decoding ended.
    pub reason: StopReason,
    /// Offset in the frame at which that layer begins, in bytes.
    pub offset: u32,
    /// Bytes needed from `offset` on; 0 if the length is not the reason.
    pub needed: u32,
    /// Bytes captured from `offset` on.
    pub available: u32,
}

impl DecodeStop {
    /// The party at fault.
    pub fn blame(&self) -> Blame {
        self.reason.blame()
    }
}

impl fmt::Display for DecodeStop {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let DecodeStop { layer, reason, offset, needed, available } = self;
        write!(f, "{layer} at byte {offset}: {reason}")?;
        if *needed > 0 {
            write!(f, " ({needed} bytes needed, {available} there)")?;
        }
        Ok(())
    }
}

/// A frame that is being decoded: the captured bytes, and its length on the wire.
#[derive(Clone, Copy)]
pub(crate) struct FrameBytes<'a> {
    pub(crate) bytes: &'a [u8],
    /// At least `bytes.len()`.
    pub(crate) wire_len: usize,
}

impl<'a> FrameBytes<'a> {
    /// The `N` bytes at `offset`, or the reason why they are missing.
    #[inline(always)]
    pub(crate) fn chunk<const N: usize>(
        self,
        layer: Layer,
        offset: usize,
    ) -> Result<&'a [u8; N], DecodeStop> {
        match self.bytes.get(offset..).and_then(<[u8]>::first_chunk) {
            Some(chunk) => Ok(chunk),
            None => Err(self.short(layer, offset, N)),
        }
    }

    /// The stop for `needed` bytes at `offset` that are not all there.
    #[cold]
    pub(crate) fn short(self, layer: Layer, offset: usize, needed: usize) -> DecodeStop {
        let on_the_wire = offset.saturating_add(needed) <= self.wire_len;
        self.stop(
            layer,
            if on_the_wire { StopReason::CutByCapture } else { StopReason::FrameTooShort },
            offset,
            needed,
        )
    }

    #[cold]
    pub(crate) fn stop(self, layer: Layer, reason: StopReason, offset: usize, needed: usize) -> DecodeStop {
        let count = |n: usize| u32::try_from(n).unwrap_or(u32::MAX);
        DecodeStop {
            layer,
            reason,
            offset: count(offset),
            needed: count(needed),
            available: count(self.bytes.len().saturating_sub(offset)),
        }
    }
}
