//! The tricks of docs/sandbox.md, by name. Each tries one thing that a box must prevent, and returns what it achieved, or the
//! error. `escapist tricks NAME…` prints a line for each: `NAME succeeded …` or `NAME ERROR`.

use std::ffi::{c_char, c_int, c_long, c_void};
use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::net::{TcpListener, TcpStream, UdpSocket};
use std::os::fd::{AsRawFd, IntoRawFd, RawFd};
use std::os::unix::net::{UnixDatagram, UnixStream};

unsafe extern "C" {
    fn socket(family: c_int, kind: c_int, protocol: c_int) -> c_int;
    fn setsockopt(socket: c_int, level: c_int, name: c_int, value: *const c_void, length: u32) -> c_int;
    fn mmap(
        at: *mut c_void,
        length: usize,
        protection: c_int,
        flags: c_int,
        file: c_int,
        offset: i64,
    ) -> *mut c_void;
    fn munmap(at: *mut c_void, length: usize) -> c_int;
    fn madvise(at: *mut c_void, length: usize, advice: c_int) -> c_int;
    fn syscall(number: c_long, ...) -> c_long;
    fn fcntl(file: c_int, command: c_int, ...) -> c_int;
    fn ioctl(file: c_int, request: usize, ...) -> c_int;
    fn pipe(ends: *mut c_int) -> c_int;
    fn dup2(from: c_int, to: c_int) -> c_int;
    fn close(file: c_int) -> c_int;
    fn fork() -> c_int;
    fn wait(status: *mut c_int) -> c_int;
    fn getpid() -> c_int;
    fn chroot(path: *const c_char) -> c_int;
    fn mlock(at: *const c_void, length: usize) -> c_int;
    fn setuid(user: u32) -> c_int;
    fn setgroups(count: usize, groups: *const u32) -> c_int;
    fn setpriority(which: c_int, who: c_int, value: c_int) -> c_int;
}

type Trick = fn() -> io::Result<String>;

/// The number of a system call on x86-64 or, from the same table, on arm64; -1 where it does not exist.
const fn number(x86: c_long, arm: c_long) -> c_long {
    if cfg!(target_arch = "x86_64") { x86 } else { arm }
}

fn called(result: impl Into<i64>) -> io::Result<String> {
    match result.into() {
        -1 => Err(io::Error::last_os_error()),
        value => Ok(value.to_string()),
    }
}

/// A call with six arguments.
fn call(number: c_long, arguments: [usize; 6]) -> io::Result<i64> {
    let [a, b, c, d, e, f] = arguments;
    match unsafe { syscall(number, a, b, c, d, e, f) } {
        -1 => Err(io::Error::last_os_error()),
        value => Ok(value),
    }
}

