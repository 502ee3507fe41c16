//! Waits for what the setup of a demo names. `lab demo` starts the page last; containers are started in any order.

use std::net::ToSocketAddrs as _;
use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::{Result, anyhow};
use experiment::demo::Setup;

/// How long to wait for each thing. A container starts within a second, on a busy machine within some.
pub(crate) const PATIENCE: Duration = Duration::from_secs(10);

/// Interval of looking.
const LOOK: Duration = Duration::from_millis(50);

/// Where to read why something is missing.
const REMEDY: &str = "read what the program that makes it wrote, such as with `docker compose -f docker-compose.demo.yml \
logs`, then end the demo with Ctrl-C, and start it again";

/// Waits until a file exists.
///
/// # Errors
/// It does not, after `patience`. The error names it and who makes it.
pub(crate) async fn for_file(path: &Path, maker: &str, patience: Duration) -> Result<()> {
    let missing = || match path.metadata() {
        Ok(_) => None,
        Err(error) => Some(error.to_string()),
    };
    let what = || format!("{maker} has not made {}", path.display());
    until_none(missing, what, patience).await
}

/// Waits until every file of the setup exists, and every server's name has an address.
///
/// # Errors
/// One of them does not, after `patience`. The error names it and who makes it.
pub(crate) async fn for_all_of(setup: &Setup, patience: Duration) -> Result<()> {
    for_file(&setup.ca, "certgen", patience).await?;
    for capture in &setup.captures {
        for_file(&capture.path, &format!("the capturer of {}", capture.name), patience).await?;
    }
    if let Some(journal) = &setup.boxes {
        for_file(journal, "gateway", patience).await?;
    }
    for service in &setup.services {
        let Some(address) = &service.address else { continue };
        let unknown = || match address.to_socket_addrs() {
            Ok(mut addresses) => addresses.next().is_none().then(|| "the name has no address".to_owned()),
            Err(error) => Some(error.to_string()),
        };
        until_none(unknown, || format!("{} is not at {address}", service.service), patience).await?;
    }
    Ok(())
}

/// Looks until `missing` gives no reason.
async fn until_none(
    missing: impl Fn() -> Option<String>,
    what: impl Fn() -> String,
    patience: Duration,
) -> Result<()> {
    let started = Instant::now();
    while let Some(why) = missing() {
        if started.elapsed() >= patience {
            return Err(anyhow!("{} within {} s: {why}; {REMEDY}", what(), patience.as_secs()));
        }
        tokio::time::sleep(LOOK).await;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    /// Shorter than in use, but longer than a busy machine needs to look twice.
    const SOON: Duration = Duration::from_millis(300);

    fn setup(folder: &Path, address: &str) -> Setup {
        let text = serde_json::json!({
            "schema": experiment::demo::SCHEMA, "backend": "docker",
            "services": [{"service": "gateway", "scheme": "http", "address": address, "server_name": "agent-b",
                          "capture": "wire", "problem": null}],
            "captures": [{"name": "wire", "path": folder.join("wire.partial.pcap")}],
            "host_captures": [], "ca": folder.join("ca.pem"), "certs": folder, "folder": folder,
            "boxes": folder.join("boxes.jsonl"), "token": null, "problems": [],
        });
        serde_json::from_value(text).unwrap()
    }

    #[tokio::test]
    async fn goes_on_when_every_file_is_there_whatever_came_first() {
        let folder = tempfile::tempdir().unwrap();
        let setup = setup(folder.path(), "127.0.0.1:8000");
        let makes_late = async {
            for name in ["boxes.jsonl", "wire.partial.pcap", "ca.pem"] {
                tokio::time::sleep(Duration::from_millis(60)).await;
                fs::write(folder.path().join(name), "").unwrap();
            }
        };
        let (waited, ()) = tokio::join!(for_all_of(&setup, PATIENCE), makes_late);
        waited.unwrap();
    }

    #[tokio::test]
    async fn names_the_missing_file_its_maker_and_the_remedy() {
        let folder = tempfile::tempdir().unwrap();
        let setup = setup(folder.path(), "127.0.0.1:8000");
        for (name, maker) in
            [("ca.pem", "certgen"), ("wire.partial.pcap", "the capturer of wire"), ("boxes.jsonl", "gateway")]
        {
            let path = folder.path().join(name);
            let error = for_all_of(&setup, SOON).await.unwrap_err().to_string();
            assert!(error.starts_with(&format!("{maker} has not made {}", path.display())), "{error}");
            assert!(error.contains("No such file") && error.ends_with(REMEDY), "{error}");
            fs::write(path, "").unwrap();
        }
        for_all_of(&setup, SOON).await.unwrap();
    }

    #[tokio::test]
    async fn names_a_server_without_address() {
        let folder = tempfile::tempdir().unwrap();
        for name in ["boxes.jsonl", "wire.partial.pcap", "ca.pem"] {
            fs::write(folder.path().join(name), "").unwrap();
        }
        let setup = setup(folder.path(), "gateway.invalid:8000");
        let error = for_all_of(&setup, SOON).await.unwrap_err().to_string();
        assert!(error.starts_with("gateway is not at gateway.invalid:8000 within 0 s: "), "{error}");
    }
}
