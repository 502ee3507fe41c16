//! Builds the frames of a TCP connection.
//!
//! The methods of [`Connection`] are events, such as "the client sent these bytes" or "the server closed". Each appends the
//! frames of the event to a [`Frames`] batch: handshake, data cut by the MSS, acknowledgements, FIN or RST. A connection
//! stores sequence numbers but no payload; payload is copied once, into the batch, and a cleared batch reuses its memory.
//!
//! ```
//! use craft::conversation::{Connection, Frames, Settings, Side};
//! use craft::pcap;
//!
//! let settings = Settings::new("10.0.0.1:40000".parse().unwrap(), "10.0.0.2:8000".parse().unwrap());
//! let mut connection = Connection::new(Settings { client_isn: 7, server_isn: 9, ..settings }).unwrap();
//! let mut frames = Frames::default();
//! connection.open(1_000, &mut frames).unwrap();
//! connection.send(Side::Client, b"ping", 2_000, &mut frames).unwrap();
//! connection.close(Side::Client, 3_000, &mut frames).unwrap();
//! connection.close(Side::Server, 4_000, &mut frames).unwrap();
//!
//! let mut file = pcap::Writer::new(Vec::new(), connection.link_type(), pcap::FULL_SNAPLEN).unwrap();
//! for frame in frames.iter() {
//!     file.write(frame.at_ns, frame.bytes.len() as u32, frame.bytes).unwrap();
//! }
//! ```

use std::net::SocketAddr;

use crate::frame::{self, Ip, Link, Tcp, flags};

/// Payload of a full segment over Ethernet: 1500 bytes less the IPv4 and TCP headers without options.
pub const ETHERNET_MSS: u16 = 1460;

/// Window scale of both sides: 64240 becomes 8 MB, so that no burst exceeds the window.
const WINDOW_SCALE: u8 = 7;
const WINDOW: u16 = 64240;

/// A side of the connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Side {
    /// The side that opens the connection.
    Client,
    /// The side that accepts the connection.
    Server,
}

impl Side {
    /// The opposite side.
    pub fn other(self) -> Self {
        match self {
            Side::Client => Side::Server,
            Side::Server => Side::Client,
        }
    }
}

/// The settings of a connection.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Settings {
    /// Address and port of the client.
    pub client: SocketAddr,
    /// Address and port of the server, of the same IP version.
    pub server: SocketAddr,
    /// Initial sequence number of the client.
    pub client_isn: u32,
    /// Initial sequence number of the server.
    pub server_isn: u32,
    /// Maximum segment size of both sides. Options reduce the payload of a segment, as in network stacks.
    pub mss: u16,
    /// An ACK without data follows each `ack_every` segments and the end of each send. With 0, only data and FIN of the
    /// other side acknowledge data.
    pub ack_every: u32,
    /// Whether every segment has the timestamps option (RFC 7323), in milliseconds of the caller's time.
    pub timestamps: bool,
    /// The link header of the client's frames. The server's frames have its addresses swapped.
    pub link: Link,
}

impl Settings {
    /// Ethernet, MSS 1460, an ACK every two segments, timestamps, both ISNs 0.
    pub fn new(client: SocketAddr, server: SocketAddr) -> Self {
        Settings {
            client,
            server,
            client_isn: 0,
            server_isn: 0,
            mss: ETHERNET_MSS,
            ack_every: 2,
            timestamps: true,
            link: Link::default(),
        }
    }
}

/// An event that the connection cannot represent.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ConversationError {
    /// Client and server have addresses of different IP versions.
    #[error("client {client} and server {server} are of different IP versions")]
    MixedVersions {
        /// The client.
        client: SocketAddr,
        /// The server.
        server: SocketAddr,
    },
    /// The MSS leaves no room for payload beside the options.
    #[error("an MSS of {mss} bytes leaves no room for payload")]
    MssTooSmall {
        /// The requested MSS.
        mss: u16,
    },
    /// The event does not fit the connection's state.
    #[error("{side:?} cannot {what}: the connection is {state}")]
    State {
        /// The side of the event.
        side: Side,
        /// The event.
        what: &'static str,
        /// The connection's state.
        state: &'static str,
    },
}