/// Calls with arguments that a kernel accepts or at least looks at, so that an error other than the filter's would show it:
/// name, number on x86-64 and arm64, arguments.
const CALLS: &[(&str, c_long, c_long, [usize; 6])] = &[
    ("unshare a user namespace", 272, 97, [0x1000_0000, 0, 0, 0, 0, 0]),
    ("unshare a mount namespace", 272, 97, [0x2_0000, 0, 0, 0, 0, 0]),
    ("unshare a network namespace", 272, 97, [0x4000_0000, 0, 0, 0, 0, 0]),
    ("unshare a PID namespace", 272, 97, [0x2000_0000, 0, 0, 0, 0, 0]),
    ("clone with a user namespace", 56, 220, [0x1000_0011, 0, 0, 0, 0, 0]),
    ("clone3", 435, 435, [0; 6]),
    ("setns", 308, 268, [0; 6]),
    ("mount", 165, 40, [0; 6]),
    ("umount2", 166, 39, [0; 6]),
    ("pivot_root", 155, 41, [0; 6]),
    ("fsopen", 430, 430, [0; 6]),
    ("fsmount", 432, 432, [0; 6]),
    ("open_tree", 428, 428, [0; 6]),
    ("move_mount", 429, 429, [0; 6]),
    ("mount_setattr", 442, 442, [0; 6]),
    ("ptrace", 101, 117, [0; 6]),
    ("process_vm_readv", 310, 270, [1, 0, 0, 0, 0, 0]),
    ("process_vm_writev", 311, 271, [1, 0, 0, 0, 0, 0]),
    ("process_madvise", 440, 440, [0; 6]),
    ("pidfd_getfd", 438, 438, [0; 6]),
    ("kcmp", 312, 272, [1, 1, 0, 0, 0, 0]),
    ("bpf", 321, 280, [0; 6]),
    ("perf_event_open", 298, 241, [0; 6]),
    ("userfaultfd", 323, 282, [0; 6]),
    ("io_uring_setup", 425, 425, [1, 0, 0, 0, 0, 0]),
    ("io_setup", 206, 0, [1, 0, 0, 0, 0, 0]),
    ("keyctl", 250, 219, [0; 6]),
    ("add_key", 248, 217, [0; 6]),
    ("request_key", 249, 218, [0; 6]),
    ("init_module", 175, 105, [0; 6]),
    ("finit_module", 313, 273, [0; 6]),
    ("delete_module", 176, 106, [0; 6]),
    ("kexec_load", 246, 104, [0; 6]),
    ("reboot", 169, 142, [0; 6]),
    ("swapon", 167, 224, [0; 6]),
    ("acct", 163, 89, [0; 6]),
    ("quotactl", 179, 60, [0; 6]),
    ("settimeofday", 164, 170, [0; 6]),
    ("clock_settime", 227, 112, [0; 6]),
    ("clock_adjtime", 305, 266, [0; 6]),
    ("sethostname", 170, 161, [0; 6]),
    ("setdomainname", 171, 162, [0; 6]),
    ("syslog", 103, 116, [10, 0, 0, 0, 0, 0]),
    ("open_by_handle_at", 304, 265, [0; 6]),
    ("name_to_handle_at", 303, 264, [0; 6]),
    ("memfd_secret", 447, 447, [0; 6]),
    ("shmget", 29, 194, [0, 4096, 0o1600, 0, 0, 0]),
    ("semget", 64, 190, [0, 1, 0o1600, 0, 0, 0]),
    ("msgget", 68, 186, [0, 0o1600, 0, 0, 0, 0]),
    ("sched_setscheduler", 144, 119, [0; 6]),
    ("sched_setattr", 314, 274, [0; 6]),
    ("seccomp with a listener", 317, 277, [1, 8, 0, 0, 0, 0]),
    ("vhangup", 153, 58, [0; 6]),
    ("cachestat", 451, 451, [0; 6]),
    ("vmsplice", 278, 75, [1, 0, 0, 0, 0, 0]),
    ("move_pages", 279, 239, [0; 6]),
    ("migrate_pages", 256, 238, [0; 6]),
    ("mbind", 237, 235, [0; 6]),
    ("sync", 162, 81, [0; 6]),
    ("syncfs", 306, 267, [0; 6]),
    ("fanotify_init", 300, 262, [0; 6]),
    ("inotify_init1", 294, 26, [0; 6]),
    ("personality without randomised addresses", 135, 92, [0x4_0000, 0, 0, 0, 0, 0]),
];

/// Sockets by family: name, family, type, protocol.
const SOCKETS: &[(&str, c_int, c_int, c_int)] = &[
    ("a netlink socket for routes", 16, 3, 0),
    ("a netlink socket for audit", 16, 3, 9),
    ("a netlink socket for socket statistics", 16, 3, 4),
    ("a packet socket", 17, 3, 0x0300),
    ("a raw IP socket", 2, 3, 1),
    ("a raw IPv6 socket", 10, 3, 58),
    ("a ping socket", 2, 2, 1),
    ("a vsock socket", 40, 1, 0),
    ("a crypto API socket", 38, 5, 0),
    ("a Bluetooth socket", 31, 3, 1),
    ("an XDP socket", 44, 3, 0),
    ("a key management socket", 15, 3, 2),
    ("a TIPC socket", 30, 1, 0),
    ("an SMC socket", 43, 1, 0),
];

/// Files that a box must not be able to write.
const WRITES: &[&str] = &[
    "/proc/self/oom_score_adj",
    "/proc/self/uid_map",
    "/proc/self/gid_map",
    "/proc/self/setgroups",
    "/proc/self/timens_offsets",
    "/proc/1/mem",
    "/proc/sysrq-trigger",
    "/proc/sys/kernel/core_pattern",
    "/proc/sys/kernel/hostname",
    "/proc/sys/net/ipv4/ip_forward",
    "/proc/sys/user/max_inotify_instances",
    "/proc/sys/vm/overcommit_memory",
    "/sys/fs/cgroup/cgroup.procs",
    "/sys/fs/cgroup/memory/memory.limit_in_bytes",
    "/sys/kernel/uevent_helper",
    "/dev/kmsg",
    "/dev/mem",
];

/// Files that a box must not be able to read.
const READS: &[&str] = &[
    "/etc/shadow",
    "/var/run/docker.sock",
    "/proc/kcore",
    "/proc/kallsyms",
    "/proc/keys",
    "/proc/timer_list",
    "/proc/meminfo",
    "/proc/stat",
    "/proc/sys/fs/inode-nr",
    "/proc/self/map_files",
    "/sys/kernel/security",
    "/dev/vda",
    "/dev/fuse",
    "/dev/net/tun",
    "/dev/shm/x",
];

