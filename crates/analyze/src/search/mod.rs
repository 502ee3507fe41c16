//! Searches streams of bytes for many known strings.

mod encodings;
pub(crate) mod fragments;
mod matcher;
pub(crate) mod needles;
mod scanner;

pub(crate) use encodings::{Encoding, Encodings};
pub(crate) use matcher::{MAX_ANCHOR, MIN_PATTERN, Matcher, PatternId};
pub(crate) use scanner::{Match, Overflow, Scanner, allowed};
