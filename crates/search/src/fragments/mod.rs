//! Finds parts of messages, of long strings and of secrets.
//!
//! The patterns of [`Matcher`](super::Matcher) are whole strings. This search finds any run of at least [`GUARANTEED`] bytes of
//! a text, and a whole text of at least [`MIN_TEXT`] bytes or a whole secret: as it is, in base64, base32 or hexadecimal digits
//! at any alignment and with line breaks anywhere, percent-encoded, with the escapes of JSON, and in UTF-16.

use std::ops::Range;

mod forms;
mod index;
mod scanner;

pub use self::scanner::{Fragment, FragmentScanner};
use crate::Encoding;
pub(crate) use index::common;
use index::{Sampling, SourceIndex};

/// Maximum number of bytes in all texts, and in all secrets, in the forms in which they are indexed. Reaching the bound is a
/// doubt.
pub const MAX_SOURCE_BYTES: usize = 8 << 20;

/// Shorter runs of a text occur in the framing of any JSON.
const MIN_RUN: usize = 24;

/// Distance of the samples in which texts are searched.
const TEXT_EVERY: usize = 8;
const TEXT_SAMPLING: Sampling = Sampling { group_every: 16, min_forward: MIN_RUN, min_run: MIN_RUN };

/// Every run of a text of at least this length is found, unless it could be padding.
pub const GUARANTEED: usize = TEXT_SAMPLING.guaranteed(TEXT_EVERY);

/// Longest form of a run of that length: `\u0061`, six bytes for each.
pub const MAX_FORM: usize = 6 * GUARANTEED;

/// Shortest text: all of its runs that are as long as itself are found, because its first group of grams is at its start.
pub const MIN_TEXT: usize = TEXT_EVERY - 1 + MIN_RUN;

/// UTF-16 code units before and behind one that is not recognised as text in UTF-16, which are searched with it as they are:
/// those of a run of the guaranteed length. Other runs in UTF-16 are decoded.
const NEAR_UNRECOGNISED: usize = GUARANTEED.div_ceil(2);

/// Length of the shortest secret of the supported hashes.
const MIN_SECRET: usize = 32;

/// Distance of the samples in which secrets are searched. They are found only as a whole, so that one group of grams at the
/// start of each suffices: there can be hundreds of thousands, and a large index that is rarely asked is faster than a small
/// one that is asked more often.
const SECRET_EVERY: usize = 24;
const SECRET_SAMPLING: Sampling =
    Sampling { group_every: usize::MAX >> 1, min_forward: MIN_SECRET - SECRET_EVERY, min_run: MIN_SECRET };

type Texts = SourceIndex<TEXT_EVERY>;
type Secrets = SourceIndex<SECRET_EVERY>;

/// What is searched.
#[derive(Debug)]
struct Sources {
    texts: Texts,
    secrets: Secrets,
}

/// The sources of the search.
#[derive(Debug)]
pub struct Fragments {
    sources: Sources,
    /// The number that the caller gave each text, and its form.
    texts: Vec<(u32, Encoding)>,
    /// The number that the caller gave each secret.
    secrets: Vec<u32>,
    /// Number of sources that were left out at [`MAX_SOURCE_BYTES`].
    left_out: u64,
}

impl Fragments {
    /// Searches the next bytes of a stream. Adds the runs in them to `found`.
    #[inline]
    pub fn push(&self, scanner: &mut FragmentScanner, bytes: &[u8], found: &mut Vec<Fragment>) {
        if !self.is_empty() && !bytes.is_empty() {
            let before = found.len();
            scanner.push(&self.sources, bytes, found);
            self.name(&mut found[before..]);
        }
    }

    /// Searches contiguous bytes that are no part of a stream for the runs whose range in them is wanted.
    pub fn find(&self, bytes: &[u8], is_wanted: &dyn Fn(&Range<usize>) -> bool, found: &mut Vec<Fragment>) {
        if !self.is_empty() {
            let before = found.len();
            scanner::find_all(&self.sources, bytes, is_wanted, found);
            self.name(&mut found[before..]);
        }
    }

