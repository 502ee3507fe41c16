//! axe-core: rules of accessibility that a program can check (WCAG 2.2, levels A and AA, and best practices).

use std::fs::{self, File};
use std::path::Path;
use std::process::Command;

use e2e::{programs, skip};
use serde_json::Value;

use super::Tab;

/// Runs all rules, and returns what breaks them: rule, impact, and the elements.
const RUN: &str = r#"axe.run(document, { resultTypes: ["violations"] }).then((result) => result.violations.map((found) =>
    ({ rule: found.id, impact: found.impact, help: found.help, elements: found.nodes.map((node) => node.html + " " + node.failureSummary) })))"#;

/// The source of axe-core, which npm fetches once; skips the test and returns `None` where npm cannot.
pub(crate) fn axe() -> Option<String> {
    let folder = programs::folder().join("page-tests-npm");
    let script = folder.join("node_modules/axe-core/axe.min.js");
    fs::create_dir_all(&folder).expect("a folder in the target folder");
    let lock = File::create(folder.join(".lock")).expect("a lock in the target folder");
    lock.lock().expect("a lock");
    if !script.is_file() {
        let here = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/browser/npm");
        for name in ["package.json", "package-lock.json"] {
            fs::copy(here.join(name), folder.join(name)).expect("a copy");
        }
        let npm = Command::new("npm").args(["ci", "--no-audit", "--no-fund"]).current_dir(&folder).output();
        match npm {
            Ok(output) if output.status.success() => {}
            Ok(output) => {
                skip(&format!("npm cannot fetch axe-core: {}", String::from_utf8_lossy(&output.stderr)));
                return None;
            }
            Err(error) => {
                skip(&format!("no npm to fetch axe-core with: {error}"));
                return None;
            }
        }
    }
    Some(fs::read_to_string(&script).expect("axe-core is text"))
}

/// Asserts that the page breaks no rule.
pub(crate) async fn assert_accessible(tab: &Tab, axe: &str, what: &str) {
    tab.ask(&format!("if (!window.axe) {{ {axe} }}; null")).await;
    let violations = tab.ask(RUN).await;
    let none = Value::Array(Vec::new());
    assert_eq!(violations, none, "{what}: {}", serde_json::to_string_pretty(&violations).unwrap_or_default());
}
