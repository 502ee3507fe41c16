//! Messages between host, helper and the box's first process, over socket pairs that only they hold: a length (32 bits,
//! little-endian) and as many bytes. All messages are JSON except the standard input.

use std::io::{self, IoSlice, IoSliceMut, Read, Write};
use std::mem::MaybeUninit;
use std::os::fd::{BorrowedFd, OwnedFd};
use std::os::unix::net::UnixStream;
use std::path::PathBuf;

use rustix::net::{
    RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, SendAncillaryBuffer, SendAncillaryMessage,
    SendFlags, recvmsg, sendmsg,
};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};

use crate::{Exit, InForce, Refusal};

/// The longest frame in bytes: a command of [`crate::Job::MAX_COMMAND`], escaped, or an input of [`crate::Job::MAX_STDIN`].
const MAX_FRAME: usize = 32 << 20;

/// Host to helper at its start, before there is a job: all that can be prepared without it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Prelude {
    /// A network namespace to join instead of an empty one.
    pub(super) network: Option<PathBuf>,
    /// How many subordinate users there are, of which the box gets one. Their user namespace follows as a descriptor.
    pub(super) subordinate_users: Option<u32>,
    /// The program's path on the host; `None` for a trial box that runs nothing.
    pub(super) program: Option<PathBuf>,
    pub(super) read_only: Vec<PathBuf>,
    /// Whether `RLIMIT_NPROC` must limit the processes, because no cgroup does.
    pub(super) limit_processes: bool,
    /// Whether the helper must watch the memory, because no cgroup limits it.
    pub(super) watch_memory: bool,
}

impl Prelude {
    /// The program's path in the box.
    pub(super) fn program_inside(&self) -> Option<PathBuf> {
        Some(PathBuf::from(PROGRAM_FOLDER).join(self.program.as_ref()?.file_name()?))
    }
}

/// Host to helper, helper to first process: the box to make. The standard input follows in a frame of its own.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct BoxSpec {
    /// The program's path in the box; `None` for a trial box that runs nothing.
    pub(super) program: Option<PathBuf>,
    pub(super) arguments: Vec<String>,
    pub(super) environment: Vec<(String, String)>,
    pub(super) memory_bytes: u64,
    pub(super) processes: u64,
    pub(super) scratch_bytes: u64,
    pub(super) wall_ns: u64,
    /// Number of CPUs to pin the box to, if no cgroup limits them.
    pub(super) pin_to_cpus: Option<u64>,
    /// Whether `RLIMIT_NPROC` must limit the processes, because no cgroup does.
    pub(super) limit_processes: bool,
    /// Whether the helper must watch the memory, because no cgroup limits it.
    pub(super) watch_memory: bool,
    /// The user of the host's process.
    pub(super) host_user: u32,
    /// Whether the box joined a given network namespace.
    pub(super) has_network: bool,
}

/// The folder of the box that holds its program and nothing else.
pub(super) const PROGRAM_FOLDER: &str = "/program";

/// Helper to host, first process to helper.
#[derive(Debug, Serialize, Deserialize)]
pub(super) enum Report {
    /// The namespaces are made; the number of their first process, which waits for the box's description. The host puts it
    /// into the box's cgroups: the helper has no right to do that.
    Prepared(u32),
    /// The box is made with these limits in force; its command starts now.
    Ready(Vec<InForce>),
    /// The kernel refused a step.
    Refused(Refusal),
    /// The command could not be started.
    CannotStart(String),
    /// The command ended. The first process cannot measure and reports zeros.
    Ended { exit: Exit, cpu_ns: u64, peak_memory_bytes: u64 },
}

pub(super) fn send<T: Serialize>(mut stream: impl Write, message: &T) -> io::Result<()> {
    send_bytes(&mut stream, &serde_json::to_vec(message)?)
}

pub(super) fn send_bytes(mut stream: impl Write, bytes: &[u8]) -> io::Result<()> {
    stream.write_all(&length(bytes)?)?;
    stream.write_all(bytes)
}

pub(super) fn receive<T: DeserializeOwned>(stream: impl Read) -> io::Result<T> {
    Ok(serde_json::from_slice(&receive_bytes(stream)?)?)
}

pub(super) fn receive_bytes(mut stream: impl Read) -> io::Result<Vec<u8>> {
    let mut length = [0; 4];
    stream.read_exact(&mut length)?;
    let mut bytes = vec![0; checked(length)?];
    stream.read_exact(&mut bytes)?;
    Ok(bytes)
}

/// Sends a descriptor, with one byte (unix(7), "Ancillary messages").
pub(super) fn send_descriptor(stream: &UnixStream, descriptor: BorrowedFd<'_>) -> io::Result<()> {
    let descriptors = [descriptor];
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))];
    let mut ancillary = SendAncillaryBuffer::new(&mut space);
    ancillary.push(SendAncillaryMessage::ScmRights(&descriptors));
    sendmsg(stream, &[IoSlice::new(&[0])], &mut ancillary, SendFlags::empty())?;
    Ok(())
}

pub(super) fn receive_descriptor(stream: &UnixStream) -> io::Result<OwnedFd> {
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))];
    let mut ancillary = RecvAncillaryBuffer::new(&mut space);
    recvmsg(stream, &mut [IoSliceMut::new(&mut [0])], &mut ancillary, RecvFlags::CMSG_CLOEXEC)?;
    let mut descriptors = ancillary.drain().filter_map(|message| match message {
        RecvAncillaryMessage::ScmRights(descriptors) => Some(descriptors),
        _ => None,
    });
    descriptors.next().and_then(|mut all| all.next()).ok_or_else(|| io::Error::other("no descriptor came"))
}

pub(super) async fn send_async<T: Serialize>(stream: impl AsyncWrite + Unpin, message: &T) -> io::Result<()> {
    send_bytes_async(stream, &serde_json::to_vec(message)?).await
}

pub(super) async fn send_bytes_async(mut stream: impl AsyncWrite + Unpin, bytes: &[u8]) -> io::Result<()> {
    stream.write_all(&length(bytes)?).await?;
    stream.write_all(bytes).await
}

pub(super) async fn recv_async<T: DeserializeOwned>(mut stream: impl AsyncRead + Unpin) -> io::Result<T> {
    let mut length = [0; 4];
    stream.read_exact(&mut length).await?;
    let mut bytes = vec![0; checked(length)?];
    stream.read_exact(&mut bytes).await?;
    Ok(serde_json::from_slice(&bytes)?)
}

fn length(bytes: &[u8]) -> io::Result<[u8; 4]> {
    match u32::try_from(bytes.len()) {
        Ok(length) if bytes.len() <= MAX_FRAME => Ok(length.to_le_bytes()),
        _ => Err(io::Error::other(format!("a message of {} bytes is too long", bytes.len()))),
    }
}

fn checked(length: [u8; 4]) -> io::Result<usize> {
    let length = u32::from_le_bytes(length) as usize;
    if length > MAX_FRAME {
        return Err(io::Error::other(format!("a message of {length} bytes is too long")));
    }
    Ok(length)
}
