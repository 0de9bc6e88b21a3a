//! Why the daemon did not start, or stopped.

use crate::books::BooksError;
use crate::issuance::IssuanceError;
use crate::notify::SetupError;
use crate::tail::FetchError;

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
    /// Another judge.
    #[error("judge {name:?}: {reason}")]
    Judge {
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
    /// HTTP cannot be used at all.
    #[error("the HTTP client cannot be set up: {0}; install the system's CA certificates (package ca-certificates)")]
    Http(FetchError),
    /// A run that was to end could not finish.
    #[error("not everything could be finished: {0}; what was done is kept, and the next run goes on from there")]
    Unfinished(String),
}
