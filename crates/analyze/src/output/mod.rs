//! Writes results as documents.

mod beside_frames;
pub(crate) mod capture;
pub(crate) mod claims;
pub(crate) mod connections;
pub mod console;
pub(crate) mod datagrams;
pub(crate) mod excerpt;
pub mod exposure;
pub(crate) mod fragments;
pub(crate) mod isolation;
pub(crate) mod location;
mod readable;
pub(crate) mod scope;
mod server_keys;
pub(crate) mod strings;
pub(crate) mod transcript;
