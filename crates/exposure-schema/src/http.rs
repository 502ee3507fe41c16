//! HTTP messages.

use serde::{Deserialize, Serialize};

use crate::Name;
use crate::connections::Direction;
use crate::strings::Level;

/// An HTTP message.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct HttpMessage {
    /// TCP stream.
    #[serde(deserialize_with = "crate::nullable")]
    pub stream: Option<u32>,
    /// Which way.
    #[serde(deserialize_with = "crate::nullable")]
    pub direction: Option<Direction>,
    /// Frame of its first byte.
    #[serde(deserialize_with = "crate::nullable")]
    pub first_frame: Option<u64>,
    /// Frame of its last byte.
    pub last_frame: u64,
    /// Time of the first frame, nanoseconds since the epoch; `null` where it is not known any more.
    #[serde(deserialize_with = "crate::nullable")]
    pub first_at_unix_ns: Option<u64>,
    /// Time of the last frame.
    #[serde(deserialize_with = "crate::nullable")]
    pub last_at_unix_ns: Option<u64>,
    /// Request method; `null` in an answer.
    #[serde(deserialize_with = "crate::nullable")]
    pub method: Option<String>,
    /// Request target; `null` in an answer.
    #[serde(deserialize_with = "crate::nullable")]
    pub target: Option<String>,
    /// Status code; `null` in a request.
    #[serde(deserialize_with = "crate::nullable")]
    pub status: Option<u16>,
    /// `Content-Type`.
    #[serde(deserialize_with = "crate::nullable")]
    pub content_type: Option<String>,
    /// Bytes of the body, all codings undone.
    pub body_bytes: u64,
    /// Whether it was seen whole.
    pub complete: bool,
    /// What it takes to read the body.
    pub level: Level,
    /// What has to be undone.
    pub layers: Vec<Name>,
    /// Id of the message, if a journal names it.
    #[serde(deserialize_with = "crate::nullable")]
    pub message_id: Option<String>,
}
