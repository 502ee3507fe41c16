//! Finds what a run has left in the system: processes and network namespaces.

use std::ffi::OsStr;
use std::fs;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

/// A process of a run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Process {
    /// Process id.
    pub pid: i32,
    /// File name of its program.
    pub program: String,
}

/// The running programs of a run, without the lab itself: those with a path below `captures` on their command line.
#[must_use]
pub fn processes(captures: &Path) -> Vec<Process> {
    let mut found = Vec::new();
    for entry in fs::read_dir("/proc").into_iter().flatten().flatten() {
        let Some(pid) = entry.file_name().to_str().and_then(|name| name.parse().ok()) else { continue };
        // Empty for a zombie, which does not count.
        let Ok(command_line) = fs::read(entry.path().join("cmdline")) else { continue };
        let mut arguments = command_line.split(|&byte| byte == 0);
        let program = arguments.next().unwrap_or_default();
        let program = Path::new(OsStr::from_bytes(program)).file_name().unwrap_or_default().to_string_lossy();
        let below = |argument: &[u8]| {
            let path = Path::new(OsStr::from_bytes(argument));
            path.starts_with(captures) && path != captures
        };
        if arguments.any(below) {
            found.push(Process { pid, program: program.into_owned() });
        }
    }
    found
}

/// The network namespaces of these processes, except the one of this test.
#[must_use]
pub fn namespaces_of(processes: &[Process]) -> Vec<String> {
    let own = link("/proc/self/ns/net".as_ref());
    let mut found: Vec<String> = processes
        .iter()
        .filter_map(|process| link(format!("/proc/{}/ns/net", process.pid).as_ref()))
        .filter(|namespace| Some(namespace) != own.as_ref())
        .collect();
    found.sort();
    found.dedup();
    found
}

/// Those of `namespaces` that still exist because a process, a descriptor or a mount holds them.
#[must_use]
pub fn alive(namespaces: &[String]) -> Vec<String> {
    if namespaces.is_empty() {
        return Vec::new();
    }
    let mut held = Vec::new();
    for process in fs::read_dir("/proc").into_iter().flatten().flatten() {
        held.extend(link(&process.path().join("ns/net")));
        let descriptors = fs::read_dir(process.path().join("fd")).into_iter().flatten().flatten();
        held.extend(descriptors.filter_map(|descriptor| link(&descriptor.path())));
    }
    let mounts = fs::read_to_string("/proc/self/mountinfo").unwrap_or_default();
    namespaces
        .iter()
        .filter(|namespace| held.contains(namespace) || mounts.contains(namespace.as_str()))
        .cloned()
        .collect()
}

fn link(path: &Path) -> Option<String> {
    Some(fs::read_link(path).ok()?.to_str()?.to_owned())
}
