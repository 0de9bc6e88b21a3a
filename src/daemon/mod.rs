//! The daemon: wiring and nothing else. It opens what the configuration names, starts the loops and ends with them.

mod error;
mod follows;
mod inputs;
pub mod key_lists;
mod lists;
mod open;
pub mod reload;

use std::sync::{Arc, RwLock};
use std::time::Duration;

use tokio::net::TcpListener;
use tokio::sync::{Notify, mpsc};
use tokio::task::JoinSet;

use crate::books::{Books, BooksError, DirectoryLock, lock_directory};
use crate::cache::Cache;
use crate::clock::{Clock, Span, Timestamp};
use crate::config::{self, Config};
use crate::ct::key::LogId;
use crate::ct::log_list::Log;
use crate::exam;
use crate::lint::Tables;
use crate::metrics::{Input, Metrics};
use crate::pipeline::{self, Until, Walk};
use crate::promise::KnownLogs;
use crate::tail::Fetcher;
use crate::watch::Watchlist;
use crate::web::{self, Readiness};

pub use error::DaemonError;
use follows::{Assignment, Follows};
use inputs::Inputs;
use lists::{ListRead, ListReader};
use open::watchlist;
pub use open::{check_files, grounds, issuance, judges, notifier};
use reload::Answer;

/// How long a run that is to end waits, after everything is read, for messages that cannot be delivered.
const LAST_MESSAGES: Span = Span::from_seconds(120);

/// A daemon that is ready to run: everything it needs is open.
pub struct Daemon {
    walk: Arc<Walk>,
    list: ListReader,
    inputs: Inputs,
    chosen: Vec<Assignment>,
    fetcher: Fetcher,
    config: Config,
    reloads: Option<mpsc::Receiver<()>>,
    readiness: Readiness,
    listener: TcpListener,
    _lock: DirectoryLock,
}

impl Daemon {
    /// Opens what the configuration names.
    ///
    /// # Errors
    /// The first thing that cannot be opened; nothing was started then.
    pub async fn open(config: Config, clock: Clock) -> Result<Daemon, DaemonError> {
        let lock = lock_directory(&config.data_directory)?;
        let address = config.web.listen;
        let listener = TcpListener::bind(address).await;
        let listener = listener.map_err(|e| DaemonError::Listen { address, reason: e.to_string() })?;
        let books = Books::open(&config.books)?;
        let issuance = issuance(&config)?;
        let metrics = Arc::new(Metrics::new(env!("CARGO_PKG_VERSION"), env!("CTWARDEN_COMMIT")));
        metrics.declare_rules(&exam::rules());
        let cache = Arc::new(Cache::open(&config.data_directory.join("cache"), clock.clone()));
        let watchlist = Arc::new(watchlist(&config)?);
        declare_issuers(&metrics, &watchlist);
        let (notifier, recipients) = notifier(&config)?;
        let (contact, addresses) = (&config.logs.contact, &config.logs.source_addresses);
        let fetcher = Fetcher::from_addresses(contact, clock.clone(), addresses).map_err(DaemonError::Http)?;
        let mut list = ListReader::new(&config.logs, fetcher.clone(), cache.clone());
        let read = list.read(&config.logs).await?;
        report(&config, &metrics, &read, clock.now());
        let (known, chosen) = (read.known, read.chosen);
        let inputs = Inputs::open(&config.inputs, &fetcher, &cache, &books, &metrics, clock.now()).await?;
        let keys = key_lists::read(&config.weak_keys, &config.compromised_keys)?;
        metrics.key_lists_loaded(keys.weak_count(), keys.compromised_count(), keys.as_of());
        let tables = Tables { keys: Arc::new(keys), ..inputs.tables() };
        books.name_logs(names(&known)).await?;
        for incident in cache.take_incidents() {
            metrics.cache_incident();
            tracing::warn!(incident, "cache");
        }
        let judges = judges(&config, &metrics)?;
        let walk = Walk {
            judges: Arc::new(judges),
            books,
            cache,
            issuance: Arc::new(issuance),
            watchlist,
            logs: Arc::new(RwLock::new(Arc::new(KnownLogs::new(known)))),
            tables: Arc::new(RwLock::new(Arc::new(tables))),
            grace: config.issuance.grace,
            terms: Arc::new(config.issuance.terms.clone()),
            heads: Arc::default(),
            status: Arc::new(config.status.clone()),
            crls: Arc::new(open::crls(&config)),
            notifier: Arc::new(notifier),
            recipients,
            metrics,
            clock,
            kept_answers: pipeline::KeptAnswers::default(),
            lagging: pipeline::Lagging::default(),
            hits_waiting: Arc::new(Notify::new()),
            mail_waiting: Arc::new(Notify::new()),
            questions_waiting: Arc::new(Notify::new()),
        };
        let readiness = Readiness::waiting("the logs are being taken up");
        let walk = Arc::new(walk);
        Ok(Daemon { walk, list, inputs, chosen, fetcher, config, reloads: None, readiness, listener, _lock: lock })
    }

