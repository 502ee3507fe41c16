//! Frames of an isolation run by owner: the users' traffic with the gateway, address resolution for it, the host's beacons,
//! or anything else.

use std::collections::{BTreeMap, BTreeSet};
use std::net::{IpAddr, SocketAddr};

use dissect::arp::{Arp, Hardware, Operation};
use dissect::capture::Record;
use dissect::frame::{Frame, Network, Transport, UdpDatagram};
use dissect::ip::{Ip, Protocol};
use dissect::link::LinkType;
use exposure_schema::ForeignFrame;

use crate::input::isolation_record::{Carrier, UserTraffic};
use crate::pipeline::frames::wire_len;
use crate::{arp, trailer};

/// Maximum number of foreign frames described; all are counted.
const MAX_DESCRIBED: usize = 16;

/// Maximum number of frames of the users' traffic whose sender and receiver are remembered. The experiment has some
/// hundred; more are a doubt.
const MAX_ENDS: usize = 100_000;

/// Maximum number of other frames whose receiver is remembered, and of ARP frames. The control has some ten.
const MAX_OTHERS: usize = 10_000;

/// Maximum number of addresses whose hardware address is remembered: the gateway and its users have some ten.
const MAX_HARDWARE: usize = 1024;

/// The port that beacons are sent from and to.
const BEACON_PORT: u16 = 40713;

/// An IP protocol number for experiments (RFC 3692 §2.1).
const EXPERIMENT: Protocol = Protocol(253);

const BROADCAST: Hardware = [0xff; 6];
const UNKNOWN: Hardware = [0; 6];

/// The frames of one capture by owner.
#[derive(Debug)]
pub(crate) struct FrameOwnership {
    user_traffic: UserTraffic,
    /// Number of TCP segments in the users' traffic.
    pub of_users: u64,
    /// Number of ARP frames between the ends of that traffic.
    pub arp: u64,
    pub beacons: Beacons,
    /// Number of all other frames.
    pub foreign: u64,
    /// The first [`MAX_DESCRIBED`] of the other frames.
    pub described: Vec<ForeignFrame>,
    /// Sender and receiver of the first [`MAX_ENDS`] frames of the users' traffic, by frame number.
    ends: Vec<(u64, SocketAddr, SocketAddr)>,
    /// Protocol and receiver of the first [`MAX_OTHERS`] other frames, by frame number.
    others: Vec<(u64, Carrier, SocketAddr)>,
    /// The hardware address of each end of the users' traffic.
    hardware: BTreeMap<IpAddr, Hardware>,
    /// ARP frames, until the hardware addresses of all ends are known.
    resolving: Vec<Resolving>,
}

/// The beacons of one capture.
#[derive(Debug, Default)]
pub(crate) struct Beacons {
    /// The texts of the first and of the last one; `None` if it is not known which capture this is.
    expected: Option<[String; 2]>,
    /// The texts of all beacons of the run that were not found yet.
    of_run: BTreeSet<String>,
    /// When each was captured.
    pub at: [Option<u64>; 2],
    /// Number of beacons that the host sent on another interface or in another phase.
    pub misplaced: u64,
    /// Number of frames, other than ARP and ICMPv6, before the first and behind the last.
    pub outside: u64,
    /// Number of the current frame if it is a beacon.
    current: Option<u64>,
}

/// An ARP frame whose owner is not known yet.
#[derive(Debug)]
struct Resolving {
    packet: Option<Arp>,
    destination: Hardware,
    described: ForeignFrame,
}

impl FrameOwnership {
    /// `beacons` has the texts of the first and of the last beacon of this capture, `of_run` those of all captures.
    pub(crate) fn new(
        user_traffic: UserTraffic,
        beacons: Option<[String; 2]>,
        of_run: BTreeSet<String>,
    ) -> Self {
        Self {
            user_traffic,
            of_users: 0,
            arp: 0,
            beacons: Beacons { expected: beacons, of_run, ..Beacons::default() },
            foreign: 0,
            described: Vec::new(),
            ends: Vec::new(),
            others: Vec::new(),
            hardware: BTreeMap::new(),
            resolving: Vec::new(),
        }
    }

