//! Counts frames by kind, and determines the time that they cover.

use dissect::capture::Record;
use dissect::frame::{Frame, Network, Transport};
use dissect::link::LinkType;

use crate::pipeline::fact::Unexplained;

/// Counts of frames.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct FrameCounts {
    pub total: u64,
    /// Bytes in all frames, as captured.
    pub captured_bytes: u64,
    /// Frames cut by the capture's snaplen.
    pub truncated: u64,
    /// ARP frames.
    pub control: u64,
    /// Frames of UDP, ICMP and other protocols, which are searched but not decoded further.
    pub other: u64,
    /// Frames without a decoded transport header: fragments, malformed or unknown headers.
    pub undecoded: u64,
    /// Most bytes captured of one frame.
    pub longest: u64,
    /// Time of the first frame, nanoseconds since the epoch.
    pub first_at: Option<u64>,
    /// Time of the last frame.
    pub last_at: Option<u64>,
    /// The earliest time of any frame: the frames of a file need not be in the order of time.
    pub earliest_at: Option<u64>,
    /// The latest time of any frame.
    pub latest_at: Option<u64>,
    /// Link type of the first frame, and the first link type that differs from it.
    pub link_types: [Option<LinkType>; 2],
}

impl FrameCounts {
    /// Counts a frame.
    #[inline]
    pub(crate) fn take(&mut self, record: &Record<'_>, frame: &Frame<'_>) {
        let at = record.captured_at;
        self.total += 1;
        self.captured_bytes += record.bytes.len() as u64;
        self.truncated += u64::from(record.is_truncated());
        self.longest = self.longest.max(record.bytes.len() as u64);
        self.first_at.get_or_insert(at);
        self.last_at = Some(at);
        self.earliest_at = Some(self.earliest_at.map_or(at, |earliest| earliest.min(at)));
        self.latest_at = Some(self.latest_at.map_or(at, |latest| latest.max(at)));
        let [first, other] = &mut self.link_types;
        if *first.get_or_insert(record.link_type) != record.link_type {
            other.get_or_insert(record.link_type);
        }
        let is_arp = matches!((&frame.network, &frame.transport), (Network::Arp, Transport::Absent));
        self.control += u64::from(is_arp);
    }

    /// Counts a frame by the reason why it, or a part of it, is unexplained.
    pub(crate) fn unexplained(&mut self, why: &Unexplained) {
        match why {
            Unexplained::Undecoded(_)
            | Unexplained::Fragment
            | Unexplained::InvalidFragment
            | Unexplained::IncompletePacket
            | Unexplained::TooManyFragments
            | Unexplained::OverlappingFragments => self.undecoded += 1,
            Unexplained::Icmp
            | Unexplained::Icmpv6
            | Unexplained::Udp
            | Unexplained::Dns
            | Unexplained::QuicInitial
            | Unexplained::QuicProtected
            | Unexplained::QuicDecrypted
            | Unexplained::IpProtocol(_)
            | Unexplained::EtherType(_) => self.other += 1,
            _ => {}
        }
    }
}