    /// The part of a text that was found as it is; `None` for a secret.
    pub fn text_of(&self, fragment: &Fragment) -> Option<&[u8]> {
        let (source, at) = fragment.place;
        let rest = (!fragment.is_secret).then(|| self.sources.texts.rest(source, at))?;
        rest.get(..fragment.len as usize)
    }

    /// The texts as they are.
    pub fn texts(&self) -> impl Iterator<Item = &[u8]> {
        let plain = self.texts.iter().enumerate().filter(|(_, (_, form))| *form == Encoding::Plain);
        plain.map(|(index, _)| self.sources.texts.rest(index as u32, 0))
    }

    /// Number of sources that are not searched because of [`MAX_SOURCE_BYTES`].
    pub fn left_out(&self) -> u64 {
        self.left_out
    }

    /// Whether there is nothing to search for.
    #[inline]
    pub fn is_empty(&self) -> bool {
        self.texts.is_empty() && self.secrets.is_empty()
    }

    /// Replaces the numbers of the indices by those of the caller.
    fn name(&self, found: &mut [Fragment]) {
        for fragment in found {
            if fragment.is_secret {
                fragment.source = self.secrets[fragment.source as usize];
                continue;
            }
            let (source, form) = self.texts[fragment.source as usize];
            fragment.source = source;
            if fragment.encoding == Encoding::Plain {
                fragment.encoding = form;
            }
        }
    }
}

/// The parts of a text in UTF-16 that have a run of the guaranteed length which is not recognised as text in UTF-16.
fn near_unrecognised(units: &[u16]) -> Vec<Range<usize>> {
    let is_recognised = |unit: u16| u8::try_from(unit).is_ok_and(forms::is_wide);
    let unrecognised = units.iter().enumerate().filter(|(_, unit)| !is_recognised(**unit)).map(|(at, _)| at);
    near(unrecognised, NEAR_UNRECOGNISED, units.len())
}

/// The parts of `len` elements that are at most `distance` from one of these places, in their order.
fn near(places: impl Iterator<Item = usize>, distance: usize, len: usize) -> Vec<Range<usize>> {
    let mut near: Vec<Range<usize>> = Vec::new();
    for at in places {
        let part = at.saturating_sub(distance)..len.min(at + distance);
        match near.last_mut() {
            Some(last) if last.end >= part.start => last.end = part.end,
            _ => near.push(part),
        }
    }
    near
}

/// Sources behind one another.
#[derive(Debug, Default)]
struct Joined {
    bytes: Vec<u8>,
    starts: Vec<u32>,
}

impl Joined {
    /// Whether there was room for the source.
    fn add(&mut self, source: &[u8]) -> bool {
        let has_room = self.bytes.len() + source.len() <= MAX_SOURCE_BYTES;
        if has_room {
            self.starts.push(self.bytes.len() as u32);
            self.bytes.extend_from_slice(source);
        }
        has_room
    }

    fn index<const EVERY: usize>(mut self, sampling: Sampling) -> SourceIndex<EVERY> {
        self.starts.push(self.bytes.len() as u32);
        self.bytes.shrink_to_fit();
        self.starts.shrink_to_fit();
        SourceIndex::new(self.bytes, self.starts, sampling)
    }
}

/// Collects sources.
#[derive(Debug, Default)]
pub struct FragmentsBuilder {
    joined_texts: Joined,
    joined_secrets: Joined,
    texts: Vec<(u32, Encoding)>,
    secrets: Vec<u32>,
    left_out: u64,
}

