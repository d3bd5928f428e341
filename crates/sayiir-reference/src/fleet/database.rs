//! A PostgreSQL server for a fleet, the network in between, and what befalls both.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::Context;
use fastrand::Rng;
use sayiir_pg_testserver::{PgServer, Settings};
use sqlx::{Connection, PgConnection};
use tokio::io::copy_bidirectional;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Notify, oneshot, watch};
use tokio::task::JoinHandle;

/// So many connections the server takes for each process of the fleet: enough for its pool, and few, so that they can be used up.
const CONNECTIONS_EACH: usize = 20;
/// How long nothing befalls the database, at most.
const PEACE: u64 = 1500;

/// How long it is tried to set right what was done to the server.
const MENDED_WITHIN: Duration = Duration::from_secs(30);

/// What befalls a database.
#[derive(Debug, Clone, Copy)]
enum Trouble {
    Killed,
    BackendsTerminated,
    ConnectionsCut,
    ConnectionsUsedUp,
    DiskFull,
}

impl Trouble {
    const ALL: [Self; 5] = [Self::Killed, Self::BackendsTerminated, Self::ConnectionsCut, Self::ConnectionsUsedUp, Self::DiskFull];

    /// As it is counted.
    const fn name(self) -> &'static str {
        match self {
            Self::Killed => "killed",
            Self::BackendsTerminated => "backends_terminated",
            Self::ConnectionsCut => "connections_cut",
            Self::ConnectionsUsedUp => "connections_used_up",
            Self::DiskFull => "disk_full",
        }
    }

    /// Lets it befall the server, and ends it.
    async fn befall(self, server: &Arc<PgServer>, cut: &Notify, while_it_lasts: Duration) -> anyhow::Result<()> {
        match self {
            Self::Killed => kill(server, while_it_lasts).await,
            Self::BackendsTerminated => terminate(server).await,
            Self::ConnectionsUsedUp => use_up(server, while_it_lasts).await,
            Self::DiskFull => fill(server, while_it_lasts).await,
            Self::ConnectionsCut => {
                cut.notify_waiters();
                Ok(())
            }
        }
    }
}

/// A server, and the way to it.
pub(super) struct Database {
    server: Arc<PgServer>,
    cut: Arc<Notify>,
    url: String,
    proxy: JoinHandle<()>,
}

impl Database {
    /// For so many workers, beside the process that looks after them.
    pub(super) async fn start(workers: usize) -> anyhow::Result<Self> {
        let settings = Settings::durable().with("max_connections", (CONNECTIONS_EACH * (workers + 1)).to_string());
        let server = Arc::new(tokio::task::spawn_blocking(move || PgServer::start(&settings)).await??);
        let listener = TcpListener::bind(("127.0.0.1", 0)).await?;
        let url = format!("postgres://sayiir@{}/postgres", listener.local_addr()?);
        let cut = Arc::new(Notify::new());
        let proxy = tokio::spawn(forward(listener, server.port(), Arc::clone(&cut)));
        Ok(Self { server, cut, url, proxy })
    }

    /// Where it is found, by a network that can be cut.
    pub(super) fn url(&self) -> &str {
        &self.url
    }

    /// Lets trouble after trouble befall it, until that is ended.
    pub(super) fn trouble(&self, seed: u64) -> Troubles {
        let (server, cut) = (Arc::clone(&self.server), Arc::clone(&self.cut));
        let (end, ended) = oneshot::channel();
        let (count, met) = watch::channel(BTreeMap::new());
        let task = tokio::spawn(befall(server, cut, Rng::with_seed(seed), ended, count));
        Troubles { end, met, task }
    }
}

impl Drop for Database {
    fn drop(&mut self) {
        self.proxy.abort();
    }
}

/// The troubles of a database.
pub(super) struct Troubles {
    end: oneshot::Sender<()>,
    met: watch::Receiver<BTreeMap<&'static str, u64>>,
    task: JoinHandle<anyhow::Result<()>>,
}

impl Troubles {
    /// How many there were so far.
    pub(super) fn count(&self) -> u64 {
        self.met.borrow().values().sum()
    }

    /// Whether no more will come.
    pub(super) fn have_ended(&self) -> bool {
        self.task.is_finished()
    }

    /// Lets the present one be the last, and says which there were.
    pub(super) async fn end(self) -> anyhow::Result<BTreeMap<&'static str, u64>> {
        let Self { end, met, task } = self;
        // It may have ended by an error, which is told below.
        let _ = end.send(());
        task.await??;
        Ok(met.borrow().clone())
    }
}

/// Hands on what comes, and cuts every connection where it is when it is told to.
async fn forward(listener: TcpListener, port: u16, cut: Arc<Notify>) {
    while let Ok((mut near, _)) = listener.accept().await {
        let cut = Arc::clone(&cut);
        tokio::spawn(async move {
            let cut = cut.notified();
            // While the server is down, the connection is closed as soon as it was made.
            let Ok(mut far) = TcpStream::connect(("127.0.0.1", port)).await else { return };
            tokio::select! {
                _ = copy_bidirectional(&mut near, &mut far) => {}
                () = cut => {}
            }
        });
    }
}

