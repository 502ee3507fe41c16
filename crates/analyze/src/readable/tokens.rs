//! Secrets that their own form gives away: keys and tokens with a known prefix, JSON Web Tokens, private keys, and URLs with
//! a password.

use std::ops::Range;

use memchr::memmem;

use super::codings::base64;
use super::json::Json;
use super::{Detail, Kind};

/// Longest token that is read; a JSON Web Token with many claims has a few kilobytes. A longer word is none.
const MAX_TOKEN: usize = 16 << 10;

/// Longest authority of a URL that is searched for user information.
const MAX_AUTHORITY: usize = 512;

/// Longest text between the line that begins a private key and the one that ends it. An RSA key of 16,384 bits has 13 KiB.
const MAX_PRIVATE_KEY: usize = 32 << 10;

/// Shortest text of a private key: that of an elliptic curve.
const MIN_PRIVATE_KEY: usize = 48;

/// Maximum number of claims listed of a token.
const MAX_CLAIMS: usize = 16;

/// Claims that name no person (RFC 7519 §4.1, RFC 8693, RFC 9068): their values are shown.
const OPEN_CLAIMS: [&str; 10] =
    ["iss", "aud", "exp", "nbf", "iat", "azp", "client_id", "scope", "scp", "typ"];

/// A secret in a text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Token {
    pub(super) kind: Kind,
    /// Where it is in the text.
    pub(super) range: Range<usize>,
    /// Length of the beginning that is no secret, such as a prefix.
    pub(super) shown: usize,
    pub(super) details: Vec<Detail>,
}

/// The letters of which a token may consist, behind its prefix.
#[derive(Clone, Copy)]
enum Letters {
    /// ASCII letters and digits.
    Alphanumeric,
    /// Those and `_`, `-`.
    Url,
    /// Capital letters and digits.
    Capitals,
    /// Hexadecimal digits in lower case.
    Hexadecimal,
    /// Those of `Url` and `.`.
    Dotted,
}

impl Letters {
    fn has(self, byte: u8) -> bool {
        match self {
            Self::Alphanumeric => byte.is_ascii_alphanumeric(),
            Self::Url => byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-'),
            Self::Capitals => byte.is_ascii_uppercase() || byte.is_ascii_digit(),
            Self::Hexadecimal => byte.is_ascii_digit() || matches!(byte, b'a'..=b'f'),
            Self::Dotted => byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-' | b'.'),
        }
    }
}

/// A form of keys: its prefix, who issues it, the letters behind it, and how many there are.
struct Form(&'static str, &'static str, Letters, Range<usize>);

const ANY: usize = MAX_TOKEN;

/// The forms of keys, as their issuers document them. A longer prefix comes before a shorter one.
const FORMS: [Form; 40] = [
    Form("sk-ant-", "Anthropic", Letters::Url, 24..ANY),
    Form("sk-proj-", "OpenAI", Letters::Url, 32..ANY),
    Form("sk-svcacct-", "OpenAI", Letters::Url, 32..ANY),
    Form("sk-admin-", "OpenAI", Letters::Url, 32..ANY),
    Form("sk-or-v1-", "OpenRouter", Letters::Hexadecimal, 64..65),
    Form("sk-lf-", "Langfuse", Letters::Url, 36..37),
    Form("sk-", "OpenAI or alike", Letters::Alphanumeric, 32..ANY),
    Form("sk_live_", "Stripe", Letters::Alphanumeric, 16..ANY),
    Form("sk_test_", "Stripe", Letters::Alphanumeric, 16..ANY),
    Form("rk_live_", "Stripe", Letters::Alphanumeric, 16..ANY),
    Form("rk_test_", "Stripe", Letters::Alphanumeric, 16..ANY),
    Form("whsec_", "Stripe", Letters::Alphanumeric, 24..ANY),
    Form("ghp_", "GitHub", Letters::Alphanumeric, 36..256),
    Form("gho_", "GitHub", Letters::Alphanumeric, 36..256),
    Form("ghu_", "GitHub", Letters::Alphanumeric, 36..256),
    Form("ghs_", "GitHub", Letters::Alphanumeric, 36..256),
    Form("ghr_", "GitHub", Letters::Alphanumeric, 36..256),
    Form("github_pat_", "GitHub", Letters::Url, 59..256),
    Form("xoxb-", "Slack", Letters::Url, 20..ANY),
    Form("xoxp-", "Slack", Letters::Url, 20..ANY),
    Form("xoxa-", "Slack", Letters::Url, 20..ANY),
    Form("xoxr-", "Slack", Letters::Url, 20..ANY),
    Form("xoxs-", "Slack", Letters::Url, 20..ANY),
    Form("xoxe-", "Slack", Letters::Url, 20..ANY),
    Form("xapp-", "Slack", Letters::Url, 20..ANY),
    Form("AKIA", "AWS", Letters::Capitals, 16..17),
    Form("ASIA", "AWS", Letters::Capitals, 16..17),
    Form("AIza", "Google", Letters::Url, 35..36),
    Form("ya29.", "Google", Letters::Dotted, 32..ANY),
    Form("GOCSPX-", "Google", Letters::Url, 28..29),
    Form("glpat-", "GitLab", Letters::Dotted, 20..256),
    Form("hf_", "Hugging Face", Letters::Alphanumeric, 34..64),
    Form("npm_", "npm", Letters::Alphanumeric, 36..37),
    Form("pypi-AgE", "PyPI", Letters::Url, 50..ANY),
    Form("SG.", "SendGrid", Letters::Dotted, 66..67),
    Form("dop_v1_", "DigitalOcean", Letters::Hexadecimal, 64..65),
    Form("gsk_", "Groq", Letters::Alphanumeric, 48..64),
    Form("r8_", "Replicate", Letters::Alphanumeric, 37..41),
    Form("pplx-", "Perplexity", Letters::Alphanumeric, 40..64),
    Form("hvs.", "Vault", Letters::Url, 24..256),
];

