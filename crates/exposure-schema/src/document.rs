//! The document as a whole.

use serde::{Deserialize, Serialize};

use crate::Name;
use crate::capture::Capture;
use crate::isolation::Isolation;
use crate::strings::StringEntry;

/// The whole document.
///
/// A long run has millions of strings. A reader that needs only some of them replaces `Strings` by a type that keeps
/// only those.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[cfg_attr(test, schemars(rename = "Exposure"))]
pub struct Exposure<Strings = Vec<StringEntry>> {
    /// The schema's name and version: [`SCHEMA`](crate::SCHEMA).
    pub schema: Name,
    /// The program that wrote the document.
    pub program: Program,
    /// One entry for each capture, in the order of their paths.
    pub captures: Vec<Capture<Strings>>,
    /// What the comparison of the plaintext and the TLS captures proves; `null` where there is nothing to compare.
    #[serde(deserialize_with = "crate::nullable")]
    pub conclusion: Option<Conclusion>,
    /// Why the conclusion is what it is.
    pub reasons: Vec<String>,
    /// The captures that the conclusion compares, in pairs.
    ///
    /// Documents written before pairs were named lack this field.
    #[serde(default)]
    pub compared: Vec<Pair>,
    /// Paths of the captures that the conclusion is not about.
    ///
    /// Documents written before pairs were named lack this field.
    #[serde(default)]
    pub not_compared: Vec<String>,
    /// Isolation runs, in the order of their paths.
    ///
    /// Documents written before this experiment existed lack this field.
    #[serde(default)]
    pub isolation: Vec<Isolation>,
    /// Inputs that could not be analyzed, each with the reason.
    pub errors: Vec<String>,
}

/// A plaintext capture and a TLS capture of the same messages.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct Pair {
    /// Path of the plaintext capture.
    pub plaintext: String,
    /// Path of the TLS capture.
    pub tls: String,
}

/// Name and version of a program.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct Program {
    /// Name of the program: `analyze`.
    pub name: Name,
    /// Version of the program.
    pub version: Name,
}

/// What the comparison of plaintext and TLS captures proves.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "lowercase")]
pub enum Conclusion {
    /// The plaintext variants are exposed, the TLS variants sealed, and nothing is in doubt.
    Proven,
    /// A capture shows the opposite of what the experiment expects of its variant.
    Refuted,
    /// Something is in doubt.
    Inconclusive,
}

impl Conclusion {
    /// The conclusion as it is written in outputs.
    pub fn name(self) -> &'static str {
        match self {
            Self::Proven => "proven",
            Self::Refuted => "refuted",
            Self::Inconclusive => "inconclusive",
        }
    }
}
