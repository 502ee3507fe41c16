//! What every list of frames and messages states: where something goes, and when.

use dissect::flow;
use serde::Serialize;

/// Where a frame goes, seen from the client.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Way {
    /// To the server.
    Out,
    /// To the client.
    In,
}

impl From<flow::Direction> for Way {
    fn from(direction: flow::Direction) -> Self {
        match direction {
            flow::Direction::ClientToServer => Self::Out,
            flow::Direction::ServerToClient => Self::In,
        }
    }
}

/// Milliseconds from one capture time to another one, which may be earlier: clocks can be set.
pub(crate) fn milliseconds_between(from_ns: u64, to_ns: u64) -> f64 {
    (i128::from(to_ns) - i128::from(from_ns)) as f64 / 1e6
}
