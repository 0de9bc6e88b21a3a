//! The world that the monitor watches in the demo: two logs, a CA at work, and the files that a user of the monitor
//! would have: log list, issuer certificate, configuration.

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use super::DemoError;
use super::ca::Ca;
use super::desk::{Desk, Feed};
use super::log::{Api, LogServer, LogSettings, log_list};
use super::timetable::{Mistake, appointments};
use super::verdict::Planted;
use crate::clock::{Clock, Span, Stopwatch};
use crate::issuance::{Embedded, IssuanceError};

/// Time between two good certificates.
const PACE: Duration = Duration::from_millis(300);
/// The issuance record of the demo is never late, so that an unknown certificate is a finding after these seconds.
const GRACE_SECONDS: u32 = 4;

/// The logs, the CA and its files.
pub struct World {
    directory: PathBuf,
    logs: [LogServer; 2],
    desk: Desk,
    clock: Clock,
    issued: AtomicU64,
    planted: Mutex<Vec<Planted>>,
}

/// Files of a demo directory.
pub mod file {
    /// The configuration of the monitor.
    pub const CONFIG: &str = "ctwarden.toml";
    /// The log list, v3.
    pub const LOG_LIST: &str = "log-list.json";
    /// The issuing CA's certificate, PEM.
    pub const ISSUER: &str = "issuer.pem";
    /// The directory into which mails are written.
    pub const MAIL: &str = "mail";
    /// The data directory of the monitor.
    pub const DATA: &str = "data";
}

impl World {
    /// Starts two logs and a CA, and writes the log list, the issuer certificate and the configuration into
    /// `directory`, which is created. The CA's record goes into the embedded issuance database of the monitor's data
    /// directory.
    pub async fn start(directory: &Path, clock: Clock) -> Result<World, DemoError> {
        let now = clock.now();
        let feed = feed(&directory.join(file::DATA), clock.clone())?;
        let ca = Ca::generate(now)?;
        let start = async |api| {
            let roots = vec![ca.root_der().to_vec()];
            LogServer::start(LogSettings { roots, ..LogSettings::new(api, clock.clone()) }).await
        };
        let logs = [start(Api::Rfc6962).await?, start(Api::StaticCt).await?];
        let list = log_list(&logs.each_ref(), now).to_string();
        for (name, text) in
            [(file::LOG_LIST, list.as_str()), (file::ISSUER, &ca.issuing_pem()), (file::CONFIG, &config())]
        {
            write(&directory.join(name), text)?;
        }
        let urls = logs.iter().map(LogServer::url).collect();
        let desk = Desk::open(ca, urls, feed, clock.clone()).await?;
        let (issued, planted) = (AtomicU64::new(0), Mutex::new(Vec::new()));
        Ok(World { directory: directory.to_path_buf(), logs, desk, clock, issued, planted })
    }

