//! Why transitions were refused, looked at in a statement that begins after the refusal: it sees whatever came in between.

use sayiir_persistence::CommitOutcome;
use sayiir_persistence::meet::refused;
use sqlx::Row;

use crate::commit::Member;
use crate::fault::{Fault, Outcome};
use crate::rows::db;
use crate::tx::Tx;

/// A refused writer first looks for its own row at the revision that it wanted: if it is there, it was accepted before.
pub(crate) const WHY: &str = "SELECT t.ord, j.run IS NOT NULL AS own, coalesce(i.run = t.run AND i.status > 0, false) AS present, \
     coalesce(i.status = 1, false) AS live, coalesce(b.lease = t.lease, false) AS held \
     FROM unnest($1::text[], $2::bigint[], $3::text[], $4::bigint[], $5::bigint[]) WITH ORDINALITY t (instance_id, run, branch, revision, lease, ord) \
     LEFT JOIN journal j ON j.run = t.run AND j.branch = t.branch AND j.revision = t.revision + 1 AND j.lease = t.lease \
     LEFT JOIN instance i ON i.instance_id = t.instance_id LEFT JOIN branch b ON b.run = t.run AND b.branch = t.branch ORDER BY t.ord";

/// The outcome of each refused member, in order.
pub(crate) async fn reasons(tx: &mut Tx<'_>, members: &[&Member]) -> Outcome<Vec<CommitOutcome>> {
    let ids: Vec<&str> = members.iter().map(|member| &*member.transition.instance_id).collect();
    let runs: Vec<i64> = members.iter().map(|member| db(member.transition.run.0)).collect();
    let branches: Vec<&str> = members.iter().map(|member| member.transition.branch.as_str()).collect();
    let revisions: Vec<i64> = members.iter().map(|member| db(member.transition.revision)).collect();
    let leases: Vec<i64> = members.iter().map(|member| db(member.lease.0)).collect();
    let asked = sqlx::query(WHY).bind(ids).bind(runs).bind(branches).bind(revisions).bind(leases);
    let rows = asked.fetch_all(&mut *tx.conn).await?;
    if rows.len() != members.len() {
        return Err(Fault::corrupt(format!("{} refused transitions have {} reasons", members.len(), rows.len())));
    }
    rows.iter().map(|row| outcome(|column| Ok(row.try_get(column)?))).collect()
}

fn outcome(is: impl Fn(&str) -> Outcome<bool>) -> Outcome<CommitOutcome> {
    Ok(refused(is("own")?, is("present")?.then_some(is("live")?), is("held")?))
}
