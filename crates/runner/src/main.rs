//! `runner`: the default program in a sandbox.

use std::process::ExitCode;

fn main() -> ExitCode {
    runner::main(std::env::args_os().skip(1))
}
