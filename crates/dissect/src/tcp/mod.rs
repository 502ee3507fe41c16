//! TCP: segments, and the two streams of bytes that they carry (RFC 9293).

mod reassembler;
mod segment;

pub use reassembler::{
    Chunk, Counters, Disposition, Gap, HISTORY_BYTES, HISTORY_SEGMENTS, MAX_PENDING_BYTES,
    MAX_PENDING_SEGMENTS, MAX_WINDOW, Origin, Pushed, Ready, ReadyBytes, Reassembler,
};
pub use segment::{Flags, SackBlock, Segment};
