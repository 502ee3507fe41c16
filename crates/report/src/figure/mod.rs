//! The drawings, as SVG: small, sharp at any size, and the same in every format.
//!
//! Inside the HTML page a drawing uses the page's colours. As a file of its own it contains the colours and a
//! background, because the background of the place that shows it is unknown.

mod bytes;
mod ladder;
mod levels;
mod setup;
mod shape;
mod svg;
mod window;

pub(crate) use bytes::{bytes, kinds};
pub(crate) use ladder::ladder;
pub(crate) use levels::levels;
pub(crate) use setup::setup;
pub(crate) use shape::shape;
pub(crate) use svg::Svg;
pub(crate) use window::window;

use crate::document::line::Line;

/// The style of a drawing in a file of its own: the page's colours, and their use in drawings.
const STYLE: &str =
    concat!(include_str!("../../templates/palette.css"), include_str!("../../templates/figure.css"));

/// A drawing with its caption and its description.
#[derive(Debug)]
pub(crate) struct Figure {
    /// Name of the file without extension.
    pub(crate) name: String,
    pub(crate) caption: Line,
    /// Description for readers who cannot see the drawing.
    pub(crate) alt: String,
    pub(crate) svg: Svg,
}

impl Figure {
    /// The drawing as an element of the HTML page.
    pub(crate) fn inline(&self) -> String {
        self.svg.element(&self.name, &self.alt, None)
    }

    /// The drawing as a file of its own.
    pub(crate) fn file(&self) -> String {
        self.svg.element(&self.name, &self.alt, Some(STYLE))
    }
}
