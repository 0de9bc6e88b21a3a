//! What can go wrong in the demo.

use std::path::PathBuf;

/// Why the demo cannot go on. Every text names the thing, the reason and what to do.
#[derive(Debug, thiserror::Error)]
pub enum DemoError {
    /// A certificate or key could not be made.
    #[error("the demo CA cannot make a certificate for {name}: {source}; only ASCII names can be certified")]
    Certificate {
        /// The first name of the certificate, or the CA's.
        name: String,
        /// What the certificate library says.
        source: rcgen::Error,
    },
    /// A log did not answer, or refused.
    #[error("{url} did not accept the submission: {reason}; see whether another program stopped the demo's log")]
    Submission {
        /// Where it was submitted.
        url: String,
        /// Status and body, or the error of the connection.
        reason: String,
    },
    /// A log could not be started.
    #[error("the demo log cannot listen on 127.0.0.1: {source}; check that loopback sockets are permitted")]
    Listen {
        /// What the system says.
        source: std::io::Error,
    },
    /// A file of the demo could not be written.
    #[error("cannot write {path}: {source}; choose another directory or make room")]
    File {
        /// The file.
        path: PathBuf,
        /// What the system says.
        source: std::io::Error,
    },
    /// The issuance database did not take the CA's record.
    #[error("the issuance database did not take the record of certificate {serial}: {reason}")]
    Record {
        /// Serial number in hexadecimal, or `-` for the record of the CA itself.
        serial: String,
        /// What the database says.
        reason: String,
    },
}
