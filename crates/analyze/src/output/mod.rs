//! Writes results as documents.

mod beside_frames;
pub(crate) mod capture;
pub(crate) mod claims;
pub(crate) mod connections;
pub mod console;
pub mod csv;
pub(crate) mod datagrams;
pub(crate) mod excerpt;
pub mod exposure;
pub mod finding;
pub(crate) mod fragments;
pub(crate) mod isolation;
pub(crate) mod json_text;
pub mod jsonl;
pub mod junit;
pub(crate) mod layout;
pub(crate) mod location;
pub mod markdown;
mod peers;
pub(crate) mod readable;
mod rules;
pub(crate) mod safe_text;
pub mod sarif;
pub(crate) mod scope;
mod server_keys;
pub(crate) mod strings;
pub(crate) mod transcript;
