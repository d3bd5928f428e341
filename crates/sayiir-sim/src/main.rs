//! Simulates many seeds.

use std::collections::BTreeMap;
use std::process::ExitCode;
use std::time::Instant;

use clap::Parser;
use sayiir_core::rules::Rule;
use sayiir_sim::simulate;

/// Run the real engine, driver and memory store in made-up worlds, one a seed, and look for broken promises.
#[derive(Parser)]
#[command(name = "sayiir-sim")]
struct Args {
    /// How many seeds
    #[arg(long, default_value_t = 1000)]
    seeds: u64,
    /// The first of them; a random one unless given
    #[arg(long)]
    seed: Option<u64>,
    /// Break this rule of the store protocol, to see that it is noticed
    #[arg(long, value_parser = rule)]
    rule_off: Option<Rule>,
    /// Print the last events of every seed
    #[arg(long)]
    trace: bool,
    /// Print one line of JSON
    #[arg(long)]
    json: bool,
}

fn rule(name: &str) -> Result<Rule, String> {
    let known = || Rule::ALL.iter().map(|rule| rule.broken()).collect::<Vec<_>>().join(", ");
    Rule::ALL.iter().copied().find(|rule| rule.broken() == name).ok_or_else(|| format!("the rules are {}", known()))
}

fn main() -> ExitCode {
    let args = Args::parse();
    let first = args.seed.unwrap_or_else(|| fastrand::u64(..1_000_000_000));
    eprintln!("seed {first}");
    let begun = Instant::now();
    let (mut steps, mut violations, mut faults) = (0, 0, BTreeMap::<&str, u64>::new());
    for seed in first..first + args.seeds {
        let outcome = simulate(seed, args.rule_off);
        steps += outcome.steps;
        for (fault, count) in outcome.faults {
            *faults.entry(fault).or_default() += count;
        }
        if args.trace || outcome.violation.is_some() {
            eprintln!("{}", outcome.trace.join("\n"));
        }
        if let Some(violation) = outcome.violation {
            violations += 1;
            let off = args.rule_off.map(|rule| format!(" --rule-off {}", rule.broken())).unwrap_or_default();
            eprintln!("seed {seed}: {violation}\nagain: cargo run --release -p sayiir-sim -- --seeds 1 --seed {seed}{off}\n");
            if violations == 5 {
                eprintln!("five are enough");
                break;
            }
        }
    }
    if args.json {
        println!("{}", serde_json::json!({ "seeds": args.seeds, "steps": steps, "faults": faults, "violations": violations }));
    } else {
        println!("{} seeds, {steps} steps, {violations} violations, {:.1} s; met {faults:?}", args.seeds, begun.elapsed().as_secs_f64());
    }
    if violations == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}
