//! The books: everything that must not be lost, in SQL.
//!
//! Three doors, each one transaction: [`Books::commit_entries`] (position + sightings), [`Books::commit_examinations`]
//! (case + events + outbox), [`Books::commit_delivery`] (delivered mark). A crash between them repeats work and loses
//! nothing. SQLite runs in WAL mode with `synchronous=FULL`: what a door returned from has reached the disk.
//!
//! One thread owns the connection that writes and one the connection that reads; both take closures over a bounded
//! channel, so that no async task ever blocks on the disk.

mod backlog;
mod cases;
mod conduct;
mod dates;
mod delivery;
mod entries;
mod listing;
mod matters;
mod opinions;
mod promises;
mod rescan;
mod revocations;
mod statistics;
mod tlds;
mod walks;

use std::fs::{File, TryLockError};
use std::io::{Read, Write};
use std::path::{Path, PathBuf};
use std::time::Duration;

use rusqlite::{Connection, ErrorCode, OpenFlags, TransactionBehavior};
use tokio::sync::{mpsc, oneshot};

pub use backlog::{Asked, Backlog, Gap, keeps_up};
pub use cases::{Examination, Opened, PendingHit};
pub use delivery::{Delivery, OutboxItem, QueueState};
pub use entries::{Lane, NewEntries, Position, Seal};
pub use listing::{CaseDetail, CaseLine, LogLine};
pub use matters::Matter;
pub use opinions::{Answered, Heard, Opinion, OpinionQueue, PendingOpinion, Questions};
pub use promises::{Looked, OpenPromise, PromiseLine, PromiseState};
pub use rescan::Judged;
pub use revocations::{CrlRow, Followed, Listing, Seen, Sight};
pub use statistics::{Counted, Statistics};
pub use walks::{LogReading, Step, Told, Waiting};

/// Books of format 1, and what makes each format of the one before it.
const SCHEMA: [&str; 7] = [
    include_str!("schema.sql"),
    include_str!("statistics.sql"),
    include_str!("gaps.sql"),
    include_str!("opinions.sql"),
    include_str!("tld_history.sql"),
    include_str!("status.sql"),
    include_str!("ended.sql"),
];
const SCHEMA_VERSION: i64 = SCHEMA.len() as i64;
/// Closures waiting for the writer; a full queue holds the loops back instead of growing.
const QUEUE_LENGTH: usize = 64;
/// Statements that a connection keeps prepared: all that the doors use by turns.
const STATEMENTS_KEPT: usize = 64;

/// What can be wrong with the books. None of these is retried by the loops: the daemon stops and says so.
#[derive(Debug, thiserror::Error)]
pub enum BooksError {
    /// Another process follows logs into the same directory.
    #[error(
        "{0}: another ctwarden is running on this directory; stop it first, or give this one a [data] directory of its own"
    )]
    InUse(PathBuf),
    /// The file is not a database or fails its check.
    #[error(
        "{path}: the books are damaged ({reason}); nothing was written. Restore the file from a backup, or move it aside to read every log again from its start"
    )]
    Damaged {
        /// The file.
        path: PathBuf,
        /// What the check said.
        reason: String,
    },
    /// Written by a newer version.
    #[error(
        "{path}: the books have format {found}, this ctwarden knows {SCHEMA_VERSION}; run the version that wrote them, or a newer one"
    )]
    Newer {
        /// The file.
        path: PathBuf,
        /// The format found.
        found: i64,
    },
    /// None were made yet.
    #[error("{0}: there are no books yet; `ctwarden run` makes them, in [data] directory")]
    Absent(PathBuf),
    /// Written by an older version.
    #[error(
        "{path}: the books are older than this ctwarden: they have format {found}: `ctwarden run` of this version makes {SCHEMA_VERSION} of it"
    )]
    Older {
        /// The file.
        path: PathBuf,
        /// The format found.
        found: i64,
    },
    /// No space left.
    #[error(
        "{0}: the disk is full; nothing acknowledged is lost. Free some space and start ctwarden again: it goes on where it stopped"
    )]
    DiskFull(PathBuf),
    /// The file or its directory cannot be used.
    #[error("{path}: the books cannot be used: {reason}; check the path, its owner and its permissions")]
    Unusable {
        /// The file.
        path: PathBuf,
        /// What the system said.
        reason: String,
    },
}

