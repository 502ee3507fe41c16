//! How to check the report by hand, and the appendices.

use exposure_schema::{Direction, HttpMessage, Level, StringEntry};

use super::{Builder, VALUE_SHOWN, first_string, shell_word};
use crate::document::exhibit::is_encrypted;
use crate::document::line::{Inline, Line, captured, code, line};
use crate::document::{Block, Code, Entry, Rank, Section, Table, format, sources};
use crate::figure::{self, Figure};
use crate::model::Capture;
use crate::visible;

/// Strings of one capture in the appendix: the first request has seven, and there are five levels.
const STRINGS_LISTED: usize = 24;

impl Builder<'_> {
    pub(super) fn evidence_appendix(&self) -> Section {
        let lang = self.lang;
        let mut blocks = vec![Block::Paragraph(lang.evidence_text())];
        for (index, capture) in self.numbered() {
            if !capture.strings.is_empty() {
                blocks.push(Block::Table(self.strings(index, capture)));
            }
        }
        let cited = self.evidence.cited();
        blocks.push(Block::Paragraph(lang.evidence_frames_text(cited.len() as u64)));
        blocks
            .push(Block::Entries(cited.into_iter().map(|(index, frame)| self.entry(index, frame)).collect()));
        self.part("evidence", Rank::Appendix, lang.appendix_evidence(), blocks)
    }

    /// The files that the evidence is in.
    fn files(&self) -> Table {
        let lang = self.lang;
        let rows = self.captures.iter().map(|capture| {
            vec![
                line![captured(&capture.file)],
                line![captured(&capture.sha256)],
                line![capture.bytes],
                line![capture.frames],
                capture.verdict.map_or_else(|| line![lang.none()], |verdict| line![self.verdict(verdict)]),
            ]
        });
        Table {
            caption: lang.evidence_files_table(),
            columns: vec![
                self.column(lang.file()),
                self.column(lang.sha256()),
                self.number_column(lang.file_bytes()),
                self.number_column(lang.frames()),
                self.column(lang.verdict()),
            ],
            rows: rows.collect(),
            note: None,
        }
    }

    /// Code that the main part has no room for.
    pub(super) fn more_code(&self) -> Section {
        let lang = self.lang;
        let mut blocks = vec![Block::Table(self.parts(lang.other_parts_table(), &sources::OTHER_PARTS))];
        blocks.push(Block::Paragraph(lang.compose_capturer_text()));
        blocks.extend(self.excerpt(&sources::COMPOSE_CAPTURER));
        blocks.push(Block::Paragraph(lang.server_routes_text()));
        blocks.extend(self.excerpt(&sources::SERVER_ROUTES));
        blocks.push(Block::Paragraph(lang.server_tls_text()));
        blocks.extend(self.excerpt(&sources::SERVER_TLS));
        self.part("more-code", Rank::Appendix, lang.appendix_code(), blocks)
    }

    /// The packets of the first exchange one by one.
    pub(super) fn more_figures(&self) -> Section {
        let lang = self.lang;
        let ladder = |(index, capture)| {
            figure::ladder(lang, capture, is_encrypted(capture), self.evidence.slug(index))
        };
        let ladders: Vec<Figure> = self.numbered().filter_map(ladder).collect();
        let mut blocks =
            vec![Block::Paragraph(if ladders.is_empty() { lang.wire_none() } else { lang.ladder_text() })];
        if !ladders.is_empty() {
            blocks.push(Block::Figures(ladders));
        }
        self.part("more-figures", Rank::Appendix, lang.appendix_figures(), blocks)
    }

    fn strings(&self, index: usize, capture: &Capture) -> Table {
        let lang = self.lang;
        let first_message = capture.exhibit.as_ref().and_then(|exhibit| exhibit.message_id.as_ref());
        let mut levels_seen = Vec::new();
        let is_listed = |string: &&StringEntry| {
            let is_first_of_level = !levels_seen.contains(&string.level);
            if is_first_of_level {
                levels_seen.push(string.level);
            }
            let is_of_message = first_message.is_some() && string.message_id.as_ref() == first_message;
            is_first_of_level || (is_of_message && string.direction == Some(Direction::ClientToServer))
        };
        let listed: Vec<_> = capture.strings.iter().filter(is_listed).take(STRINGS_LISTED).collect();
        let rows = listed.iter().map(|string| {
            let location = string.locations.first();
            vec![
                line![captured(visible::shortened(&string.value, VALUE_SHOWN))],
                line![captured(&string.path)],
                line![self.level(string.level)],
                location.map_or_else(Line::new, |location| self.evidence.frames(index, &location.frames)),
                location.map_or_else(Line::new, |location| line![location.file_offset]),
                location.map_or_else(Line::new, |location| match location.layers.as_slice() {
                    [] => line![lang.layers_none()],
                    layers => Line::joined(layers.iter().map(|layer| captured(layer.as_ref())), ", "),
                }),
                location.map_or_else(Line::new, |location| {
                    line![captured(visible::shortened(&location.filter, 90))]
                }),
            ]
        });
        Table {
            caption: lang.evidence_strings_table(&capture.name),
            columns: vec![
                self.column(lang.string()),
                self.column(lang.json_path()),
                self.column(lang.level()),
                self.number_column(lang.frame_column()),
                self.number_column(lang.file_offset()),
                self.column(lang.undo()),
                self.column(lang.wireshark_filter()),
            ],
            rows: rows.collect(),
            note: Some(lang.evidence_strings_note(listed.len() as u64, capture.summary.total)),
        }
    }

    fn entry(&self, index: usize, frame: u64) -> Entry {
        let lang = self.lang;
        let capture = &self.captures[index];
        let started = capture.first_frame_at_unix_ns.unwrap_or(0);
        let mut facts =
            vec![(lang.capture(), line![captured(&capture.name)]), (lang.frame_column(), line![frame])];
        if let Some(packet) = capture.packets.iter().find(|packet| packet.frame == frame) {
            let ends = match (&packet.source, &packet.destination) {
                (Some(source), Some(destination)) => format!("{source} → {destination}"),
                _ => packet.protocol.clone(),
            };
            let mut holds: Vec<Line> =
                packet.holds.iter().take(8).map(|held| line![captured(held)]).collect();
            if holds.is_empty() && packet.payload_bytes == 0 {
                holds.push(line![code(packet.flags.join(" "))]);
            }
            facts.extend([
                (lang.time(), line![format::milliseconds(packet.at_unix_ns.saturating_sub(started))]),
                (lang.ends(), line![captured(ends)]),
                (lang.size(), line![lang.bytes(packet.wire_bytes)]),
                (lang.holds(), Line::joined(holds, ", ")),
            ]);
        } else {
            // The packet list ends early. For later frames, the HTTP messages show what begins in them.
            let message = capture.http.iter().find(|message| message.first_frame == Some(frame));
            let at = message.and_then(|message| message.first_at_unix_ns);
            let ends =
                message.and_then(|message| message.direction).map(|direction| lang.direction(direction));
            facts.extend([
                (lang.time(), line![at.map(|at| format::milliseconds(at.saturating_sub(started)))]),
                (lang.ends(), line![ends]),
                (lang.size(), Line::new()),
                (lang.holds(), line![message.map(head)]),
            ]);
        }
        facts.push((lang.wireshark_filter(), line![code(format!("frame.number == {frame}"))]));
        Entry { id: self.evidence.id(index, frame), facts }
    }

    pub(super) fn by_hand(&self) -> Section {
        let lang = self.lang;
        let mut blocks = vec![Block::Paragraph(lang.by_hand_intro())];
        let files: Vec<String> = self.captures.iter().map(|capture| shell_word(&capture.file)).collect();
        let mut items = Vec::new();
        if !files.is_empty() {
            blocks.push(Block::Table(self.files()));
            blocks.push(Block::Paragraph(lang.by_hand_hash()));
            let text = format!("sha256sum {}", files.join(" "));
            blocks.push(Block::Code(Code { source: Line::new(), language: "sh", text }));
        }
        let [plain, sealed] = self.pair();
        if let Some((index, capture)) = plain
            && let Some((value, location)) = first_string(capture, Level::Verbatim)
        {
            let frame = self.evidence.frame(index, location.frames[0]);
            items.push(lang.by_hand_plain(&capture.file, frame, &location.filter, value));
            items.extend(location.stream.map(|stream| lang.by_hand_follow(stream)));
        }
        let mut keys = None;
        if let Some((index, capture)) = sealed
            && let Some((value, location)) = first_string(capture, Level::Decrypted)
        {
            let frame = self.evidence.frame(index, location.frames[0]);
            items.push(lang.by_hand_sealed(&capture.file, frame, &location.filter, value));
            items.extend(location.stream.map(|stream| lang.by_hand_names(stream)));
            keys = capture.manifest.as_ref().and_then(|manifest| manifest.key_log.as_deref()).map(|name| {
                let folder =
                    capture.file.rsplit_once('/').map_or(String::new(), |(folder, _)| format!("{folder}/"));
                let keys = shell_word(&format!("tls.keylog_file:{folder}{name}"));
                format!("wireshark -o {keys} {}", shell_word(&capture.file))
            });
        }
        if !items.is_empty() {
            blocks.push(Block::List { ordered: true, items });
        }
        if let Some(text) = keys {
            blocks.push(Block::Paragraph(lang.by_hand_keys()));
            blocks.push(Block::Code(Code { source: Line::new(), language: "sh", text }));
        }
        let program = &self.exposure.program;
        blocks.push(Block::Paragraph(lang.written_by(&program.name, &program.version)));
        self.part("by-hand", Rank::Chapter, lang.by_hand(), blocks)
    }
}

/// Method and target of a request, or the status of an answer.
fn head(message: &HttpMessage) -> Inline {
    let target = message.target.as_deref().unwrap_or_default();
    captured(match (&message.method, message.status) {
        (Some(method), _) => visible::shortened(&format!("{method} {target}"), VALUE_SHOWN),
        (None, Some(status)) => status.to_string(),
        (None, None) => String::new(),
    })
}
