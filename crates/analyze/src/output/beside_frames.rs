//! Writes what a capture file contains beside its frames into the result.

use std::collections::HashSet;

use exposure_schema::{BesideFrames, BesideFramesEntry, FragmentSource as Source, Name};

use super::strings::MAX_VALUE_CHARS;
use crate::needles::{FragmentSource, KnownString, MatchMode};
use crate::observe::hits::Hit;
use crate::verdict::report::CaptureReport;

/// Maximum number of entries listed: more than a person reads.
const MAX_LISTED: usize = 64;

/// Lists the known strings, parts of messages and secrets that are in the file but in no frame. `None` if the file contains
/// nothing but frames.
pub(crate) fn beside_frames(report: &CaptureReport<'_>) -> Option<BesideFrames> {
    let search = report.observed.beside_frames.as_ref()?.search()?;
    // A value that several messages contain is one string here.
    let mut listed = HashSet::new();
    let strings = report.known.strings.iter().filter_map(|string| {
        let (MatchMode::Value(needle) | MatchMode::Pair(needle)) = string.match_mode else { return None };
        if !listed.insert(needle) {
            return None;
        }
        let hit = search.hits.of(needle).hits.first()?;
        Some(entry(report, Source::String, Some(string), string.message, hit))
    });
    let parts = search.hits.fragments.iter().filter_map(|(number, found)| {
        let hit = found.hits.first()?;
        match report.known.fragment_sources.get(*number as usize)? {
            FragmentSource::Message(message) => {
                Some(entry(report, Source::Message, None, Some(*message as usize), hit))
            }
            FragmentSource::String(string) => {
                let string = report.known.strings.get(*string as usize)?;
                Some(entry(report, Source::String, Some(string), string.message, hit))
            }
            FragmentSource::Secret(_) => Some(entry(report, Source::Secret, None, None, hit)),
        }
    });
    // Where a whole string is, parts of messages show nothing more.
    let mut found: Vec<_> = strings.collect();
    let has_strings = !found.is_empty();
    found.extend(parts.filter(|part| !has_strings || part.source == Source::Secret));
    let total = found.len() as u64;
    found.truncate(MAX_LISTED);
    Some(BesideFrames { bytes_searched: search.bytes, found, found_total: total })
}

fn entry(
    report: &CaptureReport<'_>,
    source: Source,
    string: Option<&KnownString>,
    message: Option<usize>,
    hit: &Hit,
) -> BesideFramesEntry {
    BesideFramesEntry {
        source,
        value: string.map(|string| report.known.value_of(string).chars().take(MAX_VALUE_CHARS).collect()),
        path: string.map(|string| string.path.to_string()),
        message_id: message.and_then(|message| report.known.messages.get(message)?.id.clone()),
        file_offset: hit.location.file_offset,
        layers: hit.decode_chain.iter().copied().map(Name::from).collect(),
    }
}
