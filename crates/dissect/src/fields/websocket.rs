//! The fields of WebSocket frames (RFC 6455 §5.2).

use super::layout::{Fields, WEBSOCKET};
use super::{Field, Kind, Value};

/// Length of the part of a frame header that every frame has.
const HEADER: usize = 2;

/// Length of a masking key.
const KEY: usize = 4;

/// Values of the length field that announce a longer one.
const IN_TWO_BYTES: u8 = 126;
const IN_EIGHT_BYTES: u8 = 127;

/// The fields of frames, one behind the other. The last one can be incomplete.
#[must_use]
pub fn of_websocket(bytes: &[u8]) -> Vec<Field> {
    let mut fields = Fields::of(bytes);
    while frame(&mut fields).is_some() {}
    fields.rest(Kind::WebSocketPayload);
    fields.into_vec()
}

fn frame(fields: &mut Fields<'_>) -> Option<()> {
    let [_, second] = *fields.remaining().first_chunk::<HEADER>()?;
    let at = fields.end();
    fields.layout(at, WEBSOCKET);
    let number = |bytes: &[u8]| bytes.iter().fold(0, |number, byte| number << 8 | u64::from(*byte));
    let long = match second & 0x7f {
        IN_TWO_BYTES => Some((Kind::WebSocketLength16, 2)),
        IN_EIGHT_BYTES => Some((Kind::WebSocketLength64, 8)),
        _ => None,
    };
    let len = match long {
        None => u64::from(second & 0x7f),
        Some((kind, len)) => {
            let value = number(fields.remaining().get(..len)?);
            fields.next(kind, len, |_| Value::Number(value))?;
            value
        }
    };
    let key: Option<[u8; KEY]> = match second & 0x80 {
        0 => None,
        _ => Some(*fields.remaining().first_chunk()?),
    };
    let len = |fields: &Fields<'_>| usize::try_from(len).unwrap_or(usize::MAX).min(fields.remaining().len());
    match key {
        None => fields.next(Kind::WebSocketPayload, len(fields), |_| Value::Bytes),
        Some(key) => {
            fields.next(Kind::WebSocketMaskingKey, KEY, |_| Value::Bytes)?;
            fields.next(Kind::WebSocketMaskedPayload, len(fields), |bytes| {
                let unmasked: Vec<u8> =
                    bytes.iter().zip(key.iter().cycle()).map(|(byte, key)| byte ^ key).collect();
                Value::text(&unmasked)
            })
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn named(bytes: &[u8]) -> Vec<(&'static str, usize, String)> {
        let fields = of_websocket(bytes).into_iter();
        fields.map(|field| (field.kind.id(), field.range.len(), field.value.to_string())).collect()
    }

    /// The examples of RFC 6455 §5.7.
    #[test]
    fn names_the_parts_of_a_text_and_of_a_masked_one() {
        let text = [&[0x81, 0x05][..], b"Hello"].concat();
        let masked = [0x81, 0x85, 0x37, 0xfa, 0x21, 0x3d, 0x7f, 0x9f, 0x4d, 0x51, 0x58];
        let header = |mask: &str| {
            let of = |id, value: &str| (id, 1, value.to_owned());
            vec![
                of("websocket.fin", "1"),
                of("websocket.rsv", "0"),
                of("websocket.opcode", "1"),
                of("websocket.mask", mask),
                of("websocket.payload_length", "5"),
            ]
        };
        let payload = ("websocket.payload", 5, String::new());
        let key = ("websocket.masking_key", 4, String::new());
        let unmasked = ("websocket.masked_payload", 5, "Hello".to_owned());
        let expected = [header("0"), vec![payload], header("1"), vec![key, unmasked]].concat();
        assert_eq!(named(&[&text[..], &masked].concat()), expected);
    }

    #[test]
    fn reads_long_lengths_and_ends_that_are_missing() {
        let long = [&[0x82, 126, 1, 0][..], &[7; 256]].concat();
        assert_eq!(
            named(&long)[5..],
            [
                ("websocket.payload_length_ext_16", 2, "256".to_owned()),
                ("websocket.payload", 256, String::new())
            ]
        );
        let huge = [&[0x82, 127][..], &[0xff; 8], b"abc"].concat();
        let names: Vec<_> = named(&huge)[5..].iter().map(|(id, len, _)| (*id, *len)).collect();
        assert_eq!(names, [("websocket.payload_length_ext_64", 8), ("websocket.payload", 3)]);
    }

    proptest! {
        #[test]
        fn every_byte_is_covered(bytes in prop::collection::vec(any::<u8>(), 0..60)) {
            let mut last = 0..0;
            for field in of_websocket(&bytes) {
                prop_assert!(field.range == last || field.range.start == last.end, "{:?}", field);
                prop_assert!(!field.range.is_empty());
                last = field.range;
            }
            prop_assert_eq!(last.end, bytes.len());
        }
    }
}
