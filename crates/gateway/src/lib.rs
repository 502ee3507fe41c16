//! The gateway: answers each user's request in a disposable sandbox without network, and stores the conversations.
//!
//! ```text
//!  POST /api/conversation
//!     │  user, message, conversation
//!     v
//!   queue ── the user's turn ──> box (crate sandbox) ── answer ──> store ──> 200
//!                                stdin: the conversation so far    SQLite or Firestore
//! ```
//!
//! An answer is in the store before it is sent; a client that asks for a stream gets pieces of it earlier, and the event
//! `done` once it is stored. The crate `sandbox` makes the sandboxes; configuration decides which
//! program runs in them. Knows nothing about captures, packets or verdicts.
#![forbid(unsafe_code)]

pub mod answer;
pub mod api;
pub mod audit;
pub mod auth;
pub mod boxes;
pub mod certificate;
pub mod cli;
pub mod download;
pub mod error;
pub mod journal;
pub mod logging;
pub mod metrics;
pub mod openapi;
pub mod pieces;
mod program;
pub mod prompt;
pub mod queue;
pub mod rate;
pub mod ready;
pub mod retention;
pub mod routes;
pub mod running;
pub mod store;
pub mod stream;
pub mod tokens;
pub mod user;
pub mod workspace;

pub use program::main;
