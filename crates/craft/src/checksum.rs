//! The Internet checksum (RFC 1071).

/// A running ones' complement sum of 16-bit words in network byte order.
///
/// Each slice for [`Sum::add`] starts on a word boundary; only the last one may have an odd length.
#[derive(Clone, Copy, Default)]
pub(crate) struct Sum(u64);

impl Sum {
    pub(crate) fn add(mut self, bytes: &[u8]) -> Self {
        // Folding the carries turns a 32-bit word into the sum of its halves, so four bytes can be added at a time.
        let words = bytes.chunks_exact(4);
        let rest = words.remainder();
        self.0 += words.map(|w| u64::from(u32::from_be_bytes([w[0], w[1], w[2], w[3]]))).sum::<u64>();
        let mut last = [0; 4];
        last[..rest.len()].copy_from_slice(rest);
        self.0 += u64::from(u32::from_be_bytes(last));
        self
    }

    pub(crate) fn add_u32(mut self, value: u32) -> Self {
        self.0 += u64::from(value);
        self
    }

    /// The folded sum without complement: the value that a network stack writes for hardware to complete.
    pub(crate) fn folded(self) -> u16 {
        let mut sum = self.0;
        while sum > 0xffff {
            sum = (sum >> 16) + (sum & 0xffff);
        }
        sum as u16
    }

    /// The value of a header's checksum field.
    pub(crate) fn complement(self) -> u16 {
        !self.folded()
    }
}

#[cfg(test)]
mod tests {
    use super::Sum;

    /// The example of RFC 1071 §3.
    #[test]
    fn sum_matches_the_example_of_rfc_1071() {
        let bytes = [0x00, 0x01, 0xf2, 0x03, 0xf4, 0xf5, 0xf6, 0xf7];
        assert_eq!(Sum::default().add(&bytes).folded(), 0xddf2);
    }

    #[test]
    fn pads_an_odd_byte_with_a_zero_after_it() {
        assert_eq!(Sum::default().add(&[1, 2, 3]).folded(), 0x0102 + 0x0300);
    }
}
