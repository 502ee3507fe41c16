//! `lab cost`: the latency of cold and warm requests, plain and over TLS, measured in the lab's captures.
//!
//! ```text
//! cold     first SYN of the first connection .. last byte of the first answer on it
//! warm     first byte of a later request on that connection .. last byte of its answer
//! arrival  agent-a started .. first captured SYN; longer if the first packet was lost and TCP sent it again
//! ```
//! Each run has fresh processes and fresh namespaces. The command counts artefacts that would distort the comparison, and
//! fails if there are any: a stall of 40 ms (Nagle's algorithm with delayed acknowledgements), a first request of one second
//! (a link that was not up yet), and a second connection (a race in the client's pool).

use std::fmt::Write as _;
use std::fs;
use std::io::Write as _;

use anyhow::{Context, ensure};
use experiment::{Experiment, VARIANTS, Variant};
use serde_json::json;

use crate::backend;
use crate::cli::{CostArgs, Format};
use crate::connection_timing::{self, Connection, LATE_ACK_NS};
use crate::programs::Programs;
use crate::report::Reporter;
use crate::run::{Lab, Outcome, Script, needed, until_interrupted};
use crate::staging::Captures;

/// The message of the lab report. All requests send it, so that they are of equal size.
const MESSAGE: &str = r#"{"id":"call-0001","type":"tool_call","tool_name":"analyze_dependency","arguments":{"repo":"demo-repo","target":"libssl","depth":2}}"#;

/// Messages in a run: the first is cold, the others warm.
const COUNT: u32 = 6;

/// How long no frame may arrive before the capturer stops. Much longer than a warm request, and short because hundreds of
/// runs wait for it.
const QUIET_MS: u32 = 60;

/// TCP sends a lost SYN again after 1 s (RFC 6298 §2.1), as Linux does a lost ARP request.
const LOST_FIRST_NS: u64 = 900_000_000;

