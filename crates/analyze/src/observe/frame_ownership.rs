//! Frames of an isolation run by owner: the users' traffic with the gateway, address resolution for it, or anything else.

use std::net::{IpAddr, SocketAddr};

use dissect::capture::Record;
use dissect::frame::{Frame, Network, Transport};
use dissect::link::LinkType;
use exposure_schema::ForeignFrame;

use crate::arp;
use crate::input::isolation_record::UserTraffic;
use crate::pipeline::frames::wire_len;

/// Maximum number of foreign frames described; all are counted.
const MAX_DESCRIBED: usize = 16;

/// Maximum number of frames of the users' traffic whose sender and receiver are remembered. The experiment has some
/// hundred; more are a doubt.
const MAX_ENDS: usize = 100_000;

/// The frames of one capture by owner.
#[derive(Debug)]
pub(crate) struct FrameOwnership {
    user_traffic: UserTraffic,
    /// Number of TCP segments in the users' traffic.
    pub of_users: u64,
    /// Number of ARP frames between the ends of that traffic.
    pub arp: u64,
    /// Number of all other frames.
    pub foreign: u64,
    /// The first [`MAX_DESCRIBED`] of the other frames.
    pub described: Vec<ForeignFrame>,
    /// Sender and receiver of the first [`MAX_ENDS`] frames of the users' traffic, by frame number.
    ends: Vec<(u64, SocketAddr, SocketAddr)>,
}

impl FrameOwnership {
    pub(crate) fn new(user_traffic: UserTraffic) -> Self {
        Self { user_traffic, of_users: 0, arp: 0, foreign: 0, described: Vec::new(), ends: Vec::new() }
    }

    /// Adds the next frame.
    pub(crate) fn take(&mut self, record: &Record<'_>, frame: &Frame<'_>) {
        let UserTraffic { server, clients } = &self.user_traffic;
        match (&frame.network, &frame.transport) {
            (Network::Ip(ip), Transport::Tcp(tcp)) => {
                let from = SocketAddr::new(ip.src.into(), tcp.src_port);
                let to = SocketAddr::new(ip.dst.into(), tcp.dst_port);
                let is_between = |client: IpAddr, other| clients.contains(&client) && other == *server;
                if is_between(from.ip(), to) || is_between(to.ip(), from) {
                    self.of_users += 1;
                    if self.ends.len() < MAX_ENDS {
                        self.ends.push((record.frame, from, to));
                    }
                    return;
                }
            }
            (Network::Arp, _) if is_between_ends(record.link_type, record.bytes, &self.user_traffic) => {
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
                wire_bytes: wire_len(record),
                what: describe(frame),
            });
        }
    }

    /// Whether there are more frames of the users' traffic than are remembered.
    pub(crate) fn has_forgotten(&self) -> bool {
        self.of_users > self.ends.len() as u64
    }

    /// Sender and receiver of a frame of the users' traffic.
    pub(crate) fn ends(&self, frame: u64) -> Option<(SocketAddr, SocketAddr)> {
        let at = self.ends.binary_search_by_key(&frame, |(number, _, _)| *number).ok()?;
        self.ends.get(at).map(|(_, from, to)| (*from, *to))
    }
}

/// Whether the frame resolves an address of one end for the other, and holds nothing else.
fn is_between_ends(link_type: LinkType, bytes: &[u8], traffic: &UserTraffic) -> bool {
    let is_end = |address: [u8; 4]| {
        let ip = IpAddr::from(address);
        ip == traffic.server.ip() || traffic.clients.contains(&ip)
    };
    arp::bare_packet(link_type, bytes).is_some_and(|arp| is_end(arp.sender) && is_end(arp.target))
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
    fn arp_is_explained_only_between_the_ends_and_without_payload() {
        let traffic: UserTraffic = serde_json::from_value(serde_json::json!({
            "server": "10.78.0.1:8000", "clients": ["10.78.0.2"],
        }))
        .unwrap();
        let arp = |sender: [u8; 4], target: [u8; 4], behind: &[u8]| {
            let (unknown, source) = ([0; 6], [2, 0, 0, 0, 0, 1]);
            let packet = [0, 1, 8, 0, 6, 4, 0, 1];
            let frame =
                [&[0xff; 6][..], &source, &[8, 6], &packet, &source, &sender, &unknown, &target, behind];
            is_between_ends(LinkType::ETHERNET, &frame.concat(), &traffic)
        };
        let (server, client) = ([10, 78, 0, 1], [10, 78, 0, 2]);
        assert!(arp(server, client, &[]) && arp(client, server, &[0; 18]));
        assert!(!arp(client, server, b"secret") && !arp(client, server, &[0, 0, 1]));
        assert!(!arp(client, [10, 78, 0, 9], &[]) && !arp([10, 78, 0, 9], server, &[]));
        assert!(!is_between_ends(LinkType::ETHERNET, &[0; 20], &traffic));
    }
}
