//! The users' requests to the gateway, each user from an address of its own: over plain HTTP, or over TLS.

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, ensure};
use experiment::RunId;
use experiment::isolation::{AttemptRecord, ReplayRecord, UserRecord};
use http_body_util::{BodyExt as _, Limited};
use hyper::client::conn::http1;
use hyper::{Method, Request, StatusCode};
use hyper_util::rt::TokioIo;
use rustls::ClientConfig;
use rustls::pki_types::ServerName;
use serde::{Deserialize, Serialize};
use serde_json::json;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpSocket;
use tokio_rustls::TlsConnector;

use super::attempts::{self, Targets};

/// Deadline of a request. The attempts wait for answers that do not come, which takes some seconds.
const REQUEST_DEADLINE: Duration = Duration::from_secs(60);

/// Maximum length of an answer. All messages of a user together have some kilobytes.
const MAX_ANSWER: usize = 1 << 20;

/// A user of the gateway.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct User {
    pub(crate) record: UserRecord,
    /// The message that asks for the attempts that the control repeats in a sandbox with a network.
    with_network: String,
}

impl User {
    /// Creates a user with a fresh name and secret.
    pub(super) fn fresh(address: IpAddr, targets: &Targets<'_>) -> anyhow::Result<Self> {
        let fresh = || RunId::fresh().context("cannot draw a secret");
        let id = format!("user-{}", &fresh()?.as_str()[..16]);
        let secret = fresh()?.as_str().to_owned();
        let asked = targets.attempts();
        let attempts = attempts::message(Some(targets.own()), &asked);
        let repeated = asked.iter().filter(|attempt| attempts::is_repeated_with_network(attempt));
        let with_network = attempts::message(Some(targets.own()), repeated);
        let messages = vec![format!("Keep this for me: {secret}"), attempts];
        Ok(Self { record: UserRecord { id, secret, address, messages, attempts: asked }, with_network })
    }

    /// The message that asks for the attempts that the control repeats in a sandbox with a network.
    pub(super) fn attempts_with_network(&self) -> &str {
        &self.with_network
    }

    /// The message that asks for those of the user's attempts that are `wanted`.
    pub(super) fn message(&self, wanted: impl Fn(&AttemptRecord) -> bool) -> String {
        attempts::message(None, self.record.attempts.iter().filter(|attempt| wanted(attempt)))
    }
}

/// The gateway's answer to a message.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Answer {
    pub(super) conversation_id: String,
    text: String,
}

#[derive(Deserialize)]
struct Listed {
    conversations: Vec<Conversation>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Conversation {
    conversation_id: String,
}

/// Each user, at the same time, sends its messages one after the other in one conversation: its secret, then its attempts.
pub(super) async fn exchange(server: SocketAddr, users: &[User]) -> anyhow::Result<()> {
    let exchanges = users.iter().map(|user| async move {
        let client = GatewayClient::new(server, user.record.address, &user.record.id);
        let mut conversation: Option<String> = None;
        for message in &user.record.messages {
            let answer = client.send(message, conversation.as_deref()).await?;
            let is_same = conversation.as_ref().is_none_or(|id| *id == answer.conversation_id);
            ensure!(is_same, "the gateway started another conversation");
            ensure!(!answer.text.is_empty(), "the answer of the sandbox is empty");
            conversation = Some(answer.conversation_id);
        }
        anyhow::Ok(())
    });
    futures_util::future::try_join_all(exchanges).await?;
    Ok(())
}

/// Sends the requests of a replay: from another client in the name of `victim`, whose secret it reads.
pub(super) async fn replay(
    server: SocketAddr,
    victim: &UserRecord,
    replay: &ReplayRecord,
) -> anyhow::Result<()> {
    let claimed = GatewayClient::new(server, replay.client, &replay.user);
    let text = claimed.read_everything().await.context("cannot read the conversations of another user")?;
    ensure!(
        text.contains(&victim.secret),
        "the gateway did not return the conversations of {} to a client with that user id",
        victim.id
    );
    Ok(())
}

/// A client of the gateway. Each request has a connection of its own, from the client's address.
pub(super) struct GatewayClient {
    address: IpAddr,
    server: SocketAddr,
    user: String,
    /// The settings of TLS, with the client's certificate if it has one; `None` for plain HTTP.
    pub(super) tls: Option<Arc<ClientConfig>>,
    /// The bearer token.
    pub(super) token: Option<String>,
}

impl GatewayClient {
    /// A client that names this user in `X-User-Id`, over plain HTTP.
    pub(super) fn new(server: SocketAddr, address: IpAddr, user: &str) -> Self {
        Self { address, server, user: user.to_owned(), tls: None, token: None }
    }

