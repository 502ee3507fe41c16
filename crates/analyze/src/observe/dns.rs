//! The names that were asked for, and the connections that follow from the answers.

use std::collections::HashMap;
use std::net::{IpAddr, SocketAddr};

use dissect::dns::{Data, Message, Record, RecordType, Section};
use dissect::flow::Direction;
use dissect::frame::Frame;

use crate::pipeline::fact::{DnsFact, SegmentFact};

/// Maximum number of lookups that are described one by one; the others are counted.
pub(crate) const MAX_LOOKUPS: usize = 4096;

/// Maximum number of questions that are taken from one message; all ordinary messages but some of multicast DNS have one.
pub(crate) const MAX_QUESTIONS: usize = 32;

/// Maximum number of records listed of one answer; the others are counted.
pub(crate) const MAX_ANSWERS: usize = 16;

/// Maximum number of connections listed of one lookup.
pub(crate) const MAX_LINKED: usize = 64;

/// Maximum number of addresses whose names are remembered. At the limit all are forgotten, so that later connections may lack
/// their name.
pub(crate) const MAX_ADDRESSES: usize = 4096;

/// Maximum number of names of one address that are taken from the lookups.
pub(crate) const MAX_NAMES_OF_ADDRESS: usize = 64;

/// Maximum number of characters of a record's data: a TXT record can have 64 KiB.
const MAX_DATA_CHARS: usize = 512;

/// All DNS messages of a capture.
#[derive(Debug, Default)]
pub(crate) struct DnsTable {
    /// Number of messages.
    pub messages: u64,
    /// The first [`MAX_LOOKUPS`] lookups.
    pub lookups: Vec<Lookup>,
    /// Number of lookups.
    pub total: u64,
    /// The last lookup with each subject: its index.
    last: HashMap<Subject, usize>,
    /// The lookup of each address, by the client that asked for it; `None` if every host may have heard the answer.
    addresses: HashMap<(Option<IpAddr>, IpAddr), Resolved>,
    /// Frame, client and server of the last SYN.
    last_syn: Option<(u64, IpAddr, IpAddr)>,
}

/// What a question and its answer have in common.
#[derive(Debug, PartialEq, Eq, Hash)]
struct Subject {
    id: u16,
    kind: RecordType,
    protocol: &'static str,
    stream: Option<u32>,
    name: String,
    /// The client and the server, as far as they are known.
    ends: [Option<SocketAddr>; 2],
}

#[derive(Debug)]
struct Resolved {
    name: String,
    /// Index of the lookup, if it is described.
    lookup: Option<usize>,
}

/// A question and its answer.
#[derive(Debug)]
pub(crate) struct Lookup {
    pub name: String,
    pub kind: RecordType,
    pub protocol: &'static str,
    pub stream: Option<u32>,
    /// Who asks and who is asked; `None` in a TCP connection.
    pub ends: Option<[SocketAddr; 2]>,
    pub query_frame: Option<u64>,
    pub answer_frame: Option<u64>,
    pub response_code: Option<String>,
    pub answers: Vec<Answer>,
    pub answers_total: u64,
    pub connections: Vec<u32>,
    pub needs_key: bool,
}

/// A record of an answer.
#[derive(Debug)]
pub(crate) struct Answer {
    pub name: String,
    pub record_type: String,
    pub data: String,
}

