//! A configuration that is read again while the daemon runs: what of it counts at once, and what needs a restart.
//!
//! `ctwarden config reload` finds the daemon by the lock of the data directory, sends it SIGHUP, and reads its answer
//! from a file beside the lock.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::books;
use crate::clock::{Clock, Span, Stopwatch, Timestamp};
use crate::config::Config;
use crate::evidence::Policy;

/// The answer's file in the data directory.
const ANSWER: &str = "reload.json";
/// The longest answer that is read, in bytes.
const LONGEST_ANSWER: u64 = 1 << 20;
/// How long the answer is waited for: the log list may have to be fetched.
const PATIENCE: Duration = Duration::from_secs(180);

/// What a reload did.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Answer {
    /// When the daemon began with it, in milliseconds since 1970.
    pub started_at: Timestamp,
    /// Why nothing was changed; several lines where several things are wrong.
    pub refused: Option<String>,
    /// Sections of which something changed that counts from now on.
    pub applied: Vec<String>,
    /// Keys whose change counts after a restart.
    pub needs_restart: Vec<String>,
}

/// Why the daemon could not be told.
#[derive(Debug, thiserror::Error)]
pub enum ReloadError {
    /// Nobody holds the lock.
    #[error("no daemon runs on {0}; start it with `ctwarden run`")]
    NotRunning(PathBuf),
    /// The signal did not arrive.
    #[error("the daemon (process {pid}) cannot be told: {reason}; run this as the user of the daemon")]
    Signal {
        /// The process.
        pid: u32,
        /// What the system said.
        reason: String,
    },
    /// Nothing came back.
    #[error("the daemon (process {0}) did not answer; see what it wrote to its standard error")]
    NoAnswer(u32),
    /// The lock cannot be read.
    #[error(transparent)]
    Books(#[from] books::BooksError),
}

/// Tells the daemon of a data directory to read its configuration again, and waits for its answer.
///
/// # Errors
/// See [`ReloadError`].
pub fn ask(data_directory: &Path, clock: &Clock) -> Result<Answer, ReloadError> {
    let asked_at = clock.now();
    let holder = books::lock_holder(data_directory)?;
    let pid = holder.ok_or_else(|| ReloadError::NotRunning(data_directory.to_path_buf()))?;
    let unsent = |reason: String| ReloadError::Signal { pid, reason };
    let process = i32::try_from(pid).ok().and_then(rustix::process::Pid::from_raw);
    let process = process.ok_or_else(|| unsent("its number is none of a process".to_string()))?;
    rustix::process::kill_process(process, rustix::process::Signal::HUP).map_err(|e| unsent(e.to_string()))?;
    let waited = Stopwatch::start();
    while waited.elapsed() < PATIENCE {
        std::thread::sleep(Duration::from_millis(50));
        match read(data_directory) {
            Some(answer) if answer.started_at >= asked_at => return Ok(answer),
            _ if waited.elapsed() > Duration::from_secs(2) && books::lock_holder(data_directory)? != Some(pid) => break,
            _ => {}
        }
    }
    Err(ReloadError::NoAnswer(pid))
}

fn read(data_directory: &Path) -> Option<Answer> {
    let path = data_directory.join(ANSWER);
    let short = std::fs::metadata(&path).is_ok_and(|file| file.is_file() && file.len() <= LONGEST_ANSWER);
    serde_json::from_slice(&std::fs::read(path).ok().filter(|_| short)?).ok()
}

/// Leaves the answer where [`ask`] looks for it.
pub(super) fn answer(data_directory: &Path, answer: &Answer) -> std::io::Result<()> {
    let (path, begun) = (data_directory.join(ANSWER), data_directory.join("reload.json.new"));
    std::fs::write(&begun, serde_json::to_vec(answer)?)?;
    std::fs::rename(begun, path)
}

/// The keys that differ and are read at the start alone.
pub(super) fn needs_restart(old: &Config, new: &Config) -> Vec<String> {
    let differs = [
        ("logs.contact", old.logs.contact != new.logs.contact),
        ("logs.source_addresses", old.logs.source_addresses != new.logs.source_addresses),
        ("data.directory", old.data_directory != new.data_directory),
        ("books.url", old.books != new.books),
        ("issuance.source", old.issuance.source != new.issuance.source),
        ("issuance, the database server", old.issuance.server != new.issuance.server),
        ("issuance.grace", old.issuance.grace != new.issuance.grace),
        ("issuance, the CA's terms", terms(old) != terms(new)),
        ("profile", old.issuance.terms.profiles != new.issuance.terms.profiles),
        ("issuance.follow", old.issuance.follow != new.issuance.follow),
        ("web.listen", old.web.listen != new.web.listen),
        ("web.feed_limit_bytes", old.web.feed_limit_bytes != new.web.feed_limit_bytes),
        ("web.token", old.web.tokens != new.web.tokens),
        ("lint.gtld_registry", old.inputs.gtld_registry != new.inputs.gtld_registry),
        ("lint.tld_list", old.inputs.tld_list != new.inputs.tld_list),
        ("lint.public_suffix_list", old.inputs.public_suffix_list != new.inputs.public_suffix_list),
        ("lint.refresh", old.inputs.refresh != new.inputs.refresh),
        ("judge", old.judges != new.judges),
        ("log.format", old.log.format != new.log.format),
        ("log.level", old.log.level != new.log.level),
    ];
    differs.iter().filter(|(_, differs)| *differs).map(|(key, _)| key.to_string()).collect()
}

/// The CA's terms without its profiles, which have a section of their own.
fn terms(config: &Config) -> Policy {
    Policy { profiles: BTreeMap::new(), ..config.issuance.terms.clone() }
}

/// The sections that differ in what can change while the daemon runs.
pub(super) fn applied(old: &Config, new: &Config) -> Vec<String> {
    let mut logs = new.logs.clone();
    logs.contact.clone_from(&old.logs.contact);
    logs.source_addresses.clone_from(&old.logs.source_addresses);
    let differs = [
        ("logs", old.logs != logs),
        ("issuer", old.issuers != new.issuers),
        ("watch", old.watch_all_issuers != new.watch_all_issuers),
        ("mail", old.mail != new.mail),
        ("status", old.status != new.status),
        ("lint", (&old.weak_keys, &old.compromised_keys) != (&new.weak_keys, &new.compromised_keys)),
    ];
    differs.iter().filter(|(_, differs)| *differs).map(|(key, _)| key.to_string()).collect()
}

/// The new configuration as far as it counts at once.
pub(super) fn in_force(old: &Config, new: Config) -> Config {
    let mut logs = new.logs;
    logs.contact.clone_from(&old.logs.contact);
    logs.source_addresses.clone_from(&old.logs.source_addresses);
    Config {
        logs,
        issuers: new.issuers,
        watch_all_issuers: new.watch_all_issuers,
        mail: new.mail,
        status: new.status,
        weak_keys: new.weak_keys,
        compromised_keys: new.compromised_keys,
        ..old.clone()
    }
}

/// How long until the log list is read again: a tenth more or less, so that not all monitors come at once.
pub(super) fn pause(refresh: Span) -> Duration {
    refresh.duration().mul_f64(rand::random_range(0.9..1.1))
}
