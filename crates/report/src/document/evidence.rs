//! The frames that the report refers to. Whoever makes a claim asks here for a link, and the appendix lists what was
//! asked for: so that no claim can point at nothing.

use std::cell::RefCell;
use std::collections::BTreeSet;

use crate::document::line::{Inline, Line};
use crate::i18n::Lang;
use crate::model::Capture;

/// Links and what they go to.
pub(crate) struct Evidence<'a> {
    lang: Lang,
    captures: &'a [Capture],
    slugs: Vec<String>,
    frames: RefCell<BTreeSet<(usize, u64)>>,
}

impl<'a> Evidence<'a> {
    pub(crate) fn new(lang: Lang, captures: &'a [Capture]) -> Self {
        Self { lang, captures, slugs: slugs(captures), frames: RefCell::default() }
    }

    /// A link that says "frame 4".
    pub(crate) fn frame(&self, capture: usize, frame: u64) -> Inline {
        self.link(capture, frame, self.lang.frame(frame))
    }

    /// A link that says "http-4": which capture, which frame.
    pub(crate) fn short(&self, capture: usize, frame: u64) -> Inline {
        self.link(capture, frame, self.id(capture, frame))
    }

    /// A link that says "4".
    pub(crate) fn number(&self, capture: usize, frame: u64) -> Inline {
        self.link(capture, frame, frame.to_string())
    }

    /// Links to several frames; of a long run the first and the last, of many the first few.
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

    /// A name of the capture that can stand in a link or a file name.
    pub(crate) fn slug(&self, capture: usize) -> &str {
        &self.slugs[capture]
    }

    /// The target of links to a frame that somebody referred to.
    pub(crate) fn id(&self, capture: usize, frame: u64) -> String {
        format!("{}-{frame}", self.slugs[capture])
    }

    /// Where links to a frame go; the frame will be in the appendix.
    pub(crate) fn target(&self, capture: usize, frame: u64) -> String {
        self.frames.borrow_mut().insert((capture, frame));
        self.id(capture, frame)
    }

    /// What was referred to, in order.
    pub(crate) fn cited(&self) -> Vec<(usize, u64)> {
        self.frames.borrow().iter().copied().collect()
    }

    pub(crate) fn captures(&self) -> &'a [Capture] {
        self.captures
    }

    fn link(&self, capture: usize, frame: u64, text: String) -> Inline {
        Inline::Link { text, to: self.target(capture, frame) }
    }
}

/// A name for each capture that can stand in a link of any format: its own, if that is plain and nobody else's.
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