impl DnsTable {
    /// Adds a message.
    pub(crate) fn take(&mut self, fact: &DnsFact<'_>) {
        self.messages += 1;
        let message = fact.message;
        let is_answer = message.header.is_response;
        let is_multicast = fact.protocol == "mdns";
        // Of an announcement, the first record names what it is about.
        let announced = message.records.first().filter(|_| is_answer && message.questions.is_empty());
        let subjects = message
            .questions
            .iter()
            .map(|question| (question.name.text.as_str(), question.kind))
            .take(MAX_QUESTIONS)
            .chain(announced.map(|record| (record.name.text.as_str(), record.kind)));
        let ends = match (fact.ends, is_answer) {
            (Some([source, destination]), true) if !is_multicast => Some([destination, source]),
            (ends, _) => ends,
        };
        let mut first = None;
        for (name, kind) in subjects {
            let stream = fact.stream.map(|(stream, _)| stream);
            let [client, server] = ends.map_or([None, None], |ends| ends.map(Some));
            let subject = Subject {
                id: message.header.id,
                kind,
                protocol: fact.protocol,
                stream,
                name: name.to_owned(),
                // The answer to a query for all hosts comes from another address, or goes to all hosts, too.
                ends: match fact.protocol {
                    "mdns" => [None, None],
                    "llmnr" => [client, None],
                    _ => [client, server],
                },
            };
            let is_open = |index: &usize| {
                !is_answer || self.lookups.get(*index).is_some_and(|lookup| lookup.answer_frame.is_none())
            };
            let has_room = self.lookups.len() < MAX_LOOKUPS;
            let index = match self.last.get(&subject).copied().filter(is_open) {
                Some(known) => known,
                None => {
                    // Behind the last one that is described, an answer cannot be matched with its query: queries count.
                    self.total += u64::from(has_room || !is_answer || message.questions.is_empty());
                    if !has_room {
                        continue;
                    }
                    self.last.insert(subject, self.lookups.len());
                    self.lookups.push(Lookup {
                        name: name.to_owned(),
                        kind,
                        protocol: fact.protocol,
                        stream,
                        ends,
                        query_frame: None,
                        answer_frame: None,
                        response_code: None,
                        answers: Vec::new(),
                        answers_total: 0,
                        connections: Vec::new(),
                        needs_key: fact.needs_secret,
                    });
                    self.lookups.len() - 1
                }
            };
            first.get_or_insert(index);
            if let Some(lookup) = self.lookups.get_mut(index) {
                lookup.add(fact, is_answer);
            }
        }
        if is_answer {
            self.resolve(fact, ends, first, is_multicast);
        }
    }

    /// Remembers the addresses of an answer.
    fn resolve(
        &mut self,
        fact: &DnsFact<'_>,
        ends: Option<[SocketAddr; 2]>,
        lookup: Option<usize>,
        is_multicast: bool,
    ) {
        let client = ends.filter(|_| !is_multicast).map(|[client, _]| client.ip());
        let asked = fact.message.questions.first().map(|question| question.name.text.as_str());
        for record in &fact.message.records {
            let address: IpAddr = match record.data {
                Data::A(address) => address.into(),
                Data::Aaaa(address) => address.into(),
                _ => continue,
            };
            if self.addresses.len() >= MAX_ADDRESSES {
                self.addresses.clear();
            }
            // The records of an answer may have another owner than the question: CNAME leads to it.
            let is_answer = record.section == Section::Answer;
            let name = asked.filter(|_| is_answer).unwrap_or(&record.name.text).to_owned();
            self.addresses.insert((client, address), Resolved { name, lookup: lookup.filter(|_| is_answer) });
        }
    }

    /// Notes the addresses of a frame, of which a segment may follow as a fact.
    #[inline]
    pub(crate) fn frame(&mut self, number: u64, frame: &Frame<'_>) {
        if self.addresses.is_empty() {
            return;
        }
        if let (Some(ip), Some(tcp)) = (frame.ip(), frame.tcp())
            && tcp.flags.syn()
        {
            self.last_syn = Some((number, ip.src.to_ip(), ip.dst.to_ip()));
        }
    }

    /// Links the connection that a segment opens with the lookup of its server.
    #[inline]
    pub(crate) fn segment(&mut self, segment: &SegmentFact<'_>) {
        if segment.is_first_syn
            && segment.direction == Direction::ClientToServer
            && let Some((frame, client, server)) = self.last_syn
            && frame == segment.frame
            && let Some(lookup) = self.resolved(client, server).and_then(|resolved| resolved.lookup)
            && let Some(lookup) = self.lookups.get_mut(lookup)
            && lookup.connections.len() < MAX_LINKED
        {
            lookup.connections.push(segment.stream);
        }
    }

