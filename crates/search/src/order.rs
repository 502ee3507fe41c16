//! Sorts by bytes, block by block.
//!
//! Much of what is known begins alike: messages of one kind, strings with one prefix. To compare two of them means to read, or
//! even to write, the same beginning again for each comparison. Here each block is read once for each item, and what a block
//! cannot order is sorted by the next one.

use std::ops::Range;

/// A block of bytes. It orders as they do: bytes that end within it are before those that go on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Block {
    /// The first byte is the highest; zero behind the last one. Two words, because one of 16 bytes would have to be aligned.
    words: [u64; 2],
    /// Number of bytes.
    len: u32,
}

impl Block {
    const LEN: usize = size_of::<u128>();

    /// The block that begins `depth` bytes into these; empty behind their end.
    #[inline]
    pub(crate) fn at(bytes: &[u8], depth: usize) -> Self {
        let rest = bytes.get(depth..).unwrap_or_default();
        if let Some(block) = rest.first_chunk() {
            return Self::new(*block, Self::LEN);
        }
        let mut block = [0; Self::LEN];
        block[..rest.len()].copy_from_slice(rest);
        Self::new(block, rest.len())
    }

    #[inline]
    fn new(block: [u8; Self::LEN], len: usize) -> Self {
        let word = u128::from_be_bytes(block);
        Self { words: [(word >> 64) as u64, word as u64], len: len as u32 }
    }

    /// Whether the bytes go on behind this block, as far as it shows.
    fn is_whole(self) -> bool {
        self.len as usize == Self::LEN
    }
}

/// Sorts items. The memory is reused for the next ones.
#[derive(Debug)]
pub(crate) struct BlockSort<T> {
    /// The items that are being sorted, with their blocks.
    blocks: Vec<(Block, T)>,
    /// Groups of items that are equal up to a depth, the first group last.
    groups: Vec<(Range<usize>, usize)>,
}

impl<T> Default for BlockSort<T> {
    fn default() -> Self {
        Self { blocks: Vec::new(), groups: Vec::new() }
    }
}

impl<T: Copy + Ord> BlockSort<T> {
    /// Sorts items by at least their first `max` bytes. `block` reads the block of an item at a depth; `equal` receives each
    /// group of items that do not differ in these bytes, in the order of the items themselves.
    pub(crate) fn sort(
        &mut self,
        items: &mut [T],
        max: usize,
        mut block: impl FnMut(&T, usize) -> Block,
        mut equal: impl FnMut(&mut [T]),
    ) {
        if items.len() > 1 {
            self.groups.push((0..items.len(), 0));
        }
        while let Some((group, depth)) = self.groups.pop() {
            let items = &mut items[group.clone()];
            self.blocks.clear();
            self.blocks.extend(items.iter().map(|item| (block(item, depth), *item)));
            self.blocks.sort_unstable();
            for (item, (_, next)) in items.iter_mut().zip(&self.blocks) {
                *item = *next;
            }
            let mut end = items.len();
            for same in self.blocks.chunk_by(|(one, _), (other, _)| one == other).rev() {
                let start = end - same.len();
                if same.len() > 1 {
                    if same[0].0.is_whole() && depth + Block::LEN < max {
                        self.groups.push((group.start + start..group.start + end, depth + Block::LEN));
                    } else {
                        equal(&mut items[start..end]);
                    }
                }
                end = start;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        /// A small alphabet with zero, and long shared beginnings, make ends and equal blocks frequent.
        #[test]
        fn sorts_as_the_bytes_do(
            items in prop::collection::vec((0_usize..3, prop::collection::vec(0_u8..2, 0..20)), 0..40),
        ) {
            let max = 64;
            let texts: Vec<Vec<u8>> = items.iter().map(|(blocks, end)| [&vec![1; blocks * 16][..], end].concat()).collect();
            let mut sorted: Vec<usize> = (0..texts.len()).collect();
            let mut groups = Vec::new();
            let block = |item: &usize, depth| Block::at(&texts[*item], depth);
            BlockSort::default().sort(&mut sorted, max, block, |equal| groups.push(equal.to_vec()));

            let mut expected: Vec<usize> = (0..texts.len()).collect();
            expected.sort_by_key(|item| &texts[*item]);
            prop_assert_eq!(&sorted, &expected);
            let same = expected.chunk_by(|one, other| texts[*one] == texts[*other]).filter(|group| group.len() > 1);
            groups.sort();
            let mut same: Vec<_> = same.map(<[usize]>::to_vec).collect();
            same.sort();
            prop_assert_eq!(groups, same);
        }
    }
}
