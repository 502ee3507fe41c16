//! The answer to a request that the gateway refuses: a status, and always a JSON body `{"error":{"code","message"}}`.

use std::time::Duration;

use axum::Json;
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde::Serialize;
use serve::body::BodyError;
use serve::origin::Foreign;
use serve::throttle::Throttle;

use crate::api::{MAX_MESSAGE, MAX_PAGE};
use crate::boxes::Failure;
use crate::queue::Busy;
use crate::store::{MAX_CONVERSATION_BYTES, MAX_TURNS, StoreError};
use crate::user::BadUser;

/// Longest key of a request, in bytes.
pub const MAX_KEY: usize = 255;

/// `Retry-After` of a user whose quota is full, in seconds: an hour.
const QUOTA_RETRY_SECONDS: u64 = 3600;

/// Log lines about faults of clients, which a client can cause at any rate.
static REFUSALS: Throttle = Throttle::new(100, Duration::from_secs(1));

/// Why the gateway refuses a request.
#[derive(Debug, thiserror::Error)]
pub enum Refusal {
    /// The request names no user.
    #[error(transparent)]
    User(#[from] BadUser),
    /// The Content-Type is not `application/json`.
    #[error("the Content-Type must be application/json")]
    ContentType,
    /// The request names another host, or comes from another site.
    #[error("{0}; the server's --allow-host and --allow-origin name further ones")]
    Foreign(#[from] Foreign),
    /// The user sends too many requests.
    #[error("more requests than one user may send: wait {} s", retry_seconds(.0))]
    Rate(Duration),
    /// The user has too much in the store.
    #[error(
        "your conversations take {used} of {quota} bytes: delete some with DELETE /api/conversation/{{id}}, then ask again"
    )]
    Quota {
        /// What they take, in bytes.
        used: u64,
        /// The limit, in bytes.
        quota: u64,
    },
    /// The key of the request is not well-formed.
    #[error("Idempotency-Key is not 1 to {MAX_KEY} visible ASCII characters, exactly once")]
    Key,
    /// A request with this key is being answered.
    #[error("a request with this Idempotency-Key is being answered: try again when it is done")]
    KeyInUse,
    /// The key was given to another request.
    #[error("this Idempotency-Key belongs to another message: use a new key for a new message")]
    KeyReused,
    /// The request was cancelled.
    #[error("the request was cancelled")]
    Cancelled,
    /// The conversation has no request that could be cancelled.
    #[error("no request of this conversation waits or runs")]
    NothingToCancel,
    /// The body could not be read.
    #[error(transparent)]
    Body(#[from] BodyError),
    /// The body is not JSON.
    #[error("the body is not JSON: {0}")]
    NotJson(String),
    /// The body is JSON of another shape.
    #[error("the body is not {{\"message\": string, \"conversationId\"?: string}}: {0}")]
    WrongShape(String),
    /// The message is empty or only white space.
    #[error("the message is empty")]
    EmptyMessage,
    /// The message is too long.
    #[error("the message has more than {MAX_MESSAGE} bytes")]
    MessageTooLarge,
    /// The id does not have the form of a conversation's id.
    #[error("the conversation id is not a UUID of 36 characters")]
    ConversationId,
    /// The query of the list is invalid.
    #[error("limit must be 1 to {MAX_PAGE}, cursor one of an earlier page; there are no other parameters")]
    Query,
    /// The user has no such conversation. Another user may have it.
    #[error("there is no such conversation")]
    NoSuchConversation,
    /// The conversation is full.
    #[error(
        "the conversation has reached {MAX_TURNS} turns or {MAX_CONVERSATION_BYTES} bytes: begin another one"
    )]
    ConversationFull,
    /// Too many requests are waiting.
    #[error("too many requests: try again in {} s", .0.retry_after_seconds)]
    Busy(Busy),
    /// The sandbox reached its time limit.
    #[error("the sandbox did not finish within {} s", .0.as_secs_f64())]
    BoxTimedOut(Duration),
    /// The sandbox gave no answer.
    #[error("{0}")]
    Box(Failure),
    /// The store failed; only the log names the reason.
    #[error("the server cannot answer; see its log")]
    Store(#[from] StoreError),
    /// Another part of the server failed; only the log names the reason.
    #[error("the server cannot answer; see its log")]
    Internal,
    /// No route has this path.
    #[error("no such path; see GET /api/openapi.json")]
    NoSuchPath,
    /// The path does not support the method.
    #[error("this path does not support this method; see GET /api/openapi.json")]
    Method,
}

