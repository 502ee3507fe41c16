//! Sorts by bytes, block by block.
//!
//! Much of what is known begins alike: messages of one kind, strings with one prefix. To compare two of them means to read, or
//! even to write, the same beginning again for each comparison. Here each block is read once for each item, and what a block
//! cannot order is sorted by the next one.

/// A block of bytes. It orders as they do: bytes that end within it are before those that go on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Block {
    /// The first byte is the highest; zero behind the last one.
    word: u128,
    /// Number of bytes.
    len: u32,
}

impl Block {
    const LEN: usize = size_of::<u128>();

    /// The block that begins `depth` bytes into these; empty behind their end.
    #[inline]
    pub(crate) fn at(bytes: &[u8], depth: usize) -> Self {
        let rest = bytes.get(depth..).unwrap_or_default();
        if let Some(word) = rest.first_chunk() {
            return Self { word: u128::from_be_bytes(*word), len: Self::LEN as u32 };
        }
        let mut word = [0; Self::LEN];
        word[..rest.len()].copy_from_slice(rest);
        Self { word: u128::from_be_bytes(word), len: rest.len() as u32 }
    }

    /// Whether the bytes go on behind this block, as far as it shows.
    fn is_whole(self) -> bool {
        self.len as usize == Self::LEN
    }
}

/// Sorts items. The memory is reused for the next ones.
#[derive(Debug)]
pub(crate) struct BlockSort<T> {
    /// The items of each depth that is being sorted.
    stack: Vec<(Block, T)>,
}

impl<T> Default for BlockSort<T> {
    fn default() -> Self {
        Self { stack: Vec::new() }
    }
}

impl<T: Copy + Ord> BlockSort<T> {
    /// Sorts items by their first `max` bytes, a multiple of 16. `block` reads the block of an item at a depth; `equal` receives
    /// each group of items that do not differ in these bytes, in the order of the items themselves.
    pub(crate) fn sort(
        &mut self,
        items: &mut [T],
        max: usize,
        mut block: impl FnMut(&T, usize) -> Block,
        mut equal: impl FnMut(&mut [T]),
    ) {
        self.sort_from(0, items, max, &mut block, &mut equal);
    }

    fn sort_from(
        &mut self,
        depth: usize,
        items: &mut [T],
        max: usize,
        block: &mut dyn FnMut(&T, usize) -> Block,
        equal: &mut dyn FnMut(&mut [T]),
    ) {
        let base = self.stack.len();
        self.stack.extend(items.iter().map(|item| (block(item, depth), *item)));
        self.stack[base..].sort_unstable();
        for (item, (_, next)) in items.iter_mut().zip(&self.stack[base..]) {
            *item = *next;
        }
        let mut first = 0;
        while let Some((shared, _)) = self.stack.get(base + first).copied() {
            let behind = self.stack[base + first..].iter().take_while(|(other, _)| *other == shared).count();
            let group = &mut items[first..first + behind];
            if group.len() > 1 {
                if shared.is_whole() && depth + Block::LEN < max {
                    self.sort_from(depth + Block::LEN, group, max, block, equal);
                } else {
                    equal(group);
                }
            }
            first += behind;
        }
        self.stack.truncate(base);
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
            prop_assert_eq!(groups, same.map(<[usize]>::to_vec).collect::<Vec<_>>());
        }
    }
}
