//! Writes the known strings into the result, each with its level and its locations.

use std::collections::BTreeMap;

use exposure_schema::{Level, SearchedAs, StringEntry, Summary};

use super::excerpt::Excerpts;
use super::location::location;
use crate::needles::{KnownString, MatchMode};
use crate::observe::hits::{Hit, NeedleHits};
use crate::observe::messages::Occurrence;
use crate::pipeline::provenance::Location;
use crate::verdict::report::CaptureReport;

/// Maximum number of locations listed for one string. The first is proof; the others are for readers who look further.
const MAX_LOCATIONS: usize = 8;

/// Maximum number of characters shown of a value.
pub(crate) const MAX_VALUE_CHARS: usize = 256;

/// Lists all strings.
pub(crate) fn strings(report: &CaptureReport<'_>, excerpts: &mut Excerpts) -> Vec<StringEntry> {
    report.known.strings.iter().map(|string| entry(report, string, excerpts)).collect()
}

/// Counts the strings by level.
pub(crate) fn summary(report: &CaptureReport<'_>) -> Summary {
    let mut counts: BTreeMap<Level, u64> = BTreeMap::new();
    for string in &report.known.strings {
        *counts.entry(level(report, string)).or_default() += 1;
    }
    let of = |level| counts.get(&level).copied().unwrap_or(0);
    Summary {
        verbatim: of(Level::Verbatim),
        reassembled: of(Level::Reassembled),
        decoded: of(Level::Decoded),
        decrypted: of(Level::Decrypted),
        absent: of(Level::Absent),
        total: report.known.strings.len() as u64,
    }
}

/// The cheapest level at which a string can be read; that of its message, if it is too short to be searched.
fn level(report: &CaptureReport<'_>, string: &KnownString) -> Level {
    match string.match_mode {
        MatchMode::Value(needle) | MatchMode::Pair(needle) => report.observed.hits.of(needle).level(),
        MatchMode::Message => occurrence_of(report, string)
            .and_then(|it| it.first.as_ref())
            .map_or(Level::Absent, |seen| seen.level),
    }
}

/// Where the message of a string occurs; `None` for a string that was given without one.
fn occurrence_of<'r>(report: &'r CaptureReport<'_>, string: &KnownString) -> Option<&'r Occurrence> {
    string.message.map(|message| &report.observed.messages.occurrences[message])
}

fn entry(report: &CaptureReport<'_>, string: &KnownString, excerpts: &mut Excerpts) -> StringEntry {
    let message = string.message.map(|message| &report.known.messages[message]);
    let nowhere = Occurrence::default();
    let occurrence = occurrence_of(report, string).unwrap_or(&nowhere);
    let hits = &report.observed.hits;
    let (searched_as, chance, total, mut locations) = match string.match_mode {
        MatchMode::Value(needle) | MatchMode::Pair(needle) => {
            let found = hits.of(needle);
            let length = report.known.shortest_form(needle);
            let chance = chance_hits(hits.searched_bytes, length);
            let nearest = nearest(found, occurrence);
            let locations: Vec<_> =
                nearest.into_iter().map(|hit| location(&hit.location, &hit.decode_chain)).collect();
            let searched_as = match string.match_mode {
                MatchMode::Value(_) => SearchedAs::Value,
                _ => SearchedAs::Pair,
            };
            (searched_as, chance, found.total(), locations)
        }
        MatchMode::Message => match &occurrence.first {
            Some(seen) => {
                let locations = vec![location(&seen.location, &seen.decode_chain)];
                (SearchedAs::Message, 0.0, occurrence.times, locations)
            }
            None => (SearchedAs::Message, 0.0, 0, Vec::new()),
        },
    };
    if let Some(first) = locations.first_mut() {
        first.excerpt = excerpts.read(first.file_offset);
    }
    let value = report.known.value_of(string);
    StringEntry {
        value: value.chars().take(MAX_VALUE_CHARS).collect(),
        value_bytes: value.len() as u64,
        path: string.path.to_string(),
        message_id: message.and_then(|message| message.id.clone()),
        direction: message.map(|message| message.direction),
        level: level(report, string),
        searched_as,
        expected_chance_hits: chance,
        locations,
        locations_total: total,
    }
}

/// Number of matches of a needle to expect in so many random bytes: `(n - len + 1) / 256^len`.
fn chance_hits(searched: u64, length: usize) -> f64 {
    let places = (searched + 1).saturating_sub(length as u64) as f64;
    places * (-(length as f64) * 8.0).exp2()
}

/// Returns the occurrences at the cheapest level, those in the string's own message first.
pub(crate) fn nearest<'f>(found: &'f NeedleHits, message: &Occurrence) -> Vec<&'f Hit> {
    let level = found.level();
    let own = |hit: &Hit| is_in(&hit.location, message);
    let at_level = || found.hits.iter().filter(|hit| hit.level == level);
    at_level().filter(|hit| own(hit)).chain(at_level().filter(|hit| !own(hit))).take(MAX_LOCATIONS).collect()
}

/// Whether a location lies in the first occurrence of a message.
pub(crate) fn is_in(location: &Location, message: &Occurrence) -> bool {
    message.first.as_ref().is_some_and(|message| {
        let whole = &message.location;
        let range = whole.stream_offset.zip(Some(whole.wire_len));
        (location.stream, location.direction) == (whole.stream, whole.direction)
            && location
                .stream_offset
                .zip(range)
                .is_some_and(|(at, (start, len))| at >= start && at < start + len)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn expected_matches_are_positions_times_probability() {
        assert!((chance_hits(256, 1) - 1.0).abs() < 1e-12);
        assert!(chance_hits(1 << 30, 8) < 1e-9);
        assert_eq!(chance_hits(3, 8), 0.0);
    }
}
