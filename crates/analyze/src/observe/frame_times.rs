//! Capture times of the latest frames.

/// Frames whose time is remembered: enough for all segments of the largest message that is traced, in 512 KiB.
pub(crate) const MAX_TIMES: usize = 65_536;

/// The times of the last [`MAX_TIMES`] frames, nanoseconds since the epoch.
#[derive(Debug, Default)]
pub(crate) struct FrameTimes {
    /// A ring buffer once it is full.
    times: Vec<u64>,
    total: u64,
}

impl FrameTimes {
    /// Adds the next frame; frames are numbered from 1.
    #[inline]
    pub(crate) fn push(&mut self, at: u64) {
        if self.times.len() < MAX_TIMES {
            self.times.push(at);
        } else {
            self.times[slot(self.total)] = at;
        }
        self.total += 1;
    }

    /// The time of a frame; `None` if it is too long ago.
    pub(crate) fn at(&self, frame: u64) -> Option<u64> {
        let index = frame.checked_sub(1)?;
        let is_known = index < self.total && self.total - index <= MAX_TIMES as u64;
        self.times.get(slot(index)).copied().filter(|_| is_known)
    }
}

fn slot(index: u64) -> usize {
    (index % MAX_TIMES as u64) as usize
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn forgets_old_frames() {
        let mut times = FrameTimes::default();
        for frame in 1..=MAX_TIMES as u64 + 2 {
            times.push(frame * 10);
        }
        let last = MAX_TIMES as u64 + 2;
        assert_eq!(times.at(last), Some(last * 10));
        assert_eq!(times.at(3), Some(30));
        assert_eq!([times.at(0), times.at(1), times.at(2), times.at(last + 1)], [None; 4]);
    }
}
