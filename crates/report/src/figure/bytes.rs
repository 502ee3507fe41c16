//! The bytes of each capture by kind, and the entropy of the payload.

use exposure_schema::Traffic;

use super::svg::{Anchor, WIDTH, fitted, width};
use super::{Figure, Svg};
use crate::document::format;
use crate::i18n::Lang;
use crate::model::Capture;

/// Greatest entropy of a byte, in bits.
const MOST_BITS: f64 = 8.0;

/// One bar for each capture that has frames. `None` if there is none.
pub(crate) fn bytes(lang: Lang, captures: &[&Capture]) -> Option<Figure> {
    const BAR: f64 = 30.0;
    let captures: Vec<_> = captures.iter().filter(|capture| capture.traffic.wire_bytes > 0).collect();
    let most = captures.iter().map(|capture| capture.traffic.wire_bytes).max()?;
    let mut svg = Svg::new();
    let mut y = 0.0;
    for capture in &captures {
        let traffic = &capture.traffic;
        svg.text(0.0, y + 13.0, Anchor::Start, "strong", &fitted(&capture.name, 13.0, 300.0));
        svg.text(WIDTH, y + 13.0, Anchor::End, "small", &lang.bytes(traffic.wire_bytes));
        let mut x = 0.0;
        for (class, _, count) in kinds(lang, traffic) {
            let wide = WIDTH * count as f64 / most as f64;
            svg.rect(x, y + 22.0, wide, BAR, class);
            let label = format::percent(count, traffic.wire_bytes);
            if count > 0 && width(&label) * 13.0 + 8.0 < wide {
                let class = format!("on {class}");
                svg.text(x + wide / 2.0, y + 22.0 + 20.0, Anchor::Middle, &class, &label);
            }
            x += wide;
        }
        y += 22.0 + BAR + 12.0;
        if let Some(bits) = traffic.payload_entropy_bits_per_byte {
            entropy(&mut svg, lang, y, bits);
            y += 26.0;
        }
        y += 16.0;
    }
    let keys: Vec<(&str, &str)> = match captures.first() {
        Some(capture) => kinds(lang, &capture.traffic).map(|(class, name, _)| (class, name)).into(),
        None => Vec::new(),
    };
    y = svg.legend(y + 4.0, &keys);
    svg.set_height(y - 8.0);
    let shares: Vec<_> = captures.iter().map(|capture| (capture.name.as_str(), &capture.traffic)).collect();
    Some(Figure {
        name: "bytes".to_owned(),
        caption: lang.bytes_caption(),
        alt: lang.bytes_alt(&shares),
        svg,
    })
}

/// A scale from 0 to 8 bits per byte: ciphertext is close to 8, text is not.
fn entropy(svg: &mut Svg, lang: Lang, y: f64, bits: f64) {
    const LEFT: f64 = 170.0;
    const RIGHT: f64 = WIDTH - 150.0;
    let x = LEFT + (RIGHT - LEFT) * (bits / MOST_BITS).clamp(0.0, 1.0);
    svg.text(0.0, y + 9.0, Anchor::Start, "small", lang.entropy());
    svg.rounded(LEFT, y + 2.0, RIGHT - LEFT, 5.0, 2.5, "rail");
    svg.rounded(LEFT, y + 2.0, x - LEFT, 5.0, 2.5, "fill");
    svg.circle(x, y + 4.5, 5.5, "fill");
    svg.text(WIDTH, y + 9.0, Anchor::End, "small", &format!("{bits:.2} {}", lang.bits_per_byte()));
}

/// The kinds of bytes in drawing order: class, name, count.
pub(crate) fn kinds(lang: Lang, traffic: &Traffic) -> [(&'static str, &'static str, u64); 5] {
    let by = &traffic.by_kind;
    [
        ("headers", lang.kind_headers(), by.headers),
        ("readable", lang.kind_clear(), by.clear),
        ("readable-3", lang.kind_tls_clear(), by.tls_clear),
        ("sealed", lang.kind_ciphertext(), by.ciphertext),
        ("absent", lang.kind_other(), by.other),
    ]
}
