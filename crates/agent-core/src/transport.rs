//! Settings of the experiment's HTTP clients: one protocol version, no proxy, no redirect, no delay.

use std::time::Duration;

use reqwest::ClientBuilder;
use reqwest::redirect::Policy;
use rustls::ClientConfig;

/// Longest wait for a TCP and TLS handshake. Ten times the retransmission of a lost SYN on a machine under load.
pub const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);

/// Longest wait for one whole answer. Every tool answers in milliseconds; only a hanging server takes longer.
pub const REQUEST_TIMEOUT: Duration = Duration::from_secs(30);

/// The settings of every client: HTTP/1.1 in both schemes, `TCP_NODELAY` (otherwise delayed acknowledgements of
/// 40 ms would count as a cost of TLS), no proxy even if the environment names one, and the trust of `tls`.
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
