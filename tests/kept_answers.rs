//! The CA's database server is asked once for a precertificate and its certificate that come within half a minute, and
//! anew for everything that may have changed.

mod support;

#[path = "support/database.rs"]
mod database;

use std::sync::Arc;

use ctwarden::clock::{Clock, Span};
use ctwarden::config::StartAt;
use ctwarden::daemon::Daemon;
use ctwarden::demo::ca::Ca;
use ctwarden::demo::log::{Api, LogServer, RawEntry, RawKind};
use ctwarden::issuance::Embedded;
use ctwarden::issuance::sql::Dialect;
use ctwarden::pipeline::{self, FollowEnd, Until, Walk};
use ctwarden::tail::Fetcher;
use database::{PASSWORD, Server};
use serde_json::{Value, json};
use support::gate::{Gate, Pass};
use support::monitor::Bench;
use support::scene::{metric, now, open, still};

const PASSED: &str = "ctwarden_rule_evaluations_total{result=\"pass\",rule=\"db.unknown\"}";

/// A certificate of ours in both of its forms, as entries of a log, and the rows of the feed that belong to it.
struct Issued {
    precertificate: RawEntry,
    certificate: RawEntry,
    rows: Vec<Value>,
}

fn issue(ca: &Ca, number: i64, state: &str) -> Issued {
    let at = now().minus(Span::from_seconds(60));
    let draft = ca.draft(&[&format!("host{number}.eus")], at).expect("draft");
    let pre_certificate = draft.precertificate().expect("precertificate");
    let tbs = ctwarden::cert::Certificate::parse(&pre_certificate).expect("our own certificate").core_tbs();
    let chain = vec![ca.issuing_der().to_vec(), ca.root_der().to_vec()];
    let precertificate = RawKind::Precert { issuer_key_hash: ca.issuer_key_hash(), tbs, pre_certificate };
    let certificate = RawKind::X509 { certificate: draft.certificate(&[]).expect("certificate") };
    let rows = vec![json!({"table": "certificates", "cert_id": number, "issuer_id": 1, "signed_at": at.seconds(),
                           "serial": draft.serial.value_hex(), "state": state})];
    let entry = |kind| RawEntry { timestamp: at, kind, chain: chain.clone() };
    Issued { precertificate: entry(precertificate), certificate: entry(certificate), rows }
}

/// Where the record is.
enum Record {
    Server(Server, Gate),
    Embedded,
}

/// A monitor in this process that does only what it is told to, by a clock that is set.
struct Scene {
    record: Record,
    log: LogServer,
    bench: Bench,
    daemon: Daemon,
    walk: Arc<Walk>,
    rows: Vec<Value>,
    ca: Ca,
}

impl Scene {
    async fn new(record: Record) -> Scene {
        let ca = Ca::generate(now().minus(Span::from_seconds(7200))).expect("a CA");
        let log = still(Api::StaticCt).await;
        let source = match &record {
            Record::Embedded => "source = \"embedded\"\n".to_string(),
            Record::Server(server, gate) => {
                let none: String = ctwarden::issuance::feed_tables()
                    .filter(|table| !["issuers", "certificates"].contains(table))
                    .map(|table| format!("{table} = \"none\"\n"))
                    .collect();
                format!(
                    "source = \"{}\"\npreset = \"ctwarden\"\nhost = \"127.0.0.1\"\nport = {}\ndatabase = \"ca\"\n\
                     user = \"reader\"\npassword_file = \"password\"\ntls = \"none-on-loopback\"\ngrace = \"1h\"\n\
                     [issuance.queries]\n{none}",
                    server.dialect.word(),
                    gate.port,
                )
            }
        };
        let issuers = format!("[[issuer]]\nname = \"Tests CA\"\ncertificate = \"ca.pem\"\n[issuance]\n{source}");
        let bench = Bench::new(&[&log], &issuers, "");
        bench.write("ca.pem", &ca.issuing_pem());
        bench.write("password", PASSWORD);
        let rows = vec![json!({"table": "issuers", "issuer_id": 1, "name": "Tests CA", "hierarchy": "public",
                               "spki_sha256": ca.issuer_key_hash().to_string()})];
        let daemon = open(&bench).await;
        let walk = Arc::new(Walk { clock: Clock::manual(now()), ..Walk::clone(daemon.walk()) });
        Scene { record, log, bench, daemon, walk, rows, ca }
    }

    async fn fill(&mut self, rows: Vec<Value>) {
        self.rows.extend(rows);
        match &self.record {
            Record::Server(server, _) => server.fill(&self.rows).await,
            Record::Embedded => {
                let text: Vec<String> = self.rows.iter().map(Value::to_string).collect();
                let record = Embedded::open(&self.bench.path("data")).expect("the record");
                record.import_ndjson(&text.join("\n"), now()).expect("imported");
            }
        }
    }

