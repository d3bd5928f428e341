//! `sayiir completions` and `sayiir man`: what a packager installs beside the command.

use std::path::PathBuf;

use anyhow::Context as _;
use clap::{Args, Command};
use clap_complete::Shell;

use crate::ending::{Ending, Verdict};
use crate::screen::Screen;

/// Prints the script that makes a shell complete this command's verbs and options.
#[derive(Args)]
#[command(after_long_help = "Examples:
  sayiir completions bash > ~/.local/share/bash-completion/completions/sayiir
  sayiir completions zsh > \"${fpath[1]}/_sayiir\"
  sayiir completions fish > ~/.config/fish/completions/sayiir.fish")]
pub(crate) struct CompletionsArgs {
    /// The shell
    shell: Shell,
}

/// Prints the manual page of this command, or writes those of all verbs into a folder.
#[derive(Args)]
#[command(after_long_help = "Examples:
  sayiir man | man -l -
  sayiir man --out /usr/local/share/man/man1")]
pub(crate) struct ManArgs {
    /// Write sayiir.1, sayiir-list.1 and so on into DIR
    #[arg(long, value_name = "DIR")]
    out: Option<PathBuf>,
}

pub(crate) fn completions(args: &CompletionsArgs, mut command: Command) -> Verdict {
    let mut script = Vec::new();
    clap_complete::generate(args.shell, &mut command, "sayiir", &mut script);
    print(&script)
}

pub(crate) fn man(args: &ManArgs, command: Command) -> Verdict {
    if let Some(folder) = &args.out {
        std::fs::create_dir_all(folder).with_context(|| format!("could not make the folder {}", folder.display()))?;
        clap_mangen::generate_to(command, folder).with_context(|| format!("could not write to {}", folder.display()))?;
        return Ok(Ending::Done);
    }
    let mut page = Vec::new();
    clap_mangen::Man::new(command).render(&mut page)?;
    print(&page)
}

fn print(bytes: &[u8]) -> Verdict {
    let mut screen = Screen::new();
    screen.text(&String::from_utf8_lossy(bytes))?;
    screen.flush()?;
    Ok(Ending::Done)
}
