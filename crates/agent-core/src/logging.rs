//! Logs go to stderr: stdout belongs to the result.

use tracing::level_filters::LevelFilter;

/// Sends the program's log to stderr: warnings only when `quiet`, else information, and with `verbose` (the number of
/// `-v`) debugging and then tracing. Call it once.
pub fn init(verbose: u8, quiet: bool) {
    let level = match (quiet, verbose) {
        (true, _) => LevelFilter::WARN,
        (false, 0) => LevelFilter::INFO,
        (false, 1) => LevelFilter::DEBUG,
        (false, _) => LevelFilter::TRACE,
    };
    let colour = anstream::AutoStream::choice(&std::io::stderr()) != anstream::ColorChoice::Never;
    tracing_subscriber::fmt().with_writer(std::io::stderr).with_max_level(level).with_ansi(colour).init();
}
