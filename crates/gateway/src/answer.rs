//! From what a box wrote to what the user reads.

use serde_json::Value;

/// Where the answer stands in what the program in the box writes on stdout.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct AnswerFormat {
    /// JSON pointer (RFC 6901) to the answer, a string; without it the whole of stdout is the answer.
    pub answer_pointer: Option<String>,
    /// JSON pointer to what is `true` when the program says that it failed, although it ends with 0.
    pub failure_pointer: Option<String>,
}

/// Why there is no answer in what the box wrote.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NoAnswer {
    /// It is not text.
    #[error("its output is not UTF-8")]
    NotText,
    /// It should be JSON.
    #[error("its output is not JSON: {0}")]
    NotJson(String),
    /// Nothing, or no string, stands where the answer should be.
    #[error("there is no text at {0} of its output")]
    NotThere(String),
    /// The program says that it failed.
    #[error("{0} of its output says that it failed")]
    Failed(String),
}

impl AnswerFormat {
    /// The answer in `stdout`. The line end that programs put behind what they print is not part of it.
    ///
    /// # Errors
    /// When there is none.
    pub fn answer(&self, stdout: &[u8]) -> Result<String, NoAnswer> {
        if self.answer_pointer.is_none() && self.failure_pointer.is_none() {
            return whole(stdout);
        }
        let output: Value =
            serde_json::from_slice(stdout).map_err(|error| NoAnswer::NotJson(error.to_string()))?;
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
    let text = text.strip_suffix('\n').unwrap_or(text);
    Ok(text.strip_suffix('\r').unwrap_or(text).to_owned())
}

/// Checks that `text` is a JSON pointer: empty, or `/` and names behind it, with `~` only as `~0` and `~1`.
///
/// # Errors
/// Words for a person when it is not.
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

    /// What `claude --print --output-format json` writes, shortened.
    const AGENT: &[u8] =
        br#"{"type":"result","subtype":"success","is_error":false,"result":"four\n","usage":{"output_tokens":4}}"#;

    fn format(answer: Option<&str>, failure: Option<&str>) -> AnswerFormat {
        AnswerFormat { answer_pointer: answer.map(Into::into), failure_pointer: failure.map(Into::into) }
    }

    #[test]
    fn without_a_pointer_all_of_it_is_the_answer() {
        let all = format(None, None);
        assert_eq!(all.answer("  한국어\n\n".as_bytes()).unwrap(), "  한국어\n");
        assert_eq!(all.answer(b"").unwrap(), "");
        assert_eq!(all.answer(b"\xff"), Err(NoAnswer::NotText));
    }

    #[test]
    fn a_pointer_finds_the_answer_of_an_agent() {
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
    fn pointers_are_checked_before_they_are_needed() {
        for good in ["", "/result", "/a/0/b", "/a~1b/~0"] {
            assert!(pointer(good).is_ok(), "{good}");
        }
        for bad in ["result", "/a~", "/a~2"] {
            assert!(pointer(bad).is_err(), "{bad}");
        }
    }
}