    /// Adds the next frame.
    pub(crate) fn take(&mut self, record: &Record<'_>, frame: &Frame<'_>) {
        self.beacons.current = None;
        if let Network::Arp = frame.network
            && self.resolving.len() < MAX_OTHERS
        {
            let packet = arp::bare_packet(record.link_type, record.bytes);
            let destination = hardware(record).map_or(UNKNOWN, |(_, destination)| destination);
            self.resolving.push(Resolving { packet, destination, described: foreign(record, frame) });
            return;
        }
        // What a tunnel carries is no traffic of the users, and no beacon.
        let is_direct = frame.encapsulations.is_empty();
        if let (Network::Ip(ip), Transport::Udp(udp)) = (&frame.network, &frame.transport)
            && is_direct
            && self.beacons.take(record, ip, udp)
        {
            return;
        }
        // Some seconds after an attempt by IPv6 the kernel looks whether its neighbour is still there (RFC 4861 §7.3.3), as it does
        // by ARP. Without network such a frame is foreign, like every other.
        if !matches!(frame.transport, Transport::Icmpv6) {
            self.beacons.take_other();
        }
        if let (Network::Ip(ip), Transport::Tcp(tcp)) = (&frame.network, &frame.transport)
            && is_direct
        {
            let from = SocketAddr::new(ip.src.into(), tcp.src_port);
            let to = SocketAddr::new(ip.dst.into(), tcp.dst_port);
            if self.is_of_users(from, to) && self.has_own_hardware(record, from.ip(), to.ip()) {
                self.of_users += 1;
                if self.ends.len() < MAX_ENDS {
                    self.ends.push((record.frame, from, to));
                }
                return;
            }
        }
        if let Some((carrier, to)) = carrier(frame)
            && self.others.len() < MAX_OTHERS
        {
            self.others.push((record.frame, carrier, to));
        }
        self.take_foreign(foreign(record, frame));
    }

    fn is_of_users(&self, from: SocketAddr, to: SocketAddr) -> bool {
        let UserTraffic { server, clients } = &self.user_traffic;
        let is_between = |client: IpAddr, other| clients.contains(&client) && other == *server;
        is_between(from.ip(), to) || is_between(to.ip(), from)
    }

    /// Whether the Ethernet header names the hardware addresses that the two ends have always had. Others could be data.
    fn has_own_hardware(&mut self, record: &Record<'_>, from: IpAddr, to: IpAddr) -> bool {
        let Some((source, destination)) = hardware(record) else { return true };
        [(from, source), (to, destination)].into_iter().all(|(ip, address)| {
            let is_full = self.hardware.len() >= MAX_HARDWARE;
            match self.hardware.get(&ip) {
                Some(known) => *known == address,
                None if is_full => false,
                None => self.hardware.insert(ip, address).is_none(),
            }
        })
    }

    fn take_foreign(&mut self, described: ForeignFrame) {
        self.foreign += 1;
        if self.described.len() < MAX_DESCRIBED {
            self.described.push(described);
        }
    }

    /// Finds the owners of the ARP frames. Called once, at the end.
    pub(crate) fn settle(&mut self) {
        let all = std::mem::take(&mut self.resolving);
        let packets = all.iter().filter_map(|resolving| resolving.packet);
        let requests = packets.filter(|packet| packet.operation == Operation::REQUEST);
        let asked: BTreeSet<_> = requests.map(|packet| (packet.sender, packet.target)).collect();
        for resolving in all {
            let is_resolution = resolving.packet.is_some_and(|packet| {
                // A kernel answers those who ask.
                let is_due =
                    packet.operation == Operation::REQUEST || asked.contains(&(packet.target, packet.sender));
                is_due && self.is_resolution(&packet, resolving.destination)
            });
            if is_resolution {
                self.arp += 1;
            } else {
                self.take_foreign(resolving.described);
            }
        }
        self.described.sort_by_key(|described| described.frame);
    }