const TRICKS: &[(&str, Trick)] = &[
    ("chroot", || called(unsafe { chroot(c"/".as_ptr()) })),
    ("sched_setaffinity", || {
        let mask = [u64::MAX; 16];
        call(number(203, 122), [0, 128, mask.as_ptr() as usize, 0, 0, 0]).map(|_| String::new())
    }),
    ("memfd_create", || {
        call(number(319, 279), [c"x".as_ptr() as usize, 0, 0, 0, 0, 0]).map(|_| String::new())
    }),
    ("mq_open", || {
        call(number(240, 180), [c"x".as_ptr() as usize, 0o102, 0o600, 0, 0, 0]).map(|_| String::new())
    }),
    ("raising a limit", || {
        let new = [1_u64 << 20, 1 << 20];
        call(number(302, 261), [0, 7, new.as_ptr() as usize, 0, 0, 0]).map(|_| String::new())
    }),
    ("setuid to root", || called(unsafe { setuid(0) })),
    ("setgroups", || called(unsafe { setgroups(1, [0].as_ptr()) })),
    ("a capability of its own", || {
        // Version 3 of the header; all capabilities effective, permitted and inheritable.
        let (header, data) = ([0x2008_0522_u32, 0], [u32::MAX; 6]);
        call(number(126, 91), [header.as_ptr() as usize, data.as_ptr() as usize, 0, 0, 0, 0])
            .map(|_| String::new())
    }),
    ("PR_SET_MM", || call(number(157, 167), [35, 1, 4096, 0, 0, 0]).map(|_| String::new())),
    ("PR_SET_SECUREBITS", || call(number(157, 167), [28, 1, 0, 0, 0, 0]).map(|_| String::new())),
    ("a higher priority", || called(unsafe { setpriority(0, 0, -20) })),
    ("real-time input and output", || call(number(251, 30), [1, 0, 1 << 13, 0, 0, 0]).map(|_| String::new())),
    // --- What acts on an inode.
    ("flock on the program", || flock(File::open("/proc/self/exe")?.into_raw_fd())),
    ("flock on /dev/null", || flock(File::open("/dev/null")?.into_raw_fd())),
    ("flock on an eventfd", || flock(eventfd()?)),
    ("a POSIX lock on the program", || lock(File::open("/proc/self/exe")?.into_raw_fd(), 6)),
    ("a POSIX lock on an eventfd", || lock(eventfd()?, 6)),
    ("looking for a POSIX lock", || lock(eventfd()?, 5)),
    ("a lock of an open file", || lock(eventfd()?, 37)),
    ("a lease on the program", || {
        called(unsafe { fcntl(File::open("/proc/self/exe")?.into_raw_fd(), 1024, 0_usize) })
    }),
    ("dnotify on the program's folder", || {
        called(unsafe {
            fcntl(File::open("/program").or_else(|_| File::open("/tmp"))?.into_raw_fd(), 1026, 1_usize)
        })
    }),
    ("a write hint on the program", || {
        let hint = 2_u64;
        called(unsafe { fcntl(File::open("/proc/self/exe")?.into_raw_fd(), 1036, &hint) })
    }),
    ("a larger pipe", || {
        let ends = new_pipe()?;
        called(unsafe { fcntl(ends[1], 1031, 1_usize << 20) })
    }),
    ("mincore", || {
        let page = mapped(4096, MAP_PRIVATE | MAP_ANONYMOUS, -1)?;
        let mut seen = [0_u8; 1];
        call(number(27, 232), [page as usize, 4096, seen.as_mut_ptr() as usize, 0, 0, 0])
            .map(|_| String::new())
    }),
    ("reading only what is cached", || {
        let mut byte = 0_u8;
        let vector = [&raw mut byte as usize, 1];
        let file = File::open("/proc/self/exe")?;
        call(number(327, 286), [file.as_raw_fd() as usize, vector.as_ptr() as usize, 1, 0, 0, 8])
            .map(|_| String::new())
    }),
    ("dropping cached pages", || {
        let file = File::open("/proc/self/exe")?;
        call(number(221, 223), [file.as_raw_fd() as usize, 0, 0, 4, 0, 0]).map(|_| String::new())
    }),
    ("paging mapped pages out", || {
        let page = mapped(4096, MAP_PRIVATE | MAP_ANONYMOUS, -1)?;
        called(unsafe { madvise(page, 4096, 21) })
    }),
    ("huge pages", || mapped(2 << 20, MAP_PRIVATE | MAP_ANONYMOUS | 0x4_0000, -1).map(|_| String::new())),
    ("locking a mebibyte into memory", || {
        let memory = mapped(1 << 20, MAP_PRIVATE | MAP_ANONYMOUS, -1)?;
        called(unsafe { mlock(memory, 1 << 20) })
    }),
    ("changing the program's mode", || {
        let exe = fs::read_link("/proc/self/exe")?;
        let mut permissions = fs::metadata(&exe)?.permissions();
        std::os::unix::fs::PermissionsExt::set_mode(&mut permissions, 0o7777);
        fs::set_permissions(exe, permissions).map(|()| String::new())
    }),
    ("changing the program's times", || {
        File::open("/proc/self/exe")?.set_modified(std::time::SystemTime::UNIX_EPOCH).map(|()| String::new())
    }),
    ("writing the program", || {
        OpenOptions::new().write(true).open(fs::read_link("/proc/self/exe")?).map(|_| String::new())
    }),
    ("a file beside the program", || File::create("/program/x").map(|_| String::new())),
    ("a file in the root", || File::create("/x").map(|_| String::new())),
    ("a device in /tmp", || {
        // The first disk of many virtual machines.
        // AT_FDCWD.
        call(number(259, 33), [-100_i32 as usize, c"/tmp/disk".as_ptr() as usize, 0o60600, 254 << 8, 0, 0])
            .map(|_| String::new())
    }),
    ("a hard link to a device", || fs::hard_link("/dev/null", "/tmp/null").map(|()| String::new())),
    // --- Sockets.
    ("a larger send buffer", || option(1, 7, 1 << 20)),
    ("a forced send buffer", || option(1, 32, 1 << 20)),
    ("a larger receive buffer", || option(1, 8, 1 << 20)),
    ("a filter on a socket", || option(1, 26, 0)),
    ("typing into a terminal", || called(unsafe { ioctl(0, 0x5412, c"x".as_ptr()) })),
    ("typing, with a longer number", || called(unsafe { ioctl(0, 0x1_0000_5412, c"x".as_ptr()) })),
    ("an address for the loopback", || {
        let socket = unsafe { socket(2, 2, 0) };
        // struct ifreq: lo, AF_INET, 10.0.0.1.
        let mut request = [0_u8; 40];
        request[..2].copy_from_slice(b"lo");
        request[16] = 2;
        request[20..24].copy_from_slice(&[10, 0, 0, 1]);
        called(unsafe { ioctl(socket, 0x8916, request.as_ptr()) })
    }),
    ("connecting to the host's abstract socket", || {
        use std::os::linux::net::SocketAddrExt;
        let name = std::os::unix::net::SocketAddr::from_abstract_name("plainsight-trick")?;
        UnixStream::connect_addr(&name).map(|_| String::new())
    }),
    ("connecting to the outside", || {
        TcpStream::connect_timeout(&"192.0.2.1:80".parse().unwrap(), std::time::Duration::from_millis(200))
            .map(|_| String::new())
    }),
    ("a datagram to the outside", || {
        UdpSocket::bind("0.0.0.0:0")?.send_to(b"x", "192.0.2.1:53").map(|_| String::new())
    }),
    // --- Quotas that the kernel counts for each user.
    ("pending signals", || bounded("signals", 100_000, |_| queue_signal())),
    ("timers", || bounded("timers", 100_000, |_| timer())),
    ("open files", || bounded("descriptors", 100_000, |_| eventfd().map(drop))),
    ("inotify instances", || bounded("instances", 4096, |_| call(number(294, 26), [0; 6]).map(drop))),
    ("epoll watches", epoll_watches),
];

