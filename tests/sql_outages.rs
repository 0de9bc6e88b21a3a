//! The whole monitor with the CA's database server failing in every way: no finding about a certificate, one alarm, and
//! what waited is judged when the server is back.

mod support;

#[path = "support/database.rs"]
mod database;

use std::sync::Arc;
use std::time::Duration;

use ctwarden::clock::{Clock, Span, Stopwatch, Timestamp};
use ctwarden::demo::ca::Ca;
use ctwarden::demo::log::{Api, LogServer, RawEntry, RawKind};
use ctwarden::issuance::sql::Dialect;
use ctwarden::pipeline::{Until, Walk};
use database::{PASSWORD, Server};
use serde_json::{Value, json};
use support::gate::{Gate, Pass};
use support::monitor::Bench;
use support::scene::{metric, now, open, still};

const PASSED: &str = "ctwarden_rule_evaluations_total{result=\"pass\",rule=\"db.unknown\"}";
const WAITING: &str = "ctwarden_rule_evaluations_total{result=\"not_evaluable\",rule=\"db.unknown\"}";
const FAILURES: &str = "ctwarden_issuance_db_check_failures_total";
const LAG: &str = "ctwarden_issuance_db_replica_lag_seconds";

/// A precertificate of ours and the rows of the feed that belong to it.
fn ours(ca: &Ca, number: i64, at: Timestamp) -> (RawEntry, Vec<Value>) {
    let name = format!("host{number}.eus");
    let draft = ca.draft(&[&name], at).expect("draft");
    let pre_certificate = draft.precertificate().expect("precertificate");
    let tbs = ctwarden::cert::Certificate::parse(&pre_certificate).expect("our own certificate").core_tbs();
    let kind = RawKind::Precert { issuer_key_hash: ca.issuer_key_hash(), tbs, pre_certificate };
    let chain = vec![ca.issuing_der().to_vec(), ca.root_der().to_vec()];
    let (order, signed) = (format!("O{number}"), at.seconds());
    let rows = vec![
        json!({"table": "orders", "order_id": order, "applicant_id": "p", "channel": "web", "vtype": "DV",
               "hierarchy": "public", "created_at": signed}),
        json!({"table": "order_names", "order_id": order, "name": name}),
        json!({"table": "certificates", "cert_id": number, "issuer_id": 1, "serial": draft.serial.value_hex(),
               "order_id": order, "signed_at": signed, "state": "issued"}),
    ];
    (RawEntry { timestamp: at, kind, chain }, rows)
}

/// A monitor in this process, a CA with its log and database, and the way between.
struct Scene {
    server: Server,
    gate: Gate,
    log: LogServer,
    bench: Bench,
    walk: Arc<Walk>,
    ca: Ca,
    rows: Vec<Value>,
    certificates: i64,
}

