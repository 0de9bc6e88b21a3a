//! The daemon: wiring and nothing else. It opens what the configuration names, starts the loops and ends with them.

use std::path::PathBuf;
use std::sync::{Arc, RwLock};
use std::time::Duration;

use tokio::net::TcpListener;
use tokio::sync::Notify;
use tokio::task::JoinSet;

use crate::books::{Books, BooksError, DirectoryLock, lock_directory};
use crate::cache::{Cache, Kind};
use crate::clock::{Clock, Span, Timestamp};
use crate::config::{Config, IssuanceSource, IssuerSource, ListSource, MailProfile, MailTls, MailTransport};
use crate::ct::log_list::{self, Log, LogList};
use crate::exam;
use crate::issuance::{Embedded, IssuanceDb, IssuanceError};
use crate::lint::{SuffixList, Tables};
use crate::metrics::{Input, Metrics};
use crate::notify::mail::{Addressing, Profile};
use crate::notify::{Folder, Notifier, SetupError, Smtp, SmtpSettings, Tls};
use crate::pipeline::{self, FollowEnd, Until, Walk};
use crate::promise::KnownLogs;
use crate::tail::{Caps, FetchError, Fetcher};
use crate::watch::{Issuer, Watchlist};
use crate::web::{self, Readiness};

/// How long a run that is to end waits, after everything is read, for messages that cannot be delivered.
const LAST_MESSAGES: Span = Span::from_seconds(120);
/// The largest log list that is read, in bytes; today's have 0.1 MB.
const LIST_CAPS: Caps = Caps { wire_bytes: 16 << 20, body_bytes: 64 << 20 };

/// Why the daemon did not start, or stopped. The text names the thing, the reason and the remedy.
#[derive(Debug, thiserror::Error)]
pub enum DaemonError {
    /// The books.
    #[error(transparent)]
    Books(#[from] BooksError),
    /// The issuance record.
    #[error(transparent)]
    Issuance(#[from] IssuanceError),
    /// The mail settings.
    #[error(transparent)]
    Mail(#[from] SetupError),
    /// The log list.
    #[error("log list {source_name}: {reason}; mend it or name another in [logs] list")]
    LogList {
        /// File or URL.
        source_name: String,
        /// What is wrong.
        reason: String,
    },
    /// An issuer.
    #[error("issuer {name:?}: {reason}; name the CA's certificate, PEM or DER, in [[issuer]] certificate")]
    Issuer {
        /// Its configured name.
        name: String,
        /// What is wrong.
        reason: String,
    },
    /// The web address.
    #[error("[web] listen {address}: {reason}; stop what uses the address, or choose another")]
    Listen {
        /// The address.
        address: std::net::SocketAddr,
        /// What the system said.
        reason: String,
    },
    /// The public suffix list.
    #[error(
        "public suffix list {path}: {reason}; mend it, or remove [lint] public_suffix_list to use the embedded one"
    )]
    SuffixList {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        reason: String,
    },
    /// HTTP cannot be used at all.
    #[error("the HTTP client cannot be set up: {0}; install the system's CA certificates (package ca-certificates)")]
    Http(FetchError),
    /// A run that was to end could not finish.
    #[error("not everything could be finished: {0}; what was done is kept, and the next run goes on from there")]
    Unfinished(String),
}

/// A daemon that is ready to run: everything it needs is open.
pub struct Daemon {
    walk: Arc<Walk>,
    logs: Vec<Arc<Log>>,
    fetcher: Fetcher,
    config: Config,
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
        let address = config.web_listen;
        let listener = TcpListener::bind(address).await;
        let listener = listener.map_err(|e| DaemonError::Listen { address, reason: e.to_string() })?;
        let books = Books::open(&config.books)?;
        let issuance = match config.issuance.source {
            IssuanceSource::Embedded => IssuanceDb::Embedded(Embedded::open(&config.data_directory)?),
            IssuanceSource::None => IssuanceDb::None,
        };
        let metrics = Arc::new(Metrics::new(env!("CARGO_PKG_VERSION"), env!("CTWARDEN_COMMIT")));
        metrics.declare_rules(&exam::rules());
        let cache = Cache::open(&config.data_directory.join("cache"), clock.clone());
        let watchlist = Arc::new(watchlist(&config)?);
        watchlist.issuers().iter().for_each(|issuer| metrics.declare_issuer(&issuer.name));
        metrics.declare_issuer("other");
        let tables = tables(&config, &metrics)?;
        let (notifier, recipients) = notifier(&config)?;
        let fetcher = Fetcher::new(&config.logs.contact, clock.clone()).map_err(DaemonError::Http)?;
        let list = log_list(&config, &fetcher, &cache).await?;
        metrics.input_loaded(Input::LogList, list.timestamp.unwrap_or(clock.now()));
        let known = corrected(&config, list)?;
        let logs = chosen(&config, &known)?;
        for incident in cache.take_incidents() {
            metrics.cache_incident();
            tracing::warn!(incident, "cache");
        }
        let walk = Walk {
            books,
            cache,
            issuance,
            watchlist,
            logs: RwLock::new(Arc::new(KnownLogs::new(known))),
            tables,
            grace: config.issuance.grace,
            notifier,
            recipients,
            metrics,
            clock,
            hits_waiting: Notify::new(),
            mail_waiting: Notify::new(),
        };
        let readiness = Readiness::waiting("the logs are being taken up");
        Ok(Daemon { walk: Arc::new(walk), logs, fetcher, config, readiness, listener, _lock: lock })
    }

