//! `lab cost`: what a cold and a warm request cost, plain and over TLS, read from the lab's own captures.
//!
//! ```text
//! cold     first SYN of the first connection .. last byte of the first answer on it
//! warm     first byte of a later request on that connection .. last byte of its answer
//! arrival  agent-a started .. first SYN: a first packet that was lost shows here, as the SYN that crosses is a second one
//! ```
//! Each run has fresh processes and a fresh wire. Artefacts that would falsify the comparison are counted: a stall of
//! 40 ms (Nagle's algorithm against delayed acknowledgements), a first request of a second (a wire that was not up yet),
//! and a second connection (a client pool that raced with itself).

use std::fmt::Write as _;
use std::fs;
use std::io::Write as _;

use anyhow::{Context, ensure};
use experiment::{Experiment, VARIANTS, Variant};

use crate::backend;
use crate::cli::CostArgs;
use crate::connection_timing::{self, Connection, LATE_ACK_NS};
use crate::programs::Programs;
use crate::report::Reporter;
use crate::run::{Lab, Outcome, Script, needed, until_interrupted};
use crate::staging::Captures;

/// The message of the lab report, and the only one here: all requests weigh the same.
const MESSAGE: &str = r#"{"id":"call-0001","type":"tool_call","tool_name":"analyze_dependency","arguments":{"repo":"demo-repo","target":"libssl","depth":2}}"#;

/// Messages of a run: one cold, the others warm.
const COUNT: u32 = 6;

/// How long the capturer waits for a quiet wire. Far more than a warm request takes, and hundreds of runs wait for it.
const QUIET_MS: u32 = 60;

/// The first retransmission of a SYN comes after 1 s (RFC 6298, 2.1), of an ARP request too.
const LOST_FIRST_NS: u64 = 900_000_000;