    /// Whether the packet resolves an address of the users' traffic on the interface that carries it, or asks whether one is
    /// in use (an ARP probe, RFC 5227 §1.1), and names only hardware addresses that the frames of that traffic name.
    fn is_resolution(&self, arp: &Arp, destination: Hardware) -> bool {
        let known = |address: [u8; 4]| self.hardware.get(&IpAddr::from(address));
        let is_probe = arp.sender == [0; 4] && arp.operation == Operation::REQUEST;
        let sender = known(if is_probe { arp.target } else { arp.sender });
        let (Some(sender), Some(target)) = (sender, known(arp.target)) else { return false };
        arp.sender_hardware == *sender
            && [UNKNOWN, BROADCAST, *target, *sender].contains(&arp.target_hardware)
            && [BROADCAST, *target].contains(&destination)
    }

    /// Whether there are more frames of the users' traffic than are remembered.
    pub(crate) fn has_forgotten(&self) -> bool {
        self.of_users > self.ends.len() as u64
    }

    /// Whether this frame is a beacon.
    pub(crate) fn is_beacon(&self, frame: u64) -> bool {
        self.beacons.current == Some(frame)
    }

    /// Sender and receiver of a frame of the users' traffic.
    pub(crate) fn ends(&self, frame: u64) -> Option<(SocketAddr, SocketAddr)> {
        let at = self.ends.binary_search_by_key(&frame, |(number, _, _)| *number).ok()?;
        self.ends.get(at).map(|(_, from, to)| (*from, *to))
    }

    /// Protocol and receiver of a frame that is not of the users' traffic. A raw packet has the port 0.
    pub(crate) fn carrier(&self, frame: u64) -> Option<(Carrier, SocketAddr)> {
        let at = self.others.binary_search_by_key(&frame, |(number, _, _)| *number).ok()?;
        self.others.get(at).map(|(_, carrier, to)| (*carrier, *to))
    }
}

impl Beacons {
    /// Takes a beacon of the run; each counts once.
    fn take(&mut self, record: &Record<'_>, ip: &Ip, udp: &UdpDatagram<'_>) -> bool {
        let is_broadcast = IpAddr::from(ip.dst) == IpAddr::from([255; 4])
            && (udp.src_port, udp.dst_port) == (BEACON_PORT, BEACON_PORT)
            && hardware(record).is_none_or(|(_, destination)| [BROADCAST, UNKNOWN].contains(&destination));
        // Nothing but the three headers and the text: no options, no trailer.
        let end = udp.payload_offset as usize + udp.payload.len();
        let is_bare = ip.payload_offset - ip.offset == 20
            && udp.payload.len() == udp.wire_payload_len as usize
            && trailer::is_empty(record.link_type, record.bytes, end);
        let Ok(text) = std::str::from_utf8(udp.payload) else { return false };
        if !is_broadcast || !is_bare || !self.of_run.remove(text) {
            return false;
        }
        let moment = self.expected.iter().flatten().position(|expected| expected == text);
        match moment.and_then(|moment| self.at.get_mut(moment)) {
            Some(at) => *at = Some(record.captured_at),
            None => self.misplaced += 1,
        }
        self.current = Some(record.frame);
        true
    }

    fn take_other(&mut self) {
        self.outside += u64::from(self.at[0].is_none() || self.at[1].is_some());
    }
}

/// Source and destination of an Ethernet frame.
fn hardware(record: &Record<'_>) -> Option<(Hardware, Hardware)> {
    let is_ethernet = record.link_type == LinkType::ETHERNET;
    let (destination, rest) = record.bytes.split_first_chunk().filter(|_| is_ethernet)?;
    rest.first_chunk().map(|source| (*source, *destination))
}

