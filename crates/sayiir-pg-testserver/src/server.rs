//! One cluster: made, started, killed, started again, removed.

use std::ffi::OsStr;
use std::fs;
use std::io::{self, Write};
use std::net::{Ipv4Addr, TcpListener};
use std::os::unix::fs::OpenOptionsExt;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::OnceLock;
use std::thread;
use std::time::{Duration, Instant};

use tempfile::TempDir;

use crate::account::Account;
use crate::binaries::Binaries;
use crate::run::{ServerError, run};

/// The longest that a start may take: after a kill, the old server's processes must be gone first.
const PATIENCE: Duration = Duration::from_secs(30);

/// How a cluster is set up.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Settings {
    /// Whether a commit waits for the disk. Only clusters that neither measure nor kill may do without.
    pub fsync: bool,
    /// Further settings, by name.
    pub more: Vec<(&'static str, String)>,
    /// Files in the folder of its data, which only the server may read: certificates and keys.
    pub files: Vec<(&'static str, Vec<u8>)>,
}

impl Settings {
    /// As a user's server: every commit is on the disk before it is acknowledged.
    pub const fn durable() -> Self {
        Self { fsync: true, more: Vec::new(), files: Vec::new() }
    }

    /// For tests that neither measure nor kill: with little log, which nobody will ever read.
    pub fn fast() -> Self {
        let less = [
            ("full_page_writes", "off"),
            ("wal_level", "minimal"),
            ("max_wal_senders", "0"),
            ("max_wal_size", "64MB"),
            ("min_wal_size", "32MB"),
        ];
        Self { fsync: false, more: less.map(|(name, value)| (name, value.to_owned())).into(), files: Vec::new() }
    }

    /// One more setting.
    #[must_use]
    pub fn with(mut self, name: &'static str, value: impl Into<String>) -> Self {
        self.more.push((name, value.into()));
        self
    }

    /// One more file beside its data.
    #[must_use]
    pub fn with_file(mut self, name: &'static str, contents: impl Into<Vec<u8>>) -> Self {
        self.files.push((name, contents.into()));
        self
    }
}

/// A cluster of its own, listening on loopback. Dropping it stops it and removes its files.
#[derive(Debug)]
pub struct PgServer {
    folder: TempDir,
    account: Account,
    binaries: Binaries,
    options: String,
    port: u16,
    guard: Child,
}

impl PgServer {
    /// Makes a cluster and starts it.
    pub fn start(settings: &Settings) -> Result<Self, ServerError> {
        let (account, binaries) = (Account::choose()?, Binaries::find()?);
        let made = tempfile::Builder::new().prefix("sayiir-pg-").tempdir();
        let folder = made.map_err(|cause| ServerError::Files { doing: "make", cause })?;
        account.own(folder.path())?;
        let mut initdb = account.command(&binaries.initdb);
        initdb.args(["-A", "trust", "-E", "UTF8", "--no-locale", "-N", "-U", "sayiir", "-D"]).arg(data(&folder));
        initdb.current_dir(folder.path());
        run(initdb)?;
        for (name, contents) in &settings.files {
            write(&data(&folder).join(name), contents, account)?;
        }
        let guard = guard(&folder, account, &binaries)?;
        let port = free_port()?;
        let options = options(folder.path(), port, settings);
        let server = Self { folder, account, binaries, options, port, guard };
        server.restart()?;
        Ok(server)
    }

    /// Where it is: a URL of its administrator, who needs no password.
    pub fn url(&self) -> String {
        self.url_as("sayiir", "postgres")
    }

    /// The same for another role and database.
    pub fn url_as(&self, role: &str, database: &str) -> String {
        format!("postgres://{role}@127.0.0.1:{}/{database}", self.port)
    }

    /// Its port on 127.0.0.1.
    pub const fn port(&self) -> u16 {
        self.port
    }

    /// The folder of its unix socket.
    pub fn socket_folder(&self) -> &Path {
        self.folder.path()
    }

    /// Kills the server's first process as `kill -9` does; the others end when they see it.
    pub fn kill(&self) -> Result<(), ServerError> {
        let text = fs::read_to_string(data(&self.folder).join("postmaster.pid"));
        let text = text.map_err(|cause| ServerError::Files { doing: "read the process number in", cause })?;
        let Some(pid) = text.lines().next().filter(|pid| pid.parse::<u32>().is_ok_and(|pid| pid > 1)) else {
            return Err(ServerError::Failed { program: "kill".to_owned(), output: "postmaster.pid holds no number".to_owned() });
        };
        let mut kill = Command::new("kill");
        kill.args(["-9", pid]);
        run(kill)
    }

    /// Stops the server without a checkpoint, as an immediate shutdown does.
    pub fn stop(&self) -> Result<(), ServerError> {
        let mut stop = self.pg_ctl("stop");
        stop.args(["-m", "immediate", "-w"]);
        run(stop)
    }

    /// Stops the server and lets what is running end badly: clients are told that it shuts down.
    pub fn shut_down(&self) -> Result<(), ServerError> {
        let mut stop = self.pg_ctl("stop");
        stop.args(["-m", "fast", "-w"]);
        run(stop)
    }

    /// Starts the server again after [`kill`](Self::kill), [`stop`](Self::stop) or [`shut_down`](Self::shut_down).
    pub fn restart(&self) -> Result<(), ServerError> {
        let begun = Instant::now();
        loop {
            let mut start = self.pg_ctl("start");
            start.args(["-w", "-l"]).arg(self.folder.path().join("log")).arg("-o").arg(&self.options);
            match run(start) {
                Err(ServerError::Failed { .. }) if begun.elapsed() < PATIENCE => thread::sleep(Duration::from_millis(100)),
                Err(error) => return Err(self.with_log(error)),
                Ok(()) => return Ok(()),
            }
        }
    }

    /// What the server wrote into its log.
    pub fn log(&self) -> String {
        fs::read_to_string(self.folder.path().join("log")).unwrap_or_default()
    }

    fn pg_ctl(&self, verb: &str) -> Command {
        let mut command = self.account.command(&self.binaries.pg_ctl);
        command.arg(verb).arg("-D").arg(data(&self.folder)).current_dir(self.folder.path());
        command
    }

    fn with_log(&self, error: ServerError) -> ServerError {
        match error {
            ServerError::Failed { program, output } => ServerError::Failed { program, output: format!("{output}\n{}", self.log()) },
            other @ (ServerError::Missing | ServerError::Start { .. } | ServerError::Files { .. }) => other,
        }
    }
}

impl Drop for PgServer {
    fn drop(&mut self) {
        // The end of its input is what the guard waits for. What it cannot remove, the folder's own drop tries again.
        drop(self.guard.stdin.take());
        let _ = self.guard.wait();
    }
}

fn data(folder: &TempDir) -> std::path::PathBuf {
    folder.path().join("data")
}

/// Writes a file that only the server's account may read.
fn write(path: &Path, contents: &[u8], account: Account) -> Result<(), ServerError> {
    let made = fs::OpenOptions::new().write(true).create_new(true).mode(0o600).open(path);
    let written = made.and_then(|mut file| file.write_all(contents));
    written.map_err(|cause| ServerError::Files { doing: "write a file into", cause })?;
    account.own(path)
}

fn options(folder: &Path, port: u16, settings: &Settings) -> String {
    let fsync = if settings.fsync { "on" } else { "off" };
    let sockets = folder.display();
    let fixed = format!("-p {port} -k {sockets} -c listen_addresses=127.0.0.1 -c fsync={fsync} -c max_connections=200");
    let more = settings.more.iter().map(|(name, value)| format!("-c {name}={value}"));
    std::iter::once(fixed).chain(more).collect::<Vec<_>>().join(" ")
}

fn free_port() -> Result<u16, ServerError> {
    let port = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).and_then(|listener| listener.local_addr()).map(|address| address.port());
    port.map_err(|cause: io::Error| ServerError::Start { program: "a listener on 127.0.0.1".to_owned(), cause })
}

/// The process that stops the server and removes its files when this one is gone. It has a process group of its own, so
/// that a Ctrl-C at the terminal does not end it first.
fn guard(folder: &TempDir, account: Account, binaries: &Binaries) -> Result<Child, ServerError> {
    let mut stop = account.command(&binaries.pg_ctl);
    stop.args(["stop", "-m", "immediate", "-w", "-D"]).arg(data(folder));
    let script = r#"read -r _; "$@" >/dev/null 2>&1; rm -rf -- "$0""#;
    let mut guard = Command::new("sh");
    guard.arg("-c").arg(script).arg(folder.path()).arg(stop.get_program()).args(stop.get_args().collect::<Vec<&OsStr>>());
    guard.current_dir("/").stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::null()).process_group(0);
    guard.spawn().map_err(|cause| ServerError::Start { program: "sh".to_owned(), cause })
}

/// One fast cluster for all tests of a process. It ends with the process.
pub fn shared() -> Result<&'static PgServer, &'static ServerError> {
    static SHARED: OnceLock<Result<PgServer, ServerError>> = OnceLock::new();
    SHARED.get_or_init(|| PgServer::start(&Settings::fast())).as_ref()
}
