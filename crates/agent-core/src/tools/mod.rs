//! The tools that agent-b runs: pure functions from JSON arguments to a JSON result, each bounded.

mod dependency;
mod document;
mod transform;

use serde::de::DeserializeOwned;
use serde_json::Value;

pub use dependency::MAX_DEPTH;
pub use document::MAX_DOCUMENT_BYTES;

/// Longest quotation of the peer's text in an error message, in characters.
const QUOTE_LIMIT: usize = 200;

/// Reason why a tool has no result.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum ToolError {
    /// There is no such tool.
    #[error("there is no tool `{0}`; there are analyze_dependency, transform_text and generate_document")]
    UnknownTool(String),
    /// The arguments are missing, of the wrong type or out of range.
    #[error("arguments of {tool}: {reason}")]
    BadArguments {
        /// The tool.
        tool: &'static str,
        /// What is wrong with the arguments.
        reason: String,
    },
    /// `repo` is not in the included data.
    #[error("there is no repository `{0}` in the dependency data")]
    UnknownRepo(String),
    /// `target` is not a package of the repository.
    #[error("there is no package `{0}` in the dependency graph")]
    UnknownTarget(String),
}

impl ToolError {
    /// The stable code for programs.
    pub fn code(&self) -> &'static str {
        match self {
            Self::UnknownTool(_) => "unknown_tool",
            Self::BadArguments { .. } => "invalid_arguments",
            Self::UnknownRepo(_) => "unknown_repo",
            Self::UnknownTarget(_) => "unknown_target",
        }
    }
}

/// Runs the tool `name`.
///
/// # Errors
/// When there is no such tool, or its `arguments` are invalid.
pub fn run(name: &str, arguments: &Value) -> Result<Value, ToolError> {
    match name {
        dependency::NAME => dependency::run(arguments),
        transform::NAME => transform::run(arguments),
        document::NAME => document::run(arguments),
        _ => Err(ToolError::UnknownTool(crate::text::printable(name, QUOTE_LIMIT))),
    }
}

fn arguments<T: DeserializeOwned>(tool: &'static str, value: &Value) -> Result<T, ToolError> {
    T::deserialize(value).map_err(|error| bad(tool, &error.to_string()))
}

fn bad(tool: &'static str, reason: &str) -> ToolError {
    ToolError::BadArguments { tool, reason: crate::text::printable(reason, QUOTE_LIMIT) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn escapes_the_name_of_an_unknown_tool() {
        let error = run("rm\u{1b}[2J", &json!({})).unwrap_err();
        assert_eq!(error.code(), "unknown_tool");
        assert!(error.to_string().contains("rm\\u{1b}[2J"), "{error}");
    }

    #[test]
    fn every_tool_rejects_arguments_of_the_wrong_shape() {
        let wrong = [
            ("analyze_dependency", json!({})),
            ("analyze_dependency", json!({"repo": "demo-repo", "target": "libssl", "depth": "2"})),
            ("analyze_dependency", json!({"repo": "demo-repo", "target": "libssl", "depth": -1})),
            ("analyze_dependency", json!({"repo": "demo-repo", "target": "libssl", "depth": 0})),
            ("analyze_dependency", json!({"repo": "demo-repo", "target": "libssl", "depth": MAX_DEPTH + 1})),
            ("analyze_dependency", json!({"repo": "demo-repo", "target": "libssl", "depth": 1e300})),
            ("analyze_dependency", json!({"repo": "demo-repo", "target": "libssl", "depth": 2, "extra": 1})),
            ("transform_text", json!({"text": 1, "operation": "reverse"})),
            ("transform_text", json!({"text": "x", "operation": "explode"})),
            ("transform_text", json!({"text": "x"})),
            ("generate_document", json!({"bytes": 0, "seed": 1})),
            ("generate_document", json!({"bytes": MAX_DOCUMENT_BYTES + 1, "seed": 1})),
            ("generate_document", json!({"bytes": 1.5, "seed": 1})),
            ("generate_document", json!({"bytes": 10, "seed": "x"})),
        ];
        for (tool, arguments) in wrong {
            assert_eq!(run(tool, &arguments).unwrap_err().code(), "invalid_arguments", "{tool} {arguments}");
        }
    }
}
