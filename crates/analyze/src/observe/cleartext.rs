//! The JSON strings that are readable without a secret, in a capture without journals.

use serde_json::Value;

use crate::pipeline::fact::{MessageFact, PartFact};
use crate::pipeline::provenance::{DecodeChain, Location};
use crate::readable;

/// Maximum number of readable strings listed; the others are counted.
pub(crate) const MAX_READABLE: usize = 500;

/// A JSON string that an eavesdropper can read.
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

/// The strings found in JSON bodies.
#[derive(Clone, Debug, Default)]
pub(crate) struct Cleartext {
    /// The first [`MAX_READABLE`] strings.
    pub strings: Vec<CleartextString>,
    /// Number of all strings.
    pub total: u64,
    /// Whether values whose name marks them as secrets are shown.
    pub show_secrets: bool,
}

/// Parts of names that mark a value as a secret.
const SECRET_NAMES: [&str; 9] =
    ["password", "passwd", "secret", "token", "apikey", "api_key", "authorization", "credential", "cookie"];

impl Cleartext {
    /// Adds the strings of a message. Skips a body that is not JSON.
    pub(crate) fn take(&mut self, message: &MessageFact<'_>) {
        if let Some(json) = message.json
            && !message.needs_secret
            && (message.content_type.is_empty() || message.content_type.to_ascii_lowercase().contains("json"))
            && let Ok(value) = serde_json::from_slice::<Value>(json)
        {
            self.walk(&value, "$", false, (&message.location, message.chain));
        }
    }

    /// Adds the strings of a part of a message. Skips one that is not JSON.
    pub(crate) fn take_part(&mut self, part: &PartFact<'_>) {
        if let Some(json) = part.text
            && !part.needs_secret
            && let Ok(value) = serde_json::from_slice::<Value>(json)
        {
            if self.strings.len() < MAX_READABLE {
                self.walk(&value, "$", false, (&(part.place)().location, part.chain));
            } else {
                // Counted only: where it is does not matter.
                self.total += count(&value);
            }
        }
    }

    /// As deep as `serde_json` reads: 128 levels.
    fn walk(&mut self, value: &Value, path: &str, is_secret: bool, place: (&Location, DecodeChain)) {
        match value {
            Value::Object(members) => {
                for (name, value) in members {
                    let lower = name.to_lowercase();
                    let is_secret = is_secret || SECRET_NAMES.iter().any(|secret| lower.contains(secret));
                    self.walk(value, &crate::needles::child(path, name), is_secret, place);
                }
            }
            Value::Array(elements) => {
                for (index, value) in elements.iter().enumerate() {
                    self.walk(value, &crate::needles::element(path, index), is_secret, place);
                }
            }
            Value::String(text) => {
                self.total += 1;
                if self.strings.len() < MAX_READABLE {
                    let shown = || {
                        if self.show_secrets { text.clone() } else { readable::redacted(text).into_owned() }
                    };
                    let value = (self.show_secrets || !is_secret).then(shown);
                    self.strings.push(CleartextString {
                        value,
                        path: path.to_owned(),
                        location: place.0.clone(),
                        chain: place.1,
                    });
                }
            }
            _ => {}
        }
    }
}

/// Number of strings in a value.
fn count(value: &Value) -> u64 {
    match value {
        Value::Object(members) => members.values().map(count).sum(),
        Value::Array(elements) => elements.iter().map(count).sum(),
        Value::String(_) => 1,
        _ => 0,
    }
}
