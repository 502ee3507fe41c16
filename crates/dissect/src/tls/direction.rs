//! One direction of a session: its phases, and every transition between them.
//!
//! ```text
//!                              ┌───────────────┐  HelloRetryRequest   ┌─────────────────────┐
//!                              │ AwaitingHello │─────────────────────>│ AwaitingSecondHello │
//!                              └───────────────┘                      └─────────────────────┘
//!    any other first record, │   │           │ ClientHello,                      │ ServerHello
//!    or the hello is damaged │   │           │ ServerHello                       │
//!               ┌────────────┘   │           └─────────────┬─────────────────────┘
//!               v                │ ClientHello             │
//!          ┌────────┐            │ that offers 0-RTT       │
//!          │ Opaque │            v                         │
//!          └────────┘      ┌───────────┐                   │
//!                          │ EarlyData │                   │
//!                          └───────────┘                   │
//!       EndOfEarlyData, second │                           │
//!       ClientHello, or record │                           │
//!       under handshake keys   v                           │
//!                          ┌───────────┐                   │
//!                          │ Handshake │<──────────────────┘
//!                          └───────────┘
//!                own Finished  │
//!                              v
//!                          ┌─────────────────────────┐
//!                          │ Application(generation) │──┐
//!                          └─────────────────────────┘  │ KeyUpdate: generation + 1
//!                                               ^───────┘
//! ```
//!
//! The keys belong to the phase (RFC 9846 §7): 0-RTT keys, handshake keys, and application keys by generation. Apart
//! from the phase, the framing is either alive or dead. A direction with dead framing yields no further records, and
//! all its bytes are unexplained. It keeps its phase, because earlier records may still wait for the peer's hello.

use super::counters::{BegunCounters, Reason};
use super::decrypt::RecordDecrypter;
use super::event::Epoch;
use super::handshake_deframer::HandshakeDeframer;
use super::held::HeldRecords;
use super::record::RecordDeframer;

/// The state of one direction of a session.
#[derive(Debug, Default)]
pub(super) struct DirectionState {
    pub(super) framing: Framing,
    pub(super) phase: Phase,
    /// `None` until a record holds handshake messages.
    pub(super) handshake_deframer: Option<Box<HandshakeDeframer>>,
    /// Plaintext handshake bytes whose message is not complete, and the stream offset of the first of them.
    pub(super) unfinished_bytes: u32,
    pub(super) unfinished_from: u64,
    /// `None` while no record waits.
    pub(super) held: Option<Box<HeldRecords>>,
    /// Whether it was seen. Up to TLS 1.2, every record after it is encrypted.
    pub(super) saw_change_cipher_spec: bool,
    pub(super) counters: BegunCounters,
}

impl DirectionState {
    /// Bytes that it keeps.
    pub(super) fn kept_bytes(&self) -> usize {
        let record = match &self.framing {
            Framing::Records(records) => records.kept_bytes(),
            Framing::Dead(_) => 0,
        };
        let message = self.handshake_deframer.as_ref().map_or(0, |deframer| deframer.kept_bytes());
        record + message + self.held.as_ref().map_or(0, |held| held.kept_bytes())
    }
}

#[derive(Debug)]
pub(super) enum Framing {
    Records(RecordDeframer),
    /// No further records; the reason why every byte is unexplained.
    Dead(Reason),
}

/// The phase of one direction. The diagram is at the top of this file.
#[derive(Default)]
pub(super) enum Phase {
    #[default]
    AwaitingHello,
    /// A HelloRetryRequest went this way; the ServerHello is still to come.
    AwaitingSecondHello,
    /// The ClientHello offers 0-RTT data, and they may still come.
    EarlyData(Box<EarlyData>),
    /// The hello is complete; handshake keys, once a protected record needed them.
    Handshake(Option<Box<RecordDecrypter>>),
    Application {
        /// Number of key updates before.
        generation: u32,
        /// The keys, once a record needed them.
        decrypter: Option<Box<RecordDecrypter>>,
    },
    /// The direction does not begin with a hello: its messages cannot be read, and its keys cannot be found.
    Opaque,
}

/// Keys for the records behind a ClientHello that offers 0-RTT data.
#[derive(Default)]
pub(super) struct EarlyData {
    /// 0-RTT keys that may fit, once a record needed them; only the right one, once a record authenticated.
    pub(super) candidates: Option<Vec<RecordDecrypter>>,
    /// Whether 0-RTT keys have decrypted a record.
    pub(super) is_confirmed: bool,
    /// Handshake keys: a record that they decrypt comes after the 0-RTT data.
    pub(super) handshake: Option<Box<RecordDecrypter>>,
}

/// What a decrypted handshake message does to the keys of its sender.
#[derive(Clone, Copy)]
pub(super) enum KeyChange {
    EndOfEarlyData,
    Finished,
    KeyUpdate,
    /// change_cipher_spec of a second handshake, before TLS 1.3.
    Renegotiated,
}

impl Phase {
    /// Whether the ClientHello or ServerHello of this direction is complete.
    pub(super) fn is_after_hello(&self) -> bool {
        match self {
            Self::EarlyData(_) | Self::Handshake(_) | Self::Application { .. } => true,
            Self::AwaitingHello | Self::AwaitingSecondHello | Self::Opaque => false,
        }
    }