/// Finds the keys, tokens, private keys and passwords in URLs of a text, in order of their kind.
pub(super) fn tokens(text: &str) -> Vec<Token> {
    let mut tokens: Vec<Token> = words(text).filter_map(|range| token(text, range)).collect();
    private_keys(text, &mut tokens);
    user_information(text, &mut tokens);
    tokens
}

/// The token that a whole text is.
pub(super) fn whole(text: &str) -> Option<Token> {
    let words: Vec<_> = words(text).take(2).collect();
    match words.as_slice() {
        [word] if word.len() == text.len() => token(text, word.clone()),
        _ => None,
    }
}

/// The runs of letters of which tokens consist.
fn words(text: &str) -> impl Iterator<Item = Range<usize>> {
    let mut from = 0;
    std::iter::from_fn(move || {
        let bytes = text.as_bytes();
        let start = from + bytes.get(from..)?.iter().position(|byte| Letters::Dotted.has(*byte))?;
        let rest = bytes.get(start..)?;
        let len = rest.iter().position(|byte| !Letters::Dotted.has(*byte)).unwrap_or(rest.len());
        from = start + len;
        Some(start..from)
    })
}

fn token(text: &str, range: Range<usize>) -> Option<Token> {
    let word = text.get(range.clone())?.trim_end_matches('.');
    // The first letters of all forms: most words end here.
    if word.len() < 20
        || word.len() > MAX_TOKEN
        || !word.starts_with(['s', 'r', 'w', 'g', 'x', 'A', 'y', 'G', 'h', 'n', 'p', 'S', 'd', 'e'])
    {
        return None;
    }
    let range = range.start..range.start + word.len();
    if word.starts_with("eyJ") {
        let details = json_web_token(word)?;
        return Some(Token { kind: Kind::Jwt, range, shown: 0, details });
    }
    let Form(prefix, issuer, letters, lengths) = FORMS.iter().find(|form| word.starts_with(form.0))?;
    let rest = word.get(prefix.len()..)?;
    let is_of_form = lengths.contains(&rest.len()) && rest.bytes().all(|byte| letters.has(byte));
    if !is_of_form || !is_random(rest) {
        return None;
    }
    let details = vec![Detail::new("issuer", *issuer)];
    Some(Token { kind: Kind::ApiKey, range, shown: prefix.len(), details })
}

/// Whether a text can be drawn at random: it is not made of one letter, nor of words alone.
fn is_random(text: &str) -> bool {
    let mut seen = [false; 128];
    for byte in text.bytes() {
        if let Some(seen) = seen.get_mut(usize::from(byte)) {
            *seen = true;
        }
    }
    let distinct = seen.iter().filter(|seen| **seen).count();
    let has_digit = text.bytes().any(|byte| byte.is_ascii_digit());
    let is_mixed = text.bytes().any(|byte| byte.is_ascii_uppercase())
        && text.bytes().any(|byte| byte.is_ascii_lowercase());
    distinct >= 6 && (has_digit || is_mixed)
}

