//! The system calls that a box may make: an allow-list of what ordinary programs need. Any other call fails with `EPERM`. Both
//! backends use the same list: the namespace backend compiles it, the engine gets it as a profile.
//!
//! Not on the list are, among others, calls that make or enter namespaces or mounts, `bpf`, `ptrace` and the memory of other
//! processes, keys, kernel modules, `kexec`, clocks, `io_uring`, `userfaultfd`, `perf_event_open`, handles of files,
//! `sched_setaffinity` (which would undo the limit on CPUs), and memory that belongs to no process (`memfd_create`,
//! System V), which nothing would count without a memory cgroup. Allowed sockets are those of the Internet families (without
//! a network they fail with the usual error) and Unix sockets; not packet sockets, not netlink, whose replies no memory
//! cgroup of version 1 counts, and not `AF_VSOCK`, which reaches a hypervisor past every network namespace.
//!
//! What acts on an inode is refused even where the inode is the box's own: file locks, leases, inotify, fanotify and dnotify.
//! All anonymous descriptors of a machine (`eventfd`, `epoll`, timers) share one inode, so that a lock on one would be seen
//! in every box. The same holds for what reveals the page cache of a file that boxes share: `mincore`, `RWF_NOWAIT`, and
//! dropping cached pages.

use std::borrow::Cow;

/// A system call if all conditions on its arguments hold.
#[derive(Clone)]
pub(crate) struct Rule {
    /// The name in section 2 of the manual.
    pub(crate) name: &'static str,
    pub(crate) conditions: Cow<'static, [Condition]>,
}

impl Rule {
    fn new(name: &'static str, conditions: Vec<Condition>) -> Self {
        Self { name, conditions: conditions.into() }
    }
}

/// A condition on the low 32 bits of an argument.
#[derive(Clone, Copy)]
pub(crate) struct Condition {
    /// Index of the argument, from 0.
    pub(crate) argument: u8,
    pub(crate) comparison: Comparison,
    pub(crate) value: u32,
}

/// How an argument compares with the value.
#[derive(Clone, Copy)]
pub(crate) enum Comparison {
    /// Equal.
    Is,
    /// Not equal.
    IsNot,
    /// None of the value's bits is set.
    HasNone,
    /// The bits of this mask equal the value.
    Masked(u32),
}

const fn is(argument: u8, value: u32) -> Condition {
    Condition { argument, comparison: Comparison::Is, value }
}

const fn is_not(argument: u8, value: u32) -> Condition {
    Condition { argument, comparison: Comparison::IsNot, value }
}

const fn masked(argument: u8, mask: u32, value: u32) -> Condition {
    Condition { argument, comparison: Comparison::Masked(mask), value }
}

const fn has_none(argument: u8, value: u32) -> Condition {
    Condition { argument, comparison: Comparison::HasNone, value }
}

// Constants of the kernel's interface, the same on every supported architecture; written out because a program on another
// system than Linux can also send them to the engine.
const AF_UNIX: u32 = 1;
const AF_INET: u32 = 2;
const AF_INET6: u32 = 10;
const AF_NETLINK: u32 = 16;
/// Puts a character into a terminal's input.
const TIOCSTI: u32 = 0x5412;
/// `CLONE_NEW…` of mounts, cgroups, host name, IPC, users, PIDs, network (clone(2)).
const NEW_NAMESPACES: u32 =
    0x0002_0000 | 0x0200_0000 | 0x0400_0000 | 0x0800_0000 | 0x1000_0000 | 0x2000_0000 | 0x4000_0000;
