//! The walk, and nothing else: three loops, each ending in a durable door.
//!
//! [`follow()`] (one per log) turns bytes into hits and ends in door 1; [`examine()`] turns hits and the CA's record into
//! findings and ends in door 2; [`deliver()`] turns the outbox into messages and ends in door 3. A crash anywhere repeats
//! work and loses nothing.

mod deliver;
mod examine;
mod follow;
mod rates;
mod reading;

use std::sync::Arc;

use tokio::sync::Notify;

use crate::books::{Books, BooksError};
use crate::cache::Cache;
use crate::clock::{Clock, Span};
use crate::evidence;
use crate::issuance::IssuanceDb;
use crate::lint::Tables;
use crate::metrics::Metrics;
use crate::notify::{Notifier, mail::Addressing};
use crate::watch::Watchlist;

pub use deliver::{deliver, deliver_due};
pub use examine::{examine, examine_due};
pub use follow::{FollowEnd, Until, follow};

/// What the three loops share.
pub struct Walk {
    /// The books.
    pub books: Books,
    /// Issuers fetched from static logs.
    pub cache: Cache,
    /// The CA's record.
    pub issuance: IssuanceDb,
    /// Whose certificates are ours.
    pub watchlist: Arc<Watchlist>,
    /// What the rules rest on.
    pub tables: Tables,
    /// How long after logging the CA's record may lack a certificate.
    pub grace: Span,
    /// The CA's own terms.
    pub terms: evidence::Policy,
    /// Where messages go.
    pub notifier: Notifier,
    /// To whom, one per recipient.
    pub recipients: Vec<Addressing>,
    /// What is counted.
    pub metrics: Arc<Metrics>,
    /// The time.
    pub clock: Clock,
    /// Rung by door 1: there are hits to examine.
    pub hits_waiting: Notify,
    /// Rung by door 2: there are messages to send.
    pub mail_waiting: Notify,
}

impl Walk {
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
