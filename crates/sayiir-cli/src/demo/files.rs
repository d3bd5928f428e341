//! The files of a demo: the store with what SQLite keeps beside it, and the side file.

use std::io::Read as _;
use std::path::{Path, PathBuf};

use anyhow::{Context, bail};

use super::args::beside;

/// How every SQLite file begins.
const SQLITE_MAGIC: &[u8; 16] = b"SQLite format 3\0";

/// Deletes the store, its companions and the side file. A file that is no SQLite file is not touched.
pub(crate) fn delete(store: &Path, run_log: &Path) -> anyhow::Result<()> {
    if !is_sqlite_or_nothing(store)? {
        bail!("{} is no SQLite file, so --fresh does not delete it", store.display());
    }
    let companions = ["-wal", "-shm"].map(|suffix| beside(store, suffix));
    // The side file first, for a new store counts its runs from the start again; then the store, before the log without which it
    // is not whole.
    [run_log, store].into_iter().chain(companions.iter().map(PathBuf::as_path)).try_for_each(remove)
}

fn is_sqlite_or_nothing(path: &Path) -> anyhow::Result<bool> {
    let mut file = match std::fs::File::open(path) {
        Ok(file) => file,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(true),
        Err(error) => return Err(error).with_context(|| format!("could not open {}", path.display())),
    };
    let mut start = Vec::new();
    file.by_ref().take(16).read_to_end(&mut start).with_context(|| format!("could not read {}", path.display()))?;
    Ok(start.is_empty() || start == SQLITE_MAGIC)
}

fn remove(path: &Path) -> anyhow::Result<()> {
    match std::fs::remove_file(path) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
            Err(error).with_context(|| format!("could not delete {}", path.display()))
        }
        Ok(()) | Err(_) => Ok(()),
    }
}

/// Makes the folder of the store, if it is missing.
pub(crate) fn make_folder(store: &Path) -> anyhow::Result<()> {
    let folder: PathBuf = store.parent().map(Path::to_owned).unwrap_or_default();
    if folder.as_os_str().is_empty() {
        return Ok(());
    }
    std::fs::create_dir_all(&folder).with_context(|| format!("could not make the folder {}", folder.display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fresh_deletes_the_store_and_what_belongs_to_it_and_nothing_else() {
        let folder = tempfile::tempdir().unwrap();
        let at = |name: &str| folder.path().join(name);
        for name in ["demo.db", "demo.db-wal", "demo.db-shm", "demo.db.runs", "other.db"] {
            std::fs::write(at(name), SQLITE_MAGIC).unwrap();
        }
        delete(&at("demo.db"), &at("demo.db.runs")).unwrap();
        let left: Vec<_> = std::fs::read_dir(folder.path()).unwrap().map(|entry| entry.unwrap().file_name()).collect();
        assert_eq!(left, ["other.db"]);
        delete(&at("demo.db"), &at("demo.db.runs")).unwrap();
    }

    #[test]
    fn fresh_does_not_delete_a_file_that_is_no_store() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("thesis.txt");
        std::fs::write(&path, "Chapter 1").unwrap();
        let error = delete(&path, &folder.path().join("thesis.txt.runs")).unwrap_err();
        assert!(error.to_string().contains("no SQLite file"), "{error}");
        assert!(path.exists());
    }
}
