//! Checks whether a file is the one that its manifest describes.

use super::doubt::Doubt;
use crate::input::manifest::Manifest;
use crate::observe::frame_counts::FrameCounts;

/// How far the time of a frame may lie outside the time in the manifest. Kernel and capturer read the same clock, but
/// it can be set meanwhile.
const CLOCKS_APART_NS: u64 = 1_000_000_000;

/// Every way in which the capture file disagrees with its manifest.
pub(crate) fn doubts(manifest: &Manifest, sha256: &str, frames: &FrameCounts) -> Vec<Doubt> {
    let mut doubts = Vec::new();
    if !manifest.finished {
        doubts.push(Doubt::NotFinished);
    } else if manifest.capture.sha256.as_deref() != Some(sha256) {
        doubts.push(Doubt::HashDiffers);
    }
    match manifest.capture.frames {
        Some(manifest) if manifest != frames.total => {
            doubts.push(Doubt::FrameCountDiffers { manifest, file: frames.total });
        }
        None if manifest.finished => doubts.push(Doubt::NoFrameCount),
        _ => {}
    }
    if let Some(manifest) = manifest.link_type
        && let Some(other) = frames.link_types.iter().flatten().find(|link_type| link_type.0 != manifest)
    {
        doubts.push(Doubt::LinkTypeDiffers { manifest, file: other.0 });
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
        doubts.push(Doubt::OutsideTime);
    }
    if let Some(drops @ 1..) = manifest.capture.kernel_drops {
        doubts.push(Doubt::KernelDrops(drops));
    }
    doubts
}