    /// The names of each address, with the client that looked it up; `None` if it is not known, or every host may have heard the
    /// answer.
    pub(crate) fn names(&self) -> HashMap<IpAddr, Vec<(Option<IpAddr>, &str)>> {
        let mut names: HashMap<IpAddr, Vec<(Option<IpAddr>, &str)>> = HashMap::new();
        for lookup in &self.lookups {
            let client = lookup.ends.filter(|_| lookup.protocol != "mdns").map(|[client, _]| client.ip());
            let addresses = lookup.answers.iter().filter_map(|answer| answer.data.parse().ok());
            for address in addresses {
                let of_address = names.entry(address).or_default();
                let found = (client, lookup.name.as_str());
                if of_address.len() < MAX_NAMES_OF_ADDRESS && !of_address.contains(&found) {
                    of_address.push(found);
                }
            }
        }
        names
    }

    /// The name by which a client looked up an address.
    pub(crate) fn name_of(&self, client: IpAddr, server: IpAddr) -> Option<&str> {
        self.resolved(client, server).map(|resolved| resolved.name.as_str())
    }

    fn resolved(&self, client: IpAddr, server: IpAddr) -> Option<&Resolved> {
        self.addresses.get(&(Some(client), server)).or_else(|| self.addresses.get(&(None, server)))
    }
}

impl Lookup {
    fn add(&mut self, fact: &DnsFact<'_>, is_answer: bool) {
        if !is_answer {
            self.query_frame.get_or_insert(fact.frame);
            return;
        }
        if self.answer_frame.is_some() {
            return; // a repetition
        }
        self.answer_frame = Some(fact.frame);
        self.response_code = Some(fact.message.response_code().to_string());
        for record in fact.message.section(Section::Answer) {
            self.answers_total += 1;
            if self.answers.len() < MAX_ANSWERS {
                self.answers.push(Answer {
                    name: record.name.text.clone(),
                    record_type: record.kind.to_string(),
                    data: text_of(record, fact),
                });
            }
        }
    }
}

/// The data of a record as text.
fn text_of(record: &Record, fact: &DnsFact<'_>) -> String {
    let text = match &record.data {
        Data::A(address) => address.to_string(),
        Data::Aaaa(address) => address.to_string(),
        Data::Name(name) => name.text.clone(),
        Data::Mx { preference, exchange } => format!("{preference} {}", exchange.text),
        Data::Txt(strings) => {
            let strings = strings.iter().filter_map(|at| fact.bytes.get(at.clone()));
            strings.map(|string| format!("\"{}\"", string.escape_ascii())).collect::<Vec<_>>().join(" ")
        }
        Data::Srv { priority, weight, port, target } => format!("{priority} {weight} {port} {}", target.text),
        Data::Soa { primary, mailbox, serial } => format!("{} {} {serial}", primary.text, mailbox.text),
        Data::Service { priority, target, .. } => {
            let mut text = format!("{priority} {}", target.text);
            let (alpn, hints) = (record.data.alpn(fact.bytes), record.data.hints(fact.bytes));
            if !alpn.is_empty() {
                text += &format!(" alpn={}", alpn.join(","));
            }
            if !hints.is_empty() {
                let hints: Vec<_> = hints.iter().map(ToString::to_string).collect();
                text += &format!(" hints={}", hints.join(","));
            }
            text
        }
        _ => String::new(),
    };
    text.chars().take(MAX_DATA_CHARS).collect()
}

/// A message in few words.
pub(crate) fn summary(protocol: &str, message: &Message) -> String {
    let kind = if message.header.is_response { "answer" } else { "query" };
    let name = match (message.questions.first(), message.records.first()) {
        (Some(question), _) => format!(" {} {}", question.kind, question.name.text),
        (None, Some(record)) => format!(" {} {}", record.kind, record.name.text),
        (None, None) => String::new(),
    };
    format!("{} {kind}{name}", protocol.to_uppercase())
}
