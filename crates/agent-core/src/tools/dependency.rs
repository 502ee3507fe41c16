//! `analyze_dependency`: the packages that depend on a package, directly or indirectly, and the path of each.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::LazyLock;

use serde::Deserialize;
use serde_json::{Value, json};

use super::{ToolError, arguments, bad};
use crate::text::printable;

pub(super) const NAME: &str = "analyze_dependency";

/// Greatest `depth`. The longest path of the included graph has nine packages.
pub const MAX_DEPTH: u32 = 16;

/// The included graphs, by repository.
const DATA: &str = include_str!("../../data/dependencies.json");

pub(super) fn run(value: &Value) -> Result<Value, ToolError> {
    let Arguments { repo, target, depth } = arguments(NAME, value)?;
    if !(1..=MAX_DEPTH).contains(&depth) {
        return Err(bad(NAME, &format!("`depth` is {depth}, not 1 to {MAX_DEPTH}")));
    }
    static SHIPPED: LazyLock<Data> =
        LazyLock::new(|| serde_json::from_str(DATA).expect("the shipped data is valid: a test reads it"));
    let graph = SHIPPED.repos.get(&repo).ok_or_else(|| ToolError::UnknownRepo(printable(&repo, 200)))?;
    let version =
        graph.packages.get(&target).map(|package| &package.version).ok_or_else(|| unknown(&target))?;
    let all = graph.dependents(&target);
    let beyond = all.iter().filter(|dependent| dependent.distance() > depth as usize).count();
    let found: Vec<Value> = all
        .iter()
        .filter(|dependent| dependent.distance() <= depth as usize)
        .map(|dependent| {
            json!({
                "name": dependent.name(),
                "version": graph.packages[dependent.name()].version,
                "distance": dependent.distance(),
                "path": dependent.path,
            })
        })
        .collect();
    Ok(json!({
        "repo": repo,
        "target": target,
        "version": version,
        "depth": depth,
        "total": found.len(),
        "beyond_depth": beyond,
        "dependents": found,
    }))
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Arguments {
    repo: String,
    target: String,
    depth: u32,
}

fn unknown(target: &str) -> ToolError {
    ToolError::UnknownTarget(printable(target, 200))
}

#[derive(Deserialize)]
struct Data {
    repos: BTreeMap<String, Graph>,
}

/// Packages and their dependencies. Can hold cycles, as real graphs do.
#[derive(Deserialize)]
struct Graph {
    packages: BTreeMap<String, Package>,
}

#[derive(Deserialize)]
struct Package {
    version: String,
    dependencies: BTreeSet<String>,
}

/// A package that depends on the target, and the shortest path: `[dependent, …, target]`.
#[derive(Debug, PartialEq, Eq)]
struct Dependent<'a> {
    path: Vec<&'a str>,
}

impl Dependent<'_> {
    fn name(&self) -> &str {
        self.path[0]
    }

    /// Edges between the dependent and the target; 1 is a direct dependent.
    fn distance(&self) -> usize {
        self.path.len() - 1
    }
}

impl Graph {
    /// All packages that depend on `target`, nearest first, then by name. Visits each package once, so that cycles end and the
    /// graph bounds the work. Among equally short paths it takes the one through the first names.
    fn dependents<'a>(&'a self, target: &'a str) -> Vec<Dependent<'a>> {
        let mut needed_by: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
        for (name, package) in &self.packages {
            for dependency in &package.dependencies {
                needed_by.entry(dependency).or_default().push(name);
            }
        }
        let mut visited = BTreeSet::from([target]);
        let mut queue = VecDeque::from([vec![target]]);
        let mut found = Vec::new();
        while let Some(path) = queue.pop_front() {
            for &dependent in needed_by.get(path[0]).into_iter().flatten() {
                if visited.insert(dependent) {
                    let longer: Vec<&str> = std::iter::once(dependent).chain(path.iter().copied()).collect();
                    queue.push_back(longer.clone());
                    found.push(Dependent { path: longer });
                }
            }
        }
        found.sort_by(|a, b| (a.distance(), a.name()).cmp(&(b.distance(), b.name())));
        found
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn graph(edges: &[(&str, &[&str])]) -> Graph {
        let packages = edges
            .iter()
            .map(|(name, needs)| {
                let dependencies = needs.iter().map(ToString::to_string).collect();
                (name.to_string(), Package { version: "1".into(), dependencies })
            })
            .collect();
        Graph { packages }
    }

    fn paths(graph: &Graph, target: &str) -> Vec<String> {
        graph.dependents(target).iter().map(|dependent| dependent.path.join(">")).collect()
    }

    #[test]
    fn finds_dependents_by_the_shortest_path() {
        let graph = graph(&[
            ("app", &["web", "tls"]),
            ("web", &["tls"]),
            ("tls", &["c"]),
            ("c", &[]),
            ("alone", &[]),
        ]);
        assert_eq!(paths(&graph, "c"), ["tls>c", "app>tls>c", "web>tls>c"]);
        assert_eq!(paths(&graph, "app"), Vec::<String>::new());
    }

    #[test]
    fn terminates_on_cycles() {
        let graph = graph(&[("a", &["b"]), ("b", &["c"]), ("c", &["a", "c"])]);
        assert_eq!(paths(&graph, "a"), ["c>a", "b>c>a"]);
    }

    #[test]
    fn every_dependency_of_the_included_graph_is_a_package_of_it() {
        let data: Data = serde_json::from_str(DATA).unwrap();
        let graph = &data.repos["demo-repo"];
        assert!(graph.packages.len() >= 30, "{}", graph.packages.len());
        for (name, package) in &graph.packages {
            for dependency in &package.dependencies {
                assert!(
                    graph.packages.contains_key(dependency),
                    "{name} needs {dependency}, which is not there"
                );
            }
        }
        let deepest =
            graph.packages.keys().flat_map(|name| graph.dependents(name)).map(|d| d.path.len()).max();
        assert_eq!(deepest, Some(9), "MAX_DEPTH's reason names this length");
    }

    #[test]
    fn answers_the_call_of_the_lab() {
        let result = run(&json!({"repo": "demo-repo", "target": "libssl", "depth": 2})).unwrap();
        let dependents = result["dependents"].as_array().unwrap();
        assert_eq!(result["total"], dependents.len());
        assert!(dependents.iter().any(|dependent| dependent["name"] == "demo-repo"), "{result}");
        assert!(dependents.iter().all(|dependent| dependent["distance"].as_u64().unwrap() <= 2));
        assert!(result["beyond_depth"].as_u64().unwrap() > 0, "{result}");
        let whole = run(&json!({"repo": "demo-repo", "target": "libssl", "depth": MAX_DEPTH})).unwrap();
        assert_eq!(whole["beyond_depth"], 0);
        assert_eq!(
            whole["total"].as_u64(),
            Some(result["total"].as_u64().unwrap() + result["beyond_depth"].as_u64().unwrap())
        );
    }

    #[test]
    fn reports_unknown_repositories_and_packages() {
        let error = run(&json!({"repo": "demo-repo", "target": "libnothing", "depth": 2})).unwrap_err();
        assert_eq!(error, ToolError::UnknownTarget("libnothing".into()));
        let error = run(&json!({"repo": "other", "target": "libssl", "depth": 2})).unwrap_err();
        assert_eq!(error, ToolError::UnknownRepo("other".into()));
    }
}
