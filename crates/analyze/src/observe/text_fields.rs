//! What the hellos say as text: server names, application protocols, names in certificates.
//!
//! Such a field is text by its format, so a known string in it is no chance match, however short it is: each word of the field
//! is compared with all strings and keys of the messages. Two values say nothing about the messages and are known from the
//! handshake itself: the registered name of a protocol, and the server name that the run states it dialled.

use std::collections::hash_map::DefaultHasher;
use std::collections::{BTreeMap, HashSet};
use std::fmt;
use std::hash::{Hash, Hasher};

use dissect::tcp::Disposition;
use dissect::tls::{Certificate, Message as Handshake, is_registered_protocol};
use memchr::memmem;
use serde::de::{Deserialize, DeserializeSeed, Deserializer, MapAccess, SeqAccess, Visitor};

use crate::input::journal::Message;
use crate::input::strings::GivenStrings;
use crate::pipeline::fact::{HandshakeFact, SegmentFact};

/// Longest word that is compared. A DNS name has at most 253 bytes, the name of a protocol 255.
const MAX_WORD: usize = 255;

/// Shortest part of a field that is compared. The whole field may be shorter.
const MIN_PART: usize = 3;

/// Maximum number of distinct words of the messages, with 8 bytes each. Reaching it is a doubt.
const MAX_WORDS: usize = 1_000_000;

/// Maximum number of distinct texts, and of found words, that are listed.
pub(crate) const MAX_LISTED: usize = 64;

/// A text field of the handshake.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Field {
    /// The host name in the ClientHello (RFC 6066 §3).
    ServerName,
    /// An application protocol (RFC 7301).
    Alpn,
    /// The version that the server chooses.
    Version,
    /// A name in a certificate that is not encrypted.
    CertificateName,
}

/// What a word is in the messages.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Word {
    /// The value of a string or number.
    Value,
    /// The key of an object.
    Key,
}

/// A text that a hello says, and how often.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Said {
    /// The first connection that says it.
    pub stream: u32,
    /// Number of times.
    pub times: u64,
}

/// A word of a message in a text field.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Found {
    pub field: Field,
    /// The whole field.
    pub text: String,
    /// The word.
    pub word: String,
    pub what: Word,
    pub stream: u32,
    /// Frame in which the handshake message begins, if it is known.
    pub frame: Option<u64>,
}

/// The text fields of all handshakes.
#[derive(Debug)]
pub(crate) struct TextFields {
    /// The server name that the run states.
    dialled: Option<String>,
    words: Words,
    /// Number of fields with each text that is known from the handshake.
    exempt: BTreeMap<(Field, Vec<u8>), u64>,
    /// The first [`MAX_LISTED`] distinct texts.
    pub said: BTreeMap<(Field, String), Said>,
    /// The first [`MAX_LISTED`] words.
    pub found: Vec<Found>,
    /// Number of words of messages in text fields.
    pub found_total: u64,
}

impl TextFields {
    /// Collects the words of the messages, and the values that a user names. `dialled` is the server name that the run states.
    pub(crate) fn new(messages: &[Message], given: &GivenStrings, dialled: Option<&str>) -> Self {
        let mut words = Words::default();
        given.strings.iter().for_each(|string| words.add(Word::Value, &string.value));
        let documents = given.documents.iter().map(|document| document.get().as_bytes());
        for body in messages.iter().map(|message| &message.body[..]).chain(documents) {
            let mut json = serde_json::Deserializer::from_slice(body);
            // A body that is not JSON, or too deep, is a doubt already.
            let _ = Collect(&mut words).deserialize(&mut json);
        }
        Self {
            dialled: dialled.map(str::to_ascii_lowercase),
            words,
            exempt: BTreeMap::new(),
            said: BTreeMap::new(),
            found: Vec::new(),
            found_total: 0,
        }
    }

    /// Whether there were more words than are kept.
    pub(crate) fn is_full(&self) -> bool {
        self.words.is_full
    }

    /// Reads the text fields of a handshake message in the clear.
    pub(crate) fn handshake(&mut self, fact: &HandshakeFact<'_>) {
        if fact.handshake.was_encrypted {
            return;
        }
        match &fact.handshake.message {
            Handshake::ClientHello(hello) => {
                hello.server_name.iter().for_each(|name| self.field(Field::ServerName, name, fact));
                hello.alpn.iter().for_each(|protocol| self.field(Field::Alpn, protocol, fact));
            }
            Handshake::ServerHello(hello) => {
                hello.alpn.iter().for_each(|protocol| self.field(Field::Alpn, protocol, fact));
                self.say(Field::Version, &hello.version.to_string(), fact.stream);
            }
            Handshake::Certificate(chain) => {
                for name in chain.certificates.iter().flat_map(|certificate| names(certificate)) {
                    self.field(Field::CertificateName, name, fact);
                }
            }
            _ => {}
        }
    }

