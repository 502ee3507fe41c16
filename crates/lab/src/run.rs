//! One run of a variant, from its certificates to its published files.
//!
//! ```text
//! netns: capturer ready -> agent-b ready -> agent-a runs -> agent-b ends -> capturer ends -> checks -> files published
//! relay: agent-b ready -> capturer ready -> the same (the relay needs agent-b's address)
//! ```
//! In both cases the capturer is ready before agent-a starts, so it captures the first packet.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use anyhow::{Context, bail, ensure};
use experiment::{Experiment, Manifest, RunFiles, RunId, SERVER_NAME, Variant, unix_ns};
use serde::Deserialize;

use crate::backend::Backend;
#[cfg(target_os = "linux")]
use crate::netns;
use crate::phases::Phases;
use crate::process::{Call, Ended, Process};
use crate::programs::{Program, Programs};
use crate::report::Reporter;
use crate::signals::Signals;
use crate::staging::{Captures, Staging};

/// Creating certificates takes some ten milliseconds; a busy machine gets a thousand times that.
pub(crate) const CERTGEN_DEADLINE: Duration = Duration::from_secs(30);

/// A program is ready within milliseconds of its start; a busy machine gets a thousand times that.
pub(crate) const READY_DEADLINE: Duration = Duration::from_secs(15);

/// agent-a's script needs less than a second. Its own deadlines are shorter, and their errors more specific.
const CALLS_DEADLINE: Duration = Duration::from_secs(120);

/// Additional time for each message of `--count`.
const CALL_DEADLINE: Duration = Duration::from_millis(100);

/// agent-b finishes requests in flight; agent-a has exited by then.
pub(crate) const END_DEADLINE: Duration = Duration::from_secs(15);

/// The capturer drains until no frame arrives for a while, then hashes and syncs its file.
pub(crate) const CLOSE_DEADLINE: Duration = Duration::from_secs(30);

/// If a program fails because another one exited, the error names the other one. Its exit may be seen this much later.
const BLAME_WAIT: Duration = Duration::from_millis(200);

/// What all runs of a command share.
pub(crate) struct Lab {
    pub(crate) programs: Programs,
    pub(crate) backend: Backend,
    pub(crate) certs: PathBuf,
    pub(crate) reporter: Reporter,
}

/// Settings that differ from the programs' defaults.
#[derive(Debug, Clone, Default)]
pub(crate) struct Script {
    /// agent-a's `--message`.
    pub(crate) message: Option<PathBuf>,
    /// agent-a's `--count`.
    pub(crate) count: Option<u32>,
    /// The capturer's `--quiet-ms`.
    pub(crate) quiet_ms: Option<u32>,
}

/// The result of a run.
pub(crate) struct Outcome {
    /// The published files.
    pub(crate) files: RunFiles,
    /// When agent-a was started, ns since the Unix epoch.
    pub(crate) agent_a_started_at_unix_ns: u64,
}

/// Runs `work` on one thread until it is done or a signal arrives. In both cases `work` is dropped, and so has cleaned up,
/// before this returns.
pub(crate) fn until_interrupted<T>(work: impl Future<Output = anyhow::Result<T>>) -> anyhow::Result<T> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .context("cannot start the asynchronous runtime")?;
    runtime.block_on(async {
        let mut signals = Signals::listen().context("cannot listen for signals")?;
        tokio::select! {
            done = work => done,
            name = signals.next() => bail!("interrupted by {name}; all programs are stopped and temporary files removed"),
        }
    })
}

/// The programs that these experiments need.
pub(crate) fn needed(experiments: &[Experiment]) -> Vec<Program> {
    use Program::{AgentA, AgentB, Capturer, Certgen, Gateway, IsolationControl, Runner};

    let needs = |program: &Program| {
        experiments.iter().any(|experiment| match experiment {
            Experiment::Comparison(variant) if variant.uses_tls() => {
                matches!(program, AgentA | AgentB | Capturer | Certgen)
            }
            Experiment::Comparison(_) => matches!(program, AgentA | AgentB | Capturer),
            Experiment::Isolation => {
                matches!(program, AgentB | Capturer | Certgen | Gateway | IsolationControl | Runner)
            }
        })
    };
    Program::ALL.into_iter().filter(needs).collect()
}

