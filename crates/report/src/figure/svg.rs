//! Writes SVG. All text is escaped, so captured text cannot become markup.

use std::fmt::Write as _;

use crate::visible;

/// Width of a drawing in user units, unless it is a wide one. Text is 13 units high; on a phone a drawing shrinks to three quarters.
pub(crate) const WIDTH: f64 = 480.0;

/// Space around a drawing in a file of its own.
const MARGIN: f64 = 16.0;

/// A drawing.
#[derive(Debug)]
pub(crate) struct Svg {
    width: f64,
    height: f64,
    body: String,
}

/// Which part of a text is at the given point.
#[derive(Clone, Copy)]
pub(crate) enum Anchor {
    Start,
    Middle,
    End,
}

impl Svg {
    pub(crate) fn new() -> Self {
        Self::wide(WIDTH)
    }

    /// A drawing of this width, which takes the whole width of the text.
    pub(crate) fn wide(width: f64) -> Self {
        Self { width, height: 0.0, body: String::new() }
    }

    /// Width and height of the drawing in a file of its own.
    pub(crate) fn size(&self) -> (f64, f64) {
        (self.width + 2.0 * MARGIN, self.height + 2.0 * MARGIN)
    }

    pub(crate) fn is_wide(&self) -> bool {
        self.width > WIDTH
    }

    pub(crate) fn set_height(&mut self, height: f64) {
        self.height = height;
    }

    pub(crate) fn text(&mut self, x: f64, y: f64, anchor: Anchor, class: &str, text: &str) {
        let anchor = match anchor {
            Anchor::Start => "start",
            Anchor::Middle => "middle",
            Anchor::End => "end",
        };
        let text = escaped(text);
        self.write(format_args!(
            r#"<text x="{x:.1}" y="{y:.1}" text-anchor="{anchor}" class="{class}">{text}</text>"#
        ));
    }

    pub(crate) fn rect(&mut self, x: f64, y: f64, width: f64, height: f64, class: &str) {
        self.rounded(x, y, width, height, 0.0, class);
    }

    pub(crate) fn rounded(&mut self, x: f64, y: f64, width: f64, height: f64, radius: f64, class: &str) {
        self.write(format_args!(
            r#"<rect x="{x:.1}" y="{y:.1}" width="{width:.1}" height="{height:.1}" rx="{radius:.1}" class="{class}"/>"#
        ));
    }

    pub(crate) fn line(&mut self, x1: f64, y1: f64, x2: f64, y2: f64, class: &str) {
        self.write(format_args!(
            r#"<line x1="{x1:.1}" y1="{y1:.1}" x2="{x2:.1}" y2="{y2:.1}" class="{class}"/>"#
        ));
    }

    pub(crate) fn circle(&mut self, x: f64, y: f64, radius: f64, class: &str) {
        self.write(format_args!(r#"<circle cx="{x:.1}" cy="{y:.1}" r="{radius:.1}" class="{class}"/>"#));
    }

    /// A horizontal arrow with a triangular head.
    pub(crate) fn arrow(&mut self, from: f64, to: f64, y: f64, class: &str) {
        const HEAD: f64 = 8.0;
        let back = if to > from { -HEAD } else { HEAD };
        self.line(from, y, to + back / 2.0, y, class);
        let (base, above, below) = (to + back, y - HEAD / 2.0, y + HEAD / 2.0);
        self.write(format_args!(
            r#"<path d="M{to:.1} {y:.1}L{base:.1} {above:.1}L{base:.1} {below:.1}Z" class="{class} head"/>"#
        ));
    }

    /// An entry of a legend; returns its width.
    pub(crate) fn key(&mut self, x: f64, y: f64, class: &str, text: &str) -> f64 {
        self.rounded(x, y - 9.0, 10.0, 10.0, 2.0, class);
        self.text(x + 15.0, y, Anchor::Start, "small", text);
        15.0 + width(text) * 11.5 + 18.0
    }

    /// A legend of class and text, wrapped into lines; returns the y of the next line.
    pub(crate) fn legend(&mut self, y: f64, keys: &[(&str, &str)]) -> f64 {
        let (mut x, mut y) = (0.0, y);
        for (class, text) in keys {
            if x > 0.0 && x + 15.0 + width(text) * 11.5 > WIDTH {
                (x, y) = (0.0, y + 19.0);
            }
            x += self.key(x, y, class, text);
        }
        y + 19.0
    }

    /// The `svg` element. With a `style`, for a file of its own, it also has a background and a margin.
    pub(crate) fn element(&self, name: &str, alt: &str, style: Option<&str>) -> String {
        let margin = if style.is_some() { MARGIN } else { 2.0 };
        let (width, height) = (self.width + 2.0 * margin, self.height + 2.0 * margin);
        let (alt, body) = (escaped(alt), &self.body);
        let style = style.map_or(String::new(), |style| {
            format!(
                "<style>{}</style><rect x=\"-{margin}\" y=\"-{margin}\" width=\"{width}\" height=\"{height:.1}\" rx=\"10\" class=\"ground\"/>\n",
                style.trim()
            )
        });
        format!(
            "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"-{margin} -{margin} {width} {height:.1}\" class=\"figure\" role=\"img\" aria-labelledby=\"{name}-title\">\n<title id=\"{name}-title\">{alt}</title>\n{style}{body}</svg>\n"
        )
    }

    fn write(&mut self, element: std::fmt::Arguments<'_>) {
        writeln!(self.body, "{element}").expect("a string can be written");
    }
}

/// Approximate width of a text, as a multiple of the font size. Hangul and other wide characters are square.
pub(crate) fn width(text: &str) -> f64 {
    text.chars().map(|character| if character < '\u{1100}' { 0.54 } else { 0.95 }).sum()
}

/// The text, cut with an ellipsis if it is wider than `room` at this font size.
pub(crate) fn fitted(text: &str, size: f64, room: f64) -> String {
    let text = visible::line(text);
    if width(&text) * size <= room {
        return text;
    }
    let mut fitting = String::new();
    for character in text.chars() {
        if (width(&fitting) + width(&character.to_string()) + 0.9) * size > room {
            break;
        }
        fitting.push(character);
    }
    fitting + "…"
}

/// Escapes text for XML.
fn escaped(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for character in visible::line(text).chars() {
        match character {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            '\'' => out.push_str("&#39;"),
            // Not characters in XML 1.0 (§2.2).
            '\u{fffe}' | '\u{ffff}' => out.push('\u{fffd}'),
            character => out.push(character),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn markup_in_text_is_escaped() {
        let mut svg = Svg::new();
        svg.text(0.0, 0.0, Anchor::Start, "t", "</text><script>alert(1)</script>\u{202e}'\"&");
        let element = svg.element("x", "a < b", None);
        assert!(
            element.contains(
                "&lt;/text&gt;&lt;script&gt;alert(1)&lt;/script&gt;\\u{202e}&#39;&quot;&amp;</text>"
            )
        );
        assert!(element.contains("a &lt; b"));
    }

    #[test]
    fn fitted_cuts_wide_text() {
        assert_eq!(fitted("ServerHello", 10.0, 100.0), "ServerHello");
        assert_eq!(fitted("ServerHello", 10.0, 40.0), "Serve…");
        assert_eq!(fitted("안녕하세요", 10.0, 30.0), "안녕…");
    }
}
