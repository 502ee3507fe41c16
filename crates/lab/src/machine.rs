//! The kernel settings and containers that can refuse namespaces, and a remedy for each refusal.

#[cfg(target_os = "linux")]
use std::fmt::Write as _;
use std::fs;
use std::path::Path;

#[cfg(target_os = "linux")]
use crate::netns::Step;

/// The kernel settings that control user namespaces. `None` means that this kernel has no such setting.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Machine {
    /// Maximum number of user namespaces (`user.max_user_namespaces`).
    pub(crate) max_user_namespaces: Option<u64>,
    /// Debian's setting for ordinary users (`kernel.unprivileged_userns_clone`).
    pub(crate) unprivileged_userns_clone: Option<u64>,
    /// Ubuntu's setting: the kernel creates a namespace but refuses its capabilities
    /// (`kernel.apparmor_restrict_unprivileged_userns`).
    pub(crate) apparmor_restrict_unprivileged_userns: Option<u64>,
    /// The kind of container that this process runs in, if any.
    pub(crate) container: Option<String>,
}

impl Machine {
    pub(crate) fn read() -> Self {
        Self {
            max_user_namespaces: setting("user/max_user_namespaces"),
            unprivileged_userns_clone: setting("kernel/unprivileged_userns_clone"),
            apparmor_restrict_unprivileged_userns: setting("kernel/apparmor_restrict_unprivileged_userns"),
            container: container(),
        }
    }
}

fn setting(name: &str) -> Option<u64> {
    fs::read_to_string(Path::new("/proc/sys").join(name)).ok()?.trim().parse().ok()
}

/// Docker, Podman and systemd leave a file; Kubernetes and LXC leave their name in the cgroup of process 1.
fn container() -> Option<String> {
    if Path::new("/.dockerenv").exists() {
        return Some("docker".to_owned());
    }
    if Path::new("/run/.containerenv").exists() {
        return Some("podman".to_owned());
    }
    if let Ok(kind) = fs::read_to_string("/run/systemd/container") {
        return Some(kind.trim().to_owned());
    }
    let cgroup = fs::read_to_string("/proc/1/cgroup").unwrap_or_default();
    ["kubepods", "docker", "containerd", "libpod", "lxc"]
        .into_iter()
        .find(|kind| cgroup.contains(kind))
        .map(str::to_owned)
}

/// Why the kernel refused a step, as far as the settings show, and how to fix it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Explanation {
    pub(crate) cause: String,
    pub(crate) remedy: String,
}

#[cfg(target_os = "linux")]
pub(crate) fn explain(machine: &Machine, step: Step, errno: Option<i32>, lab: &Path) -> Explanation {
    use nix::libc::{EAFNOSUPPORT, ENOSPC, EOPNOTSUPP, EUSERS};

    let explanation = |cause: &str, remedy: String| Explanation { cause: cause.to_owned(), remedy };
    let denied = matches!(errno, Some(nix::libc::EPERM | nix::libc::EACCES));
    let namespace_step = matches!(
        step,
        Step::UserNamespace | Step::IdMaps | Step::NetworkNamespace | Step::Veth | Step::Links
    );

    if matches!(errno, Some(ENOSPC | EUSERS)) && namespace_step {
        let setting =
            if step == Step::UserNamespace { "user.max_user_namespaces" } else { "user.max_net_namespaces" };
        return explanation(
            &format!("{setting} is 0 or exhausted"),
            format!("sudo sysctl -w {setting}=15000"),
        );
    }
    if denied && machine.unprivileged_userns_clone == Some(0) {
        return explanation(
            "kernel.unprivileged_userns_clone is 0",
            "sudo sysctl -w kernel.unprivileged_userns_clone=1".to_owned(),
        );
    }
    if denied && machine.apparmor_restrict_unprivileged_userns.is_some_and(|value| value != 0) {
        return explanation(
            "kernel.apparmor_restrict_unprivileged_userns is 1: AppArmor allows a user namespace but refuses all \
             capabilities in it (Ubuntu since 23.10)",
            apparmor_remedy(lab),
        );
    }
    if denied && namespace_step {
        if let Some(kind) = &machine.container {
            return explanation(
                &format!(
                    "this process runs in a container ({kind}) whose seccomp profile refuses namespaces"
                ),
                container_remedy(),
            );
        }
        return explanation(
            "a security module or a seccomp filter refuses namespaces to this process",
            "run outside the sandbox, as root, or with `--backend relay`".to_owned(),
        );
    }
    match (step, errno) {
        (Step::Veth, Some(EOPNOTSUPP)) => {
            explanation("the kernel has no veth interfaces", "sudo modprobe veth".to_owned())
        }
        (Step::PacketSocket, Some(EAFNOSUPPORT)) => {
            explanation("the kernel has no packet sockets", "sudo modprobe af_packet".to_owned())
        }
        (Step::Offloads, _) => explanation(
            "the kernel cannot change offloads over netlink, which needs Linux 5.6",
            "use a newer kernel, or `--backend relay`".to_owned(),
        ),
        _ => explanation(
            "none of the kernel settings that the lab knows explains it",
            "use `--backend relay`".to_owned(),
        ),
    }
}