/// Tricks that fill memory, three times as much as the box may have; each in a box of its own.
const MEMORY: &[(&str, Trick)] = &[
    ("private memory", || fill(Kind::Private)),
    ("shared memory", || fill(Kind::Shared)),
    ("shared memory, given back and kept", || fill(Kind::SharedDropped)),
    ("shared memory of /dev/zero", || fill(Kind::DevZero)),
    ("shared memory of a deleted file", || fill(Kind::DeletedFile)),
    ("memory of many processes", || fill(Kind::Processes)),
    ("page tables", page_tables),
    ("mappings", mappings),
    ("Unix stream sockets", || unix_buffers(false)),
    ("Unix datagram sockets", || unix_buffers(true)),
    ("Unix datagrams of closed senders", closed_senders),
    ("netlink replies", netlink_replies),
    ("UDP buffers", udp_buffers),
    ("TCP buffers", tcp_buffers),
    ("pipes", pipes),
    ("files in /tmp", || fill(Kind::Scratch)),
    ("empty files in /tmp", || {
        bounded("files", 2_000_000, |number| File::create(format!("/tmp/{number}")).map(drop))
    }),
    ("the stack", || {
        fn deeper(left: usize) -> usize {
            let page = [left as u8; 4096];
            std::hint::black_box(&page);
            if left == 0 { 0 } else { deeper(left - 1) + usize::from(page[left % 4096]) }
        }
        // A thread with a large stack: that of the first thread ends with a signal.
        let pages = goal() / 4096;
        let thread = std::thread::Builder::new().stack_size(goal() * 2).spawn(move || deeper(pages / 2))?;
        thread.join().map(|sum| format!("{sum}")).map_err(|_| io::Error::other("it panicked"))
    }),
];

pub(crate) fn list() {
    for (name, ..) in CALLS {
        println!("{name}");
    }
    for (name, ..) in SOCKETS {
        println!("{name}");
    }
    for path in WRITES {
        println!("write {path}");
    }
    for path in READS {
        println!("read {path}");
    }
    for (name, _) in TRICKS.iter().chain(MEMORY) {
        println!("{name}");
    }
}

