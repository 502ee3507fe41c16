//! Whose frame is it: the users' talk with the gateway, the link's own, or somebody else's.

use std::net::{IpAddr, SocketAddr};

use dissect::arp::Arp;
use dissect::capture::Record;
use dissect::frame::{self, Frame, Network, Transport};
use dissect::link::LinkType;
use exposure_schema::ForeignFrame;

use crate::input::isolation_record::Talk;

/// Frames of nobody that are described; all are counted.
const MAX_DESCRIBED: usize = 16;

/// Frames of the talk whose ends are remembered, to tell who said something. The experiment's talk has some hundred; a
/// longer one is a doubt.
const MAX_ENDS: usize = 100_000;

/// The frames of one capture, by whose they are.
#[derive(Debug, Default)]
pub(crate) struct FrameOwnership {
    /// TCP segments of the users' talk.
    pub talk: u64,
    /// ARP between the ends of the talk: how they find each other.
    pub arp: u64,
    /// Everything else.
    pub foreign: u64,
    /// The first [`MAX_DESCRIBED`] of these.
    pub described: Vec<ForeignFrame>,
    /// Sender and receiver of the first [`MAX_ENDS`] frames of the talk, by frame number.
    ends: Vec<(u64, SocketAddr, SocketAddr)>,
}

impl FrameOwnership {
    /// Takes the next frame.
    pub(crate) fn record(&mut self, record: &Record<'_>, talk: &Talk) {
        let frame = frame::decode(record.link_type, record.bytes, record.original_len);
        match (&frame.network, &frame.transport) {
            (Network::Ip(ip), Transport::Tcp(tcp)) => {
                let from = SocketAddr::new(ip.src.into(), tcp.src_port);
                let to = SocketAddr::new(ip.dst.into(), tcp.dst_port);
                let is_talk =
                    |client: IpAddr, server| talk.clients.contains(&client) && server == talk.server;
                if is_talk(from.ip(), to) || is_talk(to.ip(), from) {
                    self.talk += 1;
                    if self.ends.len() < MAX_ENDS {
                        self.ends.push((record.frame, from, to));
                    }
                    return;
                }
            }
            (Network::Arp, _) if is_between_ends(record.link_type, record.bytes, talk) => {
                self.arp += 1;
                return;
            }
            _ => {}
        }
        self.foreign += 1;
        if self.described.len() < MAX_DESCRIBED {
            self.described.push(ForeignFrame {
                frame: record.frame,
                at_unix_ns: record.captured_at,
                wire_bytes: record.original_len.into(),
                what: describe(&frame),
            });
        }
    }

    /// Whether the talk has more frames than are remembered.
    pub(crate) fn has_forgotten(&self) -> bool {
        self.talk > self.ends.len() as u64
    }

    /// Sender and receiver of a frame of the talk.
    pub(crate) fn ends(&self, frame: u64) -> Option<(SocketAddr, SocketAddr)> {
        let at = self.ends.binary_search_by_key(&frame, |(number, _, _)| *number).ok()?;
        self.ends.get(at).map(|(_, from, to)| (*from, *to))
    }
}

/// Whether it is how two ends of the talk find each other, and nothing besides.
fn is_between_ends(link_type: LinkType, bytes: &[u8], talk: &Talk) -> bool {
    let is_end = |address: [u8; 4]| {
        let ip = IpAddr::from(address);
        ip == talk.server.ip() || talk.clients.contains(&ip)
    };
    Arp::alone_in(link_type, bytes).is_some_and(|arp| is_end(arp.sender) && is_end(arp.target))
}

fn describe(frame: &Frame<'_>) -> String {
    let ends = |ip: &dissect::ip::Ip| format!("{} to {}", ip.src, ip.dst);
    match (&frame.network, &frame.transport) {
        (Network::Ip(ip), Transport::Tcp(tcp)) => format!(
            "TCP {} to {}",
            SocketAddr::new(ip.src.into(), tcp.src_port),
            SocketAddr::new(ip.dst.into(), tcp.dst_port)
        ),
        (Network::Ip(ip), Transport::Udp(udp)) => format!(
            "UDP {} to {}",
            SocketAddr::new(ip.src.into(), udp.src_port),
            SocketAddr::new(ip.dst.into(), udp.dst_port)
        ),
        (Network::Ip(ip), Transport::Icmp) => format!("ICMP {}", ends(ip)),
        (Network::Ip(ip), Transport::Icmpv6) => format!("ICMPv6 {}", ends(ip)),
        (Network::Ip(ip), Transport::Other(protocol)) => format!("IP protocol {protocol} {}", ends(ip)),
        (Network::Ip(ip), Transport::Absent) => format!("IP {}", ends(ip)),
        (Network::Arp, _) => "ARP".to_owned(),
        (Network::Other(ether_type), _) => format!("EtherType {ether_type}"),
        (Network::Absent, _) => "not decoded".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn arp_of_the_talk_is_that_of_its_ends_and_bare() {
        let talk: Talk = serde_json::from_value(serde_json::json!({
            "server": "10.78.0.1:8000", "clients": ["10.78.0.2"],
        }))
        .unwrap();
        let arp = |sender: [u8; 4], target: [u8; 4], behind: &[u8]| {
            let (nobody, source) = ([0; 6], [2, 0, 0, 0, 0, 1]);
            let packet = [0, 1, 8, 0, 6, 4, 0, 1];
            let frame =
                [&[0xff; 6][..], &source, &[8, 6], &packet, &source, &sender, &nobody, &target, behind];
            is_between_ends(LinkType::ETHERNET, &frame.concat(), &talk)
        };
        let (server, client) = ([10, 78, 0, 1], [10, 78, 0, 2]);
        assert!(arp(server, client, &[]) && arp(client, server, &[0; 18]));
        assert!(!arp(client, server, b"secret") && !arp(client, server, &[0, 0, 1]));
        assert!(!arp(client, [10, 78, 0, 9], &[]) && !arp([10, 78, 0, 9], server, &[]));
        assert!(!is_between_ends(LinkType::ETHERNET, &[0; 20], &talk));
    }
}
