//! Writes credentials, personal data and messages of agents into the result.

use exposure_schema::{AgentEntry, AgentTextEntry, DetailEntry, FindingEntry, Level, Name, Readable};

use super::location::location;
use crate::observe::readable::{self as observed, Agent, Finding};

/// Everything that was found. Secrets only if they were requested.
pub(crate) fn entry(readable: &observed::Readable) -> Readable {
    let show_secrets = readable.show_secrets;
    let findings =
        |list: &observed::List| list.listed.iter().map(|found| finding(found, show_secrets)).collect();
    Readable {
        credentials: findings(&readable.credentials),
        credentials_total: readable.credentials.total,
        personal: findings(&readable.personal),
        personal_total: readable.personal.total,
        agents: readable.agents.iter().map(|message| agent(message, show_secrets)).collect(),
        agents_total: readable.agents_total,
        left_out: readable.left_out,
    }
}

fn finding(finding: &Finding, show_secrets: bool) -> FindingEntry {
    let Finding { found, bytes, times, at } = finding;
    let layers = [at.chain.as_slice(), &found.steps].concat();
    let details = found.details.iter().map(|detail| DetailEntry {
        name: detail.name.to_string(),
        value: detail.shown(show_secrets).map(str::to_owned),
    });
    FindingEntry {
        kind: Name::from(found.kind.name()),
        place: Name::from(found.place.name()),
        path: found.path.clone(),
        value: show_secrets.then(|| found.value.clone()),
        redacted: found.redacted.clone(),
        bytes: *bytes,
        details: details.collect(),
        times: *times,
        // Bytes in a coding are not on the wire as they are.
        level: if found.steps.is_empty() { at.level } else { at.level.max(Level::Decoded) },
        location: location(&at.location, &layers),
    }
}

fn agent(agent: &Agent, show_secrets: bool) -> AgentEntry {
    let Agent { message, at } = agent;
    let texts = message.texts.iter().map(|text| AgentTextEntry {
        path: text.path.clone(),
        value: if show_secrets { Some(text.text.clone()) } else { text.redacted.clone() },
        bytes: text.bytes,
    });
    AgentEntry {
        protocol: Name::from(message.protocol.name()),
        what: Name::from(message.what),
        method: message.method.clone(),
        tools: message.tools.clone(),
        model: message.model.clone(),
        id: message.id.clone(),
        texts: texts.collect(),
        texts_total: message.texts_total,
        joined: message.joined,
        level: at.level,
        location: location(&at.location, at.chain.as_slice()),
    }
}
