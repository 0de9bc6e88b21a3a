//! `ctwarden demo`: the world and the monitor side by side, and what the monitor says shown as it says it.

use std::collections::VecDeque;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use super::screen::{LogState, Screen, Snapshot, block};
use super::verdict::{Outcome, Told};
use super::{DemoError, World};
use crate::clock::{Clock, Span, Stopwatch};
use crate::config;
use crate::daemon::{Daemon, DaemonError};
use crate::pipeline::{Until, Walk};

/// How often the screen is brought up to date.
const REFRESH: Duration = Duration::from_millis(500);
/// How long the end waits for what was planted and is not found yet.
const LAST_LOOK: Span = Span::from_seconds(30);
/// Over how many refreshes the rate is taken.
const RATE_WINDOW: usize = 20;

/// Why the demo ended early.
#[derive(Debug, thiserror::Error)]
pub enum ShowError {
    /// Logs, CA or files.
    #[error(transparent)]
    World(#[from] DemoError),
    /// The monitor.
    #[error(transparent)]
    Monitor(#[from] DaemonError),
    /// The configuration that the demo wrote.
    #[error(transparent)]
    Config(#[from] config::Problems),
}

impl From<crate::books::BooksError> for ShowError {
    fn from(error: crate::books::BooksError) -> ShowError {
        ShowError::Monitor(DaemonError::Books(error))
    }
}

/// A directory of its own for one demo, which stays: its mails and books are worth a look.
pub fn directory(clock: &Clock) -> PathBuf {
    std::env::temp_dir().join(format!("ctwarden-demo-{}-{}", clock.now().seconds(), std::process::id()))
}

/// Runs the demo in `directory` for `limit`, or until `stop` completes. With a limit: whether every planted mistake
/// was found and nothing else was reported.
///
/// # Errors
/// What kept the world or the monitor from working.
pub async fn show(
    directory: &Path,
    limit: Option<Span>,
    mut screen: Screen,
    stop: impl Future<Output = ()>,
) -> Result<bool, ShowError> {
    let clock = Clock::System;
    let world = World::start(directory, clock.clone()).await?;
    let daemon = Daemon::open(config::load(&world.config_file())?, clock.clone()).await?;
    let walk = daemon.walk().clone();
    screen.text(&format!(
        "A CA issues into two CT logs on this machine and now and then makes a mistake; ctwarden watches the logs.\n\
         configuration {}\nmails         {}\nmetrics       http://{}/metrics\n",
        world.config_file().display(),
        world.mail_directory().display(),
        daemon.address().map(|address| address.to_string()).unwrap_or_default()
    ));
    let mut show = Show { walk, screen, told: Vec::new(), seen: 0, rates: VecDeque::new(), since: Stopwatch::start() };
    let monitor = daemon.run(Until::Stopped, std::future::pending());
    // Mistakes are made in the first half; the CA works on until shortly before the end, so that the rest of the time
    // shows that nothing else is reported.
    let work = world.work(limit.map(Span::duration));
    let ended = tokio::select! {
        ended = monitor => { ended?; false }
        ended = show.watch(&world, limit, work) => { ended?; true }
        () = stop => false,
    };
    show.screen.finish();
    let Some(_) = limit.filter(|_| ended) else { return Ok(true) };
    let outcome = Outcome::judge(&world.planted(), &show.told, world.issued());
    show.screen.text(&format!("\n{}", outcome.table()));
    Ok(outcome.passed())
}

struct Show {
    walk: Arc<Walk>,
    screen: Screen,
    told: Vec<Told>,
    seen: i64,
    rates: VecDeque<(f64, u64)>,
    since: Stopwatch,
}

impl Show {
    /// Keeps the screen up to date while the CA works, and then until the monitor has seen everything.
    async fn watch(
        &mut self,
        world: &World,
        limit: Option<Span>,
        work: impl Future<Output = Result<(), DemoError>>,
    ) -> Result<(), ShowError> {
        let mut work = std::pin::pin!(work);
        let mut working = true;
        loop {
            tokio::select! {
                ended = &mut work, if working => { ended?; working = false; }
                () = tokio::time::sleep(REFRESH) => {}
            }
            self.refresh(world).await?;
            let late = limit.is_some_and(|limit| self.since.elapsed() > (limit.duration() + LAST_LOOK.duration()));
            if !working && (late || self.everything_is_seen(world).await?) {
                return Ok(());
            }
        }
    }

    /// Every entry read and verified, every hit examined, every message sent.
    async fn everything_is_seen(&self, world: &World) -> Result<bool, ShowError> {
        let lines = self.walk.books.list_logs().await?;
        let sizes: Vec<u64> = world.logs().iter().map(|log| log.size()).collect();
        let read = lines.len() == sizes.len() && lines.iter().map(|line| line.verified).sum::<u64>() == sizes.iter().sum::<u64>();
        let examined = self.walk.books.next_examination().await?.is_none();
        Ok(read && examined && self.walk.books.queue_state().await?.length == 0)
    }

    async fn refresh(&mut self, world: &World) -> Result<(), ShowError> {
        let planted = world.planted();
        for (outbox_id, notice, delivered_at) in self.walk.books.delivered_after(self.seen).await? {
            self.seen = outbox_id;
            let serial = notice.certificate.as_ref().map(|certificate| certificate.serial.clone());
            let mistake = planted.iter().find(|planted| Some(&planted.serial) == serial.as_ref());
            self.screen.text(&block(mistake.map(|planted| planted.mistake.title()), &notice));
            self.told.push(Told { notice, mailed_at: delivered_at });
        }
        let metrics = &self.walk.metrics;
        let (now, entries) = (self.since.seconds(), metrics.total_entries());
        self.rates.push_back((now, entries));
        if self.rates.len() > RATE_WINDOW {
            self.rates.pop_front();
        }
        let (then, before) = self.rates.front().copied().unwrap_or((now, entries));
        let books = &self.walk.books;
        let snapshot = Snapshot {
            elapsed: Span::from_millis(self.since.elapsed().as_millis() as i64),
            logs: books
                .list_logs()
                .await?
                .into_iter()
                .map(|line| LogState {
                    tree_size: line.tree_size.unwrap_or(0).max(line.downloaded),
                    downloaded: line.downloaded,
                    verified: line.verified,
                    name: line.log,
                })
                .collect(),
            entries_per_second: if now > then { (entries - before) as f64 / (now - then) } else { 0.0 },
            lag_seconds: books.newest_lag().await?.map_or(0.0, |lag| lag.seconds_f64().max(0.0)),
            issued: world.issued(),
            hits: metrics.total_hits(),
            findings: metrics.total_findings(),
            planted: planted.len() as u64,
            cases: books.list_cases(u32::MAX).await?.len() as u64,
            mails: self.told.len() as u64,
        };
        self.screen.status(&snapshot);
        Ok(())
    }
}
