//! Writers that meet at the worst moment: one waits for the other's lock, with a snapshot from before. Each test holds a row,
//! waits until the server says that somebody waits for it, and lets go.

use std::sync::Arc;

use sayiir_core::branch::{BranchId, Head, LeaseId, Phase, Placement};
use sayiir_core::control::SignalRequest;
use sayiir_core::transition::{Child, EventGuard, Next, Wake};
use sayiir_persistence::{
    BranchView, CommitOutcome, ControlAction, ControlCommand, ControlOutcome, Refusal, SendOutcome, Store, StoreFuture,
};
use sayiir_pg_testserver::shared;
use sayiir_postgres::PostgresBackend;
use sayiir_store_testkit::wait;
use sqlx::PgConnection;

use crate::common::*;

struct Scene {
    store: PostgresBackend,
    lease: LeaseId,
    view: BranchView,
    /// Holds locks, and looks.
    holder: PgConnection,
    looker: PgConnection,
    schema: String,
}

fn scene() -> Scene {
    let schema = format!("skew_{}", fresh_schema());
    let store = open(options(&schema));
    let lease = session(&store);
    let view = start_leased(&store, "i", lease);
    let url = shared().unwrap().url();
    let (holder, looker) = (raw(&url, &schema), raw(&url, &schema));
    Scene { store, lease, view, holder, looker, schema }
}

impl Scene {
    /// Begins a transaction and takes a lock in it, or changes something.
    fn hold(&mut self, sql: &str) {
        execute(&mut self.holder, &format!("BEGIN; {sql}"));
    }

    /// Waits until so many statements of the store wait for locks.
    #[track_caller]
    fn until_waiting(&mut self, count: i64) {
        let sql = format!(
            "SELECT count(DISTINCT l.pid) FROM pg_locks l JOIN pg_stat_activity a USING (pid) WHERE NOT l.granted \
             AND a.application_name = 'sayiir' AND (SELECT bool_or(h.relation = '{}.instance'::regclass) FROM pg_locks h WHERE h.pid = l.pid)",
            self.schema
        );
        until(&mut self.looker, &sql, count);
    }

    fn let_go(&mut self) {
        execute(&mut self.holder, "COMMIT");
    }

    fn park(&self) -> StoreFuture<'static, Vec<CommitOutcome>> {
        let head = Head { node: Arc::from("w"), phase: Phase::Awaiting, ..self.view.head.clone() };
        let next = Next::Await { head, signal: Arc::from("go"), wake: None, placement: Placement::default() };
        let guard = EventGuard::NoneSince { mail: self.view.mail };
        self.commit(vec![transition(&self.view, Some(entry("w", "")), guard, next)])
    }

    fn fork(&self, children: usize) -> StoreFuture<'static, Vec<CommitOutcome>> {
        let head = Head { phase: Phase::Joining, fork_revision: self.view.revision + 1, ..self.view.head.clone() };
        let child = |_| Child { head: at("child", 1), placement: Placement::default() };
        let next = Next::Fork { head, children: (0..children).map(child).collect(), keep: children };
        self.commit(vec![transition(&self.view, Some(entry("f", "")), EventGuard::None, next)])
    }

    fn commit(&self, transitions: Vec<sayiir_core::transition::Transition>) -> StoreFuture<'static, Vec<CommitOutcome>> {
        let (store, lease) = (self.store.clone(), self.lease);
        let asked = RUNTIME.spawn(async move { store.commit(lease, transitions).await });
        Box::pin(async move { asked.await.unwrap() })
    }

    fn send(&self) -> StoreFuture<'static, SendOutcome> {
        let store = self.store.clone();
        let asked = RUNTIME.spawn(async move { store.put_event(event("i", "go", "p")).await });
        Box::pin(async move { asked.await.unwrap() })
    }

    fn control(&self, action: ControlAction) -> StoreFuture<'static, ControlOutcome> {
        let store = self.store.clone();
        let command = ControlCommand { instance_id: Arc::from("i"), action, request: SignalRequest::default() };
        let asked = RUNTIME.spawn(async move { store.control(command).await });
        Box::pin(async move { asked.await.unwrap() })
    }
}

const SEND: &str = "UPDATE instance SET mail = mail + 1 WHERE instance_id = 'i'; \
     INSERT INTO event SELECT run, 'go', mail, 1, 'p' FROM instance WHERE instance_id = 'i'; \
     UPDATE branch SET run_at = 1 WHERE awaits = 'go' AND lease IS NULL";

#[test]
fn parking_while_an_event_arrives_is_refused() {
    let mut scene = scene();
    scene.hold(SEND);
    let parked = scene.park();
    scene.until_waiting(1);
    scene.let_go();
    assert_eq!(wait(parked).unwrap(), [CommitOutcome::Refused(Refusal::Moved)]);
    let again = wait(scene.store.load(scene.lease, scene.view.run, vec![])).unwrap();
    assert_eq!((again[0].mail, again[0].events.len()), (1, 1), "who looks again sees the event");
}

#[test]
fn handing_back_a_waiter_while_its_event_arrives_makes_it_due() {
    let mut scene = scene();
    assert!(accepted(&wait(scene.park()).unwrap()));
    execute(&mut scene.holder, "UPDATE branch SET run_at = 1");
    let view = wait(scene.store.claim(everything(1, scene.lease))).unwrap().remove(0);
    scene.hold(SEND);
    let next = Next::Release { head: view.head.clone(), wake: Wake::AsStored, placement: Placement::default() };
    let handed_back = scene.commit(vec![transition(&view, None, EventGuard::None, next)]);
    scene.until_waiting(1);
    scene.let_go();
    assert!(accepted(&wait(handed_back).unwrap()));
    assert_eq!(wait(scene.store.claim(everything(1, scene.lease))).unwrap().len(), 1, "it is not asleep for ever");
}

