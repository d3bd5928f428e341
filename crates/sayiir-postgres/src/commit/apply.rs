//! One batch: its statement, and what each member is told.
//!
//! Invariant: an error of the statement means that nothing of the batch was written, or that nobody knows (the connection
//! was lost). What is known not to be written is tried again, where that can help.

use std::collections::BTreeMap;

use sayiir_core::branch::{BranchId, LeaseId, RunNumber};
use sayiir_core::time::Timestamp;
use sayiir_core::transition::{Next, Transition};
use sayiir_persistence::{BranchView, CommitOutcome, StoreError};
use sqlx::Row;

use crate::commit::{Member, columns, fail, refusal};
use crate::fault::{Outcome, Remedy};
use crate::ops::{lanes, views};
use crate::rows::code;
use crate::tx::{News, Tx};

/// How often a batch is run again where other transactions were in its way.
const TRIES: u32 = 20;

/// What a member is told.
pub(crate) type Told = Result<CommitOutcome, StoreError>;

/// Applies members of different branches; tells each, in order.
pub(crate) async fn apply(tx: &mut Tx<'_>, members: &[&Member]) -> Vec<Told> {
    match together(tx, members).await {
        Ok(told) => told,
        Err(fault) if fault.remedy() == Remedy::OneByOne && members.len() > 1 => {
            let mut told = Vec::with_capacity(members.len());
            for member in members {
                told.extend(together(tx, &[member]).await.unwrap_or_else(|fault| vec![Err(fault.into_store_error())]));
            }
            told
        }
        Err(fault) => {
            let error = fault.into_store_error();
            members.iter().map(|_| Err(error.again())).collect()
        }
    }
}

async fn together(tx: &mut Tx<'_>, members: &[&Member]) -> Outcome<Vec<Told>> {
    let mut tries = 0;
    loop {
        tries += 1;
        let done = match members {
            [member] if member.is_failure() => fail::apply(tx, member).await.map(|outcome| vec![Ok(outcome)]),
            _ => in_order(tx, members).await,
        };
        match done {
            Err(fault) if fault.remedy() == Remedy::Again && tries < TRIES => {}
            done => return done,
        }
    }
}

/// Sends the members in the order in which their rows are locked.
async fn in_order(tx: &mut Tx<'_>, members: &[&Member]) -> Outcome<Vec<Told>> {
    let mut order: Vec<usize> = (0..members.len()).collect();
    let key = |index: &usize| members.get(*index).map(|member| (member.transition.run, &member.transition.branch));
    order.sort_by(|a, b| key(a).cmp(&key(b)));
    let sorted: Vec<&Member> = order.iter().filter_map(|index| members.get(*index).copied()).collect();
    let mut told: Vec<(usize, Told)> = order.into_iter().zip(statement(tx, &sorted).await?).collect();
    told.sort_by_key(|(index, _)| *index);
    Ok(told.into_iter().map(|(_, told)| told).collect())
}

/// What the statement says of one member.
#[derive(Debug, Clone, Copy)]
enum Verdict {
    Accepted {
        at: Timestamp,
        readied: bool,
    },
    /// It wants a lane beside this one that does not exist yet.
    LaneMissing {
        beside: i64,
    },
    ParentMissing,
    Refused,
}

async fn statement(tx: &mut Tx<'_>, members: &[&Member]) -> Outcome<Vec<Told>> {
    let mut verdicts = ask(tx, members).await?;
    add_lanes(tx, members, &mut verdicts).await?;
    let mut parents = readied_parents(tx, members, &verdicts).await;
    let refused: Vec<&Member> =
        members.iter().zip(&verdicts).filter(|(_, verdict)| matches!(verdict, Verdict::Refused)).map(|(member, _)| *member).collect();
    let mut reasons = reasons(tx, &refused).await.into_iter();
    let mut told = Vec::with_capacity(members.len());
    for (member, verdict) in members.iter().zip(verdicts) {
        told.push(match verdict {
            Verdict::Accepted { at, readied } => {
                announce(&mut tx.news, &member.transition);
                let parent = if readied { parents.remove(&key_of_parent(member)) } else { None };
                match parent {
                    // It is written; whoever asks again is told so.
                    Some(Err(error)) => Err(error),
                    Some(Ok(view)) => Ok(CommitOutcome::Accepted { at, readied_parent: Some(Box::new(view)) }),
                    None => Ok(CommitOutcome::Accepted { at, readied_parent: None }),
                }
            }
            Verdict::ParentMissing | Verdict::LaneMissing { .. } => Err(contradiction(&member.transition)),
            Verdict::Refused => {
                let reason = reasons.next().unwrap_or_else(|| Err(contradiction(&member.transition)));
                if matches!(reason, Ok(CommitOutcome::AlreadyAccepted)) {
                    // Who wrote it may have been lost before it said so.
                    announce(&mut tx.news, &member.transition);
                }
                reason
            }
        });
    }
    Ok(told)
}

fn contradiction(transition: &Transition) -> StoreError {
    let Transition { instance_id, run, branch, .. } = transition;
    let reason = format!("no parent waits for branch {branch} of run {run} of instance {instance_id:?}, or its lane is gone");
    StoreError::corrupt(reason)
}

