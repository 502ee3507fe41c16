//! The vantage `interface`: what the kernel sees on a network interface.
//!
//! In this order, so that no frame of another interface is ever queued and no right is kept longer than needed: open
//! the packet socket for no protocol, filter, options, ring; become `--user`; create the files; bind; say ready.

mod filter;
mod frame;
pub(crate) mod privileges;
mod sys;

use std::ffi::CString;
use std::io;
use std::os::fd::AsFd;
use std::time::{Duration, Instant};

use anyhow::{Context, bail};
use experiment::Vantage;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::signal::{SigSet, Signal};
use nix::sys::signalfd::{SfdFlags, SignalFd};
use serde_json::json;

use self::filter::Framing;
use self::sys::{PacketSocket, Ring};
use crate::cli::InterfaceArgs;
use crate::drain::Drain;
use crate::session::{Offloads, Session, Start};

/// Blocks read between two looks at the signals, so that a busy wire cannot keep the capturer from ending.
const BLOCKS_PER_TURN: usize = 8;

/// The least time the wire must be quiet: a block the kernel has not handed over yet may hold frames for
/// [`sys::BLOCK_TIMEOUT_MS`].
const QUIET_MIN: Duration = Duration::from_millis(3 * sys::BLOCK_TIMEOUT_MS as u64);

/// Captures until it is told to stop or the interface is gone.
pub(crate) fn run(args: &InterfaceArgs) -> anyhow::Result<()> {
    // First of all: a signal that comes from now on waits to be read.
    let stop = stop_signals().context("block SIGTERM and SIGINT")?;
    let port = args.run.port.unwrap_or(args.run.experiment.port());
    let filtered = port != 0 && !args.no_filter;

    let (mut capture, index, link_type) = Capture::open(args, filtered.then_some(port))?;
    if let Some(owner) = args.user {
        privileges::become_owner(owner)?;
    }
    let mut session = Session::begin(
        &args.run,
        Start {
            backend: args.backend,
            vantage: Vantage::Interface,
            interface: Some(args.interface.clone()),
            link_type,
            filter: if filtered { format!("tcp port {port}") } else { String::new() },
            port: if port == 0 { args.run.experiment.port() } else { port },
        },
    )?;
    capture.socket.bind(index).with_context(|| format!("bind to interface {}", args.interface))?;
    session.ready(&json!({ "interface": args.interface }))?;

    let quiet = args.run.quiet().max(QUIET_MIN);
    capture.read_until_told(&stop, &mut session, quiet, &args.interface)?;
    let drops = capture.socket.drops().context("read the kernel's drop counter")?;
    session.finish(Some(drops))
}

/// The socket with its ring, and what they have shown so far.
struct Capture {
    // Before the socket: it is unmapped first.
    ring: Ring,
    socket: PacketSocket,
    skip_outgoing: bool,
    scratch: Vec<u8>,
}

impl Capture {
    /// Everything that needs the right to capture, except for the binding. Tells the interface's index and link type
    /// as well.
    fn open(args: &InterfaceArgs, port: Option<u16>) -> anyhow::Result<(Self, u32, u16)> {
        let name = args.interface.as_str();
        let mut socket = PacketSocket::open().map_err(|error| match error.kind() {
            io::ErrorKind::PermissionDenied => anyhow::anyhow!(
                "no right to capture on interface {name}: {error}; it takes root or CAP_NET_RAW in the network \
                 namespace of the interface (`capturer relay` needs no right at all)"
            ),
            _ => anyhow::Error::new(error).context("open a packet socket"),
        })?;
        let index = nix::net::if_::if_nametoindex(name).with_context(|| format!("interface {name}"))?;
        let c_name = CString::new(name).with_context(|| format!("interface {name:?}"))?;
        let (hardware, up) = socket.interface(&c_name).with_context(|| format!("interface {name}"))?;
        if !up {
            bail!("interface {name} is down; set it up before capturing on it");
        }
        let loopback = hardware == libc::ARPHRD_LOOPBACK;
        let (framing, link_type) = framing(hardware).with_context(|| {
            format!("interface {name} has hardware type {hardware}, which is not supported")
        })?;

        let snaplen = args.run.snaplen;
        let program = match port {
            Some(port) => filter::tcp_port(port, framing, snaplen),
            None => filter::everything(snaplen),
        };
        socket.attach_filter(&program).context("attach the kernel filter")?;
        socket.timestamp().context("ask for kernel timestamps")?;
        if loopback && let Err(error) = socket.ignore_outgoing() {
            tracing::debug!("outgoing frames are skipped here, the kernel cannot: {error}");
        }
        if let Err(error) = socket.ask_for_offload_header() {
            tracing::warn!("segmentation offload cannot be told on this kernel (PACKET_VNET_HDR): {error}");
        }
        let ring = Ring::map(&socket).context("map the capture ring")?;
        if ring.bytes() < sys::RING_BLOCKS * sys::BLOCK_BYTES {
            tracing::warn!("memory is short: the capture ring has {} KiB only", ring.bytes() / 1024);
        }
        Ok((Self { ring, socket, skip_outgoing: loopback, scratch: Vec::new() }, index, link_type))
    }

