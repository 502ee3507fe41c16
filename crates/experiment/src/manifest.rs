//! `NAME.manifest.json`: what the capturer states about a capture.
//!
//! The analyzer trusts a capture only as far as its manifest vouches for it: that the file is the one that was written
//! (SHA-256), that it was closed in order, that the kernel dropped nothing, that no frame was cut.

use std::io;
use std::path::Path;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::files::write_private;
use crate::random::RunId;
use crate::variant::{ExpectedVerdict, Scheme, UnknownName, Variant};

/// The `schema` member of every manifest this crate writes.
pub const SCHEMA: &str = "plainsight.manifest/1";

/// One capture, described. Members that are known only at the end are `None` until it is [`finished`](Self::finished).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Manifest {
    /// Always [`SCHEMA`].
    pub schema: String,
    /// The same in the journals of this run.
    pub run_id: RunId,
    /// Stem of the run's files.
    pub name: String,
    /// How the agents were run.
    pub variant: VariantRecord,
    /// Where the traffic ran.
    pub backend: Backend,
    /// How the frames were come by.
    pub vantage: Vantage,
    /// The interface captured on; `None` for a relay.
    pub interface: Option<String>,
    /// Link type of the capture file (`LINKTYPE_*`); 1 is Ethernet.
    pub link_type: u32,
    /// The capture file.
    pub capture: CaptureRecord,
    /// When the capturer was ready, ns since the Unix epoch.
    pub started_at_unix_ns: u64,
    /// When it stopped reading, ns since the Unix epoch.
    pub ended_at_unix_ns: Option<u64>,
    /// Whether the capture was closed in order. `false` is what a crash leaves behind.
    pub finished: bool,
    /// File names of the agents' journals, beside the manifest.
    pub journals: Vec<String>,
    /// File name of the NSS key log, beside the manifest; `None` without TLS.
    pub key_log: Option<String>,
    /// Values of the canaries' form that nobody ever sends.
    pub decoys: Vec<String>,
    /// The program that wrote this.
    pub program: ProgramRecord,
    /// What the analyzer is expected to find; the same as the variant's.
    pub expected_verdict: ExpectedVerdict,
}

impl Manifest {
    /// Writes it as indented JSON, mode 0600, whole or not at all.
    ///
    /// # Errors
    /// With `path` in the message.
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
    /// SHA-256 of the whole file, 64 lower-case hex digits.
    pub sha256: Option<String>,
    /// Frames in the file.
    pub frames: Option<u64>,
    /// Size of the file in bytes.
    pub bytes: Option<u64>,
    /// Frames that passed the filter and that the kernel could not queue. `None` for a relay, which has no such queue.
    pub kernel_drops: Option<u64>,
    /// The most bytes kept of a frame.
    pub snaplen: u32,
    /// The kernel filter in tcpdump's words; empty when everything was taken.
    pub filter: String,
    /// Frames longer than the snaplen, cut to it.
    pub truncated_frames: u64,
    /// Frames handed over by this host's own stack before their transport checksum was filled in (checksum offload):
    /// written as they were seen, so their checksum field is not that of a wire.
    pub unfinished_checksums: u64,
    /// Frames that stand for several segments (segmentation or receive offload), larger than a wire would carry.
    pub segmentation_offload_frames: u64,
}

/// A [`Variant`] as the manifest tells it, so that a reader needs no table.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct VariantRecord {
    /// See [`Variant::name`].
    pub name: String,
    /// See [`Variant::scheme`].
    pub scheme: Scheme,
    /// See [`Variant::http_version`].
    pub http_version: String,
    /// See [`Variant::tls_versions`].
    pub tls_versions: Vec<String>,
    /// The port agent-b really listened on, as far as the capturer was told.
    pub port: u16,
    /// See [`Variant::expected_verdict`].
    pub expected_verdict: ExpectedVerdict,
}

impl VariantRecord {
    /// The table's row, with the port that was really used.
    #[must_use]
    pub fn new(variant: &Variant, port: u16) -> Self {
        Self {
            name: variant.name.to_owned(),
            scheme: variant.scheme,
            http_version: variant.http_version.to_owned(),
            tls_versions: variant.tls_versions.iter().map(|&version| version.to_owned()).collect(),
            port,
            expected_verdict: variant.expected_verdict,
        }
    }
}

/// The program that wrote a manifest.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ProgramRecord {
    /// Its name.
    pub name: String,
    /// Its version.
    pub version: String,
}

/// Where the traffic ran.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Backend {
    /// Two network namespaces joined by a veth pair.
    Netns,
    /// Loopback, with a recording relay between the agents.
    Relay,
    /// Containers.
    Docker,
}

impl Backend {
    const ALL: [Self; 3] = [Self::Netns, Self::Relay, Self::Docker];

    /// The name on command lines and in manifests.
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

/// How the frames were come by.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Vantage {
    /// Taken by the kernel from a network interface.
    Interface,
    /// Built from the bytes that crossed a relay's sockets.
    Relay,
}

#[cfg(test)]
mod tests {
    use super::*;

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
            journals: vec!["https.agent-a.jsonl".to_owned(), "https.agent-b.jsonl".to_owned()],
            key_log: Some("https.keys".to_owned()),
            decoys: vec!["ffeeddccbbaa99887766554433221100".to_owned()],
            program: ProgramRecord { name: "capturer".to_owned(), version: "0.1.0".to_owned() },
            expected_verdict: variant.expected_verdict,
        }
    }

    /// The names, the order and the nulls are an interface: other programs read them.
    #[test]
    fn the_json_is_the_documented_one() {
        let expected = concat!(
            r#"{"schema":"plainsight.manifest/1","run_id":"00112233445566778899aabbccddeeff","name":"https","#,
            r#""variant":{"name":"https","scheme":"https","http_version":"1.1","tls_versions":["1.3"],"port":8443,"#,
            r#""expected_verdict":"sealed"},"backend":"netns","vantage":"interface","interface":"veth-b","link_type":1,"#,
            r#""capture":{"file":"https.partial.pcap","sha256":null,"frames":null,"bytes":null,"kernel_drops":null,"#,
            r#""snaplen":262144,"filter":"tcp port 8443","truncated_frames":0,"unfinished_checksums":0,"#,
            r#""segmentation_offload_frames":0},"started_at_unix_ns":1795132800000000001,"ended_at_unix_ns":null,"#,
            r#""finished":false,"journals":["https.agent-a.jsonl","https.agent-b.jsonl"],"key_log":"https.keys","#,
            r#""decoys":["ffeeddccbbaa99887766554433221100"],"program":{"name":"capturer","version":"0.1.0"},"#,
            r#""expected_verdict":"sealed"}"#
        );
        assert_eq!(serde_json::to_string(&manifest()).unwrap(), expected);
    }

    #[test]
    fn what_is_written_reads_back_the_same() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("https.manifest.json");
        manifest().write(&path).unwrap();
        let text = std::fs::read_to_string(&path).unwrap();
        assert!(text.ends_with("}\n"));
        assert_eq!(serde_json::from_str::<Manifest>(&text).unwrap(), manifest());
    }

    #[test]
    fn an_unknown_backend_lists_the_known_ones() {
        let error = "vm".parse::<Backend>().unwrap_err();
        assert_eq!(error.to_string(), "unknown backend \"vm\"; known: netns, relay, docker");
    }
}
