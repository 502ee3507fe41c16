//! The strings of bodies, JSON's and those of forms, in a capture without journals.

use crate::pipeline::fact::{MessageFact, PartFact};
use crate::pipeline::provenance::{DecodeChain, Location};
use crate::readable::{self, BodyString};

/// Maximum number of strings listed, of those readable without a secret and of those readable with one; the others are counted.
pub(crate) const MAX_READABLE: usize = 5_000;

/// Longest value that is kept, in characters. A whole document in a string is shown by its beginning.
const MAX_VALUE: usize = 2_048;

/// Maximum number of bytes of the values and paths in a list, so that long ones are fewer.
const MAX_BYTES: usize = 4 << 20;

/// A string of a body.
#[derive(Clone, Debug)]
pub(crate) struct CleartextString {
    /// The value; `None` if its name marks it as a secret and secrets are not to be shown.
    pub value: Option<String>,
    pub path: String,
    /// Where the message, or the part of one, with the string is.
    pub location: Location,
    /// The decode chain that leads to it.
    pub chain: DecodeChain,
}

/// A list of strings.
#[derive(Clone, Debug, Default)]
pub(crate) struct Strings {
    /// The first [`MAX_READABLE`].
    pub listed: Vec<CleartextString>,
    /// Number of all.
    pub total: u64,
    /// Bytes of the listed values and paths.
    kept: usize,
}

/// The strings found in bodies.
#[derive(Clone, Debug, Default)]
pub(crate) struct Cleartext {
    /// Those that an eavesdropper can read.
    pub readable: Strings,
    /// Those that the holder of the keys can read.
    pub opened: Strings,
    /// Whether values whose name marks them as secrets are shown.
    pub show_secrets: bool,
}

impl Cleartext {
    /// Adds the strings of a message.
    pub(crate) fn take(&mut self, message: &MessageFact<'_>) {
        let Some(body) = message.json else { return };
        let show_secrets = self.show_secrets;
        let strings = self.of(message.needs_secret);
        readable::strings(message.content_type, body, &mut |string| {
            strings.add(string, show_secrets, || (message.location.clone(), message.chain));
        });
    }

    /// Adds the strings of a part of a message. Skips one that is not JSON.
    pub(crate) fn take_part(&mut self, part: &PartFact<'_>) {
        let Some(text) = part.text else { return };
        let show_secrets = self.show_secrets;
        let strings = self.of(part.needs_secret);
        readable::document(text, &mut |string| {
            strings.add(string, show_secrets, || ((part.place)().location, part.chain));
        });
    }

    fn of(&mut self, needs_secret: bool) -> &mut Strings {
        if needs_secret { &mut self.opened } else { &mut self.readable }
    }
}

impl Strings {
    fn add(
        &mut self,
        string: BodyString<'_>,
        show_secrets: bool,
        place: impl FnOnce() -> (Location, DecodeChain),
    ) {
        self.total += 1;
        if self.listed.len() >= MAX_READABLE || self.kept >= MAX_BYTES {
            // Counted only: where it is does not matter.
            return;
        }
        let shown = || match show_secrets {
            true => string.value.chars().take(MAX_VALUE).collect(),
            false => readable::redacted(string.value).chars().take(MAX_VALUE).collect::<String>(),
        };
        let (value, path) = ((show_secrets || !string.is_secret).then(shown), string.path());
        self.kept += value.as_ref().map_or(0, String::len) + path.len();
        let (location, chain) = place();
        self.listed.push(CleartextString { value, path, location, chain });
    }
}
