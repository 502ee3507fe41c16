//! The veth pair of the `netns` backend, created in child processes: a test process has several threads, and so cannot enter
//! a user namespace.

#![cfg(target_os = "linux")]

use std::process::Command;

use serde_json::Value;
use test_support::skip;

/// Regression: a veth pair that is not up yet silently drops the first packet, and TCP sends it again a second later. 5 of
/// 1400 runs had such a first request before the lab waited for `OperState::Up` on both ends.
#[test]
fn a_new_pair_does_not_lose_the_first_packet() {
    const PAIRS: usize = 40;
    const RETRANSMITTED_US: u64 = 900_000;

    for n in 0..PAIRS {
        let outcome = probe();
        let Some(works) = outcome.get("works") else {
            return skip(&format!("the netns backend does not work on this machine: {outcome}"));
        };
        assert_eq!(works["both_ends_up"], true, "pair {n}: {works}");
        let connect_us = works["first_connect_us"].as_u64().unwrap();
        assert!(connect_us < RETRANSMITTED_US, "pair {n}: the first connection took {connect_us} µs");
        assert_eq!(works["icmp6_sent"], 0, "pair {n}: unexpected ICMPv6: {works}");
    }
}

fn probe() -> Value {
    let output = Command::new(env!("CARGO_BIN_EXE_lab")).arg("__probe").output().unwrap();
    assert!(output.status.success(), "{output:?}");
    serde_json::from_slice(&output.stdout).unwrap()
}
