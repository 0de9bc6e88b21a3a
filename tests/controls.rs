//! The CA's controls and counts by the real binary: a control that is switched off, falls silent, changes or loses
//! entries is a case of its own, told again when it is right; a record that lacks lines is found by its counts.

mod support;

use ctwarden::clock::{Clock, HOUR, Span, Timestamp};
use ctwarden::demo::log::{Api, LogServer, LogSettings, log_list};
use support::daemon::Daemon;
use support::issuer::{TestCa, leaf, validity};
use support::monitor::{Bench, said};
use support::scene::{metric, now, wait_for};

const QUICK: &str = "[status]\nevery = \"1s\"\nlogged_within = \"1s\"\ncontrols_every = \"1s\"\n";

async fn log() -> LogServer {
    LogServer::start(LogSettings::new(Api::StaticCt, Clock::System)).await.expect("a log")
}

fn bench(log: &LogServer, ca: &TestCa, more: &str) -> Bench {
    let list = log_list(&[log], now()).to_string();
    let issuer = "[[issuer]]\nname = \"Tests CA\"\ncertificate = \"ca.pem\"\n[issuance]\ngrace = \"1s\"";
    let bench = Bench::with_list(&list, issuer, &format!("{QUICK}{more}"));
    bench.write("ca.pem", &ca.pem());
    bench
}

/// Feeds rows into the record.
async fn feed(bench: &Bench, rows: &[serde_json::Value]) {
    let lines: Vec<String> = rows.iter().map(serde_json::Value::to_string).collect();
    bench.write("rows.ndjson", &lines.join("\n"));
    let mut command = bench.command(&["issuance", "import"]);
    command.arg(bench.path("rows.ndjson"));
    let output = tokio::task::spawn_blocking(move || command.output().expect("import")).await.expect("it ends");
    assert!(output.status.success(), "{}", said(&output));
}

fn observed(name: &str, at: Timestamp, enabled: bool, version: &str, entries: u64) -> serde_json::Value {
    serde_json::json!({
        "table": "controls", "name": name, "observed_at": at.to_string(), "enabled": enabled, "version": version,
        "value": "ca.example", "entries": entries,
    })
}

