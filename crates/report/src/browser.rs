//! A browser without a window, to print with.

use std::env;
use std::ffi::OsString;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

/// Printing takes a second or two; a machine under load gets a hundred times that.
const DEADLINE: Duration = Duration::from_secs(120);

/// How often it is looked whether it is done.
const LOOK: Duration = Duration::from_millis(20);

/// Names under which Chromium is known on a search path.
const NAMES: [&str; 5] = ["chromium", "chromium-browser", "google-chrome", "google-chrome-stable", "chrome"];

/// Where it is elsewhere.
const PLACES: [&str; 2] = [
    "/Applications/Google Chrome.app/Contents/MacOS/Google Chrome",
    "/Applications/Chromium.app/Contents/MacOS/Chromium",
];

/// Why nothing was printed.
#[derive(Debug, thiserror::Error)]
pub(crate) enum BrowserError {
    #[error(
        "printing takes Chromium or Chrome, and there is none: install it (Debian and Ubuntu: `apt install chromium \
         fonts-noto-cjk`; macOS: `brew install --cask chromium`), or name it in the variable CHROME"
    )]
    Missing,
    #[error("{} cannot be started: {source}", program.display())]
    Start { program: PathBuf, source: io::Error },
    #[error("{} printed nothing within {} s", program.display(), DEADLINE.as_secs())]
    Late { program: PathBuf },
    #[error("{} printed nothing ({status}): {said}", program.display())]
    Failed { program: PathBuf, status: ExitStatus, said: String },
    #[error("{}: {source}", path.display())]
    File { path: PathBuf, source: io::Error },
}

/// A browser that is there.
pub(crate) struct Browser {
    program: PathBuf,
}

impl Browser {
    /// The one that the variable `CHROME` names, else the first that is found.
    ///
    /// # Errors
    /// When there is none.
    pub(crate) fn find() -> Result<Self, BrowserError> {
        if let Some(program) = env::var_os("CHROME").filter(|program| !program.is_empty()) {
            return Ok(Self { program: program.into() });
        }
        let path = env::var_os("PATH").unwrap_or_default();
        let folders: Vec<PathBuf> = env::split_paths(&path).collect();
        let named = NAMES.iter().flat_map(|name| folders.iter().map(move |folder| folder.join(name)));
        let mut candidates = named.chain(PLACES.iter().map(PathBuf::from));
        let program = candidates.find(|program| program.is_file()).ok_or(BrowserError::Missing)?;
        Ok(Self { program })
    }

    /// Prints a page to a PDF file, with `scratch`, an empty folder, for whatever the browser wants to keep.
    ///
    /// # Errors
    /// When it does not start, does not end, or leaves no file.
    pub(crate) fn print(&self, page: &Path, pdf: &Path, scratch: &Path) -> Result<(), BrowserError> {
        let of_file = |path: &Path| {
            let path = path.to_owned();
            move |source| BrowserError::File { path, source }
        };
        let profile = scratch.join("profile");
        fs::create_dir(&profile).map_err(of_file(&profile))?;
        let log = scratch.join("browser.log");
        let page = fs::canonicalize(page).map_err(of_file(page))?;
        let mut command = Command::new(&self.program);
        command
            .args([
                "--headless",
                "--disable-gpu",
                "--disable-quic",
                "--disable-background-networking",
                "--disable-component-update",
                "--disable-extensions",
                "--disable-sync",
                "--no-default-browser-check",
                "--no-first-run",
                "--no-pdf-header-footer",
                "--generate-pdf-document-outline",
            ])
            .arg(flag("--user-data-dir=", &profile))
            .arg(flag("--print-to-pdf=", pdf))
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(fs::File::create(&log).map_err(of_file(&log))?);
        // Chromium refuses its sandbox to root.
        if is_owned_by_root(scratch) {
            command.arg("--no-sandbox");
        }
        command.arg(file_url(&page));
        let status = self.run(&mut command)?;
        if !status.success() || !pdf.is_file() {
            let said = fs::read_to_string(&log).unwrap_or_default();
            let said = said.lines().rev().find(|line| !line.trim().is_empty()).unwrap_or("it said nothing");
            let said = crate::visible::line(said);
            return Err(BrowserError::Failed { program: self.program.clone(), status, said });
        }
        Ok(())
    }

    fn run(&self, command: &mut Command) -> Result<ExitStatus, BrowserError> {
        let started = |source| BrowserError::Start { program: self.program.clone(), source };
        let mut child = command.spawn().map_err(started)?;
        let deadline = Instant::now() + DEADLINE;
        loop {
            if let Some(status) = child.try_wait().map_err(started)? {
                return Ok(status);
            }
            if Instant::now() >= deadline {
                let _ = child.kill();
                let _ = child.wait();
                return Err(BrowserError::Late { program: self.program.clone() });
            }
            std::thread::sleep(LOOK);
        }
    }
}

fn flag(name: &str, value: &Path) -> OsString {
    let mut flag = OsString::from(name);
    flag.push(value);
    flag
}

/// The URL of a file, whatever its name (RFC 8089).
fn file_url(path: &Path) -> String {
    let mut url = String::from("file://");
    for byte in path.as_os_str().as_encoded_bytes() {
        match byte {
            b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'/' | b'-' | b'.' | b'_' | b'~' => {
                url.push(char::from(*byte));
            }
            byte => url.push_str(&format!("%{byte:02X}")),
        }
    }
    url
}

#[cfg(unix)]
fn is_owned_by_root(folder: &Path) -> bool {
    use std::os::unix::fs::MetadataExt as _;
    fs::metadata(folder).is_ok_and(|folder| folder.uid() == 0)
}

#[cfg(not(unix))]
fn is_owned_by_root(_folder: &Path) -> bool {
    false
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn urls_of_files() {
        assert_eq!(file_url(Path::new("/tmp/a b/보#.html")), "file:///tmp/a%20b/%EB%B3%B4%23.html");
    }
}
