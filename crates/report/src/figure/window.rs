//! The packet list and the followed stream, as Wireshark arranges them: lab sheets ask for a screenshot of both. The drawing says
//! that it is one.

use exposure_schema::{Direction, PacketEntry};

use super::svg::{Anchor, fitted, width};
use super::{Figure, Svg};
use crate::document::exhibit::{decoded, shown_text};
use crate::document::format;
use crate::i18n::Lang;
use crate::model::Capture;

const WIDTH: f64 = 760.0;

/// Rows of the list: the first packets, and those around the first proof.
const ROWS_SHOWN: usize = 9;
const FIRST_SHOWN: usize = 4;

/// Lines of the stream, and of one turn of it.
const LINES_SHOWN: usize = 9;
const LINES_OF_TURN: PerTurn = PerTurn { clear: 8, encrypted: 3 };

struct PerTurn {
    clear: usize,
    encrypted: usize,
}

/// Size of the text of cells, and of the stream.
const CELL: f64 = 11.0;
const STREAM: f64 = 10.0;

/// Width of a character of the stream.
const GLYPH: f64 = 6.05;

const ROW: f64 = 17.0;
const LINE: f64 = 14.0;
const BAR: f64 = 24.0;
const EDGE: f64 = 8.0;

/// Where the columns begin: number, time, source, destination, protocol, length, info.
const COLUMNS: [f64; 7] = [EDGE, 46.0, 112.0, 222.0, 332.0, 394.0, 440.0];

/// Draws the first exchange of a capture. `None` if it is not there.
pub(crate) fn window(lang: Lang, capture: &Capture, is_encrypted: bool, slug: &str) -> Option<Figure> {
    let exhibit = capture.exhibit.as_ref()?;
    let of_stream = capture.packets.iter().filter(|packet| packet.stream == Some(exhibit.stream));
    let packets: Vec<&PacketEntry> = of_stream.collect();
    let started = capture.first_frame_at_unix_ns.or_else(|| Some(packets.first()?.at_unix_ns))?;
    let mut svg = Svg::wide(WIDTH);
    let title = fitted(&format!("{} · tcp.stream eq {}", capture.file, exhibit.stream), 12.0, 420.0);
    let mut y = bar(&mut svg, 0.0, &title, lang.window_is_drawn());

    let titles = [
        "No.",
        lang.time(),
        lang.window_source(),
        lang.window_destination(),
        lang.protocol(),
        lang.size(),
        "Info",
    ];
    for (x, title) in COLUMNS.into_iter().zip(titles) {
        svg.text(x, y + 12.0, Anchor::Start, "cell strong", title);
    }
    y += ROW;
    svg.line(0.0, y, WIDTH, y, "axis");
    let proof = exhibit.frame.as_ref().map(|frame| frame.frame);
    for row in rows(&packets, proof) {
        let Some(packet) = row else {
            svg.text(COLUMNS[0], y + 12.5, Anchor::Start, "cell", "…");
            y += ROW;
            continue;
        };
        let class = match (packet.payload_bytes, is_encrypted) {
            (0, _) => "row-plain",
            (_, false) => "row-readable",
            (_, true) if packet.holds.iter().any(|held| held.contains("Hello")) => "row-readable",
            (_, true) => "row-sealed",
        };
        svg.rect(0.0, y, WIDTH, ROW, class);
        if proof == Some(packet.frame) {
            svg.rect(1.0, y + 1.0, WIDTH - 2.0, ROW - 2.0, "selected");
        }
        let after = packet.at_unix_ns.saturating_sub(started) as f64 / 1e9;
        let cells = [
            packet.frame.to_string(),
            format!("{after:.6}"),
            end(packet.source.as_deref()),
            end(packet.destination.as_deref()),
            protocol(capture, packet, is_encrypted),
            format::count(packet.wire_bytes),
            info(packet),
        ];
        let ends = COLUMNS.into_iter().skip(1).chain([WIDTH]);
        for ((x, next), cell) in COLUMNS.into_iter().zip(ends).zip(&cells) {
            svg.text(x, y + 12.5, Anchor::Start, "cell", &fitted(cell, CELL, next - x - 4.0));
        }
        y += ROW;
    }

    y = bar(&mut svg, y + 6.0, &lang.window_follow(exhibit.stream), "");
    let mut left = LINES_SHOWN;
    let of_turn = if is_encrypted { LINES_OF_TURN.encrypted } else { LINES_OF_TURN.clear };
    for turn in &exhibit.turns {
        let class = match turn.direction {
            Direction::ClientToServer => "stream client",
            Direction::ServerToClient => "stream server",
        };
        let text = shown_text(&decoded(&turn.bytes));
        let lines = text.split('\n').flat_map(folded);
        for line in lines.take(of_turn.min(left)) {
            svg.text(EDGE, y + 11.0, Anchor::Start, class, &line);
            y += LINE;
            left -= 1;
        }
    }
    let height = y + 6.0;
    svg.rounded(0.0, 0.0, WIDTH, height, 4.0, "frame");
    svg.set_height(height);
    Some(Figure {
        name: format!("window-{slug}"),
        caption: lang.window_caption(&capture.name, proof),
        alt: lang.window_alt(&capture.name),
        svg,
    })
}

