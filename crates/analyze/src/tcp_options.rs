//! Recognises TCP options that leave no room for hidden data.

use dissect::tcp::{Flags, SackBlock};

/// The options of a TCP segment, if each of them is one that common stacks send.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct UsualOptions<'a> {
    sack: &'a [u8],
}

impl<'a> UsualOptions<'a> {
    /// Reads the options of a segment with these flags. Common stacks send end of list, no-operation, and each of the
    /// following once, with the length that it must have: timestamps; with SYN also MSS, window scale, SACK permitted and
    /// a Fast Open cookie or the request for one; without SYN a SACK, which belongs to an acknowledgment (RFC 9293 §3.2,
    /// RFC 7323 §2.2 and §3.2, RFC 2018 §2 and §3, RFC 7413 §4.1.1). Only zeros may follow the end of the list. Anything
    /// else could contain hidden data: `None`.
    pub(crate) fn read(options: &'a [u8], flags: Flags) -> Option<Self> {
        let mut usual = Self { sack: &[] };
        let mut seen = 0_u64;
        let mut rest = options;
        loop {
            let (kind, behind) = match rest {
                [] => return Some(usual),
                [0, padding @ ..] => return padding.iter().all(|byte| *byte == 0).then_some(usual),
                [1, behind @ ..] => {
                    rest = behind;
                    continue;
                }
                [kind @ 2, 4, _, _, behind @ ..]
                | [kind @ 3, 3, _, behind @ ..]
                | [kind @ 4, 2, behind @ ..]
                    if flags.syn() =>
                {
                    (kind, behind)
                }
                [kind @ 34, len @ (2 | 6 | 8 | 10 | 12 | 14 | 16 | 18), behind @ ..] if flags.syn() => {
                    (kind, behind.get(usize::from(*len) - 2..)?)
                }
                [kind @ 5, len @ (10 | 18 | 26 | 34), behind @ ..] if flags.ack() && !flags.syn() => {
                    let (sack, behind) = behind.split_at_checked(usize::from(*len) - 2)?;
                    usual.sack = sack;
                    (kind, behind)
                }
                [kind @ 8, 10, behind @ ..] => (kind, behind.get(8..)?),
                _ => return None,
            };
            let bit = 1 << kind;
            if seen & bit != 0 {
                return None;
            }
            seen |= bit;
            rest = behind;
        }
    }

    /// The blocks of the selective acknowledgment, in the order of the option.
    pub(crate) fn sack_blocks(self) -> impl Iterator<Item = SackBlock> {
        let (blocks, _) = self.sack.as_chunks();
        blocks.iter().map(|[a, b, c, d, e, f, g, h]| SackBlock {
            left: u32::from_be_bytes([*a, *b, *c, *d]),
            right: u32::from_be_bytes([*e, *f, *g, *h]),
        })
    }

    /// Whether there is no selective acknowledgment.
    #[inline]
    pub(crate) fn has_no_sack(self) -> bool {
        self.sack.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TIMESTAMPS: [u8; 12] = [1, 1, 8, 10, 0, 0, 0, 1, 0, 0, 0, 2];

    fn blocks(options: &[u8], flags: u8) -> Option<Vec<(u32, u32)>> {
        let usual = UsualOptions::read(options, Flags(flags))?;
        Some(usual.sack_blocks().map(|block| (block.left, block.right)).collect())
    }

    #[test]
    fn accepts_options_that_common_stacks_send() {
        let (syn, ack) = (Flags::SYN.0, Flags::ACK.0);
        let linux_syn = [&[2, 4, 5, 0xb4, 4, 2][..], &TIMESTAMPS[2..], &[1, 3, 3, 7]].concat();
        assert_eq!(blocks(&linux_syn, syn), Some(vec![]));
        assert_eq!(blocks(&linux_syn, syn | ack), Some(vec![]));
        assert_eq!(blocks(&TIMESTAMPS, ack), Some(vec![]));
        assert_eq!(blocks(&[1, 1, 1, 0], ack), Some(vec![]));
        for cookie in [0, 4, 6, 8, 16] {
            let fast_open = [&[34, cookie as u8 + 2][..], &vec![7; cookie], &[1, 1]].concat();
            assert_eq!(blocks(&fast_open, syn), Some(vec![]), "a cookie of {cookie} bytes");
            assert_eq!(blocks(&fast_open, syn | ack), Some(vec![]), "a cookie of {cookie} bytes");
        }
        let sack =
            [&[1, 1, 5, 18][..], &7_u32.to_be_bytes(), &8_u32.to_be_bytes(), &[0xff; 4], &[0; 4]].concat();
        assert_eq!(blocks(&sack, ack), Some(vec![(7, 8), (u32::MAX, 0)]));
        assert_eq!(blocks(&[&TIMESTAMPS[..], &sack].concat(), ack), Some(vec![(7, 8), (u32::MAX, 0)]));
    }

    #[test]
    fn rejects_options_with_room_for_hidden_data() {
        let (syn, ack) = (Flags::SYN.0, Flags::ACK.0);
        let sack = [&[5, 10][..], &[0; 8]].concat();
        for (options, flags) in [
            (&[253, 4, 1, 2][..], ack),
            (&[0, 0, 1, 0], ack),
            (&[2, 4, 5, 0xb4], ack),
            (&[3, 3, 7, 1], ack),
            (&[4, 2, 1, 1], ack),
            (&[2, 4, 5, 0xb4, 2, 4, 5, 0xb4], syn),
            (&TIMESTAMPS.repeat(2), ack),
            (&[8, 10, 0, 0], ack),
            (&[5, 10, 0, 0], ack),
            (&[5, 11, 0, 0, 0, 0, 0, 0, 0, 0, 0], ack),
            (&sack.repeat(2), ack),
            (&sack, syn | ack),
            (&sack, 0),
            (&[34, 2], ack),
            (&[34, 4, 1, 2], syn),
            (&[34, 7, 1, 2, 3, 4, 5], syn),
            (&[34, 6, 1, 2, 3], syn),
            (&[34, 20, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16, 17, 18], syn),
            (&[34, 2, 34, 2], syn),
            // MPTCP: its subflows need not all be in the capture (RFC 8684 §3.1).
            (&[30, 4, 1, 0], syn),
        ] {
            assert_eq!(blocks(options, flags), None, "{options:?}");
        }
    }
}
