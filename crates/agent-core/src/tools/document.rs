//! `generate_document`: a text of exactly the requested size, the same for the same seed.

use serde::Deserialize;
use serde_json::{Value, json};

use super::{ToolError, arguments, bad};

pub(super) const NAME: &str = "generate_document";

/// Largest document in bytes: 64 KiB fill several TLS records (16 KiB each) and more than forty segments, the purpose of a
/// large answer.
pub const MAX_DOCUMENT_BYTES: u32 = 64 * 1024;

pub(super) fn run(value: &Value) -> Result<Value, ToolError> {
    let Arguments { bytes, seed } = arguments(NAME, value)?;
    if !(1..=MAX_DOCUMENT_BYTES).contains(&bytes) {
        return Err(bad(NAME, &format!("`bytes` is {bytes}, not 1 to {MAX_DOCUMENT_BYTES}")));
    }
    Ok(json!({"bytes": bytes, "seed": seed, "text": document(bytes as usize, seed)}))
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Arguments {
    bytes: u32,
    seed: u64,
}

/// `length` bytes of ASCII sentences in paragraphs; the end of the document cuts the last sentence.
fn document(length: usize, seed: u64) -> String {
    let mut dice = Dice(seed);
    let mut text = String::with_capacity(length + 128);
    while text.len() < length {
        for _ in 0..3 + dice.below(4) {
            let sentence = format!(
                "The {} {} {} the {} {} {} {} {}. ",
                dice.pick(ADJECTIVES),
                dice.pick(NOUNS),
                dice.pick(VERBS),
                dice.pick(ADJECTIVES),
                dice.pick(NOUNS),
                dice.pick(LINKS),
                dice.pick(ARTICLES),
                dice.pick(NOUNS),
            );
            text.push_str(&sentence);
        }
        text.pop();
        text.push_str("\n\n");
    }
    text.truncate(length);
    text
}

/// SplitMix64 (Steele, Lea and Flood, 2014): the same on every machine.
struct Dice(u64);

impl Dice {
    fn below(&mut self, limit: usize) -> usize {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut bits = self.0;
        bits = (bits ^ (bits >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        bits = (bits ^ (bits >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        bits ^= bits >> 31;
        // The remainder is below `limit`, a `usize`.
        (bits % limit as u64) as usize
    }

    fn pick(&mut self, words: &[&'static str]) -> &'static str {
        words[self.below(words.len())]
    }
}

const ADJECTIVES: &[&str] = &[
    "quiet", "careful", "nightly", "internal", "shared", "second", "regional", "final", "small", "public",
    "earlier", "signed",
];
const NOUNS: &[&str] = &[
    "service",
    "report",
    "gateway",
    "release",
    "package",
    "reviewer",
    "schedule",
    "backup",
    "incident",
    "customer",
    "pipeline",
    "certificate",
    "mirror",
    "team",
    "ledger",
    "index",
];
const VERBS: &[&str] = &[
    "checks",
    "publishes",
    "replaces",
    "describes",
    "delays",
    "restores",
    "confirms",
    "follows",
    "measures",
    "closes",
];
const LINKS: &[&str] = &["before", "after", "without", "together with", "because of", "in place of"];
const ARTICLES: &[&str] = &["the", "every", "another", "its own"];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn documents_have_exactly_the_requested_size() {
        for bytes in (1..600).chain([4096, 65_535, MAX_DOCUMENT_BYTES]) {
            let result = run(&json!({"bytes": bytes, "seed": 7})).unwrap();
            assert_eq!(result["text"].as_str().unwrap().len(), bytes as usize);
        }
    }

    #[test]
    fn the_seed_determines_the_text() {
        assert_eq!(document(2000, 1), document(2000, 1));
        assert_ne!(document(2000, 1), document(2000, 2));
        assert!(document(2000, 1).starts_with(&document(100, 1)));
    }
}
