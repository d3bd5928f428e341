//! How far the demo is: a bar on a terminal, a plain line for each tenth otherwise. Both on standard error, so that
//! standard output holds the result alone.

use std::io::IsTerminal as _;
use std::sync::atomic::{AtomicU64, Ordering};

use indicatif::{ProgressBar, ProgressStyle};

/// The progress of instances towards their end.
#[derive(Debug)]
pub(crate) enum Progress {
    /// Drawn on a terminal.
    Bar(ProgressBar),
    /// Written line by line.
    Lines {
        /// All instances.
        total: u64,
        /// Those that ended.
        done: AtomicU64,
    },
}

impl Progress {
    /// Starts at `done` of `total`.
    pub(crate) fn start(total: u64, done: u64) -> Self {
        if std::io::stderr().is_terminal() {
            let bar = ProgressBar::new(total).with_style(style(no_color()));
            bar.set_position(done);
            Self::Bar(bar)
        } else {
            Self::Lines { total, done: AtomicU64::new(done) }
        }
    }

    /// One more instance has ended.
    pub(crate) fn advance(&self) {
        match self {
            Self::Bar(bar) => bar.inc(1),
            Self::Lines { total, done } => {
                let now = done.fetch_add(1, Ordering::Relaxed) + 1;
                if is_tenth(now, *total) {
                    eprintln!("{now} of {total} instances done");
                }
            }
        }
    }

    /// Leaves the terminal as it was.
    pub(crate) fn finish(&self) {
        match self {
            Self::Bar(bar) => bar.finish_and_clear(),
            Self::Lines { .. } => {}
        }
    }
}

/// Whether `done` is the first to reach another tenth of `total`.
fn is_tenth(done: u64, total: u64) -> bool {
    let tenths = |n: u64| n.saturating_mul(10).checked_div(total).unwrap_or_default();
    done > 0 && tenths(done) > tenths(done - 1)
}

/// Whether the user wants no colours (<https://no-color.org>).
fn no_color() -> bool {
    std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty())
}

fn style(plain: bool) -> ProgressStyle {
    let template = if plain { "{bar:40} {pos}/{len} instances, {elapsed}" } else { "{bar:40.green/dim} {pos}/{len} instances, {elapsed}" };
    ProgressStyle::with_template(template).unwrap_or_else(|_| ProgressStyle::default_bar())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ten_lines_are_written_whatever_the_total() {
        for total in [10, 11, 329, 10_000] {
            assert_eq!((1..=total).filter(|done| is_tenth(*done, total)).count(), 10, "{total}");
        }
        assert_eq!((1..=3).filter(|done| is_tenth(*done, 3)).count(), 3);
        assert!(!is_tenth(1, 0));
    }

    #[test]
    fn both_templates_are_valid() {
        for template in ["{bar:40} {pos}/{len} instances, {elapsed}", "{bar:40.green/dim} {pos}/{len} instances, {elapsed}"] {
            assert!(ProgressStyle::with_template(template).is_ok());
        }
        let _ = (style(true), style(false));
    }
}
