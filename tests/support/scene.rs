//! A log, a CA, a proxy between, and the monitor in this process.

use std::time::Duration;

use ctwarden::clock::{Clock, Timestamp};
use ctwarden::config;
use ctwarden::daemon::{Daemon, DaemonError};
use ctwarden::demo::log::{Api, LogServer, LogSettings, RawEntry, RawKind};
use ctwarden::finding::KeyHash;
use ctwarden::pipeline::Until;

use super::issuer::{TestCa, leaf};
use super::monitor::Bench;

/// Both kinds of log.
pub const BOTH: [Api; 2] = [Api::Rfc6962, Api::StaticCt];
/// Root mismatches on record.
pub const MISMATCHES: &str = "SELECT count(*) FROM misbehaviours WHERE kind = 'root_mismatch'";
/// Misbehaviours on record.
pub const MISBEHAVIOURS: &str = "SELECT count(*) FROM misbehaviours";
/// Cases about certificates.
pub const CERTIFICATE_CASES: &str = "SELECT count(*) FROM cases WHERE about = 'certificate'";

/// A log that signs a head only when it is told to.
pub async fn still(api: Api) -> LogServer {
    let sequence_every = Duration::from_secs(3600);
    let settings = LogSettings { sequence_every, page_size: 100, ..LogSettings::new(api, Clock::System) };
    LogServer::start(settings).await.expect("log")
}

/// The time.
pub fn now() -> Timestamp {
    Clock::System.now()
}

/// Entries of somebody else, each of which can be told from its neighbours.
pub fn foreign(numbers: std::ops::Range<u64>) -> impl Iterator<Item = RawEntry> {
    numbers.map(|number| {
        let tbs = format!("TBSCertificate number {number:04} of somebody else").into_bytes();
        let kind = RawKind::Precert { issuer_key_hash: KeyHash([9; 32]), pre_certificate: tbs.clone(), tbs };
        RawEntry { timestamp: now(), kind, chain: vec![] }
    })
}

/// A precertificate of ours with one finding that needs no record.
pub fn ours(ca: &TestCa, serial: u64) -> RawEntry {
    ca.precert_entry(&leaf(serial, &format!("host{serial}.bizkaia.euskalsarea")), now())
}

/// A configuration with this CA as issuer and no issuance record.
pub fn bench(list: &str, ca: &TestCa, more: &str) -> Bench {
    let issuer = "[[issuer]]\nname = \"Tests CA\"\ncertificate = \"ca.pem\"\n[issuance]\nsource = \"none\"";
    let bench = Bench::with_list(list, issuer, more);
    bench.write("ca.pem", &ca.pem());
    bench
}

/// The monitor of a configuration.
pub async fn open(bench: &Bench) -> Daemon {
    let config = config::load(&bench.path("ctwarden.toml")).expect("a configuration");
    Daemon::open(config, Clock::System).await.expect("a daemon")
}

/// Reads to the head and ends; the metrics at the end.
pub async fn caught_up(bench: &Bench) -> Result<String, DaemonError> {
    let daemon = open(bench).await;
    let walk = daemon.walk().clone();
    daemon.run(Until::CaughtUp, std::future::pending()).await?;
    assert_eq!(bench.count("SELECT count(*) FROM hits WHERE examine_at IS NOT NULL"), 0, "nothing is left due");
    assert_eq!(bench.count("SELECT count(*) FROM outbox WHERE delivered_at IS NULL"), 0, "nothing is left unsent");
    Ok(walk.metrics.render().expect("metrics"))
}

/// The value of the first series that starts so.
pub fn metric(metrics: &str, start: &str) -> f64 {
    let line = metrics.lines().find(|line| line.starts_with(start));
    let value = line.and_then(|line| line.rsplit(' ').next());
    value.unwrap_or_else(|| panic!("no metric {start}")).parse().expect("a number")
}

/// Waits until something holds, half a minute at most.
pub async fn wait_for(what: &str, mut holds: impl FnMut() -> bool) {
    for _ in 0..300 {
        if holds() {
            return;
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    panic!("never: {what}");
}

/// Whether entries are asked for.
pub fn is_entries(path: &str) -> bool {
    path.contains("get-entries?") || path.contains("tile/data/")
}
