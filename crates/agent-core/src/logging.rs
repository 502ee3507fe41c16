//! Logs go to stderr: stdout belongs to the result.

use tracing::level_filters::LevelFilter;

/// Sends the program's log to stderr: warnings only when `quiet`, else information, and with `verbose` (the number of
/// `-v`) debugging and then tracing. Call it once.
pub fn init(verbose: u8, quiet: bool) {
    use std::io::IsTerminal;

    let level = match (quiet, verbose) {
        (true, _) => LevelFilter::WARN,
        (false, 0) => LevelFilter::INFO,
        (false, 1) => LevelFilter::DEBUG,
        (false, _) => LevelFilter::TRACE,
    };
    let colour =
        std::io::stderr().is_terminal() && std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty());
    tracing_subscriber::fmt().with_writer(std::io::stderr).with_max_level(level).with_ansi(colour).init();
}
