//! What must not be readable.

use exposure_schema::{Capture, FindingEntry, Verdict};

use crate::file::Sealed;
use crate::judgement::{Found, Outcome, Place};

const VERDICT: &str = "sealed.verdict";
const SCOPE: &str = "sealed.scope";
const STRING: &str = "sealed.string";
const SECRET: &str = "sealed.secret";
const PERSONAL: &str = "sealed.personal";

/// The analyzer lists this many kinds of findings that differ; beyond, there may be others.
const LISTED: usize = 500;

pub(crate) fn judge(rules: &Sealed, capture: &Capture, found: &mut Found<'_>) {
    if rules.verdict {
        verdict(capture, found);
    }
    for string in &rules.strings {
        self::string(string, capture, found);
    }
    if rules.verdict || !rules.strings.is_empty() {
        scope(capture, found);
    }
    for (rule, kinds, of) in
        [(SECRET, &rules.secrets, "credentials"), (PERSONAL, &rules.personal, "personal data")]
    {
        if kinds.is_empty() {
            continue;
        }
        let Some(contents) = &capture.contents else {
            let text = format!("{of} are looked for in captures without journals and given strings only");
            found.add(rule, Outcome::Undecided, of, text, Vec::new());
            continue;
        };
        let listed = if rule == SECRET { &contents.credentials } else { &contents.personal };
        self::kinds(rule, kinds, listed, found);
        if listed.len() >= LISTED || contents.left_out > 0 {
            let text = format!("the result does not list all {of}");
            found.add(rule, Outcome::Undecided, "list", text, Vec::new());
        }
    }
}

/// Which connections the strings must not be in is for the user to say.
fn scope(capture: &Capture, found: &mut Found<'_>) {
    let Some(scope) = capture.scope.as_ref().filter(|scope| scope.asked.is_empty()) else { return };
    let add = scope.add.as_deref().map(|flags| format!("; add {flags}")).unwrap_or_default();
    let text = format!("no flag says which connections the strings must not be in{add}");
    found.add(SCOPE, Outcome::Undecided, "scope", text, Vec::new());
}

fn verdict(capture: &Capture, found: &mut Found<'_>) {
    match capture.verdict {
        Some(Verdict::Sealed) => {}
        Some(Verdict::Exposed) => {
            let keyless = capture.strings.iter().filter(|string| string.level.is_keyless());
            let places: Vec<Place> =
                keyless.filter_map(|string| string.locations.first()).map(Place::from).collect();
            let text = format!(
                "the verdict is exposed: {} strings can be read without a key",
                capture.summary.keyless()
            );
            found.add(VERDICT, Outcome::Violated, "verdict", text, places.into_iter().take(8).collect());
        }
        // The doubts say why.
        Some(Verdict::Inconclusive) | None => {
            let text = "the capture has no verdict of sealed or exposed";
            found.add(VERDICT, Outcome::Undecided, "verdict", text, Vec::new());
        }
    }
}

fn string(string: &str, capture: &Capture, found: &mut Found<'_>) {
    let mut is_known = false;
    for entry in capture.strings.iter().filter(|entry| entry.value == string) {
        is_known = true;
        if entry.level.is_keyless() {
            let places = entry.locations.iter().map(Place::from).collect();
            let text = format!("`{string}` can be read without a key: {}", entry.level.name());
            found.add(STRING, Outcome::Violated, string, text, places);
            return;
        }
    }
    if !is_known {
        let text = format!("the analyzer did not search for `{string}`");
        found.add(STRING, Outcome::Undecided, string, text, Vec::new());
    }
}

fn kinds(rule: &'static str, kinds: &[String], listed: &[FindingEntry], found: &mut Found<'_>) {
    for entry in listed {
        let is_meant = kinds.iter().any(|kind| kind == "*" || *kind == *entry.kind);
        if is_meant && entry.level.is_keyless() {
            let text =
                format!("{} at {} can be read without a key: {}", entry.kind, entry.path, entry.redacted);
            let subject = format!("{} {}", entry.kind, entry.path);
            found.add(rule, Outcome::Violated, subject, text, vec![Place::from(&entry.location)]);
        }
    }
}
