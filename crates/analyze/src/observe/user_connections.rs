//! The users' connections of an isolation run, byte for byte: each byte of them has to be accounted for.

use std::collections::BTreeMap;
use std::net::SocketAddr;

use dissect::capture::Record;
use dissect::flow::{Direction, PerDirection};
use dissect::tcp::Chunk;

use crate::pipeline::fact::ConnectionSummary;

/// Maximum number of bytes kept in all. The experiment has some ten kilobytes; more are a doubt.
const MAX_BYTES: usize = 16 << 20;

/// All connections of one capture that carried data or a handshake.
#[derive(Debug, Default)]
pub(crate) struct UserConnections {
    /// By number.
    connections: BTreeMap<u32, UserConnection>,
    bytes: usize,
    /// Whether there were more bytes than are kept.
    pub is_cut: bool,
    /// Capture time of the current frame.
    now: u64,
}

/// One connection.
#[derive(Clone, Debug, Default)]
pub(crate) struct UserConnection {
    /// Its number, as Wireshark's `tcp.stream`.
    pub stream: u32,
    /// The end that opened it, and the other one; `None` if it was not captured whole.
    pub ends: Option<(SocketAddr, SocketAddr)>,
    /// What each side sent.
    pub sent: PerDirection<Sent>,
}

/// What one side of a connection sent.
#[derive(Clone, Debug, Default)]
pub(crate) struct Sent {
    pub bytes: Vec<u8>,
    /// When its first byte was captured, nanoseconds since the epoch; 0 if it sent none.
    pub first_at: u64,
    /// When its last byte was captured.
    pub last_at: u64,
}

impl UserConnections {
    pub(crate) fn frame(&mut self, record: &Record<'_>) {
        self.now = record.captured_at;
    }

    pub(crate) fn chunk(&mut self, stream: u32, direction: Direction, chunk: &Chunk<'_>) {
        if self.bytes + chunk.bytes.len() > MAX_BYTES {
            self.is_cut = true;
            return;
        }
        self.bytes += chunk.bytes.len();
        let connection = self.connections.entry(stream).or_default();
        connection.stream = stream;
        let sent = &mut connection.sent[direction];
        if sent.bytes.is_empty() {
            sent.first_at = self.now;
        }
        sent.last_at = self.now;
        sent.bytes.extend_from_slice(chunk.bytes);
    }

    pub(crate) fn closed(&mut self, summary: &ConnectionSummary) {
        let connection = self.connections.entry(summary.stream).or_default();
        connection.stream = summary.stream;
        let ends = summary.ends.filter(|_| summary.handshake_seen);
        connection.ends = ends.map(|ends| (ends.client.into(), ends.server.into()));
    }

    /// The connections in the order of their numbers.
    pub(crate) fn into_connections(self) -> Vec<UserConnection> {
        self.connections.into_values().collect()
    }
}