    /// Reads until a signal or the end of the interface, and then on until the wire is quiet.
    fn read_until_told(
        &mut self,
        stop: &SignalFd,
        session: &mut Session,
        quiet: Duration,
        interface: &str,
    ) -> anyhow::Result<()> {
        let mut ending: Option<Drain> = None;
        loop {
            let frames = self.read_blocks(session)?;
            if frames > 0 {
                // What has been seen is in the file, even if the next thing that happens is kill -9.
                session.flush()?;
            }
            let timeout = match &mut ending {
                None => PollTimeout::NONE,
                Some(ending) => {
                    let now = Instant::now();
                    if frames > 0 {
                        ending.heard(now);
                    }
                    match ending.left(now) {
                        None => break,
                        // Rounded up, or the last millisecond would be spent polling.
                        Some(left) => {
                            PollTimeout::try_from(left + Duration::from_millis(1)).unwrap_or(PollTimeout::MAX)
                        }
                    }
                }
            };
            let (packets, signals) = wait(&self.socket, stop, timeout).context("wait for packets")?;
            if signals && let Some(signal) = stop.read_signal().context("read a signal")? {
                tracing::debug!("signal {}: reading on until the wire is quiet", signal.ssi_signo);
                ending.get_or_insert_with(|| Drain::begin(Instant::now(), quiet));
            }
            if packets.intersects(PollFlags::POLLERR | PollFlags::POLLHUP | PollFlags::POLLNVAL) {
                match self.socket.take_error().context("ask the packet socket for its error")? {
                    Some(error) if is_gone(&error) => {
                        tracing::info!("interface {interface} is down or gone: the capture ends");
                        ending.get_or_insert_with(|| Drain::begin(Instant::now(), QUIET_MIN));
                    }
                    Some(error) => {
                        return Err(error).with_context(|| format!("capture on interface {interface}"));
                    }
                    None => {}
                }
            }
        }
        if ending.is_some_and(|ending| ending.cut_short(Instant::now())) {
            tracing::warn!("the wire never became quiet; the capture ends in the middle of traffic");
        }
        Ok(())
    }

    /// Writes what the kernel has handed over, at most [`BLOCKS_PER_TURN`] blocks. Returns the number of frames.
    fn read_blocks(&mut self, session: &mut Session) -> anyhow::Result<u64> {
        let mut frames = 0;
        for _ in 0..BLOCKS_PER_TURN {
            let Some(block) = self.ring.next_block() else { break };
            for packet in block.packets() {
                if packet.outgoing && self.skip_outgoing {
                    continue;
                }
                let (bytes, original_len) = packet.wire(&mut self.scratch);
                session.record(packet.captured_at, original_len, bytes)?;
                session.count(Offloads {
                    unfinished_checksum: packet.offload.unfinished_checksum,
                    segmentation: packet.offload.segmentation,
                });
                frames += 1;
            }
        }
        Ok(frames)
    }
}

/// What stands before IP on an interface of that hardware type, and the link type of the file.
fn framing(hardware: u16) -> Option<(Framing, u16)> {
    /// Not in `libc` (linux/if_arp.h).
    const ARPHRD_RAWIP: u16 = 519;
    /// Tunnels whose packet socket yields bare IP packets.
    const BARE_IP: [u16; 5] =
        [libc::ARPHRD_NONE, ARPHRD_RAWIP, libc::ARPHRD_TUNNEL, libc::ARPHRD_TUNNEL6, libc::ARPHRD_SIT];
    match hardware {
        libc::ARPHRD_ETHER | libc::ARPHRD_LOOPBACK => Some((Framing::Ethernet, craft::link_type::ETHERNET)),
        other if BARE_IP.contains(&other) => Some((Framing::RawIp, craft::link_type::RAW)),
        _ => None,
    }
}

/// What a packet socket reports when its interface was set down or taken away: the end of the capture, not a failure.
/// A container that shares another's network namespace sees this whenever the other stops first.
fn is_gone(error: &io::Error) -> bool {
    matches!(error.raw_os_error(), Some(libc::ENETDOWN | libc::ENODEV | libc::ENXIO))
}

/// What has happened on the socket, and whether a signal has come.
fn wait(socket: &PacketSocket, stop: &SignalFd, timeout: PollTimeout) -> nix::Result<(PollFlags, bool)> {
    let mut fds =
        [PollFd::new(socket.as_fd(), PollFlags::POLLIN), PollFd::new(stop.as_fd(), PollFlags::POLLIN)];
    match poll(&mut fds, timeout) {
        Ok(_) => {}
        Err(nix::Error::EINTR) => return Ok((PollFlags::empty(), false)),
        Err(error) => return Err(error),
    }
    let events = |fd: &PollFd<'_>| fd.revents().unwrap_or(PollFlags::empty());
    Ok((events(&fds[0]), events(&fds[1]).contains(PollFlags::POLLIN)))
}

/// SIGTERM and SIGINT, turned from interruptions into something to wait for.
fn stop_signals() -> nix::Result<SignalFd> {
    let mut signals = SigSet::empty();
    signals.add(Signal::SIGTERM);
    signals.add(Signal::SIGINT);
    signals.thread_block()?;
    SignalFd::with_flags(&signals, SfdFlags::SFD_NONBLOCK | SfdFlags::SFD_CLOEXEC)
}
