//! What the CA says it issued: the embedded issuance database, fed by import, read by [`IssuanceDb::find`].
//!
//! The database is its own SQLite file beside the books, so that a large import never holds up a door. It is fed by
//! the CA through [`Embedded::import_file`] and its sisters; the monitor itself only reads it.

mod batch;
mod boulder;
mod bulk;
mod check;
mod column;
mod directory;
mod export;
pub(crate) mod feed;
mod follow;
mod import;
mod lines;
mod lookup;
mod reuse;
mod schema;
pub mod sql;
mod staging;
mod stream;
mod tables;
mod trickle;
mod walk;

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use rusqlite::Connection;

pub use batch::Batch;
pub use boulder::KnownIssuer;
pub(crate) use bulk::Readers;
pub use check::{QuestionReport, SourceReport};
pub use directory::{DirectoryReport, FileReport};
pub(crate) use export::FILED;
pub use export::{Exported, ExportedTable, export, exported};
pub use follow::{FileFormat, Followed, Follower, Step};
pub use import::{ImportSummary, LineError, TableSummary, refusal_json};
pub use sql::Sql;
pub use stream::{EachRow, Snapshot, feed_columns, feed_tables, questions};
pub use trickle::{Kept, Refusal};
pub use walk::{ControlHistory, Silence};

use crate::clock::Timestamp;
use crate::finding::CaseKey;
use crate::record::Lookup;

/// The name of the database file in the data directory.
pub const FILE_NAME: &str = "issuance.sqlite";

/// Why the issuance database could not be opened or fed.
#[derive(Debug, thiserror::Error)]
pub enum IssuanceError {
    /// The file is not a sound SQLite database.
    #[error("{} is damaged ({reason}): move it away together with its -wal and -shm files and import again", path.display())]
    Damaged {
        /// The file.
        path: PathBuf,
        /// What SQLite says.
        reason: String,
    },
    /// The file was written by a newer version of this program.
    #[error("{} has schema {found}, this program knows {known}: use the newer program, or move the file away and import again", path.display())]
    Newer {
        /// The file.
        path: PathBuf,
        /// The schema in the file.
        found: i64,
        /// The newest schema this program knows.
        known: i64,
    },
    /// The file is a database of something else.
    #[error("{} is not an issuance database of ctwarden: name another data directory or move the file away", path.display())]
    Foreign {
        /// The file.
        path: PathBuf,
    },
    /// The file or its directory cannot be made or read.
    #[error("{}: {source}: check that the path exists and may be used", path.display())]
    File {
        /// The file or directory.
        path: PathBuf,
        /// What the system says.
        source: std::io::Error,
    },
    /// SQLite could not do what was asked; nothing was changed.
    #[error("{}: {source}: check free space and that no other program holds the file, then try again", path.display())]
    Database {
        /// The database file.
        path: PathBuf,
        /// What SQLite says.
        source: rusqlite::Error,
    },
    /// A database server of the CA gave no answer.
    #[error(transparent)]
    Server(#[from] sql::SqlError),
    /// Rows of a source that cannot be used: their table is not exported.
    #[error("{table}: {count} row{} refused, the table was not exported: mend {}, or the text of the question:\n{}", if *count == 1 { "" } else { "s" }, if *count == 1 { "it" } else { "them" }, rows.join("\n"))]
    Unsound {
        /// The table.
        table: &'static str,
        /// What is wrong, the first hundred: key, column and reason.
        rows: Vec<String>,
        /// How many there are.
        count: usize,
    },
    /// The directory of an export cannot be used.
    #[error("{}: {reason}", path.display())]
    Export {
        /// The file or directory.
        path: PathBuf,
        /// What it is and what to do; escaped.
        reason: String,
    },
    /// Whoever takes the rows of a stream wants no more of them.
    #[error("{0}")]
    Stopped(String),
    /// The table named for an import does not exist.
    #[error("there is no table {name:?}: give --table with one of {known}")]
    NoSuchTable {
        /// The name that was given, escaped.
        name: String,
        /// The tables there are.
        known: String,
    },
    /// A key that belongs to another batch; nothing was imported.
    #[error("the key {key:?} was used for another batch: give every batch a key of its own")]
    KeyReused {
        /// The key, escaped.
        key: String,
    },
    /// The import was refused as a whole; nothing was imported.
    #[error("{} line{} refused, nothing was imported; first: {}", errors.len(), if errors.len() == 1 { "" } else { "s" }, errors.first().map(ToString::to_string).unwrap_or_default())]
    Refused {
        /// What is wrong, in order of lines; 100 at most.
        errors: Vec<LineError>,
        /// Whether there is more that is wrong.
        more: bool,
    },
}

/// What is asked of the database about one certificate.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Query {
    /// Issuer key and serial number.
    pub key: CaseKey,
    /// The SANs of the certificate, lower case, wildcards kept: other confirmations are searched for these.
    pub names: Vec<String>,
}

