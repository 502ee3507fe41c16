//! Where the agents and the capturer ran, for the backend of the run.

use super::svg::{Anchor, WIDTH, fitted};
use super::{Figure, Svg};
use crate::i18n::Lang;
use crate::model::Capture;

/// Addresses of the two agents, and the interface that was captured.
struct Ends {
    client: String,
    server: String,
    interface: Option<String>,
}

/// Draws agents, network and capturer as the backend of the runs arranges them. The captures of a comparison have the same setup,
/// apart from the port.
pub(crate) fn setup(lang: Lang, captures: &[Capture]) -> Figure {
    let split =
        |socket: &str| socket.rsplit_once(':').map(|(address, port)| (address.to_owned(), port.to_owned()));
    let connections = || captures.iter().filter_map(|capture| capture.connections.first());
    let address = |socket: Option<&String>| {
        socket.and_then(|socket| split(socket)).map_or(String::new(), |(address, _)| address)
    };
    let server = address(connections().next().map(|connection| &connection.server));
    let mut ports: Vec<String> =
        connections().filter_map(|connection| split(&connection.server)).map(|(_, port)| port).collect();
    ports.dedup();
    let first = |text: fn(&Capture) -> Option<&String>| captures.iter().find_map(text);
    let ends = Ends {
        client: address(connections().next().map(|connection| &connection.client)),
        server: if ports.is_empty() { server } else { format!("{server}:{}", ports.join(", ")) },
        interface: first(|capture| capture.manifest.as_ref()?.interface.as_ref()).cloned(),
    };
    let mut svg = Svg::new();
    let backend = first(|capture| capture.backend.as_ref()).map(String::as_str);
    match backend {
        Some("netns") => namespaces(&mut svg, lang, &ends),
        Some("relay") => relay(&mut svg, lang, &ends),
        Some("docker") => containers(&mut svg, lang, &ends),
        _ => unknown_origin(&mut svg, lang, &ends),
    }
    Figure {
        name: "setup".to_owned(),
        caption: lang.setup_caption(backend),
        alt: lang.setup_alt(backend),
        svg,
    }
}

const BOX: f64 = 164.0;
const RIGHT: f64 = WIDTH - BOX;
const TALL: f64 = 58.0;

fn namespaces(svg: &mut Svg, lang: Lang, ends: &Ends) {
    svg.rounded(0.0, 0.0, BOX + 20.0, 208.0, 10.0, "zone");
    svg.text(10.0, 20.0, Anchor::Start, "tiny", lang.drawing_netns_a());
    svg.rounded(RIGHT - 20.0, 0.0, BOX + 20.0, 208.0, 10.0, "zone");
    svg.text(RIGHT - 10.0, 20.0, Anchor::Start, "tiny", lang.drawing_netns_b());
    agents(svg, lang, ends, [10.0, RIGHT - 10.0], 34.0);
    wire(svg, 10.0 + BOX, RIGHT - 10.0, 63.0, lang.drawing_veth());
    capturer(svg, lang, RIGHT - 10.0, 130.0, ends);
    svg.line(RIGHT - 34.0, 63.0, RIGHT - 34.0, 158.0, "tap");
    svg.arrow(RIGHT - 34.0, RIGHT - 10.0, 158.0, "tap");
    journals(svg, lang, 10.0, 130.0);
    svg.set_height(208.0);
}

fn containers(svg: &mut Svg, lang: Lang, ends: &Ends) {
    svg.rounded(0.0, 0.0, BOX + 20.0, 106.0, 10.0, "zone");
    svg.text(10.0, 20.0, Anchor::Start, "tiny", lang.drawing_container());
    svg.rounded(RIGHT - 20.0, 0.0, BOX + 20.0, 208.0, 10.0, "zone");
    svg.text(RIGHT - 10.0, 20.0, Anchor::Start, "tiny", lang.drawing_shared());
    agents(svg, lang, ends, [10.0, RIGHT - 10.0], 34.0);
    wire(svg, 10.0 + BOX, RIGHT - 10.0, 63.0, lang.drawing_network());
    capturer(svg, lang, RIGHT - 10.0, 130.0, ends);
    svg.line(RIGHT - 34.0, 63.0, RIGHT - 34.0, 158.0, "tap");
    svg.arrow(RIGHT - 34.0, RIGHT - 10.0, 158.0, "tap");
    journals(svg, lang, 10.0, 130.0);
    svg.set_height(208.0);
}

