//! The mutants: what a seed makes of a run.

mod change;
mod content;
mod cut;
mod order;
mod plant;
mod surgery;

use std::fmt::Write as _;

use e2e::damage::Record;

use crate::random::Random;
use crate::run::Run;
use crate::wire;

/// A changed run.
pub(crate) struct Mutant {
    pub(crate) run: Run,
    pub(crate) steps: Vec<Step>,
    /// Whether the manifest has the hash of the changed capture.
    pub(crate) is_vouched: bool,
}

impl Mutant {
    /// The names of the operations; that of the only one, or that there are several.
    pub(crate) fn name(&self) -> &'static str {
        match &self.steps[..] {
            [step] if self.is_vouched => step.operation,
            [_] => "one, without a new hash in the manifest",
            _ => "two or three of these",
        }
    }

    /// What was done, for people.
    pub(crate) fn description(&self) -> String {
        let mut text = String::new();
        for step in &self.steps {
            let _ = write!(text, "{}: {}; ", step.operation, step.note);
        }
        text + if self.is_vouched { "new hash in the manifest" } else { "old hash in the manifest" }
    }
}

/// One operation that was applied.
pub(crate) struct Step {
    pub(crate) operation: &'static str,
    pub(crate) note: String,
    pub(crate) plant: Plant,
}

/// Whether an operation plants known content.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Plant {
    None,
    /// In a form or at a place where the search need not find it.
    Hidden,
    /// In a form that docs/exposure.md promises to find.
    Promised,
}

/// What an operation did: a note for people, and whether it planted known content. `None` if the run has no place for it.
type Done = Option<(String, Plant)>;

/// An operation: its name, how often it is chosen, and what it does.
type Operation = (&'static str, usize, fn(&mut Run, &mut Random) -> Done);

const OPERATIONS: &[Operation] = &[
    ("plant in a new connection", 8, plant::in_a_new_connection),
    ("plant compressed in a new connection", 2, plant::compressed),
    ("plant in a frame that is no TCP", 6, plant::in_another_protocol),
    ("plant in a trailer", 4, plant::in_a_trailer),
    ("plant in IP or TCP options", 4, plant::in_options),
    ("plant in a contradicting segment", 4, plant::in_a_contradicting_segment),
    ("plant over bytes of a stream", 6, plant::over_a_stream),
    ("plant between records", 6, plant::between_records),
    ("plant in an extension of a hello", 6, plant::in_a_hello_extension),
    ("plant outside of the connection's time", 4, plant::before_and_after),
    ("plant in pieces or disguised", 6, plant::hidden),
    ("spread over header fields", 2, plant::spread_over_headers),
    ("cut frames", 6, cut::frames),
    ("cut the tail, the head or the middle", 6, cut::a_range),
    ("cut the end of a connection", 3, cut::the_end_of_a_connection),
    ("cut bytes of a frame", 4, cut::bytes_of_a_frame),
    ("cut the file", 2, cut::the_file),
    ("cut lines of a journal", 4, cut::lines_of_a_journal),
    ("cut lines of the key log", 3, cut::lines_of_the_key_log),
    ("cut a manifest field", 3, cut::a_manifest_field),
    ("swap neighbours", 5, order::neighbours),
    ("move a frame", 5, order::a_frame),
    ("shuffle a range of frames", 3, order::a_range),
    ("shuffle the lines of a journal or key log", 2, order::lines),
    ("duplicate frames", 6, order::duplicate_frames),
    ("duplicate lines of a journal or key log", 2, order::duplicate_lines),
    ("divide a segment", 3, order::divide_a_segment),
    ("change an Ethernet header", 4, change::ethernet),
    ("change an IP header", 8, change::ip),
    ("change a TCP header", 10, change::tcp),
    ("change a TCP header, without its checksum", 4, change::tcp_unmended),
    ("insert a VLAN tag", 2, change::vlan),
    ("change a hello", 8, change::hello),
    ("change the header of a record", 5, change::record_header),
    ("change a protected record", 6, change::protected_record),
    ("insert a record", 5, change::insert_a_record),
    ("change a time", 3, change::time),
    ("change the file's bytes", 5, change::file),
    ("change a journal's field", 6, change::journal_field),
    ("change a journal's bytes", 4, change::journal_bytes),
    ("change a manifest field", 6, change::manifest_field),
    ("change the manifest's bytes", 3, change::manifest_bytes),
    ("change a line of the key log", 5, change::key_log),
];

/// The mutant of this run with this seed.
pub(crate) fn mutant(original: &Run, seed: u64) -> Mutant {
    let mut random = Random::new(seed);
    let mut run = original.clone();
    let count = if random.once_in(4) { random.within(2..4) } else { 1 };
    let is_vouched = !random.once_in(25);
    let mut steps = Vec::new();
    while steps.len() < count {
        let (operation, _, apply) = chosen(&mut random);
        if let Some((note, plant)) = apply(&mut run, &mut random) {
            steps.push(Step { operation, note, plant });
        }
    }
    if is_vouched {
        run.vouch();
    }
    Mutant { run, steps, is_vouched }
}

fn chosen(random: &mut Random) -> &'static Operation {
    let mut at = random.below(OPERATIONS.iter().map(|(_, weight, _)| weight).sum());
    for operation in OPERATIONS {
        match at.checked_sub(operation.1) {
            Some(rest) => at = rest,
            None => return operation,
        }
    }
    unreachable!("the weights add up")
}

/// Frames of the run, if it can be read, and if it has any.
fn records_of(run: &Run) -> Option<Vec<Record>> {
    run.records().filter(|records| !records.is_empty())
}

/// Indices of the frames that are TCP and of which `is` is true.
fn frames_with(records: &[Record], is: impl Fn(&wire::Segment) -> bool) -> Vec<usize> {
    let fits = |record: &Record| wire::segment(&record.bytes).is_ok_and(|segment| is(&segment));
    (0..records.len()).filter(|index| fits(&records[*index])).collect()
}
