//! The log list: read at start and ever again, and what of it is followed.

use std::sync::Arc;

use super::DaemonError;
use super::follows::Assignment;
use crate::cache::{Cache, Kind};
use crate::config::{ListSource, LogOverride, LogsConfig};
use crate::ct::log_list::{self, Log, LogList};
use crate::tail::{Caps, Fetcher, Limits};

/// The largest log list that is read, in bytes; today's have 0.2 MB.
const LIST_CAPS: Caps = Caps { wire_bytes: 16 << 20, body_bytes: 64 << 20 };

/// Reads one log list, again and again.
pub(super) struct ListReader {
    source: ListSource,
    fetcher: Fetcher,
    cache: Arc<Cache>,
    /// What the server called the list that is in use.
    etag: Option<String>,
    in_use: Option<Arc<LogList>>,
}

/// A list that was read, or the last good one.
pub(super) struct ListRead {
    pub list: Arc<LogList>,
    /// Why it is the last good one.
    pub failed: Option<String>,
    /// It is not what the last reading gave.
    pub changed: bool,
}

impl ListReader {
    pub fn new(source: ListSource, fetcher: Fetcher, cache: Arc<Cache>) -> ListReader {
        ListReader { source, fetcher, cache, etag: None, in_use: None }
    }

    pub fn source(&self) -> &ListSource {
        &self.source
    }

    /// Reads the list. One that cannot be had, or cannot be read, leaves the last good one in use.
    ///
    /// # Errors
    /// [`DaemonError::LogList`] when there is no good one.
    pub async fn read(&mut self) -> Result<ListRead, DaemonError> {
        let name = name(&self.source);
        let reason = match self.fetch().await {
            Ok(None) => match &self.in_use {
                Some(list) => return Ok(ListRead { list: list.clone(), failed: None, changed: false }),
                None => "the server says that nothing has changed, and nothing was read before".to_string(),
            },
            Ok(Some((bytes, etag))) => match log_list::parse(&bytes) {
                Ok(list) => {
                    if matches!(self.source, ListSource::Url(_)) {
                        self.cache.put(Kind::LogList, name.as_bytes(), &bytes);
                    }
                    let list = Arc::new(list);
                    self.etag = etag;
                    self.in_use = Some(list.clone());
                    return Ok(ListRead { list, failed: None, changed: true });
                }
                Err(error) => error.to_string(),
            },
            Err(reason) => reason,
        };
        if let Some(list) = &self.in_use {
            return Ok(ListRead { list: list.clone(), failed: Some(reason), changed: false });
        }
        let kept = match self.source {
            ListSource::Url(_) => self.cache.get(Kind::LogList, name.as_bytes()),
            ListSource::File(_) => None,
        };
        let Some(Ok(list)) = kept.map(|bytes| log_list::parse(&bytes)) else {
            return Err(DaemonError::LogList { source_name: name, reason });
        };
        let list = Arc::new(list);
        self.in_use = Some(list.clone());
        Ok(ListRead { list, failed: Some(reason), changed: true })
    }

    /// The bytes with their ETag; `None` when they are still those of the list in use.
    async fn fetch(&self) -> Result<Option<(Vec<u8>, Option<String>)>, String> {
        match &self.source {
            ListSource::File(path) => {
                let length = std::fs::metadata(path).map_err(|e| e.to_string())?.len();
                if length > LIST_CAPS.body_bytes as u64 {
                    return Err(format!("it has more than {} bytes", LIST_CAPS.body_bytes));
                }
                std::fs::read(path).map(|bytes| Some((bytes, None))).map_err(|e| e.to_string())
            }
            ListSource::Url(url) => {
                let etag = self.in_use.as_ref().and(self.etag.as_deref());
                let answer = self.fetcher.get_changed(url, LIST_CAPS, etag).await.map_err(|e| e.to_string())?;
                Ok(answer.map(|tagged| (tagged.body, tagged.etag)))
            }
        }
    }
}

/// All logs of the list, followed or not, with the configured corrections.
///
/// # Errors
/// [`DaemonError::LogList`] when a correction does not fit.
pub(super) fn corrected(config: &LogsConfig, list: &LogList) -> Result<Vec<Arc<Log>>, DaemonError> {
    let refused = |reason: String| DaemonError::LogList { source_name: name(&config.list), reason };
    let logs = list.logs.iter().cloned().map(|mut log| {
        if let Some(change) = correction(config, &log) {
            log.apply_override(change.origin.as_deref(), change.monitoring_url.as_deref()).map_err(refused)?;
        }
        Ok(Arc::new(log))
    });
    logs.collect()
}

/// Those in the configured states, with what the configuration says of each.
///
/// # Errors
/// [`DaemonError::LogList`] when there is none.
pub(super) fn chosen(config: &LogsConfig, logs: &[Arc<Log>]) -> Result<Vec<Assignment>, DaemonError> {
    let states = &config.states;
    let wanted = logs.iter().filter(|log| states.iter().any(|state| state == log.state.word()));
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
        let reason = format!("no log in it is in one of the states {} of [logs] states", states.join(", "));
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