/// The names of those that need a box of their own.
pub(crate) fn list_memory() {
    MEMORY.iter().for_each(|(name, _)| println!("{name}"));
}

/// Tries one trick, or all that do not fill memory.
pub(crate) fn run(names: &[String]) {
    let wanted = |name: &str| {
        if names.is_empty() {
            MEMORY.iter().all(|(other, _)| *other != name)
        } else {
            names.iter().any(|n| n == name)
        }
    };
    for (name, x86, arm, arguments) in CALLS {
        if wanted(name) {
            let number = number(*x86, *arm);
            print(name, in_child(|| call(number, *arguments).map(|value| value.to_string())));
        }
    }
    for (name, family, kind, protocol) in SOCKETS {
        if wanted(name) {
            print(name, called(unsafe { socket(*family, *kind, *protocol) }));
        }
    }
    for path in WRITES {
        let name = format!("write {path}");
        if wanted(&name) {
            print(
                &name,
                OpenOptions::new()
                    .write(true)
                    .open(path)
                    .and_then(|mut file| file.write(b"0"))
                    .map(|_| String::new()),
            );
        }
    }
    for path in READS {
        let name = format!("read {path}");
        if wanted(&name) {
            print(
                &name,
                fs::read(path).and_then(|bytes| match bytes.len() {
                    0 => Err(io::Error::other("empty")),
                    length => Ok(format!("{length} bytes")),
                }),
            );
        }
    }
    for (name, trick) in TRICKS.iter().chain(MEMORY) {
        if wanted(name) {
            print(name, in_child(trick));
        }
    }
}

fn print(name: &str, result: io::Result<String>) {
    match result {
        Ok(what) => println!("{name}: succeeded {what}"),
        Err(error) => println!("{name}: {}", error_name(&error)),
    }
    let _ = io::stdout().flush();
}

/// The name of an error number in errno(3); what has no number is an observation of its own.
fn error_name(error: &io::Error) -> String {
    let Some(number) = error.raw_os_error() else { return error.to_string() };
    match number {
        1 => "EPERM",
        2 => "ENOENT",
        3 => "ESRCH",
        9 => "EBADF",
        11 => "EAGAIN",
        12 => "ENOMEM",
        13 => "EACCES",
        14 => "EFAULT",
        17 => "EEXIST",
        18 => "EXDEV",
        20 => "ENOTDIR",
        21 => "EISDIR",
        22 => "EINVAL",
        24 => "EMFILE",
        25 => "ENOTTY",
        26 => "ETXTBSY",
        27 => "EFBIG",
        28 => "ENOSPC",
        30 => "EROFS",
        37 => "ENOLCK",
        38 => "ENOSYS",
        90 => "EMSGSIZE",
        93 => "EPROTONOSUPPORT",
        94 => "ESOCKTNOSUPPORT",
        97 => "EAFNOSUPPORT",
        101 => "ENETUNREACH",
        105 => "ENOBUFS",
        109 => "ETOOMANYREFS",
        110 => "ETIMEDOUT",
        111 => "ECONNREFUSED",
        _ => return format!("errno {number}"),
    }
    .to_owned()
}

/// Runs a trick in a process of its own, because some use up what the next one needs.
fn in_child(trick: impl FnOnce() -> io::Result<String>) -> io::Result<String> {
    let ends = new_pipe()?;
    let child = unsafe { fork() };
    if child == 0 {
        let text = match trick() {
            Ok(what) => format!("+{what}"),
            Err(error) => {
                error.raw_os_error().map_or_else(|| format!("?{error}"), |number| format!("-{number}"))
            }
        };
        let mut pipe = unsafe { <File as std::os::fd::FromRawFd>::from_raw_fd(ends[1]) };
        let _ = pipe.write_all(text.as_bytes());
        std::process::exit(0);
    }
    if child < 0 {
        return Err(io::Error::last_os_error());
    }
    unsafe { close(ends[1]) };
    let mut text = String::new();
    let mut pipe = unsafe { <File as std::os::fd::FromRawFd>::from_raw_fd(ends[0]) };
    let _ = io::Read::read_to_string(&mut pipe, &mut text);
    let mut status = 0;
    unsafe { wait(&raw mut status) };
    match text.split_at_checked(1) {
        Some(("+", what)) => Ok(what.to_owned()),
        Some(("-", number)) => Err(io::Error::from_raw_os_error(number.parse().unwrap_or(0))),
        Some(("?", what)) => Err(io::Error::other(what.to_owned())),
        _ => Err(io::Error::other(format!("killed by signal {}", status & 0x7f))),
    }
}

/// Repeats an attempt until it fails; succeeded if nothing bounds it.
fn bounded(what: &str, most: usize, mut attempt: impl FnMut(usize) -> io::Result<()>) -> io::Result<String> {
    for number in 0..most {
        attempt(number)?;
    }
    Ok(format!("{most} {what}"))
}

