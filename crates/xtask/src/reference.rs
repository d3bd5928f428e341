//! `cargo xtask reference`: the optimized build of `sayiir-reference`, with its arguments handed on.

use clap::Args;

use crate::shell;

/// So many random workflows are compared in CI.
const CASES_IN_CI: &str = "300";

#[derive(Args)]
pub(crate) struct ReferenceArgs {
    /// `--cases N`, `--seed S`, `--case NUMBER`, `--json`: see `cargo xtask reference -- --help`
    #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
    arguments: Vec<String>,
}

pub(crate) fn run(args: &ReferenceArgs) -> anyhow::Result<()> {
    compare(args.arguments.iter().map(String::as_str))
}

/// What CI runs.
pub(crate) fn check() -> anyhow::Result<()> {
    compare(["--cases", CASES_IN_CI, "--json"])
}

fn compare<'a>(arguments: impl IntoIterator<Item = &'a str>) -> anyhow::Result<()> {
    shell::run(shell::cargo().args(["run", "--quiet", "--release", "-p", "sayiir-reference", "--"]).args(arguments))
}
