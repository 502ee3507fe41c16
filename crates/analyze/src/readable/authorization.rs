//! Credentials in header fields: `Authorization`, `Proxy-Authorization` (RFC 9110 §11.6), `Cookie`, `Set-Cookie` (RFC 6265).

use super::codings::base64;
use super::tokens::{self, json_web_token};
use super::{Detail, Kind};

/// Maximum number of cookies read of one field; browsers keep 50 to 180 of one site.
const MAX_COOKIES: usize = 256;

/// A credential in a header field.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Credential {
    pub(super) kind: Kind,
    /// The part of the value that is secret.
    pub(super) value: String,
    /// The beginning of it that is no secret.
    pub(super) shown: usize,
    pub(super) details: Vec<Detail>,
}

impl Credential {
    fn new(kind: Kind, value: &str, details: Vec<Detail>) -> Self {
        Self { kind, value: value.to_owned(), shown: 0, details }
    }
}

/// Reads the value of `Authorization` or `Proxy-Authorization`.
pub(super) fn authorization(value: &str) -> Option<Credential> {
    let value = value.trim();
    let (scheme, rest) = value.split_once([' ', '\t']).unwrap_or((value, ""));
    let rest = rest.trim();
    if rest.is_empty() {
        // A key without scheme, as some services take it.
        return (value.len() >= 8 && !is_scheme(value)).then(|| bare(value));
    }
    match scheme.to_ascii_lowercase().as_str() {
        "basic" => basic(rest),
        "bearer" | "token" | "apikey" | "api-key" | "key" => Some(bearer(scheme, rest)),
        "digest" => digest(rest),
        "ntlm" => ntlm(&base64(rest)?),
        "negotiate" | "kerberos" => negotiate(rest),
        scheme if scheme.starts_with("aws4-hmac-sha256") => signature(rest),
        _ if is_scheme(scheme) => {
            Some(Credential::new(Kind::Authorization, rest, vec![Detail::new("scheme", scheme)]))
        }
        _ => None,
    }
}

/// Whether a word can be the name of a scheme (RFC 9110 §11.1): a token, here one without the letters of base64 alone.
fn is_scheme(word: &str) -> bool {
    word.len() <= 24
        && word.starts_with(|letter: char| letter.is_ascii_alphabetic())
        && word.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-')
}

fn bare(value: &str) -> Credential {
    let mut credential = bearer("", value);
    credential.kind = if credential.kind == Kind::Bearer { Kind::Authorization } else { credential.kind };
    credential
}

/// User and password (RFC 7617).
fn basic(rest: &str) -> Option<Credential> {
    let bytes = base64(rest)?;
    let text = match String::from_utf8(bytes) {
        Ok(text) => text,
        // Latin-1, the encoding before RFC 7617.
        Err(error) => error.into_bytes().into_iter().map(char::from).collect(),
    };
    let (user, password) = text.split_once(':')?;
    Some(Credential::new(Kind::Basic, password, vec![Detail::new("user", user)]))
}

/// A bearer token (RFC 6750), or a key under a scheme of its own.
fn bearer(scheme: &str, rest: &str) -> Credential {
    let rest = rest.trim_matches('"');
    let token = tokens::whole(rest);
    let mut details = Vec::new();
    if !scheme.is_empty() && !scheme.eq_ignore_ascii_case("bearer") {
        details.push(Detail::new("scheme", scheme));
    }
    let mut shown = 0;
    if let Some(token) = token {
        shown = token.shown;
        details.extend(token.details);
    } else if let Some(parts) = json_web_token(rest) {
        details.extend(parts);
    }
    Credential { kind: Kind::Bearer, value: rest.to_owned(), shown, details }
}

/// The answer to a challenge (RFC 7616 §3.4): user, realm and algorithm are shown.
fn digest(rest: &str) -> Option<Credential> {
    let fields = parameters(rest);
    let value = |name: &str| {
        fields.iter().find(|(key, _)| key.eq_ignore_ascii_case(name)).map(|(_, value)| value.as_str())
    };
    let response = value("response")?;
    let mut details = Vec::new();
    for (name, key) in [("user", "username"), ("realm", "realm"), ("algorithm", "algorithm"), ("uri", "uri")]
    {
        details.extend(value(key).map(|value| Detail::new(name, value)));
    }
    Some(Credential::new(Kind::Digest, response, details))
}

/// The parameters of a scheme: `name=value` or `name="value"`, with commas between them.
fn parameters(text: &str) -> Vec<(String, String)> {
    let mut fields = Vec::new();
    let mut rest = text;
    while let Some((name, tail)) = rest.split_once('=') {
        if fields.len() >= 32 {
            break;
        }
        let name = name.trim_matches([' ', ',', '\t']);
        let tail = tail.trim_start();
        let (value, behind) = match tail.strip_prefix('"') {
            Some(quoted) => quoted.split_once('"').unwrap_or((quoted, "")),
            None => tail.split_once(',').unwrap_or((tail, "")),
        };
        fields.push((name.to_owned(), value.trim().to_owned()));
        rest = behind;
    }
    fields
}

