//! The demo: what `lab demo` started, for the page that `live` serves, and the address of that page.

use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, TcpListener};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use serde::{Deserialize, Serialize};

use crate::files::write_private;
use crate::variant::Scheme;

/// The `schema` of the setup.
pub const SCHEMA: &str = "plainsight.demo/1";

/// File name of the setup in the folder of a demo.
pub const SETUP: &str = "demo.json";

/// Default address of the page.
pub const PAGE: &str = "127.0.0.1:3000";

/// How many ports behind a taken one are tried for the error message.
const NEXT_PORTS: u16 = 100;

/// What runs, and where the page finds it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Setup {
    /// Always [`SCHEMA`].
    pub schema: String,
    /// Name of the backend that carries the traffic: `netns`, `relay` or `docker`.
    pub backend: String,
    /// The servers that the page's server connects to.
    pub services: Vec<Service>,
    /// The captures that are being written.
    pub captures: Vec<WireCapture>,
    /// Names of the captures that together record every frame on the interfaces of the host that runs the sandboxes; empty if
    /// it has none of its own.
    pub host_captures: Vec<String>,
    /// The certificate authority of the services with TLS.
    pub ca: PathBuf,
    /// Folder of the certificates, for experiments that the page starts.
    pub certs: PathBuf,
    /// Folder for the files of the page: its journal, its key log, its experiments.
    pub folder: PathBuf,
    /// The gateway's journal of its sandboxes; `None` if there is none.
    pub boxes: Option<PathBuf>,
    /// The token that a browser needs where the page is not on a loopback address.
    pub token: Option<String>,
    /// What does not work, with a remedy.
    pub problems: Vec<Problem>,
}

/// A server.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Service {
    /// `gateway` or `agent-b`.
    pub service: String,
    /// The scheme of its URLs.
    pub scheme: Scheme,
    /// Where the page's server connects to: `HOST:PORT`; `None` if the server did not start.
    pub address: Option<String>,
    /// The name in its certificate.
    pub server_name: String,
    /// Name of the capture that records this hop.
    pub capture: String,
    /// Why it did not start.
    pub problem: Option<Problem>,
}

/// A capture.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct WireCapture {
    /// Its name.
    pub name: String,
    /// The file that grows.
    pub path: PathBuf,
}

/// Something that does not work.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Problem {
    /// What does not work, and why.
    pub what: String,
    /// What to do about it.
    pub remedy: String,
}

impl Setup {
    /// Writes the setup with mode 0600, whole or not at all.
    ///
    /// # Errors
    /// If the file cannot be written; the error names it.
    pub fn write(&self, path: &Path) -> io::Result<()> {
        write_private(path, &serde_json::to_vec_pretty(self)?)
    }
}

/// The address to open in a browser, with the token where the page needs one. A page on all addresses has one on this
/// machine.
pub fn url(local: SocketAddr, token: Option<&String>) -> String {
    let ip = match local.ip() {
        IpAddr::V4(ip) if ip.is_unspecified() => Ipv4Addr::LOCALHOST.into(),
        IpAddr::V6(ip) if ip.is_unspecified() => Ipv6Addr::LOCALHOST.into(),
        ip => ip,
    };
    let page = SocketAddr::new(ip, local.port());
    match token {
        Some(token) => format!("http://{page}/?token={token}"),
        None => format!("http://{page}/"),
    }
}

/// Opens the page in a browser with the system's opener, which goes on by itself.
///
/// # Errors
/// If the opener cannot be started; the error names it.
pub fn open_browser(url: &str) -> io::Result<()> {
    let opener = if cfg!(target_os = "macos") { "open" } else { "xdg-open" };
    let mut command = Command::new(opener);
    command.arg(url).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    match command.spawn() {
        Ok(_) => Ok(()),
        Err(why) => Err(io::Error::new(why.kind(), format!("cannot open a browser with {opener}: {why}"))),
    }
}

/// Why the page cannot be served.
#[derive(Debug, thiserror::Error)]
pub enum CannotListen {
    /// Another program listens there.
    #[error("{address} is taken: {why}; {free} is free: --listen {free}")]
    Taken {
        /// The address.
        address: SocketAddr,
        /// The next free one.
        free: SocketAddr,
        /// The system's reason.
        why: io::Error,
    },
    /// Every other reason.
    #[error("cannot listen on {address}: {why}")]
    Other {
        /// The address.
        address: SocketAddr,
        /// The system's reason.
        why: io::Error,
    },
}

/// Listens on the address of the page. If it is taken, the error names the next port that is free.
///
/// # Errors
/// If the system refuses the address.
pub fn listen(address: SocketAddr) -> Result<TcpListener, CannotListen> {
    TcpListener::bind(address).map_err(|why| {
        let is_taken = why.kind() == io::ErrorKind::AddrInUse;
        match next_free(address).filter(|_| is_taken) {
            Some(free) => CannotListen::Taken { address, free, why },
            None => CannotListen::Other { address, why },
        }
    })
}

fn next_free(address: SocketAddr) -> Option<SocketAddr> {
    let first = address.port().checked_add(1)?;
    let ports = first..=first.saturating_add(NEXT_PORTS - 1);
    ports.map(|port| SocketAddr::new(address.ip(), port)).find(|free| TcpListener::bind(free).is_ok())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_the_next_free_port_when_the_address_is_taken() {
        let held = TcpListener::bind("127.0.0.1:0").unwrap();
        let error = listen(held.local_addr().unwrap()).unwrap_err();
        let CannotListen::Taken { free, .. } = &error else { panic!("{error}") };
        assert!(error.to_string().ends_with(&format!("{free} is free: --listen {free}")), "{error}");
        assert!(free.port() > held.local_addr().unwrap().port());
    }

    #[test]
    fn the_setup_of_the_containers_is_one() {
        let setup: Setup = serde_json::from_str(include_str!("../../../docker/demo.json")).unwrap();
        assert_eq!(setup.schema, SCHEMA);
        let servers = ["gateway", "agent-b"].map(|server| [(server, Scheme::Http), (server, Scheme::Https)]);
        let known: Vec<_> =
            setup.services.iter().map(|known| (known.service.as_str(), known.scheme)).collect();
        assert_eq!(known, servers.concat());
        for service in &setup.services {
            assert_eq!(service.server_name, crate::SERVER_NAME);
            assert!(setup.captures.iter().any(|capture| capture.name == service.capture), "{service:?}");
        }
    }
}
