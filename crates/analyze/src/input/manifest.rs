//! The manifest of a capture (`plainsight.manifest/1`), written by the capturer.

use std::path::Path;

use anyhow::{Context, Result, bail};
use exposure_schema::Expected;
use serde::{Deserialize, Serialize};
use serde_json::Value;

const SCHEMA: &str = "plainsight.manifest/1";

/// The largest manifest that is read. Real ones have two kilobytes.
const MAX_LEN: u64 = 1 << 20;

/// Every field of the format, as a JSON pointer. One that is missing states nothing, so nothing can be checked against it.
const FIELDS: [&str; 34] = [
    "/schema",
    "/run_id",
    "/name",
    "/variant/name",
    "/variant/scheme",
    "/variant/http_version",
    "/variant/tls_versions",
    "/variant/port",
    "/variant/server_name",
    "/variant/expected_verdict",
    "/backend",
    "/vantage",
    "/interface",
    "/link_type",
    "/capture/file",
    "/capture/sha256",
    "/capture/frames",
    "/capture/bytes",
    "/capture/kernel_drops",
    "/capture/snaplen",
    "/capture/filter",
    "/capture/truncated_frames",
    "/capture/unfinished_checksums",
    "/capture/segmentation_offload_frames",
    "/started_at_unix_ns",
    "/ended_at_unix_ns",
    "/finished",
    "/drained",
    "/journals",
    "/key_log",
    "/decoys",
    "/program/name",
    "/program/version",
    "/expected_verdict",
];

/// The fields that may be `null`, or for which `null` is a doubt of its own.
const NULLABLE: [&str; 7] = [
    "/variant/server_name",
    "/interface",
    "/capture/sha256",
    "/capture/frames",
    "/capture/kernel_drops",
    "/drained",
    "/key_log",
];

/// The fields that are `null` until the capture is closed.
const NULL_UNTIL_CLOSED: [&str; 2] = ["/capture/bytes", "/ended_at_unix_ns"];

/// The fields of a manifest.
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
    /// Whether silence ended the capture, after its agents, so that it holds the end of every connection.
    #[serde(default)]
    pub drained: Option<bool>,
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
    /// The fields of the format that it lacks.
    #[serde(skip)]
    pub missing: Vec<&'static str>,
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
    /// The name under which clients dial agent-b.
    #[serde(default)]
    pub server_name: Option<String>,
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
        let json: Value = serde_json::from_slice(&text).with_context(manifest)?;
        let is_closed = json["finished"] == true;
        let may_be_null =
            |field: &&str| NULLABLE.contains(field) || !is_closed && NULL_UNTIL_CLOSED.contains(field);
        let is_missing =
            |field: &&str| json.pointer(field).is_none_or(|value| value.is_null() && !may_be_null(field));
        let missing = FIELDS.into_iter().filter(is_missing);
        let missing = missing.map(|field| &field[1..]).collect();
        let read = Self { missing, ..serde_json::from_value(json).with_context(manifest)? };
        if read.schema != SCHEMA {
            bail!("{}: the schema is {:?}, not {SCHEMA:?}", manifest(), read.schema);
        }
        Ok(read)
    }

    /// Whether the capture is one of two agents, each of which wrote a journal. In an isolation run `isolation.json` names
    /// the journals.
    pub(crate) fn is_comparison(&self) -> bool {
        !self.journals.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn fields_are_those_that_the_docs_list() {
        let page = include_str!("../../../../docs/formats.md");
        let (_, section) =
            page.split_once("\n## `plainsight.manifest/1`").expect("the section of the manifest");
        let section = section.split("\n## ").next().expect("a section");
        let rows = section.lines().filter_map(|line| line.strip_prefix("| `")?.split_once("` |"));
        // One row may name several fields.
        let listed: BTreeSet<_> = rows
            .flat_map(|(names, _)| names.split("`, `"))
            .map(|name| format!("/{}", name.replace('.', "/")))
            .collect();
        assert_eq!(listed, FIELDS.map(str::to_owned).into());
    }
}