#[cfg(target_os = "linux")]
fn apparmor_remedy(lab: &Path) -> String {
    let mut text = String::from("sudo sysctl -w kernel.apparmor_restrict_unprivileged_userns=0\n");
    let _ = write!(
        text,
        "or, for this program only:\n\
         printf '%s\\n' 'abi <abi/4.0>,' 'profile plainsight-lab {} flags=(unconfined) {{ userns, }}' \\\n\
         \x20 | sudo tee /etc/apparmor.d/plainsight-lab && sudo apparmor_parser -r /etc/apparmor.d/plainsight-lab",
        lab.display()
    );
    text
}

#[cfg(target_os = "linux")]
fn container_remedy() -> String {
    "use `--backend relay`, which needs no privilege;\n\
     or start the container, as root in it, with: docker run --cap-add SYS_ADMIN --cap-add NET_ADMIN …\n\
     or, as an ordinary user in it, with: docker run --security-opt seccomp=unconfined …"
        .to_owned()
}

#[cfg(all(test, target_os = "linux"))]
mod tests {
    use nix::libc::{EACCES, ENOSPC, EPERM};

    use super::*;

    fn explained(machine: &Machine, step: Step, errno: i32) -> Explanation {
        explain(machine, step, Some(errno), Path::new("/somewhere/lab"))
    }

    #[test]
    fn each_known_refusal_has_a_remedy() {
        let none = explained(&Machine::default(), Step::UserNamespace, ENOSPC);
        assert!(none.remedy.contains("sysctl -w user.max_user_namespaces="), "{none:?}");
        let none = explained(&Machine::default(), Step::NetworkNamespace, ENOSPC);
        assert!(none.remedy.contains("sysctl -w user.max_net_namespaces="), "{none:?}");

        let debian = Machine { unprivileged_userns_clone: Some(0), ..Machine::default() };
        let debian = explained(&debian, Step::UserNamespace, EPERM);
        assert!(debian.remedy.contains("kernel.unprivileged_userns_clone=1"), "{debian:?}");

        let ubuntu = Machine { apparmor_restrict_unprivileged_userns: Some(1), ..Machine::default() };
        for (step, errno) in [(Step::IdMaps, EACCES), (Step::NetworkNamespace, EPERM), (Step::Veth, EPERM)] {
            let ubuntu = explained(&ubuntu, step, errno);
            assert!(ubuntu.remedy.contains("apparmor_restrict_unprivileged_userns=0"), "{ubuntu:?}");
            assert!(
                ubuntu
                    .remedy
                    .contains("profile plainsight-lab /somewhere/lab flags=(unconfined) { userns, }")
            );
        }

        let docker = Machine { container: Some("docker".to_owned()), ..Machine::default() };
        let docker = explained(&docker, Step::UserNamespace, EPERM);
        assert!(docker.cause.contains("docker") && docker.remedy.contains("--backend relay"), "{docker:?}");
        assert!(docker.remedy.contains("seccomp=unconfined"), "{docker:?}");
    }

    #[test]
    fn unknown_refusal_suggests_the_relay() {
        let odd = explained(&Machine::default(), Step::Traffic, nix::libc::EIO);
        assert!(odd.remedy.contains("relay"), "{odd:?}");
    }
}