/// A batch of finished frames. [`Frames::clear`] keeps the memory.
#[derive(Debug, Clone, Default)]
pub struct Frames {
    bytes: Vec<u8>,
    entries: Vec<Entry>,
}

#[derive(Debug, Clone, Copy)]
struct Entry {
    end: usize,
    at_ns: u64,
    from: Side,
    payload_len: u32,
}

/// One frame of a batch.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BuiltFrame<'a> {
    /// The time of the event, ns since the Unix epoch.
    pub at_ns: u64,
    /// The side that sent the frame.
    pub from: Side,
    /// Length of the TCP payload, which ends the frame unless the link pads it.
    pub payload_len: u32,
    /// The whole frame.
    pub bytes: &'a [u8],
}

impl Frames {
    /// Number of frames.
    pub fn len(&self) -> usize {
        self.entries.len()
    }

    /// True if there is none.
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// Removes all frames, and keeps the memory for the next ones.
    pub fn clear(&mut self) {
        self.bytes.clear();
        self.entries.clear();
    }

    /// Frame `index`, from 0.
    pub fn frame(&self, index: usize) -> Option<BuiltFrame<'_>> {
        let entry = self.entries.get(index)?;
        let start = index.checked_sub(1).map_or(0, |before| self.entries[before].end);
        Some(BuiltFrame {
            at_ns: entry.at_ns,
            from: entry.from,
            payload_len: entry.payload_len,
            bytes: &self.bytes[start..entry.end],
        })
    }

    /// All frames in order.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = BuiltFrame<'_>> + DoubleEndedIterator {
        (0..self.len()).map(|index| self.frame(index).expect("index is below the length"))
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Phase {
    Fresh,
    Open,
    Reset,
}

/// The state of one side.
#[derive(Debug, Clone)]
struct End {
    port: u16,
    ip: Ip,
    link: Link,
    /// Sequence number of the next byte.
    next: u32,
    isn: u32,
    closed: bool,
    /// Number of the other side's segments that this side has not acknowledged.
    owed: u32,
    /// The latest timestamp of the other side, milliseconds.
    echo: u32,
}

/// A TCP connection whose frames are being built.
#[derive(Debug, Clone)]
pub struct Connection {
    client: End,
    server: End,
    phase: Phase,
    mss: u16,
    ack_every: u32,
    timestamps: bool,
}

impl Connection {
    /// A connection that is not open yet. Fails on mixed IP versions and on an MSS without room for payload.
    pub fn new(settings: Settings) -> Result<Self, ConversationError> {
        let Settings { client, server, mss, .. } = settings;
        let mixed = || ConversationError::MixedVersions { client, server };
        let end = |from: SocketAddr, to: SocketAddr, isn, link| {
            let ip = Ip::between(from.ip(), to.ip()).ok_or_else(mixed)?;
            Ok(End { port: from.port(), ip, link, next: isn, isn, closed: false, owed: 0, echo: 0 })
        };
        if usize::from(mss) <= options_len(settings.timestamps) {
            return Err(ConversationError::MssTooSmall { mss });
        }
        let back = reversed(&settings.link);
        Ok(Connection {
            client: end(client, server, settings.client_isn, settings.link)?,
            server: end(server, client, settings.server_isn, back)?,
            phase: Phase::Fresh,
            mss,
            ack_every: settings.ack_every,
            timestamps: settings.timestamps,
        })
    }

    /// The link type of the connection's frames.
    pub fn link_type(&self) -> u16 {
        self.client.link.link_type()
    }

    /// Whether both sides have closed the connection or one has reset it.
    pub fn is_over(&self) -> bool {
        self.phase == Phase::Reset || self.client.closed && self.server.closed
    }

    /// Number of bytes that `side` has sent.
    pub fn sent(&self, side: Side) -> u32 {
        let end = self.end(side);
        let synchronised = u32::from(self.phase != Phase::Fresh);
        end.next.wrapping_sub(end.isn).wrapping_sub(synchronised + u32::from(end.closed))
    }

    /// Appends the handshake: SYN, SYN-ACK, ACK.
    pub fn open(&mut self, at_ns: u64, frames: &mut Frames) -> Result<(), ConversationError> {
        self.expect_fresh(Side::Client, "open")?;
        self.control(Side::Client, flags::SYN, at_ns, frames);
        self.control(Side::Server, flags::SYN | flags::ACK, at_ns, frames);
        self.control(Side::Client, flags::ACK, at_ns, frames);
        self.phase = Phase::Open;
        Ok(())
    }

