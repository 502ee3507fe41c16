//! Chapter 6.5: the isolation experiment. In identifiers a sandbox is called `box`.

use exposure_schema::{Isolation, IsolationVerdict, Occurrence, PhaseName, ProtectedAnswer, ProtectionEntry};

use super::Builder;
use crate::document::line::{Inline, Line, captured, line, quoted};
use crate::document::{Block, Rank, Section, Table, Tone};

/// Reasons of one run that are listed.
const REASONS_LISTED: usize = 40;

impl Builder<'_> {
    /// `None` if the result has no isolation run.
    pub(super) fn isolation(&self) -> Option<Section> {
        let runs = &self.exposure.isolation;
        let blocks: Vec<Block> = runs.iter().flat_map(|run| self.isolation_run(run)).collect();
        (!blocks.is_empty()).then(|| self.part("isolation", Rank::Part, self.lang.isolation(), blocks))
    }

    /// The result of each run in a sentence.
    pub(super) fn isolation_results(&self) -> impl Iterator<Item = Line> {
        self.exposure.isolation.iter().map(|run| self.isolation_result(run))
    }

    fn isolation_result(&self, run: &Isolation) -> Line {
        self.lang.isolation_result(run.verdict, run.box_frames, run.box_canaries, run.secrets_crossed)
    }

    fn isolation_run(&self, run: &Isolation) -> Vec<Block> {
        let lang = self.lang;
        let tone = match run.verdict {
            IsolationVerdict::Isolated => Tone::Good,
            IsolationVerdict::Leaked => Tone::Bad,
            IsolationVerdict::Inconclusive => Tone::Doubt,
        };
        let mut lines = vec![self.isolation_result(run)];
        lines.extend(run.reasons.iter().take(REASONS_LISTED).map(|reason| line![quoted(reason)]));
        if run.reasons.len() > REASONS_LISTED {
            lines.push(line![lang.and_more((run.reasons.len() - REASONS_LISTED) as u64)]);
        }
        let mut blocks = vec![
            Block::Paragraph(lang.isolation_text(&run.file, &run.backend, run.boxes_total)),
            Block::Callout { tone, title: format!("{} {}", lang.run_id(), run.run_id), lines },
            Block::Table(self.escape_attempts(run)),
        ];
        blocks.extend(run.measured.iter().map(|measured| Block::Paragraph(lang.measured(measured))));
        blocks.push(Block::Table(self.interfaces(run)));
        blocks.push(Block::Paragraph(lang.accounts(run.traffic, run.controls.beacons)));
        blocks.extend(self.limits(run).map(Block::Table));
        if let Some(identity) = &run.identity {
            let from = |from: &Option<String>| from.as_ref().map(|from| line![captured(from)]);
            blocks.push(Block::Paragraph(lang.identity_text(
                &identity.user,
                self.occurrence(identity.read.as_ref(), from(&identity.read_from)),
                self.occurrence(identity.replayed.as_ref(), from(&identity.replayed_from)),
                self.occurrence(identity.answered.as_ref(), None),
            )));
        }
        if !run.protections.is_empty() {
            blocks.push(Block::Paragraph(lang.protections_text()));
            blocks.push(Block::Table(self.protections(run)));
        }
        blocks
    }

    /// Who was answered what where users are authenticated over TLS.
    fn protections(&self, run: &Isolation) -> Table {
        let lang = self.lang;
        let rows = run.protections.iter().flat_map(|protection| {
            let row = move |client: &str, answer: &ProtectedAnswer| {
                vec![
                    line![captured(&protection.auth)],
                    line![client],
                    line![lang.credential(answer.credential)],
                    line![u64::from(answer.status)],
                    self.occurrence(answer.answered.as_ref(), Some(line![captured(&answer.from)])),
                    line![protection.read],
                    self.is_shown(protection),
                ]
            };
            let owner = protection.owner.iter().map(move |answer| row(lang.owner(), answer));
            let replays = protection.replays.iter().map(move |answer| row(lang.intruder(), answer));
            let rows: Vec<_> = owner.chain(replays).collect();
            if rows.is_empty() { vec![self.nothing_shown(protection)] } else { rows }
        });
        let columns = vec![
            self.column(lang.authentication()),
            self.column(lang.scope_client()),
            self.column(lang.shows_beside_the_id()),
            self.number_column(lang.status()),
            self.column(lang.answer_seen()),
            self.number_column(lang.read_without_key()),
            self.column(lang.protection_shown()),
        ];
        Table { caption: lang.protections_table(), columns, rows: rows.collect(), note: None }
    }

    /// The row of a protection without any answer.
    fn nothing_shown(&self, protection: &ProtectionEntry) -> Vec<Line> {
        let none = || self.or_none(None);
        let auth = line![captured(&protection.auth)];
        vec![auth, none(), none(), none(), none(), line![protection.read], self.is_shown(protection)]
    }

    fn is_shown(&self, protection: &ProtectionEntry) -> Line {
        let passed = protection.shown;
        let text = if passed { self.lang.passed() } else { self.lang.failed() };
        line![Inline::Passed { passed, text: text.to_owned() }]
    }

    fn escape_attempts(&self, run: &Isolation) -> Table {
        let lang = self.lang;
        let rows = run.kinds.iter().map(|kind| {
            let text = if kind.control_passed { lang.passed() } else { lang.failed() };
            vec![
                line![captured(&kind.kind)],
                line![kind.tried],
                line![kind.seen],
                line![kind.control_tried],
                line![kind.control_seen],
                line![Inline::Passed { passed: kind.control_passed, text: text.to_owned() }],
            ]
        });
        let columns = vec![
            self.column(lang.escape_attempt()),
            self.number_column(lang.tried_in_box()),
            self.number_column(lang.seen()),
            self.number_column(lang.tried_with_network()),
            self.number_column(lang.seen()),
            self.column(lang.control()),
        ];
        Table { caption: lang.escape_attempts_table(), columns, rows: rows.collect(), note: None }
    }

    fn interfaces(&self, run: &Isolation) -> Table {
        let lang = self.lang;
        let rows = run.interfaces.iter().map(|interface| {
            let phase = match interface.phase {
                PhaseName::Isolated => lang.phase_isolated(),
                PhaseName::Control => lang.phase_control(),
            };
            vec![
                line![phase],
                self.or_none(interface.interface.as_deref()),
                line![interface.frames],
                line![interface.talk_frames + interface.arp_frames],
                line![interface.beacon_frames],
                line![interface.box_frames],
                line![captured(&interface.file)],
                line![captured(&interface.sha256)],
            ]
        });
        let columns = vec![
            self.column(lang.phase()),
            self.column(lang.interface()),
            self.number_column(lang.frames()),
            self.number_column(lang.user_traffic()),
            self.number_column(lang.beacons()),
            self.number_column(lang.of_boxes()),
            self.column(lang.file()),
            self.column("SHA-256"),
        ];
        Table { caption: lang.interfaces_table(), columns, rows: rows.collect(), note: None }
    }

    /// The limits of the first sandbox; all sandboxes have the same.
    fn limits(&self, run: &Isolation) -> Option<Table> {
        let lang = self.lang;
        let first = run.boxes.iter().find(|one| one.phase == PhaseName::Isolated)?;
        let rows = first.limits.iter().map(|limit| {
            vec![
                line![captured(&limit.name)],
                line![captured(&limit.value)],
                line![captured(&limit.mechanism)],
            ]
        });
        let columns = [lang.limit(), lang.in_force(), lang.mechanism()].map(|title| self.column(title));
        Some(Table {
            caption: lang.limits_table(),
            columns: columns.into(),
            rows: rows.collect(),
            note: None,
        })
    }

    /// Where something was seen, in words: the first frame, its capture and its sender; or that it was not seen.
    fn occurrence(&self, seen: Option<&Occurrence>, from: Option<Line>) -> Line {
        let found = seen.and_then(|seen| Some((seen, *seen.location.frames.first()?)));
        match found {
            Some((seen, frame)) => self.lang.seen_at(frame, &seen.file, &seen.location.filter, from),
            None => self.lang.not_seen(),
        }
    }
}
