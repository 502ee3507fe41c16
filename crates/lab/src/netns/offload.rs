//! Disables an interface's offloads in the calling thread's namespace, over ethtool's generic netlink family (Linux 5.6).
//!
//! With offloads a veth pair passes on whole socket buffers: up to 64 kB in one frame, without transport checksum. No network
//! carries such frames. Without offloads the kernel cuts segments at the MTU and fills in every checksum.
//!
//! The messages are encoded here because the `ethtool` crate (0.3) reads features but cannot change them.
//!
//! ```text
//! nlmsghdr (16) | genlmsghdr (4) | attributes: len (2) type (2) value, padded to 4; nested ones have NLA_F_NESTED set
//! ```

use std::io;

use netlink_sys::protocols::NETLINK_GENERIC;
use netlink_sys::{Socket, SocketAddr};

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

// include/uapi/linux/netlink.h
const NLM_F_REQUEST: u16 = 0x01;
const NLM_F_ACK: u16 = 0x04;
const NLMSG_ERROR: u16 = 2;
const NLA_F_NESTED: u16 = 1 << 15;
const NLA_TYPE_MASK: u16 = 0x3fff;
const NLMSG_HEADER: usize = 16;
const GENL_HEADER: usize = 4;
const ATTRIBUTE_HEADER: usize = 4;

// include/uapi/linux/genetlink.h
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
    let mut socket = Socket::new(NETLINK_GENERIC)?;
    socket.bind_auto()?;
    socket.connect(&SocketAddr::new(0, 0))?;

    let name = attribute(CTRL_ATTR_FAMILY_NAME, b"ethtool\0");
    let family = ask(&socket, GENL_ID_CTRL, CTRL_CMD_GETFAMILY, &name)?
        .and_then(|answer| find_u16(&answer, CTRL_ATTR_FAMILY_ID))
        .ok_or_else(|| io::Error::other("netlink: the kernel has no ethtool family"))?;

    let header = nested(
        ETHTOOL_A_FEATURES_HEADER,
        &[
            attribute(ETHTOOL_A_HEADER_DEV_NAME, &terminated(interface)),
            attribute(ETHTOOL_A_HEADER_FLAGS, &ETHTOOL_FLAG_OMIT_REPLY.to_ne_bytes()),
        ],
    );
    // A bit without a value is cleared.
    let bits: Vec<Vec<u8>> = OFFLOADS
        .iter()
        .map(|name| {
            nested(ETHTOOL_A_BITSET_BITS_BIT, &[attribute(ETHTOOL_A_BITSET_BIT_NAME, &terminated(name))])
        })
        .collect();
    let wanted = nested(ETHTOOL_A_FEATURES_WANTED, &[nested(ETHTOOL_A_BITSET_BITS, &bits)]);
    ask(&socket, family, ETHTOOL_MSG_FEATURES_SET, &[header, wanted].concat())?;
    Ok(())
}

/// Sends a request and reads until its acknowledgement. Returns the attributes of the answer before it, if any.
fn ask(socket: &Socket, family: u16, command: u8, attributes: &[u8]) -> io::Result<Option<Vec<u8>>> {
    socket.send(&request(family, command, attributes), 0)?;
    let mut answer = None;
    loop {
        let (datagram, _) = socket.recv_from_full()?;
        let mut rest = datagram.as_slice();
        while let Some((kind, payload, after)) = split_message(rest) {
            rest = after;
            if kind != NLMSG_ERROR {
                answer = payload.get(GENL_HEADER..).map(<[u8]>::to_vec);
                continue;
            }
            // struct nlmsgerr begins with a negated errno; 0 is an acknowledgement.
            let code = payload.first_chunk().map(|bytes| i32::from_ne_bytes(*bytes));
            return match code {
                Some(0) => Ok(answer),
                Some(code) => Err(io::Error::from_raw_os_error(code.saturating_neg())),
                None => Err(io::Error::other("netlink: truncated acknowledgement")),
            };
        }
    }
}

