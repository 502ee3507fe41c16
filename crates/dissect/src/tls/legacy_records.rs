//! Protected records before TLS 1.3: the keys for them, their decryption, and the messages in them.
//!
//! ```text
//!   change_cipher_spec ──> keys of the first handshake ──Finished──> application data
//!                             ^                                           │ ClientHello, ServerHello,
//!                             └──────── keys of the renegotiation <───────┘ change_cipher_spec, all encrypted
//! ```
//!
//! Where the master secrets come from is in `legacy_exchange`.

use std::ops::Range;

use super::code::{ContentType, HandshakeType};
use super::counters::{NotDecrypted, Reason};
use super::decrypt::{MAX_FAILURES, TriedKey};
use super::direction::KeyChange;
use super::event::{Epoch, Handshake};
use super::handshake::{Message, ServerHello};
use super::handshake_deframer::DeframedMessage;
use super::legacy::{Decrypter, Opened, Parameters};
use super::legacy_handshakes::LegacyHandshakes;
use super::record::{Header, MAX_CIPHERTEXT};
use super::resumption::Resumption;
use super::server_key::ServerKeys;
use super::session::{JudgedContent, JudgedPlaintext, Judgement, Queued, Session};
use super::workspace::Scratch;
use crate::flow::Direction;

impl Session {
    /// Judges a record behind change_cipher_spec.
    pub(super) fn legacy_protected(
        &mut self,
        direction: Direction,
        header: Header,
        range: &Range<u64>,
        fragment: &[u8],
        scratch: &mut Scratch,
    ) -> Judgement {
        let Scratch { plaintext: out, resumption, .. } = scratch;
        if out.len() < MAX_CIPHERTEXT {
            out.resize(MAX_CIPHERTEXT, 0);
        }
        let tried = match self.legacy_decrypter(direction, resumption) {
            Ok(decrypter) if decrypter.failures_in_a_row() >= MAX_FAILURES => {
                Err(NotDecrypted::AfterFailures)
            }
            Ok(decrypter) => {
                let (opened, tried) = decrypter.open(header, fragment, out);
                let tried = TriedKey::legacy(decrypter.secret().clone(), tried);
                Ok((opened, tried, !decrypter.is_readable()))
            }
            Err(why) => Err(why),
        };
        let (content, tried) = match tried {
            Err(why) => (self.not_decrypted(direction, fragment, range, why), None),
            Ok((None, tried, _)) => (self.not_authentic(direction, fragment.len(), range), Some(tried)),
            Ok((Some(opened), tried, needs_secret)) => {
                let plaintext = self.legacy_opened(direction, header, range, fragment, opened, scratch);
                let plaintext = JudgedPlaintext { sequence: tried.sequence, needs_secret, ..plaintext };
                (JudgedContent::Decrypted(plaintext), Some(tried))
            }
        };
        Judgement { content, tried, is_legacy: true }
    }

    /// The decrypter of a direction; derives the keys of the first handshake if needed.
    fn legacy_decrypter(
        &mut self,
        direction: Direction,
        resumption: &Resumption,
    ) -> Result<&mut Decrypter, NotDecrypted> {
        let offer = self.negotiation.offer().ok_or(NotDecrypted::NoClientHello)?;
        // Without a key log nothing more is kept of the ServerHello.
        let handshakes = self.legacy.as_ref().ok_or(NotDecrypted::NoKeyLog)?;
        if handshakes.decrypters[direction].is_none() {
            let parameters = handshakes.first(offer.random);
            self.derive_legacy(direction, false, parameters, resumption);
        }
        match self.legacy.as_mut().and_then(|handshakes| handshakes.decrypters[direction].as_mut()) {
            Some(decrypter) => decrypter.as_mut().map_err(|why| *why),
            None => Err(NotDecrypted::NoServerHello),
        }
    }

    fn derive_legacy(
        &mut self,
        direction: Direction,
        is_again: bool,
        parameters: Result<Parameters, NotDecrypted>,
        resumption: &Resumption,
    ) {
        let is_client = self.negotiation.is_client(direction);
        let decrypter = parameters.and_then(|parameters| {
            let secret = self.master_secret(is_again, &parameters.client_random, resumption);
            let secret = secret.inspect_err(|_| self.lose_transcript())?;
            if let Some(transcript) = &mut self.transcript {
                transcript.set_secret(&secret);
            }
            Decrypter::new(parameters, &secret, is_client)
        });
        if let Some(handshakes) = &mut self.legacy {
            handshakes.decrypters[direction] = Some(decrypter);
        }
    }

    /// Skips a protected record of which a part is missing.
    pub(super) fn legacy_skip(&mut self, direction: Direction, resumption: &Resumption) {
        if self.negotiation.is_before_tls13()
            && self.state_mut(direction).saw_change_cipher_spec
            && let Ok(decrypter) = self.legacy_decrypter(direction, resumption)
        {
            decrypter.skip();
        }
    }

