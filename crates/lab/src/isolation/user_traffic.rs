//! The users' talk with the gateway: over plain HTTP, each from an address of its own.

use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use anyhow::{Context, ensure};
use experiment::RunId;
use experiment::isolation::{ReplayRecord, UserRecord};
use http_body_util::{BodyExt as _, Limited};
use hyper::client::conn::http1;
use hyper::{Method, Request, StatusCode};
use hyper_util::rt::TokioIo;
use serde::{Deserialize, Serialize};
use serde_json::json;
use tokio::net::TcpSocket;

use super::attempts::{self, Targets};

/// A box's attempts wait for answers that do not come; the whole request takes seconds.
const PATIENCE: Duration = Duration::from_secs(60);

/// The longest answer that is read: everything that a user ever said here has some kilobytes.
const MAX_ANSWER: usize = 1 << 20;

/// A user: who it claims to be, what it confides, what it asks a box to try, and where it sits.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct User {
    pub(crate) record: UserRecord,
    /// Where its box listens for the others'.
    own: SocketAddr,
}

impl User {
    /// With a name and a secret that nobody has had before.
    pub(super) fn fresh(address: IpAddr, targets: &Targets<'_>) -> anyhow::Result<Self> {
        let fresh = || RunId::fresh().context("drawing a secret");
        let id = format!("user-{}", &fresh()?.as_str()[..16]);
        let secret = fresh()?.as_str().to_owned();
        let record = UserRecord { id, secret, address, attempts: targets.attempts() };
        Ok(Self { record, own: targets.own() })
    }

    /// What it asks a box to try.
    pub(super) fn attempts(&self) -> String {
        attempts::message(Some(self.own), &self.record.attempts)
    }

    /// The part of it that has to be shown without any box.
    pub(super) fn unboxed_attempts(&self) -> String {
        let all = self.record.attempts.iter();
        attempts::message(None, all.filter(|attempt| attempts::is_not_for_the_network_alone(attempt)))
    }
}

/// What the gateway answers a message with.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Answer {
    conversation_id: String,
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

/// All users at once: each confides its secret, then asks for the attempts in the same conversation.
pub(crate) async fn hold(server: SocketAddr, users: &[User]) -> anyhow::Result<()> {
    let talks = users.iter().map(|user| async move {
        let talk = Talk::of(server, user.record.address, &user.record.id);
        let confided = talk.say(&format!("Keep this for me: {}", user.record.secret), None).await?;
        let tried = talk.say(&user.attempts(), Some(&confided.conversation_id)).await?;
        ensure!(tried.conversation_id == confided.conversation_id, "the gateway began another conversation");
        ensure!(!tried.text.is_empty(), "the box answered nothing");
        anyhow::Ok(())
    });
    futures_util::future::try_join_all(talks).await?;
    Ok(())
}

/// Somebody at `intruder` claims to be `victim`, and reads what that one confided.
pub(crate) async fn intrude(
    server: SocketAddr,
    victim: &UserRecord,
    intruder: IpAddr,
) -> anyhow::Result<ReplayRecord> {
    let claimed = Talk::of(server, intruder, &victim.id);
    let text = claimed.read_everything().await.context("claiming another's name")?;
    ensure!(
        text.contains(&victim.secret),
        "the gateway did not tell who claims to be {} anything",
        victim.id
    );
    Ok(ReplayRecord { user: victim.id.clone(), client: intruder })
}

/// One client of the gateway. Each request has a connection of its own, from the client's own address.
struct Talk {
    address: IpAddr,
    server: SocketAddr,
    user: String,
}

impl Talk {
    fn of(server: SocketAddr, address: IpAddr, user: &str) -> Self {
        Self { address, server, user: user.to_owned() }
    }

    async fn say(&self, message: &str, conversation: Option<&str>) -> anyhow::Result<Answer> {
        let mut body = json!({ "message": message });
        if let Some(id) = conversation {
            body["conversationId"] = id.into();
        }
        let text = self.ask(Method::POST, "/api/conversation", body.to_string()).await?;
        serde_json::from_str(&text).with_context(|| format!("understanding the answer {text:?}"))
    }

    /// Every conversation that this name opens.
    async fn read_everything(&self) -> anyhow::Result<String> {
        let list = self.ask(Method::GET, "/api/conversations", String::new()).await?;
        let listed: Listed =
            serde_json::from_str(&list).context("understanding the list of conversations")?;
        let mut all = String::new();
        for conversation in listed.conversations {
            let path = format!("/api/conversation/{}", conversation.conversation_id);
            all.push_str(&self.ask(Method::GET, &path, String::new()).await?);
        }
        Ok(all)
    }

    async fn ask(&self, method: Method, path: &str, body: String) -> anyhow::Result<String> {
        let what = format!("{method} {path}");
        let asked = tokio::time::timeout(PATIENCE, self.exchange(method, path, body)).await;
        asked.with_context(|| format!("{what}: no answer within {} s", PATIENCE.as_secs()))?.context(what)
    }

    async fn exchange(&self, method: Method, path: &str, body: String) -> anyhow::Result<String> {
        let socket = TcpSocket::new_v4()?;
        socket.bind(SocketAddr::new(self.address, 0))?;
        let stream = socket.connect(self.server).await?;
        let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await?;
        let connection = tokio::spawn(connection);
        let request = Request::builder()
            .method(method)
            .uri(path)
            .header("Host", self.server.to_string())
            .header("Content-Type", "application/json")
            .header("Connection", "close")
            .header("X-User-Id", &self.user)
            .body(body)?;
        let response = sender.send_request(request).await?;
        let status = response.status();
        let body = Limited::new(response.into_body(), MAX_ANSWER).collect().await;
        let bytes = body.map_err(|error| anyhow::anyhow!(error))?.to_bytes();
        drop(sender);
        // The connection ends in order, so that its last frames are in the capture.
        connection.await??;
        let text = String::from_utf8_lossy(&bytes).into_owned();
        ensure!(status == StatusCode::OK, "the gateway answered {status}: {text}");
        Ok(text)
    }
}
