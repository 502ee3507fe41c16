//! Chapters 6.1 to 6.3: what was said, what stands on the wire of it, and what TLS shows all the same.

use exposure_schema::{CertificateEntry, Event, HttpMessage, Level, ReadableEntry, TlsSession};

use super::{Builder, VALUE_SHOWN, first_proof};
use crate::document::calls::{self, Call};
use crate::document::exhibit::{self, is_encrypted};
use crate::document::line::{Line, captured, line, strong};
use crate::document::{Block, Code, Column, Section, Table, format};
use crate::figure::{self, Figure};
use crate::model::Capture;
use crate::visible;

/// Calls that a table lists: the script has a dozen, and the table says how many there are.
const CALLS_LISTED: usize = 50;

/// Marks that a table lists; the stream itself has them all.
const MARKS_LISTED: usize = 20;

/// ReadableEntry strings that are listed of a capture without journals.
const READABLE_LISTED: usize = 60;

/// TLS connections that are described: they differ in their ports.
const SESSIONS_DESCRIBED: usize = 2;

/// Bytes of a journalled body that are shown.
const BODY_SHOWN: usize = 2_000;

/// Names that one cell lists: versions, protocols, names in a certificate.
const NAMES_LISTED: usize = 8;

impl<'a> Builder<'a> {
    pub(super) fn logged(&self) -> Section {
        let lang = self.lang;
        let lines = self.captures.iter().map(|capture| capture.journal_total).sum();
        let strings = self.captures.iter().map(|capture| capture.summary.total).sum();
        let mut blocks = vec![Block::Paragraph(lang.logged_text(lines, strings))];
        if let Some(capture) =
            self.captures.iter().find(|capture| capture.journal.iter().any(|line| line.body.is_some()))
        {
            blocks.extend(self.first_call(capture));
        }
        for (index, capture) in self.numbered() {
            let calls = calls::of(capture);
            if !calls.is_empty() {
                blocks.push(Block::Table(self.calls(index, capture, &calls)));
            }
        }
        self.part("logged", "6.1", lang.logged(), blocks)
    }

    fn first_call(&self, capture: &Capture) -> Vec<Block> {
        let lang = self.lang;
        let Some(first) = capture.journal.iter().find(|line| line.body.is_some()) else { return Vec::new() };
        let id = first.message_id.as_deref().unwrap_or("?");
        let mut blocks = vec![Block::Paragraph(lang.first_call(&capture.name, id))];
        let same_agent = capture.journal.iter().filter(|line| line.agent == first.agent);
        for logged in same_agent.filter(|line| line.body.is_some()).take(2) {
            let body = logged.body.as_deref().unwrap_or_default();
            let event = match logged.event {
                Event::Sent => strong(lang.event_sent()),
                Event::Received => strong(lang.event_received()),
            };
            let bytes = line![lang.bytes(logged.body_bytes)];
            let at = logged.at_unix_ns.map_or_else(|| lang.unknown().to_owned(), format::date_time);
            let mut source = lang.logged_line(&logged.agent, event, bytes, &at, &logged.body_sha256);
            let shown = up_to(body, BODY_SHOWN);
            if shown.len() < body.len() {
                source = source.add(". ").add(lang.shortened_note(shown.len() as u64, logged.body_bytes));
            }
            blocks.push(Block::Code(Code { source, language: "json", text: shown.to_owned() }));
        }
        blocks
    }