/// Commands of fcntl(2) that act on the descriptor only: `F_DUPFD`, `F_GETFD`, `F_SETFD`, `F_GETFL`, `F_SETFL`, the owner and
/// the signal of asynchronous input, `F_DUPFD_CLOEXEC`, `F_GETPIPE_SZ`, `F_GET_SEALS`. Without locks, leases and
/// `F_NOTIFY`; without write hints, which belong to the inode; without `F_SETPIPE_SZ`, because all of a user's processes share
/// the quota of pipe buffers.
const DESCRIPTOR_COMMANDS: [u32; 14] = [0, 1, 2, 3, 4, 8, 9, 10, 11, 15, 16, 1030, 1032, 1034];
/// `F_GETLK`, `F_SETLK`, `F_SETLKW` and their forms for open file descriptions.
const LOCK_COMMANDS: [u32; 6] = [5, 6, 7, 36, 37, 38];
/// Huge pages come from a pool of the machine that no memory cgroup counts by default (mmap(2)).
const MAP_HUGETLB: u32 = 0x4_0000;
/// Kind of a mapping and `MAP_ANONYMOUS`, and the value of shared anonymous memory (mmap(2)).
const MAP_KIND: u32 = 0x2f;
const MAP_SHARED_ANONYMOUS: u32 = 0x21;
/// Reads only what is in the page cache, and so reveals what another box has read (preadv2(2)).
const RWF_NOWAIT: u32 = 8;
/// The highest of the first pieces of advice of posix_fadvise(2), before `POSIX_FADV_DONTNEED` (4), which removes a file's pages
/// from the page cache; and `POSIX_FADV_NOREUSE`.
const FIRST_FADVICE: u32 = 3;
const POSIX_FADV_NOREUSE: u32 = 5;
/// Options of `SOL_SOCKET` that a program may set (socket(7)): those for addresses, broadcasts, keeping alive, lingering,
/// credentials, timeouts and time stamps. Not the sizes of buffers: what a box's sockets hold is limited by their number, see
/// `namespace/watch.rs`; and not filters.
const SOCKET_OPTIONS: [u32; 17] = [1, 2, 5, 6, 9, 10, 12, 13, 15, 16, 18, 20, 21, 25, 29, 66, 67];
const SOL_SOCKET: u32 = 1;

const EPERM: u32 = 1;
const ENOLCK: u32 = 37;
const ENOSYS: u32 = 38;
const EAFNOSUPPORT: u32 = 97;

/// The error of every call that is not on the list.
pub(crate) const NOT_ON_THE_LIST: u32 = EPERM;

/// Calls that are allowed with some arguments. A call with several entries is allowed if one of them matches.
///
/// No entry has two conditions on one argument: the engine's runtime would allow a call that matches either.
const CONDITIONAL: &[Rule] = &[
    // Processes and threads, but no namespaces. The flags are the first argument on x86-64, arm64 and RISC-V.
    Rule { name: "clone", conditions: Cow::Borrowed(&[has_none(0, NEW_NAMESPACES)]) },
    Rule { name: "ioctl", conditions: Cow::Borrowed(&[is_not(1, TIOCSTI)]) },
    // Selecting the personality of Linux, and querying the current one.
    Rule { name: "personality", conditions: Cow::Borrowed(&[is(0, 0)]) },
    Rule { name: "personality", conditions: Cow::Borrowed(&[is(0, 0xffff_ffff)]) },
    Rule { name: "socket", conditions: Cow::Borrowed(&[is(0, AF_UNIX)]) },
    Rule { name: "socket", conditions: Cow::Borrowed(&[is(0, AF_INET)]) },
    Rule { name: "socket", conditions: Cow::Borrowed(&[is(0, AF_INET6)]) },
    Rule { name: "socketpair", conditions: Cow::Borrowed(&[is(0, AF_UNIX)]) },
    Rule { name: "setsockopt", conditions: Cow::Borrowed(&[is_not(1, SOL_SOCKET)]) },
    Rule { name: "mmap", conditions: Cow::Borrowed(&[has_none(3, MAP_HUGETLB)]) },
    // All advice up to 25 except MADV_COLD (20) and MADV_PAGEOUT (21), which remove mapped pages from the page cache.
    Rule { name: "madvise", conditions: Cow::Borrowed(&[has_none(2, !15)]) },
    Rule { name: "madvise", conditions: Cow::Borrowed(&[masked(2, !3, 16)]) },
    Rule { name: "madvise", conditions: Cow::Borrowed(&[masked(2, !1, 22)]) },
    Rule { name: "madvise", conditions: Cow::Borrowed(&[masked(2, !1, 24)]) },
    Rule { name: "fadvise64", conditions: Cow::Borrowed(&[has_none(3, !FIRST_FADVICE)]) },
    Rule { name: "fadvise64", conditions: Cow::Borrowed(&[is(3, POSIX_FADV_NOREUSE)]) },
    Rule { name: "preadv2", conditions: Cow::Borrowed(&[has_none(5, RWF_NOWAIT)]) },
];