impl Lab {
    /// Runs one variant and publishes its files.
    pub(crate) async fn run(
        &self,
        variant: &'static Variant,
        captures: &Captures,
        script: &Script,
    ) -> anyhow::Result<Outcome> {
        let working = self.reporter.working();
        let run_id = RunId::fresh().context("cannot draw a run id")?;
        let staging = captures.stage(run_id.as_str())?;
        let files = RunFiles::new(staging.path(), variant.name.parse()?);
        let mut phases = Phases::begin(variant.into(), &working);

        let run = Run { lab: self, variant, run_id: &run_id, staging: &staging, files: &files, script };
        // All processes have exited when this returns: nothing writes to the staging folder any more.
        let done = run.run_to_end(&mut phases).await;
        let in_place = RunFiles::new(captures.path(), variant.name.parse()?);
        match done {
            Ok((manifest, agent_a_started_at_unix_ns)) => {
                staging.publish(&files)?;
                phases.report(&format!("{} frames", manifest.capture.frames.unwrap_or(0)));
                Ok(Outcome { files: in_place, agent_a_started_at_unix_ns })
            }
            Err(error) if capturer_exited(&error) => Err(match staging.keep_partial(&files) {
                Ok(Some(kept)) => {
                    error.context(format!("the capturer's files are kept in {}", kept.display()))
                }
                Ok(None) => error.context("the capturer left no files"),
                Err(trouble) => error.context(format!("the capturer's files cannot be kept: {trouble:#}")),
            }),
            Err(error) => Err(error),
        }
    }
}

fn capturer_exited(error: &anyhow::Error) -> bool {
    error.downcast_ref::<Ended>().is_some_and(|ended| ended.program == Program::Capturer)
}

/// A run in progress.
struct Run<'a> {
    lab: &'a Lab,
    variant: &'static Variant,
    run_id: &'a RunId,
    staging: &'a Staging<'a>,
    files: &'a RunFiles,
    script: &'a Script,
}

/// The programs that run beside agent-a, dropped in this order.
struct RunningPrograms {
    agent_b: Process,
    capturer: Process,
    /// The address that agent-a connects to: `IP:PORT`.
    server: String,
}

/// The content of a listening program's ready file.
#[derive(Deserialize)]
struct Ready {
    local: String,
}

