//! Where a text is in a message.

use std::borrow::Cow;

use super::redact::redacted;

/// Longest name of a header field or parameter in a path, in characters.
const MAX_ROOT: usize = 128;

/// Characters of a name that are searched for keys, many times those that a path has room for: a name can be as long as a body,
/// and is in the path of every string below it.
const MAX_SEARCHED: usize = 4096;

/// Where a text is: a chain of steps from the message to it.
#[derive(Clone, Copy, Debug)]
pub(super) struct Path<'p> {
    parent: Option<&'p Path<'p>>,
    step: Step<'p>,
    /// Number of codings on the way.
    pub(super) depth: usize,
}

#[derive(Clone, Copy, Debug)]
enum Step<'p> {
    /// A name, or `$`.
    Root(&'p str),
    /// A JSON document of a series: what it is of, and its number from 0.
    Of(&'static str, usize),
    Member(&'p str),
    Element(usize),
    /// What codings lead to.
    Inside(&'p [&'static str]),
    /// A JSON document in a text.
    Document,
}

impl<'p> Path<'p> {
    pub(super) fn root(name: &'p str) -> Self {
        Self { parent: None, step: Step::Root(name), depth: 0 }
    }

    pub(super) fn of(series: &'static str, index: usize) -> Self {
        Self { parent: None, step: Step::Of(series, index), depth: 0 }
    }

    pub(super) fn member(&'p self, name: &'p str) -> Self {
        Self { parent: Some(self), step: Step::Member(name), depth: self.depth }
    }

    pub(super) fn element(&'p self, index: usize) -> Self {
        Self { parent: Some(self), step: Step::Element(index), depth: self.depth }
    }

    pub(super) fn inside(&'p self, steps: &'p [&'static str]) -> Self {
        Self { parent: Some(self), step: Step::Inside(steps), depth: self.depth + 1 }
    }

    pub(super) fn document(&'p self) -> Self {
        Self { parent: Some(self), step: Step::Document, depth: self.depth + 1 }
    }

    fn chain(&self) -> Vec<Step<'p>> {
        let mut chain = vec![self.step];
        let mut at = self.parent;
        while let Some(path) = at {
            chain.push(path.step);
            at = path.parent;
        }
        chain.reverse();
        chain
    }

    /// The path as text: JSONPaths (RFC 9535), with ` > ` where one leads into a document in a text. A key in the place of a name is
    /// left out.
    pub(super) fn text(&self) -> String {
        self.chain().into_iter().fold(String::new(), |path, step| match step {
            Step::Root(name) => without_keys(name).chars().take(MAX_ROOT).collect(),
            Step::Of(series, index) => format!("{series}[{index}] > $"),
            Step::Member(name) => crate::needles::child(&path, &without_keys(name)),
            Step::Element(index) => crate::needles::element(&path, index),
            Step::Inside(_) => path,
            Step::Document => format!("{path} > $"),
        })
    }

    /// The codings on the way, outermost first.
    pub(super) fn steps(&self) -> Vec<&'static str> {
        let mut steps = Vec::new();
        for step in self.chain() {
            match step {
                Step::Inside(codings) => steps.extend_from_slice(codings),
                Step::Document => steps.push("json"),
                _ => {}
            }
        }
        steps
    }
}

/// The beginning of a name, without keys.
fn without_keys(name: &str) -> Cow<'_, str> {
    let end = name.char_indices().nth(MAX_SEARCHED).map_or(name.len(), |(end, _)| end);
    redacted(name.get(..end).unwrap_or_default())
}
