//! The schema, its versions, and whose a file is. A file is changed only after it was found to be ours or empty.

use rusqlite::{Connection, OptionalExtension, TransactionBehavior};
use sayiir_persistence::StoreError;

use crate::fault::{Fault, Outcome};

/// Tells Sayiir's files from those of other programs: "Sayi".
pub(crate) const APPLICATION_ID: i64 = 0x5361_7969;

/// What takes a file from each version to the next; the first entry makes version 1.
const MIGRATIONS: &[&str] = &[include_str!("schema.sql"), include_str!("schema_2.sql"), include_str!("schema_3.sql")];

/// The version this build works with.
pub(crate) const VERSION: i64 = 3;

/// The tables of [`VERSION`].
const TABLES: &[&str] =
    &["counter", "definition", "lane", "session", "instance", "branch", "journal", "event", "event_key", "purge", "attribute"];

/// What a file says about itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Stamp {
    application_id: i64,
    version: i64,
    has_tables: bool,
    /// A table of [`VERSION`] that is not there.
    missing: Option<&'static str>,
}

/// Reads the stamp inside a transaction, at one moment: another process may be making the file just now.
fn stamp_within(conn: &Connection) -> Outcome<Stamp> {
    let number = |name: &str| conn.pragma_query_value(None, name, |row| row.get::<_, i64>(0));
    let table: Option<i64> = conn.query_row("SELECT 1 FROM sqlite_schema LIMIT 1", [], |row| row.get(0)).optional()?;
    let mut there = conn.prepare("SELECT 1 FROM sqlite_schema WHERE type = 'table' AND name = ?1")?;
    let mut missing = None;
    for table in TABLES {
        if !there.exists([table])? {
            missing = Some(*table);
            break;
        }
    }
    Ok(Stamp { application_id: number("application_id")?, version: number("user_version")?, has_tables: table.is_some(), missing })
}

fn stamp(conn: &Connection) -> Outcome<Stamp> {
    let tx = conn.unchecked_transaction()?;
    let stamp = stamp_within(&tx)?;
    tx.rollback()?;
    Ok(stamp)
}

fn refused(found: String, advice: &str) -> Fault {
    Fault::Store(StoreError::Schema { found, supported: format!("version {VERSION}"), advice: advice.to_owned() })
}

/// Refuses a file that is not ours, or of a version that this build cannot work with.
fn check(stamp: Stamp) -> Outcome<()> {
    let Stamp { application_id, version, has_tables, missing } = stamp;
    let empty = application_id == 0 && version == 0 && !has_tables;
    if empty {
        Ok(())
    } else if application_id != APPLICATION_ID {
        let found = format!("that of another program (application id {application_id:#x})");
        Err(refused(found, "this SQLite file is no store of Sayiir's; give another path"))
    } else if version > VERSION {
        Err(refused(format!("version {version}"), "a newer Sayiir wrote this file; use that version or a later one"))
    } else if version < 1 || !has_tables {
        Err(refused(format!("version {version}"), "this build cannot migrate it; open it with the version that wrote it"))
    } else if let Some(table) = missing.filter(|_| version == VERSION) {
        let found = format!("version {version} without the table {table:?}");
        Err(refused(found, "the file is incomplete; restore it from a copy that was made whole"))
    } else {
        Ok(())
    }
}

/// Refuses a file that is not ours, without changing it.
pub(crate) fn inspect(conn: &Connection) -> Outcome<()> {
    check(stamp(conn)?)
}

/// Refuses a file of another version, and one that is no store yet.
pub(crate) fn require_version(conn: &Connection) -> Outcome<()> {
    match stamp(conn)?.version {
        VERSION => Ok(()),
        0 => Err(refused("none: the file is empty".to_owned(), "give the path of a store, or start a program that makes it one")),
        older => Err(refused(
            format!("version {older}"),
            "a program of this version of Sayiir migrates it when it opens it; until then use the tools of the version that wrote it",
        )),
    }
}

/// Refuses to go on if another process has migrated the file meanwhile.
pub(crate) fn check_version(conn: &Connection) -> Outcome<()> {
    let version: i64 = conn.prepare_cached("PRAGMA user_version")?.query_row([], |row| row.get(0))?;
    if version == VERSION {
        Ok(())
    } else {
        Err(refused(format!("version {version}"), "another process migrated this file; restart with the version that did"))
    }
}

/// Brings the file to [`VERSION`] in one transaction; of several processes one does it and the others find it done.
pub(crate) fn migrate(conn: &mut Connection) -> Outcome<()> {
    let found = stamp(conn)?;
    check(found)?;
    if found.version == VERSION {
        return Ok(());
    }
    let tx = conn.transaction_with_behavior(TransactionBehavior::Immediate)?;
    let found = stamp_within(&tx)?;
    check(found)?;
    let done = usize::try_from(found.version).unwrap_or(0);
    for sql in MIGRATIONS.iter().skip(done) {
        tx.execute_batch(sql)?;
    }
    tx.pragma_update(None, "application_id", APPLICATION_ID)?;
    tx.pragma_update(None, "user_version", VERSION)?;
    tx.commit()?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_tables_are_those_of_the_newest_version() {
        let mut conn = Connection::open_in_memory().unwrap();
        migrate(&mut conn).unwrap();
        let mut names = conn.prepare("SELECT name FROM sqlite_schema WHERE type = 'table'").unwrap();
        let mut found: Vec<String> = names.query_map([], |row| row.get(0)).unwrap().map(Result::unwrap).collect();
        let mut expected = TABLES.to_vec();
        found.sort();
        expected.sort_unstable();
        assert_eq!(found, expected);
    }
}
