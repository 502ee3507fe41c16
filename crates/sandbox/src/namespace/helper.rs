//! A helper process, seen from the host: the process, its pipes, and the socket over which it receives a box and
//! reports.

use std::net::Shutdown;
use std::os::fd::{BorrowedFd, OwnedFd};
use std::os::unix::fs::MetadataExt;
use std::os::unix::net::UnixStream as StdUnixStream;
use std::path::{Path, PathBuf};
use std::process::Stdio;

use tokio::net::UnixStream;
use tokio::process::{Child, ChildStderr, ChildStdout, Command};

use super::OUTER_ROLE;
use super::protocol::{self, BoxSpec, Prelude, Report};
use crate::{Error, InForce};

/// A helper process. Dropping it kills the helper, and its box with it.
#[derive(Debug)]
pub(super) struct RunningHelper {
    child: Child,
    socket: UnixStream,
    hang_up: Option<HangUp>,
    prelude: Prelude,
    /// The files that it has copied, as they were.
    files: Vec<Identity>,
}

/// Ends a box from the host's side, while the helper's reports are still being read.
#[derive(Debug)]
pub(super) struct HangUp(StdUnixStream);

impl HangUp {
    /// Closes the direction to the helper. The helper then ends the box and reports; the other direction stays open for that.
    pub(super) fn hang_up(&self) -> Result<(), Error> {
        self.0.shutdown(Shutdown::Write).map_err(Error::io("ending the helper"))
    }
}

/// What distinguishes two versions of a file: device, inode, and for a file size and time of the last change; `None` if it is
/// missing.
type Identity = Option<(u64, u64, Option<(u64, i64, i64)>)>;

fn identities(prelude: &Prelude) -> Vec<Identity> {
    let identity = |path: &PathBuf| {
        let metadata = std::fs::metadata(path).ok()?;
        let content = metadata.is_file().then(|| (metadata.size(), metadata.ctime(), metadata.ctime_nsec()));
        Some((metadata.dev(), metadata.ino(), content))
    };
    prelude.program.iter().chain(&prelude.read_only).map(identity).collect()
}

impl RunningHelper {
    /// `users` is the user namespace that the helper enters first.
    pub(super) fn start(
        helper: &Path,
        prelude: Prelude,
        users: Option<BorrowedFd<'_>>,
    ) -> Result<Self, Error> {
        let step = || Error::io(format!("starting the helper {}", helper.display()));
        let (ours, theirs) = StdUnixStream::pair().map_err(step())?;
        let files = identities(&prelude);
        // A few kilobytes, which the socket takes at once.
        protocol::send(&ours, &prelude).map_err(step())?;
        if let Some(users) = users {
            protocol::send_descriptor(&ours, users).map_err(step())?;
        }
        ours.set_nonblocking(true).map_err(step())?;
        let hang_up = Some(HangUp(ours.try_clone().map_err(step())?));
        let child = Command::new(helper)
            .arg(OUTER_ROLE)
            .env_clear()
            .current_dir("/")
            .stdin(OwnedFd::from(theirs))
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            // Only the host handles Ctrl-C.
            .process_group(0)
            .kill_on_drop(true)
            .spawn()
            .map_err(step())?;
        Ok(Self { child, socket: UnixStream::from_std(ours).map_err(step())?, hang_up, prelude, files })
    }

    /// Whether it has prepared such a box, of files that have not changed since, and still runs. It can have been killed
    /// while it waited in the pool.
    pub(super) fn can_become(&mut self, prelude: &Prelude) -> bool {
        self.prelude == *prelude
            && self.files == identities(prelude)
            && matches!(self.child.try_wait(), Ok(None))
    }

    /// Returns the streams of the box's output, and the means to end it. Can be called once.
    pub(super) fn take_streams(&mut self) -> Result<(ChildStdout, ChildStderr, HangUp), Error> {
        match (self.child.stdout.take(), self.child.stderr.take(), self.hang_up.take()) {
            (Some(stdout), Some(stderr), Some(hang_up)) => Ok((stdout, stderr, hang_up)),
            _ => Err(Error::Broken("the helper has no standard output".into())),
        }
    }

    /// Waits until the namespaces are made, and returns the number of their first process.
    pub(super) async fn prepared(&mut self) -> Result<u32, Error> {
        match protocol::recv_async(&mut self.socket).await {
            Ok(Report::Prepared(first)) => Ok(first),
            Ok(Report::Refused(refusal)) => Err(refusal.into()),
            Ok(_) => Err(Error::Broken("the helper's first report is not that it is prepared".into())),
            Err(error) => Err(Error::Broken(format!("the helper died: {error}"))),
        }
    }

    pub(super) async fn send(&mut self, spec: &BoxSpec, stdin: &[u8]) -> Result<(), Error> {
        let broken = |error| Error::Broken(format!("the helper did not accept its box: {error}"));
        protocol::send_async(&mut self.socket, spec).await.map_err(broken)?;
        protocol::send_bytes_async(&mut self.socket, stdin).await.map_err(broken)
    }

    /// Receives reports until the last one; returns the limits in force and the last report.
    pub(super) async fn receive_reports(&mut self) -> Result<(Vec<InForce>, Report), Error> {
        let mut in_force = Vec::new();
        loop {
            match protocol::recv_async(&mut self.socket).await {
                Ok(Report::Ready(list)) => in_force = list,
                Ok(report) => return Ok((in_force, report)),
                Err(error) => return Err(Error::Broken(format!("the helper died: {error}"))),
            }
        }
    }

    /// Waits for the end of the process.
    pub(super) async fn has_ended(&mut self) -> Result<(), Error> {
        self.child.wait().await.map(drop).map_err(Error::io("waiting for the helper"))
    }
}
