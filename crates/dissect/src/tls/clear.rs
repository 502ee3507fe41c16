//! Records in the clear: change_cipher_spec, alerts and handshake messages.

use std::ops::Range;

use super::code::{Alert, ContentType, HandshakeType, ProtocolVersion};
use super::counters::{NotDecrypted, Reason};
use super::direction::Phase;
use super::event::{Epoch, Handshake};
use super::handshake::Message;
use super::handshake_deframer::DeframedMessage;
use super::hello_rules::Irregularity;
use super::record::Header;
use super::resumption::ResumptionId;
use super::session::{JudgedContent, Queued, Session};
use super::transcript::Transcript;
use super::workspace::Scratch;
use crate::flow::Direction;

/// Maximum number of `change_cipher_spec` records in one direction. TLS 1.3 and 1.2 use one (RFC 9846 §D.4, RFC 5246
/// §7.1); some stacks send one with each of the two flights around a HelloRetryRequest. An unlimited number, with a
/// version field in each, would be a covert channel. Further ones are unexplained.
pub const MAX_CHANGE_CIPHER_SPECS: u64 = 2;

impl Session {
    /// Judges a record whose outer type is not `application_data`.
    pub(super) fn in_the_clear(
        &mut self,
        direction: Direction,
        header: Header,
        range: &Range<u64>,
        fragment: &[u8],
        scratch: &mut Scratch,
    ) -> JudgedContent {
        let content_type = header.content_type;
        let length = fragment.len() as u64;
        let counters = &mut self.state_mut(direction).counters;
        match content_type {
            ContentType::CHANGE_CIPHER_SPEC => self.change_cipher_spec(direction, range, fragment),
            _ if counters.authenticated > 0 => {
                let reason = Reason::PlaintextAfterEncryption(content_type);
                self.unexplained(direction, length, range.clone(), reason);
                JudgedContent::Unexpected
            }
            ContentType::HANDSHAKE => self.clear_handshake(direction, range, fragment, scratch),
            ContentType::SSL2_CLIENT_HELLO => {
                self.ssl2_client_hello(direction, header.version, range, fragment, scratch)
            }
            ContentType::ALERT => {
                let alert = Alert::parse(fragment);
                match alert {
                    Some(_) => counters.alert_bytes += length,
                    None => self.unexplained(direction, length, range.clone(), Reason::Alert),
                }
                JudgedContent::Alert(alert)
            }
            _ => {
                let reason = Reason::UnexpectedContentType(content_type);
                self.unexplained(direction, length, range.clone(), reason);
                JudgedContent::Unexpected
            }
        }
    }

    fn change_cipher_spec(
        &mut self,
        direction: Direction,
        range: &Range<u64>,
        fragment: &[u8],
    ) -> JudgedContent {
        let state = self.state_mut(direction);
        let well_formed = fragment == [1]
            && !matches!(state.phase, Phase::Application { .. })
            && state.counters.change_cipher_spec_bytes < MAX_CHANGE_CIPHER_SPECS;
        state.saw_change_cipher_spec = true;
        if well_formed {
            state.counters.change_cipher_spec_bytes += 1;
        } else {
            self.unexplained(direction, fragment.len() as u64, range.clone(), Reason::ChangeCipherSpec);
        }
        JudgedContent::ChangeCipherSpec { well_formed }
    }

    fn clear_handshake(
        &mut self,
        direction: Direction,
        range: &Range<u64>,
        fragment: &[u8],
        scratch: &mut Scratch,
    ) -> JudgedContent {
        let is_client = self.negotiation.is_client(direction);
        let state = self.state_mut(direction);
        if matches!(state.phase, Phase::Opaque) {
            let why = if is_client { NotDecrypted::NoClientHello } else { NotDecrypted::NoServerHello };
            return self.not_decrypted(direction, fragment, range, why);
        }
        if state.unfinished_bytes == 0 {
            state.unfinished_from = range.start;
        }
        // A record and an unfinished message together are far shorter than the type allows.
        state.unfinished_bytes = state.unfinished_bytes.saturating_add(fragment.len() as u32);
        let mut deframer = state.handshake_deframer.take().unwrap_or_default();
        deframer.push(fragment, range, |deframed| self.clear_message(direction, &deframed, scratch));
        self.state_mut(direction).handshake_deframer = Some(deframer);
        JudgedContent::Handshake
    }

