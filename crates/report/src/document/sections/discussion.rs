//! Chapters 8 and 9: the environment, and the conclusion with its reasons.

use exposure_schema::Conclusion;

use super::Builder;
use crate::document::line::{Line, line, quoted};
use crate::document::{Block, Rank, Section, Tone};
use crate::model::Capture;

/// Entries of one list of reasons or errors.
const REASONS_LISTED: usize = 40;

impl Builder<'_> {
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
        self.part("environment", Rank::Chapter, lang.environment(), blocks)
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
        let name = |file: &str| {
            let capture = self.captures.iter().find(|capture| capture.file == file);
            capture.map_or(file, |capture| capture.name.as_str()).to_owned()
        };
        let pairs = self.exposure.compared.iter();
        lines.extend(pairs.map(|pair| lang.compared(&name(&pair.plaintext), &name(&pair.tls))));
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
        if conclusion.is_some() {
            list(lang.not_compared_follow(), &self.exposure.not_compared);
        }
        list(lang.errors_follow(), &self.exposure.errors);
        self.part("conclusion", Rank::Chapter, lang.conclusion(), blocks)
    }
}
