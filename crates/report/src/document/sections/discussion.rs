//! Chapters 7 to 9: what it means.

use exposure_schema::{Conclusion, SearchedAs};

use super::Builder;
use crate::document::line::{Inline, Line, captured, line, quoted, strong};
use crate::document::{Block, Column, Section, Table, Tone};
use crate::model::Capture;

/// Reasons and errors that are listed, each list.
const REASONS_LISTED: usize = 40;

impl<'a> Builder<'a> {
    pub(super) fn controls(&self) -> Section {
        let lang = self.lang;
        let all_passed = self.captures.iter().all(|capture| {
            let controls = &capture.controls;
            capture.completeness.passed
                && capture.reasons.is_empty()
                && controls.decoys.passed
                && controls.positive.passed
                && controls.wrong_key.as_ref().is_none_or(|control| control.passed)
        });
        let text = if all_passed { lang.controls_text() } else { lang.controls_text_doubt() };
        let mut blocks = vec![Block::Paragraph(text), Block::Table(self.controls_table())];
        let strings = self.captures.iter().flat_map(|capture| capture.strings.iter());
        let searched = strings.filter(|string| string.searched_as != SearchedAs::Message);
        let worst = searched.map(|string| string.expected_chance_hits).fold(0.0, f64::max);
        blocks.push(Block::Paragraph(lang.controls_chance(&format!("{worst:.1e}"))));
        self.part("controls", "7", lang.controls(), blocks)
    }

    fn controls_table(&self) -> Table {
        let lang = self.lang;
        let passed = |passed: bool, showed: Line| {
            let text = if passed { lang.passed() } else { lang.failed() };
            line![Inline::Passed { passed, text: text.to_owned() }, ": ", showed]
        };
        let row = |title: &'static str, asks: &'static str, cell: &dyn Fn(&'a Capture) -> Line| {
            let cells = self.captures.iter().map(cell);
            [line![strong(title)], line![asks]].into_iter().chain(cells).collect::<Vec<Line>>()
        };
        let rows = vec![
            row(lang.control_positive(), lang.control_positive_asks(), &|capture| {
                let control = &capture.controls.positive;
                passed(
                    control.passed,
                    lang.control_positive_showed(
                        control.found,
                        control.strings,
                        control.bytes_searched,
                        control.bytes_decrypted,
                        control.key_log,
                    ),
                )
            }),
            row(lang.control_decoys(), lang.control_decoys_asks(), &|capture| {
                let control = &capture.controls.decoys;
                passed(control.passed, lang.control_decoys_showed(control.found, control.searched))
            }),
            row(lang.control_wrong_key(), lang.control_wrong_key_asks(), &|capture| match &capture
                .controls
                .wrong_key
            {
                Some(control) => passed(
                    control.passed,
                    lang.control_wrong_key_showed(control.authenticated, control.tried),
                ),
                None => line![lang.not_applicable()],
            }),
            row(lang.control_messages(), lang.control_messages_asks(), &|capture| {
                let seen = &capture.completeness;
                let all = seen.messages_accounted == seen.messages_expected && seen.messages_expected > 0;
                passed(all, lang.control_messages_showed(seen.messages_accounted, seen.messages_expected))
            }),
            row(lang.control_streams(), lang.control_streams_asks(), &|capture| {
                let seen = &capture.completeness;
                let whole =
                    seen.streams_whole == seen.streams && seen.gaps == 0 && seen.overlap_conflicts == 0;
                passed(
                    whole,
                    lang.control_streams_showed(
                        seen.streams_whole,
                        seen.streams,
                        seen.gaps,
                        seen.overlap_conflicts,
                    ),
                )
            }),
            row(lang.control_explained(), lang.control_explained_asks(), &|capture| {
                let unexplained = capture.completeness.unexplained_bytes;
                passed(unexplained == 0, lang.control_explained_showed(unexplained))
            }),
            row(lang.control_file(), lang.control_file_asks(), &|capture| {
                let seen = &capture.completeness;
                let sound = seen.hash_matches_manifest == Some(true)
                    && seen.capture_finished == Some(true)
                    && seen.kernel_drops.unwrap_or(0) == 0
                    && seen.frames_truncated == 0
                    && seen.frames_undecoded == 0;
                passed(
                    sound,
                    lang.control_file_showed(
                        seen.hash_matches_manifest,
                        seen.kernel_drops,
                        seen.frames_truncated,
                    ),
                )
            }),
        ];
        let mut columns = vec![self.column(lang.control()), self.column(lang.asks())];
        columns.extend(
            self.captures
                .iter()
                .map(|capture| Column { title: line![captured(&capture.name)], is_number: false }),
        );
        Table { caption: lang.controls_table(), columns, rows, note: None }
    }

