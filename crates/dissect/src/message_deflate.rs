//! Compression of WebSocket messages: permessage-deflate (RFC 7692 §7).
//!
//! A sender that keeps its context refers to the last 32 KiB of its earlier messages. [`Window`] is what a direction keeps of
//! them; the state of the decompressor itself is shared by all connections, because every message ends at a byte border.

use flate2::{Decompress, FlushDecompress, Status};

use crate::content::{FREE_DECODED, MAX_DECODED, MAX_RATIO, Outcome};

/// The largest distance that deflate can refer back (RFC 1951 §2).
pub const MAX_WINDOW: usize = 32 << 10;

/// Maximum number of blocks in one message that end a deflate stream (RFC 7692 §7.2.3.4). A sender writes one such block at
/// most; each costs a copy of the window.
pub const MAX_FINAL_BLOCKS: usize = 16;

/// The bytes that a sender removes from the end of each message (RFC 7692 §7.2.1).
const TAIL: [u8; 4] = [0, 0, 0xff, 0xff];

/// Size of a piece of decompressed bytes.
const PIECE: usize = 16 << 10;

/// The last bytes of the messages of one direction, before compression.
///
/// An empty window is always valid: distances count from the newest byte, so a reference to a byte that is not known is an error
/// and never gives wrong text.
#[derive(Debug, Default)]
pub struct Window(Vec<u8>);

impl Window {
    /// Number of bytes kept, at most [`MAX_WINDOW`].
    #[must_use]
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether nothing is kept.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Forgets all: the sender keeps no context, or a message is missing.
    pub fn clear(&mut self) {
        self.0 = Vec::new();
    }

    fn push(&mut self, text: &[u8]) {
        let text = text.get(text.len().saturating_sub(MAX_WINDOW)..).unwrap_or(text);
        let excess = (self.0.len() + text.len()).saturating_sub(MAX_WINDOW);
        self.0.drain(..excess.min(self.0.len()));
        self.0.extend_from_slice(text);
    }
}

/// Decompresses the messages of any number of connections, one after the other.
#[derive(Debug)]
pub struct Inflater {
    state: Decompress,
    piece: Box<[u8]>,
}

impl Default for Inflater {
    fn default() -> Self {
        Self { state: Decompress::new(false), piece: vec![0; PIECE].into_boxed_slice() }
    }
}

impl Inflater {
    /// Decompresses the payload of one message, and passes the text to `text` piece by piece. Text before an error is valid.
    /// Behind an error, the window is empty.
    ///
    /// The text is bounded as that of a body in a content coding: [`MAX_DECODED`] and [`MAX_RATIO`].
    pub fn message(&mut self, window: &mut Window, payload: &[u8], text: impl FnMut(&[u8])) -> Outcome {
        self.message_up_to(MAX_DECODED, window, payload, text)
    }

    /// The same with at most `limit` bytes of text, or one more.
    pub fn message_up_to(
        &mut self,
        limit: u64,
        window: &mut Window,
        payload: &[u8],
        mut text: impl FnMut(&[u8]),
    ) -> Outcome {
        let outcome = self.inflate(limit, window, payload, &mut text);
        if outcome != Outcome::Complete {
            window.clear();
        }
        outcome
    }

    fn inflate(
        &mut self,
        limit: u64,
        window: &mut Window,
        payload: &[u8],
        text: &mut impl FnMut(&[u8]),
    ) -> Outcome {
        let limit = limit.min(MAX_DECODED).min(FREE_DECODED + MAX_RATIO * payload.len() as u64);
        let (mut total, mut final_blocks) = (0, 0);
        if let Err(outcome) = self.begin(window) {
            return outcome;
        }
        for input in [payload, &TAIL] {
            let mut rest = input;
            loop {
                let before = (self.state.total_in(), self.state.total_out());
                let room =
                    usize::try_from(limit.saturating_sub(total).saturating_add(1)).unwrap_or(usize::MAX);
                let room = room.min(self.piece.len());
                let piece = self.piece.get_mut(..room).unwrap_or_default();
                let status = match self.state.decompress(rest, piece, FlushDecompress::Sync) {
                    Ok(status) => status,
                    Err(error) => return Outcome::Malformed(error.to_string()),
                };
                let read = (self.state.total_in() - before.0) as usize; // at most the length of `rest`
                let written = (self.state.total_out() - before.1) as usize;
                rest = rest.get(read..).unwrap_or_default();
                let piece = self.piece.get(..written).unwrap_or_default();
                window.push(piece);
                text(piece);
                total += written as u64;
                if total > limit {
                    return Outcome::TooLarge;
                }
                if status == Status::StreamEnd {
                    final_blocks += 1;
                    if final_blocks > MAX_FINAL_BLOCKS {
                        return Outcome::Malformed("a message with many final blocks".to_owned());
                    }
                    if let Err(outcome) = self.begin(window) {
                        return outcome;
                    }
                } else if read == 0 && written == 0 {
                    if rest.is_empty() {
                        break;
                    }
                    return Outcome::Malformed("deflate data that makes no progress".to_owned());
                }
                if rest.is_empty() && written < room {
                    break;
                }
            }
        }
        Outcome::Complete
    }

