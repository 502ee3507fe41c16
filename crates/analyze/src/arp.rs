//! Which ARP frames leave no room for hidden data.
//!
//! ```text
//! Ethernet  destination (6) | source (6) | VLAN tags | 0x0806
//! ARP       28 bytes
//! trailer   zeros, a frame check sequence
//! ```
//!
//! A frame with an ARP EtherType can hold anything. [`bare_packet`] accepts only frames that hold a request or a reply
//! and nothing else. Even then the sender chooses the IPv4 addresses freely.

use dissect::arp::{self, Arp, Hardware, Operation};
use dissect::frame::{self, Network};
use dissect::link::LinkType;

use crate::trailer;

/// Ethernet: destination, source, EtherType.
const ETHERNET_HEADER: usize = 14;
const VLAN_TAG: usize = 4;
const ARP_ETHER_TYPE: [u8; 2] = [0x08, 0x06];

const UNKNOWN: Hardware = [0; 6];
const BROADCAST: Hardware = [0xff; 6];

/// The packet of an Ethernet frame that holds an ordinary ARP packet, behind VLAN tags if there are any, and nothing
/// behind it but padding and a check sequence. `None` for every other frame. Links other than Ethernet are never accepted: their headers do not name both
/// ends.
pub(crate) fn bare_packet(link_type: LinkType, bytes: &[u8]) -> Option<Arp> {
    if link_type != LinkType::ETHERNET {
        return None;
    }
    let frame = frame::decode(link_type, bytes, u32::try_from(bytes.len()).ok()?);
    if frame.network != Network::Arp || !frame.encapsulations.is_empty() {
        return None;
    }
    let offset = ETHERNET_HEADER + VLAN_TAG * frame.vlan.numbers().len();
    // An EtherType behind a length and SNAP leaves room for more than tags.
    if bytes.get(..offset)?.last_chunk() != Some(&ARP_ETHER_TYPE) {
        return None;
    }
    let (destination, rest) = bytes.split_first_chunk()?;
    let source = rest.first_chunk()?;
    let packet = Arp::parse(bytes, offset)?;
    let is_alone = trailer::is_empty(link_type, bytes, offset + arp::LEN);
    (is_ordinary(&packet, *source, *destination) && is_alone).then_some(packet)
}

/// Whether the packet is a request or a reply whose hardware addresses add nothing to those of the Ethernet header
/// around it: the sender is the source of the frame; the target is unknown, the broadcast address, the destination of
/// the frame, or in an announcement the sender itself (RFC 826; RFC 5227 §1.1 and §3; RFC 5944 §4.6).
fn is_ordinary(packet: &Arp, source: Hardware, destination: Hardware) -> bool {
    matches!(packet.operation, Operation::REQUEST | Operation::REPLY)
        && packet.sender_hardware == source
        && [UNKNOWN, BROADCAST, destination, source].contains(&packet.target_hardware)
}

#[cfg(test)]
mod tests {
    use dissect::checksum::frame_check_sequence;
    use dissect::link;

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

    fn bare(frame: &[u8]) -> Option<Arp> {
        bare_packet(LinkType::ETHERNET, frame)
    }

    #[test]
    fn accepts_requests_and_replies_behind_tags_and_before_padding() {
        for tags in 0..=link::MAX_VLAN_TAGS {
            for (operation, target_hardware) in [
                (1, UNKNOWN),
                (1, BROADCAST),
                (1, DESTINATION),
                (2, DESTINATION),
                (2, SOURCE),
                (2, BROADCAST),
            ] {
                let expected = Arp {
                    operation: Operation(u16::from(operation)),
                    sender_hardware: SOURCE,
                    sender: [10, 0, 0, 1],
                    target_hardware,
                    target: [10, 0, 0, 2],
                };
                let unpadded = frame(tags, operation, target_hardware, &[]);
                assert_eq!(bare(&unpadded), Some(expected), "{tags} tags, operation {operation}");
                let padded = frame(tags, operation, target_hardware, &[0; 18]);
                assert_eq!(bare(&padded), Some(expected));
                let checked = [&padded[..], &frame_check_sequence(&padded)].concat();
                assert_eq!(bare(&checked), Some(expected));
            }
        }
    }

    #[test]
    fn rejects_frames_with_room_for_hidden_data() {
        let ordinary = frame(0, 1, UNKNOWN, &[]);
        for operation in [0, 3, 8, 255] {
            assert_eq!(bare(&frame(0, operation, UNKNOWN, &[])), None, "operation {operation}");
        }
        assert_eq!(bare(&frame(0, 1, *b"secret", &[])), None, "the target");
        assert_eq!(bare(&frame(0, 2, *b"secret", &[])), None, "the target of a reply");
        assert_eq!(bare(&frame(0, 1, UNKNOWN, &[0, 0, 1])), None, "behind it");
        assert_eq!(bare(&frame(link::MAX_VLAN_TAGS + 1, 1, UNKNOWN, &[])), None, "tags");
        // Every byte in front of the addresses, and the sender's hardware address.
        for at in (ETHERNET_HEADER - 2)..(ETHERNET_HEADER + 14) {
            let mut other = ordinary.clone();
            other[at] ^= 0x40;
            assert_eq!(bare(&other), None, "byte {at}");
        }
        for len in 0..ordinary.len() {
            assert_eq!(bare(&ordinary[..len]), None, "cut to {len}");
        }
        assert_eq!(bare_packet(LinkType::LINUX_SLL, &ordinary), None);
    }

    /// 802.3: a length, LLC and SNAP, whose bytes are as free as those of a payload.
    #[test]
    fn rejects_arp_behind_snap() {
        let ordinary = frame(0, 1, UNKNOWN, &[]);
        let snap = [&ordinary[..12], &[0, 36, 0xaa, 0xaa, 3, 0, 0, 0], &ordinary[12..]].concat();
        let decoded = frame::decode(LinkType::ETHERNET, &snap, snap.len() as u32);
        assert_eq!(decoded.network, Network::Arp);
        assert_eq!(bare(&snap), None);
    }
}
