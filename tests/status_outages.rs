//! The loops beside the certificates with the CA's database server failing: the walk of the record backwards, the CRLs
//! and the controls. None of them says anything about a certificate or a control that it cannot know, each outage is
//! counted for the one alarm, and what came meanwhile is found when the server is back.

mod support;

#[path = "support/database.rs"]
mod database;

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use ctwarden::clock::{Clock, HOUR, Span, Stopwatch, Timestamp};
use ctwarden::demo::log::{Api, LogServer};
use ctwarden::issuance::sql::Dialect;
use ctwarden::pipeline::{self, Compared, Until, Walk};
use ctwarden::revocation::CrlReader;
use ctwarden::tail::Fetcher;
use database::{PASSWORD, Server};
use rcgen::RevocationReason;
use serde_json::{Value, json};
use support::crls::Crls;
use support::gate::{Gate, Pass};
use support::issuer::{TestCa, validity};
use support::monitor::Bench;
use support::scene::{foreign, metric, now, open, still};

const FAILURES: &str = "ctwarden_issuance_db_check_failures_total";
const WALKED: &str = "ctwarden_record_walk_timestamp_seconds";
const AWAITED: &str = "ctwarden_revocations_awaited";
const BAD_CRLS: &str = "ctwarden_crls{issuer=\"Tests CA\",state=\"bad\"}";
/// Everything that people are told.
const TOLD: &str = "SELECT (SELECT count(*) FROM cases) + (SELECT count(*) FROM case_findings)";
const POSITION: &str = "SELECT coalesce(max(position), 0) FROM walks WHERE walk = 'record'";
/// The ways in which a server fails, each with a control that is switched off meanwhile.
const OUTAGES: [&str; 4] = ["down", "slow", "cut", "torn"];
/// The loops, by the table that each cannot do without.
const LOOPS: [&str; 3] = ["certificates", "revocations", "controls"];

/// A certificate of the record that was signed two hours ago and is in no log.
fn certificate(serial: usize, not_after: &str) -> Value {
    json!({"table": "certificates", "cert_id": serial, "issuer_id": 1, "serial": format!("{serial:04x}"),
           "signed_at": now().minus(HOUR).minus(HOUR).seconds(), "not_after": not_after, "state": "issued"})
}

fn revocation(serial: usize) -> Value {
    let at = now().minus(Span::from_days(2)).seconds();
    json!({"table": "revocations", "cert_id": serial, "aware_at": at, "revoked_at": at, "reason": 4})
}

fn observed(name: &str, at: Timestamp, enabled: bool) -> Value {
    json!({"table": "controls", "name": name, "observed_at": at.seconds(), "enabled": enabled, "version": "7.1"})
}

/// A monitor in this process whose loops go round when they are told, its database and the way between.
struct Scene {
    server: Server,
    gate: Gate,
    bench: Bench,
    walk: Arc<Walk>,
    reader: CrlReader,
    compared: Compared,
    ca: TestCa,
    crls: Crls,
    rows: Vec<Value>,
    /// What the CRL lists.
    listed: Vec<(u64, RevocationReason)>,
    _log: LogServer,
}

impl Scene {
    async fn new(server: Server) -> Scene {
        let (gate, ca, crls, log) =
            (Gate::open(server.port).await, TestCa::new("Tests CA"), Crls::start().await, still(Api::StaticCt).await);
        log.append(foreign(0..3));
        log.publish();
        let fed = ["issuers", "certificates", "revocations", "controls"];
        let none: String = ctwarden::issuance::feed_tables()
            .filter(|table| !fed.contains(table))
            .map(|table| format!("{table} = \"none\"\n"))
            .collect();
        let issuer = format!(
            "[[issuer]]\nname = \"Tests CA\"\ncertificate = \"ca.pem\"\ncrls = [\"{}\"]\n[issuance]\nsource = \"{}\"\n\
             preset = \"ctwarden\"\nhost = \"127.0.0.1\"\nport = {}\ndatabase = \"ca\"\nuser = \"reader\"\n\
             password_file = \"password\"\ntls = \"none-on-loopback\"\nstatement_timeout = \"2s\"\ngrace = \"1s\"\n\
             replica_time = \"SELECT written_at FROM heartbeat\"\n[issuance.queries]\n{none}",
            crls.url("1.crl"),
            server.dialect.word(),
            gate.port,
        );
        let controls: String =
            OUTAGES.map(|what| format!("[[control]]\nname = \"{what}\"\nmax_age = \"1h\"\n")).concat();
        let status = "[status]\nlogged_within = \"1s\"\ncrl_grace = \"1s\"\n";
        let list = ctwarden::demo::log::log_list(&[&log], now()).to_string();
        let bench = Bench::with_list(&list, &issuer, &format!("{status}{controls}"));
        bench.write("ca.pem", &ca.pem());
        bench.write("password", PASSWORD);
        let grant = match server.dialect {
            Dialect::Postgres => "GRANT SELECT ON heartbeat TO reader",
            Dialect::Mysql => "DO 0",
        };
        let heartbeat = "CREATE TABLE heartbeat (written_at BIGINT); INSERT INTO heartbeat VALUES (0)";
        server.admin(&format!("{heartbeat}; {grant}")).await;
        let mut rows = vec![json!({"table": "issuers", "issuer_id": 1, "name": "Tests CA", "hierarchy": "public",
                                   "spki_sha256": ca.key_hash().to_string()})];
        // What is long enough to be torn, and wrong in nothing: what has expired lately is still asked for.
        let expired = Timestamp::from_seconds(now().minus(HOUR).seconds()).to_string();
        for number in 0..200 {
            let at = now().minus(Span::from_seconds(number));
            rows.extend([certificate(0x1000 + number as usize, &expired), revocation(0x1000 + number as usize)]);
            rows.push(observed("patience", at, true));
        }
        let daemon = open(&bench).await;
        let walk = daemon.walk().clone();
        // The logs are read; from here on the loops go round one by one.
        gate.set(Pass::Refuse);
        daemon.run(Until::CaughtUp, std::future::pending()).await.expect("the logs are read");
        gate.set(Pass::Through);
        let fetcher = Fetcher::new("pki-team@ca-tests.eus", Clock::System).expect("a client");
        let reader = CrlReader::new(fetcher, bench.path("data/crls"), walk.status.crl_limit_bytes);
        let compared = Compared::default();
        Scene { server, gate, bench, walk, reader, compared, ca, crls, rows, listed: vec![], _log: log }
    }

