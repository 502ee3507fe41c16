//! What a capture says of itself: its manifest (`plainsight.manifest/1`), written by the capturer.

use std::path::Path;

use anyhow::{Context, Result, bail};
use exposure_schema::Expected;
use serde::{Deserialize, Serialize};

const SCHEMA: &str = "plainsight.manifest/1";

/// The largest manifest that is read. Real ones have two kilobytes.
const MAX_LEN: u64 = 1 << 20;

/// The parts of a manifest that the proof reads.
#[derive(Clone, Debug, Deserialize)]
pub struct Manifest {
    /// Schema and version.
    pub schema: String,
    /// The run that the capture belongs to.
    pub run_id: String,
    /// Name of the capture.
    pub name: String,
    /// The variant of the experiment.
    pub variant: Variant,
    /// How the run was made: `netns`, `relay`, `docker`.
    pub backend: String,
    /// Where the observer stood.
    pub vantage: String,
    /// Interface the frames were taken from.
    #[serde(default)]
    pub interface: Option<String>,
    /// Link type of the capture (`LINKTYPE_*`).
    #[serde(default)]
    pub link_type: Option<u16>,
    /// The program that captured.
    #[serde(default)]
    pub program: Option<Program>,
    /// The capture file.
    pub capture: CaptureFile,
    /// Whether the capturer closed the file itself.
    pub finished: bool,
    /// Journal files, relative to the manifest.
    pub journals: Vec<String>,
    /// Key log file, relative to the manifest.
    pub key_log: Option<String>,
    /// Values of the canaries' form that were never sent.
    pub decoys: Vec<String>,
    /// What the capture should prove.
    pub expected_verdict: Expected,
    /// When the capture began, nanoseconds since the epoch.
    #[serde(default)]
    pub started_at_unix_ns: Option<u64>,
    /// When it ended.
    #[serde(default)]
    pub ended_at_unix_ns: Option<u64>,
}

/// The variant that was run.
#[derive(Clone, Debug, Deserialize, Serialize)]
pub struct Variant {
    /// Its name.
    pub name: String,
    /// `http` or `https`.
    pub scheme: String,
    /// HTTP version that the agents were pinned to.
    #[serde(default)]
    pub http_version: String,
    /// TLS versions that the agents were pinned to.
    #[serde(default)]
    pub tls_versions: Vec<String>,
    /// Port of agent-b.
    #[serde(default)]
    pub port: u16,
}

/// Name and version of a program.
#[derive(Clone, Debug, Deserialize)]
pub struct Program {
    /// Its name.
    pub name: String,
    /// Its version.
    pub version: String,
}

/// The capture file as its capturer left it.
#[derive(Clone, Debug, Deserialize)]
pub struct CaptureFile {
    /// File name, relative to the manifest.
    pub file: String,
    /// SHA-256 in hexadecimal; absent while the capture runs.
    pub sha256: Option<String>,
    /// Frames written.
    pub frames: Option<u64>,
    /// Frames the kernel dropped for lack of room; `None` where no kernel was asked.
    pub kernel_drops: Option<u64>,
    /// The kernel's filter; empty if everything was taken.
    #[serde(default)]
    pub filter: Option<String>,
    /// Longest part of a frame that was kept.
    #[serde(default)]
    pub snaplen: Option<u32>,
    /// Frames whose checksum a network card was still to fill in.
    #[serde(default)]
    pub unfinished_checksums: Option<u64>,
    /// Frames that a network card was still to cut into segments.
    #[serde(default)]
    pub segmentation_offload_frames: Option<u64>,
}

impl Manifest {
    /// Reads a manifest.
    ///
    /// # Errors
    ///
    /// The file cannot be read, is no JSON, lacks a field, or has another schema.
    pub fn read(path: &Path) -> Result<Self> {
        let manifest = || format!("the manifest {}", path.display());
        let len = path.metadata().with_context(manifest)?.len();
        if len > MAX_LEN {
            bail!("{} has {len} bytes, more than {MAX_LEN}", manifest());
        }
        let text = std::fs::read(path).with_context(manifest)?;
        let read: Self = serde_json::from_slice(&text).with_context(manifest)?;
        if read.schema != SCHEMA {
            bail!("{}: the schema is {:?}, not {SCHEMA:?}", manifest(), read.schema);
        }
        Ok(read)
    }
}