/// The only process that follows logs into a directory holds this.
#[derive(Debug)]
pub struct DirectoryLock(#[allow(dead_code)] File);

/// Takes the lock of a data directory, which is created when absent. The lock dies with the process.
///
/// # Errors
/// [`BooksError::InUse`] when another process holds it, [`BooksError::Unusable`] when the directory cannot be made.
pub fn lock_directory(directory: &Path) -> Result<DirectoryLock, BooksError> {
    let path = directory.join("ctwarden.lock");
    let unusable = |e: std::io::Error| match e.kind() {
        std::io::ErrorKind::StorageFull | std::io::ErrorKind::QuotaExceeded => BooksError::DiskFull(path.clone()),
        _ => BooksError::Unusable { path: path.clone(), reason: e.to_string() },
    };
    std::fs::create_dir_all(directory).map_err(unusable)?;
    let mut file = File::options().create(true).truncate(false).write(true).open(&path).map_err(unusable)?;
    match file.try_lock() {
        Ok(()) => {
            // Who holds it, for `ctwarden config reload`.
            file.set_len(0).and_then(|()| writeln!(file, "{}", std::process::id())).map_err(unusable)?;
            Ok(DirectoryLock(file))
        }
        Err(TryLockError::WouldBlock) => Err(BooksError::InUse(directory.to_path_buf())),
        Err(TryLockError::Error(e)) => Err(unusable(e)),
    }
}

/// The process that holds the lock of a data directory; `None` when nobody does.
///
/// # Errors
/// [`BooksError::Unusable`] when the lock cannot be read, or is held by a program that did not write its number.
pub fn lock_holder(directory: &Path) -> Result<Option<u32>, BooksError> {
    let path = directory.join("ctwarden.lock");
    let unusable = |reason: String| BooksError::Unusable { path: path.clone(), reason };
    let file = match File::open(&path) {
        Ok(file) => file,
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => return Ok(None),
        Err(e) => return Err(unusable(e.to_string())),
    };
    match file.try_lock_shared() {
        Ok(()) => return Ok(None),
        Err(TryLockError::WouldBlock) => {}
        Err(TryLockError::Error(e)) => return Err(unusable(e.to_string())),
    }
    let mut text = String::new();
    file.take(32).read_to_string(&mut text).map_err(|e| unusable(e.to_string()))?;
    let pid = text.trim().parse().map_err(|_| unusable("its holder did not write its process number".to_string()))?;
    Ok(Some(pid))
}

type Job = Box<dyn FnOnce(&mut Connection) + Send>;

/// The open books. Clones share the connections.
#[derive(Clone)]
pub struct Books {
    path: PathBuf,
    writer: mpsc::Sender<Job>,
    reader: mpsc::Sender<Job>,
}

impl std::fmt::Debug for Books {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Books({})", self.path.display())
    }
}

impl Books {
    /// Opens the books for writing, creating them when absent, after a check of the whole file.
    ///
    /// # Errors
    /// Damaged, newer, or unusable books; nothing is changed then.
    pub fn open(path: &Path) -> Result<Books, BooksError> {
        if let Some(directory) = path.parent() {
            std::fs::create_dir_all(directory)
                .map_err(|e| BooksError::Unusable { path: path.to_path_buf(), reason: e.to_string() })?;
        }
        let mut connection = connect(path, OpenFlags::default())?;
        // `ctwarden rescan --apply` writes beside the daemon: whoever comes second waits instead of failing half-way.
        connection.set_transaction_behavior(TransactionBehavior::Immediate);
        prepare(&mut connection).map_err(|e| classify(path, e))??;
        let reader = connect(path, OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX)?;
        Ok(Books {
            path: path.to_path_buf(),
            writer: desk("books-writer", connection),
            reader: desk("books-reader", reader),
        })
    }

    /// Opens existing books for reading only, as the commands that look at a running daemon do.
    ///
    /// # Errors
    /// [`BooksError::Absent`] when there are none yet, [`BooksError::Older`] before the daemon has brought them up to date.
    pub fn open_read_only(path: &Path) -> Result<Books, BooksError> {
        let none = || Err(BooksError::Absent(path.to_path_buf()));
        if !path.exists() {
            return none();
        }
        let reader = connect(path, OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX)?;
        // The file is there a moment before its tables are.
        match version(path, &reader)? {
            0 => return none(),
            SCHEMA_VERSION => {}
            found => return Err(BooksError::Older { path: path.to_path_buf(), found }),
        }
        let reader = desk("books-reader", reader);
        Ok(Books { path: path.to_path_buf(), writer: reader.clone(), reader })
    }

