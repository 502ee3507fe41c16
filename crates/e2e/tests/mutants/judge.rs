//! The judge: which verdicts a mutant may get.
//!
//! It knows the run as the lab left it, reads the mutant with a reading of its own, and compares the two. "sealed" is
//! permitted only if the mutant shows the same streams, to the last acknowledgment, beside nothing that is not one of the
//! fields of docs/exposure.md ("What `sealed` does not prove"), and if manifest, journals and key log state the same facts
//! (docs/formats.md, "What `analyze` checks").

mod capture;
mod stated;
mod witnesses;

use crate::operations::{Mutant, Plant};
use crate::run::Run;

/// What a mutant may be called.
pub(crate) struct Permitted {
    /// Why it must not be "sealed"; empty if it may be.
    pub(crate) objections: Vec<String>,
    /// Whether it may be "exposed".
    pub(crate) may_be_exposed: bool,
    /// Whether it must be "exposed".
    pub(crate) must_be_exposed: bool,
}

/// Judges a mutant of this run.
pub(crate) fn judge(original: &Run, mutant: &Mutant) -> Permitted {
    let run = &mutant.run;
    let stated = stated::Stated::of(&run.manifest);
    let mut objections = capture::objections(original, run, stated.as_ref());
    objections.extend(witnesses::objections(original, run));
    let is_planted = mutant.steps.iter().any(|step| step.plant != Plant::None);
    // Another hello can say other words, and other journals or another server name make other words known.
    let has_other_words = run.journals != original.journals
        || witnesses::server_name(&run.manifest) != witnesses::server_name(&original.manifest)
        || capture::has_other_hellos(original, run);
    Permitted {
        may_be_exposed: is_planted || has_other_words,
        // A second change could remove what was planted.
        must_be_exposed: matches!(&mutant.steps[..], [step] if step.plant == Plant::Promised),
        objections,
    }
}
