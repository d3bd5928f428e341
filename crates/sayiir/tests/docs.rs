//! What the pages of the repository name is there.
#![allow(clippy::unwrap_used, reason = "tests")]

use std::path::{Path, PathBuf};

const PAGES: &[&str] = &["README.md", "CONTRIBUTING.md", "docs/ARCHITECTURE.md", "docs/writing-a-store.md"];

fn files(directory: &Path, found: &mut Vec<PathBuf>) {
    for entry in std::fs::read_dir(directory).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() && !path.ends_with("target") && !path.ends_with(".git") {
            files(&path, found);
        }
        found.push(path);
    }
}

/// What stands in backticks and reads as a path in this repository.
fn named_paths(page: &str) -> Vec<&str> {
    let is_path = |text: &str| {
        let plain = text.chars().all(|c| c.is_ascii_alphanumeric() || "_-./".contains(c));
        let file = [".rs", ".sql", ".md", ".toml"].iter().any(|ending| text.ends_with(ending));
        plain && (file || text.ends_with('/') || text.starts_with("crates/"))
    };
    page.split('`').skip(1).step_by(2).filter(|text| is_path(text)).collect()
}

#[test]
fn every_path_that_a_page_names_exists() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    let mut all = Vec::new();
    files(&root, &mut all);
    let mut named = 0;
    for page in PAGES {
        let text = std::fs::read_to_string(root.join(page)).unwrap();
        for path in named_paths(&text) {
            named += 1;
            assert!(all.iter().any(|file| file.ends_with(path)), "{page} names {path}, which is nowhere");
        }
    }
    assert!(named > 20, "only {named} paths found");
}

#[test]
fn every_crate_is_in_the_map() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    let map = std::fs::read_to_string(root.join("docs/ARCHITECTURE.md")).unwrap();
    for entry in std::fs::read_dir(root.join("crates")).unwrap() {
        let name = entry.unwrap().file_name().into_string().unwrap();
        assert!(map.contains(&format!("| `{name}` |")), "{name} has no row in docs/ARCHITECTURE.md");
    }
}

/// Each page of the guide is handed to rustdoc, and each of its programs is one that rustdoc compiles.
#[test]
fn every_program_of_the_guide_is_a_test() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    let facade = std::fs::read_to_string(root.join("crates/sayiir/src/lib.rs")).unwrap();
    let index = std::fs::read_to_string(root.join("docs/guide/README.md")).unwrap();
    let mut programs = 0;
    for entry in std::fs::read_dir(root.join("docs/guide")).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_name().unwrap().to_str().unwrap().to_owned();
        let text = std::fs::read_to_string(&path).unwrap();
        let fences = text.lines().filter_map(|line| line.trim_start().strip_prefix("```")).step_by(2);
        let rust: Vec<_> = fences.filter(|fence| fence.is_empty() || fence.contains("rust") || fence.contains("ignore")).collect();
        for fence in &rust {
            assert!(["rust", "rust,no_run"].contains(fence), "{name}: a block that begins with {fence:?} is not compiled, or not run");
        }
        programs += rust.len();
        let compiled = facade.contains(&format!("docs/guide/{name}\")]"));
        assert!(rust.is_empty() || compiled, "crates/sayiir/src/lib.rs does not compile the programs of the page {name}");
        if name != "README.md" {
            assert!(index.contains(&format!("]({name})")), "docs/guide/README.md does not lead to {name}");
        }
    }
    assert!(programs > 20, "only {programs} programs found");
}