impl FragmentsBuilder {
    /// Adds a text under a number. One below [`MIN_TEXT`] bytes is too short for this search.
    ///
    /// Characters beyond ASCII and control characters are also added in both byte orders of UTF-16, with what is near them,
    /// because only printable ASCII is recognised in UTF-16. Returns whether any part of the text can be found.
    pub fn add_text(&mut self, number: u32, text: &[u8]) -> bool {
        let before = self.texts.len();
        self.add_form(number, Encoding::Plain, text);
        if !text.iter().all(|byte| forms::is_wide(*byte))
            && let Ok(text) = std::str::from_utf8(text)
        {
            let units: Vec<u16> = text.encode_utf16().collect();
            for near in near_unrecognised(&units) {
                for order in [u16::to_le_bytes, u16::to_be_bytes] {
                    let wide: Vec<u8> = units[near.clone()].iter().copied().flat_map(order).collect();
                    self.add_form(number, Encoding::Utf16, &wide);
                }
            }
        }
        self.texts.len() > before
    }

    /// Adds a secret of 32 or 48 bytes under a number. Returns whether it can be found.
    pub fn add_secret(&mut self, number: u32, secret: &[u8]) -> bool {
        let is_added = secret.len() >= MIN_SECRET && self.joined_secrets.add(secret);
        match is_added {
            true => self.secrets.push(number),
            false => self.left_out += 1,
        }
        is_added
    }

    fn add_form(&mut self, number: u32, form: Encoding, text: &[u8]) {
        if text.len() < MIN_TEXT {
            return;
        }
        if self.joined_texts.add(text) {
            self.texts.push((number, form));
        } else {
            self.left_out += 1;
        }
    }

    /// Builds the indices.
    pub fn build(self) -> Fragments {
        Fragments {
            sources: Sources {
                texts: self.joined_texts.index(TEXT_SAMPLING),
                secrets: self.joined_secrets.index(SECRET_SAMPLING),
            },
            texts: self.texts,
            secrets: self.secrets,
            left_out: self.left_out,
        }
    }
}

#[cfg(test)]
mod tests {
    use data_encoding::{BASE64, BASE64URL_NOPAD, HEXLOWER};
    use proptest::prelude::*;

    use super::*;

    fn search(sources: &[&str], chunks: &[&[u8]]) -> Vec<Fragment> {
        let mut builder = FragmentsBuilder::default();
        for (number, source) in sources.iter().enumerate() {
            builder.add_text(number as u32, source.as_bytes());
        }
        let fragments = builder.build();
        let (mut scanner, mut found) = (FragmentScanner::default(), Vec::new());
        for chunk in chunks {
            fragments.push(&mut scanner, chunk, &mut found);
        }
        found
    }

    const BODY: &str = r#"{"id":"call-0001","arguments":["abc","de","한글과 영어","some words that go on for a while"],"depth":[1,2,3]}"#;

    #[test]
    fn a_run_is_followed_over_any_number_of_chunks() {
        let long: String = (0..12_000).map(|number| format!("{number}, ")).collect();
        let text = [b"before ", long.as_bytes(), b" behind"].concat();
        for size in [1, 7, 50, 1448, 100_000] {
            let chunks: Vec<_> = text.chunks(size).collect();
            let longest = search(&[&long], &chunks).iter().map(|found| found.len).max();
            assert_eq!(longest, Some(long.len() as u64), "in chunks of {size}");
        }
    }

    #[test]
    fn runs_have_their_offsets_in_the_stream() {
        let text = [b"before ", BODY.as_bytes(), b" behind"].concat();
        let expected = Fragment {
            start: 7,
            end: 7 + BODY.len() as u64,
            source: 0,
            place: (0, 0),
            is_secret: false,
            len: BODY.len() as u64,
            encoding: Encoding::Plain,
            is_continued: false,
        };
        assert_eq!(search(&[BODY], &[&text]), [expected]);
        let found = search(&[BODY], &[&text[..60], &text[60..]]);
        assert_eq!(
            (found[0].start, found.last().map(|last| (last.end, last.len))),
            (7, Some((expected.end, expected.len)))
        );
    }

