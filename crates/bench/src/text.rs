//! The bodies of the messages: JSON made of ordinary words, and the strings to plant in it.
//!
//! One word in five of the filler's texts, and all words of its names and paths, also occur in planted strings, so that
//! a search meets many near misses, which slow it down in practice. A planted string consists of three words joined by
//! hyphens, but filler joins at most two, so planted strings occur only where they are planted.

use std::collections::HashSet;
use std::fmt::Write;

use crate::rng::Rng;

const WORDS: [&str; 64] = [
    "account", "adapter", "archive", "balance", "billing", "branch", "bridge", "buffer", "cache", "catalog",
    "channel", "checkout", "cluster", "command", "compile", "contract", "counter", "customer", "daemon",
    "default", "delivery", "depend", "digest", "document", "driver", "engine", "export", "failure",
    "feature", "filter", "gateway", "handler", "header", "index", "invoice", "journal", "kernel", "ledger",
    "library", "license", "message", "metric", "network", "notice", "object", "order", "package", "parser",
    "payment", "pending", "profile", "project", "quota", "record", "refund", "region", "release", "report",
    "request", "schema", "session", "storage", "timeout", "version",
];

/// Words that only filler uses, so that not all of it is near misses.
const OTHER_WORDS: &str = "\
    ability accept access action active actual address advice affect agenda agreement airport album almost alone \
    already amount ancient answer anybody appear approach arrive article aspect attempt author average award \
    balcony banner barrel basket battery beauty become bedroom before behave behind believe belong benefit \
    beside beyond bicycle biology blanket blossom border bottle bottom bought breath breeze bright broken bronze \
    brother budget button cabinet camera campus candle carbon career careful castle center century ceremony \
    certain chamber chance charge cheese choice circle citizen clever climate coffee college column comfort \
    common company complex concert consider constant cotton country courage couple cousin create credit crystal \
    culture curious current danger daughter debate decade decide defend degree depart describe desert design \
    detail develop device differ dinner direct discuss distance doctor dollar double dragon drawing during early \
    eastern economy editor effect effort either electric element eleven emotion employ energy enough entire \
    episode escape estate evening event evidence exact example except excuse exhibit expect explain express \
    fabric factor family famous farmer fashion father favour festival figure finance finger finish flavour \
    flight flower follow forest forget formal fortune forward freedom friend future galaxy garden gather gentle \
    giant glance global golden ground growth guitar habit handle happen harbour harvest health height helmet \
    history holiday honest hospital hotel house however hundred hunger husband";

const LICENSES: [&str; 5] = ["MIT", "Apache-2.0", "BSD-3-Clause", "ISC", "MPL-2.0"];

const TOOLS: [&str; 4] = ["analyze_dependency", "list_packages", "read_document", "search_records"];

/// Bytes of filler that bodies are cut from: far more than deflate's window of 32 KiB, so that no body repeats itself.
const POOL: usize = 4 << 20;

/// Share of words in filler texts that also occur in planted strings, in thousandths.
const NEAR_MISSES: usize = 200;

/// Number of planted strings.
pub(crate) const PLANTED: usize = 48;

/// Makes filler bodies of any size.
#[derive(Debug)]
pub(crate) struct Filler {
    pool: String,
    /// Offsets of the entries in `pool`.
    entries: Vec<usize>,
    bodies_made: u64,
}

impl Filler {
    pub(crate) fn new(rng: &mut Rng) -> Self {
        let others: Vec<&str> = OTHER_WORDS.split(' ').collect();
        let (mut pool, mut entries) = (String::with_capacity(POOL + 1024), Vec::new());
        while pool.len() < POOL {
            entries.push(pool.len());
            entry(&mut pool, &others, rng);
        }
        Self { pool, entries, bodies_made: 0 }
    }

