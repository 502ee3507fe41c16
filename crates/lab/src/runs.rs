//! `lab run`: runs experiments one after the other.

use std::io::Write as _;

use anyhow::Context;
#[cfg(not(target_os = "linux"))]
use anyhow::bail;
use experiment::Experiment;

use crate::backend;
use crate::cli::RunArgs;
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
            // Each line is written as soon as its run is done: the command may take long.
            writeln!(std::io::stdout(), "{}", args.captures.join(result).display())
                .context("cannot write to stdout")?;
        }
        Ok(())
    })
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
