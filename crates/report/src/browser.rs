//! Runs Chromium or Chrome without a window, to print a page or to draw a picture.

use std::env;
use std::ffi::OsString;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

/// Time limit for one file. One takes a second or two, on a machine under load a hundred times as long.
const TIME_LIMIT: Duration = Duration::from_secs(120);

/// Interval between two checks whether the browser has exited.
const POLL_INTERVAL: Duration = Duration::from_millis(20);

/// Names of Chromium and Chrome in the directories of `PATH`.
const NAMES: [&str; 5] = ["chromium", "chromium-browser", "google-chrome", "google-chrome-stable", "chrome"];

/// Paths of Chrome and Chromium on macOS.
const PLACES: [&str; 2] = [
    "/Applications/Google Chrome.app/Contents/MacOS/Google Chrome",
    "/Applications/Chromium.app/Contents/MacOS/Chromium",
];

/// Pixels of a picture for each unit of its drawing: text is sharp at 200 dots per inch.
const SCALE: u32 = 2;

/// Why a file was not written.
#[derive(Debug, thiserror::Error)]
pub(crate) enum BrowserError {
    #[error(
        "this needs Chromium or Chrome, and neither was found: install one (Debian and Ubuntu: `apt install chromium \
         fonts-noto-cjk`; macOS: `brew install --cask chromium`), or set the variable CHROME to its path"
    )]
    Missing,
    #[error("{} cannot be started: {source}", program.display())]
    Start { program: PathBuf, source: io::Error },
    #[error("{} wrote nothing within {} s", program.display(), TIME_LIMIT.as_secs())]
    Late { program: PathBuf },
    #[error("{} wrote nothing ({status}): {message}", program.display())]
    Failed { program: PathBuf, status: ExitStatus, message: String },
    #[error("{}: {source}", path.display())]
    File { path: PathBuf, source: io::Error },
}

/// An installed browser.
pub(crate) struct Browser {
    program: PathBuf,
}

impl Browser {
    /// The browser that the variable `CHROME` names, or the first that is found.
    ///
    /// # Errors
    /// When no browser is found.
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

    /// Prints a page to a PDF file. `scratch` is an empty folder for the browser's profile and log.
    ///
    /// # Errors
    /// When the browser does not start, does not exit in time, or writes no file.
    pub(crate) fn print(&self, page: &Path, pdf: &Path, scratch: &Path) -> Result<(), BrowserError> {
        let flags = ["--no-pdf-header-footer".into(), "--generate-pdf-document-outline".into()];
        self.write(page, [&flags[..], &[flag("--print-to-pdf=", pdf)]].concat(), pdf, scratch)
    }

    /// Draws an SVG file of this size to a PNG file. `scratch` is an empty folder for the browser's profile and log.
    ///
    /// # Errors
    /// When the browser does not start, does not exit in time, or writes no file.
    pub(crate) fn draw(
        &self,
        svg: &Path,
        (width, height): (u32, u32),
        png: &Path,
        scratch: &Path,
    ) -> Result<(), BrowserError> {
        let flags = [
            "--hide-scrollbars".into(),
            format!("--force-device-scale-factor={SCALE}").into(),
            format!("--window-size={width},{height}").into(),
            flag("--screenshot=", png),
        ];
        self.write(svg, flags.into(), png, scratch)
    }

    /// Opens a page with these flags, with which the browser writes a file and exits.
    fn write(
        &self,
        page: &Path,
        flags: Vec<OsString>,
        written: &Path,
        scratch: &Path,
    ) -> Result<(), BrowserError> {
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
            ])
            .arg(flag("--user-data-dir=", &profile))
            .args(flags)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(fs::File::create(&log).map_err(of_file(&log))?);
        // Chromium refuses to run its sandbox as root.
        if is_owned_by_root(scratch) {
            command.arg("--no-sandbox");
        }
        command.arg(file_url(&page));
        let status = self.run(&mut command)?;
        if !status.success() || !written.is_file() {
            let log = fs::read_to_string(&log).unwrap_or_default();
            let message = log.lines().rev().find(|line| !line.trim().is_empty()).unwrap_or("no message");
            let message = crate::visible::line(message);
            return Err(BrowserError::Failed { program: self.program.clone(), status, message });
        }
        Ok(())
    }

    fn run(&self, command: &mut Command) -> Result<ExitStatus, BrowserError> {
        let started = |source| BrowserError::Start { program: self.program.clone(), source };
        let mut child = command.spawn().map_err(started)?;
        let deadline = Instant::now() + TIME_LIMIT;
        loop {
            if let Some(status) = child.try_wait().map_err(started)? {
                return Ok(status);
            }
            if Instant::now() >= deadline {
                let _ = child.kill();
                let _ = child.wait();
                return Err(BrowserError::Late { program: self.program.clone() });
            }
            std::thread::sleep(POLL_INTERVAL);
        }
    }
}

fn flag(name: &str, value: &Path) -> OsString {
    let mut flag = OsString::from(name);
    flag.push(value);
    flag
}

/// The URL of a file (RFC 8089), percent-encoded (RFC 3986 §2.1).
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
    fn file_urls_are_percent_encoded() {
        assert_eq!(file_url(Path::new("/tmp/a b/보#.html")), "file:///tmp/a%20b/%EB%B3%B4%23.html");
    }
}
