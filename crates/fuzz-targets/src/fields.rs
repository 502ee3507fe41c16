use dissect::fields::{self, Field};
use dissect::link::LinkType;

/// The fields of arbitrary bytes: two bytes of link type in network order, then a frame, which is also read as a TLS record, a
/// handshake message, an HTTP head, a chunked body, WebSocket frames and JSON. Every byte has its field, and only bits share bytes.
pub fn fields(data: &[u8]) {
    let Some(([high, low], bytes)) = data.split_first_chunk() else { return };
    let link_type = LinkType(u16::from_be_bytes([*high, *low]));
    let cut = crate::piece_size(data, 100) as u32;
    covered(&fields::of_frame(link_type, bytes, bytes.len() as u32 + cut), bytes);
    let of_payload = [
        fields::of_record,
        fields::of_handshake,
        fields::of_head,
        fields::of_chunked,
        fields::of_websocket,
        fields::of_json,
    ];
    for of in of_payload {
        covered(&of(bytes), bytes);
    }
}

fn covered(fields: &[Field], bytes: &[u8]) {
    let mut last = 0..0;
    for field in fields {
        assert!(field.range == last || field.range.start == last.end, "{field:?} behind {last:?}");
        assert!(!field.range.is_empty(), "{field:?}");
        let _ = field.value.to_string();
        last = field.range.clone();
    }
    assert_eq!(last.end, bytes.len());
}
