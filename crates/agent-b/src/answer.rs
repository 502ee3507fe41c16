//! The answer to a bad request: a status, and always a JSON body `{"error":{"code","message"}}`.

use agent_core::message::{BadCall, CONTENT_TYPE, ErrorBody};
use agent_core::tools::ToolError;
use axum::body::Bytes;
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use serve::body::BodyError;

/// Why a request gets no result.
#[derive(Debug, thiserror::Error)]
pub enum Refusal {
    /// The body could not be read.
    #[error(transparent)]
    Body(#[from] BodyError),
    /// The Content-Type is not `application/json`.
    #[error("the Content-Type must be application/json")]
    ContentType,
    /// The body is not a tool call.
    #[error(transparent)]
    Call(#[from] BadCall),
    /// The tool has no result.
    #[error(transparent)]
    Tool(#[from] ToolError),
    /// No route has this path.
    #[error("no such path; there are POST /tool and GET /healthz")]
    NoSuchPath,
    /// The path does not support the method.
    #[error("this path does not support this method; there are POST /tool and GET /healthz")]
    Method,
    /// The server failed; only the log names the reason.
    #[error("the server cannot answer; see its log")]
    Internal,
}

impl Refusal {
    /// The status for HTTP (RFC 9110 §15) and the stable code for programs.
    pub fn status_and_code(&self) -> (StatusCode, &'static str) {
        match self {
            Self::Body(BodyError::TooLarge { .. }) => (StatusCode::PAYLOAD_TOO_LARGE, "body_too_large"),
            Self::Body(BodyError::TimedOut { .. }) => (StatusCode::REQUEST_TIMEOUT, "request_timeout"),
            Self::Body(BodyError::Broken(_)) => (StatusCode::BAD_REQUEST, "invalid_body"),
            Self::ContentType => (StatusCode::UNSUPPORTED_MEDIA_TYPE, "unsupported_media_type"),
            Self::Call(BadCall::NotJson(_)) => (StatusCode::BAD_REQUEST, "invalid_json"),
            Self::Call(BadCall::WrongShape(_)) => (StatusCode::UNPROCESSABLE_ENTITY, "invalid_message"),
            Self::Tool(error @ ToolError::UnknownTool(_)) => (StatusCode::NOT_FOUND, error.code()),
            Self::Tool(error) => (StatusCode::UNPROCESSABLE_ENTITY, error.code()),
            Self::NoSuchPath => (StatusCode::NOT_FOUND, "not_found"),
            Self::Method => (StatusCode::METHOD_NOT_ALLOWED, "method_not_allowed"),
            Self::Internal => (StatusCode::INTERNAL_SERVER_ERROR, "internal_error"),
        }
    }

    /// Whether the connection must end: it still has unread bytes of the request.
    fn ends_connection(&self) -> bool {
        matches!(self, Self::Body(_))
    }

    /// The answer: status, body, and whether the connection ends with it.
    pub fn answer(&self) -> Answer {
        let (status, code) = self.status_and_code();
        let body = serde_json::to_vec(&ErrorBody::new(code, &self.to_string())).unwrap_or_default();
        Answer { status, body: body.into(), close: self.ends_connection() }
    }
}

impl IntoResponse for Refusal {
    fn into_response(self) -> Response {
        self.answer().into_response()
    }
}

/// An answer with its exact body, which the journal records before it is sent.
#[derive(Clone, Debug)]
pub struct Answer {
    /// The status.
    pub status: StatusCode,
    /// A JSON body.
    pub body: Bytes,
    /// Whether the connection is closed after it.
    pub close: bool,
}

impl IntoResponse for Answer {
    fn into_response(self) -> Response {
        let mut response = (self.status, [(header::CONTENT_TYPE, CONTENT_TYPE)], self.body).into_response();
        if self.close {
            response.headers_mut().insert(header::CONNECTION, HeaderValue::from_static("close"));
        }
        response
    }
}
