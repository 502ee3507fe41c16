//! Ladder diagram of a connection: each packet is an arrow between client and server, with its time and contents.

use exposure_schema::{ConnectionEntry, Direction, Name, PacketEntry};

use super::svg::{Anchor, WIDTH, fitted, width};
use super::{Figure, Svg};
use crate::document::format;
use crate::i18n::Lang;
use crate::model::Capture;

/// Packets drawn from the beginning. A TLS handshake with the first exchange has some twenty.
const FIRST_SHOWN: usize = 28;

/// Packets drawn from the end: the close alerts of TLS, then FIN, ACK, FIN, ACK.
const LAST_SHOWN: usize = 6;

const CLIENT: f64 = 112.0;
const SERVER: f64 = WIDTH - 40.0;
const MIDDLE: f64 = (CLIENT + SERVER) / 2.0;

/// Size of the text on an arrow, and its greatest width.
const SMALL: f64 = 12.0;
const ROOM: f64 = SERVER - CLIENT - 20.0;
const STEP: f64 = 27.0;
const TOP: f64 = 52.0;

/// Draws the connection of the capture's first exchange, or else the first connection. `None` if none of its packets is
/// listed.
pub(crate) fn ladder(lang: Lang, capture: &Capture, is_encrypted: bool, slug: &str) -> Option<Figure> {
    let stream = match &capture.exhibit {
        Some(exhibit) => exhibit.stream,
        None => capture.connections.first()?.stream,
    };
    let connection = capture.connections.iter().find(|connection| connection.stream == stream)?;
    let packets: Vec<&PacketEntry> =
        capture.packets.iter().filter(|packet| packet.stream == Some(stream)).collect();
    let started = packets.first()?.at_unix_ns;
    let shown = first_exchange(capture, stream, &packets);
    let ending = ending(&packets, shown);

    let mut svg = Svg::new();
    svg.text(0.0, 13.0, Anchor::Start, "strong", &fitted(&capture.name, 13.0, CLIENT - 10.0));
    svg.text(CLIENT, 13.0, Anchor::Middle, "strong", "agent-a");
    svg.text(SERVER, 13.0, Anchor::Middle, "strong", "agent-b");
    svg.text(CLIENT, 28.0, Anchor::Middle, "tiny", &fitted(&connection.client, 10.5, 150.0));
    svg.text(SERVER - 20.0, 28.0, Anchor::Middle, "tiny", &fitted(&connection.server, 10.5, 150.0));
    let mut drawing = Ladder { lang, is_encrypted, started, begun: [""; 2] };
    let mut y = TOP;
    for packet in &packets[..shown] {
        drawing.packet(&mut svg, y, packet);
        y += STEP;
    }
    let rest = connection.frames.saturating_sub((shown + ending.len()) as u64);
    if rest > 0 {
        svg.text(MIDDLE, y, Anchor::Middle, "small", &lang.further_frames(rest));
        y += STEP;
    }
    if rest > 0 && ending.is_empty() {
        end(&mut svg, lang, y, connection);
        y += STEP;
    }
    for packet in ending {
        drawing.packet(&mut svg, y, packet);
        y += STEP;
    }
    let bottom = y - STEP + 14.0;
    for x in [CLIENT, SERVER] {
        svg.line(x, 36.0, x, bottom, "lifeline");
    }
    svg.set_height(bottom);
    Some(Figure {
        name: format!("ladder-{slug}"),
        caption: lang.ladder_caption(&capture.name, stream),
        alt: lang.ladder_alt(&capture.name, connection.frames),
        svg,
    })
}

struct Ladder {
    lang: Lang,
    is_encrypted: bool,
    started: u64,
    /// The colour of what each side sent last. A packet in which nothing begins continues it.
    begun: [&'static str; 2],
}

impl Ladder {
    fn packet(&mut self, svg: &mut Svg, y: f64, packet: &PacketEntry) {
        let after = packet.at_unix_ns.saturating_sub(self.started);
        svg.text(0.0, y + 4.0, Anchor::Start, "tiny", &format::milliseconds(after));
        svg.text(CLIENT - 10.0, y + 4.0, Anchor::End, "tiny", &packet.frame.to_string());
        let class = self.class(packet);
        let (from, to) = match packet.direction {
            Some(Direction::ServerToClient) => (SERVER, CLIENT),
            _ => (CLIENT, SERVER),
        };
        svg.arrow(from, to, y, class);
        svg.text(MIDDLE, y - 5.0, Anchor::Middle, &format!("small over {class}"), &self.label(packet));
    }

