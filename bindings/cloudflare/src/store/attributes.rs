//! Search attributes: written with a start or by a task, found by the list.

use std::sync::Arc;

use sayiir_core::attribute::{AttributeValue, SearchAttributes};
use sayiir_core::branch::{BranchId, LeaseId, RunNumber};
use sayiir_persistence::{StoreError, door};

use super::SqlStore;
use super::fault::{Fault, Outcome};
use crate::sql::statement;

/// An attribute as JSON: name, kind, number, text.
type Told = (Arc<str>, u8, Option<i64>, Option<Arc<str>>);

/// Integers of this size and above are not exact in JavaScript, through which they pass.
const TOO_LARGE: u64 = 1 << 53;

/// What JavaScript's numbers add to the door.
pub(super) fn check(attributes: &SearchAttributes) -> Result<(), StoreError> {
    for (name, value) in attributes {
        if value.as_number().is_some_and(|number| number.unsigned_abs() >= TOO_LARGE) {
            let reason = format!("the search attribute {name:?} is {value}: integers of 2^53 and above do not pass through JavaScript");
            return Err(StoreError::misused(reason));
        }
    }
    Ok(())
}

/// Attributes as one parameter of a statement.
pub(super) fn as_json(attributes: &SearchAttributes) -> String {
    let told: Vec<Told> = attributes.iter().map(|(name, value)| told(name, value)).collect();
    serde_json::to_string(&told).unwrap_or_default()
}

fn told(name: &Arc<str>, value: &AttributeValue) -> Told {
    let text = if let AttributeValue::Text(text) = value { Some(Arc::clone(text)) } else { None };
    (Arc::clone(name), value.type_number(), value.as_number(), text)
}

/// Attributes as a list of instances tells them; null is none.
pub(super) fn from_json(json: Option<&str>) -> Outcome<SearchAttributes> {
    let told: Vec<Told> = serde_json::from_str(json.unwrap_or("[]")).map_err(|_| Fault::corrupt("search attributes are no list"))?;
    let mut known = SearchAttributes::new();
    for (name, kind, number, text) in told {
        let value = AttributeValue::from_stored(kind, number, text);
        known.insert(name, value.ok_or_else(|| Fault::corrupt("a search attribute is of a type that this build does not know"))?);
    }
    Ok(known)
}

impl SqlStore {
    /// Sets attributes for the task of a branch, if its lease is still held.
    pub(super) async fn set_attributes(self, lease: LeaseId, run: RunNumber, branch: BranchId, set: SearchAttributes) -> Outcome<bool> {
        let held = "INSERT INTO sayiir_guard SELECT 'moved' WHERE NOT EXISTS \
                    (SELECT 1 FROM sayiir_branch WHERE run = ?1 AND branch = ?2 AND lease = ?3)";
        let put = "INSERT OR REPLACE INTO sayiir_attribute (run, name, kind, number, text) \
                   SELECT ?1, value ->> 0, value ->> 1, value ->> 2, value ->> 3 FROM json_each(?2)";
        // What was put is undone with the transaction.
        let few = "INSERT INTO sayiir_guard SELECT 'known' WHERE (SELECT count(*) FROM sayiir_attribute WHERE run = ?1) > ?2";
        let most = self.limits().attributes;
        let statements = vec![statement!(held, run, &branch, lease), statement!(put, run, as_json(&set)), statement!(few, run, most)];
        match self.batch(statements).await {
            Ok(_) => Ok(true),
            Err(Fault::Guard(why)) if why == "moved" => Ok(false),
            Err(Fault::Guard(why)) if why == "known" => {
                let refused = door::check_attribute_count(self.limits(), most + 1, || format!("the instance of run {run}"));
                refused.map_err(Fault::Store).map(|()| false)
            }
            Err(fault) => Err(fault),
        }
    }
}
