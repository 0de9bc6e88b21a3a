//! The log list and the configuration change while the real binary runs: nothing of a log is lost by it, and what is
//! gone leaves no metrics behind.

mod support;

use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use ctwarden::clock::{Clock, DAY, Span, Stopwatch, Timestamp};
use ctwarden::ct::signer::LogSigner;
use ctwarden::ct::to_base64;
use ctwarden::demo::ca::Ca;
use ctwarden::demo::log::{Api, LogServer, LogSettings, RawEntry, RawKind, log_list};
use ctwarden::finding::KeyHash;
use serde_json::{Value, json};
use support::daemon::{Daemon, edit, said_so_far};
use support::monitor::{Bench, printed, said};

fn foreign(number: usize, at: Timestamp) -> RawEntry {
    let tbs = format!("TBSCertificate number {number} of somebody else").into_bytes();
    let kind = RawKind::Precert { issuer_key_hash: KeyHash([7; 32]), pre_certificate: tbs.clone(), tbs };
    RawEntry { timestamp: at, kind, chain: vec![] }
}

/// A precertificate of ours for an internal name.
fn ours(ca: &Ca, number: usize, at: Timestamp) -> RawEntry {
    let draft = ca.draft(&[&format!("host{number}.bizkaia.euskalsarea")], at).expect("a draft");
    let pre_certificate = draft.precertificate().expect("a precertificate");
    let tbs = ctwarden::cert::Certificate::parse(&pre_certificate).expect("our own certificate").core_tbs();
    let kind = RawKind::Precert { issuer_key_hash: ca.issuer_key_hash(), tbs, pre_certificate };
    RawEntry { timestamp: at, kind, chain: vec![ca.issuing_der().to_vec(), ca.root_der().to_vec()] }
}

fn issuer(name: &str, ca: &Ca) -> String {
    format!("[[issuer]]\nname = \"{name}\"\nissuer_key_hash = \"{}\"\n", ca.issuer_key_hash())
}

const NO_RECORD: &str = "[issuance]\nsource = \"none\"";

async fn log(api: Api) -> LogServer {
    LogServer::start(LogSettings::new(api, Clock::System)).await.expect("a log")
}

/// What the metrics call a log.
fn name(log: &LogServer) -> String {
    log.url().trim_start_matches("http://").trim_end_matches('/').to_string()
}

/// A bench whose daemon reads its list every second.
fn bench(logs: &[&LogServer], issuers: &str) -> Bench {
    let bench = Bench::new(logs, &format!("{issuers}{NO_RECORD}"), "");
    edit(&bench, "start = \"beginning\"", "start = \"beginning\"\nrefresh = \"1s\"");
    bench
}

fn verified(log: &str) -> String {
    format!("ctwarden_log_verified_entries{{log=\"{log}\"}}")
}

