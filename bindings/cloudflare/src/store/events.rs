//! Events: stored under a rising number, kept in order by name, used once.

use std::sync::Arc;

use bytes::Bytes;
use sayiir_persistence::{NewEvent, SendOutcome};

use super::SqlStore;
use super::fault::{Fault, Outcome};
use crate::sql::{Value, statement};

impl SqlStore {
    pub(super) async fn send(self, event: NewEvent) -> Outcome<SendOutcome> {
        let NewEvent { instance_id, name, payload, key } = event;
        let now = self.now();
        let guard = "INSERT INTO sayiir_guard SELECT why FROM (SELECT CASE WHEN EXISTS (SELECT 1 FROM sayiir_event_key k \
                     WHERE k.run = i.run AND k.key = ?2) THEN 'duplicate' WHEN i.status > 1 THEN 'ended' END AS why \
                     FROM sayiir_instance i WHERE i.instance_id = ?1) WHERE why IS NOT NULL";
        let mut statements = vec![
            statement!(guard, &instance_id, key.as_ref()),
            // An id that nobody knows is one that only has events; its number becomes its first run's.
            statement!(
                "UPDATE sayiir_counter SET value = value + 1 WHERE name = 'run' \
                 AND NOT EXISTS (SELECT 1 FROM sayiir_instance WHERE instance_id = ?1)",
                &instance_id
            ),
            statement!(
                "INSERT INTO sayiir_instance (run, instance_id, status, created_at, updated_at) SELECT value, ?1, 0, ?2, ?2 \
                 FROM sayiir_counter WHERE name = 'run' AND NOT EXISTS (SELECT 1 FROM sayiir_instance WHERE instance_id = ?1)",
                &instance_id,
                now
            ),
            statement!("UPDATE sayiir_instance SET mail = mail + 1 WHERE instance_id = ?1 RETURNING mail", &instance_id),
            statement!(
                "INSERT INTO sayiir_event (run, name, seq, at, payload) SELECT run, ?2, mail, ?3, ?4 FROM sayiir_instance \
                 WHERE instance_id = ?1",
                &instance_id,
                &name,
                now,
                Value::payload(&payload)
            ),
            // Makes every free branch that awaits the event due; leased ones learn by the mail count.
            statement!(
                "UPDATE sayiir_branch SET run_at = ?3 WHERE run = (SELECT run FROM sayiir_instance WHERE instance_id = ?1 \
                 AND status = 1 AND paused = 0) AND awaits = ?2 AND lease IS NULL",
                &instance_id,
                &name,
                now
            ),
        ];
        if let Some(key) = &key {
            let sql = "INSERT INTO sayiir_event_key SELECT run, ?2 FROM sayiir_instance WHERE instance_id = ?1";
            statements.push(statement!(sql, &instance_id, key));
        }
        match self.batch(statements).await {
            Ok(mut answers) => {
                answers.skip(3);
                let row = answers.first()?.ok_or_else(|| Fault::corrupt("an event that was stored has no number"))?;
                self.wakeups().announce_due();
                self.wakeups().announce_instance(&instance_id);
                Ok(SendOutcome::Stored(row.columns().take()?))
            }
            Err(Fault::Guard(why)) if why == "duplicate" => Ok(SendOutcome::Duplicate),
            Err(Fault::Guard(_)) => match self.find(&instance_id).await? {
                Some(found) => Ok(SendOutcome::Finished(found.status())),
                None => Err(super::start::contended(&instance_id)),
            },
            Err(fault) => Err(fault),
        }
    }

    pub(super) async fn event(self, instance_id: Arc<str>, name: Arc<str>, seq: u64) -> Outcome<Option<Bytes>> {
        let sql = "SELECT e.payload FROM sayiir_instance i JOIN sayiir_event e ON e.run = i.run \
                   WHERE i.instance_id = ?1 AND e.name = ?2 AND e.seq = ?3";
        let rows = self.ask(statement!(sql, &instance_id, &name, seq)).await?;
        Ok(rows.first().map(|row| row.columns().take()).transpose()?)
    }

    pub(super) async fn take(self, instance_id: Arc<str>, name: Arc<str>) -> Outcome<Option<Bytes>> {
        let sql = "DELETE FROM sayiir_event WHERE (run, name, seq) = (SELECT e.run, e.name, e.seq FROM sayiir_instance i \
                   JOIN sayiir_event e ON e.run = i.run WHERE i.instance_id = ?1 AND e.name = ?2 ORDER BY e.seq LIMIT 1) RETURNING payload";
        let rows = self.ask(statement!(sql, &instance_id, &name)).await?;
        Ok(rows.first().map(|row| row.columns().take()).transpose()?)
    }
}
