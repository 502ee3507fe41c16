//! Reads captures with other implementations than ours (pcap-parser, etherparse), as an oracle.

use std::collections::BTreeMap;
use std::fs;
use std::net::SocketAddr;
use std::path::Path;

use etherparse::{NetSlice, SlicedPacket, TransportSlice};
use pcap_parser::pcap::{PcapHeader, parse_pcap_frame, parse_pcap_header};

/// A frame in a capture file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Record {
    /// Time of capture, ns since the Unix epoch.
    pub at: u64,
    /// Length of the frame on the wire in bytes.
    pub original_len: u32,
    /// The captured bytes.
    pub bytes: Vec<u8>,
}

/// A TCP frame.
#[derive(Debug, Clone)]
pub struct Frame {
    /// Number of the frame, from 1.
    pub number: usize,
    /// Time of capture, ns since the Unix epoch.
    pub at: u64,
    /// Length of the frame on the wire in bytes.
    pub original_len: u32,
    /// The captured bytes.
    pub bytes: Vec<u8>,
    /// Source address and port.
    pub from: SocketAddr,
    /// Destination address and port.
    pub to: SocketAddr,
    /// Sequence number.
    pub seq: u32,
    /// Whether the segment has the SYN flag.
    pub syn: bool,
    /// Whether the segment has the ACK flag.
    pub ack: bool,
    /// Whether the segment has the FIN flag.
    pub fin: bool,
    /// Whether the segment has the RST flag.
    pub rst: bool,
    /// TCP payload.
    pub payload: Vec<u8>,
    /// Whether the checksums of the IP and TCP headers are right.
    pub checksums_right: bool,
}

/// Reads every frame of a little-endian pcap file with Ethernet frames. All must be TCP over IP.
///
/// # Panics
/// If the file has another form, or ends within a record.
#[must_use]
pub fn frames(path: &Path) -> Vec<Frame> {
    let file = fs::read(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    let (frames, rest) = whole_frames(&file);
    assert_eq!(rest, 0, "{}: {rest} bytes after the last whole frame", path.display());
    frames
}

/// Reads the complete frames of a pcap file that may have been cut. Also returns the number of bytes after the last
/// one.
///
/// # Panics
/// If the file header has another form, or a frame is not TCP over IP over Ethernet.
#[must_use]
pub fn whole_frames(file: &[u8]) -> (Vec<Frame>, usize) {
    let (mut rest, header) = parse_pcap_header(file).expect("a pcap file header");
    assert!(nanoseconds(&header), "nanosecond timestamps");
    let mut frames = Vec::new();
    while let Ok((after, block)) = parse_pcap_frame(rest) {
        rest = after;
        let at = u64::from(block.ts_sec) * 1_000_000_000 + u64::from(block.ts_usec);
        frames.push(frame(frames.len() + 1, at, block.origlen, block.data));
    }
    (frames, rest.len())
}

/// The frames of each connection in both directions, by the client's address.
///
/// # Panics
/// If a frame belongs to a connection whose SYN is missing.
#[must_use]
pub fn connections(frames: &[Frame]) -> BTreeMap<SocketAddr, Vec<Frame>> {
    let mut found: BTreeMap<SocketAddr, Vec<Frame>> = BTreeMap::new();
    for frame in frames {
        if frame.syn && !frame.ack {
            found.entry(frame.from).or_default().push(frame.clone());
        } else {
            let client = if found.contains_key(&frame.from) { frame.from } else { frame.to };
            found
                .get_mut(&client)
                .unwrap_or_else(|| panic!("frame {} belongs to no connection", frame.number))
                .push(frame.clone());
        }
    }
    found
}

fn nanoseconds(header: &PcapHeader) -> bool {
    header.is_nanosecond_precision() && !header.is_bigendian()
}

fn frame(number: usize, at: u64, original_len: u32, bytes: &[u8]) -> Frame {
    let packet = SlicedPacket::from_ethernet(bytes).unwrap_or_else(|error| panic!("frame {number}: {error}"));
    let Some(TransportSlice::Tcp(tcp)) = &packet.transport else { panic!("frame {number} is not TCP") };
    let checksum = tcp.checksum();
    let header = tcp.to_header();
    let (from, to, checksums_right) = match &packet.net {
        Some(NetSlice::Ipv4(ip)) => {
            let ip = ip.header();
            let right = ip.to_header().calc_header_checksum() == ip.header_checksum()
                && header.calc_checksum_ipv4_raw(ip.source(), ip.destination(), tcp.payload())
                    == Ok(checksum);
            (ip.source_addr().into(), ip.destination_addr().into(), right)
        }
        Some(NetSlice::Ipv6(ip)) => {
            let ip = ip.header();
            let right =
                header.calc_checksum_ipv6_raw(ip.source(), ip.destination(), tcp.payload()) == Ok(checksum);
            (ip.source_addr().into(), ip.destination_addr().into(), right)
        }
        _ => panic!("frame {number} is not IP"),
    };
    Frame {
        number,
        at,
        original_len,
        bytes: bytes.to_vec(),
        from: SocketAddr::new(from, tcp.source_port()),
        to: SocketAddr::new(to, tcp.destination_port()),
        seq: tcp.sequence_number(),
        syn: tcp.syn(),
        ack: tcp.ack(),
        fin: tcp.fin(),
        rst: tcp.rst(),
        payload: tcp.payload().to_vec(),
        checksums_right,
    }
}