/// A signed request of AWS: the access key's id is shown, the signature hidden.
fn signature(rest: &str) -> Option<Credential> {
    let fields = parameters(rest);
    let value = |name: &str| {
        fields.iter().find(|(key, _)| key.eq_ignore_ascii_case(name)).map(|(_, value)| value.as_str())
    };
    let details = vec![Detail::new("credential", value("Credential").unwrap_or_default())];
    Some(Credential::new(Kind::Signature, value("Signature")?, details))
}

/// The third message of NTLM ([MS-NLMP] §2.2.1.3): domain, user and workstation are shown, the responses hidden.
/// The first one has no credential.
fn ntlm(message: &[u8]) -> Option<Credential> {
    let number = |at: usize| Some(u32::from_le_bytes(message.get(at..at + 4)?.try_into().ok()?));
    if !message.starts_with(b"NTLMSSP\0") || number(8)? != 3 {
        return None;
    }
    // Each field: length, allocated length, offset.
    let field = |at: usize| {
        let len = usize::from(u16::from_le_bytes(message.get(at..at + 2)?.try_into().ok()?));
        let start = usize::try_from(number(at + 4)?).ok()?;
        message.get(start..start.checked_add(len)?)
    };
    let is_unicode = number(60).is_some_and(|flags| flags & 1 == 1);
    let text = |bytes: &[u8]| match is_unicode {
        true => {
            let units =
                bytes.chunks_exact(2).filter_map(|pair| Some(u16::from_le_bytes(pair.try_into().ok()?)));
            char::decode_utf16(units).map(|letter| letter.unwrap_or(char::REPLACEMENT_CHARACTER)).collect()
        }
        false => String::from_utf8_lossy(bytes).into_owned(),
    };
    let mut details = Vec::new();
    for (name, at) in [("domain", 28), ("user", 36), ("workstation", 44)] {
        let value = field(at).map(text).filter(|text| !text.is_empty());
        details.extend(value.map(|value| Detail::new(name, value)));
    }
    let response: String = field(20).unwrap_or_default().iter().map(|byte| format!("{byte:02x}")).collect();
    Some(Credential::new(Kind::Ntlm, &response, details))
}

/// A token of SPNEGO (RFC 4559): NTLM inside of it is read, Kerberos named.
fn negotiate(rest: &str) -> Option<Credential> {
    let token = base64(rest)?;
    if let Some(at) = memchr::memmem::find(&token, b"NTLMSSP\0") {
        return ntlm(token.get(at..)?);
    }
    // The object identifier of Kerberos 5, 1.2.840.113554.1.2.2, and Microsoft's variant of it.
    let has = |oid: &[u8]| memchr::memmem::find(&token, oid).is_some();
    let is_kerberos =
        has(b"\x2a\x86\x48\x86\xf7\x12\x01\x02\x02") || has(b"\x2a\x86\x48\x82\xf7\x12\x01\x02\x02");
    let mechanism = if is_kerberos { "Kerberos" } else { "unknown" };
    Some(Credential::new(Kind::Negotiate, rest, vec![Detail::new("mechanism", mechanism)]))
}

/// The cookies of `Cookie`: names and values.
pub(super) fn cookies(value: &str) -> impl Iterator<Item = (&str, &str)> {
    let pairs = value.split(';').take(MAX_COOKIES).filter_map(|pair| pair.trim().split_once('='));
    pairs.filter(|(name, value)| !name.is_empty() && !value.is_empty())
}

