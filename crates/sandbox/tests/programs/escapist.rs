//! Runs in the boxes of the tests and attempts what a box must prevent. Prints a line for each attempt: `NAME ok …` or
//! `NAME errno N`.
//!
//! Compiled by the tests with `rustc` alone into a static program, so that both backends run the same one.

mod tricks;

use std::env;
use std::ffi::{c_int, c_long, c_void};
use std::fs::{self, File, OpenOptions};
use std::io::{self, Read, Write};
use std::net::{TcpStream, ToSocketAddrs, UdpSocket};
use std::os::unix::fs::symlink;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

unsafe extern "C" {
    fn kill(pid: c_int, signal: c_int) -> c_int;
    fn socket(family: c_int, kind: c_int, protocol: c_int) -> c_int;
    fn mmap(
        at: *mut c_void,
        length: usize,
        protection: c_int,
        flags: c_int,
        file: c_int,
        offset: i64,
    ) -> *mut c_void;
    fn syscall(number: c_long, ...) -> c_long;
    fn getuid() -> u32;
    fn signal(number: c_int, handler: usize) -> usize;
}

fn main() {
    let words: Vec<String> = env::args().skip(1).collect();
    let (attempt, rest) = words.split_first().expect("an attempt");
    match attempt.as_str() {
        "copy" => copy(),
        "keep" => keep(),
        "namespace" => println!("{}", fs::read_link(format!("/proc/self/ns/{}", rest[0])).unwrap().display()),
        "state" => state(),
        "exit" => std::process::exit(rest[0].parse().unwrap()),
        "abort" => std::process::abort(),
        "network" => network(rest),
        "fork-bomb" => fork_bomb(),
        "fork-count" => fork_count(),
        "memory" => memory(&rest[0]),
        "fill" => fill(),
        "flood" => flood(),
        "links" => links(&rest[0]),
        "read" => rest
            .iter()
            .for_each(|path| report(path, fs::read(path).map(|bytes| format!("{} bytes", bytes.len())))),
        "signals" => signals(rest),
        "write" => rest.iter().for_each(|path| write(path)),
        "tricks" => tricks::run(rest),
        "prompt" => prompt(),
        "list-tricks" => tricks::list(),
        "list-memory-tricks" => tricks::list_memory(),
        "processes" => processes(),
        "reach" => rest.iter().for_each(|path| reach(path)),
        "inode" => rest.iter().for_each(|path| inode(path)),
        "sleep" => sleep(),
        "spin" => spin(),
        "leave" => leave(),
        other => panic!("unknown attempt {other}"),
    }
}

fn report(name: &str, result: io::Result<String>) {
    match result {
        Ok(what) => println!("{name} ok {what}"),
        Err(error) => match error.raw_os_error() {
            Some(errno) => println!("{name} errno {errno}"),
            None => println!("{name} failed {error}"),
        },
    }
}

/// The result of a call that returns -1 on failure.
fn called(result: impl Into<i64>) -> io::Result<String> {
    match result.into() {
        -1 => Err(io::Error::last_os_error()),
        value => Ok(value.to_string()),
    }
}

fn copy() {
    let mut input = Vec::new();
    io::stdin().read_to_end(&mut input).unwrap();
    io::stdout().write_all(&input).unwrap();
    eprint!("{} bytes", input.len());
}

/// Tries the trick that its input names, as `trick NAME`; repeats any other input.
fn prompt() {
    let mut input = String::new();
    io::stdin().read_to_string(&mut input).unwrap();
    match input.trim().strip_prefix("trick ") {
        Some(name) => tricks::run(&[name.to_owned()]),
        None => println!("you said: {}", input.trim()),
    }
}

/// Prints the number of files in the scratch folder, and leaves one there.
fn keep() {
    println!("found {}", fs::read_dir("/tmp").unwrap().count());
    io::stdout().flush().unwrap();
    let mut input = Vec::new();
    io::stdin().read_to_end(&mut input).unwrap();
    fs::write("/tmp/kept", &input).unwrap();
    io::stdout().write_all(&input).unwrap();
}

/// Prints what it sees of its environment.
fn state() {
    println!("user {}", unsafe { getuid() });
    println!("folder {}", env::current_dir().unwrap().display());
    println!("arguments {:?}", env::args().collect::<Vec<_>>());
    for (name, value) in env::vars() {
        println!("variable {name}={value}");
    }
    let names = |path: &str| {
        let mut names: Vec<_> = fs::read_dir(path)
            .map(|entries| {
                entries.flatten().map(|entry| entry.file_name().to_string_lossy().into_owned()).collect()
            })
            .unwrap_or_default();
        names.sort();
        names.join(" ")
    };
    println!("root {}", names("/"));
    println!("descriptors {}", names("/proc/self/fd"));
    println!("status {}", fs::read_to_string("/proc/self/status").unwrap_or_default().replace('\n', " "));
}

