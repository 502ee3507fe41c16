//! Walks through a capture: its frames as a list, and its connections one by one.

mod pieces;
mod rows;

use std::ops::Range;
use std::path::Path;

use anyhow::{Result, bail};
use serde::Serialize;

use self::pieces::Pieces;
use self::rows::ListFrames;
use crate::input::capture::{self, Progress};
use crate::input::secrets::Secrets;
use crate::observe::packet_rows::PacketRows;
use crate::pipeline::frames::Pipeline;
use crate::pipeline::protocol::BodyNeeds;
use crate::timeline::{Way, milliseconds_between};

/// Maximum number of rows in one answer.
pub const MAX_ROWS: usize = 10_000;

/// Maximum number of pieces in one answer. They have at most 16 MiB.
pub const MAX_PIECES: usize = 1024;

/// The list of a capture's frames: the first 5,000,000, each in some 24 bytes and 8 for each name.
#[derive(Debug)]
pub struct Index {
    rows: PacketRows,
}

/// A row of the list.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct PacketRow {
    /// Number of the frame, from 1.
    pub frame: u64,
    /// Milliseconds since the first frame.
    pub ms: f64,
    /// Where it goes; `None` outside of TCP.
    pub direction: Option<Way>,
    /// Its length on the wire.
    pub bytes: u64,
    /// Length of its TCP payload on the wire.
    pub payload: u64,
    /// Names of what begins in it; of a TCP segment without payload its flags; outside of TCP the protocol.
    pub what: Vec<String>,
    /// Number of its connection, as Wireshark's `tcp.stream`.
    pub stream: Option<u32>,
}

/// The bytes of a connection.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Stream {
    /// Number of pieces in all.
    pub total_pieces: usize,
    /// Address and port of the client.
    pub client: String,
    /// Address and port of the server.
    pub server: String,
    /// Some of the pieces.
    pub pieces: Vec<Piece>,
}

/// Bytes of a connection in one direction, at most 16 KiB.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Piece {
    /// Where they go.
    pub direction: Way,
    /// The frame of the first byte; of decrypted bytes, the frame in which their record begins, or 0 if that is no longer
    /// known.
    pub frame: u64,
    /// Offset of the first byte in the stream of its direction; of decrypted bytes, in the decrypted data of the direction.
    pub offset: u64,
    /// The bytes, in hexadecimal digits.
    pub bytes: String,
    /// Whether the keys opened them.
    pub decrypted: bool,
}

/// Lists the frames of a capture. Calls `progress` with the number of bytes read so far; its `Break` ends the reading.
///
/// # Errors
///
/// The capture or a file with secrets cannot be read, or the reading was [cancelled](crate::input::capture::Cancelled).
pub fn index<'p>(path: &Path, secrets: impl Into<Secrets<'p>>, progress: Progress<'_>) -> Result<Index> {
    let opened = secrets.into().of(path)?;
    let mut pipeline = Pipeline::new(ListFrames::default(), BodyNeeds::default(), opened.keys);
    pipeline.use_server_keys(opened.server_keys);
    capture::read(Some(path), &mut pipeline, progress)?;
    let mut rows = pipeline.finish().observer.rows;
    rows.sort();
    Ok(Index { rows })
}

impl Index {
    /// Number of frames in the list.
    pub fn total(&self) -> u64 {
        self.rows.rows().len() as u64
    }

    /// Number of frames of the capture that are not in the list, because it is full.
    pub fn left_out(&self) -> u64 {
        self.rows.left_out
    }

    /// Whether a bound on names was reached, so that rows lack some.
    pub fn lacks_names(&self) -> bool {
        self.rows.lacks_names
    }

    /// Number of frames of a connection in the list.
    pub fn total_of(&self, stream: u32) -> u64 {
        self.rows.rows().iter().filter(|row| row.stream == Some(stream)).count() as u64
    }

    /// At most `count` rows, and at most [`MAX_ROWS`], from a frame on, of all connections or of one.
    pub fn packets(&self, from: u64, count: usize, stream: Option<u32>) -> Vec<PacketRow> {
        let first = usize::try_from(from.saturating_sub(1)).unwrap_or(usize::MAX);
        let is_wanted = |(_, row): &(usize, &rows::Row)| stream.is_none() || row.stream == stream;
        let rows = self.rows.rows().iter().enumerate().skip(first).filter(is_wanted);
        rows.take(count.min(MAX_ROWS)).map(|(index, row)| self.row(index, row)).collect()
    }

    fn row(&self, index: usize, row: &rows::Row) -> PacketRow {
        let first_at = self.rows.rows().first().map_or(0, |row| row.captured_at);
        PacketRow {
            frame: index as u64 + 1,
            ms: milliseconds_between(first_at, row.captured_at),
            direction: row.direction.map(Way::from),
            bytes: u64::from(row.wire_len),
            payload: u64::from(row.payload),
            what: self.rows.what(index),
            stream: row.stream,
        }
    }
}

/// Reads at most `count` pieces of a connection, and at most [`MAX_PIECES`], from a piece on. If the secrets open application
/// data of the connection, the pieces are that data; otherwise they are the bytes of its TCP streams.
///
/// # Errors
///
/// The capture or a file with secrets cannot be read, the capture has no such connection, or `progress` ended the reading
/// ([`Cancelled`](capture::Cancelled)).
pub fn stream<'p>(
    path: &Path,
    stream: u32,
    secrets: impl Into<Secrets<'p>>,
    wanted: Range<usize>,
    progress: Progress<'_>,
) -> Result<Stream> {
    let opened = secrets.into().of(path)?;
    let wanted = wanted.start..wanted.end.min(wanted.start.saturating_add(MAX_PIECES));
    let mut pipeline = Pipeline::new(Pieces::of(stream, wanted), BodyNeeds::default(), opened.keys);
    pipeline.use_server_keys(opened.server_keys);
    capture::read(Some(path), &mut pipeline, progress)?;
    match pipeline.finish().observer.into_stream() {
        Some(stream) => Ok(stream),
        None => bail!("{}: there is no TCP connection {stream}", path.display()),
    }
}
