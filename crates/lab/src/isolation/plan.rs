//! The plan: what a run is going to do, written before its first capture.
//!
//! Every beacon repeats the hash of the plan's file, so the captures show that the plan was there before any sandbox ran.

use std::fs;
use std::path::Path;
use std::time::SystemTime;

use anyhow::Context;
use aws_lc_rs::digest;
use experiment::isolation::{PLAN, PLAN_SCHEMA, Plan, PlanFile, PlanRecord};
use experiment::{RunId, unix_ns};

/// Writes the plan into `folder`.
pub(super) fn write(folder: &Path, run_id: &RunId, plan: &Plan) -> anyhow::Result<PlanFile> {
    let record = PlanRecord {
        schema: PLAN_SCHEMA,
        run_id: run_id.clone(),
        written_at_unix_ns: unix_ns(SystemTime::now()),
        plan: plan.clone(),
    };
    let path = folder.join(PLAN);
    let bytes = record.write(&path).with_context(|| format!("cannot write {}", path.display()))?;
    Ok(file_of(&bytes))
}

/// The plan's file as it is in `folder`.
pub(super) fn written(folder: &Path) -> anyhow::Result<PlanFile> {
    let path = folder.join(PLAN);
    let bytes = fs::read(&path).with_context(|| format!("cannot read {}", path.display()))?;
    Ok(file_of(&bytes))
}

fn file_of(bytes: &[u8]) -> PlanFile {
    let hash = digest::digest(&digest::SHA256, bytes);
    let sha256 = hash.as_ref().iter().map(|byte| format!("{byte:02x}")).collect();
    PlanFile { file: PLAN.to_owned(), sha256 }
}
