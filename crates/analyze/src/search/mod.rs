//! The search for many known strings in streams of bytes.

mod forms;
mod matcher;
mod scanner;

pub(crate) use forms::{Form, Forms};
pub(crate) use matcher::{MAX_ANCHOR, MIN_PATTERN, Matcher, PatternId};
pub(crate) use scanner::{Match, Scanner, TOO_MANY_MATCHES, allowed};