    /// Reads the configuration again at each message.
    pub fn reload_on(&mut self, requests: mpsc::Receiver<()>) {
        self.reloads = Some(requests);
    }

    /// What the loops share.
    pub fn walk(&self) -> &Arc<Walk> {
        &self.walk
    }

    /// The logs that will be followed.
    pub fn logs(&self) -> impl Iterator<Item = &Arc<Log>> {
        self.chosen.iter().map(|assignment| &assignment.log)
    }

    /// Where /metrics is.
    pub fn address(&self) -> Option<std::net::SocketAddr> {
        self.listener.local_addr().ok()
    }

    /// Runs until `shutdown` completes, or until everything is read, examined and delivered.
    ///
    /// # Errors
    /// Unusable books; with [`Until::CaughtUp`] also what could not be finished.
    pub async fn run(self, until: Until, shutdown: impl Future<Output = ()>) -> Result<(), DaemonError> {
        let web_address = self.address().unwrap_or(self.config.web.listen);
        let (stop_web, web_stopped) = tokio::sync::oneshot::channel::<()>();
        let title = format!("ctwarden {} ({})", env!("CARGO_PKG_VERSION"), env!("CTWARDEN_COMMIT"));
        let mut router = web::router(self.walk.metrics.clone(), self.readiness.clone(), title);
        if let Some(door) = open::record_door(&self.config, &self.walk) {
            router = router.merge(web::feed::router(door));
        }
        let web = tokio::spawn(web::serve(self.listener, router, async {
            let _ = web_stopped.await;
        }));
        let follows = Follows::new(self.walk.clone(), self.fetcher.clone(), until);
        let (config, list) = (self.config, self.list);
        let mut inputs = JoinSet::new();
        inputs.spawn(self.inputs.keep_fresh(self.walk.clone()));
        for followed in config.issuance.follow.iter().cloned() {
            match until {
                Until::Stopped => drop(inputs.spawn(pipeline::follow_feed(self.walk.clone(), followed))),
                Until::CaughtUp => pipeline::drain_feed(&self.walk, followed).await?,
            }
        }
        let loops = JoinSet::new();
        let mut work = Work { walk: self.walk, config, list, fetcher: self.fetcher, follows, loops, inputs };
        work.start_loops();
        work.follows.assign(self.chosen).await?;
        self.readiness.set_ready();
        tracing::info!(logs = work.follows.count(), web = %web_address, "following");
        let result = tokio::select! {
            result = work.run(until, self.reloads) => result,
            () = shutdown => match until {
                Until::Stopped => Ok(()),
                Until::CaughtUp => Err(DaemonError::Unfinished("it was told to stop".to_string())),
            },
        };
        let _ = stop_web.send(());
        let _ = tokio::time::timeout(Duration::from_secs(5), web).await;
        let books = work.walk.books.clone();
        drop(work);
        match result {
            Ok(()) => Ok(books.settle().await?),
            stopped => stopped,
        }
    }
}

fn declare_issuers(metrics: &Metrics, watchlist: &Watchlist) {
    watchlist.issuers().iter().for_each(|issuer| metrics.declare_issuer(&issuer.name));
    metrics.declare_issuer("other");
}

/// The loops under way, and what they are made of.
struct Work {
    walk: Arc<Walk>,
    config: Config,
    list: ListReader,
    fetcher: Fetcher,
    follows: Follows,
    /// Dropping it ends them; a door is whole or not at all.
    loops: JoinSet<Result<(), BooksError>>,
    /// Reads the lists that rules rest on; a reload does not end it.
    inputs: JoinSet<Result<(), BooksError>>,
}

impl Work {
    fn start_loops(&mut self) {
        self.loops = JoinSet::new();
        self.loops.spawn(pipeline::examine(self.walk.clone()));
        self.loops.spawn(pipeline::deliver(self.walk.clone()));
        self.loops.spawn(pipeline::measure_lag(self.walk.clone()));
        self.loops.spawn(pipeline::watch_record(self.walk.clone()));
        self.loops.spawn(pipeline::audit_promises(self.walk.clone(), self.fetcher.clone()));
        self.loops.spawn(pipeline::walk_record(self.walk.clone()));
        let crls = self.config.data_directory.join("crls");
        self.loops.spawn(pipeline::compare_crls(self.walk.clone(), self.fetcher.clone(), crls));
        self.loops.spawn(pipeline::watch_controls(self.walk.clone()));
        for judge in self.walk.judges.iter() {
            self.loops.spawn(pipeline::hear_opinions(self.walk.clone(), judge.clone()));
        }
    }

