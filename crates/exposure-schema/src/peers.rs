//! Which hosts exchanged payload with each other.

use serde::{Deserialize, Serialize};

/// Two hosts, and the payload between them over one port or protocol.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct PeerEntry {
    /// Address of the host that opened the connections or sent the first datagram.
    pub client: String,
    /// Address of the other host.
    pub server: String,
    /// `TCP`, `UDP`, `ICMP`, `ICMPv6`, others by number. Fragments and cut packets of TCP and UDP have no `port`.
    pub protocol: String,
    /// The server's port; `null` if the protocol has none or it is not known.
    #[serde(deserialize_with = "crate::nullable")]
    pub port: Option<u16>,
    /// Names by which the client called the server: in requests, TLS and QUIC handshakes, lookups; the first 16.
    pub names: Vec<String>,
    /// Number of TCP connections with payload.
    pub connections: u64,
    /// Bytes of payload in both directions outside of TLS and QUIC.
    pub clear_bytes: u64,
    /// Bytes of TLS and QUIC, handshakes included.
    pub protected_bytes: u64,
    /// Frame of the first payload that is not in TLS or QUIC; `null` if there is none, or none of it was captured.
    #[serde(deserialize_with = "crate::nullable")]
    pub first_clear_frame: Option<u64>,
    /// TCP stream of that frame; `null` outside of any.
    #[serde(deserialize_with = "crate::nullable")]
    pub first_clear_stream: Option<u32>,
}
