//! `sayiir demo`: real webhooks through durable workflows.

mod args;
mod audit;
mod counting;
mod digest;
mod drive;
mod family;
mod files;
mod flow;
mod input;
mod progress;
mod report;
mod run_log;
mod summary;
mod values;
mod webhook;

use std::io::Write as _;
use std::process::ExitCode;
use std::sync::Arc;

use anyhow::Context as _;
use sayiir::SqliteBackend;

pub(crate) use args::DemoArgs;
use counting::CountingStore;
use drive::{Drive, Stored, Work};
use input::{BadLine, Input};
use run_log::RunLog;
use summary::Summary;

/// The exit code of unreadable input.
const UNREADABLE: u8 = 2;

/// So many failed instances are named.
const FAILURES_SHOWN: usize = 10;

/// Runs the demo; the exit code is 0 if all instances completed, 1 if not, 2 if the input cannot be read.
pub(crate) fn run(args: &DemoArgs) -> ExitCode {
    let input = match read_input(args) {
        Ok(input) => input,
        Err(error) => {
            eprintln!("error: {error:#}");
            return ExitCode::from(UNREADABLE);
        }
    };
    match runtime().and_then(|runtime| runtime.block_on(demo(args, &input))) {
        Ok(summary) if summary.failed == 0 => ExitCode::SUCCESS,
        Ok(_) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn runtime() -> anyhow::Result<tokio::runtime::Runtime> {
    tokio::runtime::Builder::new_multi_thread().enable_time().build().context("could not start the runtime")
}

/// Reads the input, and names the lines of it that are skipped.
fn read_input(args: &DemoArgs) -> anyhow::Result<Input> {
    let shown = args.input.as_ref().map_or_else(|| "the built-in webhooks".into(), |path| path.display().to_string());
    let input = input::read(args.input.as_deref()).with_context(|| format!("could not read {shown}"))?;
    for BadLine { number, reason } in &input.bad {
        eprintln!("line {number} is skipped: {reason}");
    }
    anyhow::ensure!(!input.lines.is_empty(), "{shown}: no line holds a webhook");
    Ok(input)
}

async fn demo(args: &DemoArgs, input: &Input) -> anyhow::Result<Summary> {
    let (store, run_log) = (args.store.display(), args.run_log());
    // A side file that outlived its store would be held against the next one.
    if args.fresh || !args.store.exists() {
        files::delete(&args.store, &run_log)?;
    }
    files::make_folder(&args.store)?;
    let backend = SqliteBackend::open(&args.store).await.with_context(|| format!("could not open {store}"))?;
    let log = RunLog::open(&run_log).with_context(|| format!("could not open {}", run_log.display()))?;
    let flow = flow::flow(&Arc::new(log))?;
    let counting = CountingStore::new(backend, args.crash_after.map(std::num::NonZero::get));
    let drive = Drive::new(flow, counting, &input.lines, args.copies.get());

    let Work { found_unfinished, effort } = drive.work().await?;
    if found_unfinished == 0 {
        say(args, &format!("All {} instances in {store} were finished before; --fresh begins anew.\n", drive.instances()));
    }

    let Stored { outcomes, failures, steps } = drive.stored().await?;
    for (instance, reason) in failures.iter().take(FAILURES_SHOWN) {
        eprintln!("{instance} did not complete: {reason}");
    }
    let mut runs = run_log::read(&run_log).with_context(|| format!("could not read {}", run_log.display()))?;
    runs.retain(|run| drive.has(&run.instance));
    let audit = audit::audit(&steps, &runs);
    if audit.unseen > 0 {
        eprintln!("warning: {} knows nothing of {} stored steps; they count as not repeated", run_log.display(), audit.unseen);
    }
    let skipped = input.bad.iter().map(|bad| bad.number).collect();
    let report = report::report(&outcomes);
    let summary = Summary::new(outcomes.len() as u64, failures.len() as u64, &audit, effort, skipped, report);
    print(&if args.json { serde_json::to_string(&summary)? } else { summary.to_string() });
    Ok(summary)
}

/// Tells people something, without disturbing the JSON object.
fn say(args: &DemoArgs, text: &str) {
    if args.json {
        eprintln!("{}", text.trim_end());
    } else {
        print(text);
    }
}

/// Writes to standard output. A reader that has gone away is no failure of the demo.
fn print(text: &str) {
    let _ = writeln!(std::io::stdout(), "{text}");
}
