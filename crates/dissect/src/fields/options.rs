//! The options of TCP (RFC 9293 §3.1).

use super::{Kind, Value};

/// An option.
pub(super) struct Option {
    pub(super) kind: Kind,
    /// Its length in bytes, at least 1.
    pub(super) len: usize,
    pub(super) value: Value,
}

impl Option {
    /// The first option of these bytes; `None` if there are none. One whose length is wrong is all of them.
    pub(super) fn first(bytes: &[u8]) -> std::option::Option<Self> {
        let (number, behind) = bytes.split_first()?;
        let kind = kind(*number);
        let len = match kind {
            // Everything behind the end is padding (RFC 9293 §3.1).
            Kind::TcpOptionEnd => bytes.len(),
            Kind::TcpOptionNop => 1,
            _ => behind.first().map_or(bytes.len(), |len| usize::from(*len)),
        };
        let is_wrong =
            len > bytes.len() || len == 0 || len == 1 && kind != Kind::TcpOptionNop && bytes.len() > 1;
        if is_wrong {
            return Some(Self { kind: Kind::TcpOptionOther, len: bytes.len(), value: Value::Bytes });
        }
        let content = bytes.get(2..len).unwrap_or_default();
        Some(Self { kind, len, value: value(kind, content) })
    }
}

fn kind(number: u8) -> Kind {
    match number {
        0 => Kind::TcpOptionEnd,
        1 => Kind::TcpOptionNop,
        2 => Kind::TcpOptionMss,
        3 => Kind::TcpOptionWindowScale,
        4 => Kind::TcpOptionSackPermitted,
        5 => Kind::TcpOptionSack,
        8 => Kind::TcpOptionTimestamps,
        30 => Kind::TcpOptionMultipath,
        34 => Kind::TcpOptionFastOpen,
        _ => Kind::TcpOptionOther,
    }
}

fn value(kind: Kind, content: &[u8]) -> Value {
    let words = || content.as_chunks::<4>().0.iter().map(|word| u32::from_be_bytes(*word));
    match (kind, content) {
        (Kind::TcpOptionMss, [high, low]) => Value::Number(u16::from_be_bytes([*high, *low]).into()),
        (Kind::TcpOptionWindowScale, [shift]) => Value::Number((*shift).into()),
        (Kind::TcpOptionTimestamps, [_, _, _, _, _, _, _, _]) => {
            let mut words = words();
            match (words.next(), words.next()) {
                (Some(own), Some(echo)) => Value::Timestamps(own, echo),
                _ => Value::Bytes,
            }
        }
        (Kind::TcpOptionSack, content) if content.len().is_multiple_of(8) => {
            Value::Blocks(words().step_by(2).zip(words().skip(1).step_by(2)).collect())
        }
        _ => Value::Bytes,
    }
}
