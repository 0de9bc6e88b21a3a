//! The log list: read at start and ever again, and what of it is followed.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use super::DaemonError;
use super::follows::Assignment;
use crate::cache::{Cache, Kind};
use crate::config::{ListSigning, ListSource, LogOverride, LogsConfig};
use crate::ct::log_list::{self, Log, LogList};
use crate::tail::{Caps, Fetcher, Limits};

/// The largest log list that is read, in bytes; today's have 0.2 MB.
const LIST_CAPS: Caps = Caps { wire_bytes: 16 << 20, body_bytes: 64 << 20 };

/// The largest signature of a list that is read, in bytes; one by an RSA key of 8192 bits has 1024.
const SIGNATURE_CAPS: Caps = Caps { wire_bytes: 64 << 10, body_bytes: 64 << 10 };

/// How long a list with its signature is waited for, the rest that its server asks for included.
const PATIENCE: Duration = Duration::from_secs(60);

/// Pauses before a list and its signature that do not fit are fetched again: the one is published a moment before the
/// other.
const AGAIN: [Duration; 3] = [Duration::from_secs(1), Duration::from_secs(2), Duration::from_secs(4)];

/// Reads one log list, again and again.
pub(super) struct ListReader {
    source: ListSource,
    signing: Option<ListSigning>,
    fetcher: Fetcher,
    cache: Arc<Cache>,
    /// What the server called the list that is in use, which was signed where it must be: while the list is still the
    /// same, its signature is not asked for.
    etag: Option<String>,
    in_use: Option<Arc<LogList>>,
}

/// A list that was read, or the last good one.
pub(super) struct ListRead {
    pub list: Arc<LogList>,
    /// Its logs, followed or not, as corrected.
    pub known: Vec<Arc<Log>>,
    /// Those that are followed; at least one.
    pub chosen: Vec<Assignment>,
    /// Why it is the last good one.
    pub failed: Option<String>,
    /// It is not what the last reading gave.
    pub changed: bool,
}

/// A list as it was fetched, signed where it must be.
struct Fetched {
    list: Vec<u8>,
    signature: Option<Vec<u8>>,
    etag: Option<String>,
}

impl ListReader {
    pub fn new(config: &LogsConfig, fetcher: Fetcher, cache: Arc<Cache>) -> ListReader {
        let (source, signing) = (config.list.clone(), config.signing.clone());
        ListReader { source, signing, fetcher, cache, etag: None, in_use: None }
    }

    /// Whether it reads the list of this configuration, under the same key.
    pub fn reads(&self, config: &LogsConfig) -> bool {
        self.source == config.list && self.signing == config.signing
    }

    /// Reads the list, and chooses from it. One that cannot be had, is not signed as it must be, cannot be read or leaves
    /// nothing to follow is no good one: the last good one stays in use.
    ///
    /// # Errors
    /// [`DaemonError::LogList`] when there is no good one.
    pub async fn read(&mut self, config: &LogsConfig) -> Result<ListRead, DaemonError> {
        let late = |_| Err(format!("no answer within {} seconds", PATIENCE.as_secs()));
        let reason = match tokio::time::timeout(PATIENCE, self.fetch()).await.unwrap_or_else(late) {
            // Asked for under a condition only while a list is in use.
            Ok(None) => match self.in_use.clone() {
                Some(list) => return read(config, list, None, false),
                None => "nothing was sent".to_string(),
            },
            Ok(Some(fetched)) => match good(config, &fetched.list) {
                Ok(read) => {
                    self.keep(&fetched);
                    self.etag = fetched.etag;
                    self.in_use = Some(read.list.clone());
                    return Ok(read);
                }
                Err(reason) => reason,
            },
            Err(reason) => reason,
        };
        if let Some(list) = self.in_use.clone() {
            return read(config, list, Some(reason), false);
        }
        let Some(Ok(read)) = self.kept().map(|bytes| good(config, &bytes)) else {
            return Err(DaemonError::LogList { source_name: name(&self.source), reason });
        };
        self.in_use = Some(read.list.clone());
        Ok(ListRead { failed: Some(reason), ..read })
    }

