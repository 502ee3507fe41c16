//! Every string of a body: the strings of JSON, and the fields of a form.

use super::form;
use super::json::Json;
use super::names;
use super::path::Path;

/// Parts of names that mark a value as a secret, beside the names that [`names`] knows.
const SECRET_NAMES: [&str; 9] =
    ["password", "passwd", "secret", "token", "apikey", "api_key", "authorization", "credential", "cookie"];

/// A string in a body.
#[derive(Clone, Copy)]
pub(crate) struct BodyString<'s> {
    path: &'s Path<'s>,
    pub(crate) value: &'s str,
    /// Whether its name, or that of a member around it, marks it as a secret.
    pub(crate) is_secret: bool,
}

impl BodyString<'_> {
    /// Its position: a JSONPath (RFC 9535), or the name of a field of a form.
    pub(crate) fn path(&self) -> String {
        self.path.text()
    }
}

/// Shows every string of a body to `visit`. Of a body that is neither JSON nor a form nothing is shown: a type is what the sender
/// claims, and many send JSON as text or as a form.
pub(crate) fn strings(content_type: &str, body: &[u8], visit: &mut dyn FnMut(BodyString<'_>)) {
    if let Some(json) = Json::read_container(body) {
        walk(&json, &Path::root("$"), false, visit);
    } else if let Some(fields) = form::fields(content_type, body) {
        for field in fields {
            let path = Path::root(&field.name);
            let is_secret = names_secret(&field.name);
            match Json::read_container(&field.value) {
                Some(json) => walk(&json, &path.document(), is_secret, visit),
                // The contents of a file are no string of the form.
                None if field.is_file => {}
                None => {
                    let value = String::from_utf8_lossy(&field.value);
                    visit(BodyString { path: &path, value: &value, is_secret });
                }
            }
        }
    } else if content_type.is_empty() || content_type.to_ascii_lowercase().contains("json") {
        // A string by itself is a JSON document, too.
        document(body, visit);
    }
}

/// As [`strings`], of what is a JSON document if it is anything.
pub(crate) fn document(text: &[u8], visit: &mut dyn FnMut(BodyString<'_>)) {
    if let Some(json) = Json::read(text) {
        walk(&json, &Path::root("$"), false, visit);
    }
}

/// As deep as the document was read: 128 levels.
fn walk(value: &Json, path: &Path<'_>, is_secret: bool, visit: &mut dyn FnMut(BodyString<'_>)) {
    match value {
        Json::Word | Json::Number(_) => {}
        Json::Text(value) => visit(BodyString { path, value, is_secret }),
        Json::List(elements) => {
            for (index, element) in elements.iter().enumerate() {
                walk(element, &path.element(index), is_secret, visit);
            }
        }
        Json::Object(members) => {
            for (name, value) in members {
                walk(value, &path.member(name), is_secret || names_secret(name), visit);
            }
        }
    }
}

fn names_secret(name: &str) -> bool {
    let lower = name.to_lowercase();
    SECRET_NAMES.iter().any(|secret| lower.contains(secret)) || names::names_secret(name).is_some()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(content_type: &str, body: &str) -> Vec<String> {
        let mut found = Vec::new();
        strings(content_type, body.as_bytes(), &mut |string| {
            let secret = if string.is_secret { " (secret)" } else { "" };
            found.push(format!("{}={}{secret}", string.path(), string.value));
        });
        found
    }

    #[test]
    fn json_is_read_whatever_its_type() {
        for content_type in ["application/json", "text/plain", "application/x-www-form-urlencoded", ""] {
            assert_eq!(
                read(content_type, r#" {"a":["x",1,{"b c":"y"}],"Token":{"t":"z"},"a":"again"}"#),
                ["$.a[0]=x", "$.a[2][\"b c\"]=y", "$.Token.t=z (secret)", "$.a=again"],
                "{content_type}"
            );
        }
        assert_eq!(read("application/json", "\"alone\""), ["$=alone"]);
        assert_eq!(read("text/plain", "\"alone\""), [""; 0]);
        assert_eq!(read("application/json", "{\"a\":"), [""; 0]);
    }

    #[test]
    fn forms_are_read_by_their_fields() {
        assert_eq!(
            read("application/x-www-form-urlencoded", "user=alice&password=a+b&q=%7B%22a%22%3A%22x%22%7D"),
            ["user=alice", "password=a b (secret)", "q > $.a=x"]
        );
        let body = "--b\r\nContent-Disposition: form-data; name=\"note\"\r\n\r\nhello\r\n--b\r\n\
            Content-Disposition: form-data; name=\"file\"; filename=\"a.bin\"\r\n\r\n\u{1}\r\n--b\r\n\
            Content-Disposition: form-data; name=\"meta\"; filename=\"m.json\"\r\n\r\n{\"k\":\"v\"}\r\n--b--\r\n";
        assert_eq!(read("multipart/form-data; boundary=b", body), ["note=hello", "meta > $.k=v"]);
    }
}
