//! HTTP messages and their parts.

use serde::{Deserialize, Serialize};

use crate::Name;
use crate::connections::Direction;
use crate::strings::Level;

/// An HTTP request or answer, in the clear or decrypted.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct HttpMessage {
    /// TCP stream; `null` in HTTP/3.
    #[serde(deserialize_with = "crate::nullable")]
    pub stream: Option<u32>,
    /// Its HTTP/2 stream: a request and its answer have the same one. `null` in HTTP/1 and HTTP/3.
    ///
    /// Documents written before HTTP/2 was read lack this field.
    #[serde(default)]
    pub http2_stream: Option<u32>,
    /// In HTTP/3, the QUIC session: its index in `quic.sessions`, if that lists it.
    ///
    /// Documents written before HTTP/3 was read lack this field.
    #[serde(default)]
    pub quic_session: Option<u32>,
    /// In HTTP/3, the stream in the session: a request and its answer have the same one.
    ///
    /// Documents written before HTTP/3 was read lack this field.
    #[serde(default)]
    pub http3_stream: Option<u64>,
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
    /// Request target; `null` in an answer. Without journals, secrets in it are `…` unless `--show-secrets` is given.
    #[serde(deserialize_with = "crate::nullable")]
    pub target: Option<String>,
    /// Status code; `null` in a request.
    #[serde(deserialize_with = "crate::nullable")]
    pub status: Option<u16>,
    /// `Content-Type`.
    #[serde(deserialize_with = "crate::nullable")]
    pub content_type: Option<String>,
    /// Bytes of the body after all codings are undone. Those that the capture lacks are counted where their number is known.
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

/// A part of a message's body, in the clear or decrypted.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct MessagePart {
    /// TCP stream; `null` in HTTP/3.
    #[serde(deserialize_with = "crate::nullable")]
    pub stream: Option<u32>,
    /// HTTP/2 stream of its message.
    #[serde(deserialize_with = "crate::nullable")]
    pub http2_stream: Option<u32>,
    /// In HTTP/3, the QUIC session of its message: its index in `quic.sessions`, if that lists it.
    ///
    /// Documents written before HTTP/3 was read lack this field.
    #[serde(default)]
    pub quic_session: Option<u32>,
    /// In HTTP/3, the stream of its message.
    ///
    /// Documents written before HTTP/3 was read lack this field.
    #[serde(default)]
    pub http3_stream: Option<u64>,
    /// Direction of the message.
    pub direction: Direction,
    /// Kind of part.
    pub kind: PartKind,
    /// Type of a server-sent event, or `trailers` for those of gRPC-Web.
    #[serde(deserialize_with = "crate::nullable")]
    pub name: Option<String>,
    /// Frame of its first byte.
    #[serde(deserialize_with = "crate::nullable")]
    pub first_frame: Option<u64>,
    /// Frame of its last byte.
    pub last_frame: u64,
    /// Bytes of its content, after all codings are undone.
    pub bytes: u64,
    /// Whether it was captured completely.
    pub complete: bool,
    /// Level of its content.
    pub level: Level,
    /// Layers to undo in order to read it, outermost first.
    pub layers: Vec<Name>,
}

/// The kind of a part.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub enum PartKind {
    /// A server-sent event.
    Event,
    /// A line of newline-delimited JSON.
    Line,
    /// A message of gRPC.
    Grpc,
}
