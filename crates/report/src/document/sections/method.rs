//! Chapters 1 to 5: aim, setup, project layout, main pieces, and how the experiment was run.

use exposure_schema::{Expected, ManifestEntry, Verdict};

use super::{Builder, CAPTURES_SHOWN, shell_word};
use crate::document::line::{Line, captured, code, line};
use crate::document::sources::{self, Excerpt};
use crate::document::{Block, Code, Rank, Section, Table};
use crate::figure;
use crate::model::Capture;

impl Builder<'_> {
    pub(super) fn aim(&self) -> Section {
        let lang = self.lang;
        let blocks = [lang.aim_question(), lang.aim_expected(), lang.aim_also()].map(Block::Paragraph);
        self.part("aim", Rank::Chapter, lang.aim(), blocks.into())
    }

    pub(super) fn setup(&self) -> Section {
        let lang = self.lang;
        let mut blocks = vec![Block::Paragraph(lang.setup_text(self.backend()))];
        if !self.captures.is_empty() {
            blocks.push(Block::Figures(vec![figure::setup(lang, self.captures)]));
        }
        let of_manifest = |capture: &Capture, text: fn(&ManifestEntry) -> Option<String>| {
            capture
                .manifest
                .as_ref()
                .and_then(text)
                .map_or_else(|| line![lang.unknown()], |text| line![captured(text)])
        };
        let rows = vec![
            self.row(line![lang.variant()], |_, capture| self.or_none(capture.variant.as_deref())),
            self.row(line![lang.protocol()], |_, capture| {
                of_manifest(capture, |manifest| Some(protocol(manifest)))
            }),
            self.row(line![lang.port()], |_, capture| {
                of_manifest(capture, |manifest| Some(manifest.port.to_string()))
            }),
            self.row(line![lang.backend()], |_, capture| self.or_none(capture.backend.as_deref())),
            self.row(line![lang.vantage()], |_, capture| match capture.vantage.as_deref() {
                Some("interface") => line![lang.vantage_interface()],
                Some("relay") => line![lang.vantage_relay()],
                other => self.or_none(other),
            }),
            self.row(line![lang.interface()], |_, capture| {
                self.or_none(capture.manifest.as_ref().and_then(|manifest| manifest.interface.as_deref()))
            }),
            self.row(line![lang.filter()], |_, capture| {
                let filter = capture.manifest.as_ref().and_then(|manifest| manifest.filter.as_deref());
                self.or_none(filter.filter(|filter| !filter.is_empty()))
            }),
            self.row(line![lang.frames()], |_, capture| line![capture.frames]),
            self.row(line![lang.expected()], |_, capture| match capture.expected_verdict {
                Some(Expected::Exposed) => line![self.verdict(Verdict::Exposed)],
                Some(Expected::Sealed) => line![self.verdict(Verdict::Sealed)],
                Some(Expected::Isolated) | None => line![lang.none()],
            }),
        ];
        let columns = self.columns_of_captures("", false);
        blocks.push(Block::Table(Table { caption: lang.setup_table(), columns, rows, note: None }));
        self.part("setup", Rank::Chapter, lang.setup(), blocks)
    }

    pub(super) fn layout(&self) -> Section {
        let lang = self.lang;
        let table = self.parts(lang.layout_table(), &sources::LAYOUT);
        let blocks = vec![Block::Paragraph(lang.layout_text()), Block::Table(table)];
        self.part("layout", Rank::Chapter, lang.layout(), blocks)
    }

    /// A table of parts of the project.
    pub(super) fn parts(&self, caption: Line, paths: &[&str]) -> Table {
        let rows = paths.iter().map(|path| vec![line![code(*path)], line![self.lang.part(path)]]);
        let columns = vec![self.column(self.lang.path()), self.column(self.lang.role())];
        Table { caption, columns, rows: rows.collect(), note: None }
    }

    pub(super) fn compose(&self) -> Section {
        let lang = self.lang;
        let mut blocks = vec![Block::Paragraph(lang.compose_text(self.backend() == Some("docker")))];
        blocks.extend(self.excerpt(&sources::COMPOSE_SERVER));
        blocks.push(Block::Paragraph(lang.compose_tls_text()));
        blocks.extend(self.excerpt(&sources::COMPOSE_TLS_CLIENT));
        self.part("compose", Rank::Part, lang.pieces_compose(), blocks)
    }

    pub(super) fn client(&self) -> Section {
        let mut blocks = vec![Block::Paragraph(self.lang.client_text())];
        blocks.extend(self.excerpt(&sources::CLIENT));
        self.part("client", Rank::Part, self.lang.pieces_client(), blocks)
    }

    pub(super) fn server(&self) -> Section {
        let mut blocks = vec![Block::Paragraph(self.lang.server_text())];
        blocks.extend(self.excerpt(&sources::SERVER_ANSWER));
        self.part("server", Rank::Part, self.lang.pieces_server(), blocks)
    }

    pub(super) fn excerpt(&self, excerpt: &Excerpt) -> Option<Block> {
        let (first, text) = excerpt.lines()?;
        let source = self.lang.excerpt_source(excerpt.path, first as u64);
        Some(Block::Code(Code { source, language: excerpt.language, text }))
    }

    pub(super) fn running(&self) -> Section {
        let lang = self.lang;
        let commands = commands(self.backend(), self.captures);
        let text = match self.backend() {
            Some(backend) => lang.running_text(backend == "docker"),
            None => lang.running_foreign(),
        };
        let mut blocks = vec![
            Block::Paragraph(text),
            Block::Code(Code { source: Line::new(), language: "sh", text: commands }),
        ];
        let rows = vec![
            self.row(line![lang.run_id()], |_, capture| self.or_none(capture.run_id.as_deref())),
            self.row(line![lang.started()], |_, capture| {
                self.time(capture.manifest.as_ref().and_then(|manifest| manifest.started_at_unix_ns))
            }),
            self.row(line![lang.first_frame()], |_, capture| self.time(capture.first_frame_at_unix_ns)),
            self.row(line![lang.last_frame()], |_, capture| self.time(capture.last_frame_at_unix_ns)),
            self.row(line![lang.ended()], |_, capture| {
                self.time(capture.manifest.as_ref().and_then(|manifest| manifest.ended_at_unix_ns))
            }),
            self.row(line![lang.capturer()], |_, capture| {
                match capture.manifest.as_ref().and_then(|manifest| manifest.program.as_ref()) {
                    Some(program) => line![captured(format!("{} {}", program.name, program.version))],
                    None => line![lang.unknown()],
                }
            }),
            self.row(line![lang.analyzer()], |_, _| {
                let program = &self.exposure.program;
                line![captured(format!("{} {}", program.name, program.version))]
            }),
            self.row(line![lang.journals()], |_, capture| match &capture.manifest {
                Some(manifest) if !manifest.journals.is_empty() => {
                    Line::joined(manifest.journals.iter().take(CAPTURES_SHOWN).map(captured), ", ")
                }
                _ => line![lang.none()],
            }),
            self.row(line![lang.key_log()], |_, capture| {
                self.or_none(capture.manifest.as_ref().and_then(|manifest| manifest.key_log.as_deref()))
            }),
        ];
        let columns = self.columns_of_captures("", false);
        blocks.push(Block::Table(Table { caption: lang.running_table(), columns, rows, note: None }));
        self.part("running", Rank::Chapter, lang.running(), blocks)
    }
}

/// HTTP version and TLS versions as text.
fn protocol(manifest: &ManifestEntry) -> String {
    let mut text = format!("HTTP/{}", manifest.http_version);
    if !manifest.tls_versions.is_empty() {
        text += &format!(", TLS {}", manifest.tls_versions.join(", "));
    } else if manifest.scheme == "https" {
        text += ", TLS";
    }
    text
}

/// The commands that make, analyze and report runs like these.
fn commands(backend: Option<&str>, captures: &[Capture]) -> String {
    let files: Vec<String> = captures.iter().map(|capture| shell_word(&capture.file)).collect();
    let variants: Vec<String> =
        captures.iter().filter_map(|capture| capture.variant.as_deref()).map(shell_word).collect();
    let variants = variants.join(" ");
    let analyze = format!("cargo run --bin analyze -- {}\ncargo run --bin report", files.join(" "));
    match backend {
        Some("docker") => format!("make {variants}\n{analyze}"),
        Some(backend) => format!(
            "make lab\n\n# step by step\ncargo run --bin lab -- run {variants} --backend {}\n{analyze}",
            shell_word(backend)
        ),
        None => analyze,
    }
}
