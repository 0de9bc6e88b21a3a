//! Logs that do not keep their word, and runs that end: what is read, what is believed, what is told.

mod support;

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use ctwarden::clock::{Clock, Span};
use ctwarden::ct::signer::LogSigner;
use ctwarden::demo::log::{Api, LogServer, LogSettings};
use ctwarden::notify::{Addressing, Profile, compose};
use ctwarden::pipeline::Until;
use support::issuer::TestCa;
use support::monitor::said;
use support::proxy::{Answer, Proxy};
use support::scene::*;
use support::smtp::{Knobs, SmtpServer};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_corrupt_entry_that_is_served_once_is_read_again_and_verified() {
    for api in BOTH {
        let (log, ca) = (still(api).await, TestCa::new("Tests CA"));
        log.append(foreign(0..300).chain([ours(&ca, 1)]).chain(foreign(301..600)).chain([ours(&ca, 2)]));
        log.publish();
        // The first reading garbles somebody else's entry, and one of ours in a name that stays readable.
        let left = Mutex::new(vec![b"number 0077".to_vec(), b"host2.bizkaia".to_vec()]);
        let proxy = Proxy::start(&log, move |path, answer| {
            if is_entries(path) {
                left.lock().expect("no panic").retain(|needle| !answer.garble(needle));
            }
        })
        .await;
        let bench = bench(&proxy.list(&log, api), &ca, "");
        let run = bench.run_beside(&["run", "--until-caught-up"]).await;
        assert_eq!(run.status.code(), Some(0), "{}", said(&run));
        assert!(said(&run).contains("do not have the signed root; they are read again"), "{}", said(&run));
        assert_eq!(bench.count("SELECT verified_size FROM logs"), 601, "{api:?}");
        assert_eq!(bench.count(MISBEHAVIOURS), 0, "once is noise");
        let certain = "SELECT count(DISTINCT h.hit_id) FROM hits AS h JOIN sightings AS s USING (hit_id)";
        assert_eq!(bench.count(certain), 2, "{api:?}: the true entries, and they alone");
        let named =
            |name: &str| format!("SELECT count(*) FROM case_findings WHERE subject = '{name}.bizkaia.euskalsarea'");
        assert_eq!([1, 2].map(|n| bench.count(&named(&format!("host{n}")))), [1, 1], "{api:?}: no true hit is lost");
        assert_eq!(bench.count("SELECT count(*) FROM case_findings WHERE rule = 'serial.unique'"), 0);
        log.stop().await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_corrupt_entry_for_ever_is_evidence_and_stops_nothing() {
    for api in BOTH {
        let (log, ca) = (still(api).await, TestCa::new("Tests CA"));
        log.append(foreign(0..200));
        log.publish();
        let proxy = Proxy::start(&log, |path, answer| {
            if is_entries(path) {
                answer.garble(b"number 0300");
            }
        })
        .await;
        let bench = bench(&proxy.list(&log, api), &ca, "");
        caught_up(&bench).await.expect("good so far");
        log.append(foreign(200..400).chain([ours(&ca, 1)]));
        let head = log.publish();
        let metrics = caught_up(&bench).await.expect("it is read to its end");
        assert!(metric(&metrics, "ctwarden_log_verification_failures_total{check=\"root\"") >= 2.0, "{metrics}");
        assert_eq!(bench.count(MISMATCHES), 1);
        let evidence = bench.books().query_row("SELECT evidence FROM misbehaviours", [], |row| row.get::<_, String>(0));
        let evidence: serde_json::Value = serde_json::from_str(&evidence.expect("evidence")).expect("JSON");
        let signed = ctwarden::ct::to_base64(&head.root);
        assert!(evidence["tree_heads"][0].to_string().contains(&signed), "the root that was signed: {evidence}");
        assert!(evidence["more"]["computed_root"].as_str().is_some_and(|root| root != signed), "and ours: {evidence}");
        // Real certificates stand behind it.
        assert_eq!(bench.count(CERTIFICATE_CASES), 1, "{api:?}");
        assert_eq!(bench.count("SELECT downloaded_size FROM logs"), 401);
        assert_eq!(bench.count("SELECT verified_size FROM logs"), 200, "what is not proven does not count as proven");
        log.append(foreign(401..450).chain([ours(&ca, 2)]));
        log.publish();
        caught_up(&bench).await.expect("for ever");
        assert_eq!(bench.count(CERTIFICATE_CASES), 2, "{api:?}");
        log.stop().await;
    }
}

/// Changes the signature of a tree head.
fn forge(path: &str, answer: &mut Answer) {
    if path.contains("get-sth") {
        let mut head: serde_json::Value = serde_json::from_slice(&answer.body).expect("a head");
        head["timestamp"] = (head["timestamp"].as_u64().expect("a time") + 1).into();
        answer.body = head.to_string().into_bytes();
    } else if path.contains("checkpoint") {
        let text = String::from_utf8(answer.body.clone()).expect("text");
        let mut lines: Vec<String> = text.lines().map(str::to_string).collect();
        lines[1] = (lines[1].parse::<u64>().expect("a size") + 1).to_string();
        answer.body = (lines.join("\n") + "\n").into_bytes();
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_head_that_the_log_did_not_sign_is_recorded_and_a_good_one_is_followed() {
    for api in BOTH {
        let (log, ca) = (still(api).await, TestCa::new("Tests CA"));
        log.append(foreign(0..50).chain([ours(&ca, 1)]));
        log.publish();
        let bad = Arc::new(AtomicBool::new(true));
        let forging = bad.clone();
        let proxy = Proxy::start(&log, move |path, answer| {
            if forging.load(Ordering::SeqCst) {
                forge(path, answer);
            }
        })
        .await;
        let bench = bench(&proxy.list(&log, api), &ca, "");
        let ended = caught_up(&bench).await.expect_err("there is no head to read up to").to_string();
        assert!(ended.contains("log 127.0.0.1") && ended.contains("tree head"), "{ended}");
        assert_eq!(
            bench.count("SELECT count(*) FROM misbehaviours WHERE kind = 'bad_signature'"),
            1,
            "once, not each time"
        );
        let cases = "SELECT count(*) FROM case_findings WHERE rule = 'log.bad_signature'";
        assert_eq!(bench.count(cases), 1, "one case, however often it is served");
        let daemon = open(&bench).await;
        let walk = daemon.walk().clone();
        let (stop, stopped) = tokio::sync::oneshot::channel::<()>();
        let running = tokio::spawn(daemon.run(Until::Stopped, async { drop(stopped.await) }));
        let failures = "ctwarden_log_verification_failures_total{check=\"signature\"";
        wait_for("the failure is counted", || {
            let metrics = walk.metrics.render().expect("metrics");
            metrics.contains(failures) && metric(&metrics, failures) >= 1.0
        })
        .await;
        let metrics = walk.metrics.render().expect("metrics");
        assert_eq!(metric(&metrics, "ctwarden_log_last_success_timestamp_seconds"), 0.0, "that was no success");
        bad.store(false, Ordering::SeqCst);
        wait_for("a good head is followed", || bench.count("SELECT verified_size FROM logs") == 51).await;
        wait_for("the hit is a case", || bench.count(CERTIFICATE_CASES) == 1).await;
        drop(stop);
        running.await.expect("no panic").expect("told to stop");
        log.stop().await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn another_root_of_the_same_size_is_a_fork_and_what_comes_after_is_read() {
    for api in BOTH {
        let signer = LogSigner::generate();
        let again = LogSigner::from_pkcs8(&signer.to_pkcs8().expect("a key")).expect("the same key");
        let origin = Some("log.test-ca.eus/fork".to_string());
        let forked = |signer| LogSettings {
            origin: origin.clone(),
            sequence_every: Duration::from_secs(3600),
            signer,
            ..LogSettings::new(api, Clock::System)
        };
        let log = LogServer::start(forked(signer)).await.expect("log");
        let other = LogServer::start(forked(again)).await.expect("log");
        let ca = TestCa::new("Tests CA");
        log.append(foreign(0..100));
        log.publish();
        other.append(foreign(1..101));
        other.publish();
        let proxy = Proxy::start(&log, |_, _| {}).await;
        let change = format!("[[logs.override]]\nlog_id = \"{}\"\norigin = \"log.test-ca.eus/fork\"\n", log.log_id());
        let bench = bench(&proxy.list(&log, api), &ca, &change);
        caught_up(&bench).await.expect("good so far");
        proxy.turn_to(&other);
        caught_up(&bench).await.expect("a fork does not stop it");
        assert_eq!(bench.count("SELECT count(*) FROM misbehaviours WHERE kind = 'fork' AND tree_size = 100"), 1);
        let heads = "SELECT json_array_length(evidence, '$.tree_heads') FROM misbehaviours WHERE kind = 'fork'";
        assert_eq!(bench.count(heads), 2, "both signed heads");
        other.append([ours(&ca, 1)]);
        other.publish();
        caught_up(&bench).await.expect("nor what comes after");
        assert_eq!(bench.count(CERTIFICATE_CASES), 1, "{api:?}");
        log.stop().await;
        other.stop().await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_head_from_the_future_is_reported_and_read_up_to() {
    for api in BOTH {
        let ahead = Clock::manual(now().plus(Span::from_seconds(7200)));
        let settings = LogSettings { sequence_every: Duration::from_secs(3600), ..LogSettings::new(api, ahead) };
        let (log, ca) = (LogServer::start(settings).await.expect("log"), TestCa::new("Tests CA"));
        log.append(foreign(0..10).chain([ours(&ca, 1)]));
        log.publish();
        let proxy = Proxy::start(&log, |_, _| {}).await;
        let bench = bench(&proxy.list(&log, api), &ca, "");
        caught_up(&bench).await.expect("our own clock may be the one that is wrong");
        assert_eq!(bench.count("SELECT count(*) FROM misbehaviours WHERE kind = 'future_head'"), 1);
        assert_eq!((bench.count(CERTIFICATE_CASES), bench.count("SELECT verified_size FROM logs")), (1, 11), "{api:?}");
        log.stop().await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_smaller_tree_ends_a_run_that_has_read_more() {
    let (log, lagging, ca) = (still(Api::Rfc6962).await, Mutex::new(None::<Vec<u8>>), TestCa::new("Tests CA"));
    log.append(foreign(0..10));
    log.publish();
    let behind = Arc::new(AtomicBool::new(false));
    let lags = behind.clone();
    // A front end that still has the first head.
    let proxy = Proxy::start(&log, move |path, answer| {
        if path.contains("get-sth") {
            let mut first = lagging.lock().expect("no panic");
            let first = first.get_or_insert_with(|| answer.body.clone());
            if lags.load(Ordering::SeqCst) {
                answer.body = first.clone();
            }
        }
    })
    .await;
    let bench = bench(&proxy.list(&log, Api::Rfc6962), &ca, "");
    caught_up(&bench).await.expect("ten entries");
    log.append(foreign(10..20));
    log.publish();
    caught_up(&bench).await.expect("twenty");
    behind.store(true, Ordering::SeqCst);
    caught_up(&bench).await.expect("it has read all that there is");
    assert_eq!(bench.count(MISBEHAVIOURS), 0, "a front end may lag");
    log.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_mail_that_waits_is_delivered_after_a_restart_with_the_same_message_id() {
    let (log, ca) = (still(Api::StaticCt).await, TestCa::new("Tests CA"));
    log.append([ours(&ca, 1)]);
    log.publish();
    let list = ctwarden::demo::log::log_list(&[&log], now()).to_string();
    let bench = bench(&list, &ca, "");
    let free = std::net::TcpListener::bind("127.0.0.1:0").expect("a port").local_addr().expect("its address").port();
    let folder = std::fs::read_to_string(bench.path("ctwarden.toml")).expect("the configuration");
    let smtp = |port: u16| {
        let to = format!("server = \"127.0.0.1\"\nport = {port}\ntls = \"none-on-loopback\"");
        bench.write("ctwarden.toml", &folder.replace("folder = \"mail\"", &to));
    };
    smtp(free);
    let mut daemon = bench.start(&["run"]);
    wait_for("the server is found to be down", || {
        let sql = "SELECT count(*) FROM outbox WHERE attempts > 0";
        rusqlite::Connection::open(bench.path("data/books.sqlite"))
            .and_then(|books| books.query_row(sql, [], |row| row.get::<_, i64>(0)))
            .is_ok_and(|count| count == 1)
    })
    .await;
    daemon.kill().expect("SIGKILL");
    daemon.wait().expect("gone");
    let waiting: String =
        bench.books().query_row("SELECT notice FROM outbox", [], |row| row.get(0)).expect("it is in the outbox");
    let addressing =
        Addressing::parse("ctwarden@ca-tests.eus", "oncall@ca-tests.eus", Profile::Human).expect("addresses");
    let first = compose(&serde_json::from_str(&waiting).expect("a notice"), &addressing);

    let server = SmtpServer::start(Knobs { starttls: false, demand_login: false, ..Knobs::default() }).await;
    smtp(server.port);
    bench.books().execute("UPDATE outbox SET next_try_at = 0", []).expect("time passes");
    let run = bench.run_beside(&["run", "--until-caught-up"]).await;
    assert_eq!(run.status.code(), Some(0), "{}", said(&run));
    let received = server.received();
    assert_eq!(received.len(), 1);
    let text = String::from_utf8_lossy(&received[0].data).into_owned();
    assert!(text.contains(first.message_id.as_str()), "{} is not in\n{text}", first.message_id);
    assert_eq!(bench.count("SELECT attempts FROM outbox WHERE delivered_at IS NOT NULL"), 2);
    log.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_log_that_cannot_be_reached_is_named_and_does_not_keep_the_others() {
    let (log, gone, ca) = (still(Api::Rfc6962).await, still(Api::StaticCt).await, TestCa::new("Tests CA"));
    log.append([ours(&ca, 1)]);
    log.publish();
    let list = ctwarden::demo::log::log_list(&[&log, &gone], now()).to_string();
    let bench = bench(&list, &ca, "");
    let address = gone.url().trim_start_matches("http://").trim_end_matches('/').to_string();
    gone.stop().await;
    let run = bench.run_beside(&["run", "--until-caught-up"]).await;
    assert_eq!(run.status.code(), Some(3), "{}", said(&run));
    let last = said(&run).lines().last().unwrap_or_default().to_string();
    assert!(last.starts_with("ctwarden: not everything could be finished: log ") && last.contains(&address), "{last}");
    assert_eq!((bench.count(CERTIFICATE_CASES), bench.mails().len()), (1, 1), "the other log is read and told");
    log.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_run_that_is_told_to_stop_does_not_say_that_it_is_done() {
    let (log, ca) = (still(Api::Rfc6962).await, TestCa::new("Tests CA"));
    log.append(foreign(0..300));
    log.publish();
    let asked = AtomicU64::new(0);
    let proxy = Proxy::start(&log, move |path, answer| {
        if is_entries(path) && asked.fetch_add(1, Ordering::SeqCst) > 0 {
            answer.become_(500, "no more");
        }
    })
    .await;
    let bench = bench(&proxy.list(&log, Api::Rfc6962), &ca, "");
    let daemon = open(&bench).await;
    let stop = tokio::time::sleep(Duration::from_millis(500));
    let ended = daemon.run(Until::CaughtUp, stop).await.expect_err("it was not done").to_string();
    assert!(ended.contains("told to stop"), "{ended}");
    assert!(bench.count("SELECT downloaded_size FROM logs") < 300);
    log.stop().await;
}
