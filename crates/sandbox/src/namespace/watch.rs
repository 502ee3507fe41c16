//! The memory of a box without a memory cgroup: counted often enough that nobody can fill it in between.
//!
//! Counted is, for every process of the box, what is resident of its own (`RssAnon`) and of shared memory (`RssShmem`), as
//! the kernel says; what lies in the scratch folder; and what Unix sockets can hold in the kernel. What two processes share
//! counts for both: the sum errs upwards, never downwards. Pages of files of the host are not the box's. Other kinds of
//! memory that no process has mapped cannot be had: the seccomp filter has no `memfd_create`, no System V memory.

use std::fs;
use std::io::{self, BufRead, BufReader};
use std::time::Duration;

/// The fastest that memory is expected to be filled, in bytes per second: faster than two CPUs clear pages. With the
/// headroom it decides when to look next.
const FILL_RATE: u64 = 8 << 30;

/// The shortest time between two looks: one costs some ten microseconds per process, which makes a percent of a CPU.
const SHORTEST: Duration = Duration::from_millis(1);

/// The longest time between two looks.
const LONGEST: Duration = Duration::from_millis(50);

/// What one Unix socket can hold for its reader: `net.core.wmem_default`, which nobody without rights can raise above
/// `wmem_max`; both are 208 KiB unless the machine was told otherwise.
const SOCKET_BYTES: u64 = 212_992;

/// Counts the memory of the box whose `/proc` and `/tmp` are this process's.
pub(super) fn used_bytes() -> io::Result<u64> {
    let mut used = 0;
    for entry in fs::read_dir("/proc")? {
        let name = entry?.file_name();
        // Process 1 is the box's own.
        let Some(pid) = name.to_str().and_then(|name| name.parse::<u32>().ok()).filter(|pid| *pid != 1)
        else {
            continue;
        };
        used += process_bytes(pid);
    }
    let scratch = rustix::fs::statvfs("/tmp")?;
    used += scratch.f_blocks.saturating_sub(scratch.f_bfree) * scratch.f_frsize;
    // The first line is a heading; one socket is what this process and the first one of the box speak over.
    if let Ok(sockets) = fs::File::open("/proc/1/net/unix") {
        let count = BufReader::new(sockets).lines().count() as u64;
        used += count.saturating_sub(1) * SOCKET_BYTES;
    }
    Ok(used)
}

/// What one process holds; nothing if it has ended since. Its first thread may have ended while others go on: then only they
/// tell.
fn process_bytes(pid: u32) -> u64 {
    let of = |file: String| fs::read_to_string(file).ok().and_then(|status| resident_bytes(&status));
    if let Some(bytes) = of(format!("/proc/{pid}/status")) {
        return bytes;
    }
    let Ok(threads) = fs::read_dir(format!("/proc/{pid}/task")) else { return 0 };
    threads
        .flatten()
        .find_map(|thread| of(format!("/proc/{pid}/task/{}/status", thread.file_name().to_string_lossy())))
        .unwrap_or(0)
}

/// When to look again: before what is left can be filled by `cpus` CPUs.
pub(super) fn next_look(used: u64, limit: u64) -> Duration {
    let left = limit.saturating_sub(used);
    Duration::from_nanos(left.saturating_mul(1_000_000_000) / FILL_RATE).clamp(SHORTEST, LONGEST)
}

/// The sum in a `/proc/PID/status`; `None` if it tells of no memory.
fn resident_bytes(status: &str) -> Option<u64> {
    let kilobytes = |line: &str| line.trim().strip_suffix(" kB")?.trim().parse::<u64>().ok();
    let field = |name: &str| status.lines().find_map(|line| kilobytes(line.strip_prefix(name)?));
    Some((field("RssAnon:")? + field("RssShmem:")?) * 1024)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_the_box_s_own_is_counted() {
        let status = "Name:\tx\nVmRSS:\t    9000 kB\nRssAnon:\t    1000 kB\nRssFile:\t    7000 kB\nRssShmem:\t     8 kB\n";
        assert_eq!(resident_bytes(status), Some(1008 * 1024));
        // A zombie has no memory.
        assert_eq!(resident_bytes("Name:\tx\nState:\tZ (zombie)\n"), None);
    }

    #[test]
    fn looks_come_closer_as_memory_runs_out() {
        let limit = 1 << 30;
        assert_eq!(next_look(0, limit), LONGEST);
        assert_eq!(next_look(limit - (80 << 20), limit), Duration::from_nanos(9_765_625));
        assert_eq!(next_look(limit, limit), SHORTEST);
        assert_eq!(next_look(u64::MAX, u64::MAX), SHORTEST);
    }
}
