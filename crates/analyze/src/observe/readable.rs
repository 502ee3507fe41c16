//! Credentials, personal data and messages of agents, in a capture without journals.

use std::collections::HashMap;
use std::collections::hash_map::{Entry, RandomState};
use std::hash::BuildHasher;

use exposure_schema::Level;

use crate::pipeline::fact::{HeadFact, MessageFact};
use crate::pipeline::provenance::{DecodeChain, Location};
use crate::readable::{AgentMessage, Context, Findings, Found, Head, Reader};

/// Maximum number of credentials, and of personal data, that are listed; the others are counted.
const MAX_LISTED: usize = 500;

/// Maximum number of distinct findings that are recognised when they come again, with 8 bytes each.
const MAX_KNOWN: usize = 65_536;

/// Maximum number of messages of agents that are listed.
const MAX_AGENTS: usize = 200;

/// Longest value that is kept, in characters.
const MAX_VALUE: usize = 256;

/// A finding, and where it was found first.
#[derive(Debug)]
pub(crate) struct Finding {
    pub(crate) found: Found,
    /// Length of the value in bytes.
    pub(crate) bytes: u64,
    pub(crate) times: u64,
    pub(crate) at: Place,
}

/// A message of an agent, and where it is.
#[derive(Debug)]
pub(crate) struct Agent {
    pub(crate) message: AgentMessage,
    pub(crate) at: Place,
}

/// Where a message is, and what reading it takes.
#[derive(Clone, Debug)]
pub(crate) struct Place {
    pub(crate) location: Location,
    pub(crate) level: Level,
    pub(crate) chain: DecodeChain,
}

/// A list with its total.
#[derive(Debug, Default)]
pub(crate) struct List {
    pub(crate) listed: Vec<Finding>,
    /// Number of occurrences.
    pub(crate) total: u64,
    /// Index in the list by the hash of kind, place and value; `None` if it is not listed.
    known: HashMap<u64, Option<usize>>,
    /// With keys of its own, so that no capture can be made whose findings have the same hash.
    hashes: RandomState,
}

/// Everything that was found.
#[derive(Debug, Default)]
pub(crate) struct Readable {
    reader: Reader,
    pub(crate) show_secrets: bool,
    pub(crate) credentials: List,
    pub(crate) personal: List,
    pub(crate) agents: Vec<Agent>,
    pub(crate) agents_total: u64,
    pub(crate) left_out: u64,
}

impl Readable {
    pub(crate) fn new(show_secrets: bool) -> Self {
        Self { show_secrets, ..Self::default() }
    }

    /// Reads a head.
    pub(crate) fn head(&mut self, fact: &HeadFact<'_>) {
        let findings = self.reader.head(&Head { target: fact.target, fields: fact.fields });
        let level = level(fact.needs_secret, fact.is_encoded, fact.is_in_one_frame);
        self.take(findings, || Place { location: fact.location.clone(), level, chain: fact.chain });
    }

    /// Reads the body of a message.
    pub(crate) fn message(&mut self, fact: &MessageFact<'_>) {
        let Some(body) = fact.json.filter(|body| !body.is_empty()) else { return };
        let context = Context { target: fact.target, content_type: fact.content_type };
        let findings = self.reader.body(&context, body);
        let level = level(fact.needs_secret, fact.is_encoded, fact.is_in_one_frame);
        self.take(findings, || Place { location: fact.location.clone(), level, chain: fact.chain });
    }

    fn take(&mut self, findings: Findings, place: impl Fn() -> Place) {
        self.left_out += findings.left_out;
        for found in findings.found {
            let list = if found.kind.is_personal() { &mut self.personal } else { &mut self.credentials };
            list.add(found, &place);
        }
        for message in findings.agents {
            self.agents_total += 1;
            if self.agents.len() < MAX_AGENTS {
                self.agents.push(Agent { message, at: place() });
            }
        }
    }
}

impl List {
    fn add(&mut self, found: Found, place: &impl Fn() -> Place) {
        self.total += 1;
        let hash = self.hashes.hash_one((found.kind, found.place, &found.path, &found.value));
        let is_full = self.known.len() >= MAX_KNOWN;
        match self.known.entry(hash) {
            Entry::Occupied(known) => {
                if let Some(finding) = known.get().and_then(|index| self.listed.get_mut(index)) {
                    finding.times += 1;
                }
            }
            Entry::Vacant(_) if is_full => {}
            Entry::Vacant(free) => {
                let index = (self.listed.len() < MAX_LISTED).then_some(self.listed.len());
                free.insert(index);
                if index.is_some() {
                    let bytes = found.value.len() as u64;
                    let value = found.value.chars().take(MAX_VALUE).collect();
                    self.listed.push(Finding {
                        found: Found { value, ..found },
                        bytes,
                        times: 1,
                        at: place(),
                    });
                }
            }
        }
    }
}

fn level(needs_secret: bool, is_encoded: bool, is_in_one_frame: bool) -> Level {
    match (needs_secret, is_encoded, is_in_one_frame) {
        (true, ..) => Level::Decrypted,
        (_, true, _) => Level::Decoded,
        (.., true) => Level::Verbatim,
        _ => Level::Reassembled,
    }
}
