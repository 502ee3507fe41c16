//! `plainsight.exposure/1` as types: `analyze` writes it, others read it.
//!
//! Arrays are arrays even when they hold one thing; a field that does not apply is `null`, not left out. The order of the
//! fields is their order in the JSON. Knows nothing about captures and decides nothing.
#![forbid(unsafe_code)]

mod capture;
mod completeness;
mod connections;
mod controls;
mod document;
mod doubts;
mod exhibit;
mod http;
mod isolation;
mod journal_and_manifest;
mod json;
mod sample;
mod strings;
mod tls;
mod traffic;

#[cfg(test)]
mod json_schema;

use std::borrow::Cow;

use serde::{Deserialize, Deserializer};

pub use capture::{Capture, Expected, Summary, Verdict};
pub use completeness::{Completeness, TroubledStream, UnexplainedEntry};
pub use connections::{ConnectionEntry, Direction, Ended, PacketEntry};
pub use controls::{Controls, DecoyControl, PositiveControl, WrongKeyControl};
pub use document::{Conclusion, Exposure, Program};
pub use doubts::{DoubtEntry, DoubtScope};
pub use exhibit::{Exhibit, ExhibitFrame, Turn};
pub use http::HttpMessage;
pub use isolation::{
    AttemptEntry, BoxEntry, ForeignFrame, Identity, InterfaceEntry, Isolation, IsolationControls,
    IsolationVerdict, KindControl, KindEntry, Limit, Occurrence, PhaseName,
};
pub use journal_and_manifest::{Event, JournalEntry, ManifestEntry, ProgramEntry};
pub use json::{ReadError, schema_of};
pub use sample::{FIRST_STRINGS, STRINGS_PER_LEVEL, Sample};
pub use strings::{Level, Location, ReadableEntry, SearchedAs, StringEntry};
pub use tls::{CertificateEntry, Tls, TlsHidden, TlsRecords, TlsSession, TlsVisible};
pub use traffic::{ByKind, Traffic};

/// Schema and version of this document.
pub const SCHEMA: &str = "plainsight.exposure/1";

/// A word of a vocabulary that grows: written from a constant, read into a string.
pub type Name = Cow<'static, str>;

/// A member that may be `null` and must be there. Without this, serde reads a missing one as `None`.
fn nullable<'de, D, T>(deserializer: D) -> Result<Option<T>, D::Error>
where
    D: Deserializer<'de>,
    T: Deserialize<'de>,
{
    Option::deserialize(deserializer)
}
