//! ARP, as far as it asks for or tells the Ethernet address of an IPv4 address (RFC 826).
//!
//! ```text
//! Ethernet  destination (6) | source (6) | VLAN tags | 0x0806
//! ARP       hardware 1 | protocol 0x0800 | 6 | 4 | operation | sender (6 + 4) | target (6 + 4)
//! padding   zeros
//! ```
//!
//! A frame with an ARP EtherType can hold anything. [`Arp::alone_in`] says which ones hold a question or an answer and
//! nothing besides. Even then the IPv4 addresses are whatever the sender chose to ask for.

use crate::decode_stop::FrameBytes;
use crate::link::{self, EtherType, LinkType};

/// An Ethernet address.
pub type Hardware = [u8; 6];

/// Length of the packet.
pub const LEN: usize = 28;

/// Hardware type Ethernet, protocol type IPv4, lengths of their addresses.
const ETHERNET_AND_IPV4: [u8; 6] = [0, 1, 0x08, 0, 6, 4];

/// Ethernet: destination, source, EtherType.
const ETHERNET_HEADER: usize = 14;
const VLAN_TAG: usize = 4;

const NOBODY: Hardware = [0; 6];
const EVERYBODY: Hardware = [0xff; 6];

/// What an ARP packet does.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Operation(pub u16);

impl Operation {
    /// Asks for the hardware address of the target.
    pub const REQUEST: Self = Operation(1);
    /// Tells the hardware address of the sender.
    pub const REPLY: Self = Operation(2);
}

/// An ARP packet for IPv4 over Ethernet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Arp {
    /// Request, reply or something else.
    pub operation: Operation,
    /// Hardware address of the sender.
    pub sender_hardware: Hardware,
    /// IPv4 address of the sender.
    pub sender: [u8; 4],
    /// Hardware address of the target; in a request it is what is asked for.
    pub target_hardware: Hardware,
    /// IPv4 address of the target.
    pub target: [u8; 4],
}

impl Arp {
    /// Reads the packet that begins at `offset` of a frame. `None` if it was not captured whole, or is of other kinds of
    /// addresses.
    pub fn parse(frame: &[u8], offset: usize) -> Option<Self> {
        let packet = frame.get(offset..)?.first_chunk::<LEN>()?;
        let rest = packet.strip_prefix(&ETHERNET_AND_IPV4)?;
        let (operation, rest) = rest.split_first_chunk()?;
        let (sender_hardware, rest) = rest.split_first_chunk()?;
        let (sender, rest) = rest.split_first_chunk()?;
        let (target_hardware, rest) = rest.split_first_chunk()?;
        Some(Self {
            operation: Operation(u16::from_be_bytes(*operation)),
            sender_hardware: *sender_hardware,
            sender: *sender,
            target_hardware: *target_hardware,
            target: *rest.first_chunk()?,
        })
    }

    /// Whether it is a request or a reply whose hardware addresses say nothing that the Ethernet header around it does
    /// not say: the sender is who sent the frame; the target is nobody yet, everybody, who gets the frame, or in an
    /// announcement the sender itself (RFC 826; RFC 5227 §1.1 and §3; RFC 5944 §4.6).
    pub fn is_plain(&self, source: Hardware, destination: Hardware) -> bool {
        matches!(self.operation, Operation::REQUEST | Operation::REPLY)
            && self.sender_hardware == source
            && [NOBODY, EVERYBODY, destination, source].contains(&self.target_hardware)
    }

