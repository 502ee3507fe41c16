//! Leaves secrets out of texts that are shown.

use std::borrow::Cow;
use std::ops::Range;

use super::MAX_NESTING;
use super::codings;
use super::form;
use super::json::Json;
use super::names::{can_be_secret, names_secret};
use super::tokens::tokens;

/// A text without the keys, tokens, private keys and passwords that its form gives away. A text that has secrets in another
/// coding, in JSON or in base64, is left out as a whole: what is at a place in it cannot be written as `…` there. Borrowed if
/// it has none.
pub(crate) fn redacted(text: &str) -> Cow<'_, str> {
    if contains_coded_secret(text, 0) {
        return "…".to_owned().into();
    }
    let mut secrets: Vec<(Range<usize>, usize)> =
        tokens(text).into_iter().map(|token| (token.range, token.shown)).collect();
    if secrets.is_empty() {
        return text.into();
    }
    secrets.sort_unstable_by_key(|(range, _)| range.start);
    let mut out = String::new();
    let mut from = 0;
    for (range, shown) in secrets {
        if range.start < from {
            from = from.max(range.end);
            continue;
        }
        out.push_str(text.get(from..range.start + shown).unwrap_or_default());
        out.push('…');
        from = range.end;
    }
    out.push_str(text.get(from..).unwrap_or_default());
    out.into()
}

/// A request's target, or its start line, without the secrets that are in it or that its parameters name.
pub(crate) fn redacted_target(target: &str) -> Cow<'_, str> {
    let Some((path, query)) = target.split_once('?') else { return redacted(target) };
    let (query, fragment) =
        query.split_once('#').map_or((query, None), |(query, behind)| (query, Some(behind)));
    let path = redacted(path);
    let pairs: Vec<Cow<'_, str>> = query.split('&').map(redacted_pair).collect();
    let fragment = fragment.map(redacted);
    let is_shown = |part: &Cow<'_, str>| matches!(part, Cow::Borrowed(_));
    if [&path].into_iter().chain(&pairs).chain(&fragment).all(is_shown) {
        return target.into();
    }
    let fragment = fragment.map(|fragment| format!("#{fragment}")).unwrap_or_default();
    format!("{path}?{}{fragment}", pairs.join("&")).into()
}

/// A parameter without its secret, in the coding of the target unless the coding hides the secret.
fn redacted_pair(pair: &str) -> Cow<'_, str> {
    let (name, value) = form::pair_of(pair);
    if let Cow::Owned(_) = redacted(&name) {
        return "…".to_owned().into();
    }
    let is_named = names_secret(&name).is_some_and(|names| can_be_secret(names, &value));
    if !is_named && let Cow::Borrowed(_) = redacted(&value) {
        return pair.into();
    }
    let (coded_name, coded) = pair.split_once('=').unwrap_or(("", pair));
    let shown = match redacted(coded) {
        Cow::Owned(shown) if !is_named => shown,
        _ => "…".to_owned(),
    };
    match pair.contains('=') {
        true => format!("{coded_name}={shown}").into(),
        false => shown.into(),
    }
}

/// Whether a text is JSON or base64 in which a secret is, as deep as the reader reads. Nothing is decompressed here.
fn contains_coded_secret(text: &str, depth: usize) -> bool {
    if depth > MAX_NESTING {
        return false;
    }
    if let Some(json) = Json::read_container(text.as_bytes()) {
        return is_secret(&json, "", depth + 1);
    }
    codings::plain_base64(text)
        .is_some_and(|inner| !tokens(&inner).is_empty() || contains_coded_secret(&inner, depth + 1))
}

fn is_secret(value: &Json, name: &str, depth: usize) -> bool {
    match value {
        Json::Word => false,
        Json::Number(text) => names_secret(name).is_some_and(|names| can_be_secret(names, text)),
        Json::Text(text) => {
            names_secret(name).is_some_and(|names| can_be_secret(names, text))
                || !tokens(text).is_empty()
                || contains_coded_secret(text, depth)
        }
        Json::List(elements) => elements.iter().any(|element| is_secret(element, name, depth)),
        Json::Object(members) => members.iter().any(|(name, value)| is_secret(value, name, depth)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn leaves_secrets_out_of_targets() {
        let key = "sk_live_0aA1bB2cC3dD4eE5fF6gG7hH";
        for (target, shown) in [
            ("/v1/models?page=2#top".to_owned(), "/v1/models?page=2#top"),
            ("/login?user=ada&password=hunter22&next=%2F".to_owned(), "/login?user=ada&password=…&next=%2F"),
            ("GET /?pass%77ord=hunter%322".to_owned(), "GET /?pass%77ord=…"),
            (format!("/hooks/{key}/run?a"), "/hooks/sk_live_…/run?a"),
            (format!("/a?x={key}#{key}"), "/a?x=sk_live_…#sk_live_…"),
            (format!("/a?{}&b=1", key.replace("live", "l%69ve")), "/a?…&b=1"),
            ("http://ada:s3cret@host/a?b".to_owned(), "http://ada:…@host/a?b"),
        ] {
            assert_eq!(redacted_target(&target), shown);
        }
        assert!(matches!(redacted_target("/a?b=c&d"), Cow::Borrowed(_)));
    }

    #[test]
    fn leaves_out_texts_with_secrets_in_another_coding() {
        let json = r#"{"user":"ada","list":[{"password":"hunter22"}]}"#;
        let base64 = data_encoding::BASE64.encode(json.as_bytes());
        let nested = serde_json::json!({ "inner": json }).to_string();
        let url = format!("data:application/json;base64,{base64}");
        for text in [json, &base64, &nested, &url, r#"["postgres://app:s3cret@db/x"]"#] {
            assert_eq!(redacted(text), "…", "{text}");
        }
        let harmless = r#"{"user":"ada","max_tokens":100,"password":"********"}"#;
        let coded = data_encoding::BASE64.encode(harmless.as_bytes());
        for text in [harmless, &coded, "{\"password\":", "the password is hunter22"] {
            assert_eq!(redacted(text), text);
        }
    }
}
