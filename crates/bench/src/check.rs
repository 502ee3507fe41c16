//! Compares the analyzer's result for a capture (`plainsight.exposure/1`) with the ground truth.

use serde_json::Value;

use crate::ground_truth::{GroundTruth, Place, PlantedString};

/// Most differences in one report.
const MAX_DIFFERENCES: usize = 20;

/// The differences between the analyzer's `answer` and the truth; empty if the answer is exact.
pub(crate) fn differences(truth: &GroundTruth, answer: &Value) -> Vec<String> {
    let captures = answer["captures"].as_array().map_or(&[][..], Vec::as_slice);
    let [capture] = captures else {
        return vec![format!("{} captures instead of one; errors: {}", captures.len(), answer["errors"])];
    };
    let mut check = Check { differences: Vec::new() };
    check.counts(truth, capture);
    check.controls(truth, capture);
    check.strings(truth, capture);
    let beyond = check.differences.len().saturating_sub(MAX_DIFFERENCES);
    check.differences.truncate(MAX_DIFFERENCES);
    if beyond > 0 {
        check.differences.push(format!("and {beyond} more"));
    }
    check.differences
}

/// The exit status that `analyze` must return: 3 with a doubt, 0 without.
pub(crate) fn status(truth: &GroundTruth) -> i32 {
    if unjournaled(truth) > 0 { 3 } else { 0 }
}

/// Messages that no journal names. The journals name only the messages with planted strings; all others cause the only
/// doubt of the capture.
fn unjournaled(truth: &GroundTruth) -> u64 {
    truth.messages - truth.strings.len() as u64
}

struct Check {
    differences: Vec<String>,
}

impl Check {
    fn equal(&mut self, what: &str, expected: impl Into<Value>, found: &Value) {
        let expected = expected.into();
        if expected != *found {
            self.differences.push(format!("{what}: expected {expected}, found {found}"));
        }
    }

    fn counts(&mut self, truth: &GroundTruth, capture: &Value) {
        let planted = truth.strings.len() as u64;
        let complete = &capture["completeness"];
        self.equal("sha256", truth.sha256.as_str(), &capture["sha256"]);
        self.equal("bytes", truth.bytes, &capture["bytes"]);
        self.equal("frames", truth.frames, &capture["frames"]);
        self.equal("HTTP messages", truth.messages, &capture["http_total"]);
        self.equal("messages of the journals", planted, &complete["messages_expected"]);
        self.equal("messages of the journals seen", planted, &complete["messages_accounted"]);
        self.equal("messages of no journal", truth.messages - planted, &complete["messages_unjournaled"]);
        self.equal("streams", truth.streams, &complete["streams"]);
        self.equal("whole streams", truth.streams, &complete["streams_whole"]);
        self.equal("segments out of order", truth.out_of_order, &complete["out_of_order"]);
        self.equal("repeated segments", truth.repeated, &complete["retransmissions"]);
        self.equal("gaps", 0, &complete["gaps"]);
        self.equal("unexplained bytes", 0, &complete["unexplained_bytes"]);
    }

    fn controls(&mut self, truth: &GroundTruth, capture: &Value) {
        let is_tls = truth.spec.shape.is_tls();
        let unjournaled = unjournaled(truth);
        let doubts = (unjournaled > 0).then(|| {
            format!(
                "{unjournaled} message(s) with a body on the wire match no line of the journals: their strings are not known"
            )
        });
        let verdict = match (is_tls, &doubts) {
            (false, _) => "exposed",
            (true, None) => "sealed",
            (true, Some(_)) => "inconclusive",
        };
        self.equal("verdict", verdict, &capture["verdict"]);
        self.equal("reasons", Vec::from_iter(doubts), &capture["reasons"]);
        self.equal("decoys found", 0, &capture["controls"]["decoys"]["found"]);
        if is_tls {
            let records = &capture["tls"]["records"];
            self.equal("TLS connections", truth.streams, &capture["tls"]["connections"]);
            self.equal("TLS records", truth.records, &records["total"]);
            self.equal("TLS records authenticated", truth.records_encrypted, &records["authenticated"]);
            self.equal("wrong-key control passed", true, &capture["controls"]["wrong_key"]["passed"]);
        } else {
            self.equal("TLS", Value::Null, &capture["tls"]);
        }
    }