/// Part of the response to a refused request: the error's code, for the measurements.
#[derive(Clone, Copy, Debug)]
pub struct ErrorCode(pub &'static str);

/// Part of the response to a request that the store failed: what the store could not do, for the measurements.
#[derive(Clone, Copy, Debug)]
pub struct FailedAction(pub &'static str);

/// Whole seconds to wait, at least one.
fn retry_seconds(wait: &Duration) -> u64 {
    (wait.as_secs_f64().ceil() as u64).max(1)
}

/// `{"error":{"code","message"}}`.
#[derive(Debug, Serialize)]
pub struct ErrorBody {
    error: ErrorDetails,
}

#[derive(Debug, Serialize)]
struct ErrorDetails {
    code: &'static str,
    message: String,
}

impl Refusal {
    /// The status for HTTP (RFC 9110 §15; RFC 6585 for 429) and the stable code for programs.
    pub fn status_and_code(&self) -> (StatusCode, &'static str) {
        match self {
            Self::User(BadUser::Missing) => (StatusCode::UNAUTHORIZED, "missing_user_id"),
            Self::User(BadUser::NoToken) => (StatusCode::UNAUTHORIZED, "missing_token"),
            Self::User(BadUser::WrongToken) => (StatusCode::UNAUTHORIZED, "invalid_token"),
            Self::User(BadUser::NoCertificate) => (StatusCode::UNAUTHORIZED, "missing_certificate"),
            Self::User(BadUser::WrongCertificate) => (StatusCode::UNAUTHORIZED, "invalid_certificate"),
            Self::User(BadUser::Other) => (StatusCode::FORBIDDEN, "other_user"),
            Self::Foreign(foreign) => (StatusCode::FORBIDDEN, foreign.code()),
            Self::Rate(_) => (StatusCode::TOO_MANY_REQUESTS, "rate_limited"),
            Self::Quota { .. } => (StatusCode::TOO_MANY_REQUESTS, "quota_exceeded"),
            Self::Key => (StatusCode::BAD_REQUEST, "invalid_idempotency_key"),
            Self::KeyInUse => (StatusCode::CONFLICT, "request_in_progress"),
            Self::KeyReused => (StatusCode::UNPROCESSABLE_ENTITY, "idempotency_key_reused"),
            Self::Cancelled => (StatusCode::CONFLICT, "cancelled"),
            Self::NothingToCancel => (StatusCode::NOT_FOUND, "nothing_to_cancel"),
            Self::User(_) => (StatusCode::BAD_REQUEST, "invalid_user_id"),
            Self::ContentType => (StatusCode::UNSUPPORTED_MEDIA_TYPE, "unsupported_media_type"),
            Self::Body(BodyError::TooLarge { .. }) => (StatusCode::PAYLOAD_TOO_LARGE, "body_too_large"),
            Self::Body(BodyError::TimedOut { .. }) => (StatusCode::REQUEST_TIMEOUT, "request_timeout"),
            Self::Body(BodyError::Broken(_)) => (StatusCode::BAD_REQUEST, "invalid_body"),
            Self::NotJson(_) => (StatusCode::BAD_REQUEST, "invalid_json"),
            Self::WrongShape(_) => (StatusCode::BAD_REQUEST, "invalid_message"),
            Self::EmptyMessage => (StatusCode::BAD_REQUEST, "empty_message"),
            Self::MessageTooLarge => (StatusCode::PAYLOAD_TOO_LARGE, "message_too_large"),
            Self::ConversationId => (StatusCode::BAD_REQUEST, "invalid_conversation_id"),
            Self::Query => (StatusCode::BAD_REQUEST, "invalid_query"),
            Self::NoSuchConversation => (StatusCode::NOT_FOUND, "no_such_conversation"),
            Self::ConversationFull => (StatusCode::CONFLICT, "conversation_full"),
            Self::Busy(_) => (StatusCode::TOO_MANY_REQUESTS, "too_many_requests"),
            Self::BoxTimedOut(_) => (StatusCode::GATEWAY_TIMEOUT, "box_timed_out"),
            Self::Box(_) => (StatusCode::BAD_GATEWAY, "box_failed"),
            Self::Store(_) | Self::Internal => (StatusCode::INTERNAL_SERVER_ERROR, "internal_error"),
            Self::NoSuchPath => (StatusCode::NOT_FOUND, "not_found"),
            Self::Method => (StatusCode::METHOD_NOT_ALLOWED, "method_not_allowed"),
        }
    }

    /// The error in the form of the API.
    pub fn body(&self) -> ErrorBody {
        let (_, code) = self.status_and_code();
        ErrorBody { error: ErrorDetails { code, message: self.to_string() } }
    }

    /// Logs the refusal: a fault of the server as an error, a fault of the client as information.
    pub fn log(&self) {
        let (status, code) = self.status_and_code();
        let status = status.as_u16();
        match self {
            Self::Store(error) => tracing::error!(status, code, %error, "refused"),
            Self::Internal => tracing::error!(status, code, "refused"),
            _ if status >= 500 => tracing::warn!(status, code, reason = %self, "refused"),
            _ => {
                if let Some(left_out) = REFUSALS.pass() {
                    let left_out = Some(left_out).filter(|left_out| *left_out > 0);
                    tracing::info!(status, code, reason = %self, left_out, "refused");
                }
            }
        }
    }

    /// Seconds after which the client may try again.
    fn retry_after(&self) -> Option<u64> {
        match self {
            Self::Busy(busy) => Some(busy.retry_after_seconds),
            Self::Rate(wait) => Some(retry_seconds(wait)),
            // Only the user can make room.
            Self::Quota { .. } => Some(QUOTA_RETRY_SECONDS),
            _ => None,
        }
    }
}

impl IntoResponse for Refusal {
    fn into_response(self) -> Response {
        let (status, _) = self.status_and_code();
        let mut response = (status, Json(self.body())).into_response();
        let (_, code) = self.status_and_code();
        response.extensions_mut().insert(ErrorCode(code));
        if let Self::Store(error) = &self {
            response.extensions_mut().insert(FailedAction(error.action));
        }
        let headers = response.headers_mut();
        if let Some(seconds) = self.retry_after() {
            headers.insert(header::RETRY_AFTER, seconds.into());
        }
        match self {
            // RFC 6750 §3.
            Self::User(BadUser::NoToken) => {
                headers.insert(header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
            }
            Self::User(BadUser::WrongToken) => {
                let challenge = HeaderValue::from_static("Bearer error=\"invalid_token\"");
                headers.insert(header::WWW_AUTHENTICATE, challenge);
            }
            // Part of the request is still unread on the connection.
            Self::Body(_) => {
                headers.insert(header::CONNECTION, HeaderValue::from_static("close"));
            }
            _ => (),
        }
        response
    }
}
