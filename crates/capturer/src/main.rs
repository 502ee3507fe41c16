//! `capturer`: records packets to a pcap file, and describes the capture in a manifest.

use std::process::ExitCode;

use clap::Parser;

fn main() -> ExitCode {
    capturer::main(&capturer::Cli::parse())
}