impl Scene {
    async fn new(server: Server) -> Scene {
        let gate = Gate::open(server.port).await;
        let ca = Ca::generate(now().minus(Span::from_seconds(7200))).expect("a CA");
        let log = still(Api::StaticCt).await;
        let sources = [
            "identities",
            "dcv_confirmations",
            "dcv_reuse",
            "caa_checks",
            "san_authorisations",
            "approvals",
            "revocations",
            "controls",
            "lint_runs",
            "counts",
        ];
        let none: Vec<String> = sources.iter().map(|table| format!("{table} = \"none\"")).collect();
        let issuers = format!(
            "[[issuer]]\nname = \"Tests CA\"\nissuer_key_hash = \"{}\"\n[issuance]\nsource = \"{}\"\npreset = \"ctwarden\"\n\
             host = \"127.0.0.1\"\nport = {}\ndatabase = \"ca\"\nuser = \"reader\"\npassword_file = \"password\"\n\
             tls = \"none-on-loopback\"\nstatement_timeout = \"3s\"\ngrace = \"1s\"\n\
             replica_time = \"SELECT written_at FROM heartbeat\"\n[issuance.queries]\n{}\n",
            ca.issuer_key_hash(),
            server.dialect.word(),
            gate.port,
            none.join("\n")
        );
        let bench = Bench::new(&[&log], &issuers, "");
        bench.write("password", PASSWORD);
        let grant = match server.dialect {
            Dialect::Postgres => "GRANT SELECT ON heartbeat TO reader",
            Dialect::Mysql => "DO 0",
        };
        server
            .admin(&format!("CREATE TABLE heartbeat (written_at BIGINT); INSERT INTO heartbeat VALUES (0); {grant}"))
            .await;
        let rows = vec![
            json!({"table": "issuers", "issuer_id": 1, "name": "Tests CA", "hierarchy": "public",
                   "spki_sha256": ca.issuer_key_hash().to_string()}),
            json!({"table": "accounts", "account_id": "1", "kind": "direct"}),
            json!({"table": "applicants", "applicant_id": "p", "account_id": "1"}),
        ];
        let daemon = open(&bench).await;
        let walk = daemon.walk().clone();
        let scene = Scene { server, gate, log, bench, walk, ca, rows, certificates: 0 };
        scene.server.fill(&scene.rows).await;
        scene.beat(Clock::System.now().plus(Span::from_days(1))).await;
        tokio::spawn(daemon.run(Until::Stopped, std::future::pending()));
        scene
    }

    /// The newest write of the database.
    async fn beat(&self, at: Timestamp) {
        self.server.admin(&format!("UPDATE heartbeat SET written_at = {}", at.seconds())).await;
    }

    /// Logs a certificate; its rows are in the database when `fill` says so.
    async fn issue(&mut self, fill: bool) -> Vec<Value> {
        self.certificates += 1;
        let (entry, rows) = ours(&self.ca, self.certificates, now().minus(Span::from_seconds(60)));
        if fill {
            self.rows.extend(rows.clone());
            self.server.fill(&self.rows).await;
        }
        self.log.append([entry]);
        self.log.publish();
        rows
    }

    fn metric(&self, name: &str) -> f64 {
        let text = self.walk.metrics.render().expect("metrics");
        if text.lines().any(|line| line.starts_with(name)) { metric(&text, name) } else { 0.0 }
    }

    /// Waits until a metric has reached a value. What waits for its repetition is repeated at once.
    async fn reaches(&self, what: &str, name: &str, value: f64) {
        let watch = Stopwatch::start();
        while self.metric(name) < value {
            assert!(
                watch.elapsed() < Duration::from_secs(90),
                "{what}: {name} is {} and not {value}",
                self.metric(name)
            );
            let _ = self.bench.books().execute("UPDATE hits SET examine_at = 0 WHERE examine_at IS NOT NULL", []);
            self.walk.hits_waiting.notify_one();
            tokio::time::sleep(Duration::from_millis(300)).await;
        }
    }

    /// The outage was seen, and nobody is told anything about a certificate.
    async fn nothing_is_found(&self, what: &str, failures: f64, waiting: f64) {
        self.reaches(what, FAILURES, failures + 1.0).await;
        self.reaches(what, WAITING, waiting + 1.0).await;
        assert_eq!(self.bench.count("SELECT count(*) FROM cases"), 0, "{what}");
        assert!(self.metric(LAG) < 600.0, "{what}: two alarms");
    }
}