    /// Processes an authenticated record, whose plaintext begins the scratch buffer.
    fn legacy_opened(
        &mut self,
        direction: Direction,
        header: Header,
        range: &Range<u64>,
        fragment: &[u8],
        opened: Opened,
        scratch: &mut Scratch,
    ) -> JudgedPlaintext {
        let Opened { length, padding, from: carried_from } = opened;
        let state = self.state_mut(direction);
        state.phase.decrypted_after_early_data();
        let is_interrupted = header.content_type != ContentType::HANDSHAKE || state.unfinished_bytes > 0;
        let is_first = state.counters.authenticated == 0;
        if is_interrupted && is_first {
            // An unfinished message in the clear cannot continue inside protected records.
            self.drop_unfinished_message(direction, range.start);
        }
        let state = self.state_mut(direction);
        let epoch = match state.phase.epoch() {
            Epoch::Clear => Epoch::Handshake,
            epoch => epoch,
        };
        let application_offset = state.counters.application_bytes;
        state.counters.authenticated += 1;
        state.counters.authenticated_bytes += fragment.len() as u64;
        match header.content_type {
            ContentType::APPLICATION_DATA => state.counters.application_bytes += length as u64,
            ContentType::HANDSHAKE => self.legacy_handshake(direction, range, length, scratch),
            ContentType::CHANGE_CIPHER_SPEC => {
                let parameters =
                    self.legacy.as_ref().ok_or(NotDecrypted::NoServerHello).and_then(|all| all.again());
                self.derive_legacy(direction, true, parameters, &scratch.resumption);
                self.state_mut(direction).phase.change_keys(KeyChange::Renegotiated);
            }
            _ => {}
        }
        JudgedPlaintext {
            content_type: header.content_type,
            length,
            application_offset,
            padding,
            epoch,
            sequence: 0,
            carried_from,
            version: header.version,
            needs_secret: true,
        }
    }

    /// Queues the messages of a decrypted handshake record.
    fn legacy_handshake(
        &mut self,
        direction: Direction,
        range: &Range<u64>,
        length: usize,
        scratch: &mut Scratch,
    ) {
        let Scratch { plaintext, certificates, server_keys, resumption } = scratch;
        let mut deframer = self.state_mut(direction).handshake_deframer.take().unwrap_or_default();
        deframer.push(plaintext.get(..length).unwrap_or_default(), range, |deframed| {
            let message = Message::read(&deframed, false, certificates);
            self.legacy_message(direction, &deframed, &message, server_keys, resumption);
            self.queue(Queued::Handshake(Handshake {
                direction,
                range: deframed.range,
                was_encrypted: true,
                message,
            }));
        });
        self.state_mut(direction).handshake_deframer = Some(deframer);
    }

    fn legacy_message(
        &mut self,
        direction: Direction,
        deframed: &DeframedMessage<'_>,
        message: &Message,
        server_keys: &mut ServerKeys,
        resumption: &mut Resumption,
    ) {
        match message {
            Message::ClientHello(hello) => {
                if let Some(handshakes) = &mut self.legacy {
                    handshakes.client_hello_again(hello);
                }
                if let Some(transcript) = &mut self.transcript {
                    transcript.renegotiate(deframed);
                }
            }
            Message::ServerHello(hello) => {
                if let Some(handshakes) = &mut self.legacy {
                    handshakes.server_hello_again(hello);
                }
                let random = self.legacy.as_ref().and_then(|handshakes| handshakes.again_random().copied());
                let may_be_opened = !server_keys.is_empty() || !resumption.is_empty();
                self.add_legacy_server_hello(direction, deframed, hello, random, may_be_opened);
            }
            _ => {
                self.add_legacy_message(direction, deframed);
                self.exchange_message(true, direction, deframed, message, server_keys);
            }
        }
        if deframed.message_type == HandshakeType::FINISHED {
            self.remember_session(direction, resumption);
            self.state_mut(direction).phase.change_keys(KeyChange::Finished);
        }
    }

    /// Notes the ServerHello of the first handshake of a version before TLS 1.3.
    pub(super) fn begin_legacy(
        &mut self,
        direction: Direction,
        deframed: &DeframedMessage<'_>,
        hello: &ServerHello,
        Scratch { server_keys, resumption, .. }: &Scratch,
    ) {
        let has_server_keys = !server_keys.is_empty();
        if self.keys.is_some() || has_server_keys {
            self.legacy = Some(Box::new(LegacyHandshakes::begin(hello, has_server_keys)));
        }
        let random = self.negotiation.offer().map(|offer| offer.random);
        let may_be_opened = has_server_keys || !resumption.is_empty();
        self.add_legacy_server_hello(direction, deframed, hello, random, may_be_opened);
    }

    fn add_legacy_server_hello(
        &mut self,
        direction: Direction,
        deframed: &DeframedMessage<'_>,
        hello: &ServerHello,
        random: Option<[u8; 32]>,
        may_be_opened: bool,
    ) {
        let Some(mut transcript) = self.transcript.take() else { return };
        let secret = random.and_then(|random| self.logged_secret(&random).ok());
        let suite = (hello.cipher_suite, hello.version);
        transcript.legacy_server_hello(direction, deframed, suite, secret, may_be_opened);
        self.transcript = Some(transcript);
    }

    /// Adds a message to the transcript, if it is that of a version before TLS 1.3.
    pub(super) fn add_legacy_message(&mut self, direction: Direction, deframed: &DeframedMessage<'_>) {
        let is_client = self.negotiation.is_client(direction);
        if self.negotiation.is_before_tls13()
            && let Some(transcript) = &mut self.transcript
        {
            transcript.legacy(direction, is_client, deframed);
        }
    }

    /// Counts a protected record that did not authenticate.
    pub(super) fn not_authentic(
        &mut self,
        direction: Direction,
        length: usize,
        range: &Range<u64>,
    ) -> JudgedContent {
        let counters = &mut self.state_mut(direction).counters;
        counters.failed += 1;
        counters.unexplained_record(length as u64, range.start, Reason::NotAuthentic);
        self.anomaly(direction, range.clone(), Reason::NotAuthentic);
        self.drop_unfinished_message(direction, range.end);
        self.lose_transcript();
        JudgedContent::NotAuthentic
    }
}
