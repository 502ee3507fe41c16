//! The subcommand `healthcheck`: requests the health of a running server, in container images without a shell.

use std::path::Path;
use std::time::Duration;

use agent_core::tls::{self, TlsVersions};
use agent_core::transport;
use anyhow::{Context, Result, ensure};

/// Longest wait for the answer. Container engines repeat a health check that fails.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(5);

/// Succeeds if the server answers `GET url` with 200. For `https`, `ca` must have signed its certificate.
///
/// # Errors
/// When the server does not answer, or answers with another status.
pub async fn run(url: &str, ca: &Path) -> Result<()> {
    let tls = if url.starts_with("https:") {
        tls::client_config(ca, &"1.2,1.3".parse::<TlsVersions>()?, None)?
    } else {
        tls::client_config_without_trust()?
    };
    let client = transport::client_builder(tls).timeout(ANSWER_TIMEOUT).build()?;
    let response = client.get(url).send().await.with_context(|| format!("{url} does not answer"))?;
    ensure!(response.status() == reqwest::StatusCode::OK, "{url} answers {}", response.status());
    Ok(())
}