/// `tcp ADDRESS` and `udp ADDRESS` in pairs, then the attempts without an address.
fn network(pairs: &[String]) {
    let wait = Duration::from_millis(500);
    for pair in pairs.chunks(2) {
        let (kind, address) = (&pair[0], &pair[1]);
        let target = address.parse().unwrap();
        report(
            &format!("{kind} {address}"),
            match kind.as_str() {
                "tcp" => TcpStream::connect_timeout(&target, wait).map(|_| String::new()),
                _ => UdpSocket::bind(if target.is_ipv4() { "0.0.0.0:0" } else { "[::]:0" })
                    .and_then(|socket| socket.send_to(b"canary", target))
                    .map(|bytes| bytes.to_string()),
            },
        );
    }
    report("name", "example.org:80".to_socket_addrs().map(|_| String::new()));
    const AF_INET: c_int = 2;
    const AF_INET6: c_int = 10;
    const AF_PACKET: c_int = 17;
    const AF_VSOCK: c_int = 40;
    report("raw", called(unsafe { socket(AF_INET, 3, 1) }));
    report("raw6", called(unsafe { socket(AF_INET6, 3, 58) }));
    report("packet", called(unsafe { socket(AF_PACKET, 3, 0x0300) }));
    report("vsock", called(unsafe { socket(AF_VSOCK, 1, 0) }));
    let devices = fs::read_to_string("/proc/self/net/dev").unwrap_or_default();
    let names: Vec<_> =
        devices.lines().skip(2).filter_map(|line| Some(line.split_once(':')?.0.trim())).collect();
    println!("interfaces {}", names.join(" "));
}

/// Every process starts others as long as it can, and none of them ends.
fn fork_bomb() {
    println!("bomb");
    io::stdout().flush().unwrap();
    loop {
        if Command::new("/proc/self/exe")
            .arg("fork-bomb")
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .spawn()
            .is_err()
        {
            std::thread::sleep(Duration::from_millis(1));
        }
    }
}

/// Prints how many processes there can be, including this one.
fn fork_count() {
    let mut children = Vec::new();
    loop {
        match Command::new("/proc/self/exe").arg("sleep").stdout(Stdio::null()).spawn() {
            Ok(child) => children.push(child),
            Err(error) => {
                println!("processes {}", children.len() + 1);
                report("more", Err(error));
                break;
            }
        }
        assert!(children.len() < 10_000, "there is no bound");
    }
}

const PIECE: usize = 4 << 20;
const PROT_READ_WRITE: c_int = 3;
const MAP_SHARED: c_int = 1;
const MAP_PRIVATE: c_int = 2;
const MAP_ANONYMOUS: c_int = 0x20;

fn memory(kind: &str) {
    println!("filling");
    io::stdout().flush().unwrap();
    match kind {
        "own" => fill_memory(MAP_PRIVATE, usize::MAX),
        "shared" => fill_memory(MAP_SHARED, usize::MAX),
        // More than the limit together, each of them far below it.
        "many" => {
            let mut children: Vec<_> = (0..8)
                .map(|_| Command::new("/proc/self/exe").args(["memory", "part"]).spawn().unwrap())
                .collect();
            children.iter_mut().for_each(|child| drop(child.wait()));
        }
        "part" => {
            fill_memory(MAP_PRIVATE, 256 << 20);
            sleep();
        }
        // The first thread ends and another one continues. Waits for the input, after which the limits have been read back.
        "thread" => {
            io::stdin().read_to_end(&mut Vec::new()).unwrap();
            std::thread::spawn(|| {
                std::thread::sleep(Duration::from_millis(20));
                fill_memory(MAP_PRIVATE, usize::MAX);
            });
            let exit = if cfg!(target_arch = "x86_64") { 60 } else { 93 };
            unsafe { syscall(exit, 0) };
        }
        // Files in memory that no process has mapped.
        "scratch" => fill(),
        other => panic!("unknown kind of memory {other}"),
    }
}

fn fill_memory(flags: c_int, most: usize) {
    let mut filled = 0;
    while filled < most {
        let piece =
            unsafe { mmap(std::ptr::null_mut(), PIECE, PROT_READ_WRITE, flags | MAP_ANONYMOUS, -1, 0) };
        if piece as isize == -1 {
            report("mmap", Err(io::Error::last_os_error()));
            std::process::exit(9);
        }
        for page in (0..PIECE).step_by(4096) {
            unsafe { piece.cast::<u8>().add(page).write_volatile(1) };
        }
        filled += PIECE;
    }
}