    /// Appends a handshake that the server refuses: SYN, RST-ACK.
    pub fn refuse(&mut self, at_ns: u64, frames: &mut Frames) -> Result<(), ConversationError> {
        self.expect_fresh(Side::Server, "refuse")?;
        self.control(Side::Client, flags::SYN, at_ns, frames);
        self.control(Side::Server, flags::RST | flags::ACK, at_ns, frames);
        self.phase = Phase::Reset;
        Ok(())
    }

    /// Appends `bytes` from `from`: segments of at most the MSS, PSH on the last, with the other side's acknowledgements.
    pub fn send(
        &mut self,
        from: Side,
        bytes: &[u8],
        at_ns: u64,
        frames: &mut Frames,
    ) -> Result<(), ConversationError> {
        self.expect_open(from, "send")?;
        let room = usize::from(self.mss) - options_len(self.timestamps);
        let mut chunks = bytes.chunks(room).peekable();
        while let Some(chunk) = chunks.next() {
            let last = chunks.peek().is_none();
            let push = if last { flags::PSH } else { 0 };
            let sequence = self.end(from).next;
            self.emit(from, sequence, flags::ACK | push, chunk, at_ns, frames);
            self.end_mut(from).next = sequence.wrapping_add(chunk.len() as u32);
            let receiver = self.end_mut(from.other());
            receiver.owed += 1;
            if self.ack_every > 0 && (last || self.end(from.other()).owed >= self.ack_every) {
                self.control(from.other(), flags::ACK, at_ns, frames);
            }
        }
        Ok(())
    }

    /// Appends the FIN of `side` and the other side's ACK. The other side may still send.
    pub fn close(&mut self, side: Side, at_ns: u64, frames: &mut Frames) -> Result<(), ConversationError> {
        self.expect_open(side, "close")?;
        self.control(side, flags::FIN | flags::ACK, at_ns, frames);
        self.end_mut(side).closed = true;
        self.control(side.other(), flags::ACK, at_ns, frames);
        Ok(())
    }

    /// Appends an RST of `side`.
    pub fn reset(&mut self, side: Side, at_ns: u64, frames: &mut Frames) -> Result<(), ConversationError> {
        if self.phase != Phase::Open {
            return Err(self.refused(side, "reset"));
        }
        self.control(side, flags::RST | flags::ACK, at_ns, frames);
        self.phase = Phase::Reset;
        Ok(())
    }

    /// Appends a single segment at `stream_offset` (bytes after the SYN), such as a retransmission, an overlap, a
    /// segment after a gap, or a keep-alive. The state of the connection does not change.
    pub fn segment(
        &self,
        from: Side,
        stream_offset: u32,
        tcp_flags: u8,
        payload: &[u8],
        at_ns: u64,
        frames: &mut Frames,
    ) {
        let sequence = self.end(from).isn.wrapping_add(1).wrapping_add(stream_offset);
        self.append(from, sequence, tcp_flags, payload, at_ns, frames);
    }

    /// Appends a segment without payload; SYN and FIN each consume one sequence number.
    fn control(&mut self, from: Side, tcp_flags: u8, at_ns: u64, frames: &mut Frames) {
        let sequence = self.end(from).next;
        self.emit(from, sequence, tcp_flags, &[], at_ns, frames);
        let takes = u32::from(tcp_flags & (flags::SYN | flags::FIN) != 0);
        self.end_mut(from).next = sequence.wrapping_add(takes);
    }

    fn emit(
        &mut self,
        from: Side,
        sequence: u32,
        tcp_flags: u8,
        payload: &[u8],
        at_ns: u64,
        frames: &mut Frames,
    ) {
        self.append(from, sequence, tcp_flags, payload, at_ns, frames);
        let sender = self.end_mut(from);
        sender.owed = 0;
        if let Ip::V4(ip) = &mut sender.ip {
            ip.id = ip.id.wrapping_add(1);
        }
        self.end_mut(from.other()).echo = millis(at_ns);
    }

