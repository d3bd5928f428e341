//! A PostgreSQL server for a fleet, the network in between, and what befalls both.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context;
use fastrand::Rng;
use sayiir_pg_testserver::{PgServer, Settings};
use sqlx::{Connection, PgConnection};
use tokio::io::copy_bidirectional;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Notify, oneshot, watch};
use tokio::task::JoinHandle;

/// The most connections that the server takes: few, so that they can be used up.
const CONNECTIONS: u32 = 60;
/// How long nothing befalls the database, at most.
const PEACE: u64 = 1500;

/// What befalls a database.
const TROUBLES: [&str; 5] = ["killed", "backends_terminated", "connections_cut", "connections_used_up", "disk_full"];

/// A server, and the way to it.
pub(super) struct Database {
    server: Arc<PgServer>,
    cut: Arc<Notify>,
    url: String,
    proxy: JoinHandle<()>,
}

impl Database {
    pub(super) async fn start() -> anyhow::Result<Self> {
        let settings = Settings::durable().with("max_connections", CONNECTIONS.to_string());
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
        let trouble = rng.choice(TROUBLES).unwrap_or("killed");
        let while_it_lasts = Duration::from_millis(rng.u64(..500));
        match trouble {
            "killed" => kill(&server, while_it_lasts).await,
            "backends_terminated" => terminate(&server).await,
            "connections_used_up" => use_up(&server, while_it_lasts).await,
            "disk_full" => fill(&server, while_it_lasts).await,
            _ => {
                cut.notify_waiters();
                Ok(())
            }
        }
        .with_context(|| format!("the database could not be {trouble}"))?;
        met.send_modify(|met| *met.entry(trouble).or_default() += 1);
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

async fn terminate(server: &PgServer) -> anyhow::Result<()> {
    let others = "select pg_terminate_backend(pid) from pg_stat_activity where pid <> pg_backend_pid() and backend_type = 'client backend'";
    sqlx::raw_sql(others).execute(&mut connect(server).await?).await?;
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
    let mut connection = connect(server).await?;
    sqlx::raw_sql(FULL).execute(&mut connection).await?;
    tokio::time::sleep(while_it_lasts).await;
    sqlx::raw_sql("drop trigger disk_full on sayiir.journal").execute(&mut connection).await?;
    Ok(())
}