    async fn beat(&self, at: Timestamp) {
        self.server.admin(&format!("UPDATE heartbeat SET written_at = {}", at.seconds())).await;
    }

    async fn fill(&self) {
        self.server.fill(&self.rows).await;
    }

    /// Serves a newer CRL with what is listed.
    fn serve(&self, number: u64) {
        let (url, at) = (self.crls.url("1.crl"), now().minus(HOUR).plus(Span::from_seconds(number as i64)));
        self.crls.serve("1.crl", Some(self.ca.crl(&url, number, at, &self.listed)));
    }

    /// Sends the loop round once that cannot do without this table.
    async fn go_round(&mut self, table: &str) {
        match table {
            "certificates" => pipeline::walk_record_due(&self.walk).await,
            "revocations" => pipeline::compare_crls_due(&self.walk, &self.reader, &mut self.compared).await,
            _ => pipeline::watch_controls_due(&self.walk).await,
        }
        .expect("sound books");
    }

    fn metric(&self, name: &str) -> f64 {
        metric(&self.walk.metrics.render().expect("metrics"), name)
    }

    /// Control faults and CRLs in doubt: what other alarms rest on.
    fn other_alarms(&self) -> f64 {
        let text = self.walk.metrics.render().expect("metrics");
        let faults = text.lines().filter(|line| line.starts_with("ctwarden_control_faults{"));
        faults.filter_map(|line| line.rsplit(' ').next()?.parse::<f64>().ok()).sum::<f64>() + self.metric(BAD_CRLS)
    }

    fn found(&self, rule: &str, subject: &str) -> i64 {
        self.bench.count(&format!("SELECT count(*) FROM case_findings WHERE rule = '{rule}' AND subject = '{subject}'"))
    }

    /// Sends every loop round until all of this is found.
    async fn until_found(&mut self, what: &str, wanted: &[(&str, String)]) {
        let watch = Stopwatch::start();
        loop {
            for table in LOOPS {
                self.go_round(table).await;
            }
            let missing: Vec<_> = wanted.iter().filter(|(rule, subject)| self.found(rule, subject) == 0).collect();
            if missing.is_empty() {
                return;
            }
            assert!(watch.elapsed() < Duration::from_secs(90), "{what}: never found: {missing:?}");
            tokio::time::sleep(Duration::from_millis(200)).await;
        }
    }
}

/// A replica that shows nothing of the last three hours: nothing is silent, and the walk ends where the replica does.
async fn behind(scene: &mut Scene) {
    let (shown, failures) = (now().minus(Span::from_seconds(3 * 3600)), scene.metric(FAILURES));
    scene.beat(shown).await;
    scene.rows.extend(OUTAGES.map(|what| observed(what, shown.minus(Span::from_seconds(600)), true)));
    scene.fill().await;
    for table in LOOPS {
        scene.go_round(table).await;
    }
    assert_eq!(scene.bench.count(TOLD), 0, "behind");
    assert_eq!(scene.bench.count(POSITION), shown.seconds() * 1000, "it walks no further than the replica shows");
    // It catches up, and the controls have been heard of meanwhile.
    scene.rows.extend(OUTAGES.map(|what| observed(what, now().minus(Span::from_seconds(600)), true)));
    scene.fill().await;
    scene.beat(now().plus(Span::from_days(1))).await;
    for table in LOOPS {
        scene.go_round(table).await;
    }
    assert_eq!((scene.bench.count(TOLD), scene.metric(FAILURES)), (0, failures), "all is well");
    assert!(scene.bench.count(POSITION) > now().minus(HOUR).seconds() * 1000, "it has caught up");
}