/// A call that fails with an error of its own, by which programs recognise what a system does not offer.
pub(crate) struct RefusedCall {
    pub(crate) rule: Rule,
    /// The error number.
    pub(crate) errno: u32,
}

/// All rules of calls that are allowed with some arguments.
pub(crate) fn conditional() -> Vec<Rule> {
    let mut rules = CONDITIONAL.to_vec();
    rules.extend(DESCRIPTOR_COMMANDS.map(|command| Rule::new("fcntl", vec![is(1, command)])));
    let option = |option| Rule::new("setsockopt", vec![is(1, SOL_SOCKET), is(2, option)]);
    rules.extend(SOCKET_OPTIONS.map(option));
    rules
}

/// Calls with an error other than [`NOT_ON_THE_LIST`].
///
/// A filter cannot judge `clone3`, because its flags are in memory. It fails with `ENOSYS`, as on a kernel without it, so that
/// C libraries fall back to `clone`. Programs that watch files with inotify fall back to looking at them; programs that lock
/// files get the error of a file system without locks.
pub(crate) fn refused() -> Vec<RefusedCall> {
    let always = |name, errno| RefusedCall { rule: Rule::new(name, Vec::new()), errno };
    let mut calls = vec![always("clone3", ENOSYS), always("inotify_init1", ENOSYS), always("flock", ENOLCK)];
    calls.extend(
        LOCK_COMMANDS
            .map(|command| RefusedCall { rule: Rule::new("fcntl", vec![is(1, command)]), errno: ENOLCK }),
    );
    calls.push(RefusedCall { rule: Rule::new("socket", vec![is(0, AF_NETLINK)]), errno: EAFNOSUPPORT });
    calls
}

/// The condition under which `mmap` is refused in a box without a memory cgroup: nothing counts shared anonymous memory that
/// no process has mapped any more.
pub(crate) const UNCOUNTED_MMAP: Rule =
    Rule { name: "mmap", conditions: Cow::Borrowed(&[masked(3, MAP_KIND, MAP_SHARED_ANONYMOUS)]) };

