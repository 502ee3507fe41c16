//! The wire of the `netns` backend, built for real in child processes (a user namespace cannot be entered in a test
//! process, which has several threads).

#![cfg(target_os = "linux")]

use std::process::Command;

use serde_json::Value;

/// Regression: a veth pair that is not up yet drops the first packet without a word, and the retransmission comes a
/// second later. 5 of 1400 runs had such a first request before the lab waited for `OperState::Up` on both ends.
#[test]
fn the_first_packet_over_a_new_wire_is_never_lost() {
    const WIRES: usize = 40;
    const RETRANSMITTED_US: u64 = 900_000;

    for n in 0..WIRES {
        let outcome = probe();
        let Some(works) = outcome.get("works") else {
            return skip(&format!("no netns backend here: {outcome}"));
        };
        assert_eq!(works["both_ends_up"], true, "wire {n}: {works}");
        let connect_us = works["first_connect_us"].as_u64().unwrap();
        assert!(connect_us < RETRANSMITTED_US, "wire {n}: the first connection took {connect_us} µs");
        assert_eq!(works["icmp6_sent"], 0, "wire {n}: IPv6 noise: {works}");
    }
}

fn probe() -> Value {
    let output = Command::new(env!("CARGO_BIN_EXE_lab")).arg("__probe").output().unwrap();
    assert!(output.status.success(), "{output:?}");
    serde_json::from_slice(&output.stdout).unwrap()
}

fn skip(reason: &str) {
    assert!(std::env::var_os("CI").is_none(), "skipped in CI: {reason}");
    eprintln!("SKIP: {reason}");
}
