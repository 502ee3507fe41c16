//! Converts the kernel's packets to the frames on the network.

/// A frame as the packet socket delivers it.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Packet<'a> {
    /// The kernel's time of reception or transmission, ns since the Unix epoch.
    pub(crate) captured_at: u64,
    /// Length on the network, without the VLAN tag that the kernel removed.
    pub(crate) original_len: u32,
    /// The frame, cut to the snaplen.
    pub(crate) bytes: &'a [u8],
    /// The VLAN tag that the kernel removed from the frame.
    pub(crate) vlan: Option<VlanTag>,
    /// The work that the network stack left to the network card.
    pub(crate) offload: Offload,
    /// Whether this host sent the frame.
    pub(crate) outgoing: bool,
}

/// A VLAN tag (IEEE 802.1Q): protocol and control information.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct VlanTag {
    pub(crate) protocol: u16,
    pub(crate) control: u16,
}

/// Work that the network stack left to the network card, and that is not done in the captured frame.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Offload {
    /// The transport checksum is not filled in.
    pub(crate) unfinished_checksum: bool,
    /// The frame combines several segments.
    pub(crate) segmentation: bool,
}

impl Offload {
    /// Parses a `struct virtio_net_hdr` (linux/virtio_net.h): flags, then the kind of segmentation.
    pub(crate) fn of_header(header: [u8; VNET_HEADER_LEN]) -> Self {
        const NEEDS_CHECKSUM: u8 = 1;
        const NO_SEGMENTATION: u8 = 0;
        Self {
            unfinished_checksum: header[0] & NEEDS_CHECKSUM != 0,
            segmentation: header[1] != NO_SEGMENTATION,
        }
    }
}

/// Length of `struct virtio_net_hdr` without the number of merged buffers, which packet sockets omit.
pub(crate) const VNET_HEADER_LEN: usize = 10;

/// Offset of a tag: after the two Ethernet addresses.
const TAG_OFFSET: usize = 12;
const TAG_LEN: u32 = 4;

impl<'a> Packet<'a> {
    /// The frame as it is on the network, and its length there. Inserts the tag that the kernel removed, in `scratch`.
    pub(crate) fn on_wire<'s>(&self, scratch: &'s mut Vec<u8>) -> (&'s [u8], u32)
    where
        'a: 's,
    {
        let (Some(tag), Some((addresses, rest))) = (self.vlan, self.bytes.split_at_checked(TAG_OFFSET))
        else {
            return (self.bytes, self.original_len);
        };
        scratch.clear();
        scratch.extend_from_slice(addresses);
        scratch.extend_from_slice(&tag.protocol.to_be_bytes());
        scratch.extend_from_slice(&tag.control.to_be_bytes());
        scratch.extend_from_slice(rest);
        (scratch, self.original_len.saturating_add(TAG_LEN))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn packet(bytes: &[u8], vlan: Option<VlanTag>) -> Packet<'_> {
        Packet {
            captured_at: 0,
            original_len: 100,
            bytes,
            vlan,
            offload: Offload::default(),
            outgoing: false,
        }
    }

    #[test]
    fn inserts_the_tag_after_the_addresses() {
        let bytes: Vec<u8> = (0..20).collect();
        let tag = VlanTag { protocol: 0x8100, control: 0x0123 };
        let mut scratch = vec![9; 3];
        let (wire, original_len) = packet(&bytes, Some(tag)).on_wire(&mut scratch);
        assert_eq!(wire[..12], bytes[..12]);
        assert_eq!(wire[12..16], [0x81, 0x00, 0x01, 0x23]);
        assert_eq!(wire[16..], bytes[12..]);
        assert_eq!(original_len, 104);
    }

    #[test]
    fn returns_the_frame_itself_without_a_tag() {
        let bytes = [7; 20];
        let mut scratch = Vec::new();
        assert_eq!(packet(&bytes, None).on_wire(&mut scratch), (&bytes[..], 100));
        let tag = VlanTag { protocol: 0x8100, control: 1 };
        assert_eq!(
            packet(&bytes[..5], Some(tag)).on_wire(&mut scratch),
            (&bytes[..5], 100),
            "cut before the tag"
        );
    }

    #[test]
    fn parses_the_offload_header() {
        let offload = |flags, kind| Offload::of_header([flags, kind, 0, 0, 0, 0, 0, 0, 0, 0]);
        assert_eq!(offload(0, 0), Offload::default());
        assert!(offload(1, 0).unfinished_checksum);
        assert!(!offload(2, 0).unfinished_checksum, "the flag for a checked checksum does not count");
        assert!(offload(1, 1).segmentation);
        assert!(offload(0, 0x81).segmentation);
    }
}
