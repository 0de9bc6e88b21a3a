//! Tree heads that a log must not sign or serve.

use ctwarden::clock::{Clock, HOUR, Span};
use ctwarden::ct::to_base64;
use ctwarden::demo::log::Head;

use crate::support::faulty::plant::{Garden, core_sha256};
use crate::support::faulty::scene::{Charge, Scene};
use crate::support::faulty::{Api, Fault, FaultyLog, On, log_list};
use crate::{BOTH, HITS, SIZE, complete, grow, start};

/// Whether a proven head stands in the books byte for byte.
fn is_kept(scene: &Scene, log: &FaultyLog, head: &Head) -> bool {
    scene.heads(log).iter().any(|kept| {
        kept.size == head.size
            && kept.root == head.root
            && kept.signed_at == head.timestamp.millis()
            && kept.signature == head.signature
            && kept.outcome == "verified"
    })
}

/// Whether a head stands in the evidence of a kind of misbehaviour byte for byte.
fn is_evidence(scene: &Scene, log: &FaultyLog, kind: &str, head: &Head) -> bool {
    let wanted = serde_json::json!({
        "tree_size": head.size,
        "timestamp": head.timestamp.millis(),
        "sha256_root_hash": to_base64(&head.root),
        "tree_head_signature": to_base64(&head.signature),
    });
    let has = |found: &serde_json::Value| wanted.as_object().is_some_and(|w| w.iter().all(|(key, v)| found[key] == *v));
    let of_kind = scene.charges(log).into_iter().filter(|charge| charge.kind == kind);
    of_kind
        .into_iter()
        .any(|charge| charge.evidence["tree_heads"].as_array().is_some_and(|heads| heads.iter().any(has)))
}

/// The charge of a kind.
fn charge(scene: &Scene, log: &FaultyLog, kind: &str) -> Charge {
    let charges = scene.charges(log);
    charges.into_iter().find(|charge| charge.kind == kind).unwrap_or_else(|| panic!("{}", scene.state(log)))
}

