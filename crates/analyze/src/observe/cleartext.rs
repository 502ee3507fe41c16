//! The JSON strings that are readable without a secret, in a capture without journals.

use serde_json::Value;

use crate::pipeline::fact::MessageFact;
use crate::pipeline::provenance::Location;

/// Maximum number of readable strings listed; the others are counted.
pub(crate) const MAX_READABLE: usize = 500;

/// A JSON string that an eavesdropper can read.
#[derive(Clone, Debug)]
pub(crate) struct CleartextString {
    /// The value; `None` if its name marks it as a secret and secrets are not to be shown.
    pub value: Option<String>,
    pub path: String,
    /// Where the message with the string is.
    pub location: Location,
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
            && let Ok(value) = serde_json::from_slice::<Value>(json)
        {
            self.walk(&value, "$", false, &message.location);
        }
    }

    /// As deep as `serde_json` reads: 128 levels.
    fn walk(&mut self, value: &Value, path: &str, is_secret: bool, location: &Location) {
        match value {
            Value::Object(members) => {
                for (name, value) in members {
                    let lower = name.to_lowercase();
                    let is_secret = is_secret || SECRET_NAMES.iter().any(|secret| lower.contains(secret));
                    self.walk(value, &crate::needles::child(path, name), is_secret, location);
                }
            }
            Value::Array(elements) => {
                for (index, value) in elements.iter().enumerate() {
                    self.walk(value, &crate::needles::element(path, index), is_secret, location);
                }
            }
            Value::String(text) => {
                self.total += 1;
                if self.strings.len() < MAX_READABLE {
                    let value = (self.show_secrets || !is_secret).then(|| text.clone());
                    self.strings.push(CleartextString {
                        value,
                        path: path.to_owned(),
                        location: location.clone(),
                    });
                }
            }
            _ => {}
        }
    }
}
