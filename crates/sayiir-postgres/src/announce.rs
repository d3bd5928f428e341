//! Announcements between processes: sent after the commit, many at once; heard on one connection that listens.
//!
//! Invariant: what was missed while that connection was lost is made up for by announcing everything once.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use sayiir_persistence::Wakeups;
use sqlx::postgres::PgListener;
use sqlx::{PgConnection, PgPool};
use tokio::sync::Notify;

use crate::core::Core;
use crate::tx::News;

/// Announcements are at least so far apart; what comes between goes with the next.
const APART: Duration = Duration::from_millis(5);

/// What was heard is passed on at least so far apart: each idle worker looks for work when it is, and a busy fleet has much to tell.
const PASSED_ON_APART: Duration = Duration::from_millis(10);

/// More instances than this are not named.
const MOST_NAMED: usize = 200;

/// How long to wait before the first and before any later attempt to connect again.
const BACKOFF: (Duration, Duration) = (Duration::from_millis(50), Duration::from_secs(5));

/// What is to be told to other processes.
pub(crate) struct Announcer {
    /// The channel of this schema.
    channel: String,
    /// Tells this process's announcements from those of others.
    origin: String,
    waiting: Mutex<Waiting>,
    rung: Notify,
    heard: Heard,
    /// Held from taking what waits until it is sent.
    sending: tokio::sync::Mutex<()>,
}

/// What was heard and is to be passed on. Who waits for one instance is told at once; those who look for work, together.
#[derive(Debug, Default)]
struct Heard {
    due: AtomicBool,
    control: AtomicBool,
    rung: Notify,
}

impl Heard {
    fn note(&self, flag: &AtomicBool) {
        flag.store(true, Ordering::Release);
        self.rung.notify_one();
    }

    fn pass_on(&self, wakeups: &Wakeups) {
        if self.due.swap(false, Ordering::AcqRel) {
            wakeups.announce_due();
        }
        if self.control.swap(false, Ordering::AcqRel) {
            wakeups.announce_control();
        }
    }
}

#[derive(Debug, Default)]
struct Waiting {
    news: News,
    last: Option<Instant>,
    /// The last handle of the store is gone: the task ends when nothing waits.
    closed: bool,
}

impl Waiting {
    fn is_quiet(&self) -> bool {
        self.news.is_empty() && self.last.is_none_or(|last| last.elapsed() >= APART)
    }
}

impl Announcer {
    pub(crate) fn new(schema: &str, origin: String) -> Self {
        Self {
            channel: format!("sayiir_{schema}"),
            origin,
            waiting: Mutex::default(),
            rung: Notify::new(),
            heard: Heard::default(),
            sending: tokio::sync::Mutex::default(),
        }
    }

    fn waiting(&self) -> MutexGuard<'_, Waiting> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Lets the task that announces end, when it has said what waits.
    pub(crate) fn close(&self) {
        self.waiting().closed = true;
        self.rung.notify_one();
    }

    /// Takes what waits, to be sent now.
    fn take(&self) -> News {
        let mut waiting = self.waiting();
        waiting.last = Some(Instant::now());
        std::mem::take(&mut waiting.news)
    }

    /// Leaves news to the task that announces.
    pub(crate) fn later(&self, news: News) {
        if !news.is_empty() {
            self.waiting().news.add(news);
            self.rung.notify_one();
        }
    }

    /// Hands the news back, to be sent at once, if nothing was sent for a moment; else leaves them to the task.
    pub(crate) fn at_once(&self, news: News) -> Option<News> {
        if news.is_empty() {
            return None;
        }
        let mut waiting = self.waiting();
        if waiting.is_quiet() {
            waiting.last = Some(Instant::now());
            return Some(news);
        }
        waiting.news.add(news);
        drop(waiting);
        self.rung.notify_one();
        None
    }

    /// Sends news. Their transaction does not wait for the disk: a crash makes everybody look anyhow.
    pub(crate) async fn send(&self, conn: &mut PgConnection, news: &News) -> Result<(), sqlx::Error> {
        let sql = "SELECT pg_notify($1, p) FROM (SELECT set_config('synchronous_commit', 'off', true)) s, unnest($2::text[]) p";
        sqlx::query(sql).bind(&self.channel).bind(self.payloads(news)).execute(conn).await?;
        Ok(())
    }

    fn payloads(&self, news: &News) -> Vec<String> {
        let News { due, control, instances, purge: _ } = news;
        let told = |what: &str| format!("{} {what}", self.origin);
        if instances.len() > MOST_NAMED {
            return vec![told("*")];
        }
        let flags = [(*due, "d"), (*control, "c")].into_iter().filter(|(is, _)| *is).map(|(_, flag)| told(flag));
        flags.chain(instances.iter().map(|id| told(&format!("i{id}")))).collect()
    }

    /// Passes on what another process announced.
    fn hear(&self, payload: &str, wakeups: &Wakeups) {
        match payload.split_once(' ') {
            Some((origin, _)) if origin == self.origin => {}
            Some((_, "d")) => self.heard.note(&self.heard.due),
            Some((_, "c")) => self.heard.note(&self.heard.control),
            Some((_, named)) if named.starts_with('i') => wakeups.announce_instance(named.get(1..).unwrap_or_default()),
            // Another version may know other words.
            Some(_) | None => wakeups.announce_everything(),
        }
    }
}