    /// Until the books cannot be used, or everything is done.
    async fn run(&mut self, until: Until, mut reloads: Option<mpsc::Receiver<()>>) -> Result<(), DaemonError> {
        let mut refresh_in = reload::pause(self.config.logs.refresh);
        let mut refresh = Box::pin(tokio::time::sleep(refresh_in));
        loop {
            tokio::select! {
                Some(ended) = self.loops.join_next() => return settle(ended),
                Some(ended) = self.inputs.join_next() => return settle(ended),
                ended = self.follows.next_ended() => match ended {
                    None => break,
                    Some(ended) => self.follows.settle(ended).await?,
                },
                () = &mut refresh, if until == Until::Stopped => {
                    self.refresh().await?;
                    refresh_in = reload::pause(self.config.logs.refresh);
                    refresh.as_mut().set(tokio::time::sleep(refresh_in));
                }
                Some(()) = next(&mut reloads) => {
                    self.reload().await?;
                    refresh_in = reload::pause(self.config.logs.refresh);
                    refresh.as_mut().set(tokio::time::sleep(refresh_in));
                }
            }
        }
        tokio::select! {
            Some(ended) = self.loops.join_next() => return settle(ended),
            Some(ended) = self.inputs.join_next() => return settle(ended),
            finished = finish(&self.walk) => self.follows.unreachable.extend(finished?),
        }
        // A run that ends has no later look at what it has just read.
        let always = Timestamp::from_millis(i64::MAX);
        pipeline::audit_promises_due(&self.walk, &self.fetcher, always).await?;
        let unfinished = &self.follows.unreachable;
        if unfinished.is_empty() { Ok(()) } else { Err(DaemonError::Unfinished(unfinished.join("; "))) }
    }

    /// Reads the log list again. One that cannot be used changes nothing.
    async fn refresh(&mut self) -> Result<(), DaemonError> {
        match self.list.read(&self.config.logs).await {
            Ok(read) => {
                report(&self.config, &self.walk.metrics, &read, self.walk.clock.now());
                self.walk.books.name_logs(names(&read.known)).await?;
                self.walk.learn_logs(read.known);
                Ok(self.follows.assign(read.chosen).await?)
            }
            Err(error) => {
                self.walk.metrics.input_refresh_failed(Input::LogList);
                tracing::warn!(%error, "the log list is not used");
                Ok(())
            }
        }
    }

    /// Reads the configuration again and answers.
    async fn reload(&mut self) -> Result<(), DaemonError> {
        let started_at = self.walk.clock.now();
        let (applied, needs_restart, refused) = match self.apply().await? {
            Ok((applied, needs_restart)) => (applied, needs_restart, None),
            Err(reason) => (Vec::new(), Vec::new(), Some(reason)),
        };
        self.walk.metrics.config_reloaded(refused.is_none(), self.walk.clock.now());
        match &refused {
            None => tracing::info!(?applied, ?needs_restart, "the configuration was read again"),
            Some(reason) => tracing::error!(reason, "the configuration cannot be used; the old one stays in force"),
        }
        let answer = Answer { started_at, refused, applied, needs_restart };
        if let Err(error) = reload::answer(&self.config.data_directory, &answer) {
            tracing::error!(%error, "the answer to the reload cannot be written; free the disk");
        }
        Ok(())
    }