/// Where the CA's record is kept.
#[derive(Clone, Debug)]
pub enum IssuanceDb {
    /// Nowhere: rules that need it are not evaluable.
    None,
    /// In the embedded database.
    Embedded(Embedded),
    /// In the CA's own database, or a replica of it.
    Sql(Sql),
}

impl IssuanceDb {
    /// Whether the record is on a database server, whose answers can be older than the question.
    pub fn is_server(&self) -> bool {
        matches!(self, IssuanceDb::Sql(_))
    }

    /// What the CA recorded about each certificate, one answer per query in the order of the queries. All answers come
    /// from one moment of the database. An outage is an answer ([`Lookup::Unavailable`] for all), never an error.
    pub async fn find(&self, queries: &[Query]) -> Vec<Lookup> {
        let embedded = match self {
            IssuanceDb::None => return vec![Lookup::NoSource; queries.len()],
            IssuanceDb::Embedded(embedded) => embedded.clone(),
            IssuanceDb::Sql(sql) if !queries.is_empty() => return sql.find(queries).await,
            IssuanceDb::Sql(_) => return Vec::new(),
        };
        if queries.is_empty() {
            return Vec::new();
        }
        let asked = queries.to_vec();
        let answer = tokio::task::spawn_blocking(move || embedded.find(&asked)).await;
        let reason = match answer {
            Ok(Ok(lookups)) => return lookups,
            Ok(Err(error)) => error.to_string(),
            Err(_) => "the task that reads the issuance database was stopped".to_string(),
        };
        vec![Lookup::Unavailable { reason }; queries.len()]
    }
}

/// The embedded issuance database. Clones share one reading connection; every import has its own.
#[derive(Clone, Debug)]
pub struct Embedded {
    path: Arc<Path>,
    /// `None` after an error, so that the next question starts afresh.
    reader: Arc<Mutex<Option<Connection>>>,
}

impl Embedded {
    /// Opens `DIR/issuance.sqlite`, making directory and file when they are missing.
    ///
    /// # Errors
    /// [`IssuanceError::Damaged`], [`IssuanceError::Newer`] and [`IssuanceError::Foreign`] for a file that cannot be
    /// used as it is; otherwise what the system or SQLite says.
    pub fn open(data_directory: &Path) -> Result<Embedded, IssuanceError> {
        let path = data_directory.join(FILE_NAME);
        let reader = schema::open(&path)?;
        Ok(Embedded { path: path.into(), reader: Arc::new(Mutex::new(Some(reader))) })
    }

    /// The same database, read by a connection of its own that the first question makes.
    fn reading(path: &Arc<Path>) -> Embedded {
        Embedded { path: path.clone(), reader: Arc::default() }
    }

    /// The database file.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// How the record stands, for programs: when each table was last fed, how many rows of followed files wait for
    /// rows that they name, and how many are kept aside because they were refused.
    ///
    /// # Errors
    /// When SQLite cannot answer.
    pub fn standing(&self) -> Result<serde_json::Value, IssuanceError> {
        let connection = schema::connect(&self.path)?;
        let ask = || -> rusqlite::Result<serde_json::Value> {
            let mut tables = connection.prepare("SELECT table_name, imported_at_ms FROM feed ORDER BY table_name")?;
            let tables = tables.query_map([], |row| {
                let fed_at = Timestamp::from_millis(row.get(1)?).to_string();
                Ok(serde_json::json!({"table": row.get::<_, String>(0)?, "fed_at": fed_at}))
            })?;
            let tables = tables.collect::<rusqlite::Result<Vec<_>>>()?;
            let count = |sql: &str| connection.query_row(sql, [], |row| row.get::<_, i64>(0));
            let (waiting, refused) = (count("SELECT count(*) FROM waiting")?, count("SELECT count(*) FROM refused")?);
            Ok(serde_json::json!({"tables": tables, "waiting": waiting, "refused": refused}))
        };
        ask().map_err(|error| schema::error(&self.path, error))
    }

    /// What the CA recorded about each certificate; blocks. See [`IssuanceDb::find`].
    ///
    /// # Errors
    /// When SQLite cannot answer; the next question tries again with a new connection.
    pub fn find(&self, queries: &[Query]) -> Result<Vec<Lookup>, IssuanceError> {
        let mut held = self.reader.lock().unwrap_or_else(PoisonError::into_inner);
        let connection = match held.take() {
            Some(connection) => connection,
            None => schema::connect(&self.path)?,
        };
        let answers = lookup::find(&connection, queries).map_err(|error| schema::error(&self.path, error))?;
        *held = Some(connection);
        Ok(answers)
    }
}

#[cfg(test)]
mod tests;
