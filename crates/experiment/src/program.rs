//! The program that wrote a manifest or a record.

use serde::{Deserialize, Serialize};

/// The program that wrote a record.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ProgramRecord {
    /// The name of its executable.
    pub name: String,
    /// Its version.
    pub version: String,
}