/// Passes the list of system calls to a macro, so that names and numbers come from one place.
macro_rules! on_every_architecture {
    ($use:ident) => {
        $use! {
            SYS_accept, SYS_accept4, SYS_bind, SYS_brk, SYS_capget, SYS_capset, SYS_chdir,
            SYS_clock_getres, SYS_clock_gettime, SYS_clock_nanosleep, SYS_close, SYS_close_range,
            SYS_connect, SYS_copy_file_range, SYS_dup, SYS_dup3, SYS_epoll_create1, SYS_epoll_ctl,
            SYS_epoll_pwait, SYS_epoll_pwait2, SYS_eventfd2, SYS_execve, SYS_execveat, SYS_exit,
            SYS_exit_group, SYS_faccessat, SYS_faccessat2, SYS_fallocate, SYS_fchdir,
            SYS_fchmod, SYS_fchmodat, SYS_fchown, SYS_fchownat, SYS_fdatasync, SYS_fgetxattr,
            SYS_flistxattr, SYS_fremovexattr, SYS_fsetxattr, SYS_fstat, SYS_fstatfs, SYS_fsync,
            SYS_ftruncate, SYS_futex, SYS_futex_waitv, SYS_get_robust_list, SYS_getcpu, SYS_getcwd,
            SYS_getdents64, SYS_getegid, SYS_geteuid, SYS_getgid, SYS_getgroups, SYS_getitimer,
            SYS_getpeername, SYS_getpgid, SYS_getpid, SYS_getppid, SYS_getpriority, SYS_getrandom,
            SYS_getresgid, SYS_getresuid, SYS_getrlimit, SYS_getrusage, SYS_getsid, SYS_getsockname,
            SYS_getsockopt, SYS_gettid, SYS_gettimeofday, SYS_getuid, SYS_getxattr,
            SYS_ioprio_get, SYS_ioprio_set, SYS_kill,
            SYS_lgetxattr, SYS_linkat, SYS_listen, SYS_listxattr, SYS_llistxattr, SYS_lremovexattr,
            SYS_lseek, SYS_lsetxattr, SYS_membarrier, SYS_mkdirat, SYS_mknodat,
            SYS_mlock, SYS_mlock2, SYS_mlockall, SYS_mprotect, SYS_mremap, SYS_msync,
            SYS_munlock, SYS_munlockall, SYS_munmap, SYS_nanosleep, SYS_newfstatat, SYS_openat,
            SYS_openat2, SYS_pidfd_open, SYS_pidfd_send_signal, SYS_pipe2, SYS_pkey_alloc, SYS_pkey_free,
            SYS_pkey_mprotect, SYS_ppoll, SYS_prctl, SYS_pread64, SYS_preadv, SYS_prlimit64,
            SYS_pselect6, SYS_pwrite64, SYS_pwritev, SYS_pwritev2, SYS_read, SYS_readahead, SYS_readlinkat,
            SYS_readv, SYS_recvfrom, SYS_recvmmsg, SYS_recvmsg, SYS_removexattr, SYS_renameat2,
            SYS_restart_syscall, SYS_rseq, SYS_rt_sigaction, SYS_rt_sigpending, SYS_rt_sigprocmask,
            SYS_rt_sigqueueinfo, SYS_rt_sigreturn, SYS_rt_sigsuspend, SYS_rt_sigtimedwait,
            SYS_rt_tgsigqueueinfo, SYS_sched_get_priority_max, SYS_sched_get_priority_min,
            SYS_sched_getaffinity, SYS_sched_getattr, SYS_sched_getparam, SYS_sched_getscheduler,
            SYS_sched_rr_get_interval, SYS_sched_yield, SYS_sendfile, SYS_sendmmsg, SYS_sendmsg,
            SYS_sendto, SYS_set_robust_list, SYS_set_tid_address, SYS_setgid, SYS_setgroups, SYS_setitimer,
            SYS_setpgid, SYS_setpriority, SYS_setregid, SYS_setresgid, SYS_setresuid, SYS_setreuid,
            SYS_setrlimit, SYS_setsid, SYS_setuid, SYS_setxattr, SYS_shutdown,
            SYS_sigaltstack, SYS_signalfd4, SYS_splice, SYS_statfs, SYS_statx, SYS_symlinkat,
            SYS_sync_file_range, SYS_sysinfo, SYS_tee, SYS_tgkill, SYS_timer_create, SYS_timer_delete,
            SYS_timer_getoverrun, SYS_timer_gettime, SYS_timer_settime, SYS_timerfd_create,
            SYS_timerfd_gettime, SYS_timerfd_settime, SYS_times, SYS_tkill, SYS_truncate, SYS_umask,
            SYS_uname, SYS_unlinkat, SYS_utimensat, SYS_wait4, SYS_waitid, SYS_write, SYS_writev,
        }
    };
}

/// Older forms that only x86-64 has.
macro_rules! on_x86_64 {
    ($use:ident) => {
        $use! {
            SYS_access, SYS_alarm, SYS_arch_prctl, SYS_chmod, SYS_chown, SYS_creat, SYS_dup2,
            SYS_epoll_create, SYS_epoll_wait, SYS_eventfd, SYS_fork, SYS_futimesat, SYS_getdents,
            SYS_getpgrp, SYS_lchown, SYS_link, SYS_lstat, SYS_mkdir, SYS_mknod, SYS_open,
            SYS_pause, SYS_pipe, SYS_poll, SYS_readlink, SYS_rename, SYS_renameat, SYS_rmdir, SYS_select,
            SYS_signalfd, SYS_stat, SYS_symlink, SYS_time, SYS_unlink, SYS_utime, SYS_utimes, SYS_vfork,
        }
    };
}