async fn every_outage(dialect: Dialect) {
    let Some(server) = Server::start("every_outage", dialect, None).await else { return };
    let mut scene = Scene::new(server).await;
    scene.issue(true).await;
    scene.reaches("all is well", PASSED, 1.0).await;
    assert_eq!(scene.metric(FAILURES), 0.0, "all is well");
    for what in ["down", "slow", "wrong schema", "cut", "wrong password"] {
        let (failures, waiting, passed) = (scene.metric(FAILURES), scene.metric(WAITING), scene.metric(PASSED));
        let mut lock = None;
        // The rows are there before the server fails.
        scene.certificates += 1;
        let (entry, rows) = ours(&scene.ca, scene.certificates, now().minus(Span::from_seconds(60)));
        scene.rows.extend(rows);
        scene.server.fill(&scene.rows).await;
        match what {
            "down" => scene.gate.set(Pass::Refuse),
            "slow" => lock = Some(scene.server.lock(&["certificates"]).await),
            "wrong schema" => scene.server.admin("ALTER TABLE certificates RENAME COLUMN state TO status").await,
            "cut" => scene.gate.set(Pass::Cut("certificates")),
            _ => {
                scene.server.set_password("another").await;
                scene.gate.set(Pass::Through);
            }
        }
        if what == "wrong schema" {
            // A connection keeps what it has learnt of a text; a new one learns it anew.
            scene.gate.set(Pass::Through);
        }
        scene.log.append([entry]);
        scene.log.publish();
        scene.nothing_is_found(what, failures, waiting).await;
        drop(lock);
        match what {
            "wrong schema" => scene.server.admin("ALTER TABLE certificates RENAME COLUMN status TO state").await,
            "wrong password" => scene.server.set_password(PASSWORD).await,
            _ => {}
        }
        scene.gate.set(Pass::Through);
        scene.reaches(what, PASSED, passed + 1.0).await;
        assert_eq!(scene.bench.count("SELECT count(*) FROM cases"), 0, "{what}, and back");
        println!("{} {what}: no finding, an alarm, judged when it was back", scene.server.dialect.word());
    }
    a_replica_that_is_behind(&mut scene).await;
    // A certificate that the database does not know is still found.
    scene.issue(false).await;
    let watch = Stopwatch::start();
    while scene.bench.count("SELECT count(*) FROM case_findings WHERE rule = 'db.unknown'") == 0 {
        assert!(watch.elapsed() < Duration::from_secs(90), "the unknown certificate was not found");
        let _ = scene.bench.books().execute("UPDATE hits SET examine_at = 0 WHERE examine_at IS NOT NULL", []);
        scene.walk.hits_waiting.notify_one();
        tokio::time::sleep(Duration::from_millis(300)).await;
    }
    assert_eq!(scene.bench.count("SELECT count(*) FROM cases"), 1);
}

/// It answers, and shows nothing of the last hour.
async fn a_replica_that_is_behind(scene: &mut Scene) {
    scene.beat(now().minus(Span::from_seconds(3600))).await;
    let (failures, waiting, passed) = (scene.metric(FAILURES), scene.metric(WAITING), scene.metric(PASSED));
    let rows = scene.issue(false).await;
    // The first within the grace, more after it.
    scene.reaches("behind", WAITING, waiting + 4.0).await;
    scene.reaches("behind", LAG, 3600.0).await;
    assert_eq!(scene.bench.count("SELECT count(*) FROM cases"), 0, "behind");
    assert_eq!(scene.metric(FAILURES), failures, "behind: two alarms");
    // The rows come one by one: a certificate whose order is not there yet is not judged either.
    scene.rows.push(rows[2].clone());
    scene.server.fill(&scene.rows).await;
    let waiting = scene.metric(WAITING);
    scene.reaches("half there", WAITING, waiting + 2.0).await;
    assert_eq!(scene.bench.count("SELECT count(*) FROM cases"), 0, "half there");
    scene.rows.extend_from_slice(&rows[..2]);
    scene.server.fill(&scene.rows).await;
    scene.beat(Clock::System.now().plus(Span::from_days(1))).await;
    scene.reaches("caught up", PASSED, passed + 1.0).await;
    assert_eq!(scene.bench.count("SELECT count(*) FROM cases"), 0, "caught up");
    assert_eq!(scene.metric(FAILURES), failures, "behind and back: two alarms");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn postgres_fails_in_every_way() {
    every_outage(Dialect::Postgres).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn mariadb_fails_in_every_way() {
    every_outage(Dialect::Mysql).await;
}
