//! Writes the readable parts of messages and secrets into the result.

use data_encoding::HEXLOWER;
use exposure_schema::{FragmentEntry, Level, Name, Summary};

use super::excerpt::Excerpts;
use super::location::location;
use crate::needles::{FragmentSource, KnownStrings};
use crate::observe::hits::FragmentHits;
use crate::verdict::report::CaptureReport;

/// Maximum number of sources listed: more than a person reads.
const MAX_LISTED: usize = 100;

/// Lists the readable parts. Where a whole string is readable, parts show nothing more, and none is listed.
pub(crate) fn fragments(
    report: &CaptureReport<'_>,
    summary: &Summary,
    excerpts: &mut Excerpts,
) -> Vec<FragmentEntry> {
    if summary.verbatim + summary.reassembled + summary.decoded > 0 {
        return Vec::new();
    }
    let sources =
        report.observed.hits.fragments.iter().filter_map(|(number, found)| {
            Some((*report.known.fragment_sources.get(*number as usize)?, found))
        });
    let entries = sources.take(MAX_LISTED);
    entries.map(|(source, found)| entry(report.known, source, found, excerpts)).collect()
}

fn entry(
    known: &KnownStrings,
    source: FragmentSource,
    found: &FragmentHits,
    excerpts: &mut Excerpts,
) -> FragmentEntry {
    let mut hits: Vec<_> = found.hits.iter().collect();
    hits.sort_by_key(|hit| hit.level);
    let mut locations: Vec<_> = hits.iter().map(|hit| location(&hit.location, &hit.decode_chain)).collect();
    // The bytes at a secret's place would be the secret itself.
    if !matches!(source, FragmentSource::Secret(_))
        && let Some(first) = locations.first_mut()
    {
        first.excerpt = excerpts.read(first.file_offset);
    }
    let mut entry = FragmentEntry {
        source: exposure_schema::FragmentSource::Secret,
        message_id: None,
        direction: None,
        path: None,
        label: None,
        client_random: None,
        level: hits.first().map_or(Level::Absent, |hit| hit.level),
        source_bytes: known.source_len(source),
        longest_bytes: found.longest,
        locations,
        locations_total: found.counts.iter().sum(),
    };
    let mut of_message = |message: usize| {
        let message = &known.messages[message];
        entry.message_id.clone_from(&message.id);
        entry.direction = Some(message.direction);
    };
    match source {
        FragmentSource::Message(message) => {
            of_message(message as usize);
            entry.source = exposure_schema::FragmentSource::Message;
        }
        FragmentSource::String(string) => {
            let string = &known.strings[string as usize];
            string.message.into_iter().for_each(of_message);
            entry.source = exposure_schema::FragmentSource::String;
            entry.path = Some(string.path.to_string());
        }
        FragmentSource::Secret(secret) => {
            let secret = &known.secrets[secret as usize];
            entry.label = Some(Name::from(secret.label.as_str()));
            entry.client_random = Some(HEXLOWER.encode(&secret.client_random));
        }
    }
    entry
}
