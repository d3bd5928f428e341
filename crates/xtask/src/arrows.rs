//! Which crate of the workspace may depend on which, and what the portable ones must not pull in.
//!
//! Only what ends up in a user's program counts: normal and build dependencies. Tests may use anything.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::fmt;

use serde::Deserialize;

use crate::shell;

/// Every crate of the workspace with the crates of the workspace it may depend on.
pub(crate) const ALLOWED: &[(&str, &[&str])] = &[
    ("sayiir-core", &[]),
    ("sayiir-engine", &["sayiir-core"]),
    ("sayiir-macros", &[]),
    ("sayiir-persistence", &["sayiir-core"]),
    ("sayiir-store-testkit", &["sayiir-core", "sayiir-persistence"]),
    ("sayiir-sqlite", &["sayiir-core", "sayiir-persistence"]),
    ("sayiir-postgres", &["sayiir-core", "sayiir-persistence"]),
    ("sayiir-pg-testserver", &[]),
    ("sayiir-driver", &["sayiir-core", "sayiir-engine", "sayiir-persistence"]),
    ("sayiir-runtime", &["sayiir-core", "sayiir-macros", "sayiir-engine", "sayiir-persistence", "sayiir-driver"]),
    ("sayiir", &["sayiir-core", "sayiir-persistence", "sayiir-runtime", "sayiir-sqlite", "sayiir-postgres"]),
    ("sayiir-cloudflare", &["sayiir-core", "sayiir-persistence", "sayiir-driver"]),
    ("sayiir-cli", &["sayiir"]),
    ("sayiir-bench", &["sayiir", "sayiir-pg-testserver"]),
    ("sayiir-sim", &["sayiir-core", "sayiir-persistence", "sayiir-driver", "sayiir-runtime", "sayiir-reference"]),
    (
        "sayiir-reference",
        &[
            "sayiir-core",
            "sayiir-persistence",
            "sayiir-store-testkit",
            "sayiir-sqlite",
            "sayiir-postgres",
            "sayiir-pg-testserver",
            "sayiir-runtime",
        ],
    ),
    ("xtask", &["sayiir-pg-testserver"]),
];

/// The crates that run anywhere, wasm32 included.
pub(crate) const PORTABLE: &[&str] = &["sayiir-core", "sayiir-engine", "sayiir-persistence", "sayiir-driver"];

/// Runtimes, threads, clocks and randomness: what a portable crate is handed instead of pulling it in.
pub(crate) const BANNED_IN_PORTABLE: &[&str] = &[
    "async-executor",
    "async-global-executor",
    "async-io",
    "async-std",
    "blocking",
    "crossbeam-channel",
    "crossbeam-utils",
    "fastrand",
    "futures-executor",
    "futures-timer",
    "getrandom",
    "iana-time-zone",
    "mio",
    "parking",
    "parking_lot",
    "polling",
    "rand",
    "rand_core",
    "rayon",
    "rayon-core",
    "smol",
    "socket2",
    "threadpool",
    "time",
    "tokio",
    "tokio-util",
    "wasm-timer",
    "web-time",
];

/// Who depends on whom, by package name.
pub(crate) type Graph = BTreeMap<String, BTreeSet<String>>;

/// A dependency that the drawing does not have.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Violation {
    /// A crate of the workspace that the table does not know.
    UnknownCrate(String),
    /// A row of the table without a crate.
    NoSuchCrate(String),
    /// An arrow that the table does not have.
    ForbiddenArrow { from: String, to: String, allowed: Vec<String> },
    /// A banned package, with the way that leads to it.
    Banned { path: Vec<String> },
}

impl fmt::Display for Violation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::UnknownCrate(name) => write!(f, "{name} has no row in the table of allowed arrows (crates/xtask/src/arrows.rs)"),
            Self::NoSuchCrate(name) => write!(f, "{name} has a row in the table of allowed arrows, but the workspace has no such crate"),
            Self::ForbiddenArrow { from, to, allowed } if allowed.is_empty() => {
                write!(f, "{from} -> {to}: {from} may depend on no crate of the workspace")
            }
            Self::ForbiddenArrow { from, to, allowed } => write!(f, "{from} -> {to}: {from} may depend on {} only", allowed.join(", ")),
            Self::Banned { path } => {
                write!(f, "{}: a portable crate must not pull in a runtime, threads, a clock or randomness", path.join(" -> "))
            }
        }
    }
}

/// The arrows of `workspace` that `allowed` does not have, and the crates on which the two disagree.
pub(crate) fn violations(workspace: &Graph, allowed: &[(&str, &[&str])]) -> Vec<Violation> {
    let rows: BTreeMap<&str, &[&str]> = allowed.iter().copied().collect();
    let mut found = Vec::new();
    for (from, targets) in workspace {
        let Some(row) = rows.get(from.as_str()) else {
            found.push(Violation::UnknownCrate(from.clone()));
            continue;
        };
        for to in targets.iter().filter(|to| workspace.contains_key(*to) && !row.contains(&to.as_str())) {
            let allowed = row.iter().map(ToString::to_string).collect();
            found.push(Violation::ForbiddenArrow { from: from.clone(), to: to.clone(), allowed });
        }
    }
    let stale = rows.keys().filter(|name| !workspace.contains_key(**name));
    found.extend(stale.map(|name| Violation::NoSuchCrate((*name).to_owned())));
    found
}

