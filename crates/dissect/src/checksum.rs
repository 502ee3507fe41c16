//! Verifies the checksums of a decoded frame (RFC 1071). Decoding does not verify them, because that requires reading
//! every byte of the payload.

use crate::frame::Frame;
use crate::ip::{Fragment, Ip, Protocol};

/// The state of a checksum field.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Checksum {
    /// The value is right.
    Good,
    /// The value is wrong.
    Bad {
        /// The value in the frame.
        found: u16,
        /// The right value.
        expected: u16,
    },
    /// The field contains the sum of the pseudo header only: the frame was captured before hardware completed it
    /// (checksum offload). This is no damage.
    Unfinished,
    /// There is no checksum: another protocol, the IPv6 header, UDP over IPv4 without one.
    Absent,
    /// Bytes that the checksum covers were not captured, or are in other fragments.
    Unverifiable,
}

/// The checksums of a frame.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Checksums {
    /// Of the IPv4 header.
    pub ip: Checksum,
    /// Of TCP or UDP.
    pub transport: Checksum,
}

/// Verifies the checksums of `frame`, which was decoded from `bytes`.
pub fn verify(frame: &Frame<'_>, bytes: &[u8]) -> Checksums {
    Checksums {
        ip: frame.ip().map_or(Checksum::Absent, |ip| ip_header(ip, bytes)),
        transport: transport(frame, bytes),
    }
}

/// Verifies the checksum of TCP or UDP in `frame`, which was decoded from `bytes`.
#[must_use]
pub fn transport(frame: &Frame<'_>, bytes: &[u8]) -> Checksum {
    frame.ip().map_or(Checksum::Absent, |ip| in_packet(ip, bytes))
}

fn ip_header(ip: &Ip, bytes: &[u8]) -> Checksum {
    if !ip.src.is_v4() {
        return Checksum::Absent;
    }
    const FIELD: usize = 10;
    match bytes.get(ip.offset as usize..ip.payload_offset as usize) {
        Some(header) => compare(sum(0, header), word(header, FIELD)),
        None => Checksum::Unverifiable,
    }
}

/// The checksum of an IPv4 header whose checksum field is zero.
pub(crate) fn of_header(header: &[u8]) -> u16 {
    !fold(sum(0, header))
}

fn in_packet(ip: &Ip, bytes: &[u8]) -> Checksum {
    let field_offset = match ip.protocol {
        Protocol::TCP => 16,
        Protocol::UDP => 6,
        _ => return Checksum::Absent,
    };
    let (start, length) = (ip.payload_offset as usize, ip.payload_len as usize);
    let Some(packet) = bytes.get(start..start.saturating_add(length)) else { return Checksum::Unverifiable };
    if ip.fragment != Fragment::No {
        return Checksum::Unverifiable;
    }
    let Some(field) = word(packet, field_offset) else { return Checksum::Unverifiable };
    let udp = ip.protocol == Protocol::UDP;
    if udp && field == 0 {
        // No checksum was computed; in IPv6 that is forbidden but for tunnels (RFC 6935).
        return if ip.src.is_v4() { Checksum::Absent } else { Checksum::Bad { found: 0, expected: 0xffff } };
    }
    let mut pseudo = u64::from(ip.protocol.0) + u64::from(ip.payload_len);
    for address in [ip.src, ip.dst] {
        pseudo = match address.to_ip() {
            std::net::IpAddr::V4(a) => sum(pseudo, &a.octets()),
            std::net::IpAddr::V6(a) => sum(pseudo, &a.octets()),
        };
    }
    match compare(sum(pseudo, packet), Some(field)) {
        Checksum::Bad { found, .. } if found == fold(pseudo) => Checksum::Unfinished,
        verdict => verdict,
    }
}

/// The frame check sequence of an Ethernet frame, as it follows on the wire: CRC-32 (IEEE 802.3 §3.2.9).
#[must_use]
pub fn frame_check_sequence(frame: &[u8]) -> [u8; 4] {
    let half = |crc: u32| CRC_32.get(crc as usize & 15).map_or(0, |entry| entry ^ (crc >> 4));
    (!frame.iter().fold(u32::MAX, |crc, byte| half(half(crc ^ u32::from(*byte))))).to_le_bytes()
}

/// The remainders of four bits, in the order of bits on the wire.
const CRC_32: [u32; 16] = [
    0x0000_0000,
    0x1db7_1064,
    0x3b6e_20c8,
    0x26d9_30ac,
    0x76dc_4190,
    0x6b6b_51f4,
    0x4db2_6158,
    0x5005_713c,
    0xedb8_8320,
    0xf00f_9344,
    0xd6d6_a3e8,
    0xcb61_b38c,
    0x9b64_c2b0,
    0x86d3_d2d4,
    0xa00a_e278,
    0xbdbd_f21c,
];

/// `total` includes the field itself.
fn compare(total: u64, field: Option<u16>) -> Checksum {
    let Some(found) = field else { return Checksum::Unverifiable };
    if fold(total) == 0xffff {
        return Checksum::Good;
    }
    // Adding the complement removes the field from the sum.
    Checksum::Bad { found, expected: !fold(total + u64::from(!found)) }
}

/// Adds 16-bit words in network order, with padding after an odd last byte. They are added in pairs, in the order of the
/// machine: the sum of swapped words is the swapped sum (RFC 1071 §2).
fn sum(start: u64, bytes: &[u8]) -> u64 {
    let (words, rest) = bytes.as_chunks::<4>();
    let mut last = [0; 4];
    for (to, from) in last.iter_mut().zip(rest) {
        *to = *from;
    }
    let pairs = words.iter().chain([&last]).map(|word| u64::from(u32::from_ne_bytes(*word)));
    start + u64::from(u16::from_be(fold(pairs.sum())))
}

fn fold(mut total: u64) -> u16 {
    while total > 0xffff {
        total = (total >> 16) + (total & 0xffff);
    }
    total as u16
}

fn word(bytes: &[u8], offset: usize) -> Option<u16> {
    bytes.get(offset..)?.first_chunk().map(|pair| u16::from_be_bytes(*pair))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The check value of CRC-32.
    #[test]
    fn frame_check_sequence_is_that_of_ethernet() {
        assert_eq!(frame_check_sequence(b"123456789"), 0xcbf4_3926_u32.to_le_bytes());
        assert_eq!(frame_check_sequence(b""), [0; 4]);
    }
}