fn relay(svg: &mut Svg, lang: Lang, ends: &Ends) {
    const SIDE: f64 = 140.0;
    const MIDDLE: f64 = WIDTH / 2.0;
    svg.rounded(0.0, 0.0, WIDTH, 196.0, 10.0, "zone");
    svg.text(12.0, 20.0, Anchor::Start, "tiny", lang.drawing_loopback());
    agent(svg, 12.0, 40.0, SIDE, "agent-a", &fitted(&ends.client, 11.5, SIDE - 12.0), lang.drawing_client());
    agent(
        svg,
        WIDTH - SIDE - 12.0,
        40.0,
        SIDE,
        "agent-b",
        &fitted(&ends.server, 11.5, SIDE - 12.0),
        lang.drawing_server(),
    );
    svg.rounded(MIDDLE - 56.0, 40.0, 112.0, TALL, 8.0, "observer");
    svg.text(MIDDLE, 64.0, Anchor::Middle, "strong", "capturer");
    svg.text(MIDDLE, 84.0, Anchor::Middle, "small", lang.drawing_relay());
    wire(svg, 12.0 + SIDE, MIDDLE - 56.0, 69.0, "");
    wire(svg, MIDDLE + 56.0, WIDTH - SIDE - 12.0, 69.0, "");
    svg.line(MIDDLE, 98.0, MIDDLE, 128.0, "tap");
    svg.text(MIDDLE, 146.0, Anchor::Middle, "small", lang.tap());
    svg.text(MIDDLE, 164.0, Anchor::Middle, "mono", "NAME.pcap, NAME.manifest.json");
    svg.text(MIDDLE, 182.0, Anchor::Middle, "small", lang.drawing_journals());
    svg.set_height(196.0);
}

fn unknown_origin(svg: &mut Svg, lang: Lang, ends: &Ends) {
    agents(svg, lang, ends, [0.0, RIGHT], 8.0);
    wire(svg, BOX, RIGHT, 37.0, lang.drawing_wire());
    svg.line(WIDTH / 2.0, 37.0, WIDTH / 2.0, 86.0, "tap");
    svg.text(WIDTH / 2.0, 104.0, Anchor::Middle, "small", lang.drawing_unknown_origin());
    svg.set_height(112.0);
}

fn agents(svg: &mut Svg, lang: Lang, ends: &Ends, at: [f64; 2], y: f64) {
    let [client, server] = [&ends.client, &ends.server].map(|address| fitted(address, 11.5, BOX - 12.0));
    agent(svg, at[0], y, BOX, "agent-a", &client, lang.drawing_client());
    agent(svg, at[1], y, BOX, "agent-b", &server, lang.drawing_server());
}

fn agent(svg: &mut Svg, x: f64, y: f64, wide: f64, name: &str, address: &str, role: &str) {
    svg.rounded(x, y, wide, TALL, 8.0, "agent");
    let title = format!("{name} · {role}");
    svg.text(x + wide / 2.0, y + 24.0, Anchor::Middle, "strong", &title);
    svg.text(x + wide / 2.0, y + 44.0, Anchor::Middle, "mono", address);
}

fn capturer(svg: &mut Svg, lang: Lang, x: f64, y: f64, ends: &Ends) {
    svg.rounded(x, y, BOX, TALL + 10.0, 8.0, "observer");
    svg.text(x + BOX / 2.0, y + 22.0, Anchor::Middle, "strong", "capturer");
    svg.text(x + BOX / 2.0, y + 40.0, Anchor::Middle, "small", lang.tap());
    let interface = fitted(ends.interface.as_deref().unwrap_or_default(), 11.5, BOX - 12.0);
    svg.text(x + BOX / 2.0, y + 57.0, Anchor::Middle, "mono", &interface);
}

fn journals(svg: &mut Svg, lang: Lang, x: f64, y: f64) {
    svg.text(x, y + 22.0, Anchor::Start, "small", lang.drawing_journals());
    svg.text(x, y + 41.0, Anchor::Start, "mono", "NAME.agent-a.jsonl, …");
}

fn wire(svg: &mut Svg, from: f64, to: f64, y: f64, name: &str) {
    let middle = (from + to) / 2.0;
    svg.arrow(middle, to, y, "wire");
    svg.arrow(middle, from, y, "wire");
    if !name.is_empty() {
        svg.text(middle, y - 9.0, Anchor::Middle, "small", name);
    }
}
