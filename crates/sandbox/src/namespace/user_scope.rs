//! A group of its own for this process, by the service manager of an ordinary user.
//!
//! Where systemd runs a manager for the user (`user@UID.service`), the user may have groups with the memory controller, but
//! not in the group of a login session. So this process asks that manager by D-Bus for a scope with `Delegate=yes` and moves
//! there (org.freedesktop.systemd1(5), StartTransientUnit; <https://systemd.io/CGROUP_DELEGATION/>).

use std::process::Stdio;
use std::time::Duration;

use tokio::process::Command;

/// The manager answers within milliseconds.
const DEADLINE: Duration = Duration::from_secs(5);

/// Pause between two looks at whether this process is in its scope.
const PAUSE: Duration = Duration::from_millis(5);

/// Moves this process into a scope of its own. The error is the reason why not.
pub(super) async fn enter() -> Result<(), String> {
    if nix::unistd::geteuid().is_root() {
        return Err("root needs no service manager for it".into());
    }
    if std::env::var_os("XDG_RUNTIME_DIR").is_none() && std::env::var_os("DBUS_SESSION_BUS_ADDRESS").is_none()
    {
        return Err("no service manager of the user: XDG_RUNTIME_DIR is not set".into());
    }
    let pid = std::process::id();
    let scope = format!("plainsight-{pid}.scope");
    let mut call = Command::new("busctl");
    call.args(arguments(&scope, pid)).stdin(Stdio::null()).kill_on_drop(true);
    let output = tokio::time::timeout(DEADLINE, call.output())
        .await
        .map_err(|_| "the user's service manager does not answer".to_owned())?
        .map_err(|error| format!("busctl, to ask the user's service manager: {error}"))?;
    if !output.status.success() {
        let words = String::from_utf8_lossy(&output.stderr);
        return Err(format!("the user's service manager: {}", words.trim()));
    }
    // The answer is a job, which is over when the process has moved.
    let moved = async {
        while !is_member(&scope) {
            tokio::time::sleep(PAUSE).await;
        }
    };
    tokio::time::timeout(DEADLINE, moved)
        .await
        .map_err(|_| format!("the user's service manager did not move this process into {scope}"))
}

fn is_member(scope: &str) -> bool {
    std::fs::read_to_string("/proc/self/cgroup")
        .is_ok_and(|groups| groups.lines().any(|line| line.ends_with(scope)))
}

/// The call of `StartTransientUnit`: name, mode, properties, and no auxiliary units.
fn arguments(scope: &str, pid: u32) -> Vec<String> {
    let manager =
        ["org.freedesktop.systemd1", "/org/freedesktop/systemd1", "org.freedesktop.systemd1.Manager"];
    let pid = pid.to_string();
    let properties = [
        &["PIDs", "au", "1", &pid][..],
        &["Delegate", "b", "true"],
        &["Description", "s", "plainsight and its sandboxes"],
        &["CollectMode", "s", "inactive-or-failed"],
    ];
    let count = properties.len().to_string();
    let mut words = vec!["--user", "--quiet", "call"];
    words.extend(manager);
    words.extend(["StartTransientUnit", "ssa(sv)a(sa(sv))", scope, "fail", &count]);
    words.extend(properties.concat());
    words.push("0");
    words.into_iter().map(String::from).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counts_the_properties_of_the_scope() {
        let words = arguments("a.scope", 7);
        let position = words.iter().position(|word| word == "fail").unwrap();
        assert_eq!(words[position + 1], "4");
        assert_eq!(words[position + 2..position + 6], ["PIDs", "au", "1", "7"]);
        assert_eq!(words.last().unwrap(), "0");
    }
}
