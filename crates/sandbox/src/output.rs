//! The two streams that a command writes to, read up to a bound that they share.

use std::sync::atomic::{AtomicU64, Ordering};

use tokio::io::{AsyncRead, AsyncReadExt};

/// What both streams together may still say.
#[derive(Debug)]
pub(crate) struct Allowance(AtomicU64);

impl Allowance {
    pub(crate) fn new(bytes: u64) -> Self {
        Self(AtomicU64::new(bytes))
    }

    /// Takes up to `wanted` bytes out of it; less means that it is used up.
    pub(crate) fn take(&self, wanted: usize) -> usize {
        let mut left = self.0.load(Ordering::Relaxed);
        loop {
            let granted = left.min(wanted as u64);
            match self.0.compare_exchange_weak(left, left - granted, Ordering::Relaxed, Ordering::Relaxed) {
                // Not more than `wanted`, so that it fits.
                Ok(_) => return granted as usize,
                Err(now) => left = now,
            }
        }
    }
}

/// How reading a stream ended.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum End {
    /// Nobody holds its other end any more.
    Closed,
    /// It said more than is allowed.
    TooMuch,
}

/// Bytes taken from a pipe at a time: what a pipe of Linux holds.
const PIECE: usize = 64 << 10;

/// Reads a stream into `kept` until it is closed or has said too much.
pub(crate) async fn read(
    mut stream: impl AsyncRead + Unpin,
    allowance: &Allowance,
    kept: &mut Vec<u8>,
) -> End {
    let mut piece = Vec::with_capacity(PIECE);
    loop {
        piece.clear();
        // A pipe that cannot be read has nothing more to say.
        if !matches!(stream.read_buf(&mut piece).await, Ok(1..)) {
            return End::Closed;
        }
        let granted = allowance.take(piece.len());
        kept.extend_from_slice(&piece[..granted]);
        if granted < piece.len() {
            return End::TooMuch;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn exactly_what_is_allowed_is_kept() {
        for (allowed, end) in [(6, End::Closed), (5, End::TooMuch), (0, End::TooMuch)] {
            let allowance = Allowance::new(allowed);
            let mut kept = Vec::new();
            assert_eq!(read(&b"output"[..], &allowance, &mut kept).await, end);
            assert_eq!(kept, b"output"[..allowed as usize]);
        }
    }

    #[tokio::test]
    async fn the_bound_is_shared() {
        let allowance = Allowance::new(8);
        let (mut first, mut second) = (Vec::new(), Vec::new());
        assert_eq!(read(&b"output"[..], &allowance, &mut first).await, End::Closed);
        assert_eq!(read(&b"errors"[..], &allowance, &mut second).await, End::TooMuch);
        assert_eq!((first.len(), second.len()), (6, 2));
    }
}
