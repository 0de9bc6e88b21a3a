//! Entries that a log must not have, and entries that it does not give.

use crate::support::faulty::plant::{Entry, Garden, Oddity, core_sha256, foreign, largest};
use crate::support::faulty::scene::Scene;
use crate::support::faulty::{Api, Fault, FaultyLog, On};
use ctwarden::ct::to_base64;
use ctwarden::demo::log::RawKind;

use crate::{BOTH, HITS, SIZE, complete, grow, start};

/// Where the odd entry stands: in the middle of the second tile, between two hits.
const ODD: u64 = 400;

/// The usual log with another entry at [`ODD`].
async fn with(garden: &Garden, api: Api, odd: Entry) -> FaultyLog {
    let log = FaultyLog::start(api).await;
    let mut entries = garden.entries(0, SIZE, &HITS);
    entries[ODD as usize] = odd;
    log.append(entries);
    log.publish();
    log
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn odd_entries_that_can_be_read_are_entries() {
    let garden = Garden::new(HITS.len());
    let mut logs = Vec::new();
    for api in BOTH {
        logs.push(with(&garden, api, foreign(1).odd(Oddity::UnknownExtension)).await);
        logs.push(with(&garden, api, garden.hit(1).odd(Oddity::UnknownExtension)).await);
        logs.push(with(&garden, api, garden.hit_with_strange_chain(2)).await);
    }
    let logs: Vec<&FaultyLog> = logs.iter().collect();
    let mut scene = Scene::start(&garden, &logs);
    complete(&mut scene, &logs, 30).await;
    for (at, log) in logs.iter().enumerate() {
        assert!(scene.malformed(log).is_empty(), "{}", scene.state(log));
        assert!([2, 5].contains(&at) || scene.charges(log).is_empty(), "{}", scene.state(log));
    }
    // What stands outside of the tree is not believed: the entry is the certificate of its leaf.
    for log in [logs[2], logs[5]] {
        assert_eq!(scene.found(log, ODD), [core_sha256(&garden.hit(2))], "{}", scene.state(log));
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_chain_that_does_not_match_is_misbehaviour_and_told_once() {
    let garden = Garden::new(HITS.len());
    let mut logs = Vec::new();
    for api in BOTH {
        let log = FaultyLog::start(api).await;
        let mut entries = garden.entries(0, SIZE, &HITS);
        for (number, odd) in [(2, 300), (4, ODD), (6, 600)] {
            entries[odd as usize] = garden.hit_with_strange_chain(number);
        }
        log.append(entries);
        log.publish();
        logs.push(log);
    }
    let logs: Vec<&FaultyLog> = logs.iter().collect();
    let mut scene = Scene::start(&garden, &logs);
    complete(&mut scene, &logs, 30).await;
    for log in &logs {
        scene.wait(20, "the charge", |scene| scene.is_charged(log, "extra_data")).await;
        // A third party sees in the file that the two do not belong together.
        let charge = scene.charges(log).remove(0);
        scene.bench.write("evidence.json", &charge.evidence.to_string());
        let path = scene.bench.path("evidence.json");
        let verified = scene.bench.run(&["evidence", "verify", path.to_str().expect("a path")]);
        let text = String::from_utf8_lossy(&verified.stdout).into_owned();
        assert_eq!(verified.status.code(), Some(1), "{text}");
        assert!(text.contains("that the log served them together is stated"), "{text}");
        let mut innocent = charge.evidence;
        let index = innocent["more"]["index"].as_u64().expect("an index");
        let number = [(300, 2), (ODD, 4), (600, 6)].iter().find(|(at, _)| *at == index).expect("odd").1;
        let true_one = garden.hit(number);
        if let RawKind::Precert { pre_certificate, .. } = &true_one.raw.kind {
            innocent["more"]["precertificate"] = to_base64(pre_certificate).into();
            innocent["more"]["chain_first"] = to_base64(&true_one.raw.chain[0]).into();
        }
        scene.bench.write("evidence.json", &innocent.to_string());
        let verified = scene.bench.run(&["evidence", "verify", path.to_str().expect("a path")]);
        assert_eq!(verified.status.code(), Some(3), "a file whose bytes belong together accuses nobody");
    }
    // One case a log, however many entries.
    assert_eq!(
        scene.bench.count("SELECT count(DISTINCT case_number) FROM case_findings WHERE rule = 'log.extra_data'"),
        2
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_chain_that_begins_with_another_key_is_misbehaviour() {
    let garden = Garden::new(HITS.len());
    let mut logs = Vec::new();
    for api in BOTH {
        let mut odd = garden.hit(2);
        odd.raw.chain = vec![garden.ca.root_der().to_vec()];
        logs.push(with(&garden, api, odd).await);
    }
    let logs: Vec<&FaultyLog> = logs.iter().collect();
    let mut scene = Scene::start(&garden, &logs);
    complete(&mut scene, &logs, 30).await;
    for log in logs {
        scene.wait(20, "the charge", |scene| scene.is_charged(log, "extra_data")).await;
        let charge = scene.charges(log).remove(0);
        assert!(charge.detail.contains("does not hash to issuer_key_hash"), "{}", scene.state(log));
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_largest_entry_is_read_and_pages_that_are_too_large_are_halved() {
    let garden = Garden::new(HITS.len());
    let one = with(&garden, Api::StaticCt, largest()).await;
    // Three of them are more than any response may have, 64 MiB: in base64 they are 67 MB.
    let three = start(&garden, Api::Rfc6962).await;
    let mut entries = vec![largest(); 3];
    entries.insert(1, garden.hit(5));
    entries.push(garden.hit(6));
    three.append(entries);
    three.publish();
    let logs = [&one, &three];
    let mut scene = Scene::start(&garden, &logs);
    complete(&mut scene, &logs, 60).await;
    for log in logs {
        assert!(scene.charges(log).is_empty() && scene.malformed(log).is_empty(), "{}", scene.state(log));
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_entry_that_cannot_be_read_hides_no_other() {
    let garden = Garden::new(HITS.len());
    let mut logs = Vec::new();
    for oddity in [Oddity::UnknownType, Oddity::Unparsable] {
        logs.push(with(&garden, Api::Rfc6962, foreign(1).odd(oddity)).await);
    }
    let pages: Vec<&FaultyLog> = logs.iter().collect();
    let mut scene = Scene::start(&garden, &pages);
    // A page says where each entry begins, and the hash of one that cannot be read is as good as any.
    complete(&mut scene, &pages, 30).await;
    for log in pages {
        assert_eq!(scene.malformed(log), [ODD], "{}", scene.state(log));
        assert!(scene.charges(log).is_empty(), "{}", scene.state(log));
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_tile_that_breaks_off_hides_no_other_tile() {
    let garden = Garden::new(HITS.len());
    let mut logs = Vec::new();
    for oddity in [Oddity::UnknownType, Oddity::Unparsable] {
        logs.push(with(&garden, Api::StaticCt, foreign(1).odd(oddity)).await);
    }
    let logs: Vec<&FaultyLog> = logs.iter().collect();
    let mut scene = Scene::start(&garden, &logs);
    let elsewhere = |scene: &Scene, log: &FaultyLog| {
        let found = scene.sightings(log);
        log.planted().iter().filter(|at| !(ODD..512).contains(*at)).all(|at| found.contains(at))
    };
    for log in &logs {
        scene.wait(30, "the hits of the other tiles", |scene| elsewhere(scene, log)).await;
        scene.wait(30, "the record of the odd entry", |scene| scene.malformed(log).contains(&ODD)).await;
        // The log goes on behind it.
        grow(&garden, log, 300);
    }
    for log in &logs {
        scene.wait(30, "the hits behind", |scene| elsewhere(scene, log)).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_tile_that_breaks_off_is_proven_and_searched_to_its_end() {
    let garden = Garden::new(HITS.len());
    let mut logs = Vec::new();
    for oddity in [Oddity::UnknownType, Oddity::Unparsable] {
        logs.push(with(&garden, Api::StaticCt, foreign(1).odd(oddity)).await);
    }
    let logs: Vec<&FaultyLog> = logs.iter().collect();
    let mut scene = Scene::start(&garden, &logs);
    for log in &logs {
        scene.wait(30, "the proof from hash tiles", |scene| scene.verified(log) == SIZE).await;
        assert!(!scene.is_charged(log, "root_mismatch"), "{}", scene.state(log));
    }
    // The hash tiles say what the leaves behind the break are, so that they can be found in the bytes.
    complete(&mut scene, &logs, 30).await;
    for log in logs {
        assert_eq!(scene.malformed(log), [ODD], "{}", scene.state(log));
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_entry_that_states_another_index_is_kept_and_read() {
    let garden = Garden::new(HITS.len());
    let log = with(&garden, Api::StaticCt, garden.hit(0).odd(Oddity::WrongIndex)).await;
    let mut scene = Scene::start(&garden, &[&log]);
    complete(&mut scene, &[&log], 30).await;
    assert_eq!(scene.malformed(&log), [ODD], "{}", scene.state(&log));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_entry_that_states_another_index_is_misbehaviour() {
    let garden = Garden::new(HITS.len());
    let log = with(&garden, Api::StaticCt, garden.hit(0).odd(Oddity::WrongIndex)).await;
    let mut scene = Scene::start(&garden, &[&log]);
    complete(&mut scene, &[&log], 30).await;
    scene.wait(10, "the charge", |scene| scene.is_charged(&log, "leaf_index")).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_issuer_that_does_not_hash_to_its_name_is_not_believed() {
    let garden = Garden::new(HITS.len());
    let imposter = garden.imposter();
    let mut logs = Vec::new();
    for fault in [Fault::WrongIssuer, Fault::Status(404), Fault::Html] {
        let log = with(&garden, Api::StaticCt, imposter.clone()).await;
        log.set(fault, On::Issuers);
        logs.push(log);
    }
    let logs: Vec<&FaultyLog> = logs.iter().collect();
    let mut scene = Scene::start(&garden, &logs);
    // Without its issuer the imposter is found all the same, and all that stands behind it.
    complete(&mut scene, &logs, 40).await;
    for (at, log) in logs.iter().enumerate() {
        assert!(log.requests().iter().any(|request| request.path.starts_with("issuer/")), "{}", scene.state(log));
        // Another certificate than the name says is the log's doing; an error or an error page may be anybody's.
        if at == 0 {
            scene.wait(20, "the charge", |scene| scene.is_charged(log, "extra_data")).await;
        } else {
            assert!(scene.charges(log).is_empty(), "{}", scene.state(log));
        }
    }
    assert_eq!(scene.bench.count("SELECT count(*) FROM hits WHERE standing = 'imposter'"), 1);
    let by = "SELECT count(*) FROM hits WHERE standing = 'imposter' AND issuer_key_hash <> zeroblob(32)";
    assert_eq!(scene.bench.count(by), 0, "a key that no certificate shows is not put down as its issuer's");
}

/// Follows logs that do not give the entries of their second tile; then they do.
async fn lost(faults: Vec<(Api, Fault)>) {
    let garden = Garden::new(HITS.len());
    let mut logs = Vec::new();
    for (api, fault) in faults {
        let log = start(&garden, api).await;
        log.set(fault, On::Entries(256..512));
        logs.push(log);
    }
    let logs: Vec<&FaultyLog> = logs.iter().collect();
    let mut scene = Scene::start(&garden, &logs);
    let elsewhere = |scene: &Scene, log: &FaultyLog| {
        let found = scene.sightings(log);
        log.planted().iter().filter(|at| !(256..512).contains(*at)).all(|at| found.contains(at))
    };
    for log in &logs {
        scene.wait(150, "the charge", |scene| scene.is_charged(log, "lost_entries")).await;
        scene.wait(30, "the hits behind", |scene| elsewhere(scene, log)).await;
    }
    logs.iter().for_each(|log| grow(&garden, log, 300));
    for log in &logs {
        scene.wait(40, "the hits of later entries", |scene| elsewhere(scene, log)).await;
    }
    // It is asked for again, for ever; here the next time is brought forward.
    scene.kill();
    logs.iter().for_each(|log| log.clear());
    scene.bench.books().execute("UPDATE gaps SET next_try_at = 0", []).expect("gaps");
    scene.go_on();
    for log in &logs {
        scene.wait(40, "the hits that were lost", |scene| scene.has_found_all(log)).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_full_tile_that_is_lost_is_reported_passed_over_and_asked_for_again() {
    lost(vec![(Api::StaticCt, Fault::Status(404)), (Api::StaticCt, Fault::Status(410))]).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_tile_behind_a_server_error_that_stays_is_passed_over() {
    lost(vec![(Api::StaticCt, Fault::Status(500)), (Api::StaticCt, Fault::Cut)]).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_tile_of_the_wrong_length_is_reported_and_passed_over() {
    lost(vec![(Api::StaticCt, Fault::TileLength(-56)), (Api::StaticCt, Fault::Empty)]).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_page_that_is_lost_is_reported_and_passed_over() {
    lost(vec![(Api::Rfc6962, Fault::Status(500)), (Api::Rfc6962, Fault::Empty)]).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_new_is_proven_behind_entries_that_are_lost_and_all_of_it_when_they_are_served_again() {
    let garden = Garden::new(HITS.len());
    let mut logs = Vec::new();
    // Hits stand at both ends of what is lost, and before and behind it in the same page.
    let (first, end) = (300, 303);
    for fault in [Fault::Status(500), Fault::Html] {
        let log = start(&garden, Api::Rfc6962).await;
        log.set(fault, On::Entries(first..end));
        logs.push(log);
    }
    // A static log that has lost the hashes as well.
    let tiles = start(&garden, Api::StaticCt).await;
    tiles.set(Fault::Status(404), On::Entries(256..512));
    tiles.set(Fault::Status(404), On::Hashes(256..512));
    logs.push(tiles);
    let logs: Vec<&FaultyLog> = logs.iter().collect();
    let range = |log: &FaultyLog| if log.api() == Api::Rfc6962 { first..end } else { 256..512 };
    let mut scene = Scene::start(&garden, &logs);
    let elsewhere = |scene: &Scene, log: &FaultyLog| {
        let found = scene.sightings(log);
        log.planted().iter().filter(|at| !range(log).contains(*at)).all(|at| found.contains(at))
    };
    for log in &logs {
        scene.wait(150, "the charge", |scene| scene.is_charged(log, "lost_entries")).await;
        scene.wait(30, "the hits behind", |scene| elsewhere(scene, log)).await;
        assert_eq!(
            scene.gaps(log),
            [(range(log).start, range(log).end)],
            "no more than what is lost: {}",
            scene.state(log)
        );
    }
    // Killed in the middle, with more to come.
    scene.kill();
    logs.iter().for_each(|log| grow(&garden, log, 300));
    scene.go_on();
    for log in &logs {
        scene.wait(60, "the hits of later entries", |scene| elsewhere(scene, log)).await;
        scene.wait(90, "the proof of later entries", |scene| scene.verified(log) == log.head().size).await;
        assert_eq!(scene.charges(log).len(), 1, "lost, and nothing else: {}", scene.state(log));
        assert!(!scene.has_found_all(log) && !scene.is_whole(log), "{}", scene.state(log));
    }
    let shown = String::from_utf8(scene.bench.run(&["logs"]).stdout).expect("text");
    assert!(shown.contains("entry 300 is one of them") && shown.contains("entry 256 is one of them"), "{shown}");
    // They come back. Here the next time they are asked for is brought forward.
    scene.kill();
    logs.iter().for_each(|log| log.clear());
    scene.bench.books().execute("UPDATE gaps SET next_try_at = 0", []).expect("gaps");
    scene.go_on();
    complete(&mut scene, &logs, 60).await;
    for log in &logs {
        scene.wait(30, "one position", |scene| scene.is_whole(log)).await;
        assert_eq!(scene.charges(log).len(), 1, "{}", scene.state(log));
        assert!(scene.gaps(log).is_empty(), "{}", scene.state(log));
    }
    let said = "SELECT count(*) FROM case_findings WHERE rule = 'log.lost_entries' AND finding LIKE '%served again%'";
    assert_eq!(scene.bench.count(said), 3, "their cases say so");
    let doubted = "SELECT count(*) FROM sightings WHERE doubted = 1";
    assert_eq!(scene.bench.count(doubted), 0, "what was seen was confirmed by the second reading");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_log_that_is_down_altogether_has_lost_nothing() {
    let garden = Garden::new(HITS.len());
    let mut logs = Vec::new();
    for api in BOTH {
        let log = start(&garden, api).await;
        log.set(Fault::Status(500), On::Entries(256..SIZE + 300));
        logs.push(log);
    }
    let logs: Vec<&FaultyLog> = logs.iter().collect();
    let mut scene = Scene::start(&garden, &logs);
    // Long enough for every try that a lost entry would have had.
    let asked = |log: &FaultyLog| log.requests().iter().filter(|request| request.status == 500).count();
    for log in &logs {
        scene.wait(150, "many tries", |_| asked(log) > 16).await;
        assert!(scene.charges(log).is_empty() && scene.gaps(log).is_empty(), "{}", scene.state(log));
        assert_eq!(scene.downloaded(log), 256, "{}", scene.state(log));
        log.clear();
        grow(&garden, log, 300);
    }
    complete(&mut scene, &logs, 60).await;
    assert!(logs.iter().all(|log| scene.charges(log).is_empty() && scene.gaps(log).is_empty()));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn single_entries_that_are_lost_cost_no_other_entry_and_few_requests() {
    let garden = Garden::new(HITS.len());
    let log = start(&garden, Api::Rfc6962).await;
    // A hit among them, the one before it, the last of a page, and the last that the log has.
    let lost = [299, 300, 310, 511, 699];
    lost.iter().for_each(|at| log.set(Fault::Status(500), On::Entries(*at..at + 1)));
    let mut scene = Scene::start(&garden, &[&log]);
    let elsewhere = |scene: &Scene| {
        let found = scene.sightings(&log);
        log.planted().iter().filter(|at| !lost.contains(at)).all(|at| found.contains(at))
    };
    scene.wait(200, "all that is served", elsewhere).await;
    // Nothing stands behind the last one yet that would show that it is lost.
    assert_eq!(scene.gaps(&log), [(299, 301), (310, 311), (511, 512)], "{}", scene.state(&log));
    let asked = log.requests().iter().filter(|request| request.path.starts_with("ct/v1/get-entries")).count();
    assert!(asked < 200, "{asked} requests for 700 entries");
    grow(&garden, &log, 60);
    scene.wait(120, "the hits behind the last one", elsewhere).await;
    scene.wait(30, "the last one", |scene| scene.gaps(&log).contains(&(699, 700))).await;
    assert!(scene.charges(&log).iter().all(|charge| charge.kind == "lost_entries"), "{}", scene.state(&log));
}