    /// The file.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Moves everything from the write-ahead log into the file itself, so that the file alone is a good backup.
    ///
    /// # Errors
    /// Unusable books; nothing is lost then, the next start does it.
    pub async fn settle(&self) -> Result<(), BooksError> {
        self.write(|connection| connection.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |_| Ok(()))).await
    }

    async fn write<T, F>(&self, work: F) -> Result<T, BooksError>
    where
        T: Send + 'static,
        F: FnOnce(&mut Connection) -> rusqlite::Result<T> + Send + 'static,
    {
        self.on(&self.writer, work).await
    }

    async fn read<T, F>(&self, work: F) -> Result<T, BooksError>
    where
        T: Send + 'static,
        F: FnOnce(&mut Connection) -> rusqlite::Result<T> + Send + 'static,
    {
        self.on(&self.reader, work).await
    }

    async fn on<T, F>(&self, desk: &mpsc::Sender<Job>, work: F) -> Result<T, BooksError>
    where
        T: Send + 'static,
        F: FnOnce(&mut Connection) -> rusqlite::Result<T> + Send + 'static,
    {
        let (answer, result) = oneshot::channel();
        let job: Job = Box::new(move |connection| {
            let _ = answer.send(work(connection));
        });
        let gone =
            || BooksError::Unusable { path: self.path.clone(), reason: "the thread that owns them is gone".into() };
        desk.send(job).await.map_err(|_| gone())?;
        result.await.map_err(|_| gone())?.map_err(|e| classify(&self.path, e))
    }
}

fn desk(name: &str, mut connection: Connection) -> mpsc::Sender<Job> {
    let (sender, mut jobs) = mpsc::channel::<Job>(QUEUE_LENGTH);
    let thread = std::thread::Builder::new().name(name.to_string());
    let spawned = thread.spawn(move || {
        while let Some(job) = jobs.blocking_recv() {
            job(&mut connection);
        }
    });
    // Without its thread the channel is closed, and every call says that the books are unusable.
    drop(spawned);
    sender
}

fn connect(path: &Path, flags: OpenFlags) -> Result<Connection, BooksError> {
    let connection = Connection::open_with_flags(path, flags).map_err(|e| classify(path, e))?;
    connection.busy_timeout(Duration::from_secs(10)).map_err(|e| classify(path, e))?;
    connection.set_prepared_statement_cache_capacity(STATEMENTS_KEPT);
    Ok(connection)
}

fn version(path: &Path, connection: &Connection) -> Result<i64, BooksError> {
    let found: i64 =
        connection.query_row("PRAGMA user_version", [], |row| row.get(0)).map_err(|e| classify(path, e))?;
    if found > SCHEMA_VERSION {
        return Err(BooksError::Newer { path: path.to_path_buf(), found });
    }
    Ok(found)
}

fn prepare(connection: &mut Connection) -> rusqlite::Result<Result<(), BooksError>> {
    let path = PathBuf::from(connection.path().unwrap_or_default());
    let found = match version(&path, connection) {
        Ok(found) => found,
        Err(e) => return Ok(Err(e)),
    };
    let check: String = connection.query_row("PRAGMA quick_check(1)", [], |row| row.get(0))?;
    if check != "ok" {
        return Ok(Err(BooksError::Damaged { path, reason: check }));
    }
    connection.pragma_update(None, "journal_mode", "WAL")?;
    connection.pragma_update(None, "synchronous", "FULL")?;
    // A step that makes a table anew must not take along what refers to it (SQLite's own procedure for ALTER TABLE).
    connection.pragma_update(None, "foreign_keys", "OFF")?;
    if found < SCHEMA_VERSION {
        let transaction = connection.transaction()?;
        for step in SCHEMA.iter().skip(usize::try_from(found).unwrap_or(0)) {
            transaction.execute_batch(step)?;
        }
        transaction.pragma_update(None, "user_version", SCHEMA_VERSION)?;
        transaction.commit()?;
    }
    connection.pragma_update(None, "foreign_keys", "ON")?;
    Ok(Ok(()))
}

fn classify(path: &Path, error: rusqlite::Error) -> BooksError {
    let path = path.to_path_buf();
    match error.sqlite_error_code() {
        Some(ErrorCode::DiskFull) => BooksError::DiskFull(path),
        Some(ErrorCode::DatabaseCorrupt | ErrorCode::NotADatabase) => {
            BooksError::Damaged { path, reason: error.to_string() }
        }
        _ => BooksError::Unusable { path, reason: error.to_string() },
    }
}

#[cfg(test)]
mod tests;