    /// What the loops share.
    pub fn walk(&self) -> &Arc<Walk> {
        &self.walk
    }

    /// The logs that will be followed.
    pub fn logs(&self) -> &[Arc<Log>] {
        &self.logs
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
        let (stop_web, web_stopped) = tokio::sync::oneshot::channel::<()>();
        let address = self.address().unwrap_or(self.config.web_listen);
        let title = format!("ctwarden {} ({})", env!("CARGO_PKG_VERSION"), env!("CTWARDEN_COMMIT"));
        let router = web::router(self.walk.metrics.clone(), self.readiness.clone(), title);
        let web = tokio::spawn(web::serve(self.listener, router, async {
            let _ = web_stopped.await;
        }));
        let mut loops = JoinSet::new();
        loops.spawn(pipeline::examine(self.walk.clone()));
        loops.spawn(pipeline::deliver(self.walk.clone()));
        loops.spawn(pipeline::audit_promises(self.walk.clone(), self.fetcher.clone()));
        let mut follows = JoinSet::new();
        for log in &self.logs {
            self.walk.metrics.log_info(&log.name, &log.operator, log.api.word(), log.state.word());
            let (walk, log, fetcher, start) =
                (self.walk.clone(), log.clone(), self.fetcher.clone(), self.config.logs.start);
            follows.spawn(async move {
                let name = log.name.clone();
                pipeline::follow(walk, log, fetcher, start, until).await.map(|end| (name, end))
            });
        }
        self.readiness.set_ready();
        tracing::info!(logs = self.logs.len(), web = %address, "following");
        let work = async {
            let mut unreachable = Vec::new();
            loop {
                tokio::select! {
                    Some(ended) = loops.join_next() => return settle(ended),
                    ended = follows.join_next() => match ended {
                        None => break,
                        Some(ended) => match flatten(ended)? {
                            (log, FollowEnd::Unreachable(why)) => unreachable.push(format!("log {log} ({why})")),
                            (_, FollowEnd::CaughtUp) => {}
                        },
                    },
                }
            }
            tokio::select! {
                Some(ended) = loops.join_next() => return settle(ended),
                finished = finish(&self.walk) => unreachable.extend(finished?),
            }
            // A run that ends has no later look at what it has just read.
            let always = Timestamp::from_millis(i64::MAX);
            pipeline::audit_promises_due(&self.walk, &self.fetcher, always).await?;
            if unreachable.is_empty() { Ok(()) } else { Err(DaemonError::Unfinished(unreachable.join("; "))) }
        };
        let result = tokio::select! {
            result = work => result,
            () = shutdown => match until {
                Until::Stopped => Ok(()),
                Until::CaughtUp => Err(DaemonError::Unfinished("it was told to stop".to_string())),
            },
        };
        let _ = stop_web.send(());
        let _ = tokio::time::timeout(Duration::from_secs(5), web).await;
        loops.abort_all();
        follows.abort_all();
        match result {
            Ok(()) => Ok(self.walk.books.settle().await?),
            stopped => stopped,
        }
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
        if planned.is_none() && queue.length == 0 {
            return Ok(None);
        }
        if let Some(planned) = planned.filter(|planned| planned.since(now).seconds() > 5 && !told) {
            told = true;
            tracing::info!(until = %planned, "waiting for certificates that the issuance record may still learn of");
        }
        let end = *deadline.get_or_insert(now.plus(walk.grace).plus(LAST_MESSAGES));
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

type Ended<T> = Result<Result<T, BooksError>, tokio::task::JoinError>;

fn flatten<T>(ended: Ended<T>) -> Result<T, DaemonError> {
    match ended {
        Ok(result) => Ok(result?),
        Err(error) => std::panic::resume_unwind(error.into_panic()),
    }
}

fn settle(ended: Ended<()>) -> Result<(), DaemonError> {
    flatten(ended)
}

fn watchlist(config: &Config) -> Result<Watchlist, DaemonError> {
    let issuers = config.issuers.iter().map(|issuer| match &issuer.source {
        IssuerSource::Certificate(der) => Issuer::from_certificate(&issuer.name, der)
            .map_err(|e| DaemonError::Issuer { name: issuer.name.clone(), reason: e.to_string() }),
        IssuerSource::KeyHash(key_hash) => {
            tracing::warn!(
                issuer = issuer.name,
                "only a key hash is known: precertificates are matched, final certificates cannot be; name the certificate"
            );
            Ok(Issuer { name: issuer.name.clone(), key_hash: *key_hash, certificate: None })
        }
    });
    Ok(Watchlist::new(issuers.collect::<Result<_, _>>()?, config.watch_all_issuers))
}

/// The tables that the rules rest on: embedded, or the file that the configuration names.
///
/// # Errors
/// [`DaemonError::SuffixList`].
pub fn tables(config: &Config, metrics: &Metrics) -> Result<Tables, DaemonError> {
    let mut tables = Tables::embedded();
    if let Some(path) = &config.public_suffix_list {
        let refused = |reason: String| DaemonError::SuffixList { path: path.clone(), reason };
        let bytes = std::fs::read(path).map_err(|e| refused(e.to_string()))?;
        tables.suffixes = SuffixList::from_bytes(&bytes).map_err(|e| refused(e.to_string()))?;
    }
    metrics.input_loaded(Input::TldTable, tables.tlds.as_of());
    metrics.input_loaded(Input::PublicSuffixList, tables.suffixes.as_of());
    Ok(tables)
}

/// Where messages go, and to whom.
///
/// # Errors
/// [`DaemonError::Mail`] when the settings cannot work.
pub fn notifier(config: &Config) -> Result<(Notifier, Vec<Addressing>), DaemonError> {
    let mail = &config.mail;
    let notifier = match &mail.transport {
        MailTransport::Folder(directory) => Notifier::Folder(Folder::open(directory)?),
        MailTransport::Smtp { server, port, tls, username, password, ca_certificate } => {
            Notifier::Smtp(Smtp::new(SmtpSettings {
                server: server.clone(),
                port: *port,
                tls: match tls {
                    MailTls::StartTls => Tls::StartTls,
                    MailTls::Tls => Tls::Implicit,
                    MailTls::NoneOnLoopback => Tls::NoneOnLoopback,
                },
                username: username.clone(),
                password: password.as_ref().map(|secret| secret.expose().to_string()),
                ca_certificate: ca_certificate.clone(),
                timeout: Duration::from_secs(60),
            })?)
        }
    };
    let profile = match mail.profile {
        MailProfile::Human => Profile::Human,
        MailProfile::Ticket => Profile::Ticket,
    };
    let recipients = mail.to.iter().map(|to| Addressing::parse(&mail.from, to, profile));
    Ok((notifier, recipients.collect::<Result<_, _>>()?))
}

/// The log list from its file or URL; from a URL that does not answer, the last good one.
async fn log_list(config: &Config, fetcher: &Fetcher, cache: &Cache) -> Result<LogList, DaemonError> {
    let (source_name, bytes) = match &config.logs.list {
        ListSource::File(path) => {
            let name = path.display().to_string();
            let bytes = std::fs::read(path).map_err(|e| e.to_string());
            (name, bytes)
        }
        ListSource::Url(url) => (url.clone(), fetcher.get(url, LIST_CAPS).await.map_err(|e| e.to_string())),
    };
    let refused = |reason: String| DaemonError::LogList { source_name: source_name.clone(), reason };
    let parsed = bytes.and_then(|bytes| match log_list::parse(&bytes) {
        Ok(list) => Ok((list, bytes)),
        Err(e) => Err(e.to_string()),
    });
    let from_url = matches!(config.logs.list, ListSource::Url(_));
    let key = source_name.as_bytes();
    let list = match parsed {
        Ok((list, bytes)) => {
            if from_url {
                cache.put(Kind::LogList, key, &bytes);
            }
            list
        }
        Err(reason) => {
            let last_good = if from_url { cache.get(Kind::LogList, key) } else { None };
            let Some(Ok(list)) = last_good.map(|bytes| log_list::parse(&bytes)) else { return Err(refused(reason)) };
            tracing::warn!(list = source_name, reason, "the log list could not be fetched; the last good one is used");
            list
        }
    };
    for rejected in &list.rejected {
        tracing::warn!(
            list = source_name,
            entry = rejected.what,
            reason = rejected.why,
            "an entry of the log list is not used"
        );
    }
    Ok(list)
}

fn refused_list(config: &Config, reason: String) -> DaemonError {
    let source_name = match &config.logs.list {
        ListSource::File(path) => path.display().to_string(),
        ListSource::Url(url) => url.clone(),
    };
    DaemonError::LogList { source_name, reason }
}

/// All logs of the list, with the configured corrections.
fn corrected(config: &Config, list: LogList) -> Result<Vec<Arc<Log>>, DaemonError> {
    let mut logs = Vec::new();
    for mut log in list.logs {
        if let Some(change) = config.logs.overrides.iter().find(|change| change.log_id == log.log_id.0) {
            log.apply_override(change.origin.as_deref(), change.monitoring_url.as_deref())
                .map_err(|reason| refused_list(config, reason))?;
        }
        logs.push(Arc::new(log));
    }
    Ok(logs)
}

/// The logs in the configured states.
fn chosen(config: &Config, logs: &[Arc<Log>]) -> Result<Vec<Arc<Log>>, DaemonError> {
    let states = &config.logs.states;
    let wanted = logs.iter().filter(|log| states.iter().any(|state| state == log.state.word()));
    let logs: Vec<Arc<Log>> = wanted.cloned().collect();
    if logs.is_empty() {
        let reason = format!("no log in it is in one of the states {} of [logs] states", states.join(", "));
        return Err(refused_list(config, reason));
    }
    Ok(logs)
}
