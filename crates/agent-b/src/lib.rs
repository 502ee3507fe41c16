//! agent-b, the server of the experiment: `POST /tool` runs a tool and answers with a result that repeats the request.
//!
//! One program and one code path: with a certificate it speaks TLS, without one plain HTTP/1.1, and nothing else differs.
//! Knows nothing about captures.
#![forbid(unsafe_code)]

pub mod answer;
pub mod routes;

/// Most connections at one time. A run has a handful; each costs a file descriptor, of which a process commonly has 1024,
/// and up to one body. The server closes one more as soon as it accepts it.
pub const MAX_CONNECTIONS: usize = 256;
