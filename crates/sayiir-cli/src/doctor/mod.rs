//! `sayiir doctor`: looks for what is wrong with a store and the work in it, and says what to do.

mod finding;
mod look;
mod rows;

use std::time::Duration;

use clap::Args;
use console::Style;
use sayiir::core::time::Clock as _;
use sayiir::persistence::{SessionHealth, StoreHealth, SystemClock};
use serde::Serialize;

use crate::ending::{Ending, Failure, Verdict};
use crate::screen::{Cell, Screen, Table};
use crate::store::StoreArgs;
use crate::text::{clean, parse_duration, relative};
use finding::{Finding, Kind, Severity};

/// So many findings of one kind are told to people.
const OF_A_KIND: usize = 5;

/// Looks for what is wrong: work that nobody takes and why, workers that were lost, branches that cannot be read or lose their workers,
/// workers that come and go, a clock that is wrong.
///
/// Notices are for you to know; problems want something done.
#[derive(Args)]
#[command(after_long_help = "Exit status: 0 nothing is wrong, 1 there is a problem (or the store cannot be read), 2 wrong usage.

JSON: one object with ok, schema, now, clock_skew_seconds (how far the store's clock is ahead of this machine's), sessions (session, worker, host, \
pid, branches, seen_at, leased_until) and findings (severity: notice or problem, kind, instance_id, node, count, text, advice).")]
pub(crate) struct DoctorArgs {
    /// How long work may be due, or a worker gone, before it is a problem
    #[arg(long, value_name = "TIME", value_parser = parse_duration, default_value = "1m")]
    patience: Duration,

    /// Read the journal of every instance that has not ended, and look whether what it stands on is there; takes its time
    #[arg(long)]
    deep: bool,

    /// Print one JSON object
    #[arg(long)]
    json: bool,

    #[command(flatten)]
    store: StoreArgs,
}

#[derive(Serialize)]
struct ReportJson<'a> {
    ok: bool,
    schema: &'a str,
    now: String,
    clock_skew_seconds: f64,
    sessions: Vec<SessionJson<'a>>,
    findings: &'a [Finding],
}

#[derive(Serialize)]
struct SessionJson<'a> {
    session: u64,
    worker: &'a str,
    host: &'a str,
    pid: u32,
    branches: u64,
    seen_at: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    leased_until: Option<String>,
}

pub(crate) async fn run(args: &DoctorArgs) -> Verdict {
    let store = args.store.open().await?;
    let before = SystemClock.now();
    let health = store.client.backend().health().await?;
    let here = before + SystemClock.now().since(before) / 2;
    let stats = store.client.backend().stats().await?;

    let mut findings = look::skew(health.now, here);
    findings.extend(look::lanes(&health, args.patience));
    findings.extend(look::lapsed(&health, args.patience));
    findings.extend(look::branches(&health));
    findings.extend(look::sessions(&health));
    findings.extend(look::failed(&stats));
    if args.deep {
        findings.extend(rows::look(&store).await?);
    }
    // The worst first; the order within is that in which they were looked for.
    findings.sort_by_key(|finding| std::cmp::Reverse(finding.severity));

    let ok = findings.iter().all(|finding| finding.severity == Severity::Notice);
    let mut screen = Screen::new();
    if args.json {
        screen.json(&ReportJson {
            ok,
            schema: &health.schema,
            now: health.now.to_string(),
            clock_skew_seconds: look::seconds_ahead(health.now, here),
            sessions: health.sessions.iter().map(SessionJson::of).collect(),
            findings: &findings,
        })?;
    } else {
        text(&health, &findings, &mut screen)?;
    }
    screen.flush()?;
    Ok(if ok { Ending::Done } else { Ending::NotDone })
}

impl<'a> SessionJson<'a> {
    fn of(session: &'a SessionHealth) -> Self {
        let SessionHealth { lease, process, branches, seen_at, leased_until, ttl: _ } = session;
        Self {
            session: lease.0,
            worker: &process.worker_id,
            host: &process.host,
            pid: process.pid,
            branches: *branches,
            seen_at: seen_at.to_string(),
            leased_until: leased_until.map(|until| until.to_string()),
        }
    }
}

fn text(health: &StoreHealth, findings: &[Finding], screen: &mut Screen) -> Result<(), Failure> {
    screen.line(format!("store    {}, its time is {}", clean(&health.schema), crate::text::time(health.now)))?;
    let mut table = Table::new(&["WORKER", "HOST", "PID", "HOLDS", "SEEN", "LEASES END"], "WORKER");
    let shown = |session: &&SessionHealth| look::is_worker(session) && (session.branches > 0 || look::is_there(session, health.now));
    for session in health.sessions.iter().filter(shown) {
        table.row(vec![
            Cell::new(&session.process.worker_id),
            // Behind the name stands what tells it from others of that name.
            Cell::new(session.process.host.split('/').next().unwrap_or_default()),
            Cell::new(session.process.pid.to_string()),
            Cell::new(session.branches.to_string()),
            Cell::new(relative(session.seen_at, health.now)),
            Cell::new(session.leased_until.map_or_else(String::new, |until| relative(until, health.now))),
        ]);
    }
    if table.is_empty() {
        screen.line("workers  none was seen lately")?;
    } else {
        screen.line("")?;
        screen.table(&table)?;
        screen.line("")?;
    }
    let mut told: Vec<Kind> = Vec::new();
    for Finding { severity, kind, text, advice, .. } in findings {
        told.push(*kind);
        match told.iter().filter(|other| *other == kind).count() {
            0..=OF_A_KIND => {}
            // The advice of those before it holds for these.
            more if more == OF_A_KIND + 1 => {
                let all = findings.iter().filter(|finding| finding.kind == *kind).count();
                screen.line(format!("         and {} like these: --json names them", all - OF_A_KIND))?;
                continue;
            }
            _ => continue,
        }
        let (word, style) = match severity {
            Severity::Notice => ("notice ", Style::new().yellow()),
            Severity::Problem => ("PROBLEM", Style::new().red().bold()),
        };
        screen.line(format!("{}  {}", style.apply_to(word), clean(text)))?;
        screen.line(format!("         {}", clean(advice)))?;
    }
    if findings.is_empty() {
        screen.line(Style::new().green().apply_to("nothing is wrong").to_string())?;
    }
    Ok(())
}
