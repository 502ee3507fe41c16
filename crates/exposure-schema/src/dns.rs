//! DNS: the names that were asked for, which give away the peer.

use serde::{Deserialize, Serialize};

/// The DNS messages of a capture.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct Dns {
    /// Messages: queries, answers, announcements.
    pub messages: u64,
    /// Questions with their answers, and announcements without a question: the first 4,096.
    pub lookups: Vec<DnsLookup>,
    /// Number of these.
    pub lookups_total: u64,
}

/// A question and its answer.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct DnsLookup {
    /// The name.
    pub name: String,
    /// The type of record that is asked for.
    pub record_type: String,
    /// `dns`, `mdns` or `llmnr`.
    pub protocol: String,
    /// TCP stream; `null` for UDP.
    #[serde(deserialize_with = "crate::nullable")]
    pub stream: Option<u32>,
    /// Address and port of the side that asks; `null` if they are unknown.
    #[serde(deserialize_with = "crate::nullable")]
    pub client: Option<String>,
    /// Address and port of the side that is asked.
    #[serde(deserialize_with = "crate::nullable")]
    pub server: Option<String>,
    /// Frame of the first query; `null` if none was captured.
    #[serde(deserialize_with = "crate::nullable")]
    pub query_frame: Option<u64>,
    /// Frame of the first answer; `null` if none was captured.
    #[serde(deserialize_with = "crate::nullable")]
    pub answer_frame: Option<u64>,
    /// Outcome by its name in the registry; `null` without an answer.
    #[serde(deserialize_with = "crate::nullable")]
    pub response_code: Option<String>,
    /// Records of the answer section: the first 16.
    pub answers: Vec<DnsAnswer>,
    /// Number of these records.
    pub answers_total: u64,
    /// TCP streams that the client opened to an address of the answer, behind it: the first 64.
    pub connections: Vec<u32>,
    /// Whether the messages are encrypted: DNS over TLS.
    pub needs_key: bool,
}

/// A record of an answer.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct DnsAnswer {
    /// The record's owner.
    pub name: String,
    /// Type of the record.
    pub record_type: String,
    /// Its data as text, empty for types that are not read.
    pub data: String,
}
