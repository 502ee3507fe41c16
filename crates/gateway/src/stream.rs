//! A streamed answer: server-sent events (HTML Standard §9.2) while the sandbox writes.
//!
//! ```text
//!  sandbox ── piece ──> Writer ── unread pieces ──> Reader ── event ──> client
//!                          └────── end ───────────────┘
//! ```
//!
//! The writer never waits. If the client reads slowly, further pieces join the last unread one, so that they take no more
//! memory than the output of a sandbox, however small they are.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use axum::response::sse::{Event, KeepAlive, Sse};
use axum::response::{IntoResponse, Response};
use futures_util::stream::{Stream, unfold};
use tokio::sync::Notify;
use tokio::task::JoinHandle;
use uuid::Uuid;

use crate::api::{Answer, Delta, Started};
use crate::error::Refusal;

/// Interval of comments while no event is due. Proxies commonly close a connection after 30 to 60 s without a byte.
const HEARTBEAT: Duration = Duration::from_secs(15);

/// Unread pieces that are kept apart. A client that reads has a handful at most; a word each, these are a page of text.
const MAX_UNREAD: usize = 512;

/// Receives the pieces and the end of one answer.
#[derive(Debug)]
pub struct Writer {
    shared: Arc<Shared>,
    ended: bool,
}

/// Returns what was written and not read yet.
#[derive(Debug)]
pub struct Reader(Arc<Shared>);

#[derive(Debug, Default)]
struct Shared {
    state: Mutex<State>,
    changed: Notify,
}

#[derive(Debug, Default)]
struct State {
    unread: VecDeque<String>,
    end: Option<Result<Answer, Refusal>>,
}

/// What a client gets next.
#[derive(Debug)]
enum Next {
    Piece(String),
    End(Result<Answer, Refusal>),
}

/// The two ends of one streamed answer.
pub fn channel() -> (Writer, Reader) {
    let shared = Arc::new(Shared::default());
    (Writer { shared: Arc::clone(&shared), ended: false }, Reader(shared))
}

impl Writer {
    /// Adds a piece of the answer; an empty one changes nothing.
    pub fn add(&self, piece: &str) {
        if !piece.is_empty() {
            self.shared.state().add(piece);
            self.shared.changed.notify_one();
        }
    }

    /// Ends the stream.
    pub fn end(mut self, end: Result<Answer, Refusal>) {
        self.set_end(end);
    }

    fn set_end(&mut self, end: Result<Answer, Refusal>) {
        self.ended = true;
        self.shared.state().end = Some(end);
        self.shared.changed.notify_one();
    }
}

/// A writer that a panic drops ends the stream too.
impl Drop for Writer {
    fn drop(&mut self) {
        if !self.ended {
            self.set_end(Err(Refusal::Internal));
        }
    }
}

impl Reader {
    async fn next(&self) -> Next {
        loop {
            if let Some(next) = self.0.state().next() {
                return next;
            }
            self.0.changed.notified().await;
        }
    }
}

impl Shared {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn add(&mut self, piece: &str) {
        if self.unread.len() < MAX_UNREAD {
            self.unread.push_back(piece.to_owned());
        } else if let Some(last) = self.unread.back_mut() {
            last.push_str(piece);
        }
    }

    fn next(&mut self) -> Option<Next> {
        match self.unread.pop_front() {
            Some(piece) => Some(Next::Piece(piece)),
            None => self.end.take().map(Next::End),
        }
    }
}

/// The response of a streamed answer in the conversation `id`: `started`, any number of `delta`, and `done` or `error`.
/// Dropping it, as the server does when the client disconnects, cancels `task`, which writes the answer.
pub fn response(id: Uuid, reader: Reader, task: JoinHandle<()>) -> Response {
    let heartbeat = KeepAlive::new().interval(HEARTBEAT);
    Sse::new(events(id, reader, CancelledOnDrop(task))).keep_alive(heartbeat).into_response()
}

/// The response of an answer that is there already: `started` and `done`.
pub fn answered(answer: Answer) -> Response {
    let (writer, reader) = channel();
    let id = answer.conversation_id;
    writer.end(Ok(answer));
    response(id, reader, tokio::spawn(async {}))
}

struct CancelledOnDrop(JoinHandle<()>);

impl Drop for CancelledOnDrop {
    fn drop(&mut self) {
        self.0.abort();
    }
}

/// Which event is next.
enum Stage {
    Started,
    Pieces,
    Over,
}

