//! The fields of header blocks in HTTP/2 and HTTP/3: both can refer to values that came before.

use std::borrow::Cow;

use dissect::http2::hpack::{Field, Origin, Part};

/// Longest target from a table, and longest name or value from one that is reported again. A reference to a table
/// takes a byte; the first block that has the value has it whole.
const MAX_TABLE_VALUE: usize = 1024;

/// Longest method and content type of a message. Real ones have some dozen bytes; a thousand messages can be open,
/// and each can have them from a table.
const MAX_SHORT_VALUE: usize = 256;

/// The first known value of a field.
pub(crate) fn value<'f>(fields: &'f [Field], name: &str) -> Option<&'f [u8]> {
    let of_name = fields.iter().filter(|field| field.name.bytes() == name.as_bytes());
    of_name.filter_map(|field| field.value.octets.as_deref()).next()
}

/// The beginning of the value of a field, as text.
pub(crate) fn short_value<'f>(fields: &'f [Field], name: &str) -> Option<Cow<'f, str>> {
    let value = value(fields, name)?;
    Some(String::from_utf8_lossy(value.get(..MAX_SHORT_VALUE).unwrap_or(value)))
}

/// The target of a request (RFC 9113 §8.3.1, RFC 9114 §4.3.1): its path, or for CONNECT its authority.
pub(crate) fn target(fields: &[Field]) -> Cow<'_, str> {
    let name = if value(fields, ":path").is_some() { ":path" } else { ":authority" };
    let field = fields.iter().find(|field| field.name.bytes() == name.as_bytes());
    let bytes = match field {
        Some(field) if field.value.origin == Origin::DynamicTable => {
            field.value.bytes().get(..MAX_TABLE_VALUE).unwrap_or(field.value.bytes())
        }
        Some(field) => field.value.bytes(),
        None => &[],
    };
    String::from_utf8_lossy(bytes)
}

/// Names and values, as far as they are known. Long ones that the block only refers to are left out: the block that
/// has them whole comes before.
pub(crate) fn known(fields: &[Field]) -> Vec<(&[u8], &[u8])> {
    let is_short = |part: &Part| part.origin != Origin::DynamicTable || part.bytes().len() <= MAX_TABLE_VALUE;
    let known = fields.iter().filter(|field| is_short(&field.name) && is_short(&field.value));
    known.map(|field| (field.name.bytes(), field.value.bytes())).collect()
}
