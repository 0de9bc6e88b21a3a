//! The configuration: what the file may say ([`keys::KEYS`]), what it said ([`Config`]), and everything that is wrong
//! with it, all at once ([`Problems`]).
//!
//! [`load`] reads the TOML with its line numbers, walks it against the key table, and only then gives meaning to what
//! is left: a mistake in one key never hides a mistake in another.

mod address;
mod caa_recheck;
mod document;
mod follow;
mod inputs;
mod issuer;
mod judge;
pub mod keys;
mod logs;
mod mail;
mod problem;
mod profile;
mod raw;
mod secret;
mod server;
mod status;
mod terms;
#[cfg(test)]
mod tests;
mod web;

use std::fmt;
use std::net::{IpAddr, SocketAddr};
use std::path::{Path, PathBuf};

use serde::Deserialize;

pub use address::{is_loopback, parse_span};
use document::Document;
pub use problem::{Problem, Problems};
use problem::{plain, read_file};
use raw::RawConfig;
pub use status::{ControlConfig, EntriesSource, StatusConfig};

use crate::clock::{Span, Timestamp};
use crate::ct::list_key::ListKey;
use crate::evidence::Policy;
use crate::finding::KeyHash;
use crate::issuance::{Followed, sql};
use crate::judges;
use crate::web::Token;

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
    /// `[web]`: metrics, health, and the door to the CA's record.
    pub web: WebConfig,
    /// `[watch] all_issuers`: every entry is a hit; for trials.
    pub watch_all_issuers: bool,
    /// `[lint]`: where newer lists than the embedded ones come from.
    pub inputs: InputsConfig,
    /// `[[judge]]` and `[caa_recheck]`: who is asked beside us; may be empty.
    pub judges: Vec<judges::Settings>,
    /// `[lint] weak_keys`: lists of keys that everybody knows.
    pub weak_keys: Vec<PathBuf>,
    /// `[lint] compromised_keys`: lists of keys that the CA knows to be compromised.
    pub compromised_keys: Vec<PathBuf>,
    /// `[status]` and `[[control]]`: what is watched beside the certificates in the logs.
    pub status: StatusConfig,
    /// `[log]`: what the program says about itself.
    pub log: LogConfig,
}

/// `[logs]`: which logs are followed and from where.
#[derive(Clone, Debug, PartialEq)]
pub struct LogsConfig {
    /// The log list, in the v3 JSON format.
    pub list: ListSource,
    /// Who must have signed it; `None`: its signature is not looked at.
    pub signing: Option<ListSigning>,
    /// An e-mail address or URL that goes into the User-Agent; printable ASCII.
    pub contact: String,
    /// Where a log that was never read before is begun.
    pub start: StartAt,
    /// How often the list is read again; at least one second.
    pub refresh: Span,
    /// The states of the log list whose logs are followed; words of the v3 JSON format.
    pub states: Vec<String>,
    /// Logs that take only certificates whose notAfter is before this time are not followed.
    pub expiring_after: Option<Timestamp>,
    /// Addresses of this machine from which logs are asked, each once; none: the system chooses.
    pub source_addresses: Vec<IpAddr>,
    /// `[[logs.override]]`: corrections to single logs of the list.
    pub overrides: Vec<LogOverride>,
}

/// `[lint]`: the lists that rules rest on. `None` where the embedded one is used alone.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct InputsConfig {
    /// The JSON of the ICANN registry of generic TLDs.
    pub gtld_registry: Option<ListSource>,
    /// The IANA list of top-level domains.
    pub tld_list: Option<ListSource>,
    /// The Public Suffix List.
    pub public_suffix_list: Option<ListSource>,
    /// How often they are read again; at least a day where one comes from a public server.
    pub refresh: Span,
}

/// Where a list comes from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ListSource {
    /// A file that could be read when the configuration was loaded.
    File(PathBuf),
    /// An https URL, or an http URL on loopback.
    Url(String),
}

/// The signature that a log list must have.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ListSigning {
    /// The publisher's key.
    pub key: ListKey,
    /// Where that key was read.
    pub key_file: PathBuf,
    /// Where the signature is.
    pub signature: ListSource,
}

