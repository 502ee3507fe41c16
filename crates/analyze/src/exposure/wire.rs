//! The wire as it was: connections, packets, bytes by kind, and the first exchange byte by byte.

use serde::Serialize;

use crate::input::journal::Direction;
use crate::observe::hits::Level;

/// One TCP connection.
#[derive(Clone, Debug, Serialize)]
pub struct ConnectionEntry {
    /// Its number, as Wireshark's `tcp.stream`.
    pub stream: u32,
    /// Who opened it, address and port.
    pub client: String,
    /// Who accepted it.
    pub server: String,
    /// Its first frame.
    pub first_frame: u64,
    /// Its last frame.
    pub last_frame: u64,
    /// Time of its first frame, nanoseconds since the epoch.
    pub first_frame_at_unix_ns: u64,
    /// Time of its last frame.
    pub last_frame_at_unix_ns: u64,
    /// Frames of both directions.
    pub frames: u64,
    /// Bytes of these frames on the wire, all headers included.
    pub wire_bytes: u64,
    /// TCP payload on the wire of the client and of the server, repeats included.
    pub payload_bytes: [u64; 2],
    /// How often the client had to wait for the server until the first HTTP answer began; `null` where no answer was
    /// read, or the beginning of the connection was not captured.
    pub round_trips_before_first_answer: Option<u32>,
    /// How it ended.
    pub ended: Ended,
}

/// How a connection ended.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Ended {
    /// Both sides said that they were done.
    Fin,
    /// One side broke it off.
    Rst,
    /// Not within the capture.
    #[default]
    Open,
}

/// One frame.
#[derive(Clone, Debug, Serialize)]
pub struct PacketEntry {
    /// Its number, from 1 as Wireshark counts.
    pub frame: u64,
    /// When it was captured, nanoseconds since the epoch.
    pub at_unix_ns: u64,
    /// Bytes it had on the wire.
    pub wire_bytes: u64,
    /// Bytes that were captured of it.
    pub captured_bytes: u64,
    /// TCP stream; `null` outside of any.
    pub stream: Option<u32>,
    /// Which way it went in that stream.
    pub direction: Option<Direction>,
    /// Who sent it: address, and port where the protocol has ports.
    pub source: Option<String>,
    /// To whom.
    pub destination: Option<String>,
    /// The innermost protocol that was decoded: `TCP`, `UDP`, `ICMP`, `ICMPv6`, `ARP`, or by its number.
    pub protocol: String,
    /// Control bits of a TCP segment that are set.
    pub flags: Vec<&'static str>,
    /// Sequence number of a TCP segment, counted from that of the SYN as Wireshark does; `null` where the SYN was not
    /// captured.
    pub sequence: Option<u32>,
    /// Bytes of TCP or UDP payload on the wire.
    pub payload_bytes: u64,
    /// What begins in this frame: HTTP start lines in the clear, TLS records; the first 16.
    pub holds: Vec<String>,
}

/// How many bytes crossed, and of what kind they are.
#[derive(Clone, Copy, Debug, Serialize)]
pub struct Traffic {
    /// Bytes of all frames on the wire.
    pub wire_bytes: u64,
    /// The same, by kind.
    pub by_kind: ByKind,
    /// TCP payload that was sampled for the next two: the first 16 MiB that were captured.
    pub payload_bytes_sampled: u64,
    /// Shannon entropy of the sample's bytes one by one (order 0), in bits, rounded to four places; `null` without any.
    pub payload_entropy_bits_per_byte: Option<f64>,
    /// Bytes of the sample that are printable ASCII, tab or line end.
    pub payload_printable_bytes: u64,
}

/// Bytes on the wire by kind. They add up to [`Traffic::wire_bytes`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct ByKind {
    /// Link, IP and TCP headers, padding and trailers of frames with TCP.
    pub headers: u64,
    /// TCP payload that was not read as TLS.
    pub clear: u64,
    /// TLS record headers, and the records that anybody can read.
    pub tls_clear: u64,
    /// Bodies of protected TLS records.
    pub ciphertext: u64,
    /// Frames without TCP.
    pub other: u64,
}

/// The first exchange of the run as it stands on the wire.
#[derive(Clone, Debug, Serialize)]
pub struct Exhibit {
    /// Id of its request.
    pub message_id: Option<String>,
    /// Its TCP stream.
    pub stream: u32,
    /// The stream from its first byte to the end of the answer, as the sides took turns.
    pub turns: Vec<Turn>,
    /// Bytes in these turns: of each direction the first 8 KiB.
    pub bytes_shown: u64,
    /// Bytes that the client sent in the stream up to the end of the request.
    pub client_bytes: u64,
    /// Bytes that the server sent in it up to the end of the answer.
    pub server_bytes: u64,
    /// A frame that holds a string of it; `null` where none was found.
    pub frame: Option<ExhibitFrame>,
}

/// Bytes that one side sent before the other did.
#[derive(Clone, Debug, Serialize)]
pub struct Turn {
    /// Which way they went.
    pub direction: Direction,
    /// Offset in the stream of the first of them.
    pub stream_offset: u64,
    /// The frames that carry them.
    pub frames: Vec<u64>,
    /// The bytes, in base64 (RFC 4648 §4).
    pub bytes: String,
}

/// A frame with a string in it, in the clear or encrypted.
#[derive(Clone, Debug, Serialize)]
pub struct ExhibitFrame {
    /// Its number.
    pub frame: u64,
    /// Offset in the capture file of its first byte.
    pub file_offset: u64,
    /// Bytes it had on the wire.
    pub wire_bytes: u64,
    /// The captured frame in base64: its first 2,048 bytes.
    pub bytes: String,
    /// Where in the frame its TCP payload begins.
    pub payload_offset: u64,
    /// Which string, as a JSONPath.
    pub path: String,
    /// Id of the string's message.
    pub message_id: Option<String>,
    /// What it takes to read it.
    pub level: Level,
    /// Where in the frame the bytes begin that carry the string.
    pub offset: u64,
    /// How many of them are in this frame.
    pub length: u64,
}