/// For each banned package that `root` reaches in `tree`, the shortest way to it.
pub(crate) fn banned_paths(tree: &Graph, root: &str, banned: &[&str]) -> Vec<Violation> {
    let mut reached_from: BTreeMap<&str, Option<&str>> = BTreeMap::from([(root, None)]);
    let mut queue = VecDeque::from([root]);
    let mut found = Vec::new();
    while let Some(package) = queue.pop_front() {
        if banned.contains(&package) {
            found.push(Violation::Banned { path: way_to(package, &reached_from) });
            continue;
        }
        for next in tree.get(package).into_iter().flatten() {
            if !reached_from.contains_key(next.as_str()) {
                reached_from.insert(next, Some(package));
                queue.push_back(next);
            }
        }
    }
    found
}

fn way_to(package: &str, reached_from: &BTreeMap<&str, Option<&str>>) -> Vec<String> {
    let mut path = vec![package.to_owned()];
    let mut at = package;
    while let Some(Some(before)) = reached_from.get(at) {
        path.push((*before).to_owned());
        at = before;
    }
    path.reverse();
    path
}

#[derive(Deserialize)]
struct Metadata {
    packages: Vec<Package>,
}

#[derive(Deserialize)]
struct Package {
    name: String,
    dependencies: Vec<Dependency>,
}

#[derive(Deserialize)]
struct Dependency {
    name: String,
    /// `dev`, `build`, or nothing for a normal one.
    kind: Option<String>,
}

/// The crates of this workspace with all that they depend on directly, for every target and feature.
pub(crate) fn workspace() -> anyhow::Result<Graph> {
    let json = shell::output(shell::cargo().args(["metadata", "--no-deps", "--format-version", "1"]))?;
    from_metadata(&json)
}

fn from_metadata(json: &str) -> anyhow::Result<Graph> {
    let Metadata { packages } = serde_json::from_str(json)?;
    let row = |Package { name, dependencies }| {
        let counted = dependencies.into_iter().filter(|Dependency { name: _, kind }| kind.as_deref() != Some("dev"));
        (name, counted.map(|dependency| dependency.name).collect())
    };
    Ok(packages.into_iter().map(row).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    const RULES: &[(&str, &[&str])] = &[("core", &[]), ("engine", &["core"]), ("driver", &["core", "engine"])];

    fn graph(rows: &[(&str, &[&str])]) -> Graph {
        rows.iter().map(|(from, to)| ((*from).to_owned(), to.iter().map(ToString::to_string).collect())).collect()
    }

    fn complaints(rows: &[(&str, &[&str])]) -> Vec<String> {
        violations(&graph(rows), RULES).iter().map(ToString::to_string).collect()
    }

    #[test]
    fn allowed_arrows_and_outside_packages_pass() {
        let rows: &[(&str, &[&str])] = &[("core", &["serde"]), ("engine", &["core"]), ("driver", &["engine", "tracing"])];
        assert_eq!(complaints(rows), Vec::<String>::new());
    }

    #[test]
    fn a_forbidden_arrow_names_both_ends_and_what_is_allowed() {
        let rows: &[(&str, &[&str])] = &[("core", &["engine"]), ("engine", &["core", "driver"]), ("driver", &[])];
        assert_eq!(
            complaints(rows),
            ["core -> engine: core may depend on no crate of the workspace", "engine -> driver: engine may depend on core only"]
        );
    }

    #[test]
    fn the_table_and_the_workspace_must_name_the_same_crates() {
        let rows: &[(&str, &[&str])] = &[("core", &[]), ("engine", &["core"]), ("newcomer", &["core"])];
        let found = violations(&graph(rows), RULES);
        assert_eq!(found, [Violation::UnknownCrate("newcomer".into()), Violation::NoSuchCrate("driver".into())]);
    }

    #[test]
    fn a_banned_package_is_found_however_deep_with_the_shortest_way() {
        let rows: &[(&str, &[&str])] = &[
            ("engine", &["core", "helper"]),
            ("core", &["deep"]),
            ("deep", &["helper"]),
            ("helper", &["tokio", "deep"]),
            ("tokio", &["mio"]),
            ("elsewhere", &["getrandom"]),
        ];
        let found = banned_paths(&graph(rows), "engine", &["tokio", "mio", "getrandom"]);
        assert_eq!(found, [Violation::Banned { path: vec!["engine".into(), "helper".into(), "tokio".into()] }]);
        assert!(found.iter().all(|violation| violation.to_string().starts_with("engine -> helper -> tokio:")));
    }

    #[test]
    fn dev_dependencies_do_not_count() {
        let json = r#"{"packages": [{"name": "core", "dependencies": [
            {"name": "serde", "kind": null}, {"name": "cc", "kind": "build"}, {"name": "testkit", "kind": "dev"}]}]}"#;
        assert_eq!(from_metadata(json).unwrap(), graph(&[("core", &["serde", "cc"])]));
    }

    #[test]
    fn the_table_has_no_circle() {
        let allowed: Graph = graph(ALLOWED);
        for (name, targets) in &allowed {
            for target in targets {
                assert!(banned_paths(&allowed, target, &[name]).is_empty(), "{name} and {target} may depend on each other");
            }
        }
    }
}
