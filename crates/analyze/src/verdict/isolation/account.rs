//! Accounts for the users' traffic, request by request and sandbox by sandbox.
//!
//! ```text
//! plan:     message of a user ──── request ┐
//!                                          ├─ one connection, byte for byte
//! journal:  output of a sandbox ── answer  ┘
//! ```
//! Each request has to be the next planned message of the user that it names, and each answer the output of one sandbox of
//! that user and conversation, which ran in between. Each planned message has a request, and each sandbox an answer. The
//! replay reads the conversations of its victim, and nothing else, when all of them are complete. What differs is a doubt;
//! data of one user in a connection of another one is a leak.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;
use std::sync::Arc;

use dissect::content::Decoder;
use dissect::flow::Direction;

use super::boxes::{Boxes, MIN_VALUE, isolated};
use super::cross_tenant::search;
use super::doubt::{IsolationDoubt, NotAccounted};
use super::findings::Findings;
use super::http::{self, Answer, Request};
use super::leak::Leak;
use super::leaves::{Leaf, leaves};
use super::outputs::{answer_text, answered, quoted};
use super::times::{SECOND, http_date, rfc3339};
use crate::input::isolation_record::{BoxRun, Experiment, User};
use crate::needles::{KnownStrings, StringSearch};
use crate::observe::CaptureObserver;
use crate::observe::user_connections::UserConnection;
use crate::pipeline::carve::CarveBudget;

/// The journal and the captures read the same clock, the gateway's `Date` has whole seconds and is taken up to a second
/// before.
const CLOCK_SLACK_NS: u64 = 2 * SECOND;

/// Longest time between a request and its sandbox, and between that and the answer: the queue and the store need
/// milliseconds.
const IDLE_NS: u64 = 10 * SECOND;

/// The names in the gateway's answers to `GET`.
const NAMES: [&str; 10] = [
    "conversationId",
    "conversations",
    "createdAt",
    "updatedAt",
    "turns",
    "messages",
    "role",
    "text",
    "at",
    "nextCursor",
];

/// The roles of messages.
const ROLES: [&str; 2] = ["user", "assistant"];

/// How much of the users' traffic is accounted for.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Account {
    /// Connections of the users.
    pub connections: u64,
    /// Of these: connections whose every byte is accounted for.
    pub accounted: u64,
    /// Sandboxes without network.
    pub boxes: u64,
    /// Of these: sandboxes whose output is exactly one answer.
    pub boxes_answered: u64,
    /// Bytes that the connections carried.
    pub bytes: u64,
    /// Of these: bytes that are accounted for.
    pub bytes_accounted: u64,
}

/// The owner of a connection: the user whose address and id it has.
#[derive(Clone, Copy, Debug)]
enum Owner<'a> {
    User(&'a User),
    /// The client that replays the id of this user.
    Replay(&'a User),
}

/// Accounts for the connections of the isolated phase.
pub(super) fn judge(
    experiment: &Experiment,
    boxes: &[Boxes],
    connections: &[UserConnection],
) -> (Account, Findings) {
    let mut books = Books::open(experiment, boxes);
    // In the order of their requests: each user sends one after the other.
    let mut ordered: Vec<_> = connections.iter().collect();
    ordered
        .sort_by_key(|connection| (connection.sent[Direction::ClientToServer].first_at, connection.stream));
    books.messages_until =
        ordered.iter().filter_map(|connection| books.message_until(connection)).max().unwrap_or(0);
    for connection in ordered {
        let len = connection.sent.clone().into_iter().map(|(_, sent)| sent.bytes.len() as u64).sum::<u64>();
        books.account.connections += 1;
        books.account.bytes += len;
        match books.take(connection) {
            Ok(()) => {
                books.account.accounted += 1;
                books.account.bytes_accounted += len;
            }
            Err(why) => {
                let stream = connection.stream;
                books.findings.doubts.push(IsolationDoubt::TrafficNotAccounted { stream, why });
            }
        }
    }
    books.close()
}

/// What was taken so far.
struct Books<'a> {
    experiment: &'a Experiment,
    boxes: Vec<&'a BoxRun>,
    /// The sandboxes of each user and conversation, by index.
    of: BTreeMap<(&'a str, &'a str), Vec<usize>>,
    /// Whether each sandbox has its answer.
    has_answer: Vec<bool>,
    /// For each user: the conversation, and the answers in the order of the messages.
    said: Vec<Said<'a>>,
    /// Conversations, messages and answers, each with the one user that it belongs to: what no other user may get.
    marks: BTreeMap<String, &'a str>,
    /// Finds the users' secrets in every form.
    secrets: (KnownStrings, Arc<StringSearch>),
    /// When the last message of a user was answered, whatever the answer.
    messages_until: u64,
    /// The requests of the replay that were seen: the list, and conversations.
    replayed: Vec<String>,
    account: Account,
    findings: Findings,
}

