//! What can be read in messages without knowing what was sent.

use serde::{Deserialize, Serialize};

use crate::Name;
use crate::strings::{Level, Location};

/// Credentials, personal data and messages of agents in a capture.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct Readable {
    /// Credentials: the first 500 that differ in kind, place or value.
    pub credentials: Vec<FindingEntry>,
    /// Number of credentials, each occurrence counted.
    pub credentials_total: u64,
    /// Personal data: the first 500 that differ.
    pub personal: Vec<FindingEntry>,
    /// Number of personal data, each occurrence counted.
    pub personal_total: u64,
    /// Messages of agents: the first 200.
    pub agents: Vec<AgentEntry>,
    /// Number of messages of agents.
    pub agents_total: u64,
    /// Number of findings in messages that have more of them than are read, and of nested codings that were not undone.
    pub left_out: u64,
}

/// A credential, or data about a person.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct FindingEntry {
    /// `basic`, `digest`, `bearer`, `ntlm`, `negotiate`, `request_signature`, `authorization`, `cookie`, `set_cookie`,
    /// `api_key`, `jwt`, `private_key`, `url_userinfo`, `password`, `named_secret`; `email`, `iban`, `payment_card`.
    pub kind: Name,
    /// The part of the message: `header`, `target`, `json`, `form`, `text`.
    pub place: Name,
    /// Name of the field, or JSONPath in the body; ` > ` leads into a document in a text.
    pub path: String,
    /// The value, or its first 256 characters; `null` where secrets were not requested.
    #[serde(deserialize_with = "crate::nullable")]
    pub value: Option<String>,
    /// The value without what is secret or personal in it, such as `sk-ant-…`.
    pub redacted: String,
    /// Length of the value in bytes.
    pub bytes: u64,
    /// What else it says: user, issuer, claims.
    pub details: Vec<DetailEntry>,
    /// Number of occurrences.
    pub times: u64,
    /// What a reader needs for the first occurrence.
    pub level: Level,
    /// Location of the first message with it, or of its head.
    pub location: Location,
}

/// A name with a value.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct DetailEntry {
    /// Name.
    pub name: String,
    /// Value; `null` where it is personal and secrets were not requested.
    #[serde(deserialize_with = "crate::nullable")]
    pub value: Option<String>,
}

/// A message of an agent, recognised by its shape.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct AgentEntry {
    /// `tool_call`, `mcp`, `a2a`, `json_rpc`, `chat_completions`, `responses`, `messages`.
    pub protocol: Name,
    /// `request`, `notification`, `result`, `error`, `answer`, `tool_call`, `tool_result`.
    pub what: Name,
    /// Method of JSON-RPC.
    #[serde(deserialize_with = "crate::nullable")]
    pub method: Option<String>,
    /// Names of the tools that it calls.
    pub tools: Vec<String>,
    /// Name of the language model.
    #[serde(deserialize_with = "crate::nullable")]
    pub model: Option<String>,
    /// Its id.
    #[serde(deserialize_with = "crate::nullable")]
    pub id: Option<String>,
    /// Its arguments, results and texts: the first 32.
    pub texts: Vec<AgentTextEntry>,
    /// Number of such texts.
    pub texts_total: u64,
    /// Number of streamed parts that were put together; 0 if it came as a whole.
    pub joined: u64,
    /// What a reader needs.
    pub level: Level,
    /// Location of the HTTP or WebSocket message with it.
    pub location: Location,
}

/// A text in a message of an agent.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct AgentTextEntry {
    /// JSONPath.
    pub path: String,
    /// The text, or its first 256 characters, with keys and passwords left out unless secrets were requested; `null` where its
    /// name names a secret and they were not.
    #[serde(deserialize_with = "crate::nullable")]
    pub value: Option<String>,
    /// Length of the whole text in bytes.
    pub bytes: u64,
}
