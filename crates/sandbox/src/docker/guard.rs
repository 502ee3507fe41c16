//! Removes containers whose owner is gone: at the start, by label, and in the guard when this process ends.

use std::collections::HashMap;
use std::env::ArgsOs;
use std::io::Read;
use std::path::PathBuf;
use std::time::Duration;

use bollard::query_parameters::{ListContainersOptionsBuilder, RemoveContainerOptionsBuilder};

use super::{connect, status};
use crate::Error;
use crate::owner::Owner;

/// The label whose value is [`crate::Options::label`].
pub(super) const LABEL: &str = "plainsight.sandbox";

/// The label that names the process that the container belongs to.
pub(super) const OWNER_LABEL: &str = "plainsight.sandbox.owner";

/// The label that names the container's guard: a process can open the backend several times, each with its own guard.
pub(super) const GUARD_LABEL: &str = "plainsight.sandbox.guard";

/// Pause before the guard's second removal: a container that the owner requested just before its death appears later.
const SECOND_LOOK: Duration = Duration::from_secs(2);

/// Removes the containers that have this value of a label and whose owner is `unwanted`; returns how many.
pub(super) async fn remove_boxes(
    engine: &bollard::Docker,
    label: &str,
    value: &str,
    unwanted: impl Fn(&Owner) -> bool,
) -> Result<usize, Error> {
    let filters = HashMap::from([("label".to_owned(), vec![format!("{label}={value}")])]);
    let options = ListContainersOptionsBuilder::new().all(true).filters(&filters).build();
    let containers =
        engine.list_containers(Some(options)).await.map_err(Error::engine("listing containers"))?;
    let mut removed = 0;
    for container in containers {
        let owner = container.labels.as_ref().and_then(|labels| Owner::parse(labels.get(OWNER_LABEL)?));
        // A container with the label but without a readable owner has no owner.
        if owner.as_ref().is_none_or(&unwanted)
            && let Some(id) = container.id
        {
            remove(engine, &id).await?;
            removed += 1;
        }
    }
    Ok(removed)
}

/// Kills and removes a container. Succeeds if the container is gone already or is being removed.
pub(super) async fn remove(engine: &bollard::Docker, container: &str) -> Result<(), Error> {
    let options = RemoveContainerOptionsBuilder::new().force(true).v(true).build();
    match engine.remove_container(container, Some(options)).await {
        Ok(()) => Ok(()),
        Err(error) if matches!(status(&error), Some(404 | 409)) => Ok(()),
        Err(error) => Err(Error::engine("removing a container")(error)),
    }
}

/// The guard's main function: waits until its owner has ended in any way, and removes its containers.
pub(crate) fn become_guard(mut arguments: ArgsOs) -> ! {
    let mut next = || Some(arguments.next()?.to_string_lossy().into_owned());
    let (Some(socket), Some(guard)) = (next(), next()) else { std::process::exit(2) };
    let Ok(runtime) = tokio::runtime::Builder::new_current_thread().enable_all().build() else {
        std::process::exit(1)
    };
    runtime.block_on(async {
        // Service managers signal all processes of a service at once. The guard has to end after its owner.
        for kind in [tokio::signal::unix::SignalKind::terminate(), tokio::signal::unix::SignalKind::hangup()]
        {
            // Replaces the default action, which would end the guard too early.
            let _ = tokio::signal::unix::signal(kind);
        }
        let _ = tokio::task::spawn_blocking(|| std::io::stdin().read_to_end(&mut Vec::new())).await;
        let Ok(engine) = connect(&PathBuf::from(socket)).await else { return };
        let _ = remove_boxes(&engine, GUARD_LABEL, &guard, |_| true).await;
        tokio::time::sleep(SECOND_LOOK).await;
        let _ = remove_boxes(&engine, GUARD_LABEL, &guard, |_| true).await;
    });
    std::process::exit(0)
}
