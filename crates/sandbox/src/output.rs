//! Reads a command's two output streams up to a bound that they share.

use std::sync::atomic::{AtomicU64, Ordering};

use tokio::io::{AsyncRead, AsyncReadExt};
use tokio::sync::mpsc::UnboundedSender;

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

/// Keeps the allowed part of `piece` in `kept`, and sends it to `live` if there is one. Returns `false` once the
/// allowance is used up.
pub(crate) fn keep(
    piece: &[u8],
    allowance: &Allowance,
    kept: &mut Vec<u8>,
    live: Option<&UnboundedSender<Vec<u8>>>,
) -> bool {
    let granted = allowance.take(piece.len());
    kept.extend_from_slice(&piece[..granted]);
    if let Some(live) = live
        && granted > 0
    {
        // Without a receiver, nothing reads the pieces.
        let _ = live.send(piece[..granted].to_vec());
    }
    granted == piece.len()
}

/// Reads a stream into `kept`, and to `live` as it arrives, until it is closed or the allowance is used up.
pub(crate) async fn read(
    mut stream: impl AsyncRead + Unpin,
    allowance: &Allowance,
    kept: &mut Vec<u8>,
    live: Option<&UnboundedSender<Vec<u8>>>,
) -> End {
    let mut piece = Vec::with_capacity(PIECE);
    loop {
        piece.clear();
        // A read error on a pipe is an end of the stream too.
        if !matches!(stream.read_buf(&mut piece).await, Ok(1..)) {
            return End::Closed;
        }
        if !keep(&piece, allowance, kept, live) {
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
            let (live, mut received) = tokio::sync::mpsc::unbounded_channel();
            assert_eq!(read(&b"output"[..], &allowance, &mut kept, Some(&live)).await, end);
            assert_eq!(kept, b"output"[..allowed as usize]);
            drop(live);
            let mut pieces = Vec::new();
            while let Some(piece) = received.recv().await {
                assert!(!piece.is_empty());
                pieces.extend(piece);
            }
            assert_eq!(pieces, kept);
        }
    }

    #[tokio::test]
    async fn both_streams_share_the_bound() {
        let allowance = Allowance::new(8);
        let (mut first, mut second) = (Vec::new(), Vec::new());
        assert_eq!(read(&b"output"[..], &allowance, &mut first, None).await, End::Closed);
        assert_eq!(read(&b"errors"[..], &allowance, &mut second, None).await, End::TooMuch);
        assert_eq!((first.len(), second.len()), (6, 2));
    }

    #[tokio::test]
    async fn reads_on_without_a_receiver() {
        let (live, received) = tokio::sync::mpsc::unbounded_channel();
        drop(received);
        let mut kept = Vec::new();
        assert_eq!(read(&b"output"[..], &Allowance::new(6), &mut kept, Some(&live)).await, End::Closed);
        assert_eq!(kept, b"output");
    }
}
