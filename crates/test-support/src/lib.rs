//! For tests only: what a test does when this machine lacks something that it needs, and clients that misbehave.
//!
//! A dev-dependency of crates on both sides: it knows nothing about the observed or the observer.
#![forbid(unsafe_code)]

pub mod crowd;

use std::io::Write;

/// Reports on stderr that a test does not run on this machine. The caller then returns.
///
/// # Panics
/// When the variable `CI` is set: in CI a test that does not run is a failure, since it proves nothing.
pub fn skip(reason: &str) {
    assert!(std::env::var_os("CI").is_none(), "cannot be skipped in CI: {reason}");
    print_skip(reason);
}

/// Like [`skip`], for a test that needs a Docker engine: fails only when the variable `PLAINSIGHT_DOCKER` is `1`, since not
/// every CI machine can have an engine.
///
/// # Panics
/// When `PLAINSIGHT_DOCKER` is `1`.
pub fn skip_docker(reason: &str) {
    assert!(std::env::var("PLAINSIGHT_DOCKER").as_deref() != Ok("1"), "PLAINSIGHT_DOCKER=1: {reason}");
    print_skip(&format!("{reason} (a failure with PLAINSIGHT_DOCKER=1)"));
}

/// Writes to stderr directly, because the test harness captures the output of `eprintln!`.
fn print_skip(reason: &str) {
    let _ = writeln!(std::io::stderr(), "SKIP: {reason}");
}
