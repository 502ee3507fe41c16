//! Why the capture of a protection does not show that the replay fails.

use std::fmt;

use super::http::NotRead;

/// Why a capture does not show a protection.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum NotShown {
    /// What names the user is nothing that can be judged.
    UnknownAuth,
    /// The planned capture is not there.
    NoCapture(String),
    /// The capture is of another interface.
    OtherInterface,
    /// Frames of the capture are not between the gateway and its two clients.
    ForeignFrames(u64),
    /// TCP connections with payload are not TLS.
    NotTls { count: u64, with_data: u64 },
    /// TLS records did not open.
    NotOpened(u64),
    /// A value can be read without a key.
    Readable { what: &'static str, times: u64 },
    /// The search with keys did not find a value: that it finds none without proves nothing.
    NotFound(&'static str),
    /// There are more or fewer connections than the owner and the intruder were to open.
    Connections { planned: usize, seen: usize },
    /// A connection is not the planned one.
    Connection { stream: u32, why: Unplanned },
}

/// Why a connection of a protection is not the planned one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Unplanned {
    /// It was not captured whole, or has other ends.
    Ends,
    Request(NotRead),
    Answer(NotRead),
    /// The request is another one.
    Other,
    /// The client has other credentials than planned.
    Credential,
    /// The answer has another status.
    Status,
    /// The answer has other contents.
    Content,
}

impl fmt::Display for NotShown {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::UnknownAuth => f.write_str("it is none that can be judged"),
            Self::NoCapture(name) => write!(f, "{name} is missing"),
            Self::OtherInterface => f.write_str("its capture is of another interface than the planned one"),
            Self::ForeignFrames(count) => {
                write!(f, "{count} frame(s) of its capture are not between the gateway and its clients")
            }
            Self::NotTls { count, with_data } => write!(f, "{count} of {with_data} TCP streams are not TLS"),
            Self::NotOpened(count) => write!(f, "the key log does not open {count} TLS record(s)"),
            Self::Readable { what, times } => write!(f, "{what} can be read {times} time(s) without a key"),
            Self::NotFound(what) => {
                write!(f, "the search does not find {what} with the keys either, so it would find nothing")
            }
            Self::Connections { planned, seen } => {
                write!(f, "the owner and the intruder opened {seen} connection(s), not {planned}")
            }
            Self::Connection { stream, why } => write!(f, "tcp.stream {stream}: {why}"),
        }
    }
}

impl fmt::Display for Unplanned {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Ends => f.write_str("it is not between the planned client and the gateway"),
            Self::Request(why) => write!(f, "the request is not read: {why}"),
            Self::Answer(why) => write!(f, "the answer is not read: {why}"),
            Self::Other => f.write_str("its request is not the next one in the plan"),
            Self::Credential => f.write_str("its client has not the planned credentials"),
            Self::Status => f.write_str("its answer has another status than the planned one"),
            Self::Content => f.write_str("its answer does not hold what it must"),
        }
    }
}