/// Where a log that was never read before is begun.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StartAt {
    /// At entry 0.
    Beginning,
    /// At the tree head of the first visit.
    End,
    /// Before everything that was logged from this time on.
    Time(Timestamp),
}

/// `[[logs.override]]`: a correction to one log of the list.
#[derive(Clone, Debug, PartialEq)]
pub struct LogOverride {
    /// SHA-256 of the log's key (RFC 6962 3.2); unique among the overrides.
    pub log_id: [u8; 32],
    /// The origin line of its checkpoints, when it is not the submission URL without its scheme.
    pub origin: Option<String>,
    /// Where its tiles are read, without a trailing slash; https, or http on loopback.
    pub monitoring_url: Option<String>,
    /// Where it is begun, instead of [`LogsConfig::start`].
    pub start: Option<StartAt>,
    /// The most entries that are asked for in one get-entries request, 1 to 1000.
    pub page: Option<u64>,
    /// The most requests per second, above 0.
    pub rate: Option<f64>,
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
    /// URLs of its CRLs; more are named by its certificates.
    pub crls: Vec<String>,
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
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct IssuanceConfig {
    /// Where the record is.
    pub source: IssuanceSource,
    /// How long after logging the record may lack a certificate before that is a finding; at least one second.
    pub grace: Span,
    /// The database server, when the record is on one.
    pub server: Option<sql::Settings>,
    /// The CA's own terms, against which its record is read.
    pub terms: Policy,
    /// `[[issuance.follow]]`: growing files that feed the record; each path once.
    pub follow: Vec<Followed>,
}

/// Where the issuance record is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum IssuanceSource {
    /// The embedded database, filled by `ctwarden issuance import`.
    Embedded,
    /// The CA's own PostgreSQL, or a replica of it.
    Postgres,
    /// The CA's own MariaDB or MySQL, or a replica of it.
    Mysql,
    /// There is none: rules that need it are not evaluable.
    None,
}

/// `[web]`: what is served over HTTP.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WebConfig {
    /// The address; on loopback, or behind a proxy, when there are tokens.
    pub listen: SocketAddr,
    /// The most bytes of a batch of the CA's record, as sent and as inflated.
    pub feed_limit_bytes: usize,
    /// `[[web.token]]`: who may send or ask for more than the pages; names and tokens are unique.
    pub tokens: Vec<Token>,
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
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum MailTls {
    /// STARTTLS, required (RFC 3207).
    #[serde(rename = "starttls")]
    StartTls,
    /// TLS from the first byte (RFC 8314).
    Tls,
    /// Not at all; the server is on loopback.
    NoneOnLoopback,
}

/// The form of the messages.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
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
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
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

/// The longest configuration that is read, in bytes.
const FILE_LIMIT_BYTES: u64 = 1 << 20;

/// Reads and checks a configuration, and every file that it names. Relative paths start from its directory.
///
/// # Errors
/// Everything that is wrong with it, in the order of the lines.
pub fn load(path: &Path) -> Result<Config, Problems> {
    let refused = |reason: String, line: Option<usize>| {
        let remedy = "Name a configuration with --config, or begin with `ctwarden config example > ctwarden.toml`.";
        let problem = Problem { key: "file".to_string(), reason, remedy: remedy.to_string(), line };
        Problems { file: path.to_path_buf(), list: vec![problem] }
    };
    let bytes = read_file(path, FILE_LIMIT_BYTES).map_err(|reason| refused(reason, None))?;
    let text = std::str::from_utf8(&bytes).map_err(|error| {
        let line = bytes[..error.valid_up_to()].iter().filter(|byte| **byte == b'\n').count() + 1;
        refused("is not UTF-8 text".to_string(), Some(line))
    })?;
    let whole = std::path::absolute(path).map_err(|error| refused(plain(&error), None))?;
    let base = whole.parent().unwrap_or(Path::new("/")).to_path_buf();
    let (mut document, raw) = Document::read(text, base);
    let config = build(path, raw, &mut document);
    document.finish(path, config)
}