    /// Notes a segment that repeats earlier bytes: the search finds in it again what the hello says.
    pub(crate) fn segment(&mut self, segment: &SegmentFact<'_>) {
        if segment.disposition != Some(Disposition::Repeated) {
            return;
        }
        for ((field, text), times) in &mut self.exempt {
            let length = match field {
                Field::Alpn => (text.len() as u8).to_be_bytes().to_vec(),
                _ => (text.len() as u16).to_be_bytes().to_vec(),
            };
            let framed = [length, text.clone()].concat();
            *times += memmem::find_iter(segment.payload, &framed).count() as u64;
        }
    }

    /// How often the bytes occur in texts that are known from the handshake.
    pub(crate) fn expected(&self, bytes: &[u8]) -> u64 {
        let occurrences =
            |text: &Vec<u8>| text.windows(bytes.len()).filter(|window| *window == bytes).count() as u64;
        self.exempt.iter().map(|((_, text), times)| occurrences(text) * times).sum()
    }

    fn field(&mut self, field: Field, text: &str, fact: &HandshakeFact<'_>) {
        self.say(field, text, fact.stream);
        if self.is_known_from_handshake(field, text) {
            if field != Field::CertificateName {
                *self.exempt.entry((field, text.as_bytes().to_vec())).or_default() += 1;
            }
            return;
        }
        let lower = text.to_ascii_lowercase();
        let parts = parts(&lower).filter(|part| self.dialled.as_deref() != Some(*part));
        let known = |part: &str| Some((self.words.find(part)?, part.to_owned()));
        // The whole field first, however short it is.
        let found = known(&lower).or_else(|| parts.filter(|part| part.len() >= MIN_PART).find_map(known));
        let Some((what, word)) = found else { return };
        self.found_total += 1;
        if self.found.len() < MAX_LISTED {
            let (stream, frame) = (fact.stream, fact.frame);
            self.found.push(Found { field, text: text.to_owned(), word, what, stream, frame });
        }
    }

    fn is_known_from_handshake(&self, field: Field, text: &str) -> bool {
        match field {
            Field::Alpn => is_registered_protocol(text.as_bytes()),
            _ => self.dialled.as_deref().is_some_and(|dialled| dialled.eq_ignore_ascii_case(text)),
        }
    }

    fn say(&mut self, field: Field, text: &str, stream: u32) {
        let key = (field, text.to_owned());
        if let Some(said) = self.said.get_mut(&key) {
            said.times += 1;
        } else if self.said.len() < MAX_LISTED {
            self.said.insert(key, Said { stream, times: 1 });
        }
    }
}

/// Subject and alternative names of a certificate.
fn names(certificate: &Certificate) -> impl Iterator<Item = &String> {
    let fields = certificate.fields.as_ref().ok();
    fields.into_iter().flat_map(|fields| std::iter::once(&fields.subject).chain(&fields.subject_alt_names))
}

/// The parts of a name: labels of a host name, segments of a path, attributes of a subject, and their words.
fn parts(text: &str) -> impl Iterator<Item = &str> {
    let pieces = text.split(['.', '/', ':', '@', ',', '=', '*', '+', ' ']);
    pieces
        .flat_map(|piece| std::iter::once(piece).chain(piece.split(|letter: char| !letter.is_alphanumeric())))
}

/// The words of the messages, as hashes of their lower case: host names do not distinguish case.
#[derive(Debug, Default)]
struct Words {
    values: HashSet<u64>,
    keys: HashSet<u64>,
    is_full: bool,
}

impl Words {
    fn add(&mut self, what: Word, text: &str) {
        if text.is_empty() || text.len() > MAX_WORD {
            return;
        }
        if self.values.len() + self.keys.len() >= MAX_WORDS {
            self.is_full = true;
            return;
        }
        let set = match what {
            Word::Value => &mut self.values,
            Word::Key => &mut self.keys,
        };
        set.insert(hash(&text.to_ascii_lowercase()));
    }