/// `lab cost`.
pub(crate) fn main(args: &CostArgs, reporter: &Reporter) -> anyhow::Result<()> {
    let variants: Vec<&'static Variant> =
        if args.variants.is_empty() { VARIANTS.iter().collect() } else { args.variants.clone() };
    let programs = Programs::beside_this()?;
    let experiments: Vec<_> = variants.iter().copied().map(Experiment::from).collect();
    programs.require(&needed(&experiments))?;
    let backend = backend::choose(args.setup.backend, &programs, reporter)?;

    let mut tallies: Vec<(&'static Variant, Tally)> =
        variants.iter().map(|&variant| (variant, Tally::default())).collect();
    until_interrupted(async {
        let folder =
            tempfile::Builder::new().prefix("plainsight-cost-").tempdir().context("making a folder")?;
        let message = folder.path().join("message.json");
        fs::write(&message, MESSAGE).with_context(|| format!("writing {}", message.display()))?;
        let captures = Captures::open(&folder.path().join("captures"), reporter)?;
        let lab = Lab { programs, backend, certs: args.setup.certs.clone(), reporter: reporter.silenced() };
        let script = Script { message: Some(message), count: Some(COUNT), quiet_ms: Some(QUIET_MS) };

        let working = reporter.working();
        for run in 1..=args.runs {
            working.step(&format!("run {run} of {}", args.runs));
            // In turn, so that a slower hour of the machine meets all variants alike.
            for (variant, tally) in &mut tallies {
                let outcome = lab
                    .run(variant, &captures, &script)
                    .await
                    .with_context(|| format!("{variant}, run {run}"))?;
                tally.add(&outcome).with_context(|| format!("{variant}, run {run}"))?;
            }
        }
        Ok(())
    })?;

    let report = report(backend.manifest_name().as_str(), args.runs, &tallies);
    std::io::stdout().write_all(report.as_bytes()).context("writing to stdout")?;
    let artefacts: u64 = tallies.iter().map(|(_, tally)| tally.artefacts()).sum();
    ensure!(
        artefacts == 0,
        "{artefacts} stalls, lost first packets or second connections falsify the measurement"
    );
    Ok(())
}

/// What the runs of one variant measured, in ns.
#[derive(Default)]
struct Tally {
    arrival: Vec<u64>,
    cold: Vec<u64>,
    warm: Vec<u64>,
    stalls: u64,
    slow: usize,
    lost_firsts: u64,
    repeats: u64,
    extra_connections: u64,
}

impl Tally {
    fn add(&mut self, outcome: &Outcome) -> anyhow::Result<()> {
        let connections = connection_timing::read(&outcome.files.path(&outcome.files.capture()))?;
        self.take(&connections, outcome.agent_a_started_at_unix_ns)
    }

    fn take(&mut self, connections: &[Connection], started_at: u64) -> anyhow::Result<()> {
        let first = connections.first().context("the capture holds no connection")?;
        self.extra_connections += connections.len() as u64 - 1;
        self.stalls += connections.iter().map(|connection| connection.stalls).sum::<u64>();
        self.repeats +=
            connections.iter().map(|connection| connection.repeats + connection.syn_repeats).sum::<u64>();
        // The requests are the last turns. A TLS handshake has one turn before them, or two: that depends on whether
        // the client's Finished and its request meet the server together (RFC 8446, 2; then tickets come with the answer).
        let Some(skipped) = first.turns.len().checked_sub(COUNT as usize) else {
            ensure!(connections.len() > 1, "{} of {COUNT} requests were answered", first.turns.len());
            return Ok(());
        };
        let (cold, warm) = first.turns[skipped..].split_first().context("no requests at all")?;
        let arrival = first.syn_at.saturating_sub(started_at);
        let cold_took = cold.answered_at.saturating_sub(first.syn_at);

        self.arrival.push(arrival);
        self.cold.push(cold_took);
        self.warm.extend(warm.iter().map(connection_timing::Turn::took));
        self.lost_firsts += u64::from(arrival + cold_took >= LOST_FIRST_NS || first.syn_repeats > 0);
        self.slow += first.turns.iter().filter(|turn| turn.took() >= LATE_ACK_NS).count();
        Ok(())
    }

    fn artefacts(&self) -> u64 {
        self.stalls + self.lost_firsts + self.extra_connections
    }
}

fn report(backend: &str, runs: u32, tallies: &[(&Variant, Tally)]) -> String {
    let mut text = format!(
        "Cost of a request on the wire: {runs} runs of each variant, backend {backend}, {COUNT} messages a run, in ms\n\n"
    );
    let _ = writeln!(
        text,
        "{:<10} {:<8} {:>8} {:>9} {:>9} {:>9} {:>9}",
        "variant", "request", "samples", "min", "p50", "p99", "max"
    );
    for (variant, tally) in tallies {
        for (what, samples) in [("cold", &tally.cold), ("warm", &tally.warm), ("arrival", &tally.arrival)] {
            let mut sorted = samples.clone();
            sorted.sort_unstable();
            let _ = write!(text, "{:<10} {what:<8} {:>8}", variant.name, sorted.len());
            for per_mille in [0, 500, 990, 1000] {
                let _ = write!(text, " {:>9}", milliseconds(quantile(&sorted, per_mille)));
            }
            text.push('\n');
        }
    }
    text.push('\n');
    for (variant, tally) in tallies {
        let _ = writeln!(
            text,
            "{}: {} stalls of 40 ms by delayed acknowledgements, {} first requests of {} s or more, {} connections beyond \
             the first; {} answers that took {} ms or more for other reasons (the machine's load), {} repeated segments",
            variant.name,
            tally.stalls,
            tally.lost_firsts,
            LOST_FIRST_NS as f64 / 1e9,
            tally.extra_connections,
            tally.slow as u64 - tally.stalls.min(tally.slow as u64),
            LATE_ACK_NS / 1_000_000,
            tally.repeats,
        );
    }
    text
}

/// The smallest sample that at least `per_mille` of all do not exceed.
fn quantile(sorted: &[u64], per_mille: usize) -> Option<u64> {
    let rank = (sorted.len() * per_mille).div_ceil(1000);
    sorted.get(rank.saturating_sub(1)).copied()
}

fn milliseconds(ns: Option<u64>) -> String {
    ns.map_or_else(|| "-".to_owned(), |ns| format!("{:.3}", ns as f64 / 1e6))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::connection_timing::Turn;

    fn connection(syn_at: u64, turns: &[(u64, u64)]) -> Connection {
        let turns = turns.iter().map(|&(asked_at, answered_at)| Turn { asked_at, answered_at }).collect();
        Connection { syn_at, syn_repeats: 0, repeats: 0, stalls: 0, turns }
    }

    /// The turns of a run: some of a handshake, then six requests that take 1, 2, … 6 ns.
    fn run(syn_at: u64, handshake: &[(u64, u64)]) -> Connection {
        let requests = (1..=6).map(|n| (syn_at + 100 * n, syn_at + 101 * n));
        connection(syn_at, &handshake.iter().copied().chain(requests).collect::<Vec<_>>())
    }

    #[test]
    fn the_handshake_belongs_to_the_cold_request_however_many_turns_it_takes() {
        for handshake in [&[][..], &[(5, 6)], &[(5, 6), (7, 8)]] {
            let mut tally = Tally::default();
            tally.take(&[run(1000, handshake)], 940).unwrap();
            assert_eq!((tally.arrival, tally.cold, tally.warm), (vec![60], vec![101], vec![2, 3, 4, 5, 6]));
        }
    }

    #[test]
    fn artefacts_are_counted() {
        let mut tally = Tally::default();
        let stalled = Connection { stalls: 2, ..run(0, &[]) };
        tally.take(&[stalled], 0).unwrap();
        assert_eq!((tally.stalls, tally.lost_firsts), (2, 0));
        tally.take(&[run(1_000_000_000, &[])], 0).unwrap();
        assert_eq!((tally.stalls, tally.lost_firsts), (2, 1));
        tally.take(&[connection(0, &[(1, 2)]), run(9, &[])], 0).unwrap();
        assert_eq!((tally.extra_connections, tally.cold.len()), (1, 2));
        assert_eq!(tally.artefacts(), 4);
        assert!(tally.take(&[connection(0, &[])], 0).is_err());
        assert!(tally.take(&[], 0).is_err());
    }

    #[test]
    fn quantiles_are_samples() {
        let samples: Vec<u64> = (1..=200).collect();
        let at = |per_mille| quantile(&samples, per_mille).unwrap();
        assert_eq!((at(0), at(500), at(990), at(1000)), (1, 100, 198, 200));
        assert_eq!(quantile(&[], 500), None);
    }
}
