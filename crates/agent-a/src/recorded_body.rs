//! A request body that is recorded in the journal just before it is sent.
//!
//! The HTTP library polls a body only when it has a connection for it, and then flushes head and body together. So the
//! journal line holds the connection's addresses, and is written before the first byte is sent. If it cannot be written, the
//! request is not sent.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use agent_core::journal::{Event, Journal, Message};
use agent_core::message::CONTENT_TYPE;
use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};

use crate::observe::Opened;

/// A body that records itself; see the [module](self).
#[derive(Debug)]
pub struct RecordedBody {
    bytes: Option<Bytes>,
    id: Option<String>,
    journal: Arc<Journal>,
    opened: Opened,
}

impl RecordedBody {
    /// The body `bytes` of the message `id`, to be sent on a connection in `opened`.
    pub fn new(bytes: Bytes, id: Option<String>, journal: Arc<Journal>, opened: Opened) -> Self {
        Self { bytes: Some(bytes), id, journal, opened }
    }
}

impl Body for RecordedBody {
    type Data = Bytes;
    type Error = io::Error;

    fn poll_frame(mut self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Option<io::Result<Frame<Bytes>>>> {
        let Some(bytes) = self.bytes.take() else { return Poll::Ready(None) };
        let ends = self.opened.only();
        let written = self.journal.record(&Message {
            event: Event::Sent,
            id: self.id.as_deref(),
            local: ends.map(|ends| ends.local),
            remote: ends.map(|ends| ends.remote),
            content_type: Some(CONTENT_TYPE),
            body: &bytes,
        });
        Poll::Ready(Some(written.map(|()| Frame::data(bytes))))
    }

    fn is_end_stream(&self) -> bool {
        self.bytes.is_none()
    }

    /// Exact, so that the request has a Content-Length and is not chunked.
    fn size_hint(&self) -> SizeHint {
        SizeHint::with_exact(self.bytes.as_ref().map_or(0, |bytes| bytes.len() as u64))
    }
}
