//! What can be read in a message without knowing what was sent: credentials, personal data, the messages of agents.
//!
//! ```text
//!   head      Authorization, cookies, fields that name a secret, the target's parameters
//!   body      JSON, a series of JSON (events, lines), form fields, other text
//!                │ every text in it
//!                v
//!   text      keys by their form, private keys, URLs with a password, addresses, account and card numbers
//!                │ a coding inside of it: JSON, base64, gzip, a data URL
//!                v
//!   text      the same again, up to MAX_NESTING times
//! ```
//!
//! Nothing is claimed without a reason in the bytes: a name that names a secret, a documented form, a check digit. No finding
//! has a part in a verdict.

mod agents;
mod authorization;
mod codings;
mod deltas;
mod form;
mod json;
mod names;
mod path;
mod personal;
mod redact;
mod scan;
mod strings;
#[cfg(test)]
mod tests;
mod tokens;

use std::borrow::Cow;

pub(crate) use agents::{AgentMessage, Context};
pub(crate) use redact::{redacted, redacted_target};
pub(crate) use scan::{Findings, Head, Reader};
pub(crate) use strings::{BodyString, document, strings};

/// Depth of codings inside of codings that is read: JSON in a string, in which base64 is, of gzip, of JSON.
pub(crate) const MAX_NESTING: usize = 4;

/// Maximum number of findings of one message; the others are counted.
pub(crate) const MAX_FOUND: usize = 256;

/// The kind of a finding.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) enum Kind {
    /// User and password (RFC 7617).
    Basic,
    /// The answer to a challenge (RFC 7616).
    Digest,
    /// A bearer token (RFC 6750), or a key under another scheme.
    Bearer,
    /// The responses of NTLM.
    Ntlm,
    /// A token of SPNEGO (RFC 4559).
    Negotiate,
    /// The signature of a request.
    Signature,
    /// A credential under another scheme.
    Authorization,
    /// A cookie that a client sends.
    Cookie,
    /// A cookie that a server sets.
    SetCookie,
    /// A key with the form that its issuer documents.
    ApiKey,
    /// A JSON Web Token (RFC 7519).
    Jwt,
    /// A private key in PEM.
    PrivateKey,
    /// A password in the authority of a URL (RFC 3986 §3.2.1).
    UrlUserinfo,
    /// A value whose name names a password.
    Password,
    /// A value whose name names another secret.
    NamedSecret,
    /// An e-mail address.
    Email,
    /// An account number (ISO 13616).
    Iban,
    /// The number of a payment card (ISO/IEC 7812).
    PaymentCard,
}

impl Kind {
    /// Whether it is data about a person; otherwise it is a credential.
    pub(crate) fn is_personal(self) -> bool {
        matches!(self, Self::Email | Self::Iban | Self::PaymentCard)
    }

    /// The kind as it is written in outputs.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Basic => "basic",
            Self::Digest => "digest",
            Self::Bearer => "bearer",
            Self::Ntlm => "ntlm",
            Self::Negotiate => "negotiate",
            Self::Signature => "request_signature",
            Self::Authorization => "authorization",
            Self::Cookie => "cookie",
            Self::SetCookie => "set_cookie",
            Self::ApiKey => "api_key",
            Self::Jwt => "jwt",
            Self::PrivateKey => "private_key",
            Self::UrlUserinfo => "url_userinfo",
            Self::Password => "password",
            Self::NamedSecret => "named_secret",
            Self::Email => "email",
            Self::Iban => "iban",
            Self::PaymentCard => "payment_card",
        }
    }
}

/// The part of a message that a finding is in.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) enum Place {
    /// A header field.
    Header,
    /// The target of a request.
    Target,
    /// A JSON body, or a series of JSON.
    Json,
    /// A field of a form.
    Form,
    /// Another body.
    Text,
}

impl Place {
    /// The place as it is written in outputs.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Header => "header",
            Self::Target => "target",
            Self::Json => "json",
            Self::Form => "form",
            Self::Text => "text",
        }
    }
}

/// Something that a finding says beside its value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Detail {
    pub(crate) name: Cow<'static, str>,
    value: String,
    /// The value without secrets; `None` if it is to be hidden as a whole.
    redacted: Option<String>,
}

/// Longest value of a detail, in characters.
const MAX_DETAIL: usize = 256;

impl Detail {
    fn new(name: impl Into<Cow<'static, str>>, value: impl AsRef<str>) -> Self {
        Self::with(name.into(), value.as_ref(), false)
    }

    /// One whose value is shown only if secrets are to be shown.
    fn hidden(name: impl Into<Cow<'static, str>>, value: impl AsRef<str>) -> Self {
        Self::with(name.into(), value.as_ref(), true)
    }

    /// A name or value is what the sender wrote, and can contain a secret of another form.
    fn with(name: Cow<'static, str>, value: &str, is_hidden: bool) -> Self {
        let short = |text: &str| text.chars().take(MAX_DETAIL).collect::<String>();
        let name = match name {
            Cow::Owned(name) => short(&redacted(&name)).into(),
            name => name,
        };
        Self { name, value: short(value), redacted: (!is_hidden).then(|| short(&redacted(value))) }
    }

    /// Its value; `None` if it is hidden and secrets are not to be shown.
    pub(crate) fn shown(&self, show_secrets: bool) -> Option<&str> {
        if show_secrets { Some(&self.value) } else { self.redacted.as_deref() }
    }
}

/// A finding in a message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Found {
    pub(crate) kind: Kind,
    pub(crate) place: Place,
    /// Where in that place: a name, or a JSONPath.
    pub(crate) path: String,
    pub(crate) value: String,
    /// The value without what is secret or personal in it.
    pub(crate) redacted: String,
    pub(crate) details: Vec<Detail>,
    /// Codings inside of the message that lead to it.
    pub(crate) steps: Vec<&'static str>,
}
