//! Checks answers. The checks share no code with the server: each states what a correct answer is.

use std::collections::HashSet;

use agent_core::hex128::Hex128;
use agent_core::http_version::HttpVersion;
use agent_core::message::CONTENT_TYPE;
use anyhow::{Context, Result, bail, ensure};
use serde::Deserialize;
use serde_json::value::RawValue;
use serde_json::{Map, Value};

use crate::script::Outgoing;
use crate::session::Reply;

/// The keys of an answer, in their order.
const KEYS: [&str; 7] = ["id", "type", "tool_name", "status", "result", "request", "canary"];

/// Checks the answers of one run, and remembers what must differ between them.
#[derive(Debug)]
pub struct Verifier {
    http_version: HttpVersion,
    canaries: HashSet<String>,
}

impl Verifier {
    /// A verifier that has seen no answer yet and expects every answer in `http_version`.
    pub fn new(http_version: HttpVersion) -> Self {
        Self { http_version, canaries: HashSet::new() }
    }

    /// Checks the answer to `sent`.
    ///
    /// # Errors
    /// If the answer is wrong; the error describes how.
    pub fn check(&mut self, sent: &Outgoing, reply: &Reply) -> Result<()> {
        let expected = match self.http_version {
            HttpVersion::Http11 => http::Version::HTTP_11,
        };
        ensure!(reply.version == expected, "the answer is {:?}, not {expected:?}", reply.version);
        ensure!(reply.status == reqwest::StatusCode::OK, "the status is {}, not 200", reply.status);
        ensure!(
            reply.content_type.as_deref() == Some(CONTENT_TYPE),
            "the Content-Type is {:?}, not {CONTENT_TYPE}",
            reply.content_type
        );
        let answer: Map<String, Value> =
            serde_json::from_slice(&reply.body).context("the body is not a JSON object")?;
        ensure!(answer.keys().eq(KEYS), "the keys are {:?}, not {KEYS:?}", answer.keys().collect::<Vec<_>>());
        let request: Map<String, Value> =
            serde_json::from_slice(&sent.body).context("the request is not a JSON object")?;
        same("id", &answer["id"], &request["id"])?;
        same("type", &answer["type"], &"tool_result".into())?;
        same("tool_name", &answer["tool_name"], request.get("tool_name").unwrap_or(&Value::Null))?;
        same("status", &answer["status"], &"ok".into())?;
        check_echo(sent, reply)?;
        self.check_canary(sent, &answer["canary"])?;
        let arguments = request.get("arguments").unwrap_or(&Value::Null);
        let result = &answer["result"];
        match answer["tool_name"].as_str() {
            Some("analyze_dependency") => check_dependency(arguments, result),
            Some("transform_text") => check_text(arguments, result),
            Some("generate_document") => check_document(arguments, result),
            _ => Ok(()),
        }
        .context("result")
    }

    /// The canary must have the right form, and differ from the request's and from those of earlier answers.
    fn check_canary(&mut self, sent: &Outgoing, value: &Value) -> Result<()> {
        let canary: Hex128 =
            value.as_str().context("canary: it is not a string")?.parse().context("canary")?;
        ensure!(canary != sent.canary, "canary: it is the same as the request's");
        ensure!(self.canaries.insert(canary.to_string()), "canary: an earlier answer had the same");
        Ok(())
    }
}

/// The answer must repeat the request byte for byte.
fn check_echo(sent: &Outgoing, reply: &Reply) -> Result<()> {
    #[derive(Deserialize)]
    struct Echo<'a> {
        #[serde(borrow)]
        request: &'a RawValue,
    }
    let echo: Echo<'_> = serde_json::from_slice(&reply.body).context("request")?;
    ensure!(echo.request.get().as_bytes() == sent.body, "request: it differs from the request that was sent");
    Ok(())
}

/// Each dependent occurs once, with a path from itself to the target that is as long as its distance. Distances are within
/// the depth and ascend.
fn check_dependency(arguments: &Value, result: &Value) -> Result<()> {
    for key in ["repo", "target", "depth"] {
        same(key, &result[key], &arguments[key])?;
    }
    let depth = arguments["depth"].as_u64().context("depth: it is not a number in the request")?;
    let dependents = result["dependents"].as_array().context("dependents: it is not an array")?;
    same("total", &result["total"], &dependents.len().into())?;
    let mut names = HashSet::new();
    let mut nearest = 1;
    for dependent in dependents {
        let name = dependent["name"].as_str().context("dependents: one has no name")?;
        let distance = dependent["distance"].as_u64().with_context(|| format!("{name}: no distance"))?;
        let path = dependent["path"].as_array().with_context(|| format!("{name}: no path"))?;
        ensure!(names.insert(name), "{name}: it occurs twice");
        ensure!(
            (nearest..=depth).contains(&distance),
            "{name}: distance {distance} is out of order or beyond the depth"
        );
        ensure!(path.len() as u64 == distance + 1, "{name}: its path has {} packages", path.len());
        ensure!(path.first() == Some(&dependent["name"]), "{name}: its path does not begin with it");
        ensure!(path.last() == Some(&arguments["target"]), "{name}: its path does not end at the target");
        ensure!(path.iter().all(Value::is_string), "{name}: its path holds a value that is not a name");
        ensure!(path.iter().collect::<HashSet<_>>().len() == path.len(), "{name}: its path has a cycle");
        nearest = distance;
    }
    if arguments["repo"] == "demo-repo" && arguments["target"] == "libssl" && depth >= 2 {
        ensure!(names.contains("demo-repo"), "demo-repo: it depends on libssl but is missing");
    }
    Ok(())
}