    fn append(
        &self,
        from: Side,
        sequence: u32,
        tcp_flags: u8,
        payload: &[u8],
        at_ns: u64,
        frames: &mut Frames,
    ) {
        let (sender, receiver) = (self.end(from), self.end(from.other()));
        let mut options = [0; 20];
        let options = self.options(&mut options, tcp_flags, sender, at_ns);
        let header = Tcp {
            source_port: sender.port,
            destination_port: receiver.port,
            sequence,
            acknowledgment: if tcp_flags & flags::ACK == 0 { 0 } else { receiver.next },
            flags: tcp_flags,
            window: WINDOW,
            options,
            ..Tcp::default()
        };
        frame::tcp(&mut frames.bytes, &sender.link, &sender.ip, &header, payload);
        frames.entries.push(Entry {
            end: frames.bytes.len(),
            at_ns,
            from,
            payload_len: payload.len() as u32,
        });
    }

    /// The options of a segment; on a SYN, MSS, SACK permitted and window scale (RFC 9293 §3.2, RFC 2018, RFC 7323).
    fn options<'b>(&self, buffer: &'b mut [u8; 20], tcp_flags: u8, sender: &End, at_ns: u64) -> &'b [u8] {
        let mut length = 0;
        let mut put = |bytes: &[u8]| {
            buffer[length..length + bytes.len()].copy_from_slice(bytes);
            length += bytes.len();
        };
        let syn = tcp_flags & flags::SYN != 0;
        if syn {
            let [high, low] = self.mss.to_be_bytes();
            put(&[2, 4, high, low]);
            put(if self.timestamps { &[4, 2] } else { &[1, 1, 4, 2] });
        } else if self.timestamps {
            put(&[1, 1]);
        }
        if self.timestamps {
            put(&[8, 10]);
            put(&millis(at_ns).to_be_bytes());
            put(&sender.echo.to_be_bytes());
        }
        if syn {
            put(&[1, 3, 3, WINDOW_SCALE]);
        }
        &buffer[..length]
    }

    fn expect_fresh(&self, side: Side, what: &'static str) -> Result<(), ConversationError> {
        if self.phase == Phase::Fresh { Ok(()) } else { Err(self.refused(side, what)) }
    }

    fn expect_open(&self, side: Side, what: &'static str) -> Result<(), ConversationError> {
        if self.phase == Phase::Open && !self.end(side).closed {
            Ok(())
        } else {
            Err(self.refused(side, what))
        }
    }

    fn refused(&self, side: Side, what: &'static str) -> ConversationError {
        let state = match self.phase {
            Phase::Fresh => "not open yet",
            Phase::Reset => "reset",
            Phase::Open if self.end(side).closed => "closed by it",
            Phase::Open => "open already",
        };
        ConversationError::State { side, what, state }
    }

    fn end(&self, side: Side) -> &End {
        match side {
            Side::Client => &self.client,
            Side::Server => &self.server,
        }
    }

    fn end_mut(&mut self, side: Side) -> &mut End {
        match side {
            Side::Client => &mut self.client,
            Side::Server => &mut self.server,
        }
    }
}

/// Bytes of options on an ordinary segment.
fn options_len(timestamps: bool) -> usize {
    if timestamps { 12 } else { 0 }
}

fn millis(at_ns: u64) -> u32 {
    (at_ns / 1_000_000) as u32
}

fn reversed(link: &Link) -> Link {
    let mut link = link.clone();
    if let Link::Ethernet(ethernet) = &mut link {
        std::mem::swap(&mut ethernet.source, &mut ethernet.destination);
    }
    link
}

#[cfg(test)]
mod tests {
    use super::*;
    use etherparse::{SlicedPacket, TransportSlice};

    fn connection(settings: impl FnOnce(&mut Settings)) -> Connection {
        let mut s = Settings::new("10.0.0.1:40000".parse().unwrap(), "10.0.0.2:8000".parse().unwrap());
        s.client_isn = u32::MAX - 1;
        s.server_isn = 1000;
        settings(&mut s);
        Connection::new(s).unwrap()
    }