/// Gives meaning to every section before the first missing piece ends it, so that every problem is reported.
fn build(file: &Path, mut raw: RawConfig, document: &mut Document<'_>) -> Option<Config> {
    let logs = logs::build(raw.logs, document);
    let issuers = issuer::build(raw.issuer, raw.watch.all_issuers, document);
    let data_directory = raw.data.directory.and_then(|text| directory("data.directory", &text, document));
    let books_url = document.has("books.url");
    let books = match raw.books.url {
        Some(url) => books(&url, document),
        None if books_url => None,
        None => data_directory.as_ref().map(|directory| directory.join("books.sqlite")),
    };
    let profiles = profile::build(raw.profile, &issuers, document);
    let terms = Policy { profiles, ..terms::build(&raw.issuance, document) };
    let grace = raw.issuance.grace.as_ref().and_then(|text| match parse_span(text) {
        Ok(span) => Some(span),
        Err(reason) => document.refuse("issuance.grace", reason, "The default is 1m."),
    });
    let source = raw.issuance.source;
    let follow = follow::build(std::mem::take(&mut raw.issuance.follow), source, document);
    let server = server::build(raw.issuance, &issuers, document);
    let mail = mail::build(raw.mail, document);
    let web = web::build(raw.web, source, document);
    let mut lint = raw.lint;
    let (weak_keys, compromised_keys) = (lint.weak_keys.take(), lint.compromised_keys.take());
    let inputs = inputs::build(lint, document);
    let weak_keys = key_lists("lint.weak_keys", weak_keys, document);
    let compromised_keys = key_lists("lint.compromised_keys", compromised_keys, document);
    let mut judges = judge::build(raw.judge, document);
    judges.extend(caa_recheck::build(raw.caa_recheck, &terms.issuer_domains, document));
    let status = status::build(raw.status, raw.control, document);
    let level = raw.log.level.and_then(|word| word.parse().ok());
    Some(Config {
        file: file.to_path_buf(),
        logs: logs?,
        issuers,
        data_directory: data_directory?,
        books: books?,
        issuance: IssuanceConfig { source: source?, grace: grace?, server: server?, terms, follow },
        mail: mail?,
        web: web?,
        watch_all_issuers: raw.watch.all_issuers?,
        inputs: inputs?,
        judges,
        weak_keys,
        compromised_keys,
        status: status?,
        log: LogConfig { format: raw.log.format?, level: level? },
    })
}

/// Lists of keys that can be opened; their lines are read when the daemon takes them up.
fn key_lists(key: &str, names: Option<Vec<String>>, document: &mut Document<'_>) -> Vec<PathBuf> {
    let paths: Vec<PathBuf> = names.iter().flatten().map(|name| document.path(name)).collect();
    for path in &paths {
        if let Err(error) = std::fs::File::open(path) {
            let reason = format!("{} cannot be read ({})", path.display(), plain(&error));
            document.refuse::<()>(key, reason, "Name readable files with one hash per line.");
        }
    }
    paths
}

/// A directory that exists or can still be made.
fn directory(key: &str, text: &str, document: &mut Document<'_>) -> Option<PathBuf> {
    let path = document.path(text);
    if path.exists() && !path.is_dir() {
        return document.refuse(key, format!("{} is not a directory", path.display()), "Name a directory.");
    }
    Some(path)
}

/// The path in `sqlite://PATH`: absolute after three slashes, relative to the configuration after two.
fn books(url: &str, document: &mut Document<'_>) -> Option<PathBuf> {
    let path = match url.strip_prefix("sqlite://").map(str::trim) {
        Some(path) if !path.is_empty() && !path.contains(['?', '#', ':']) => document.path(path),
        _ => {
            let remedy = "Write sqlite://FILE, for instance sqlite:///var/lib/ctwarden/books.sqlite.";
            return document.refuse("books.url", "is not a sqlite URL", remedy);
        }
    };
    if path.is_dir() {
        return document.refuse("books.url", format!("{} is a directory", path.display()), "Name a file in it.");
    }
    Some(path)
}