    /// What a word in lower case is in the messages.
    fn find(&self, word: &str) -> Option<Word> {
        let hash = hash(word);
        let is_value = self.values.contains(&hash);
        is_value.then_some(Word::Value).or_else(|| self.keys.contains(&hash).then_some(Word::Key))
    }
}

/// The same in every run. Two of a million words share a hash with a probability of 1 to 30 million.
fn hash(text: &str) -> u64 {
    let mut hasher = DefaultHasher::new();
    text.hash(&mut hasher);
    hasher.finish()
}

/// Collects the words of a JSON document. A value type would keep only one of several equal keys.
struct Collect<'w>(&'w mut Words);

impl<'de> DeserializeSeed<'de> for Collect<'_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Collect<'_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("JSON")
    }

    fn visit_str<E>(self, text: &str) -> Result<(), E> {
        self.0.add(Word::Value, text);
        Ok(())
    }

    fn visit_u64<E>(self, number: u64) -> Result<(), E> {
        self.0.add(Word::Value, &number.to_string());
        Ok(())
    }

    fn visit_i64<E>(self, number: i64) -> Result<(), E> {
        self.0.add(Word::Value, &number.to_string());
        Ok(())
    }

    fn visit_f64<E>(self, number: f64) -> Result<(), E> {
        self.0.add(Word::Value, &number.to_string());
        Ok(())
    }

    fn visit_bool<E>(self, _: bool) -> Result<(), E> {
        Ok(())
    }

    fn visit_unit<E>(self) -> Result<(), E> {
        Ok(())
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<(), A::Error> {
        while list.next_element_seed(Collect(self.0))?.is_some() {}
        Ok(())
    }

    fn visit_map<A: MapAccess<'de>>(self, mut object: A) -> Result<(), A::Error> {
        while let Some(key) = object.next_key_seed(Key)? {
            self.0.add(Word::Key, &key);
            object.next_value_seed(Collect(self.0))?;
        }
        Ok(())
    }
}

/// The key of an object.
struct Key;

impl<'de> DeserializeSeed<'de> for Key {
    type Value = String;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<String, D::Error> {
        String::deserialize(deserializer)
    }
}

#[cfg(test)]
mod tests {
    use dissect::flow::Direction;
    use dissect::keylog::KeyLog;
    use dissect::tls::{Event, Session, Workspace};
    use exposure_schema::Event as Journaled;
    use std::sync::Arc;

    use super::*;

    fn fields(body: &str, dialled: Option<&str>) -> TextFields {
        let message = Message {
            agent: "agent-a".to_owned(),
            event: Journaled::Sent,
            message_id: None,
            direction: exposure_schema::Direction::ClientToServer,
            at_unix_ns: None,
            local: None,
            remote: None,
            content_type: None,
            body: body.into(),
            body_sha256: [0; 32],
        };
        TextFields::new(&[message], &GivenStrings::default(), dialled)
    }

    /// A record with a ClientHello that has this server name and these protocols.
    fn hello(server_name: &str, protocols: &[&str]) -> Vec<u8> {
        let with_length = |bytes: &[u8]| [&(bytes.len() as u16).to_be_bytes()[..], bytes].concat();
        let extension = |kind: u16, body: &[u8]| [&kind.to_be_bytes()[..], &with_length(body)].concat();
        let name = with_length(&[&[0], &with_length(server_name.as_bytes())[..]].concat());
        let list: Vec<u8> = protocols
            .iter()
            .flat_map(|protocol| [&[protocol.len() as u8], protocol.as_bytes()].concat())
            .collect();
        let extensions =
            [extension(0, &name), extension(16, &with_length(&list)), extension(43, &[2, 3, 4])].concat();
        let body =
            [&[3, 3][..], &[7; 32], &[0], &[0, 2, 0x13, 1], &[1, 0], &with_length(&extensions)].concat();
        let message = [&[1, 0][..], &with_length(&body)].concat();
        [&[22, 3, 1][..], &with_length(&message)].concat()
    }

    fn observe(fields: &mut TextFields, record: &[u8]) {
        let mut workspace = Workspace::new();
        let mut session = Session::new(None::<Arc<KeyLog>>);
        let mut feed = session.feed(&mut workspace, Direction::ClientToServer, 0, record);
        while let Some(event) = feed.next_event() {
            if let Event::Handshake(handshake) = event {
                fields.handshake(&HandshakeFact { stream: 3, frame: Some(4), handshake: &handshake });
            }
        }
    }