    /// Logs an entry, reads it and examines what is due.
    async fn see(&self, entry: RawEntry) {
        self.log.append([entry]);
        self.log.publish();
        let fetcher = Fetcher::new("pki-team@ca-tests.eus", Clock::System).expect("a client");
        let log = self.daemon.logs().next().expect("the log").clone();
        let read = pipeline::follow(self.walk.clone(), log, fetcher, StartAt::Beginning, Until::CaughtUp).await;
        assert_eq!(read.expect("sound books"), FollowEnd::CaughtUp);
        self.examine().await;
    }

    /// What the way to the server does.
    fn set(&self, pass: Pass) {
        let Record::Server(_, gate) = &self.record else { panic!("there is no server") };
        gate.set(pass);
    }

    async fn examine(&self) {
        while pipeline::examine_due(&self.walk).await.expect("sound books") > 0 {}
    }

    /// Has the last hit examined again, as `ctwarden rescan --apply` has.
    async fn repeat(&self) {
        let hit: i64 =
            self.bench.books().query_row("SELECT max(hit_id) FROM hits", [], |row| row.get(0)).expect("a hit");
        self.walk.books.hand_over(vec![hit], self.walk.clock.now()).await.expect("handed over");
        self.examine().await;
    }

    /// How many look-ups were answered so since the start: found, kept, unknown, unavailable; and how often db.unknown
    /// passed.
    fn told(&self) -> [u64; 5] {
        let text = self.walk.metrics.render().expect("metrics");
        let answers = ["found", "kept", "unknown", "unavailable"]
            .map(|answer| format!("ctwarden_issuance_db_lookups_total{{answer=\"{answer}\"}}"));
        let [found, kept, unknown, unavailable] = answers.map(|series| metric(&text, &series) as u64);
        [found, kept, unknown, unavailable, metric(&text, PASSED) as u64]
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_is_asked_once_for_what_is_seen_within_half_a_minute() {
    let Some(server) = Server::start("kept_answers", Dialect::Postgres, None).await else { return };
    let gate = Gate::open(server.port).await;
    let mut scene = Scene::new(Record::Server(server, gate)).await;
    let Issued { precertificate, certificate, rows } = issue(&scene.ca, 1, "issued");
    scene.fill(rows).await;
    scene.see(precertificate).await;
    assert_eq!(scene.told(), [1, 0, 0, 0, 1], "the precertificate");
    // Nobody could be asked.
    scene.set(Pass::Refuse);
    scene.walk.clock.advance(Span::from_seconds(29));
    scene.see(certificate).await;
    assert_eq!(scene.told(), [1, 1, 0, 0, 2], "its certificate");
    // An examination that is repeated asks: the record may have changed, and here is no answer.
    scene.repeat().await;
    assert_eq!(scene.told(), [1, 1, 0, 1, 2], "examined again");
    scene.set(Pass::Through);
    scene.walk.clock.advance(Span::from_seconds(30));
    scene.examine().await;
    assert_eq!(scene.told(), [2, 1, 0, 1, 3], "the server is back");

    let Issued { precertificate, certificate, rows } = issue(&scene.ca, 2, "issued");
    scene.fill(rows).await;
    scene.see(precertificate).await;
    scene.walk.clock.advance(Span::from_seconds(30));
    scene.see(certificate).await;
    assert_eq!(scene.told(), [4, 1, 0, 1, 5], "half a minute later");

    // What is not in the record is asked for each time, so that nothing that comes into it is overlooked.
    let Issued { precertificate, certificate, rows } = issue(&scene.ca, 3, "issued");
    scene.see(precertificate).await;
    assert_eq!(scene.told(), [4, 1, 1, 1, 5], "not there yet");
    scene.fill(rows).await;
    scene.see(certificate).await;
    assert_eq!(scene.told(), [5, 1, 1, 1, 6], "there");

    // What the CA has not finished yet is asked for again, too.
    let Issued { precertificate, certificate, rows } = issue(&scene.ca, 4, "precert_only");
    scene.fill(rows).await;
    scene.see(precertificate).await;
    scene.see(certificate).await;
    assert_eq!(scene.told(), [7, 1, 1, 1, 8], "a precertificate alone");
    assert_eq!(scene.bench.count("SELECT count(*) FROM case_findings WHERE rule = 'db.unknown'"), 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_embedded_record_is_always_read() {
    let mut scene = Scene::new(Record::Embedded).await;
    let Issued { precertificate, certificate, rows } = issue(&scene.ca, 1, "issued");
    scene.fill(rows).await;
    scene.see(precertificate).await;
    scene.see(certificate).await;
    assert_eq!(scene.told(), [2, 0, 0, 0, 2]);
}
