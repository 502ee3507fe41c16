//! Reads a capture that another program is writing.

pub mod console;
mod growing;
mod key_file;
mod messages;

use std::net::SocketAddr;
use std::path::Path;

use anyhow::Result;
use dissect::capture::Record;
use dissect::flow::FlowTable;
use dissect::frame;
use dissect::link::LinkType;

use self::growing::{GrowingFile, Part};
pub use self::messages::{Completed, Kind, Messages};

/// Maximum number of connections that are numbered: their table then takes some 100 MB. Frames of later ones have no number.
const MAX_CONNECTIONS: usize = 1 << 20;

/// Maximum number of bytes of the key logs in the capture itself. What does not fit is left out.
const MAX_KEY_LOG: usize = 16 << 20;

/// A capture file that another program is writing.
#[derive(Debug)]
pub struct Tail {
    file: GrowingFile,
    flows: FlowTable,
    key_log: Vec<u8>,
}

/// One captured frame, kept.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Frame {
    /// Its number in the capture, from 1.
    pub number: u64,
    /// When it was captured, nanoseconds since the epoch.
    pub captured_at: u64,
    /// Its link type.
    pub link_type: LinkType,
    /// Its length on the wire in bytes.
    pub original_len: u32,
    /// Offset in the capture of its first byte.
    pub file_offset: u64,
    /// Its captured bytes.
    pub bytes: Vec<u8>,
}

/// A frame that was written since the last call.
#[derive(Clone, Debug)]
pub struct NewFrame<'a> {
    /// The frame.
    pub frame: Frame,
    /// Sender and receiver of a TCP segment.
    pub ends: Option<(SocketAddr, SocketAddr)>,
    /// Number of its connection, as Wireshark's `tcp.stream`.
    pub stream: Option<u32>,
    /// The captured payload of that segment.
    pub payload: &'a [u8],
}

impl Tail {
    /// Opens the capture. It may be empty: its header can come later.
    ///
    /// # Errors
    ///
    /// The file cannot be opened, or is a pipe or a directory.
    pub fn open(path: &Path) -> Result<Self> {
        let file = GrowingFile::open(path)?;
        Ok(Self { file, flows: FlowTable::default(), key_log: Vec::new() })
    }

    /// Hands over the frames that were written since the last call, whole ones only, and returns their number. Does not wait
    /// for more.
    ///
    /// # Errors
    ///
    /// The file cannot be read, is not a capture, is damaged, or became shorter. Further calls return the same error.
    pub fn read(&mut self, each: &mut dyn FnMut(NewFrame<'_>)) -> Result<u64> {
        let Self { file, flows, key_log } = self;
        let mut frames = 0;
        file.read(&mut |part| match part {
            Part::Frame(record) => {
                frames += 1;
                each(new_frame(flows, &record));
            }
            Part::Secrets(text) if key_log.len() + text.len() < MAX_KEY_LOG => {
                key_log.extend_from_slice(text);
                key_log.push(b'\n');
            }
            Part::Secrets(_) => {}
        })?;
        Ok(frames)
    }

    /// The key logs that the capture itself contains so far (pcapng), as text.
    pub fn key_log(&self) -> &[u8] {
        &self.key_log
    }
}

fn new_frame<'a>(flows: &mut FlowTable, record: &Record<'a>) -> NewFrame<'a> {
    let decoded = frame::decode(record.link_type, record.bytes, record.original_len);
    let tcp = decoded.ip().zip(decoded.tcp());
    let ends = tcp.map(|(ip, segment)| {
        let end = |address: dissect::ip::Address, port| SocketAddr::new(address.to_ip(), port);
        (end(ip.src, segment.src_port), end(ip.dst, segment.dst_port))
    });
    let numbered = if flows.len() < MAX_CONNECTIONS { flows.segment(&decoded) } else { None };
    let payload = tcp.and_then(|(_, segment)| {
        let start = segment.payload_offset as usize;
        record.bytes.get(start..start + segment.payload.len())
    });
    NewFrame {
        frame: Frame::from(record),
        ends,
        stream: numbered.map(|segment| segment.flow.number()),
        payload: payload.unwrap_or_default(),
    }
}

impl From<&Record<'_>> for Frame {
    fn from(record: &Record<'_>) -> Self {
        Self {
            number: record.frame,
            captured_at: record.captured_at,
            link_type: record.link_type,
            original_len: record.original_len,
            file_offset: record.file_offset,
            bytes: record.bytes.to_vec(),
        }
    }
}

impl Frame {
    /// The frame as a record of a capture that has other frames before it.
    pub(crate) fn as_record(&self, number: u64, file_offset: u64) -> Record<'_> {
        Record {
            frame: number,
            captured_at: self.captured_at,
            link_type: self.link_type,
            interface: 0,
            original_len: self.original_len,
            bytes: &self.bytes,
            file_offset,
        }
    }
}