async fn ask(tx: &mut Tx<'_>, members: &[&Member]) -> Outcome<Vec<Verdict>> {
    let rows = columns::statement(tx.given(), members).fetch_all(&mut *tx.conn).await?;
    let mut verdicts = vec![Verdict::Refused; members.len()];
    for row in rows {
        let ord: i64 = row.try_get("ord")?;
        let verdict = match code(&row, "verdict", Some)? {
            0 => Verdict::Accepted { at: crate::rows::time(&row, "at")?, readied: row.try_get("readied")? },
            1 => Verdict::LaneMissing { beside: row.try_get("lane")? },
            2 => Verdict::ParentMissing,
            _ => Verdict::Refused,
        };
        if let Some(place) = usize::try_from(ord - 1).ok().and_then(|index| verdicts.get_mut(index)) {
            *place = verdict;
        }
    }
    Ok(verdicts)
}

/// Makes the lanes that are missing, and asks again for those that wanted them.
async fn add_lanes(tx: &mut Tx<'_>, members: &[&Member], verdicts: &mut [Verdict]) -> Outcome<()> {
    let mut waiting = Vec::new();
    for (index, (member, verdict)) in members.iter().zip(verdicts.iter()).enumerate() {
        if let Verdict::LaneMissing { beside } = verdict {
            for tags in tags_of(&member.transition.next) {
                lanes::add_beside(tx.conn, *beside, tags).await?;
            }
            waiting.push((index, *member));
        }
    }
    if waiting.is_empty() {
        return Ok(());
    }
    let again: Vec<&Member> = waiting.iter().map(|(_, member)| *member).collect();
    for ((index, _), verdict) in waiting.iter().zip(ask(tx, &again).await?) {
        if let Some(place) = verdicts.get_mut(*index) {
            *place = verdict;
        }
    }
    Ok(())
}

fn tags_of(next: &Next) -> Vec<&[String]> {
    match next {
        Next::Release { head: _, wake: _, placement } | Next::Await { head: _, signal: _, wake: _, placement } => vec![&*placement.tags],
        Next::Fork { head: _, children, keep: _ } => {
            let mut tags: Vec<&[String]> = children.iter().map(|child| &*child.placement.tags).collect();
            tags.sort_unstable();
            tags.dedup();
            tags
        }
        Next::Run { .. } | Next::EndBranch | Next::Finish | Next::Fail { .. } => Vec::new(),
    }
}

type Readied = BTreeMap<(LeaseId, RunNumber, BranchId), Result<BranchView, StoreError>>;

fn key_of_parent(member: &Member) -> (LeaseId, RunNumber, BranchId) {
    let Transition { run, branch, .. } = &member.transition;
    (member.lease, *run, branch.parent().unwrap_or_else(BranchId::control))
}

/// Reads the parents that were readied. One that was taken away again meanwhile is not there.
async fn readied_parents(tx: &mut Tx<'_>, members: &[&Member], verdicts: &[Verdict]) -> Readied {
    let mut keys: BTreeMap<LeaseId, Vec<(RunNumber, BranchId)>> = BTreeMap::new();
    for (member, verdict) in members.iter().zip(verdicts) {
        if matches!(verdict, Verdict::Accepted { at: _, readied: true }) {
            let (lease, run, parent) = key_of_parent(member);
            keys.entry(lease).or_default().push((run, parent));
        }
    }
    let mut readied = Readied::new();
    for (lease, keys) in keys {
        match views::of_keys(tx, lease, &keys).await {
            Ok(seen) => {
                for seen in seen {
                    let (run, branch, view) = match seen {
                        Ok(view) => (view.run, view.branch.clone(), Ok(view)),
                        Err((run, branch, fault)) => (run, branch, Err(fault.into_store_error())),
                    };
                    readied.insert((lease, run, branch), view);
                }
            }
            Err(fault) => {
                let error = fault.into_store_error();
                readied.extend(keys.into_iter().map(|(run, branch)| ((lease, run, branch), Err(error.again()))));
            }
        }
    }
    readied
}

async fn reasons(tx: &mut Tx<'_>, refused: &[&Member]) -> Vec<Told> {
    if refused.is_empty() {
        return Vec::new();
    }
    match refusal::reasons(tx, refused).await {
        Ok(outcomes) => outcomes.into_iter().map(Ok).collect(),
        Err(fault) => {
            let error = fault.into_store_error();
            refused.iter().map(|_| Err(error.again())).collect()
        }
    }
}

/// What others want to know of an accepted transition.
fn announce(news: &mut News, transition: &Transition) {
    let Transition { instance_id, run: _, branch: _, revision: _, entry: _, guard: _, held, next } = transition;
    match next {
        Next::Run { .. } | Next::EndBranch | Next::Fail { .. } => {}
        Next::Release { .. } | Next::Await { .. } => {
            news.due |= !held;
            news.instance(instance_id);
        }
        Next::Fork { head: _, children, keep } => news.due |= !held && *keep < children.len(),
        Next::Finish => news.instance(instance_id),
    }
}
