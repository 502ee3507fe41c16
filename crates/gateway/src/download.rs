//! Long answers that are written while the client reads them: whole conversations, and all data of a user.
//!
//! The text is read from the store in parts and written in pieces, so that a client that reads slowly costs one part.

use std::io;

use axum::body::{Body, Bytes};
use futures_util::stream::unfold;
use tokio::sync::mpsc;
use uuid::Uuid;

use crate::store::{Part, Store, StoreError, Turn};
use crate::user::UserId;

/// Bytes of text that a part has, and at least one turn.
pub const PART_BYTES: u64 = 64 * 1024;

/// Bytes that a piece of the answer has before it goes to the connection.
const PIECE: usize = 16 * 1024;

/// Takes the bytes of an answer.
#[derive(Debug)]
pub struct Writer {
    pieces: mpsc::Sender<Result<Bytes, io::Error>>,
    piece: Vec<u8>,
}

/// Why a download ends early.
#[derive(Debug, thiserror::Error)]
pub enum Cut {
    /// The client reads no more.
    #[error("the client disconnected")]
    Left,
    /// The store cannot be read.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// What was being read has been deleted meanwhile.
    #[error("it was deleted meanwhile")]
    Deleted,
}

/// A body that `write` writes. It waits while the client does not read, and ends when the client leaves. If it fails, the
/// connection ends before the body does, so that the client sees that something is missing.
pub fn body<F>(write: impl FnOnce(Writer) -> F) -> Body
where
    F: Future<Output = Result<Writer, Cut>> + Send + 'static,
{
    // One piece waits while another is being sent.
    let (pieces, receiver) = mpsc::channel(1);
    let failures = pieces.clone();
    let writing = write(Writer { pieces, piece: Vec::new() });
    let task = tokio::spawn(async move {
        let written = async { writing.await?.flush().await };
        match written.await {
            Ok(()) | Err(Cut::Left) => (),
            Err(cut) => {
                tracing::warn!("a download ended early: {cut}");
                let _ = failures.send(Err(io::Error::other(cut.to_string()))).await;
            }
        }
    });
    let task = AbortOnDrop(task);
    Body::from_stream(unfold((receiver, task), |(mut receiver, task)| async move {
        Some((receiver.recv().await?, (receiver, task)))
    }))
}

/// The last place at `at` or before it that is between two characters.
fn boundary(text: &str, at: usize) -> usize {
    (0..=at.min(text.len())).rev().find(|place| text.is_char_boundary(*place)).unwrap_or_default()
}

struct AbortOnDrop(tokio::task::JoinHandle<()>);

impl Drop for AbortOnDrop {
    fn drop(&mut self) {
        self.0.abort();
    }
}

/// The turns of a conversation, read in parts.
pub struct Turns<'a> {
    store: &'a dyn Store,
    user: &'a UserId,
    conversation: Uuid,
    done: u32,
    through: u32,
}

impl<'a> Turns<'a> {
    /// The turns of `conversation` from the one after `after` to `through`.
    pub fn new(store: &'a dyn Store, user: &'a UserId, conversation: Uuid, after: u32, through: u32) -> Self {
        Self { store, user, conversation, done: after, through }
    }

    /// The next turns; none at the end.
    ///
    /// # Errors
    /// When they cannot be read, or are deleted.
    pub async fn next(&mut self) -> Result<Vec<Turn>, Cut> {
        if self.done >= self.through {
            return Ok(Vec::new());
        }
        let part = Part { after: self.done, through: self.through, bytes: PART_BYTES };
        let turns = self.store.turns(self.user, self.conversation, part).await?.ok_or(Cut::Deleted)?;
        if turns.is_empty() {
            return Err(Cut::Deleted);
        }
        self.done += turns.len() as u32;
        Ok(turns)
    }
}

impl Writer {
    /// Writes bytes that are part of the answer as they are.
    ///
    /// # Errors
    /// When the client has left.
    pub async fn raw(&mut self, bytes: &[u8]) -> Result<(), Cut> {
        self.piece.extend_from_slice(bytes);
        if self.piece.len() >= PIECE {
            self.send().await?;
        }
        Ok(())
    }

    /// Writes `text` as a string of JSON, piece by piece: escaped, it can be six times as long.
    ///
    /// # Errors
    /// When the client has left.
    pub async fn string(&mut self, text: &str) -> Result<(), Cut> {
        self.raw(b"\"").await?;
        let mut rest = text;
        while !rest.is_empty() {
            let (part, after) = rest.split_at(boundary(rest, PIECE));
            let quoted = serde_json::to_vec(part).map_err(|error| StoreError::new("write a text", error))?;
            self.raw(&quoted[1..quoted.len() - 1]).await?;
            rest = after;
        }
        self.raw(b"\"").await
    }

    async fn send(&mut self) -> Result<(), Cut> {
        let piece = std::mem::take(&mut self.piece);
        self.pieces.send(Ok(piece.into())).await.map_err(|_| Cut::Left)
    }

    async fn flush(mut self) -> Result<(), Cut> {
        if self.piece.is_empty() { Ok(()) } else { self.send().await }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use axum::body::to_bytes;

    #[tokio::test]
    async fn a_string_in_pieces_is_the_string() {
        for text in [
            String::new(),
            "\"\\\u{0}\u{1f}\u{2028}안녕🦀".repeat(9999),
            "a".repeat(PIECE),
            format!("{}안", "a".repeat(PIECE - 1)),
        ] {
            let expected = text.clone();
            let body = body(|mut writer| async move {
                writer.string(&text).await?;
                Ok(writer)
            });
            let bytes = to_bytes(body, usize::MAX).await.unwrap();
            assert_eq!(serde_json::from_slice::<String>(&bytes).unwrap(), expected);
        }
    }

    #[tokio::test]
    async fn a_client_that_does_not_read_holds_the_writer_up() {
        let (wrote, mut writes) = mpsc::unbounded_channel();
        let body = body(|mut writer| async move {
            for number in 0..1000 {
                writer.raw(&[b'x'; PIECE]).await?;
                let _ = wrote.send(number);
            }
            Ok(writer)
        });
        for _ in 0..100 {
            tokio::task::yield_now().await;
        }
        assert_eq!(writes.len(), 1, "one piece waits in the channel, and the next for a place there");
        drop(body);
        while writes.recv().await.is_some() {}
        let rest = to_bytes(super::body(|writer| async move { Ok(writer) }), 1).await.unwrap();
        assert!(rest.is_empty());
    }

    #[tokio::test]
    async fn a_failure_ends_the_body_with_an_error() {
        let body = body(|mut writer| async move {
            writer.raw(b"begun").await?;
            Err(Cut::Deleted)
        });
        assert!(to_bytes(body, usize::MAX).await.is_err());
    }
}
