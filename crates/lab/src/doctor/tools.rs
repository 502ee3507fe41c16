//! The programs of others that parts of plainsight use, as far as this machine has them. `make lab` needs none of them.

use std::env;
use std::io::{self, Read as _};
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use super::{Row, State};

/// Longest wait for an answer. An engine that does not answer keeps its client waiting.
const TIME_LIMIT: Duration = Duration::from_secs(5);

/// Interval between two checks whether a program has ended.
const POLL_INTERVAL: Duration = Duration::from_millis(5);

/// Longest first line of a program that is shown, in bytes.
const MAX_LINE: u64 = 200;

/// Names of Chromium and Chrome, as `report --pdf` looks for them.
const BROWSERS: [&str; 5] =
    ["chromium", "chromium-browser", "google-chrome", "google-chrome-stable", "chrome"];

/// Paths of the same on macOS.
const BROWSER_PLACES: [&str; 2] = [
    "/Applications/Google Chrome.app/Contents/MacOS/Google Chrome",
    "/Applications/Chromium.app/Contents/MacOS/Chromium",
];

/// Paths of Wireshark on macOS.
const WIRESHARK_PLACES: [&str; 1] = ["/Applications/Wireshark.app/Contents/MacOS/Wireshark"];

/// Programs that show captures.
const WIRESHARK: [&str; 2] = ["wireshark", "tshark"];

/// A row for each.
pub(super) fn rows() -> Vec<Row> {
    // Each may wait for an engine.
    let checks: [fn() -> Row; 3] = [docker, compose, podman];
    let mut rows = thread::scope(|scope| {
        let threads = checks.map(|check| scope.spawn(check));
        threads.map(|thread| thread.join().expect("a check does not panic")).into_iter().collect::<Vec<_>>()
    });
    rows.push(found(
        "browser",
        env::var_os("CHROME").map(PathBuf::from),
        &BROWSERS,
        &BROWSER_PLACES,
        "only `report --pdf` needs one",
    ));
    rows.push(found(
        "wireshark",
        None,
        &WIRESHARK,
        &WIRESHARK_PLACES,
        "only looking at captures by hand needs it",
    ));
    rows
}

fn docker() -> Row {
    const WHAT: &str = "docker";
    match answer("docker", &["version", "--format", "{{.Server.Version}}"]) {
        Ok(version) => Row::fine(WHAT, format!("the engine {version} answers")),
        Err(Silent::NotInstalled) => Row::note(WHAT, "not installed; only experiments in containers need it"),
        Err(Silent::Failed(why)) => Row {
            what: WHAT,
            state: State::Refused,
            detail: format!("the engine does not answer: {why}"),
            remedy: Some(
                "start it (Docker Desktop, or `sudo systemctl start docker`), and be in its group \
                 (`sudo usermod -aG docker $USER`, then log in again)"
                    .to_owned(),
            ),
        },
    }
}

fn compose() -> Row {
    const WHAT: &str = "compose";
    let plugin = || answer("docker", &["compose", "version", "--short"]).map(|it| ("docker compose", it));
    let alone = || answer("docker-compose", &["version", "--short"]).map(|it| ("docker-compose", it));
    match plugin().or_else(|_| alone()) {
        Ok((name, version)) => Row::fine(WHAT, format!("{name} {version}")),
        Err(_) => Row::note(WHAT, "not installed; only experiments in containers need it"),
    }
}

fn podman() -> Row {
    const WHAT: &str = "podman";
    match answer("podman", &["version", "--format", "{{.Client.Version}}"]) {
        Ok(version) => Row::note(WHAT, format!("{version}; the experiments in containers use Docker")),
        Err(Silent::NotInstalled) => Row::note(WHAT, "not installed; nothing needs it"),
        Err(Silent::Failed(why)) => Row::note(WHAT, format!("does not answer: {why}")),
    }
}

/// A row for the first of these programs that is installed.
fn found(
    what: &'static str,
    named: Option<PathBuf>,
    names: &[&str],
    places: &[&str],
    otherwise: &str,
) -> Row {
    let in_path = || names.iter().find_map(|name| installed(name));
    let in_places = || places.iter().map(PathBuf::from).find(|path| path.is_file());
    match named.or_else(in_path).or_else(in_places) {
        Some(path) => Row::fine(what, path.display().to_string()),
        None => Row::note(what, format!("not installed; {otherwise}")),
    }
}

/// The file of a program in the folders of `PATH`.
fn installed(program: &str) -> Option<PathBuf> {
    let path = env::var_os("PATH")?;
    env::split_paths(&path).map(|folder| folder.join(program)).find(|path| path.is_file())
}

/// Why a program gave no answer.
#[derive(Debug)]
enum Silent {
    NotInstalled,
    Failed(String),
}

/// The first line that a program prints.
fn answer(program: &str, arguments: &[&str]) -> Result<String, Silent> {
    let failed = |error: io::Error| Silent::Failed(error.to_string());
    // Looked up here: where this user cannot read a folder of `PATH`, the system reports an absent program as a permission that
    // is denied.
    let file = installed(program).ok_or(Silent::NotInstalled)?;
    let mut child = Command::new(file)
        .args(arguments)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .map_err(failed)?;
    let started = Instant::now();
    let status = loop {
        if let Some(status) = child.try_wait().map_err(failed)? {
            break status;
        }
        if started.elapsed() > TIME_LIMIT {
            // It has printed nothing of use; what it leaves behind ends by itself.
            let _ = child.kill();
            let _ = child.wait();
            return Err(Silent::Failed(format!("no answer within {} s", TIME_LIMIT.as_secs())));
        }
        thread::sleep(POLL_INTERVAL);
    };
    let line = |stream: &mut dyn io::Read| {
        let mut bytes = Vec::new();
        let _ = stream.take(MAX_LINE).read_to_end(&mut bytes);
        let text = String::from_utf8_lossy(&bytes).into_owned();
        text.lines().map(str::trim).find(|line| !line.is_empty()).map(str::to_owned)
    };
    let out = child.stdout.as_mut().and_then(|stream| line(stream));
    match out.filter(|_| status.success()) {
        Some(text) => Ok(text),
        None => {
            let why = child.stderr.as_mut().and_then(|stream| line(stream));
            Err(Silent::Failed(why.unwrap_or_else(|| format!("{program} ended with {status}"))))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_program_answers_is_absent_or_says_why_it_fails() {
        assert_eq!(answer("printf", &["\\n 1.2\\nmore\\n"]).unwrap(), "1.2");
        assert!(matches!(answer("no-such-program-of-plainsight", &[]), Err(Silent::NotInstalled)));
        let failed = answer("sh", &["-c", "echo no engine >&2; exit 1"]);
        assert!(matches!(failed, Err(Silent::Failed(why)) if why == "no engine"));
        let silent = answer("sh", &["-c", "exit 3"]);
        assert!(matches!(silent, Err(Silent::Failed(why)) if why.contains("exit status: 3")));
    }

    #[test]
    fn finds_the_first_program_of_a_list() {
        let row = found("shell", None, &["no-such-program-of-plainsight", "sh"], &[], "");
        assert!(row.detail.ends_with("/sh"), "{}", row.detail);
        let row = found("none", None, &["no-such-program-of-plainsight"], &[], "not needed");
        assert_eq!(row.detail, "not installed; not needed");
    }
}
