//! `lab run`: runs experiments one after the other.

use std::io::Write as _;

use anyhow::Context;
#[cfg(not(target_os = "linux"))]
use anyhow::bail;
use experiment::Experiment;

use crate::backend;
use crate::cli::{Format, RunArgs};
use crate::programs::Programs;
use crate::report::Reporter;
use crate::run::{Lab, Script, needed, until_interrupted};
use crate::staging::Captures;

/// Runs `lab run`.
pub(crate) fn main(args: &RunArgs, reporter: &Reporter) -> anyhow::Result<()> {
    let programs = Programs::of_this()?;
    programs.require(&needed(&args.experiments))?;
    let backend = backend::choose(args.setup.backend, &programs, reporter)?;
    // After the user namespace is entered, which may fail: nothing before this line changes the file system.
    let captures = Captures::open(&args.captures, reporter)?;
    let lab = Lab { programs, backend, certs: args.setup.certs.clone(), reporter: reporter.clone() };
    let script = Script { count: args.count, ..Script::default() };
    until_interrupted(async {
        for &experiment in &args.experiments {
            let result = match experiment {
                Experiment::Comparison(variant) => {
                    lab.run(variant, &captures, &script).await.map(|outcome| outcome.files.capture())
                }
                Experiment::Isolation => isolation(&lab, &captures).await,
            };
            let result = result.with_context(|| experiment.to_string())?;
            let line = match args.format {
                Format::Text => args.captures.join(result).display().to_string(),
                Format::Json => json(args, experiment, backend.manifest_name().as_str(), &result)?,
            };
            // Each line is written as soon as its run is done: the command may take long.
            writeln!(std::io::stdout(), "{line}").context("cannot write to stdout")?;
        }
        Ok(())
    })
}

/// Name and version of the object for a run.
const SCHEMA: &str = "plainsight.run/1";

/// A run as an object in one line: its result, and all of its files.
fn json(args: &RunArgs, experiment: Experiment, backend: &str, result: &str) -> anyhow::Result<String> {
    let folder = &args.captures;
    let what = || format!("cannot read {}", folder.display());
    let prefix = format!("{experiment}.");
    let mut files = Vec::new();
    for entry in std::fs::read_dir(folder).with_context(what)? {
        let name = entry.with_context(what)?.file_name();
        if name.to_string_lossy().starts_with(&prefix) {
            files.push(folder.join(name).display().to_string());
        }
    }
    files.sort();
    let object = serde_json::json!({
        "schema": SCHEMA,
        "experiment": experiment.name(),
        "backend": backend,
        "result": folder.join(result).display().to_string(),
        "files": files,
    });
    Ok(object.to_string())
}

#[cfg(target_os = "linux")]
async fn isolation(lab: &Lab, captures: &Captures) -> anyhow::Result<String> {
    crate::isolation::run(lab, captures).await?;
    Ok(crate::isolation::RECORD.to_owned())
}

#[cfg(not(target_os = "linux"))]
async fn isolation(_lab: &Lab, _captures: &Captures) -> anyhow::Result<String> {
    bail!(
        "the isolation experiment needs Linux's network namespaces; run it in containers with `make isolation`"
    )
}
