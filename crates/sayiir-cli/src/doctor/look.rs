//! What a store's own account of its health comes to: pure functions of it.

use std::collections::BTreeMap;
use std::time::Duration;

use sayiir::core::branch::LeaseId;
use sayiir::core::time::Timestamp;
use sayiir::persistence::{BranchHealth, LaneHealth, SessionHealth, StoreHealth, StoreStats};

use super::finding::{Finding, Kind};
use crate::text::{count, one_unit};

/// A worker that was not seen for so long is gone: stores mark it at most every ten minutes.
const GONE: Duration = Duration::from_mins(11);

/// Clocks that differ by less are as good as the same.
const SKEW: f64 = 2.0;

/// So many sessions of one host, and all but a few of them without work, are workers that come and go.
const CHURN: usize = 20;

/// Whether a session is that of a worker, and not of one call of a client.
pub(super) const fn is_worker(session: &SessionHealth) -> bool {
    session.process.pid != 0
}

/// Whether it holds work, or was seen lately. One whose leases have ended is gone.
pub(super) fn is_there(session: &SessionHealth, now: Timestamp) -> bool {
    let holds = session.leased_until.filter(|_| session.branches > 0);
    is_worker(session) && holds.map_or_else(|| now.since(session.seen_at) < GONE, |until| until > now)
}

/// How far the store's clock is ahead of this machine's.
#[allow(clippy::cast_precision_loss, reason = "a difference of clocks")]
pub(super) fn seconds_ahead(store: Timestamp, here: Timestamp) -> f64 {
    (store.as_micros() - here.as_micros()) as f64 / 1e6
}

/// A store's clock that is not this machine's.
pub(super) fn skew(store: Timestamp, here: Timestamp) -> Vec<Finding> {
    let ahead = seconds_ahead(store, here);
    if ahead.abs() < SKEW {
        return Vec::new();
    }
    let direction = if ahead > 0.0 { "ahead of" } else { "behind" };
    let text = format!("the store's clock is {} {direction} this machine's", one_unit(Duration::from_secs_f64(ahead.abs())));
    let advice =
        "all times are the store's; if its clock is wrong, timers fire early or late and leases end so: set the clock of its machine right";
    vec![Finding::problem(Kind::ClockSkew, text, advice)]
}

/// Due work that nobody takes.
pub(super) fn lanes(health: &StoreHealth, patience: Duration) -> Vec<Finding> {
    let there = health.sessions.iter().filter(|session| is_there(session, health.now)).count();
    let waits = health.lanes.iter().filter(|lane| lane.oldest > patience);
    waits.map(|lane| not_taken(lane, there)).collect()
}

fn not_taken(lane: &LaneHealth, workers: usize) -> Finding {
    let LaneHealth { definition, tags, due, oldest, leased, holders } = lane;
    let hash: String = definition.hash.to_string().chars().take(12).collect();
    let name = if definition.name.is_empty() { "a saved snapshot".to_owned() } else { format!("{:?}", definition.name) };
    let version = if definition.version.is_empty() { String::new() } else { format!(" version {}", definition.version) };
    let tagged = if tags.is_empty() { String::new() } else { format!(", tags {}", tags.join(" ")) };
    let branches = number(*due, "branch", "branches");
    let what = format!("{branches} of {name}{version}{tagged} could be taken, the first of them for {}", one_unit(*oldest));
    if *leased > 0 {
        let serve = number(*holders, "worker that serves them holds", "workers that serve them hold");
        let advice = "they have more to do than they can: start more workers, or let each do more at a time (max_concurrent_tasks)";
        let text = format!("{what}; {serve} {}", number(*leased, "other", "others"));
        return Finding::problem(Kind::Overload, text, advice).count(*due);
    }
    if workers == 0 {
        let advice = if definition.name.is_empty() { of_snapshots(&hash) } else { "start a worker on this store".to_owned() };
        return Finding::problem(Kind::NoWorker, format!("{what}; no worker was seen lately"), advice).count(*due);
    }
    let there = count(workers, "worker was", "workers were");
    let mut reasons = Vec::new();
    if !tags.is_empty() {
        reasons.push(format!("perhaps none of them serves the tags {}", tags.join(" ")));
    }
    reasons.push(if definition.name.is_empty() {
        of_snapshots(&hash)
    } else {
        format!("perhaps none of them has this definition ({hash}..), of an older version or of a build that is not deployed")
    });
    reasons.push("they hold nothing of it now: if they serve it, other work comes first".to_owned());
    Finding::problem(Kind::NotTaken, format!("{what}, though {there} seen lately"), reasons.join("; ")).count(*due)
}

fn of_snapshots(hash: &str) -> String {
    format!("a snapshot names no workflow: it is for workers whose workflow has the definition {hash}.., or for the program that saved it")
}

fn number(number: u64, one: &str, more: &str) -> String {
    count(usize::try_from(number).unwrap_or(usize::MAX), one, more)
}