#[derive(Clone, Debug, Default)]
struct Said<'a> {
    conversation: Option<&'a str>,
    answers: Vec<String>,
}

impl<'a> Books<'a> {
    fn open(experiment: &'a Experiment, all: &'a [Boxes]) -> Self {
        let boxes: Vec<&BoxRun> = isolated(all).collect();
        let mut of: BTreeMap<_, Vec<usize>> = BTreeMap::new();
        for (index, run) in boxes.iter().enumerate() {
            if let (Some(user), Some(conversation)) = (&run.user, &run.conversation_id) {
                of.entry((user.as_str(), conversation.as_str())).or_default().push(index);
            }
        }
        let account = Account { boxes: boxes.len() as u64, ..Account::default() };
        Self {
            experiment,
            has_answer: vec![false; boxes.len()],
            of,
            said: vec![Said::default(); experiment.users.len()],
            messages_until: 0,
            marks: marks(experiment, &boxes),
            secrets: KnownStrings::values(experiment.users.iter().map(|user| user.secret.as_str()), &[]),
            boxes,
            replayed: Vec::new(),
            account,
            findings: Findings::default(),
        }
    }

    /// When the answer to a user's message was complete, if the connection is one.
    fn message_until(&self, connection: &UserConnection) -> Option<u64> {
        let (client, _) = connection.ends?;
        let asked = &connection.sent[Direction::ClientToServer];
        let request = http::request(&asked.bytes).ok()?;
        let owner = self.owner(client.ip(), &request, 0)?;
        let until = asked.last_at.max(connection.sent[Direction::ServerToClient].last_at);
        matches!(owner, Owner::User(_)).then_some(until)
    }

    fn take(&mut self, connection: &UserConnection) -> Result<(), NotAccounted> {
        let [asked, told] =
            [Direction::ClientToServer, Direction::ServerToClient].map(|side| &connection.sent[side]);
        let (client, server) = connection.ends.ok_or(NotAccounted::NotWhole)?;
        let request = http::request(&asked.bytes);
        let owner =
            request.as_ref().ok().and_then(|request| self.owner(client.ip(), request, asked.first_at));
        self.look_for_others(connection, owner);
        if server != self.experiment.user_traffic.server {
            return Err(NotAccounted::OtherServer);
        }
        let request = request.map_err(NotAccounted::Request)?;
        let answer = http::answer(&told.bytes).map_err(NotAccounted::Answer)?;
        if request.host != server.to_string() || asked.last_at > told.first_at {
            return Err(NotAccounted::Order);
        }
        let sent_at = http_date(answer.date).ok_or(NotAccounted::Time)?;
        if sent_at.abs_diff(told.first_at) > CLOCK_SLACK_NS {
            return Err(NotAccounted::Time);
        }
        match owner {
            Some(Owner::User(user)) => {
                self.take_message(user, &request, &answer, asked.last_at, told.first_at)
            }
            Some(Owner::Replay(victim)) => self.take_replay(victim, &request, &answer),
            None => Err(NotAccounted::NoOwner),
        }
    }