fn events(
    id: Uuid,
    reader: Reader,
    task: CancelledOnDrop,
) -> impl Stream<Item = Result<Event, axum::Error>> + Send {
    unfold((Stage::Started, reader, task), move |(stage, reader, task)| async move {
        let (event, stage) = match stage {
            Stage::Over => return None,
            Stage::Started => {
                (Event::default().event("started").json_data(Started { conversation_id: id }), Stage::Pieces)
            }
            Stage::Pieces => match reader.next().await {
                Next::Piece(text) => {
                    (Event::default().event("delta").json_data(Delta { text }), Stage::Pieces)
                }
                Next::End(Ok(answer)) => (Event::default().event("done").json_data(answer), Stage::Over),
                Next::End(Err(refusal)) => {
                    (Event::default().event("error").json_data(refusal.body()), Stage::Over)
                }
            },
        };
        Some((event, (stage, reader, task)))
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use axum::body::{Body, BodyDataStream};
    use futures_util::StreamExt;

    fn streamed(reader: Reader) -> BodyDataStream {
        Body::into_data_stream(response(Uuid::nil(), reader, tokio::spawn(async {})).into_body())
    }

    async fn next(body: &mut BodyDataStream) -> Option<String> {
        let bytes = body.next().await?.unwrap();
        Some(String::from_utf8(bytes.to_vec()).unwrap())
    }

    const STARTED: &str =
        "event: started\ndata: {\"conversationId\":\"00000000-0000-0000-0000-000000000000\"}\n\n";

    #[tokio::test]
    async fn pieces_precede_the_end() {
        let (writer, reader) = channel();
        let mut body = streamed(reader);
        assert_eq!(next(&mut body).await.unwrap(), STARTED);
        writer.add("a\nb\r");
        assert_eq!(next(&mut body).await.unwrap(), "event: delta\ndata: {\"text\":\"a\\nb\\r\"}\n\n");
        // Also if the answer has ended before the client reads them.
        for piece in ["\u{2028}", "", "안"] {
            writer.add(piece);
        }
        writer.end(Ok(Answer { conversation_id: Uuid::nil(), text: "all".into() }));
        assert_eq!(next(&mut body).await.unwrap(), "event: delta\ndata: {\"text\":\"\u{2028}\"}\n\n");
        assert_eq!(next(&mut body).await.unwrap(), "event: delta\ndata: {\"text\":\"안\"}\n\n");
        assert_eq!(
            next(&mut body).await.unwrap(),
            "event: done\ndata: {\"conversationId\":\"00000000-0000-0000-0000-000000000000\",\"text\":\"all\"}\n\n"
        );
        assert_eq!(next(&mut body).await, None);
    }

    #[tokio::test]
    async fn pieces_above_the_bound_join_the_last_one() {
        let (writer, reader) = channel();
        for _ in 0..10 * MAX_UNREAD {
            writer.add("안");
            assert!(writer.shared.state().unread.len() <= MAX_UNREAD);
        }
        let mut pieces = Vec::new();
        writer.end(Err(Refusal::Internal));
        while let Next::Piece(piece) = reader.next().await {
            pieces.push(piece);
        }
        assert_eq!(pieces.len(), MAX_UNREAD);
        assert_eq!(pieces.concat(), "안".repeat(10 * MAX_UNREAD));
        assert_eq!(pieces[MAX_UNREAD - 2], "안");
    }

    #[tokio::test]
    async fn a_lost_writer_ends_the_stream_with_an_error() {
        let (writer, reader) = channel();
        let mut body = streamed(reader);
        assert_eq!(next(&mut body).await.unwrap(), STARTED);
        drop(writer);
        let end = next(&mut body).await.unwrap();
        assert!(end.starts_with("event: error\ndata: {\"error\":{\"code\":\"internal_error\","), "{end}");
        assert_eq!(next(&mut body).await, None);
    }

    #[tokio::test(start_paused = true)]
    async fn a_comment_follows_every_15_s_of_silence() {
        let (writer, reader) = channel();
        let mut body = streamed(reader);
        assert_eq!(next(&mut body).await.unwrap(), STARTED);
        for _ in 0..3 {
            let silent_since = tokio::time::Instant::now();
            assert_eq!(next(&mut body).await.unwrap(), ":\n\n");
            assert_eq!(silent_since.elapsed().as_secs(), HEARTBEAT.as_secs());
        }
        writer.add("a");
        assert_eq!(next(&mut body).await.unwrap(), "event: delta\ndata: {\"text\":\"a\"}\n\n");
    }

    #[tokio::test]
    async fn dropping_the_response_cancels_the_task() {
        let (writer, reader) = channel();
        let (started, has_started) = tokio::sync::oneshot::channel();
        let task = tokio::spawn(async move {
            let _ = started.send(());
            let _writer = writer;
            std::future::pending::<()>().await;
        });
        has_started.await.unwrap();
        let shared = Arc::clone(&reader.0);
        drop(response(Uuid::nil(), reader, task));
        // The task drops its writer.
        shared.changed.notified().await;
        assert!(matches!(shared.state().next(), Some(Next::End(Err(Refusal::Internal)))));
    }
}
