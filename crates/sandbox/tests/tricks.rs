//! Every trick of docs/sandbox.md, against each backend: the page lists all of them, and what it says was observed.
#![cfg(target_os = "linux")]

mod common;

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::os::unix::net::UnixListener;
use std::process::Command;
use std::sync::Arc;
use std::time::Duration;

use common::{Way, escapist, job, options, run, stdout};
use sandbox::{Backend, Error, Exit, Limits, Options, Sandbox};

const PAGE: &str = include_str!("../../../docs/sandbox.md");

/// The limit of a box that fills memory, and what it tries to hold.
const MEMORY_BYTES: u64 = 64 << 20;
const HOLD_MIB: &str = "192";

/// Column of the tables, after the trick and what refuses it.
fn column(way: Way, is_weak: bool) -> usize {
    match way {
        Way::Docker => 4,
        _ if is_weak => 3,
        _ => 2,
    }
}

/// The rows of the tables of tricks, by trick.
fn page() -> BTreeMap<&'static str, Vec<&'static str>> {
    let rows = PAGE.lines().filter_map(|line| line.strip_prefix("| ")?.strip_suffix(" |"));
    let cells = rows.map(|row| row.split(" | ").collect::<Vec<_>>()).filter(|cells| cells.len() == 5);
    let tricks = cells.filter(|cells| cells[0] != "trick");
    let mut page = BTreeMap::new();
    for cells in tricks {
        let name = cells[0];
        assert!(page.insert(name, cells).is_none(), "docs/sandbox.md lists {name:?} twice");
    }
    page
}

/// The tricks of the section "Open".
fn open_tricks() -> Vec<&'static str> {
    let (_, section) = PAGE.split_once("\n## Open\n").expect("a section \"Open\"");
    section.lines().filter_map(|line| line.strip_prefix("| ")?.split(" | ").next()).collect()
}

fn lines(arguments: &[&str]) -> Vec<String> {
    let output = Command::new(escapist()).args(arguments).env("HOLD_MIB", HOLD_MIB).output().unwrap();
    String::from_utf8(output.stdout).unwrap().lines().map(String::from).collect()
}

#[test]
fn the_page_lists_every_trick_and_what_is_open() {
    let page = page();
    let tricks = lines(&["list-tricks"]);
    assert!(tricks.len() > 100, "{} tricks", tricks.len());
    for name in &tricks {
        assert!(page.contains_key(name.as_str()), "docs/sandbox.md does not list {name:?}");
    }
    assert_eq!(page.len(), tricks.len(), "docs/sandbox.md lists a trick that does not exist");
    let open = open_tricks();
    for (name, cells) in page {
        if cells.iter().any(|cell| cell.contains("succeeded")) {
            assert!(open.contains(&name), "{name:?} succeeds, and is not in the section \"Open\"");
        }
    }
}

/// Without sandboxes the same program does some of them: it would notice if a box did not refuse them.
#[test]
fn outside_of_a_box_they_succeed() {
    let control = [
        "memfd_create",
        "inotify_init1",
        "flock on the program",
        "flock on an eventfd",
        "a POSIX lock on an eventfd",
        "a netlink socket for routes",
        "a larger pipe",
        "mincore",
        "dropping cached pages",
        "paging mapped pages out",
        "a larger send buffer",
        "inotify instances",
        "netlink replies",
        "shared memory, given back and kept",
        "read /proc/stat",
    ];
    let arguments: Vec<&str> = ["tricks"].into_iter().chain(control).collect();
    let seen = lines(&arguments);
    assert_eq!(seen.len(), control.len(), "{seen:?}");
    for line in seen {
        // The quota of the machine can be small.
        assert!(line.contains(": succeeded") || line == "inotify instances: EMFILE", "{line}");
    }
}

#[test]
fn with_a_memory_cgroup() {
    against(Way::Namespace);
}

#[test]
fn without_cgroups() {
    against(Way::WithoutCgroups);
}

#[test]
fn in_containers() {
    against(Way::Docker);
}

