//! Progress on stderr: on a terminal only, and from the first second of a run on.

use std::fs;
use std::io::{self, IsTerminal as _};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

use crate::output::{layout, safe_text};

/// A run that takes less shows nothing.
const PATIENCE: Duration = Duration::from_secs(1);

/// Columns of the name of a capture.
const NAME: usize = 30;

/// Where the length of all captures is known. It fits in 80 columns.
const WITH_LENGTH: &str = "{msg} {bar:12} {percent:>3} % {bytes_per_sec:>12} {eta:>4} left";

/// For standard input, and for compressed captures, whose contents are longer than their files.
const WITHOUT_LENGTH: &str = "{msg} {bytes:>11} {bytes_per_sec:>12}";

/// The progress over all captures of a run.
pub(super) struct Progress {
    bar: ProgressBar,
    started: Instant,
    is_wanted: bool,
    is_shown: bool,
    captures: usize,
    /// Number of captures that were begun, and bytes of those before the current one.
    begun: usize,
    before: u64,
    current: u64,
}

impl Progress {
    /// The progress over these captures; `None` is standard input.
    pub(super) fn new(quiet: bool, captures: &[Option<PathBuf>]) -> Self {
        let total: Option<u64> = captures.iter().map(|path| length(path.as_deref()?)).sum();
        let bar = ProgressBar::with_draw_target(total, ProgressDrawTarget::hidden());
        let template = if total.is_some() { WITH_LENGTH } else { WITHOUT_LENGTH };
        if let Ok(style) = ProgressStyle::with_template(template) {
            bar.set_style(style);
        }
        Self {
            bar,
            started: Instant::now(),
            is_wanted: !quiet && io::stderr().is_terminal(),
            is_shown: false,
            captures: captures.len(),
            begun: 0,
            before: 0,
            current: 0,
        }
    }

    /// Begins the next capture.
    pub(super) fn begin(&mut self, name: &str) {
        self.begun += 1;
        self.before += self.current;
        self.current = 0;
        let name = layout::middle(&safe_text::safe(name), NAME);
        let message = match self.captures {
            1 => name,
            captures => format!("{} of {captures}  {name}", self.begun),
        };
        self.bar.set_message(message);
    }

    /// So many bytes of the capture are read.
    pub(super) fn at(&mut self, bytes: u64) {
        if !self.is_wanted {
            return;
        }
        self.current = bytes;
        if !self.is_shown && self.started.elapsed() >= PATIENCE {
            self.is_shown = true;
            self.bar.set_draw_target(ProgressDrawTarget::stderr_with_hz(10));
        }
        self.bar.set_position(self.before + bytes);
    }

    /// Nothing follows.
    pub(super) fn end(self) {
        self.bar.finish_and_clear();
    }
}

/// The number of bytes that will be read, if the file states it.
fn length(path: &Path) -> Option<u64> {
    let is_compressed = path.extension().is_some_and(|extension| extension == "gz" || extension == "zst");
    let metadata = fs::metadata(path).ok().filter(|_| !is_compressed)?;
    metadata.is_file().then_some(metadata.len())
}
