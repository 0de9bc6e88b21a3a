//! The ways into the CA's record with the real daemon: batches by POST, files that grow, and SIGKILL at any moment.

mod support;

use std::io::Write;
use std::os::unix::fs::PermissionsExt;
use std::time::Duration;

use ctwarden::demo::log::{Api, LogServer, RawEntry, RawKind};
use serde_json::Value;
use support::daemon::{Daemon, said_so_far};
use support::issuer::{TestCa, leaf};
use support::monitor::{Bench, printed, said};
use support::scene::{now, still, wait_for};

const TOKEN: &str = "feed-0123456789abcdef0123456789abcdef";

/// A daemon's directory with a record that is fed by a file and by POST.
fn bench(logs: &[&LogServer], ca: &TestCa) -> Bench {
    let issuer = "[[issuer]]\nname = \"Tests CA\"\ncertificate = \"ca.pem\"\n[issuance]\ngrace = \"10s\"\n\
                  [[issuance.follow]]\npath = \"rows.ndjson\"\n[[web.token]]\nname = \"ra\"\nrole = \"feed\"\n\
                  token_file = \"token\"";
    let bench = Bench::new(logs, issuer, "");
    bench.write("ca.pem", &ca.pem());
    bench.write("token", TOKEN);
    let owner_alone = std::fs::Permissions::from_mode(0o600);
    std::fs::set_permissions(bench.path("token"), owner_alone).expect("permissions");
    bench
}

fn account(id: usize) -> String {
    format!("{{\"table\":\"accounts\",\"account_id\":\"a{id}\",\"kind\":\"direct\"}}\n")
}

fn applicant(id: usize) -> String {
    format!("{{\"table\":\"applicants\",\"applicant_id\":\"p{id}\",\"account_id\":\"a{id}\"}}\n")
}

fn count(bench: &Bench, sql: &str) -> i64 {
    let record = rusqlite::Connection::open(bench.path("data/issuance.sqlite")).expect("the record");
    record.busy_timeout(Duration::from_secs(20)).expect("a time-out");
    record.query_row(sql, [], |row| row.get(0)).expect(sql)
}

async fn post(daemon: &Daemon, key: &str, batch: String) -> reqwest::Result<Value> {
    let request = reqwest::Client::new().post(daemon.url("/api/v1/issuance")).bearer_auth(TOKEN);
    let answer = request.header("Idempotency-Key", key).body(batch).send().await?.error_for_status()?;
    let text = answer.text().await?;
    Ok(serde_json::from_str(&text).expect("JSON"))
}

