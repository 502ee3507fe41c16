//! A drawing in the making. Whatever text goes in is shown and does nothing.

use std::fmt::Write as _;

use crate::visible;

/// Width of every drawing, in its own units; text is 13 of them high. On a phone a drawing shrinks to three quarters.
pub(crate) const WIDTH: f64 = 480.0;

/// A drawing of [`WIDTH`] and some height.
#[derive(Debug)]
pub(crate) struct Svg {
    height: f64,
    body: String,
}

/// Where text stands, seen from its point.
#[derive(Clone, Copy)]
pub(crate) enum Anchor {
    Start,
    Middle,
    End,
}

impl Svg {
    pub(crate) fn new() -> Self {
        Self { height: 0.0, body: String::new() }
    }

    /// How far down it goes.
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

    /// A level arrow from one x to another, its head a triangle.
    pub(crate) fn arrow(&mut self, from: f64, to: f64, y: f64, class: &str) {
        const HEAD: f64 = 8.0;
        let back = if to > from { -HEAD } else { HEAD };
        self.line(from, y, to + back / 2.0, y, class);
        let (base, above, below) = (to + back, y - HEAD / 2.0, y + HEAD / 2.0);
        self.write(format_args!(
            r#"<path d="M{to:.1} {y:.1}L{base:.1} {above:.1}L{base:.1} {below:.1}Z" class="{class} head"/>"#
        ));
    }

    /// A colour and what it stands for; returns how wide that is.
    pub(crate) fn key(&mut self, x: f64, y: f64, class: &str, text: &str) -> f64 {
        self.rounded(x, y - 9.0, 10.0, 10.0, 2.0, class);
        self.text(x + 15.0, y, Anchor::Start, "small", text);
        15.0 + width(text) * 11.5 + 18.0
    }

    /// Colours and what they stand for, in as many lines as it takes; returns the y of the next line.
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

    /// The whole element. A drawing that stands alone brings a style and a ground.
    pub(crate) fn element(&self, name: &str, alt: &str, style: Option<&str>) -> String {
        /// Around a drawing that stands alone.
        const MARGIN: f64 = 16.0;
        let margin = if style.is_some() { MARGIN } else { 2.0 };
        let (width, height) = (WIDTH + 2.0 * margin, self.height + 2.0 * margin);
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

/// About how wide a text is, in heights of its letters. Hangul and other wide letters are square.
pub(crate) fn width(text: &str) -> f64 {
    text.chars().map(|character| if character < '\u{1100}' { 0.54 } else { 0.95 }).sum()
}

/// As much of a text as fits into so many units at this size.
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

/// Text for XML: its own signs, and all that has no place in a drawing.
fn escaped(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for character in visible::line(text).chars() {
        match character {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            '\'' => out.push_str("&#39;"),
            // Characters that XML does not know.
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
    fn text_cannot_leave_its_element() {
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
    fn what_is_too_wide_is_cut() {
        assert_eq!(fitted("ServerHello", 10.0, 100.0), "ServerHello");
        assert_eq!(fitted("ServerHello", 10.0, 40.0), "Serve…");
        assert_eq!(fitted("안녕하세요", 10.0, 30.0), "안녕…");
    }
}