/// What header and claims of a JSON Web Token (RFC 7519), signed (RFC 7515) or encrypted (RFC 7516), say.
pub(super) fn json_web_token(word: &str) -> Option<Vec<Detail>> {
    let parts: Vec<&str> = word.split('.').collect();
    let (header, claims) = match parts.as_slice() {
        [header, claims, _signature] => (header, Some(claims)),
        [header, _, _, _, _] => (header, None),
        _ => return None,
    };
    let header = Json::read_container(&base64(header)?)?;
    header.text_of("alg")?;
    if claims.is_none() {
        header.text_of("enc")?;
    }
    let mut details = Vec::new();
    for name in ["alg", "typ", "kid", "enc"] {
        details.extend(header.text_of(name).map(|text| Detail::new(name, text)));
    }
    if let Some(claims) = claims {
        let claims = Json::read_container(&base64(claims)?)?;
        for (name, value) in claims.members().iter().take(MAX_CLAIMS) {
            let name = format!("claim {name}");
            let is_open = OPEN_CLAIMS.iter().any(|open| name.strip_prefix("claim ") == Some(open));
            details.push(match value.scalar() {
                Some(value) if is_open => Detail::new(name, value),
                Some(value) => Detail::hidden(name, value),
                None => Detail::hidden(name, ""),
            });
        }
    }
    Some(details)
}

/// Private keys in PEM (RFC 7468, and OpenSSH's and older labels). Line feeds may be escaped, as in JSON.
fn private_keys(text: &str, tokens: &mut Vec<Token>) {
    const BEGIN: &str = "-----BEGIN ";
    const LABEL_END: &str = "PRIVATE KEY-----";
    let mut end_of_last = 0;
    for at in memmem::find_iter(text.as_bytes(), BEGIN) {
        if at < end_of_last {
            continue;
        }
        let key = |at: usize| {
            let rest = text.get(at + BEGIN.len()..)?;
            let label_len = rest.bytes().take(32).position(|byte| byte == b'-')?;
            let label = rest.get(..label_len)?;
            if !rest.get(label_len.checked_sub("PRIVATE KEY".len())?..)?.starts_with(LABEL_END) {
                return None;
            }
            let body_at = at + BEGIN.len() + label_len + "-----".len();
            let body = text.as_bytes().get(body_at..)?;
            let body = body.get(..body.len().min(MAX_PRIVATE_KEY)).unwrap_or_default();
            let len = memmem::find(body, b"-----").unwrap_or(body.len());
            let letters = body.iter().take(len).filter(|byte| byte.is_ascii_alphanumeric()).count();
            let is_pem = body
                .iter()
                .take(len)
                .all(|byte| byte.is_ascii_alphanumeric() || b"+/=\r\n \\:,-\t".contains(byte));
            (is_pem && letters >= MIN_PRIVATE_KEY).then(|| Token {
                kind: Kind::PrivateKey,
                range: at..body_at + len,
                shown: 0,
                details: vec![Detail::new("label", label)],
            })
        };
        if let Some(key) = key(at) {
            end_of_last = key.range.end;
            tokens.push(key);
        }
    }
}

