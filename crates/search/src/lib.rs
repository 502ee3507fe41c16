//! Finds many known strings in streams of bytes, and parts of them, in every encoding that they may be written in.
//!
//! Two searches complement each other:
//!
//! - [`Matcher`] and [`Scanner`] find whole strings. Each string is encoded in every way in which it could be written
//!   ([`Encoding`]), and all forms are searched at once.
//! - [`fragments`] finds any long enough part of a text: it decodes what looks like text, and compares.
//!
//! Both keep what a border between two chunks could hide, so that the division of a stream changes no result. Both have bounds
//! that they report. Neither knows where the strings or the bytes come from.
#![forbid(unsafe_code)]

mod encodings;
pub mod fragments;
mod matcher;
mod order;
mod patterns;
mod scanner;

pub use encodings::{Encoding, Form};
pub use matcher::{MAX_ANCHOR, Matcher};
pub use patterns::{MAX_NEEDLES, MIN_PATTERN, NeedleId, PatternId, Patterns, PatternsBuilder};
pub use scanner::{Match, Overflow, Scanner};
