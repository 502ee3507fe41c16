//! Requests to the kernel over a netlink socket, as bytes.
//!
//! ```text
//! nlmsghdr (16) | header of the family | attributes: len (2) type (2) value, padded to 4; nested ones have NLA_F_NESTED set
//! ```
//!
//! Encoded here because a library with a type for each attribute costs a tenth of the lab's first build for six requests.

use std::io;
use std::os::fd::{AsRawFd, OwnedFd};

use nix::sys::socket::{
    AddressFamily, MsgFlags, NetlinkAddr, SockFlag, SockProtocol, SockType, connect, recv, send, socket,
};

// include/uapi/linux/netlink.h
const NLM_F_REQUEST: u16 = 0x01;
const NLM_F_ACK: u16 = 0x04;
pub(super) const NLM_F_EXCL: u16 = 0x200;
pub(super) const NLM_F_CREATE: u16 = 0x400;
const NLMSG_ERROR: u16 = 2;
const NLA_F_NESTED: u16 = 1 << 15;
const NLA_TYPE_MASK: u16 = 0x3fff;
const NLMSG_HEADER: usize = 16;
const ATTRIBUTE_HEADER: usize = 4;

/// The longest datagram that is read. The kernel fills at most 8 KiB for one message (`NLMSG_GOODSIZE`), and an answer here is
/// one message.
const MAX_DATAGRAM: usize = 32 * 1024;

/// A netlink socket of the namespace that the thread was in when it opened the socket.
pub(super) struct Netlink {
    socket: OwnedFd,
    sequence: u32,
}

impl Netlink {
    /// Opens a socket to the kernel's `family`: `NetlinkRoute` or `NetlinkGeneric`.
    pub(super) fn open(family: SockProtocol) -> io::Result<Self> {
        let socket = socket(AddressFamily::Netlink, SockType::Raw, SockFlag::SOCK_CLOEXEC, family)?;
        // Port 0 is the kernel. The socket then receives from the kernel alone.
        connect(socket.as_raw_fd(), &NetlinkAddr::new(0, 0))?;
        Ok(Self { socket, sequence: 0 })
    }

    /// Sends a request and reads until the kernel acknowledges it. Returns the payload of the answer before the
    /// acknowledgement, if there is one; a refusal is an error with the kernel's errno.
    pub(super) fn ask(&mut self, kind: u16, flags: u16, payload: &[u8]) -> io::Result<Option<Vec<u8>>> {
        self.sequence += 1;
        let request = message(kind, NLM_F_REQUEST | NLM_F_ACK | flags, self.sequence, payload);
        send(self.socket.as_raw_fd(), &request, MsgFlags::empty())?;
        let mut answer = None;
        let mut datagram = vec![0; MAX_DATAGRAM];
        loop {
            // With MSG_TRUNC the kernel returns the length of the datagram, not of the part that fits.
            let length = recv(self.socket.as_raw_fd(), &mut datagram, MsgFlags::MSG_TRUNC)?;
            let mut rest = datagram.get(..length).ok_or_else(|| malformed("answer of several messages"))?;
            while !rest.is_empty() {
                let (header, payload, after) =
                    split_message(rest).ok_or_else(|| malformed("length of a message"))?;
                rest = after;
                if header.sequence != self.sequence {
                    continue;
                }
                if header.kind != NLMSG_ERROR {
                    answer = Some(payload.to_vec());
                    continue;
                }
                return acknowledged(payload).map(|()| answer);
            }
        }
    }
}

/// Reads `struct nlmsgerr`, which begins with a negated errno; 0 is an acknowledgement.
fn acknowledged(payload: &[u8]) -> io::Result<()> {
    match payload.first_chunk().map(|bytes| i32::from_ne_bytes(*bytes)) {
        Some(0) => Ok(()),
        Some(code) => Err(io::Error::from_raw_os_error(code.saturating_neg())),
        None => Err(malformed("acknowledgement")),
    }
}

fn malformed(what: &str) -> io::Error {
    io::Error::other(format!("netlink: unexpected {what}"))
}

fn message(kind: u16, flags: u16, sequence: u32, payload: &[u8]) -> Vec<u8> {
    let length = u32::try_from(NLMSG_HEADER + payload.len()).expect("a request has a few hundred bytes");
    let mut message = Vec::with_capacity(NLMSG_HEADER + payload.len());
    message.extend(length.to_ne_bytes());
    message.extend(kind.to_ne_bytes());
    message.extend(flags.to_ne_bytes());
    message.extend(sequence.to_ne_bytes());
    message.extend(0_u32.to_ne_bytes()); // port id: the kernel fills it in
    message.extend(payload);
    message
}

/// One attribute, padded.
pub(super) fn attribute(kind: u16, value: &[u8]) -> Vec<u8> {
    let length = u16::try_from(ATTRIBUTE_HEADER + value.len()).expect("an attribute has a few hundred bytes");
    let mut bytes = Vec::with_capacity(aligned(usize::from(length)));
    bytes.extend(length.to_ne_bytes());
    bytes.extend(kind.to_ne_bytes());
    bytes.extend(value);
    bytes.resize(aligned(bytes.len()), 0);
    bytes
}

/// An attribute whose value is text, with the zero byte that ends it.
pub(super) fn text_attribute(kind: u16, text: &str) -> Vec<u8> {
    attribute(kind, &[text.as_bytes(), b"\0"].concat())
}

/// An attribute whose value is attributes.
pub(super) fn nested(kind: u16, inner: &[Vec<u8>]) -> Vec<u8> {
    attribute(kind | NLA_F_NESTED, &inner.concat())
}

