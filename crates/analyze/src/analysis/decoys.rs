//! Decoys for traffic that no manifest describes.

use anyhow::{Context, Result};
use aws_lc_rs::rand;
use data_encoding::HEXLOWER;

/// Number of decoys, as many as a capturer draws.
const DECOYS: usize = 8;

/// Bytes of a decoy, as many as of a canary.
const LEN: usize = 16;

/// Draws decoys: values that occur nowhere, because they did not exist before.
pub(crate) fn draw() -> Result<Vec<String>> {
    let mut bytes = [0; DECOYS * LEN];
    rand::fill(&mut bytes).ok().context("cannot draw decoys: no random numbers")?;
    Ok(bytes.chunks(LEN).map(|decoy| HEXLOWER.encode(decoy)).collect())
}