impl Run<'_> {
    async fn run_to_end(&self, phases: &mut Phases<'_>) -> anyhow::Result<(Manifest, u64)> {
        if self.variant.uses_tls() {
            phases.enter("certificates");
            let mut certgen = self.start(Call::new(Program::Certgen).flag("--out", &self.lab.certs))?;
            certgen.success(CERTGEN_DEADLINE, "creating certificates").await?;
        }
        match self.lab.backend {
            #[cfg(target_os = "linux")]
            Backend::Netns { .. } => {
                phases.enter("namespaces");
                let pair = netns::VethPair::build()?;
                let programs = self.start_in_namespaces(&pair, phases).await?;
                self.run_agents(programs, Some(&pair.a.path()), phases).await
            }
            #[cfg(not(target_os = "linux"))]
            Backend::Netns { .. } => bail!("network namespaces need Linux"),
            Backend::Relay => {
                let programs = self.start_around_relay(phases).await?;
                self.run_agents(programs, None, phases).await
            }
        }
    }

    #[cfg(target_os = "linux")]
    async fn start_in_namespaces(
        &self,
        pair: &netns::VethPair,
        phases: &mut Phases<'_>,
    ) -> anyhow::Result<RunningPrograms> {
        let inside_b = pair.b.path();
        phases.enter("capturer ready");
        let call = self.capturer("interface").flag("--interface", netns::VETH_B).inside(Some(&inside_b));
        let mut capturer = self.start(call)?;
        capturer.ready(&self.ready_file(Program::Capturer), READY_DEADLINE).await?;

        phases.enter("agent-b ready");
        let server = format!("{}:{}", netns::ADDRESS_B, self.variant.port);
        let mut agent_b = self.start(self.agent_b(&server).inside(Some(&inside_b)))?;
        agent_b.ready(&self.ready_file(Program::AgentB), READY_DEADLINE).await?;
        Ok(RunningPrograms { agent_b, capturer, server })
    }

    async fn start_around_relay(&self, phases: &mut Phases<'_>) -> anyhow::Result<RunningPrograms> {
        // Any free port: other labs and servers on this machine may use the variant's port.
        const ANY_PORT: &str = "127.0.0.1:0";

        phases.enter("agent-b ready");
        let mut agent_b = self.start(self.agent_b(ANY_PORT))?;
        let behind = self.address_of(&mut agent_b, Program::AgentB).await?;

        phases.enter("capturer ready");
        let call = self.capturer("relay").flag("--listen", ANY_PORT).flag("--connect", behind);
        let mut capturer = self.start(call)?;
        let server = self.address_of(&mut capturer, Program::Capturer).await?;
        Ok(RunningPrograms { agent_b, capturer, server })
    }

    /// The part that is the same on every backend: runs agent-a, ends the other programs in order, checks the files.
    async fn run_agents(
        &self,
        mut programs: RunningPrograms,
        netns_a: Option<&Path>,
        phases: &mut Phases<'_>,
    ) -> anyhow::Result<(Manifest, u64)> {
        match self.run_calls(&mut programs, netns_a, phases).await {
            Ok(started) => {
                let manifest = self.checked_manifest()?;
                Ok((manifest, started))
            }
            Err(error) => Err(programs.root_cause(error).await),
        }
    }

    async fn run_calls(
        &self,
        programs: &mut RunningPrograms,
        netns_a: Option<&Path>,
        phases: &mut Phases<'_>,
    ) -> anyhow::Result<u64> {
        const CALLS: &str = "agent-a was making its calls";

        phases.enter("calls");
        let started = unix_ns(SystemTime::now());
        let mut agent_a = self.start(self.agent_a(&programs.server).inside(netns_a))?;
        let deadline = CALLS_DEADLINE + CALL_DEADLINE * self.script.count.unwrap_or(0);
        tokio::select! {
            done = agent_a.success(deadline, "making its calls") => done?,
            ended = programs.capturer.untimely_end(CALLS) => return Err(ended.into()),
            ended = programs.agent_b.untimely_end(CALLS) => return Err(ended.into()),
        }

        phases.enter("agent-b ended");
        programs.agent_b.terminate();
        tokio::select! {
            done = programs.agent_b.success(END_DEADLINE, "finishing") => done?,
            ended = programs.capturer.untimely_end("agent-b was finishing") => return Err(ended.into()),
        }

        phases.enter("capture closed");
        programs.capturer.terminate();
        programs.capturer.success(CLOSE_DEADLINE, "closing the capture").await?;
        Ok(started)
    }

    /// The manifest, if it and the run's other files are complete.
    fn checked_manifest(&self) -> anyhow::Result<Manifest> {
        let path = self.files.path(&self.files.manifest());
        let text = fs::read_to_string(&path).with_context(|| format!("cannot read {}", path.display()))?;
        let manifest: Manifest =
            serde_json::from_str(&text).with_context(|| format!("{} is not a manifest", path.display()))?;
        check(&manifest, self.run_id, self.lab.backend)?;

        let capture = self.files.path(&self.files.capture());
        let size =
            fs::metadata(&capture).with_context(|| format!("cannot find {}", capture.display()))?.len();
        ensure!(
            manifest.capture.bytes == Some(size),
            "the capture has {size} bytes, but its manifest records {:?}",
            manifest.capture.bytes
        );
        for journal in [self.files.journal_a(), self.files.journal_b()] {
            ensure!(size_of(&self.files.path(&journal)) > 0, "{journal} is missing or empty");
        }
        if self.variant.uses_tls() {
            let key_log = self.files.key_log();
            ensure!(size_of(&self.files.path(&key_log)) > 0, "{key_log} is missing or empty");
        }
        Ok(manifest)
    }

    fn capturer(&self, vantage: &str) -> Call {
        let mut call = Call::new(Program::Capturer)
            .word(vantage)
            .flag("--variant", self.variant.name)
            .flag("--backend", self.lab.backend.manifest_name().as_str())
            .flag("--output", self.staging.path())
            .flag("--name", self.files.name())
            .flag("--run-id", self.run_id.as_str())
            .flag("--ready-file", self.ready_file(Program::Capturer));
        if self.variant.uses_tls() {
            call = call.flag("--key-log", self.files.key_log());
        }
        if let Some(quiet_ms) = self.script.quiet_ms {
            call = call.flag("--quiet-ms", quiet_ms.to_string());
        }
        call
    }

    fn agent_b(&self, listen: &str) -> Call {
        let mut call = Call::new(Program::AgentB)
            .flag("--listen", listen)
            .flag("--http-version", self.variant.http_version)
            .flag("--journal", self.files.path(&self.files.journal_b()))
            .flag("--run-id", self.run_id.as_str())
            .flag("--ready-file", self.ready_file(Program::AgentB));
        if self.variant.uses_tls() {
            call = call
                .flag("--tls-cert", self.lab.certs.join("server.pem"))
                .flag("--tls-key", self.lab.certs.join("server.key"))
                .flag("--tls-versions", self.variant.tls_versions.join(","));
        }
        call
    }

    fn agent_a(&self, server: &str) -> Call {
        let Variant { scheme, port, .. } = self.variant;
        let mut call = Call::new(Program::AgentA)
            .flag("--server-url", format!("{scheme}://{SERVER_NAME}:{port}/tool"))
            .flag("--resolve", format!("{SERVER_NAME}={server}"))
            .flag("--http-version", self.variant.http_version)
            .flag("--journal", self.files.path(&self.files.journal_a()))
            .flag("--run-id", self.run_id.as_str());
        if self.variant.uses_tls() {
            // Both ends derive the same secrets, so one writer is enough; two would mix their lines in one file. agent-a
            // writes them because it opens every connection that carries a message.
            call = call
                .flag("--ca", self.lab.certs.join("ca.pem"))
                .flag("--tls-versions", self.variant.tls_versions.join(","))
                .key_log(Some(self.files.path(&self.files.key_log())));
        }
        if let Some(message) = &self.script.message {
            call = call.flag("--message", message);
        }
        if let Some(count) = self.script.count {
            call = call.flag("--count", count.to_string());
        }
        call
    }

    fn start(&self, call: Call) -> anyhow::Result<Process> {
        call.start(&self.lab.programs, &self.lab.reporter)
    }

    fn ready_file(&self, program: Program) -> PathBuf {
        self.staging.path().join(format!("{program}.ready"))
    }

    async fn address_of(&self, process: &mut Process, program: Program) -> anyhow::Result<String> {
        let path = self.ready_file(program);
        let text = process.ready(&path, READY_DEADLINE).await?;
        let ready: Ready = serde_json::from_str(&text)
            .with_context(|| format!("{program}: its ready file holds {text:?}, not an address"))?;
        Ok(ready.local)
    }
}

