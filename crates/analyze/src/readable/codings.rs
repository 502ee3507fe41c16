//! Codings that a text gives away: base64, gzip in base64, data URLs.

use base64::Engine as _;
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};
use dissect::content::{Coding, Decoder};

/// Shortest text that is read as base64 of its own accord: twelve bytes, which are seldom text by chance.
const MIN_BASE64: usize = 16;

/// Bytes that the nested codings of one capture may become together, by decompression. A capture of compressed bombs ends
/// here.
const MAX_INFLATED: u64 = 64 << 20;

/// Bytes that one nested coding may become: the longest body that is read.
const MAX_NESTED: usize = 1 << 20;

/// Longest media type of a data URL that is read.
const MAX_MEDIA_TYPE: usize = 128;

const ENGINE: GeneralPurpose = {
    let config = GeneralPurposeConfig::new()
        .with_decode_padding_mode(DecodePaddingMode::Indifferent)
        .with_decode_allow_trailing_bits(true);
    GeneralPurpose::new(&base64::alphabet::STANDARD, config)
};

const URL_ENGINE: GeneralPurpose = {
    let config = GeneralPurposeConfig::new()
        .with_decode_padding_mode(DecodePaddingMode::Indifferent)
        .with_decode_allow_trailing_bits(true);
    GeneralPurpose::new(&base64::alphabet::URL_SAFE, config)
};

/// Undoes base64 (RFC 4648 §4) or its form for URLs (§5), with or without padding.
pub(super) fn base64(text: &str) -> Option<Vec<u8>> {
    let is_for_urls = text.bytes().any(|byte| matches!(byte, b'-' | b'_'));
    if is_for_urls { URL_ENGINE.decode(text).ok() } else { ENGINE.decode(text).ok() }
}

/// The text that a text contains in base64, or in a data URL with base64; as [`Codings::decode`], without decompression.
pub(super) fn plain_base64(text: &str) -> Option<String> {
    let text = text.trim();
    let coded = match text.strip_prefix("data:") {
        Some(url) => url.split_once(',').filter(|(about, _)| about.ends_with(";base64"))?.1,
        None if text.len() < MIN_BASE64 || !could_be_base64(text) => return None,
        None => text,
    };
    String::from_utf8(base64(coded)?).ok()
}

/// Undoes nested codings, with the work done so far.
#[derive(Debug, Default)]
pub(super) struct Codings {
    decoder: Option<Decoder>,
    inflated: u64,
    /// Number of texts that were not decoded because of [`MAX_INFLATED`].
    pub(super) left_out: u64,
}

impl Codings {
    /// The text that a text contains in another coding, and the steps that lead to it. `None` if it contains none: bytes that
    /// are no text are not claimed to be a coded text.
    pub(super) fn decode(&mut self, text: &str) -> Option<(Vec<&'static str>, String)> {
        let text = text.trim();
        if let Some(url) = text.strip_prefix("data:") {
            let (about, data) = url.split_once(',')?;
            let mut steps = vec!["data-url"];
            if about.len() <= MAX_MEDIA_TYPE && about.ends_with(";base64") {
                steps.push("base64");
                let bytes = base64(data)?;
                return self.text(bytes, steps);
            }
            return None;
        }
        if text.len() < MIN_BASE64 || !could_be_base64(text) {
            return None;
        }
        self.text(base64(text)?, vec!["base64"])
    }

    fn text(&mut self, bytes: Vec<u8>, mut steps: Vec<&'static str>) -> Option<(Vec<&'static str>, String)> {
        let bytes = if bytes.starts_with(&[0x1f, 0x8b, 8]) {
            steps.push("gzip");
            self.inflate(&bytes)?
        } else {
            bytes
        };
        let text = String::from_utf8(bytes).ok()?;
        let is_text = !text.is_empty()
            && text.chars().all(|letter| !letter.is_control() || matches!(letter, '\n' | '\r' | '\t'));
        is_text.then_some((steps, text))
    }

    fn inflate(&mut self, bytes: &[u8]) -> Option<Vec<u8>> {
        if self.inflated >= MAX_INFLATED {
            self.left_out += 1;
            return None;
        }
        let mut out = Vec::new();
        let mut total = 0u64;
        self.decoder.get_or_insert_default().decode(&[Coding::Gzip], bytes, |piece| {
            total += piece.len() as u64;
            let room = MAX_NESTED.saturating_sub(out.len()).min(piece.len());
            out.extend_from_slice(piece.get(..room).unwrap_or_default());
        });
        self.inflated += total;
        (total > 0).then_some(out)
    }
}

/// Whether a text has only the letters of base64, and its length fits.
fn could_be_base64(text: &str) -> bool {
    let body = text.trim_end_matches('=');
    let padding = text.len() - body.len();
    let letters =
        body.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'+' | b'/' | b'-' | b'_'));
    letters && padding <= 2 && body.len() % 4 != 1 && (padding == 0 || text.len().is_multiple_of(4))
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;

    use super::*;

    fn gzip(text: &[u8]) -> Vec<u8> {
        let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::default());
        encoder.write_all(text).unwrap();
        encoder.finish().unwrap()
    }

    fn decoded(text: &str) -> Option<(Vec<&'static str>, String)> {
        Codings::default().decode(text)
    }

    #[test]
    fn decodes_what_becomes_text() {
        let text = r#"{"password":"hunter22"}"#.to_owned();
        let plain = ENGINE.encode(&text);
        assert_eq!(decoded(&plain), Some((vec!["base64"], text.clone())));
        assert_eq!(decoded(plain.trim_end_matches('=')), Some((vec!["base64"], text.clone())));
        assert_eq!(
            decoded(&ENGINE.encode(gzip(text.as_bytes()))),
            Some((vec!["base64", "gzip"], text.clone()))
        );
        let url = format!("data:application/json;base64,{plain}");
        assert_eq!(decoded(&url), Some((vec!["data-url", "base64"], text)));
    }

    #[test]
    fn claims_no_coding_of_words_and_noise() {
        for text in [
            "",
            "hello",
            "documentation",
            "analyze_dependency",
            "SGVsbG8=",
            "0123456789abcdef0123456789abcdef",
            "data:,x",
            "application/json",
            "550e8400-e29b-41d4-a716-446655440000",
        ] {
            assert_eq!(decoded(text), None, "{text}");
        }
        assert_eq!(decoded(&ENGINE.encode([0u8, 159, 146, 150, 1, 2, 3, 4, 5, 6])), None);
    }

    #[test]
    fn bounds_bombs() {
        let bomb = ENGINE.encode(gzip(&vec![b'x'; 8 << 20]));
        let mut codings = Codings::default();
        for _ in 0..100 {
            if let Some((_, text)) = codings.decode(&bomb) {
                assert!(text.len() <= MAX_NESTED);
            }
        }
        assert!(codings.inflated < MAX_INFLATED + (2 << 20) && codings.left_out > 0);
    }
}
