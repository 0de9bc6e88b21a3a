//! The CA's own database, or a replica of it, as the source of its record: PostgreSQL, MariaDB and, not tested, MySQL.
//!
//! There is one text per table of the feed, a plain SELECT whose columns are named as those of the table. It is wrapped
//! as `SELECT ... FROM (text) q WHERE q.column ...`, which both servers merge into the text, so that indexes are used.
//! Nothing is ever written: every session is read-only, and the user needs SELECT and nothing else.

mod assemble;
mod check;
mod controls;
mod ddl;
mod error;
mod gather;
mod link;
mod mirror;
mod mysql;
mod postgres;
mod preset;
mod question;
mod revoked;
mod settings;
mod stream;

use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

pub(super) use assemble::SETTLING;
pub use ddl::ddl;
pub use error::SqlError;
pub(super) use mirror::Part;
pub use preset::{NAMES as PRESETS, Preset, preset};
pub use question::check_text;
pub use settings::{Dialect, MappedIssuer, SerialForm, Settings, Tls};
pub(super) use stream::Session;

use crate::clock::{Clock, Timestamp};
use crate::issuance::Query;
use crate::record::Lookup;
use link::Link;

/// A database server of the CA. Clones share its few connections.
#[derive(Clone)]
pub struct Sql {
    shared: Arc<Shared>,
}

struct Shared {
    settings: Settings,
    clock: Clock,
    /// Connections that nobody uses now.
    idle: Mutex<Vec<Link>>,
    /// What is known of the controls.
    controls: Mutex<Option<controls::Known>>,
    /// As many as there may be connections: a slow server is asked no more than that at once.
    permits: Arc<Semaphore>,
}

impl fmt::Debug for Sql {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Sql").field(&self.shared.settings).finish()
    }
}

/// A connection with a snapshot, and the right to it.
struct Held {
    link: Link,
    as_of: Timestamp,
    _permit: OwnedSemaphorePermit,
}

impl Sql {
    /// A server that nobody has connected to yet; the first question does.
    pub fn new(settings: Settings, clock: Clock) -> Sql {
        let permits = Arc::new(Semaphore::new(settings.connections.max(1)));
        Sql {
            shared: Arc::new(Shared { settings, clock, idle: Mutex::default(), controls: Mutex::default(), permits }),
        }
    }

    /// What it was told about the server.
    pub fn settings(&self) -> &Settings {
        &self.shared.settings
    }

    /// What the CA recorded about each certificate; see [`IssuanceDb::find`](crate::issuance::IssuanceDb::find).
    pub(super) async fn find(&self, queries: &[Query]) -> Vec<Lookup> {
        match self.answers(queries).await {
            Ok(answers) => answers,
            Err(error) => vec![Lookup::Unavailable { reason: error.to_string() }; queries.len()],
        }
    }

    async fn answers(&self, queries: &[Query]) -> Result<Vec<Lookup>, SqlError> {
        let settings = self.settings();
        let mut held = self.hold().await?;
        let gathered = gather::gather(&mut held.link, settings, queries).await?;
        let as_of = held.as_of;
        self.release(held).await?;
        let (shared, asked) = (self.shared.clone(), queries.to_vec());
        let work = move || assemble::assemble(&shared.settings, &asked, gathered, as_of);
        let failed = |reason: String| link::refused(settings, "certificates", reason);
        let answers = tokio::task::spawn_blocking(work).await.map_err(|error| failed(error.to_string()))?;
        answers.map_err(|error| failed(error.to_string()))
    }

    /// The time of the newest write that the server can show: its own now, where it is no replica.
    ///
    /// # Errors
    /// Why it cannot be asked.
    pub async fn as_of(&self) -> Result<Timestamp, SqlError> {
        let held = self.hold().await?;
        let as_of = held.as_of;
        self.release(held).await?;
        Ok(as_of)
    }

    /// A connection with a snapshot: one that is idle, or a new one.
    async fn hold(&self) -> Result<Held, SqlError> {
        let (settings, now) = (self.settings(), self.shared.clock.now());
        let busy = || SqlError::Busy { server: settings.server(), connections: settings.connections };
        let patience = settings.statement_timeout + settings.connect_timeout;
        let permit = tokio::time::timeout(patience, self.shared.permits.clone().acquire_owned()).await;
        let permit = permit.map_err(|_| busy())?.map_err(|_| busy())?;
        // A connection may have been lost while it was idle; that is no outage yet.
        while let Some(mut link) = self.take_idle() {
            match link.begin(settings, now).await {
                Ok(as_of) => return Ok(Held { link, as_of, _permit: permit }),
                Err(slow @ SqlError::Slow { .. }) => return Err(slow),
                Err(_) => {}
            }
        }
        let mut link = Link::connect(settings).await?;
        let as_of = link.begin(settings, now).await?;
        Ok(Held { link, as_of, _permit: permit })
    }

    /// Gives a connection back. One on which something failed is not given back: it ends.
    async fn release(&self, mut held: Held) -> Result<(), SqlError> {
        held.link.end(self.settings()).await?;
        self.shared.idle.lock().unwrap_or_else(PoisonError::into_inner).push(held.link);
        Ok(())
    }

    fn take_idle(&self) -> Option<Link> {
        self.shared.idle.lock().unwrap_or_else(PoisonError::into_inner).pop()
    }
}