async fn befall(
    server: Arc<PgServer>,
    cut: Arc<Notify>,
    mut rng: Rng,
    mut ended: oneshot::Receiver<()>,
    met: watch::Sender<BTreeMap<&'static str, u64>>,
) -> anyhow::Result<()> {
    loop {
        let peace = tokio::time::sleep(Duration::from_millis(rng.u64(..PEACE)));
        tokio::select! {
            _ = &mut ended => return Ok(()),
            () = peace => {}
        }
        let Some(trouble) = rng.choice(Trouble::ALL) else { return Ok(()) };
        let while_it_lasts = Duration::from_millis(rng.u64(..500));
        let befell = trouble.befall(&server, &cut, while_it_lasts).await;
        befell.with_context(|| format!("the database could not be {}", trouble.name()))?;
        met.send_modify(|met| *met.entry(trouble.name()).or_default() += 1);
    }
}

async fn kill(server: &Arc<PgServer>, down: Duration) -> anyhow::Result<()> {
    server.kill()?;
    tokio::time::sleep(down).await;
    let server = Arc::clone(server);
    Ok(tokio::task::spawn_blocking(move || server.restart()).await??)
}

async fn connect(server: &PgServer) -> sqlx::Result<PgConnection> {
    PgConnection::connect(&server.url()).await
}

/// Asks until it is answered: the fleet may have every connection.
async fn connect_in_the_end(server: &PgServer) -> sqlx::Result<PgConnection> {
    let begun = Instant::now();
    loop {
        match connect(server).await {
            Err(_) if begun.elapsed() < MENDED_WITHIN => tokio::time::sleep(Duration::from_millis(50)).await,
            connected => return connected,
        }
    }
}

async fn terminate(server: &PgServer) -> anyhow::Result<()> {
    let others = "select pg_terminate_backend(pid) from pg_stat_activity where pid <> pg_backend_pid() and backend_type = 'client backend'";
    sqlx::raw_sql(others).execute(&mut connect_in_the_end(server).await?).await?;
    Ok(())
}

/// Takes every connection there is, from those that have one too.
async fn use_up(server: &PgServer, while_it_lasts: Duration) -> anyhow::Result<()> {
    terminate(server).await?;
    let mut taken = Vec::new();
    while let Ok(connection) = connect(server).await {
        taken.push(connection);
    }
    tokio::time::sleep(while_it_lasts).await;
    Ok(())
}

/// Answers every write as a full disk does.
async fn fill(server: &PgServer, while_it_lasts: Duration) -> anyhow::Result<()> {
    const FULL: &str = "
        create or replace function public.disk_full() returns trigger language plpgsql as
            $$ begin raise exception 'could not extend file: No space left on device' using errcode = '53100'; end $$;
        create trigger disk_full before insert on sayiir.journal for each statement execute function public.disk_full();";
    let filled = sqlx::raw_sql(FULL).execute(&mut connect_in_the_end(server).await?).await;
    if filled.is_ok() {
        tokio::time::sleep(while_it_lasts).await;
    }
    // It may be full though the answer was lost, and must not stay so: by whatever connection there is.
    make_room(server).await?;
    filled?;
    Ok(())
}

/// Lets writes go on; asks until it is answered.
async fn make_room(server: &PgServer) -> anyhow::Result<()> {
    let begun = Instant::now();
    loop {
        let dropped = async {
            let mut connection = connect(server).await?;
            sqlx::raw_sql("drop trigger if exists disk_full on sayiir.journal").execute(&mut connection).await
        };
        match dropped.await {
            Ok(_) => return Ok(()),
            Err(error) if begun.elapsed() >= MENDED_WITHIN => return Err(error).context("the disk stays full"),
            Err(_) => tokio::time::sleep(Duration::from_millis(50)).await,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_full_disk_has_room_again_though_the_connection_that_filled_it_is_lost() {
        let server = Arc::new(tokio::task::spawn_blocking(|| PgServer::start(&Settings::fast())).await.unwrap().unwrap());
        let table = "create schema sayiir; create table sayiir.journal (run bigint)";
        let write = async || sqlx::raw_sql("insert into sayiir.journal values (1)").execute(&mut connect(&server).await?).await;
        sqlx::raw_sql(table).execute(&mut connect(&server).await.unwrap()).await.unwrap();
        let filling = tokio::spawn({
            let server = Arc::clone(&server);
            async move { fill(&server, Duration::from_secs(1)).await }
        });
        let begun = Instant::now();
        while write().await.is_ok() {
            assert!(begun.elapsed() < MENDED_WITHIN, "the disk is never full");
        }
        // Whatever connection filled it is lost, with all others.
        kill(&server, Duration::ZERO).await.unwrap();
        filling.await.unwrap().unwrap();
        write().await.unwrap();
    }
}
