//! Ways from one box to another that are not the network. A box that shares one with another box passes it a canary, and hears
//! that of the other.
//!
//! | kind | what both boxes share | how a bit passes |
//! |---|---|---|
//! | `lock` | a file | a byte of it is locked |
//! | `notify` | a file | it is opened and closed, or also read |
//! | `counter` | the kernel's count of a user's queued signals | it goes up or down |
//! | `timing` | CPUs | they are busy, or not |
//!
//! Except for locks, all of which are held at once, the boxes take turns by the common clock: only one speaks at a time.

#[cfg(target_os = "linux")]
pub(crate) mod counter;
#[cfg(target_os = "linux")]
pub(crate) mod lock;
#[cfg(target_os = "linux")]
pub(crate) mod notify;
mod place;
#[cfg(target_os = "linux")]
pub(crate) mod timing;
#[cfg(target_os = "linux")]
mod turn;
#[cfg(target_os = "linux")]
mod words;

pub(crate) use self::place::Place;
