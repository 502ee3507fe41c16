//! Beacons: one datagram from the host on each interface when its capture starts, and one when it ends.
//!
//! An interface on which nothing is sent has an empty capture, and so has one whose capture does not work. A beacon tells
//! the two apart. It is broadcast (255.255.255.255): no host answers a broadcast datagram with ICMP (RFC 1122 §3.2.2), and none
//! resolves an address for it.

use std::ffi::OsString;
use std::io;
use std::net::{Ipv4Addr, SocketAddrV4, UdpSocket};

use experiment::RunId;
use experiment::isolation::{BEACON_PORT, beacon};
use nix::sys::socket::setsockopt;
use nix::sys::socket::sockopt::BindToDevice;

/// What a beacon shows: the capture of this phase is alive at this moment.
#[derive(Debug, Clone, Copy)]
pub(super) struct Beacons<'a> {
    pub(super) run_id: &'a RunId,
    /// `isolated` or `control`.
    pub(super) phase: &'a str,
    /// `start` or `end`.
    pub(super) moment: &'a str,
    pub(super) plan_sha256: &'a str,
}

impl Beacons<'_> {
    /// Sends a beacon on each interface of this thread's network namespace that `interfaces` names.
    pub(super) fn send(&self, interfaces: &[&str]) -> io::Result<()> {
        for interface in interfaces {
            let named = |error: io::Error| io::Error::new(error.kind(), format!("{interface}: {error}"));
            self.send_on(interface).map_err(named)?;
        }
        Ok(())
    }

    fn send_on(&self, interface: &str) -> io::Result<()> {
        let socket = UdpSocket::bind((Ipv4Addr::UNSPECIFIED, BEACON_PORT))?;
        socket.set_broadcast(true)?;
        setsockopt(&socket, BindToDevice, &OsString::from(interface))?;
        let text = beacon(self.run_id, self.phase, interface, self.moment, self.plan_sha256);
        let sent = socket.send_to(text.as_bytes(), SocketAddrV4::new(Ipv4Addr::BROADCAST, BEACON_PORT))?;
        if sent != text.len() {
            return Err(io::ErrorKind::WriteZero.into());
        }
        Ok(())
    }
}
