//! The drawings, as SVG: small, sharp at any size, and the same in every format.
//!
//! A drawing is written once. Within the HTML page it takes its colours from the page; as a file of its own it brings
//! them along, with a ground to stand on, because nobody knows on which it will be shown.

mod bytes;
mod ladder;
mod latency;
mod levels;
mod setup;
mod shape;
mod svg;

pub(crate) use bytes::{bytes, kinds};
pub(crate) use ladder::ladder;
pub(crate) use latency::latency;
pub(crate) use levels::levels;
pub(crate) use setup::setup;
pub(crate) use shape::shape;
pub(crate) use svg::Svg;

use crate::document::line::Line;

/// What a drawing that stands alone brings along: the page's colours, and how they are used.
const STYLE: &str =
    concat!(include_str!("../../templates/palette.css"), include_str!("../../templates/figure.css"));

/// A drawing and what it shows in words.
#[derive(Debug)]
pub(crate) struct Figure {
    /// Stem of its file's name.
    pub(crate) name: String,
    pub(crate) caption: Line,
    /// For those who do not see it.
    pub(crate) alt: String,
    pub(crate) svg: Svg,
}

impl Figure {
    /// For the page.
    pub(crate) fn inline(&self) -> String {
        self.svg.element(&self.name, &self.alt, None)
    }

    /// For a file of its own.
    pub(crate) fn file(&self) -> String {
        self.svg.element(&self.name, &self.alt, Some(STYLE))
    }
}