fn flock(file: RawFd) -> io::Result<String> {
    call(number(73, 32), [file as usize, 1 | 4, 0, 0, 0, 0]).map(|_| String::new())
}

fn eventfd() -> io::Result<RawFd> {
    call(number(290, 19), [0; 6]).map(|file| file as RawFd)
}

/// A read lock of the whole file.
fn lock(file: RawFd, command: c_int) -> io::Result<String> {
    // struct flock: type, whence, start, length, process.
    let lock = [0_u64; 5];
    called(unsafe { fcntl(file, command, lock.as_ptr()) })
}

fn option(level: c_int, name: c_int, value: c_int) -> io::Result<String> {
    let socket = unsafe { socket(2, 2, 0) };
    called(unsafe { setsockopt(socket, level, name, (&raw const value).cast(), 4) })
}

fn new_pipe() -> io::Result<[c_int; 2]> {
    let mut ends = [0; 2];
    called(unsafe { pipe(ends.as_mut_ptr()) }).map(|_| ends)
}

/// Blocks a real-time signal and sends it to this process.
fn queue_signal() -> io::Result<()> {
    const SIGNAL: usize = 40;
    let mask = 1_u64 << (SIGNAL - 1);
    call(number(14, 135), [0, &raw const mask as usize, 0, 8, 0, 0])?;
    let mut info = [0_u8; 128];
    info[0] = SIGNAL as u8;
    // SI_QUEUE.
    info[8..12].copy_from_slice(&(-1_i32).to_ne_bytes());
    call(number(129, 138), [unsafe { getpid() } as usize, SIGNAL, info.as_ptr() as usize, 0, 0, 0]).map(drop)
}

fn timer() -> io::Result<()> {
    let mut id = 0_u64;
    call(number(222, 107), [1, 0, &raw mut id as usize, 0, 0, 0]).map(drop)
}

/// Watches of many descriptor numbers of few files, in many epoll instances: far more than descriptors.
fn epoll_watches() -> io::Result<String> {
    const MOST: usize = 400_000;
    let epolls = (0..60)
        .map(|_| call(number(291, 20), [0; 6]).map(|file| file as RawFd))
        .collect::<io::Result<Vec<_>>>()?;
    let files = (0..60).map(|_| eventfd()).collect::<io::Result<Vec<_>>>()?;
    let event = [1_u32, 0, 0];
    let mut added = 0;
    for file in files {
        for place in 150..250 {
            if unsafe { dup2(file, place) } == -1 {
                return Err(io::Error::last_os_error());
            }
            for epoll in &epolls {
                call(number(233, 21), [*epoll as usize, 1, place as usize, event.as_ptr() as usize, 0, 0])?;
                added += 1;
            }
            // The watch stays as long as the file is open by another number.
            unsafe { close(place) };
            if added >= MOST {
                return Ok(format!("{added} watches"));
            }
        }
    }
    Ok(format!("{added} watches"))
}

const PIECE: usize = 4 << 20;
const PROT_READ_WRITE: c_int = 3;
const MAP_SHARED: c_int = 1;
const MAP_PRIVATE: c_int = 2;
const MAP_ANONYMOUS: c_int = 0x20;

/// Bytes that a trick tries to hold. `HOLD_MIB` names them; tests give three times the box's memory.
fn goal() -> usize {
    std::env::var("HOLD_MIB").ok().and_then(|text| text.parse::<usize>().ok()).unwrap_or(192) << 20
}

fn mapped(length: usize, flags: c_int, file: c_int) -> io::Result<*mut c_void> {
    let place = unsafe { mmap(std::ptr::null_mut(), length, PROT_READ_WRITE, flags, file, 0) };
    if place as isize == -1 { Err(io::Error::last_os_error()) } else { Ok(place) }
}

fn touch(place: *mut c_void, length: usize) {
    for page in (0..length).step_by(4096) {
        unsafe { place.cast::<u8>().add(page).write_volatile(1) };
    }
}

enum Kind {
    Private,
    Shared,
    SharedDropped,
    DevZero,
    DeletedFile,
    Processes,
    Scratch,
}

/// Holds memory for a moment, so that whatever counts it has the time to see it.
fn hold(held: usize) -> io::Result<String> {
    std::thread::sleep(std::time::Duration::from_millis(300));
    Ok(format!("held {} MiB", held >> 20))
}

