//! The code that agent-b and the gateway share as HTTP/1.1 servers: a listener for plain HTTP and TLS in one code path,
//! limits on connections and their pace, reading of request bodies, the ready file, the health check, the flags' values
//! and exit statuses.
//!
//! Knows nothing about routes, messages, journals, users or captures.
#![forbid(unsafe_code)]

pub mod body;
pub mod connection;
mod exit_status;
pub mod flags;
pub mod healthcheck;
pub mod ready_file;
pub mod server;
pub mod signal;

pub use axum_server::Handle;
pub use connection::ConnectionEnds;
pub use exit_status::exit_status;
pub use rustls::ServerConfig;
pub use server::{ConnectionLimits, Server, ServerError};
