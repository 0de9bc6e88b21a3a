//! What can go wrong between the monitor and a database server of the CA. None of it is a finding about a certificate.

use std::error::Error;
use std::time::Duration;

use crate::finding::escape;

/// Why a database server gave no answer. All text from the server is escaped.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SqlError {
    /// There is no connection.
    #[error("{server}: no connection ({reason}): check that it runs, host, port, user, password_file and tls")]
    Connect {
        /// The server.
        server: String,
        /// What is known.
        reason: String,
    },
    /// A question was refused, or its answer cannot be used.
    #[error(
        "{server}: question {table}: {reason}: compare its text in [issuance.queries] with the database; `ctwarden issuance check` shows more"
    )]
    Question {
        /// The server.
        server: String,
        /// The question.
        table: String,
        /// What the server says, or what is wrong.
        reason: String,
    },
    /// The server did not answer in time.
    #[error("{server}: {what}: no answer within {} s: look at its load and at the indexes, `ctwarden issuance ddl` names them", limit.as_secs())]
    Slow {
        /// The server.
        server: String,
        /// What it was to do.
        what: String,
        /// How long it had.
        limit: Duration,
    },
    /// The connection ended while a whole table came.
    #[error(
        "{server}: the connection was lost in the middle of {table} ({reason}): when the server runs again start with --resume, tables that are whole are not read again"
    )]
    Lost {
        /// The server.
        server: String,
        /// The table.
        table: &'static str,
        /// What is known.
        reason: String,
    },
    /// All connections are in use.
    #[error(
        "{server}: all {connections} connections were busy for too long: the server is slow, or raise connections in [issuance]"
    )]
    Busy {
        /// The server.
        server: String,
        /// How many there are.
        connections: usize,
    },
    /// Whoever takes the rows of a stream wants no more of them.
    #[error("{0}")]
    Stopped(String),
}

/// An error with its causes, in one escaped line.
pub(super) fn told(error: &dyn Error) -> String {
    let mut parts = vec![error.to_string()];
    let mut cause = error.source();
    while let Some(inner) = cause.filter(|_| parts.len() < 5) {
        let text = inner.to_string();
        if !parts.iter().any(|part| part.contains(&text)) {
            parts.push(text);
        }
        cause = inner.source();
    }
    escape(parts.join(": ").as_bytes(), 400)
}
