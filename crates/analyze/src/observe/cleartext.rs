//! What stands readable in a capture of which nobody knows what was said.

use serde_json::Value;

use crate::observe::hits::Place;

/// Most readable strings that are listed; the others are counted.
pub(crate) const MAX_READABLE: usize = 500;

/// Longest body that is kept whole to be read as JSON.
pub(crate) const MAX_JSON_BODY: usize = 1 << 20;

/// A JSON string that anybody on the wire can read.
#[derive(Clone, Debug)]
pub(crate) struct ReadableString {
    /// Its value; `None` where it looks like a secret and was not asked for.
    pub value: Option<String>,
    /// Its place in the message.
    pub path: String,
    /// Where the message stands.
    pub place: Place,
}

/// The strings found in JSON bodies.
#[derive(Clone, Debug, Default)]
pub(crate) struct Readable {
    /// The first [`MAX_READABLE`] of them.
    pub strings: Vec<ReadableString>,
    /// All of them.
    pub total: u64,
    /// Whether values that look like secrets are shown.
    pub show_secrets: bool,
}

/// Parts of names under which people keep secrets.
const SECRET_NAMES: [&str; 9] =
    ["password", "passwd", "secret", "token", "apikey", "api_key", "authorization", "credential", "cookie"];

impl Readable {
    /// Reads a body; what is no JSON is passed over.
    pub(crate) fn read(&mut self, body: &[u8], place: &Place) {
        if let Ok(value) = serde_json::from_slice::<Value>(body) {
            self.walk(&value, "$", false, place);
        }
    }

    /// As deep as `serde_json` reads: 128 levels.
    fn walk(&mut self, value: &Value, path: &str, is_secret: bool, place: &Place) {
        match value {
            Value::Object(members) => {
                for (name, value) in members {
                    let lower = name.to_lowercase();
                    let is_secret = is_secret || SECRET_NAMES.iter().any(|secret| lower.contains(secret));
                    self.walk(value, &crate::search::needles::child(path, name), is_secret, place);
                }
            }
            Value::Array(elements) => {
                for (index, value) in elements.iter().enumerate() {
                    self.walk(value, &crate::search::needles::element(path, index), is_secret, place);
                }
            }
            Value::String(text) => {
                self.total += 1;
                if self.strings.len() < MAX_READABLE {
                    let value = (self.show_secrets || !is_secret).then(|| text.clone());
                    self.strings.push(ReadableString { value, path: path.to_owned(), place: place.clone() });
                }
            }
            _ => {}
        }
    }
}