    #[test]
    fn a_form_with_plus_for_every_space_is_found() {
        let text = "a part of a message with nothing to be escaped but the spaces in it";
        let found = search(&[text], &[text.replace(' ', "+").as_bytes()]);
        assert_eq!(
            found.iter().map(|found| (found.encoding, found.len)).collect::<Vec<_>>(),
            [(Encoding::Percent, text.len() as u64)]
        );
    }

    #[test]
    fn nothing_is_found_across_a_gap() {
        let mut builder = FragmentsBuilder::default();
        builder.add_text(0, BODY.as_bytes());
        let fragments = builder.build();
        let (mut scanner, mut found) = (FragmentScanner::default(), Vec::new());
        let (head, tail) = BODY.as_bytes().split_at(20);
        fragments.push(&mut scanner, head, &mut found);
        scanner.gap(1);
        fragments.push(&mut scanner, &tail[..20], &mut found);
        assert_eq!(found, []);
    }

    #[test]
    fn a_secret_is_found_as_a_whole_at_every_alignment() {
        let secrets: Vec<Vec<u8>> = [32, 48]
            .map(|len| (0..len).map(|at: u8| at.wrapping_mul(167).wrapping_add(len)).collect())
            .into();
        let mut builder = FragmentsBuilder::default();
        for (number, secret) in secrets.iter().enumerate() {
            builder.add_secret(number as u32, secret);
        }
        let fragments = builder.build();
        for (number, secret) in secrets.iter().enumerate() {
            for before in 0..60 {
                for text in
                    [secret.clone(), HEXLOWER.encode(secret).into_bytes(), BASE64.encode(secret).into_bytes()]
                {
                    let text = [&vec![1; before][..], &text, &[2; 30]].concat();
                    for size in [7, 64, 1000] {
                        let (mut scanner, mut found) = (FragmentScanner::default(), Vec::new());
                        for chunk in text.chunks(size) {
                            fragments.push(&mut scanner, chunk, &mut found);
                        }
                        let found: Vec<_> =
                            found.iter().map(|found| (found.source, found.is_secret)).collect();
                        assert!(
                            found.contains(&(number as u32, true)),
                            "{before} bytes before, in chunks of {size}"
                        );
                    }
                }
            }
            let (mut scanner, mut found) = (FragmentScanner::default(), Vec::new());
            fragments.push(&mut scanner, &secret[..31], &mut found);
            assert_eq!(found, [], "a part of a secret");
        }
    }

    #[test]
    fn sources_beyond_the_bound_are_counted() {
        let mut builder = FragmentsBuilder::default();
        builder.add_text(0, &vec![b'a'; MAX_SOURCE_BYTES]);
        builder.add_text(1, BODY.as_bytes());
        assert_eq!(builder.build().left_out(), 3, "the body is left out in three forms");
    }

    /// What is as it is in a text with escapes is found without decoding, or it is too short: decoded, it hides nothing.
    #[test]
    fn what_other_texts_share_hides_no_escape_behind_it() {
        let text = "all of it without a customer.\\n\\nThe careful team";
        let shared = &text[..29];
        let places = |range: Range<usize>| {
            range.clone().flat_map(move |one| range.clone().map(move |other| (one, other)))
        };
        for (in_source, in_other) in places(0..16) {
            let source = format!("{}{text}", "-".repeat(in_source));
            let other = format!("{}{shared}, and so on and on, to its end", "x".repeat(in_other + 8));
            for before in 64..72 {
                let written = [&vec![0x80; before], text.replace('\\', r"\\").as_bytes()].concat();
                let found = search(&[&source, &other], &[&written]);
                assert!(
                    !found.is_empty(),
                    "{in_source} and {in_other} bytes before it, {before} before the text"
                );
            }
        }
    }

