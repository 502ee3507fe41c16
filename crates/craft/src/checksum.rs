//! The Internet checksum (RFC 1071).

/// A running ones' complement sum of 16-bit words in network order.
///
/// Each piece given to [`Sum::add`] starts on a word boundary; only the last one may have an odd length.
#[derive(Clone, Copy, Default)]
pub(crate) struct Sum(u64);

impl Sum {
    pub(crate) fn add(mut self, bytes: &[u8]) -> Self {
        // A 32-bit word counts as its two halves once the carries are folded, so four bytes go in at a time.
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

    /// The folded sum, not complemented: what a stack leaves in the field for hardware to finish.
    pub(crate) fn folded(self) -> u16 {
        let mut sum = self.0;
        while sum > 0xffff {
            sum = (sum >> 16) + (sum & 0xffff);
        }
        sum as u16
    }

    /// The value that goes into a header's checksum field.
    pub(crate) fn complement(self) -> u16 {
        !self.folded()
    }
}

#[cfg(test)]
mod tests {
    use super::Sum;

    /// The worked example of RFC 1071, section 3.
    #[test]
    fn rfc_1071_example() {
        let bytes = [0x00, 0x01, 0xf2, 0x03, 0xf4, 0xf5, 0xf6, 0xf7];
        assert_eq!(Sum::default().add(&bytes).folded(), 0xddf2);
    }

    #[test]
    fn an_odd_byte_is_padded_behind() {
        assert_eq!(Sum::default().add(&[1, 2, 3]).folded(), 0x0102 + 0x0300);
    }
}
