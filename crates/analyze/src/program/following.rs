//! `--follow`: prints a line for each message of a capture that another program is writing, until the capture is over.

use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};
use std::sync::mpsc::{self, Receiver, RecvTimeoutError, SyncSender};
use std::thread;
use std::time::{Duration, Instant};

use crate::follow::{Completed, Messages, console};
use anyhow::{Context, Result, bail};
use tempfile::NamedTempFile;

use super::flags::{Flags, Format};

/// Time between two looks at the file.
const INTERVAL: Duration = Duration::from_millis(50);

/// How long the capturer may take to write the manifest after it has renamed the capture.
const WAIT_FOR_MANIFEST: Duration = Duration::from_secs(10);

/// How long standard input is still read after a signal: its writer has got the same one, and writes what it has left.
const WAIT_FOR_END: Duration = Duration::from_secs(1);

/// Bytes of standard input read at once, and how many such pieces may wait.
const PIECE: usize = 64 << 10;
const MAX_PIECES: usize = 16;

/// A capture that is over.
pub(crate) enum Followed {
    /// A file, under its final name.
    File(PathBuf),
    /// Standard input, and the file that it was written to.
    StandardInput(NamedTempFile),
}

/// What happens while a capture is followed.
enum Event {
    /// SIGINT or SIGTERM.
    Signal,
    /// Bytes of standard input.
    Piece(Vec<u8>),
    /// The end of standard input.
    End(io::Result<()>),
}

/// Follows the capture that the flags name until it is over.
///
/// # Errors
///
/// The flags name no capture or several, or the capture cannot be opened or was removed. A capture that is damaged is over:
/// the analysis reports why.
pub(crate) fn follow(flags: &Flags) -> Result<Followed> {
    let [path] = &flags.paths[..] else {
        bail!("--follow needs one capture file, or - for standard input");
    };
    if path.is_dir() {
        bail!("{} is a directory; --follow needs one capture file", path.display());
    }
    let (sender, events) = mpsc::sync_channel(MAX_PIECES);
    let signals = Signals::listen(sender.clone())?;
    let lines = Lines { prints: flags.format == Format::Text, printed: 0, is_closed: false };
    let quiet = flags.follow_for.map(Duration::from_secs);
    let followed = match path == Path::new("-") {
        true => follow_standard_input(flags, lines, quiet, sender, &events),
        false => follow_file(flags, path, lines, quiet, &events),
    };
    signals.restore();
    followed
}

fn follow_file(
    flags: &Flags,
    path: &Path,
    mut lines: Lines,
    quiet: Option<Duration>,
    events: &Receiver<Event>,
) -> Result<Followed> {
    let finished = finished_name(path);
    if !path.exists() && finished.exists() {
        return Ok(Followed::File(finished)); // it was over before
    }
    let beside = finished.with_extension("keys");
    let keys = flags.sent.keys.as_deref().map_or((&*beside, false), |given| (given, true));
    let mut messages = Messages::of_file(path, Some(keys))?.with_server_keys(&flags.sent.server_keys)?;
    let mut grew_at = Instant::now();
    let mut is_last = false;
    loop {
        match messages.read(&mut |completed| lines.print(completed)) {
            Ok(0) => {}
            Ok(_) => grew_at = Instant::now(),
            Err(_) => break, // the analysis reports it
        }
        if is_last || lines.is_closed {
            break;
        }
        // What was written before the end is read once more.
        is_last = !path.exists()
            || quiet.is_some_and(|quiet| grew_at.elapsed() >= quiet)
            || !is_last && next(events, INTERVAL).is_some();
    }
    messages.finish(&mut |completed| lines.print(completed));
    lines.end();
    if path.exists() {
        return Ok(Followed::File(path.to_owned()));
    }
    if finished == path || !finished.exists() {
        bail!("{} was removed while it was followed", path.display());
    }
    wait_for_manifest(path, events);
    Ok(Followed::File(finished))
}

/// The capturer writes `NAME.partial.pcap` and, when it is done, renames it to `NAME.pcap`.
fn finished_name(path: &Path) -> PathBuf {
    match path.file_name().and_then(|name| name.to_str()) {
        Some(name) => path.with_file_name(name.replacen(".partial", "", 1)),
        None => path.to_owned(),
    }
}

/// The capturer renames the capture, writes the manifest, and then removes the manifest of the unfinished capture.
fn wait_for_manifest(partial: &Path, events: &Receiver<Event>) {
    let unfinished = partial.with_extension("manifest.json");
    let since = Instant::now();
    while unfinished.exists() && since.elapsed() < WAIT_FOR_MANIFEST && next(events, INTERVAL).is_none() {}
}

