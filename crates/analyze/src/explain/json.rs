//! The paths of the values in a JSON text, by its tokens.

use dissect::fields::{Field, Kind, Value};

use crate::needles::{MAX_DEPTH, child, element};

/// The place in a document at which the next value is.
#[derive(Debug)]
enum Place {
    /// In an object, the value of this key.
    Member(String),
    /// In an array, the element with this index.
    Element(usize),
}

/// The path of each field: of a key and of its value that of the value, as in `$.arguments.repo`; `None` for punctuation, and
/// for what is nested deeper than [`MAX_DEPTH`].
pub(super) fn paths(text: &[u8], fields: &[Field]) -> Vec<Option<String>> {
    let mut places = Vec::new();
    let mut too_deep = 0_usize;
    fields.iter().map(|field| path(text, field, &mut places, &mut too_deep)).collect()
}

fn path(text: &[u8], field: &Field, places: &mut Vec<Place>, too_deep: &mut usize) -> Option<String> {
    match (field.kind, &field.value) {
        (Kind::JsonPunctuation, _) => {
            text[field.range.clone()].iter().for_each(|byte| punctuation(*byte, places, too_deep));
            return None;
        }
        (Kind::JsonKey, Value::Text(key)) => {
            if let Some(Place::Member(last)) = places.last_mut() {
                last.clone_from(key);
            }
        }
        _ => {}
    }
    (*too_deep == 0).then(|| {
        places.iter().fold("$".to_owned(), |path, place| match place {
            Place::Member(key) => child(&path, key),
            Place::Element(index) => element(&path, *index),
        })
    })
}

fn punctuation(byte: u8, places: &mut Vec<Place>, too_deep: &mut usize) {
    match byte {
        b'{' | b'[' if *too_deep > 0 || places.len() >= MAX_DEPTH => *too_deep += 1,
        b'{' => places.push(Place::Member(String::new())),
        b'[' => places.push(Place::Element(0)),
        b'}' | b']' if *too_deep > 0 => *too_deep -= 1,
        b'}' | b']' => drop(places.pop()),
        b',' if *too_deep == 0 => {
            if let Some(Place::Element(index)) = places.last_mut() {
                *index += 1;
            }
        }
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    use dissect::fields::of_json;

    use super::*;

    #[test]
    fn paths_are_those_of_the_known_strings() {
        let text = br#"{"id":"a","arguments":{"list":[1,{"x":true},"b"],"odd key":null},"end":2}"#;
        let fields = of_json(text);
        let found: Vec<_> = paths(text, &fields)
            .into_iter()
            .zip(&fields)
            .filter(|(_, field)| field.kind != Kind::JsonKey)
            .filter_map(|(path, _)| path)
            .collect();
        let expected = [
            "$.id",
            "$.arguments.list[0]",
            "$.arguments.list[1].x",
            "$.arguments.list[2]",
            "$.arguments[\"odd key\"]",
            "$.end",
        ];
        assert_eq!(found, expected);
    }

    #[test]
    fn what_is_too_deep_has_no_path() {
        let text =
            [vec![b'['; MAX_DEPTH + 1], b"1".to_vec(), vec![b']'; MAX_DEPTH + 1], b",2".to_vec()].concat();
        let fields = of_json(&text);
        let values: Vec<_> = paths(&text, &fields)
            .into_iter()
            .zip(&fields)
            .filter(|(_, field)| field.kind == Kind::JsonNumber)
            .map(|(path, _)| path)
            .collect();
        assert_eq!(values, [None, Some("$".to_owned())]);
    }
}
