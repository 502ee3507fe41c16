//! Whether the gateway can serve: the store takes and returns data, and a sandbox starts.

use std::time::Duration;

use agent_core::error_chain::error_chain;
use tokio::sync::Mutex;
use tokio::time::Instant;

use crate::api::Readiness;
use crate::boxes::Boxes;
use crate::store::Store;

/// How long a result is used again. A probe writes to the disk and makes a sandbox, so a client must not cause any number.
const RESULT_LIFE: Duration = Duration::from_secs(2);

/// Longest probe of the store.
const STORE_TIMEOUT: Duration = Duration::from_secs(10);

/// The last result.
#[derive(Debug, Default)]
pub struct Probe {
    last: Mutex<Option<(Instant, Readiness)>>,
}

impl Probe {
    /// Writes to the store and reads again; starts a sandbox, unless one started a short while ago. One probe at a time.
    pub async fn readiness(&self, store: &dyn Store, boxes: &Boxes) -> Readiness {
        let mut last = self.last.lock().await;
        if let Some((at, readiness)) = *last
            && at.elapsed() < RESULT_LIFE
        {
            return readiness;
        }
        let stored = async {
            match tokio::time::timeout(STORE_TIMEOUT, store.probe()).await {
                Ok(Ok(())) => true,
                Ok(Err(error)) => {
                    tracing::error!("not ready: {}", error_chain(&error));
                    false
                }
                Err(_) => {
                    tracing::error!(
                        "not ready: the store does not answer within {} s",
                        STORE_TIMEOUT.as_secs()
                    );
                    false
                }
            }
        };
        let started = async {
            let probed = boxes.probe().await;
            if let Err(error) = &probed {
                tracing::error!("not ready: no sandbox starts: {}", error_chain(error));
            }
            probed.is_ok()
        };
        let (store, sandbox) = tokio::join!(stored, started);
        let readiness = Readiness::new(store, sandbox);
        *last = Some((Instant::now(), readiness));
        readiness
    }
}