/// Fills the scratch folder with bytes, then with empty files, and tries other folders.
fn fill() {
    let mut total = 0_u64;
    let piece = vec![7; 1 << 20];
    let mut file = File::create("/tmp/fill").unwrap();
    loop {
        match file.write(&piece) {
            Ok(bytes) => total += bytes as u64,
            Err(error) => {
                println!("filled {total}");
                report("more", Err(error));
                break;
            }
        }
        assert!(total < 1 << 40, "there is no bound");
    }
    for number in 0..10_000_000_u64 {
        if let Err(error) = File::create(format!("/tmp/{number}")) {
            println!("files {number}");
            report("another", Err(error));
            break;
        }
    }
    for path in [
        "/x",
        "/program/x",
        "/dev/x",
        "/dev/shm/x",
        "/proc/x",
        "/var/x",
        "/sys/x",
        "/etc/x",
        "/run/x",
        "/home/x",
    ] {
        report(path, File::create(path).map(|_| String::new()));
    }
}

fn flood() {
    let piece = vec![b'x'; 1 << 16];
    loop {
        let _ = io::stdout().write_all(&piece);
        let _ = io::stderr().write_all(&piece);
    }
}

/// Replaces its output by links to a file of the host.
fn links(victim: &str) {
    for link in ["/tmp/output.json", "/tmp/stdout"] {
        symlink(victim, link).unwrap();
        report("through a link", fs::read(link).map(|_| String::new()));
        report("write through a link", OpenOptions::new().write(true).open(link).map(|_| String::new()));
    }
    for way in [
        "/proc/self/root",
        "/proc/1/root",
        "/proc/self/cwd/..",
        "/proc/1/cwd",
        "/proc/self/fd/0/..",
        "/dev/fd/3",
    ] {
        report(way, fs::read(format!("{way}{victim}")).map(|_| String::new()));
    }
    // Its own input cannot be changed, and its output is a pipe.
    report(
        "input",
        OpenOptions::new()
            .write(true)
            .open("/proc/self/fd/0")
            .and_then(|mut file| file.write(b"x"))
            .map(|_| String::new()),
    );
    report("memory of 1", OpenOptions::new().write(true).open("/proc/1/mem").map(|_| String::new()));
    report("output", fs::read_link("/proc/self/fd/1").map(|path| path.display().to_string()));
}

fn signals(pids: &[String]) {
    for pid in pids {
        report(&format!("kill {pid}"), called(unsafe { kill(pid.parse().unwrap(), 9) }));
    }
    // All processes of the box except itself, and process 1.
    report("kill all", called(unsafe { kill(-1, 9) }));
    println!("alive");
}

fn write(path: &str) {
    report(
        path,
        OpenOptions::new()
            .write(true)
            .open(path)
            .and_then(|mut file| file.write(b"1"))
            .map(|_| String::new()),
    );
}

/// Tries to talk to the host through a file of a folder.
fn reach(path: &str) {
    report(&format!("connect {path}"), std::os::unix::net::UnixStream::connect(path).map(|_| String::new()));
    // Without waiting for a reader.
    use std::os::unix::fs::OpenOptionsExt;
    const O_NONBLOCK: i32 = 0o4000;
    report(
        &format!("write {path}"),
        OpenOptions::new()
            .write(true)
            .custom_flags(O_NONBLOCK)
            .open(path)
            .and_then(|mut file| file.write(b"x"))
            .map(|_| String::new()),
    );
}

/// Prints device and inode of a file.
fn inode(path: &str) {
    use std::os::unix::fs::MetadataExt;
    report(path, fs::metadata(path).map(|file| format!("{}:{}", file.dev(), file.ino())));
}

fn processes() {
    let mut pids: Vec<u32> = fs::read_dir("/proc")
        .unwrap()
        .flatten()
        .filter_map(|entry| entry.file_name().to_str()?.parse().ok())
        .collect();
    pids.sort_unstable();
    println!("processes {pids:?}");
}

/// Sleeps longer than any test waits, and ignores signals.
fn sleep() {
    const SIGTERM: c_int = 15;
    const SIG_IGN: usize = 1;
    unsafe { signal(SIGTERM, SIG_IGN) };
    println!("sleeping");
    io::stdout().flush().unwrap();
    std::thread::sleep(Duration::from_secs(600));
}

/// Prints the CPU time of four threads in half a second.
fn spin() {
    let end = Instant::now() + Duration::from_millis(500);
    let threads: Vec<_> = (0..4).map(|_| std::thread::spawn(move || while Instant::now() < end {})).collect();
    threads.into_iter().for_each(|thread| thread.join().unwrap());
}

/// Ends, and leaves processes behind that hold its output open.
fn leave() {
    for _ in 0..3 {
        Command::new("/proc/self/exe").arg("sleep").spawn().unwrap();
    }
    println!("left");
}
