//! `--watch`: a verb that looks again and again. On a terminal it draws in place; as JSON it prints a line whenever something has changed.
//! Ctrl-C ends it as it ends any program, which shells tell as 130.

use std::io::IsTerminal as _;
use std::time::Duration;

use console::Term;
use serde::Serialize;

use crate::ending::Failure;

/// It looks at least so often: not every step is announced, and what is told of times goes on.
const EVERY: Duration = Duration::from_secs(1);

/// It rests for so long between two looks, however much is announced.
const BREATH: Duration = Duration::from_millis(100);

/// What was shown last.
pub(crate) struct Watch {
    term: Term,
    shown: Option<String>,
}

impl Watch {
    /// Begins to watch. Text in place of text needs a terminal.
    pub(crate) fn begin(json: bool) -> Result<Self, Failure> {
        if !json && !std::io::stdout().is_terminal() {
            return Err(Failure::Usage("--watch draws on a terminal, and standard output is none; with --json it prints lines".to_owned()));
        }
        Ok(Self { term: Term::stdout(), shown: None })
    }

    /// How many lines the terminal has.
    pub(crate) fn lines(&self) -> usize {
        usize::from(self.term.size().0)
    }

    /// Draws this in the place of what was drawn before.
    pub(crate) fn draw(&mut self, text: &str) -> Result<(), Failure> {
        if self.shown.is_none() {
            self.term.clear_screen()?;
        }
        if self.shown.as_deref() != Some(text) {
            self.term.write_str(&frame(text, self.lines()))?;
            self.shown = Some(text.to_owned());
        }
        Ok(())
    }

    /// Prints `line` if `what`, which is all of it but the time, is not what it was.
    pub(crate) fn print(&mut self, line: &impl Serialize, what: &impl Serialize) -> Result<(), Failure> {
        let what = serde_json::to_string(what).map_err(anyhow::Error::from)?;
        if self.shown.as_deref() != Some(&what) {
            let line = serde_json::to_string(line).map_err(anyhow::Error::from)?;
            self.term.write_line(&line)?;
            self.shown = Some(what);
        }
        Ok(())
    }

    /// Waits until it is time to look again: when something `changed`, and each second.
    pub(crate) async fn rest(&self, changed: impl Future<Output = ()>) {
        tokio::time::sleep(BREATH).await;
        // Either way it looks again.
        let _ = tokio::time::timeout(EVERY.saturating_sub(BREATH), changed).await;
    }
}

/// What draws `text` over a screen of so many lines: no line of it is cleared before it is written, so that nothing flickers.
fn frame(text: &str, lines: usize) -> String {
    let mut frame = String::from("\u{1b}[H");
    for (number, line) in text.lines().take(lines.saturating_sub(1)).enumerate() {
        if number > 0 {
            frame.push_str("\r\n");
        }
        frame.push_str(line);
        frame.push_str("\u{1b}[K");
    }
    frame.push_str("\u{1b}[J\r\n");
    frame
}

#[cfg(test)]
mod tests {
    use super::frame;

    #[test]
    fn a_frame_stays_on_the_screen() {
        assert_eq!(frame("one\ntwo\nthree\n", 3), "\u{1b}[Hone\u{1b}[K\r\ntwo\u{1b}[K\u{1b}[J\r\n");
        assert_eq!(frame("", 3), "\u{1b}[H\u{1b}[J\r\n");
    }
}