    /// Begins a deflate stream that can refer to the window.
    fn begin(&mut self, window: &Window) -> Result<(), Outcome> {
        self.state.reset(false);
        if window.is_empty() {
            return Ok(());
        }
        let set = self.state.set_dictionary(&window.0);
        set.map(drop).map_err(|error| Outcome::Malformed(error.to_string()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use flate2::{Compress, Compression, FlushCompress};
    use proptest::prelude::*;

    fn read(inflater: &mut Inflater, window: &mut Window, payload: &[u8]) -> (Outcome, String) {
        let mut text = Vec::new();
        let outcome = inflater.message(window, payload, |piece| text.extend_from_slice(piece));
        (outcome, String::from_utf8_lossy(&text).into_owned())
    }

    /// Compresses messages as a sender with context does.
    fn compress(messages: &[Vec<u8>], keeps_context: bool) -> Vec<Vec<u8>> {
        let mut state = Compress::new(Compression::best(), false);
        let one = |message: &Vec<u8>| {
            // With nothing to compress, a second flush writes nothing. RFC 7692 §7.2.3.6 has a form for it.
            if message.is_empty() {
                return vec![0];
            }
            if !keeps_context {
                state.reset();
            }
            let mut payload = Vec::with_capacity(2 * message.len() + 100);
            state.compress_vec(message, &mut payload, FlushCompress::Sync).unwrap();
            payload.truncate(payload.len() - TAIL.len());
            payload
        };
        messages.iter().map(one).collect()
    }

    /// RFC 7692 §7.2.3.1 to §7.2.3.5.
    #[test]
    fn reads_the_examples_of_the_rfc() {
        let (mut inflater, mut window) = (Inflater::default(), Window::default());
        let hello = (Outcome::Complete, "Hello".to_owned());
        for payload in [
            &[0xf2, 0x48, 0xcd, 0xc9, 0xc9, 0x07, 0x00][..],
            &[0xf2, 0x00, 0x11, 0x00, 0x00], // shares the window with the one before
        ] {
            assert_eq!(read(&mut inflater, &mut window, payload), hello);
        }
        for payload in [
            &[0x00, 0x05, 0x00, 0xfa, 0xff, 0x48, 0x65, 0x6c, 0x6c, 0x6f, 0x00][..], // no compression
            &[0xf3, 0x48, 0xcd, 0xc9, 0xc9, 0x07, 0x00, 0x00],                       // with BFINAL
            &[0xf2, 0x48, 0x05, 0x00, 0x00, 0x00, 0xff, 0xff, 0xca, 0xc9, 0xc9, 0x07, 0x00], // two blocks
        ] {
            assert_eq!(read(&mut inflater, &mut Window::default(), payload), hello, "{payload:x?}");
        }
        // An empty message.
        assert_eq!(read(&mut inflater, &mut window, &[0]), (Outcome::Complete, String::new()));
    }

    #[test]
    fn a_reference_to_an_unknown_byte_is_an_error_and_the_rest_of_the_text_is_valid() {
        let text = b"the same words again and again, the same words".to_vec();
        let messages = compress(&[text.clone(), text.clone(), text.clone()], true);
        let (mut inflater, mut window) = (Inflater::default(), Window::default());
        // The first message was not captured.
        let (outcome, read_text) = read(&mut inflater, &mut window, &messages[1]);
        assert!(matches!(outcome, Outcome::Malformed(_)), "{outcome:?}");
        assert!(text.starts_with(read_text.as_bytes()));
        assert!(window.is_empty());
    }

    #[test]
    fn bounds_bombs_and_final_blocks() {
        let zeros = compress(&[vec![0; 16 << 20]], true);
        let mut total = 0;
        let mut inflater = Inflater::default();
        let outcome =
            inflater.message(&mut Window::default(), &zeros[0], |piece| total += piece.len() as u64);
        assert_eq!(outcome, Outcome::TooLarge);
        assert!(total <= FREE_DECODED + MAX_RATIO * zeros[0].len() as u64 + PIECE as u64);
        // An empty final block takes two bytes (RFC 1951 §3.2.6).
        let many = [0x03, 0x00].repeat(1000);
        let outcome = read(&mut inflater, &mut Window::default(), &many).0;
        assert!(matches!(outcome, Outcome::Malformed(_)), "{outcome:?}");
    }

    #[test]
    fn an_empty_message_behind_another_comes_back() {
        let messages = [b"a".to_vec(), Vec::new(), Vec::new(), b"ab".to_vec()];
        let (mut inflater, mut window) = (Inflater::default(), Window::default());
        for (message, payload) in messages.iter().zip(compress(&messages, true)) {
            let expected = (Outcome::Complete, String::from_utf8_lossy(message).into_owned());
            assert_eq!(read(&mut inflater, &mut window, &payload), expected);
        }
    }

    proptest! {
        #[test]
        fn messages_come_back(
            messages in prop::collection::vec(prop::collection::vec(0u8..4, 0..60_000), 0..6),
            keeps_context in any::<bool>(),
        ) {
            let (mut inflater, mut window) = (Inflater::default(), Window::default());
            for (message, payload) in messages.iter().zip(compress(&messages, keeps_context)) {
                let mut text = Vec::new();
                let outcome = inflater.message(&mut window, &payload, |piece| text.extend_from_slice(piece));
                prop_assert_eq!(outcome, Outcome::Complete);
                prop_assert!(text == *message);
                prop_assert!(window.len() <= MAX_WINDOW);
                if !keeps_context {
                    window.clear();
                }
            }
        }

        #[test]
        fn any_bytes_are_read_without_panic(payloads in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..200), 0..6)) {
            let (mut inflater, mut window) = (Inflater::default(), Window::default());
            for payload in payloads {
                read(&mut inflater, &mut window, &payload);
            }
        }
    }
}
