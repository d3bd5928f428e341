//! `cargo xtask reference`: the optimized build of `sayiir-reference`, with its arguments handed on.

use clap::Args;

use crate::shell;

/// So many random workflows are compared in CI.
const CASES_IN_CI: &str = "300";

/// The fleets of CI: workers that are killed and frozen, and a database that is troubled too.
const FLEETS_IN_CI: [&str; 4] = [
    "--store sqlite --workers 3 --cases 300",
    "--store postgres --workers 1 --cases 60",
    "--store postgres --workers 8 --cases 120",
    "--store postgres --workers 2 --cases 60 --troubles 8",
];

#[derive(Args)]
pub(crate) struct ReferenceArgs {
    /// `--cases N`, `--seed S`, `--case NUMBER`, `--store postgres --workers N`, `--json`: see `cargo xtask reference -- --help`
    #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
    arguments: Vec<String>,
}

pub(crate) fn run(args: &ReferenceArgs) -> anyhow::Result<()> {
    compare(args.arguments.iter().map(String::as_str))
}

/// What CI runs.
pub(crate) fn check() -> anyhow::Result<()> {
    compare(["--cases", CASES_IN_CI, "--json"])?;
    FLEETS_IN_CI.iter().try_for_each(|fleet| compare(fleet.split(' ').chain(["--json"])))
}

fn compare<'a>(arguments: impl IntoIterator<Item = &'a str>) -> anyhow::Result<()> {
    shell::run(shell::cargo().args(["run", "--quiet", "--release", "-p", "sayiir-reference", "--"]).args(arguments))
}
