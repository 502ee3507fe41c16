//! The description of the API, written by hand; `tests/openapi.rs` compares it with the running server.

/// OpenAPI 3.1, JSON.
pub const DOCUMENT: &str = include_str!("../openapi.json");
