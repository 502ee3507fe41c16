//! Results in, documents out.

pub(crate) mod claims;
pub(crate) mod connections;
pub mod console;
pub(crate) mod excerpt;
pub(crate) mod first_exchange;
pub(crate) mod location;
pub(crate) mod transcript;
