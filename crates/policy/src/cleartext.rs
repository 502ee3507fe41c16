//! Payload in the clear between hosts.

use exposure_schema::{Capture, PeerEntry};

use crate::file::Cleartext;
use crate::judgement::{Found, Outcome, Place};

const RULE: &str = "cleartext.forbidden";

pub(crate) fn judge(rules: &Cleartext, capture: &Capture, found: &mut Found<'_>) {
    if rules.forbidden.is_empty() {
        return;
    }
    for peer in capture.peers.iter().filter(|peer| peer.clear_bytes > 0) {
        if is_forbidden(rules, peer) && !is_excepted(rules, peer) {
            let server = server_of(peer);
            let place = peer.first_clear_frame.map(|frame| Place::frame(frame, peer.first_clear_stream));
            let text = format!(
                "{} bytes in the clear between {} and {server}{}",
                peer.clear_bytes,
                peer.client,
                named(peer)
            );
            found.add(RULE, Outcome::Violated, server, text, place.into_iter().collect());
        }
    }
    for session in capture.tls.iter().flat_map(|tls| &tls.sessions) {
        let suite = session.visible.cipher_suite.as_deref().unwrap_or_default();
        let is_between =
            |end: &str| address(end).is_some_and(|address| rules.forbidden.have_address(address));
        let is_named =
            session.visible.server_name.as_deref().is_some_and(|name| rules.forbidden.have_name(name));
        if suite.contains("_NULL_")
            && (is_named || is_between(&session.client) || is_between(&session.server))
        {
            let text =
                format!("{} does not encrypt, between {} and {}", suite, session.client, session.server);
            found.add(RULE, Outcome::Violated, &session.server, text, vec![Place::stream(session.stream)]);
        }
    }
    if capture.peers_left_out_bytes > 0 {
        let text = format!(
            "{} bytes of payload are between hosts that the result does not list",
            capture.peers_left_out_bytes
        );
        found.add(RULE, Outcome::Undecided, "hosts", text, Vec::new());
    }
}

fn is_forbidden(rules: &Cleartext, peer: &PeerEntry) -> bool {
    let is_address = [&peer.client, &peer.server]
        .into_iter()
        .any(|text| text.parse().is_ok_and(|address| rules.forbidden.have_address(address)));
    is_address || rules.forbidden.has_names() && peer.names.iter().any(|name| rules.forbidden.have_name(name))
}

fn is_excepted(rules: &Cleartext, peer: &PeerEntry) -> bool {
    let with_port = peer.port.map(|port| format!("{}/{port}", peer.protocol));
    rules.except.iter().any(|except| {
        except.eq_ignore_ascii_case(&peer.protocol)
            || with_port.as_deref().is_some_and(|port| except.eq_ignore_ascii_case(port))
    })
}

/// The server with the port or the protocol.
fn server_of(peer: &PeerEntry) -> String {
    match peer.port {
        Some(port) => format!("{} {}/{port}", peer.server, peer.protocol),
        None => format!("{} {}", peer.server, peer.protocol),
    }
}

fn named(peer: &PeerEntry) -> String {
    match peer.names.as_slice() {
        [] => String::new(),
        names => format!(" ({})", names.join(", ")),
    }
}

/// The address in `ADDRESS:PORT`.
fn address(end: &str) -> Option<std::net::IpAddr> {
    end.parse().ok().map(|end: std::net::SocketAddr| end.ip())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::file::Policy;

    fn peer(server: &str, protocol: &str, port: Option<u16>, names: &[&str]) -> PeerEntry {
        PeerEntry {
            client: "192.0.2.1".into(),
            server: server.into(),
            protocol: protocol.into(),
            port,
            names: names.iter().map(|&name| name.into()).collect(),
            connections: 1,
            clear_bytes: 1,
            protected_bytes: 0,
            first_clear_frame: Some(4),
            first_clear_stream: None,
        }
    }

    #[test]
    fn hosts_are_known_by_address_and_by_name() {
        let text = "[cleartext]\nforbidden = ['10.0.0.0/8', '*.example']\nexcept = ['udp/53', 'ICMP']";
        let rules = Policy::read(text).unwrap().cleartext;
        for (peer, expected) in [
            (peer("10.1.1.1", "TCP", Some(80), &[]), true),
            (peer("11.1.1.1", "TCP", Some(80), &[]), false),
            (peer("11.1.1.1", "TCP", Some(80), &["b", "a.example"]), true),
            (peer("10.1.1.1", "UDP", Some(53), &[]), false),
            (peer("10.1.1.1", "TCP", Some(53), &[]), true),
            (peer("10.1.1.1", "UDP", None, &[]), true),
            (peer("10.1.1.1", "ICMP", None, &[]), false),
        ] {
            assert_eq!(is_forbidden(&rules, &peer) && !is_excepted(&rules, &peer), expected, "{peer:?}");
        }
    }
}
