//! One pass over one capture, for whichever experiment.

use std::path::PathBuf;
use std::sync::Arc;

use anyhow::Result;
use dissect::keylog::KeyLog;

use crate::input::capture::{self, Progress};
use crate::input::discover::Input;
use crate::input::server_key;
use crate::needles::KnownStrings;
use crate::observe::CaptureObserver;
use crate::observe::offloads::Offloads;
use crate::pipeline::frames::{Finished, Pipeline};
use crate::verdict::doubt::Doubt;
use crate::verdict::report::{CaptureReport, UsedKey};

/// Reads the capture of an input once: its frames go through the pipeline to the observers, its bytes into the hash.
///
/// # Errors
///
/// The file cannot be read, or is not a capture. Everything else is a doubt in the report.
pub(crate) fn run<'k>(
    input: &'k Input,
    known: &'k KnownStrings,
    keys: Option<Arc<KeyLog>>,
    mut observer: CaptureObserver<'k>,
    progress: Progress<'_>,
) -> Result<CaptureReport<'k>> {
    observer.offloads = input.manifest.is_some().then(Offloads::default);
    let needs = observer.needs(known);
    let file = input.capture.as_deref().or(input.spool.as_deref());
    let mut pipeline = Pipeline::new(observer, needs, with_secrets(keys, file.and_then(capture::secrets)));
    let given = server_key::read(input.server_keys.iter().map(PathBuf::as_path))?;
    pipeline.use_server_keys(given.keys);
    let read = capture::read(file, &mut pipeline, progress)?;
    let Finished { mut observer, has_keys, server_keys, dropped, snaplen, skipped_blocks } =
        pipeline.finish();
    observer.connections.sort();
    observer.name_peers();
    observer.leave_out_known_from_handshake();
    Ok(CaptureReport {
        manifest: input.manifest.as_ref(),
        has_journal: !input.journals.is_empty(),
        has_keys,
        known,
        observed: observer,
        dropped_frames: dropped,
        bytes: read.contents.bytes,
        sha256: read.contents.sha256,
        file: read.file,
        compression: read.compression,
        snaplen,
        skipped_blocks,
        server_keys: (server_keys.iter().zip(given.files))
            .map(|((key, used), file)| UsedKey {
                file: file.to_owned(),
                bits: key.bits(),
                public_key_sha256: *key.public_key_sha256(),
                used: used.clone(),
            })
            .collect(),
        input_doubts: read.end.map(Doubt::CaptureEnd).into_iter().collect(),
    })
}

/// The key log, with the secrets that the capture itself contains.
fn with_secrets(keys: Option<Arc<KeyLog>>, secrets: Option<KeyLog>) -> Option<Arc<KeyLog>> {
    match (keys, secrets) {
        (keys, None) => keys,
        (None, Some(secrets)) => Some(Arc::new(secrets)),
        (Some(mut keys), Some(secrets)) => {
            Arc::make_mut(&mut keys).add(&secrets);
            Some(keys)
        }
    }
}