    /// A request of about `size` bytes.
    pub(crate) fn request(&mut self, size: usize, rng: &mut Rng) -> String {
        let head =
            format!(r#""type":"tool_call","tool_name":"{}","arguments":{{"items":["#, rng.pick(&TOOLS));
        self.body(&head, size, rng)
    }

    /// An answer of about `size` bytes.
    pub(crate) fn answer(&mut self, size: usize, rng: &mut Rng) -> String {
        let tool = rng.pick(&TOOLS);
        let head = format!(r#""type":"tool_result","tool_name":"{tool}","status":"ok","result":{{"items":["#);
        self.body(&head, size, rng)
    }

    fn body(&mut self, head: &str, size: usize, rng: &mut Rng) -> String {
        self.bodies_made += 1;
        let mut body = format!(r#"{{"id":"call-{:07}",{head}"#, self.bodies_made);
        let wanted = size.saturating_sub(body.len() + 3);
        let first = rng.below(self.entries.len());
        let start = self.entries[first];
        // The end of the last entry that fits; a short body gets no entry.
        let fits = self.entries.partition_point(|entry| *entry <= start + wanted);
        let end = self.entries[fits - 1];
        if end > start {
            body.push_str(&self.pool[start..end - 1]); // without its trailing comma
        }
        body.push_str("]}}");
        body
    }
}

/// Appends one object and a comma.
fn entry(out: &mut String, others: &[&str], rng: &mut Rng) {
    let mut word = || rng.pick(&WORDS);
    let (name, other, folder, file) = (word(), word(), word(), word());
    let _ = write!(
        out,
        r#"{{"name":"{name}-{other}","path":"src/{folder}/{file}.rs","version":"{}.{}.{}","license":"{}","depth":{},"sha256":"{:016x}{:016x}","note":""#,
        rng.below(9),
        rng.below(30),
        rng.below(12),
        rng.pick(&LICENSES),
        rng.below(20),
        rng.next(),
        rng.next(),
    );
    for index in 0..rng.between(4, 24) {
        let space = if index == 0 { "" } else { " " };
        let word = if rng.chance(NEAR_MISSES) { rng.pick(&WORDS) } else { rng.pick(others) };
        let _ = write!(out, "{space}{word}");
    }
    out.push_str("\"},");
}

/// The strings to plant: all different, none contained in another.
pub(crate) fn planted(rng: &mut Rng) -> Vec<String> {
    let mut known = HashSet::new();
    let mut planted = Vec::new();
    while planted.len() < PLANTED {
        let string = format!("{}-{}-{}", rng.pick(&WORDS), rng.pick(&WORDS), rng.pick(&WORDS));
        // Words can contain other words ("order" is the end of "border"), so strings of different words can overlap.
        let is_apart =
            planted.iter().all(|other: &String| !other.contains(&string) && !string.contains(other));
        if is_apart && known.insert(string.clone()) {
            planted.push(string);
        }
    }
    planted
}

/// A value in the form of a canary.
pub(crate) fn decoy(rng: &mut Rng) -> String {
    format!("{:016x}{:016x}", rng.next(), rng.next())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bodies_are_json_of_about_the_requested_size() {
        let mut rng = Rng::new(1, "text");
        let mut filler = Filler::new(&mut rng);
        for size in [1, 120, 1_000, 30_000, 65_536] {
            for body in [filler.request(size, &mut rng), filler.answer(size, &mut rng)] {
                serde_json::from_str::<serde_json::Value>(&body).unwrap();
                assert!(body.len() <= size.max(130), "{} for {size}", body.len());
                // A body that starts near the end of the pool is shorter.
                assert!(size < 1_000 || body.len() > 100, "{} for {size}", body.len());
            }
        }
    }

    #[test]
    fn filler_contains_no_planted_string() {
        let mut rng = Rng::new(2, "text");
        let planted = planted(&mut rng);
        let filler = Filler::new(&mut rng);
        assert_eq!(planted.len(), PLANTED);
        assert!(planted.iter().all(|string| string.len() >= 8 && !filler.pool.contains(string.as_str())));
    }
}
