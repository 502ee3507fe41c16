//! The types of `plainsight.exposure/1`: `analyze` writes the document, other programs read it.
//!
//! A list of one element is still an array, and a field that does not apply is `null`, never left out. Fields have the
//! same order here and in the JSON. The types decide nothing, and know nothing about captures.
#![forbid(unsafe_code)]

mod beside_frames;
mod capture;
mod completeness;
mod connections;
mod controls;
mod dns;
mod document;
mod doubts;
mod exhibit;
mod http;
mod isolation;
mod journal_and_manifest;
mod json;
mod peers;
mod quic;
mod readable;
mod sample;
mod scope;
mod server_keys;
mod strings;
mod tls;
mod traffic;

#[cfg(test)]
mod json_schema;

use std::borrow::Cow;

use serde::{Deserialize, Deserializer};

pub use beside_frames::{BesideFrames, BesideFramesEntry};
pub use capture::{Capture, Expected, SkippedBlocks, Summary, Verdict};
pub use completeness::{Completeness, TroubledStream, UnexplainedEntry};
pub use connections::{ConnectionEntry, Direction, EncapsulationEntry, Ended, PacketEntry};
pub use controls::{
    Controls, CoverageControl, DecoyControl, PlantedControl, PositiveControl, WrongKeyControl,
};
pub use dns::{Dns, DnsAnswer, DnsLookup};
pub use document::{Conclusion, Exposure, Pair, Program};
pub use doubts::{DoubtEntry, DoubtScope};
pub use exhibit::{Exhibit, ExhibitFrame, OpenedRecord, Turn};
pub use http::{HttpMessage, MessagePart, PartKind};
pub use isolation::{
    AttemptEntry, BeaconControl, BoxEntry, Credential, ForeignFrame, Identity, InterfaceEntry, Isolation,
    IsolationControls, IsolationVerdict, KindControl, KindEntry, Limit, MeasuredEntry, Occurrence, PhaseName,
    ProtectedAnswer, ProtectionEntry, TrafficAccount,
};
pub use journal_and_manifest::{Event, JournalEntry, ManifestEntry, ProgramEntry};
pub use json::{ReadError, schema_of};
pub use peers::PeerEntry;
pub use quic::{Quic, QuicSession};
pub use readable::{AgentEntry, AgentTextEntry, DetailEntry, FindingEntry, Readable};
pub use sample::{FIRST_STRINGS, STRINGS_PER_LEVEL, Sample};
pub use scope::{Outside, Scope, ScopeConnection, Unvouched};
pub use server_keys::ServerKeyEntry;
pub use strings::{FragmentEntry, FragmentSource, Level, Location, ReadableEntry, SearchedAs, StringEntry};
pub use tls::{
    CertificateEntry, HandshakeField, HandshakeText, HandshakeWord, KeyExchange, Tls, TlsHidden, TlsRecords,
    TlsSession, TlsVisible, WordKind,
};
pub use traffic::{ByKind, Traffic};

/// Name and version of the schema.
pub const SCHEMA: &str = "plainsight.exposure/1";

/// A word of an open vocabulary: written from a constant, read into a string.
pub type Name = Cow<'static, str>;

/// Deserializes a field that may be `null` but not be left out. Without this, serde reads a missing field as `None`.
fn nullable<'de, D, T>(deserializer: D) -> Result<Option<T>, D::Error>
where
    D: Deserializer<'de>,
    T: Deserialize<'de>,
{
    Option::deserialize(deserializer)
}