    /// The packet of an Ethernet frame that holds a [plain](Self::is_plain) one, behind VLAN tags if there are any, and
    /// nothing but zeros behind it. `None` for everything else, links other than Ethernet among it: their headers do
    /// not name both ends.
    pub fn alone_in(link_type: LinkType, frame: &[u8]) -> Option<Self> {
        if link_type != LinkType::ETHERNET {
            return None;
        }
        let link = link::decode(link_type, FrameBytes { bytes: frame, wire_len: frame.len() });
        // An EtherType that stands behind a length and SNAP leaves room for more than tags.
        let is_direct = link.offset == ETHERNET_HEADER + VLAN_TAG * link.vlan.numbers().len();
        if link.ether_type != EtherType::ARP || link.stop.is_some() || !is_direct {
            return None;
        }
        let (destination, rest) = frame.split_first_chunk()?;
        let source = rest.first_chunk()?;
        let arp = Self::parse(frame, link.offset)?;
        let padding = frame.get(link.offset + LEN..)?;
        let is_alone = padding.iter().all(|byte| *byte == 0);
        (arp.is_plain(*source, *destination) && is_alone).then_some(arp)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SOURCE: Hardware = [2, 0, 0, 0, 0, 1];
    const DESTINATION: Hardware = [2, 0, 0, 0, 0, 2];

    /// An Ethernet frame of [`SOURCE`] with `tags` VLAN tags.
    fn frame(tags: usize, operation: u8, target_hardware: Hardware, behind: &[u8]) -> Vec<u8> {
        let packet = [0, 1, 8, 0, 6, 4, 0, operation];
        let tags = [0x81, 0, 0, 7].repeat(tags);
        [
            &DESTINATION[..],
            &SOURCE,
            &tags,
            &[8, 6],
            &packet,
            &SOURCE,
            &[10, 0, 0, 1],
            &target_hardware,
            &[10, 0, 0, 2],
            behind,
        ]
        .concat()
    }

    fn alone(frame: &[u8]) -> Option<Arp> {
        Arp::alone_in(LinkType::ETHERNET, frame)
    }

    #[test]
    fn questions_and_answers_are_read_behind_tags_and_before_padding() {
        for tags in 0..=link::MAX_VLAN_TAGS {
            for (operation, target_hardware) in
                [(1, NOBODY), (1, EVERYBODY), (1, DESTINATION), (2, DESTINATION), (2, SOURCE), (2, EVERYBODY)]
            {
                let expected = Arp {
                    operation: Operation(u16::from(operation)),
                    sender_hardware: SOURCE,
                    sender: [10, 0, 0, 1],
                    target_hardware,
                    target: [10, 0, 0, 2],
                };
                let bare = frame(tags, operation, target_hardware, &[]);
                assert_eq!(alone(&bare), Some(expected), "{tags} tags, operation {operation}");
                assert_eq!(alone(&frame(tags, operation, target_hardware, &[0; 18])), Some(expected));
                assert_eq!(Arp::parse(&bare, ETHERNET_HEADER + VLAN_TAG * tags), Some(expected));
            }
        }
    }

    #[test]
    fn whatever_could_carry_something_is_not_alone() {
        let plain = frame(0, 1, NOBODY, &[]);
        for operation in [0, 3, 8, 255] {
            assert_eq!(alone(&frame(0, operation, NOBODY, &[])), None, "operation {operation}");
        }
        assert_eq!(alone(&frame(0, 1, *b"secret", &[])), None, "the target");
        assert_eq!(alone(&frame(0, 2, *b"secret", &[])), None, "the target of a reply");
        assert_eq!(alone(&frame(0, 1, NOBODY, &[0, 0, 1])), None, "behind it");
        assert_eq!(alone(&frame(link::MAX_VLAN_TAGS + 1, 1, NOBODY, &[])), None, "tags");
        // Every byte in front of the addresses, and the sender's hardware address.
        for at in (ETHERNET_HEADER - 2)..(ETHERNET_HEADER + 14) {
            let mut other = plain.clone();
            other[at] ^= 0x40;
            assert_eq!(alone(&other), None, "byte {at}");
        }
        for len in 0..plain.len() {
            assert_eq!(alone(&plain[..len]), None, "cut to {len}");
        }
        assert_eq!(Arp::alone_in(LinkType::LINUX_SLL, &plain), None);
    }

    /// 802.3: a length, LLC and SNAP, whose bytes are as free as a payload's.
    #[test]
    fn behind_snap_it_is_not_alone() {
        let plain = frame(0, 1, NOBODY, &[]);
        let snap = [&plain[..12], &[0, 36, 0xaa, 0xaa, 3, 0, 0, 0], &plain[12..]].concat();
        assert_eq!(
            link::decode(LinkType::ETHERNET, FrameBytes { bytes: &snap, wire_len: snap.len() }).ether_type,
            EtherType::ARP
        );
        assert_eq!(alone(&snap), None);
    }
}
