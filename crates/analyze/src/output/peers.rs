//! Writes the pairs of hosts into the result.

use dissect::ip::Protocol;
use exposure_schema::PeerEntry;

use crate::observe::peers::{Carrier, Exchanged, Pair, Peers};

pub(crate) fn peers(peers: &Peers) -> Vec<PeerEntry> {
    peers.pairs.iter().map(|(pair, exchanged)| entry(*pair, exchanged)).collect()
}

fn entry(Pair { client, server, carrier }: Pair, exchanged: &Exchanged) -> PeerEntry {
    let (protocol, port) = match carrier {
        Carrier::Tcp(port) => (Protocol::TCP, Some(port)),
        Carrier::Udp(port) => (Protocol::UDP, Some(port)),
        Carrier::Ip(number) => (Protocol(number), None),
    };
    PeerEntry {
        client: client.to_string(),
        server: server.to_string(),
        protocol: protocol.to_string(),
        port,
        names: exchanged.names.iter().cloned().collect(),
        connections: exchanged.connections,
        clear_bytes: exchanged.clear_bytes,
        protected_bytes: exchanged.protected_bytes,
        first_clear_frame: exchanged.first_clear.map(|(frame, _)| frame),
        first_clear_stream: exchanged.first_clear.and_then(|(_, stream)| stream),
    }
}