impl RunningPrograms {
    /// The error to report: if the capturer or agent-b exited, its exit is the cause of the others' errors.
    async fn root_cause(&mut self, error: anyhow::Error) -> anyhow::Error {
        const CALLS: &str = "the run was in progress";
        let blamed = error.downcast_ref::<Ended>().map(|ended| ended.program);
        if blamed == Some(Program::Capturer) {
            return error;
        }
        tokio::time::sleep(BLAME_WAIT).await;
        if let Some(ended) = self.capturer.post_mortem(CALLS).await {
            return ended.into();
        }
        if blamed != Some(Program::AgentB)
            && let Some(ended) = self.agent_b.post_mortem(CALLS).await
        {
            return ended.into();
        }
        error
    }
}

fn check(manifest: &Manifest, run_id: &RunId, backend: Backend) -> anyhow::Result<()> {
    let capture = &manifest.capture;
    ensure!(manifest.run_id == *run_id, "the manifest has run id {}, not {run_id}", manifest.run_id);
    ensure!(manifest.finished, "the capture is not finished, according to its manifest");
    ensure!(capture.frames.is_some_and(|frames| frames > 0), "the capture holds no frames");
    ensure!(capture.truncated_frames == 0, "{} frames are cut", capture.truncated_frames);
    if let Backend::Netns { .. } = backend {
        match capture.kernel_drops {
            Some(0) => {}
            Some(drops) => bail!("the kernel dropped {drops} frames: the capture is not complete"),
            None => bail!("the manifest does not count the frames that the kernel dropped"),
        }
        ensure!(
            capture.unfinished_checksums == 0 && capture.segmentation_offload_frames == 0,
            "{} frames lack their checksum and {} are larger than a segment, although offloads are off: no network \
             carries such frames",
            capture.unfinished_checksums,
            capture.segmentation_offload_frames
        );
    }
    Ok(())
}

