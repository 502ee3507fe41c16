//! Directions by the names that the result uses.

use dissect::flow;

use exposure_schema::Direction;

/// The same direction, by the name that the result uses.
pub(crate) fn direction(direction: flow::Direction) -> Direction {
    match direction {
        flow::Direction::ClientToServer => Direction::ClientToServer,
        flow::Direction::ServerToClient => Direction::ServerToClient,
    }
}
