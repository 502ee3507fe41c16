//! Doubts: each makes the check inconclusive unless the policy accepts it.

use std::collections::BTreeSet;

use exposure_schema::DoubtEntry;
use time::Date;

use crate::file::Policy;
use crate::judgement::{Accepted, Found, Outcome};

/// The doubt that only states that there is no journal: a rule about what was sent needs one, others do not.
const NO_JOURNAL: &str = "journal.missing";

/// `used` gets the indices of the accepted doubts that are there.
pub(crate) fn judge(
    policy: &Policy,
    doubts: &[DoubtEntry],
    today: Date,
    found: &mut Found<'_>,
    accepted: &mut Vec<Accepted>,
    used: &mut BTreeSet<usize>,
) {
    let needs_journal = policy.sealed.verdict || !policy.sealed.strings.is_empty();
    for doubt in doubts {
        let code: &str = &doubt.code;
        if code == NO_JOURNAL && !needs_journal {
            continue;
        }
        let fits =
            |capture: &Option<String>| capture.as_deref().is_none_or(|capture| capture == found.capture);
        let mut allowing: Vec<_> = policy
            .allow
            .iter()
            .enumerate()
            .filter(|(_, allow)| allow.doubt == code && fits(&allow.capture))
            .collect();
        used.extend(allowing.iter().map(|(index, _)| *index));
        allowing.sort_by_key(|(_, allow)| allow.until);
        match allowing.last() {
            Some((_, allow)) if allow.until >= today => accepted.push(Accepted {
                capture: found.capture.to_owned(),
                doubt: code.to_owned(),
                reason: allow.reason.clone(),
                until: allow.until,
            }),
            Some((_, allow)) => {
                let text = format!("{} (accepted until {}, which is over)", doubt.text, allow.until);
                found.add("doubt", Outcome::Undecided, code, text, Vec::new());
            }
            None => found.add("doubt", Outcome::Undecided, code, &doubt.text, Vec::new()),
        }
    }
}