/// Protocol and receiver of a frame that can carry an escape attempt.
fn carrier(frame: &Frame<'_>) -> Option<(Carrier, SocketAddr)> {
    let ip = frame.ip()?;
    let (carrier, port) = match &frame.transport {
        Transport::Tcp(tcp) => (Carrier::Tcp, tcp.dst_port),
        Transport::Udp(udp) => (Carrier::Udp, udp.dst_port),
        Transport::Other(protocol) if *protocol == EXPERIMENT => (Carrier::Raw, 0),
        _ => return None,
    };
    Some((carrier, SocketAddr::new(ip.dst.into(), port)))
}

fn foreign(record: &Record<'_>, frame: &Frame<'_>) -> ForeignFrame {
    ForeignFrame {
        frame: record.frame,
        at_unix_ns: record.captured_at,
        wire_bytes: wire_len(record),
        what: describe(frame),
    }
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
        (Network::Aggregate(_), _) => "A-MSDU".to_owned(),
        (Network::Absent, _) => "not decoded".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use craft::frame::{self as crafted, Ethernet, Link, Tcp, Udp};
    use dissect::frame::decode;

    use super::*;

    const SERVER: [u8; 4] = [10, 78, 0, 1];
    const CLIENT: [u8; 4] = [10, 78, 0, 2];
    const SERVER_MAC: Hardware = [2, 0, 0, 0, 0, 1];
    const CLIENT_MAC: Hardware = [2, 0, 0, 0, 0, 2];

    fn ownership(frames: &[Vec<u8>]) -> FrameOwnership {
        let traffic: UserTraffic = serde_json::from_value(serde_json::json!({
            "server": "10.78.0.1:8000", "clients": ["10.78.0.2"],
        }))
        .unwrap();
        let texts = |interface: &str| ["start", "end"].map(|moment| format!("beacon {interface} {moment}"));
        let of_run = texts("front").into_iter().chain(texts("back")).collect();
        let mut ownership = FrameOwnership::new(traffic, Some(texts("front")), of_run);
        for (number, bytes) in (1..).zip(frames) {
            let record = Record {
                frame: number,
                file_offset: 24,
                captured_at: number,
                interface: 0,
                link_type: LinkType::ETHERNET,
                original_len: bytes.len() as u32,
                bytes,
            };
            ownership.take(&record, &decode(LinkType::ETHERNET, bytes, bytes.len() as u32));
        }
        ownership.settle();
        ownership
    }

    /// A segment of the client, from this hardware address.
    fn segment(source: Hardware) -> Vec<u8> {
        let ethernet = Ethernet { destination: SERVER_MAC, source, ..Ethernet::default() };
        let ip = crafted::Ip::between(CLIENT.into(), SERVER.into()).unwrap();
        let tcp = Tcp { source_port: 50_000, destination_port: 8000, flags: 2, ..Tcp::default() };
        let mut bytes = Vec::new();
        crafted::tcp(&mut bytes, &Link::Ethernet(ethernet), &ip, &tcp, &[]);
        bytes
    }

    fn arp(
        operation: u8,
        sender: (Hardware, [u8; 4]),
        target: (Hardware, [u8; 4]),
        behind: &[u8],
    ) -> Vec<u8> {
        let packet = [0, 1, 8, 0, 6, 4, 0, operation];
        let destination = if operation == 1 { BROADCAST } else { target.0 };
        [&destination[..], &sender.0, &[8, 6], &packet, &sender.0, &sender.1, &target.0, &target.1, behind]
            .concat()
    }

    fn beacon(text: &str, port: u16) -> Vec<u8> {
        let ethernet = Ethernet { destination: BROADCAST, source: SERVER_MAC, ..Ethernet::default() };
        let ip = crafted::Ip::between(SERVER.into(), [255; 4].into()).unwrap();
        let udp = Udp { source_port: port, destination_port: port, ..Udp::default() };
        let mut bytes = Vec::new();
        crafted::udp(&mut bytes, &Link::Ethernet(ethernet), &ip, &udp, text.as_bytes());
        bytes
    }

    #[test]
    fn arp_is_explained_only_with_the_addresses_of_the_traffic() {
        let (server, client) = ((SERVER_MAC, SERVER), (CLIENT_MAC, CLIENT));
        let asking = |(_, address): (Hardware, [u8; 4])| (UNKNOWN, address);
        let of_traffic = |arp: Vec<u8>| {
            let found = ownership(&[arp, segment(CLIENT_MAC)]);
            assert_eq!(found.arp + found.foreign, 1);
            found.arp == 1
        };
        assert!(of_traffic(arp(1, client, asking(server), &[])));
        let both =
            [arp(2, server, client, &[0; 18]), arp(1, client, asking(server), &[]), segment(CLIENT_MAC)];
        assert_eq!(ownership(&both).arp, 2, "a reply, recorded before its request");
        assert!(!of_traffic(arp(2, server, client, &[0; 18])), "a reply without a request");
        assert!(of_traffic(arp(1, (CLIENT_MAC, [0; 4]), asking(client), &[])), "a probe");
        assert!(!of_traffic(arp(2, (CLIENT_MAC, [0; 4]), asking(client), &[])), "a reply is no probe");
        assert!(!of_traffic(arp(1, client, asking(server), b"secret")));
        assert!(!of_traffic(arp(1, (*b"secret", CLIENT), asking(server), &[])));
        assert!(!of_traffic(arp(1, client, (*b"secret", SERVER), &[])));
        assert!(!of_traffic(arp(1, client, asking((UNKNOWN, [10, 78, 0, 9])), &[])));
        let alone = ownership(&[arp(1, client, asking(server), &[])]);
        assert_eq!((alone.arp, alone.foreign), (0, 1), "no traffic of users on this interface");
    }

    #[test]
    fn hardware_addresses_of_the_traffic_do_not_change() {
        let found = ownership(&[segment(CLIENT_MAC), segment(*b"secret"), segment(CLIENT_MAC)]);
        assert_eq!((found.of_users, found.foreign), (2, 1));
    }

    #[test]
    fn each_beacon_counts_once_and_where_it_belongs() {
        let all = ownership(&[
            beacon("beacon front start", BEACON_PORT),
            segment(CLIENT_MAC),
            beacon("beacon front end", BEACON_PORT),
        ]);
        assert_eq!((all.beacons.at, all.beacons.outside, all.foreign), ([Some(1), Some(3)], 0, 0));
        assert!(all.is_beacon(3) && !all.is_beacon(2));
        let twice = ownership(&[
            beacon("beacon front start", BEACON_PORT),
            beacon("beacon front start", BEACON_PORT),
        ]);
        assert_eq!((twice.beacons.at, twice.foreign), ([Some(1), None], 1));
        let elsewhere = ownership(&[beacon("beacon back start", BEACON_PORT)]);
        assert_eq!((elsewhere.beacons.misplaced, elsewhere.beacons.at, elsewhere.foreign), (1, [None; 2], 0));
        for other in [beacon("beacon front stArt", BEACON_PORT), beacon("beacon front start", 9)] {
            assert_eq!(ownership(&[other]).foreign, 1);
        }
        let mut trailer = beacon("beacon front start", BEACON_PORT);
        trailer.extend(b"secret");
        assert_eq!(ownership(&[trailer]).foreign, 1);
        let late = ownership(&[segment(CLIENT_MAC), beacon("beacon front start", BEACON_PORT)]);
        assert_eq!(late.beacons.outside, 1);
        // Ethernet, IPv6 from fe80::1 to fe80::2, and a neighbour solicitation without its rest.
        let mut looked = [[2; 12].as_slice(), &[0x86, 0xdd, 0x60, 0, 0, 0, 0, 8, 58, 255]].concat();
        looked.extend([1, 2].into_iter().flat_map(|end| (0xfe80_u128 << 112 | end).to_be_bytes()));
        looked.extend([135, 0, 0, 0, 0, 0, 0, 0]);
        let early = ownership(&[looked, beacon("beacon front start", BEACON_PORT)]);
        assert_eq!((early.beacons.outside, early.foreign), (0, 1));
    }
}
