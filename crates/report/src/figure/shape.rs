//! The sizes of what each side sent, in order, which TLS does not hide. Each bar is a flight: what one side sends
//! before the other side sends anything. Bars of the client point up, bars of the server down.

use exposure_schema::Direction;

use super::svg::{Anchor, WIDTH, fitted};
use super::{Figure, Svg};
use crate::document::format;
use crate::i18n::Lang;
use crate::model::Capture;

/// Height of the largest bar.
const HALF: f64 = 46.0;

/// Flights that are drawn: enough for a dozen calls and a handshake.
const FLIGHTS_SHOWN: usize = 32;

/// Sizes marked on the scale.
const MARKS: [(u64, &str); 2] = [(100, "100 B"), (10_000, "10 kB")];

/// Draws the first connection of each capture. `None` if no flight is known.
pub(crate) fn shape(lang: Lang, captures: &[(&Capture, bool)]) -> Option<Figure> {
    const LEFT: f64 = 44.0;
    let drawn: Vec<_> = captures
        .iter()
        .map(|(capture, is_encrypted)| (capture, *is_encrypted, Flights::of(capture)))
        .filter(|(_, _, flights)| !flights.first.is_empty())
        .collect();
    let first =
        drawn.iter().filter(|(_, _, flights)| flights.go_on).map(|(_, _, flights)| flights.first.len()).max();
    let first = first.map(|count| count as u64);
    let drawn: Vec<_> = drawn
        .into_iter()
        .map(|(capture, is_encrypted, flights)| (capture, is_encrypted, flights.first))
        .collect();
    let all = || drawn.iter().flat_map(|(_, _, flights)| flights);
    let largest = all().map(|(_, bytes)| *bytes).max()?;
    let most = drawn.iter().map(|(_, _, flights)| flights.len()).max()?;
    let high = |bytes: u64| HALF * (bytes.max(1) as f64).log10() / (largest.max(10) as f64).log10();
    let step = ((WIDTH - LEFT) / most as f64).min(26.0);
    let mut svg = Svg::new();
    let mut y = 0.0;
    for (capture, is_encrypted, flights) in &drawn {
        let class = if *is_encrypted { "sealed" } else { "readable" };
        svg.text(0.0, y + 13.0, Anchor::Start, "strong", &fitted(&capture.name, 13.0, 200.0));
        let arrows = format!("↑ {}   ↓ {}", lang.to_server(), lang.to_client());
        svg.text(WIDTH, y + 13.0, Anchor::End, "tiny", &arrows);
        let middle = y + 28.0 + HALF;
        for (bytes, name) in MARKS.into_iter().filter(|(bytes, _)| *bytes < largest) {
            for line in [middle - high(bytes), middle + high(bytes)] {
                svg.line(LEFT, line, WIDTH, line, "grid");
            }
            svg.text(0.0, middle - high(bytes) + 3.5, Anchor::Start, "figures", name);
        }
        svg.line(LEFT, middle, WIDTH, middle, "axis");
        for (number, (direction, bytes)) in flights.iter().enumerate() {
            let top = match direction {
                Direction::ClientToServer => middle - high(*bytes),
                Direction::ServerToClient => middle,
            };
            svg.rounded(LEFT + 3.0 + step * number as f64, top, step * 0.58, high(*bytes), 1.5, class);
        }
        y = middle + HALF + 18.0;
    }
    svg.set_height(y - 14.0);
    Some(Figure {
        name: "sizes-in-order".to_owned(),
        caption: lang.shape_caption(&format::count(largest), first),
        alt: lang.shape_alt(all().count() as u64),
        svg,
    })
}

/// The flights of a capture's first connection.
#[derive(Default)]
struct Flights {
    /// Direction and payload bytes of the first [`FLIGHTS_SHOWN`].
    first: Vec<(Direction, u64)>,
    /// Whether more flights follow, or may follow.
    go_on: bool,
}

impl Flights {
    fn of(capture: &Capture) -> Self {
        let Some(connection) = capture.connections.first() else { return Self::default() };
        let mut first: Vec<(Direction, u64)> = Vec::new();
        for packet in &capture.packets {
            let Some(direction) = packet.direction.filter(|_| packet.stream == Some(connection.stream))
            else {
                continue;
            };
            if packet.payload_bytes == 0 {
                continue;
            }
            match first.last_mut() {
                Some((last, bytes)) if *last == direction => *bytes += packet.payload_bytes,
                _ => first.push((direction, packet.payload_bytes)),
            }
        }
        // The last flight may continue after the end of the packet list.
        let is_cut = capture.packets.last().is_some_and(|last| last.frame < connection.last_frame);
        if is_cut {
            first.pop();
        }
        let go_on = is_cut || first.len() > FLIGHTS_SHOWN;
        first.truncate(FLIGHTS_SHOWN);
        Self { first, go_on }
    }
}