    /// The owner of a connection with this request, which began at this time.
    fn owner(&self, client: IpAddr, request: &Request<'_>, at: u64) -> Option<Owner<'a>> {
        let user = self.experiment.users.iter().find(|user| user.id == request.user)?;
        if user.address == client && request.method == "POST" {
            return Some(Owner::User(user));
        }
        let replay = self.experiment.replay.as_ref()?;
        let is_replay = (replay.client, replay.user.as_str()) == (client, request.user);
        // Only these requests are exempt, and only when the users have their answers.
        (is_replay && request.method == "GET" && at > self.messages_until).then_some(Owner::Replay(user))
    }

    /// A message of a user, answered by a sandbox.
    fn take_message(
        &mut self,
        user: &'a User,
        request: &Request<'_>,
        answer: &Answer<'_>,
        asked_at: u64,
        told_at: u64,
    ) -> Result<(), NotAccounted> {
        let index = self.index_of(user);
        let Said { conversation, answers } = &self.said[index];
        let number = answers.len();
        let message = user.messages.get(number).ok_or(NotAccounted::NotPlanned)?;
        let expected = match conversation {
            None => format!("{{\"message\":{}}}", quoted(message)),
            Some(id) => format!("{{\"message\":{},\"conversationId\":{}}}", quoted(message), quoted(id)),
        };
        if request.target != "/api/conversation" || request.body != expected.as_bytes() {
            return Err(NotAccounted::NotPlanned);
        }
        if answer.status != http::ANSWERED {
            return Err(NotAccounted::NoBox);
        }
        let of_conversation = conversation.map(|id| self.of.get(&(user.id.as_str(), id)));
        let candidates: Vec<usize> = match of_conversation {
            Some(of_conversation) => of_conversation.into_iter().flatten().copied().collect(),
            // The first answer names the conversation.
            None => {
                let own = self.of.iter().filter(|((owner, _), _)| *owner == user.id);
                own.flat_map(|(_, indices)| indices).copied().collect()
            }
        };
        let found = candidates.into_iter().filter(|at| !self.has_answer[*at]).find(|at| {
            let run = self.boxes[*at];
            let (began, ended) = (run.started_at_unix_ns, run.ended_at_unix_ns);
            let is_between = asked_at <= began.saturating_add(CLOCK_SLACK_NS)
                && ended <= told_at.saturating_add(CLOCK_SLACK_NS)
                && began.abs_diff(asked_at) <= IDLE_NS
                && told_at.abs_diff(ended) <= IDLE_NS
                && told_at.saturating_sub(asked_at) <= ended.saturating_sub(began) + CLOCK_SLACK_NS;
            is_between
                && answered(run, user) == Some(number)
                && answer_text(run).is_some_and(|text| answer.body == answer_body(run, &text).as_bytes())
        });
        let at = found.ok_or(NotAccounted::NoBox)?;
        self.has_answer[at] = true;
        let run = self.boxes[at];
        let said = &mut self.said[index];
        said.conversation = run.conversation_id.as_deref();
        said.answers.push(answer_text(run).unwrap_or_default());
        Ok(())
    }

    /// A request of the replay: the list of the victim's conversations, or the one conversation.
    fn take_replay(
        &mut self,
        victim: &User,
        request: &Request<'_>,
        answer: &Answer<'_>,
    ) -> Result<(), NotAccounted> {
        let index = self.index_of(victim);
        let conversation = self.said[index].conversation.unwrap_or_default();
        let list = "/api/conversations".to_owned();
        let one = format!("/api/conversation/{conversation}");
        let is_planned = request.body.is_empty()
            && (self.replayed.is_empty() && request.target == list
                || self.replayed == [list.as_str()] && request.target == one);
        if !is_planned {
            return Err(NotAccounted::NotPlanned);
        }
        if answer.status != http::ANSWERED {
            return Err(NotAccounted::NoBox);
        }
        let is_one = request.target == one;
        self.replayed.push(request.target.to_owned());
        let found = leaves(&answer.body).ok_or(NotAccounted::AnswerContent)?;
        let mut texts = Vec::new();
        let mut name = "";
        for leaf in &found {
            let is_known = match leaf {
                Leaf::Name(known) => {
                    name = known;
                    NAMES.contains(&name)
                }
                Leaf::Number(number) => name == "turns" && *number == victim.messages.len() as u64,
                Leaf::Text(text) => match name {
                    "text" => {
                        texts.push(text.as_str());
                        true
                    }
                    "conversationId" => text == conversation,
                    "role" => ROLES.contains(&text.as_str()),
                    "createdAt" | "updatedAt" | "at" => rfc3339(text).is_some_and(|at| self.is_in_run(at)),
                    _ => false,
                },
            };
            if !is_known {
                return Err(NotAccounted::AnswerContent);
            }
        }
        let said = victim.messages.iter().zip(&self.said[index].answers);
        let expected: Vec<&str> = said.flat_map(|(message, answer)| [message.as_str(), answer]).collect();
        if texts != if is_one { expected } else { Vec::new() } {
            return Err(NotAccounted::AnswerContent);
        }
        Ok(())
    }

    fn is_in_run(&self, at: u64) -> bool {
        (self.experiment.started_at_unix_ns..=self.experiment.ended_at_unix_ns).contains(&at)
    }

    /// Looks for the data of other users in a connection: their secrets, in every form and both directions, and their
    /// conversations, messages and answers in what the client got.
    fn look_for_others(&mut self, connection: &UserConnection, owner: Option<Owner<'_>>) {
        let owner = owner.map(|owner| match owner {
            Owner::User(user) | Owner::Replay(user) => user.id.as_str(),
        });
        let stream = connection.stream;
        let (known, search_for) = &self.secrets;
        let mut observer = CaptureObserver::new(known, search_for);
        let (mut decoder, mut budget) = (Decoder::default(), CarveBudget::default());
        for (_, sent) in connection.sent.clone() {
            search(&mut observer, &mut decoder, &mut budget, 0, &sent.bytes);
        }
        let found = known.needles().filter(|(needle, _)| observer.hits.of(*needle).total() > 0);
        let found: BTreeSet<&[u8]> = found.map(|(_, bytes)| bytes).collect();
        let others = || self.experiment.users.iter().filter(|user| owner != Some(&user.id));
        for user in others().filter(|user| found.contains(user.secret.as_bytes())) {
            self.findings.leaks.push(Leak::SecretInConnection { stream, user: user.id.clone() });
        }
        let told = &connection.sent[Direction::ServerToClient].bytes;
        let marked: BTreeSet<&str> =
            texts_in(told).filter_map(|text| self.marks.get(&text).copied()).collect();
        for user in marked.into_iter().filter(|user| owner != Some(user)) {
            self.findings.leaks.push(Leak::ConversationInTraffic { stream, user: user.to_owned() });
        }
    }

    fn index_of(&self, user: &User) -> usize {
        self.experiment.users.iter().position(|other| std::ptr::eq(other, user)).unwrap_or_default()
    }

    /// What is left over.
    fn close(mut self) -> (Account, Findings) {
        self.account.boxes_answered = self.has_answer.iter().filter(|has| **has).count() as u64;
        for (run, _) in self.boxes.iter().zip(&self.has_answer).filter(|(_, has)| !**has) {
            self.findings.doubts.push(IsolationDoubt::BoxWithoutAnswer { sandbox: run.name.clone() });
        }
        for (user, said) in self.experiment.users.iter().zip(&self.said) {
            let (planned, sent) = (user.messages.len(), said.answers.len());
            if sent < planned {
                let user = user.id.clone();
                self.findings.doubts.push(IsolationDoubt::MessagesNotSent { user, planned, sent });
            }
            let told = &user.messages[..sent.min(planned)];
            if !told.iter().any(|message| message.contains(&user.secret)) {
                self.findings.doubts.push(IsolationDoubt::SecretNotTold { user: user.id.clone() });
            }
        }
        self.check_conversations();
        (self.account, self.findings)
    }

    /// Each conversation is of one user: the one that got it in an answer.
    fn check_conversations(&mut self) {
        let mut owners: BTreeMap<&str, BTreeSet<&str>> = BTreeMap::new();
        for (user, said) in self.experiment.users.iter().zip(&self.said) {
            if let Some(id) = said.conversation {
                owners.entry(id).or_default().insert(&user.id);
            }
        }
        for (user, conversation) in self.of.keys() {
            owners.entry(conversation).or_default().insert(user);
        }
        for (conversation, users) in owners.into_iter().filter(|(_, users)| users.len() > 1) {
            let users = users.into_iter().map(str::to_owned).collect();
            let conversation = conversation.to_owned();
            self.findings.leaks.push(Leak::SharedConversation { conversation, users });
        }
        for run in self.boxes.iter().filter(|run| run.conversation_id.is_none()) {
            self.findings.doubts.push(IsolationDoubt::NoConversation { sandbox: run.name.clone() });
        }
    }
}

/// The body of the answer to a message.
fn answer_body(run: &BoxRun, text: &str) -> String {
    let conversation = run.conversation_id.as_deref().unwrap_or_default();
    format!("{{\"conversationId\":{},\"text\":{}}}", quoted(conversation), quoted(text))
}

/// Conversations, messages and answers with the user that they belong to, unless they belong to several.
fn marks<'a>(experiment: &'a Experiment, boxes: &[&'a BoxRun]) -> BTreeMap<String, &'a str> {
    let mut owners: BTreeMap<String, BTreeSet<&str>> = BTreeMap::new();
    let mut add = |mark: &str, owner: &'a str| {
        if mark.len() >= MIN_VALUE {
            owners.entry(mark.to_owned()).or_default().insert(owner);
        }
    };
    for user in &experiment.users {
        user.messages.iter().for_each(|message| add(message, &user.id));
    }
    for run in boxes {
        let Some(User { id: user, .. }) =
            experiment.users.iter().find(|user| run.user.as_ref() == Some(&user.id))
        else {
            continue;
        };
        if let Some(conversation) = &run.conversation_id {
            add(conversation, user);
        }
        if let Some(text) = answer_text(run) {
            add(&text, user);
        }
    }
    let sole = |(mark, owners): (String, BTreeSet<&'a str>)| match owners.len() {
        1 => owners.first().map(|owner| (mark, *owner)),
        _ => None,
    };
    owners.into_iter().filter_map(sole).collect()
}

/// What stands between quotation marks, read as strings of JSON.
fn texts_in(bytes: &[u8]) -> impl Iterator<Item = String> + use<> {
    let mut is_escaped = false;
    let quotes: Vec<usize> = (bytes.iter().enumerate())
        .filter_map(|(at, byte)| {
            let is_quote = *byte == b'"' && !is_escaped;
            is_escaped = *byte == b'\\' && !is_escaped;
            is_quote.then_some(at)
        })
        .collect();
    let pairs: Vec<_> = quotes.windows(2).filter_map(|pair| bytes.get(pair[0]..=pair[1])).collect();
    pairs.into_iter().filter_map(|text| serde_json::from_slice(text).ok()).collect::<Vec<_>>().into_iter()
}
