//! What the manifest of a mutant states.

use serde_json::Value;

/// How far clocks may lie apart, in nanoseconds (docs/formats.md).
pub(super) const SECOND: u64 = 1_000_000_000;

/// What the manifest states about the capture.
pub(super) struct Stated {
    pub(super) started: u64,
    pub(super) ended: u64,
    pub(super) filter: String,
}

impl Stated {
    pub(super) fn of(manifest: &[u8]) -> Option<Self> {
        let manifest: Value = serde_json::from_slice(manifest).ok()?;
        Some(Self {
            started: manifest["started_at_unix_ns"].as_u64()?,
            ended: manifest["ended_at_unix_ns"].as_u64()?,
            filter: manifest["capture"]["filter"].as_str()?.to_owned(),
        })
    }
}
