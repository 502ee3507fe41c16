//! The gateway: users ask, each request is answered in a disposable box without network, and conversations are kept.
//!
//! ```text
//!  POST /api/conversation
//!     │  user, message, conversation
//!     v
//!   queue ── whose turn ──> box (crate sandbox) ── answer ──> store ──> 200
//!                            stdin: the conversation so far     SQLite or Firestore
//! ```
//!
//! An answer is in the store before it is sent. What a box is and cannot do is the affair of `sandbox`; what runs in it is
//! configuration. Knows nothing about captures, packets or verdicts.
#![forbid(unsafe_code)]

pub mod answer;
pub mod api;
pub mod boxes;
pub mod cli;
pub mod error;
pub mod journal;
pub mod logging;
pub mod openapi;
pub mod prompt;
pub mod queue;
pub mod routes;
pub mod store;
pub mod user;
