//! Everything that the report says, in order and in one language, before it takes a format. Markdown, HTML and, through
//! it, PDF are written from this one value: a number that stands in one of them stands in all.

pub(crate) mod calls;
pub(crate) mod evidence;
pub(crate) mod exhibit;
pub(crate) mod format;
pub(crate) mod line;
mod sections;
pub(crate) mod sources;

use exposure_schema::Conclusion;

use crate::document::exhibit::{HexView, StreamView};
use crate::document::line::Line;
use crate::figure::Figure;
use crate::i18n::Lang;
use crate::model::Exposure;

/// What the person who hands the report in wants on it.
#[derive(Debug, Clone, Default)]
pub(crate) struct TitlePage {
    pub(crate) title: Option<String>,
    pub(crate) author: Option<String>,
    pub(crate) course: Option<String>,
    pub(crate) date: Option<String>,
}

/// A report.
#[derive(Debug)]
pub(crate) struct Document {
    pub(crate) lang: Lang,
    pub(crate) title: String,
    /// Author, course, date: name and value.
    pub(crate) about: Vec<(&'static str, String)>,
    pub(crate) first_frame_at_unix_ns: Option<u64>,
    pub(crate) conclusion: Option<Conclusion>,
    /// The conclusion in a word or two.
    pub(crate) headline: &'static str,
    /// What the conclusion says, in a few lines.
    pub(crate) summary: Vec<Line>,
    pub(crate) sections: Vec<Section>,
}

/// A numbered part of it.
#[derive(Debug)]
pub(crate) struct Section {
    /// What links go to.
    pub(crate) id: &'static str,
    /// `6.2`, `A`.
    pub(crate) number: &'static str,
    pub(crate) title: &'static str,
    pub(crate) blocks: Vec<Block>,
}

impl Section {
    /// 0 for a chapter, 1 for a part of one.
    pub(crate) fn depth(&self) -> usize {
        self.number.matches('.').count()
    }
}

/// A part of a section.
#[derive(Debug)]
pub(crate) enum Block {
    Paragraph(Line),
    List {
        ordered: bool,
        items: Vec<Line>,
    },
    Table(Table),
    Code(Code),
    /// One figure, or several that belong side by side.
    Figures(Vec<Figure>),
    /// What must not be missed.
    Callout {
        tone: Tone,
        title: String,
        lines: Vec<Line>,
    },
    Streams(Vec<StreamView>),
    Hex(Vec<HexView>),
    /// Things with a name that links go to.
    Entries(Vec<Entry>),
}

/// How a callout looks.
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
    /// What is left out, or how to read it.
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
    /// Where it is from.
    pub(crate) source: Line,
    /// For highlighters: `rust`, `yaml`, `sh`, `json`; empty for none.
    pub(crate) language: &'static str,
    pub(crate) text: String,
}

/// Something that links go to.
#[derive(Debug)]
pub(crate) struct Entry {
    /// What the links say and where they go.
    pub(crate) id: String,
    pub(crate) facts: Vec<(&'static str, Line)>,
}

/// Builds the report of a result.
pub(crate) fn build(exposure: &Exposure, lang: Lang, title_page: &TitlePage) -> Document {
    sections::build(exposure, lang, title_page)
}
