//! Names of fields, members and parameters that name a secret.

/// Longest name that is read. Real ones are far shorter.
const MAX_NAME: usize = 64;

/// Names whose value is a password or passphrase: a number is one too.
const PASSWORDS: [&[&str]; 8] = [
    &["password"],
    &["passwd"],
    &["passphrase"],
    &["passcode"],
    &["pwd"],
    &["pass", "word"],
    &["otp"],
    &["userpass"],
];

/// Ends of names whose value is a secret, as words.
const SECRETS: [&[&str]; 28] = [
    &["secret"],
    &["secrets"],
    &["token"],
    &["jwt"],
    &["apikey"],
    &["api", "key"],
    &["access", "key"],
    &["secret", "key"],
    &["private", "key"],
    &["signing", "key"],
    &["encryption", "key"],
    &["subscription", "key"],
    &["functions", "key"],
    &["account", "key"],
    &["auth", "key"],
    &["rapidapi", "key"],
    &["secret", "access", "key"],
    &["credential"],
    &["credentials"],
    &["authorization"],
    &["session", "id"],
    &["sessionid"],
    &["code", "verifier"],
    &["client", "assertion"],
    &["amz", "signature"],
    &["goog", "signature"],
    &["authtoken"],
    &["accesstoken"],
];

/// Words before `token` with which it is a position or a number, not a secret.
const NO_SECRETS_BEFORE_TOKEN: [&str; 24] = [
    "page",
    "next",
    "prev",
    "previous",
    "continuation",
    "progress",
    "sync",
    "cursor",
    "cancel",
    "cancellation",
    "unk",
    "eos",
    "bos",
    "pad",
    "stop",
    "per",
    "first",
    "last",
    "max",
    "min",
    "start",
    "end",
    "mask",
    "sep",
];

/// What a name says about its value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Names {
    Password,
    Secret,
}

/// What a name says about its value, if it names a secret.
pub(super) fn names_secret(name: &str) -> Option<Names> {
    if name.len() > MAX_NAME {
        return None;
    }
    let words = words(name);
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    if PASSWORDS.iter().any(|end| words.ends_with(end)) {
        return Some(Names::Password);
    }
    let is_position = matches!(&words[..], [.., before, "token"] if NO_SECRETS_BEFORE_TOKEN.contains(before));
    (!is_position && SECRETS.iter().any(|end| words.ends_with(end))).then_some(Names::Secret)
}

/// Whether a name says that its value is the number of a payment card.
pub(super) fn names_card(name: &str) -> bool {
    let words = words(name.get(..MAX_NAME).unwrap_or(name));
    words
        .iter()
        .any(|word| matches!(word.as_str(), "card" | "cc" | "pan" | "creditcard" | "cardnumber" | "ccnumber"))
}

/// Whether a value under such a name can be a secret: it is no number of tokens, no mask and no placeholder.
pub(super) fn can_be_secret(names: Names, value: &str) -> bool {
    let value = value.trim();
    let shortest = if names == Names::Password { 1 } else { 8 };
    let is_mask = value.chars().all(|letter| matches!(letter, '*' | 'x' | 'X' | '•' | '.' | '-'));
    let is_placeholder = value.starts_with(['<', '{'])
        || value.starts_with("${")
        || value.starts_with("[REDACTED")
        || ["null", "none", "true", "false", "string", "undefined", "redacted"]
            .iter()
            .any(|word| value.eq_ignore_ascii_case(word));
    value.len() >= shortest && !is_mask && !is_placeholder
}

/// The words of a name, in lower case: `refreshToken`, `refresh_token` and `X-Refresh-Token` have the same last two.
fn words(name: &str) -> Vec<String> {
    let mut words = vec![String::new()];
    let mut was_lower = false;
    for letter in name.chars() {
        if !letter.is_alphanumeric() {
            words.push(String::new());
        } else {
            if letter.is_uppercase() && was_lower {
                words.push(String::new());
            }
            if let Some(word) = words.last_mut() {
                word.extend(letter.to_lowercase());
            }
        }
        was_lower = letter.is_lowercase();
    }
    words.retain(|word| !word.is_empty());
    words
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn recognises_the_names_of_secrets() {
        for name in [
            "token",
            "access_token",
            "refreshToken",
            "id-token",
            "client_secret",
            "X-Api-Key",
            "apiKey",
            "apikey",
            "OPENAI_API_KEY",
            "db.secret",
            "aws_secret_access_key",
            "credentials",
            "X-Amz-Signature",
            "csrf_token",
            "sessionId",
            "private_key",
            "Ocp-Apim-Subscription-Key",
            "botToken",
        ] {
            assert_eq!(names_secret(name), Some(Names::Secret), "{name}");
        }
        for name in ["password", "user_password", "newPassword", "passwd", "PWD", "j_password"] {
            assert_eq!(names_secret(name), Some(Names::Password), "{name}");
        }
    }

    #[test]
    fn leaves_other_names_alone() {
        for name in [
            "max_tokens",
            "prompt_tokens",
            "tokens",
            "tokenizer",
            "nextPageToken",
            "progressToken",
            "next_token",
            "continuation_token",
            "secretary",
            "key",
            "keys",
            "api_keyboard",
            "monkey",
            "bypass",
            "compass",
            "passport",
            "id",
            "password_hint",
            "token_type",
            "tokenCount",
            "secret_name",
            "",
            "--",
        ] {
            assert_eq!(names_secret(name), None, "{name}");
        }
        assert_eq!(names_secret(&"secret".repeat(1000)), None);
    }

    #[test]
    fn leaves_masks_and_placeholders_alone() {
        for value in [
            "",
            "null",
            "********",
            "xxxxxxxx",
            "<your token>",
            "${TOKEN}",
            "{{token}}",
            "string",
            "[REDACTED]",
        ] {
            assert!(!can_be_secret(Names::Secret, value), "{value}");
        }
        assert!(!can_be_secret(Names::Secret, "short"));
        assert!(can_be_secret(Names::Password, "x1"));
        assert!(can_be_secret(Names::Secret, "0123456789abcdef"));
    }
}
