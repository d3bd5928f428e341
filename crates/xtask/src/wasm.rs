//! The portable crates on wasm32: what they pull in there, and that they build.

use std::path::Path;

use anyhow::Context;

use crate::arrows::Graph;
use crate::shell;

/// The target that stands for every place without an operating system.
pub(crate) const TARGET: &str = "wasm32-unknown-unknown";

/// Who pulls in whom below `package`, with the features that `package` alone asks for.
pub(crate) fn dependency_tree(package: &str) -> anyhow::Result<Graph> {
    let mut command = shell::cargo();
    command.args(["tree", "--package", package, "--edges", "normal,no-proc-macro", "--target", TARGET]);
    command.args(["--prefix", "depth", "--format", " {p}", "--charset", "ascii"]);
    parse_tree(&shell::output(&mut command)?)
}

/// Reads lines of `<depth> <name> v<version> ..`, each below the last line of a smaller depth.
fn parse_tree(text: &str) -> anyhow::Result<Graph> {
    let mut graph = Graph::new();
    let mut above: Vec<String> = Vec::new();
    for line in text.lines().filter(|line| !line.trim().is_empty()) {
        let mut words = line.split_whitespace();
        let depth = words.next().and_then(|word| word.parse::<usize>().ok());
        let (Some(depth), Some(name)) = (depth, words.next()) else {
            anyhow::bail!("cargo tree printed a line that is not `<depth> <package>`: {line:?}");
        };
        above.truncate(depth);
        if let Some(parent) = above.last() {
            graph.entry(parent.clone()).or_default().insert(name.to_owned());
        }
        graph.entry(name.to_owned()).or_default();
        above.push(name.to_owned());
    }
    Ok(graph)
}

/// Installs the target's standard library unless it is there.
pub(crate) fn ensure_target() -> anyhow::Result<()> {
    let library = shell::output(std::process::Command::new("rustc").args(["--print", "target-libdir", "--target", TARGET]))?;
    if Path::new(library.trim()).is_dir() {
        return Ok(());
    }
    shell::run(std::process::Command::new("rustup").args(["target", "add", TARGET]))
        .with_context(|| format!("the target {TARGET} is not installed, and rustup could not add it"))
}

/// Builds the libraries of `packages` with these features (`package/feature`).
pub(crate) fn build(packages: &[&str], features: &[&str]) -> anyhow::Result<()> {
    let mut command = shell::cargo();
    command.args(["build", "--lib", "--target", TARGET]);
    if !features.is_empty() {
        command.args(["--features", &features.join(",")]);
    }
    for package in packages {
        command.args(["--package", package]);
    }
    shell::run(&mut command)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tree_is_read_by_its_depths() {
        let text = "0 engine v0.1.0 (/somewhere)\n1 bytes v1.12.0\n2 serde v1.0.1\n1 core v0.1.0\n2 serde v1.0.1 (*)\n2 sha2 v0.11.0\n";
        let graph = parse_tree(text).unwrap();
        let below = |name: &str| graph[name].iter().map(String::as_str).collect::<Vec<_>>();
        assert_eq!(below("engine"), ["bytes", "core"]);
        assert_eq!(below("core"), ["serde", "sha2"]);
        assert_eq!(below("bytes"), ["serde"]);
        assert!(below("serde").is_empty());
    }

    #[test]
    fn anything_else_is_refused() {
        assert!(parse_tree("warning: something\n").is_err());
    }
}
