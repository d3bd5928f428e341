//! Definitions and lanes: the small numbers that stand for a definition, and for a definition with tags.

use std::sync::Arc;

use sayiir_core::DefinitionHash;
use sayiir_core::branch::Placement;
use sayiir_persistence::Definition;

use crate::fault::{Fault, Outcome};
use crate::tx::{Look, Tx, execute, first, rows};

/// Tags as one text: sorted, each behind a NUL, which no tag contains.
fn text(tags: &[String]) -> String {
    tags.iter().fold(String::new(), |text, tag| text + "\0" + tag)
}

pub(crate) fn tags(text: &str) -> Arc<[String]> {
    text.split('\0').skip(1).map(str::to_owned).collect()
}

/// The number of a definition.
pub(crate) fn definition(tx: &mut Tx, definition: &Definition) -> Outcome<i64> {
    let Definition { hash, name, version, document } = definition;
    let known = (*hash, Arc::clone(name), Arc::clone(version));
    if let Some((id, documented)) = tx.memo.definitions.get(&known)
        && (*documented || document.is_none())
    {
        return Ok(*id);
    }
    let (id, documented) = stored_definition(tx, definition)?;
    tx.memo.definitions.insert(known, (id, documented));
    Ok(id)
}

/// Its number, and whether its document is kept.
fn stored_definition(tx: &Tx, definition: &Definition) -> Outcome<(i64, bool)> {
    let Definition { hash, name, version, document } = definition;
    let sql = "SELECT id, document IS NOT NULL FROM definition WHERE hash = ?1 AND name = ?2 AND version = ?3";
    let known: Option<(i64, bool)> = first(&tx.conn, sql, (hash.as_bytes(), name, version), |row| Ok((row.get(0)?, row.get(1)?)))?;
    match (known, document) {
        (Some((id, false)), Some(document)) => {
            execute(&tx.conn, "UPDATE definition SET document = ?2 WHERE id = ?1", (id, document))?;
            Ok((id, true))
        }
        (Some(known), _) => Ok(known),
        (None, document) => {
            let sql = "INSERT INTO definition (hash, name, version, document) VALUES (?1, ?2, ?3, ?4)";
            execute(&tx.conn, sql, (hash.as_bytes(), name, version, document))?;
            Ok((tx.conn.last_insert_rowid(), document.is_some()))
        }
    }
}

/// What was said of a definition, as text.
pub(crate) fn document(look: Look<'_>, hash: DefinitionHash) -> Outcome<Option<Arc<str>>> {
    let sql = "SELECT document FROM definition WHERE hash = ?1 AND document IS NOT NULL ORDER BY id LIMIT 1";
    first(look.conn, sql, [hash.as_bytes()], |row| row.get(0))
}

/// The lane of a definition and tags.
pub(crate) fn lane(tx: &mut Tx, definition: i64, placement: &Placement) -> Outcome<i64> {
    let key = (definition, Arc::clone(&placement.tags));
    if let Some(lane) = tx.memo.lanes.get(&key) {
        return Ok(*lane);
    }
    let stored = text(&placement.tags);
    let known = first(&tx.conn, "SELECT id FROM lane WHERE definition = ?1 AND tags = ?2", (definition, &stored), |row| row.get(0))?;
    let lane = if let Some(lane) = known {
        lane
    } else {
        execute(&tx.conn, "INSERT INTO lane (definition, tags) VALUES (?1, ?2)", (definition, &stored))?;
        tx.conn.last_insert_rowid()
    };
    tx.memo.lane_keys.insert(lane, key.clone());
    tx.memo.lanes.insert(key, lane);
    Ok(lane)
}

/// The lane for a placement beside a branch of `known` lane: the same definition.
pub(crate) fn beside(tx: &mut Tx, known: i64, placement: &Placement) -> Outcome<i64> {
    let definition = if let Some((definition, tags)) = tx.memo.lane_keys.get(&known) {
        if *tags == placement.tags {
            return Ok(known);
        }
        *definition
    } else {
        let sql = "SELECT definition, tags FROM lane WHERE id = ?1";
        let found: Option<(i64, String)> = first(&tx.conn, sql, [known], |row| Ok((row.get(0)?, row.get(1)?)))?;
        let (definition, stored) = found.ok_or_else(|| Fault::corrupt(format!("lane {known} is missing")))?;
        let key = (definition, tags(&stored));
        tx.memo.lanes.insert(key.clone(), known);
        tx.memo.lane_keys.insert(known, key);
        definition
    };
    lane(tx, definition, placement)
}

/// The lanes of these definitions that a worker of these tags serves (no tags: all).
pub(crate) fn served(look: Look<'_>, hashes: &[DefinitionHash], served: &[String]) -> Outcome<Vec<i64>> {
    let sql = "SELECT l.id, l.tags FROM definition d JOIN lane l ON l.definition = d.id WHERE d.hash = ?1";
    let mut lanes = Vec::new();
    for hash in hashes {
        let found: Vec<(i64, String)> = rows(look.conn, sql, [hash.as_bytes()], |row| Ok((row.get(0)?, row.get(1)?)))?;
        let is_served = |stored: &str| served.is_empty() || tags(stored).iter().all(|tag| served.contains(tag));
        lanes.extend(found.into_iter().filter(|(_, stored)| is_served(stored)).map(|(id, _)| id));
    }
    lanes.sort_unstable();
    lanes.dedup();
    Ok(lanes)
}