/// Puts a file in place at once, as a careful operator does.
fn replace(path: &Path, text: &str) {
    let new = path.with_extension("new");
    std::fs::write(&new, text).expect("write");
    std::fs::rename(new, path).expect("rename");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_new_log_is_taken_up_and_one_that_leaves_is_read_to_its_end() {
    let now = Clock::System.now();
    let ca = Ca::generate(now).expect("a CA");
    let (old, new) = (log(Api::Rfc6962).await, log(Api::StaticCt).await);
    old.append((0..300).map(|number| foreign(number, now)));
    old.append([ours(&ca, 1, now)]);
    old.publish();
    let bench = bench(&[&old], &issuer("Tests CA", &ca));
    let daemon = Daemon::start(&bench).await;
    daemon.wait_for(&verified(&name(&old)), 301).await;

    new.append([ours(&ca, 2, now)]);
    new.publish();
    replace(&bench.path("logs.json"), &log_list(&[&old, &new], now).to_string());
    daemon.wait_for(&verified(&name(&new)), 1).await;

    // What was logged in the last moment is read before the log is dropped.
    old.append((300..500).map(|number| foreign(number, now)));
    old.append([ours(&ca, 3, now)]);
    old.publish();
    replace(&bench.path("logs.json"), &log_list(&[&new], now).to_string());
    daemon.wait_until_gone(&name(&old)).await;
    let of_old = format!("FROM logs WHERE name = '{}'", name(&old));
    assert_eq!(bench.count(&format!("SELECT verified_size {of_old}")), 502);
    assert_eq!(bench.count("SELECT count(*) FROM hits"), 3);
    assert_eq!(bench.count("SELECT count(*) FROM misbehaviours"), 0);
    new.append([ours(&ca, 4, now)]);
    new.publish();
    daemon.wait_for(&verified(&name(&new)), 2).await;
    // And it may come back.
    replace(&bench.path("logs.json"), &log_list(&[&new, &old], now).to_string());
    daemon.wait_for(&verified(&name(&old)), 502).await;
    drop(daemon);
    old.stop().await;
    new.stop().await;
}

/// The list entry of a log, readonly with the head that it has now.
fn readonly(log: &LogServer) -> Value {
    let (mut entry, head) = (log.list_entry(), log.publish());
    let head = json!({"tree_size": head.size, "sha256_root_hash": to_base64(&head.root)});
    entry["state"] = json!({"readonly": {"timestamp": "2026-01-01T00:00:00Z", "final_tree_head": head}});
    entry
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_readonly_log_ends_at_its_final_tree_head_and_is_not_taken_up_again() {
    let now = Clock::System.now();
    let ca = Ca::generate(now).expect("a CA");
    let (frozen, alive) = (log(Api::StaticCt).await, log(Api::Rfc6962).await);
    let first = LogServer::start(LogSettings::new(Api::StaticCt, Clock::System)).await.expect("a log");
    for log in [&frozen, &alive, &first] {
        log.append((0..300).map(|number| foreign(number, now)));
        log.publish();
    }
    frozen.append([ours(&ca, 1, now)]);
    let bench = bench(&[&frozen, &alive], &issuer("Tests CA", &ca));
    let daemon = Daemon::start(&bench).await;
    daemon.wait_for(&verified(&name(&alive)), 300).await;
    // One was followed before it became readonly, the other was readonly when it was first seen.
    let mut list = log_list(&[&alive], now);
    list["operators"][0]["tiled_logs"] = json!([readonly(&frozen), readonly(&first)]);
    replace(&bench.path("logs.json"), &list.to_string());
    for (log, size) in [(&frozen, 301), (&first, 300)] {
        daemon.wait("the end of", |metrics| !metrics.contains(&name(log)), &name(log)).await;
        let read =
            || bench.count(&format!("SELECT coalesce(max(verified_size), 0) FROM logs WHERE name = '{}'", name(log)));
        let watch = Stopwatch::start();
        while read() != size {
            assert!(watch.elapsed() < Duration::from_secs(60), "{} is not read to its end", name(log));
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
        daemon.wait_until_gone(&name(log)).await;
    }
    assert_eq!(bench.count("SELECT count(*) FROM hits"), 1);
    drop(daemon);
    let daemon = Daemon::start(&bench).await;
    daemon.wait_for(&verified(&name(&alive)), 300).await;
    let metrics = daemon.metrics().await;
    assert!(!metrics.contains(&name(&frozen)) && !metrics.contains(&name(&first)), "{metrics}");
    drop(daemon);
    frozen.stop().await;
    alive.stop().await;
    first.stop().await;
}

/// A list on loopback: the answer to give, and how often the same was asked for again.
#[derive(Default)]
struct Served {
    status: u16,
    body: String,
    etag: String,
    unchanged: u32,
}

async fn serve_list(served: Arc<Mutex<Served>>) -> String {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let url = format!("http://{}/list.json", listener.local_addr().expect("its address"));
    let answer = move |headers: HeaderMap| async move {
        let mut served = served.lock().unwrap_or_else(PoisonError::into_inner);
        let asked = headers.get("if-none-match").and_then(|tag| tag.to_str().ok());
        let response: Response = if served.status == 200 && asked == Some(served.etag.as_str()) {
            served.unchanged += 1;
            StatusCode::NOT_MODIFIED.into_response()
        } else {
            let status = StatusCode::from_u16(served.status).expect("a status");
            (status, [("etag", served.etag.clone())], served.body.clone()).into_response()
        };
        response
    };
    let app = axum::Router::new().fallback(answer);
    tokio::spawn(async move { axum::serve(listener, app).await.expect("serve") });
    url
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_list_that_cannot_be_used_changes_nothing_and_one_bad_entry_costs_itself() {
    let now = Clock::System.now();
    let ca = Ca::generate(now).expect("a CA");
    let (one, two) = (log(Api::Rfc6962).await, log(Api::StaticCt).await);
    one.append((0..10).map(|number| foreign(number, now)));
    one.publish();
    let served = Arc::new(Mutex::new(Served::default()));
    let set = |status: u16, body: String, etag: &str| {
        let mut served = served.lock().expect("served");
        (served.status, served.body, served.etag) = (status, body, etag.to_string());
    };
    set(200, log_list(&[&one], now).to_string(), "\"1\"");
    let url = serve_list(served.clone()).await;
    let bench = bench(&[], &issuer("Tests CA", &ca));
    edit(&bench, "\"logs.json\"", &format!("\"{url}\""));
    let daemon = Daemon::start(&bench).await;
    daemon.wait_for(&verified(&name(&one)), 10).await;
    let watch = Stopwatch::start();
    while served.lock().expect("served").unchanged < 2 {
        assert!(watch.elapsed() < Duration::from_secs(30), "the list is not asked for under its ETag");
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    let failures = "ctwarden_input_refresh_failures_total{input=\"log_list\"}";
    daemon.wait_for(failures, 0).await;
    // An error page, a list without logs, and no list at all.
    for (status, body) in [(200, "<html>"), (200, "{\"operators\": []}"), (500, "sorry")] {
        let before = daemon.metrics().await;
        let count = |metrics: &str| {
            let line = metrics.lines().find_map(|line| line.strip_prefix(failures));
            line.and_then(|count| count.trim().parse::<u64>().ok()).expect("a count")
        };
        set(status, body.to_string(), "\"2\"");
        daemon.wait("a failure", |metrics| count(metrics) > count(&before), body).await;
        one.append([foreign(one.size() as usize, now)]);
        one.publish();
        daemon.wait_for(&verified(&name(&one)), one.size()).await;
    }
    // A key that does not hash to its log_id, and a placeholder host that is never dialled.
    let mut list = log_list(&[&one, &two], now);
    let (mut forged, mut placeholder) = (two.list_entry(), two.list_entry());
    forged["log_id"] = json!(one.log_id());
    placeholder["monitoring_url"] = json!("https://ct.example.com/bogus/");
    let tiled = list["operators"][0]["tiled_logs"].as_array_mut().expect("logs");
    tiled.insert(0, forged);
    tiled.insert(0, placeholder);
    two.append([ours(&ca, 1, now)]);
    two.publish();
    set(200, list.to_string(), "\"3\"");
    daemon.wait_for(&verified(&name(&two)), 1).await;
    let said = said_so_far(&bench);
    assert_eq!(said.matches("an entry of the log list is not used").count(), 2, "{said}");
    daemon.stop().await;
    // A start without the server uses the last good list.
    set(503, "busy".to_string(), "");
    let daemon = Daemon::start(&bench).await;
    daemon.wait_for(&verified(&name(&two)), 1).await;
    daemon.wait("a failure", |metrics| !metrics.contains(&format!("{failures} 0\n")), failures).await;
    drop(daemon);
    one.stop().await;
    two.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_reload_puts_in_force_what_it_can_and_names_the_rest() {
    let now = Clock::System.now();
    let (ca, other) = (Ca::generate(now).expect("a CA"), Ca::generate(now).expect("another CA"));
    let log = log(Api::StaticCt).await;
    log.append([ours(&ca, 1, now), ours(&other, 2, now)]);
    log.publish();
    let bench = bench(&[&log], &issuer("Tests CA", &ca));
    let nobody = bench.run_beside(&["config", "reload"]).await;
    assert_eq!(nobody.status.code(), Some(3));
    assert!(said(&nobody).contains("no daemon runs on"), "{}", said(&nobody));
    let daemon = Daemon::start(&bench).await;
    daemon.wait_for(&verified(&name(&log)), 2).await;
    assert_eq!(bench.count("SELECT count(*) FROM hits"), 1);

    edit(&bench, "[issuance]", &format!("{}[issuance]", issuer("Other CA", &other)));
    edit(&bench, "to = [\"oncall@ca-tests.eus\"]", "to = [\"oncall@ca-tests.eus\", \"second@ca-tests.eus\"]");
    edit(&bench, "refresh = \"1s\"", "refresh = \"1h\"");
    let done = bench.run_beside(&["config", "reload"]).await;
    assert_eq!(
        (done.status.code(), printed(&done).as_str()),
        (Some(0), "in force: logs, issuer, mail\n"),
        "{}",
        said(&done)
    );
    log.append([ours(&other, 3, now)]);
    log.publish();
    daemon.wait_for(&verified(&name(&log)), 3).await;
    daemon.wait_for("ctwarden_hits_total{issuer=\"Other CA\",kind=\"precertificate\"}", 1).await;
    let watch = Stopwatch::start();
    while !bench.mails().values().any(|mail| mail.contains("To: second@ca-tests.eus")) {
        assert!(watch.elapsed() < Duration::from_secs(30), "the new recipient gets no mail");
        tokio::time::sleep(Duration::from_millis(100)).await;
    }

    edit(&bench, "listen = \"127.0.0.1:0\"", "listen = \"127.0.0.1:1\"");
    let rest = bench.run_beside(&["config", "reload", "--format", "json"]).await;
    let answer: Value = serde_json::from_slice(&rest.stdout).expect("JSON");
    assert_eq!(rest.status.code(), Some(1));
    assert_eq!((&answer["applied"], &answer["needs_restart"]), (&json!([]), &json!(["web.listen"])));
    edit(&bench, "listen = \"127.0.0.1:1\"", "listen = \"127.0.0.1:0\"");

    // A mistake is told on the spot; by SIGHUP it is told by the metrics, and the old configuration stays.
    edit(&bench, "[issuance]", "[isuance]");
    let wrong = bench.run_beside(&["config", "reload"]).await;
    assert_eq!(wrong.status.code(), Some(2));
    daemon.signal(rustix::process::Signal::HUP);
    daemon.wait_for("ctwarden_config_last_reload_successful", 0).await;
    log.append([ours(&other, 4, now)]);
    log.publish();
    daemon.wait_for(&verified(&name(&log)), 4).await;
    edit(&bench, "[isuance]", "[issuance]");
    let mended = bench.run_beside(&["config", "reload"]).await;
    assert_eq!((mended.status.code(), printed(&mended).as_str()), (Some(0), "in force: nothing\n"));
    daemon.wait_for("ctwarden_config_last_reload_successful", 1).await;
    // A configuration that is well formed and cannot be used is refused by the daemon.
    bench.write("other.json", "{\"operators\": []}");
    edit(&bench, "logs.json", "other.json");
    let refused = bench.run_beside(&["config", "reload"]).await;
    assert_eq!(refused.status.code(), Some(2), "{}", printed(&refused));
    assert!(printed(&refused).contains("no log in it is in one of the states"), "{}", printed(&refused));
    assert_eq!(bench.count("SELECT count(*) FROM hits"), 3);
    drop(daemon);
    log.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn lists_of_keys_are_read_again_at_a_reload() {
    let ca = Ca::generate(Clock::System.now()).expect("a CA");
    let log = log(Api::StaticCt).await;
    log.publish();
    let bench = bench(&[&log], &issuer("Tests CA", &ca));
    edit(&bench, "[lint]\n", "[lint]\nweak_keys = [\"weak.txt\"]\ncompromised_keys = [\"own.txt\"]\n");
    bench.write("weak.txt", "# as openssl-blacklist has them\n00005890bc78bcbee3ca\n00005c9c49fd31e889a3\n");
    bench.write("own.txt", "");
    let daemon = Daemon::start(&bench).await;
    daemon.wait_for("ctwarden_listed_keys{list=\"weak\"}", 2).await;
    bench.write("own.txt", &format!("{} reported by its owner\n", "ab".repeat(32)));
    let done = bench.run_beside(&["config", "reload"]).await;
    assert_eq!((done.status.code(), printed(&done).as_str()), (Some(0), "in force: lint\n"), "{}", said(&done));
    daemon.wait_for("ctwarden_listed_keys{list=\"compromised\"}", 1).await;
    // A list of which a line cannot be used is refused, and the old ones stay.
    bench.write("weak.txt", "00005890bc78bcbee3ca\nModulus=00\n");
    let refused = bench.run_beside(&["config", "reload"]).await;
    assert_eq!(refused.status.code(), Some(2), "{}", printed(&refused));
    assert!(printed(&refused).contains("weak.txt: line 2: does not begin with hexadecimal"), "{}", printed(&refused));
    daemon.wait_for("ctwarden_listed_keys{list=\"weak\"}", 2).await;
    drop(daemon);
    log.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_log_that_moves_is_read_on_at_its_new_place() {
    let now = Clock::System.now();
    let ca = Ca::generate(now).expect("a CA");
    let key = LogSigner::generate().to_pkcs8().expect("a key");
    let place = |origin: &str| LogSettings {
        signer: LogSigner::from_pkcs8(&key).expect("the same key"),
        origin: Some(origin.to_string()),
        ..LogSettings::new(Api::StaticCt, Clock::System)
    };
    let here = LogServer::start(place("log.ca-tests.eus/1")).await.expect("a log");
    let there = LogServer::start(place("log.ca-tests.eus/1")).await.expect("a mirror");
    let entries: Vec<RawEntry> = (0..300).map(|number| foreign(number, now)).collect();
    here.append(entries.clone());
    there.append(entries);
    there.append([ours(&ca, 1, now)]);
    here.publish();
    let bench = bench(&[&here], &issuer("Tests CA", &ca));
    let correction =
        format!("[[logs.override]]\nlog_id = \"{}\"\norigin = \"log.ca-tests.eus/1\"\nrate = \"50/s\"", here.log_id());
    edit(&bench, "[[issuer]]", &format!("{correction}\n[[issuer]]"));
    let daemon = Daemon::start(&bench).await;
    daemon.wait_for(&verified(&name(&here)), 300).await;
    there.publish();
    edit(&bench, "rate = \"50/s\"", &format!("monitoring_url = \"{}\"", there.url()));
    let done = bench.run_beside(&["config", "reload"]).await;
    assert_eq!(done.status.code(), Some(0), "{}", said(&done));
    daemon.wait_for(&verified(&name(&there)), 301).await;
    daemon.wait_until_gone(&name(&here)).await;
    assert_eq!(bench.count("SELECT count(*) FROM logs"), 1);
    assert_eq!(bench.count("SELECT count(*) FROM hits"), 1);
    // It is known by its new name at once, even where it cannot be read.
    edit(&bench, &there.url(), "http://127.0.0.1:1/gone/");
    let done = bench.run_beside(&["config", "reload"]).await;
    assert_eq!(done.status.code(), Some(0), "{}", said(&done));
    let logs = printed(&bench.run_beside(&["logs"]).await);
    assert!(logs.contains("127.0.0.1:1/gone ") && !logs.contains(&name(&there)), "{logs}");
    drop(daemon);
    here.stop().await;
    there.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_shard_whose_certificates_have_expired_is_not_followed() {
    let now = Clock::System.now();
    let ca = Ca::generate(now).expect("a CA");
    let (past, present, timeless) = (log(Api::Rfc6962).await, log(Api::StaticCt).await, log(Api::Rfc6962).await);
    for (number, log) in [&past, &present, &timeless].into_iter().enumerate() {
        log.append([ours(&ca, number, now)]);
        log.publish();
    }
    let mut list = log_list(&[&past, &present, &timeless], now);
    let interval = |start: &str, end: &str| json!({"start_inclusive": start, "end_exclusive": end});
    let operator = &mut list["operators"][0];
    let url = past.url();
    let mut logs = operator["logs"].as_array_mut().expect("logs").iter_mut();
    let entry = logs.find(|entry| entry["url"] == url).expect("the shard");
    entry["temporal_interval"] = interval("2025-07-01T00:00:00Z", "2026-01-01T00:00:00Z");
    operator["tiled_logs"][0]["temporal_interval"] = interval("2025-07-01T00:00:01Z", "2026-01-01T00:00:01Z");
    let bench = bench(&[], &issuer("Tests CA", &ca));
    bench.write("logs.json", &list.to_string());
    edit(&bench, "start = \"beginning\"", "start = \"beginning\"\nexpiring_after = \"2026-01-01\"");
    let done = bench.run_beside(&["run", "--until-caught-up"]).await;
    assert_eq!(done.status.code(), Some(0), "{}", said(&done));
    let logs = printed(&bench.run_beside(&["logs"]).await);
    assert!(logs.contains(&name(&present)) && logs.contains(&name(&timeless)), "{logs}");
    assert!(!logs.contains(&name(&past)), "{logs}");
    assert_eq!(bench.count("SELECT count(*) FROM hits"), 2);
    // When nothing is left to follow, the reason is told.
    list["operators"][0]["tiled_logs"] = json!([]);
    let only = list["operators"][0]["logs"].as_array_mut().expect("logs");
    only.retain(|entry| entry["url"] == url);
    bench.write("logs.json", &list.to_string());
    let done = bench.run_beside(&["run", "--until-caught-up"]).await;
    assert_eq!(done.status.code(), Some(2));
    assert!(said(&done).contains("takes certificates that expire after [logs] expiring_after"), "{}", said(&done));
    for log in [past, present, timeless] {
        log.stop().await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_log_is_begun_at_a_time() {
    let now = Clock::System.now();
    let ca = Ca::generate(now).expect("a CA");
    for api in [Api::Rfc6962, Api::StaticCt] {
        let log = log(api).await;
        // An entry a minute; the first certificate of ours is long past.
        let at = |number: usize| now.minus(Span::from_seconds(60 * (10_000 - number as i64)));
        log.append([ours(&ca, 1, at(0))]);
        log.append((1..9_990).map(|number| foreign(number, at(number))));
        log.append([ours(&ca, 2, now)]);
        log.publish();
        let bench = bench(&[&log], &issuer("Tests CA", &ca));
        edit(&bench, "start = \"beginning\"", &format!("start = \"{}\"", now.minus(DAY)));
        let done = bench.run_beside(&["run", "--until-caught-up"]).await;
        assert_eq!(done.status.code(), Some(0), "{}", said(&done));
        // A day before, and another for the merge delay: 2 * 1440 entries, and at most two blocks of 256.
        let begun = bench.count("SELECT start_index FROM logs");
        assert!((9_991 - 2 * 1440 - 512..=9_991 - 2 * 1440).contains(&begun), "{api:?}: begun at {begun}");
        assert_eq!(bench.count("SELECT verified_size FROM logs"), 9_991);
        assert_eq!(bench.count("SELECT count(*) FROM hits"), 1);
        log.stop().await;
    }
}
