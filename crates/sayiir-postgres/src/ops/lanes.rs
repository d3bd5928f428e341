//! Definitions and lanes: the small numbers that stand for a definition, and for a definition with tags.
//!
//! Their rows are written before the operation that needs them, each in a statement of its own, and never change or
//! go: so a process may remember their numbers, and nothing waits for them. (They do go where a database is put back to an earlier
//! moment, as by a failover to a standby that lags behind: so a start checks what is remembered.)

use std::sync::{Arc, Mutex, PoisonError};

use rustc_hash::FxHashMap;
use sayiir_core::DefinitionHash;
use sayiir_core::branch::Placement;
use sayiir_persistence::Definition;
use sha2::{Digest, Sha256};
use sqlx::{PgConnection, Row};

use crate::fault::{Fault, Outcome};
use crate::rows::{clean, maybe_text};
use crate::tx::Tx;

/// A text that may be longer than an index entry, as a key. Each part is told by its length.
fn digest<'a>(parts: impl IntoIterator<Item = &'a str>) -> [u8; 32] {
    let mut sha = Sha256::new();
    for part in parts {
        sha.update(u64::try_from(part.len()).unwrap_or(u64::MAX).to_be_bytes());
        sha.update(part);
    }
    sha.finalize().into()
}

/// The key of tags within a definition.
pub(crate) fn key_of_tags(tags: &[String]) -> [u8; 32] {
    digest(tags.iter().map(String::as_str))
}

/// What a process knows of definitions and lanes.
#[derive(Debug, Default)]
pub(crate) struct Numbers {
    known: Mutex<Known>,
}

/// A definition's hash, name and version.
type DefinitionKey = (DefinitionHash, Arc<str>, Arc<str>);

#[derive(Debug, Default)]
struct Known {
    /// The number of a definition, and whether its document is stored.
    definitions: FxHashMap<DefinitionKey, (i64, bool)>,
    lanes: FxHashMap<(i64, Arc<[String]>), i64>,
}

impl Numbers {
    fn known(&self) -> std::sync::MutexGuard<'_, Known> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Forgets everything: the database is not what it was.
    pub(crate) fn forget(&self) {
        *self.known() = Known::default();
    }

    /// The same, looked up whatever this process remembers.
    pub(crate) async fn looked_up(&self, conn: &mut PgConnection, definition: &Definition, placement: &Placement) -> Outcome<(i64, i64)> {
        self.forget();
        self.of(conn, definition, placement).await
    }

    /// The number of a definition, and of its lane for this placement. Who trusts it checks it in the statement that does.
    pub(crate) async fn of(&self, conn: &mut PgConnection, definition: &Definition, placement: &Placement) -> Outcome<(i64, i64)> {
        let definition = self.definition(conn, definition).await?;
        let key = (definition, Arc::clone(&placement.tags));
        if let Some(lane) = self.known().lanes.get(&key) {
            return Ok((definition, *lane));
        }
        let digest = key_of_tags(&placement.tags);
        let lane = add_lane(conn, definition, &digest, &placement.tags).await?;
        self.known().lanes.insert(key, lane);
        Ok((definition, lane))
    }

    async fn definition(&self, conn: &mut PgConnection, definition: &Definition) -> Outcome<i64> {
        let Definition { hash, name, version, document } = definition;
        let key = (*hash, Arc::clone(name), Arc::clone(version));
        if let Some((id, documented)) = self.known().definitions.get(&key)
            && (*documented || document.is_none())
        {
            return Ok(*id);
        }
        let (id, documented) = add_definition(conn, definition).await?;
        self.known().definitions.insert(key, (id, documented));
        Ok(id)
    }
}

/// Its number, and whether its document is kept. The first document that is given stays.
async fn add_definition(conn: &mut PgConnection, definition: &Definition) -> Outcome<(i64, bool)> {
    let Definition { hash, name, version, document } = definition;
    let key = digest([&**name, &**version]).to_vec();
    let document = document.as_deref().map(clean);
    let sql = "INSERT INTO definition (hash, key, name, version, document) VALUES ($1, $2, $3, $4, $5) ON CONFLICT (hash, key) DO UPDATE \
               SET document = excluded.document WHERE definition.document IS NULL AND excluded.document IS NOT NULL";
    let insert = sqlx::query(sql).bind(hash.as_bytes().as_slice()).bind(&key).bind(&**name).bind(&**version).bind(document);
    insert.execute(&mut *conn).await?;
    let sql = "SELECT id, document IS NOT NULL AS documented FROM definition WHERE hash = $1 AND key = $2";
    let row = sqlx::query(sql).bind(hash.as_bytes().as_slice()).bind(&key).fetch_one(conn).await?;
    Ok((row.try_get("id")?, row.try_get("documented")?))
}

async fn add_lane(conn: &mut PgConnection, definition: i64, key: &[u8], tags: &[String]) -> Outcome<i64> {
    let sql = "INSERT INTO lane (definition, key, tags) VALUES ($1, $2, $3) ON CONFLICT (definition, key) DO NOTHING";
    sqlx::query(sql).bind(definition).bind(key).bind(tags).execute(&mut *conn).await?;
    let row = sqlx::query("SELECT id FROM lane WHERE definition = $1 AND key = $2").bind(definition).bind(key).fetch_one(conn).await?;
    Ok(row.try_get("id")?)
}

/// Makes the lane of these tags beside the lane of this number: for the same definition.
pub(crate) async fn add_beside(conn: &mut PgConnection, lane: i64, tags: &[String]) -> Outcome<()> {
    let row = sqlx::query("SELECT definition FROM lane WHERE id = $1").bind(lane).fetch_optional(&mut *conn).await?;
    let row = row.ok_or_else(|| Fault::corrupt(format!("lane {lane} is missing")))?;
    add_lane(conn, row.try_get("definition")?, &key_of_tags(tags), tags).await.map(drop)
}

/// What was said of a definition, as text.
pub(crate) async fn document(tx: &mut Tx<'_>, hash: DefinitionHash) -> Outcome<Option<Arc<str>>> {
    let sql = "SELECT document FROM definition WHERE hash = $1 AND document IS NOT NULL ORDER BY id LIMIT 1";
    let row = sqlx::query(sql).bind(hash.as_bytes().as_slice()).fetch_optional(&mut *tx.conn).await?;
    row.as_ref().map_or(Ok(None), |row| maybe_text(row, "document"))
}
