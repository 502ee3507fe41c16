//! The TLS connections of an isolation run, as the key log opens them: what each side sent, byte for byte.

use std::collections::BTreeMap;
use std::net::SocketAddr;

use dissect::flow::{Direction, PerDirection};
use dissect::tls::{Content, ContentType, Message};

use crate::pipeline::fact::{ConnectionSummary, HandshakeFact, RecordFact};

/// Maximum number of bytes kept in all. The experiment has some five kilobytes; more are a doubt.
const MAX_BYTES: usize = 1 << 20;

/// All connections of one capture that carried data or a handshake.
#[derive(Debug, Default)]
pub(crate) struct OpenedConnections {
    /// By number.
    connections: BTreeMap<u32, OpenedConnection>,
    bytes: usize,
    /// Whether there were more bytes than are kept.
    pub is_cut: bool,
}

/// One connection.
#[derive(Clone, Debug, Default)]
pub(crate) struct OpenedConnection {
    /// Its number, as Wireshark's `tcp.stream`.
    pub stream: u32,
    /// The end that opened it, and the other one; `None` if it was not captured whole.
    pub ends: Option<(SocketAddr, SocketAddr)>,
    /// The decrypted application data of each side.
    pub sent: PerDirection<Vec<u8>>,
    /// The certificate that the client sent: its subject, or why it cannot be read; `None` if it sent none.
    pub certificate: Option<Result<String, String>>,
}

impl OpenedConnections {
    pub(crate) fn record(&mut self, fact: &RecordFact<'_>) {
        let Content::Decrypted(record) = &fact.record.content else { return };
        if record.content_type != ContentType::APPLICATION_DATA {
            return;
        }
        if self.bytes + record.plaintext.len() > MAX_BYTES {
            self.is_cut = true;
            return;
        }
        self.bytes += record.plaintext.len();
        self.connection(fact.stream).sent[fact.record.direction].extend_from_slice(record.plaintext);
    }

    pub(crate) fn handshake(&mut self, fact: &HandshakeFact<'_>) {
        let Message::Certificate(chain) = &fact.handshake.message else { return };
        // A client without certificate sends an empty list (RFC 8446 §4.4.2).
        if fact.handshake.direction == Direction::ClientToServer
            && let Some(first) = chain.certificates.first()
        {
            let subject = first.fields.as_ref().map(|fields| fields.subject.clone()).map_err(Clone::clone);
            self.connection(fact.stream).certificate = Some(subject);
        }
    }

    pub(crate) fn closed(&mut self, summary: &ConnectionSummary) {
        let ends = summary.ends.filter(|_| summary.handshake_seen);
        self.connection(summary.stream).ends = ends.map(|ends| (ends.client.into(), ends.server.into()));
    }

    fn connection(&mut self, stream: u32) -> &mut OpenedConnection {
        let connection = self.connections.entry(stream).or_default();
        connection.stream = stream;
        connection
    }

    /// The connections in the order of their numbers.
    pub(crate) fn into_connections(self) -> Vec<OpenedConnection> {
        self.connections.into_values().collect()
    }
}
