//! Searches streams of bytes for many known strings.

mod encodings;
pub(crate) mod fragments;
mod matcher;
pub(crate) mod needles;
mod patterns;
mod scanner;

pub(crate) use encodings::{Encoder, Encoding};
pub(crate) use matcher::{MAX_ANCHOR, Matcher};
pub(crate) use patterns::{MIN_PATTERN, PatternId};
pub(crate) use scanner::{Match, Overflow, Scanner, allowed};
