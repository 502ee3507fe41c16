//! The code that agent-b and the gateway share as HTTP/1.1 servers: a listener for plain HTTP and TLS in one code path,
//! places of connections and their pace, a strict view of requests, hosts and origins, reading of request bodies, the ready
//! file, the health check, the flags' values, warnings at the start and exit statuses.
//!
//! Knows nothing about routes, messages, journals, users or captures.
#![forbid(unsafe_code)]

pub mod body;
mod connection;
mod exchange;
mod exit_status;
pub mod flags;
mod framing;
mod handle;
pub mod healthcheck;
pub mod origin;
mod places;
pub mod ready_file;
pub mod server;
pub mod signal;
pub mod throttle;
pub mod warnings;

pub use connection::{ClientCertificate, ConnectionEnds};
pub use exit_status::exit_status;
pub use handle::Handle;
pub use rustls::ServerConfig;
pub use server::{ConnectionLimits, Server, ServerError};
