//! Frames in, facts out.

pub(crate) mod carve;
pub(crate) mod connection;
pub(crate) mod detect;
pub(crate) mod frames;
pub(crate) mod http1;
pub(crate) mod provenance;
pub(crate) mod tls;
