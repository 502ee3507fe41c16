//! How often the client of a connection waits for the server.

use dissect::flow::Direction;
use dissect::tcp::Disposition;
use dissect::tls::{Content, ContentType, Epoch, Record};

use crate::pipeline::fact::SegmentFact;

/// Counts round trips: flights of the client that the server answered with a flight.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct RoundTrips {
    /// Whether the client's last flight is unanswered.
    is_waiting: bool,
    total: u32,
    until_answer: Option<u32>,
    /// Whether the connection spoke TLS before the segment under way.
    is_tls: bool,
    /// Whether the segment under way holds a TLS record, or a record of the server that the client waits for.
    has_record: bool,
    has_awaited_record: bool,
    /// Whether an answer of the application began.
    is_answered: bool,
}

impl RoundTrips {
    /// Takes a TLS record of the segment under way.
    pub(crate) fn record(&mut self, record: &Record<'_>) {
        self.has_record = true;
        self.has_awaited_record |= record.direction == Direction::ServerToClient && !is_unasked(record);
    }

    /// An answer of the application begins in the segment under way.
    pub(crate) fn answer(&mut self) {
        self.is_answered = true;
    }

    /// Takes the segment under way. What it holds was taken before.
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

    /// Round trips until the first answer of the application began.
    pub(crate) fn until_answer(&self) -> Option<u32> {
        self.until_answer
    }
}

/// A handshake message behind the handshake, such as a session ticket (RFC 9846 §4.6): the client did not wait for it.
fn is_unasked(record: &Record<'_>) -> bool {
    matches!(&record.content, Content::Decrypted(decrypted)
        if decrypted.content_type == ContentType::HANDSHAKE && matches!(decrypted.epoch, Epoch::Application(_)))
}
