//! The answer of a protocol detector.

/// Whether the first bytes of a stream belong to a protocol.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Detection {
    /// The bytes belong to the protocol.
    Match,
    /// The bytes do not belong to the protocol.
    NoMatch,
    /// The bytes may belong to the protocol; more are needed.
    NeedMore,
}