    fn strings(&mut self, truth: &GroundTruth, capture: &Value) {
        let entries = capture["strings"].as_array().map_or(&[][..], Vec::as_slice);
        if entries.len() != truth.strings.len() {
            self.differences.push(format!("{} strings instead of {}", entries.len(), truth.strings.len()));
        }
        for string in &truth.strings {
            match entries.iter().find(|entry| entry["value"] == string.value.as_str()) {
                Some(entry) => self.string(string, entry),
                None => self.differences.push(format!("{:?} is not in the answer", string.value)),
            }
        }
    }

    fn string(&mut self, string: &PlantedString, entry: &Value) {
        let what =
            |part: &str| format!("{:?} ({:?}, {}): {part}", string.value, string.form, string.message_id);
        self.equal(&what("message"), string.message_id.as_str(), &entry["message_id"]);
        self.equal(&what("level"), string.level.as_str(), &entry["level"]);
        self.equal(&what("number of places"), string.places.len(), &entry["locations_total"]);
        let locations = entry["locations"].as_array().map_or(&[][..], Vec::as_slice);
        for location in locations {
            self.equal(&what("layers"), string.layers.clone(), &location["layers"]);
        }
        let mut found: Vec<Place> = locations.iter().filter_map(place).collect();
        found.sort_by_key(|place| place.file_offset);
        if found != string.places {
            self.differences.push(what(&format!("expected {:?}, found {found:?}", string.places)));
        }
    }
}

fn place(location: &Value) -> Option<Place> {
    Some(Place {
        frames: location["frames"].as_array()?.iter().map(Value::as_u64).collect::<Option<_>>()?,
        file_offset: location["file_offset"].as_u64()?,
        stream: location["stream"].as_u64()?,
        stream_offset: location["stream_offset"].as_u64(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::capture_spec::{CaptureSpec, Shape};
    use crate::ground_truth::SCHEMA;
    use crate::message::Form;
    use serde_json::json;

    fn truth() -> GroundTruth {
        GroundTruth {
            schema: SCHEMA.to_owned(),
            spec: CaptureSpec::new(Shape::Http, "1MiB".parse().unwrap(), 1),
            frames: 10,
            bytes: 1000,
            sha256: "00".to_owned(),
            streams: 1,
            messages: 2,
            out_of_order: 0,
            repeated: 0,
            records: 0,
            records_encrypted: 0,
            strings: vec![PlantedString {
                value: "a-b-c".to_owned(),
                message_id: "call-0001".to_owned(),
                form: Form::Split,
                level: "reassembled".to_owned(),
                layers: Vec::new(),
                places: vec![Place {
                    frames: vec![4, 5],
                    file_offset: 400,
                    stream: 0,
                    stream_offset: Some(9),
                }],
            }],
        }
    }

    fn answer() -> Value {
        json!({"captures": [{
            "sha256": "00", "bytes": 1000, "frames": 10, "http_total": 2, "verdict": "exposed",
            "reasons": ["1 message(s) with a body on the wire match no line of the journals: their strings are not known"],
            "tls": null, "controls": {"decoys": {"found": 0}},
            "completeness": {"messages_expected": 1, "messages_accounted": 1, "messages_unjournaled": 1,
                "streams": 1, "streams_whole": 1, "out_of_order": 0, "retransmissions": 0, "gaps": 0,
                "unexplained_bytes": 0},
            "strings": [{"value": "a-b-c", "message_id": "call-0001", "level": "reassembled", "locations_total": 1,
                "locations": [{"frames": [4, 5], "file_offset": 400, "stream": 0, "stream_offset": 9, "layers": []}]}],
        }]})
    }

    #[test]
    fn exact_answer_passes_and_each_wrong_value_is_a_difference() {
        assert_eq!(differences(&truth(), &answer()), Vec::<String>::new());
        let wrong_values = [
            ("/captures/0/frames", json!(11)),
            ("/captures/0/http_total", json!(1)),
            ("/captures/0/reasons", json!(["a doubt"])),
            ("/captures/0/completeness/messages_accounted", json!(0)),
            ("/captures/0/completeness/retransmissions", json!(1)),
            ("/captures/0/strings", json!([])),
            ("/captures/0/strings/0/level", json!("verbatim")),
            ("/captures/0/strings/0/locations/0/frames", json!([4])),
            ("/captures/0/strings/0/locations/0/file_offset", json!(401)),
            ("/captures/0/strings/0/locations/0/layers", json!(["http1"])),
            ("/captures/0/strings/0/locations_total", json!(2)),
            ("/captures", json!([])),
        ];
        for (pointer, wrong) in wrong_values {
            let mut answer = answer();
            *answer.pointer_mut(pointer).unwrap() = wrong;
            assert!(!differences(&truth(), &answer).is_empty(), "{pointer}");
        }
    }
}
