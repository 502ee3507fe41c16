//! Puts input, pipeline, observers, verdict and output together.

mod capture_pass;
mod decoys;
pub mod isolation;
mod shadow;

use std::collections::BTreeSet;
use std::sync::Arc;

use anyhow::Result;
use dissect::keylog::KeyLog;
use exposure_schema::Capture;

use crate::input::capture::Progress;
use crate::input::discover::Input;
use crate::input::journal::{Journal, Message};
use crate::input::key_log;
use crate::input::strings::GivenStrings;
use crate::needles::KnownStrings;
use crate::observe::beside_frames::BesideFrames;
use crate::observe::cleartext::Cleartext;
use crate::observe::ledger::Ledger;
use crate::observe::readable::Readable;
use crate::observe::template::Template;
use crate::observe::text_fields::TextFields;
use crate::observe::transcript::Transcripts;
use crate::observe::{CaptureObserver, FirstExchange};
use crate::output::capture::{self, Judgement};
use crate::output::claims::Claims;
use crate::output::excerpt::Excerpts;
use crate::output::fragments;
use crate::output::scope;
use crate::output::strings;
use crate::verdict;
use crate::verdict::doubt::Doubt;

/// Options of an analysis.
#[derive(Clone, Copy, Debug, Default)]
pub struct Options {
    /// Show readable values whose name marks them as secrets.
    pub show_secrets: bool,
    /// Read credentials and personal data where it is known what was sent, too.
    pub reads_contents: bool,
}

/// Analyzes one input. Calls `progress` with the number of bytes read so far; with its `Break`,
/// the analysis ends with the error [`Cancelled`](crate::input::capture::Cancelled).
///
/// # Errors
///
/// The file, a journal or the key log cannot be read, or the file is not a capture. Everything else is a doubt in the
/// entry.
pub fn analyze(input: &Input, options: Options, progress: Progress<'_>) -> Result<Capture> {
    let mut doubts: Vec<_> = input.problems.iter().cloned().map(Doubt::Companion).collect();
    let messages = read_journals(input, &mut doubts)?;
    let own = input.own.as_deref();
    let drawn = own.map(|_| decoys::draw()).transpose()?.unwrap_or_default();
    let decoys = input.manifest.as_ref().map_or(&drawn[..], |manifest| &manifest.decoys);
    let nothing = GivenStrings::default();
    let given = own.map_or(&nothing, |own| &own.strings);
    let (keys, key_log_doubts) = read_keys(input)?;
    let (known, search) = KnownStrings::with_given(&messages, &given.strings, decoys, keys.as_deref());
    let claims = Claims::new(&messages);
    let lines = verdict::witnesses::lines(&messages, &known.messages);
    let dialled = input.manifest.as_ref().and_then(|manifest| manifest.variant.server_name.as_deref());
    let text_fields = TextFields::new(&messages, given, dialled);
    drop(messages);

    let mut observer = CaptureObserver::new(&known, &search);
    let has_strings = own.is_some() || !input.journals.is_empty();
    observer.cleartext =
        (!has_strings).then(|| Cleartext { show_secrets: options.show_secrets, ..Cleartext::default() });
    let hides_secrets = !has_strings && !options.show_secrets;
    observer.packets.hides_secrets = hides_secrets;
    observer.messages.hides_secrets = hides_secrets;
    observer.readable = (!has_strings || options.reads_contents).then(|| Readable::new(options.show_secrets));
    observer.ledger = own.map(|_| Ledger::default());
    observer.text_fields = Some(text_fields);
    observer.beside_frames = Some(BesideFrames::new(&known, &search));
    observer.template = has_strings.then(Template::default);
    observer.first_exchange = claims
        .first_exchange(&known.messages)
        .map(|messages| FirstExchange { messages, transcripts: Transcripts::new() });
    let mut report = capture_pass::run(input, &known, keys, observer, progress)?;
    doubts.append(&mut report.input_doubts);
    doubts.extend(verdict::witnesses::judge_on_wire(&lines, &report));

    let mut excerpts = Excerpts::open(input.capture.as_deref().filter(|_| report.compression.is_none()));
    let summary = strings::summary(&report);
    let fragments = fragments::fragments(&report, &summary, &mut excerpts);
    let (completeness, incomplete) = verdict::completeness::judge(&report);
    let planted = (report.observed.template.as_ref())
        .and_then(|template| shadow::run(template, &known, &search, shadow::seed(&report.sha256)));
    // The list of the strings takes as much memory as the search.
    report.observed.end_search();
    drop(search);
    let (controls, failed) = verdict::controls::judge(&report, &summary, planted.as_ref());
    let words = report.observed.text_fields.as_ref().map_or(0, |fields| fields.found_total);
    let is_readable_in_part = !fragments.is_empty() || words > 0;
    let doubts = [doubts, incomplete, key_log_doubts, failed].concat();
    let (doubts, scope) = match (own, &report.observed.ledger) {
        (Some(own), Some(ledger)) => {
            let mut narrowed = verdict::scope::narrow(&report, ledger, &own.scope, doubts);
            let doubts = std::mem::take(&mut narrowed.doubts);
            (doubts, Some(scope::entry(&report, ledger, own, &narrowed)))
        }
        _ => (doubts, None),
    };
    let (verdict, doubts) = verdict::capture::judge(&summary, is_readable_in_part, has_strings, doubts);
    let strings = strings::strings(&report, &mut excerpts);
    let judgement = Judgement { verdict, doubts, completeness, controls, summary, fragments, scope };
    Ok(capture::entry(input, claims, report, strings, judgement))
}

fn read_journals(input: &Input, doubts: &mut Vec<Doubt>) -> Result<Vec<Message>> {
    let mut messages = Vec::new();
    let mut runs = BTreeSet::new();
    let mut without_run = 0;
    for path in &input.journals {
        let journal = Journal::read(path)?;
        doubts.extend(journal.problems.into_iter().map(Doubt::JournalLine));
        messages.extend(journal.messages);
        runs.extend(journal.runs);
        without_run += journal.without_run;
    }
    if let Some(manifest) = &input.manifest {
        if let Some(other) = runs.iter().find(|run| **run != manifest.run_id) {
            let capture = manifest.run_id.clone();
            doubts.push(Doubt::JournalOfOtherRun { journal: other.clone(), capture });
        }
        if without_run > 0 {
            doubts.push(Doubt::MessagesWithoutRun(without_run));
        }
        doubts.extend(verdict::witnesses::judge(manifest, &messages));
    }
    Ok(messages)
}

fn read_keys(input: &Input) -> Result<(Option<Arc<KeyLog>>, Vec<Doubt>)> {
    let Some(path) = &input.key_log else { return Ok((None, Vec::new())) };
    let read = if input.key_log_is_given { key_log::read_given } else { key_log::read };
    let (keys, problems) = read(path)?;
    Ok((Some(Arc::new(keys)), problems.into_iter().map(Doubt::KeyLogLine).collect()))
}