fn check_text(arguments: &Value, result: &Value) -> Result<()> {
    let text = arguments["text"].as_str().context("text: it is not a string in the request")?;
    let expected = match arguments["operation"].as_str() {
        Some("identity") => text.to_owned(),
        Some("reverse") => text.chars().rev().collect(),
        Some("uppercase") => text.chars().flat_map(char::to_uppercase).collect(),
        other => bail!("operation: {other:?} is unknown"),
    };
    same("operation", &result["operation"], &arguments["operation"])?;
    ensure!(result["text"] == expected, "text: it is not the transformed text of the request");
    same("characters", &result["characters"], &text.chars().count().into())?;
    same("bytes", &result["bytes"], &text.len().into())
}

fn check_document(arguments: &Value, result: &Value) -> Result<()> {
    same("bytes", &result["bytes"], &arguments["bytes"])?;
    same("seed", &result["seed"], &arguments["seed"])?;
    let text = result["text"].as_str().context("text: it is not a string")?;
    ensure!(Some(text.len() as u64) == arguments["bytes"].as_u64(), "text: it has {} bytes", text.len());
    ensure!(
        text.is_ascii() && "The ".starts_with(&text[..text.len().min(4)]),
        "text: it does not consist of sentences"
    );
    Ok(())
}

fn same(what: &str, is: &Value, should: &Value) -> Result<()> {
    let shown = |value: &Value| agent_core::text::printable(&value.to_string(), 100);
    ensure!(is == should, "{what}: it is {}, not {}", shown(is), shown(should));
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::script;
    use serde_json::json;

    /// A correct answer to message `number` of the script, created without the server.
    fn right(number: usize) -> (Outgoing, Value) {
        let sent = script::scripted(number).unwrap();
        let request: Value = serde_json::from_slice(&sent.body).unwrap();
        let result =
            agent_core::tools::run(request["tool_name"].as_str().unwrap(), &request["arguments"]).unwrap();
        let answer = json!({
            "id": request["id"], "type": "tool_result", "tool_name": request["tool_name"], "status": "ok",
            "result": result, "request": request, "canary": Hex128::fresh().unwrap(),
        });
        (sent, answer)
    }

    fn check(sent: &Outgoing, answer: &Value) -> Result<()> {
        verifier().check(sent, &reply(answer.to_string().into()))
    }

    fn verifier() -> Verifier {
        Verifier::new(HttpVersion::default())
    }

    /// An answer that is right but for its body.
    fn reply(body: bytes::Bytes) -> Reply {
        Reply {
            version: http::Version::HTTP_11,
            status: reqwest::StatusCode::OK,
            content_type: Some(CONTENT_TYPE.into()),
            body,
        }
    }

    #[test]
    fn accepts_correct_answers() {
        for number in 0..script::SCRIPT_LENGTH {
            let (sent, answer) = right(number);
            check(&sent, &answer).unwrap();
        }
    }

    #[test]
    fn rejects_every_wrong_answer() {
        let wrong: [(usize, &str, Value); 19] = [
            (0, "/id", json!("call-0002")),
            (0, "/type", json!("tool_call")),
            (0, "/tool_name", json!("transform_text")),
            (0, "/status", json!("error")),
            (0, "/canary", json!("ABC")),
            (0, "/request/arguments/depth", json!(3)),
            (0, "/request/canary", json!("0")),
            (0, "/result", Value::Null),
            (0, "/result/depth", json!(3)),
            (0, "/result/total", json!(0)),
            (0, "/result/dependents", json!([])),
            (0, "/result/dependents/0/name", json!("other")),
            (0, "/result/dependents/0/distance", json!(2)),
            (0, "/result/dependents/0/path/0", json!("other")),
            (1, "/result/text", json!("other")),
            (1, "/result/characters", json!(1)),
            (2, "/result/text", json!("The short one.")),
            (2, "/result/seed", json!(1)),
            (2, "/result/bytes", json!(1)),
        ];
        for (number, pointer, value) in wrong {
            let (sent, mut answer) = right(number);
            *answer.pointer_mut(pointer).unwrap_or_else(|| panic!("{pointer}")) = value;
            assert!(check(&sent, &answer).is_err(), "{pointer}");
        }
        let (sent, mut answer) = right(0);
        answer["canary"] = json!(sent.canary);
        assert!(check(&sent, &answer).is_err());
        answer["extra"] = json!(1);
        assert!(check(&sent, &answer).is_err());
    }

    #[test]
    fn rejects_wrong_version_status_and_content_type_and_repeated_canary() {
        let (sent, answer) = right(0);
        let right = reply(answer.to_string().into());
        let mut seen = verifier();
        seen.check(&sent, &right).unwrap();
        let error = seen.check(&sent, &right).unwrap_err().to_string();
        assert!(error.contains("canary"), "{error}");

        let wrong = [
            (
                Reply { version: http::Version::HTTP_10, ..right.clone() },
                "the answer is HTTP/1.0, not HTTP/1.1",
            ),
            (
                Reply { version: http::Version::HTTP_2, ..right.clone() },
                "the answer is HTTP/2.0, not HTTP/1.1",
            ),
            (Reply { status: reqwest::StatusCode::CREATED, ..right.clone() }, "the status is 201 Created"),
            (Reply { content_type: None, ..right }, "the Content-Type is None"),
        ];
        for (reply, words) in wrong {
            let error = verifier().check(&sent, &reply).unwrap_err().to_string();
            assert!(error.starts_with(words), "{error}");
        }
    }
}