fn request(family: u16, command: u8, attributes: &[u8]) -> Vec<u8> {
    let length = NLMSG_HEADER + GENL_HEADER + attributes.len();
    let length = u32::try_from(length).expect("a request has a few hundred bytes");
    let mut message = Vec::new();
    message.extend(length.to_ne_bytes());
    message.extend(family.to_ne_bytes());
    message.extend((NLM_F_REQUEST | NLM_F_ACK).to_ne_bytes());
    message.extend(1_u32.to_ne_bytes()); // sequence number
    message.extend(0_u32.to_ne_bytes()); // port id: the kernel fills it in
    message.extend([command, 1, 0, 0]); // command, version, reserved
    message.extend(attributes);
    message
}

fn attribute(kind: u16, value: &[u8]) -> Vec<u8> {
    let length = u16::try_from(ATTRIBUTE_HEADER + value.len()).expect("an attribute has a few hundred bytes");
    let mut bytes = Vec::new();
    bytes.extend(length.to_ne_bytes());
    bytes.extend(kind.to_ne_bytes());
    bytes.extend(value);
    bytes.resize(aligned(bytes.len()), 0);
    bytes
}

fn nested(kind: u16, inner: &[Vec<u8>]) -> Vec<u8> {
    attribute(kind | NLA_F_NESTED, &inner.concat())
}

fn terminated(text: &str) -> Vec<u8> {
    [text.as_bytes(), b"\0"].concat()
}

/// Splits off the first message: its type, its payload, and the bytes after it.
fn split_message(bytes: &[u8]) -> Option<(u16, &[u8], &[u8])> {
    let length = u32::from_ne_bytes(*bytes.first_chunk()?) as usize;
    let kind = u16::from_ne_bytes(*bytes.get(4..)?.first_chunk()?);
    let payload = bytes.get(NLMSG_HEADER..length)?;
    Some((kind, payload, bytes.get(aligned(length)..).unwrap_or_default()))
}

fn find_u16(mut attributes: &[u8], wanted: u16) -> Option<u16> {
    loop {
        let length = usize::from(u16::from_ne_bytes(*attributes.first_chunk()?));
        let kind = u16::from_ne_bytes(*attributes.get(2..)?.first_chunk()?) & NLA_TYPE_MASK;
        let value = attributes.get(ATTRIBUTE_HEADER..length)?;
        if kind == wanted {
            return value.first_chunk().map(|bytes| u16::from_ne_bytes(*bytes));
        }
        attributes = attributes.get(aligned(length)..)?;
    }
}

fn aligned(length: usize) -> usize {
    length.next_multiple_of(4)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn attributes_are_padded_and_nested() {
        assert_eq!(attribute(2, b"abc"), [&7_u16.to_ne_bytes()[..], &2_u16.to_ne_bytes(), b"abc\0"].concat());
        let inner = attribute(1, b"x");
        let outer = nested(3, std::slice::from_ref(&inner));
        assert_eq!(outer, [&12_u16.to_ne_bytes()[..], &0x8003_u16.to_ne_bytes(), &inner].concat());
    }

    #[test]
    fn parses_truncated_and_malformed_answers_without_panic() {
        let attributes = [attribute(2, b"ethtool\0"), attribute(1, &0x15_u16.to_ne_bytes())].concat();
        assert_eq!(find_u16(&attributes, 1), Some(0x15));
        assert_eq!(find_u16(&attributes, 9), None);
        for length in 0..attributes.len() {
            find_u16(&attributes[..length], 1);
        }
        // A length of 0 must not cause an endless loop.
        assert_eq!(find_u16(&[0; 64], 1), None);

        let message = request(0x15, 3, &attributes);
        assert_eq!(
            split_message(&message).map(|(kind, payload, rest)| (kind, payload.len(), rest.len())),
            Some((0x15, GENL_HEADER + attributes.len(), 0))
        );
        for length in 0..message.len() {
            assert!(split_message(&message[..length]).is_none());
        }
    }
}
