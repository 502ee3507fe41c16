//! The `netns` backend: two fresh network namespaces, joined by a veth pair.
//!
//! ```text
//!   namespace A                     namespace B
//!   agent-a   veth-a ============== veth-b   agent-b, capturer
//!             10.77.0.1/30          10.77.0.2/30
//! ```
//!
//! The namespaces have no names: they exist as long as a descriptor or a process holds them, so a killed lab leaves none
//! behind. Each run gets a fresh pair, so TCP metrics, neighbour entries and counters of one run do not affect the next.
//!
//! The module owns links and namespaces, and knows nothing about agents or captures.

pub(crate) mod enter;
mod link;
mod netlink;
mod offload;
pub(crate) mod probe;
pub(crate) mod topology;
mod userns;

use std::fs::File;
use std::io;
use std::net::{IpAddr, Ipv4Addr};
use std::os::fd::AsRawFd;
use std::path::PathBuf;

use nix::errno::Errno;
use nix::sched::{CloneFlags, setns, unshare};

pub(crate) use userns::become_root_of_own_user_namespace;

/// agent-a's interface.
pub(crate) const VETH_A: &str = "veth-a";
/// agent-a's address.
pub(crate) const ADDRESS_A: Ipv4Addr = Ipv4Addr::new(10, 77, 0, 1);

/// agent-b's interface, which the capturer captures.
pub(crate) const VETH_B: &str = "veth-b";
/// agent-b's address.
pub(crate) const ADDRESS_B: Ipv4Addr = Ipv4Addr::new(10, 77, 0, 2);

/// A network of two hosts.
const PREFIX_LEN: u8 = 30;

/// Ethernet's MTU, so that the frames have the sizes of a real network's.
const MTU: u32 = 1500;

/// A step of creating the links that the kernel refused.
#[derive(Debug, thiserror::Error)]
#[error("{step}: {error}")]
pub(crate) struct Refusal {
    pub(crate) step: Step,
    pub(crate) error: io::Error,
}

impl Refusal {
    fn at(step: Step) -> impl Fn(io::Error) -> Self {
        move |error| Self { step, error }
    }
}

/// The steps that a kernel can refuse. The remedy depends on the step.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Step {
    /// Creating a user namespace.
    UserNamespace,
    /// Writing its uid and gid maps.
    IdMaps,
    /// Creating a network namespace.
    NetworkNamespace,
    /// Creating the veth pair.
    Veth,
    /// Addresses, MTU, bringing the links up.
    Links,
    /// Switching offloads off.
    Offloads,
    /// Opening a packet socket.
    PacketSocket,
    /// Connecting over the pair.
    Traffic,
}

impl std::fmt::Display for Step {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::UserNamespace => "creating a user namespace",
            Self::IdMaps => "mapping user and group ids into the user namespace",
            Self::NetworkNamespace => "creating a network namespace",
            Self::Veth => "creating a veth pair",
            Self::Links => "setting the links up",
            Self::Offloads => "disabling offloads",
            Self::PacketSocket => "opening a packet socket",
            Self::Traffic => "connecting over the veth pair",
        })
    }
}

/// A network namespace, held by a descriptor.
pub(crate) struct Namespace(File);

impl Namespace {
    /// Creates a namespace. The calling thread stays in its own.
    fn create() -> Result<Self, Refusal> {
        on_a_thread(|| {
            unshare(CloneFlags::CLONE_NEWNET)?;
            File::open("/proc/thread-self/ns/net").map(Self)
        })
        .map_err(Refusal::at(Step::NetworkNamespace))
    }

    /// Runs `work` inside, on a thread of its own.
    pub(crate) fn inside<T: Send>(&self, work: impl FnOnce() -> io::Result<T> + Send) -> io::Result<T> {
        on_a_thread(|| {
            setns(&self.0, CloneFlags::CLONE_NEWNET)?;
            work()
        })
    }

    /// Another descriptor of the same namespace.
    pub(crate) fn try_clone(&self) -> io::Result<Self> {
        self.0.try_clone().map(Self)
    }

    /// Moves the calling thread into the namespace, for the rest of its life.
    pub(crate) fn enter_for_good(&self) -> io::Result<()> {
        Ok(setns(&self.0, CloneFlags::CLONE_NEWNET)?)
    }

    /// A path through which a child process can enter the namespace while this process lives.
    pub(crate) fn path(&self) -> PathBuf {
        format!("/proc/{}/fd/{}", std::process::id(), self.0.as_raw_fd()).into()
    }
}

/// Two namespaces joined by a veth pair that is up. The namespaces end when this is dropped and their processes have
/// exited.
pub(crate) struct VethPair {
    pub(crate) a: Namespace,
    pub(crate) b: Namespace,
}

impl VethPair {
    /// Creates the namespaces and the pair. Needs `CAP_NET_ADMIN` in the process's user namespace.
    pub(crate) fn build() -> Result<Self, Refusal> {
        let pair = Self { a: Namespace::create()?, b: Namespace::create()? };
        let address = |address: Ipv4Addr| [(IpAddr::V4(address), PREFIX_LEN)];
        join(&pair.b, VETH_B, &address(ADDRESS_B), &pair.a, VETH_A, &address(ADDRESS_A))?;
        Ok(pair)
    }
}

/// Joins two namespaces by a veth pair, and waits until both ends are up.
fn join(
    here: &Namespace,
    here_name: &str,
    here_addresses: &[link::Network],
    there: &Namespace,
    there_name: &str,
    there_addresses: &[link::Network],
) -> Result<(), Refusal> {
    here.inside(|| link::create_pair(here_name, there_name, &there.0)).map_err(Refusal::at(Step::Veth))?;
    let ends = [(there, there_name, there_addresses), (here, here_name, here_addresses)];
    for (namespace, interface, addresses) in ends {
        namespace.inside(|| offload::disable(interface)).map_err(Refusal::at(Step::Offloads))?;
        namespace.inside(|| link::configure(interface, addresses, MTU)).map_err(Refusal::at(Step::Links))?;
    }
    for (namespace, interface, _) in ends {
        namespace.inside(|| link::wait_until_up(interface)).map_err(Refusal::at(Step::Links))?;
    }
    Ok(())
}

/// Runs `work` on a thread of its own, since entering a namespace changes the whole thread.
fn on_a_thread<T: Send>(work: impl FnOnce() -> io::Result<T> + Send) -> io::Result<T> {
    std::thread::scope(|scope| {
        std::thread::Builder::new()
            .name("netns".to_owned())
            .spawn_scoped(scope, work)?
            .join()
            .unwrap_or_else(|_| Err(io::Error::other("the thread inside the namespace panicked")))
    })
}

/// Whether this process may create network namespaces without entering a user namespace first.
pub(crate) fn may_create_namespaces() -> Result<bool, Refusal> {
    match Namespace::create() {
        Ok(_) => Ok(true),
        Err(refusal) if refusal.error.raw_os_error() == Some(Errno::EPERM as i32) => Ok(false),
        Err(refusal) => Err(refusal),
    }
}