/// The value of the last attribute of this kind. `None` if there is none before the end of the attributes that are whole.
pub(super) fn find_attribute(mut attributes: &[u8], wanted: u16) -> Option<&[u8]> {
    let mut found = None;
    while let Some((kind, value, rest)) = split_attribute(attributes) {
        if kind == wanted {
            found = Some(value);
        }
        attributes = rest;
    }
    found
}

struct MessageHeader {
    kind: u16,
    sequence: u32,
}

/// Splits off the first message: its header, its payload, and the bytes after it.
fn split_message(bytes: &[u8]) -> Option<(MessageHeader, &[u8], &[u8])> {
    let length = u32::from_ne_bytes(*bytes.first_chunk()?) as usize;
    let kind = u16::from_ne_bytes(*bytes.get(4..)?.first_chunk()?);
    let sequence = u32::from_ne_bytes(*bytes.get(8..)?.first_chunk()?);
    let payload = bytes.get(NLMSG_HEADER..length)?;
    Some((MessageHeader { kind, sequence }, payload, bytes.get(aligned(length)..).unwrap_or_default()))
}

/// Splits off the first attribute: its kind, its value, and the bytes after it.
fn split_attribute(bytes: &[u8]) -> Option<(u16, &[u8], &[u8])> {
    let length = usize::from(u16::from_ne_bytes(*bytes.first_chunk()?));
    let kind = u16::from_ne_bytes(*bytes.get(2..)?.first_chunk()?) & NLA_TYPE_MASK;
    let value = bytes.get(ATTRIBUTE_HEADER..length)?;
    Some((kind, value, bytes.get(aligned(length)..).unwrap_or_default()))
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
        assert_eq!(text_attribute(2, "abc"), attribute(2, b"abc\0"));
        let inner = attribute(1, b"x");
        let outer = nested(3, std::slice::from_ref(&inner));
        assert_eq!(outer, [&12_u16.to_ne_bytes()[..], &0x8003_u16.to_ne_bytes(), &inner].concat());
    }

    #[test]
    fn a_message_states_its_length_kind_flags_and_sequence() {
        let bytes = message(18, NLM_F_REQUEST | NLM_F_ACK, 7, b"four");
        let header = [
            &20_u32.to_ne_bytes()[..],
            &18_u16.to_ne_bytes(),
            &5_u16.to_ne_bytes(),
            &7_u32.to_ne_bytes(),
            &0_u32.to_ne_bytes(),
        ];
        assert_eq!(bytes, [&header.concat()[..], b"four"].concat());
    }

    #[test]
    fn the_last_attribute_of_a_kind_is_found() {
        let attributes = [attribute(2, b"a"), attribute(1, b"12345"), attribute(2, b"b")].concat();
        assert_eq!(find_attribute(&attributes, 2), Some(&b"b"[..]));
        assert_eq!(find_attribute(&attributes, 1), Some(&b"12345"[..]));
        assert_eq!(find_attribute(&attributes, 9), None);
        let marked = nested(4, &[attribute(1, b"x")]);
        assert_eq!(find_attribute(&marked, 4), Some(&attribute(1, b"x")[..]), "without NLA_F_NESTED");
    }

    #[test]
    fn parses_truncated_and_malformed_answers_without_panic() {
        let attributes = [attribute(2, b"ethtool\0"), attribute(1, &0x15_u16.to_ne_bytes())].concat();
        for length in 0..attributes.len() {
            find_attribute(&attributes[..length], 1);
        }
        for length in 0..4_u8 {
            let mut short = attribute(1, b"abcd");
            short[0] = length;
            short[1] = 0;
            assert_eq!(find_attribute(&short.repeat(8), 1), None, "a length of {length} ends the search");
        }

        let bytes = message(0x15, 0, 1, &attributes);
        let (header, payload, rest) = split_message(&bytes).unwrap();
        assert_eq!((header.kind, header.sequence), (0x15, 1));
        assert_eq!((payload, rest), (&attributes[..], &[][..]));
        for length in 0..bytes.len() {
            assert!(split_message(&bytes[..length]).is_none());
        }
    }

    #[test]
    fn an_acknowledgement_carries_the_errno() {
        assert!(acknowledged(&[0; 20]).is_ok());
        let refused = acknowledged(&(-nix::libc::EPERM).to_ne_bytes()).unwrap_err();
        assert_eq!(refused.raw_os_error(), Some(nix::libc::EPERM));
        assert!(acknowledged(&i32::MIN.to_ne_bytes()).is_err());
        assert_eq!(acknowledged(&[0; 3]).unwrap_err().raw_os_error(), None);
    }

    /// The kernel answers with other padding and more attributes than this code writes.
    #[test]
    fn asks_the_kernel_and_keeps_its_errno() {
        const RTM_GETLINK: u16 = 18;
        const IFINFOMSG: usize = 16;
        const IFLA_IFNAME: u16 = 3;
        let mut netlink = Netlink::open(SockProtocol::NetlinkRoute).unwrap();
        for _ in 0..2 {
            let request = [vec![0; IFINFOMSG], text_attribute(IFLA_IFNAME, "lo")].concat();
            let answer = netlink.ask(RTM_GETLINK, 0, &request).unwrap().unwrap();
            assert_eq!(find_attribute(&answer[IFINFOMSG..], IFLA_IFNAME), Some(&b"lo\0"[..]));
            let request = [vec![0; IFINFOMSG], text_attribute(IFLA_IFNAME, "none-such")].concat();
            let refused = netlink.ask(RTM_GETLINK, 0, &request).unwrap_err();
            assert_eq!(refused.raw_os_error(), Some(nix::libc::ENODEV));
        }
    }
}
