//! Deletes conversations that have not been used for a while.

use std::sync::Arc;
use std::time::Duration;

use agent_core::error_chain::error_chain;

use crate::store::{Store, now_unix_ns};
use crate::workspace::Workspaces;

/// Pause between two searches.
const INTERVAL: Duration = Duration::from_secs(60 * 60);

/// Pause between two parts of a deletion, in which answers are stored.
const BREATH: Duration = Duration::from_millis(20);

/// Deletes conversations without a message for `days` days with their workspaces, at once and then every hour. Never ends.
pub async fn keep(store: Arc<dyn Store>, workspaces: Option<Arc<Workspaces>>, days: u32) {
    let age = Duration::from_secs(u64::from(days) * 24 * 60 * 60);
    loop {
        let before = now_unix_ns().saturating_sub(i64::try_from(age.as_nanos()).unwrap_or(i64::MAX));
        let mut deleted = 0;
        let outcome = loop {
            match store.delete_some_unused(before).await {
                Ok(0) => break Ok(()),
                Ok(some) => deleted += some,
                Err(error) => break Err(error),
            }
            tokio::time::sleep(BREATH).await;
        };
        if deleted > 0 {
            tracing::info!(conversations = deleted, days, "deleted what was not used");
        }
        if let Some(workspaces) = &workspaces {
            workspaces.sweep_and_log(&*store).await;
        }
        if let Err(error) = outcome {
            tracing::error!("cannot delete what is not used: {}", error_chain(&error));
        }
        tokio::time::sleep(INTERVAL).await;
    }
}
