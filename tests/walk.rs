//! The walk through the real binary: nothing is lost, nothing is told twice, whatever kills it.

mod support;

use std::collections::BTreeSet;
use std::time::Duration;

use ctwarden::clock::{Clock, Span, Timestamp};
use ctwarden::demo::ca::Ca;
use ctwarden::demo::log::{Api, LogServer, LogSettings, RawEntry, RawKind};
use ctwarden::finding::KeyHash;
use support::monitor::{Bench, printed, said};

const ENTRIES: usize = 20_000;
const HITS: usize = 200;
const KILLS: u32 = 20;

/// An entry of somebody else: the right form, another issuer.
fn foreign(number: usize, at: Timestamp) -> RawEntry {
    let tbs = format!("TBSCertificate number {number} of somebody else, {}", "x".repeat(number % 300)).into_bytes();
    let issuer_key_hash = KeyHash([(number % 200) as u8 + 1; 32]);
    RawEntry {
        timestamp: at,
        kind: RawKind::Precert { issuer_key_hash, pre_certificate: tbs.clone(), tbs },
        chain: vec![],
    }
}

/// A precertificate of ours for an internal name: one finding that needs no record.
fn ours(ca: &Ca, number: usize, at: Timestamp) -> (RawEntry, String) {
    let name = format!("host{number}.bizkaia.euskalsarea");
    let draft = ca.draft(&[&name], at).expect("draft");
    let pre_certificate = draft.precertificate().expect("precertificate");
    let tbs = ctwarden::cert::Certificate::parse(&pre_certificate).expect("our own certificate").core_tbs();
    let kind = RawKind::Precert { issuer_key_hash: ca.issuer_key_hash(), tbs, pre_certificate };
    let entry = RawEntry { timestamp: at, kind, chain: vec![ca.issuing_der().to_vec(), ca.root_der().to_vec()] };
    (entry, draft.serial.to_string())
}

