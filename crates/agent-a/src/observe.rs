//! Records the TCP connections that a client opens, with their addresses, before anything is sent on them.

use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll};

use hyper_util::client::legacy::connect::{Connection, HttpInfo};
use tower_layer::Layer;
use tower_service::Service;

/// The addresses of a TCP connection, seen from the client.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ends {
    /// The client's address.
    pub local: SocketAddr,
    /// The address that the client connected to: the server's, or a relay's.
    pub remote: SocketAddr,
}

impl Ends {
    /// The ends of the connection that carried `response`.
    pub fn of(response: &reqwest::Response) -> Option<Self> {
        response.extensions().get::<HttpInfo>().map(Self::from)
    }
}

impl From<&HttpInfo> for Ends {
    fn from(info: &HttpInfo) -> Self {
        Self { local: info.local_addr(), remote: info.remote_addr() }
    }
}

/// The connections that one client has opened so far.
#[derive(Clone, Debug, Default)]
pub struct Opened {
    connections: Arc<Mutex<Vec<Option<Ends>>>>,
}

impl Opened {
    /// Number of connections.
    pub fn count(&self) -> usize {
        self.connections.lock().unwrap_or_else(PoisonError::into_inner).len()
    }

    /// The ends of the client's only connection, which its next request uses. `None` without connections or with several,
    /// because the connection of a request is then unknown until its answer arrives.
    pub fn only(&self) -> Option<Ends> {
        match self.connections.lock().unwrap_or_else(PoisonError::into_inner).as_slice() {
            [only] => *only,
            _ => None,
        }
    }

    fn add(&self, connection: &impl Connection) {
        let mut extras = http::Extensions::new();
        connection.connected().get_extras(&mut extras);
        let ends = extras.get::<HttpInfo>().map(Ends::from);
        self.connections.lock().unwrap_or_else(PoisonError::into_inner).push(ends);
    }
}

/// A layer that records every connection of a connector, after its TLS handshake.
#[derive(Clone, Debug, Default)]
pub struct Watch {
    /// The connections.
    pub opened: Opened,
}

impl<S> Layer<S> for Watch {
    type Service = Watched<S>;

    fn layer(&self, connector: S) -> Watched<S> {
        Watched { connector, opened: self.opened.clone() }
    }
}

/// A connector whose connections are recorded.
#[derive(Clone, Debug)]
pub struct Watched<S> {
    connector: S,
    opened: Opened,
}

impl<S, R> Service<R> for Watched<S>
where
    S: Service<R>,
    S::Response: Connection,
    S::Future: Send + 'static,
{
    type Response = S::Response;
    type Error = S::Error;
    type Future = Pin<Box<dyn Future<Output = Result<S::Response, S::Error>> + Send>>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.connector.poll_ready(context)
    }

    fn call(&mut self, target: R) -> Self::Future {
        let opened = self.opened.clone();
        let connecting = self.connector.call(target);
        Box::pin(async move {
            let connection = connecting.await?;
            opened.add(&connection);
            Ok(connection)
        })
    }
}
