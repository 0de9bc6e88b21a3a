//! A log that is far behind: new entries are seen at once, the backlog is read beside them, and both are audited.

mod support;

use std::time::Duration;

use ctwarden::clock::{Clock, Timestamp};
use ctwarden::demo::ca::Ca;
use ctwarden::demo::log::{Api, LogServer, LogSettings, RawEntry, RawKind};
use ctwarden::finding::KeyHash;
use support::monitor::{Bench, said};

const BACKLOG: usize = 24_000;

fn foreign(number: usize, at: Timestamp) -> RawEntry {
    let tbs = format!("somebody else's {number}").into_bytes();
    let issuer_key_hash = KeyHash([(number % 200) as u8 + 1; 32]);
    RawEntry {
        timestamp: at,
        kind: RawKind::Precert { issuer_key_hash, pre_certificate: tbs.clone(), tbs },
        chain: vec![],
    }
}

fn ours(ca: &Ca, number: usize, at: Timestamp) -> RawEntry {
    let draft = ca.draft(&[&format!("host{number}.bizkaia.euskalsarea")], at).expect("draft");
    let pre_certificate = draft.precertificate().expect("precertificate");
    let tbs = ctwarden::cert::Certificate::parse(&pre_certificate).expect("our own").core_tbs();
    let kind = RawKind::Precert { issuer_key_hash: ca.issuer_key_hash(), tbs, pre_certificate };
    RawEntry { timestamp: at, kind, chain: vec![ca.issuing_der().to_vec()] }
}

async fn wait_for(what: &str, mut done: impl FnMut() -> bool) {
    for _ in 0..600 {
        if done() {
            return;
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    panic!("{what} did not happen in 30 seconds");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_new_does_not_wait_for_what_is_old() {
    let clock = Clock::System;
    let ca = Ca::generate(clock.now()).expect("CA");
    for api in [Api::Rfc6962, Api::StaticCt] {
        // Small pages at a bounded rate make the backlog last; tiles are as wide as they are, so that log is merely long.
        let settings = LogSettings { page_size: 3, ..LogSettings::new(api, clock.clone()) };
        let log = LogServer::start(settings).await.expect("log");
        for number in 0..BACKLOG {
            let at = clock.now();
            let hit = number == 5 || number == BACKLOG / 2 || number == BACKLOG - 1;
            log.append([if hit { ours(&ca, number, at) } else { foreign(number, at) }]);
        }
        log.publish();
        let issuer = format!(
            "[[issuer]]\nname = \"Tests CA\"\nissuer_key_hash = \"{}\"\n[issuance]\nsource = \"none\"",
            ca.issuer_key_hash()
        );
        let slowly = format!("[[logs.override]]\nlog_id = \"{}\"\nrate = \"200/s\"\n", log.log_id());
        let bench = Bench::new(&[&log], &issuer, &slowly);
        let mut daemon = bench.start(&["run"]);
        let books = || rusqlite::Connection::open(bench.path("data/books.sqlite"));
        let number = |sql: &str| books().and_then(|c| c.query_row(sql, [], |row| row.get::<_, i64>(0))).unwrap_or(-1);
        wait_for("the split", || number("SELECT count(*) FROM backlogs") == 1).await;
        log.append([ours(&ca, 1_000_000, clock.now())]);
        log.publish();
        if api == Api::Rfc6962 {
            let new = format!("SELECT count(*) FROM sightings WHERE idx = {BACKLOG}");
            wait_for("the new entry", || number(&new) == 1).await;
            assert_eq!(number("SELECT count(*) FROM backlogs"), 1, "the backlog is still being read");
            assert!(number("SELECT downloaded_size FROM backlogs") < BACKLOG as i64);
        }
        // Killed in the middle, it goes on from both places.
        daemon.kill().expect("SIGKILL");
        daemon.wait().expect("gone");
        let config = std::fs::read_to_string(bench.path("ctwarden.toml")).expect("the configuration");
        bench.write("ctwarden.toml", &config.replace(&slowly, ""));
        let rest = bench.run_beside(&["run", "--until-caught-up"]).await;
        assert_eq!(rest.status.code(), Some(0), "{}", said(&rest));
        assert_eq!(bench.count("SELECT count(*) FROM backlogs"), 0, "the two have met");
        assert_eq!(bench.count("SELECT start_index FROM logs"), 0);
        assert_eq!(bench.count("SELECT verified_size FROM logs"), BACKLOG as i64 + 1);
        assert_eq!(bench.count("SELECT count(*) FROM hits"), 4, "{api:?}");
        assert_eq!(bench.count("SELECT count(*) FROM cases"), 4);
        assert_eq!(bench.count("SELECT count(*) FROM misbehaviours"), 0);
        log.stop().await;
    }
}