    /// Keeps a good list for a start without its server, with its signature where it has one: the key may be another
    /// then.
    fn keep(&self, fetched: &Fetched) {
        let (ListSource::Url(url), list) = (&self.source, &fetched.list) else { return };
        match &fetched.signature {
            None => self.cache.put(Kind::LogList, url.as_bytes(), list),
            Some(signature) => {
                let length = (signature.len() as u32).to_be_bytes();
                self.cache.put(Kind::SignedLogList, url.as_bytes(), &[&length, &signature[..], list].concat());
            }
        }
    }

    /// The last good list that was kept.
    fn kept(&self) -> Option<Vec<u8>> {
        let ListSource::Url(url) = &self.source else { return None };
        let Some(signing) = &self.signing else { return self.cache.get(Kind::LogList, url.as_bytes()) };
        let both = self.cache.get(Kind::SignedLogList, url.as_bytes())?;
        let (length, both) = both.split_first_chunk::<4>()?;
        let (signature, list) = both.split_at_checked(u32::from_be_bytes(*length) as usize)?;
        signing.key.signed(list, signature).then(|| list.to_vec())
    }

    /// The list with its signature, if it must have one, and its ETag; `None` when it is still the list in use.
    async fn fetch(&self) -> Result<Option<Fetched>, String> {
        let mut pauses = AGAIN.iter();
        loop {
            let etag = self.in_use.as_ref().and(self.etag.as_deref());
            let Some((list, etag)) = self.fetch_from(&self.source, LIST_CAPS, etag).await? else { return Ok(None) };
            let Some(signing) = &self.signing else { return Ok(Some(Fetched { list, signature: None, etag })) };
            let (place, key) = (name(&signing.signature), signing.key_file.display());
            let reason = match self.fetch_from(&signing.signature, SIGNATURE_CAPS, None).await {
                Ok(Some((signature, _))) if signing.key.signed(&list, &signature) => {
                    return Ok(Some(Fetched { list, signature: Some(signature), etag }));
                }
                Ok(_) => format!("{place} is not its signature by the key in {key}"),
                Err(reason) => format!("its signature cannot be had from {place} ({reason})"),
            };
            match pauses.next() {
                Some(pause) => tokio::time::sleep(*pause).await,
                None => {
                    let remedy = "get the list, its signature and the key for [logs] list_key from the publisher again";
                    return Err(format!("{reason}: {remedy}"));
                }
            }
        }
    }

    /// The bytes with their ETag; `None` when they are still those that the ETag stands for.
    async fn fetch_from(
        &self,
        source: &ListSource,
        caps: Caps,
        etag: Option<&str>,
    ) -> Result<Option<(Vec<u8>, Option<String>)>, String> {
        match source {
            ListSource::File(path) => read_file(path, caps).map(|bytes| Some((bytes, None))),
            ListSource::Url(url) => {
                let answer = self.fetcher.get_changed(url, caps, etag).await.map_err(|e| e.to_string())?;
                Ok(answer.map(|tagged| (tagged.body, tagged.etag)))
            }
        }
    }
}

/// Reads a list that is a file, as the daemon does at its start.
///
/// # Errors
/// [`DaemonError::LogList`] when it could not be used.
pub(super) fn check_file(config: &LogsConfig) -> Result<(), DaemonError> {
    let ListSource::File(path) = &config.list else { return Ok(()) };
    let refused = |reason: String| DaemonError::LogList { source_name: name(&config.list), reason };
    let bytes = read_file(path, LIST_CAPS).map_err(refused)?;
    good(config, &bytes).map(drop).map_err(refused)
}

fn read_file(path: &Path, caps: Caps) -> Result<Vec<u8>, String> {
    let length = std::fs::metadata(path).map_err(|e| e.to_string())?.len();
    if length > caps.body_bytes as u64 {
        return Err(format!("it has more than {} bytes", caps.body_bytes));
    }
    std::fs::read(path).map_err(|e| e.to_string())
}

