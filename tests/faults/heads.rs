//! Tree heads that a log must not sign or serve.

use ctwarden::clock::Span;
use ctwarden::ct::from_base64;
use ctwarden::demo::log::Head;

use crate::support::faulty::plant::{Garden, core_sha256};
use crate::support::faulty::scene::{Charge, Scene};
use crate::support::faulty::{Api, Fault, FaultyLog, On, log_list};
use crate::{BOTH, HITS, SIZE, complete, grow, log};

/// Whether a head stands in the books byte for byte.
fn is_kept(scene: &Scene, log: &FaultyLog, head: &Head, outcome: &str) -> bool {
    scene.heads(log).iter().any(|kept| {
        kept.size == head.size
            && kept.root == head.root
            && kept.signed_at == head.timestamp.millis()
            && kept.signature == head.signature
            && kept.outcome == outcome
    })
}

/// The charge of a kind.
fn charge(scene: &Scene, log: &FaultyLog, kind: &str) -> Charge {
    let charges = scene.charges(log);
    charges.into_iter().find(|charge| charge.kind == kind).unwrap_or_else(|| panic!("{}", scene.state(log)))
}

/// Waits until the head has been asked for twice more: what was served since now has had its effect.
async fn two_looks(scene: &mut Scene, log: &FaultyLog) {
    let before = log.heads_asked();
    scene.wait(30, "two more looks at the head", |_| log.heads_asked() >= before + 2).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_head_that_the_key_did_not_sign_is_kept_as_evidence_and_the_reading_goes_on() {
    let garden = Garden::new(HITS.len());
    let mut logs = Vec::new();
    for api in BOTH {
        for fault in [Fault::BadSignature, Fault::OtherKey] {
            let log = log(&garden, api).await;
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
        let root = ctwarden::ct::to_base64(&log.head().root);
        assert!(charge.evidence.to_string().contains(&root), "{}", charge.evidence);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_head_from_the_future_is_reported_and_does_not_count() {
    let garden = Garden::new(HITS.len());
    let mut logs = Vec::new();
    for api in BOTH {
        let log = log(&garden, api).await;
        log.set_times(2, Fault::Future(Span::from_days(2)), On::Heads);
        logs.push(log);
    }
    // Seconds are clock skew, not misbehaviour.
    for api in BOTH {
        let log = log(&garden, api).await;
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
    let logs = [log(&garden, Api::Rfc6962).await, log(&garden, Api::StaticCt).await];
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
        assert!(is_kept(&scene, log, honest, "verified"), "{:?}", scene.heads(log));
        assert!(is_kept(&scene, log, forked, "mismatch"), "{:?}", scene.heads(log));
        assert_eq!(charge(&scene, log, "fork").tree_size, SIZE);
        // One case each, however often it is served.
        two_looks(&mut scene, log).await;
        assert_eq!(scene.charges(log).len(), 1, "{}", scene.state(log));
    }
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
    let logs = [log(&garden, Api::Rfc6962).await, log(&garden, Api::StaticCt).await];
    let logs: Vec<&FaultyLog> = logs.iter().collect();
    let mut scene = Scene::start(&garden, &logs);
    complete(&mut scene, &logs, 30).await;
    for log in &logs {
        log.set(Fault::Fork { leaf: 5, size: None }, On::Heads);
        grow(&garden, log, 100);
    }
    for log in &logs {
        scene.wait(40, "the charge", |scene| !scene.charges(log).is_empty() && scene.has_found_all(log)).await;
        let charges = scene.charges(log);
        assert!(charges.iter().all(|c| c.kind == "root_mismatch" || c.kind == "fork"), "{}", scene.state(log));
        assert_eq!(scene.verified(log), SIZE, "a root that does not fit proves nothing");
        let signed = log.signed_heads();
        let forked = signed.iter().find(|head| head.size == 800 && head.root != log.head().root).expect("forked head");
        assert!(is_kept(&scene, log, forked, "mismatch"), "{:?}", scene.heads(log));
        assert!(scene.heads(log).iter().any(|head| head.size == SIZE && head.outcome == "verified"));
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
#[ignore = "needs the comparison with verified heads of smaller sizes"]
async fn a_fork_at_a_smaller_size_is_found_in_the_history() {
    let garden = Garden::new(HITS.len());
    let logs = [log(&garden, Api::Rfc6962).await, log(&garden, Api::StaticCt).await];
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
        assert!(is_kept(&scene, log, first, "verified"), "{:?}", scene.heads(log));
        assert!(is_kept(&scene, log, forked, "mismatch"), "{:?}", scene.heads(log));
        log.clear();
        grow(&garden, log, 50);
    }
    complete(&mut scene, &logs, 40).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_smaller_tree_is_tolerated_for_a_while() {
    let garden = Garden::new(HITS.len());
    let logs = [log(&garden, Api::Rfc6962).await, log(&garden, Api::StaticCt).await];
    let logs: Vec<&FaultyLog> = logs.iter().collect();
    let mut scene = Scene::start(&garden, &logs);
    complete(&mut scene, &logs, 30).await;
    for log in &logs {
        log.set(Fault::Rollback(300), On::Heads);
        two_looks(&mut scene, log).await;
        assert_eq!((scene.downloaded(log), scene.verified(log)), (SIZE, SIZE), "nothing goes back");
        assert!(scene.charges(log).is_empty(), "{}", scene.state(log));
        log.clear();
        grow(&garden, log, 80);
    }
    complete(&mut scene, &logs, 40).await;
    assert!(logs.iter().all(|log| scene.charges(log).is_empty()));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs the check for frozen heads"]
async fn a_head_that_stands_still_beyond_the_mmd_is_reported() {
    let garden = Garden::new(HITS.len());
    let logs = [log(&garden, Api::Rfc6962).await, log(&garden, Api::StaticCt).await];
    let logs: Vec<&FaultyLog> = logs.iter().collect();
    let entries = logs.iter().map(|log| {
        let mut entry = log.list_entry();
        entry["mmd"] = serde_json::json!(8);
        entry
    });
    let list = log_list(entries);
    logs.iter().for_each(|log| log.freeze());
    let mut scene = Scene::on(&garden, &list);
    complete(&mut scene, &logs, 30).await;
    let frozen: Vec<Head> = logs.iter().map(|log| log.head()).collect();
    for (log, frozen) in logs.iter().zip(&frozen) {
        grow(&garden, log, 60);
        scene.wait(40, "the frozen head", |scene| scene.is_charged(log, "frozen")).await;
        assert!(is_kept(&scene, log, frozen, "verified"), "{:?}", scene.heads(log));
        log.clear();
    }
    complete(&mut scene, &logs, 40).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_entry_that_was_corrupt_once_is_read_again_in_its_right_form() {
    let garden = Garden::new(HITS.len());
    let mut logs = Vec::new();
    for api in BOTH {
        let log = log(&garden, api).await;
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
#[ignore = "needs sightings replaced when a range is read again"]
async fn a_hit_that_was_corrupt_once_is_found_in_its_right_form() {
    let garden = Garden::new(HITS.len());
    let mut logs = Vec::new();
    for api in BOTH {
        let log = log(&garden, api).await;
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
        let log = log(&garden, api).await;
        log.set(Fault::Corrupt(400), On::Entries(400..401));
        logs.push(log);
    }
    let logs: Vec<&FaultyLog> = logs.iter().collect();
    let mut scene = Scene::start(&garden, &logs);
    for log in &logs {
        scene.wait(30, "the charge", |scene| scene.is_charged(log, "root_mismatch") && scene.has_found_all(log)).await;
        assert!(is_kept(&scene, log, &log.head(), "mismatch"), "{:?}", scene.heads(log));
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
#[ignore = "needs error pages kept out of the entries of a log that does not verify"]
async fn noise_on_a_log_that_never_verifies_again_loses_nothing() {
    let garden = Garden::new(HITS.len());
    let mut logs = Vec::new();
    for api in BOTH {
        let log = log(&garden, api).await;
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

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs reading behind a tree head that cannot be believed"]
async fn a_log_whose_heads_are_never_good_is_still_read() {
    let garden = Garden::new(HITS.len());
    let mut logs = Vec::new();
    for api in BOTH {
        for fault in [Fault::BadSignature, Fault::Future(Span::from_days(2))] {
            let log = log(&garden, api).await;
            log.set(fault, On::Heads);
            logs.push(log);
        }
    }
    let logs: Vec<&FaultyLog> = logs.iter().collect();
    let mut scene = Scene::start(&garden, &logs);
    for log in &logs {
        scene.wait(40, "the hits", |scene| scene.has_found_all(log) && !scene.charges(log).is_empty()).await;
        two_looks(&mut scene, log).await;
        assert_eq!(scene.charges(log).len(), 1, "once, however often it is served: {}", scene.state(log));
        assert_eq!(scene.verified(log), 0);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs misbehaviour as a case of its own"]
async fn misbehaviour_is_told_by_mail_and_its_evidence_verifies() {
    let garden = Garden::new(HITS.len());
    let log = log(&garden, Api::StaticCt).await;
    let mut scene = Scene::start(&garden, &[&log]);
    complete(&mut scene, &[&log], 30).await;
    let honest = log.head();
    log.set(Fault::Fork { leaf: 77, size: None }, On::Heads);
    scene.wait(20, "the fork", |scene| scene.is_charged(&log, "fork")).await;
    scene.wait(20, "the mail", |scene| scene.bench.mails().values().any(|mail| mail.contains("log.fork"))).await;
    two_looks(&mut scene, &log).await;
    let mails = scene.bench.mails().values().filter(|mail| mail.contains("log.fork")).count();
    assert_eq!(mails, 1, "one mail, however often it is served");
    // Two signed heads of one size: proof enough for anybody who has the log's key.
    let charge = charge(&scene, &log, "fork");
    let heads = charge.evidence["tree_heads"].as_array().cloned().unwrap_or_default();
    let signatures: Vec<Vec<u8>> =
        heads.iter().filter_map(|head| from_base64(head["tree_head_signature"].as_str().unwrap_or_default())).collect();
    let forked = log.signed_heads().into_iter().find(|head| head.size == SIZE && head.root != honest.root);
    let forked = forked.expect("the other head");
    assert!(signatures.contains(&honest.signature) && signatures.contains(&forked.signature), "{}", charge.evidence);
}
