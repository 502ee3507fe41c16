//! The captures that are being written, and which of their frames belong to which exchange.
//!
//! A thread for each capture reads what its capturer has written. A frame belongs to the exchange whose connection has its
//! ports; a frame that belongs to no connection with a known server left its host in another way.

use std::collections::{HashMap, VecDeque};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Condvar, Mutex, PoisonError, Weak};
use std::time::Duration;

use analyze::follow::{Frame, NewFrame, Tail};
use dissect::link::LinkType;

/// Interval of reading while an exchange is in progress. The capturer writes every 20 ms at most.
const BUSY: Duration = Duration::from_millis(2);

/// Interval of reading when nothing is expected.
const IDLE: Duration = Duration::from_millis(100);

/// Frames of no exchange whose capture times are kept, for the boxes that may have sent them.
const MAX_STRAYS: usize = 4096;

/// The frames of one exchange, as they arrive.
pub(crate) trait Frames: Send + Sync {
    /// Takes the next frame, and the number of its connection in the capture.
    fn frame(&self, frame: Frame, stream: Option<u32>);

    /// All frames that were written so far are taken.
    fn written(&self);
}

/// The captures by name.
#[derive(Clone)]
pub(crate) struct Wires {
    wires: Arc<Mutex<HashMap<String, Arc<Wire>>>>,
    /// Names of the captures of all interfaces of the sandboxes' host.
    of_host: Arc<[String]>,
}

/// One capture.
pub(crate) struct Wire {
    name: String,
    path: PathBuf,
    shared: Mutex<Shared>,
    wake: Condvar,
}

#[derive(Default)]
struct Shared {
    /// By the client's port and the server's address.
    exchanges: HashMap<(u16, SocketAddr), Weak<dyn Frames>>,
    /// Capture times of frames that belong to no connection of the page, oldest first.
    strays: VecDeque<u64>,
    /// The servers that the page connects to.
    servers: Arc<[SocketAddr]>,
    /// Capture time of the latest frame.
    latest: u64,
    failed: Option<String>,
}

impl Wires {
    /// No captures yet. Those of this list record all interfaces of the sandboxes' host.
    pub(crate) fn new(of_host: Vec<String>) -> Self {
        Self { wires: Arc::default(), of_host: of_host.into() }
    }

    /// Begins to read a capture.
    pub(crate) fn add(&self, name: &str, path: &Path, servers: Arc<[SocketAddr]>) {
        let wire = Arc::new(Wire {
            name: name.to_owned(),
            path: path.to_owned(),
            shared: Mutex::new(Shared { servers, ..Shared::default() }),
            wake: Condvar::new(),
        });
        let reader = Arc::clone(&wire);
        let started = std::thread::Builder::new().name(format!("wire {name}")).spawn(move || reader.follow());
        if let Err(error) = started {
            wire.fail(&format!("cannot start a thread: {error}"));
        }
        self.lock().insert(name.to_owned(), wire);
    }

    /// The capture of this name.
    pub(crate) fn get(&self, name: &str) -> Option<Arc<Wire>> {
        self.lock().get(name).cloned()
    }

    /// Notes that the capturers of all other captures have ended.
    pub(crate) fn only(&self, running: &[&str]) {
        for wire in self.lock().values() {
            if !running.contains(&wire.name.as_str()) && wire.failed().is_none() {
                wire.fail("its capturer has ended");
            }
        }
    }

    /// Number of frames that left the host of the sandboxes in this time without belonging to the page's own connections;
    /// `None` if not every interface of the host is captured.
    pub(crate) fn strays(&self, from_unix_ns: u64, to_unix_ns: u64) -> Option<usize> {
        let wires = self.lock();
        if self.of_host.is_empty() {
            return None;
        }
        self.of_host.iter().map(|name| wires.get(name)?.strays(from_unix_ns, to_unix_ns)).sum()
    }