    /// Judges a ClientHello in the form of SSL 2.0, of which `fragment` is all behind the version.
    fn ssl2_client_hello(
        &mut self,
        direction: Direction,
        version: ProtocolVersion,
        range: &Range<u64>,
        fragment: &[u8],
        scratch: &mut Scratch,
    ) -> JudgedContent {
        let mut body = version.0.to_be_bytes().to_vec();
        body.extend_from_slice(fragment);
        let deframed = DeframedMessage {
            message_type: HandshakeType::CLIENT_HELLO,
            body: Some(&body),
            length: fragment.len(),
            range: range.clone(),
            is_ssl2: true,
        };
        self.clear_message(direction, &deframed, scratch);
        JudgedContent::Handshake
    }

    /// Processes a handshake message in the clear, if it is allowed there.
    fn clear_message(&mut self, direction: Direction, deframed: &DeframedMessage<'_>, scratch: &mut Scratch) {
        let kind = deframed.message_type;
        let is_expected = self.expects(direction, kind);
        let mut message = if is_expected {
            Message::read(deframed, false, &mut scratch.certificates)
        } else {
            Message::Other { message_type: kind, length: deframed.length }
        };
        self.compare_session_ids(&mut message);
        let fits = match &message {
            Message::ClientHello(hello) => self.negotiation.fits_client_hello(hello),
            Message::ServerHello(hello) => self.negotiation.fits_server_hello(hello),
            _ => true,
        };
        let reason = match &message {
            _ if !is_expected || !fits => Some(Reason::UnexpectedHandshake(kind)),
            Message::Malformed { error, .. } => Some(Reason::Handshake(kind, *error)),
            Message::TooLong { .. } => Some(Reason::HandshakeTooLong(kind)),
            _ => None,
        };
        let is_hello = matches!(message, Message::ClientHello(_) | Message::ServerHello(_));
        let alerts = if is_hello { self.counters(direction).alert_bytes } else { 0 };
        if alerts > 0 {
            // One that refuses the other side's hello is the last thing its sender says.
            self.state_mut(direction).counters.alert_bytes = 0;
            self.unexplained(direction, alerts, deframed.range.clone(), Reason::AlertBeforeHello);
        }
        if fits {
            self.add_to_transcript_in_the_clear(direction, deframed, &message, scratch);
            self.advance_by(direction, &message);
        }
        self.count_message(direction, deframed, reason);
        let range = deframed.range.clone();
        self.queue(Queued::Handshake(Handshake { direction, range, was_encrypted: false, message }));
    }

    /// Records in a hello that its session id is not that of the hellos before it.
    fn compare_session_ids(&self, message: &mut Message) {
        let (is_kept, irregularity) = match message {
            Message::ClientHello(hello) => {
                (self.negotiation.keeps_session_id(hello), &mut hello.irregularity)
            }
            Message::ServerHello(hello) => {
                (self.negotiation.echoes_session_id(hello), &mut hello.irregularity)
            }
            _ => return,
        };
        if !is_kept {
            irregularity.get_or_insert(Irregularity::SessionId);
        }
    }