fn fill(kind: Kind) -> io::Result<String> {
    let mut held = 0;
    let mut kept = Vec::new();
    while held < goal() {
        let place = match kind {
            Kind::Private => mapped(PIECE, MAP_PRIVATE | MAP_ANONYMOUS, -1)?,
            Kind::Shared | Kind::SharedDropped => mapped(PIECE, MAP_SHARED | MAP_ANONYMOUS, -1)?,
            Kind::DevZero => {
                let file = OpenOptions::new().read(true).write(true).open("/dev/zero")?;
                mapped(PIECE, MAP_SHARED, file.as_raw_fd())?
            }
            Kind::DeletedFile => {
                let file =
                    OpenOptions::new().read(true).write(true).create(true).truncate(true).open("/tmp/x")?;
                fs::remove_file("/tmp/x")?;
                file.set_len(PIECE as u64)?;
                // A page without space ends the process by SIGBUS.
                call(number(285, 47), [file.as_raw_fd() as usize, 0, 0, PIECE, 0, 0])?;
                mapped(PIECE, MAP_SHARED, file.as_raw_fd())?
            }
            Kind::Processes => {
                let child = unsafe { fork() };
                if child == 0 {
                    touch(mapped(PIECE, MAP_PRIVATE | MAP_ANONYMOUS, -1)?, PIECE);
                    std::thread::sleep(std::time::Duration::from_secs(5));
                    std::process::exit(0);
                } else if child < 0 {
                    return Err(io::Error::last_os_error());
                }
                held += PIECE;
                continue;
            }
            Kind::Scratch => {
                let mut file = File::create(format!("/tmp/{held}"))?;
                file.write_all(&vec![1; PIECE])?;
                held += PIECE;
                kept.push(file);
                continue;
            }
        };
        touch(place, PIECE);
        if matches!(kind, Kind::SharedDropped) {
            // The process has no page of it any more; the memory stays.
            unsafe { madvise(place, PIECE, 4) };
        }
        held += PIECE;
    }
    hold(held)
}

/// One page in each two mebibytes: a page of its own for the table of each.
fn page_tables() -> io::Result<String> {
    const STEP: usize = 2 << 20;
    const WINDOW: usize = 64 << 30;
    let tables = goal() / 4096;
    let mut made = 0;
    while made < tables {
        // Readable only: the zero page, which is no memory of the process.
        let place =
            unsafe { mmap(std::ptr::null_mut(), WINDOW, 1, MAP_PRIVATE | MAP_ANONYMOUS | 0x4000, -1, 0) };
        if place as isize == -1 {
            return Err(io::Error::last_os_error());
        }
        // Without huge pages, which need no table.
        unsafe { madvise(place, WINDOW, 15) };
        for offset in (0..WINDOW).step_by(STEP) {
            std::hint::black_box(unsafe { place.cast::<u8>().add(offset).read_volatile() });
            made += 1;
            if made == tables {
                break;
            }
        }
    }
    hold(made * 4096)
}

/// Many mappings, which cost the kernel about 200 bytes each.
fn mappings() -> io::Result<String> {
    let mut made = 0_usize;
    'processes: while made * 200 < goal() {
        let child = unsafe { fork() };
        if child < 0 {
            return Err(io::Error::last_os_error());
        }
        if child == 0 {
            let Ok(place) = mapped(4096 * 130_000, MAP_PRIVATE | MAP_ANONYMOUS, -1) else {
                std::process::exit(1)
            };
            for number in 0..65_000 {
                unsafe { munmap(place.cast::<u8>().add(number * 8192).cast(), 4096) };
            }
            std::thread::sleep(std::time::Duration::from_secs(10));
            std::process::exit(0);
        }
        made += 65_000;
        if made > 65_000 * 200 {
            break 'processes;
        }
    }
    std::thread::sleep(std::time::Duration::from_secs(1));
    hold(made * 200)
}

/// Writes without waiting until a socket takes no more; the bytes.
fn stuff(file: RawFd, piece: &[u8]) -> usize {
    let mut written = 0;
    loop {
        // MSG_DONTWAIT, MSG_NOSIGNAL.
        match call(number(44, 206), [file as usize, piece.as_ptr() as usize, piece.len(), 0x4040, 0, 0]) {
            Ok(bytes) if bytes > 0 => written += bytes as usize,
            _ => return written,
        }
    }
}

