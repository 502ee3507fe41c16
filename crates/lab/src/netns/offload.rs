//! Disables an interface's offloads in the calling thread's namespace, over ethtool's generic netlink family (Linux 5.6).
//!
//! With offloads a veth pair passes on whole socket buffers: up to 64 kB in one frame, without transport checksum. No network
//! carries such frames. Without offloads the kernel cuts segments at the MTU and fills in every checksum.
//!
//! ```text
//! payload of a generic message: genlmsghdr (4) | attributes
//! ```

use std::io;

use nix::sys::socket::SockProtocol;

use super::netlink::{Netlink, attribute, find_attribute, nested, text_attribute};

/// The offloads to disable, by their kernel names: transmit checksums, every segmentation of TCP, and receive coalescing.
const OFFLOADS: &[&str] = &[
    "tx-checksum-ip-generic",
    "tx-tcp-segmentation",
    "tx-tcp-ecn-segmentation",
    "tx-tcp-mangleid-segmentation",
    "tx-tcp6-segmentation",
    "tx-generic-segmentation",
    "rx-gro",
];

// include/uapi/linux/genetlink.h
const GENL_HEADER: usize = 4;
const GENL_ID_CTRL: u16 = 0x10;
const CTRL_CMD_GETFAMILY: u8 = 3;
const CTRL_ATTR_FAMILY_ID: u16 = 1;
const CTRL_ATTR_FAMILY_NAME: u16 = 2;

// include/uapi/linux/ethtool_netlink.h
const ETHTOOL_MSG_FEATURES_SET: u8 = 12;
const ETHTOOL_A_FEATURES_HEADER: u16 = 1;
const ETHTOOL_A_FEATURES_WANTED: u16 = 3;
const ETHTOOL_A_HEADER_DEV_NAME: u16 = 2;
const ETHTOOL_A_HEADER_FLAGS: u16 = 3;
const ETHTOOL_FLAG_OMIT_REPLY: u32 = 1 << 1;
const ETHTOOL_A_BITSET_BITS: u16 = 3;
const ETHTOOL_A_BITSET_BITS_BIT: u16 = 1;
const ETHTOOL_A_BITSET_BIT_NAME: u16 = 2;

/// Disables all [`OFFLOADS`] of `interface`.
pub(super) fn disable(interface: &str) -> io::Result<()> {
    let mut netlink = Netlink::open(SockProtocol::NetlinkGeneric)?;
    let name = text_attribute(CTRL_ATTR_FAMILY_NAME, "ethtool");
    let family = netlink
        .ask(GENL_ID_CTRL, 0, &payload(CTRL_CMD_GETFAMILY, &name))?
        .and_then(|answer| family_id(&answer))
        .ok_or_else(|| io::Error::other("netlink: the kernel has no ethtool family"))?;
    netlink.ask(family, 0, &payload(ETHTOOL_MSG_FEATURES_SET, &without_offloads(interface)))?;
    Ok(())
}

fn payload(command: u8, attributes: &[u8]) -> Vec<u8> {
    [&[command, 1, 0, 0], attributes].concat() // command, version, reserved
}

fn family_id(answer: &[u8]) -> Option<u16> {
    let value = find_attribute(answer.get(GENL_HEADER..)?, CTRL_ATTR_FAMILY_ID)?;
    Some(u16::from_ne_bytes(*value.first_chunk()?))
}

fn without_offloads(interface: &str) -> Vec<u8> {
    let header = nested(
        ETHTOOL_A_FEATURES_HEADER,
        &[
            text_attribute(ETHTOOL_A_HEADER_DEV_NAME, interface),
            attribute(ETHTOOL_A_HEADER_FLAGS, &ETHTOOL_FLAG_OMIT_REPLY.to_ne_bytes()),
        ],
    );
    // A bit without a value is cleared.
    let bits: Vec<Vec<u8>> = OFFLOADS
        .iter()
        .map(|name| nested(ETHTOOL_A_BITSET_BITS_BIT, &[text_attribute(ETHTOOL_A_BITSET_BIT_NAME, name)]))
        .collect();
    let wanted = nested(ETHTOOL_A_FEATURES_WANTED, &[nested(ETHTOOL_A_BITSET_BITS, &bits)]);
    [header, wanted].concat()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_the_family_id_of_an_answer() {
        let attributes = [
            text_attribute(CTRL_ATTR_FAMILY_NAME, "ethtool"),
            attribute(CTRL_ATTR_FAMILY_ID, &0x15_u16.to_ne_bytes()),
        ]
        .concat();
        let answer = payload(1, &attributes);
        assert_eq!(family_id(&answer), Some(0x15));
        for length in 0..answer.len() - 2 {
            assert_eq!(family_id(&answer[..length]), None);
        }
        assert_eq!(family_id(&payload(1, &attribute(CTRL_ATTR_FAMILY_ID, &[0x15]))), None);
    }

    #[test]
    fn every_offload_is_named_once() {
        let request = without_offloads("veth-a");
        for name in OFFLOADS {
            let attribute = text_attribute(ETHTOOL_A_BITSET_BIT_NAME, name);
            assert_eq!(request.windows(attribute.len()).filter(|window| *window == attribute).count(), 1);
        }
    }
}
