//! The description of the API, kept by hand and held against the running server by `tests/openapi.rs`.

/// OpenAPI 3.1, JSON.
pub const DOCUMENT: &str = include_str!("../openapi.json");
