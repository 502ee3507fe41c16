//! Times the TCP connections of a capture, turn by turn, for `lab cost`.
//!
//! The module reads only headers and times. It shares no code with the observer.

use std::collections::BTreeMap;
use std::net::{IpAddr, SocketAddr};
use std::path::Path;

use anyhow::{Context, bail};
use etherparse::{NetSlice, SlicedPacket, TransportSlice};
use pcap_parser::pcap::{LegacyPcapBlock, parse_pcap_frame, parse_pcap_frame_be, parse_pcap_header};

/// Length of an encrypted TLS 1.3 close_notify: 5 bytes of record header, 2 of alert, 1 of content type, 16 of tag
/// (RFC 9846 §5.2). A client that sends no more than this has closed the connection, not sent a request.
const CLOSE_NOTIFY_BYTES: u64 = 24;

/// Linux delays an acknowledgement by at least 40 ms (`TCP_DELACK_MIN`); no other cause makes one this late.
pub(crate) const LATE_ACK_NS: u64 = 35_000_000;

/// The times of one TCP connection.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Connection {
    /// When the first SYN was captured, ns since the Unix epoch.
    pub(crate) syn_at: u64,
    /// SYNs after the first.
    pub(crate) syn_repeats: u64,
    /// Segments whose first byte was captured before.
    pub(crate) repeats: u64,
    /// How often one side held data back until the other's delayed acknowledgement arrived (Nagle's algorithm).
    pub(crate) stalls: u64,
    /// The requests with their answers.
    pub(crate) turns: Vec<Turn>,
}

/// A request and its answer. Unanswered requests are left out.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Turn {
    /// When the request's first byte was captured, ns since the Unix epoch.
    pub(crate) asked_at: u64,
    /// When the answer's last byte was captured, ns since the Unix epoch.
    pub(crate) answered_at: u64,
}

impl Turn {
    /// Time from the first byte of the request to the last byte of the answer, ns.
    pub(crate) fn took(&self) -> u64 {
        self.answered_at.saturating_sub(self.asked_at)
    }
}

/// Reads the connections of a classic pcap file with Ethernet frames, in the order of their first SYN.
pub(crate) fn read(path: &Path) -> anyhow::Result<Vec<Connection>> {
    let bytes = std::fs::read(path).with_context(|| format!("cannot read {}", path.display()))?;
    connections(&bytes).with_context(|| format!("{} is not a capture of Ethernet frames", path.display()))
}

fn connections(file: &[u8]) -> anyhow::Result<Vec<Connection>> {
    let Ok((mut rest, header)) = parse_pcap_header(file) else {
        bail!("the pcap file header is missing or damaged")
    };
    let ns_per_fraction = if header.is_nanosecond_precision() { 1 } else { 1000 };
    let parse = if header.is_bigendian() { parse_pcap_frame_be } else { parse_pcap_frame };

    let mut timed: BTreeMap<(SocketAddr, SocketAddr), TimedConnection> = BTreeMap::new();
    let mut finished = Vec::new();
    while !rest.is_empty() {
        let Ok((after, frame)) = parse(rest) else {
            bail!("the frame {} bytes before the end is cut", rest.len())
        };
        rest = after;
        let Some(segment) = Segment::of(&frame, ns_per_fraction) else { continue };
        let key = (segment.from, segment.to);
        let reverse = (segment.to, segment.from);
        if segment.syn && !segment.ack {
            match timed.get_mut(&key) {
                Some(connection) if connection.isn == segment.seq => connection.syn_repeats += 1,
                _ => finished.extend(timed.insert(key, TimedConnection::started_by(&segment))),
            }
        } else if let Some(connection) = timed.get_mut(&key) {
            connection.watch_for_stalls(&segment, Side::Client);
            connection.client_sent(&segment);
        } else if let Some(connection) = timed.get_mut(&reverse) {
            connection.watch_for_stalls(&segment, Side::Server);
            connection.server_sent(&segment);
        }
    }
    finished.extend(timed.into_values());
    finished.sort_by_key(|connection| connection.syn_at);
    Ok(finished.into_iter().map(TimedConnection::end).collect())
}

struct Segment {
    at: u64,
    from: SocketAddr,
    to: SocketAddr,
    seq: u32,
    syn: bool,
    ack: bool,
    payload: u32,
}

