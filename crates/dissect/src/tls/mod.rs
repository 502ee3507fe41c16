//! TLS: the part that is visible on the wire and, with a key log, the decrypted content.
//!
//! ```text
//!   Chunk ──> record ──> handshake_deframer ──> handshake   ClientHello, ServerHello, certificates
//!               │                ^
//!               └─> decrypt ─────┘  (key log)               decrypted application data
//! ```
//!
//! [`Session`] is one connection. It accepts the bytes of both directions as the capture has them and yields records,
//! handshake messages and anomalies as [`Event`]s. The [`RecordCounters`] of each direction count every byte as explained
//! or unexplained. TLS 1.3 (and its drafts from the 18th on) is decrypted with all its suites, 0-RTT and key
//! updates included, and TLS 1.0 to 1.2 with AEAD,
//! CBC and NULL suites. Of SSL 3.0, and of suites with RC4, 3DES and other ciphers, only the part in the clear is parsed; protected
//! records are counted. A ClientHello may have the form of SSL 2.0.
//!
//! No signature or certificate is verified: the proof is that a record authenticates under its key.

mod aead;
mod certificate;
mod cipher_suite;
mod clear;
mod code;
mod counters;
mod cursor;
mod decrypt;
mod direction;
mod event;
mod feed;
mod fingerprint;
mod handshake;
mod handshake_deframer;
mod held;
mod hello_rules;
mod key_exchange;
mod legacy;
mod legacy_exchange;
mod legacy_handshakes;
mod legacy_records;
mod negotiation;
mod plaintext;
mod protected;
pub mod record;
mod resumption;
mod server_key;
mod session;
mod ssl2_hello;
mod transcript;
mod workspace;

pub use certificate::{CERTIFICATE_CACHE, Certificate, CertificateFields, MAX_SUBJECT_ALT_NAMES};
pub use cipher_suite::CipherSuite;
pub use clear::MAX_CHANGE_CIPHER_SPECS;
pub use code::{
    Alert, AlertDescription, AlertLevel, ContentType, ExtensionType, HandshakeType, NamedGroup,
    ProtocolVersion, is_grease,
};
pub use counters::{NotDecrypted, Reason, RecordCounters, Unexplained};
pub use cursor::Malformed;
pub use decrypt::{DecryptAttempt, MAX_FAILURES};
pub use event::{Anomaly, Content, DecryptedRecord, Epoch, Event, Handshake, Record};
pub use feed::Feed;
pub use handshake::{
    CertificateChain, ClientHello, EncryptedExtensions, MAX_CERTIFICATES, Message, NewSessionTicket,
    ServerHello,
};
pub use handshake_deframer::MAX_HANDSHAKE_MESSAGE;
pub use held::MAX_HELD_BYTES;
pub use hello_rules::{Irregularity, is_registered_protocol};
pub use key_exchange::KeyExchange;
pub use legacy::MAX_FLIGHT_BYTES;
pub use plaintext::{Located, PlaintextMap};
pub use record::{NotTls, detect};
pub use resumption::MAX_RESUMABLE;
pub use server_key::{
    KeyUse, MAX_KEY_CERTIFICATES, MAX_SERVER_KEYS, SERVER_KEY_BITS, ServerKey, ServerKeyError, ServerKeys,
};
pub use session::Session;
pub use transcript::Finished;
pub use workspace::{MAX_SPARE_BUFFERS, Workspace};