/// The packets that are listed, with `None` where some are left out.
fn rows<'a>(packets: &[&'a PacketEntry], proof: Option<u64>) -> Vec<Option<&'a PacketEntry>> {
    let at = proof.and_then(|proof| packets.iter().position(|packet| packet.frame == proof)).unwrap_or(0);
    let some = |packets: &[&'a PacketEntry]| packets.iter().copied().map(Some).collect::<Vec<_>>();
    if at < ROWS_SHOWN {
        return some(&packets[..packets.len().min(ROWS_SHOWN)]);
    }
    // As many before the proof as behind it.
    let others = ROWS_SHOWN - FIRST_SHOWN - 1;
    let from = (at + 1 + others / 2).min(packets.len()).saturating_sub(others).max(FIRST_SHOWN);
    let behind = &packets[from..packets.len().min(from + others)];
    [some(&packets[..FIRST_SHOWN]), vec![None], some(behind)].concat()
}

/// A title bar; returns where what is below it begins.
fn bar(svg: &mut Svg, y: f64, title: &str, right: &str) -> f64 {
    svg.rect(0.0, y, WIDTH, BAR, "bar");
    svg.text(EDGE, y + 16.0, Anchor::Start, "cell strong", title);
    svg.text(WIDTH - EDGE, y + 16.0, Anchor::End, "cell", right);
    y + BAR
}

/// The address without the port, which the info column has.
fn end(socket: Option<&str>) -> String {
    socket.map_or("", |socket| socket.rsplit_once(':').map_or(socket, |(address, _)| address)).to_owned()
}

fn protocol(capture: &Capture, packet: &PacketEntry, is_encrypted: bool) -> String {
    let version = || {
        let sessions = capture.tls.iter().flat_map(|tls| &tls.sessions);
        let mut of_stream = sessions.filter(|session| Some(session.stream) == packet.stream);
        of_stream.find_map(|session| session.visible.version.clone())
    };
    match (packet.payload_bytes, is_encrypted) {
        (0, _) => packet.protocol.clone(),
        (_, true) => version().unwrap_or_else(|| "TLS".to_owned()),
        (_, false) if packet.holds.is_empty() => packet.protocol.clone(),
        (_, false) => "HTTP".to_owned(),
    }
}

fn info(packet: &PacketEntry) -> String {
    if !packet.holds.is_empty() {
        return packet.holds.join(", ");
    }
    let port = |socket: &Option<String>| {
        socket.as_deref().and_then(|socket| socket.rsplit_once(':')).map_or("?", |(_, port)| port).to_owned()
    };
    let sequence = packet.sequence.map_or(String::new(), |sequence| format!(" Seq={sequence}"));
    format!(
        "{} → {} [{}]{sequence} Len={}",
        port(&packet.source),
        port(&packet.destination),
        packet.flags.join(", "),
        packet.payload_bytes
    )
}

/// The line in parts that fit in the window.
fn folded(line: &str) -> Vec<String> {
    let room = WIDTH - 2.0 * EDGE;
    let mut parts = vec![String::new()];
    let mut taken = 0.0;
    for character in line.chars() {
        // Characters that are not wide have the width of a glyph.
        let wide = if width(character.encode_utf8(&mut [0; 4])) > 0.6 { STREAM } else { GLYPH };
        if taken + wide > room {
            parts.push(String::new());
            taken = 0.0;
        }
        taken += wide;
        if let Some(last) = parts.last_mut() {
            last.push(character);
        }
    }
    parts
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_of_the_stream_fit_in_the_window() {
        let parts = folded(&"x".repeat(300));
        assert!(parts.len() == 3 && parts.iter().all(|part| part.len() as f64 * GLYPH <= WIDTH), "{parts:?}");
        assert_eq!(parts.concat().len(), 300);
        assert_eq!(folded(""), [""]);
    }
}
