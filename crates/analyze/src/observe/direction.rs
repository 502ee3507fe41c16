//! Directions in the words of the result.

use dissect::flow;

use exposure_schema::Direction;

/// The same direction as the result names it.
pub(crate) fn direction(direction: flow::Direction) -> Direction {
    match direction {
        flow::Direction::ClientToServer => Direction::ClientToServer,
        flow::Direction::ServerToClient => Direction::ServerToClient,
    }
}