    fn calls(&self, index: usize, capture: &Capture, calls: &[Call<'_>]) -> Table {
        let lang = self.lang;
        let start = capture.first_frame_at_unix_ns.unwrap_or(0);
        let begins = |message: &HttpMessage| {
            self.evidence.number(index, message.first_frame.unwrap_or(message.last_frame))
        };
        let row = |call: &Call<'_>| {
            let after =
                call.request.first_at_unix_ns.map(|at| format::milliseconds(at.saturating_sub(start)));
            let status = call.answer.and_then(|answer| answer.status);
            vec![
                line![captured(call.id)],
                line![after.unwrap_or_else(|| lang.unknown().to_owned())],
                line![call.request.body_bytes],
                line![begins(call.request)],
                call.answer.map_or_else(|| line![lang.none()], |answer| line![answer.body_bytes]),
                call.answer.map_or_else(|| line![lang.none()], |answer| line![begins(answer)]),
                line![status.map_or_else(|| lang.none().to_owned(), |status| status.to_string())],
                line![self.level(call.request.level)],
            ]
        };
        let columns = vec![
            self.column(lang.call()),
            self.number_column(lang.time_since_start()),
            self.number_column(lang.request()),
            self.number_column(lang.frame_column()),
            self.number_column(lang.answer()),
            self.number_column(lang.frame_column()),
            self.number_column(lang.status()),
            self.column(lang.message_level()),
        ];
        let listed = calls.len().min(CALLS_LISTED);
        // Of each call two messages; the analyzer lists the first of them only.
        let total = (capture.http_total / 2).max(calls.len() as u64);
        let mut note = Line::new();
        if total > listed as u64 {
            note = note.add(lang.calls_shown(listed as u64, total)).add(" ");
        }
        if is_encrypted(capture) {
            note = note.add(lang.calls_status_note());
        }
        Table {
            caption: line![captured(&capture.name), ". ", lang.calls_table()],
            columns,
            rows: calls[..listed].iter().map(row).collect(),
            note: Some(note).filter(|note| !note.0.is_empty()),
        }
    }

    pub(super) fn on_the_wire(&self) -> Section {
        let lang = self.lang;
        let mut blocks = Vec::new();
        let indexes = || 0..self.captures.len();
        let streams: Vec<_> =
            indexes().filter_map(|index| exhibit::stream(lang, &self.evidence, index)).collect();
        if streams.is_empty() {
            blocks.push(Block::Paragraph(lang.wire_none()));
        } else {
            let is_pair =
                streams.iter().any(|view| view.is_encrypted) && streams.iter().any(|view| !view.is_encrypted);
            let id = self.captures.iter().find_map(|capture| capture.exhibit.as_ref()?.message_id.as_deref());
            blocks.push(Block::Paragraph(lang.wire_text(id.unwrap_or("?"), is_pair)));
            let marks: Vec<Table> =
                streams.iter().filter(|view| !view.marks.is_empty()).map(|view| self.marks(view)).collect();
            blocks.push(Block::Streams(streams));
            blocks.extend(marks.into_iter().map(Block::Table));
        }
        let hex: Vec<_> = indexes().filter_map(|index| exhibit::hex(lang, &self.evidence, index)).collect();
        if !hex.is_empty() {
            blocks.push(Block::Paragraph(lang.hex_text()));
            blocks.push(Block::Hex(hex));
        }
        let all: Vec<&Capture> = self.captures.iter().collect();
        if let Some(levels) = figure::levels(lang, &all) {
            blocks.push(Block::Paragraph(lang.levels_text()));
            blocks.push(Block::Figures(vec![levels]));
            blocks.push(Block::Table(self.levels()));
        }
        for (index, capture) in self.numbered() {
            if !capture.readable.is_empty() {
                blocks.push(Block::Paragraph(lang.readable_text(capture.readable_total)));
                blocks.push(Block::Table(self.readable(index, capture)));
            }
        }
        let ladders: Vec<Figure> = self
            .numbered()
            .filter_map(|(index, capture)| {
                figure::ladder(lang, capture, is_encrypted(capture), self.evidence.slug(index))
            })
            .collect();
        if !ladders.is_empty() {
            blocks.push(Block::Paragraph(lang.ladder_text()));
            blocks.push(Block::Figures(ladders));
        }
        if let Some(bytes) = figure::bytes(lang, &all) {
            blocks.push(Block::Paragraph(lang.bytes_text()));
            blocks.push(Block::Figures(vec![bytes]));
            let parts = self.captures.iter().map(|capture| {
                let traffic = &capture.traffic;
                let share = format::percent(traffic.payload_printable_bytes, traffic.payload_bytes_sampled);
                line![captured(&capture.name), " ", share]
            });
            blocks.push(Block::Paragraph(lang.printable_note(Line::joined(parts, ", "))));
        }
        self.part("wire", "6.2", lang.on_the_wire(), blocks)
    }

