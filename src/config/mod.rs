//! The configuration: what the file may say (the key table), what it said ([`Config`]), and everything that is wrong
//! with it, all at once (the problems).
//!
//! Loading reads the TOML with its line numbers, walks it against the key table, and only then gives meaning to what
//! is left: a mistake in one key never hides a mistake in another.

use std::fmt;
use std::net::SocketAddr;
use std::path::PathBuf;

use crate::clock::Span;
use crate::finding::KeyHash;

/// The commented example that `ctwarden config example` prints.
pub const EXAMPLE: &str = include_str!("example.toml");

/// A configuration that was checked: every file it names was read, every address and URL is well formed.
#[derive(Clone, Debug)]
pub struct Config {
    /// The file it was read from.
    pub file: PathBuf,
    /// `[logs]`: which logs are followed.
    pub logs: LogsConfig,
    /// `[[issuer]]`: whose certificates are ours; empty only when `watch_all_issuers` is set.
    pub issuers: Vec<Issuer>,
    /// `[data] directory`: books and cache live here; need not exist yet.
    pub data_directory: PathBuf,
    /// `[books] url` as a path, or `books.sqlite` in the data directory.
    pub books: PathBuf,
    /// `[issuance]`: the CA's own record.
    pub issuance: IssuanceConfig,
    /// `[mail]`: who is told, and how.
    pub mail: MailConfig,
    /// `[web] listen`: the address of metrics and health.
    pub web_listen: SocketAddr,
    /// `[watch] all_issuers`: every entry is a hit; for trials.
    pub watch_all_issuers: bool,
    /// `[lint] public_suffix_list`: a newer list than the embedded one.
    pub public_suffix_list: Option<PathBuf>,
    /// `[log]`: what the program says about itself.
    pub log: LogConfig,
}

/// `[logs]`: which logs are followed and from where.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LogsConfig {
    /// The log list, in the v3 JSON format.
    pub list: ListSource,
    /// An e-mail address or URL that goes into the User-Agent; printable ASCII.
    pub contact: String,
    /// Where a log that was never read before is begun.
    pub start: StartAt,
    /// The states of the log list whose logs are followed; words of the v3 JSON format.
    pub states: Vec<String>,
    /// `[[logs.override]]`: corrections to single logs of the list.
    pub overrides: Vec<LogOverride>,
}

/// Where the log list comes from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ListSource {
    /// A file that could be read when the configuration was loaded.
    File(PathBuf),
    /// An https URL, or an http URL on loopback.
    Url(String),
}

/// Where a log that was never read before is begun.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StartAt {
    /// At entry 0.
    Beginning,
    /// At the tree head of the first visit.
    End,
}

/// `[[logs.override]]`: a correction to one log of the list.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LogOverride {
    /// SHA-256 of the log's key (RFC 6962 3.2); unique among the overrides.
    pub log_id: [u8; 32],
    /// The origin line of its checkpoints, when it is not the submission URL without its scheme.
    pub origin: Option<String>,
    /// Where its tiles are read, without a trailing slash; https, or http on loopback.
    pub monitoring_url: Option<String>,
}

/// `[[issuer]]`: one issuing key of the CA.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Issuer {
    /// The name in mails and metrics; unique.
    pub name: String,
    /// What is known of it.
    pub source: IssuerSource,
    /// SHA-256 of its SubjectPublicKeyInfo (RFC 6962 3.2, issuer_key_hash); unique.
    pub key_hash: KeyHash,
}

/// What is known of an issuer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum IssuerSource {
    /// Its CA certificate, DER.
    Certificate(Vec<u8>),
    /// The hash of its key alone: only precertificates can be matched.
    KeyHash(KeyHash),
}

/// `[issuance]`: the CA's own record of what it issued.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct IssuanceConfig {
    /// Where the record is.
    pub source: IssuanceSource,
    /// How long after logging the record may lack a certificate before that is a finding; at least one second.
    pub grace: Span,
}

/// Where the issuance record is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum IssuanceSource {
    /// The embedded database, filled by `ctwarden issuance import`.
    Embedded,
    /// There is none: rules that need it are not evaluable.
    None,
}

/// `[mail]`: who is told, and how.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MailConfig {
    /// How mail leaves the program.
    pub transport: MailTransport,
    /// The sender: one bare address.
    pub from: String,
    /// The recipients: bare addresses, at least one, each once.
    pub to: Vec<String>,
    /// The form of the messages.
    pub profile: MailProfile,
}

/// How mail leaves the program.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum MailTransport {
    /// To an SMTP server.
    Smtp {
        /// Host name or address.
        server: String,
        /// TCP port, not 0.
        port: u16,
        /// How the connection is protected.
        tls: MailTls,
        /// User name for AUTH; always together with the password.
        username: Option<String>,
        /// Password for AUTH.
        password: Option<Secret>,
        /// PEM of a private CA that signed the server's certificate.
        ca_certificate: Option<Vec<u8>>,
    },
    /// As files in a folder, which need not exist yet.
    Folder(PathBuf),
}

/// How the connection to the mail server is protected.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MailTls {
    /// STARTTLS, required (RFC 3207).
    StartTls,
    /// TLS from the first byte (RFC 8314).
    Tls,
    /// Not at all; the server is on loopback.
    NoneOnLoopback,
}

/// The form of the messages.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MailProfile {
    /// For people.
    Human,
    /// For a ticket system.
    Ticket,
}

/// `[log]`: what the program says about itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LogConfig {
    /// The form of a line.
    pub format: LogFormat,
    /// The least important level that is written.
    pub level: tracing::Level,
}

/// The form of a line of the program's own log.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LogFormat {
    /// For people.
    Human,
    /// One JSON object per line.
    Json,
}

/// A password. Its `Debug` form does not show it.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(String);

impl Secret {
    /// Wraps a password.
    pub fn new(text: String) -> Secret {
        Secret(text)
    }
    /// The password itself, for the one place that sends it.
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret(..)")
    }
}