/// A new CRL is compared with the record, and the record falls silent amid it: what stands behind that place is listed
/// all the same.
async fn cut_amid_a_crl(scene: &mut Scene) {
    const LAST: usize = 0x60;
    scene.rows.extend([certificate(LAST, &validity().1.to_string()), revocation(LAST)]);
    scene.fill().await;
    let strangers = (0..2500).map(|number| (0x10_0000 + number, RevocationReason::Superseded));
    scene.listed.extend(strangers.chain([(LAST as u64, RevocationReason::Superseded)]));
    scene.serve(2);
    let failures = scene.metric(FAILURES);
    // The certificates of a CRL are asked for by their serial numbers.
    scene.gate.set(Pass::Cut("AND q.serial"));
    scene.go_round("revocations").await;
    assert!(scene.metric(FAILURES) > failures, "the record was not asked");
    assert_eq!(scene.bench.count(TOLD), 0, "it is on the CRL");
    scene.gate.set(Pass::Through);
    scene.go_round("revocations").await;
    assert_eq!(scene.bench.count(TOLD), 0, "and is so when the record answers");
    assert_eq!(scene.bench.count("SELECT count(*) FROM listed"), 1, "it was seen there");
    scene.rows.retain(|row| row["cert_id"] != LAST);
    scene.fill().await;
}

async fn every_outage(dialect: Dialect) {
    let Some(server) = Server::start("status_outages", dialect, None).await else { return };
    let mut scene = Scene::new(server).await;
    scene.serve(1);
    assert!(scene.metric(FAILURES) > 0.0, "it began in an outage");
    assert_eq!(scene.bench.count(TOLD), 0, "it began in an outage");
    behind(&mut scene).await;
    cut_amid_a_crl(&mut scene).await;
    for (number, what) in OUTAGES.into_iter().enumerate() {
        // In no log; revoked and on no CRL; on the CRL and not revoked; a control that is off. The server has the rows,
        // and fails before anybody has asked for them.
        let [unlisted, unrevoked] = [0x20 + number, 0x40 + number];
        scene.rows.extend([
            certificate(unlisted, &validity().1.to_string()),
            certificate(unrevoked, &validity().1.to_string()),
        ]);
        scene.rows.push(revocation(unlisted));
        scene.rows.push(observed(what, now().minus(Span::from_seconds(1)), false));
        scene.fill().await;
        scene.listed.push((unrevoked as u64, RevocationReason::Superseded));
        scene.serve(3 + number as u64);
        let before = (scene.bench.count(TOLD), scene.bench.count(POSITION), scene.metric(WALKED), scene.other_alarms());
        let awaited = scene.metric(AWAITED);
        let lock = if what == "slow" { Some(scene.server.lock(&LOOPS).await) } else { None };
        for table in LOOPS {
            let (failures, torn) = (scene.metric(FAILURES), scene.gate.torn.load(Ordering::Relaxed));
            match what {
                "down" => scene.gate.set(Pass::Refuse),
                "cut" => scene.gate.set(Pass::Cut(table)),
                "torn" => scene.gate.set(Pass::Torn),
                _ => {}
            }
            scene.go_round(table).await;
            assert!(scene.metric(FAILURES) > failures, "{what}: the loop over {table} counts no outage");
            let is_torn = scene.gate.torn.load(Ordering::Relaxed) > torn;
            assert_eq!(is_torn, what == "torn", "{what}: the answer to the loop over {table}");
        }
        let after = (scene.bench.count(TOLD), scene.bench.count(POSITION), scene.metric(WALKED), scene.other_alarms());
        assert_eq!(after, before, "{what}: told, walked, alarmed");
        assert_eq!(scene.metric(AWAITED), awaited, "{what}: what waits for a CRL is not forgotten");
        drop(lock);
        scene.gate.set(Pass::Through);
        let failures = scene.metric(FAILURES);
        let serial = |serial: usize| format!("serial {serial:02x}");
        let wanted = [
            ("ct.unlogged", serial(unlisted)),
            ("ct.unlogged", serial(unrevoked)),
            ("status.crl", serial(unlisted)),
            ("status.record", serial(unrevoked)),
            ("control.off", what.to_string()),
        ];
        scene.until_found(what, &wanted).await;
        assert_eq!(scene.metric(FAILURES), failures, "{what}, and back");
        println!("{} {what}: nothing told, an alarm, caught up", scene.server.dialect.word());
    }
    // Exactly what was planted, each once.
    for rule in ["ct.unlogged", "status.crl", "status.record", "control.off", "control.silent"] {
        let planted = match rule {
            "ct.unlogged" => 2 * OUTAGES.len(),
            "control.silent" => 0,
            _ => OUTAGES.len(),
        };
        let count = scene.bench.count(&format!("SELECT count(*) FROM case_findings WHERE rule = '{rule}'"));
        assert_eq!(count, planted as i64, "{rule}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_loops_outlast_every_outage_of_postgres() {
    every_outage(Dialect::Postgres).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_loops_outlast_every_outage_of_mariadb() {
    every_outage(Dialect::Mysql).await;
}
