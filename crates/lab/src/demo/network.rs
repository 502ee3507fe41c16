//! Where the servers of a demo listen, and where the page connects from.

use std::path::Path;
#[cfg(target_os = "linux")]
use std::path::PathBuf;

use experiment::Scheme;

use crate::backend::Backend;
#[cfg(target_os = "linux")]
use crate::netns::{self, VethPair};

/// Any free port: other servers on this machine may use the usual ones.
const ANY_PORT: &str = "127.0.0.1:0";

/// The capture of the page's link to the servers.
#[cfg(target_os = "linux")]
const LINK: &str = "wire";

/// The capture of the loopback interface of the servers' host.
#[cfg(target_os = "linux")]
const LOOPBACK: &str = "loopback";

/// The network of a demo.
pub(super) enum Network {
    /// Two namespaces: the page in one, the servers in the other.
    #[cfg(target_os = "linux")]
    Namespaces { _pair: VethPair, page: PathBuf, servers: PathBuf },
    /// This machine's loopback interface.
    Loopback,
}

impl Network {
    pub(super) fn build(backend: Backend) -> anyhow::Result<Self> {
        match backend {
            #[cfg(target_os = "linux")]
            Backend::Netns { .. } => {
                let pair = VethPair::build()?;
                let (page, servers) = (pair.a.path(), pair.b.path());
                Ok(Self::Namespaces { _pair: pair, page, servers })
            }
            #[cfg(not(target_os = "linux"))]
            Backend::Netns { .. } => anyhow::bail!("network namespaces need Linux"),
            Backend::Relay => Ok(Self::Loopback),
        }
    }

    /// The namespace of the page; `None` without namespaces.
    pub(super) fn page(&self) -> Option<&Path> {
        match self {
            #[cfg(target_os = "linux")]
            Self::Namespaces { page, .. } => Some(page),
            Self::Loopback => None,
        }
    }

    /// The namespace of the servers.
    pub(super) fn servers(&self) -> Option<&Path> {
        match self {
            #[cfg(target_os = "linux")]
            Self::Namespaces { servers, .. } => Some(servers),
            Self::Loopback => None,
        }
    }

    /// The interfaces of the servers' host, and the names of their captures. Without namespaces there is none of its own.
    pub(super) fn interfaces(&self) -> &'static [(&'static str, &'static str)] {
        match self {
            #[cfg(target_os = "linux")]
            Self::Namespaces { .. } => &[(netns::VETH_B, LINK), ("lo", LOOPBACK)],
            Self::Loopback => &[],
        }
    }

    /// The capture that records what the page sends to every server; `None` if each server has one of its own.
    pub(super) fn capture(&self) -> Option<&'static str> {
        match self {
            #[cfg(target_os = "linux")]
            Self::Namespaces { .. } => Some(LINK),
            Self::Loopback => None,
        }
    }

    /// Where the gateway listens with TLS, and without.
    pub(super) fn gateway(&self) -> [String; 2] {
        match self {
            #[cfg(target_os = "linux")]
            Self::Namespaces { .. } => [8443, 8000].map(|port| format!("{}:{port}", netns::ADDRESS_B)),
            Self::Loopback => [ANY_PORT; 2].map(ToOwned::to_owned),
        }
    }

    /// Where agent-b listens.
    pub(super) fn agent_b(&self, scheme: Scheme) -> String {
        match self {
            #[cfg(target_os = "linux")]
            Self::Namespaces { .. } => {
                let port = if scheme == Scheme::Https { 9443 } else { 9000 };
                format!("{}:{port}", netns::ADDRESS_B)
            }
            Self::Loopback => {
                let _ = scheme;
                ANY_PORT.to_owned()
            }
        }
    }
}
