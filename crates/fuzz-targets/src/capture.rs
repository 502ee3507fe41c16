use dissect::capture::{Decoder, Record, Step};

use crate::piece_size;

/// pcap and pcapng: each frame is at its stated place in the file, and a file read in pieces gives the same frames as one
/// read at once.
pub fn capture(data: &[u8]) {
    let whole = read(data, data.len().max(1), |_| {});
    let in_pieces = read(data, piece_size(data, 64), |_| {});
    assert_eq!(in_pieces, whole);
}

/// The result of reading a file.
#[derive(Debug, PartialEq, Eq)]
struct Outcome {
    /// Frame number, time, file offset and length of each frame.
    frames: Vec<(u64, u64, u64, usize)>,
    secrets: Vec<Vec<u8>>,
    /// The error or the truncation at the end.
    end: String,
}

/// Reads a file whose bytes arrive in pieces of `size`.
fn read(data: &[u8], size: usize, mut each: impl FnMut(&Record<'_>)) -> Outcome {
    let mut decoder = Decoder::new();
    let (mut start, mut end) = (0, 0);
    let mut outcome = Outcome { frames: Vec::new(), secrets: Vec::new(), end: String::new() };
    loop {
        assert_eq!(decoder.position(), start as u64);
        let consumed = match decoder.step(&data[start..end]) {
            Ok(Step::Record { consumed, record }) => {
                let at = record.file_offset as usize;
                assert_eq!(&data[at..at + record.bytes.len()], record.bytes);
                assert_eq!(record.frame, outcome.frames.len() as u64 + 1);
                outcome.frames.push((
                    record.frame,
                    record.captured_at,
                    record.file_offset,
                    record.bytes.len(),
                ));
                each(&record);
                consumed
            }
            Ok(Step::Secrets { consumed, key_log }) => {
                outcome.secrets.push(key_log.to_vec());
                consumed
            }
            Ok(Step::Skipped { consumed }) => consumed,
            Ok(Step::NeedMore { at_least }) => {
                assert!(at_least > end - start, "more is needed than there is");
                if end == data.len() {
                    outcome.end = format!("{:?}", decoder.finish(&data[start..end]));
                    return outcome;
                }
                end = (end + size).min(data.len());
                continue;
            }
            Err(error) => {
                outcome.end = error.to_string();
                return outcome;
            }
        };
        assert!((1..=end - start).contains(&consumed));
        start += consumed;
    }
}

/// The frames of a capture, as far as it can be read.
pub(crate) fn each_record(data: &[u8], each: impl FnMut(&Record<'_>)) {
    read(data, data.len().max(1), each);
}