    /// Whether a capture of the host has a frame of this time or later. The answer that a sandbox gave is one.
    pub(crate) fn have_reached(&self, at_unix_ns: u64) -> bool {
        let wires = self.lock();
        self.of_host.iter().any(|name| wires.get(name).is_some_and(|wire| wire.lock().latest >= at_unix_ns))
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, HashMap<String, Arc<Wire>>> {
        self.wires.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Wire {
    /// The file.
    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// Why the capture cannot be read any more.
    pub(crate) fn failed(&self) -> Option<String> {
        self.lock().failed.clone()
    }

    /// Hands the frames of a connection to an exchange, from the first one on, while the exchange is kept.
    pub(crate) fn expect(&self, client_port: u16, server: SocketAddr, exchange: &Arc<dyn Frames>) {
        self.lock().exchanges.insert((client_port, server), Arc::downgrade(exchange));
        self.wake.notify_one();
    }

    /// Ends that, so that the port can be used again.
    pub(crate) fn forget(&self, client_port: u16, server: SocketAddr) {
        self.lock().exchanges.remove(&(client_port, server));
    }

    fn strays(&self, from: u64, to: u64) -> Option<usize> {
        let shared = self.lock();
        if shared.failed.is_some() || shared.strays.len() == MAX_STRAYS && shared.strays[0] > from {
            return None;
        }
        Some(shared.strays.iter().filter(|at| (from..=to).contains(*at)).count())
    }

    fn follow(&self) {
        let follow = || -> anyhow::Result<std::convert::Infallible> {
            let mut tail = Tail::open(&self.path)?;
            loop {
                let mut touched: Vec<Arc<dyn Frames>> = Vec::new();
                let new = tail.read(&mut |frame| self.take(frame, &mut touched))?;
                touched.iter().for_each(|exchange| exchange.written());
                if new == 0 {
                    self.rest();
                }
            }
        };
        let Err(error) = follow();
        self.fail(&format!("{error:#}"));
    }

    /// Waits until there may be more. Shorter while an exchange is expected.
    fn rest(&self) {
        let mut shared = self.lock();
        shared.exchanges.retain(|_, exchange| exchange.strong_count() > 0);
        let pause = if shared.exchanges.is_empty() { IDLE } else { BUSY };
        drop(self.wake.wait_timeout(shared, pause));
    }

    fn take(&self, new: NewFrame<'_>, touched: &mut Vec<Arc<dyn Frames>>) {
        let mut shared = self.lock();
        shared.latest = shared.latest.max(new.frame.captured_at);
        let Some((from, to)) = new.ends else {
            if !is_of_the_hosts(&new.frame) {
                shared.stray(new.frame.captured_at);
            }
            return;
        };
        let known =
            shared.exchanges.get(&(from.port(), to)).or_else(|| shared.exchanges.get(&(to.port(), from)));
        if let Some(exchange) = known.and_then(Weak::upgrade) {
            drop(shared);
            exchange.frame(new.frame, new.stream);
            if !touched.iter().any(|known| Arc::ptr_eq(known, &exchange)) {
                touched.push(exchange);
            }
        } else if !shared.servers.iter().any(|server| [from, to].contains(server)) {
            shared.stray(new.frame.captured_at);
        }
    }

    /// Notes that nothing more is read.
    fn fail(&self, why: &str) {
        tracing::error!("the capture {} cannot be read: {why}", self.name);
        self.lock().failed = Some(why.to_owned());
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Shared> {
        self.shared.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Shared {
    fn stray(&mut self, at: u64) {
        if self.strays.len() == MAX_STRAYS {
            self.strays.pop_front();
        }
        self.strays.push_back(at);
    }
}

/// Whether a frame is one of those by which the two hosts of a link find each other: ARP (RFC 826), neighbour discovery (RFC
/// 4861), and a report of the multicast groups that this needs (RFC 3810). A host sends them without any program's doing. A
/// sandbox that could send one would have an interface, and would send more than that.
fn is_of_the_hosts(frame: &Frame) -> bool {
    const ETHER_TYPE: std::ops::Range<usize> = 12..14;
    const ARP: [u8; 2] = [0x08, 0x06];
    const IPV6: [u8; 2] = [0x86, 0xdd];
    if frame.link_type != LinkType::ETHERNET {
        return false;
    }
    match (frame.bytes.get(ETHER_TYPE), frame.bytes.get(ETHER_TYPE.end..)) {
        (Some(kind), _) if *kind == ARP => true,
        (Some(kind), Some(packet)) if *kind == IPV6 => {
            is_neighbour_discovery(packet) || is_report_of_link_groups(packet)
        }
        _ => false,
    }
}

/// Offsets in an IPv6 header (RFC 8200 §3), and its length.
const NEXT_HEADER: usize = 6;
const HOP_LIMIT: usize = 7;
const IPV6_HEADER: usize = 40;

/// Values of [`NEXT_HEADER`].
const HOP_BY_HOP: u8 = 0;
const ICMPV6: u8 = 58;

/// Whether an IPv6 packet is a router or neighbour solicitation or advertisement.
fn is_neighbour_discovery(packet: &[u8]) -> bool {
    const SOLICITATIONS_AND_ADVERTISEMENTS: std::ops::RangeInclusive<u8> = 133..=136;
    // RFC 4861 §7.1.1: a router has lowered any other, so only a host of this link sends it.
    const FROM_THIS_LINK: u8 = 255;
    packet.len() >= IPV6_HEADER
        && packet[NEXT_HEADER] == ICMPV6
        && packet[HOP_LIMIT] == FROM_THIS_LINK
        && matches!(packet[IPV6_HEADER..], [kind, 0, ..] if SOLICITATIONS_AND_ADVERTISEMENTS.contains(&kind))
}

/// Whether an IPv6 packet is an MLDv2 report that names only groups of the link, `ff02::/16`. A program can join any other.
fn is_report_of_link_groups(packet: &[u8]) -> bool {
    // RFC 3810 §5: a hop-by-hop header with nothing but the router alert (RFC 2711) and padding, and a hop limit of 1.
    const ROUTER_ALERT: [u8; 8] = [ICMPV6, 0, 5, 2, 0, 0, 1, 0];
    const REPORT: u8 = 143;
    const HEAD: usize = 8;
    // RFC 3810 §5.2.4: type, length of further data, number of sources, group.
    const RECORD: usize = 20;
    if packet.len() < IPV6_HEADER || packet[NEXT_HEADER] != HOP_BY_HOP || packet[HOP_LIMIT] != 1 {
        return false;
    }
    let Some(report) = packet[IPV6_HEADER..].strip_prefix(&ROUTER_ALERT) else { return false };
    let Some((head, records)) = report.split_at_checked(HEAD) else { return false };
    let is_whole = records.len() == usize::from(u16::from_be_bytes([head[6], head[7]])) * RECORD;
    let is_of_the_link = |record: &[u8]| matches!(record, [_, 0, 0, 0, 0xff, 0x02, ..]);
    head[0] == REPORT && is_whole && !records.is_empty() && records.chunks_exact(RECORD).all(is_of_the_link)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// An Ethernet frame with this type and content.
    fn frame(ether_type: u16, content: &[u8]) -> Frame {
        let bytes = [&[0; 12], &ether_type.to_be_bytes()[..], content].concat();
        let original_len = u32::try_from(bytes.len()).unwrap();
        Frame {
            number: 1,
            captured_at: 0,
            link_type: LinkType::ETHERNET,
            original_len,
            file_offset: 0,
            bytes,
        }
    }

    /// An IPv6 packet.
    fn ipv6(next_header: u8, hop_limit: u8, content: &[u8]) -> Vec<u8> {
        let length = u16::try_from(content.len()).unwrap().to_be_bytes();
        [&[0x60, 0, 0, 0, length[0], length[1], next_header, hop_limit], &[0; 32][..], content].concat()
    }

    /// An MLDv2 report of one group, with this first part of its address.
    fn report(group: [u8; 2]) -> Vec<u8> {
        let record = [&[4, 0, 0, 0, group[0], group[1]], &[0; 14][..]].concat();
        let report = [&[143, 0, 0, 0, 0, 0, 0, 1], &record[..]].concat();
        [&[ICMPV6, 0, 5, 2, 0, 0, 1, 0], &report[..]].concat()
    }

    fn is_ipv6_of_the_hosts(next_header: u8, hop_limit: u8, content: &[u8]) -> bool {
        is_of_the_hosts(&frame(0x86dd, &ipv6(next_header, hop_limit, content)))
    }

    #[test]
    fn what_finds_the_other_host_left_no_sandbox() {
        assert!(is_of_the_hosts(&frame(0x0806, &[0; 28])));
        for kind in 133..=136 {
            assert!(is_ipv6_of_the_hosts(ICMPV6, 255, &[kind, 0, 0, 0, 0, 0, 0, 0]), "{kind}");
        }
        assert!(is_ipv6_of_the_hosts(HOP_BY_HOP, 1, &report([0xff, 0x02])));
    }

    #[test]
    fn everything_else_may_have_left_a_sandbox() {
        // IPv4: a UDP datagram.
        assert!(!is_of_the_hosts(&frame(0x0800, &[0x45; 28])));
        // ICMPv6: an echo request, a redirect, and a neighbour solicitation that a router has forwarded.
        for (kind, hop_limit) in [(128, 255), (137, 255), (135, 254)] {
            assert!(!is_ipv6_of_the_hosts(ICMPV6, hop_limit, &[kind, 0, 0, 0, 0, 0, 0, 0]), "{kind}");
        }
        // UDP over IPv6, whose port begins with 133.
        assert!(!is_ipv6_of_the_hosts(17, 255, &[133, 0, 0, 53, 0, 8, 0, 0]));
        // Reports: of a group beyond the link, and with data behind the group.
        assert!(!is_ipv6_of_the_hosts(HOP_BY_HOP, 1, &report([0xff, 0x05])));
        let mut longer = report([0xff, 0x02]);
        longer.extend_from_slice(b"data");
        assert!(!is_ipv6_of_the_hosts(HOP_BY_HOP, 1, &longer));
    }

    #[test]
    fn a_cut_frame_counts() {
        let whole = ipv6(HOP_BY_HOP, 1, &report([0xff, 0x02]));
        for length in 0..whole.len() {
            assert!(!is_of_the_hosts(&frame(0x86dd, &whole[..length])), "{length}");
        }
        let other = Frame { link_type: LinkType::RAW, ..frame(0x0806, &[0; 28]) };
        assert!(!is_of_the_hosts(&other));
    }
}
