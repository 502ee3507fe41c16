//! The vantage `interface`: the frames that the kernel captures on a network interface.
//!
//! The order of the steps ensures that no frame of another interface is queued and no privilege is kept longer than needed:
//! open the packet socket for no protocol; set filter, options and ring; become `--user`; create the files; bind; report
//! readiness.

mod filter;
mod frame;
pub(crate) mod privileges;
mod sys;

use std::ffi::CString;
use std::io;
use std::os::fd::AsFd;
use std::time::{Duration, Instant};

use anyhow::{Context, bail};
use experiment::{Experiment, Vantage};
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::signal::{SigSet, Signal};
use nix::sys::signalfd::{SfdFlags, SignalFd};
use serde_json::json;

use self::filter::Framing;
use self::sys::{PacketSocket, Ring};
use crate::cli::InterfaceArgs;
use crate::drain::Drain;
use crate::session::{Offloads, Session, Start};

/// Blocks read between two checks for signals, so that a busy interface cannot keep the capturer from ending.
const BLOCKS_PER_TURN: usize = 8;

/// Minimum quiet time of a drain: the kernel may hold frames in an unfinished block for [`sys::BLOCK_TIMEOUT_MS`].
const QUIET_MIN: Duration = Duration::from_millis(3 * sys::BLOCK_TIMEOUT_MS as u64);

/// Captures until a stop signal, or until the interface goes down or disappears.
pub(crate) fn run(args: &InterfaceArgs) -> anyhow::Result<()> {
    // First, so that a signal from now on stays pending until it is read.
    let stop = stop_signals().context("cannot block SIGTERM and SIGINT")?;
    let usual = args.run.experiment.map_or(0, Experiment::port);
    let port = args.run.port.unwrap_or(usual);
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
            port: if port == 0 { usual } else { port },
        },
    )?;
    capture.socket.bind(index).with_context(|| format!("cannot bind to interface {}", args.interface))?;
    session.ready(&json!({ "interface": args.interface }))?;

    let quiet = args.run.quiet().max(QUIET_MIN);
    let drained = capture.read_until_drained(&stop, &mut session, quiet, &args.interface)?;
    let drops = capture.socket.drops().context("cannot read the kernel's drop counter")?;
    session.finish(Some(drops), drained)
}

/// The packet socket with its ring.
struct Capture {
    // Before the socket: it is unmapped first.
    ring: Ring,
    socket: PacketSocket,
    skip_outgoing: bool,
    scratch: Vec<u8>,
}

