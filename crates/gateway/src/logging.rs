//! Logs go to stderr, one line an event: for people, or as JSON for programs.
//!
//! Every line of a request carries its span, which names the conversation. Callers escape text of users and sandboxes
//! before they log it (`agent_core::text`).

use clap::ValueEnum;
use tracing::level_filters::LevelFilter;

/// The form of the log.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub enum LogFormat {
    /// Lines for people.
    #[default]
    Human,
    /// One JSON object a line: `timestamp`, `level`, `message`, the event's own fields, and in `span` the conversation.
    Json,
}

/// Sends the log to stderr: warnings only when `quiet`, else information, and with `verbose` (the number of `-v`)
/// debugging and then tracing. Call it once.
pub fn init(format: LogFormat, verbose: u8, quiet: bool) {
    let level = match (quiet, verbose) {
        (true, _) => LevelFilter::WARN,
        (false, 0) => LevelFilter::INFO,
        (false, 1) => LevelFilter::DEBUG,
        (false, _) => LevelFilter::TRACE,
    };
    let log = tracing_subscriber::fmt().with_writer(std::io::stderr).with_max_level(level);
    match format {
        LogFormat::Human => {
            let colour = anstream::AutoStream::choice(&std::io::stderr()) != anstream::ColorChoice::Never;
            log.with_ansi(colour).with_target(false).init();
        }
        LogFormat::Json => {
            log.json().flatten_event(true).with_current_span(true).with_span_list(false).init();
        }
    }
}