/// A list out of bytes, if there is something in it to follow.
fn good(config: &LogsConfig, bytes: &[u8]) -> Result<ListRead, String> {
    let list = log_list::parse(bytes).map_err(|error| error.to_string())?;
    read(config, Arc::new(list), None, true).map_err(|error| match error {
        DaemonError::LogList { reason, .. } => reason,
        other => other.to_string(),
    })
}

fn read(
    config: &LogsConfig,
    list: Arc<LogList>,
    failed: Option<String>,
    changed: bool,
) -> Result<ListRead, DaemonError> {
    let known = corrected(config, &list)?;
    let chosen = chosen(config, &known)?;
    Ok(ListRead { list, known, chosen, failed, changed })
}

/// All logs of the list, followed or not, with the configured corrections.
///
/// # Errors
/// [`DaemonError::LogList`] when a correction does not fit.
fn corrected(config: &LogsConfig, list: &LogList) -> Result<Vec<Arc<Log>>, DaemonError> {
    let refused = |reason: String| DaemonError::LogList { source_name: name(&config.list), reason };
    let logs = list.logs.iter().cloned().map(|mut log| {
        if let Some(change) = correction(config, &log) {
            log.apply_override(change.origin.as_deref(), change.monitoring_url.as_deref()).map_err(refused)?;
        }
        Ok(Arc::new(log))
    });
    logs.collect()
}

/// Those in the configured states that may hold certificates of the configured time, with what the configuration says
/// of each.
///
/// # Errors
/// [`DaemonError::LogList`] when there is none.
fn chosen(config: &LogsConfig, logs: &[Arc<Log>]) -> Result<Vec<Assignment>, DaemonError> {
    let states = &config.states;
    let in_state = |log: &&Arc<Log>| states.iter().any(|state| state == log.state.word());
    // The end is exclusive: every notAfter in the log is before it.
    let over = |log: &&Arc<Log>| {
        log.temporal_interval.zip(config.expiring_after).is_some_and(|((_, end), after)| end <= after)
    };
    let wanted = logs.iter().filter(|log| in_state(log) && !over(log));
    let chosen: Vec<Assignment> = wanted
        .map(|log| {
            let change = correction(config, log);
            let limits = Limits {
                page_entries: change.and_then(|change| change.page),
                requests_per_second: change.and_then(|change| change.rate),
            };
            let start = change.and_then(|change| change.start).unwrap_or(config.start);
            Assignment { log: log.clone(), start, limits }
        })
        .collect();
    if chosen.is_empty() {
        let mut reason = format!("no log in it is in one of the states {} of [logs] states", states.join(", "));
        if logs.iter().any(|log| in_state(&log)) {
            reason.push_str(" and takes certificates that expire after [logs] expiring_after");
        }
        return Err(DaemonError::LogList { source_name: name(&config.list), reason });
    }
    Ok(chosen)
}

fn correction<'a>(config: &'a LogsConfig, log: &Log) -> Option<&'a LogOverride> {
    config.overrides.iter().find(|change| change.log_id == log.log_id.0)
}

/// Says which entries of a list are not used, and which corrections have no log.
pub(super) fn report(config: &LogsConfig, list: &LogList) {
    let source = name(&config.list);
    for rejected in &list.rejected {
        let (entry, reason) = (&rejected.what, &rejected.why);
        tracing::warn!(list = source, entry, reason, "an entry of the log list is not used");
    }
    for change in &config.overrides {
        if !list.logs.iter().any(|log| log.log_id.0 == change.log_id) {
            let log_id = crate::ct::to_base64(&change.log_id);
            tracing::warn!(list = source, log_id, "a [[logs.override]] is for a log that is not in the list");
        }
    }
}

/// File or URL, as people know it.
pub(super) fn name(source: &ListSource) -> String {
    match source {
        ListSource::File(path) => path.display().to_string(),
        ListSource::Url(url) => url.clone(),
    }
}
