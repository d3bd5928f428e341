//! Members as columns: each is one array parameter of a statement.

use sayiir_core::branch::{BranchId, Head, Placement};
use sayiir_core::transition::{EventGuard, Next, Transition, Wake};
use sqlx::Postgres;
use sqlx::postgres::PgArguments;
use sqlx::query::Query;

use crate::commit::Member;
use crate::ops::lanes::key_of_tags;
use crate::rows::{clean, db, micros, most};

type Asked<'q> = Query<'q, Postgres, PgArguments>;

fn small(number: u32) -> i32 {
    i32::try_from(number).unwrap_or(i32::MAX)
}

/// What every transition has.
#[derive(Default)]
struct Common<'a> {
    run: Vec<i64>,
    branch: Vec<&'a str>,
    revision: Vec<i64>,
    lease: Vec<i64>,
    kind: Vec<Option<i16>>,
    path: Vec<Option<&'a str>>,
    tries: Vec<i32>,
    output: Vec<Option<&'a [u8]>>,
    handed_on: Vec<Option<&'a [u8]>>,
    same_branch: Vec<Option<&'a str>>,
    same_revision: Vec<Option<i64>>,
    error: Vec<Option<String>>,
}

/// Where branches stand.
#[derive(Default)]
struct Heads<'a> {
    node: Vec<Option<&'a str>>,
    phase: Vec<Option<i16>>,
    attempt: Vec<Option<i32>>,
    input_branch: Vec<Option<&'a str>>,
    input_revision: Vec<Option<i64>>,
    fork_revision: Vec<Option<i64>>,
}

/// What only some kinds have.
#[derive(Default)]
struct Special<'a> {
    instance_id: Vec<&'a str>,
    next: Vec<i16>,
    mail: Vec<Option<i64>>,
    event: Vec<Option<&'a str>>,
    seq: Vec<Option<i64>>,
    held: Vec<bool>,
    wake: Vec<Option<i16>>,
    wait: Vec<Option<i64>>,
    signal: Vec<Option<&'a str>>,
    tags_key: Vec<Option<Vec<u8>>>,
    priority: Vec<Option<i16>>,
    parent: Vec<Option<String>>,
}

/// The children of forks.
#[derive(Default)]
struct Children<'a> {
    ord: Vec<i64>,
    branch: Vec<String>,
    heads: Heads<'a>,
    tags_key: Vec<Vec<u8>>,
    priority: Vec<i16>,
    keep: Vec<bool>,
}

impl<'a> Common<'a> {
    fn push(&mut self, member: &'a Member) {
        let Transition { instance_id: _, run, branch, revision, entry, guard: _, held: _, next: _ } = &member.transition;
        self.run.push(db(run.0));
        self.branch.push(branch.as_str());
        self.revision.push(db(*revision));
        self.lease.push(db(member.lease.0));
        let entry = entry.as_ref();
        let (output, handed_on, same) = entry.map_or((None, None, None), |entry| entry.output.parts());
        self.kind.push(entry.map(|entry| i16::from(entry.kind.as_u8())));
        self.path.push(entry.map(|entry| &*entry.node));
        self.tries.push(entry.map_or(0, |entry| small(entry.attempt)));
        self.output.push(output.map(AsRef::as_ref));
        self.handed_on.push(handed_on.map(AsRef::as_ref));
        self.same_branch.push(same.map(|row| row.branch.as_str()));
        self.same_revision.push(same.map(|row| db(row.revision)));
        self.error.push(entry.and_then(|entry| entry.error.as_deref()).map(|text| clean(text).into_owned()));
    }

    fn bind<'q>(self, asked: Asked<'q>) -> Asked<'q>
    where
        'a: 'q,
    {
        let Self { run, branch, revision, lease, kind, path, tries, output, handed_on, same_branch, same_revision, error } = self;
        let asked = asked.bind(run).bind(branch).bind(revision).bind(lease).bind(kind).bind(path).bind(tries);
        asked.bind(output).bind(handed_on).bind(same_branch).bind(same_revision).bind(error)
    }
}

impl<'a> Heads<'a> {
    fn push(&mut self, head: Option<&'a Head>) {
        self.node.push(head.map(|head| &*head.node));
        self.phase.push(head.map(|head| i16::from(head.phase.as_u8())));
        self.attempt.push(head.map(|head| small(head.attempt)));
        self.input_branch.push(head.map(|head| head.input.branch.as_str()));
        self.input_revision.push(head.map(|head| db(head.input.revision)));
        self.fork_revision.push(head.map(|head| db(head.fork_revision)));
    }

    fn bind<'q>(self, asked: Asked<'q>) -> Asked<'q>
    where
        'a: 'q,
    {
        let Self { node, phase, attempt, input_branch, input_revision, fork_revision } = self;
        asked.bind(node).bind(phase).bind(attempt).bind(input_branch).bind(input_revision).bind(fork_revision)
    }
}