    fn marks(&self, view: &exhibit::StreamView) -> Table {
        let lang = self.lang;
        let index = self.captures.iter().position(|capture| capture.name == view.capture).unwrap_or(0);
        let row = |mark: &exhibit::Mark| {
            let mut places = Line::joined(mark.places.iter().map(captured), ", ");
            if mark.places_more > 0 {
                places = places.add(" ").add(lang.and_more(mark.places_more));
            }
            vec![
                line![captured(&mark.title)],
                places,
                line![self.level(mark.level)],
                self.evidence.frames(index, &mark.frames),
                mark.file_offset.map_or_else(Line::new, |offset| line![offset]),
            ]
        };
        let listed = view.marks.len().min(MARKS_LISTED);
        let more = view.marks.len() > listed;
        Table {
            caption: lang.marks_table(&view.capture),
            columns: vec![
                self.column(lang.string()),
                self.column(lang.json_path()),
                self.column(lang.level()),
                self.number_column(lang.frame_column()),
                self.number_column(lang.file_offset()),
            ],
            rows: view.marks[..listed].iter().map(row).collect(),
            note: more.then(|| lang.marks_shown(listed as u64, view.marks.len() as u64)),
        }
    }

    fn levels(&self) -> Table {
        let lang = self.lang;
        let mut columns = vec![self.column(lang.level()), self.column(lang.level_takes())];
        columns.extend(
            self.captures
                .iter()
                .map(|capture| Column { title: line![captured(&capture.name)], is_number: true }),
        );
        let mut rows: Vec<Vec<Line>> = Level::ALL
            .into_iter()
            .map(|level| {
                let counts = self.numbered().map(|(index, capture)| {
                    let count = line![capture.summary.of(level)];
                    match first_proof(capture, level) {
                        Some(location) => {
                            count.add(" (").add(self.evidence.short(index, location.frames[0])).add(")")
                        }
                        None => count,
                    }
                });
                [line![self.level(level)], line![lang.level_means(level)]].into_iter().chain(counts).collect()
            })
            .collect();
        let totals = self.captures.iter().map(|capture| line![strong(format::count(capture.summary.total))]);
        rows.push([line![strong(lang.total())], Line::new()].into_iter().chain(totals).collect());
        Table { caption: lang.levels_table(), columns, rows, note: None }
    }

    fn readable(&self, index: usize, capture: &Capture) -> Table {
        let lang = self.lang;
        let row = |readable: &ReadableEntry| {
            vec![
                match &readable.value {
                    Some(value) => line![captured(visible::shortened(value, VALUE_SHOWN))],
                    None => lang.withheld(),
                },
                line![captured(&readable.path)],
                self.evidence.frames(index, &readable.location.frames),
                line![readable.location.file_offset],
            ]
        };
        let listed = capture.readable.len().min(READABLE_LISTED);
        let caption =
            line![captured(&capture.name), ". ", lang.readable_table(listed as u64, capture.readable_total)];
        Table {
            caption,
            columns: vec![
                self.column(lang.string()),
                self.column(lang.json_path()),
                self.number_column(lang.frame_column()),
                self.number_column(lang.file_offset()),
            ],
            rows: capture.readable[..listed].iter().map(row).collect(),
            note: None,
        }
    }

    pub(super) fn still_shown(&self) -> Section {
        let lang = self.lang;
        let mut blocks = Vec::new();
        for (index, capture) in self.numbered() {
            let Some(tls) = &capture.tls else { continue };
            if blocks.is_empty() {
                blocks.push(Block::Paragraph(lang.still_text()));
            }
            // Connections that differ in nothing but their port need no table each.
            let mut described: Vec<&TlsSession> = Vec::new();
            for session in &tls.sessions {
                let is_new = described.iter().all(|other| !is_alike(other, session));
                if is_new && described.len() < SESSIONS_DESCRIBED {
                    described.push(session);
                }
            }
            blocks
                .extend(described.iter().map(|session| Block::Table(self.session(index, capture, session))));
            let shown = described.len() as u64;
            if tls.connections > shown {
                let text = lang.still_connections(tls.connections, shown, tls.records.total);
                blocks.push(Block::Paragraph(text));
            }
        }
        if blocks.is_empty() {
            blocks.push(Block::Paragraph(lang.still_none()));
        }
        let shapes: Vec<(&Capture, bool)> =
            self.captures.iter().map(|capture| (capture, is_encrypted(capture))).collect();
        if let Some(shape) = figure::shape(lang, &shapes) {
            blocks.push(Block::Paragraph(lang.shape_text(self.is_same_conversation())));
            blocks.push(Block::Figures(vec![shape]));
        }
        self.part("still-shown", "6.3", lang.still_shown(), blocks)
    }

