//! Writes a location into the result.

use exposure_schema::{Location, Name};

use crate::observe::direction::direction;
use crate::pipeline::provenance;

/// The location of an occurrence with this decode chain, without an excerpt.
pub(crate) fn location(found: &provenance::Location, layers: &[&'static str]) -> Location {
    Location {
        filter: display_filter(found),
        frames: found.frames.clone(),
        file_offset: found.file_offset,
        stream: found.stream,
        direction: found.direction.map(direction),
        stream_offset: found.stream_offset,
        wire_bytes: found.wire_len,
        layers: layers.iter().copied().map(Name::from).collect(),
        excerpt: None,
    }
}

/// A Wireshark display filter that shows exactly the contributing frames.
fn display_filter(found: &provenance::Location) -> String {
    match (found.frames.as_slice(), found.stream) {
        ([], Some(stream)) => format!("tcp.stream == {stream}"),
        (frames, _) if frames.len() <= 4 => {
            frames.iter().map(|frame| format!("frame.number == {frame}")).collect::<Vec<_>>().join(" || ")
        }
        (frames, _) => format!("frame.number in {{{}}}", runs(frames).join(", ")),
    }
}

/// Writes ascending numbers with ranges: `88..132`, `134`.
fn runs(numbers: &[u64]) -> Vec<String> {
    numbers
        .chunk_by(|one, next| one + 1 == *next)
        .map(|run| match run {
            [first, .., last] => format!("{first}..{last}"),
            run => run.iter().map(u64::to_string).collect(),
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn joins_consecutive_frames_to_a_range() {
        assert_eq!(runs(&[3, 5, 6, 7, 9, 10]), ["3", "5..7", "9..10"]);
    }
}