    /// Whether a message of this type may come now.
    fn expects(&mut self, direction: Direction, kind: HandshakeType) -> bool {
        let phase = &self.state_mut(direction).phase;
        let (is_first, is_after_hello) = (matches!(phase, Phase::AwaitingHello), phase.is_after_hello());
        let is_clear = phase.epoch() == Epoch::Clear;
        let may_be_first = is_first || matches!(phase, Phase::AwaitingSecondHello);
        match kind {
            HandshakeType::CLIENT_HELLO => {
                is_first && self.negotiation.expects_client_hello(direction)
                    || is_clear && self.negotiation.expects_second_client_hello(direction)
            }
            HandshakeType::SERVER_HELLO => may_be_first && self.negotiation.may_be_server(direction),
            // In TLS 1.3 all of these are encrypted.
            HandshakeType::HELLO_REQUEST
            | HandshakeType::NEW_SESSION_TICKET
            | HandshakeType::CERTIFICATE
            | HandshakeType::SERVER_KEY_EXCHANGE
            | HandshakeType::CERTIFICATE_REQUEST
            | HandshakeType::SERVER_HELLO_DONE
            | HandshakeType::CERTIFICATE_VERIFY
            | HandshakeType::CLIENT_KEY_EXCHANGE
            | HandshakeType::CERTIFICATE_STATUS => is_after_hello && self.negotiation.is_before_tls13(),
            _ => false,
        }
    }

    /// Adds a message to the transcript. A connection has one if the key log has its secrets.
    fn add_to_transcript_in_the_clear(
        &mut self,
        direction: Direction,
        deframed: &DeframedMessage<'_>,
        message: &Message,
        scratch: &mut Scratch,
    ) {
        match (message, &mut self.transcript) {
            (Message::ClientHello(hello), None) => {
                let has_secrets = self.keys.as_ref().is_some_and(|keys| keys.client(&hello.random).is_some());
                // A server key, or the session that it resumes, may still open the connection.
                let may_be_opened = !scratch.server_keys.is_empty()
                    || hello.ticket.as_ref().is_some_and(|id| scratch.resumption.secret(**id).is_some())
                    || ResumptionId::of(&hello.session_id)
                        .is_some_and(|id| scratch.resumption.secret(id).is_some());
                if has_secrets || may_be_opened {
                    self.transcript = Some(Box::new(Transcript::new(deframed)));
                }
            }
            (Message::ClientHello(_), Some(transcript)) => transcript.client_hello(deframed),
            (Message::ServerHello(hello), _)
                if hello.version < ProtocolVersion::TLS_1_3 && !hello.is_hello_retry_request =>
            {
                self.begin_legacy(direction, deframed, hello, scratch);
            }
            (Message::ServerHello(hello), Some(transcript)) => {
                let suite = (hello.cipher_suite, hello.version);
                transcript.server_hello(deframed, suite, hello.is_hello_retry_request);
            }
            (Message::ServerHello(_), None) => {}
            _ => {
                self.add_legacy_message(direction, deframed);
                if self.negotiation.is_before_tls13() {
                    self.exchange_message(false, direction, deframed, message, &mut scratch.server_keys);
                }
            }
        }
    }

    /// Updates negotiation and direction after a message in the clear.
    fn advance_by(&mut self, direction: Direction, message: &Message) {
        match message {
            Message::ClientHello(hello) => {
                self.negotiation.client_hello(direction, hello);
                self.state_mut(direction).phase.client_hello(hello.offers_early_data);
            }
            Message::ServerHello(hello) => {
                self.negotiation.server_hello(direction, hello);
                let phase = &mut self.state_mut(direction).phase;
                match hello.is_hello_retry_request {
                    true => phase.hello_retry_request(),
                    false => phase.server_hello(),
                }
                self.expect_chosen_version();
            }
            _ => self.state_mut(direction).phase.begins_without_hello(),
        }
    }

    /// Counts the bytes of a complete message.
    fn count_message(
        &mut self,
        direction: Direction,
        deframed: &DeframedMessage<'_>,
        reason: Option<Reason>,
    ) {
        let bytes = deframed.wire_length();
        let state = self.state_mut(direction);
        let rest = u64::from(state.unfinished_bytes).saturating_sub(bytes);
        state.unfinished_bytes = rest as u32;
        if rest > 0 {
            // The rest of this record begins the next message.
            state.unfinished_from = deframed.range.end.saturating_sub(rest);
        }
        match reason {
            None => state.counters.handshake_bytes += bytes,
            Some(reason) => self.unexplained(direction, bytes, deframed.range.clone(), reason),
        }
    }
}
