//! Compares every driver and store with the reference on random workflows, with a fault at every store write.

use std::io::IsTerminal;
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;

use clap::Parser;
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use sayiir_reference::{Befalls, Bench, Driver, Findings, FleetOptions, FleetStore, Moment, Serve, StoreKind, case, run_fleet, serve};

/// Run random workflows on every store and driver, with a fault at every store write, and compare with the reference.
#[derive(Parser)]
#[command(name = "cargo xtask reference", bin_name = "cargo xtask reference")]
struct Args {
    /// How many random workflows.
    #[arg(long, default_value_t = 300)]
    cases: u64,
    /// What decides them; a random one if it is not given.
    #[arg(long)]
    seed: Option<u64>,
    /// Run the case with this number alone.
    #[arg(long, value_name = "NUMBER")]
    case: Option<u64>,
    /// Run them on a fleet: so many workers in processes of their own, killed, frozen and started at random.
    #[arg(long, value_name = "NUMBER", conflicts_with = "case")]
    workers: Option<usize>,
    /// The store of the fleet.
    #[arg(long, default_value = "sqlite", requires = "workers")]
    store: FleetStore,
    /// Let so many troubles befall the fleet's PostgreSQL server at least: it is killed, its backends are terminated, connections are cut or used
    /// up, its disk is full.
    #[arg(long, default_value_t = 0, requires = "workers")]
    troubles: u64,
    /// Let nothing befall the workers of the fleet.
    #[arg(long, requires = "workers")]
    undisturbed: bool,
    /// Print one line of JSON.
    #[arg(long)]
    json: bool,
    /// Be a worker of a fleet, over the store at this address.
    #[arg(long, hide = true, requires = "log")]
    serve: Option<String>,
    /// Where such a worker notes what it does.
    #[arg(long, hide = true)]
    log: Option<PathBuf>,
}

#[derive(Default)]
struct Totals {
    next: AtomicU64,
    cases: AtomicU64,
    runs: AtomicU64,
    crash_points: AtomicU64,
    mismatches: AtomicU64,
}