    pub(super) fn environment(&self) -> Section {
        let lang = self.lang;
        let sum = |number: fn(&Capture) -> Option<u64>| self.captures.iter().filter_map(number).sum();
        let mut items = vec![lang.environment_backend(self.backend()), lang.environment_macos()];
        if self.captures.iter().any(|capture| capture.manifest.is_some()) {
            items.push(lang.environment_offload(
                sum(|capture| capture.manifest.as_ref()?.unfinished_checksums),
                sum(|capture| capture.manifest.as_ref()?.segmentation_offload_frames),
            ));
        }
        items.push(lang.environment_loss(
            sum(|capture| Some(capture.completeness.retransmissions)),
            sum(|capture| Some(capture.completeness.out_of_order)),
            sum(|capture| capture.completeness.kernel_drops),
        ));
        items.push(lang.environment_nagle());
        let blocks = vec![Block::Paragraph(lang.environment_text()), Block::List { ordered: false, items }];
        self.part("environment", "8", lang.environment(), blocks)
    }

    pub(super) fn conclusion(&self) -> Section {
        let lang = self.lang;
        let conclusion = self.exposure.conclusion;
        let mut lines = vec![match conclusion {
            Some(Conclusion::Proven) => {
                let [plain, sealed] = self.pair();
                let of = |found: Option<(usize, &Capture)>| found.map(|(_, capture)| capture.summary);
                let (plain, sealed) = (of(plain), of(sealed));
                lang.conclusion_proven_text(
                    plain.map_or(0, |summary| summary.keyless()),
                    plain.map_or(0, |summary| summary.total),
                    sealed.map_or(0, |summary| summary.total),
                )
            }
            Some(Conclusion::Refuted) => lang.conclusion_refuted_text(),
            Some(Conclusion::Inconclusive) => lang.conclusion_inconclusive_text(),
            None => lang.conclusion_none_text(),
        }];
        if conclusion == Some(Conclusion::Proven) {
            lines.push(lang.conclusion_proven_limits());
        }
        lines.extend(self.results());
        lines.extend(self.isolation_results());
        let mut blocks = vec![Block::Callout {
            tone: Tone::of(conclusion),
            title: lang.headline(conclusion).to_owned(),
            lines,
        }];
        let mut list = |intro: Line, reasons: &[String]| {
            if !reasons.is_empty() {
                blocks.push(Block::Paragraph(intro));
                let mut items: Vec<Line> =
                    reasons.iter().take(REASONS_LISTED).map(|reason| line![quoted(reason)]).collect();
                if reasons.len() > REASONS_LISTED {
                    items.push(line![lang.and_more((reasons.len() - REASONS_LISTED) as u64)]);
                }
                blocks.push(Block::List { ordered: false, items });
            }
        };
        list(lang.reasons_follow(), &self.exposure.reasons);
        for capture in self.captures {
            list(lang.reasons_of(&capture.name), &capture.reasons);
        }
        list(lang.errors_follow(), &self.exposure.errors);
        self.part("conclusion", "9", lang.conclusion(), blocks)
    }
}
