//! What plainsight's two agents share: the tool-call messages, the tools behind them, the journal that says what was
//! said, canaries, the key log, and the transport settings under which a plain and a TLS run can be compared.
//!
//! Knows nothing about captures, packets or verdicts: what was said crosses to the observer as text only.
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
