//! The algorithms of TLS 1.2, 1.1 and 1.0 (RFC 5246, RFC 4346, RFC 2246).
//!
//! ```text
//!   master secret, randoms ──prf──> key block ──> protection: one direction's records
//!                          └─prf──> verify_data of both Finished messages
//! ```
//!
//! A key log has the master secret itself, so that neither the key exchange nor extended_master_secret (RFC 7627) makes a
//! difference. With the RSA key of a server it is derived from the premaster secret; a resumed session has that of the first.

mod finished;
mod master_secret;
mod prf;
mod protection;
mod suite;

pub use finished::MAX_FLIGHT_BYTES;
pub(super) use finished::{Flights, HelloHash};
pub(super) use master_secret::{Seed, master_secret};
pub(super) use protection::{Decrypter, Opened, Parameters, Tried};