/// Workers that are gone with what they held.
pub(super) fn lapsed(health: &StoreHealth, patience: Duration) -> Vec<Finding> {
    let mut workers: BTreeMap<Option<LeaseId>, (&BranchHealth, u64)> = BTreeMap::new();
    for branch in &health.lapsed {
        workers.entry(branch.lease).or_insert((branch, 0)).1 += 1;
    }
    let found = workers.into_iter().map(|(lease, (first, listed))| {
        let session = health.sessions.iter().find(|session| Some(session.lease) == lease);
        let name = session.map_or_else(|| "a worker".to_owned(), |session| format!("worker {}", session.process.worker_id));
        let held = session.map_or(listed, |session| session.branches.max(listed));
        let gone = first.run_at.map_or(Duration::ZERO, |at| health.now.since(at));
        let branches = number(held, "branch", "branches");
        let text = format!("{name} is gone for {}, and nobody took over {branches}, of {} first", one_unit(gone), place(first));
        let advice = format!("a worker that serves their workflows takes over by itself; {} says more", show(first));
        let finding = if gone > patience {
            Finding::problem(Kind::LapsedLease, text, advice)
        } else {
            Finding::notice(Kind::LapsedLease, text, advice)
        };
        finding.at(&first.instance_id, &first.node).count(held)
    });
    found.collect()
}

/// Branches that lost their workers again and again, or cannot be read.
pub(super) fn branches(health: &StoreHealth) -> Vec<Finding> {
    let mut findings = Vec::new();
    for branch in &health.crashed {
        let lost = count(branch.crashes as usize, "worker was", "workers were");
        let text = format!("{}: {lost} lost there in a row", place(branch));
        let advice =
            format!("its task may bring its process down (memory, a crash in native code); it fails after some more; {}", show(branch));
        let finding =
            if branch.crashes > 1 { Finding::problem(Kind::Crashes, text, advice) } else { Finding::notice(Kind::Crashes, text, advice) };
        findings.push(finding.at(&branch.instance_id, &branch.node).count(u64::from(branch.crashes)));
    }
    for branch in &health.set_aside {
        let text = format!("{}: a worker could not read it, and set it aside", place(branch));
        let advice = format!("the worker's log says why; `sayiir rewind {} --to NODE` begins anew before it", branch.instance_id);
        findings.push(Finding::problem(Kind::SetAside, text, advice).at(&branch.instance_id, &branch.node));
    }
    findings
}

fn place(branch: &BranchHealth) -> String {
    format!("{} at {}", branch.instance_id, branch.node)
}

fn show(branch: &BranchHealth) -> String {
    format!("`sayiir show {}`", branch.instance_id)
}

/// Workers that come and go.
pub(super) fn sessions(health: &StoreHealth) -> Vec<Finding> {
    let mut hosts: BTreeMap<&str, (usize, usize)> = BTreeMap::new();
    for session in health.sessions.iter().filter(|session| is_worker(session) && health.now.since(session.seen_at) < GONE) {
        let (all, idle) = hosts.entry(&session.process.host).or_default();
        *all += 1;
        *idle += usize::from(session.branches == 0);
    }
    let churning = hosts.into_iter().filter(|(_, (all, idle))| *all >= CHURN && all - idle < all / 4);
    let found = churning.map(|(host, (all, idle))| {
        let text = format!("{all} workers of {host} were seen in the last minutes, and {idle} of them hold nothing");
        let advice = "if they are not one program's many workers, they may be one that is started again and again: look at its log";
        Finding::notice(Kind::Churn, text, advice).count(all as u64)
    });
    found.collect()
}

/// Instances that failed.
pub(super) fn failed(stats: &StoreStats) -> Vec<Finding> {
    let failed: u64 = stats.workflows.iter().map(|workflow| workflow.failed).sum();
    if failed == 0 {
        return Vec::new();
    }
    let have = if failed == 1 { "instance has failed".to_owned() } else { "instances have failed".to_owned() };
    let advice = "`sayiir list --status failed` names them; `sayiir retry` sets them going again";
    vec![Finding::notice(Kind::Failed, format!("{failed} {have}"), advice).count(failed)]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_clock_is_wrong_if_it_is_off_by_more_than_a_moment() {
        let here = Timestamp::from_micros(1_000_000_000);
        assert_eq!(skew(here + Duration::from_millis(1_900), here), []);
        let ahead = skew(here + Duration::from_mins(5), here);
        assert!(ahead.iter().all(|finding| finding.text == "the store's clock is 5m ahead of this machine's"), "{ahead:?}");
        let behind = skew(here, here + Duration::from_hours(3));
        assert!(behind.iter().all(|finding| finding.text.contains("3h behind")), "{behind:?}");
        assert_eq!((ahead.len(), behind.len()), (1, 1));
    }
}