impl Segment {
    fn of(frame: &LegacyPcapBlock<'_>, ns_per_fraction: u64) -> Option<Self> {
        let packet = SlicedPacket::from_ethernet(frame.data).ok()?;
        let (from, to): (IpAddr, IpAddr) = match packet.net? {
            NetSlice::Ipv4(ip) => (ip.header().source_addr().into(), ip.header().destination_addr().into()),
            NetSlice::Ipv6(ip) => (ip.header().source_addr().into(), ip.header().destination_addr().into()),
            NetSlice::Arp(_) => return None,
        };
        let Some(TransportSlice::Tcp(tcp)) = packet.transport else { return None };
        Some(Self {
            at: u64::from(frame.ts_sec) * 1_000_000_000 + u64::from(frame.ts_usec) * ns_per_fraction,
            from: (from, tcp.source_port()).into(),
            to: (to, tcp.destination_port()).into(),
            seq: tcp.sequence_number(),
            syn: tcp.syn(),
            ack: tcp.ack(),
            payload: u32::try_from(tcp.payload().len()).ok()?,
        })
    }
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Side {
    Client,
    Server,
}

/// A connection whose segments are still being read.
struct TimedConnection {
    last_at: u64,
    late_ack_from: Option<Side>,
    stalls: u64,
    syn_at: u64,
    isn: u32,
    syn_repeats: u64,
    repeats: u64,
    client_next: Option<u32>,
    server_next: Option<u32>,
    turns: Vec<Open>,
}

struct Open {
    asked_at: u64,
    asked_bytes: u64,
    answered_at: Option<u64>,
}

impl TimedConnection {
    fn started_by(syn: &Segment) -> Self {
        Self {
            last_at: syn.at,
            late_ack_from: None,
            stalls: 0,
            syn_at: syn.at,
            isn: syn.seq,
            syn_repeats: 0,
            repeats: 0,
            client_next: None,
            server_next: None,
            turns: Vec::new(),
        }
    }

    /// A stall is an acknowledgement without data after a long silence, followed by data from the side that waited for it.
    /// A slow program also acknowledges late, but then sends data itself.
    fn watch_for_stalls(&mut self, segment: &Segment, side: Side) {
        let silence = segment.at.saturating_sub(self.last_at);
        self.last_at = segment.at;
        if segment.payload > 0 {
            let waited_for = self.late_ack_from.take();
            self.stalls += u64::from(waited_for.is_some_and(|acknowledger| acknowledger != side));
        } else if segment.ack && !segment.syn && silence >= LATE_ACK_NS {
            self.late_ack_from = Some(side);
        }
    }

    fn client_sent(&mut self, segment: &Segment) {
        if segment.payload == 0 {
            return;
        }
        if !is_new(&mut self.client_next, segment) {
            self.repeats += 1;
            return;
        }
        match self.turns.last_mut() {
            Some(turn) if turn.answered_at.is_none() => turn.asked_bytes += u64::from(segment.payload),
            _ => self.turns.push(Open {
                asked_at: segment.at,
                asked_bytes: u64::from(segment.payload),
                answered_at: None,
            }),
        }
    }

    fn server_sent(&mut self, segment: &Segment) {
        if segment.payload == 0 {
            return;
        }
        if !is_new(&mut self.server_next, segment) {
            self.repeats += 1;
            return;
        }
        if let Some(turn) = self.turns.last_mut() {
            turn.answered_at = Some(segment.at);
        }
    }

    fn end(self) -> Connection {
        let turns = self
            .turns
            .iter()
            .filter(|turn| turn.asked_bytes > CLOSE_NOTIFY_BYTES)
            .filter_map(|turn| Some(Turn { asked_at: turn.asked_at, answered_at: turn.answered_at? }))
            .collect();
        Connection {
            syn_at: self.syn_at,
            syn_repeats: self.syn_repeats,
            repeats: self.repeats,
            stalls: self.stalls,
            turns,
        }
    }
}

/// Whether the segment's first byte is new, compared with the next expected sequence number, which wraps
/// (RFC 9293 §3.4).
fn is_new(next: &mut Option<u32>, segment: &Segment) -> bool {
    let new = next.is_none_or(|next| segment.seq.wrapping_sub(next) < 1 << 31);
    if new {
        *next = Some(segment.seq.wrapping_add(segment.payload));
    }
    new
}

#[cfg(test)]
mod tests {
    use etherparse::PacketBuilder;

    use super::*;

    const CLIENT: u16 = 40_000;
    const SERVER: u16 = 8000;

