//! Measures the memory of a box without a memory cgroup, often enough that a box cannot exceed its limit in between.
//!
//! The sum counts the resident anonymous memory of every process (`RssAnon`), what of it is swapped out (`VmSwap`), its page
//! tables (`VmPTE`), the content of the scratch folder, and the bytes that sockets can hold in the kernel. Memory shared by two
//! processes counts twice, so the sum can only be too high. Pages of files of the host, and of the box's own copies of them, do
//! not count, and a mapped file of the scratch folder counts once: `RssShmem` has nothing else. A box cannot get other memory:
//! the seccomp filter allows neither `memfd_create` nor System V memory, without a memory cgroup no shared anonymous memory
//! either, and such a box has no `/dev/zero`.
//!
//! What the kernel keeps about a box, such as descriptors, mappings and watches, is not in the sum. docs/sandbox.md lists it.

use std::fs;
use std::io;
use std::time::Duration;

use crate::sockets;

/// Greatest expected growth in bytes per second: faster than two CPUs clear pages. This and the remaining memory
/// determine the time of the next measurement.
const FILL_RATE: u64 = 8 << 30;

/// Shortest time between two measurements: one costs some ten microseconds per process, so about a percent of a CPU.
const SHORTEST: Duration = Duration::from_millis(1);

/// Longest time between two measurements.
pub(super) const LONGEST: Duration = Duration::from_millis(50);

/// Measures the memory of the box whose `/proc` and `/tmp` this process sees.
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
    Ok(used + socket_bytes())
}

/// The part of it that the sockets of the box's network namespace can hold.
pub(super) fn socket_bytes() -> u64 {
    let unix = fs::read_to_string("/proc/1/net/unix").map_or(0, |text| sockets::unix_bytes(&text));
    unix + sockets::internet_bytes(1)
}

/// Memory of one process; 0 if it has ended. If its first thread has ended, another thread's status reports the memory.
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

/// Time until the next measurement, short enough that the remaining memory cannot be filled before.
pub(super) fn next_look(used: u64, limit: u64) -> Duration {
    let left = limit.saturating_sub(used);
    Duration::from_nanos(left.saturating_mul(1_000_000_000) / FILL_RATE).clamp(SHORTEST, LONGEST)
}

/// The sum in a `/proc/PID/status`; `None` without memory fields.
fn resident_bytes(status: &str) -> Option<u64> {
    let kilobytes = |line: &str| line.trim().strip_suffix(" kB")?.trim().parse::<u64>().ok();
    let field = |name: &str| status.lines().find_map(|line| kilobytes(line.strip_prefix(name)?));
    let resident = field("RssAnon:")?;
    Some((resident + field("VmPTE:").unwrap_or(0) + field("VmSwap:").unwrap_or(0)) * 1024)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counts_anonymous_memory_page_tables_and_swap() {
        let status = "Name:\tx\nVmRSS:\t    9000 kB\nRssAnon:\t    1000 kB\nRssFile:\t    7000 kB\nRssShmem:\t     8 kB\n\
                      VmPTE:\t     200 kB\nVmSwap:\t    3000 kB\n";
        assert_eq!(resident_bytes(status), Some(4200 * 1024));
        // A zombie has no memory.
        assert_eq!(resident_bytes("Name:\tx\nState:\tZ (zombie)\n"), None);
    }

    #[test]
    fn measures_more_often_as_memory_runs_out() {
        let limit = 1 << 30;
        assert_eq!(next_look(0, limit), LONGEST);
        assert_eq!(next_look(limit - (80 << 20), limit), Duration::from_nanos(9_765_625));
        assert_eq!(next_look(limit, limit), SHORTEST);
        assert_eq!(next_look(u64::MAX, u64::MAX), SHORTEST);
    }
}
