//! Reads captures, and the files that belong to them.

pub mod capture;
pub(crate) mod compression;
pub mod discover;
pub(crate) mod isolation_record;
pub(crate) mod journal;
pub mod key_log;
pub(crate) mod manifest;
pub mod scope;
pub mod secrets;
pub(crate) mod server_key;
pub mod strings;
