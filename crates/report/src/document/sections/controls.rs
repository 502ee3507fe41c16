//! Chapter 7: the controls and the completeness of each capture, and what each check showed.

use exposure_schema::{CoverageControl, PlantedControl, SearchedAs};

use super::Builder;
use crate::document::line::{Inline, Line, line, strong};
use crate::document::{Block, Rank, Section, Table};
use crate::model::Capture;

impl Builder<'_> {
    pub(super) fn controls(&self) -> Section {
        let lang = self.lang;
        let all_passed = self.captures.iter().all(|capture| {
            let controls = &capture.controls;
            (capture.completeness.passed || capture.scope.is_some())
                && capture.reasons.is_empty()
                && controls.decoys.passed
                && controls.positive.passed
                && controls.wrong_key.as_ref().is_none_or(|control| control.passed)
                && controls.coverage.as_ref().is_none_or(|control| control.passed)
                && controls.planted.as_ref().is_none_or(|control| control.passed)
        });
        let text = if all_passed { lang.controls_text() } else { lang.controls_text_doubt() };
        let mut blocks = vec![Block::Paragraph(text), Block::Table(self.controls_table())];
        let strings = self.captures.iter().flat_map(|capture| capture.strings.iter());
        let searched = strings.filter(|string| string.searched_as != SearchedAs::Message);
        let worst = searched.map(|string| string.expected_chance_hits).fold(0.0, f64::max);
        blocks.push(Block::Paragraph(lang.controls_chance(&format!("{worst:.1e}"))));
        blocks.extend(self.scopes());
        self.part("controls", Rank::Chapter, lang.controls(), blocks)
    }

    fn controls_table(&self) -> Table {
        let lang = self.lang;
        let rows = vec![
            self.check(lang.control_positive(), lang.control_positive_asks(), Self::positive),
            self.check(lang.control_decoys(), lang.control_decoys_asks(), Self::decoys),
            self.check(lang.control_wrong_key(), lang.control_wrong_key_asks(), Self::wrong_key),
            self.check(lang.control_planted(), lang.control_planted_asks(), Self::planted),
            self.check(lang.control_coverage(), lang.control_coverage_asks(), Self::coverage),
            self.check(lang.control_messages(), lang.control_messages_asks(), Self::messages),
            self.check(lang.control_streams(), lang.control_streams_asks(), Self::streams),
            self.check(lang.control_explained(), lang.control_explained_asks(), Self::explained),
            self.check(lang.control_file(), lang.control_file_asks(), Self::capture_file),
        ];
        let mut columns = self.columns_of_captures(lang.control(), false);
        columns.insert(1, self.column(lang.asks()));
        Table { caption: lang.controls_table(), columns, rows, note: None }
    }

    /// A row: the name of the check, its question, and the answer of each capture.
    fn check(&self, name: &str, question: &str, answer: fn(&Self, &Capture) -> Line) -> Vec<Line> {
        let answers = self.captures.iter().map(|capture| answer(self, capture));
        [line![strong(name)], line![question]].into_iter().chain(answers).collect()
    }

    fn answer(&self, passed: bool, result: Line) -> Line {
        let text = if passed { self.lang.passed() } else { self.lang.failed() };
        line![Inline::Passed { passed, text: text.to_owned() }, ": ", result]
    }

    fn positive(&self, capture: &Capture) -> Line {
        let control = &capture.controls.positive;
        let result = self.lang.control_positive_showed(
            control.found,
            control.strings,
            control.bytes_searched,
            control.bytes_decrypted,
            control.key_log,
        );
        self.answer(control.passed, result)
    }

    fn decoys(&self, capture: &Capture) -> Line {
        let control = &capture.controls.decoys;
        self.answer(control.passed, self.lang.control_decoys_showed(control.found, control.searched))
    }

    fn wrong_key(&self, capture: &Capture) -> Line {
        let Some(control) = &capture.controls.wrong_key else { return line![self.lang.not_applicable()] };
        let result = self.lang.control_wrong_key_showed(control.authenticated, control.tried);
        self.answer(control.passed, result)
    }

    fn planted(&self, capture: &Capture) -> Line {
        let Some(control) = &capture.controls.planted else { return line![self.lang.not_applicable()] };
        let PlantedControl { passed, planted, found, forms, places, layers } = *control;
        self.answer(passed, self.lang.control_planted_showed(found, planted, forms, places, layers))
    }

    fn coverage(&self, capture: &Capture) -> Line {
        let Some(control) = &capture.controls.coverage else { return line![self.lang.not_applicable()] };
        let CoverageControl { passed, captured_bytes, bytes_in_frames, bytes_in_streams } = *control;
        let result = self.lang.control_coverage_showed(captured_bytes, bytes_in_streams, bytes_in_frames);
        self.answer(passed, result)
    }

    fn messages(&self, capture: &Capture) -> Line {
        let completeness = &capture.completeness;
        if capture.scope.is_some() && completeness.messages_expected == 0 {
            return line![self.lang.not_applicable()];
        }
        let all = completeness.messages_accounted == completeness.messages_expected
            && completeness.messages_expected > 0;
        self.answer(
            all,
            self.lang
                .control_messages_showed(completeness.messages_accounted, completeness.messages_expected),
        )
    }

    fn streams(&self, capture: &Capture) -> Line {
        let completeness = &capture.completeness;
        let whole = match &capture.scope {
            Some(_) => !has_doubt(capture, "stream.not-whole"),
            None => {
                completeness.streams_whole == completeness.streams
                    && completeness.gaps == 0
                    && completeness.overlap_conflicts == 0
            }
        };
        let result = self.lang.control_streams_showed(
            completeness.streams_whole,
            completeness.streams,
            completeness.gaps,
            completeness.overlap_conflicts,
        );
        self.answer(whole, result)
    }

    fn explained(&self, capture: &Capture) -> Line {
        let unexplained = capture.completeness.unexplained_bytes;
        let is_explained = match &capture.scope {
            Some(_) => !has_doubt(capture, "bytes.unexplained"),
            None => unexplained == 0,
        };
        self.answer(is_explained, self.lang.control_explained_showed(unexplained))
    }

    fn capture_file(&self, capture: &Capture) -> Line {
        let completeness = &capture.completeness;
        if capture.scope.is_some() {
            return line![self.lang.not_applicable()]; // no manifest; what nothing vouches for is listed below
        }
        let sound = completeness.hash_matches_manifest == Some(true)
            && completeness.capture_finished == Some(true)
            && completeness.kernel_drops.unwrap_or(0) == 0
            && completeness.frames_truncated == 0
            && completeness.frames_undecoded == 0;
        let result = self.lang.control_file_showed(
            completeness.hash_matches_manifest,
            completeness.kernel_drops,
            completeness.frames_truncated,
        );
        self.answer(sound, result)
    }
}

/// Whether a doubt of this kind is left about the scope of a verdict.
fn has_doubt(capture: &Capture, code: &str) -> bool {
    capture.doubts.iter().any(|doubt| doubt.code == code)
}
