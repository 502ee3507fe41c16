//! What can be read in messages of HTTP, without a capture around them.

use exposure_schema::{Readable, ReadableEntry};

use crate::observe::cleartext::Cleartext;
use crate::observe::readable::Readable as Observed;
use crate::output::{capture, readable};
use crate::pipeline::fact::{HeadFact, MessageFact};
use crate::pipeline::provenance::{DecodeChain, Location};

/// A message of HTTP.
#[derive(Clone, Copy, Debug, Default)]
pub struct Message<'m> {
    /// Target of a request; empty in an answer.
    pub target: &'m str,
    /// Names and values of its fields.
    pub fields: &'m [(&'m [u8], &'m [u8])],
    /// Its body, after all content codings are undone.
    pub body: &'m [u8],
}

/// What messages contain, in the form in which the result on a capture has it. Locations name no frames.
#[derive(Clone, Debug)]
pub struct Contents {
    /// The strings of their bodies, JSON's and those of forms: `readable` of a capture.
    pub strings: Vec<ReadableEntry>,
    /// Number of such strings.
    pub strings_total: u64,
    /// Credentials, personal data and messages of agents: `contents` of a capture.
    pub found: Readable,
}

/// Reads messages as those of one capture without journals. `show_secrets`: secrets are not left out.
pub fn read(messages: &[Message<'_>], show_secrets: bool) -> Contents {
    let mut strings = Cleartext { show_secrets, ..Cleartext::default() };
    let mut found = Observed::new(show_secrets);
    for message in messages {
        let head = head(message);
        let body = body(message);
        found.head(&head);
        found.message(&body);
        strings.take(&body);
    }
    Contents {
        strings: strings.readable.listed.iter().map(capture::readable_string).collect(),
        strings_total: strings.readable.total,
        found: readable::entry(&found),
    }
}

fn nowhere() -> Location {
    Location {
        frames: Vec::new(),
        file_offset: 0,
        stream: None,
        direction: None,
        stream_offset: None,
        wire_len: 0,
        ciphertext: None,
    }
}

fn head<'m>(message: &Message<'m>) -> HeadFact<'m> {
    HeadFact {
        location: nowhere(),
        target: message.target,
        fields: message.fields,
        is_in_one_frame: true,
        is_encoded: false,
        needs_secret: false,
        chain: DecodeChain::default(),
    }
}

fn body<'m>(message: &Message<'m>) -> MessageFact<'m> {
    let content_type = message.fields.iter().find(|(name, _)| name.eq_ignore_ascii_case(b"content-type"));
    MessageFact {
        location: nowhere(),
        http_stream: None,
        last_frame: 0,
        method: "",
        target: message.target,
        status: 0,
        content_type: content_type.and_then(|(_, value)| str::from_utf8(value).ok()).unwrap_or_default(),
        body_bytes: message.body.len() as u64,
        body_sha256: None,
        json: Some(message.body),
        is_complete: true,
        is_in_one_frame: true,
        is_encoded: false,
        needs_secret: false,
        chain: DecodeChain::default(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_head_and_body_and_hides_what_is_secret() {
        let fields: [(&[u8], &[u8]); 2] =
            [(b"Content-Type", b"application/json"), (b"Authorization", b"Bearer mF_9.B5f-4.1JqM")];
        let body = br#"{"user":"ada@example.com","pwd":"hunter22"}"#;
        let message = Message { target: "/v1?access_token=0123456789", fields: &fields, body };
        for show_secrets in [true, false] {
            let contents = read(&[message], show_secrets);
            let shown = |text: &str| show_secrets.then(|| text.to_owned());
            let credentials = contents.found.credentials.iter().map(|found| {
                (found.kind.as_ref(), found.place.as_ref(), found.path.as_str(), found.value.clone())
            });
            assert_eq!(
                credentials.collect::<Vec<_>>(),
                [
                    ("named_secret", "target", "access_token", shown("0123456789")),
                    ("bearer", "header", "authorization", shown("mF_9.B5f-4.1JqM")),
                    ("password", "json", "$.pwd", shown("hunter22")),
                ]
            );
            let strings = contents.strings.iter().map(|string| (string.path.as_str(), string.value.clone()));
            assert_eq!(
                strings.collect::<Vec<_>>(),
                [("$.user", Some("ada@example.com".to_owned())), ("$.pwd", shown("hunter22"))]
            );
            assert_eq!((contents.strings_total, contents.found.personal.len()), (2, 1));
        }
    }
}
