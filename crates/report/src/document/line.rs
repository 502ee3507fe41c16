//! Text of the report in pieces, each marked by its origin: the report's own words, code, captured text, a link. Every
//! format escapes each kind in its own way.

use exposure_schema::{Level, Verdict};

use crate::document::format;

/// A run of text.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Line(pub(crate) Vec<Inline>);

/// A piece of a [`Line`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Inline {
    /// The report's own words.
    Text(String),
    /// Emphasized words of the report.
    Strong(String),
    /// Code, commands and names of this project.
    Code(String),
    /// Captured text. Every format shows it as code only, with every hidden character made visible.
    Captured(String),
    /// A sentence of the analyzer, such as a doubt. It may contain captured text.
    Quoted(String),
    /// A link within the report.
    Link { text: String, to: String },
    /// The section with this id, by its number. Numbers are known when all sections are there, and then it becomes a text.
    Section(&'static str),
    /// The name of a level, in the level's colour.
    Level { level: Level, text: String },
    /// The name of a verdict, in the verdict's colour.
    Verdict { verdict: Verdict, text: String },
    /// Whether a control passed.
    Passed { passed: bool, text: String },
}

impl Line {
    pub(crate) fn new() -> Self {
        Self::default()
    }

    pub(crate) fn add(mut self, piece: impl Piece) -> Self {
        piece.add_to(&mut self.0);
        self
    }

    /// The pieces with a separator between them.
    pub(crate) fn joined<P: Piece>(pieces: impl IntoIterator<Item = P>, between: &str) -> Self {
        let mut line = Self::new();
        for (index, piece) in pieces.into_iter().enumerate() {
            if index > 0 {
                line = line.add(between);
            }
            line = line.add(piece);
        }
        line
    }
}

/// What can be added to a [`Line`].
pub(crate) trait Piece {
    fn add_to(self, pieces: &mut Vec<Inline>);
}

impl Piece for Inline {
    fn add_to(self, pieces: &mut Vec<Inline>) {
        pieces.push(self);
    }
}

impl Piece for &str {
    fn add_to(self, pieces: &mut Vec<Inline>) {
        pieces.push(Inline::Text(self.to_owned()));
    }
}

impl Piece for String {
    fn add_to(self, pieces: &mut Vec<Inline>) {
        pieces.push(Inline::Text(self));
    }
}

/// A number, with commas between the thousands.
impl Piece for u64 {
    fn add_to(self, pieces: &mut Vec<Inline>) {
        pieces.push(Inline::Text(format::count(self)));
    }
}

impl Piece for Line {
    fn add_to(self, pieces: &mut Vec<Inline>) {
        pieces.extend(self.0);
    }
}

impl<P: Piece> Piece for Option<P> {
    fn add_to(self, pieces: &mut Vec<Inline>) {
        if let Some(piece) = self {
            piece.add_to(pieces);
        }
    }
}

/// A [`Line`] of these pieces in order.
macro_rules! line {
    ($($piece:expr),* $(,)?) => {
        $crate::document::line::Line::new()$(.add($piece))*
    };
}
pub(crate) use line;

pub(crate) fn strong(text: impl Into<String>) -> Inline {
    Inline::Strong(text.into())
}

pub(crate) fn code(text: impl Into<String>) -> Inline {
    Inline::Code(text.into())
}

pub(crate) fn quoted(text: impl Into<String>) -> Inline {
    Inline::Quoted(text.into())
}

pub(crate) fn section(id: &'static str) -> Inline {
    debug_assert!(crate::template::SECTIONS.contains(&id), "no section {id}");
    Inline::Section(id)
}

pub(crate) fn captured(text: impl Into<String>) -> Inline {
    Inline::Captured(text.into())
}
