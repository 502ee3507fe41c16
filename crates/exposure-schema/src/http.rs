//! HTTP messages.

use serde::{Deserialize, Serialize};

use crate::Name;
use crate::connections::Direction;
use crate::strings::Level;

/// An HTTP request or answer, in the clear or decrypted.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct HttpMessage {
    /// TCP stream.
    #[serde(deserialize_with = "crate::nullable")]
    pub stream: Option<u32>,
    /// Direction of the message.
    #[serde(deserialize_with = "crate::nullable")]
    pub direction: Option<Direction>,
    /// Frame of its first byte.
    #[serde(deserialize_with = "crate::nullable")]
    pub first_frame: Option<u64>,
    /// Frame of its last byte.
    pub last_frame: u64,
    /// Time of the first frame, nanoseconds since the epoch; `null` where it is no longer known.
    #[serde(deserialize_with = "crate::nullable")]
    pub first_at_unix_ns: Option<u64>,
    /// Time of the last frame, nanoseconds since the epoch.
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
    /// Bytes of the body after all codings are undone.
    pub body_bytes: u64,
    /// Whether the whole message was captured.
    pub complete: bool,
    /// Level of the body.
    pub level: Level,
    /// Layers to undo in order to read the body, outermost first.
    pub layers: Vec<Name>,
    /// Id of the message; `null` if no journal names it.
    #[serde(deserialize_with = "crate::nullable")]
    pub message_id: Option<String>,
}