/// User and password in the authority of a URL (RFC 3986 §3.2.1).
fn user_information(text: &str, tokens: &mut Vec<Token>) {
    for at in memmem::find_iter(text.as_bytes(), "://") {
        let found = || {
            let before = text.as_bytes().get(..at)?;
            let scheme = before
                .iter()
                .rev()
                .take(16)
                .take_while(|byte| byte.is_ascii_alphanumeric() || **byte == b'+');
            if scheme.count() < 2 {
                return None;
            }
            let start = at + "://".len();
            let rest = text.as_bytes().get(start..)?;
            let rest = rest.get(..rest.len().min(MAX_AUTHORITY)).unwrap_or_default();
            let len = rest
                .iter()
                .position(|byte| {
                    byte.is_ascii_whitespace() || byte.is_ascii_control() || b"/?#\"'<>\\`,;".contains(byte)
                })
                .unwrap_or(rest.len());
            let authority = rest.get(..len)?;
            let info = authority.get(..memchr::memrchr(b'@', authority)?)?;
            let host = authority.get(info.len() + 1..)?;
            if !host.first()?.is_ascii_alphanumeric() && host.first() != Some(&b'[') {
                return None;
            }
            let colon = memchr::memchr(b':', info)?;
            let (user, password) = (text.get(start..start + colon)?, start + colon + 1..start + info.len());
            let value = text.get(password.clone())?;
            let is_template = value.starts_with(['$', '{', '<', '%', '*'])
                && !value.bytes().any(|byte| byte.is_ascii_digit());
            if value.is_empty() || is_template {
                return None;
            }
            let details = vec![Detail::new("user", user), Detail::new("host", String::from_utf8_lossy(host))];
            Some(Token { kind: Kind::UrlUserinfo, range: password, shown: 0, details })
        };
        tokens.extend(found());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(text: &str) -> Vec<(Kind, String)> {
        tokens(text).into_iter().map(|token| (token.kind, text[token.range].to_owned())).collect()
    }

    /// An invented key of the form: letters in their order, so that no scanner takes this file for a leak.
    fn key(prefix: &str, len: usize) -> String {
        let letters = "0aA1bB2cC3dD4eE5fF6gG7hH8iI9jJkKlLmMnNoOpPqQrRsStTuUvVwWxXyYzZ";
        format!("{prefix}{}", letters.chars().cycle().take(len).collect::<String>())
    }

    #[test]
    fn finds_keys_by_their_form() {
        for (prefix, len) in [
            ("sk-ant-api03-", 93),
            ("sk-proj-", 48),
            ("sk-", 48),
            ("sk_live_", 24),
            ("ghp_", 36),
            ("gho_", 36),
            ("github_pat_", 82),
            ("xoxb-", 50),
            ("AIza", 35),
            ("glpat-", 20),
            ("hf_", 34),
            ("npm_", 36),
            ("pypi-AgE", 100),
            ("ya29.", 60),
            ("rk_test_", 24),
        ] {
            let key = key(prefix, len);
            for text in [key.clone(), format!("key={key}&a=b"), format!("\"{key}\","), format!("is {key}.")] {
                assert_eq!(found(&text), [(Kind::ApiKey, key.clone())], "{text}");
            }
        }
        let aws = "AKIA0123456789ABCDEF";
        assert_eq!(found(aws), [(Kind::ApiKey, aws.to_owned())]);
        assert_eq!(whole(aws).map(|token| token.shown), Some(4));
        assert_eq!(whole(&format!("{aws} ")), None);
    }

    #[test]
    fn leaves_words_alone_that_look_alike() {
        for text in [
            "task-0123456789abcdefghijklmnopqrstuvwxyzABCDEF",
            "sk-folding-cube-with-a-very-long-name-of-a-class",
            "sk-ant-",
            "ghp_short",
            "AKIAshort",
            "AKIA0123456789ABCDEFG",
            "hf_hub_download_and_cache_the_model_file",
            "npm_config_registry_and_other_settings_of_it",
            "sk-0000000000000000000000000000000000000000",
            "eyJhbGciOiJIUzI1NiJ9.notjson.sig",
            "eyJhbGciOiJIUzI1NiJ9",
            "xoxb-token-goes-here-please-now-yes",
            "-----BEGIN CERTIFICATE-----\nMIIB0123456789012345678901234567890123456789012345678901234567890\n-----END",
            "-----BEGIN PRIVATE KEY-----\n...\n-----END PRIVATE KEY-----",
            "http://example.com/a@b:c",
            "http://user@example.com/",
            "http://a:@example.com/",
            "http://${USER}:${PASSWORD}@example.com/",
            "://a:b@c",
            "see http://www.example.com:8080/path and mail to a@b.example",
        ] {
            assert_eq!(found(text), [], "{text}");
        }
    }

    #[test]
    fn decodes_json_web_tokens() {
        // {"alg":"HS256","typ":"JWT"} {"sub":"1234567890","name":"John Doe","iat":1516239022} of RFC 7519's usual example
        let token = "eyJhbGciOiJIUzI1NiIsInR5cCI6IkpXVCJ9.eyJzdWIiOiIxMjM0NTY3ODkwIiwibmFtZSI6IkpvaG4gRG9lIiwiaWF0IjoxNTE2MjM5MDIyfQ.SflKxwRJSMeKKF2QT4fwpMeJf36POk6yJV_adQssw5c";
        let text = format!("Bearer {token}");
        let seen = tokens(&text);
        assert_eq!(seen.len(), 1);
        assert_eq!((seen[0].kind, &text[seen[0].range.clone()]), (Kind::Jwt, token));
        let details: Vec<_> = seen[0]
            .details
            .iter()
            .map(|detail| format!("{}={}", detail.name, detail.shown(false).unwrap_or("?")))
            .collect();
        assert_eq!(details, ["alg=HS256", "typ=JWT", "claim sub=?", "claim name=?", "claim iat=1516239022"]);
        assert_eq!(seen[0].details[3].shown(true), Some("John Doe"));
    }

    #[test]
    fn finds_private_keys_and_passwords_in_urls() {
        let body = "MC4CAQAwBQYDK2VwBCIEIAABAgMEBQYHCAkKCwwNDg8QERITFBUWFxgZGhscHR4f";
        for (label, feed) in [("", "\n"), ("EC ", "\r\n"), ("OPENSSH ", "\\n"), ("ENCRYPTED ", "\n")] {
            let text = format!(
                "a -----BEGIN {label}PRIVATE KEY-----{feed}{body}{feed}-----END {label}PRIVATE KEY-----"
            );
            let seen = tokens(&text);
            assert_eq!(seen.len(), 1, "{text}");
            assert_eq!(seen[0].kind, Kind::PrivateKey);
        }
        assert_eq!(
            found("postgres://app:s3cret@db.example:5432/x and https://u:p%40ss@[::1]/"),
            [(Kind::UrlUserinfo, "s3cret".to_owned()), (Kind::UrlUserinfo, "p%40ss".to_owned())]
        );
    }
}
