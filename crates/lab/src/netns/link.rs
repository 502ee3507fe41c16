//! Links and addresses, over rtnetlink, in the namespace of the calling thread.

use std::fs::File;
use std::future::Future;
use std::io;
use std::net::IpAddr;
use std::os::fd::AsRawFd;
use std::time::{Duration, Instant};

use futures_util::TryStreamExt;
use rtnetlink::packet_route::address::{AddressAttribute, AddressFlags};
use rtnetlink::packet_route::link::{
    AfSpecInet6, AfSpecUnspec, In6AddrGenMode, InfoData, InfoVeth, LinkAttribute, LinkMessage, State,
};
use rtnetlink::{Handle, LinkUnspec, LinkVeth};

/// How long both ends may take to come up. The kernel's link watch takes up to a second when it is in no hurry.
const UP_WAIT: Duration = Duration::from_secs(5);

/// How often the state is asked for. One question costs some ten microseconds.
const UP_POLL: Duration = Duration::from_millis(1);

/// Creates `here` in this namespace and its other end `there` in the namespace `peer`.
pub(super) fn create_pair(here: &str, there: &str, peer: &File) -> io::Result<()> {
    with_netlink(async |handle| {
        let other = LinkUnspec::new_with_name(there).setns_by_fd(peer.as_raw_fd()).build();
        let pair = LinkVeth::new(here, there).set_info_data(InfoData::Veth(InfoVeth::Peer(other))).build();
        handle.link().add(pair).execute().await
    })
}

/// An address and the length of its network's prefix.
pub(super) type Network = (IpAddr, u8);

/// Gives the interface its addresses and MTU, silences IPv6 on it, and brings it and the loopback interface up.
pub(super) fn configure(interface: &str, addresses: &[Network], mtu: u32) -> io::Result<()> {
    with_netlink(async |handle| {
        let index = find(&handle, interface).await?.header.index;
        silence_ipv6(&handle, index).await?;
        for &(address, prefix_len) in addresses {
            let mut add = handle.address().add(index, address, prefix_len);
            // An address that is still being tried out (RFC 4862) cannot be used yet.
            add.message_mut().attributes.push(AddressAttribute::Flags(AddressFlags::Nodad));
            add.execute().await?;
        }
        handle.link().set(LinkUnspec::new_with_index(index).mtu(mtu).up().build()).execute().await?;
        let loopback = find(&handle, "lo").await?.header.index;
        handle.link().set(LinkUnspec::new_with_index(loopback).up().build()).execute().await
    })
}

/// Waits until the kernel says that frames pass. Sent any earlier, a first packet is dropped without a word, and its
/// repetition comes a second later: that would be measured as the cost of a request.
pub(super) fn wait_until_up(interface: &str) -> io::Result<()> {
    let state = with_netlink(async |handle| {
        until_up(UP_WAIT, async || Ok(state_of(&find(&handle, interface).await?))).await
    })?;
    if state == State::Up {
        return Ok(());
    }
    Err(io::Error::new(
        io::ErrorKind::TimedOut,
        format!("{interface} is {state:?}, not up, after {} s", UP_WAIT.as_secs()),
    ))
}

/// Asks until the answer is `Up` or the time is over; the last answer.
async fn until_up(
    wait: Duration,
    ask: impl AsyncFn() -> Result<State, rtnetlink::Error>,
) -> Result<State, rtnetlink::Error> {
    let started = Instant::now();
    loop {
        let state = ask().await?;
        if state == State::Up || started.elapsed() > wait {
            return Ok(state);
        }
        tokio::time::sleep(UP_POLL).await;
    }
}

/// Whether the kernel says that frames pass.
pub(super) fn is_up(interface: &str) -> io::Result<bool> {
    with_netlink(async |handle| Ok(state_of(&find(&handle, interface).await?) == State::Up))
}

/// Without a link-local address there is no duplicate address detection, no router solicitation and no multicast
/// listener report: nothing that the experiment did not send. By netlink, since `/proc/sys` is often read-only.
async fn silence_ipv6(handle: &Handle, index: u32) -> Result<(), rtnetlink::Error> {
    let quiet = AfSpecUnspec::Inet6(vec![AfSpecInet6::AddrGenMode(In6AddrGenMode::None)]);
    let change = LinkUnspec::new_with_index(index)
        .append_extra_attribute(LinkAttribute::AfSpecUnspec(vec![quiet]))
        .build();
    match handle.link().set(change).execute().await {
        // A kernel without IPv6 makes no noise.
        Err(error) if errno_of(&error) == Some(nix::libc::EAFNOSUPPORT) => Ok(()),
        other => other,
    }
}

async fn find(handle: &Handle, interface: &str) -> Result<LinkMessage, rtnetlink::Error> {
    let mut links = handle.link().get().match_name(interface).execute();
    links.try_next().await?.ok_or(rtnetlink::Error::RequestFailed)
}

fn state_of(link: &LinkMessage) -> State {
    let mut states = link.attributes.iter().filter_map(|attribute| match attribute {
        LinkAttribute::OperState(state) => Some(*state),
        _ => None,
    });
    states.next_back().unwrap_or(State::Unknown)
}

/// One netlink conversation on this thread. The socket belongs to the namespace that the thread is in now.
fn with_netlink<T, F>(talk: impl FnOnce(Handle) -> F) -> io::Result<T>
where
    F: Future<Output = Result<T, rtnetlink::Error>>,
{
    let runtime = tokio::runtime::Builder::new_current_thread().enable_io().enable_time().build()?;
    runtime.block_on(async {
        let (connection, handle, _) = rtnetlink::new_connection()?;
        let connection = tokio::spawn(connection);
        let result = talk(handle).await.map_err(into_io);
        connection.abort();
        result
    })
}

fn errno_of(error: &rtnetlink::Error) -> Option<i32> {
    match error {
        rtnetlink::Error::NetlinkError(message) => message.to_io().raw_os_error(),
        _ => None,
    }
}

/// Keeps the kernel's errno: it decides about the remedy.
fn into_io(error: rtnetlink::Error) -> io::Error {
    match error {
        rtnetlink::Error::NetlinkError(message) => message.to_io(),
        other => io::Error::other(format!("netlink: {other}")),
    }
}

#[cfg(test)]
mod tests {
    use std::cell::RefCell;

    use super::*;

    /// `Unknown` is what a link without any link watch says, so it must not pass for up.
    #[tokio::test(flavor = "current_thread")]
    async fn nothing_but_up_is_up() {
        let states = RefCell::new(vec![State::Up, State::Unknown, State::LowerLayerDown, State::Down]);
        let next = async || Ok(states.borrow_mut().pop().unwrap());
        assert_eq!(until_up(UP_WAIT, next).await.unwrap(), State::Up);
        assert!(states.borrow().is_empty());
    }

    #[tokio::test(flavor = "current_thread")]
    async fn a_link_that_stays_down_is_not_waited_for_for_ever() {
        let never = async || Ok(State::LowerLayerDown);
        assert_eq!(until_up(Duration::from_millis(5), never).await.unwrap(), State::LowerLayerDown);
    }
}