/// The cookie of `Set-Cookie`: name, value, and the attributes that limit it.
pub(super) fn set_cookie(value: &str) -> Option<(&str, &str, Vec<Detail>)> {
    let (pair, attributes) = value.split_once(';').unwrap_or((value, ""));
    let (name, value) =
        pair.trim().split_once('=').filter(|(name, value)| !name.is_empty() && !value.is_empty())?;
    let attributes = attributes.split(';').take(16).map(str::trim).filter(|attribute| !attribute.is_empty());
    let details = attributes
        .map(|attribute| {
            let (name, value) = attribute.split_once('=').unwrap_or((attribute, ""));
            Detail::new(name.to_ascii_lowercase(), value)
        })
        .collect();
    Some((name, value, details))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(value: &str) -> Option<(Kind, String, Vec<String>)> {
        let credential = authorization(value)?;
        let details =
            credential.details.iter().map(|detail| format!("{}={}", detail.name, detail.value)).collect();
        Some((credential.kind, credential.value, details))
    }

    fn expect(value: &str, kind: Kind, secret: &str, details: &[&str]) {
        let details = details.iter().map(|detail| (*detail).to_owned()).collect();
        assert_eq!(read(value), Some((kind, secret.to_owned(), details)), "{value}");
    }

    #[test]
    fn reads_the_schemes() {
        // The examples of RFC 7617 §2, RFC 6750 §2.1 and RFC 7616 §3.9.1.
        expect("Basic QWxhZGRpbjpvcGVuIHNlc2FtZQ==", Kind::Basic, "open sesame", &["user=Aladdin"]);
        expect("basic QWxhZGRpbjpvcGVuIHNlc2FtZQ", Kind::Basic, "open sesame", &["user=Aladdin"]);
        expect("Bearer mF_9.B5f-4.1JqM", Kind::Bearer, "mF_9.B5f-4.1JqM", &[]);
        expect(
            "Digest username=\"Mufasa\", realm=\"http-auth@example.org\", uri=\"/dir/index.html\", algorithm=MD5, nonce=\"7ypf/xlj\", nc=00000001, qop=auth, response=\"8ca523f5e9506fed4657c9700eebdbec\", opaque=\"F\"",
            Kind::Digest,
            "8ca523f5e9506fed4657c9700eebdbec",
            &["user=Mufasa", "realm=http-auth@example.org", "algorithm=MD5", "uri=/dir/index.html"],
        );
        expect(
            "AWS4-HMAC-SHA256 Credential=AKIA0123456789ABCDEF/20130524/us-east-1/s3/aws4_request, SignedHeaders=host;range, Signature=fe5f80",
            Kind::Signature,
            "fe5f80",
            &["credential=AKIA0123456789ABCDEF/20130524/us-east-1/s3/aws4_request"],
        );
        expect("GoogleLogin auth=xyz", Kind::Authorization, "auth=xyz", &["scheme=GoogleLogin"]);
        expect(
            "Token 9944b09199c62bcf9418ad846dd0e4bb",
            Kind::Bearer,
            "9944b09199c62bcf9418ad846dd0e4bb",
            &["scheme=Token"],
        );
    }

    /// The third message of [MS-NLMP] §4.2.4.3, with its own layout.
    #[test]
    fn reads_the_user_of_ntlm() {
        let wide = |text: &str| text.encode_utf16().flat_map(u16::to_le_bytes).collect::<Vec<u8>>();
        let fields = [vec![1; 24], vec![2; 48], wide("Domain"), wide("User"), wide("COMPUTER"), vec![]];
        let mut message = b"NTLMSSP\0\x03\0\0\0".to_vec();
        let mut at = 64;
        for field in &fields {
            let len = (field.len() as u16).to_le_bytes();
            message.extend([len, len].concat());
            message.extend((at as u32).to_le_bytes());
            at += field.len();
        }
        message.extend(0xe28a_8233u32.to_le_bytes());
        message.extend(fields.concat());
        let text = |bytes: &[u8]| data_encoding::BASE64.encode(bytes);
        let secret = "02".repeat(48);
        let details = ["domain=Domain", "user=User", "workstation=COMPUTER"];
        expect(&format!("NTLM {}", text(&message)), Kind::Ntlm, &secret, &details);
        let inside = [&b"\x60\x40wrapped"[..], &message].concat();
        expect(&format!("Negotiate {}", text(&inside)), Kind::Ntlm, &secret, &details);
        let first = b"NTLMSSP\0\x01\0\0\0\x07\x82\x08\xa2\0\0\0\0";
        assert_eq!(read(&format!("NTLM {}", text(first))), None, "a first message has no credential");
        for len in 0..message.len() {
            let _ = read(&format!("NTLM {}", text(&message[..len])));
        }
    }

    #[test]
    fn claims_no_credential_where_there_is_none() {
        for value in [
            "",
            "Basic",
            "Bearer",
            "Bearer ",
            "Basic !!!",
            "Basic QWxhZGRpbg==",
            "Digest realm=\"x\"",
            "NTLM AAAA",
            "Negotiate",
        ] {
            assert_eq!(read(value), None, "{value}");
        }
    }

    #[test]
    fn reads_cookies() {
        let seen: Vec<_> = cookies("SID=31d4d96e407aad42; lang=en-US;; x ; empty=; a=b=c").collect();
        assert_eq!(seen, [("SID", "31d4d96e407aad42"), ("lang", "en-US"), ("a", "b=c")]);
        let (name, value, details) = set_cookie("SID=31d4; Path=/; Secure; HttpOnly").unwrap();
        let details: Vec<_> =
            details.iter().map(|detail| format!("{}={}", detail.name, detail.value)).collect();
        assert_eq!((name, value, details.join(" ")), ("SID", "31d4", "path=/ secure= httponly=".to_owned()));
        assert_eq!(set_cookie("SID=; Max-Age=0"), None);
    }
}
