//! Running other programs: at the root of the repository, without standard input, with errors that name the command.

use std::path::Path;
use std::process::{Command, Stdio};

use anyhow::{Context, bail};

/// The root of the repository.
pub(crate) fn root() -> &'static Path {
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    here.ancestors().nth(2).unwrap_or(here)
}

/// The cargo that runs this program.
pub(crate) fn cargo() -> Command {
    Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()))
}

/// Runs a command whose output the reader sees.
pub(crate) fn run(command: &mut Command) -> anyhow::Result<()> {
    let status = prepare(command).status().with_context(|| format!("could not start `{}`", shown(command)))?;
    if !status.success() {
        bail!("`{}` ended with {status}", shown(command));
    }
    Ok(())
}

/// Runs a command for what it prints.
pub(crate) fn output(command: &mut Command) -> anyhow::Result<String> {
    let output = prepare(command).stderr(Stdio::inherit()).output().with_context(|| format!("could not start `{}`", shown(command)))?;
    if !output.status.success() {
        bail!("`{}` ended with {}", shown(command), output.status);
    }
    String::from_utf8(output.stdout).with_context(|| format!("`{}` printed what is not UTF-8", shown(command)))
}

/// Whether a command can be run and succeeds; what it prints is dropped.
pub(crate) fn works(command: &mut Command) -> bool {
    let quiet = prepare(command).stdout(Stdio::null()).stderr(Stdio::null());
    quiet.status().is_ok_and(|status| status.success())
}

/// Installs a package of Debian's.
pub(crate) fn apt_install(package: &str) -> anyhow::Result<()> {
    let apt = |arguments: &[&str]| run(Command::new("apt-get").args(arguments).env("DEBIAN_FRONTEND", "noninteractive"));
    apt(&["update", "-qq"])?;
    apt(&["install", "-y", "-qq", package])
}

fn prepare(command: &mut Command) -> &mut Command {
    if command.get_current_dir().is_none() {
        command.current_dir(root());
    }
    command.stdin(Stdio::null())
}

fn shown(command: &Command) -> String {
    let words = std::iter::once(command.get_program()).chain(command.get_args());
    words.map(|word| word.to_string_lossy()).collect::<Vec<_>>().join(" ")
}
