//! Which bytes behind a packet leave no room for hidden data.
//!
//! A short Ethernet frame is padded to 60 bytes (IEEE 802.3 §3.2.8), and some interfaces hand over the frame check sequence
//! as well. Padding of zeros says nothing; the check sequence says what the rest of the frame says.

use dissect::checksum::frame_check_sequence;
use dissect::link::LinkType;

const FRAME_CHECK_SEQUENCE: usize = 4;

/// Whether the bytes of a frame from `end` on, behind its packet, are zeros, a right frame check sequence, or both in this
/// order.
#[inline]
pub(crate) fn is_empty(link_type: LinkType, frame: &[u8], end: usize) -> bool {
    let trailer = frame.get(end..).unwrap_or_default();
    trailer.iter().all(|byte| *byte == 0)
        || link_type == LinkType::ETHERNET && ends_with_check_sequence(frame, end)
}

#[cold]
fn ends_with_check_sequence(frame: &[u8], end: usize) -> bool {
    let Some((rest, sequence)) = frame.split_last_chunk::<FRAME_CHECK_SEQUENCE>() else { return false };
    let Some(padding) = rest.get(end..) else { return false };
    padding.iter().all(|byte| *byte == 0) && *sequence == frame_check_sequence(rest)
}

#[cfg(test)]
mod tests {
    use super::*;

    const PACKET: &[u8] = b"a header and a packet";

    fn with(padding: usize, sequence: &[u8]) -> Vec<u8> {
        [PACKET, &vec![0; padding], sequence].concat()
    }

    #[test]
    fn accepts_padding_and_the_right_check_sequence() {
        for padding in [0, 1, 4, 25] {
            let frame = with(padding, &[]);
            assert!(is_empty(LinkType::ETHERNET, &frame, PACKET.len()), "{padding}");
            let checked = with(padding, &frame_check_sequence(&frame));
            assert!(is_empty(LinkType::ETHERNET, &checked, PACKET.len()), "{padding}");
        }
        assert!(is_empty(LinkType::ETHERNET, PACKET, PACKET.len() + 7), "a packet that the snaplen cut");
    }

    #[test]
    fn rejects_everything_else() {
        let sequence = frame_check_sequence(PACKET);
        for at in 0..32 {
            let mut wrong = sequence;
            wrong[at / 8] ^= 1 << (at % 8);
            assert!(!is_empty(LinkType::ETHERNET, &with(0, &wrong), PACKET.len()), "bit {at}");
        }
        let behind = [&with(0, &sequence)[..], &[0]].concat();
        assert!(!is_empty(LinkType::ETHERNET, &behind, PACKET.len()), "zeros behind it");
        let before = [PACKET, b"x"].concat();
        let before = [&before[..], &frame_check_sequence(&before)].concat();
        assert!(!is_empty(LinkType::ETHERNET, &before, PACKET.len()), "padding of another byte");
        assert!(!is_empty(LinkType::LINUX_SLL, &with(0, &sequence), PACKET.len()), "a link without it");
        for len in 1..4 {
            assert!(!is_empty(LinkType::ETHERNET, &with(0, &sequence[..len]), PACKET.len()), "{len} bytes");
        }
    }
}