fn against(way: Way) {
    runtime().block_on(async {
        let Some(sandbox) = common::open(way).await else { return };
        let outcome = run(&sandbox, job(&["tricks"])).await;
        let memory = outcome.in_force.iter().find(|entry| entry.name == "memory_bytes").expect("a limit");
        let column = column(way, memory.mechanism.starts_with("weak"));
        let mut differences = Vec::new();
        let page = page();
        let mut compare = |line: &str| {
            // Paths hold no ": ".
            let (name, observed) = line.rsplit_once(": ").expect("NAME: RESULT");
            let cell = page[name][column];
            let kind = match observed {
                _ if observed.starts_with("succeeded") => "**succeeded**",
                _ if observed.starts_with("bounded") => "bounded",
                other => other,
            };
            if !cell.split(" or ").any(|expected| expected == kind) {
                differences.push(format!("{name}: the page says {cell}, but {observed}"));
            }
        };
        let text = stdout(&outcome);
        text.lines().for_each(&mut compare);
        let memory_tricks = lines(&["list-memory-tricks"]);
        assert_eq!(text.lines().count() + memory_tricks.len(), page.len(), "{outcome:?}");
        for name in memory_tricks {
            compare(&fills_memory(&sandbox, &name).await);
        }
        assert!(differences.is_empty(), "{differences:#?}");
    });
}

/// The result of a trick that fills memory; the end of its box counts more than what it could still say.
async fn fills_memory(sandbox: &Arc<dyn Sandbox>, name: &str) -> String {
    let mut job = job(&["tricks", name]);
    job.command.environment.push(("HOLD_MIB".into(), HOLD_MIB.into()));
    job.limits = Limits {
        memory_bytes: MEMORY_BYTES,
        scratch_bytes: MEMORY_BYTES,
        wall: Duration::from_secs(30),
        ..job.limits
    };
    let outcome = run(sandbox, job).await;
    match outcome.exit {
        Exit::OutOfMemory => format!("{name}: out of memory"),
        Exit::Code(0) => stdout(&outcome).trim().to_owned(),
        other => format!("{name}: {other}"),
    }
}

#[test]
fn refuses_to_start_without_a_memory_cgroup() {
    runtime().block_on(async {
        let strict = Options { allow_weak_memory_limit: false, ..options(Way::WithoutCgroups, "strict") };
        let Err(error) = sandbox::open(Backend::Namespace, strict).await else {
            panic!("a limit without a mechanism was accepted");
        };
        assert!(matches!(error, Error::NoMechanism { limit: "memory_bytes", .. }), "{error}");
        let text = error.to_string();
        for part in ["limit without a mechanism", "Delegate=yes", "docker", "--allow-weak-memory-limit"] {
            assert!(text.contains(part), "{text}");
        }
    });
}

fn folder() -> tempfile::TempDir {
    let folder = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).unwrap();
    // A box runs under another user number.
    let permissions = fs::Permissions::from_mode(0o755);
    fs::set_permissions(folder.path(), permissions).unwrap();
    folder
}

fn make_pipe(path: &std::path::Path) {
    nix::unistd::mkfifo(path, nix::sys::stat::Mode::from_bits_truncate(0o600)).unwrap();
    // Not narrowed by the umask.
    fs::set_permissions(path, fs::Permissions::from_mode(0o666)).unwrap();
}

#[test]
fn sockets_and_pipes_in_a_read_only_folder_are_refused_at_the_start() {
    runtime().block_on(async {
        for kind in ["socket", "pipe"] {
            let folder = folder();
            let deep = folder.path().join("a/b");
            fs::create_dir_all(&deep).unwrap();
            let path = deep.join(kind);
            let _listener = (kind == "socket").then(|| UnixListener::bind(&path).unwrap());
            if kind == "pipe" {
                make_pipe(&path);
            }
            for named in [folder.path(), &path] {
                let asked =
                    Options { read_only: vec![named.into()], ..options(Way::WithoutCgroups, "read-only") };
                let Err(error) = sandbox::open(Backend::Namespace, asked).await else {
                    panic!("{} was accepted", named.display());
                };
                let text = error.to_string();
                assert!(text.contains(&path.display().to_string()) && text.contains(kind), "{text}");
            }
        }
    });
}

