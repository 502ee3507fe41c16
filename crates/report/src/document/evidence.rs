//! The frames that the report refers to. Every link to a frame is made here and recorded, and the appendix lists the
//! recorded frames, so that every link has a target. A report without the appendix names the frames without links.

use std::cell::RefCell;
use std::collections::BTreeSet;

use crate::document::line::{Inline, Line};
use crate::i18n::Lang;
use crate::model::Capture;

/// Makes links to frames, and remembers the frames.
pub(crate) struct Evidence<'a> {
    lang: Lang,
    captures: &'a [Capture],
    slugs: Vec<String>,
    /// Whether the report has an appendix with the frames.
    has_targets: bool,
    frames: RefCell<BTreeSet<(usize, u64)>>,
}

impl<'a> Evidence<'a> {
    pub(crate) fn new(lang: Lang, captures: &'a [Capture], has_targets: bool) -> Self {
        Self { lang, captures, slugs: slugs(captures), has_targets, frames: RefCell::default() }
    }

    /// A link with the text "frame 4".
    pub(crate) fn frame(&self, capture: usize, frame: u64) -> Inline {
        self.link(capture, frame, self.lang.frame(frame))
    }

    /// A link with the text "http-4": capture and frame.
    pub(crate) fn short(&self, capture: usize, frame: u64) -> Inline {
        self.link(capture, frame, self.id(capture, frame))
    }

    /// A link with the text "4".
    pub(crate) fn number(&self, capture: usize, frame: u64) -> Inline {
        self.link(capture, frame, frame.to_string())
    }

    /// Links to several frames: to the first and the last of consecutive frames, otherwise to the first few.
    pub(crate) fn frames(&self, capture: usize, frames: &[u64]) -> Line {
        const FEW: usize = 3;
        let is_run = frames.windows(2).all(|pair| pair[1] == pair[0] + 1);
        let number = |&frame: &u64| self.number(capture, frame);
        match frames {
            [first, .., last] if is_run && frames.len() > 2 => {
                Line::new().add(number(first)).add("–").add(number(last))
            }
            _ => {
                let more = frames.len().saturating_sub(FEW);
                let line = Line::joined(frames.iter().take(FEW).map(number), ", ");
                if more > 0 { line.add(" ").add(self.lang.and_more(more as u64)) } else { line }
            }
        }
    }

    /// A name of the capture that is valid in links and file names.
    pub(crate) fn slug(&self, capture: usize) -> &str {
        &self.slugs[capture]
    }

    /// The id of a frame's entry in the appendix.
    pub(crate) fn id(&self, capture: usize, frame: u64) -> String {
        format!("{}-{frame}", self.slugs[capture])
    }

    /// Records the frame for the appendix, and returns the id of its entry. `None` without that appendix.
    pub(crate) fn target(&self, capture: usize, frame: u64) -> Option<String> {
        self.has_targets.then(|| {
            self.frames.borrow_mut().insert((capture, frame));
            self.id(capture, frame)
        })
    }

    /// The recorded frames in order: index of the capture, number of the frame.
    pub(crate) fn cited(&self) -> Vec<(usize, u64)> {
        self.frames.borrow().iter().copied().collect()
    }

    pub(crate) fn captures(&self) -> &'a [Capture] {
        self.captures
    }

    fn link(&self, capture: usize, frame: u64, text: String) -> Inline {
        match self.target(capture, frame) {
            Some(to) => Inline::Link { text, to },
            None => Inline::Text(text),
        }
    }
}

/// A distinct name for each capture that is valid in links of every format: its own name if that is plain and unique.
fn slugs(captures: &[Capture]) -> Vec<String> {
    const LONGEST: usize = 32;
    let is_plain = |name: &str| {
        !name.is_empty()
            && name.len() <= LONGEST
            && name.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit())
    };
    let mut slugs: Vec<String> = Vec::new();
    for (index, capture) in captures.iter().enumerate() {
        let own = is_plain(&capture.name) && !slugs.contains(&capture.name);
        slugs.push(if own { capture.name.clone() } else { format!("capture-{}", index + 1) });
    }
    slugs
}
