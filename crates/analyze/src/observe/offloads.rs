//! What the sender's network stack left to its network card: checksums, and the division into segments.
//!
//! A manifest states the number of such frames, as the kernel reported them to the capturer. Here they are counted from the
//! frames themselves.

use dissect::capture::Record;
use dissect::checksum::{self, Checksum};
use dissect::frame::{Frame, Transport};
use dissect::ip::Fragment;

/// Length of a TCP header without options (RFC 9293 §3.1).
const TCP_HEADER: usize = 20;

/// Length of a UDP header (RFC 768).
const UDP_HEADER: u32 = 8;

/// The frames of a capture, checked for offloads.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Offloads {
    /// Frames whose TCP or UDP checksum is wrong.
    pub wrong_checksums: u64,
    /// Frames whose checksum could not be computed, because the capture lacks a part of them.
    pub unverified: u64,
    /// TCP segments with content.
    pub with_content: u64,
    /// Most bytes of options and content in a TCP segment.
    pub longest: u64,
    /// Least and largest MSS of all SYNs (RFC 9293 §3.7.1).
    pub mss: Option<(u16, u16)>,
}

impl Offloads {
    /// Checks a frame.
    #[inline]
    pub(crate) fn take(&mut self, record: &Record<'_>, frame: &Frame<'_>) {
        let Some(ip) = frame.ip().filter(|ip| ip.fragment == Fragment::No) else { return };
        match &frame.transport {
            Transport::Tcp(tcp) => {
                let options_at = ip.payload_offset as usize + TCP_HEADER;
                let options = record.bytes.get(options_at..tcp.payload_offset as usize).unwrap_or_default();
                self.longest = self.longest.max(options.len() as u64 + u64::from(tcp.wire_payload_len));
                self.with_content += u64::from(tcp.wire_payload_len > 0);
                if tcp.flags.syn()
                    && let Some(mss) = maximum_segment_size(options)
                {
                    let (least, largest) = self.mss.unwrap_or((mss, mss));
                    self.mss = Some((least.min(mss), largest.max(mss)));
                }
                self.verify(record, frame);
            }
            Transport::Udp(udp) => {
                let checksum_at = (udp.payload_offset - UDP_HEADER) as usize + 6;
                // Zero means that there is none, which IPv6 allows for tunnels (RFC 6935).
                if record.bytes.get(checksum_at..checksum_at + 2) != Some(&[0, 0]) {
                    self.verify(record, frame);
                }
            }
            _ => {}
        }
    }

    fn verify(&mut self, record: &Record<'_>, frame: &Frame<'_>) {
        match checksum::transport(frame, record.bytes) {
            Checksum::Good | Checksum::Absent => {}
            Checksum::Bad { .. } | Checksum::Unfinished => self.wrong_checksums += 1,
            Checksum::Unverifiable => self.unverified += 1,
        }
    }
}

/// The MSS option of a SYN.
fn maximum_segment_size(mut options: &[u8]) -> Option<u16> {
    loop {
        options = match options {
            [2, 4, high, low, ..] => return Some(u16::from_be_bytes([*high, *low])),
            [1, rest @ ..] => rest,
            [0, ..] | [] | [_] | [_, 0 | 1, ..] => return None,
            [_, len, ..] => options.get(usize::from(*len)..)?,
        };
    }
}

#[cfg(test)]
mod tests {
    use craft::frame::{Ip as MadeIp, Link, Tcp, Udp, flags};
    use dissect::frame;
    use dissect::link::LinkType;

    use super::*;

    fn taken(bytes: &[u8], original_len: u32) -> Offloads {
        let record = Record {
            frame: 1,
            captured_at: 0,
            link_type: LinkType::ETHERNET,
            interface: 0,
            original_len,
            bytes,
            file_offset: 0,
        };
        let mut offloads = Offloads::default();
        offloads.take(&record, &frame::decode(LinkType::ETHERNET, bytes, original_len));
        offloads
    }

    fn ips() -> [MadeIp; 2] {
        let between = |one: &str, other: &str| {
            MadeIp::between(one.parse().expect("an address"), other.parse().expect("an address"))
                .expect("one version")
        };
        [between("192.0.2.1", "192.0.2.77"), between("2001:db8::1", "2001:db8::77")]
    }

    #[test]
    fn finds_every_changed_byte_of_a_segment() {
        for ip in ips() {
            for payload in [&b""[..], b"x", b"some", b"some content of a segment"] {
                let mut bytes = Vec::new();
                let tcp = Tcp { source_port: 7, destination_port: 8, flags: flags::ACK, ..Tcp::default() };
                craft::frame::tcp(&mut bytes, &Link::default(), &ip, &tcp, payload);
                let len = bytes.len() as u32;
                assert_eq!(taken(&bytes, len).wrong_checksums, 0, "{payload:?}");
                let header = bytes.len() - payload.len() - TCP_HEADER;
                // The data offset, at 12, decides where the payload begins.
                for at in (header..bytes.len()).filter(|at| *at != header + 12) {
                    let mut changed = bytes.clone();
                    changed[at] ^= 0x20;
                    assert_eq!(taken(&changed, len).wrong_checksums, 1, "byte {at}");
                }
                let cut = bytes.len() - 1;
                assert_eq!(taken(&bytes[..cut], len).wrong_checksums, 0);
            }
        }
    }

    #[test]
    fn a_datagram_may_lack_a_checksum_over_ipv4() {
        for ip in ips() {
            let mut bytes = Vec::new();
            let udp = Udp { source_port: 7, destination_port: 8, ..Udp::default() };
            craft::frame::udp(&mut bytes, &Link::default(), &ip, &udp, b"content");
            let len = bytes.len() as u32;
            assert_eq!(taken(&bytes, len).wrong_checksums, 0);
            let checksum_at = bytes.len() - 7 - 2;
            bytes[checksum_at] ^= 1;
            assert_eq!(taken(&bytes, len).wrong_checksums, 1);
            bytes[checksum_at..checksum_at + 2].fill(0);
            assert_eq!(taken(&bytes, len).wrong_checksums, 0);
        }
    }

    #[test]
    fn reads_the_mss_behind_other_options() {
        for (options, mss) in [
            (&[2, 4, 5, 0xb4][..], Some(1460)),
            (&[1, 1, 4, 2, 2, 4, 5, 0xb4], Some(1460)),
            (&[4, 2, 8, 10, 0, 0, 0, 0, 0, 0, 0, 0], None),
            (&[2, 4, 5], None),
            (&[8, 0, 2, 4, 5, 0xb4], None),
            (&[8, 200, 2, 4, 5, 0xb4], None),
            (&[0, 2, 4, 5, 0xb4], None),
            (&[], None),
        ] {
            assert_eq!(maximum_segment_size(options), mss, "{options:?}");
        }
    }
}