/// A kind of transition as the statement numbers it, its head, when it is due, what it awaits and who may take it.
struct Parts<'a> {
    next: i16,
    head: Option<&'a Head>,
    wake: Option<Wake>,
    signal: Option<&'a str>,
    placement: Option<&'a Placement>,
}

fn parts_of(next: &Next) -> Parts<'_> {
    let plain = |next, head| Parts { next, head, wake: None, signal: None, placement: None };
    match next {
        Next::Run { head } => plain(0, Some(head)),
        Next::Release { head, wake, placement } => Parts { wake: Some(*wake), placement: Some(placement), ..plain(1, Some(head)) },
        Next::Await { head, signal, wake, placement } => {
            Parts { wake: *wake, signal: Some(signal), placement: Some(placement), ..plain(2, Some(head)) }
        }
        Next::Fork { head, children: _, keep: _ } => plain(3, Some(head)),
        Next::EndBranch => plain(4, None),
        Next::Finish => plain(5, None),
        // Has a transaction of its own, and never comes here.
        Next::Fail { head } => plain(6, Some(head)),
    }
}

impl<'a> Special<'a> {
    fn push(&mut self, transition: &'a Transition, parts: &Parts<'a>) {
        let Transition { instance_id, run: _, branch, revision: _, entry: _, guard, held, next: _ } = transition;
        let (mail, event, seq) = match guard {
            EventGuard::None => (None, None, None),
            EventGuard::NoneSince { mail } => (Some(db(*mail)), None, None),
            EventGuard::Use { name, seq } => (None, Some(&**name), Some(db(*seq))),
        };
        let (wake, wait) = match parts.wake {
            None => (None, None),
            Some(Wake::Now) => (Some(0), None),
            Some(Wake::After(delay)) => (Some(1), Some(micros(delay))),
            Some(Wake::AsStored) => (Some(2), None),
        };
        self.instance_id.push(instance_id);
        self.next.push(parts.next);
        self.mail.push(mail);
        self.event.push(event);
        self.seq.push(seq);
        self.held.push(*held);
        self.wake.push(wake);
        self.wait.push(wait);
        self.signal.push(parts.signal);
        self.tags_key.push(parts.placement.map(|placement| key_of_tags(&placement.tags).to_vec()));
        self.priority.push(parts.placement.map(|placement| i16::from(placement.priority.as_u8())));
        self.parent.push(branch.parent().filter(|_| parts.next == 4).as_ref().map(|parent: &BranchId| parent.as_str().to_owned()));
    }

    fn bind<'q>(self, asked: Asked<'q>) -> Asked<'q>
    where
        'a: 'q,
    {
        let Self { instance_id, next, mail, event, seq, held, wake, wait, signal, tags_key, priority, parent } = self;
        let asked = asked.bind(instance_id).bind(next).bind(mail).bind(event).bind(seq).bind(held).bind(wake).bind(wait);
        asked.bind(signal).bind(tags_key).bind(priority).bind(parent)
    }
}

impl<'a> Children<'a> {
    fn push(&mut self, ord: i64, transition: &'a Transition) {
        let Next::Fork { head: _, children, keep } = &transition.next else { return };
        for (number, child) in children.iter().enumerate() {
            self.ord.push(ord);
            self.branch.push(transition.branch.child(transition.revision + 1, number).as_str().to_owned());
            self.heads.push(Some(&child.head));
            self.tags_key.push(key_of_tags(&child.placement.tags).to_vec());
            self.priority.push(i16::from(child.placement.priority.as_u8()));
            self.keep.push(number < *keep);
        }
    }

    fn bind<'q>(self, asked: Asked<'q>) -> Asked<'q>
    where
        'a: 'q,
    {
        let Self { ord, branch, heads, tags_key, priority, keep } = self;
        heads.bind(asked.bind(ord).bind(branch)).bind(tags_key).bind(priority).bind(keep)
    }
}

pub(crate) const FAST: &str = include_str!("../sql/commit_fast.sql");
pub(crate) const FULL: &str = include_str!("../sql/commit_full.sql");

/// The statement that applies these members, which are in the order of locks.
pub(crate) fn statement<'a>(given: Option<i64>, members: &[&'a Member]) -> Asked<'a> {
    let plain = members.iter().all(|member| member.is_plain());
    let (mut common, mut heads, mut special, mut children) = (Common::default(), Heads::default(), Special::default(), Children::default());
    for (ord, member) in (1..).zip(members) {
        let parts = parts_of(&member.transition.next);
        common.push(member);
        heads.push(parts.head);
        if !plain {
            special.push(&member.transition, &parts);
            children.push(ord, &member.transition);
        }
    }
    let asked = sqlx::query(if plain { FAST } else { FULL }).bind(given).bind(most(members.len()));
    let asked = heads.bind(common.bind(asked));
    if plain { asked } else { children.bind(special.bind(asked)) }
}