/// Repeats something that holds bytes in this process, and then in others, until enough is held.
fn in_processes(mut hold_some: impl FnMut() -> io::Result<usize>) -> io::Result<String> {
    let ends = new_pipe()?;
    let mut held = 0;
    let began = std::time::Instant::now();
    for _ in 0..60 {
        if began.elapsed() > std::time::Duration::from_secs(5) {
            break;
        }
        let child = unsafe { fork() };
        if child < 0 {
            return Err(io::Error::last_os_error());
        }
        if child == 0 {
            let mut bytes = 0;
            let error = loop {
                match hold_some() {
                    Ok(more) => bytes += more,
                    Err(error) => break error,
                }
                if bytes >= goal() {
                    break io::Error::from_raw_os_error(0);
                }
            };
            // It ends with its parent.
            let _ = call(number(157, 167), [1, 9, 0, 0, 0, 0]);
            let words = [bytes, error.raw_os_error().unwrap_or(0) as usize].map(usize::to_ne_bytes).concat();
            let mut pipe = unsafe { <File as std::os::fd::FromRawFd>::from_raw_fd(ends[1]) };
            let _ = pipe.write_all(&words);
            std::thread::sleep(std::time::Duration::from_secs(10));
            std::process::exit(0);
        }
        let mut words = [0; 16];
        let mut pipe =
            std::mem::ManuallyDrop::new(unsafe { <File as std::os::fd::FromRawFd>::from_raw_fd(ends[0]) });
        io::Read::read_exact(&mut *pipe, &mut words)?;
        let word = |at: usize| usize::from_ne_bytes(words[at..at + 8].try_into().unwrap());
        held += word(0);
        if word(0) < 1 << 16 && word(8) != 0 && held < 1 << 20 {
            return Err(io::Error::from_raw_os_error(word(8) as i32));
        }
        if held >= goal() {
            return hold(held);
        }
    }
    Err(io::Error::other(format!("bounded at {} MiB", held >> 20)))
}

fn unix_buffers(datagrams: bool) -> io::Result<String> {
    let mut kept = Vec::new();
    in_processes(move || {
        let (a, b): (std::os::fd::OwnedFd, std::os::fd::OwnedFd) = if datagrams {
            UnixDatagram::pair().map(|(a, b)| (a.into(), b.into()))?
        } else {
            UnixStream::pair().map(|(a, b)| (a.into(), b.into()))?
        };
        let piece = vec![1; 32 << 10];
        let bytes = stuff(a.as_raw_fd(), &piece) + stuff(b.as_raw_fd(), &piece);
        kept.push((a, b));
        Ok(bytes)
    })
}

/// The data of a closed sender stays with its reader.
fn closed_senders() -> io::Result<String> {
    let mut kept = Vec::new();
    let mut number = 0;
    in_processes(move || {
        let path = format!("/tmp/{}-{number}", unsafe { getpid() });
        number += 1;
        let reader = UnixDatagram::bind(&path)?;
        let mut bytes = 0;
        for _ in 0..16 {
            let sender = UnixDatagram::unbound()?;
            sender.connect(&path)?;
            bytes += stuff(sender.as_raw_fd(), &vec![1; 100 << 10]);
        }
        kept.push(reader);
        Ok(bytes)
    })
}

fn netlink_replies() -> io::Result<String> {
    let mut kept = Vec::new();
    in_processes(move || {
        let socket = unsafe { socket(16, 3, 0) };
        if socket == -1 {
            return Err(io::Error::last_os_error());
        }
        kept.push(socket);
        // RTM_GETLINK of all interfaces, never read.
        let mut request = [0_u8; 32];
        request[0] = 32;
        request[4] = 18;
        request[6] = 1;
        request[7] = 3;
        let mut bytes = 0;
        for _ in 0..64 {
            if call(number(44, 206), [socket as usize, request.as_ptr() as usize, 32, 0x4040, 0, 0]).is_err()
            {
                break;
            }
            bytes += 4096;
        }
        Ok(bytes)
    })
}

fn udp_buffers() -> io::Result<String> {
    let mut kept = Vec::new();
    in_processes(move || {
        let reader = UdpSocket::bind("127.0.0.1:0")?;
        let sender = UdpSocket::bind("127.0.0.1:0")?;
        sender.connect(reader.local_addr()?)?;
        sender.set_nonblocking(true)?;
        // More is dropped.
        let bytes = (0..8).filter_map(|_| sender.send(&[1; 25 << 10]).ok()).sum();
        kept.push(reader);
        if bytes == 0 { Err(io::Error::from_raw_os_error(101)) } else { Ok(bytes) }
    })
}

fn tcp_buffers() -> io::Result<String> {
    let mut kept = Vec::new();
    in_processes(move || {
        let listener = TcpListener::bind("127.0.0.1:0")?;
        let address = listener.local_addr()?;
        let mut bytes = 0;
        for _ in 0..8 {
            // Without memory for it, a connection waits.
            let sender = TcpStream::connect_timeout(&address, std::time::Duration::from_millis(200))?;
            let (reader, _) = listener.accept()?;
            bytes += stuff(sender.as_raw_fd(), &[1; 64 << 10]) + stuff(reader.as_raw_fd(), &[1; 64 << 10]);
            kept.push((sender, reader));
        }
        Ok(bytes)
    })
}

fn pipes() -> io::Result<String> {
    in_processes(move || {
        let ends = new_pipe()?;
        // O_NONBLOCK.
        unsafe { fcntl(ends[1], 4, 0o4000_usize) };
        let piece = [1_u8; 4096];
        let mut bytes = 0;
        while let Ok(written) =
            call(number(1, 64), [ends[1] as usize, piece.as_ptr() as usize, 4096, 0, 0, 0])
        {
            bytes += written as usize;
        }
        Ok(bytes)
    })
}
