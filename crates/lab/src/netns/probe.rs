//! `lab __probe`: tries the whole backend, and prints the result as JSON.
//!
//! It runs in a process of its own because a process cannot leave a user namespace. It ends with a TCP connection over the
//! pair, because some systems allow the first steps and refuse a later one.

use std::ffi::OsString;
use std::io::{self, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::Context;
use nix::sys::prctl::set_pdeathsig;
use nix::sys::signal::Signal;
use nix::sys::socket::{AddressFamily, SockFlag, SockType, socket};
use serde::{Deserialize, Serialize};

use super::{
    ADDRESS_B, Refusal, Step, VETH_A, VETH_B, VethPair, become_root_of_own_user_namespace, link,
    may_create_namespaces,
};

/// Maximum time for a connection over the new pair. It takes a tenth of a millisecond, or a second if the first packet is
/// lost.
const CONNECT_WAIT: Duration = Duration::from_secs(5);

/// The result of the probe.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Probe {
    /// The backend works.
    Works {
        /// Whether the backend needs a user namespace, because the caller is not root.
        user_namespace: bool,
        /// Whether both ends were up, according to netlink, when the pair was created.
        both_ends_up: bool,
        /// Time to create the pair, µs.
        built_in_us: u64,
        /// Time of the first connection over the pair, µs.
        first_connect_us: u64,
        /// ICMPv6 messages sent by both ends: neighbour solicitations, listener reports.
        icmp6_sent: u64,
    },
    /// The kernel refused a step.
    Refused {
        /// The refused step.
        step: Step,
        /// The kernel's error number, if the error has one.
        errno: Option<i32>,
        /// The error message.
        error: String,
    },
}

/// Runs the hidden subcommand.
pub(crate) fn main() -> anyhow::Result<()> {
    set_pdeathsig(Signal::SIGKILL).context("cannot set the parent-death signal")?;
    let probe = probe().unwrap_or_else(|refusal| Probe::Refused {
        step: refusal.step,
        errno: refusal.error.raw_os_error(),
        error: refusal.error.to_string(),
    });
    let mut line = serde_json::to_string(&probe)?;
    line.push('\n');
    io::stdout().write_all(line.as_bytes()).context("cannot write the result")
}

/// Runs the probe as a child process of the executable `lab`.
pub(crate) fn run(lab: &[OsString]) -> anyhow::Result<Probe> {
    let (executable, arguments) = lab.split_first().context("the lab has no executable")?;
    let output = Command::new(executable)
        .args(arguments)
        .arg("__probe")
        .stdin(Stdio::null())
        .output()
        .with_context(|| format!("cannot start {} to probe for namespaces", executable.display()))?;
    serde_json::from_slice(&output.stdout).with_context(|| {
        let stderr = String::from_utf8_lossy(&output.stderr);
        format!("the probe for namespaces ended with {}: {}", output.status, stderr.trim())
    })
}

fn probe() -> Result<Probe, Refusal> {
    let user_namespace = !may_create_namespaces()?;
    if user_namespace {
        become_root_of_own_user_namespace()?;
    }
    let started = Instant::now();
    let pair = VethPair::build()?;
    let built_in = started.elapsed();
    let both_ends_up = both_ends_up(&pair).map_err(Refusal::at(Step::Links))?;
    // As the capturer opens it: for protocol 0, which receives nothing.
    pair.b
        .inside(|| Ok(socket(AddressFamily::Packet, SockType::Raw, SockFlag::SOCK_CLOEXEC, None)?))
        .map_err(Refusal::at(Step::PacketSocket))?;
    let first_connect = connect_over(&pair).map_err(Refusal::at(Step::Traffic))?;
    let icmp6_sent =
        [&pair.a, &pair.b].map(|namespace| namespace.inside(icmp6_sent).unwrap_or(0)).iter().sum();
    Ok(Probe::Works {
        user_namespace,
        both_ends_up,
        built_in_us: micros(built_in),
        first_connect_us: micros(first_connect),
        icmp6_sent,
    })
}

fn both_ends_up(pair: &VethPair) -> io::Result<bool> {
    Ok(pair.a.inside(|| link::is_up(VETH_A))? && pair.b.inside(|| link::is_up(VETH_B))?)
}

fn connect_over(pair: &VethPair) -> io::Result<Duration> {
    let listener = pair.b.inside(|| TcpListener::bind(SocketAddr::from((ADDRESS_B, 0))))?;
    let address = listener.local_addr()?;
    pair.a.inside(|| {
        let started = Instant::now();
        TcpStream::connect_timeout(&address, CONNECT_WAIT)?;
        Ok(started.elapsed())
    })
}

/// `Icmp6OutMsgs` of the namespace; 0 for a kernel without IPv6.
fn icmp6_sent() -> io::Result<u64> {
    let table = std::fs::read_to_string("/proc/thread-self/net/snmp6")?;
    let value = table.lines().find_map(|line| line.strip_prefix("Icmp6OutMsgs")?.trim().parse().ok());
    Ok(value.unwrap_or(0))
}

fn micros(duration: Duration) -> u64 {
    u64::try_from(duration.as_micros()).unwrap_or(u64::MAX)
}