/// The rules found in the case about a control, its state and its events.
fn case(bench: &Bench, name: &str) -> (String, String, i64) {
    let sql = "SELECT (SELECT group_concat(rule, ' ') FROM (SELECT DISTINCT rule FROM case_findings AS f
                 WHERE f.case_number = c.case_number ORDER BY rule)), state, events
               FROM cases AS c WHERE about = 'control' AND CAST(serial AS TEXT) = ?1";
    let row = bench.books().query_row(sql, [name], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?)));
    row.unwrap_or_default()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_control_that_is_not_as_it_must_be_is_told_and_so_is_its_return() {
    let (ca, log) = (TestCa::new("Tests CA"), log().await);
    let controls = "[[control]]\nname = \"tld-check\"\nversion = \"7.1\"\n\
                    [[control]]\nname = \"heartbeat\"\nmax_age = \"1h\"\n\
                    [[control]]\nname = \"caa-domains\"\nvalue = \"other.example\"\n\
                    [[control]]\nname = \"block-list\"\nentries_file = \"names.txt\"\nentries_within = 1\n\
                    [[control]]\nname = \"key-list\"\nentries_of = \"key-list-source\"\n";
    let unheard = "[[control]]\nname = \"never-heard-of\"\nmax_age = \"1h\"\n";
    let bench = bench(&log, &ca, "");
    bench.write("names.txt", "# remark\none.example\n\ntwo.example\nthree.example\n");
    let text = std::fs::read_to_string(bench.path("ctwarden.toml")).expect("the configuration");
    bench.write("ctwarden.toml", &format!("{text}\n{controls}{unheard}"));
    let at = |hours: i64| now().minus(Span::from_seconds(3600 * hours));
    feed(
        &bench,
        &[
            observed("tld-check", at(150 * 24), false, "7.1", 0),
            observed("tld-check", at(1), false, "7.1", 0),
            observed("heartbeat", at(2), true, "1", 0),
            observed("caa-domains", at(1), true, "1", 0),
            observed("block-list", at(1), true, "1", 1),
            observed("key-list", at(1), true, "1", 10),
            observed("key-list-source", at(1), true, "1", 10),
            observed("nobody-described-it", at(1), false, "1", 0),
        ],
    )
    .await;

    let daemon = Daemon::start(&bench).await;
    for (name, rule) in [
        ("tld-check", "control.off"),
        ("heartbeat", "control.silent"),
        ("caa-domains", "control.drift"),
        ("block-list", "control.list"),
        ("nobody-described-it", "control.off"),
    ] {
        wait_for(name, || case(&bench, name) == (rule.to_string(), "new".to_string(), 1)).await;
    }
    daemon.wait_for("ctwarden_control_faults{control=\"tld-check\"}", 1).await;
    daemon.wait_for("ctwarden_control_faults{control=\"key-list\"}", 0).await;
    assert_eq!(case(&bench, "key-list").2, 0);
    let since = at(150 * 24).day();
    let mail = || bench.mails().into_values().any(|mail| mail.contains("tld-check") && mail.contains(&since));
    wait_for("the mail with the day on which it was switched off", mail).await;

    // It is back, and was another version for a while that nobody configured; told after SIGKILL as well.
    drop(daemon);
    feed(
        &bench,
        &[
            observed("tld-check", now().minus(Span::from_seconds(60)), true, "7.2", 0),
            observed("tld-check", now(), true, "7.1", 0),
            observed("heartbeat", now(), true, "1", 0),
            observed("block-list", now(), true, "1", 2),
            observed("key-list", now(), true, "1", 9),
        ],
    )
    .await;
    let daemon = Daemon::start(&bench).await;
    let both = "control.drift control.off".to_string();
    wait_for("off, drifted, right", || case(&bench, "tld-check") == (both.clone(), "closed".to_string(), 3)).await;
    wait_for("heard of", || case(&bench, "heartbeat").1 == "closed").await;
    wait_for("filled", || case(&bench, "block-list").1 == "closed").await;
    wait_for("one key too few", || case(&bench, "key-list").0 == "control.list").await;
    daemon.wait_for("ctwarden_control_faults{control=\"tld-check\"}", 0).await;
    // Off again is news again.
    feed(&bench, &[observed("tld-check", now().plus(Span::from_seconds(1)), false, "7.1", 0)]).await;
    wait_for("off again", || case(&bench, "tld-check") == (both.clone(), "new".to_string(), 4)).await;

    // What is watched no more is alarmed about no more.
    let faults = "ctwarden_control_faults{control=\"never-heard-of\"}";
    daemon.wait_for(faults, 1).await;
    bench.write("ctwarden.toml", &format!("{text}\n{controls}"));
    let reloaded = bench.run_beside(&["config", "reload"]).await;
    assert!(reloaded.status.success(), "{}", said(&reloaded));
    daemon.wait("no such control", |metrics| !metrics.contains(faults), "it").await;
    daemon.wait_for("ctwarden_control_faults{control=\"key-list\"}", 1).await;
    daemon.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_record_that_lost_lines_is_found_by_its_counts() {
    let (ca, log) = (TestCa::new("Tests CA"), log().await);
    // The second issuer is not meant for the logs; the CA counts what it signs all the same.
    let internal = TestCa::new("Internal CA");
    let bench = bench(&log, &ca, "[[issuer]]\nname = \"Internal CA\"\ncertificate = \"internal.pem\"");
    bench.write("internal.pem", &internal.pem());
    let start = now();
    let hour = |back: i64| {
        let at = start.minus(Span::from_seconds(3600 * back));
        Timestamp::from_seconds(at.seconds() / 3600 * 3600)
    };
    let mut rows = vec![serde_json::json!({
        "table": "issuers", "issuer_id": 1, "name": "Tests CA", "spki_sha256": ca.key_hash().to_string(),
        "hierarchy": "public",
    })];
    for (serial, back) in [(0x10_u64, 5), (0x11, 5), (0x12, 4), (0x13, 4), (0x14, 3)] {
        log.append([ca.precert_entry(&leaf(serial, &format!("host{serial}.ca-tests.eus")), hour(back))]);
        rows.push(serde_json::json!({
            "table": "certificates", "cert_id": serial, "issuer_id": 1, "serial": format!("{serial:02x}"),
            "signed_at": hour(back).plus(Span::from_seconds(60)).to_string(), "not_after": validity().1.to_string(),
            "state": "issued",
        }));
    }
    // What is in no head yet would be told to be in no log.
    log.publish();
    rows.push(serde_json::json!({
        "table": "issuers", "issuer_id": 2, "name": "Internal CA", "spki_sha256": internal.key_hash().to_string(),
        "hierarchy": "internal",
    }));
    rows.push(serde_json::json!({
        "table": "certificates", "cert_id": 0x50, "issuer_id": 2, "serial": "50", "state": "issued",
        "signed_at": hour(4).plus(Span::from_seconds(60)).to_string(), "not_after": validity().1.to_string(),
    }));
    let counted = |source: &str, issuer: u64, back: i64, certificates: u64| {
        serde_json::json!({
            "table": "counts", "source": source, "issuer_id": issuer, "hour": hour(back).to_string(),
            "certificates": certificates,
        })
    };
    let count = |back: i64, certificates: u64| counted("audit_log", 1, back, certificates);
    // The audit log has one line of the hour before, and lost one of four hours ago.
    rows.extend([count(6, 0), count(5, 2), count(4, 1), count(3, 1), count(2, 0), counted("audit_log", 2, 4, 1)]);
    // Another record, behind many rows of the first.
    rows.extend((7..27).map(|back| count(back, 0)));
    rows.push(counted("ra_log", 2, 4, 1));
    rows.extend([(5, 2), (4, 2), (3, 1), (2, 0)].map(|(back, certificates)| counted("ra_log", 1, back, certificates)));
    feed(&bench, &rows).await;
    let daemon = Daemon::start(&bench).await;
    let differ = "SELECT count(*) FROM case_findings WHERE rule = 'counts.differ'";
    wait_for("the difference", || bench.count(differ) == 1).await;
    daemon.wait_for("ctwarden_reconcile_difference{issuer=\"Tests CA\",source=\"audit_log\"}", 1).await;
    for (issuer, source) in
        [("Tests CA", "ct"), ("Tests CA", "ra_log"), ("Internal CA", "ct"), ("Internal CA", "audit_log")]
    {
        daemon.wait_for(&format!("ctwarden_reconcile_difference{{issuer=\"{issuer}\",source=\"{source}\"}}"), 0).await;
    }
    assert_eq!(bench.count(differ), 1);
    let newest = metric(&daemon.metrics().await, "ctwarden_reconcile_hour_timestamp_seconds{source=\"audit_log\"}");
    assert_eq!(newest, hour(2).plus(HOUR).seconds_f64());
    // The line is found and fed.
    feed(&bench, &[count(4, 2)]).await;
    daemon.wait_for("ctwarden_reconcile_difference{issuer=\"Tests CA\",source=\"audit_log\"}", 0).await;
    let closed = "SELECT count(*) FROM cases WHERE about = 'counts' AND state = 'closed'";
    wait_for("the end of the case", || bench.count(closed) == 1).await;
    let resolved = || bench.mails().into_values().any(|mail| mail.contains("earlier hours are compared no more"));
    wait_for("a message that says of which hours", resolved).await;
    daemon.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn counts_that_fell_silent_keep_their_age_over_a_restart_until_their_record_is_retired() {
    let (ca, log) = (TestCa::new("Tests CA"), log().await);
    log.append([ca.precert_entry(&leaf(0x10, "host16.ca-tests.eus"), now())]);
    log.publish();
    let bench = bench(&log, &ca, "");
    let last = Timestamp::from_seconds(now().minus(Span::from_days(5)).seconds() / 3600 * 3600);
    let issuer = serde_json::json!({
        "table": "issuers", "issuer_id": 1, "name": "Tests CA", "spki_sha256": ca.key_hash().to_string(),
        "hierarchy": "public",
    });
    let count = serde_json::json!({
        "table": "counts", "source": "audit_log", "issuer_id": 1, "hour": last.to_string(), "certificates": 0,
    });
    let certificate = serde_json::json!({
        "table": "certificates", "cert_id": 0x10, "issuer_id": 1, "serial": "10", "state": "issued",
        "signed_at": now().minus(HOUR).to_string(), "not_after": validity().1.to_string(),
    });
    feed(&bench, &[issuer, certificate, count]).await;
    let series = "ctwarden_reconcile_hour_timestamp_seconds{source=\"audit_log\"}";
    let age_of = |metrics: &str| metrics.contains(series).then(|| metric(metrics, series));
    let dead = Some(last.plus(HOUR).seconds_f64());
    let daemon = Daemon::start(&bench).await;
    daemon.wait("its age", |metrics| age_of(metrics) == dead, "audit_log").await;

    // SIGKILL. The record is walked again over two days, in which this source has no counts.
    drop(daemon);
    let daemon = Daemon::start(&bench).await;
    daemon.wait("its age after the restart", |metrics| age_of(metrics) == dead, "audit_log").await;

    let text = std::fs::read_to_string(bench.path("ctwarden.toml")).expect("the configuration");
    bench.write("ctwarden.toml", &text.replace(QUICK, &format!("{QUICK}retired_counts = [\"audit_log\"]\n")));
    let reloaded = bench.run_beside(&["config", "reload"]).await;
    assert!(reloaded.status.success(), "{}", said(&reloaded));
    daemon.wait("no age", |metrics| !metrics.contains(series), "audit_log").await;
    let walked = |metrics: &str| metric(metrics, "ctwarden_record_walk_timestamp_seconds");
    let before = walked(&daemon.metrics().await);
    daemon.wait("a walk after", |metrics| walked(metrics) > before, "the reload").await;
    assert!(!daemon.metrics().await.contains(series));
    daemon.stop().await;
}