#[test]
fn an_event_behind_a_park_that_it_waited_for_wakes_it() {
    let mut scene = scene();
    scene.hold("SELECT 1 FROM branch FOR UPDATE");
    let parked = scene.park();
    scene.until_waiting(1);
    let sent = scene.send();
    scene.until_waiting(2);
    scene.let_go();
    assert!(accepted(&wait(parked).unwrap()));
    assert_eq!(wait(sent).unwrap(), SendOutcome::Stored(1));
    assert_eq!(wait(scene.store.claim(everything(1, scene.lease))).unwrap().len(), 1, "the search for who waits came after the lock");
}

#[test]
fn an_event_goes_to_the_run_that_it_waited_for() {
    let mut scene = scene();
    assert!(accepted(&wait(scene.park()).unwrap()));
    // As a rewind does.
    scene.hold("UPDATE instance SET run = 1000, mail = 7; UPDATE branch SET run = 1000; UPDATE journal SET run = 1000");
    let sent = scene.send();
    scene.until_waiting(1);
    scene.let_go();
    assert_eq!(wait(sent).unwrap(), SendOutcome::Stored(8));
    assert_eq!(number(&mut scene.looker, "SELECT seq FROM event WHERE run = 1000"), 8);
    let woken = wait(scene.store.claim(everything(1, scene.lease))).unwrap();
    assert_eq!((woken.len(), woken[0].mail, woken[0].events.len()), (1, 8, 1));
}

#[test]
fn an_event_behind_a_delete_or_an_end_is_told_of_it() {
    let mut ended = scene();
    ended.hold("UPDATE instance SET status = 4; DELETE FROM branch");
    let sent = ended.send();
    ended.until_waiting(1);
    ended.let_go();
    assert!(matches!(wait(sent).unwrap(), SendOutcome::Finished(_)));
    let mut deleted = scene();
    deleted.hold("DELETE FROM branch; DELETE FROM instance");
    let sent = deleted.send();
    deleted.until_waiting(1);
    deleted.let_go();
    assert_eq!(wait(sent).unwrap(), SendOutcome::Stored(1), "the id is new");
    assert_eq!(number(&mut deleted.looker, "SELECT status::bigint FROM instance"), 0);
}

#[test]
fn a_cancel_takes_the_children_of_a_fork_that_it_waited_for() {
    let mut scene = scene();
    scene.hold("SELECT 1 FROM branch FOR UPDATE");
    let forked = scene.fork(3);
    scene.until_waiting(1);
    let cancelled = scene.control(ControlAction::Cancel);
    scene.until_waiting(2);
    scene.let_go();
    assert!(accepted(&wait(forked).unwrap()));
    assert_eq!(wait(cancelled).unwrap(), ControlOutcome::Applied);
    assert_eq!(number(&mut scene.looker, "SELECT count(*) FROM branch"), 0);
}

#[test]
fn a_fork_behind_a_cancel_is_refused() {
    let mut scene = scene();
    scene.hold("SELECT 1 FROM branch FOR UPDATE");
    let cancelled = scene.control(ControlAction::Cancel);
    scene.until_waiting(1);
    let forked = scene.fork(3);
    scene.until_waiting(2);
    scene.let_go();
    assert_eq!(wait(cancelled).unwrap(), ControlOutcome::Applied);
    assert_eq!(wait(forked).unwrap(), [CommitOutcome::Refused(Refusal::Ended)]);
    assert_eq!(number(&mut scene.looker, "SELECT count(*) FROM branch"), 0);
}

#[test]
fn children_that_end_in_two_statements_are_all_counted() {
    let mut scene = scene();
    assert!(accepted(&wait(scene.fork(3)).unwrap()));
    let children = wait(scene.store.load(scene.lease, scene.view.run, vec![])).unwrap();
    let end = |view: &BranchView| transition(view, Some(entry("child", "out")), EventGuard::None, Next::EndBranch);
    // Another process: its statements do not go through this one's committers.
    let other = open(options(&scene.schema));
    scene.hold("SELECT 1 FROM branch WHERE branch = '0' FOR UPDATE");
    let two = scene.commit(children[..2].iter().map(end).collect());
    let last = end(&children[2]);
    let (lease, store) = (scene.lease, other.clone());
    let one = RUNTIME.spawn(async move { store.commit(lease, vec![last]).await });
    scene.until_waiting(2);
    scene.let_go();
    let outcomes = [wait(two).unwrap(), wait(one).unwrap().unwrap()].concat();
    assert!(accepted(&outcomes), "{outcomes:?}");
    let readied = outcomes.iter().filter(|outcome| matches!(outcome, CommitOutcome::Accepted { at: _, readied_parent: Some(_) }));
    assert_eq!(readied.count(), 1, "the last of three readies the parent, once");
    assert_eq!(number(&mut scene.looker, "SELECT revision FROM branch WHERE pending = 0"), 3);
}

#[test]
fn a_pause_reaches_what_is_being_claimed() {
    let mut scene = scene();
    let heir = session(&scene.store);
    execute(&mut scene.holder, "UPDATE branch SET run_at = 1");
    scene.hold("SELECT 1 FROM branch FOR NO KEY UPDATE");
    let paused = scene.control(ControlAction::Pause);
    scene.until_waiting(1);
    assert_eq!(wait(scene.store.claim(everything(1, heir))).unwrap(), [], "what is locked is passed over");
    scene.let_go();
    assert_eq!(wait(paused).unwrap(), ControlOutcome::Applied);
    let taken = wait(scene.store.claim(everything(1, heir))).unwrap().remove(0);
    assert!(taken.paused && taken.revision == 3, "{taken:?}");
    assert_eq!(taken.branch, BranchId::root());
}
