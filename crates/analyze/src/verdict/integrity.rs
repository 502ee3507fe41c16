//! Whether a file is the one that its manifest vouches for.

use crate::input::manifest::Manifest;
use crate::pipeline::frames::Frames;

/// By how much a frame may be of another time than its capture. The kernel and the capturer read the same clock, but it
/// can be set meanwhile.
const CLOCKS_APART_NS: u64 = 1_000_000_000;

/// Everything in which a file of this hash with these frames is not what its capturer says that it wrote.
pub(crate) fn doubts(manifest: &Manifest, sha256: &str, frames: &Frames) -> Vec<String> {
    let mut doubts = Vec::new();
    if !manifest.finished {
        doubts.push("the capturer did not close this file: the capture broke off".to_owned());
    } else if manifest.capture.sha256.as_deref() != Some(sha256) {
        doubts.push("the file is not the one that the capturer closed: its SHA-256 differs".to_owned());
    }
    match manifest.capture.frames {
        Some(wrote) if wrote != frames.total => {
            doubts.push(format!("the capturer wrote {wrote} frames, the file holds {}", frames.total));
        }
        None if manifest.finished => {
            doubts.push("the capturer did not say how many frames it wrote".to_owned());
        }
        _ => {}
    }
    if let Some(said) = manifest.link_type
        && let Some(other) = frames.link_types.iter().flatten().find(|link_type| link_type.0 != said)
    {
        doubts.push(format!(
            "the capturer wrote frames of link type {said}, the file holds some of {}",
            other.0
        ));
    }
    let is_early = frames
        .earliest_at
        .zip(manifest.started_at_unix_ns)
        .is_some_and(|(at, started)| at < started.saturating_sub(CLOCKS_APART_NS));
    let is_late = frames
        .latest_at
        .zip(manifest.ended_at_unix_ns)
        .is_some_and(|(at, ended)| at > ended.saturating_add(CLOCKS_APART_NS));
    if is_early || is_late {
        doubts.push("frames are of another time than the manifest says that the capture took".to_owned());
    }
    if let Some(drops @ 1..) = manifest.capture.kernel_drops {
        doubts.push(format!("the kernel dropped {drops} frame(s)"));
    }
    doubts
}