fn main() -> ExitCode {
    let args = Args::parse();
    let seed = args.seed.unwrap_or_else(|| fastrand::u64(..1_000_000_000));
    if let (Some(address), Some(log)) = (&args.serve, &args.log) {
        let told = Serve { address: address.clone(), log: log.clone(), seed, cases: args.cases };
        return on_fleet(serve(&told), |()| ExitCode::SUCCESS);
    }
    eprintln!("seed {seed}");
    if let Some(workers) = args.workers {
        let options =
            FleetOptions { store: args.store, workers, cases: args.cases, seed, disturbed: !args.undisturbed, troubles: args.troubles };
        return on_fleet(run_fleet(&options), |findings| told(&findings, args.json));
    }
    let (first, count) = args.case.map_or((0, args.cases), |case| (case, 1));
    let (totals, bar, begun) = (Totals::default(), bar(count, args.json), Instant::now());
    // A run sleeps more than it works: delays, backoffs, time limits.
    let threads = 3 * std::thread::available_parallelism().map_or(2, usize::from).min(8);
    std::thread::scope(|scope| {
        for _ in 0..threads {
            scope.spawn(|| work(&totals, seed, first, count, &bar));
        }
    });
    bar.finish_and_clear();
    let seconds = begun.elapsed().as_secs_f64();
    let [cases, runs, crash_points, mismatches] =
        [totals.cases, totals.runs, totals.crash_points, totals.mismatches].map(AtomicU64::into_inner);
    if args.json {
        let report = serde_json::json!({
            "cases": cases, "runs": runs, "crash_points": crash_points, "mismatches": mismatches, "seconds": (seconds * 10.0).round() / 10.0,
        });
        println!("{report}");
    } else {
        println!("{cases} cases, {runs} runs, {crash_points} crash points, {mismatches} mismatches, {seconds:.1} s");
    }
    if mismatches == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

fn on_fleet<T>(work: impl Future<Output = anyhow::Result<T>>, told: impl FnOnce(T) -> ExitCode) -> ExitCode {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build();
    match runtime.map_err(anyhow::Error::from).and_then(|runtime| runtime.block_on(work)) {
        Ok(done) => told(done),
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn told(findings: &Findings, json: bool) -> ExitCode {
    for mismatch in &findings.mismatches {
        eprintln!("{mismatch}");
    }
    let mismatches = findings.mismatches.len();
    if json {
        let mut told = serde_json::to_value(findings).unwrap_or_default();
        if let Some(told) = told.as_object_mut() {
            told.insert("mismatches".to_owned(), mismatches.into());
        }
        println!("{told}");
    } else {
        let Findings { cases, workers, kills, freezes, refused, given_up, database, mismatches: _ } = findings;
        println!("{cases} cases, {workers} workers: {kills} killed, {freezes} frozen, {refused} writes refused, {given_up} given up");
        println!("the database: {database:?}; {mismatches} mismatches");
    }
    if mismatches == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

fn bar(count: u64, json: bool) -> ProgressBar {
    let bar = ProgressBar::new(count);
    if json || !std::io::stderr().is_terminal() {
        bar.set_draw_target(ProgressDrawTarget::hidden());
    }
    if let Ok(style) = ProgressStyle::with_template("{bar:40} {pos}/{len} cases, {eta} left") {
        bar.set_style(style);
    }
    bar
}

fn work(totals: &Totals, seed: u64, first: u64, count: u64, bar: &ProgressBar) {
    let runtime = match tokio::runtime::Builder::new_current_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => return totals.mismatch(&format!("no runtime: {error}")),
    };
    loop {
        let number = totals.next.fetch_add(1, Ordering::SeqCst);
        if number >= count {
            return;
        }
        runtime.block_on(totals.one_case(seed, first + number));
        totals.cases.fetch_add(1, Ordering::SeqCst);
        bar.inc(1);
    }
}

impl Totals {
    fn mismatch(&self, text: &str) {
        self.mismatches.fetch_add(1, Ordering::SeqCst);
        eprintln!("{text}");
    }

    async fn one_case(&self, seed: u64, number: u64) {
        let case = case(seed, number);
        let wrong = |kind: StoreKind, driver: Driver, moment: Option<Moment>, what: String| {
            let moment = moment.map_or_else(|| "undisturbed".to_owned(), |moment| moment.to_string());
            let again = format!("cargo xtask reference --seed {seed} --case {number}");
            self.mismatch(&format!("case {number}, {kind}, {driver:?}, {moment}: {what}\n{case}again: {again}\n"));
        };
        for kind in StoreKind::ALL {
            let bench = match Bench::new(&case, kind).await {
                Ok(bench) => bench,
                Err(error) => return wrong(kind, Driver::Checkpointing, None, format!("cannot be set up: {error:#}")),
            };
            if kind == StoreKind::Memory && bench.runs_in_process() {
                self.runs.fetch_add(1, Ordering::SeqCst);
                if let Err(what) = bench.run(Driver::InProcess, None, 0).await {
                    wrong(kind, Driver::InProcess, None, what);
                }
            }
            for driver in Driver::STORED {
                self.runs.fetch_add(1, Ordering::SeqCst);
                let writes = match bench.run(driver, None, 1).await {
                    Ok(writes) => writes,
                    Err(what) => {
                        wrong(kind, driver, None, what);
                        continue;
                    }
                };
                for befalls in Befalls::ALL {
                    for nth in 1..=writes {
                        self.runs.fetch_add(1, Ordering::SeqCst);
                        self.crash_points.fetch_add(1, Ordering::SeqCst);
                        let moment = Some(Moment { nth, befalls });
                        if let Err(what) = bench.run(driver, moment, writes).await {
                            return wrong(kind, driver, moment, what);
                        }
                    }
                }
            }
        }
    }
}
