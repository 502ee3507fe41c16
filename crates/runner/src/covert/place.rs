//! The place of a box among those that take turns.

use std::fmt;

/// `INDEX/NUMBER`, the index from 0.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Place {
    pub(super) index: u32,
    pub(super) of: u32,
}

impl Place {
    pub(crate) fn parse(text: &str) -> Option<Self> {
        let (index, of) = text.split_once('/')?;
        let (index, of) = (index.parse().ok()?, of.parse().ok()?);
        (index < of).then_some(Self { index, of })
    }
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.index, self.of)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_are_below_their_number() {
        assert_eq!(Place::parse("1/2"), Some(Place { index: 1, of: 2 }));
        for no_place in ["2/2", "0/0", "-1/2", "1", "1/2/3", ""] {
            assert_eq!(Place::parse(no_place), None, "{no_place}");
        }
    }
}
