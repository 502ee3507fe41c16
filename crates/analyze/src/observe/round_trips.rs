//! Counts how often the client of a connection waits for the server.

use dissect::flow::Direction;
use dissect::tcp::Disposition;
use dissect::tls::{Content, ContentType, Epoch, Record};

use crate::pipeline::fact::SegmentFact;

/// Counts round trips: flights of the client that the server answers with a flight.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct RoundTrips {
    /// Whether the client's last flight is unanswered.
    is_waiting: bool,
    total: u32,
    until_answer: Option<u32>,
    /// Whether the connection carried TLS before the current segment.
    is_tls: bool,
    /// Whether the current segment contains a TLS record, and whether it contains a record of the server that the
    /// client waits for.
    has_record: bool,
    has_awaited_record: bool,
    /// Whether an application-level answer has begun.
    is_answered: bool,
}

impl RoundTrips {
    /// Notes a TLS record in the current segment.
    pub(crate) fn record(&mut self, record: &Record<'_>) {
        self.has_record = true;
        self.has_awaited_record |= record.direction == Direction::ServerToClient && !is_unsolicited(record);
    }

    /// Notes that an application-level answer begins in the current segment.
    pub(crate) fn answer(&mut self) {
        self.is_answered = true;
    }

    /// Adds the current segment. The facts of its content come before it.
    #[inline]
    pub(crate) fn segment(&mut self, segment: &SegmentFact<'_>) {
        if self.until_answer.is_some() {
            return;
        }
        if segment.is_first_syn {
            self.flight(segment.direction);
        }
        let carries =
            segment.disposition.is_some_and(|kind| kind.is_in_stream() && kind != Disposition::Empty);
        if carries {
            let is_tls_server = self.is_tls && segment.direction == Direction::ServerToClient;
            if !is_tls_server || self.has_awaited_record {
                self.flight(segment.direction);
            }
            if self.is_answered {
                self.until_answer = Some(self.total);
            }
        }
        self.is_tls |= self.has_record;
        self.has_awaited_record = false;
    }

    fn flight(&mut self, direction: Direction) {
        match direction {
            Direction::ClientToServer => self.is_waiting = true,
            Direction::ServerToClient => self.total += u32::from(std::mem::take(&mut self.is_waiting)),
        }
    }

    /// Number of round trips until the first application-level answer began.
    pub(crate) fn until_answer(&self) -> Option<u32> {
        self.until_answer
    }
}

/// Whether the message comes after the handshake, such as a session ticket (RFC 9846 §4.6): the client does not wait
/// for it.
fn is_unsolicited(record: &Record<'_>) -> bool {
    matches!(&record.content, Content::Decrypted(decrypted)
        if decrypted.content_type == ContentType::HANDSHAKE && matches!(decrypted.epoch, Epoch::Application(_)))
}