    /// A capture with one frame a line: time in µs, source port, flags, sequence number, payload length.
    fn capture(lines: &[(u64, u16, &str, u32, usize)]) -> Vec<u8> {
        let mut file = Vec::new();
        for word in [0xa1b2_3c4d_u32, 0x0004_0002, 0, 0, 262_144, 1] {
            file.extend(word.to_le_bytes());
        }
        for &(at, from, flags, seq, length) in lines {
            let (source, destination, to) = if from == CLIENT {
                ([10, 0, 0, 1], [10, 0, 0, 2], SERVER)
            } else {
                ([10, 0, 0, 2], [10, 0, 0, 1], CLIENT)
            };
            let mut packet = PacketBuilder::ethernet2([2; 6], [4; 6])
                .ipv4(source, destination, 64)
                .tcp(from, to, seq, 1000);
            if flags.contains('S') {
                packet = packet.syn();
            }
            if flags.contains('A') {
                packet = packet.ack(1);
            }
            let mut bytes = Vec::new();
            packet.write(&mut bytes, &vec![b'x'; length]).unwrap();
            let (sec, ns) = (at / 1_000_000, at % 1_000_000 * 1000);
            for word in [sec, ns, bytes.len() as u64, bytes.len() as u64] {
                file.extend(u32::try_from(word).unwrap().to_le_bytes());
            }
            file.extend(bytes);
        }
        file
    }

    #[test]
    fn times_a_turn_from_the_first_byte_of_the_request_to_the_last_of_the_answer() {
        let file = capture(&[
            (0, CLIENT, "S", 9, 0),
            (10, SERVER, "SA", u32::MAX - 50, 0),
            (20, CLIENT, "A", 10, 0),
            (30, CLIENT, "A", 10, 100),
            (40, CLIENT, "A", 110, 50),
            (50, SERVER, "A", u32::MAX - 49, 100), // its sequence numbers wrap
            (60, SERVER, "A", 50, 100),
            (70, CLIENT, "A", 160, 100),
            (80, CLIENT, "A", 160, 100), // repeated
            (95, SERVER, "A", 150, 10),
            (96, CLIENT, "A", 260, 24), // close_notify
            (97, SERVER, "A", 160, 24),
        ]);
        let found = connections(&file).unwrap();
        assert_eq!(found.len(), 1);
        assert_eq!((found[0].syn_at, found[0].syn_repeats, found[0].repeats), (0, 0, 1));
        let times: Vec<_> =
            found[0].turns.iter().map(|turn| (turn.asked_at / 1000, turn.took() / 1000)).collect();
        assert_eq!(times, [(30, 30), (70, 25)]);
    }

    #[test]
    fn counts_stalls_but_not_slow_answers() {
        let start = [(0, CLIENT, "S", 9, 0), (10, SERVER, "SA", 0, 0), (20, CLIENT, "A", 10, 100)];
        // Nagle: the rest of the request waits for the acknowledgement that the server delays.
        let nagle =
            [(40_020, SERVER, "A", 1, 0), (40_030, CLIENT, "A", 110, 50), (40_040, SERVER, "A", 1, 9)];
        // A busy server: it acknowledges late as well, and then answers.
        let busy = [(40_020, SERVER, "A", 1, 0), (68_000, SERVER, "A", 1, 9)];
        let stalls = |rest: &[_]| connections(&capture(&[&start[..], rest].concat())).unwrap()[0].stalls;
        assert_eq!(stalls(&nagle), 1);
        assert_eq!(stalls(&busy), 0);
    }

    #[test]
    fn a_repeated_syn_is_counted_and_another_syn_starts_a_connection() {
        let file = capture(&[
            (0, CLIENT, "S", 9, 0),
            (1_000_000, CLIENT, "S", 9, 0),
            (2_000_000, CLIENT, "S", 77, 0),
        ]);
        let found = connections(&file).unwrap();
        let seen: Vec<_> =
            found.iter().map(|connection| (connection.syn_at, connection.syn_repeats)).collect();
        assert_eq!(seen, [(0, 1), (2_000_000_000, 0)]);
    }

    #[test]
    fn rejects_cut_file_without_panic() {
        let file = capture(&[(0, CLIENT, "S", 9, 0), (30, CLIENT, "A", 10, 100)]);
        for length in 0..file.len() {
            let _ = connections(&file[..length]);
        }
        assert!(connections(&file[..file.len() - 1]).is_err());
    }
}
