//! Escape attempts from inside a box, against each backend.
#![cfg(target_os = "linux")]

mod common;

use std::collections::BTreeMap;
use std::fs;
use std::net::{TcpListener, UdpSocket};
use std::sync::Arc;
use std::time::{Duration, Instant};

use common::{Way, escapist, job, run, stdout};
use sandbox::{Exit, Job, Limits, Outcome, Sandbox};

/// Runs each test against each backend.
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
    returns_output_and_status,
    sends_stdout_while_the_command_runs,
    sees_nothing_of_the_host,
    no_packet_leaves_the_box,
    limits_a_fork_bomb,
    kills_a_box_over_its_memory,
    counts_shared_memory,
    counts_memory_of_all_processes,
    counts_memory_after_the_first_thread_ended,
    limits_bytes_and_files_in_tmp,
    kills_a_box_over_its_output,
    links_cannot_reach_files_of_the_host,
    files_of_the_host_are_absent,
    signals_do_not_reach_the_host,
    proc_and_sys_are_read_only,
    kills_a_box_over_its_time,
    limits_cpu_time,
    kills_processes_that_outlive_the_command,
    reports_the_limits_in_force,
    a_missing_program_is_an_error,
}

fn against<F: Future<Output = ()>>(way: Way, test: impl FnOnce(Arc<dyn Sandbox>, Way) -> F) {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    runtime.block_on(async {
        if let Some(sandbox) = common::open(way).await {
            test(sandbox, way).await;
        }
    });
}

/// Parses `NAME ok …` and `NAME errno N`, by name.
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