    /// The keys that the next record is decrypted with.
    pub(super) fn epoch(&self) -> Epoch {
        match self {
            Self::EarlyData(early) if early.is_confirmed => Epoch::Early,
            Self::Handshake(Some(_)) => Epoch::Handshake,
            Self::Application { generation, .. } => Epoch::Application((*generation).into()),
            Self::AwaitingHello
            | Self::AwaitingSecondHello
            | Self::EarlyData(_)
            | Self::Handshake(None)
            | Self::Opaque => Epoch::Clear,
        }
    }

    /// The decrypter for handshake or application keys; `None` in a phase without such keys.
    pub(super) fn decrypter_slot(&mut self) -> Option<&mut Option<Box<RecordDecrypter>>> {
        match self {
            Self::EarlyData(early) => Some(&mut early.handshake),
            Self::Handshake(decrypter) | Self::Application { decrypter, .. } => Some(decrypter),
            Self::AwaitingHello | Self::AwaitingSecondHello | Self::Opaque => None,
        }
    }

    /// Skips the sequence number of a lost record.
    pub(super) fn skip_sequence_number(&mut self) {
        match self {
            Self::EarlyData(early) => {
                early.candidates.iter_mut().flatten().for_each(RecordDecrypter::advance);
            }
            Self::Handshake(decrypter) | Self::Application { decrypter, .. } => {
                decrypter.iter_mut().for_each(|decrypter| decrypter.advance());
            }
            Self::AwaitingHello | Self::AwaitingSecondHello | Self::Opaque => {}
        }
    }

    /// A first or second ClientHello. After a HelloRetryRequest there is no 0-RTT (RFC 9846 §4.2.10).
    pub(super) fn client_hello(&mut self, offers_early_data: bool) {
        *self = match self {
            Self::AwaitingHello if offers_early_data => Self::EarlyData(Box::default()),
            _ => Self::Handshake(None),
        };
    }

    pub(super) fn hello_retry_request(&mut self) {
        *self = Self::AwaitingSecondHello;
    }

    pub(super) fn server_hello(&mut self) {
        *self = Self::Handshake(None);
    }

    /// Notes that the direction does not begin with a hello.
    pub(super) fn begins_without_hello(&mut self) {
        if matches!(self, Self::AwaitingHello) {
            *self = Self::Opaque;
        }
    }

    /// The framing is dead, so a hello that was not seen will not come.
    pub(super) fn no_more_records(&mut self) {
        if matches!(self, Self::AwaitingHello | Self::AwaitingSecondHello) {
            *self = Self::Opaque;
        }
    }

    /// Notes that a record authenticated under handshake or application keys.
    pub(super) fn decrypted_after_early_data(&mut self) {
        if let Self::EarlyData(early) = self {
            *self = Self::Handshake(early.handshake.take());
        }
    }

    /// Changes the keys after the record of a decrypted message.
    pub(super) fn change_keys(&mut self, change: KeyChange) {
        match (change, &mut *self) {
            (KeyChange::EndOfEarlyData, Self::EarlyData(early)) => {
                *self = Self::Handshake(early.handshake.take());
            }
            (KeyChange::Finished, Self::Handshake(_)) => {
                *self = Self::Application { generation: 0, decrypter: None };
            }
            (KeyChange::Renegotiated, Self::Application { generation, .. }) => {
                *generation = generation.saturating_add(1);
            }
            (KeyChange::KeyUpdate, Self::Application { generation, decrypter: Some(decrypter) }) => {
                *generation = generation.saturating_add(1);
                decrypter.update();
            }
            _ => {}
        }
    }
}

impl DirectionState {
    /// Stream offset behind the last byte that was seen or reported missing.
    pub(super) fn end(&self) -> u64 {
        self.counters.end()
    }

    /// Expects the shorter records of TLS 1.3 from now on.
    pub(super) fn expect_tls13(&mut self) {
        if let Framing::Records(deframer) = &mut self.framing {
            deframer.set_tls13();
        }
    }

    /// Ends the framing. Returns the bytes of an unfinished record, as `(stream offset, bytes)`.
    pub(super) fn kill(&mut self, reason: Reason) -> Option<(u64, u64)> {
        let unfinished = match &self.framing {
            Framing::Records(deframer) => deframer.unfinished(),
            Framing::Dead(_) => None,
        };
        self.framing = Framing::Dead(reason);
        self.phase.no_more_records();
        unfinished
    }
}

impl Default for Framing {
    fn default() -> Self {
        Self::Records(RecordDeframer::default())
    }
}

/// Omits the keys.
impl std::fmt::Debug for Phase {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::AwaitingHello => f.write_str("AwaitingHello"),
            Self::AwaitingSecondHello => f.write_str("AwaitingSecondHello"),
            Self::EarlyData(_) => f.write_str("EarlyData"),
            Self::Handshake(_) => f.write_str("Handshake"),
            Self::Application { generation, .. } => write!(f, "Application({generation})"),
            Self::Opaque => f.write_str("Opaque"),
        }
    }
}