/// The task that announces what committers and busy moments left. It ends when the store is closed and nothing waits.
pub(crate) async fn announce(core: Arc<Core>) {
    let mut pause = BACKOFF.0;
    loop {
        core.announcer.rung.notified().await;
        loop {
            match send_waiting(&core).await {
                Ok(Sent::Nothing) => break,
                Ok(Sent::Something) => {
                    pause = BACKOFF.0;
                    tokio::time::sleep(APART).await;
                }
                Err(error) => {
                    tracing::debug!(%error, "other processes could not be told of changes; trying again");
                    if core.announcer.waiting().closed {
                        return;
                    }
                    tokio::time::sleep(pause).await;
                    pause = (pause * 2).min(BACKOFF.1);
                }
            }
        }
        if core.announcer.waiting().closed {
            return;
        }
    }
}

/// Says what waits when the task has ended: for a committer that still had work when the store was closed.
pub(crate) async fn say_the_rest(core: &Core) {
    if let Err(error) = send_waiting(core).await {
        tracing::debug!(%error, "other processes were not told of the last changes of a store that was closed");
    }
}

/// What was sent.
pub(crate) enum Sent {
    Nothing,
    Something,
}

/// Sends what waits; what could not be sent goes on waiting. When it returns, nothing that waited before is still on its way.
pub(crate) async fn send_waiting(core: &Core) -> Result<Sent, sqlx::Error> {
    let _sending = core.announcer.sending.lock().await;
    let news = core.announcer.take();
    if news.is_empty() {
        return Ok(Sent::Nothing);
    }
    let sent = async {
        let mut conn = core.pool.acquire().await?;
        core.announcer.send(&mut conn, &news).await
    };
    match sent.await {
        Ok(()) => Ok(Sent::Something),
        Err(error) => {
            core.announcer.waiting().news.add(news);
            Err(error)
        }
    }
}

/// The task that passes on what was heard: at once, and then what came meanwhile.
pub(crate) async fn pass_on(core: Arc<Core>) {
    loop {
        core.announcer.heard.rung.notified().await;
        core.announcer.heard.pass_on(&core.wakeups);
        tokio::time::sleep(PASSED_ON_APART).await;
    }
}

/// The task that listens.
pub(crate) async fn listen(core: Arc<Core>, pool: PgPool) {
    let mut pause = BACKOFF.0;
    loop {
        match listen_until_lost(&core, &pool, &mut pause).await {
            Ok(()) => tracing::debug!("the connection that listens for wake-ups was lost"),
            Err(error) => tracing::debug!(%error, "no connection that listens for wake-ups"),
        }
        tokio::time::sleep(pause).await;
        pause = (pause * 2).min(BACKOFF.1);
    }
}

async fn listen_until_lost(core: &Core, pool: &PgPool, pause: &mut Duration) -> Result<(), sqlx::Error> {
    let mut listener = PgListener::connect_with(pool).await?;
    listener.eager_reconnect(false);
    listener.listen(&core.announcer.channel).await?;
    *pause = BACKOFF.0;
    // Whatever was announced before is made up for.
    core.wakeups.announce_everything();
    while let Some(heard) = listener.try_recv().await? {
        core.announcer.hear(heard.payload(), &core.wakeups);
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn announcements_are_heard_by_others_only() {
        let announcer = Announcer::new("s", "me".to_owned());
        let mut news = News { due: true, control: true, ..News::default() };
        news.instance(&Arc::from("an id"));
        let payloads = announcer.payloads(&news);
        assert_eq!(payloads, ["me d", "me c", "me ian id"]);
        let (wakeups, other) = (Wakeups::new(), Announcer::new("s", "other".to_owned()));
        let (due, watch) = (wakeups.listen_due(), wakeups.listen_instance("an id"));
        let instance = watch.listen();
        for payload in &payloads {
            announcer.hear(payload, &wakeups);
        }
        assert!(futures_util::FutureExt::now_or_never(due).is_none(), "its own");
        let due = wakeups.listen_due();
        for payload in &payloads {
            other.hear(payload, &wakeups);
        }
        assert!(futures_util::FutureExt::now_or_never(instance).is_some());
        other.heard.pass_on(&wakeups);
        assert!(futures_util::FutureExt::now_or_never(due).is_some());
        let due = wakeups.listen_due();
        other.heard.pass_on(&wakeups);
        assert!(futures_util::FutureExt::now_or_never(due).is_none(), "once");
    }

    #[test]
    fn the_first_after_a_quiet_moment_is_sent_at_once() {
        let announcer = Announcer::new("s", "me".to_owned());
        let news = || News { due: true, ..News::default() };
        assert_eq!(announcer.at_once(News::default()), None);
        assert_eq!(announcer.at_once(news()), Some(news()));
        assert_eq!(announcer.at_once(news()), None, "it goes with the next");
    }
}