async fn returns_output_and_status(sandbox: Arc<dyn Sandbox>, _: Way) {
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
    // Arguments arrive unchanged: no shell interprets them.
    let odd = ["state", "$(id)", "a b", "", "'\"\\", "*"];
    let outcome = run(&sandbox, job(&odd)).await;
    assert!(stdout(&outcome).contains(r#""$(id)", "a b", "", "'\"\\", "*"]"#), "{}", stdout(&outcome));
    let aborted = run(&sandbox, job(&["abort"])).await;
    assert!(matches!(aborted.exit, Exit::Signal(4..=11)), "{:?}", aborted.exit);
}

async fn sends_stdout_while_the_command_runs(sandbox: Arc<dyn Sandbox>, _: Way) {
    // The program sleeps until it is killed, so that its line can only arrive while it runs.
    let (live, mut received) = tokio::sync::mpsc::unbounded_channel();
    let running = sandbox.run(Job { stdout: Some(live), ..job(&["sleep"]) });
    tokio::pin!(running);
    let mut line = Vec::new();
    while line != b"sleeping\n" {
        tokio::select! {
            Some(piece) = received.recv() => line.extend(piece),
            outcome = &mut running => panic!("it ended before its line arrived: {outcome:?}"),
        }
    }

    // All pieces together are the whole output, without stderr, also if it reaches its limit.
    let words = "많은 단어 ".repeat(20_000).into_bytes();
    let limit = |bytes: u64| move |limits: &mut Limits| limits.output_bytes = bytes;
    for bytes in [1 << 20, 100_000] {
        let (live, mut received) = tokio::sync::mpsc::unbounded_channel();
        let asked = Job { stdin: words.clone(), stdout: Some(live), ..limited(&["copy"], limit(bytes)) };
        let outcome = run(&sandbox, asked).await;
        let mut pieces = Vec::new();
        while let Some(piece) = received.recv().await {
            pieces.extend(piece);
        }
        assert!(pieces == outcome.stdout, "{} bytes of {}", pieces.len(), outcome.stdout.len());
        assert_eq!(outcome.truncated, bytes < words.len() as u64, "{:?}", outcome.exit);
    }
}

async fn sees_nothing_of_the_host(sandbox: Arc<dyn Sandbox>, way: Way) {
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

async fn no_packet_leaves_the_box(sandbox: Arc<dyn Sandbox>, _: Way) {
    // Sockets of the host that must receive nothing.
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
    // A datagram to the box's own loopback does not leave the box.
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
    assert!(listener.accept().is_err(), "a connection arrived");
    assert!(udp.recv(&mut [0; 16]).is_err(), "a datagram arrived");
}

async fn limits_a_fork_bomb(sandbox: Arc<dyn Sandbox>, _: Way) {
    let outcome = run(&sandbox, limited(&["fork-count"], |limits| limits.processes = 12)).await;
    let text = stdout(&outcome);
    assert!(text.contains("processes 12\n") && text.contains("more errno 11\n"), "{text}");
    let started = Instant::now();
    let outcome =
        run(&sandbox, limited(&["fork-bomb"], |limits| limits.wall = Duration::from_millis(500))).await;
    assert_eq!(outcome.exit, Exit::TimedOut);
    assert!(started.elapsed() < Duration::from_secs(15), "{:?}", started.elapsed());
}

async fn kills_a_box_over_its_memory(sandbox: Arc<dyn Sandbox>, _: Way) {
    memory_is_bounded(&sandbox, "own", 1 << 30).await;
}

async fn counts_shared_memory(sandbox: Arc<dyn Sandbox>, way: Way) {
    if way != Way::WithoutCgroups && !is_weak(&run(&sandbox, job(&["copy"])).await) {
        memory_is_bounded(&sandbox, "shared", 256 << 20).await;
        return;
    }
    // Without a memory cgroup there is none.
    let outcome = run(&sandbox, job(&["memory", "shared"])).await;
    assert_eq!((outcome.exit, stdout(&outcome).as_str()), (Exit::Code(9), "filling\nmmap errno 1\n"));
}

/// Whether no cgroup limits the memory; an ordinary user has none on many machines.
fn is_weak(outcome: &Outcome) -> bool {
    let memory = outcome.in_force.iter().find(|entry| entry.name == "memory_bytes").expect("a limit");
    memory.mechanism.starts_with("weak (allow_weak_memory_limit): watched")
}

async fn counts_memory_of_all_processes(sandbox: Arc<dyn Sandbox>, _: Way) {
    memory_is_bounded(&sandbox, "many", 1 << 30).await;
}

async fn counts_memory_after_the_first_thread_ended(sandbox: Arc<dyn Sandbox>, _: Way) {
    memory_is_bounded(&sandbox, "thread", 256 << 20).await;
}

/// Watched memory can exceed the limit by what a box fills between two measurements.
const OVERSHOOT: u64 = 128 << 20;

async fn memory_is_bounded(sandbox: &Arc<dyn Sandbox>, kind: &str, memory_bytes: u64) {
    let outcome = run(sandbox, limited(&["memory", kind], |limits| limits.memory_bytes = memory_bytes)).await;
    assert_eq!(outcome.exit, Exit::OutOfMemory, "{outcome:?}");
    assert!(stdout(&outcome).starts_with("filling\n"));
    let peak = outcome.peak_memory_bytes.expect("a peak");
    assert!(peak <= memory_bytes + OVERSHOOT, "{} MiB", peak >> 20);
    assert!(peak >= memory_bytes / 2, "{} MiB", peak >> 20);
}

async fn limits_bytes_and_files_in_tmp(sandbox: Arc<dyn Sandbox>, _: Way) {
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

async fn kills_a_box_over_its_output(sandbox: Arc<dyn Sandbox>, _: Way) {
    for output_bytes in [1, 1 << 20] {
        let outcome = run(&sandbox, limited(&["flood"], |limits| limits.output_bytes = output_bytes)).await;
        assert_eq!(outcome.exit, Exit::TooMuchOutput);
        assert!(outcome.truncated);
        assert_eq!((outcome.stdout.len() + outcome.stderr.len()) as u64, output_bytes);
    }
}

async fn links_cannot_reach_files_of_the_host(sandbox: Arc<dyn Sandbox>, way: Way) {
    let victim = tempfile::NamedTempFile::new_in(env!("CARGO_TARGET_TMPDIR")).unwrap();
    fs::write(victim.path(), "of the host").unwrap();
    let outcome = run(&sandbox, job(&["links", &victim.path().to_string_lossy()])).await;
    assert_eq!(outcome.exit, Exit::Code(0), "{outcome:?}");
    for (name, result) in attempts(&outcome) {
        match name.as_str() {
            "output" => assert!(result.unwrap().starts_with("pipe:")),
            // A pipe of its own.
            "input" if way == Way::Docker => {}
            // Process 1 is the program itself.
            "memory of 1" if way == Way::Docker => {}
            _ => assert!(result.is_err(), "{name} {result:?}"),
        }
    }
    assert_eq!(fs::read(victim.path()).unwrap(), b"of the host");
}

async fn files_of_the_host_are_absent(sandbox: Arc<dyn Sandbox>, way: Way) {
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
        // Docker gives a box its own `/etc/hosts`, and public files of the kernel.
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

async fn signals_do_not_reach_the_host(sandbox: Arc<dyn Sandbox>, way: Way) {
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
    assert!(victim.try_wait().unwrap().is_none(), "the process on the host was killed");
    victim.kill().unwrap();
    victim.wait().unwrap();
    let seen = stdout(&run(&sandbox, job(&["processes"])).await);
    assert_eq!(seen, if way == Way::Docker { "processes [1]\n" } else { "processes [1, 2]\n" });
}

async fn proc_and_sys_are_read_only(sandbox: Arc<dyn Sandbox>, _: Way) {
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

async fn kills_a_box_over_its_time(sandbox: Arc<dyn Sandbox>, _: Way) {
    let outcome = run(&sandbox, limited(&["sleep"], |limits| limits.wall = Duration::from_millis(300))).await;
    assert_eq!(outcome.exit, Exit::TimedOut);
    assert_eq!(stdout(&outcome), "sleeping\n", "the output before the end is kept");
    assert!(
        outcome.duration >= Duration::from_millis(300) && outcome.duration < Duration::from_secs(15),
        "{outcome:?}"
    );
}

/// Four busy threads get the time of one CPU in half a second.
async fn limits_cpu_time(sandbox: Arc<dyn Sandbox>, _: Way) {
    let outcome = run(&sandbox, job(&["spin"])).await;
    assert_eq!(outcome.exit, Exit::Code(0), "{outcome:?}");
    let (cpu, wall) = (outcome.cpu_time.expect("CPU time"), outcome.duration);
    // Tolerates one period of the kernel's accounting.
    assert!(cpu <= wall + Duration::from_millis(200), "{cpu:?} in {wall:?}");
}

async fn kills_processes_that_outlive_the_command(sandbox: Arc<dyn Sandbox>, _: Way) {
    let started = Instant::now();
    let outcome = run(&sandbox, job(&["leave"])).await;
    assert_eq!(outcome.exit, Exit::Code(0), "{outcome:?}");
    assert!(stdout(&outcome).contains("left\n"));
    assert!(started.elapsed() < Duration::from_secs(15));
}

async fn reports_the_limits_in_force(sandbox: Arc<dyn Sandbox>, way: Way) {
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
        assert!(is_weak(&outcome), "{}", mechanism("memory_bytes"));
        assert!(mechanism("processes").starts_with("RLIMIT_NPROC"));
        assert!(mechanism("cpus").starts_with("sched_setaffinity"));
        // The backend refuses a limit without a mechanism.
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

async fn a_missing_program_is_an_error(sandbox: Arc<dyn Sandbox>, _: Way) {
    let mut missing = job(&["copy"]);
    missing.command.program = "/nowhere/program".into();
    let error = sandbox.run(missing).await.unwrap_err();
    assert!(matches!(error, sandbox::Error::CannotStart { .. }), "{error}");
    let mut text = job(&["copy"]);
    text.command.program = concat!(env!("CARGO_MANIFEST_DIR"), "/Cargo.toml").into();
    let error = sandbox.run(text).await.unwrap_err();
    assert!(matches!(error, sandbox::Error::CannotStart { .. }), "{error}");
}
