//! What plainsight's two agents share: tool-call messages, tools, the journal of all messages, canaries, the key log, and the
//! transport settings under which a plain and a TLS run are comparable.
//!
//! Knows nothing about captures, packets or verdicts: the observer gets the messages as text only.
#![forbid(unsafe_code)]

pub mod error_chain;
pub mod hex128;
pub mod http_version;
pub mod journal;
pub mod key_log;
pub mod logging;
pub mod message;
pub mod private_file;
pub mod text;
pub mod tls;
pub mod tools;
pub mod transport;
