//! The files of one capture: the `.partial` pair, the ready file, the finished pair. Traffic that is no experiment's has
//! no manifest.
//!
//! ```text
//! begin    creates NAME.partial.pcap (header only) and NAME.partial.manifest.json (finished: false)
//! ready    writes the ready file; packets are recorded from here on
//! finish   syncs and renames NAME.pcap, writes NAME.manifest.json, removes the partial manifest
//! ```
//! A process that is killed in between leaves the partial pair behind.

use std::fs;
use std::io;
use std::path::Path;
use std::time::SystemTime;

use anyhow::{Context, bail};
use experiment::files::{create_private, rename_durably, write_private};
use experiment::{
    Backend, CaptureRecord, Experiment, Manifest, ProgramRecord, RunFiles, RunId, Vantage, VariantRecord,
    manifest, random,
};
use serde_json::Value;

use crate::capture_file::CaptureFile;
use crate::cli::RunArgs;

/// Name of a capture of traffic that is no experiment's.
const OWN_TRAFFIC: &str = "capture";

/// A vantage's description of its capture, known before the first frame.
#[derive(Debug)]
pub(crate) struct Start {
    /// `None` if the traffic is no experiment's.
    pub(crate) backend: Option<Backend>,
    pub(crate) vantage: Vantage,
    pub(crate) interface: Option<String>,
    pub(crate) link_type: u16,
    /// The kernel filter in tcpdump's syntax; empty if every frame is captured.
    pub(crate) filter: String,
    /// The server's port in the captured frames.
    pub(crate) port: u16,
}

/// What the network stack left to the network card in one frame.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Offloads {
    pub(crate) unfinished_checksum: bool,
    pub(crate) segmentation: bool,
}

/// A capture in progress.
pub(crate) struct Session {
    files: RunFiles,
    /// `None` if the traffic is no experiment's.
    manifest: Option<Manifest>,
    file: CaptureFile,
    ready_file: Option<std::path::PathBuf>,
}

impl Session {
    /// Creates the folder and the partial pair.
    pub(crate) fn begin(args: &RunArgs, start: Start) -> anyhow::Result<Self> {
        let name = match &args.name {
            Some(name) => name.clone(),
            None => args.experiment.map_or(OWN_TRAFFIC, Experiment::name).parse()?,
        };
        let files = RunFiles::new(&args.output, name);
        fs::create_dir_all(files.directory())
            .with_context(|| format!("cannot create the folder {}", files.directory().display()))?;
        if let Some(path) = &args.ready_file {
            remove_stale_ready_file(path)?;
        }

        let old_manifest = files.path(&files.manifest());
        if args.experiment.is_none() && old_manifest.exists() {
            bail!(
                "{} describes another capture of this name; choose one with --name",
                old_manifest.display()
            );
        }

        let partial = files.path(&files.partial_capture());
        let file = CaptureFile::new(create_private(&partial)?, start.link_type, args.snaplen)
            .with_context(|| format!("cannot write {}", partial.display()))?;
        let manifest = match (args.experiment, start.backend) {
            (Some(experiment), Some(backend)) => {
                Some(unfinished_manifest(args, experiment, backend, start, &files)?)
            }
            _ => None,
        };
        if let Some(manifest) = &manifest {
            manifest.write(&files.path(&files.partial_manifest()))?;
        }
        Ok(Self { files, manifest, file, ready_file: args.ready_file.clone() })
    }

    /// Reports, in the ready file and in the log, that packets are recorded from now on.
    pub(crate) fn ready(&self, what: &Value) -> anyhow::Result<()> {
        if let Some(path) = &self.ready_file {
            write_private(path, format!("{what}\n").as_bytes())?;
        }
        tracing::info!(
            "ready: {what}, recording to {}",
            self.files.path(&self.files.partial_capture()).display()
        );
        Ok(())
    }

    /// Records a frame: its capture time (ns since the Unix epoch), its length on the network, its bytes.
    pub(crate) fn record(&mut self, captured_at: u64, original_len: u32, bytes: &[u8]) -> anyhow::Result<()> {
        self.file.record(captured_at, original_len, bytes).with_context(|| self.cannot_write())
    }

    /// Counts the offloads of a frame.
    pub(crate) fn count(&mut self, offloads: Offloads) {
        let Some(Manifest { capture, .. }) = &mut self.manifest else { return };
        capture.unfinished_checksums += u64::from(offloads.unfinished_checksum);
        capture.segmentation_offload_frames += u64::from(offloads.segmentation);
    }

    /// Passes all frames to the operating system, so that they survive the death of this process.
    pub(crate) fn flush(&mut self) -> anyhow::Result<()> {
        self.file.flush().with_context(|| self.cannot_write())
    }

