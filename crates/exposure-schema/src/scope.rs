//! The scope of a verdict on traffic that no manifest describes.

use serde::{Deserialize, Serialize};

use crate::connections::Ended;
use crate::doubts::DoubtEntry;

/// What the verdict is about, and what it is not about.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct Scope {
    /// The values of `--scope`; empty if the scope was not asked for.
    pub asked: Vec<String>,
    /// The flags that ask for this scope; `null` if it was asked for.
    #[serde(deserialize_with = "crate::nullable")]
    pub add: Option<String>,
    /// The connections in the scope: the first 256.
    pub connections: Vec<ScopeConnection>,
    /// Number of connections in the scope.
    pub connections_total: u64,
    /// Leaves of the given JSON documents that were not searched: numbers, and strings that are too short.
    pub strings_not_searched: u64,
    /// What else is in the file.
    pub outside: Outside,
    /// What nothing vouches for.
    pub unvouched: Vec<Unvouched>,
}

/// A connection in the scope.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct ScopeConnection {
    /// Number of the stream, as Wireshark's `tcp.stream`.
    pub stream: u32,
    /// Address and port of the side that opened the connection; `null` if they are unknown.
    #[serde(deserialize_with = "crate::nullable")]
    pub client: Option<String>,
    /// Address and port of the other side.
    #[serde(deserialize_with = "crate::nullable")]
    pub server: Option<String>,
    /// How often the strings were found in it under the keys.
    pub strings_found: u64,
    /// How the connection ended.
    pub ended: Ended,
}

/// What is in the file outside of the scope: it was searched for the strings, but nothing shows that all of it was read.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct Outside {
    /// Number of TCP connections.
    pub connections: u64,
    /// Number of frames that belong to no TCP connection.
    pub frames: u64,
    /// The doubts about what is outside of the scope. They do not change the verdict.
    pub doubts: Vec<DoubtEntry>,
}

/// What a manifest would vouch for, and nothing else does.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
pub enum Unvouched {
    /// That no frame was dropped.
    Drops,
    /// That the capture began before the traffic and ended after it.
    Period,
    /// That no filter kept frames out of the file.
    Filter,
    /// Where the frames were captured, and that the traffic took no other way.
    Vantage,
    /// That nothing followed in connections of the scope whose end is not in the capture.
    OpenConnections,
}