/// Waits until every head has been asked for twice more: what was served since now has had its effect.
async fn two_looks(scene: &mut Scene, logs: &[&FaultyLog]) {
    let before: Vec<usize> = logs.iter().map(|log| log.heads_asked()).collect();
    let looked = |_: &Scene| logs.iter().zip(&before).all(|(log, before)| log.heads_asked() >= before + 2);
    scene.wait(30, "two more looks at every head", looked).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_head_that_the_key_did_not_sign_is_kept_as_evidence_and_the_reading_goes_on() {
    let garden = Garden::new(HITS.len());
    let mut logs = Vec::new();
    for api in BOTH {
        for fault in [Fault::BadSignature, Fault::OtherKey] {
            let log = start(&garden, api).await;
            log.set_times(2, fault, On::Heads);
            logs.push(log);
        }
    }
    let logs: Vec<&FaultyLog> = logs.iter().collect();
    let mut scene = Scene::start(&garden, &logs);
    complete(&mut scene, &logs, 40).await;
    for log in logs {
        let charge = charge(&scene, log, "bad_signature");
        assert_eq!(scene.charges(log).len(), 1, "once, however often it is served: {}", scene.state(log));
        // What was sent is there, for anyone to check: the root of the head, as the log wrote it.
        let root = to_base64(&log.head().root);
        assert!(charge.evidence.to_string().contains(&root), "{}", charge.evidence);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_head_from_the_future_is_reported_and_does_not_count() {
    let garden = Garden::new(HITS.len());
    let mut logs = Vec::new();
    for api in BOTH {
        let log = start(&garden, api).await;
        log.set_times(2, Fault::Future(Span::from_days(2)), On::Heads);
        logs.push(log);
    }
    // Seconds are clock skew, not misbehaviour.
    for api in BOTH {
        let log = start(&garden, api).await;
        log.set(Fault::Future(Span::from_seconds(20)), On::Heads);
        logs.push(log);
    }
    let logs: Vec<&FaultyLog> = logs.iter().collect();
    let mut scene = Scene::start(&garden, &logs);
    complete(&mut scene, &logs, 40).await;
    for log in &logs[..2] {
        assert!(scene.is_charged(log, "future_head"), "{}", scene.state(log));
    }
    for log in &logs[2..] {
        assert!(scene.charges(log).is_empty(), "{}", scene.state(log));
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_heads_of_one_size_are_a_fork_and_both_are_kept() {
    let garden = Garden::new(HITS.len());
    let logs = [start(&garden, Api::Rfc6962).await, start(&garden, Api::StaticCt).await];
    let logs: Vec<&FaultyLog> = logs.iter().collect();
    let mut scene = Scene::start(&garden, &logs);
    complete(&mut scene, &logs, 30).await;
    let honest: Vec<Head> = logs.iter().map(|log| log.head()).collect();
    logs.iter().for_each(|log| log.set(Fault::Fork { leaf: 77, size: None }, On::Heads));
    for log in &logs {
        scene.wait(20, "the fork", |scene| scene.is_charged(log, "fork")).await;
    }
    for (log, honest) in logs.iter().zip(&honest) {
        let signed = log.signed_heads();
        let forked = signed.iter().find(|head| head.size == SIZE && head.root != honest.root).expect("the other head");
        assert!(is_kept(&scene, log, honest), "{:?}", scene.heads(log));
        for head in [honest, forked] {
            assert!(is_evidence(&scene, log, "fork", head), "{}", charge(&scene, log, "fork").evidence);
        }
        assert_eq!(charge(&scene, log, "fork").tree_size, SIZE);
    }
    // One charge each, however often it is served.
    two_looks(&mut scene, &logs).await;
    assert!(logs.iter().all(|log| scene.charges(log).len() == 1));
    // What the log adds behind its fork is found; when it returns to its first tree it is proven again.
    logs.iter().for_each(|log| grow(&garden, log, 100));
    for log in &logs {
        scene.wait(40, "the hits behind the fork", |scene| scene.has_found_all(log)).await;
        log.clear();
    }
    complete(&mut scene, &logs, 40).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_fork_at_a_larger_size_is_reported_and_the_reading_goes_on() {
    let garden = Garden::new(HITS.len());
    let logs = [start(&garden, Api::Rfc6962).await, start(&garden, Api::StaticCt).await];
    let logs: Vec<&FaultyLog> = logs.iter().collect();
    let mut scene = Scene::start(&garden, &logs);
    complete(&mut scene, &logs, 30).await;
    let first: Vec<Head> = logs.iter().map(|log| log.head()).collect();
    for log in &logs {
        log.set(Fault::Fork { leaf: 5, size: None }, On::Heads);
        grow(&garden, log, 100);
    }
    for (log, first) in logs.iter().zip(&first) {
        scene.wait(40, "the charge", |scene| !scene.charges(log).is_empty() && scene.has_found_all(log)).await;
        let charges = scene.charges(log);
        assert!(charges.iter().all(|c| c.kind == "root_mismatch" || c.kind == "fork"), "{}", scene.state(log));
        assert_eq!(scene.verified(log), SIZE, "a root that does not fit proves nothing");
        let signed = log.signed_heads();
        let forked = signed.iter().find(|head| head.size == 800 && head.root != log.head().root).expect("forked head");
        let kind = &charges[0].kind;
        for head in [first, forked] {
            assert!(is_evidence(&scene, log, kind, head), "{}", charges[0].evidence);
        }
        assert!(is_kept(&scene, log, first), "{:?}", scene.heads(log));
    }
    // It never verifies again, and is still read.
    logs.iter().for_each(|log| grow(&garden, log, 100));
    for log in &logs {
        scene.wait(30, "the hits behind the fork", |scene| scene.has_found_all(log)).await;
        log.clear();
    }
    complete(&mut scene, &logs, 40).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_fork_at_a_smaller_size_is_found_in_the_history() {
    let garden = Garden::new(HITS.len());
    let logs = [start(&garden, Api::Rfc6962).await, start(&garden, Api::StaticCt).await];
    let logs: Vec<&FaultyLog> = logs.iter().collect();
    let mut scene = Scene::start(&garden, &logs);
    complete(&mut scene, &logs, 30).await;
    let first: Vec<Head> = logs.iter().map(|log| log.head()).collect();
    logs.iter().for_each(|log| grow(&garden, log, 100));
    complete(&mut scene, &logs, 30).await;
    logs.iter().for_each(|log| log.set(Fault::Fork { leaf: 5, size: Some(SIZE) }, On::Heads));
    for (log, first) in logs.iter().zip(&first) {
        scene.wait(20, "the fork", |scene| scene.is_charged(log, "fork")).await;
        let signed = log.signed_heads();
        let forked = signed.iter().find(|head| head.size == SIZE && head.root != first.root).expect("forked head");
        assert!(is_kept(&scene, log, first), "{:?}", scene.heads(log));
        for head in [first, forked] {
            assert!(is_evidence(&scene, log, "fork", head), "{}", charge(&scene, log, "fork").evidence);
        }
        log.clear();
        grow(&garden, log, 50);
    }
    complete(&mut scene, &logs, 40).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_smaller_tree_is_tolerated_for_a_while() {
    let garden = Garden::new(HITS.len());
    let logs = [start(&garden, Api::Rfc6962).await, start(&garden, Api::StaticCt).await];
    let logs: Vec<&FaultyLog> = logs.iter().collect();
    let mut scene = Scene::start(&garden, &logs);
    complete(&mut scene, &logs, 30).await;
    logs.iter().for_each(|log| log.set(Fault::Rollback(300), On::Heads));
    two_looks(&mut scene, &logs).await;
    for log in &logs {
        assert_eq!((scene.downloaded(log), scene.verified(log)), (SIZE, SIZE), "nothing goes back");
        assert!(scene.charges(log).is_empty(), "{}", scene.state(log));
        log.clear();
        grow(&garden, log, 80);
    }
    complete(&mut scene, &logs, 40).await;
    assert!(logs.iter().all(|log| scene.charges(log).is_empty()));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_head_that_stands_still_beyond_the_mmd_is_reported() {
    let garden = Garden::new(HITS.len());
    let logs = [start(&garden, Api::Rfc6962).await, start(&garden, Api::StaticCt).await];
    let logs: Vec<&FaultyLog> = logs.iter().collect();
    let entries = logs.iter().map(|log| {
        let mut entry = log.list_entry();
        entry["mmd"] = serde_json::json!(8);
        entry
    });
    let list = log_list(entries);
    // The head is an hour old when the monitor sees it first, with a maximum merge delay of seconds.
    for log in &logs {
        log.publish_at(Clock::System.now().minus(HOUR));
        log.freeze();
    }
    let mut scene = Scene::on(&garden, &list);
    for log in &logs {
        scene.wait(40, "the charge", |scene| scene.is_charged(log, "frozen") && scene.has_found_all(log)).await;
    }
    for log in &logs {
        let frozen = log.head();
        assert!(is_kept(&scene, log, &frozen), "{:?}", scene.heads(log));
        assert!(is_evidence(&scene, log, "frozen", &frozen), "{:?}", scene.charges(log));
        grow(&garden, log, 60);
        log.clear();
    }
    complete(&mut scene, &logs, 40).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_entry_that_was_corrupt_once_is_read_again_in_its_right_form() {
    let garden = Garden::new(HITS.len());
    let mut logs = Vec::new();
    for api in BOTH {
        let log = start(&garden, api).await;
        log.set_times(1, Fault::Corrupt(400), On::Entries(400..401));
        logs.push(log);
    }
    let logs: Vec<&FaultyLog> = logs.iter().collect();
    let mut scene = Scene::start(&garden, &logs);
    complete(&mut scene, &logs, 30).await;
    for log in logs {
        assert!(log.is_spent() && scene.charges(log).is_empty(), "{}", scene.state(log));
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_hit_that_was_corrupt_once_is_found_in_its_right_form() {
    let garden = Garden::new(HITS.len());
    let mut logs = Vec::new();
    for api in BOTH {
        let log = start(&garden, api).await;
        log.set_times(1, Fault::Corrupt(300), On::Entries(300..301));
        logs.push(log);
    }
    let logs: Vec<&FaultyLog> = logs.iter().collect();
    let mut scene = Scene::start(&garden, &logs);
    complete(&mut scene, &logs, 30).await;
    let right = core_sha256(&garden.hit(3));
    for log in logs {
        assert!(log.is_spent(), "{}", scene.state(log));
        assert_eq!(scene.found(log, 300), [right], "{}", scene.state(log));
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_entry_that_stays_corrupt_is_evidence_and_hides_nothing_behind_it() {
    let garden = Garden::new(HITS.len());
    let mut logs = Vec::new();
    for api in BOTH {
        let log = start(&garden, api).await;
        log.set(Fault::Corrupt(400), On::Entries(400..401));
        logs.push(log);
    }
    let logs: Vec<&FaultyLog> = logs.iter().collect();
    let mut scene = Scene::start(&garden, &logs);
    for log in &logs {
        scene.wait(30, "the charge", |scene| scene.is_charged(log, "root_mismatch") && scene.has_found_all(log)).await;
        assert!(is_evidence(&scene, log, "root_mismatch", &log.head()), "{:?}", scene.charges(log));
        assert_eq!(scene.verified(log), 0);
    }
    // Death and a growing log change nothing: it never verifies again, and is read to its end.
    scene.kill();
    logs.iter().for_each(|log| grow(&garden, log, 400));
    scene.go_on();
    for log in &logs {
        scene.wait(40, "the hits behind it", |scene| scene.has_found_all(log)).await;
        assert_eq!(scene.verified(log), 0);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn noise_on_a_log_that_never_verifies_again_loses_nothing() {
    let garden = Garden::new(HITS.len());
    let mut logs = Vec::new();
    for api in BOTH {
        let log = start(&garden, api).await;
        log.set(Fault::Fork { leaf: 5, size: None }, On::Heads);
        logs.push(log);
    }
    let logs: Vec<&FaultyLog> = logs.iter().collect();
    let mut scene = Scene::start(&garden, &logs);
    for log in &logs {
        scene.wait(30, "the charge", |scene| scene.is_charged(log, "root_mismatch") && scene.has_found_all(log)).await;
        log.set_times(1, Fault::Html, On::Entries(768..1024));
        log.set_times(1, Fault::GzipUnsaid, On::Entries(1024..1280));
        grow(&garden, log, 500);
    }
    for log in &logs {
        scene.wait(40, "the hits behind the noise", |scene| scene.has_found_all(log)).await;
        assert!(log.is_spent() && scene.malformed(log).is_empty(), "{}", scene.state(log));
    }
}

/// Follows logs of which every head has this fault: each is charged with it in one case, and all is read.
async fn read_all_the_same(fault: Fault, kind: &str) {
    let garden = Garden::new(HITS.len());
    let logs = [start(&garden, Api::Rfc6962).await, start(&garden, Api::StaticCt).await];
    let logs: Vec<&FaultyLog> = logs.iter().collect();
    logs.iter().for_each(|log| log.set(fault.clone(), On::Heads));
    let mut scene = Scene::start(&garden, &logs);
    let read = |scene: &Scene| logs.iter().all(|log| scene.has_found_all(log) && scene.is_charged(log, kind));
    scene.wait(40, "the hits", read).await;
    two_looks(&mut scene, &logs).await;
    logs.iter().for_each(|log| grow(&garden, log, 60));
    scene.wait(40, "later hits", read).await;
    for log in &logs {
        assert!(scene.charges(log).iter().all(|charge| charge.kind == kind), "{}", scene.state(log));
    }
    let cases = "SELECT count(*) FROM cases WHERE about = 'log'";
    assert_eq!(scene.bench.count(cases), 2, "one case for each log, however often it is served");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_log_whose_heads_are_all_from_the_future_is_read() {
    read_all_the_same(Fault::Future(Span::from_days(2)), "future_head").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_log_whose_heads_are_never_signed_is_read() {
    read_all_the_same(Fault::BadSignature, "bad_signature").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_log_whose_key_is_another_than_the_list_says_is_read() {
    read_all_the_same(Fault::OtherKey, "bad_signature").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn misbehaviour_is_told_by_mail_and_its_evidence_verifies() {
    let garden = Garden::new(HITS.len());
    let log = start(&garden, Api::StaticCt).await;
    let mut scene = Scene::start(&garden, &[&log]);
    complete(&mut scene, &[&log], 30).await;
    let honest = log.head();
    log.set(Fault::Fork { leaf: 77, size: None }, On::Heads);
    scene.wait(20, "the fork", |scene| scene.is_charged(&log, "fork")).await;
    scene.wait(20, "the mail", |scene| scene.bench.mails().values().any(|mail| mail.contains("log.fork"))).await;
    two_looks(&mut scene, &[&log]).await;
    let mails = scene.bench.mails().values().filter(|mail| mail.contains("log.fork")).count();
    assert_eq!(mails, 1, "one mail, however often it is served");
    // Two signed heads of one size: proof enough for anybody who has the log's key, and needs nothing else of ours.
    let forked = log.signed_heads().into_iter().find(|head| head.size == SIZE && head.root != honest.root);
    for head in [honest, forked.expect("the other head")] {
        assert!(is_evidence(&scene, &log, "fork", &head), "{:?}", scene.charges(&log));
    }
    scene.bench.write("evidence.json", &charge(&scene, &log, "fork").evidence.to_string());
    let file = scene.bench.path("evidence.json");
    let mut verify = scene.bench.command(&["evidence", "verify"]);
    let verified = verify.arg(&file).output().expect("the program starts");
    assert!(verified.status.success(), "{}", String::from_utf8_lossy(&verified.stderr));
    let text = std::fs::read_to_string(&file).expect("evidence");
    scene.bench.write("evidence.json", &text.replacen("\"tree_size\":700", "\"tree_size\":701", 9));
    let refused = scene.bench.command(&["evidence", "verify"]).arg(&file).output().expect("the program starts");
    assert!(!refused.status.success(), "evidence that was changed is no evidence");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_readonly_log_that_signs_another_head_than_its_last_is_charged_with_both() {
    let garden = Garden::new(HITS.len());
    let mut logs = Vec::new();
    for api in BOTH {
        logs.push(start(&garden, api).await);
        logs.push(start(&garden, api).await);
    }
    let last: Vec<Head> = logs.iter().map(|log| log.head()).collect();
    let readonly = |(number, log): (usize, &FaultyLog)| {
        // Of every other log the list knows another root than the log has.
        let root = if number % 2 == 0 { last[number].root } else { [9; 32] };
        let end = serde_json::json!({ "tree_size": SIZE, "sha256_root_hash": to_base64(&root) });
        let mut entry = log.list_entry();
        entry["state"] =
            serde_json::json!({ "readonly": { "timestamp": "2026-01-01T00:00:00Z", "final_tree_head": end } });
        entry
    };
    let list = log_list(logs.iter().enumerate().map(readonly));
    // The others go on after their last head.
    logs.iter().step_by(2).for_each(|log| grow(&garden, log, 60));
    let mut scene = Scene::on(&garden, &list);
    for (log, last) in logs.iter().zip(&last) {
        scene.wait(40, "the charge", |scene| scene.is_charged(log, "fork") && scene.has_found_all(log)).await;
        let charge = charge(&scene, log, "fork");
        assert!(is_evidence(&scene, log, "fork", &log.head()), "{}", charge.evidence);
        assert_eq!(charge.evidence["tree_heads"].as_array().map(Vec::len), Some(1), "{}", charge.evidence);
        let end = &charge.evidence["more"]["final_tree_head"];
        assert_eq!(end["tree_size"], SIZE, "{}", charge.evidence);
        let is_other = log.head().size == SIZE;
        assert_eq!(end["sha256_root_hash"] == serde_json::json!(to_base64(&last.root)), !is_other);
        assert_eq!(scene.charges(log).len(), 1, "{}", scene.state(log));
    }
}
