//! The manifest of a capture (`plainsight.manifest/1`), written by the capturer.

use std::path::Path;

use anyhow::{Context, Result, bail};
use exposure_schema::Expected;
use serde::{Deserialize, Serialize};

const SCHEMA: &str = "plainsight.manifest/1";

/// The largest manifest that is read. Real ones have two kilobytes.
const MAX_LEN: u64 = 1 << 20;

/// The fields of a manifest that the analysis uses.
#[derive(Clone, Debug, Deserialize)]
pub struct Manifest {
    /// Name and version of the format.
    pub schema: String,
    /// The run that the capture belongs to.
    pub run_id: String,
    /// Name of the capture.
    pub name: String,
    /// The variant of the experiment.
    pub variant: Variant,
    /// Where the traffic ran: `netns`, `relay`, `docker`.
    pub backend: String,
    /// Where the frames come from: `interface` or `relay`.
    pub vantage: String,
    /// The interface that was captured on.
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
    /// Whether the capturer itself closed the file.
    pub finished: bool,
    /// Names of the journals, beside the manifest.
    pub journals: Vec<String>,
    /// Name of the key log, beside the manifest.
    pub key_log: Option<String>,
    /// Decoys: values in the form of canaries that were never sent.
    pub decoys: Vec<String>,
    /// The verdict that the capture should get.
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
    /// Name of the variant.
    pub name: String,
    /// `http` or `https`.
    pub scheme: String,
    /// HTTP version that both agents use.
    #[serde(default)]
    pub http_version: String,
    /// TLS versions that both agents offer.
    #[serde(default)]
    pub tls_versions: Vec<String>,
    /// Port of agent-b.
    #[serde(default)]
    pub port: u16,
    /// The verdict that a capture of the variant should get.
    #[serde(default)]
    pub expected_verdict: Option<Expected>,
}

/// Name and version of a program.
#[derive(Clone, Debug, Deserialize)]
pub struct Program {
    /// Name of the program.
    pub name: String,
    /// Version of the program.
    pub version: String,
}

/// The description of the capture file.
#[derive(Clone, Debug, Deserialize)]
pub struct CaptureFile {
    /// File name, beside the manifest.
    pub file: String,
    /// SHA-256 in hexadecimal digits; absent while the capture runs.
    pub sha256: Option<String>,
    /// Number of frames written.
    pub frames: Option<u64>,
    /// Size of the file in bytes.
    #[serde(default)]
    pub bytes: Option<u64>,
    /// Number of frames that were longer than the snaplen.
    #[serde(default)]
    pub truncated_frames: Option<u64>,
    /// Frames that the kernel dropped because the ring buffer was full; `None` for a relay.
    pub kernel_drops: Option<u64>,
    /// The kernel's filter; empty if every frame was captured.
    #[serde(default)]
    pub filter: Option<String>,
    /// Maximum number of bytes kept of a frame.
    #[serde(default)]
    pub snaplen: Option<u32>,
    /// Frames captured before the network card filled in their checksum.
    #[serde(default)]
    pub unfinished_checksums: Option<u64>,
    /// Frames captured before the network card cut them into segments.
    #[serde(default)]
    pub segmentation_offload_frames: Option<u64>,
}

impl Manifest {
    /// Reads a manifest.
    ///
    /// # Errors
    ///
    /// The file cannot be read, is not JSON, lacks a field, or has another schema.
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
