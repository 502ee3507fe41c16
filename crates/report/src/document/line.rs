//! The text of the report in pieces that know where they come from: our own words, code of ours, what was captured, a
//! link. Every format escapes each kind as it must.

use exposure_schema::{Level, Verdict};

use crate::document::format;

/// A run of text.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Line(pub(crate) Vec<Inline>);

/// A piece of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Inline {
    /// Words of the report.
    Text(String),
    /// Words that matter.
    Strong(String),
    /// Code, commands, names that we chose.
    Code(String),
    /// What somebody else wrote: it is only ever shown as code, with every hidden character made visible.
    Captured(String),
    /// A sentence that somebody else wrote, such as the analyzer's reason for a doubt.
    Quoted(String),
    /// A link within the report.
    Link { text: String, to: String },
    /// A level, as a word with its colour.
    Level { level: Level, text: String },
    /// A verdict, likewise.
    Verdict { verdict: Verdict, text: String },
    /// Whether a control was passed.
    Passed { passed: bool, text: String },
}

impl Line {
    /// Nothing.
    pub(crate) fn new() -> Self {
        Self::default()
    }

    pub(crate) fn add(mut self, piece: impl Piece) -> Self {
        piece.add_to(&mut self.0);
        self
    }

    /// Pieces with something between them.
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

/// What can stand in a [`Line`].
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

/// A number, with its thousands apart.
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

/// A [`Line`] of its pieces, one after the other.
macro_rules! line {
    ($($piece:expr),* $(,)?) => {
        $crate::document::line::Line::new()$(.add($piece))*
    };
}
pub(crate) use line;

/// Words that matter.
pub(crate) fn strong(text: impl Into<String>) -> Inline {
    Inline::Strong(text.into())
}

/// Code of ours.
pub(crate) fn code(text: impl Into<String>) -> Inline {
    Inline::Code(text.into())
}

/// A sentence that somebody else wrote.
pub(crate) fn quoted(text: impl Into<String>) -> Inline {
    Inline::Quoted(text.into())
}

/// What somebody else wrote.
pub(crate) fn captured(text: impl Into<String>) -> Inline {
    Inline::Captured(text.into())
}
