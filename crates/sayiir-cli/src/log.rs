//! What the libraries say, on standard error, if `RUST_LOG` asks for it.

use std::io::{self, IsTerminal as _, Write};

use tracing_subscriber::EnvFilter;

use crate::store::redact;

/// Says what `RUST_LOG` asks for; without it, nothing.
pub(crate) fn init() {
    if std::env::var_os("RUST_LOG").is_none() {
        return;
    }
    let colours = std::io::stderr().is_terminal() && std::env::var_os("NO_COLOR").is_none();
    let log = tracing_subscriber::fmt().with_env_filter(EnvFilter::from_default_env()).with_ansi(colours).with_writer(|| Redacting);
    // Nobody else sets one before.
    let _ = log.try_init();
}

/// Standard error, without passwords. Each event comes in one piece.
struct Redacting;

impl Write for Redacting {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        io::stderr().write_all(redact(&String::from_utf8_lossy(bytes)).as_bytes())?;
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        io::stderr().flush()
    }
}
