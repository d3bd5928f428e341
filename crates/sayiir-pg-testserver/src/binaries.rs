//! Where PostgreSQL's programs are.

use std::env;
use std::fs;
use std::path::{Path, PathBuf};

use crate::run::ServerError;

/// What a person does where the programs are missing.
pub const HOW_TO_INSTALL: &str = "PostgreSQL's server programs (initdb, pg_ctl) are neither on PATH nor under /usr/lib/postgresql/*/bin; \
     install them, on Debian or Ubuntu with `apt-get install postgresql`";

/// PostgreSQL's programs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Binaries {
    pub(crate) initdb: PathBuf,
    pub(crate) pg_ctl: PathBuf,
}

impl Binaries {
    /// Those on `PATH`, else the newest under Debian's layout.
    pub fn find() -> Result<Self, ServerError> {
        let path = env::var_os("PATH").unwrap_or_default();
        let on_path = env::split_paths(&path).find_map(|folder| Self::in_folder(&folder));
        on_path.or_else(|| newest_of_debian(Path::new("/usr/lib/postgresql"))).ok_or(ServerError::Missing)
    }

    /// Another program that comes with them, where it would be.
    pub fn program(&self, name: &str) -> PathBuf {
        self.initdb.with_file_name(name)
    }

    fn in_folder(folder: &Path) -> Option<Self> {
        let found = Self { initdb: folder.join("initdb"), pg_ctl: folder.join("pg_ctl") };
        (found.initdb.is_file() && found.pg_ctl.is_file()).then_some(found)
    }
}

fn newest_of_debian(root: &Path) -> Option<Binaries> {
    let versions = fs::read_dir(root).ok()?.filter_map(Result::ok);
    let numbered = versions.filter_map(|entry| Some((entry.file_name().to_str()?.parse::<u32>().ok()?, entry.path())));
    let mut found: Vec<_> = numbered.filter_map(|(version, path)| Some((version, Binaries::in_folder(&path.join("bin"))?))).collect();
    found.sort_by_key(|(version, _)| *version);
    found.pop().map(|(_, binaries)| binaries)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test says what went wrong by panicking")]
    use super::*;

    #[test]
    fn the_newest_version_of_debians_layout_is_taken() {
        let root = tempfile::tempdir().unwrap();
        for version in ["9", "13", "15", "not-a-version"] {
            let bin = root.path().join(version).join("bin");
            fs::create_dir_all(&bin).unwrap();
            fs::write(bin.join("initdb"), "").unwrap();
            if version != "15" {
                fs::write(bin.join("pg_ctl"), "").unwrap();
            }
        }
        assert_eq!(newest_of_debian(root.path()).unwrap().initdb, root.path().join("13/bin/initdb"));
        assert_eq!(newest_of_debian(&root.path().join("absent")), None);
    }
}
