//! The number of strings of each level, a bar for each capture.

use exposure_schema::Level;

use super::svg::{Anchor, WIDTH, fitted, width};
use super::{Figure, Svg};
use crate::document::format;
use crate::i18n::Lang;
use crate::model::Capture;

/// Draws the captures that have strings. `None` if there is none.
pub(crate) fn levels(lang: Lang, captures: &[&Capture]) -> Option<Figure> {
    const BAR: f64 = 30.0;
    let captures: Vec<_> = captures.iter().filter(|capture| capture.summary.total > 0).collect();
    if captures.is_empty() {
        return None;
    }
    let mut svg = Svg::new();
    let mut y = 0.0;
    for capture in &captures {
        let summary = &capture.summary;
        svg.text(0.0, y + 13.0, Anchor::Start, "strong", &fitted(&capture.name, 13.0, 300.0));
        svg.text(WIDTH, y + 13.0, Anchor::End, "small", &lang.strings(summary.total));
        let mut x = 0.0;
        for level in Level::ALL {
            let count = summary.of(level);
            let wide = WIDTH * count as f64 / summary.total as f64;
            if count == 0 {
                continue;
            }
            svg.rect(x, y + 22.0, wide, BAR, class(level));
            let label = format::count(count);
            if width(&label) * 13.0 + 8.0 < wide {
                let class = format!("on {}", class(level));
                svg.text(x + wide / 2.0, y + 22.0 + 20.0, Anchor::Middle, &class, &label);
            }
            x += wide;
        }
        y += 22.0 + BAR + 22.0;
    }
    let keys: Vec<(&str, String)> =
        Level::ALL.map(|level| (class(level), lang.level_name(level).to_owned())).into();
    let keys: Vec<(&str, &str)> = keys.iter().map(|(class, text)| (*class, text.as_str())).collect();
    y = svg.legend(y + 4.0, &keys);
    svg.set_height(y - 8.0);
    let summaries: Vec<_> = captures.iter().map(|capture| (capture.name.as_str(), capture.summary)).collect();
    Some(Figure {
        name: "strings-by-level".to_owned(),
        caption: lang.levels_caption(),
        alt: lang.levels_alt(&summaries),
        svg,
    })
}

/// The CSS class that colours a level.
fn class(level: Level) -> &'static str {
    match level {
        Level::Verbatim => "readable",
        Level::Reassembled => "readable-2",
        Level::Decoded => "readable-3",
        Level::Decrypted => "sealed",
        Level::Absent => "absent",
    }
}
