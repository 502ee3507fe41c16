//! Whether "not found" means "not there".

use exposure_schema::{Controls, DecoyControl, PositiveControl, Summary, WrongKeyControl};

use crate::analysis::CaptureReport;
use crate::search::MIN_PATTERN;
use crate::verdict::Doubts;

impl CaptureReport<'_> {
    /// Judges the controls; one that failed or is missing is a doubt.
    pub(crate) fn controls(&self, summary: &Summary, doubts: &mut Doubts) -> Controls {
        let found = summary.total - summary.absent;
        let positive = PositiveControl {
            passed: summary.total > 0 && summary.absent == 0,
            strings: summary.total,
            found,
            key_log: self.has_keys,
            bytes_searched: self.evidence.searched_bytes,
            bytes_decrypted: self.evidence.decrypted_bytes,
        };
        let has_tls = self.streams.tls > 0;
        if has_tls && !self.has_keys {
            doubts.search.push(
                "there is no positive control: no key log shows that the search would have found the strings"
                    .to_owned(),
            );
        } else if summary.absent > 0 {
            let why = format!(
                "the positive control failed: {} of {} strings were found at no level",
                summary.absent, summary.total
            );
            // In plaintext, too, a string that is nowhere says that something was missed.
            doubts.capture.push(why);
        }

        if has_tls && self.has_keys && self.streams.tls_unopened > 0 {
            let count = self.streams.tls_unopened;
            doubts.search.push(format!("the key log does not open both sides of {count} TLS connection(s)"));
        }
        if self.streams.http > 0 {
            // It was read, but a string could be hidden in it behind two encodings; TLS leaves no such place.
            doubts.search.push(format!("{} TCP stream(s) speak HTTP in the clear", self.streams.http));
        }

        let decoys = self.known.needles.iter().enumerate().filter(|(_, needle)| needle.is_decoy);
        let found = decoys.filter(|(id, _)| self.evidence.findings.of(*id as u32).total() > 0).count() as u64;
        let searched = self.known.decoys() as u64;
        let short = self.known.short_decoys();
        let decoys = DecoyControl { passed: searched > 0 && short == 0 && found == 0, searched, found };
        if found > 0 {
            doubts.capture.push(format!("{found} decoy(s) that were never sent were found"));
        } else if short > 0 {
            doubts.search.push(format!(
                "{short} decoy(s) of the manifest are shorter than {MIN_PATTERN} bytes: that they are not found shows nothing"
            ));
        } else if searched == 0 {
            doubts.search.push("there are no decoys: the manifest names none".to_owned());
        }

        let records = &self.streams.tls_records;
        let wrong_key = (has_tls && self.has_keys).then_some(WrongKeyControl {
            passed: records.control_tries > 0 && records.control_opened == 0,
            tried: records.control_tries,
            authenticated: records.control_opened,
        });
        if let Some(control) = &wrong_key {
            if control.authenticated > 0 {
                doubts
                    .search
                    .push(format!("{} record(s) authenticated with wrong keys", control.authenticated));
            } else if control.tried == 0 {
                doubts.search.push("no record was tried with wrong keys".to_owned());
            }
        }
        Controls { positive, decoys, wrong_key }
    }
}
