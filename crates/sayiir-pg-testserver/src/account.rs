//! Whom the server runs as: PostgreSQL refuses to be root.

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::process::Command;

use crate::run::ServerError;

/// The account that the server's programs run under.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Account {
    /// The caller's own.
    Own,
    /// An unprivileged one, since the caller is root.
    Nobody {
        /// Its user id.
        uid: u32,
        /// Its group id.
        gid: u32,
    },
}

impl Account {
    /// The account for clusters of this process.
    pub(crate) fn choose() -> Result<Self, ServerError> {
        // The owner of our own entry in /proc is whom we are; without /proc, ask `id`.
        let own = fs::metadata("/proc/self").map(|found| found.uid()).or_else(|_| asked_of_id(&["-u"]))?;
        if own != 0 {
            return Ok(Self::Own);
        }
        Ok(Self::Nobody { uid: asked_of_id(&["-u", "nobody"])?, gid: asked_of_id(&["-g", "nobody"])? })
    }

    /// A command that runs `program` under this account.
    pub(crate) fn command(self, program: &Path) -> Command {
        match self {
            Self::Own => Command::new(program),
            Self::Nobody { uid, gid } => {
                let mut command = Command::new("setpriv");
                command.arg(format!("--reuid={uid}")).arg(format!("--regid={gid}")).arg("--clear-groups").arg("--").arg(program);
                command
            }
        }
    }

    /// Hands a folder over to this account.
    pub(crate) fn own(self, folder: &Path) -> Result<(), ServerError> {
        match self {
            Self::Own => Ok(()),
            Self::Nobody { uid, gid } => {
                std::os::unix::fs::chown(folder, Some(uid), Some(gid)).map_err(|cause| ServerError::Files { doing: "hand over", cause })
            }
        }
    }
}

fn asked_of_id(arguments: &[&str]) -> Result<u32, ServerError> {
    let answer = Command::new("id").args(arguments).output().map_err(|cause| ServerError::Start { program: "id".to_owned(), cause })?;
    let text = String::from_utf8_lossy(&answer.stdout);
    text.trim().parse().map_err(|_| ServerError::Failed {
        program: "id".to_owned(),
        output: format!("`id {}` said {text:?} instead of a number", arguments.join(" ")),
    })
}
