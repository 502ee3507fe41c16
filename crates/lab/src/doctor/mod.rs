//! `lab doctor`: which backends work on this machine, and a remedy for each that does not.

mod table;
mod tools;

use std::io::Write as _;
use std::path::Path;

use anyhow::Context;
use serde::Serialize;

use crate::backend::{NetnsProbe, probe_netns};
use crate::cli::{DoctorArgs, Format};
use crate::machine::{Explanation, Machine};
use crate::programs::{Program, Programs, build_command};

/// The files of certgen that a TLS variant needs.
const CERTIFICATES: [&str; 3] = ["ca.pem", "server.pem", "server.key"];

/// Runs `lab doctor`. Fails only if a check cannot run: the relay needs no privilege, so some backend always works.
pub(crate) fn main(args: &DoctorArgs) -> anyhow::Result<()> {
    let programs = Programs::of_this()?;
    let mut rows = Vec::new();
    rows.push(netns_row(probe_netns(&programs)?));
    rows.push(Row::fine("backend relay", relay_detail()?));
    rows.extend(machine_rows(&Machine::read()));
    rows.push(programs_row(&programs));
    rows.push(certificates_row(&args.certs));
    #[cfg(target_os = "linux")]
    rows.push(cgroups_row());
    rows.extend(tools::rows());
    let text = match args.format {
        Format::Text => table::table(&rows, table::columns()),
        Format::Json => json(&rows)?,
    };
    std::io::stdout().write_all(text.as_bytes()).context("writing to stdout")
}

/// Name and version of the document.
const SCHEMA: &str = "plainsight.doctor/1";

/// A row of the table: one check and its result.
#[derive(Serialize)]
struct Row {
    #[serde(rename = "check")]
    what: &'static str,
    state: State,
    detail: String,
    remedy: Option<String>,
}

#[derive(Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
enum State {
    #[serde(rename = "ok")]
    Fine,
    Refused,
    Missing,
    Note,
}

impl Row {
    fn fine(what: &'static str, detail: impl Into<String>) -> Self {
        Self { what, state: State::Fine, detail: detail.into(), remedy: None }
    }

    fn note(what: &'static str, detail: impl Into<String>) -> Self {
        Self { what, state: State::Note, detail: detail.into(), remedy: None }
    }
}

fn netns_row(netns: NetnsProbe) -> Row {
    const WHAT: &str = "backend netns";
    match netns {
        NetnsProbe::Works { detail, .. } => Row::fine(
            WHAT,
            format!(
                "namespaces, veth pair, offloads off, packet socket and a TCP connection work ({detail})"
            ),
        ),
        NetnsProbe::Refused { error, explanation: Explanation { cause, remedy } } => Row {
            what: WHAT,
            state: State::Refused,
            detail: format!("{error}; {cause}"),
            remedy: Some(remedy),
        },
    }
}

/// Checks that a TCP connection over loopback works, which is all that the relay needs.
fn relay_detail() -> anyhow::Result<String> {
    let listener =
        std::net::TcpListener::bind("127.0.0.1:0").context("backend relay: cannot listen on 127.0.0.1")?;
    let address = listener.local_addr().context("backend relay: cannot listen on 127.0.0.1")?;
    std::net::TcpStream::connect(address).context("backend relay: cannot connect over loopback")?;
    Ok("TCP over loopback works; needs no privilege".to_owned())
}

fn machine_rows(machine: &Machine) -> Vec<Row> {
    let setting = |value: Option<u64>| {
        value.map_or_else(|| "this kernel has no such setting".to_owned(), |value| value.to_string())
    };
    let mut rows = Vec::new();
    if cfg!(target_os = "linux") {
        for (name, value) in [
            ("user.max_user_namespaces", machine.max_user_namespaces),
            ("kernel.unprivileged_userns_clone", machine.unprivileged_userns_clone),
            ("kernel.apparmor_restrict_unprivileged_userns", machine.apparmor_restrict_unprivileged_userns),
        ] {
            rows.push(Row::note(name, setting(value)));
        }
    }
    rows.push(Row::note(
        "container",
        machine.container.clone().unwrap_or_else(|| "none detected".to_owned()),
    ));
    rows
}

fn programs_row(programs: &Programs) -> Row {
    const WHAT: &str = "programs";
    let missing = programs.missing(&Program::ALL);
    if missing.is_empty() {
        return Row::fine(WHAT, Program::ALL.map(Program::name).join(", "));
    }
    let names: Vec<&str> = missing.iter().map(|program| program.name()).collect();
    Row {
        what: WHAT,
        state: State::Missing,
        detail: format!("not built: {}", names.join(", ")),
        remedy: Some(build_command(&missing)),
    }
}

