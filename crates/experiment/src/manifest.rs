//! `NAME.manifest.json`: the capturer's record of a capture.
//!
//! The manifest lets the analyzer check a capture: that the file is unchanged (SHA-256) and complete (closed in order),
//! that the kernel dropped no frame, and that no frame was cut.

use std::io;
use std::path::Path;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::experiment::Experiment;
use crate::files::write_private;
use crate::isolation;
use crate::program::ProgramRecord;
use crate::random::RunId;
use crate::variant::{ExpectedVerdict, SERVER_NAME, Scheme, UnknownName};

/// The `schema` field of every manifest that this crate writes.
pub const SCHEMA: &str = "plainsight.manifest/1";

/// The description of one capture. Fields that are known only at its end are `None` until it is
/// [`finished`](Self::finished).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Manifest {
    /// Always [`SCHEMA`].
    pub schema: String,
    /// The run id, the same as in the journals of the run.
    pub run_id: RunId,
    /// The stem of the run's files.
    pub name: String,
    /// The experiment that was run.
    pub variant: VariantRecord,
    /// The environment that carried the traffic.
    pub backend: Backend,
    /// How the capturer obtained the frames.
    pub vantage: Vantage,
    /// The interface that was captured; `None` for a relay.
    pub interface: Option<String>,
    /// The link type of the capture file (`LINKTYPE_*`); 1 is Ethernet.
    pub link_type: u32,
    /// The capture file.
    pub capture: CaptureRecord,
    /// When the capturer created the capture file, ns since the Unix epoch. The first frame is not earlier.
    pub started_at_unix_ns: u64,
    /// When the capturer stopped reading, ns since the Unix epoch.
    pub ended_at_unix_ns: Option<u64>,
    /// Whether the capturer closed the capture in order; `false` after a crash.
    pub finished: bool,
    /// Whether the capture ended in silence, after its agents: then it holds the end of every connection. `false` if frames
    /// still arrived; `None` until it is closed.
    pub drained: Option<bool>,
    /// File names of the agents' journals, beside the manifest.
    pub journals: Vec<String>,
    /// File name of the NSS key log, beside the manifest; `None` without TLS.
    pub key_log: Option<String>,
    /// Values in the form of canaries that no program sends; the search must not find them.
    pub decoys: Vec<String>,
    /// The program that wrote the manifest.
    pub program: ProgramRecord,
    /// The expected verdict, the same as in `variant`.
    pub expected_verdict: ExpectedVerdict,
}

impl Manifest {
    /// Writes the manifest as indented JSON, mode 0600, whole or not at all.
    ///
    /// # Errors
    /// If the file cannot be written; the message names `path`.
    pub fn write(&self, path: &Path) -> io::Result<()> {
        let mut json = serde_json::to_vec_pretty(self).map_err(io::Error::other)?;
        json.push(b'\n');
        write_private(path, &json)
    }
}

/// The capture file of a manifest.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct CaptureRecord {
    /// File name, beside the manifest.
    pub file: String,
    /// SHA-256 of the whole file in 64 lower-case hex digits.
    pub sha256: Option<String>,
    /// Number of frames in the file.
    pub frames: Option<u64>,
    /// Size of the file in bytes.
    pub bytes: Option<u64>,
    /// Frames that passed the filter but did not fit into the kernel's queue. `None` for a relay, which has no such queue.
    pub kernel_drops: Option<u64>,
    /// The maximum number of bytes kept of a frame.
    pub snaplen: u32,
    /// The kernel filter in tcpdump's syntax; empty if every frame was captured.
    pub filter: String,
    /// Frames cut to the snaplen.
    pub truncated_frames: u64,
    /// Frames that this host's network stack passed on before it filled in their transport checksum (checksum offload).
    /// They are written as captured, so their checksum field differs from what a network would carry.
    pub unfinished_checksums: u64,
    /// Frames that combine several segments (segmentation or receive offload), larger than a network would carry.
    pub segmentation_offload_frames: u64,
}

/// The experiment in a manifest, written out so that a reader needs no table.
///
/// The isolation experiment fills the same fields as a variant.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct VariantRecord {
    /// [`Experiment::name`].
    pub name: String,
    /// The scheme that clients use.
    pub scheme: Scheme,
    /// The HTTP version that clients and server are pinned to.
    pub http_version: String,
    /// The TLS versions that both sides offer; empty without TLS.
    pub tls_versions: Vec<String>,
    /// The server's port, as far as the capturer knows it.
    pub port: u16,
    /// The name under which the clients dial the server; `None` if they dial an address.
    pub server_name: Option<String>,
    /// [`Experiment::expected_verdict`].
    pub expected_verdict: ExpectedVerdict,
}

impl VariantRecord {
    /// The record of `experiment` with a server on `port`.
    #[must_use]
    pub fn new(experiment: impl Into<Experiment>, port: u16) -> Self {
        let experiment = experiment.into();
        let (scheme, http_version, tls_versions, server_name) = match experiment {
            Experiment::Comparison(variant) => {
                (variant.scheme, variant.http_version, variant.tls_versions, Some(SERVER_NAME.to_owned()))
            }
            Experiment::Isolation => (Scheme::Http, isolation::HTTP_VERSION, [].as_slice(), None),
        };
        Self {
            name: experiment.name().to_owned(),
            scheme,
            http_version: http_version.to_owned(),
            tls_versions: tls_versions.iter().map(|&version| version.to_owned()).collect(),
            port,
            server_name,
            expected_verdict: experiment.expected_verdict(),
        }
    }

