//! Which hosts exchanged payload with each other, over what, and how much of it in the clear.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::net::IpAddr;

use dissect::frame::{Frame, Transport};
use dissect::ip::Protocol;

use super::byte_counts;
use crate::pipeline::fact::{ConnectionSummary, QuicFact, Spoken};

/// Maximum number of pairs of hosts; the payload of others is counted together.
pub(crate) const MAX_PEERS: usize = 4096;

/// Maximum number of names of one pair.
pub(crate) const MAX_NAMES: usize = 16;

/// Longest name that is kept, in bytes: that of DNS (RFC 1035 §2.3.4).
const MAX_NAME_LEN: usize = 255;

/// Maximum number of open connections whose requests' hosts are remembered.
const MAX_OPEN: usize = 4096;

/// Two hosts, and what carries their payload.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Pair {
    /// The host that opened the connection or sent the first datagram.
    pub client: IpAddr,
    pub server: IpAddr,
    pub carrier: Carrier,
}

/// What carries payload.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Carrier {
    /// TCP to this port.
    Tcp(u16),
    /// UDP to this port.
    Udp(u16),
    /// Another protocol of IP, or fragments and cut packets of any.
    Ip(u8),
}

/// What a pair exchanged.
#[derive(Clone, Debug, Default)]
pub(crate) struct Exchanged {
    /// TCP connections with payload.
    pub connections: u64,
    /// Bytes of payload that no key protects, in both directions.
    pub clear_bytes: u64,
    /// Bytes of TLS and QUIC, handshakes included.
    pub protected_bytes: u64,
    /// Frame of the first of the clear bytes, and its TCP stream.
    pub first_clear: Option<(u64, Option<u32>)>,
    /// Names by which the client called the server: in requests.
    pub names: BTreeSet<String>,
}

/// All pairs of a capture.
#[derive(Debug, Default)]
pub(crate) struct Peers {
    /// The first [`MAX_PEERS`].
    pub pairs: BTreeMap<Pair, Exchanged>,
    /// Bytes of payload of all other pairs.
    pub left_out_bytes: u64,
    /// The datagram of the last frame: its pair, and its bytes.
    last_datagram: Option<(u64, Pair, u64)>,
    /// The hosts that requests of open connections name, by stream.
    hosts: HashMap<u32, Hosts>,
}

/// The hosts that the requests of one connection name.
#[derive(Debug, Default)]
struct Hosts {
    /// The last one as it was sent: most connections have one host.
    last: Vec<u8>,
    names: BTreeSet<String>,
}

impl Peers {
    /// Adds a frame. Payload of TCP is added as its connection is closed.
    #[inline]
    pub(crate) fn frame(&mut self, number: u64, frame: &Frame<'_>) {
        if !matches!(frame.transport, Transport::Tcp(_)) {
            self.without_connection(number, frame);
        }
    }

    fn without_connection(&mut self, number: u64, frame: &Frame<'_>) {
        let Some(ip) = frame.ip() else { return };
        let (source, destination) = (ip.src.to_ip(), ip.dst.to_ip());
        let (pair, bytes) = match &frame.transport {
            Transport::Udp(udp) => {
                let asked = Pair { client: source, server: destination, carrier: Carrier::Udp(udp.dst_port) };
                let answered =
                    Pair { client: destination, server: source, carrier: Carrier::Udp(udp.src_port) };
                let is_answer = !self.pairs.contains_key(&asked) && self.pairs.contains_key(&answered);
                (if is_answer { answered } else { asked }, udp.wire_payload_len)
            }
            _ => {
                let Protocol(protocol) = ip.protocol;
                let (client, server) = (source.min(destination), source.max(destination));
                (Pair { client, server, carrier: Carrier::Ip(protocol) }, ip.payload_len)
            }
        };
        if bytes == 0 {
            return;
        }
        let bytes = u64::from(bytes);
        if let Some(exchanged) = self.of(pair, bytes) {
            exchanged.clear_bytes += bytes;
            exchanged.first_clear.get_or_insert((number, None));
            self.last_datagram = Some((number, pair, bytes));
        }
    }

