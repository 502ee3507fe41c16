//! What the sockets of a box can hold in the kernel, by their number: no memory cgroup counts datagrams, and without one nothing
//! counts any.

/// Bytes that one socket can hold for its reader: `net.core.wmem_default` and `rmem_default`, 208 KiB, and a buffer beyond it. A
/// box cannot change them for a socket.
pub(crate) const SOCKET_BYTES: u64 = 288 << 10;

/// Bytes that a Unix socket for datagrams can hold: the senders' buffers, of which `net.unix.max_dgram_qlen`, 10 in a new network
/// namespace, and one more can wait for it.
#[cfg(target_os = "linux")]
const DATAGRAM_SOCKET_BYTES: u64 = 11 * SOCKET_BYTES;

/// Bytes that a memory cgroup lets a TCP socket hold beyond its limit: the smallest buffers, which the kernel always grants, and
/// what it keeps about them.
const UNCOUNTED_TCP_BYTES: u64 = 32 << 10;

/// Smallest bound on what the sockets of a box hold beside its memory in bytes.
const MIN_BESIDE: u64 = 8 << 20;

/// Bytes that the Internet sockets of a box with a memory cgroup may hold beside its memory.
pub(crate) fn limit_beside(memory_bytes: u64) -> u64 {
    (memory_bytes / 4).max(MIN_BESIDE)
}

/// Bytes that the Internet sockets of a process's network namespace can hold; 0 if it cannot be seen.
#[cfg(target_os = "linux")]
pub(crate) fn internet_bytes(pid: i64) -> u64 {
    of_both(pid, SOCKET_BYTES)
}

/// The part of it that no memory cgroup counts.
pub(crate) fn uncounted_bytes(pid: i64) -> u64 {
    of_both(pid, UNCOUNTED_TCP_BYTES)
}

fn of_both(pid: i64, tcp_bytes: u64) -> u64 {
    let read = |file| std::fs::read_to_string(format!("/proc/{pid}/net/{file}")).unwrap_or_default();
    ["sockstat", "sockstat6"].map(|file| counted(&read(file), tcp_bytes)).iter().sum()
}

/// Sums the sockets in a `/proc/PID/net/sockstat` or `sockstat6`. The numbers after `inuse` are those of the network namespace;
/// the others are the machine's.
fn counted(text: &str, tcp_bytes: u64) -> u64 {
    let bytes = |line: &str| {
        let (kind, rest) = line.split_once(": inuse ")?;
        let sockets: u64 = rest.split(' ').next()?.trim().parse().ok()?;
        Some(sockets * if kind.starts_with("TCP") { tcp_bytes } else { SOCKET_BYTES })
    };
    text.lines().filter_map(bytes).sum()
}

/// Bytes that the sockets in a `/proc/PID/net/unix` can hold; the fifth column is the type (proc_pid_net(5)).
#[cfg(target_os = "linux")]
pub(crate) fn unix_bytes(text: &str) -> u64 {
    let sockets = text.lines().skip(1).filter_map(|line| line.split_ascii_whitespace().nth(4));
    sockets.map(|kind| if kind == "0002" { DATAGRAM_SOCKET_BYTES } else { SOCKET_BYTES }).sum()
}

#[cfg(all(test, target_os = "linux"))]
mod tests {
    use super::*;

    #[test]
    fn counts_sockets_by_their_kind() {
        let unix = "Num RefCount Protocol Flags Type St Inode Path\n\
                    0000000000000000: 00000003 00000000 00000000 0001 03 4711\n\
                    0000000000000000: 00000002 00000000 00000000 0002 01 4712 @name\n";
        assert_eq!(unix_bytes(unix), SOCKET_BYTES + DATAGRAM_SOCKET_BYTES);
        let stat = "sockets: used 300\nTCP: inuse 2 orphan 0 tw 0 alloc 9 mem 1\nUDP: inuse 3 mem 0\nUDPLITE: inuse 1\n\
                    FRAG: inuse 0 memory 0\n";
        assert_eq!(counted(stat, SOCKET_BYTES), 6 * SOCKET_BYTES);
        assert_eq!(counted(stat, 10), 4 * SOCKET_BYTES + 20);
        assert_eq!(counted("UDP6: inuse 1\nTCP6: inuse 7\n", 0), SOCKET_BYTES);
    }
}
