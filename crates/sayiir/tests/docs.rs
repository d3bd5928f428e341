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
