//! The latency of each call, a bar for each capture.

use super::svg::{Anchor, WIDTH, fitted};
use super::{Figure, Svg};
use crate::document::calls::Call;
use crate::document::format;
use crate::i18n::Lang;

/// Calls that are drawn, so that the drawing fits on a page.
const CALLS_SHOWN: usize = 24;

/// `calls` of each capture with its name and whether it is encrypted. `None` where no call has an answer.
pub(crate) fn latency(lang: Lang, captures: &[(&str, bool, &[Call<'_>])]) -> Option<Figure> {
    const ROW: f64 = 11.0;
    const LEFT: f64 = 92.0;
    const RIGHT: f64 = WIDTH - 78.0;
    let taken = |calls: &[Call<'_>]| calls.len().min(CALLS_SHOWN);
    let shown = || captures.iter().flat_map(|(_, _, calls)| calls[..taken(calls)].iter());
    let slowest = shown().filter_map(Call::latency_ns).max()?.max(1);
    let rows = captures.iter().map(|(_, _, calls)| taken(calls)).max()?;
    let mut svg = Svg::new();
    let mut y = 4.0;
    for row in 0..rows {
        let id = captures.iter().find_map(|(_, _, calls)| calls.get(row)).map_or("", |call| call.id);
        let block = ROW * captures.len() as f64;
        svg.text(0.0, y + block / 2.0 + 4.0, Anchor::Start, "tiny", &fitted(id, 10.5, LEFT - 8.0));
        for (_, is_encrypted, calls) in captures {
            if let Some(latency) = calls.get(row).and_then(Call::latency_ns) {
                let wide = (RIGHT - LEFT) * latency as f64 / slowest as f64;
                let class = if *is_encrypted { "sealed" } else { "readable" };
                svg.rounded(LEFT, y + 1.0, wide.max(1.0), ROW - 2.0, 1.5, class);
                svg.text(
                    LEFT + wide + 6.0,
                    y + ROW - 1.0,
                    Anchor::Start,
                    "figures",
                    &format::milliseconds(latency),
                );
            }
            y += ROW;
        }
        y += 8.0;
    }
    let names: Vec<String> = captures.iter().map(|(name, _, _)| fitted(name, 11.5, 120.0)).collect();
    let classes =
        captures.iter().map(|(_, is_encrypted, _)| if *is_encrypted { "sealed" } else { "readable" });
    let keys: Vec<(&str, &str)> = classes.zip(names.iter().map(String::as_str)).collect();
    y = svg.legend(y + 12.0, &keys);
    svg.set_height(y - 8.0);
    let all = captures.iter().map(|(_, _, calls)| calls.len()).max()?;
    Some(Figure {
        name: "latency".to_owned(),
        caption: lang.latency_caption(rows as u64, all as u64),
        alt: lang.latency_alt(rows as u64),
        svg,
    })
}
