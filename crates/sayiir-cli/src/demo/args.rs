//! The options of `sayiir demo`.

use std::num::{NonZeroU32, NonZeroU64};
use std::path::{Path, PathBuf};

use clap::Args;

const EXAMPLES: &str = "\
Examples:
  sayiir demo                       run it; run it again to see the stored report
  sayiir demo --crash-after 500     kill itself half-way; the same command without the option goes on
  sayiir demo --fresh --copies 10   begin anew, with ten instances a line
  sayiir demo --json | jq .report   the report for programs

Exit status: 0 all instances completed, 1 some failed or the run broke off, 2 wrong usage or unreadable input.";

/// Starts one durable workflow instance for each line of the input, waits until all are done, and reports.
///
/// An instance parses its line, sorts it by kind of event, indexes and summarises it side by side, goes through the
/// payload's array items in pages of 5, survives a step that fails at first on every 7th line, waits 50 ms, and has releases
/// and deployments approved. Every finished step is stored: stop the command at any moment, run it again, and it goes on
/// from there.
#[derive(Debug, Clone, Args)]
#[command(after_help = EXAMPLES, after_long_help = EXAMPLES)]
pub(crate) struct DemoArgs {
    /// The SQLite file that keeps the instances; made if it is missing
    #[arg(long, value_name = "FILE", default_value = "sayiir-demo.db")]
    pub(crate) store: PathBuf,

    /// Read webhooks from FILE instead of the built-in ones, one a line: {"event": "..", "action": "..", "payload": {..}}
    #[arg(long, value_name = "FILE")]
    pub(crate) input: Option<PathBuf>,

    /// Start N instances for each line
    #[arg(long, value_name = "N", default_value = "1")]
    pub(crate) copies: NonZeroU32,

    /// Delete the store first, and begin anew
    #[arg(long)]
    pub(crate) fresh: bool,

    /// Abort this process, the hard way, once it has stored N steps itself
    #[arg(long, value_name = "N")]
    pub(crate) crash_after: Option<NonZeroU64>,

    /// Print one JSON object instead of text
    #[arg(long)]
    pub(crate) json: bool,
}

impl DemoArgs {
    /// The file beside the store that every task appends to when it runs.
    pub(crate) fn run_log(&self) -> PathBuf {
        beside(&self.store, ".runs")
    }
}

/// `path` with `suffix` behind its last component.
pub(crate) fn beside(path: &Path, suffix: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(suffix);
    PathBuf::from(name)
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;

    #[derive(Parser)]
    struct Shell {
        #[command(flatten)]
        args: DemoArgs,
    }

    fn parse(words: &[&str]) -> Result<DemoArgs, clap::Error> {
        Shell::try_parse_from(std::iter::once(&"demo").chain(words)).map(|shell| shell.args)
    }

    #[test]
    fn the_defaults_need_no_option() {
        let DemoArgs { store, input, copies, fresh, crash_after, json } = parse(&[]).unwrap();
        assert_eq!(store, Path::new("sayiir-demo.db"));
        assert_eq!((input, copies.get(), fresh, crash_after, json), (None, 1, false, None, false));
    }

    #[test]
    fn zero_is_refused_with_the_usage_exit_code() {
        for words in [["--copies", "0"], ["--crash-after", "0"], ["--copies", "many"]] {
            assert_eq!(parse(&words).unwrap_err().exit_code(), 2);
        }
    }

    #[test]
    fn the_run_log_stands_beside_the_store() {
        assert_eq!(parse(&["--store", "/tmp/a.db"]).unwrap().run_log(), Path::new("/tmp/a.db.runs"));
    }
}