    /// Closes the capture and finishes the manifest. `kernel_drops` counts the frames that did not fit into the kernel's
    /// queue; `None` without such a queue. `drained`: whether silence ended the capture.
    pub(crate) fn finish(self, kernel_drops: Option<u64>, drained: bool) -> anyhow::Result<()> {
        let Self { files, manifest, file, .. } = self;
        let partial = files.path(&files.partial_capture());
        // Not earlier than the last frame, even if the clock was set back.
        let ended_at = unix_ns().max(file.last_captured_at());
        let closed = file.close().with_context(|| format!("cannot close {}", partial.display()))?;
        let dropped = kernel_drops.filter(|&drops| drops > 0);
        if let Some(drops) = dropped.filter(|_| manifest.is_none()) {
            // A pcap file has no field for it, so only its name can keep others from taking it as complete.
            bail!("the kernel dropped {drops} frames: the capture {} is not complete", partial.display());
        }
        let finished = files.path(&files.capture());
        rename_durably(&partial, &finished)?;

        let (frames, bytes) = (closed.frames, closed.bytes);
        if let Some(mut manifest) = manifest {
            let capture = &mut manifest.capture;
            capture.file = files.capture();
            capture.sha256 = Some(closed.sha256);
            capture.frames = Some(frames);
            capture.bytes = Some(bytes);
            capture.kernel_drops = kernel_drops;
            capture.truncated_frames = closed.truncated_frames;
            manifest.ended_at_unix_ns = Some(ended_at);
            manifest.finished = true;
            manifest.drained = Some(drained);
            manifest.write(&files.path(&files.manifest()))?;
            let partial_manifest = files.path(&files.partial_manifest());
            fs::remove_file(&partial_manifest)
                .with_context(|| format!("cannot remove {}", partial_manifest.display()))?;
        }

        tracing::info!("{frames} frames, {bytes} bytes in {}", finished.display());
        if let Some(drops) = dropped {
            tracing::warn!("the kernel dropped {drops} frames: the capture is not complete");
        }
        Ok(())
    }

    fn cannot_write(&self) -> String {
        let path = self.files.path(&self.files.partial_capture());
        format!("cannot write frame {} to {}", self.file.frames() + 1, path.display())
    }
}

/// A ready file of an earlier run would report readiness too early.
fn remove_stale_ready_file(path: &Path) -> anyhow::Result<()> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => {
            Err(error).with_context(|| format!("cannot remove the old ready file {}", path.display()))
        }
        _ => Ok(()),
    }
}

/// The manifest of a capture without frames.
fn unfinished_manifest(
    args: &RunArgs,
    experiment: Experiment,
    backend: Backend,
    start: Start,
    files: &RunFiles,
) -> anyhow::Result<Manifest> {
    let variant = VariantRecord::new(experiment, start.port);
    // An isolation run has captures with TLS and without; those with TLS have a key log.
    let variant = match (experiment, &args.key_log) {
        (Experiment::Isolation, Some(_)) => variant.over_tls(),
        _ => variant,
    };
    Ok(Manifest {
        schema: manifest::SCHEMA.to_owned(),
        run_id: args.run_id.clone().map_or_else(RunId::fresh, Ok)?,
        name: files.name().to_owned(),
        variant,
        backend,
        vantage: start.vantage,
        interface: start.interface,
        link_type: start.link_type.into(),
        capture: CaptureRecord {
            file: files.partial_capture(),
            sha256: None,
            frames: None,
            bytes: None,
            kernel_drops: None,
            snaplen: args.snaplen,
            filter: start.filter,
            truncated_frames: 0,
            unfinished_checksums: 0,
            segmentation_offload_frames: 0,
        },
        started_at_unix_ns: unix_ns(),
        ended_at_unix_ns: None,
        finished: false,
        drained: None,
        journals: match experiment {
            Experiment::Comparison(_) => vec![files.journal_a(), files.journal_b()],
            // `isolation.json` names the box journals, for all captures of the run.
            Experiment::Isolation => Vec::new(),
        },
        key_log: args.key_log.clone(),
        decoys: random::decoys()?,
        program: ProgramRecord {
            name: env!("CARGO_PKG_NAME").to_owned(),
            version: env!("CARGO_PKG_VERSION").to_owned(),
        },
        expected_verdict: experiment.expected_verdict(),
    })
}

/// The time, ns since the Unix epoch; 0 if the clock is set before it.
pub(crate) fn unix_ns() -> u64 {
    experiment::unix_ns(SystemTime::now())
}
