//! The request to the engine: a container and its limits.

use std::collections::HashMap;

use bollard::models::{ContainerCreateBody, HostConfig, HostConfigLogConfig, ResourcesUlimits};

use super::guard::{GUARD_LABEL, LABEL, OWNER_LABEL};
use super::profile::profile;
use crate::Job;
use crate::owner::Owner;

/// The network of a box.
#[derive(Debug, Clone)]
pub(super) enum Network {
    None,
    /// This network of the engine; `container:NAME` is that container's.
    Named(String),
}

impl Network {
    fn is_a_containers(&self) -> bool {
        matches!(self, Self::Named(name) if name.starts_with("container:"))
    }
}

/// Everything that is decided before the first request to the engine.
pub(super) struct Plan {
    pub(super) name: String,
    pub(super) label: String,
    /// The guard that removes the container when this process is gone.
    pub(super) guard: String,
    pub(super) image: String,
    pub(super) program: String,
    pub(super) network: Network,
    /// The number of the user and group that a program of this machine runs under.
    pub(super) user: u32,
    /// As many as the job asks for, but no more than the machine has: the engine refuses more.
    pub(super) cpus: f64,
    pub(super) job: Job,
}

impl Plan {
    /// The body of the request that creates the container.
    pub(super) fn body(&self) -> ContainerCreateBody {
        let command = &self.job.command;
        ContainerCreateBody {
            image: Some(self.image.clone()),
            entrypoint: Some(vec![self.program.clone()]),
            cmd: Some(command.arguments.clone()),
            env: Some(command.environment.iter().map(|(name, value)| format!("{name}={value}")).collect()),
            // An image names its own user.
            user: command.image.is_none().then(|| format!("{0}:{0}", self.user)),
            // With "none" alone the engine sets up the empty namespace itself, for which the runtime starts the whole
            // engine program again. With this flag the runtime makes the empty namespace: the same result, 0.1 s
            // faster.
            network_disabled: matches!(self.network, Network::None).then_some(true),
            // In another container's network the host name is that container's.
            hostname: (!self.network.is_a_containers()).then(|| "box".into()),
            working_dir: Some("/tmp".into()),
            attach_stdin: Some(true),
            attach_stdout: Some(true),
            attach_stderr: Some(true),
            open_stdin: Some(true),
            stdin_once: Some(true),
            labels: Some(HashMap::from([
                (LABEL.into(), self.label.clone()),
                (OWNER_LABEL.into(), Owner::this().word()),
                (GUARD_LABEL.into(), self.guard.clone()),
            ])),
            host_config: Some(self.host_config()),
            ..ContainerCreateBody::default()
        }
    }

    fn host_config(&self) -> HostConfig {
        let Job { limits, .. } = &self.job;
        let bytes = |value: u64| i64::try_from(value).unwrap_or(i64::MAX);
        let ulimit = |name: &str, value: u64| ResourcesUlimits {
            name: Some(name.into()),
            soft: Some(bytes(value)),
            hard: Some(bytes(value)),
        };
        let tmpfs = format!(
            "rw,exec,nosuid,nodev,mode=1777,size={},nr_inodes={}",
            limits.scratch_bytes,
            limits.scratch_bytes / 4096 + 64
        );
        HostConfig {
            auto_remove: Some(true),
            memory: Some(bytes(limits.memory_bytes)),
            // Memory and swap together, so that there is no swap.
            memory_swap: Some(bytes(limits.memory_bytes)),
            nano_cpus: Some((self.cpus * 1e9).round() as i64),
            pids_limit: Some(bytes(limits.processes)),
            ulimits: Some(vec![
                ulimit("nofile", OPEN_FILES),
                ulimit("fsize", limits.scratch_bytes + 4096),
                ulimit("core", 0),
                ulimit("memlock", LOCKED_BYTES),
                ulimit("msgqueue", 0),
                ulimit("sigpending", PENDING_SIGNALS),
            ]),
            // When memory runs out, the kernel kills boxes before other programs.
            oom_score_adj: Some(1000),
            sysctls: matches!(self.network, Network::None).then(|| {
                SYSCTLS.map(|(name, value)| (name.to_owned(), value.to_owned())).into_iter().collect()
            }),
            masked_paths: Some(MASKED_PATHS.map(String::from).into()),
            network_mode: Some(match &self.network {
                Network::None => "none".into(),
                Network::Named(name) => name.clone(),
            }),
            readonly_rootfs: Some(true),
            tmpfs: Some(HashMap::from([("/tmp".into(), tmpfs)])),
            // Otherwise the box could also write to /dev/shm.
            ipc_mode: Some("none".into()),
            cap_drop: Some(vec!["ALL".into()]),
            security_opt: Some(vec!["no-new-privileges".into(), format!("seccomp={}", profile())]),
            log_config: Some(HostConfigLogConfig { typ: Some("none".into()), config: None }),
            ..HostConfig::default()
        }
    }
}

// As in the namespace backend.
const OPEN_FILES: u64 = 256;
const LOCKED_BYTES: u64 = 64 << 10;
const PENDING_SIGNALS: u64 = 256;

/// What a TCP connection over the box's own loopback may hold, as in the namespace backend; and no ping sockets, which the
/// engine would allow.
const SYSCTLS: [(&str, &str); 4] = [
    ("net.ipv4.tcp_rmem", "4096 16384 65536"),
    ("net.ipv4.tcp_wmem", "4096 16384 65536"),
    ("net.core.somaxconn", "16"),
    ("net.ipv4.ping_group_range", "1 0"),
];

/// What the engine hides by default, and files that tell what happens on the whole machine: through its counters a box could
/// see what other boxes do. The namespace backend's `/proc` has none of them.
const MASKED_PATHS: [&str; 35] = [
    "/proc/acpi",
    "/proc/asound",
    "/proc/kcore",
    "/proc/keys",
    "/proc/latency_stats",
    "/proc/sched_debug",
    "/proc/scsi",
    "/proc/timer_list",
    "/proc/timer_stats",
    "/sys/devices/virtual/powercap",
    "/sys/firmware",
    "/proc/buddyinfo",
    "/proc/cmdline",
    "/proc/consoles",
    "/proc/diskstats",
    "/proc/interrupts",
    "/proc/kallsyms",
    "/proc/key-users",
    "/proc/kpagecount",
    "/proc/loadavg",
    "/proc/locks",
    "/proc/meminfo",
    "/proc/modules",
    "/proc/pagetypeinfo",
    "/proc/partitions",
    "/proc/pressure",
    "/proc/schedstat",
    "/proc/slabinfo",
    "/proc/softirqs",
    "/proc/stat",
    "/proc/swaps",
    "/proc/sys/fs",
    "/proc/uptime",
    "/proc/vmstat",
    "/proc/zoneinfo",
];
