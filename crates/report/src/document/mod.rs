//! The contents of the report in one language, independent of the format. Markdown, HTML and, through HTML, PDF are
//! written from the same [`Document`], so all of them contain the same numbers.

mod arrangement;
pub(crate) mod calls;
pub(crate) mod evidence;
pub(crate) mod exhibit;
pub(crate) mod format;
pub(crate) mod line;
mod numbering;
mod sections;
pub(crate) mod sources;

use exposure_schema::Conclusion;

use crate::document::exhibit::{HexView, StreamView};
use crate::document::line::Line;
use crate::figure::Figure;
use crate::i18n::Lang;
use crate::model::Exposure;
use crate::template::Wanted;

/// What the user asks the report for.
#[derive(Debug, Clone, Default)]
pub(crate) struct Wishes {
    pub(crate) title_page: TitlePage,
    /// Whether the appendices are wanted.
    pub(crate) appendix: bool,
    /// Sections in the order of a template, which also names the appendices.
    pub(crate) template: Option<Vec<Wanted>>,
}

/// Details of the title page that the user sets.
#[derive(Debug, Clone, Default)]
pub(crate) struct TitlePage {
    pub(crate) title: Option<String>,
    pub(crate) author: Option<String>,
    pub(crate) course: Option<String>,
    pub(crate) date: Option<String>,
}

#[derive(Debug)]
pub(crate) struct Document {
    pub(crate) lang: Lang,
    pub(crate) title: String,
    /// Author, course, date: name and value.
    pub(crate) about: Vec<(&'static str, String)>,
    pub(crate) first_frame_at_unix_ns: Option<u64>,
    pub(crate) conclusion: Option<Conclusion>,
    /// The conclusion as a heading.
    pub(crate) headline: &'static str,
    /// The result in a few lines, for the top of the report.
    pub(crate) summary: Vec<Line>,
    pub(crate) sections: Vec<Section>,
}

/// A chapter, a part of one, or an appendix.
#[derive(Debug)]
pub(crate) struct Section {
    /// Target of links to the section.
    pub(crate) id: String,
    pub(crate) rank: Rank,
    /// `6.2`, `A`; empty until all sections are there.
    pub(crate) number: String,
    pub(crate) title: String,
    pub(crate) blocks: Vec<Block>,
}

/// The place of a section among the others.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Rank {
    Chapter,
    /// A part of the chapter before it.
    Part,
    Appendix,
}

#[derive(Debug)]
pub(crate) enum Block {
    Paragraph(Line),
    List {
        ordered: bool,
        items: Vec<Line>,
    },
    Table(Table),
    Code(Code),
    /// One figure, or several side by side.
    Figures(Vec<Figure>),
    /// A highlighted box.
    Callout {
        tone: Tone,
        title: String,
        lines: Vec<Line>,
    },
    Streams(Vec<StreamView>),
    Hex(Vec<HexView>),
    /// Targets of links.
    Entries(Vec<Entry>),
}

/// The colour of a callout.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Tone {
    Good,
    Bad,
    Doubt,
    Neutral,
}

impl Tone {
    pub(crate) fn of(conclusion: Option<Conclusion>) -> Self {
        match conclusion {
            Some(Conclusion::Proven) => Self::Good,
            Some(Conclusion::Refuted) => Self::Bad,
            Some(Conclusion::Inconclusive) => Self::Doubt,
            None => Self::Neutral,
        }
    }

    pub(crate) fn class(self) -> &'static str {
        match self {
            Self::Good => "good",
            Self::Bad => "bad",
            Self::Doubt => "doubt",
            Self::Neutral => "neutral",
        }
    }
}

#[derive(Debug)]
pub(crate) struct Table {
    pub(crate) caption: Line,
    pub(crate) columns: Vec<Column>,
    pub(crate) rows: Vec<Vec<Line>>,
    /// What the table leaves out, or how to read it.
    pub(crate) note: Option<Line>,
}

#[derive(Debug)]
pub(crate) struct Column {
    pub(crate) title: Line,
    pub(crate) is_number: bool,
}

/// Code, or text that was captured.
#[derive(Debug)]
pub(crate) struct Code {
    /// Where the text comes from.
    pub(crate) source: Line,
    /// For highlighters: `rust`, `yaml`, `sh`, `json`; empty for none.
    pub(crate) language: &'static str,
    pub(crate) text: String,
}

/// Facts about one frame, with a target for links.
#[derive(Debug)]
pub(crate) struct Entry {
    /// Target of the links, and their text.
    pub(crate) id: String,
    pub(crate) facts: Vec<(&'static str, Line)>,
}

/// Builds the report of an analyzer's result.
pub(crate) fn build(exposure: &Exposure, lang: Lang, wishes: &Wishes) -> Document {
    sections::build(exposure, lang, wishes)
}
