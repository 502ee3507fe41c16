//! Connections and their two directions.
//!
//! [`FlowTable`] is the one place that decides which connection a segment belongs to, which end of it is the client, and
//! which end sent the segment.

mod direction;
mod table;
mod tunnels;

pub use direction::{Direction, PerDirection};
pub use table::{Arrival, Endpoint, Endpoints, FlowId, FlowSegment, FlowTable};
pub use tunnels::Tunnel;
