//! agent-b, the server of the experiment: `POST /tool` runs a tool and answers with a result that repeats the request.
//!
//! One program and one code path: TLS with a certificate, plain HTTP/1.1 without one, and no other difference.
//! Knows nothing about captures.
#![forbid(unsafe_code)]

pub mod answer;
mod cli;
pub mod routes;

pub use cli::{Cli, main};

/// Maximum number of connections at one time. A run has a handful. Each costs a file descriptor, of which a process
/// commonly has 1024, and up to one body. A further connection displaces one that waits for its client, or is closed.
pub const MAX_CONNECTIONS: usize = 256;

/// Most of them from one address, so that places are left for others.
pub const MAX_PER_ADDRESS: usize = 192;
