use dissect::content::{Coding, Decoder, FREE_DECODED, MAX_DECODED, MAX_RATIO, Outcome};

/// Longest piece that the decoder passes on at once, by which the output may exceed a bound before decoding stops.
const PIECE: u64 = 64 << 10;

const STACKS: [&[Coding]; 7] = [
    &[Coding::Gzip],
    &[Coding::Deflate],
    &[Coding::Brotli],
    &[Coding::Zstd],
    &[Coding::Gzip, Coding::Deflate],
    &[Coding::Brotli, Coding::Zstd],
    &[Coding::Deflate, Coding::Brotli, Coding::Gzip],
];

/// A coded body: no coding decodes to more than the bounds allow, and a decoder that was used before gives the same
/// result as a new one.
pub fn content(data: &[u8]) {
    let mut used = Decoder::default();
    assert_eq!(decode(&mut used, &[], data), (Outcome::Complete, data.to_vec()));
    for codings in STACKS {
        let first = decode(&mut used, codings, data);
        assert_eq!(decode(&mut used, codings, data), first, "{codings:?}");
    }
}

fn decode(decoder: &mut Decoder, codings: &[Coding], data: &[u8]) -> (Outcome, Vec<u8>) {
    let mut text = Vec::new();
    let outcome = decoder.decode(codings, data, |piece| text.extend_from_slice(piece));
    let limit = MAX_DECODED.min(FREE_DECODED + MAX_RATIO * data.len() as u64);
    assert!(text.len() as u64 <= limit + PIECE, "{codings:?}: {} bytes", text.len());
    (outcome, text)
}
