//! agent-b, the server of the experiment: `POST /tool` runs a tool and answers with a result that repeats the request.
//!
//! One program and one code path up to the listener: with a certificate it speaks TLS, without one plain HTTP/1.1, and
//! nothing else about it differs. Knows nothing about captures or about who listens.
#![forbid(unsafe_code)]

pub mod answer;
pub mod body;
pub mod connection;
pub mod healthcheck;
pub mod ready;
pub mod routes;
pub mod server;
