//! agent-a, the client of the experiment: posts tool calls one after the other, and checks every answer.
//!
//! One kept-alive connection on a current-thread runtime carries most of the messages (on a multi-thread runtime the
//! client's pool sometimes opens a second one); some messages use a connection of their own. Every message is in the journal
//! before its first byte is sent. The crate knows nothing about captures.
#![forbid(unsafe_code)]

mod cli;
pub mod endpoint;
pub mod observe;
pub mod recorded_body;
pub mod run;
pub mod script;
pub mod session;
pub mod verify;

pub use cli::{Cli, main};
