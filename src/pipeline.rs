//! The walk, and nothing else: three loops, each ending in a durable door, and two more beside them.
//!
//! [`follow()`] (one per log) turns bytes into hits and ends in door 1; [`examine()`] turns hits and the CA's record into
//! findings and ends in door 2; [`deliver()`] turns the outbox into messages and ends in door 3. A crash anywhere repeats
//! work and loses nothing. [`audit_promises()`] holds the logs to the SCTs that door 2 has written down, and
//! [`hear_opinions()`] (one per judge) asks other linters the questions that door 2 has written down. [`walk_record()`]
//! goes from the CA's record to the logs, [`compare_crls()`] from both to the CRLs, [`watch_controls()`] looks after the
//! CA's own controls.

mod counting;
mod deliver;
mod examine;
mod feeds;
mod follow;
mod kept;
mod lag;
mod opinions;
mod promises;
mod rates;
mod reading;
mod record_watch;
mod rescan;
mod status;

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError, RwLock};

use tokio::sync::Notify;

use crate::books::{Books, BooksError};
use crate::cache::Cache;
use crate::clock::{Clock, Span, Timestamp};
use crate::config::StatusConfig;
use crate::ct::key::LogId;
use crate::ct::log_list::Log;
use crate::evidence;
use crate::finding::KeyHash;
use crate::issuance::IssuanceDb;
use crate::judges::Judge;
use crate::lint::{KeyLists, Tables};
use crate::metrics::Metrics;
use crate::notify::{Notifier, mail::Addressing};
use crate::promise::KnownLogs;
use crate::watch::Watchlist;

pub use deliver::{deliver, deliver_due};
pub use examine::{Grounds, examine, examine_due};
pub use feeds::{drain_feed, follow_feed};
pub use follow::{FollowEnd, Until, follow};
pub use kept::KeptAnswers;
pub use lag::{Lagging, measure_lag, measure_lag_due};
pub use opinions::{hear_opinions, hear_opinions_due};
pub use promises::{audit_promises, audit_promises_due};
pub use record_watch::watch_record;
pub use rescan::{Difference, Rescan, Side, Tally};
pub use status::{
    Compared, compare_crls, compare_crls_due, walk_record, walk_record_due, watch_controls, watch_controls_due,
};

/// What the three loops share. A reload makes a clone of it in which some things are new.
#[derive(Clone)]
pub struct Walk {
    /// The books.
    pub books: Books,
    /// Issuers fetched from static logs.
    pub cache: Arc<Cache>,
    /// The CA's record.
    pub issuance: Arc<IssuanceDb>,
    /// Whose certificates are ours.
    pub watchlist: Arc<Watchlist>,
    /// Every log of the log list, followed or not: see [`Walk::learn_logs`].
    pub logs: Arc<RwLock<Arc<KnownLogs>>>,
    /// What the rules rest on: see [`Walk::learn_tables`].
    pub tables: Arc<RwLock<Arc<Tables>>>,
    /// How long after logging the CA's record may lack a certificate.
    pub grace: Span,
    /// The CA's own terms.
    pub terms: Arc<evidence::Policy>,
    /// Size and timestamp of the newest tree head of each log: a log that does not grow signs new ones all the same.
    pub heads: Arc<Mutex<HashMap<LogId, (u64, Timestamp)>>>,
    /// What is watched beside the certificates in the logs.
    pub status: Arc<StatusConfig>,
    /// The CRLs that the configuration names, by issuer.
    pub crls: Arc<Vec<(KeyHash, Vec<String>)>>,
    /// Other linters that are asked after us.
    pub judges: Arc<Vec<Arc<Judge>>>,
    /// Where messages go.
    pub notifier: Arc<Notifier>,
    /// To whom, one per recipient.
    pub recipients: Vec<Addressing>,
    /// What is counted.
    pub metrics: Arc<Metrics>,
    /// The time.
    pub clock: Clock,
    /// What the record said of certificates in the last moments.
    pub kept_answers: KeptAnswers,
    /// What the record lacked when it was first looked up.
    pub lagging: Lagging,
    /// Rung by door 1: there are hits to examine.
    pub hits_waiting: Arc<Notify>,
    /// Rung by door 2: there are messages to send.
    pub mail_waiting: Arc<Notify>,
    /// Rung by door 2: there are questions to other judges.
    pub questions_waiting: Arc<Notify>,
}

impl Walk {
    /// The logs of the newest log list.
    pub fn known_logs(&self) -> Arc<KnownLogs> {
        self.logs.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Puts down the newest tree head of a log.
    fn saw_head(&self, log_id: LogId, tree_size: u64, signed_at: Timestamp) {
        self.heads.lock().unwrap_or_else(PoisonError::into_inner).insert(log_id, (tree_size, signed_at));
    }

    /// When the newest tree head of a log was signed, if it has exactly this size.
    fn head_of_size(&self, log_id: &LogId, tree_size: u64) -> Option<Timestamp> {
        let heads = self.heads.lock().unwrap_or_else(PoisonError::into_inner);
        heads.get(log_id).filter(|(size, _)| *size == tree_size).map(|(_, signed_at)| *signed_at)
    }

    /// Takes the logs of a new log list over, all of them: SCTs of logs that are not followed are verified too.
    pub fn learn_logs(&self, logs: impl IntoIterator<Item = Arc<Log>>) {
        *self.logs.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(KnownLogs::new(logs));
    }

    /// The newest tables.
    pub fn newest_tables(&self) -> Arc<Tables> {
        self.tables.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Takes newer tables over, and keeps the lists of keys: what is examined from now on is judged by them.
    pub fn learn_tables(&self, tables: Tables) {
        let mut held = self.tables.write().unwrap_or_else(PoisonError::into_inner);
        let keys = held.keys.clone();
        *held = Arc::new(Tables { keys, ..tables });
    }

    /// Takes newer lists of keys over.
    pub fn learn_keys(&self, keys: KeyLists) {
        let mut held = self.tables.write().unwrap_or_else(PoisonError::into_inner);
        *held = Arc::new(Tables { keys: Arc::new(keys), ..Tables::clone(&held) });
    }

    /// What examinations rest on from now on.
    fn grounds(&self) -> Grounds {
        Grounds {
            watchlist: self.watchlist.clone(),
            tables: self.newest_tables(),
            terms: self.terms.clone(),
            logs: self.known_logs(),
            grace: self.grace,
        }
    }

    /// (channel, recipient) for the outbox.
    fn outbox_recipients(&self) -> Vec<(String, String)> {
        let channel = self.notifier.channel();
        self.recipients.iter().map(|addressing| (channel.to_string(), addressing.recipient())).collect()
    }

    /// Counts a failure of the books on its way up.
    fn storage<T>(&self, result: Result<T, BooksError>) -> Result<T, BooksError> {
        result.inspect_err(|_| self.metrics.storage_error())
    }
}