fn issuers(ca: &Ca) -> String {
    format!(
        "[[issuer]]\nname = \"Tests CA\"\nissuer_key_hash = \"{}\"\n[issuance]\nsource = \"none\"",
        ca.issuer_key_hash()
    )
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn twenty_kills_lose_no_hit_and_open_no_second_case() {
    let clock = Clock::System;
    let now = clock.now();
    let ca = Ca::generate(now).expect("CA");
    let still = |api| LogSettings { sequence_every: Duration::from_secs(3600), ..LogSettings::new(api, clock.clone()) };
    let rfc = LogServer::start(LogSettings { page_size: 100, ..still(Api::Rfc6962) }).await.expect("log");
    let tiled = LogServer::start(still(Api::StaticCt)).await.expect("log");
    let mut serials = BTreeSet::new();
    // Every tenth hit stands in both logs: one hit, two sightings, one case.
    for number in 0..ENTRIES {
        let at = now.minus(Span::from_seconds((ENTRIES - number) as i64));
        let log = if number.is_multiple_of(2) { &rfc } else { &tiled };
        if number.is_multiple_of(ENTRIES / HITS) {
            let (entry, serial) = ours(&ca, number, at);
            serials.insert(serial);
            log.append([entry.clone()]);
            if number.is_multiple_of(10 * ENTRIES / HITS) {
                tiled.append([entry]);
            }
        } else {
            log.append([foreign(number, at)]);
        }
    }
    assert_eq!(serials.len(), HITS);
    // Heads come step by step, so that the daemon is killed in every phase: reading, sealing, examining, mailing.
    let (rfc_size, tiled_size) = (rfc.size(), tiled.size());
    let bench = Bench::new(&[&rfc, &tiled], &issuers(&ca), "");
    for kill in 1..=KILLS {
        rfc.set_visible_size(Some(rfc_size * u64::from(kill) / u64::from(KILLS)));
        tiled.set_visible_size(Some(tiled_size * u64::from(kill) / u64::from(KILLS)));
        rfc.publish();
        tiled.publish();
        let mut daemon = bench.start(&["run"]);
        let lifetime = Duration::from_millis(rand::random_range(30..700));
        tokio::time::sleep(lifetime).await;
        daemon.kill().expect("SIGKILL");
        daemon.wait().expect("the daemon is gone");
    }
    rfc.set_visible_size(None);
    tiled.set_visible_size(None);
    rfc.publish();
    tiled.publish();
    let last = bench.run_beside(&["run", "--until-caught-up"]).await;
    assert_eq!(last.status.code(), Some(0), "{}", said(&last));

    assert_eq!(bench.count("SELECT count(*) FROM hits"), HITS as i64);
    assert_eq!(bench.count("SELECT count(*) FROM sightings"), (HITS + HITS / 10) as i64);
    assert_eq!(bench.count("SELECT count(*) FROM cases"), HITS as i64);
    assert_eq!(bench.count("SELECT count(*) FROM cases WHERE events <> 1"), 0);
    assert_eq!(bench.count("SELECT count(*) FROM hits WHERE examine_at IS NOT NULL"), 0);
    assert_eq!(bench.count("SELECT count(*) FROM outbox WHERE delivered_at IS NULL"), 0);
    assert_eq!(bench.count("SELECT sum(verified_size) FROM logs"), (rfc_size + tiled_size) as i64);
    assert_eq!(bench.count("SELECT sum(downloaded_size) FROM logs"), (rfc_size + tiled_size) as i64);
    assert_eq!(bench.count("SELECT count(*) FROM misbehaviours"), 0);
    let in_books: BTreeSet<String> = {
        let books = bench.books();
        let mut rows = books.prepare("SELECT lower(hex(serial)) FROM cases").expect("SQL");
        let rows = rows.query_map([], |row| row.get::<_, String>(0)).expect("rows");
        rows.map(|serial| serial.expect("serial").trim_start_matches("00").to_string()).collect()
    };
    let planted: BTreeSet<String> = serials.iter().map(|serial| serial.trim_start_matches("00").to_string()).collect();
    assert_eq!(in_books, planted);

    // One mail per case, each with the one Message-ID of its event.
    let mails = bench.mails();
    assert_eq!(mails.len(), HITS);
    let ids: BTreeSet<&str> =
        mails.values().filter_map(|mail| mail.lines().find(|l| l.starts_with("Message-ID:"))).collect();
    assert_eq!(ids.len(), HITS);
    for serial in &serials {
        assert!(mails.values().any(|mail| mail.contains(serial.as_str())), "no mail names serial {serial}");
    }
    rfc.stop().await;
    tiled.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_second_process_and_a_taken_port_are_refused_in_one_sentence() {
    let ca = Ca::generate(Clock::System.now()).expect("CA");
    let log = LogServer::start(LogSettings::new(Api::StaticCt, Clock::System)).await.expect("log");
    let bench = Bench::new(&[&log], &issuers(&ca), "");
    let mut first = bench.start(&["run"]);
    let logs = || bench.run(&["logs", "--format", "json"]);
    while tokio::task::block_in_place(logs).status.code() != Some(0) {
        assert!(first.try_wait().expect("status").is_none(), "the first daemon ended early");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    let second = bench.run_beside(&["run"]).await;
    assert_eq!(second.status.code(), Some(3));
    assert!(said(&second).contains("another ctwarden is running on this directory"), "{}", said(&second));
    assert_eq!(said(&second).trim().lines().count(), 1, "{}", said(&second));
    // The books can be looked at meanwhile.
    let logs = bench.run_beside(&["logs", "--format", "json"]).await;
    assert_eq!(logs.status.code(), Some(0), "{}", said(&logs));
    first.kill().expect("SIGKILL");
    first.wait().expect("gone");

    let taken = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
    let port = taken.local_addr().expect("address").port();
    let config = std::fs::read_to_string(bench.path("ctwarden.toml")).expect("config");
    bench.write("ctwarden.toml", &config.replace("127.0.0.1:0", &format!("127.0.0.1:{port}")));
    let refused = bench.run_beside(&["run"]).await;
    assert_eq!(refused.status.code(), Some(3));
    assert!(said(&refused).contains(&format!("[web] listen 127.0.0.1:{port}")), "{}", said(&refused));
    log.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn damaged_books_stop_the_daemon_and_a_damaged_cache_does_not() {
    let clock = Clock::System;
    let ca = Ca::generate(clock.now()).expect("CA");
    let log = LogServer::start(LogSettings::new(Api::Rfc6962, clock.clone())).await.expect("log");
    log.append([ours(&ca, 1, clock.now()).0]);
    log.publish();
    let bench = Bench::new(&[&log], &issuers(&ca), "");
    let first = bench.run_beside(&["run", "--until-caught-up"]).await;
    assert_eq!(first.status.code(), Some(0), "{}", said(&first));
    assert_eq!(bench.mails().len(), 1);

    for file in std::fs::read_dir(bench.path("data/cache")).expect("cache").flatten() {
        if file.path().is_file() {
            std::fs::write(file.path(), b"this is no cache").expect("damage");
        }
    }
    let damaged_cache = bench.run_beside(&["run", "--until-caught-up"]).await;
    assert_eq!(damaged_cache.status.code(), Some(0), "{}", said(&damaged_cache));
    let aside = std::fs::read_dir(bench.path("data")).expect("data").flatten();
    assert!(aside.into_iter().any(|f| f.file_name().to_string_lossy().starts_with("cache.damaged-")));

    let mut bytes = std::fs::read(bench.path("data/books.sqlite")).expect("books");
    bytes[..100].fill(0x55);
    std::fs::write(bench.path("data/books.sqlite"), &bytes).expect("damage");
    let refused = bench.run_beside(&["run", "--until-caught-up"]).await;
    assert_eq!(refused.status.code(), Some(3));
    assert!(said(&refused).contains("books.sqlite: the books are damaged"), "{}", said(&refused));
    assert!(said(&refused).contains("Restore the file from a backup"), "{}", said(&refused));
    assert_eq!(std::fs::read(bench.path("data/books.sqlite")).expect("books"), bytes, "nothing was written");
    log.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn starting_at_the_end_reads_only_what_comes_after() {
    let clock = Clock::System;
    let ca = Ca::generate(clock.now()).expect("CA");
    for api in [Api::Rfc6962, Api::StaticCt] {
        let log = LogServer::start(LogSettings::new(api, clock.clone())).await.expect("log");
        log.append((0..700).map(|number| foreign(number, clock.now())));
        log.append([ours(&ca, 1, clock.now()).0]);
        log.publish();
        let bench = Bench::new(&[&log], &issuers(&ca), "");
        let config = std::fs::read_to_string(bench.path("ctwarden.toml")).expect("config");
        bench.write("ctwarden.toml", &config.replace("start = \"beginning\"", "start = \"end\""));
        let first = bench.run_beside(&["run", "--until-caught-up"]).await;
        assert_eq!(first.status.code(), Some(0), "{}", said(&first));
        assert_eq!(bench.count("SELECT count(*) FROM hits"), 0);
        assert_eq!(bench.count("SELECT start_index FROM logs"), 701);
        log.append((0..300).map(|number| foreign(number, clock.now())));
        log.append([ours(&ca, 2, clock.now()).0]);
        log.publish();
        let second = bench.run_beside(&["run", "--until-caught-up"]).await;
        assert_eq!(second.status.code(), Some(0), "{}", said(&second));
        assert_eq!(bench.count("SELECT count(*) FROM hits"), 1, "{api:?}");
        assert_eq!(
            bench.count("SELECT verified_size FROM logs"),
            1002,
            "the whole tree is verified from its right edge"
        );
        let cases = bench.run_beside(&["cases"]).await;
        assert!(printed(&cases).contains("name.internal"), "{}", printed(&cases));
        log.stop().await;
    }
}