    /// The record of the part of an isolation run in which the gateway speaks TLS 1.3.
    #[must_use]
    pub fn over_tls(self) -> Self {
        Self { scheme: Scheme::Https, tls_versions: vec!["1.3".to_owned()], ..self }
    }
}

/// The environment that carries the traffic.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Backend {
    /// Two network namespaces joined by a veth pair.
    Netns,
    /// Loopback with a recording relay between the agents.
    Relay,
    /// Docker containers.
    Docker,
}

impl Backend {
    const ALL: [Self; 3] = [Self::Netns, Self::Relay, Self::Docker];

    /// The backend as command lines and manifests name it.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Netns => "netns",
            Self::Relay => "relay",
            Self::Docker => "docker",
        }
    }
}

impl FromStr for Backend {
    type Err = UnknownName;

    fn from_str(text: &str) -> Result<Self, UnknownName> {
        Self::ALL
            .into_iter()
            .find(|backend| backend.as_str() == text)
            .ok_or_else(|| UnknownName::new("backend", text, Self::ALL.into_iter().map(Self::as_str)))
    }
}

impl std::fmt::Display for Backend {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.as_str())
    }
}

/// How a capturer obtains its frames.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Vantage {
    /// The kernel captures them on a network interface.
    Interface,
    /// The relay builds them from the bytes that pass through its sockets.
    Relay,
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::variant::Variant;

    fn manifest() -> Manifest {
        let variant = Variant::named("https").unwrap();
        Manifest {
            schema: SCHEMA.to_owned(),
            run_id: "00112233445566778899aabbccddeeff".parse().unwrap(),
            name: "https".to_owned(),
            variant: VariantRecord::new(variant, variant.port),
            backend: Backend::Netns,
            vantage: Vantage::Interface,
            interface: Some("veth-b".to_owned()),
            link_type: 1,
            capture: CaptureRecord {
                file: "https.partial.pcap".to_owned(),
                sha256: None,
                frames: None,
                bytes: None,
                kernel_drops: None,
                snaplen: 262_144,
                filter: "tcp port 8443".to_owned(),
                truncated_frames: 0,
                unfinished_checksums: 0,
                segmentation_offload_frames: 0,
            },
            started_at_unix_ns: 1_795_132_800_000_000_001,
            ended_at_unix_ns: None,
            finished: false,
            drained: None,
            journals: vec!["https.agent-a.jsonl".to_owned(), "https.agent-b.jsonl".to_owned()],
            key_log: Some("https.keys".to_owned()),
            decoys: vec!["ffeeddccbbaa99887766554433221100".to_owned()],
            program: ProgramRecord { name: "capturer".to_owned(), version: "0.1.0".to_owned() },
            expected_verdict: variant.expected_verdict,
        }
    }

    /// Field names, their order and nulls are an interface: other programs read them.
    #[test]
    fn json_matches_the_documented_format() {
        let expected = concat!(
            r#"{"schema":"plainsight.manifest/1","run_id":"00112233445566778899aabbccddeeff","name":"https","#,
            r#""variant":{"name":"https","scheme":"https","http_version":"1.1","tls_versions":["1.3"],"port":8443,"server_name":"agent-b","#,
            r#""expected_verdict":"sealed"},"backend":"netns","vantage":"interface","interface":"veth-b","link_type":1,"#,
            r#""capture":{"file":"https.partial.pcap","sha256":null,"frames":null,"bytes":null,"kernel_drops":null,"#,
            r#""snaplen":262144,"filter":"tcp port 8443","truncated_frames":0,"unfinished_checksums":0,"#,
            r#""segmentation_offload_frames":0},"started_at_unix_ns":1795132800000000001,"ended_at_unix_ns":null,"#,
            r#""finished":false,"drained":null,"journals":["https.agent-a.jsonl","https.agent-b.jsonl"],"key_log":"https.keys","#,
            r#""decoys":["ffeeddccbbaa99887766554433221100"],"program":{"name":"capturer","version":"0.1.0"},"#,
            r#""expected_verdict":"sealed"}"#
        );
        assert_eq!(serde_json::to_string(&manifest()).unwrap(), expected);
    }

    /// The isolation experiment keeps the fields and values that it had as a row of the table.
    #[test]
    fn record_of_the_isolation_experiment_matches_the_documented_format() {
        let expected = concat!(
            r#"{"name":"isolation","scheme":"http","http_version":"1.1","tls_versions":[],"port":8000,"server_name":null,"#,
            r#""expected_verdict":"isolated"}"#
        );
        let over_tls = VariantRecord::new(Experiment::Isolation, isolation::TLS_PORT).over_tls();
        assert_eq!((over_tls.scheme, over_tls.tls_versions), (Scheme::Https, vec!["1.3".to_owned()]));
        let record = VariantRecord::new(Experiment::Isolation, Experiment::Isolation.port());
        assert_eq!(serde_json::to_string(&record).unwrap(), expected);
    }

    #[test]
    fn a_written_manifest_reads_back_unchanged() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("https.manifest.json");
        manifest().write(&path).unwrap();
        let text = std::fs::read_to_string(&path).unwrap();
        assert!(text.ends_with("}\n"));
        assert_eq!(serde_json::from_str::<Manifest>(&text).unwrap(), manifest());
    }

    #[test]
    fn rejects_unknown_backend_and_lists_the_known_ones() {
        let error = "vm".parse::<Backend>().unwrap_err();
        assert_eq!(error.to_string(), "unknown backend \"vm\"; known: netns, relay, docker");
    }
}