    fn label(&self, packet: &PacketEntry) -> String {
        let turning = |flag: &&Name| **flag != "ACK" && **flag != "PSH";
        let mut parts: Vec<String> = packet.flags.iter().filter(turning).map(ToString::to_string).collect();
        if !parts.is_empty() && packet.flags.iter().any(|flag| flag == "ACK") {
            parts.push("ACK".to_owned());
        }
        let mut label = parts.join(" ");
        if packet.payload_bytes == 0 {
            return if label.is_empty() { "ACK".to_owned() } else { label };
        }
        let what = match packet.holds.is_empty() {
            true => self.lang.more_data().to_owned(),
            false => joined(&packet.holds),
        };
        let size = format!(" · {} B", format::count(packet.payload_bytes));
        if !label.is_empty() {
            label += ", ";
        }
        label += &what;
        // If the label is too long, its text is cut, not the size.
        fitted(&label, SMALL, ROOM - width(&size) * SMALL) + &size
    }

    /// The colour: readable, sealed, or TCP's own control packets.
    fn class(&mut self, packet: &PacketEntry) -> &'static str {
        let class = |held: &String| match held.contains("Hello") || held == "ChangeCipherSpec" {
            true => "readable-3",
            false => "sealed",
        };
        if packet.payload_bytes == 0 {
            match packet.flags.iter().any(|flag| matches!(&**flag, "SYN" | "FIN" | "RST")) {
                true => "turning",
                false => "quiet",
            }
        } else if !self.is_encrypted {
            "readable"
        } else {
            let side = usize::from(packet.direction == Some(Direction::ServerToClient));
            let going_on = Some(self.begun[side]).filter(|begun| !begun.is_empty()).unwrap_or("sealed");
            if let Some(last) = packet.holds.last() {
                self.begun[side] = class(last);
            }
            packet.holds.first().map_or(going_on, class)
        }
    }
}

/// The things that begin in a packet; repetitions become one thing with a count.
fn joined(holds: &[String]) -> String {
    let runs = holds.chunk_by(|one, next| one == next);
    let parts: Vec<String> = runs
        .map(|run| match run.len() {
            1 => run[0].clone(),
            times => format!("{} ×{times}", run[0]),
        })
        .collect();
    parts.join(", ")
}

/// Number of packets up to the acknowledgment of the first answer.
fn first_exchange(capture: &Capture, stream: u32, packets: &[&PacketEntry]) -> usize {
    let is_answer = |message: &&exposure_schema::HttpMessage| {
        message.stream == Some(stream) && message.direction == Some(Direction::ServerToClient)
    };
    let last = capture.http.iter().find(is_answer).map_or(u64::MAX, |answer| answer.last_frame);
    let until = packets.iter().take_while(|packet| packet.frame <= last).count();
    let acknowledged = packets[until..].iter().take_while(|packet| packet.payload_bytes == 0).take(1).count();
    (until + acknowledged).min(FIRST_SHOWN)
}

/// The listed packets from the one before the first FIN or RST on.
fn ending<'a>(packets: &'a [&'a PacketEntry], shown: usize) -> &'a [&'a PacketEntry] {
    let rest = &packets[shown..];
    let ends = |packet: &&PacketEntry| packet.flags.iter().any(|flag| flag == "FIN" || flag == "RST");
    match rest.iter().position(ends) {
        Some(at) => &rest[at.saturating_sub(1).max(rest.len().saturating_sub(LAST_SHOWN))..],
        None => &[],
    }
}

/// Draws the last frame of a connection from its summary, when the packet list ends before that frame.
fn end(svg: &mut Svg, lang: Lang, y: f64, connection: &ConnectionEntry) {
    let after = connection.last_frame_at_unix_ns.saturating_sub(connection.first_frame_at_unix_ns);
    svg.text(0.0, y + 4.0, Anchor::Start, "tiny", &format::milliseconds(after));
    svg.text(CLIENT - 10.0, y + 4.0, Anchor::End, "tiny", &connection.last_frame.to_string());
    svg.line(CLIENT, y, SERVER, y, "turning");
    svg.text(MIDDLE, y - 5.0, Anchor::Middle, "small over turning", lang.connection_ended(connection.ended));
}
