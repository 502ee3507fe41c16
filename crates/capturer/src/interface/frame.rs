//! From what the kernel hands over to the bytes of the wire.

/// A frame as the packet socket gives it.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Packet<'a> {
    /// Kernel time of receipt or sending, ns since the Unix epoch.
    pub(crate) captured_at: u64,
    /// Length on the wire without a tag the kernel took out.
    pub(crate) original_len: u32,
    /// The frame, cut to the snaplen.
    pub(crate) bytes: &'a [u8],
    /// A VLAN tag the kernel took out of the frame.
    pub(crate) vlan: Option<VlanTag>,
    /// What this host's stack has left to the network card.
    pub(crate) offload: Offload,
    /// Sent by this host, not received.
    pub(crate) outgoing: bool,
}

/// A VLAN tag (IEEE 802.1Q): protocol and control information.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct VlanTag {
    pub(crate) protocol: u16,
    pub(crate) control: u16,
}

/// Work left to the network card, which therefore does not show in the frame.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Offload {
    /// The transport checksum is still to be filled in.
    pub(crate) unfinished_checksum: bool,
    /// The frame stands for several segments.
    pub(crate) segmentation: bool,
}

impl Offload {
    /// Reads a `struct virtio_net_hdr` (linux/virtio_net.h): flags, then the kind of segmentation.
    pub(crate) fn of_header(header: [u8; VNET_HEADER_LEN]) -> Self {
        const NEEDS_CHECKSUM: u8 = 1;
        const NO_SEGMENTATION: u8 = 0;
        Self {
            unfinished_checksum: header[0] & NEEDS_CHECKSUM != 0,
            segmentation: header[1] != NO_SEGMENTATION,
        }
    }
}

/// Length of `struct virtio_net_hdr` without the count of merged buffers, which packet sockets leave out.
pub(crate) const VNET_HEADER_LEN: usize = 10;

/// Where a tag stands: behind the two Ethernet addresses.
const TAG_OFFSET: usize = 12;
const TAG_LEN: u32 = 4;

impl<'a> Packet<'a> {
    /// The frame as it crossed the wire and its length there: a tag the kernel took out is put back. `scratch` is where
    /// that is done.
    pub(crate) fn wire<'s>(&self, scratch: &'s mut Vec<u8>) -> (&'s [u8], u32)
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
    fn a_tag_goes_back_behind_the_addresses() {
        let bytes: Vec<u8> = (0..20).collect();
        let tag = VlanTag { protocol: 0x8100, control: 0x0123 };
        let mut scratch = vec![9; 3];
        let (wire, original_len) = packet(&bytes, Some(tag)).wire(&mut scratch);
        assert_eq!(wire[..12], bytes[..12]);
        assert_eq!(wire[12..16], [0x81, 0x00, 0x01, 0x23]);
        assert_eq!(wire[16..], bytes[12..]);
        assert_eq!(original_len, 104);
    }

    #[test]
    fn without_a_tag_nothing_is_copied() {
        let bytes = [7; 20];
        let mut scratch = Vec::new();
        assert_eq!(packet(&bytes, None).wire(&mut scratch), (&bytes[..], 100));
        let tag = VlanTag { protocol: 0x8100, control: 1 };
        assert_eq!(
            packet(&bytes[..5], Some(tag)).wire(&mut scratch),
            (&bytes[..5], 100),
            "cut before the tag"
        );
    }

    #[test]
    fn the_offload_header_is_read() {
        let offload = |flags, kind| Offload::of_header([flags, kind, 0, 0, 0, 0, 0, 0, 0, 0]);
        assert_eq!(offload(0, 0), Offload::default());
        assert!(offload(1, 0).unfinished_checksum);
        assert!(!offload(2, 0).unfinished_checksum, "checked already is not unfinished");
        assert!(offload(1, 1).segmentation);
        assert!(offload(0, 0x81).segmentation);
    }
}
