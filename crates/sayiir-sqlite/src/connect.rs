//! Opening connections, and noticing that the file they write to is no longer the one at its path.

use std::fs;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::thread;
use std::time::{Duration, Instant};

use rusqlite::config::DbConfig;
use rusqlite::{Connection, ErrorCode, OpenFlags};
use sayiir_persistence::StoreError;

use crate::fault::{Fault, Outcome};
use crate::options::SqliteOptions;
use crate::schema;

/// The statements of one connection; more than there are.
const STATEMENTS: usize = 160;

/// The file that the connections have open.
#[derive(Debug, Clone)]
pub(crate) struct OpenFile {
    path: PathBuf,
    identity: Option<(u64, u64)>,
}

impl OpenFile {
    fn new(path: &Path) -> Outcome<Self> {
        let path = fs::canonicalize(path).map_err(|error| Fault::Store(gone(path, &error.to_string())))?;
        let identity = identity(&path).ok().flatten();
        Ok(Self { path, identity })
    }

    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// An error if the path no longer leads to the open file: what is written there would be lost with it.
    pub(crate) fn check(&self) -> Result<(), StoreError> {
        match identity(&self.path) {
            Ok(now) if now == self.identity => Ok(()),
            Ok(_) => Err(gone(&self.path, "another file is there now")),
            Err(error) => Err(gone(&self.path, &error.to_string())),
        }
    }
}

fn gone(path: &Path, why: &str) -> StoreError {
    StoreError::unavailable(format!(
        "the file {} is gone ({why}); nothing is acknowledged into a deleted file: put it back and open it again",
        path.display()
    ))
}

#[cfg(unix)]
fn identity(path: &Path) -> std::io::Result<Option<(u64, u64)>> {
    use std::os::unix::fs::MetadataExt;
    let found = fs::metadata(path)?;
    Ok(Some((found.dev(), found.ino())))
}

#[cfg(not(unix))]
fn identity(path: &Path) -> std::io::Result<Option<(u64, u64)>> {
    fs::metadata(path).map(|_| None)
}

/// Opens (or makes) a store's file for writing.
pub(crate) fn open_file(path: &Path, options: &SqliteOptions) -> Outcome<(Connection, OpenFile)> {
    let make = if options.make { OpenFlags::SQLITE_OPEN_CREATE } else { OpenFlags::empty() };
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX | make;
    let explain = |fault| explain_open(path, fault);
    let mut conn = Connection::open_with_flags(path, flags).map_err(|error| explain(error.into()))?;
    prepare_writer(&mut conn, options, true).map_err(explain)?;
    let file = OpenFile::new(path)?;
    Ok((conn, file))
}

/// A store that lives in this process's memory.
pub(crate) fn open_memory(options: &SqliteOptions) -> Outcome<Connection> {
    let mut conn = Connection::open_in_memory()?;
    prepare_writer(&mut conn, options, false)?;
    Ok(conn)
}

fn prepare_writer(conn: &mut Connection, options: &SqliteOptions, on_disk: bool) -> Outcome<()> {
    conn.busy_timeout(options.busy_timeout)?;
    schema::inspect(conn)?;
    if !options.make {
        schema::require_version(conn)?;
    }
    if conn.is_readonly("main")? {
        return Err(Fault::Store(StoreError::ReadOnly { reason: "the file can be opened for reading only".to_owned() }));
    }
    if on_disk {
        use_wal(conn, options.busy_timeout)?;
    }
    conn.pragma_update(None, "synchronous", options.synchronous.pragma())?;
    if let Some(pages) = options.max_pages {
        conn.pragma_update_and_check(None, "max_page_count", pages, |_| Ok(()))?;
    }
    tune(conn)?;
    schema::migrate(conn)
}

fn tune(conn: &Connection) -> Outcome<()> {
    conn.set_prepared_statement_cache_capacity(STATEMENTS);
    // Otherwise SQLite prepares some statements anew each time a parameter changes, to look whether a better plan fits its value.
    conn.set_db_config(DbConfig::SQLITE_DBCONFIG_ENABLE_QPSG, true)?;
    conn.pragma_update(None, "cache_size", -16_384)?;
    conn.pragma_update(None, "temp_store", "MEMORY")?;
    conn.pragma_update(None, "trusted_schema", "OFF")?;
    Ok(())
}

/// Turns WAL on. SQLite answers "busy" at once, without waiting, where two connections do this to a new file.
fn use_wal(conn: &Connection, patience: Duration) -> Outcome<()> {
    let start = Instant::now();
    loop {
        match conn.pragma_update_and_check(None, "journal_mode", "WAL", |row| row.get::<_, String>(0)) {
            Ok(mode) if mode.eq_ignore_ascii_case("wal") => return Ok(()),
            Ok(mode) => {
                let reason = format!("SQLite cannot keep a write-ahead log here (journal mode {mode:?}); use a local file system");
                return Err(Fault::Store(StoreError::unavailable(reason)));
            }
            Err(error) if error.sqlite_error_code() == Some(ErrorCode::DatabaseBusy) && start.elapsed() < patience => {
                thread::sleep(Duration::from_millis(5));
            }
            Err(error) => return Err(error.into()),
        }
    }
}

/// Opens one more connection, which only reads.
pub(crate) fn open_reader(file: &OpenFile, options: &SqliteOptions) -> Outcome<Connection> {
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let conn = Connection::open_with_flags(file.path(), flags)?;
    conn.busy_timeout(options.busy_timeout)?;
    tune(&conn)?;
    conn.pragma_update(None, "query_only", true)?;
    Ok(conn)
}

/// "Unable to open" has several causes; says which.
fn explain_open(path: &Path, fault: Fault) -> Fault {
    let Fault::Sql(error) = fault else { return fault };
    if error.sqlite_error_code() != Some(ErrorCode::CannotOpen) {
        return Fault::Sql(error);
    }
    let shown = path.display();
    let directory = path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let missing = fs::metadata(path).is_err_and(|error| error.kind() == ErrorKind::NotFound);
    let reason = if !directory.is_dir() {
        format!("the directory of {shown} does not exist; create it first")
    } else if path.is_dir() {
        return Fault::misused(format!("{shown} is a directory; give the path of a file"));
    } else if is_unwritable(path, directory) {
        return Fault::Store(StoreError::ReadOnly { reason: format!("{shown} or its directory cannot be written") });
    } else if missing {
        format!("there is no file {shown}")
    } else {
        format!("{shown} cannot be opened")
    };
    Fault::Store(StoreError::Unavailable { reason, source: Some(error.into()) })
}

/// Asks the file system, without leaving anything behind.
fn is_unwritable(path: &Path, directory: &Path) -> bool {
    let denied = |error: &std::io::Error| matches!(error.kind(), ErrorKind::PermissionDenied | ErrorKind::ReadOnlyFilesystem);
    if path.exists() && fs::OpenOptions::new().append(true).open(path).is_err_and(|error| denied(&error)) {
        return true;
    }
    let probe = directory.join(format!(".sayiir-probe-{}", std::process::id()));
    let made = fs::OpenOptions::new().write(true).create_new(true).open(&probe);
    let unwritable = made.as_ref().is_err_and(denied);
    if made.is_ok() {
        // The probe is ours and empty; if it cannot be removed, it does no harm.
        let _ = fs::remove_file(&probe);
    }
    unwritable
}