    /// The datagram of this frame is one of QUIC.
    pub(crate) fn quic(&mut self, fact: &QuicFact<'_>) {
        if let Some((frame, pair, bytes)) = self.last_datagram.take()
            && frame == fact.frame
            && let Some(exchanged) = self.pairs.get_mut(&pair)
        {
            exchanged.clear_bytes -= bytes;
            exchanged.protected_bytes += bytes;
            exchanged.first_clear = exchanged.first_clear.filter(|(first, _)| *first != frame);
        }
    }

    /// Notes the host that a request names.
    pub(crate) fn asked(&mut self, stream: u32, host: &[u8]) {
        if self.hosts.len() >= MAX_OPEN && !self.hosts.contains_key(&stream) {
            return;
        }
        let hosts = self.hosts.entry(stream).or_default();
        if hosts.last == host {
            return;
        }
        hosts.last.clear();
        hosts.last.extend_from_slice(host.get(..MAX_NAME_LEN).unwrap_or(host));
        if let Some(name) =
            host_name(&String::from_utf8_lossy(host)).filter(|_| hosts.names.len() < MAX_NAMES)
        {
            hosts.names.insert(name);
        }
    }

    /// Adds a connection that is closed.
    pub(crate) fn closed(&mut self, summary: &ConnectionSummary) {
        let hosts = self.hosts.remove(&summary.stream).unwrap_or_default();
        let Some(ends) = summary.ends.filter(|_| summary.has_data) else { return };
        let kinds = byte_counts::kinds(summary);
        let protected = kinds.ciphertext + kinds.tls_clear;
        let pair = Pair {
            client: ends.client.address.to_ip(),
            server: ends.server.address.to_ip(),
            carrier: Carrier::Tcp(ends.server.port),
        };
        let Some(exchanged) = self.of(pair, kinds.clear + protected) else { return };
        exchanged.connections += 1;
        exchanged.clear_bytes += kinds.clear;
        exchanged.protected_bytes += protected;
        // Bytes that were lost are no TLS by anything that the capture shows.
        let is_clear = kinds.clear > 0 || !matches!(summary.spoken, Spoken::Tls(_));
        if let Some(frame) = summary.first_payload.filter(|_| is_clear) {
            let first = exchanged.first_clear.get_or_insert((frame, Some(summary.stream)));
            *first = (*first).min((frame, Some(summary.stream)));
        }
        hosts.names.iter().for_each(|host| exchanged.add_name(host));
    }

    /// Notes a name of a server, from its handshake.
    pub(crate) fn name(&mut self, client: IpAddr, server: IpAddr, carrier: Carrier, name: &str) {
        if let Some(exchanged) = self.pairs.get_mut(&Pair { client, server, carrier }) {
            exchanged.add_name(name);
        }
    }

    /// Notes the names by which clients looked up addresses.
    pub(crate) fn name_by_address(&mut self, names: &HashMap<IpAddr, Vec<(Option<IpAddr>, &str)>>) {
        for (pair, exchanged) in &mut self.pairs {
            for (client, name) in names.get(&pair.server).into_iter().flatten() {
                if client.is_none_or(|client| client == pair.client) {
                    exchanged.add_name(name);
                }
            }
        }
    }

    /// What a pair exchanged so far; `None` if it is one too many, so that its bytes are left out.
    fn of(&mut self, pair: Pair, bytes: u64) -> Option<&mut Exchanged> {
        if self.pairs.len() >= MAX_PEERS && !self.pairs.contains_key(&pair) {
            self.left_out_bytes += bytes;
            return None;
        }
        Some(self.pairs.entry(pair).or_default())
    }
}

impl Exchanged {
    fn add_name(&mut self, name: &str) {
        if let Some(name) = host_name(name).filter(|_| self.names.len() < MAX_NAMES) {
            self.names.insert(name);
        }
    }
}

/// The name in a host field (RFC 9110 §7.2), in lower case and without a port.
fn host_name(text: &str) -> Option<String> {
    let text = text.trim();
    let name = match text.strip_prefix('[') {
        Some(literal) => literal.split(']').next()?,
        // An IPv6 address without brackets has no port.
        None if text.matches(':').count() > 1 => text,
        None => text.split(':').next()?,
    };
    let name = name.trim_end_matches('.').to_ascii_lowercase();
    (!name.is_empty() && name.len() <= MAX_NAME_LEN && !name.contains(char::is_whitespace)).then_some(name)
}
