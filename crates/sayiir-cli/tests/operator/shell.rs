//! Commands as an operator types them, in a shell, and pages of the guide whose console blocks are such commands with their output.

use std::fmt::Write as _;
use std::path::Path;
use std::process::{Command, Output, Stdio};

use super::fixture::Fixture;

/// What a command did.
pub(crate) struct Ran {
    pub(crate) code: i32,
    pub(crate) out: String,
    pub(crate) err: String,
}

impl Fixture {
    /// A shell in the fixture's folder, in which `sayiir` is this build's and the store is `orders.db`.
    pub(crate) fn command(&self, line: &str) -> Command {
        let binary = Path::new(env!("CARGO_BIN_EXE_sayiir"));
        let path = std::env::var("PATH").unwrap_or_default();
        let mut command = Command::new("sh");
        command.current_dir(self.path()).args(["-c", line]).stdin(Stdio::null());
        command.env("PATH", format!("{}:{path}", binary.parent().unwrap().display()));
        command.env("SAYIIR_STORE", "sqlite:orders.db");
        for name in ["COLUMNS", "RUST_LOG", "NO_COLOR", "CLICOLOR_FORCE", "CLICOLOR"] {
            command.env_remove(name);
        }
        command
    }

    /// Runs a line of shell.
    pub(crate) fn run(&self, line: &str) -> Ran {
        ran(&self.command(line).output().unwrap())
    }

    /// Runs a line that is to succeed without a word on standard error, and gives what it prints.
    pub(crate) fn good(&self, line: &str) -> String {
        let Ran { code, out, err } = self.run(line);
        assert_eq!((code, err.as_str()), (0, ""), "{line}: {out}");
        out
    }

    /// Runs a line that is to print one JSON document.
    pub(crate) fn json(&self, line: &str) -> serde_json::Value {
        let out = self.run(line).out;
        serde_json::from_str(&out).unwrap_or_else(|error| panic!("{line}: {error}: {out}"))
    }

    /// Runs a line that is to fail with this exit code, and gives the one line that says why.
    pub(crate) fn bad(&self, code: i32, line: &str) -> String {
        let ran = self.run(line);
        assert_eq!((ran.code, ran.out.as_str()), (code, ""), "{line}: {}", ran.err);
        assert!(ran.err.starts_with("error: "), "{line}: {}", ran.err);
        ran.err
    }

    /// Checks that each command in the console blocks of a page has the output that stands under it. With `SAYIIR_BLESS` set, the
    /// page is written anew with what they print.
    pub(crate) fn check_page(&self, page: &Path) {
        let text = std::fs::read_to_string(page).unwrap();
        let told = self.retold(&text);
        if std::env::var_os("SAYIIR_BLESS").is_some() {
            std::fs::write(page, &told).unwrap();
            return;
        }
        for (number, (is, should)) in text.lines().zip(told.lines()).enumerate() {
            assert_eq!(is, should, "{}:{}: SAYIIR_BLESS=1 writes the page anew", page.display(), number + 1);
        }
        assert_eq!(text.lines().count(), told.lines().count(), "{}", page.display());
    }

    /// The page with the outputs that its commands have now.
    fn retold(&self, page: &str) -> String {
        let mut told = String::new();
        let (mut inside, mut first) = (false, true);
        for line in page.lines() {
            if line.starts_with("```") {
                inside = line == "```console";
                first = true;
            } else if inside {
                let Some(command) = line.strip_prefix("$ ") else { continue };
                let output = self.command(&format!("exec 2>&1; {command}")).env("COLUMNS", "120").output().unwrap();
                let shown = self.shown(&ran(&output).out);
                let space = if std::mem::take(&mut first) { "" } else { "\n" };
                writeln!(told, "{space}{line}").unwrap();
                if !shown.trim_end().is_empty() {
                    writeln!(told, "{}", shown.trim_end()).unwrap();
                }
                continue;
            }
            writeln!(told, "{line}").unwrap();
        }
        told
    }
}

pub(crate) fn ran(output: &Output) -> Ran {
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    Ran { code: output.status.code().unwrap_or(-1), out: text(&output.stdout), err: text(&output.stderr) }
}
