//! The loopback interface of a box: up, as programs and tests on one machine expect it, and as the engine makes it. Each box
//! has one of its own.

use std::io;

use rustix::net::netlink::SocketAddrNetlink;
use rustix::net::{AddressFamily, RecvFlags, SendFlags, SocketFlags, SocketType, recv, sendto, socket_with};

/// The loopback interface is the first of each network namespace.
const LOOPBACK: i32 = 1;

/// `RTM_NEWLINK` and the flags of a request with an answer (netlink(7), rtnetlink(7)).
const RTM_NEWLINK: u16 = 16;
const NLM_F_REQUEST_ACK: u16 = 1 | 4;
const IFF_UP: u32 = 1;
/// The type of an answer that holds an error number, 0 for success, behind its header.
const NLMSG_ERROR: u16 = 2;
/// Length of a message's header, and of a request with `struct ifinfomsg`.
const HEADER: usize = 16;
const REQUEST: u32 = 32;

/// Brings the loopback interface of this process's network namespace up.
pub(super) fn bring_loopback_up() -> io::Result<()> {
    // The default protocol, 0, is that of routes and interfaces.
    let socket = socket_with(AddressFamily::NETLINK, SocketType::RAW, SocketFlags::CLOEXEC, None)?;
    let mut request = Vec::with_capacity(REQUEST as usize);
    request.extend(REQUEST.to_ne_bytes());
    request.extend(RTM_NEWLINK.to_ne_bytes());
    request.extend(NLM_F_REQUEST_ACK.to_ne_bytes());
    // Sequence number and port: the only request of this socket.
    request.extend([0; 8]);
    // Family, padding and type of the interface: any.
    request.extend([0; 4]);
    request.extend(LOOPBACK.to_ne_bytes());
    request.extend(IFF_UP.to_ne_bytes());
    // The flags that change.
    request.extend(IFF_UP.to_ne_bytes());
    sendto(&socket, &request, SendFlags::empty(), &SocketAddrNetlink::new(0, 0))?;
    let mut answer = [0; 256];
    let (length, _) = recv(&socket, &mut answer, RecvFlags::empty())?;
    let answer = &answer[..length];
    let kind = answer.get(4..6).and_then(|bytes| Some(u16::from_ne_bytes(bytes.try_into().ok()?)));
    let errno =
        answer.get(HEADER..HEADER + 4).and_then(|bytes| Some(i32::from_ne_bytes(bytes.try_into().ok()?)));
    match (kind, errno) {
        (Some(NLMSG_ERROR), Some(0)) => Ok(()),
        (Some(NLMSG_ERROR), Some(errno)) => Err(io::Error::from_raw_os_error(-errno)),
        _ => Err(io::Error::other("the answer of netlink is not understood")),
    }
}