    /// Puts a new configuration in force, all that can be of it or nothing: (sections, keys that need a restart).
    async fn apply(&mut self) -> Result<Result<(Vec<String>, Vec<String>), String>, DaemonError> {
        let new = match config::load(&self.config.file) {
            Ok(new) => new,
            Err(problems) => return Ok(Err(problems.to_string())),
        };
        let (mut applied, restart) = (reload::applied(&self.config, &new), reload::needs_restart(&self.config, &new));
        let new = reload::in_force(&self.config, new);
        // The lists of keys are read again even when their names are the same ones; it may take a second.
        let (weak, compromised) = (new.weak_keys.clone(), new.compromised_keys.clone());
        let keys = match tokio::task::spawn_blocking(move || key_lists::read(&weak, &compromised)).await {
            Ok(Ok(keys)) => keys,
            Ok(Err(error)) => return Ok(Err(error.to_string())),
            Err(error) => return Ok(Err(format!("the lists of keys could not be read: {error}"))),
        };
        if keys != *self.walk.newest_tables().keys && !applied.iter().any(|section| section == "lint") {
            applied.push("lint".to_string());
        }
        let others = applied.iter().any(|section| !["logs", "lint"].contains(&section.as_str()));
        let renewed = if others { self.renewed(&new).map(Some) } else { Ok(None) };
        let renewed = match renewed {
            Ok(renewed) => renewed,
            Err(error) => return Ok(Err(error.to_string())),
        };
        let mut other_list = (!self.list.reads(&new.logs))
            .then(|| ListReader::new(&new.logs, self.fetcher.clone(), self.walk.cache.clone()));
        let read = match other_list.as_mut().unwrap_or(&mut self.list).read(&new.logs).await {
            Ok(read) => read,
            Err(error) => return Ok(Err(error.to_string())),
        };
        report(&new, &self.walk.metrics, &read, self.walk.clock.now());
        if let Some(other) = other_list {
            self.list = other;
        }
        self.config = new;
        self.walk.metrics.key_lists_loaded(keys.weak_count(), keys.compromised_count(), keys.as_of());
        self.walk.learn_keys(keys);
        if let Some(walk) = renewed {
            self.walk = Arc::new(walk);
            self.loops = JoinSet::new();
            self.walk.metrics.forget_status();
            declare_issuers(&self.walk.metrics, &self.walk.watchlist);
            self.start_loops();
            self.follows.renew(self.walk.clone());
        }
        self.walk.books.name_logs(names(&read.known)).await?;
        self.walk.learn_logs(read.known);
        self.follows.assign(read.chosen).await?;
        Ok(Ok((applied, restart)))
    }

    /// The walk with other issuers, another notifier, other recipients, other things that are watched.
    fn renewed(&self, new: &Config) -> Result<Walk, DaemonError> {
        let watchlist = Arc::new(watchlist(new)?);
        let (notifier, recipients) = notifier(new)?;
        let (status, crls) = (Arc::new(new.status.clone()), Arc::new(open::crls(new)));
        Ok(Walk { watchlist, notifier: Arc::new(notifier), recipients, status, crls, ..Walk::clone(&self.walk) })
    }
}

/// The next request to read the configuration again; never, where nobody can ask.
async fn next(reloads: &mut Option<mpsc::Receiver<()>>) -> Option<()> {
    match reloads {
        Some(requests) => requests.recv().await,
        None => std::future::pending().await,
    }
}

/// What the logs of a list are called, for the books: a log may have moved while it was not followed.
fn names(logs: &[Arc<Log>]) -> Vec<(LogId, String)> {
    logs.iter().map(|log| (log.log_id, log.name.clone())).collect()
}

/// Counts and says how the reading of the log list went.
fn report(config: &Config, metrics: &Metrics, read: &ListRead, now: Timestamp) {
    match &read.failed {
        Some(reason) => {
            metrics.input_refresh_failed(Input::LogList);
            let list = lists::name(&config.logs.list);
            tracing::warn!(list, reason, "the log list could not be read; the last good one is used");
        }
        None => metrics.input_loaded(Input::LogList, read.list.timestamp.unwrap_or(now)),
    }
    if read.changed {
        lists::report(&config.logs, &read.list);
    }
}

/// Waits until nothing is left to examine or deliver; what was left when patience ended.
async fn finish(walk: &Walk) -> Result<Option<String>, DaemonError> {
    let mut deadline: Option<Timestamp> = None;
    let mut told = false;
    loop {
        let planned = walk.books.next_examination().await?;
        let queue = walk.books.queue_state().await?;
        let now = walk.clock.now();
        let mut unasked = 0;
        for judge in walk.judges.iter() {
            unasked += walk.books.opinion_queue(&judge.settings.name).await?.unasked;
        }
        if planned.is_none() && queue.length == 0 && unasked == 0 {
            return Ok(None);
        }
        if let Some(planned) = planned.filter(|planned| planned.since(now).seconds() > 5 && !told) {
            told = true;
            tracing::info!(until = %planned, "waiting for certificates that the issuance record may still learn of");
        }
        let end = *deadline.get_or_insert(now.plus(walk.grace).plus(LAST_MESSAGES));
        if now > end && planned.is_none() && queue.length == 0 {
            // Their opinions are none of our own work; the next run asks again.
            tracing::warn!(certificates = unasked, "other judges were not asked about all certificates");
            return Ok(None);
        }
        if now > end {
            return Ok(Some(format!(
                "{} messages wait in the outbox and {} examinations are due",
                queue.length,
                if planned.is_some() { "some" } else { "no" }
            )));
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}

fn settle(ended: Result<Result<(), BooksError>, tokio::task::JoinError>) -> Result<(), DaemonError> {
    match ended {
        Ok(result) => Ok(result?),
        Err(error) if error.is_cancelled() => Ok(()),
        Err(error) => std::panic::resume_unwind(error.into_panic()),
    }
}
