//! What the comments say: a line for each finding that a packet proves.

use std::collections::{BTreeMap, HashMap};

use exposure_schema::{Capture, Isolation, Location, Occurrence, PhaseName};

use crate::output::finding::{self, Finding, Kind};
use crate::output::safe_text::{safe, shortened};

/// Maximum number of lines in one comment: Wireshark shows a comment above the packet's details.
const MAX_LINES: usize = 16;

/// Most columns of a value.
const VALUE: usize = 80;

/// Maximum number of bytes of all comments of a capture. Long runs have millions of findings, of which people look at few.
const MAX_BYTES: usize = 64 << 20;

/// The comments of a capture, by the numbers of the frames.
#[derive(Debug, Default)]
pub struct Comments {
    by_frame: HashMap<u64, Comment>,
    bytes: usize,
    left_out: u64,
}

#[derive(Debug, Default)]
struct Comment {
    lines: Vec<String>,
    /// Number of findings beyond [`MAX_LINES`].
    more: u64,
}

impl Comments {
    /// The comments for the findings of a capture. What only the keys open is named but not quoted, unless `quotes_opened`: a
    /// copy without keys must not contain it in the clear.
    pub fn of(capture: &Capture, quotes_opened: bool) -> Self {
        let mut comments = Self::default();
        let _ = finding::of_capture(capture, &mut |finding| {
            if matches!(finding.kind, Kind::Exposure | Kind::Opened) {
                let quotes = quotes_opened || finding.kind == Kind::Exposure;
                for place in &*finding.locations {
                    comments.add(place, &line(&finding, place, quotes));
                }
            }
            Ok::<_, std::convert::Infallible>(())
        });
        for word in capture.tls.iter().flat_map(|tls| &tls.words_in_handshake) {
            let text = format!("exposure.handshake-word: {}", shortened(&word.word, VALUE));
            word.frame.iter().for_each(|frame| comments.add_line(*frame, text.clone()));
        }
        comments
    }

    /// The comments for the captures of an isolation run, by their paths in it, and the number of frames where it is known.
    pub fn of_run(run: &Isolation) -> BTreeMap<&str, (Self, Option<u64>)> {
        let mut by_file: BTreeMap<&str, (Self, Option<u64>)> = BTreeMap::new();
        for interface in &run.interfaces {
            let (comments, frames) = by_file.entry(&interface.file).or_default();
            *frames = Some(interface.frames);
            let code = match interface.phase {
                PhaseName::Isolated => "leak.foreign-frames",
                PhaseName::Control => "control",
            };
            for foreign in &interface.box_frames_listed {
                comments.add_line(foreign.frame, format!("{code}: {}", shortened(&foreign.what, VALUE)));
            }
        }
        let mut at = |seen: &Option<Occurrence>, text: String| {
            let Some(seen) = seen else { return };
            if let Some((comments, _)) = by_file.get_mut(&*seen.file) {
                seen.location.frames.iter().for_each(|frame| comments.add_line(*frame, text.clone()));
            }
        };
        for attempt in &run.attempts {
            let code = match attempt.phase {
                PhaseName::Isolated => "leak.canary-on-wire",
                PhaseName::Control => "control",
            };
            let [kind, name, target] =
                [&attempt.kind, &attempt.name, &attempt.target].map(|text| shortened(text, VALUE));
            at(&attempt.first, format!("{code}: attempt {kind} of sandbox {name} to {target}"));
        }
        if let Some(identity) = &run.identity {
            let user = shortened(&identity.user, VALUE);
            at(&identity.read, format!("identity: the id of {user} is read here"));
            at(&identity.replayed, format!("identity: the id of {user} is replayed here"));
            at(&identity.answered, format!("identity: the answer with the secret of {user}"));
        }
        by_file
    }

    #[cfg(test)]
    pub(super) fn of_frames(frames: std::ops::RangeInclusive<u64>, text: &str) -> Self {
        let mut comments = Self::default();
        frames.for_each(|frame| comments.add_line(frame, text.to_owned()));
        comments
    }

    /// The comment of a frame.
    pub(super) fn of_frame(&self, frame: u64) -> Option<String> {
        let Comment { lines, more } = self.by_frame.get(&frame)?;
        let mut text = lines.join("\n");
        if *more > 0 {
            text.push_str(&format!("\nand {more} more"));
        }
        Some(text)
    }

    /// Number of lines that were left out, because all together are too long.
    pub(super) fn left_out(&self) -> u64 {
        self.left_out
    }

    fn add(&mut self, place: &Location, text: &str) {
        for frame in &place.frames {
            self.add_line(*frame, text.to_owned());
        }
    }

    fn add_line(&mut self, frame: u64, text: String) {
        if self.bytes + text.len() > MAX_BYTES {
            self.left_out += 1;
            return;
        }
        let comment = self.by_frame.entry(frame).or_default();
        if comment.lines.contains(&text) {
            return;
        }
        match comment.lines.len() < MAX_LINES {
            true => {
                self.bytes += text.len();
                comment.lines.push(text);
            }
            false => comment.more += 1,
        }
    }
}

fn line(finding: &Finding<'_>, place: &Location, quotes: bool) -> String {
    let mut text = format!("{}:", safe(&finding.code));
    if let Some(value) = finding.value.filter(|_| quotes) {
        text.push_str(&format!(" \"{}\"", shortened(value, VALUE)));
    }
    if let Some(path) = finding.path {
        text.push_str(&format!(" {}", shortened(path, VALUE)));
    }
    if let Some(id) = finding.message_id {
        text.push_str(&format!(" of message {}", shortened(id, VALUE)));
    }
    if !place.layers.is_empty() {
        text.push_str(&format!(", through {}", shortened(&place.layers.join(", "), VALUE)));
    }
    if let [first, .., last] = place.frames.as_slice() {
        text.push_str(&format!(", in frames {first} to {last}"));
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_comment_has_few_lines_and_counts_the_others() {
        let mut comments = Comments::default();
        for number in 0..20 {
            comments.add_line(7, format!("line {number}"));
            comments.add_line(7, format!("line {number}"));
        }
        let text = comments.of_frame(7).expect("a comment");
        assert_eq!(text.lines().count(), MAX_LINES + 1);
        assert!(text.ends_with("\nand 8 more"), "{text}");
        assert_eq!(comments.of_frame(8), None);
    }

    #[test]
    fn comments_that_are_too_long_together_are_counted() {
        let mut comments = Comments { bytes: MAX_BYTES - 3, ..Comments::default() };
        comments.add_line(1, "abc".to_owned());
        comments.add_line(2, "abc".to_owned());
        assert_eq!((comments.left_out(), comments.of_frame(2)), (1, None));
    }
}