    fn found(body: &str, server_name: &str, protocols: &[&str]) -> Option<(Field, String, Word)> {
        let mut fields = fields(body, Some("agent-b"));
        observe(&mut fields, &hello(server_name, protocols));
        assert_eq!(fields.found.len() as u64, fields.found_total);
        fields.found.first().map(|found| (found.field, found.word.clone(), found.what))
    }

    const BODY: &str = r#"{"target":"libssl","depth":2,"list":["ok"],"deep":{"id":"Sesame"},"id":1,"n":-5,"protocol":"http/1.1"}"#;

    #[test]
    fn a_short_value_or_key_in_a_text_field_is_found() {
        use Field::{Alpn, ServerName};
        for (name, protocols, expected) in [
            ("libssl", &["http/1.1"][..], Some((ServerName, "libssl", Word::Value))),
            ("LIBSSL", &[], Some((ServerName, "libssl", Word::Value))),
            ("a.libssl.example", &[], Some((ServerName, "libssl", Word::Value))),
            ("x-libssl-y.example", &[], Some((ServerName, "libssl", Word::Value))),
            ("sesame.example", &[], Some((ServerName, "sesame", Word::Value))),
            ("target", &[], Some((ServerName, "target", Word::Key))),
            ("depth.example", &[], Some((ServerName, "depth", Word::Key))),
            ("2", &[], Some((ServerName, "2", Word::Value))),
            ("-5", &[], Some((ServerName, "-5", Word::Value))),
            ("ok", &[], Some((ServerName, "ok", Word::Value))),
            ("agent-b", &["libssl"], Some((Alpn, "libssl", Word::Value))),
            ("agent-b", &["h2", "x/target"], Some((Alpn, "target", Word::Key))),
            ("agent-b", &["http/1.1", "h2"], None),
            ("AGENT-B", &["http/1.1"], None),
            // Two letters of a longer name are chance.
            ("ok.example", &[], None),
            ("libssl2.example", &[], None),
        ] {
            let expected = expected.map(|(field, word, what)| (field, word.to_owned(), what));
            assert_eq!(found(BODY, name, protocols), expected, "{name} {protocols:?}");
        }
    }

    #[test]
    fn a_value_under_a_repeated_key_is_found() {
        assert!(found(r#"{"a":"libssl","a":"other"}"#, "libssl", &[]).is_some());
        assert!(found(r#"{"a":"other","a":"libssl"}"#, "libssl", &[]).is_some());
    }

    #[test]
    fn the_name_that_was_dialled_is_known_from_the_handshake() {
        let mut fields = fields(r#"["agent-b","http/1.1"]"#, Some("agent-b"));
        for _ in 0..2 {
            observe(&mut fields, &hello("agent-b", &["http/1.1"]));
        }
        assert_eq!(fields.found, []);
        assert_eq!(
            [fields.expected(b"http/1.1"), fields.expected(b"agent-b"), fields.expected(b"agent")],
            [2, 2, 2]
        );
        assert_eq!(fields.expected(b"http/1.0"), 0);
        let said: Vec<_> =
            fields.said.iter().map(|((field, text), said)| (*field, text.as_str(), said.times)).collect();
        assert_eq!(said, [(Field::ServerName, "agent-b", 2), (Field::Alpn, "http/1.1", 2)]);
    }

    #[test]
    fn without_a_stated_name_every_server_name_is_compared() {
        let mut fields = fields(r#"["agent-b"]"#, None);
        observe(&mut fields, &hello("agent-b", &[]));
        assert_eq!((fields.found_total, fields.expected(b"agent-b")), (1, 0));
    }

    #[test]
    fn repeated_segments_say_the_same_again() {
        let mut fields = fields("[]", Some("agent-b"));
        let record = hello("agent-b", &["http/1.1"]);
        observe(&mut fields, &record);
        let mut segment = SegmentFact {
            frame: 1,
            captured_at: 0,
            stream: 0,
            direction: Direction::ClientToServer,
            relative_sequence: None,
            is_first_syn: false,
            wire_bytes: 0,
            wire_payload: 0,
            payload: &record,
            disposition: Some(Disposition::Repeated),
        };
        fields.segment(&segment);
        assert_eq!(fields.expected(b"http/1.1"), 2);
        segment.disposition = Some(Disposition::Conflict);
        fields.segment(&segment);
        assert_eq!(fields.expected(b"http/1.1"), 2, "only a segment that was compared");
    }
}
