//! Runs every fuzz target over the committed corpus, the regressions, and mutations of both; every run uses the same
//! inputs in the same order. Environment variables:
//!
//! - `PLAINSIGHT_FUZZ_SECONDS`: for how long each target gets mutations, instead of [`MUTATIONS`] of them;
//! - `PLAINSIGHT_FUZZ_SEED`: begins another sequence of mutations, instead of [`SEED`].

use std::fs;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use data_encoding::BASE64;
use fuzz_targets::{TARGETS, Target};

/// Mutated inputs of each target: about a second in the development profile.
const MUTATIONS: usize = 2_000;

/// The same for a target that reads a file from disk for each input.
const PIPELINE_MUTATIONS: usize = 200;

/// The first state of the generator of mutations.
const SEED: u64 = 0x706c_6169_6e73_6967;

/// Longest mutated input: long enough for each file of the corpus, short enough to stay fast.
const MAX_LEN: usize = 8 << 10;

fn top() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

/// The files of a folder in the order of their names, without README files.
fn files(directory: &Path) -> Vec<(String, Vec<u8>)> {
    let Ok(entries) = fs::read_dir(directory) else { return Vec::new() };
    let mut files: Vec<PathBuf> = entries.map(|entry| entry.expect("a folder entry").path()).collect();
    files.retain(|path| path.is_file() && path.extension().is_none_or(|extension| extension != "md"));
    files.sort();
    files.iter().map(|path| (path.display().to_string(), fs::read(path).expect("a readable file"))).collect()
}

/// A generator of numbers with a fixed seed (xorshift64*).
struct Numbers(u64);

impl Numbers {
    fn next(&mut self) -> usize {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        (self.0.wrapping_mul(0x2545_f491_4f6c_dd1d) >> 33) as usize
    }

    fn below(&mut self, end: usize) -> usize {
        self.next() % end.max(1)
    }
}

/// An input with some bytes changed, cut out, repeated or taken from another input.
fn mutate(seed: &[u8], other: &[u8], numbers: &mut Numbers) -> Vec<u8> {
    let mut input = seed.to_vec();
    for _ in 0..=numbers.below(4) {
        let at = numbers.below(input.len());
        let end = (at + 1 + numbers.below(32)).min(input.len());
        match numbers.below(6) {
            0 if at < input.len() => input[at] ^= 1 << numbers.below(8),
            1 if at < input.len() => input[at] = [0, 1, 0x7f, 0x80, 0xff][numbers.below(5)],
            2 if at < end => drop(input.drain(at..end)),
            3 if at < end => {
                let repeated = input[at..end].to_vec();
                input.splice(at..at, repeated);
            }
            4 => {
                let from = numbers.below(other.len());
                let to = (from + 1 + numbers.below(64)).min(other.len());
                input.splice(at..at, other.get(from..to).unwrap_or_default().iter().copied());
            }
            _ => input.truncate(at),
        }
    }
    input.truncate(MAX_LEN);
    input
}

/// The number in an environment variable, if it is set.
fn number(variable: &str) -> Option<u64> {
    let text = std::env::var_os(variable)?;
    let number = text.to_str().and_then(|text| text.parse().ok());
    Some(number.unwrap_or_else(|| panic!("{variable}: {} is no number", text.display())))
}

fn run_all(target: &Target) {
    let corpus = files(&top().join("corpus").join(target.corpus));
    assert!(!corpus.is_empty(), "no corpus for {}", target.name);
    let regressions = files(&top().join("fuzz/regressions").join(target.name));
    for (name, input) in corpus.iter().chain(&regressions) {
        eprintln!("{}: {name}", target.name);
        (target.run)(input);
    }
    (target.run)(&[]);

    let seeds: Vec<&[u8]> = corpus.iter().chain(&regressions).map(|(_, input)| &input[..]).collect();
    // The state of this generator is never 0.
    let mut numbers = Numbers(number("PLAINSIGHT_FUZZ_SEED").unwrap_or(SEED).max(1));
    let duration = number("PLAINSIGHT_FUZZ_SECONDS").map(Duration::from_secs);
    let mutations = if target.name == "pipeline" { PIPELINE_MUTATIONS } else { MUTATIONS };
    let (began, mut count, mut slowest) = (Instant::now(), 0, Duration::ZERO);
    while duration.map_or(count < mutations, |duration| began.elapsed() < duration) {
        let (seed, other) = (seeds[count % seeds.len()], seeds[numbers.below(seeds.len())]);
        let input = mutate(seed, other, &mut numbers);
        let begins = Instant::now();
        if std::panic::catch_unwind(|| (target.run)(&input)).is_err() {
            fail(target, count, &input);
        }
        slowest = slowest.max(begins.elapsed());
        count += 1;
    }
    eprintln!(
        "{}: {count} mutations in {:.1} s, the slowest in {} ms",
        target.name,
        began.elapsed().as_secs_f64(),
        slowest.as_millis(),
    );
}

/// Reports an input so that it can be made a regression.
fn fail(target: &Target, count: usize, input: &[u8]) -> ! {
    panic!(
        "{name}, mutation {count}: {}\n\
        to repeat it in every test run, from the top of the checkout:\n\
        mkdir -p fuzz/regressions/{name} && echo {} | base64 -d > fuzz/regressions/{name}/WHAT-IT-SHOWS",
        input.escape_ascii(),
        BASE64.encode(input),
        name = target.name,
    );
}

macro_rules! targets {
    ($($name:ident),*) => {
        $(
            #[test]
            fn $name() {
                let target = TARGETS.iter().find(|target| target.name == stringify!($name));
                run_all(target.expect("a target of this name"));
            }
        )*

        #[test]
        fn every_target_is_tested_and_given_to_the_fuzzer() {
            let mut tested = vec![$(stringify!($name)),*];
            tested.sort_unstable();
            assert_eq!(TARGETS.map(|target| target.name).to_vec(), tested);
            let mut fuzzed: Vec<String> = fs::read_dir(top().join("fuzz/fuzz_targets"))
                .expect("the fuzzer's folder")
                .map(|entry| entry.expect("a folder entry").path())
                .filter_map(|path| path.file_stem()?.to_str().map(str::to_owned))
                .collect();
            fuzzed.sort();
            assert_eq!(fuzzed, tested);
        }
    };
}

targets!(
    arp,
    capture,
    certificate,
    content,
    dns,
    exchange,
    fields,
    flow,
    fragments,
    frame,
    http1,
    http2,
    http3,
    keylog,
    pipeline,
    preamble,
    quic,
    readable,
    server_key,
    tcp,
    tls_handshake,
    tls_records,
    tls_session,
    websocket
);