/// Runs `lab cost`.
pub(crate) fn main(args: &CostArgs, reporter: &Reporter) -> anyhow::Result<()> {
    let variants: Vec<&'static Variant> =
        if args.variants.is_empty() { VARIANTS.iter().collect() } else { args.variants.clone() };
    let programs = Programs::of_this()?;
    let experiments: Vec<_> = variants.iter().copied().map(Experiment::from).collect();
    programs.require(&needed(&experiments))?;
    let backend = backend::choose(args.setup.backend, &programs, reporter)?;

    let mut tallies: Vec<(&'static Variant, Tally)> =
        variants.iter().map(|&variant| (variant, Tally::default())).collect();
    until_interrupted(async {
        let folder = tempfile::Builder::new()
            .prefix("plainsight-cost-")
            .tempdir()
            .context("cannot create a temporary folder")?;
        let message = folder.path().join("message.json");
        fs::write(&message, MESSAGE).with_context(|| format!("cannot write {}", message.display()))?;
        let captures = Captures::open(&folder.path().join("captures"), reporter)?;
        let lab = Lab { programs, backend, certs: args.setup.certs.clone(), reporter: reporter.silenced() };
        let script = Script { message: Some(message), count: Some(COUNT), quiet_ms: Some(QUIET_MS) };

        let working = reporter.working();
        for run in 1..=args.runs {
            working.step(&format!("run {run} of {}", args.runs));
            // The variants take turns, so that a slow period of the machine affects all of them.
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

    let backend = backend.manifest_name().as_str();
    let report = match args.format {
        Format::Text => report(backend, args.runs, &tallies),
        Format::Json => json(backend, args.runs, &tallies)?,
    };
    std::io::stdout().write_all(report.as_bytes()).context("cannot write to stdout")?;
    let artefacts: u64 = tallies.iter().map(|(_, tally)| tally.artefacts()).sum();
    ensure!(
        artefacts == 0,
        "{artefacts} stalls, lost first packets or additional connections distort the measurement"
    );
    Ok(())
}

/// The measurements of one variant, in ns.
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
        // The requests are the last turns. A TLS handshake adds one or two turns before them: one if the client's Finished
        // and its request arrive together, because the server's tickets then come with the answer (RFC 9846 §2).
        let Some(skipped) = first.turns.len().checked_sub(COUNT as usize) else {
            ensure!(connections.len() > 1, "{} of {COUNT} requests were answered", first.turns.len());
            return Ok(());
        };
        let (cold, warm) = first.turns[skipped..].split_first().context("the capture holds no request")?;
        let arrival = first.syn_at.saturating_sub(started_at);
        let cold_took = cold.answered_at.saturating_sub(first.syn_at);

        self.arrival.push(arrival);
        self.cold.push(cold_took);
        self.warm.extend(warm.iter().map(connection_timing::Turn::took));
        self.lost_firsts += u64::from(arrival + cold_took >= LOST_FIRST_NS || first.syn_repeats > 0);
        self.slow += first.turns.iter().filter(|turn| turn.took() >= LATE_ACK_NS).count();
        Ok(())
    }

    /// Answers that were slow for other reasons than a stall.
    fn other_slow(&self) -> u64 {
        (self.slow as u64).saturating_sub(self.stalls)
    }

    fn artefacts(&self) -> u64 {
        self.stalls + self.lost_firsts + self.extra_connections
    }
}

/// Name and version of the document.
const SCHEMA: &str = "plainsight.cost/1";

/// What is measured of a request, as it is named in outputs.
fn measured(tally: &Tally) -> [(&'static str, &Vec<u64>); 3] {
    [("cold", &tally.cold), ("warm", &tally.warm), ("arrival", &tally.arrival)]
}

/// The measurements as a document, with times in ns.
fn json(backend: &str, runs: u32, tallies: &[(&Variant, Tally)]) -> anyhow::Result<String> {
    let requests = |tally: &Tally| {
        let requests = measured(tally).into_iter().map(|(what, samples)| {
            let mut sorted = samples.clone();
            sorted.sort_unstable();
            let at = |per_mille| quantile(&sorted, per_mille);
            json!({
                "request": what, "samples": sorted.len(), "min_ns": at(0), "p50_ns": at(500), "p99_ns": at(990),
                "max_ns": at(1000),
            })
        });
        requests.collect::<Vec<_>>()
    };
    let variants = tallies.iter().map(|(variant, tally)| {
        json!({
            "variant": variant.name,
            "requests": requests(tally),
            "stalls": tally.stalls,
            "lost_first_requests": tally.lost_firsts,
            "additional_connections": tally.extra_connections,
            "other_slow_answers": tally.other_slow(),
            "repeated_segments": tally.repeats,
            "artefacts": tally.artefacts(),
        })
    });
    let document = json!({
        "schema": SCHEMA, "backend": backend, "runs": runs, "messages_per_run": COUNT,
        "variants": variants.collect::<Vec<_>>(),
    });
    Ok(serde_json::to_string_pretty(&document).context("the result as JSON")? + "\n")
}

fn report(backend: &str, runs: u32, tallies: &[(&Variant, Tally)]) -> String {
    let mut text = format!(
        "Latency of a request in the capture: {runs} runs of each variant, backend {backend}, {COUNT} messages a run, in ms\n\n"
    );
    let _ = writeln!(
        text,
        "{:<10} {:<8} {:>8} {:>9} {:>9} {:>9} {:>9}",
        "variant", "request", "samples", "min", "p50", "p99", "max"
    );
    for (variant, tally) in tallies {
        for (what, samples) in measured(tally) {
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
            "{}: {} stalls of 40 ms by delayed acknowledgements, {} first requests of {} s or more, {} additional \
             connections; {} answers of {} ms or more for other reasons (the machine's load), {} repeated segments",
            variant.name,
            tally.stalls,
            tally.lost_firsts,
            LOST_FIRST_NS as f64 / 1e9,
            tally.extra_connections,
            tally.other_slow(),
            LATE_ACK_NS / 1_000_000,
            tally.repeats,
        );
    }
    text
}

/// The smallest sample that at least `per_mille` of all samples do not exceed.
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

    /// The turns of a run: those of a handshake, then six requests that take 1, 2, … 6 ns.
    fn run(syn_at: u64, handshake: &[(u64, u64)]) -> Connection {
        let requests = (1..=6).map(|n| (syn_at + 100 * n, syn_at + 101 * n));
        connection(syn_at, &handshake.iter().copied().chain(requests).collect::<Vec<_>>())
    }

    #[test]
    fn the_cold_request_includes_every_turn_of_the_handshake() {
        for handshake in [&[][..], &[(5, 6)], &[(5, 6), (7, 8)]] {
            let mut tally = Tally::default();
            tally.take(&[run(1000, handshake)], 940).unwrap();
            assert_eq!((tally.arrival, tally.cold, tally.warm), (vec![60], vec![101], vec![2, 3, 4, 5, 6]));
        }
    }

    #[test]
    fn the_document_has_the_numbers_of_the_table() {
        let mut tally = Tally { slow: 3, stalls: 1, ..Tally::default() };
        tally.take(&[run(1000, &[])], 940).unwrap();
        let text = json("relay", 1, &[(&VARIANTS[0], tally)]).unwrap();
        let document: serde_json::Value = serde_json::from_str(&text).unwrap();
        let variant = &document["variants"][0];
        assert_eq!(
            (&document["messages_per_run"], &variant["variant"]),
            (&json!(6), &json!(VARIANTS[0].name))
        );
        assert_eq!(
            variant["requests"][1],
            json!({ "request": "warm", "samples": 5, "min_ns": 2, "p50_ns": 4, "p99_ns": 6, "max_ns": 6 })
        );
        assert_eq!((&variant["other_slow_answers"], &variant["artefacts"]), (&json!(2), &json!(1)));
        let empty = json("relay", 1, &[(&VARIANTS[0], Tally::default())]).unwrap();
        let empty: serde_json::Value = serde_json::from_str(&empty).unwrap();
        assert_eq!(empty["variants"][0]["requests"][0]["p50_ns"], json!(null));
    }

    #[test]
    fn counts_artefacts() {
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
    fn a_quantile_is_a_sample() {
        let samples: Vec<u64> = (1..=200).collect();
        let at = |per_mille| quantile(&samples, per_mille).unwrap();
        assert_eq!((at(0), at(500), at(990), at(1000)), (1, 100, 198, 200));
        assert_eq!(quantile(&[], 500), None);
    }
}