    /// The logs: RFC 6962, then static-ct-api.
    pub fn logs(&self) -> &[LogServer; 2] {
        &self.logs
    }
    /// The monitor's configuration file.
    pub fn config_file(&self) -> PathBuf {
        self.directory.join(file::CONFIG)
    }
    /// The directory into which the monitor writes mails.
    pub fn mail_directory(&self) -> PathBuf {
        self.directory.join(file::MAIL)
    }
    /// The monitor's data directory.
    pub fn data_directory(&self) -> PathBuf {
        self.directory.join(file::DATA)
    }
    /// Certificates and precertificates-only issued so far, the mistakes among them.
    pub fn issued(&self) -> u64 {
        self.issued.load(Ordering::Relaxed)
    }
    /// The mistakes made so far.
    pub fn planted(&self) -> Vec<Planted> {
        self.planted.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
    /// Makes one mistake now.
    pub async fn plant(&self, mistake: Mistake) -> Result<Planted, DemoError> {
        let issued = self.desk.issue(&[mistake.name()], Some(mistake)).await?;
        let planted = Planted { mistake, serial: issued.serial, logged_at: issued.logged_at };
        self.issued.fetch_add(1, Ordering::Relaxed);
        self.planted.lock().unwrap_or_else(PoisonError::into_inner).push(planted.clone());
        Ok(planted)
    }
    /// Issues one certificate in which nothing is wrong.
    pub async fn issue_good(&self) -> Result<(), DemoError> {
        let number = self.issued.fetch_add(1, Ordering::Relaxed);
        let tld = ["eus", "com", "es"][(number % 3) as usize];
        let (first, second) = (format!("www{number}.demo-shop.{tld}"), format!("api{number}.demo-shop.{tld}"));
        let names: &[&str] = if number.is_multiple_of(4) { &[&first, &second] } else { &[&first] };
        self.desk.issue(names, None).await.map(drop)
    }

    /// Lets the CA work: a few good certificates a second, the mistakes by the timetable, until `length` is over; for
    /// ever without one. Returns early only on an error; to stop it, drop it.
    pub async fn work(&self, length: Option<Duration>) -> Result<(), DemoError> {
        let started = Stopwatch::start();
        let span = length.map(|length| Span::from_millis(length.as_millis().try_into().unwrap_or(i64::MAX)));
        let mut plan = appointments(span).peekable();
        while length.is_none_or(|length| started.elapsed() < length) {
            match plan.next_if(|next| next.after.duration() <= started.elapsed()) {
                Some(due) => drop(self.plant(due.mistake).await?),
                None => self.issue_good().await?,
            }
            let left = length.map_or(PACE, |length| length.saturating_sub(started.elapsed()));
            tokio::time::sleep(PACE.min(left)).await;
        }
        // A machine too slow for its timetable still makes every mistake that was promised.
        for late in plan.take_while(|_| length.is_some()) {
            self.plant(late.mistake).await?;
        }
        Ok(())
    }

    /// The clock of logs and CA.
    pub fn clock(&self) -> &Clock {
        &self.clock
    }

    /// Stops the logs.
    pub async fn stop(self) {
        for log in self.logs {
            log.stop().await;
        }
    }
}

/// The way into the embedded issuance database: an import like any other.
fn feed(data_directory: &Path, clock: Clock) -> Result<Feed, DemoError> {
    let refused = |error: IssuanceError| DemoError::Record { serial: "-".into(), reason: error.to_string() };
    let database = Embedded::open(data_directory).map_err(refused)?;
    Ok(Arc::new(move |rows: &str| {
        database.import_ndjson(rows, clock.now()).map(drop).map_err(|error| error.to_string())
    }))
}

/// The monitor's configuration; every path in it starts from its own directory.
fn config() -> String {
    format!(
        r#"# Written by `ctwarden demo`; a configuration like any other.
[logs]
list = "{list}"
contact = "demo@ctwarden-demo.eus"
start = "beginning"

[[issuer]]
name = "ctwarden Demo Issuing CA 1"
certificate = "{issuer}"

[data]
directory = "{data}"

[issuance]
source = "embedded"
grace = "{GRACE_SECONDS}s"

[lint]
gtld_registry = "none"
tld_list = "none"
public_suffix_list = "embedded"

[mail]
folder = "{mail}"
from = "ctwarden@ctwarden-demo.eus"
to = ["pki-oncall@ctwarden-demo.eus"]

[web]
listen = "127.0.0.1:0"
"#,
        list = file::LOG_LIST,
        issuer = file::ISSUER,
        data = file::DATA,
        mail = file::MAIL,
    )
}

fn write(path: &Path, text: &str) -> Result<(), DemoError> {
    let fail = |source| DemoError::File { path: path.to_path_buf(), source };
    if let Some(parent) = path.parent() {
        std::fs::create_dir_all(parent).map_err(fail)?;
    }
    std::fs::write(path, text).map_err(fail)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cert::Certificate;
    use crate::clock::date;
    use crate::crosscheck::{self, Context};
    use crate::finding::{CaseKey, Issued, RuleInfo, Serial, Verdict};
    use crate::issuance::Query;
    use crate::lint::SuffixList;
    use crate::{evidence, lint};
    use std::collections::BTreeSet;

    /// The rules that a logged certificate breaks, by all judges, when the grace period is over.
    fn broken(world: &World, der: &[u8]) -> BTreeSet<&'static str> {
        let certificate = Certificate::parse(der).expect("reads");
        assert!(certificate.defects().is_empty(), "{:?}", certificate.defects());
        let key = CaseKey { issuer_key_hash: world.desk.ca().issuer_key_hash(), serial: certificate.serial() };
        let presented = crate::exam::presented(&certificate);
        let names = presented.names.clone();
        let database = Embedded::open(&world.data_directory()).expect("opens");
        let lookup = database.find(&[Query { key, names }]).expect("answers").remove(0);
        let now = world.clock.now();
        let grace = Span::from_seconds(GRACE_SECONDS.into());
        let context = Context { first_seen: now.minus(grace), now, grace };
        let mut verdicts: Vec<(&'static RuleInfo, Verdict)> = Vec::new();
        verdicts.extend(lint::run(&certificate, Issued::at(now), &lint::Tables::embedded()));
        verdicts.extend(crosscheck::run(&presented, &lookup, &context, &evidence::Policy::default()));
        verdicts.extend(evidence::run(
            &presented,
            &lookup,
            Issued::at(now),
            &evidence::Policy::default(),
            &SuffixList::Embedded,
        ));
        verdicts
            .into_iter()
            .filter(|(_, verdict)| matches!(verdict, Verdict::Fail(_)))
            .map(|(rule, _)| rule.id)
            .collect()
    }

    #[tokio::test]
    async fn mistakes_break_their_rules_and_good_certificates_none() {
        let directory = tempfile::tempdir().expect("a directory");
        let world = World::start(directory.path(), Clock::manual(date(2026, 11, 22))).await.expect("starts");
        for names in [&["www1.demo-shop.eus", "api1.demo-shop.eus"][..], &["a.demo-shop.com"], &["b.demo-shop.es"]] {
            let issued = world.desk.issue(names, None).await.expect("issued");
            for der in [Some(issued.precertificate), issued.certificate].iter().flatten() {
                assert_eq!(broken(&world, der), BTreeSet::new(), "{names:?}");
            }
        }
        for mistake in Mistake::ALL {
            let issued = world.desk.issue(&[mistake.name()], Some(mistake)).await.expect("issued");
            assert_eq!(issued.certificate.is_none(), mistake == Mistake::InternalName);
            for der in [Some(issued.precertificate), issued.certificate].iter().flatten() {
                let broken = broken(&world, der);
                assert!(mistake.must_find().iter().all(|rule| broken.contains(rule)), "{mistake:?}: {broken:?}");
            }
        }
    }

    #[tokio::test]
    async fn a_short_run_makes_every_mistake_once_and_leaves_its_files() {
        let directory = tempfile::tempdir().expect("a directory");
        let world = World::start(directory.path(), Clock::System).await.expect("starts");
        world.work(Some(Duration::from_millis(1500))).await.expect("works");
        let planted = world.planted();
        let made: Vec<Mistake> = planted.iter().map(|planted| planted.mistake).collect();
        assert_eq!(made, Mistake::ALL);
        assert!(world.issued() >= 6);
        // A precertificate and a certificate of each, but no certificate with the internal name.
        let submitted = 2 * world.issued() - 1;
        assert!(world.logs().iter().all(|log| log.size() == submitted));
        for planted in &planted {
            let serial = Serial::from_hex(&planted.serial).expect("hexadecimal");
            let key = CaseKey { issuer_key_hash: world.desk.ca().issuer_key_hash(), serial };
            let database = Embedded::open(&world.data_directory()).expect("opens");
            let lookup = database.find(&[Query { key, names: Vec::new() }]).expect("answers").remove(0);
            assert_eq!(lookup.record().is_ok(), planted.mistake != Mistake::UnknownToDatabase, "{lookup:?}");
        }
        let config = crate::config::load(&world.config_file()).unwrap_or_else(|problems| panic!("{problems}"));
        assert_eq!(config.issuers[0].key_hash, world.desk.ca().issuer_key_hash());
        let list = std::fs::read(directory.path().join(file::LOG_LIST)).expect("file");
        let list = crate::ct::log_list::parse(&list).expect("a log list");
        assert!(list.rejected.is_empty(), "{:?}", list.rejected);
        let ids: Vec<String> = list.logs.iter().map(|log| log.log_id.to_string()).collect();
        assert_eq!(ids, world.logs().each_ref().map(LogServer::log_id));
        assert_eq!(list.logs[1].origin, world.logs()[1].origin());
        world.stop().await;
    }

    #[tokio::test]
    async fn a_directory_that_cannot_be_made_is_named() {
        let file = tempfile::NamedTempFile::new().expect("a file");
        let error = World::start(&file.path().join("x"), Clock::manual(date(2026, 11, 22))).await.err();
        let path = file.path().display().to_string();
        assert!(error.is_some_and(|error| error.to_string().contains(&path)));
    }
}