fn size_of(path: &Path) -> u64 {
    fs::metadata(path).map_or(0, |metadata| metadata.len())
}

#[cfg(test)]
mod tests {
    use experiment::{CaptureRecord, ProgramRecord, Vantage, VariantRecord};

    use super::*;

    const NETNS: Backend = Backend::Netns { user_namespace: true };

    fn manifest(run_id: &RunId) -> Manifest {
        let variant = Variant::named("http").unwrap();
        Manifest {
            schema: experiment::manifest::SCHEMA.to_owned(),
            run_id: run_id.clone(),
            name: "http".to_owned(),
            variant: VariantRecord::new(variant, variant.port),
            backend: experiment::Backend::Netns,
            vantage: Vantage::Interface,
            interface: Some("veth-b".to_owned()),
            link_type: 1,
            capture: CaptureRecord {
                file: "http.pcap".to_owned(),
                sha256: Some("0".repeat(64)),
                frames: Some(12),
                bytes: Some(3456),
                kernel_drops: Some(0),
                snaplen: 262_144,
                filter: "tcp port 8000".to_owned(),
                truncated_frames: 0,
                unfinished_checksums: 0,
                segmentation_offload_frames: 0,
            },
            started_at_unix_ns: 1,
            ended_at_unix_ns: Some(2),
            finished: true,
            drained: Some(true),
            journals: Vec::new(),
            key_log: None,
            decoys: Vec::new(),
            program: ProgramRecord { name: "capturer".to_owned(), version: "0.1.0".to_owned() },
            expected_verdict: variant.expected_verdict,
        }
    }

    #[test]
    fn refuses_incomplete_captures() {
        let run_id = RunId::fresh().unwrap();
        check(&manifest(&run_id), &run_id, NETNS).unwrap();
        type Damage = fn(&mut Manifest);
        let damages: [(Damage, &str); 7] = [
            (|m| m.finished = false, "not finished"),
            (|m| m.capture.frames = Some(0), "no frames"),
            (|m| m.capture.truncated_frames = 1, "1 frames are cut"),
            (|m| m.capture.kernel_drops = Some(3), "dropped 3 frames"),
            (|m| m.capture.kernel_drops = None, "does not count"),
            (|m| m.capture.unfinished_checksums = 2, "2 frames lack their checksum"),
            (|m| m.run_id = RunId::fresh().unwrap(), "has run id"),
        ];
        for (damage, expected) in damages {
            let mut damaged = manifest(&run_id);
            damage(&mut damaged);
            let error = check(&damaged, &run_id, NETNS).unwrap_err();
            assert!(error.to_string().contains(expected), "{error}");
        }
        let mut relay = manifest(&run_id);
        relay.capture.kernel_drops = None;
        check(&relay, &run_id, Backend::Relay).unwrap();
    }

    #[test]
    fn each_experiment_needs_only_its_own_programs() {
        let named = |name| Experiment::named(name).unwrap();
        assert!(!needed(&[named("http")]).contains(&Program::Certgen));
        assert!(needed(&[named("http"), named("https")]).contains(&Program::Certgen));
        assert!(!needed(&[named("http"), named("https")]).contains(&Program::Gateway));
        assert!(needed(&[named("isolation")]).contains(&Program::Runner));
        assert!(!needed(&[named("isolation")]).contains(&Program::AgentA));
    }
}
