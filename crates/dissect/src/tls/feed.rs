//! The events of one input: passes it record by record through the deframer and the session to the caller.

use super::code::ContentType;
use super::counters::Reason;
use super::decrypt::DecryptAttempt;
use super::direction::Framing;
use super::event::{Content, DecryptedRecord, Event, Record};
use super::record::{Framed, HEADER_LEN, Place, Step};
use super::session::{JudgedContent, Judgement, Queued, Session};
use super::workspace::{MAX_SPARE_BUFFERS, Workspace};
use crate::flow::Direction;

/// The events of one input. Call [`Feed::next_event`] until it returns `None`. Dropping a feed processes the rest of the
/// input without events, so that the session is never left in the middle.
#[derive(Debug)]
pub struct Feed<'f> {
    session: &'f mut Session,
    workspace: &'f mut Workspace,
    direction: Direction,
    /// The input that was not processed yet.
    input: &'f [u8],
    /// The input that the last step processed.
    current: &'f [u8],
    is_last: bool,
}

enum Advanced {
    Queued(Queued),
    Record(JudgedRecord),
}

/// A record without the borrowed bytes.
struct JudgedRecord {
    direction: Direction,
    index: u64,
    framed: Framed,
    judgement: Judgement,
}

impl Session {
    /// Processes the bytes of `direction` at `stream_offset`. Offsets must not decrease; one that skips bytes counts as
    /// a [`Session::gap`]. The returned [`Feed`] yields the events; dropping it processes the rest of the input.
    pub fn feed<'f>(
        &'f mut self,
        workspace: &'f mut Workspace,
        direction: Direction,
        stream_offset: u64,
        bytes: &'f [u8],
    ) -> Feed<'f> {
        let next = self.state_mut(direction).end();
        if let Some(missing @ 1..) = stream_offset.checked_sub(next) {
            self.lose(direction, missing);
        }
        // Bytes that were processed before are ignored.
        let repeated = usize::try_from(next.saturating_sub(stream_offset)).unwrap_or(usize::MAX);
        let input = bytes.get(repeated..).unwrap_or_default();
        self.state_mut(direction).counters.receive(input.len() as u64);
        Feed::new(self, workspace, direction, input)
    }

    /// Reports that `length` bytes of `direction` are missing from the capture at `stream_offset`.
    pub fn gap<'f>(
        &'f mut self,
        workspace: &'f mut Workspace,
        direction: Direction,
        stream_offset: u64,
        length: u64,
    ) -> Feed<'f> {
        let end = stream_offset.saturating_add(length);
        if let Some(missing @ 1..) = end.checked_sub(self.state_mut(direction).end()) {
            self.lose(direction, missing);
        }
        Feed::new(self, workspace, direction, &[])
    }

    /// Ends both directions: records stop waiting, and unfinished ones become unexplained.
    pub fn finish<'f>(&'f mut self, workspace: &'f mut Workspace) -> Feed<'f> {
        self.negotiation.no_more_waiting = true;
        Feed::last(self, workspace)
    }
}

impl<'f> Feed<'f> {
    pub(super) fn new(
        session: &'f mut Session,
        workspace: &'f mut Workspace,
        direction: Direction,
        input: &'f [u8],
    ) -> Self {
        Self { session, workspace, direction, input, current: &[], is_last: false }
    }

    /// The feed after the last input of both directions.
    pub(super) fn last(session: &'f mut Session, workspace: &'f mut Workspace) -> Self {
        let mut feed = Self::new(session, workspace, Direction::ClientToServer, &[]);
        feed.is_last = true;
        feed
    }
}

