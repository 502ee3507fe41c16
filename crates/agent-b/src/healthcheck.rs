//! `agent-b healthcheck`: asks a running agent-b how it is, for container health checks in images without a shell.

use std::path::Path;
use std::time::Duration;

use agent_core::tls::{self, TlsVersions};
use agent_core::transport;
use anyhow::{Context, Result, ensure};

/// Longest wait for the answer; a health check is asked again anyway.
const PATIENCE: Duration = Duration::from_secs(5);

/// Whether the agent-b at `url` answers with 200. For `https` the certificate must be signed by `ca`.
///
/// # Errors
/// Why it is not well.
pub async fn run(url: &str, ca: &Path) -> Result<()> {
    let tls = if url.starts_with("https:") {
        tls::client_config(ca, &"1.2,1.3".parse::<TlsVersions>()?, None)?
    } else {
        tls::client_config_without_trust()?
    };
    let client = transport::client_builder(tls).timeout(PATIENCE).build()?;
    let response = client.get(url).send().await.with_context(|| format!("{url} does not answer"))?;
    ensure!(response.status() == reqwest::StatusCode::OK, "{url} answers {}", response.status());
    Ok(())
}
