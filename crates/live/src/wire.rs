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

/// Whether a frame is an ARP packet over Ethernet, by which the two hosts of the link find each other (RFC 826). A sandbox
/// that could send one would have an interface, and would send more than that.
fn is_of_the_hosts(frame: &Frame) -> bool {
    const ETHER_TYPE: std::ops::Range<usize> = 12..14;
    frame.link_type == LinkType::ETHERNET && frame.bytes.get(ETHER_TYPE) == Some(&[0x08, 0x06])
}
