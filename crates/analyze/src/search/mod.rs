//! The search for many known strings in streams of bytes.

mod forms;
mod matcher;
mod scanner;

pub use forms::{Form, Forms};
pub use matcher::{MAX_ANCHOR, MIN_PATTERN, Matcher, PatternId};
pub use scanner::{Match, Scanner};