    pub(super) async fn send(&self, message: &str, conversation: Option<&str>) -> anyhow::Result<Answer> {
        let mut body = json!({ "message": message });
        if let Some(id) = conversation {
            body["conversationId"] = id.into();
        }
        let text = self.ask(Method::POST, "/api/conversation", body.to_string()).await?;
        serde_json::from_str(&text)
            .with_context(|| format!("the gateway's answer {text:?} is not a conversation"))
    }

    /// Returns all conversations of the user.
    pub(super) async fn read_everything(&self) -> anyhow::Result<String> {
        let list = self.ask(Method::GET, CONVERSATIONS, String::new()).await?;
        let listed: Listed =
            serde_json::from_str(&list).context("the gateway's answer is not a list of conversations")?;
        let mut all = String::new();
        for Conversation { conversation_id } in listed.conversations {
            all.push_str(&self.ask(Method::GET, &path_of(&conversation_id), String::new()).await?);
        }
        Ok(all)
    }

    /// Sends the same requests for a conversation that is known already, and returns the status of each.
    pub(super) async fn try_to_read(&self, conversation: &str) -> anyhow::Result<Vec<StatusCode>> {
        let mut statuses = Vec::new();
        for path in [CONVERSATIONS, &path_of(conversation)] {
            statuses.push(self.exchange_in_time(Method::GET, path, String::new()).await?.0);
        }
        Ok(statuses)
    }

    /// Sends a request that must succeed.
    async fn ask(&self, method: Method, path: &str, body: String) -> anyhow::Result<String> {
        let what = format!("{method} {path}");
        let (status, text) = self.exchange_in_time(method, path, body).await?;
        ensure!(status == StatusCode::OK, "{what}: the gateway answered {status}: {text}");
        Ok(text)
    }

    async fn exchange_in_time(
        &self,
        method: Method,
        path: &str,
        body: String,
    ) -> anyhow::Result<(StatusCode, String)> {
        let what = format!("{method} {path}");
        let asked = tokio::time::timeout(REQUEST_DEADLINE, self.exchange(method, path, body)).await;
        asked
            .with_context(|| format!("{what}: no answer within {} s", REQUEST_DEADLINE.as_secs()))?
            .context(what)
    }

    async fn exchange(
        &self,
        method: Method,
        path: &str,
        body: String,
    ) -> anyhow::Result<(StatusCode, String)> {
        let mut request = Request::builder()
            .method(method)
            .uri(path)
            .header("Host", self.server.to_string())
            .header("Content-Type", "application/json")
            .header("Connection", "close")
            .header("X-User-Id", &self.user);
        if let Some(token) = &self.token {
            request = request.header("Authorization", format!("Bearer {token}"));
        }
        let request = request.body(body)?;
        let socket = TcpSocket::new_v4()?;
        socket.bind(SocketAddr::new(self.address, 0))?;
        let stream = socket.connect(self.server).await?;
        match &self.tls {
            None => exchange_over(stream, request).await,
            Some(config) => {
                let name = ServerName::IpAddress(self.server.ip().into());
                let stream = TlsConnector::from(Arc::clone(config)).connect(name, stream).await?;
                exchange_over(stream, request).await
            }
        }
    }
}

/// The path of the list of a user's conversations.
const CONVERSATIONS: &str = "/api/conversations";

/// The path of one conversation.
fn path_of(conversation: &str) -> String {
    format!("/api/conversation/{conversation}")
}

/// Sends one request, and reads its answer and the end of the connection.
async fn exchange_over(
    stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static,
    request: Request<String>,
) -> anyhow::Result<(StatusCode, String)> {
    let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await?;
    let connection = tokio::spawn(connection);
    let response = sender.send_request(request).await?;
    let status = response.status();
    let body = Limited::new(response.into_body(), MAX_ANSWER).collect().await;
    let bytes = body.map_err(|error| anyhow::anyhow!(error))?.to_bytes();
    drop(sender);
    // Waits until the connection is closed, so that its last frames are in the capture.
    connection.await??;
    Ok((status, String::from_utf8_lossy(&bytes).into_owned()))
}
