//! TCP connections and frames.

use serde::{Deserialize, Serialize};

use crate::Name;

/// One TCP connection.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct ConnectionEntry {
    /// Its number, as Wireshark's `tcp.stream`.
    pub stream: u32,
    /// Who opened it, address and port.
    pub client: String,
    /// Who accepted it.
    pub server: String,
    /// Its first frame.
    pub first_frame: u64,
    /// Its last frame.
    pub last_frame: u64,
    /// Time of its first frame, nanoseconds since the epoch.
    pub first_frame_at_unix_ns: u64,
    /// Time of its last frame.
    pub last_frame_at_unix_ns: u64,
    /// Frames of both directions.
    pub frames: u64,
    /// Bytes of these frames on the wire, all headers included.
    pub wire_bytes: u64,
    /// TCP payload on the wire of the client and of the server, repeats included.
    pub payload_bytes: [u64; 2],
    /// How often the client had to wait for the server until the first HTTP answer began; `null` where no answer was
    /// read, or the beginning of the connection was not captured.
    #[serde(deserialize_with = "crate::nullable")]
    pub round_trips_before_first_answer: Option<u32>,
    /// How it ended.
    pub ended: Ended,
}

/// How a connection ended.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "lowercase")]
pub enum Ended {
    /// Both sides said that they were done.
    Fin,
    /// One side broke it off.
    Rst,
    /// Not within the capture.
    #[default]
    Open,
}

/// One frame.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct PacketEntry {
    /// Its number, from 1 as Wireshark counts.
    pub frame: u64,
    /// When it was captured, nanoseconds since the epoch.
    pub at_unix_ns: u64,
    /// Bytes it had on the wire.
    pub wire_bytes: u64,
    /// Bytes that were captured of it.
    pub captured_bytes: u64,
    /// TCP stream; `null` outside of any.
    #[serde(deserialize_with = "crate::nullable")]
    pub stream: Option<u32>,
    /// Which way it went in that stream.
    #[serde(deserialize_with = "crate::nullable")]
    pub direction: Option<Direction>,
    /// Who sent it: address, and port where the protocol has ports.
    #[serde(deserialize_with = "crate::nullable")]
    pub source: Option<String>,
    /// To whom.
    #[serde(deserialize_with = "crate::nullable")]
    pub destination: Option<String>,
    /// The innermost protocol that was decoded: `TCP`, `UDP`, `ICMP`, `ICMPv6`, `ARP`, or by its number.
    pub protocol: String,
    /// Control bits of a TCP segment that are set.
    pub flags: Vec<Name>,
    /// Sequence number of a TCP segment, counted from that of the SYN as Wireshark does; `null` where the SYN was not
    /// captured.
    #[serde(deserialize_with = "crate::nullable")]
    pub sequence: Option<u32>,
    /// Bytes of TCP or UDP payload on the wire.
    pub payload_bytes: u64,
    /// What begins in this frame: HTTP start lines in the clear, TLS records; the first 16.
    pub holds: Vec<String>,
}

/// Which way a message went. agent-a is the client, by definition of the experiment.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
pub enum Direction {
    /// A request: from agent-a to agent-b.
    ClientToServer,
    /// An answer: from agent-b to agent-a.
    ServerToClient,
}
