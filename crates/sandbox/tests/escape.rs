//! What must not be possible from inside a box, tried by a program that really tries, against each backend.
#![cfg(target_os = "linux")]

mod common;

use std::collections::BTreeMap;
use std::fs;
use std::net::{TcpListener, UdpSocket};
use std::sync::Arc;
use std::time::{Duration, Instant};

use common::{Way, escapist, job, run, stdout};
use sandbox::{Exit, Job, Limits, Outcome, Sandbox};

/// Each test against each backend.
macro_rules! against_each_backend {
    ($($test:ident),* $(,)?) => {
        mod namespace {
            $(#[test] fn $test() { super::against(super::Way::Namespace, super::$test); })*
        }
        mod namespace_without_cgroups {
            $(#[test] fn $test() { super::against(super::Way::WithoutCgroups, super::$test); })*
        }
        mod docker {
            $(#[test] fn $test() { super::against(super::Way::Docker, super::$test); })*
        }
    };
}

against_each_backend! {
    input_output_and_status_come_back,
    nothing_of_the_host_is_seen,
    nothing_leaves_by_the_network,
    a_fork_bomb_is_bounded,
    a_memory_bomb_is_killed,
    shared_memory_counts,
    many_processes_count_together,
    memory_of_other_threads_counts,
    the_disk_cannot_be_filled,
    a_flood_of_output_is_stopped,
    links_lead_nowhere,
    the_hosts_files_are_not_there,
    signals_stay_inside,
    proc_and_sys_cannot_be_written,
    rights_cannot_be_had_back,
    the_wall_clock_ends_it,
    the_processors_are_limited,
    who_is_left_behind_dies,
    each_limit_says_what_is_in_force,
    a_program_that_is_not_there_is_an_error,
}

fn against<F: Future<Output = ()>>(way: Way, test: impl FnOnce(Arc<dyn Sandbox>, Way) -> F) {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    runtime.block_on(async {
        if let Some(sandbox) = common::open(way).await {
            test(sandbox, way).await;
        }
    });
}

/// `NAME ok …` and `NAME errno N` by name.
fn attempts(outcome: &Outcome) -> BTreeMap<String, Result<String, i32>> {
    stdout(outcome)
        .lines()
        .filter_map(|line| {
            if let Some((name, errno)) = line.rsplit_once(" errno ") {
                return Some((name.to_owned(), Err(errno.parse().ok()?)));
            }
            let (name, what) = line.split_once(" ok")?;
            Some((name.to_owned(), Ok(what.trim().to_owned())))
        })
        .collect()
}

fn limited(words: &[&str], change: impl FnOnce(&mut Limits)) -> Job {
    let mut job = job(words);
    change(&mut job.limits);
    job
}

async fn input_output_and_status_come_back(sandbox: Arc<dyn Sandbox>, _: Way) {
    for input in [
        b"".to_vec(),
        b"hello".to_vec(),
        b"$(touch /tmp/x) `id` ; \\ \" ' \0 \xff\n".to_vec(),
        vec![b'x'; 300_000],
    ] {
        let outcome = run(&sandbox, Job { stdin: input.clone(), ..job(&["copy"]) }).await;
        assert_eq!(outcome.exit, Exit::Code(0), "{outcome:?}");
        assert!(outcome.stdout == input, "{} bytes of {}", outcome.stdout.len(), input.len());
        assert_eq!(outcome.stderr, format!("{} bytes", input.len()).as_bytes());
        assert!(!outcome.truncated);
    }
    assert_eq!(run(&sandbox, job(&["exit", "7"])).await.exit, Exit::Code(7));
    // Arguments arrive as they are, whatever a shell would make of them.
    let odd = ["state", "$(id)", "a b", "", "'\"\\", "*"];
    let outcome = run(&sandbox, job(&odd)).await;
    assert!(stdout(&outcome).contains(r#""$(id)", "a b", "", "'\"\\", "*"]"#), "{}", stdout(&outcome));
    let aborted = run(&sandbox, job(&["abort"])).await;
    assert!(matches!(aborted.exit, Exit::Signal(4..=11)), "{:?}", aborted.exit);
}

async fn nothing_of_the_host_is_seen(sandbox: Arc<dyn Sandbox>, way: Way) {
    let mut job = job(&["state"]);
    job.command.environment = vec![("GIVEN".into(), "value".into())];
    let outcome = run(&sandbox, job).await;
    let text = stdout(&outcome);
    assert_eq!(outcome.exit, Exit::Code(0), "{outcome:?}");
    assert!(text.contains("folder /tmp\n"), "{text}");
    let variables: Vec<_> = text.lines().filter_map(|line| line.strip_prefix("variable ")).collect();
    assert!(variables.contains(&"GIVEN=value"), "{text}");
    let known = |name: &&str| {
        name.starts_with("GIVEN=")
            || name.starts_with(common::TOKEN)
            || (way == Way::Docker
                && ["PATH=", "HOSTNAME=", "HOME="].iter().any(|known| name.starts_with(known)))
    };
    assert!(variables.iter().all(known), "{variables:?}");
    assert!(!text.contains("user 0\n"), "{text}");
    let root = text.lines().find_map(|line| line.strip_prefix("root ")).unwrap();
    let allowed = [".dockerenv", "dev", "etc", "proc", "program", "sys", "tmp"];
    let known = if way == Way::Docker { &allowed[..] } else { &["dev", "proc", "program", "tmp"] };
    assert!(root.split(' ').all(|name| known.contains(&name)), "{root}");
    // Standard input, output, error, and the folder that is being listed.
    assert!(text.contains("descriptors 0 1 2 3\n"), "{text}");
    for state in [
        "NoNewPrivs:\t1",
        "CapPrm:\t0000000000000000",
        "CapEff:\t0000000000000000",
        "CapBnd:\t0000000000000000",
        "Seccomp:\t2",
    ] {
        assert!(text.contains(state), "{state}: {text}");
    }
}

async fn nothing_leaves_by_the_network(sandbox: Arc<dyn Sandbox>, _: Way) {
    // Somebody listens on the host, who must hear nothing.
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    listener.set_nonblocking(true).unwrap();
    let udp = UdpSocket::bind("127.0.0.1:0").unwrap();
    udp.set_nonblocking(true).unwrap();
    let (tcp_here, udp_here) =
        (listener.local_addr().unwrap().to_string(), udp.local_addr().unwrap().to_string());
    let words = [
        "network",
        "tcp",
        &tcp_here,
        "udp",
        &udp_here,
        "tcp",
        "192.0.2.1:80",
        "udp",
        "192.0.2.1:53",
        "tcp",
        "[2001:db8::1]:80",
        "udp",
        "[2001:db8::1]:53",
        "udp",
        "[ff02::1%1]:9",
        "tcp",
        "[fe80::1]:80",
        "udp",
        "255.255.255.255:9",
    ]
    .map(String::from)
    .map(|word| word.replace("%1", ""));
    let outcome = run(&sandbox, job(&words.each_ref().map(String::as_str))).await;
    let attempts = attempts(&outcome);
    assert_eq!(outcome.exit, Exit::Code(0), "{outcome:?}");
    // A datagram to the box's own loopback is no success: nobody outside is there.
    let own_loopback = format!("udp {udp_here}");
    for (name, result) in &attempts {
        assert!(result.is_err() || *name == own_loopback, "{name} {result:?}");
    }
    assert_eq!(attempts.len(), 9 + 4, "{attempts:?}");
    for name in ["raw", "raw6", "packet", "vsock"] {
        assert_eq!(attempts[name], Err(1), "{name}");
    }
    assert!(stdout(&outcome).contains("name failed"), "{}", stdout(&outcome));
    assert!(stdout(&outcome).contains("interfaces lo\n"), "{}", stdout(&outcome));
    assert!(listener.accept().is_err(), "somebody came");
    assert!(udp.recv(&mut [0; 16]).is_err(), "something came");
}

async fn a_fork_bomb_is_bounded(sandbox: Arc<dyn Sandbox>, _: Way) {
    let outcome = run(&sandbox, limited(&["fork-count"], |limits| limits.processes = 12)).await;
    let text = stdout(&outcome);
    assert!(text.contains("processes 12\n") && text.contains("more errno 11\n"), "{text}");
    let started = Instant::now();
    let outcome =
        run(&sandbox, limited(&["fork-bomb"], |limits| limits.wall = Duration::from_millis(500))).await;
    assert_eq!(outcome.exit, Exit::TimedOut);
    assert!(started.elapsed() < Duration::from_secs(15), "{:?}", started.elapsed());
}

async fn a_memory_bomb_is_killed(sandbox: Arc<dyn Sandbox>, _: Way) {
    memory_is_bounded(&sandbox, "own", 1 << 30).await;
}

async fn shared_memory_counts(sandbox: Arc<dyn Sandbox>, _: Way) {
    memory_is_bounded(&sandbox, "shared", 256 << 20).await;
}

async fn many_processes_count_together(sandbox: Arc<dyn Sandbox>, _: Way) {
    memory_is_bounded(&sandbox, "many", 1 << 30).await;
}

async fn memory_of_other_threads_counts(sandbox: Arc<dyn Sandbox>, _: Way) {
    memory_is_bounded(&sandbox, "thread", 256 << 20).await;
}

/// Watched memory may be overshot by what is filled between two looks.
const OVERSHOOT: u64 = 128 << 20;

async fn memory_is_bounded(sandbox: &Arc<dyn Sandbox>, kind: &str, memory_bytes: u64) {
    let outcome = run(sandbox, limited(&["memory", kind], |limits| limits.memory_bytes = memory_bytes)).await;
    assert_eq!(outcome.exit, Exit::OutOfMemory, "{outcome:?}");
    assert!(stdout(&outcome).starts_with("filling\n"));
    let peak = outcome.peak_memory_bytes.expect("a peak");
    assert!(peak <= memory_bytes + OVERSHOOT, "{} MiB", peak >> 20);
    assert!(peak >= memory_bytes / 2, "{} MiB", peak >> 20);
}

async fn the_disk_cannot_be_filled(sandbox: Arc<dyn Sandbox>, _: Way) {
    let outcome =
        run(&sandbox, limited(&["memory", "scratch"], |limits| limits.scratch_bytes = 8 << 20)).await;
    assert_eq!(outcome.exit, Exit::Code(0), "{outcome:?}");
    let text = stdout(&outcome);
    let number = |name: &str| {
        text.lines().find_map(|line| line.strip_prefix(name)?.trim().parse::<u64>().ok()).unwrap()
    };
    assert!(number("filled ") <= 8 << 20, "{text}");
    assert!(number("files ") < 4096, "{text}");
    for (name, result) in attempts(&outcome) {
        assert!(result.is_err(), "{name} {result:?}");
    }
}

async fn a_flood_of_output_is_stopped(sandbox: Arc<dyn Sandbox>, _: Way) {
    for output_bytes in [1, 1 << 20] {
        let outcome = run(&sandbox, limited(&["flood"], |limits| limits.output_bytes = output_bytes)).await;
        assert_eq!(outcome.exit, Exit::TooMuchOutput);
        assert!(outcome.truncated);
        assert_eq!((outcome.stdout.len() + outcome.stderr.len()) as u64, output_bytes);
    }
}

async fn links_lead_nowhere(sandbox: Arc<dyn Sandbox>, way: Way) {
    let victim = tempfile::NamedTempFile::new_in(env!("CARGO_TARGET_TMPDIR")).unwrap();
    fs::write(victim.path(), "of the host").unwrap();
    let outcome = run(&sandbox, job(&["links", &victim.path().to_string_lossy()])).await;
    assert_eq!(outcome.exit, Exit::Code(0), "{outcome:?}");
    for (name, result) in attempts(&outcome) {
        match name.as_str() {
            "output" => assert!(result.unwrap().starts_with("pipe:")),
            // A pipe of its own, which nobody reads twice.
            "input" if way == Way::Docker => {}
            // Process 1 is the program itself there.
            "memory of 1" if way == Way::Docker => {}
            _ => assert!(result.is_err(), "{name} {result:?}"),
        }
    }
    assert_eq!(fs::read(victim.path()).unwrap(), b"of the host");
}

async fn the_hosts_files_are_not_there(sandbox: Arc<dyn Sandbox>, way: Way) {
    let own = std::env::current_exe().unwrap();
    let own = own.to_string_lossy();
    let mut words = vec![
        "read",
        "/etc/passwd",
        "/etc/shadow",
        "/root/.ssh/id_ed25519",
        "/var/run/docker.sock",
        "/proc/1/environ",
        "/proc/kcore",
        "/proc/self/map_files",
        "/dev/sda",
        "/dev/vda",
        "/dev/mem",
        "/dev/kmsg",
        "/home",
        "/usr/bin/env",
        &own,
    ];
    if way != Way::Docker {
        // Docker gives a box names of its own to resolve, and the kernel's public figures.
        words.extend([
            "/etc/hosts",
            "/etc/resolv.conf",
            "/proc/meminfo",
            "/proc/cmdline",
            "/proc/sys/kernel/hostname",
            "/sys/kernel/mm",
        ]);
    }
    let outcome = run(&sandbox, job(&words)).await;
    let attempts = attempts(&outcome);
    assert_eq!(attempts.len(), words.len() - 1, "{attempts:?}");
    for (name, result) in attempts {
        // In Docker the program is process 1, and reads its own environment.
        assert!(result.is_err() || (way == Way::Docker && name == "/proc/1/environ"), "{name} {result:?}");
    }
}

async fn signals_stay_inside(sandbox: Arc<dyn Sandbox>, way: Way) {
    let mut victim = std::process::Command::new(escapist())
        .arg("sleep")
        .stdout(std::process::Stdio::null())
        .spawn()
        .unwrap();
    let (victim_pid, own_pid) = (victim.id().to_string(), std::process::id().to_string());
    let outcome = run(&sandbox, job(&["signals", &victim_pid, &own_pid, "1"])).await;
    let attempts = attempts(&outcome);
    for pid in [&victim_pid, &own_pid] {
        assert_eq!(attempts[&format!("kill {pid}")], Err(3), "there is no such process in the box");
    }
    assert!(stdout(&outcome).ends_with("alive\n"), "{outcome:?}");
    assert_eq!(outcome.exit, Exit::Code(0), "{outcome:?}");
    assert!(victim.try_wait().unwrap().is_none(), "it was killed");
    victim.kill().unwrap();
    victim.wait().unwrap();
    let seen = stdout(&run(&sandbox, job(&["processes"])).await);
    assert_eq!(seen, if way == Way::Docker { "processes [1]\n" } else { "processes [1, 2]\n" });
}

async fn proc_and_sys_cannot_be_written(sandbox: Arc<dyn Sandbox>, _: Way) {
    let words = [
        "write",
        "/proc/sys/kernel/core_pattern",
        "/proc/sys/kernel/hostname",
        "/proc/sys/net/ipv4/ip_forward",
        "/proc/sysrq-trigger",
        "/proc/sys/vm/overcommit_memory",
        "/proc/1/mem",
        "/proc/self/uid_map",
        "/proc/self/setgroups",
        "/sys/kernel/uevent_helper",
        "/sys/fs/cgroup/cgroup.procs",
        "/sys/fs/cgroup/memory/memory.limit_in_bytes",
        "/sys/power/state",
        "/dev/kmsg",
        "/dev/mem",
    ];
    let outcome = run(&sandbox, job(&words)).await;
    let attempts = attempts(&outcome);
    assert_eq!(attempts.len(), words.len() - 1, "{attempts:?}");
    for (name, result) in attempts {
        assert!(result.is_err(), "{name} {result:?}");
    }
}

async fn rights_cannot_be_had_back(sandbox: Arc<dyn Sandbox>, _: Way) {
    let outcome = run(&sandbox, job(&["calls"])).await;
    let attempts = attempts(&outcome);
    assert_eq!(outcome.exit, Exit::Code(0), "{outcome:?}");
    assert!(attempts.len() > 10, "{attempts:?}");
    for (name, result) in attempts {
        assert_eq!(result, Err(1), "{name}");
    }
}

async fn the_wall_clock_ends_it(sandbox: Arc<dyn Sandbox>, _: Way) {
    let outcome = run(&sandbox, limited(&["sleep"], |limits| limits.wall = Duration::from_millis(300))).await;
    assert_eq!(outcome.exit, Exit::TimedOut);
    assert_eq!(stdout(&outcome), "sleeping\n", "what it stdout before is kept");
    assert!(
        outcome.duration >= Duration::from_millis(300) && outcome.duration < Duration::from_secs(15),
        "{outcome:?}"
    );
}

/// Four threads that want all of the CPU time for half a second get as much as one CPU gives.
async fn the_processors_are_limited(sandbox: Arc<dyn Sandbox>, _: Way) {
    let outcome = run(&sandbox, job(&["spin"])).await;
    assert_eq!(outcome.exit, Exit::Code(0), "{outcome:?}");
    let (cpu, wall) = (outcome.cpu_time.expect("CPU time"), outcome.duration);
    // A period of the kernel's accounting more or less.
    assert!(cpu <= wall + Duration::from_millis(200), "{cpu:?} in {wall:?}");
}

async fn who_is_left_behind_dies(sandbox: Arc<dyn Sandbox>, _: Way) {
    let started = Instant::now();
    let outcome = run(&sandbox, job(&["leave"])).await;
    assert_eq!(outcome.exit, Exit::Code(0), "{outcome:?}");
    assert!(stdout(&outcome).contains("left\n"));
    assert!(started.elapsed() < Duration::from_secs(15));
}

async fn each_limit_says_what_is_in_force(sandbox: Arc<dyn Sandbox>, way: Way) {
    let outcome = run(
        &sandbox,
        limited(&["copy"], |limits| {
            limits.memory_bytes = 128 << 20;
            limits.processes = 9;
            limits.scratch_bytes = 4 << 20;
            limits.output_bytes = 12_345;
            limits.wall = Duration::from_secs(17);
        }),
    )
    .await;
    let value = |name: &str| {
        let entry = outcome.in_force.iter().find(|entry| entry.name == name);
        entry.unwrap_or_else(|| panic!("{name} is not in {:?}", outcome.in_force)).value.clone()
    };
    for (name, expected) in [
        ("memory_bytes", "134217728"),
        ("processes", "9"),
        ("scratch_bytes", "4194304"),
        ("output_bytes", "12345"),
        ("cpus", "1"),
        ("wall_ms", "17000"),
        ("root", "read-only"),
        ("no_new_privs", "1"),
        ("network", "interfaces: lo"),
        ("capabilities", "0000000000000000 0000000000000000"),
        ("open_files_per_process", "256"),
        ("core_bytes", "0"),
    ] {
        assert_eq!(value(name), expected, "{name}");
    }
    assert!(value("seccomp").starts_with("2 "));
    if way == Way::WithoutCgroups {
        let mechanism =
            |name: &str| outcome.in_force.iter().find(|entry| entry.name == name).unwrap().mechanism.clone();
        assert!(mechanism("memory_bytes").starts_with("watched"));
        assert!(mechanism("processes").starts_with("RLIMIT_NPROC"));
        assert!(mechanism("cpus").starts_with("sched_setaffinity"));
        // What has no mechanism is refused.
        let error = sandbox.run(limited(&["copy"], |limits| limits.cpus = 0.5)).await.unwrap_err();
        assert!(matches!(error, sandbox::Error::NoMechanism { limit: "cpus", .. }), "{error}");
    } else if way == Way::Docker {
        let outcome = run(&sandbox, limited(&["copy"], |limits| limits.cpus = 0.5)).await;
        assert!(
            outcome.in_force.iter().any(|entry| entry.name == "cpus" && entry.value == "0.5"),
            "{:?}",
            outcome.in_force
        );
    }
}

async fn a_program_that_is_not_there_is_an_error(sandbox: Arc<dyn Sandbox>, _: Way) {
    let mut missing = job(&["copy"]);
    missing.command.program = "/nowhere/program".into();
    let error = sandbox.run(missing).await.unwrap_err();
    assert!(matches!(error, sandbox::Error::CannotStart { .. }), "{error}");
    let mut text = job(&["copy"]);
    text.command.program = concat!(env!("CARGO_MANIFEST_DIR"), "/Cargo.toml").into();
    let error = sandbox.run(text).await.unwrap_err();
    assert!(matches!(error, sandbox::Error::CannotStart { .. }), "{error}");
}
