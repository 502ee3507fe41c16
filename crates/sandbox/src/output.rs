//! Reads a command's two output streams up to a bound that they share.

use std::sync::atomic::{AtomicU64, Ordering};

use tokio::io::{AsyncRead, AsyncReadExt};

/// Bytes that both streams together may still write.
#[derive(Debug)]
pub(crate) struct Allowance(AtomicU64);

impl Allowance {
    pub(crate) fn new(bytes: u64) -> Self {
        Self(AtomicU64::new(bytes))
    }

    /// Reserves up to `wanted` bytes. A smaller result means that the allowance is used up.
    pub(crate) fn take(&self, wanted: usize) -> usize {
        let mut left = self.0.load(Ordering::Relaxed);
        loop {
            let granted = left.min(wanted as u64);
            match self.0.compare_exchange_weak(left, left - granted, Ordering::Relaxed, Ordering::Relaxed) {
                // At most `wanted`, a `usize`.
                Ok(_) => return granted as usize,
                Err(now) => left = now,
            }
        }
    }
}

/// How reading a stream ended.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum End {
    /// All processes have closed the other end.
    Closed,
    /// More was written than is allowed.
    TooMuch,
}

/// Bytes read from a pipe at a time: the capacity of a pipe on Linux.
const PIECE: usize = 64 << 10;

/// Reads a stream into `kept` until it is closed or the allowance is used up.
pub(crate) async fn read(
    mut stream: impl AsyncRead + Unpin,
    allowance: &Allowance,
    kept: &mut Vec<u8>,
) -> End {
    let mut piece = Vec::with_capacity(PIECE);
    loop {
        piece.clear();
        // A read error on a pipe is an end of the stream too.
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
    async fn keeps_exactly_the_allowed_bytes() {
        for (allowed, end) in [(6, End::Closed), (5, End::TooMuch), (0, End::TooMuch)] {
            let allowance = Allowance::new(allowed);
            let mut kept = Vec::new();
            assert_eq!(read(&b"output"[..], &allowance, &mut kept).await, end);
            assert_eq!(kept, b"output"[..allowed as usize]);
        }
    }

    #[tokio::test]
    async fn both_streams_share_the_bound() {
        let allowance = Allowance::new(8);
        let (mut first, mut second) = (Vec::new(), Vec::new());
        assert_eq!(read(&b"output"[..], &allowance, &mut first).await, End::Closed);
        assert_eq!(read(&b"errors"[..], &allowance, &mut second).await, End::TooMuch);
        assert_eq!((first.len(), second.len()), (6, 2));
    }
}
