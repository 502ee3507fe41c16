//! Extracts the user's answer from a sandbox's output.

use serde_json::Value;

/// Where the answer is in the program's stdout.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct AnswerFormat {
    /// JSON pointer (RFC 6901) to the answer, a string. Without it all of stdout is the answer.
    pub answer_pointer: Option<String>,
    /// JSON pointer to a value that is `true` when the program failed although it ends with status 0.
    pub failure_pointer: Option<String>,
    /// JSON pointer to a piece of the answer in each line of stdout. Stdout then is lines of JSON, and the other pointers
    /// apply to the last one.
    pub delta_pointer: Option<String>,
}

/// Why a sandbox's output contains no answer.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NoAnswer {
    /// The output is not text.
    #[error("its output is not UTF-8")]
    NotText,
    /// The output is not JSON.
    #[error("its output is not JSON: {0}")]
    NotJson(String),
    /// The output has no string at the pointer.
    #[error("its output has no text at {0}")]
    NotThere(String),
    /// The program reports that it failed.
    #[error("{0} in its output reports a failure")]
    Failed(String),
}

impl AnswerFormat {
    /// The answer in `stdout`, without the final line end.
    ///
    /// # Errors
    /// When `stdout` contains no answer.
    pub fn answer(&self, stdout: &[u8]) -> Result<String, NoAnswer> {
        if self.answer_pointer.is_none() && self.failure_pointer.is_none() {
            return whole(stdout);
        }
        let document = if self.delta_pointer.is_some() { last_line(stdout) } else { stdout };
        let output: Value =
            serde_json::from_slice(document).map_err(|error| NoAnswer::NotJson(error.to_string()))?;
        if let Some(pointer) = &self.failure_pointer
            && output.pointer(pointer) == Some(&Value::Bool(true))
        {
            return Err(NoAnswer::Failed(pointer.clone()));
        }
        let Some(pointer) = &self.answer_pointer else { return whole(stdout) };
        match output.pointer(pointer) {
            Some(Value::String(text)) => Ok(text.clone()),
            _ => Err(NoAnswer::NotThere(pointer.clone())),
        }
    }
}

fn whole(stdout: &[u8]) -> Result<String, NoAnswer> {
    let text = std::str::from_utf8(stdout).map_err(|_| NoAnswer::NotText)?;
    Ok(without_line_end(text).to_owned())
}

/// `text` without the line end that programs write after their answer.
pub(crate) fn without_line_end(text: &str) -> &str {
    let text = text.strip_suffix('\n').unwrap_or(text);
    text.strip_suffix('\r').unwrap_or(text)
}

/// The last line that is not blank.
fn last_line(stdout: &[u8]) -> &[u8] {
    let lines = stdout.trim_ascii_end();
    let start = lines.iter().rposition(|byte| *byte == b'\n').map_or(0, |end| end + 1);
    &lines[start..]
}

/// Checks that `text` is a JSON pointer: empty, or names after `/`, with `~` only as `~0` and `~1`.
///
/// # Errors
/// When `text` is not a JSON pointer. The message is for the command line.
pub fn pointer(text: &str) -> Result<String, String> {
    let escapes_are_whole = text.split('~').skip(1).all(|rest| rest.starts_with(['0', '1']));
    if (text.is_empty() || text.starts_with('/')) && escapes_are_whole {
        Ok(text.to_owned())
    } else {
        Err("not a JSON pointer, such as /result".to_owned())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Output of `claude --print --output-format json`, shortened.
    const AGENT: &[u8] =
        br#"{"type":"result","subtype":"success","is_error":false,"result":"four\n","usage":{"output_tokens":4}}"#;

    fn format(answer: Option<&str>, failure: Option<&str>) -> AnswerFormat {
        AnswerFormat {
            answer_pointer: answer.map(Into::into),
            failure_pointer: failure.map(Into::into),
            delta_pointer: None,
        }
    }

    #[test]
    fn without_a_pointer_all_of_stdout_is_the_answer() {
        let all = format(None, None);
        assert_eq!(all.answer("  한국어\n\n".as_bytes()).unwrap(), "  한국어\n");
        assert_eq!(all.answer(b"").unwrap(), "");
        assert_eq!(all.answer(b"\xff"), Err(NoAnswer::NotText));
    }

    #[test]
    fn pointer_selects_the_answer() {
        assert_eq!(format(Some("/result"), Some("/is_error")).answer(AGENT).unwrap(), "four\n");
        let failed = String::from_utf8_lossy(AGENT).replace("false", "true");
        assert_eq!(
            format(Some("/result"), Some("/is_error")).answer(failed.as_bytes()),
            Err(NoAnswer::Failed("/is_error".into()))
        );
        assert_eq!(
            format(Some("/usage"), None).answer(AGENT),
            Err(NoAnswer::NotThere("/usage".into())),
            "an object is no answer"
        );
        assert!(matches!(format(Some("/result"), None).answer(b"Killed"), Err(NoAnswer::NotJson(_))));
        assert!(matches!(format(Some("/result"), None).answer(&[b'['; 9999]), Err(NoAnswer::NotJson(_))));
    }

    #[test]
    fn answer_of_json_lines_is_in_the_last_one() {
        let lines = AnswerFormat {
            delta_pointer: Some("/delta".into()),
            ..format(Some("/result"), Some("/is_error"))
        };
        let pieces = b"{\"delta\":\"fo\"}\nno JSON\n{\"delta\":\"ur\"}\n";
        for end in [&b""[..], b"\n", b"\r\n\n"] {
            assert_eq!(lines.answer(&[pieces, AGENT, end].concat()).unwrap(), "four\n");
            assert_eq!(lines.answer(&[AGENT, end].concat()).unwrap(), "four\n");
        }
        assert_eq!(lines.answer(pieces), Err(NoAnswer::NotThere("/result".into())));
        for output in [&b""[..], b"\n \n", b"{}\nKilled", b"{}\n{\"result\":\n\"four\"}"] {
            assert!(matches!(lines.answer(output), Err(NoAnswer::NotJson(_))), "{output:?}");
        }
        let failed = [pieces, String::from_utf8_lossy(AGENT).replace("false", "true").as_bytes()].concat();
        assert_eq!(lines.answer(&failed), Err(NoAnswer::Failed("/is_error".into())));
    }

    #[test]
    fn rejects_invalid_pointers() {
        for good in ["", "/result", "/a/0/b", "/a~1b/~0"] {
            assert!(pointer(good).is_ok(), "{good}");
        }
        for bad in ["result", "/a~", "/a~2"] {
            assert!(pointer(bad).is_err(), "{bad}");
        }
    }
}
