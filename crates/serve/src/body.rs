//! Reads the body of a request: completely, within a number of bytes and a time, or not at all.

use std::time::Duration;

use axum::body::{Body, Bytes};
use axum::http::{HeaderMap, header};
use http_body_util::BodyExt;

/// Number of bytes of a too long body that the server reads and discards, so that a client that has sent the whole body
/// can read the 413: closing with unread bytes would reset the connection (RFC 9112 §9.6).
pub const DISCARD_LIMIT: usize = 1024 * 1024;

/// Reason why a body was not read.
#[derive(Debug, thiserror::Error)]
pub enum BodyError {
    /// The body is longer than the limit.
    #[error("the body has more than {limit} bytes")]
    TooLarge {
        /// The limit in bytes.
        limit: usize,
    },
    /// The client was too slow.
    #[error("the body did not arrive within {} s", .limit.as_secs_f64())]
    TimedOut {
        /// The time for the whole body.
        limit: Duration,
    },
    /// The connection ended within the body, or its framing is not HTTP.
    #[error("the body cannot be read: {0}")]
    Broken(String),
}

/// Reads all of `body`, which must have at most `limit` bytes and arrive within `time`.
///
/// # Errors
/// When the body is too long, too slow or broken.
pub async fn read(headers: &HeaderMap, body: Body, limit: usize, time: Duration) -> Result<Bytes, BodyError> {
    let read = async {
        if declared_length(headers).is_some_and(|length| length > limit as u64) {
            discard(headers, body, 0).await;
            return Err(BodyError::TooLarge { limit });
        }
        read_up_to(headers, body, limit).await
    };
    tokio::time::timeout(time, read).await.unwrap_or(Err(BodyError::TimedOut { limit: time }))
}

async fn read_up_to(headers: &HeaderMap, mut body: Body, limit: usize) -> Result<Bytes, BodyError> {
    let mut bytes = Vec::new();
    while let Some(frame) = body.frame().await {
        let frame = frame.map_err(|error| BodyError::Broken(agent_core::error_chain::error_chain(&error)))?;
        let Ok(data) = frame.into_data() else { continue };
        if bytes.len() + data.len() > limit {
            discard(headers, body, bytes.len() + data.len()).await;
            return Err(BodyError::TooLarge { limit });
        }
        bytes.extend_from_slice(&data);
    }
    Ok(bytes.into())
}

async fn discard(headers: &HeaderMap, mut body: Body, already: usize) {
    // With `Expect: 100-continue` (RFC 9110 §10.1.1) the client has not sent the body yet, and will not.
    if headers.contains_key(header::EXPECT)
        || declared_length(headers).is_some_and(|n| n > DISCARD_LIMIT as u64)
    {
        return;
    }
    let mut read = already;
    while let Some(Ok(frame)) = body.frame().await {
        read += frame.data_ref().map_or(0, Bytes::len);
        if read > DISCARD_LIMIT {
            return;
        }
    }
}

fn declared_length(headers: &HeaderMap) -> Option<u64> {
    headers.get(header::CONTENT_LENGTH)?.to_str().ok()?.parse().ok()
}
