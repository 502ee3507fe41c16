//! The course of one connection: its frames, how long the client had to wait, how it ended.

use dissect::flow::Direction;
use exposure_schema::Ended;

/// What a frame adds to the course of its connection.
#[derive(Clone, Copy, Debug)]
pub(crate) struct FrameMeta {
    /// Its number.
    pub frame: u64,
    /// When it was captured, nanoseconds since the epoch.
    pub at: u64,
    /// Bytes it had on the wire.
    pub wire_bytes: u64,
    /// Of these, TCP payload.
    pub payload: u64,
}

/// The course so far.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct ConnectionStats {
    /// Number and time of the first frame.
    pub first: (u64, u64),
    /// Number and time of the last frame.
    pub last: (u64, u64),
    /// Frames of both directions.
    pub frames: u64,
    /// Bytes of these frames on the wire.
    pub wire_bytes: u64,
    /// TCP payload of the client and of the server on the wire.
    pub payload: [u64; 2],
    /// How it ended.
    pub ended: Ended,
    /// How long the client waits.
    pub waiting: RoundTrips,
}

impl ConnectionStats {
    /// A frame of `side`.
    #[inline]
    pub(crate) fn pass(&mut self, side: Direction, passing: &FrameMeta) {
        let moment = (passing.frame, passing.at);
        if self.frames == 0 {
            self.first = moment;
        }
        self.last = moment;
        self.frames += 1;
        self.wire_bytes += passing.wire_bytes;
        self.payload[side as usize] += passing.payload;
    }
}

/// Counts round trips: flights of the client that the server answered with a flight.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct RoundTrips {
    /// Whether the client's last flight is unanswered.
    is_waiting: bool,
    round_trips: u32,
    until_answer: Option<u32>,
}

impl RoundTrips {
    /// A side says something new that the other one waits for.
    #[inline]
    pub(crate) fn speaks(&mut self, side: Direction) {
        match side {
            Direction::ClientToServer => self.is_waiting = true,
            Direction::ServerToClient => self.round_trips += u32::from(std::mem::take(&mut self.is_waiting)),
        }
    }

    /// An HTTP answer began.
    pub(crate) fn answered(&mut self) {
        self.until_answer.get_or_insert(self.round_trips);
    }

    /// Whether the first answer is still to come.
    #[inline]
    pub(crate) fn is_open(&self) -> bool {
        self.until_answer.is_none()
    }

    /// Round trips until the first HTTP answer began.
    pub(crate) fn until_answer(&self) -> Option<u32> {
        self.until_answer
    }
}