    /// `C SA seq ack len` per frame, sequence numbers relative to the ISNs.
    fn summary(frames: &Frames) -> Vec<String> {
        frames
            .iter()
            .map(|frame| {
                let sliced = SlicedPacket::from_ethernet(frame.bytes).unwrap();
                let Some(TransportSlice::Tcp(tcp)) = sliced.transport else { panic!("no TCP") };
                assert_eq!(tcp.payload().len(), frame.payload_len as usize);
                let (name, own, other) = match frame.from {
                    Side::Client => ('C', u32::MAX - 1, 1000),
                    Side::Server => ('S', 1000, u32::MAX - 1),
                };
                assert_eq!(tcp.source_port(), if name == 'C' { 40000 } else { 8000 });
                let mut text = String::new();
                for (set, letter) in
                    [(tcp.syn(), 'S'), (tcp.fin(), 'F'), (tcp.rst(), 'R'), (tcp.psh(), 'P'), (tcp.ack(), 'A')]
                {
                    text.extend(set.then_some(letter));
                }
                let ack = if tcp.ack() { tcp.acknowledgment_number().wrapping_sub(other) } else { 0 };
                format!(
                    "{name} {text} {} {ack} {}",
                    tcp.sequence_number().wrapping_sub(own),
                    tcp.payload().len()
                )
            })
            .collect()
    }

    #[test]
    fn builds_a_whole_conversation() {
        let mut c = connection(|s| s.mss = 112);
        let mut f = Frames::default();
        c.open(1, &mut f).unwrap();
        c.send(Side::Client, &[b'x'; 250], 2, &mut f).unwrap();
        c.send(Side::Server, b"ok", 3, &mut f).unwrap();
        c.close(Side::Client, 4, &mut f).unwrap();
        c.send(Side::Server, b"late", 5, &mut f).unwrap();
        c.close(Side::Server, 6, &mut f).unwrap();
        assert_eq!(
            summary(&f),
            [
                "C S 0 0 0",
                "S SA 0 1 0",
                "C A 1 1 0",
                "C A 1 1 100",
                "C A 101 1 100",
                "S A 1 201 0",
                "C PA 201 1 50",
                "S A 1 251 0",
                "S PA 1 251 2",
                "C A 251 3 0",
                "C FA 251 3 0",
                "S A 3 252 0",
                "S PA 3 252 4",
                "C A 252 7 0",
                "S FA 7 252 0",
                "C A 252 8 0",
            ]
        );
        assert!(c.is_over());
        assert_eq!((c.sent(Side::Client), c.sent(Side::Server)), (250, 6));
    }

    #[test]
    fn acknowledges_by_data_alone_with_ack_every_0() {
        let mut c = connection(|s| (s.ack_every, s.timestamps) = (0, false));
        let mut f = Frames::default();
        c.open(1, &mut f).unwrap();
        c.send(Side::Client, &[0; 1461], 2, &mut f).unwrap();
        c.send(Side::Server, b"y", 2, &mut f).unwrap();
        c.reset(Side::Client, 3, &mut f).unwrap();
        assert_eq!(
            summary(&f)[3..],
            ["C A 1 1 1460", "C PA 1461 1 1", "S PA 1 1462 1", "C RA 1462 2 0"].map(String::from)
        );
    }

    #[test]
    fn rejects_events_that_do_not_fit_the_state() {
        let mut f = Frames::default();
        let mut c = connection(|_| ());
        assert!(c.send(Side::Client, b"x", 1, &mut f).is_err());
        c.open(1, &mut f).unwrap();
        assert!(c.open(1, &mut f).is_err());
        c.close(Side::Client, 1, &mut f).unwrap();
        let error = c.send(Side::Client, b"x", 1, &mut f).unwrap_err();
        assert_eq!(error.to_string(), "Client cannot send: the connection is closed by it");
        c.reset(Side::Server, 1, &mut f).unwrap();
        assert!(c.send(Side::Server, b"x", 1, &mut f).is_err());
        let mixed = Settings::new("10.0.0.1:1".parse().unwrap(), "[::1]:2".parse().unwrap());
        assert!(Connection::new(mixed).is_err());
    }

    #[test]
    fn single_segments_do_not_change_the_state() {
        let mut c = connection(|_| ());
        let mut f = Frames::default();
        c.open(1, &mut f).unwrap();
        f.clear();
        c.segment(Side::Client, 10, flags::ACK, b"later", 2, &mut f);
        c.send(Side::Client, b"0123456789", 3, &mut f).unwrap();
        assert_eq!(summary(&f), ["C A 11 1 5", "C PA 1 1 10", "S A 1 11 0"]);
    }
}