impl Feed<'_> {
    /// The next event. The data that it borrows is valid until the next call.
    pub fn next_event(&mut self) -> Option<Event<'_>> {
        match self.advance()? {
            Advanced::Queued(Queued::Handshake(handshake)) => Some(Event::Handshake(handshake)),
            Advanced::Queued(Queued::Anomaly(anomaly)) => Some(Event::Anomaly(anomaly)),
            Advanced::Record(judged) => Some(Event::Record(self.record(judged))),
        }
    }

    /// Lends the bytes of a judged record to the caller.
    fn record(&mut self, judged: JudgedRecord) -> Record<'_> {
        let JudgedRecord { direction, index, framed: Framed { header, range, place }, judgement } = judged;
        let Judgement { content, tried, is_legacy } = judgement;
        let fragment = fragment(&place, self.current, &self.workspace.assembled);
        let content = match content {
            JudgedContent::Handshake => Content::Handshake(fragment),
            JudgedContent::ChangeCipherSpec { well_formed } => Content::ChangeCipherSpec { well_formed },
            JudgedContent::Alert(alert) => Content::Alert(alert),
            JudgedContent::NotAuthentic => Content::NotAuthentic,
            JudgedContent::NotDecrypted(why) => Content::NotDecrypted(why),
            JudgedContent::Damaged => Content::Damaged,
            JudgedContent::Unexpected => Content::Unexpected(fragment),
            JudgedContent::Decrypted(decrypted) => Content::Decrypted(DecryptedRecord {
                content_type: decrypted.content_type,
                plaintext: self.workspace.scratch.plaintext.get(..decrypted.length).unwrap_or_default(),
                application_offset: decrypted.application_offset,
                padding: decrypted.padding,
                epoch: decrypted.epoch,
                sequence: decrypted.sequence,
                carried_from: decrypted.carried_from,
                version: decrypted.version,
                needs_secret: decrypted.needs_secret,
            }),
        };
        let is_protected = match &content {
            Content::Decrypted(decrypted) => decrypted.needs_secret,
            Content::NotAuthentic => true,
            Content::NotDecrypted(_) | Content::Damaged => {
                is_legacy || header.content_type == ContentType::APPLICATION_DATA
            }
            Content::Handshake(_)
            | Content::ChangeCipherSpec { .. }
            | Content::Alert(_)
            | Content::Unexpected(_) => false,
        };
        let attempt = tried.map(|tried| DecryptAttempt::new(tried, header, fragment));
        Record { direction, index, range, header, is_protected, content, attempt }
    }

    fn advance(&mut self) -> Option<Advanced> {
        loop {
            if let Some(queued) = self.session.unqueue() {
                return Some(Advanced::Queued(queued));
            }
            if let Some((direction, held)) = self.session.release() {
                let framed = Framed { header: held.header, range: held.range, place: Place::Assembled };
                self.workspace.assembled = held.bytes;
                return Some(self.judge(direction, framed));
            }
            if !self.input.is_empty() {
                if let Some(record) = self.step() {
                    return Some(record);
                }
            } else if std::mem::take(&mut self.is_last) {
                self.session.close();
            } else {
                return None;
            }
        }
    }

    /// Reads the input up to the end of one record. Returns that record, unless it has to wait.
    fn step(&mut self) -> Option<Advanced> {
        let deframer = match &mut self.session.state_mut(self.direction).framing {
            Framing::Records(deframer) => deframer,
            Framing::Dead(reason) => {
                let reason = *reason;
                let rest = std::mem::take(&mut self.input);
                self.session.dead(self.direction, reason, rest.len() as u64);
                return None;
            }
        };
        deframer.lend(&mut self.workspace.spare);
        let (taken, step) = deframer.step(self.input, &mut self.workspace.assembled);
        deframer.give_back(&mut self.workspace.spare, MAX_SPARE_BUFFERS);
        (self.current, self.input) = self.input.split_at_checked(taken).unwrap_or((self.input, &[]));
        match step {
            Step::NeedMore => None,
            Step::NotTls { stream_offset, why } => {
                self.session.not_tls(self.direction, stream_offset, Reason::NotTls(why));
                None
            }
            Step::Record(framed) => {
                let is_whole = !matches!(framed.place, Place::Damaged { .. });
                if is_whole && self.session.must_hold(self.direction, framed.header.content_type) {
                    let fragment = fragment(&framed.place, self.current, &self.workspace.assembled);
                    self.session.hold(self.direction, &framed, fragment);
                    return None;
                }
                Some(self.judge(self.direction, framed))
            }
        }
    }

    fn judge(&mut self, direction: Direction, framed: Framed) -> Advanced {
        let Workspace { assembled, scratch, .. } = &mut *self.workspace;
        let fragment = fragment(&framed.place, self.current, assembled);
        let index = self.session.counters(direction).records;
        let judgement = self.session.judge(direction, &framed, fragment, scratch);
        Advanced::Record(JudgedRecord { direction, index, framed, judgement })
    }
}

impl Drop for Feed<'_> {
    fn drop(&mut self) {
        while self.advance().is_some() {}
    }
}

/// The fragment of a record, where it is stored.
fn fragment<'a>(place: &Place, current: &'a [u8], assembled: &'a [u8]) -> &'a [u8] {
    match place {
        Place::Input(range) => current.get(range.clone()),
        Place::Assembled => assembled.get(HEADER_LEN..),
        Place::Damaged { .. } => None,
    }
    .unwrap_or_default()
}