    fn session(&self, index: usize, capture: &Capture, session: &TlsSession) -> Table {
        let lang = self.lang;
        let (shown, hidden) = (&session.visible, &session.hidden);
        let list = |values: &[String]| match values {
            [] => line![lang.none()],
            values => Line::joined(values.iter().take(NAMES_LISTED).map(captured), ", "),
        };
        let encrypted = || line![lang.encrypted()];
        let certificate = |certificates: &[CertificateEntry]| {
            certificates.first().map(|leaf| {
                let names = leaf.subject_alt_names.iter().take(NAMES_LISTED).map(captured);
                line![captured(&leaf.subject), "; ", Line::joined(names, ", ")]
            })
        };
        let hybrid = shown.post_quantum_hybrid.map(|hybrid| {
            line![" (", if hybrid { lang.post_quantum() } else { lang.not_post_quantum() }, ")"]
        });
        let group = line![self.or_none(shown.named_group.as_deref()), hybrid];
        let pair = |numbers: [u64; 2]| line![numbers[0], ", ", numbers[1]];
        let connection = capture.connections.iter().find(|connection| connection.stream == session.stream);
        let hello = |wanted: &str| {
            let of_stream = capture.packets.iter().filter(|packet| packet.stream == Some(session.stream));
            let frame = of_stream
                .filter(|packet| packet.holds.iter().any(|held| held == wanted))
                .map(|packet| packet.frame);
            frame.min().map_or_else(Line::new, |frame| line![self.evidence.short(index, frame)])
        };
        let (client_hello, server_hello) = (hello("ClientHello"), hello("ServerHello"));
        let syn = connection
            .map_or_else(Line::new, |connection| line![self.evidence.short(index, connection.first_frame)]);
        let nothing = Line::new;
        let rows = vec![
            vec![
                line![lang.visible_addresses()],
                line![captured(format!("{} → {}", session.client, session.server))],
                nothing(),
                syn,
            ],
            vec![
                line![lang.visible_sni()],
                self.or_none(shown.server_name.as_deref()),
                nothing(),
                client_hello.clone(),
            ],
            vec![
                line![lang.visible_alpn_offered()],
                list(&shown.alpn_offered),
                nothing(),
                client_hello.clone(),
            ],
            vec![line![lang.visible_versions()], list(&shown.versions_offered), nothing(), client_hello],
            vec![
                line![lang.visible_alpn()],
                shown.alpn.as_deref().map_or_else(encrypted, |alpn| line![captured(alpn)]),
                hidden.alpn.as_deref().map_or_else(nothing, |alpn| line![captured(alpn)]),
                nothing(),
            ],
            vec![
                line![lang.visible_version()],
                self.or_none(shown.version.as_deref()),
                nothing(),
                server_hello.clone(),
            ],
            vec![
                line![lang.visible_suite()],
                self.or_none(shown.cipher_suite.as_deref()),
                nothing(),
                server_hello.clone(),
            ],
            vec![line![lang.visible_group()], group, nothing(), server_hello],
            vec![
                line![lang.visible_certificate()],
                certificate(&shown.certificates).unwrap_or_else(encrypted),
                certificate(&hidden.certificates).unwrap_or_default(),
                nothing(),
            ],
            vec![line![lang.visible_records()], pair(shown.records), nothing(), nothing()],
            vec![line![lang.visible_bytes()], pair(shown.stream_bytes), nothing(), nothing()],
        ];
        Table {
            caption: lang.still_table(&capture.name, session.stream),
            columns: vec![
                self.column(lang.measure()),
                self.column(lang.visible()),
                self.column(lang.with_key_log()),
                self.column(lang.first_proof()),
            ],
            rows,
            note: None,
        }
    }
}

/// Whether two connections show the same to everybody.
fn is_alike(one: &TlsSession, other: &TlsSession) -> bool {
    let (one, other) = (&one.visible, &other.visible);
    (&one.server_name, &one.alpn_offered, &one.version, &one.cipher_suite, &one.named_group)
        == (&other.server_name, &other.alpn_offered, &other.version, &other.cipher_suite, &other.named_group)
}

fn up_to(text: &str, bytes: usize) -> &str {
    match text
        .char_indices()
        .map(|(at, character)| at + character.len_utf8())
        .take_while(|end| *end <= bytes)
        .last()
    {
        Some(end) if end < text.len() => &text[..end],
        _ => text,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_is_cut_at_a_character() {
        assert_eq!([up_to("한국어", 7), up_to("한국어", 9), up_to("ab", 9)], ["한국", "한국어", "ab"]);
    }
}
