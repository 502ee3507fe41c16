//! A generated capture on disk: capture file, journals, manifest, key log, and ground truth.

use std::fmt::Write;
use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use aws_lc_rs::digest;
use craft::conversation::Side;
use data_encoding::HEXLOWER;
use experiment::files::{create_private, write_private};
use experiment::{
    Backend, CaptureRecord, Manifest, ProgramRecord, RunFiles, RunId, Vantage, VariantRecord, manifest,
};
use serde_json::json;

use crate::capture_spec::CaptureSpec;
use crate::capture_writer::BEGIN;
use crate::ground_truth::GroundTruth;
use crate::rng::Rng;
use crate::traffic::{self, Generated, JournaledMessage};

/// A generated capture.
#[derive(Debug)]
pub(crate) struct Capture {
    files: RunFiles,
    pub(crate) truth: GroundTruth,
}

impl Capture {
    /// The capture of `spec` in `folder`, generated if it does not exist yet.
    pub(crate) fn obtain(folder: &Path, spec: &CaptureSpec) -> Result<Self> {
        let files = RunFiles::new(folder, spec.name().parse()?);
        if let Some(truth) = existing(&files, spec) {
            return Ok(Self { files, truth });
        }
        let truth = write(&files, spec).with_context(|| format!("cannot make {}", spec.name()))?;
        Ok(Self { files, truth })
    }

    /// The capture file.
    pub(crate) fn path(&self) -> PathBuf {
        self.files.path(&self.files.capture())
    }

    /// The key log, if there is TLS.
    pub(crate) fn key_log(&self) -> Option<PathBuf> {
        self.truth.spec.shape.is_tls().then(|| self.files.path(&self.files.key_log()))
    }

    /// Path of the analyzer's answer.
    pub(crate) fn answer(&self) -> PathBuf {
        self.files.path(&format!("{}.exposure.json", self.files.name()))
    }

    /// Removes all files of the capture.
    pub(crate) fn remove(&self) -> Result<()> {
        let files = &self.files;
        let mut paths = vec![truth_path(files), self.answer(), files.path(&files.manifest()), self.path()];
        paths.extend([files.journal_a(), files.journal_b(), files.key_log()].map(|name| files.path(&name)));
        for path in paths {
            match fs::remove_file(&path) {
                Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
                    return Err(error).with_context(|| format!("cannot remove {}", path.display()));
                }
                _ => {}
            }
        }
        Ok(())
    }
}

/// The ground truth of an existing capture of the same spec. It is the file that is written last, so the capture is
/// complete.
fn existing(files: &RunFiles, spec: &CaptureSpec) -> Option<GroundTruth> {
    let truth: GroundTruth = serde_json::from_slice(&fs::read(truth_path(files)).ok()?).ok()?;
    let bytes = fs::metadata(files.path(&files.capture())).ok()?.len();
    (truth.spec == *spec && truth.bytes == bytes).then_some(truth)
}

fn truth_path(files: &RunFiles) -> PathBuf {
    files.path(&format!("{}.truth.json", files.name()))
}

fn write(files: &RunFiles, spec: &CaptureSpec) -> Result<GroundTruth> {
    let _ = fs::remove_file(truth_path(files));
    let capture = create_private(&files.path(&files.capture()))?;
    let made = traffic::make(spec, capture)?;
    let mut rng = Rng::new(spec.seed, "run");
    let run: RunId = format!("{:016x}{:016x}", rng.next(), rng.next()).parse()?;
    for (name, agent, side) in
        [(files.journal_a(), "agent-a", Side::Client), (files.journal_b(), "agent-b", Side::Server)]
    {
        write_private(&files.path(&name), journal(&made.journaled, agent, side, &run).as_bytes())?;
    }
    if let Some(keys) = &made.key_log {
        write_private(&files.path(&files.key_log()), keys.as_bytes())?;
    }
    manifest_of(files, spec, &made, run).write(&files.path(&files.manifest()))?;
    write_private(&truth_path(files), &serde_json::to_vec_pretty(&made.truth)?)?;
    Ok(made.truth)
}

/// The journal of one agent.
fn journal(messages: &[JournaledMessage], agent: &str, side: Side, run: &RunId) -> String {
    let mut journal = String::new();
    for message in messages {
        let (local, remote) = match side {
            Side::Client => (message.client, message.server),
            Side::Server => (message.server, message.client),
        };
        let line = json!({
            "schema": "plainsight.journal/1",
            "run": run.as_str(),
            "agent": agent,
            "event": if message.from == side { "sent" } else { "received" },
            "message_id": message.id,
            "at_unix_ns": message.at,
            "local": local.to_string(),
            "remote": remote.to_string(),
            "content_type": "application/json",
            "body_sha256": sha256(message.body.as_bytes()),
            "body": message.body,
        });
        let _ = writeln!(journal, "{line}");
    }
    journal
}

fn manifest_of(files: &RunFiles, spec: &CaptureSpec, made: &Generated, run_id: RunId) -> Manifest {
    let variant = spec.shape.variant();
    Manifest {
        schema: manifest::SCHEMA.to_owned(),
        run_id,
        name: files.name().to_owned(),
        variant: VariantRecord::new(variant, variant.port),
        backend: Backend::Netns,
        vantage: Vantage::Interface,
        interface: Some("bench".to_owned()),
        link_type: u32::from(craft::link_type::ETHERNET),
        capture: CaptureRecord {
            file: files.capture(),
            sha256: Some(made.truth.sha256.clone()),
            frames: Some(made.truth.frames),
            bytes: Some(made.truth.bytes),
            kernel_drops: Some(0),
            snaplen: craft::pcap::FULL_SNAPLEN,
            filter: format!("tcp port {}", variant.port),
            truncated_frames: 0,
            unfinished_checksums: 0,
            segmentation_offload_frames: 0,
        },
        started_at_unix_ns: BEGIN,
        ended_at_unix_ns: Some(made.ended_at),
        finished: true,
        drained: Some(true),
        journals: vec![files.journal_a(), files.journal_b()],
        key_log: made.key_log.is_some().then(|| files.key_log()),
        decoys: made.decoys.clone(),
        program: ProgramRecord {
            name: env!("CARGO_PKG_NAME").to_owned(),
            version: env!("CARGO_PKG_VERSION").to_owned(),
        },
        expected_verdict: variant.expected_verdict,
    }
}

fn sha256(bytes: &[u8]) -> String {
    let digest = digest::digest(&digest::SHA256, bytes);
    HEXLOWER.encode(digest.as_ref())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::capture_spec::Shape;

    /// Measurements on two machines can be compared only if their captures are equal.
    #[test]
    fn same_spec_gives_the_same_bytes() {
        for shape in Shape::ALL {
            let made = |seed| {
                let folder = tempfile::tempdir().unwrap();
                let spec = CaptureSpec::new(shape, "1MiB".parse().unwrap(), seed);
                let capture = Capture::obtain(folder.path(), &spec).unwrap();
                let again = Capture::obtain(folder.path(), &spec).unwrap();
                assert_eq!(capture.truth, again.truth, "an existing capture is reused");
                let keys = capture.key_log().map(|path| fs::read(path).unwrap());
                capture.remove().unwrap();
                assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 0);
                (capture.truth, keys)
            };
            assert_eq!(made(1), made(1), "{shape}");
            assert_ne!(made(1).0.sha256, made(2).0.sha256, "{shape}");
        }
    }
}
