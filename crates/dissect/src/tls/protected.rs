//! Protected records: the keys for them, their decryption, and the messages in them that change the keys.

use std::ops::Range;

use super::cipher_suite::CipherSuite;
use super::code::{ContentType, ProtocolVersion};
use super::counters::NotDecrypted;
use super::decrypt::{RecordDecrypter, Suite, TriedKey, strip_padding};
use super::direction::{KeyChange, Phase};
use super::event::{Epoch, Handshake};
use super::handshake::Message;
use super::handshake_deframer::DeframedMessage;
use super::record::{Header, MAX_CIPHERTEXT};
use super::session::{JudgedContent, JudgedPlaintext, Judgement, Queued, Session};
use super::workspace::Scratch;
use crate::flow::Direction;
use crate::keylog::{ClientSecrets, Label};

impl Session {
    /// Judges a record of the outer type `application_data`.
    pub(super) fn protected(
        &mut self,
        direction: Direction,
        header: Header,
        range: &Range<u64>,
        fragment: &[u8],
        scratch: &mut Scratch,
    ) -> Judgement {
        let out = &mut scratch.plaintext;
        if out.len() < MAX_CIPHERTEXT {
            out.resize(MAX_CIPHERTEXT, 0);
        }
        let is_early = matches!(self.state_mut(direction).phase, Phase::EarlyData(_));
        if is_early && let Some((inner, tried)) = self.decrypt_early(direction, header, fragment, out) {
            return self.decrypted(direction, range, fragment, inner, tried, scratch);
        }
        let is_before_choice = self.negotiation.choice().is_none();
        let decrypter = match self.decrypter(direction) {
            Ok(decrypter) => decrypter,
            Err(why) => {
                let why = if is_early && is_before_choice { NotDecrypted::EarlyData } else { why };
                return self.not_decrypted(direction, fragment, range, why).into();
            }
        };
        if decrypter.is_given_up() {
            return self.not_decrypted(direction, fragment, range, NotDecrypted::AfterFailures).into();
        }
        let outcome = decrypter.decrypt(header, fragment, out);
        if let Some(inner) = outcome.inner {
            decrypter.succeeded();
            self.state_mut(direction).phase.decrypted_after_early_data();
            return self.decrypted(direction, range, fragment, inner, outcome.tried, scratch);
        }
        let content = if is_early {
            // The server skips 0-RTT data that it does not accept, without counting them (RFC 9846 §4.2.10).
            self.not_decrypted(direction, fragment, range, NotDecrypted::EarlyData)
        } else {
            decrypter.failed();
            self.not_authentic(direction, fragment.len(), range)
        };
        Judgement { tried: Some(outcome.tried), ..Judgement::from(content) }
    }

    /// The secrets of this connection, and the cipher suite for them.
    fn secrets(&self) -> Result<(&ClientSecrets, Suite), NotDecrypted> {
        let offer = self.negotiation.offer().ok_or(NotDecrypted::NoClientHello)?;
        let choice = self.negotiation.choice().ok_or(NotDecrypted::NoServerHello)?;
        if !choice.version.is_tls13() {
            return Err(NotDecrypted::Version(choice.version));
        }
        let keys = self.keys.as_ref().ok_or(NotDecrypted::NoKeyLog)?;
        let secrets = keys.client(&offer.random).ok_or(NotDecrypted::ClientRandomNotInKeyLog)?;
        let suite = Suite::of(choice.suite).ok_or(NotDecrypted::CipherSuite(choice.suite))?;
        let suite = suite.in_version(choice.version).ok_or(NotDecrypted::Version(choice.version))?;
        Ok((secrets, suite))
    }

    /// The decrypter of a direction's handshake or application keys; derives the keys if needed.
    fn decrypter(&mut self, direction: Direction) -> Result<&mut RecordDecrypter, NotDecrypted> {
        let is_client = self.negotiation.is_client(direction);
        let no_hello = if is_client { NotDecrypted::NoClientHello } else { NotDecrypted::NoServerHello };
        let phase = &mut self.state_mut(direction).phase;
        let is_application = matches!(phase, Phase::Application { .. });
        let derived = match phase.decrypter_slot() {
            Some(Some(_)) => None,
            _ => {
                let label = match (is_application, is_client) {
                    (true, true) => Label::ClientTrafficSecret0,
                    (true, false) => Label::ServerTrafficSecret0,
                    (false, true) => Label::ClientHandshakeTrafficSecret,
                    (false, false) => Label::ServerHandshakeTrafficSecret,
                };
                let (secrets, suite) = self.secrets()?;
                let secret = secrets.secret(label).ok_or(NotDecrypted::SecretMissing(label))?;
                let decrypter = RecordDecrypter::new(suite, secret);
                Some(Box::new(decrypter.ok_or(NotDecrypted::SecretLength(label))?))
            }
        };
        let slot = self.state_mut(direction).phase.decrypter_slot().ok_or(no_hello)?;
        if derived.is_some() {
            *slot = derived;
        }
        slot.as_deref_mut().ok_or(no_hello)
    }

