//! How a client of the experiment speaks HTTP: one protocol version, no proxy, no redirect, no delay.

use std::time::Duration;

use reqwest::ClientBuilder;
use reqwest::redirect::Policy;
use rustls::ClientConfig;

/// Longest wait for a TCP and TLS handshake. Ten times the retransmission of a lost SYN on a machine under load.
pub const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);

/// Longest wait for one whole answer. Every tool answers in milliseconds; this only ends what hangs.
pub const REQUEST_TIMEOUT: Duration = Duration::from_secs(30);

/// The settings of every client: HTTP/1.1 in both schemes, `TCP_NODELAY` (a delayed acknowledgement of 40 ms would else be
/// measured as the price of TLS), never a proxy, whatever the environment says, and trust as `tls` says.
pub fn client_builder(tls: ClientConfig) -> ClientBuilder {
    reqwest::Client::builder()
        .tls_backend_preconfigured(tls)
        .http1_only()
        .no_proxy()
        .redirect(Policy::none())
        .tcp_nodelay(true)
        .connect_timeout(CONNECT_TIMEOUT)
        .timeout(REQUEST_TIMEOUT)
}