macro_rules! names {
    ($($name:ident),* $(,)?) => { &[$(stringify!($name).split_at("SYS_".len()).1),*] };
}

/// The names of the calls that are always allowed.
pub(crate) const NAMES: &[&str] = on_every_architecture!(names);
/// The names of those that only x86-64 has.
pub(crate) const NAMES_ON_X86_64: &[&str] = on_x86_64!(names);

#[cfg(target_os = "linux")]
macro_rules! numbers {
    ($($name:ident),* $(,)?) => { &[$(libc::$name),*] };
}

/// The numbers of [`NAMES`] on this architecture.
#[cfg(target_os = "linux")]
pub(crate) const NUMBERS: &[i64] = on_every_architecture!(numbers);
/// The numbers of [`NAMES_ON_X86_64`], if this is x86-64.
#[cfg(all(target_os = "linux", target_arch = "x86_64"))]
pub(crate) const OLDER_NUMBERS: &[i64] = on_x86_64!(numbers);
#[cfg(all(target_os = "linux", not(target_arch = "x86_64")))]
pub(crate) const OLDER_NUMBERS: &[i64] = &[];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_list_has_no_dangerous_call() {
        let never = [
            "acct",
            "add_key",
            "bpf",
            "cachestat",
            "chroot",
            "clock_settime",
            "clone",
            "clone3",
            "delete_module",
            "fadvise64",
            "fanotify_init",
            "fanotify_mark",
            "fcntl",
            "finit_module",
            "flock",
            "fsmount",
            "fsopen",
            "init_module",
            "inotify_add_watch",
            "inotify_init",
            "inotify_init1",
            "io_setup",
            "io_uring_enter",
            "io_uring_register",
            "io_uring_setup",
            "ioctl",
            "kcmp",
            "kexec_file_load",
            "kexec_load",
            "keyctl",
            "memfd_create",
            "memfd_secret",
            "mincore",
            "mount",
            "mount_setattr",
            "move_mount",
            "mq_open",
            "mmap",
            "msgget",
            "name_to_handle_at",
            "open_by_handle_at",
            "open_tree",
            "perf_event_open",
            "personality",
            "pidfd_getfd",
            "pivot_root",
            "process_madvise",
            "process_vm_readv",
            "process_vm_writev",
            "preadv2",
            "ptrace",
            "quotactl",
            "reboot",
            "request_key",
            "sched_setaffinity",
            "sched_setattr",
            "semget",
            "setdomainname",
            "sethostname",
            "setns",
            "setsockopt",
            "settimeofday",
            "shmget",
            "socket",
            "socketpair",
            "swapon",
            "sync",
            "syncfs",
            "syslog",
            "umount2",
            "unshare",
            "userfaultfd",
            "vmsplice",
        ];
        for name in never {
            assert!(!NAMES.contains(&name) && !NAMES_ON_X86_64.contains(&name), "{name}");
        }
    }

    /// The runtime of the engine joins two conditions on one argument by "or".
    #[test]
    fn no_rule_has_two_conditions_on_one_argument() {
        let rules = conditional().into_iter().chain(refused().into_iter().map(|call| call.rule));
        for Rule { name, conditions } in rules {
            let mut arguments: Vec<_> = conditions.iter().map(|condition| condition.argument).collect();
            arguments.sort_unstable();
            arguments.dedup();
            assert_eq!(arguments.len(), conditions.len(), "{name}");
        }
    }

    #[test]
    fn lists_no_call_twice() {
        let mut all: Vec<_> = NAMES.iter().chain(NAMES_ON_X86_64).collect();
        all.sort_unstable();
        let length = all.len();
        all.dedup();
        assert_eq!(all.len(), length);
    }
}
