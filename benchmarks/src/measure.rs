//! What the machine says: the disk's own speed, this process's memory and processor time.

use std::fs;
use std::path::Path;
use std::time::{Duration, Instant};

use rusqlite::Connection;

/// How long the disk is measured each time.
const RAW_TIME: Duration = Duration::from_millis(400);

/// Durable commits of one row each a second, on a file of its own in this directory, with the store's settings.
pub(crate) fn raw_commits_per_second(directory: &Path) -> anyhow::Result<f64> {
    let place = tempfile::tempdir_in(directory)?;
    let conn = Connection::open(place.path().join("raw.db"))?;
    conn.execute_batch("PRAGMA journal_mode=WAL; PRAGMA synchronous=FULL; CREATE TABLE t (id INTEGER PRIMARY KEY, x BLOB)")?;
    let (blob, begun, mut commits) = ([7_u8; 300], Instant::now(), 0_u32);
    while begun.elapsed() < RAW_TIME {
        conn.prepare_cached("INSERT INTO t (x) VALUES (?1)")?.execute([blob])?;
        commits += 1;
    }
    Ok(f64::from(commits) / begun.elapsed().as_secs_f64())
}

/// The middle of some figures.
pub(crate) fn median(mut figures: Vec<f64>) -> f64 {
    percentile(&mut figures, 50)
}

/// The figure below which so many of a hundred lie; 0 if there is none.
pub(crate) fn percentile(figures: &mut [f64], part: usize) -> f64 {
    figures.sort_by(f64::total_cmp);
    let last = figures.len().saturating_sub(1);
    figures.get((figures.len() * part / 100).min(last)).copied().unwrap_or(0.0)
}

/// A line of `/proc/self/status`, in MB; 0 where the system has none.
fn status_mb(name: &str) -> f64 {
    let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix(name));
    let kilobytes = line.and_then(|line| line.trim_matches([':', '\t', ' ']).split(' ').next()?.parse::<f64>().ok());
    kilobytes.unwrap_or(0.0) / 1024.0
}

/// The most memory that this process had so far.
pub(crate) fn peak_rss_mb() -> f64 {
    status_mb("VmHWM")
}

/// The memory that this process has now.
pub(crate) fn rss_mb() -> f64 {
    status_mb("VmRSS")
}

/// The processor time that this process used so far; 0 where the system does not tell.
pub(crate) fn cpu_seconds() -> f64 {
    let stat = fs::read_to_string("/proc/self/stat").unwrap_or_default();
    // The name, in brackets, may hold spaces; the times are the 14th and 15th field.
    let fields = stat.rsplit(')').next().unwrap_or_default().split_whitespace();
    let ticks: f64 = fields.skip(11).take(2).filter_map(|field| field.parse::<f64>().ok()).sum();
    ticks / 100.0
}
