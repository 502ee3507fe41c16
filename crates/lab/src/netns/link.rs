//! Links and addresses in the calling thread's namespace, over rtnetlink.

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

/// Maximum time for a link to come up. The kernel's link watch may take a second.
const UP_WAIT: Duration = Duration::from_secs(5);

/// Interval at which the link state is polled. A poll takes some ten microseconds.
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

/// Sets the interface's addresses and MTU, disables its IPv6 link-local address, and brings it and `lo` up.
pub(super) fn configure(interface: &str, addresses: &[Network], mtu: u32) -> io::Result<()> {
    with_netlink(async |handle| {
        let index = find(&handle, interface).await?.header.index;
        disable_link_local_address(&handle, index).await?;
        for &(address, prefix_len) in addresses {
            let mut add = handle.address().add(index, address, prefix_len);
            // During duplicate address detection (RFC 4862 §5.4) an address cannot be used.
            add.message_mut().attributes.push(AddressAttribute::Flags(AddressFlags::Nodad));
            add.execute().await?;
        }
        handle.link().set(LinkUnspec::new_with_index(index).mtu(mtu).up().build()).execute().await?;
        let loopback = find(&handle, "lo").await?.header.index;
        handle.link().set(LinkUnspec::new_with_index(loopback).up().build()).execute().await
    })
}

/// Waits until the link is up. The kernel silently drops packets that are sent earlier, and TCP sends them again a second
/// later, which would distort the measured latency.
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

/// Polls until the state is `Up` or the time is over; returns the last state.
async fn until_up(
    wait: Duration,
    poll: impl AsyncFn() -> Result<State, rtnetlink::Error>,
) -> Result<State, rtnetlink::Error> {
    let started = Instant::now();
    loop {
        let state = poll().await?;
        if state == State::Up || started.elapsed() > wait {
            return Ok(state);
        }
        tokio::time::sleep(UP_POLL).await;
    }
}

/// Whether the link is up.
pub(super) fn is_up(interface: &str) -> io::Result<bool> {
    with_netlink(async |handle| Ok(state_of(&find(&handle, interface).await?) == State::Up))
}

/// Without a link-local address the kernel sends no duplicate address detection, router solicitations or multicast listener
/// reports, so all frames are the experiment's. Uses netlink because `/proc/sys` is often read-only.
async fn disable_link_local_address(handle: &Handle, index: u32) -> Result<(), rtnetlink::Error> {
    let quiet = AfSpecUnspec::Inet6(vec![AfSpecInet6::AddrGenMode(In6AddrGenMode::None)]);
    let change = LinkUnspec::new_with_index(index)
        .append_extra_attribute(LinkAttribute::AfSpecUnspec(vec![quiet]))
        .build();
    match handle.link().set(change).execute().await {
        // A kernel without IPv6 sends no such frames.
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

/// Runs `requests` on a netlink socket in the thread's current namespace.
fn with_netlink<T, F>(requests: impl FnOnce(Handle) -> F) -> io::Result<T>
where
    F: Future<Output = Result<T, rtnetlink::Error>>,
{
    let runtime = tokio::runtime::Builder::new_current_thread().enable_io().enable_time().build()?;
    runtime.block_on(async {
        let (connection, handle, _) = rtnetlink::new_connection()?;
        let connection = tokio::spawn(connection);
        let result = requests(handle).await.map_err(into_io);
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

/// Keeps the kernel's errno, on which the remedy depends.
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

    /// A link without link watch reports `Unknown`, which does not mean that it is up.
    #[tokio::test(flavor = "current_thread")]
    async fn waits_through_every_state_but_up() {
        let states = RefCell::new(vec![State::Up, State::Unknown, State::LowerLayerDown, State::Down]);
        let next = async || Ok(states.borrow_mut().pop().unwrap());
        assert_eq!(until_up(UP_WAIT, next).await.unwrap(), State::Up);
        assert!(states.borrow().is_empty());
    }

    #[tokio::test(flavor = "current_thread")]
    async fn stops_waiting_for_a_link_that_stays_down() {
        let never = async || Ok(State::LowerLayerDown);
        assert_eq!(until_up(Duration::from_millis(5), never).await.unwrap(), State::LowerLayerDown);
    }
}
