//! Logs that cannot be reached, that the list forgets or changes, and a clock that is wrong.

use std::net::TcpListener;

use ctwarden::clock::{Clock, HOUR, Span};
use ctwarden::config;
use ctwarden::ct::signer::LogSigner;
use ctwarden::daemon::Daemon;
use ctwarden::pipeline::Until;

use crate::support::faulty::plant::Garden;
use crate::support::faulty::scene::Scene;
use crate::support::faulty::{Api, Fault, FaultyLog, On, list_entry, log_list};
use crate::{BOTH, HITS, SIZE, complete, grow, start};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn logs_that_cannot_be_reached_are_tried_again_and_stop_no_other() {
    let garden = Garden::new(HITS.len());
    let good = [start(&garden, Api::Rfc6962).await, start(&garden, Api::StaticCt).await];
    let good: Vec<&FaultyLog> = good.iter().collect();
    // A port at which nobody listens; TLS to a server that speaks none; a name that does not exist.
    let closed = TcpListener::bind("127.0.0.1:0").expect("a port").local_addr().expect("its address");
    let plain = start(&garden, Api::Rfc6962).await;
    let unreachable = [
        format!("http://{closed}/"),
        format!("https://{}/", plain.name()),
        "https://a-log-that-is-not.ca-tests.eus/".to_string(),
    ];
    let entry = |url: &String| list_entry(url, Api::Rfc6962, &LogSigner::generate().spki_der());
    let list = log_list(good.iter().map(|log| log.list_entry()).chain(unreachable.iter().map(entry)));
    let mut scene = Scene::on(&garden, &list);
    complete(&mut scene, &good, 30).await;
    for url in &unreachable {
        let name = url.split('/').nth(2).expect("a host");
        let tried = |scene: &Scene| {
            let tells = |line: &&str| line.contains("could not be read") && line.contains(&format!("log=\"{name}\""));
            scene.said().lines().filter(tells).count()
        };
        scene.wait(30, url, |scene| tried(scene) >= 2).await;
    }
    assert_eq!(scene.bench.count("SELECT count(*) FROM misbehaviours"), 0, "an outage is no misbehaviour");
    // As soon as somebody listens there, the log is read.
    let late = FaultyLog::start_on(Api::Rfc6962, &closed.to_string()).await;
    late.append(garden.entries(0, SIZE, &HITS));
    late.publish();
    let list = log_list(good.iter().chain([&&late]).map(|log| log.list_entry()));
    scene.kill();
    scene.bench.write("logs.json", &list);
    scene.go_on();
    complete(&mut scene, &[good[0], good[1], &late], 30).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_log_that_leaves_the_list_and_one_whose_key_changes_cost_nothing() {
    let garden = Garden::new(HITS.len());
    let logs = [start(&garden, Api::Rfc6962).await, start(&garden, Api::StaticCt).await];
    let [stays, leaves] = &logs;
    let mut scene = Scene::start(&garden, &[stays, leaves]);
    complete(&mut scene, &[stays, leaves], 30).await;
    scene.kill();
    // What was found in a log that leaves the list is kept; a key that does not belong to its log_id refuses its own
    // entry and no other.
    let mut changed = leaves.list_entry();
    changed["key"] = serde_json::json!(ctwarden::ct::to_base64(&LogSigner::generate().spki_der()));
    scene.bench.write("logs.json", &log_list([stays.list_entry(), changed]));
    logs.iter().for_each(|log| grow(&garden, log, 100));
    scene.go_on();
    complete(&mut scene, &[stays], 30).await;
    assert!(scene.said().contains("is not SHA-256 of its key"), "{}", scene.said());
    assert_eq!((scene.verified(leaves), scene.sightings(leaves)), (SIZE, HITS.to_vec()), "{}", scene.state(leaves));
    scene.kill();
    // A new key under its own log_id is a new log; its heads are signed with the old key, and that is evidence.
    let new_key = LogSigner::generate();
    let renamed = list_entry(&format!("http://{}/", leaves.name()), leaves.api(), &new_key.spki_der());
    scene.bench.write("logs.json", &log_list([stays.list_entry(), renamed]));
    grow(&garden, stays, 100);
    scene.go_on();
    complete(&mut scene, &[stays], 30).await;
    let charged = "SELECT count(*) FROM misbehaviours WHERE kind = 'bad_signature'";
    scene.wait(20, "the charge", |scene| scene.bench.count(charged) == 1).await;
    scene.kill();
    // It comes back to the list as it was, and is read on from where it was left.
    let first_tile = |log: &FaultyLog| log.requests().iter().filter(|r| r.path.starts_with("tile/data/000")).count();
    let before = first_tile(leaves);
    scene.bench.write("logs.json", &log_list([stays.list_entry(), leaves.list_entry()]));
    scene.go_on();
    complete(&mut scene, &[stays, leaves], 30).await;
    assert_eq!(first_tile(leaves), before, "what had been read was not read again");
}

/// The whole daemon inside this process, on a clock that the test sets.
struct Inside {
    scene: Scene,
    clock: Clock,
    task: tokio::task::JoinHandle<()>,
}

impl Inside {
    async fn start(garden: &Garden, logs: &[&FaultyLog]) -> Inside {
        let scene = Scene::still(garden, &log_list(logs.iter().map(|log| log.list_entry())));
        let clock = Clock::manual(Clock::System.now());
        let config = config::load(&scene.bench.path("ctwarden.toml")).expect("the configuration is good");
        let daemon = Daemon::open(config, clock.clone()).await.expect("the daemon opens");
        let task = tokio::spawn(async move {
            daemon.run(Until::Stopped, std::future::pending()).await.expect("the daemon runs");
        });
        Inside { scene, clock, task }
    }

    /// Waits until every head was asked for twice more.
    async fn two_looks(&mut self, logs: &[&FaultyLog]) {
        let before: Vec<usize> = logs.iter().map(|log| log.heads_asked()).collect();
        let looked = |_: &Scene| logs.iter().zip(&before).all(|(log, before)| log.heads_asked() >= before + 2);
        self.scene.wait(40, "two more looks at every head", looked).await;
    }
}

impl Drop for Inside {
    fn drop(&mut self) {
        self.task.abort();
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_tree_that_stays_smaller_for_longer_than_a_lag_is_a_rollback() {
    let garden = Garden::new(HITS.len());
    let logs = [start(&garden, Api::Rfc6962).await, start(&garden, Api::StaticCt).await];
    let logs: Vec<&FaultyLog> = logs.iter().collect();
    let mut inside = Inside::start(&garden, &logs).await;
    complete(&mut inside.scene, &logs, 30).await;
    logs.iter().for_each(|log| log.set(Fault::Rollback(300), On::Heads));
    inside.two_looks(&logs).await;
    assert!(logs.iter().all(|log| inside.scene.charges(log).is_empty()), "a lag of seconds is no rollback");
    inside.clock.advance(HOUR);
    for log in &logs {
        inside.scene.wait(20, "the rollback", |scene| scene.is_charged(log, "rollback")).await;
        log.clear();
        grow(&garden, log, 100);
    }
    complete(&mut inside.scene, &logs, 40).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_clock_that_jumps_loses_no_hit_and_charges_no_log() {
    let garden = Garden::new(HITS.len());
    let mut logs = Vec::new();
    for api in BOTH {
        logs.push(start(&garden, api).await);
    }
    let logs: Vec<&FaultyLog> = logs.iter().collect();
    let mut inside = Inside::start(&garden, &logs).await;
    complete(&mut inside.scene, &logs, 30).await;
    // Half an hour ahead, and half an hour behind.
    for jump in [Span::from_seconds(1800), Span::from_seconds(-3600)] {
        inside.clock.advance(jump);
        logs.iter().for_each(|log| grow(&garden, log, 50));
        complete(&mut inside.scene, &logs, 40).await;
        assert!(logs.iter().all(|log| inside.scene.charges(log).is_empty()));
    }
    // Three days behind every log seems to be in the future. What they log is read all the same.
    inside.clock.advance(Span::from_days(-3));
    logs.iter().for_each(|log| grow(&garden, log, 50));
    for log in &logs {
        inside.scene.wait(40, "the hits", |scene| scene.has_found_all(log)).await;
    }
    // Right again.
    inside.clock.advance(Span::from_days(3));
    logs.iter().for_each(|log| grow(&garden, log, 50));
    complete(&mut inside.scene, &logs, 40).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_partial_tile_that_a_front_end_does_not_have_yet_is_no_loss_before_a_lag_is_over() {
    let garden = Garden::new(HITS.len());
    let log = start(&garden, Api::StaticCt).await;
    log.set(Fault::NoPartial, On::All);
    let mut inside = Inside::start(&garden, &[&log]).await;
    let partial = |log: &FaultyLog| log.requests().iter().filter(|r| r.path == "tile/data/002.p/188").count();
    inside.scene.wait(90, "many tries", |_| partial(&log) > 7).await;
    assert!(inside.scene.charges(&log).is_empty(), "{}", inside.scene.state(&log));
    assert_eq!(inside.scene.downloaded(&log), 512);
    inside.clock.advance(Span::from_seconds(20 * 60));
    inside.scene.wait(90, "the charge", |scene| scene.is_charged(&log, "lost_entries")).await;
    assert_eq!(inside.scene.gaps(&log), [(512, 700)], "{}", inside.scene.state(&log));
    log.clear();
    // It is asked for again a minute later.
    inside.clock.advance(HOUR);
    complete(&mut inside.scene, &[&log], 60).await;
    assert_eq!(inside.scene.charges(&log).len(), 1, "{}", inside.scene.state(&log));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_entry_that_is_repaired_later_is_read_again_without_a_restart_and_its_case_says_so() {
    let garden = Garden::new(HITS.len());
    let mut logs = Vec::new();
    for api in BOTH {
        let log = start(&garden, api).await;
        log.set(Fault::Corrupt(400), On::Entries(400..401));
        logs.push(log);
    }
    let logs: Vec<&FaultyLog> = logs.iter().collect();
    let mut inside = Inside::start(&garden, &logs).await;
    for log in &logs {
        inside.scene.wait(40, "the charge", |scene| scene.is_charged(log, "root_mismatch")).await;
    }
    let reads = |log: &FaultyLog| {
        let first = |path: &str| path == "tile/data/000" || path.starts_with("ct/v1/get-entries?start=0&");
        log.requests().iter().filter(|request| first(&request.path)).count()
    };
    inside.two_looks(&logs).await;
    assert!(logs.iter().all(|log| reads(log) == 2), "not at every look");
    // A minute later it is read again, to no avail, and after two more minutes it has been repaired.
    inside.clock.advance(Span::from_seconds(61));
    for log in &logs {
        inside.scene.wait(40, "another reading", |_| reads(log) == 3).await;
    }
    inside.two_looks(&logs).await;
    logs.iter().for_each(|log| log.clear());
    inside.clock.advance(Span::from_seconds(121));
    complete(&mut inside.scene, &logs, 40).await;
    assert!(logs.iter().all(|log| reads(log) == 4), "and that was the last time");
    let said =
        "SELECT count(*) FROM case_findings WHERE rule = 'log.root_mismatch' AND finding LIKE '%read again, have%'";
    inside.scene.wait(20, "the cases", |scene| scene.bench.count(said) == 2).await;
    assert_eq!(inside.scene.bench.count("SELECT count(*) FROM cases WHERE about = 'log'"), 2);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_waits_a_day_because_the_clock_was_put_back_by_one() {
    let garden = Garden::new(HITS.len());
    let log = start(&garden, Api::StaticCt).await;
    log.set(Fault::Status(404), On::Entries(256..512));
    let mut inside = Inside::start(&garden, &[&log]).await;
    inside.scene.wait(90, "the gap", |scene| scene.gaps(&log) == [(256, 512)]).await;
    inside.clock.advance(Span::from_days(-1));
    let jumped = "SELECT count(*) FROM gaps WHERE next_try_at > missed_at - 80000000";
    inside.scene.wait(60, "what was to be done later", |scene| scene.bench.count(jumped) == 0).await;
    log.clear();
    // The gap was to be asked for again after a minute.
    inside.clock.advance(Span::from_seconds(120));
    inside.scene.wait(60, "the hits that were lost", |scene| scene.has_found_all(&log)).await;
}