#[tokio::test(flavor = "multi_thread")]
async fn a_followed_file_loses_and_doubles_nothing_when_the_daemon_is_killed() {
    let log = still(Api::Rfc6962).await;
    let bench = bench(&[&log], &TestCa::new("Tests CA"));
    let mut file = std::fs::File::create(bench.path("rows.ndjson")).expect("a file");
    let mut written = 0;
    for round in 0..4 {
        let daemon = Daemon::start(&bench).await;
        let before = written;
        for id in written..written + 300 {
            // Every third child comes before its parent, and every write ends in the middle of a line.
            let (parent, child) = (account(id), applicant(id));
            let text = if id % 3 == 0 { child + &parent } else { parent + &child };
            let (one, two) = text.split_at(text.len() / 3);
            file.write_all(one.as_bytes()).and_then(|()| file.write_all(two.as_bytes())).expect("written");
        }
        written += 300;
        if round == 2 {
            std::fs::rename(bench.path("rows.ndjson"), bench.path("rows.ndjson.1")).expect("renamed");
            file = std::fs::File::create(bench.path("rows.ndjson")).expect("a file");
        }
        // Killed once it has begun with what was written in this round.
        let series = format!("feed=\"{}\",table=\"accounts\"", bench.path("rows.ndjson").display());
        let begun = |metrics: &str| {
            let value = metrics.lines().find(|line| line.contains(&series)).and_then(|line| line.rsplit(' ').next());
            value.is_some_and(|value| value.parse::<f64>().is_ok_and(|rows| rows > 0.0))
        };
        daemon.wait("rows", begun, "the file").await;
        assert!(written > before);
        drop(daemon);
    }
    file.write_all(account(written).as_bytes()).expect("written");
    let daemon = Daemon::start(&bench).await;
    let waiting = format!("ctwarden_issuance_feed_waiting_rows{{feed=\"{}\"}}", bench.path("rows.ndjson").display());
    wait_for("all lines", || {
        count(&bench, "SELECT count(*) FROM accounts") > written as i64
            && count(&bench, "SELECT count(*) FROM applicants") >= written as i64
    })
    .await;
    daemon.wait_for(&waiting, 0).await;
    assert_eq!(count(&bench, "SELECT count(*) FROM waiting"), 0);
    assert_eq!(count(&bench, "SELECT count(*) FROM refused"), 0);
    // The new file has had its own lines and no other.
    assert_eq!(count(&bench, "SELECT line FROM followed"), 601);
    assert!(!said_so_far(&bench).contains("the file that was read before is gone"), "{}", said_so_far(&bench));
    daemon.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_batch_that_was_answered_is_there_after_a_kill_and_its_repetition_changes_nothing() {
    let log = still(Api::Rfc6962).await;
    let bench = bench(&[&log], &TestCa::new("Tests CA"));
    let batch =
        |number: usize| (number * 50..number * 50 + 50).map(|id| account(id) + &applicant(id)).collect::<String>();
    let mut answered = 0;
    for kill_at in [3, 7, 11] {
        let daemon = Daemon::start(&bench).await;
        // The last answer of the round before is asked for again, as a sender does that never saw it.
        if answered > 0 {
            let again = post(&daemon, &format!("batch-{}", answered - 1), batch(answered - 1)).await.expect("answered");
            assert_eq!(again["replayed"], Value::from(true), "{again}");
        }
        for number in answered..kill_at {
            let told = post(&daemon, &format!("batch-{number}"), batch(number)).await.expect("answered");
            assert_eq!((&told["inserted"], &told["replayed"]), (&Value::from(100), &Value::from(false)), "{told}");
        }
        answered = kill_at;
        let key = format!("batch-{kill_at}");
        let under_way = post(&daemon, &key, batch(kill_at));
        let killed = async {
            tokio::task::yield_now().await;
            daemon.signal(rustix::process::Signal::KILL);
        };
        let _ = tokio::join!(under_way, killed);
        drop(daemon);
        assert!(count(&bench, "SELECT count(*) FROM accounts") >= answered as i64 * 50);
        // All of the batch that was under way, or nothing of it.
        assert_eq!(count(&bench, "SELECT count(*) FROM accounts") % 50, 0);
        let remembered = count(&bench, &format!("SELECT count(*) FROM batches WHERE key = 'batch-{kill_at}'"));
        answered += remembered as usize;
    }
    let daemon = Daemon::start(&bench).await;
    let refused = reqwest::Client::new().post(daemon.url("/api/v1/issuance")).body("{}").send().await.expect("sent");
    assert_eq!(refused.status().as_u16(), 401);
    daemon.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_record_that_comes_after_the_log_is_measured_and_no_finding() {
    let log = still(Api::Rfc6962).await;
    let ca = TestCa::new("Tests CA");
    let bench = bench(&[&log], &ca);
    let daemon = Daemon::start(&bench).await;
    let rows = |serial: u64| {
        let key = ca.key_hash();
        format!(
            "{{\"table\":\"issuers\",\"issuer_id\":1,\"name\":\"Tests CA\",\"spki_sha256\":\"{key}\",\"hierarchy\":\"public\"}}\n\
             {{\"table\":\"certificates\",\"cert_id\":{serial},\"issuer_id\":1,\"serial\":\"{serial:02x}\",\
             \"signed_at\":{},\"state\":\"issued\"}}\n",
            now().seconds()
        )
    };
    // The record is not empty: what it lacks is unknown to it.
    post(&daemon, "first", rows(7)).await.expect("answered");
    let entry: RawEntry = ca.precert_entry(&leaf(9, "host9.bizkaia.euskalsarea.eus"), now());
    assert!(matches!(entry.kind, RawKind::Precert { .. }));
    log.append([entry]);
    log.publish();
    let looked_up =
        |metrics: &str| metrics.contains("ctwarden_hits_total{issuer=\"Tests CA\",kind=\"precertificate\"} 1");
    daemon.wait("the hit", looked_up, "").await;
    post(&daemon, "second", rows(9)).await.expect("answered");
    daemon.wait_for("ctwarden_issuance_log_to_record_seconds_count", 1).await;
    daemon.wait_for("ctwarden_examinations_pending", 0).await;
    let found = bench.count("SELECT count(*) FROM case_findings WHERE rule = 'db.unknown'");
    assert_eq!(found, 0, "it came within the grace");
    daemon.stop().await;
}

#[test]
fn a_directory_is_imported_by_the_command() {
    let directory = tempfile::tempdir().expect("a directory");
    let bench = Bench::with_list("{\"operators\":[]}", "[[issuer]]\nname = \"T\"\ncertificate = \"ca.pem\"", "");
    bench.write("ca.pem", &TestCa::new("Tests CA").pem());
    let write = |name: &str, text: String| std::fs::write(directory.path().join(name), text).expect("written");
    write("a.ndjson", applicant(1));
    write("b-accounts.csv", "x\n".to_string());
    write("2026-11-accounts.csv", "account_id,kind\na1,cdn\n".to_string());
    let path = directory.path().to_str().expect("a path");
    let output = bench.run(&["issuance", "import", path]);
    assert_eq!(output.status.code(), Some(2), "{}", said(&output));
    let told = printed(&output);
    assert!(told.contains("2026-11-accounts.csv: 1 row\n") && told.contains("a.ndjson: 1 row\n"), "{told}");
    assert!(told.contains("b-accounts.csv:1: its name is that of no table"), "{told}");
    std::fs::remove_file(directory.path().join("b-accounts.csv")).expect("removed");
    let output = bench.run(&["issuance", "import", path, "--format", "json"]);
    assert_eq!(output.status.code(), Some(0), "{}", said(&output));
    let told: Value = serde_json::from_str(&printed(&output)).expect("JSON");
    assert_eq!((&told["imported"], &told["unchanged"]), (&Value::from(true), &Value::from(2)), "{told}");
    let output = bench.run(&["issuance", "import", path, "--table", "orders"]);
    assert_eq!((output.status.code(), said(&output).contains("no meaning with a directory")), (Some(2), true));
}