fn follow_standard_input(
    flags: &Flags,
    mut lines: Lines,
    quiet: Option<Duration>,
    sender: SyncSender<Event>,
    events: &Receiver<Event>,
) -> Result<Followed> {
    let mut spool = tempfile::Builder::new()
        .prefix("analyze-")
        .suffix(".pcap")
        .tempfile()
        .context("cannot create a temporary file for standard input")?;
    thread::spawn(move || read_standard_input(&sender));
    let keys = flags.sent.keys.as_deref().map(|keys| (keys, true));
    let mut messages = Messages::of_pieces(keys).with_server_keys(&flags.sent.server_keys)?;
    let mut grew_at = Instant::now();
    let mut signal_at: Option<Instant> = None;
    loop {
        match next(events, INTERVAL) {
            Some(Event::Piece(piece)) => {
                grew_at = Instant::now();
                let what = || format!("cannot write standard input to {}", spool.path().display());
                spool.as_file().write_all(&piece).with_context(what)?;
                if messages.push(&piece, &mut |completed| lines.print(completed)).is_err() {
                    break; // the analysis reports it
                }
            }
            Some(Event::End(ended)) => {
                ended.context("cannot read standard input")?;
                break;
            }
            Some(Event::Signal) => signal_at = Some(Instant::now()),
            None => {}
        }
        let _ = messages.read(&mut |completed| lines.print(completed));
        let is_quiet = quiet.is_some_and(|quiet| grew_at.elapsed() >= quiet);
        let has_signal = signal_at.is_some_and(|at| at.elapsed() >= WAIT_FOR_END);
        if is_quiet || has_signal || lines.is_closed {
            break;
        }
    }
    messages.finish(&mut |completed| lines.print(completed));
    lines.end();
    spool.as_file_mut().flush().context("cannot write standard input to a temporary file")?;
    Ok(Followed::StandardInput(spool))
}

fn read_standard_input(sender: &SyncSender<Event>) {
    let mut input = io::stdin().lock();
    let mut buffer = vec![0; PIECE];
    let ended = loop {
        match input.read(&mut buffer) {
            Ok(0) => break Ok(()),
            Ok(len) if sender.send(Event::Piece(buffer[..len].to_vec())).is_err() => return,
            Ok(_) => {}
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => break Err(error),
        }
    };
    let _ = sender.send(Event::End(ended)); // an error: the following is over
}

/// The next event, if there is one within this time.
fn next(events: &Receiver<Event>, within: Duration) -> Option<Event> {
    match events.recv_timeout(within) {
        Ok(event) => Some(event),
        Err(RecvTimeoutError::Timeout) => None,
        Err(RecvTimeoutError::Disconnected) => {
            thread::sleep(within); // nothing sends events on this system
            None
        }
    }
}

/// Prints the lines.
struct Lines {
    /// Whether lines are wanted.
    prints: bool,
    printed: u64,
    /// Whether the reader of stdout has closed it.
    is_closed: bool,
}

impl Lines {
    fn print(&mut self, completed: &Completed) {
        if self.prints && !self.is_closed {
            self.printed += 1;
            self.write(&format!("{}\n", console::line(completed)));
        }
    }

    /// Divides the lines from the result.
    fn end(&mut self) {
        if self.printed > 0 {
            self.write("\n");
        }
    }

    fn write(&mut self, text: &str) {
        let mut stdout = io::stdout().lock();
        self.is_closed = stdout.write_all(text.as_bytes()).and_then(|()| stdout.flush()).is_err();
    }
}

/// The signals that end the following. They no longer end the process until [`Signals::restore`].
struct Signals {
    #[cfg(unix)]
    set: nix::sys::signal::SigSet,
}

impl Signals {
    /// Starts receiving. Called before other threads start, because they inherit which signals are blocked.
    #[cfg(unix)]
    fn listen(sender: SyncSender<Event>) -> Result<Self> {
        use nix::sys::signal::{SigSet, Signal};
        let set: SigSet = [Signal::SIGINT, Signal::SIGTERM].into_iter().collect();
        set.thread_block().context("cannot receive signals")?;
        thread::spawn(move || {
            if set.wait().is_ok() {
                let _ = sender.send(Event::Signal); // an error: the following is over
            }
        });
        Ok(Self { set })
    }

    #[cfg(not(unix))]
    fn listen(_sender: SyncSender<Event>) -> Result<Self> {
        Ok(Self {})
    }

    /// From here on the signals end the process.
    fn restore(&self) {
        #[cfg(unix)]
        let _ = self.set.thread_unblock();
    }
}
