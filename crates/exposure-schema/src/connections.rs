//! TCP connections and frames.

use serde::{Deserialize, Serialize};

use crate::Name;

/// One TCP connection.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct ConnectionEntry {
    /// Number of the stream, as Wireshark's `tcp.stream`.
    pub stream: u32,
    /// Address and port of the side that opened the connection.
    pub client: String,
    /// Address and port of the other side.
    pub server: String,
    /// Number of the first frame.
    pub first_frame: u64,
    /// Number of the last frame.
    pub last_frame: u64,
    /// Time of the first frame, nanoseconds since the epoch.
    pub first_frame_at_unix_ns: u64,
    /// Time of the last frame, nanoseconds since the epoch.
    pub last_frame_at_unix_ns: u64,
    /// Number of frames in both directions.
    pub frames: u64,
    /// Bytes of these frames on the wire, all headers included.
    pub wire_bytes: u64,
    /// Bytes of TCP payload that the client and the server sent, retransmissions included.
    pub payload_bytes: [u64; 2],
    /// Number of times that the client waited for the server before the first HTTP answer began; `null` where no answer
    /// was decoded, or the beginning of the connection was not captured.
    #[serde(deserialize_with = "crate::nullable")]
    pub round_trips_before_first_answer: Option<u32>,
    /// How the connection ended.
    pub ended: Ended,
    /// What was around the packets of its first frame, outermost first: tunnels, MPLS, PPPoE.
    ///
    /// Documents written before tunnels were read lack this field.
    #[serde(default)]
    pub encapsulations: Vec<EncapsulationEntry>,
    /// The VLAN numbers of its first frame, outermost first.
    ///
    /// Documents written before tunnels were read lack this field.
    #[serde(default)]
    pub vlan: Vec<u16>,
}

/// A header that carries packets inside of a frame.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct EncapsulationEntry {
    /// Its kind, such as `VXLAN`.
    pub kind: String,
    /// Its identifier, by its kind: network, session, key, endpoint, last label; 0 if it has none.
    pub id: u32,
    /// The sender of the packet that is the tunnel; `null` for MPLS and PPPoE.
    #[serde(deserialize_with = "crate::nullable")]
    pub source: Option<String>,
    /// Its receiver.
    #[serde(deserialize_with = "crate::nullable")]
    pub destination: Option<String>,
}

/// How a connection ended.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "lowercase")]
pub enum Ended {
    /// Both sides sent a FIN.
    Fin,
    /// One side sent a RST.
    Rst,
    /// The capture does not contain its end.
    #[default]
    Open,
}

/// One captured frame.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct PacketEntry {
    /// Number of the frame, from 1 as in Wireshark.
    pub frame: u64,
    /// Time of capture, nanoseconds since the epoch.
    pub at_unix_ns: u64,
    /// Length of the frame on the wire in bytes.
    pub wire_bytes: u64,
    /// Bytes of the frame that were captured.
    pub captured_bytes: u64,
    /// TCP stream; `null` outside of any.
    #[serde(deserialize_with = "crate::nullable")]
    pub stream: Option<u32>,
    /// Direction in the stream; `null` outside of any.
    #[serde(deserialize_with = "crate::nullable")]
    pub direction: Option<Direction>,
    /// Source address, with the port where the protocol has ports.
    #[serde(deserialize_with = "crate::nullable")]
    pub source: Option<String>,
    /// Destination address, with the port where the protocol has ports.
    #[serde(deserialize_with = "crate::nullable")]
    pub destination: Option<String>,
    /// The innermost protocol that was decoded: `TCP`, `UDP`, `ICMP`, `ICMPv6`, `ARP`, or by its number.
    pub protocol: String,
    /// Names of the control bits that a TCP segment sets.
    pub flags: Vec<Name>,
    /// Sequence number of a TCP segment relative to the SYN's, as in Wireshark; `null` where the SYN was not captured.
    #[serde(deserialize_with = "crate::nullable")]
    pub sequence: Option<u32>,
    /// Bytes of TCP or UDP payload on the wire.
    pub payload_bytes: u64,
    /// What begins in this frame: HTTP start lines in the clear, TLS records; the first 16.
    pub holds: Vec<String>,
}

/// Direction of a message. In the experiment agent-a is the client.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
pub enum Direction {
    /// From agent-a to agent-b: a request.
    ClientToServer,
    /// From agent-b to agent-a: an answer.
    ServerToClient,
}