#[test]
fn sockets_and_pipes_that_appear_later_cannot_be_reached() {
    runtime().block_on(async {
        let folder = folder();
        let file = folder.path().join("file");
        fs::write(&file, "of the host").unwrap();
        let asked =
            Options { read_only: vec![folder.path().into()], ..options(Way::WithoutCgroups, "read-only") };
        let opened = match sandbox::open(Backend::Namespace, asked).await {
            Ok(opened) => opened,
            Err(error) => return test_support::skip(&error.to_string()),
        };
        // The first box leaves helpers behind that have prepared the folder without socket and pipe.
        let read = run(&opened.sandbox, job(&["read", file.to_str().unwrap()])).await;
        assert!(stdout(&read).ends_with(" ok 11 bytes\n"), "{read:?}");
        let (socket, pipe) = (folder.path().join("socket"), folder.path().join("pipe"));
        let listener = UnixListener::bind(&socket).unwrap();
        listener.set_nonblocking(true).unwrap();
        fs::set_permissions(&socket, fs::Permissions::from_mode(0o777)).unwrap();
        make_pipe(&pipe);
        // A reader, so that a writer of the same pipe would not fail.
        let reader = fs::OpenOptions::new().read(true).write(true).open(&pipe).unwrap();
        for _ in 0..4 {
            let words = ["reach", socket.to_str().unwrap(), pipe.to_str().unwrap()];
            let outcome = run(&opened.sandbox, job(&words)).await;
            let text = stdout(&outcome);
            let expected = [
                // ECONNREFUSED, ENXIO.
                format!("connect {} errno 111", socket.display()),
                format!("write {} errno 6", pipe.display()),
            ];
            for line in expected {
                assert!(text.lines().any(|seen| seen == line), "{line}\n{text}");
            }
        }
        assert!(listener.accept().is_err(), "a box connected");
        drop(reader);
        // Outside, both can be reached.
        let control = lines(&["reach", socket.to_str().unwrap()]);
        assert!(control[0].contains(" ok"), "{control:?}");
    });
}

#[test]
fn a_box_has_inodes_of_its_own() {
    runtime().block_on(async {
        let folder = folder();
        let (small, large) = (folder.path().join("small"), folder.path().join("large"));
        fs::write(&small, "small").unwrap();
        // Larger than what is copied.
        fs::File::create(&large).unwrap().set_len(20 << 20).unwrap();
        let below = folder.path().join("below");
        fs::create_dir(&below).unwrap();
        fs::write(below.join("file"), "below").unwrap();
        let read_only = vec![small.clone(), large.clone(), below.clone()];
        let asked = Options { read_only, ..options(Way::WithoutCgroups, "inodes") };
        let opened = match sandbox::open(Backend::Namespace, asked).await {
            Ok(opened) => opened,
            Err(error) => return test_support::skip(&error.to_string()),
        };
        let paths = [small, large, below.join("file")];
        let words: Vec<&str> = ["inode", "/proc/self/exe"]
            .into_iter()
            .chain(paths.iter().map(|path| path.to_str().unwrap()))
            .collect();
        let text = stdout(&run(&opened.sandbox, job(&words)).await);
        let identity = |path: &std::path::Path| {
            let file = fs::metadata(path).unwrap();
            format!("{}:{}", file.dev(), file.ino())
        };
        let seen: Vec<&str> =
            text.lines().filter_map(|line| line.split_once(" ok ").map(|(_, seen)| seen)).collect();
        let of_host: Vec<String> =
            [escapist().to_owned()].iter().chain(&paths).map(|path| identity(path)).collect();
        assert_eq!(seen.len(), of_host.len(), "{text}");
        for (seen, of_host) in seen.iter().zip(&of_host) {
            assert_ne!(seen, of_host, "{text}");
        }
    });
}

/// The kernel counts for each user number what no namespace counts. Files that only the host's user can reach come into the box
/// even so.
#[test]
fn a_box_has_a_user_number_of_its_own() {
    runtime().block_on(async {
        let folder = folder();
        let private = fs::Permissions::from_mode(0o700);
        fs::set_permissions(folder.path(), private).unwrap();
        let (program, file) = (folder.path().join("program"), folder.path().join("file"));
        fs::copy(escapist(), &program).unwrap();
        fs::write(&file, "of the host").unwrap();
        let asked = Options { read_only: vec![file.clone()], ..options(Way::WithoutCgroups, "user") };
        let opened = match sandbox::open(Backend::Namespace, asked).await {
            Ok(opened) => opened,
            Err(error) => return test_support::skip(&error.to_string()),
        };
        let mut job = job(&["read", file.to_str().unwrap()]);
        job.command.program = program.display().to_string();
        let outcome = run(&opened.sandbox, job).await;
        assert!(stdout(&outcome).ends_with(" ok 11 bytes\n"), "{outcome:?}");
        let user = outcome.in_force.iter().find(|entry| entry.name == "user").unwrap();
        if user.value != "its own" {
            test_support::skip("this user has no subordinate numbers (/etc/subuid, newuidmap)");
        }
    });
}

fn runtime() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap()
}