impl Capture {
    /// Does everything that needs the privilege to capture, except for the bind. Also returns the interface's index and
    /// link type.
    fn open(args: &InterfaceArgs, port: Option<u16>) -> anyhow::Result<(Self, u32, u16)> {
        let name = args.interface.as_str();
        let mut socket = PacketSocket::open().map_err(|error| match error.kind() {
            kind @ io::ErrorKind::PermissionDenied => anyhow::Error::new(io::Error::new(
                kind,
                format!(
                    "cannot capture on interface {name}: {error}; run as root or with CAP_NET_RAW in the \
                     interface's network namespace, or use `capturer relay`, which needs no privilege"
                ),
            )),
            _ => anyhow::Error::new(error).context("cannot open a packet socket"),
        })?;
        let index = nix::net::if_::if_nametoindex(name).with_context(|| format!("interface {name}"))?;
        let c_name = CString::new(name).with_context(|| format!("interface {name:?}"))?;
        let (hardware, up) = socket.interface(&c_name).with_context(|| format!("interface {name}"))?;
        if !up {
            bail!("interface {name} is down; bring it up first (`ip link set {name} up`)");
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
        socket.attach_filter(&program).context("cannot attach the kernel filter")?;
        socket.timestamp().context("cannot enable kernel timestamps")?;
        if loopback && let Err(error) = socket.ignore_outgoing() {
            tracing::debug!("the kernel cannot leave out outgoing frames, so the capturer does: {error}");
        }
        if let Err(error) = socket.ask_for_offload_header() {
            tracing::warn!("this kernel does not report segmentation offload (PACKET_VNET_HDR): {error}");
        }
        let ring = Ring::map(&socket).context("cannot map the capture ring")?;
        if ring.bytes() < sys::RING_BLOCKS * sys::BLOCK_BYTES {
            tracing::warn!("little memory: the capture ring has only {} KiB", ring.bytes() / 1024);
        }
        Ok((Self { ring, socket, skip_outgoing: loopback, scratch: Vec::new() }, index, link_type))
    }

    /// Reads until a signal or the end of the interface, and then until no frame arrives for a while. Returns whether silence
    /// ended it.
    fn read_until_drained(
        &mut self,
        stop: &SignalFd,
        session: &mut Session,
        quiet: Duration,
        interface: &str,
    ) -> anyhow::Result<bool> {
        let mut draining: Option<Drain> = None;
        loop {
            let frames = self.read_blocks(session)?;
            if frames > 0 {
                // So that these frames survive a `kill -9`.
                session.flush()?;
            }
            let timeout = match &mut draining {
                None => PollTimeout::NONE,
                Some(drain) => {
                    let now = Instant::now();
                    if frames > 0 {
                        drain.frame_arrived(now);
                    }
                    match drain.left(now) {
                        None => break,
                        // Rounded up, because `poll` would return at once in the last millisecond.
                        Some(left) => {
                            PollTimeout::try_from(left + Duration::from_millis(1)).unwrap_or(PollTimeout::MAX)
                        }
                    }
                }
            };
            let (packets, signals) = wait(&self.socket, stop, timeout).context("cannot wait for packets")?;
            if signals && let Some(signal) = stop.read_signal().context("cannot read a signal")? {
                tracing::debug!("signal {}: draining until no frame arrives", signal.ssi_signo);
                draining.get_or_insert_with(|| Drain::begin(Instant::now(), quiet));
            }
            if packets.intersects(PollFlags::POLLERR | PollFlags::POLLHUP | PollFlags::POLLNVAL) {
                match self.socket.take_error().context("cannot read the packet socket's error")? {
                    Some(error) if is_gone(&error) => {
                        tracing::info!("interface {interface} went down or disappeared: the capture ends");
                        draining.get_or_insert_with(|| Drain::begin(Instant::now(), QUIET_MIN));
                    }
                    Some(error) => {
                        return Err(error)
                            .with_context(|| format!("cannot capture on interface {interface}"));
                    }
                    None => {}
                }
            }
        }
        let cut_short = draining.is_some_and(|drain| drain.cut_short(Instant::now()));
        if cut_short {
            tracing::warn!(
                "frames still arrive at the end of the drain; the capture ends in the middle of traffic"
            );
        }
        Ok(!cut_short)
    }

    /// Records the frames of at most [`BLOCKS_PER_TURN`] finished blocks, and returns their number.
    fn read_blocks(&mut self, session: &mut Session) -> anyhow::Result<u64> {
        let mut frames = 0;
        for _ in 0..BLOCKS_PER_TURN {
            let Some(block) = self.ring.next_block() else { break };
            for packet in block.packets() {
                if packet.outgoing && self.skip_outgoing {
                    continue;
                }
                let (bytes, original_len) = packet.on_wire(&mut self.scratch);
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

/// The header before IP on an interface of this hardware type, and the link type of its capture.
fn framing(hardware: u16) -> Option<(Framing, u16)> {
    /// From linux/if_arp.h; not in `libc`.
    const ARPHRD_RAWIP: u16 = 519;
    /// Tunnels whose packet socket receives bare IP packets.
    const BARE_IP: [u16; 5] =
        [libc::ARPHRD_NONE, ARPHRD_RAWIP, libc::ARPHRD_TUNNEL, libc::ARPHRD_TUNNEL6, libc::ARPHRD_SIT];
    match hardware {
        libc::ARPHRD_ETHER | libc::ARPHRD_LOOPBACK => Some((Framing::Ethernet, craft::link_type::ETHERNET)),
        other if BARE_IP.contains(&other) => Some((Framing::RawIp, craft::link_type::RAW)),
        _ => None,
    }
}

/// Whether the error means that the interface went down or disappeared: the end of the capture, not a failure. A container
/// in another's network namespace gets this error when the other stops first.
fn is_gone(error: &io::Error) -> bool {
    matches!(error.raw_os_error(), Some(libc::ENETDOWN | libc::ENODEV | libc::ENXIO))
}

/// Waits for events; returns those of the socket, and whether a signal is pending.
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

/// Blocks SIGTERM and SIGINT, and returns a descriptor that reads them.
fn stop_signals() -> nix::Result<SignalFd> {
    let mut signals = SigSet::empty();
    signals.add(Signal::SIGTERM);
    signals.add(Signal::SIGINT);
    signals.thread_block()?;
    SignalFd::with_flags(&signals, SfdFlags::SFD_NONBLOCK | SfdFlags::SFD_CLOEXEC)
}