    /// The forms in which a run is found, with their names.
    fn written(run: &str) -> Vec<(Encoding, Vec<u8>)> {
        let broken = |text: String| {
            let lines: Vec<_> = text.as_bytes().chunks(19).map(<[u8]>::to_vec).collect();
            lines.join(&b"\r\n"[..])
        };
        vec![
            (Encoding::Plain, run.as_bytes().to_vec()),
            (Encoding::Base64, broken(BASE64.encode(run.as_bytes()))),
            (Encoding::Base64, BASE64URL_NOPAD.encode(run.as_bytes()).into_bytes()),
            (Encoding::Base32, data_encoding::BASE32_NOPAD.encode(run.as_bytes()).into_bytes()),
            (Encoding::Hex, HEXLOWER.encode(run.as_bytes()).into_bytes()),
            (
                Encoding::Percent,
                run.bytes().map(|byte| format!("%{byte:02X}")).collect::<String>().into_bytes(),
            ),
            (
                Encoding::JsonEscapes,
                run.encode_utf16().map(|unit| format!("\\u{unit:04x}")).collect::<String>().into_bytes(),
            ),
            (Encoding::Utf16, run.encode_utf16().flat_map(u16::to_le_bytes).collect()),
            (Encoding::Utf16, run.encode_utf16().flat_map(u16::to_be_bytes).collect()),
        ]
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(1000))]

        /// The guarantee, in every form, at any place of a stream that arrives in chunks of any size.
        #[test]
        fn finds_every_run_of_the_guaranteed_length_in_every_form(
            source in "[a-z0-9\",:{} é한]{80,300}|[a-z\\x00-\\x1f\\x7f]{80,300}|[a-z ]{60,150}[é한\\x00\\x1b\\x7f][a-z ]{60,150}",
            from in any::<prop::sample::Index>(),
            before in prop::collection::vec(any::<u8>(), 0..60),
            after in prop::collection::vec(any::<u8>(), 0..60),
            size in 1_usize..400,
        ) {
            let chars: Vec<char> = source.chars().collect();
            // One character more, because an alignment can cost a byte at each end.
            let from = from.index(chars.len() - GUARANTEED - 1);
            let run: String = chars[from..from + GUARANTEED + 2].iter().collect();
            for (encoding, form) in written(&run) {
                let text = [&before[..], &form, &after].concat();
                let chunks: Vec<_> = text.chunks(size).collect();
                let found = search(&[&source], &chunks);
                prop_assert!(found.iter().any(|found| found.encoding == encoding), "{encoding} of {run:?} in chunks of {size}: {found:?}");
            }
        }

        /// Texts that share phrases hide none of each other's runs, wherever the stream is divided.
        #[test]
        fn finds_a_run_of_texts_that_share_phrases(
            text in "[a-z ]{90}",
            phrases in prop::collection::vec((0_usize..50, 24_usize..40, "[A-Z]{31}"), 0..6),
            from in 0..=90 - GUARANTEED,
            before in prop::collection::vec(0x80_u8.., 300..400),
            border in 0..=GUARANTEED,
            as_escapes in any::<bool>(),
        ) {
            let others: Vec<String> =
                phrases.iter().map(|(at, len, other)| format!("{other}{}{other}", &text[*at..at + len])).collect();
            let sources: Vec<_> = [&text].into_iter().chain(&others).map(String::as_str).collect();
            let run = &text.as_bytes()[from..from + GUARANTEED];
            let written = |bytes: &[u8]| match as_escapes {
                true => bytes.iter().flat_map(|byte| format!("\\u{byte:04x}").into_bytes()).collect(),
                false => bytes.to_vec(),
            };
            let (head, tail) = run.split_at(border);
            let (head, tail) = ([&before[..], &written(head)].concat(), [&written(tail)[..], &[0x80; 60]].concat());
            let found = search(&sources, &[&head, &tail]);
            prop_assert!(!found.is_empty(), "{:?} of {sources:?}", String::from_utf8_lossy(run));
        }
    }
}