    /// Tries 0-RTT keys. Their cipher suite is unknown before the ServerHello, so every offered one is tried until one
    /// decrypts a record.
    fn decrypt_early(
        &mut self,
        direction: Direction,
        header: Header,
        fragment: &[u8],
        out: &mut [u8],
    ) -> Option<(usize, TriedKey)> {
        let Phase::EarlyData(early) = &self.state_mut(direction).phase else { return None };
        if early.candidates.is_none() {
            let candidates = self.early_candidates()?;
            if let Phase::EarlyData(early) = &mut self.state_mut(direction).phase {
                early.candidates = Some(candidates);
            }
        }
        let Phase::EarlyData(early) = &mut self.state_mut(direction).phase else { return None };
        let candidates = early.candidates.as_mut()?;
        for at in 0..candidates.len() {
            let candidate = candidates.get_mut(at)?;
            let outcome = candidate.decrypt(header, fragment, out);
            if let Some(inner) = outcome.inner {
                candidate.succeeded();
                candidates.swap(0, at);
                candidates.truncate(1);
                early.is_confirmed = true;
                return Some((inner, outcome.tried));
            }
        }
        None
    }

    fn early_candidates(&self) -> Option<Vec<RecordDecrypter>> {
        let offer = self.negotiation.offer()?;
        let secret = self.keys.as_ref()?.client(&offer.random)?.secret(Label::ClientEarlyTrafficSecret)?;
        let suites = [
            CipherSuite::TLS_AES_128_GCM_SHA256,
            CipherSuite::TLS_AES_256_GCM_SHA384,
            CipherSuite::TLS_CHACHA20_POLY1305_SHA256,
            CipherSuite::TLS_AES_128_CCM_SHA256,
            CipherSuite::TLS_AES_128_CCM_8_SHA256,
        ];
        let offered =
            suites.into_iter().filter(|suite| offer.early_suites.contains(suite)).filter_map(Suite::of);
        Some(offered.filter_map(|suite| RecordDecrypter::new(suite, secret)).collect())
    }

    /// Processes an authenticated record, whose inner plaintext is the first `inner` bytes of the scratch buffer.
    fn decrypted(
        &mut self,
        direction: Direction,
        range: &Range<u64>,
        fragment: &[u8],
        inner: usize,
        tried: TriedKey,
        scratch: &mut Scratch,
    ) -> Judgement {
        let (content_type, length, padding) =
            strip_padding(scratch.plaintext.get(..inner).unwrap_or_default());
        // An unfinished message in the clear cannot continue inside protected records.
        if self.state_mut(direction).unfinished_bytes > 0 {
            self.drop_unfinished_message(direction, range.start);
        }
        let state = self.state_mut(direction);
        let epoch = state.phase.epoch();
        let application_offset = state.counters.application_bytes;
        state.counters.authenticated += 1;
        state.counters.authenticated_bytes += fragment.len() as u64;
        match content_type {
            ContentType::APPLICATION_DATA => state.counters.application_bytes += length as u64,
            ContentType::HANDSHAKE => self.decrypted_handshake(direction, range, epoch, length, scratch),
            _ => {}
        }
        let sequence = tried.sequence;
        let plaintext = JudgedPlaintext {
            content_type,
            length,
            application_offset,
            padding,
            epoch,
            sequence,
            carried_from: 0,
            version: ProtocolVersion::TLS_1_3,
            needs_secret: true,
        };
        Judgement { tried: Some(tried), ..Judgement::from(JudgedContent::Decrypted(plaintext)) }
    }

    fn add_to_transcript(&mut self, direction: Direction, is_client: bool, deframed: &DeframedMessage<'_>) {
        let Some(mut transcript) = self.transcript.take() else { return };
        let label =
            if is_client { Label::ClientHandshakeTrafficSecret } else { Label::ServerHandshakeTrafficSecret };
        let secret = self.secrets().ok().and_then(|(secrets, _)| secrets.secret(label));
        transcript.encrypted(direction, is_client, deframed, secret);
        self.transcript = Some(transcript);
    }

    /// Queues the messages of a decrypted handshake record, and changes the keys after it.
    fn decrypted_handshake(
        &mut self,
        direction: Direction,
        range: &Range<u64>,
        epoch: Epoch,
        length: usize,
        scratch: &mut Scratch,
    ) {
        let Scratch { plaintext, certificates, .. } = scratch;
        let mut deframer = self.state_mut(direction).handshake_deframer.take().unwrap_or_default();
        let mut change = None;
        let is_client = self.negotiation.is_client(direction);
        deframer.push(plaintext.get(..length).unwrap_or_default(), range, |deframed| {
            let message = Message::read(&deframed, true, certificates);
            if matches!(epoch, Epoch::Early | Epoch::Handshake) {
                self.add_to_transcript(direction, is_client, &deframed);
            }
            if let (Message::EncryptedExtensions(extensions), Some(transcript)) =
                (&message, &mut self.transcript)
                && extensions.accepts_early_data
            {
                transcript.expect_end_of_early_data();
            }
            change = match (&message, epoch) {
                (Message::EndOfEarlyData, Epoch::Early) => Some(KeyChange::EndOfEarlyData),
                (Message::Finished, Epoch::Handshake) => Some(KeyChange::Finished),
                (Message::KeyUpdate { .. }, Epoch::Application(_)) => Some(KeyChange::KeyUpdate),
                _ => change,
            };
            self.queue(Queued::Handshake(Handshake {
                direction,
                range: deframed.range,
                was_encrypted: true,
                message,
            }));
        });
        let state = self.state_mut(direction);
        state.handshake_deframer = Some(deframer);
        if let Some(change) = change {
            state.phase.change_keys(change);
        }
    }
}
