//! The answer of a protocol detector.

/// Whether the first bytes of a stream belong to a protocol.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Detection {
    /// They do.
    Match,
    /// They do not.
    NoMatch,
    /// So far they could.
    NeedMore,
}