fn certificates_row(folder: &Path) -> Row {
    const WHAT: &str = "certificates";
    let missing: Vec<&str> = CERTIFICATES.into_iter().filter(|name| !folder.join(name).is_file()).collect();
    if missing.is_empty() {
        return Row::fine(WHAT, format!("in {}", folder.display()));
    }
    Row {
        what: WHAT,
        state: State::Note,
        detail: format!(
            "{} lacks {}; the first run over TLS creates them",
            folder.display(),
            missing.join(", ")
        ),
        remedy: None,
    }
}

/// The limits of memory of sandboxes: whether this user may make memory cgroups.
#[cfg(target_os = "linux")]
fn cgroups_row() -> Row {
    const WHAT: &str = "cgroups";
    let root = Path::new("/sys/fs/cgroup");
    let own = std::fs::read_to_string("/proc/self/cgroup").unwrap_or_default();
    let controllers = std::fs::read_to_string(root.join("cgroup.controllers"));
    let (version, folder) = match &controllers {
        Ok(_) => (2, own.lines().find_map(|line| line.strip_prefix("0::/"))),
        // Each line has three fields (cgroups(7)): number, controllers, path.
        Err(_) => (1, own.lines().find_map(|line| line.split_once(":memory:/").map(|(_, path)| path))),
    };
    let has_memory = controllers.map_or(true, |names| names.split_whitespace().any(|name| name == "memory"));
    let Some(folder) = folder.filter(|_| has_memory) else {
        return Row::note(WHAT, "no memory cgroups; the gateway then needs --allow-weak-memory-limit");
    };
    let folder = if version == 1 { root.join("memory").join(folder) } else { root.join(folder) };
    let is_own = nix::unistd::access(&folder, nix::unistd::AccessFlags::W_OK).is_ok();
    let detail = match is_own {
        true => format!("version {version}, this user may make memory cgroups"),
        false => format!(
            "version {version}; this user may not make memory cgroups, so the gateway asks the user's service manager, or \
             needs --allow-weak-memory-limit"
        ),
    };
    Row::note(WHAT, detail)
}

/// The rows as a document.
fn json(rows: &[Row]) -> anyhow::Result<String> {
    let document = serde_json::json!({ "schema": SCHEMA, "checks": rows });
    Ok(serde_json::to_string_pretty(&document).context("the result as JSON")? + "\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn prints_the_remedy_below_the_refusal() {
        let refused = NetnsProbe::Refused {
            error: "creating a user namespace: EPERM".to_owned(),
            explanation: Explanation { cause: "because".to_owned(), remedy: "do this\nor that".to_owned() },
        };
        let rows = [
            netns_row(refused),
            Row::fine("backend relay", "loopback"),
            Row::note("a.long.setting.name", "1"),
        ];
        assert_eq!(
            table::table(&rows, 80),
            "backend netns  refused  creating a user namespace: EPERM; because\n\
             \x20                       remedy: do this\n\
             \x20                       remedy: or that\n\
             backend relay  ok       loopback\n\
             a.long.setting.name\n\
             \x20                       1\n"
        );
        let narrow = table::table(&rows, 50);
        assert!(narrow.contains("namespace:\n                        EPERM; because\n"), "{narrow}");
    }

    #[test]
    fn a_refusal_is_a_check_with_its_remedy() {
        let refused = NetnsProbe::Refused {
            error: "EPERM".to_owned(),
            explanation: Explanation { cause: "because".to_owned(), remedy: "do \u{1b}this".to_owned() },
        };
        let text = json(&[netns_row(refused), Row::note("container", "none")]).unwrap();
        assert!(!text.contains('\u{1b}'));
        let document: serde_json::Value = serde_json::from_str(&text).unwrap();
        assert_eq!(
            document,
            serde_json::json!({ "schema": "plainsight.doctor/1", "checks": [
                { "check": "backend netns", "state": "refused", "detail": "EPERM; because", "remedy": "do \u{1b}this" },
                { "check": "container", "state": "note", "detail": "none", "remedy": null },
            ] })
        );
    }

    #[test]
    fn reports_missing_certificates_as_a_note() {
        let folder = tempfile::tempdir().unwrap();
        assert!(certificates_row(folder.path()).state == State::Note);
        for name in CERTIFICATES {
            std::fs::write(folder.path().join(name), "").unwrap();
        }
        assert!(certificates_row(folder.path()).state == State::Fine);
    }
}
