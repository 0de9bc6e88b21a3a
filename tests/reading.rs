//! What logs do without meaning harm: pages of any size, errors, tiles that vanish or break off, issuers that are gone.

mod support;

use std::collections::HashSet;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};

use ctwarden::demo::log::Api;
use ctwarden::pipeline::Until;
use support::issuer::{TestCa, leaf};
use support::proxy::Proxy;
use support::scene::*;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn short_pages_cut_pages_and_a_page_of_one_cost_no_entry() {
    let (log, ca) = (still(Api::Rfc6962).await, TestCa::new("Tests CA"));
    log.append(foreign(0..1030).chain([ours(&ca, 1)]).chain(foreign(1031..2050)));
    log.publish();
    // The first answer holds one entry, as when a backend lags.
    let first = AtomicBool::new(true);
    let proxy = Proxy::start(&log, move |path, answer| {
        if is_entries(path) && path.contains("start=0") && first.swap(false, Ordering::SeqCst) {
            let mut page: serde_json::Value = serde_json::from_slice(&answer.body).expect("a page");
            page["entries"].as_array_mut().expect("entries").truncate(1);
            answer.body = page.to_string().into_bytes();
        }
    })
    .await;
    let bench = bench(&proxy.list(&log, Api::Rfc6962), &ca, "");
    let metrics = caught_up(&bench).await.expect("all of it");
    assert_eq!(metric(&metrics, "ctwarden_entries_processed_total"), 2050.0, "each once");
    assert_eq!((bench.count("SELECT verified_size FROM logs"), bench.count(CERTIFICATE_CASES)), (2050, 1));
    let pages = proxy.asked().iter().filter(|path| is_entries(path)).count();
    assert!(pages < 80, "{pages} pages for 2,050 entries at 100 a page: one short answer must not be remembered");
    log.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_partial_tile_that_has_vanished_is_found_in_the_full_one() {
    let (log, ca) = (still(Api::StaticCt).await, TestCa::new("Tests CA"));
    log.append(foreign(0..299).chain([ours(&ca, 1)]));
    log.publish();
    let old = Mutex::new(None::<Vec<u8>>);
    let proxy = Proxy::start(&log, move |path, answer| {
        if path.contains(".p/") {
            answer.become_(404, "superseded");
        } else if path.contains("checkpoint") {
            answer.body = old.lock().expect("no panic").get_or_insert_with(|| answer.body.clone()).clone();
        }
    })
    .await;
    let bench = bench(&proxy.list(&log, Api::StaticCt), &ca, "");
    // The checkpoint is taken before the log grows.
    reqwest::get(format!("{}checkpoint", proxy.url())).await.expect("the proxy answers");
    log.append(foreign(300..600));
    log.publish();
    caught_up(&bench).await.expect("the full tile has them");
    assert_eq!((bench.count("SELECT verified_size FROM logs"), bench.count(CERTIFICATE_CASES)), (300, 1));
    assert_eq!(bench.count(MISBEHAVIOURS), 0);
    log.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn errors_error_pages_and_cut_answers_are_noise() {
    for api in BOTH {
        let (log, ca) = (still(api).await, TestCa::new("Tests CA"));
        log.append(foreign(0..299).chain([ours(&ca, 1)]));
        log.publish();
        // Each answer goes wrong the first three times, each time in another way.
        let seen = Mutex::new(std::collections::HashMap::<String, u32>::new());
        let proxy = Proxy::start(&log, move |path, answer| {
            let kind = if is_entries(path) { "entries" } else { path };
            let mut seen = seen.lock().expect("no panic");
            let count = seen.entry(kind.to_string()).or_default();
            *count += 1;
            match *count {
                1 => answer.become_(500, "<html>Internal Server Error</html>"),
                2 => answer.become_(200, "<html><body>We will be back soon</body></html>"),
                3 => answer.body.truncate(answer.body.len() / 2),
                _ => {}
            }
        })
        .await;
        let bench = bench(&proxy.list(&log, api), &ca, "");
        caught_up(&bench).await.expect("noise is waited out");
        assert_eq!(
            (bench.count("SELECT verified_size FROM logs"), bench.count(CERTIFICATE_CASES)),
            (300, 1),
            "{api:?}"
        );
        assert_eq!(bench.count(MISBEHAVIOURS), 0, "{api:?}: an error page convicts nobody");
        log.stop().await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_tile_that_breaks_off_is_said_and_its_entries_are_asked_for_until_they_come() {
    let (log, ca) = (still(Api::StaticCt).await, TestCa::new("Tests CA"));
    log.append(foreign(0..200).chain([ours(&ca, 1)]).chain(foreign(201..300)));
    log.publish();
    let cut = Arc::new(AtomicBool::new(true));
    let cutting = cut.clone();
    let proxy = Proxy::start(&log, move |path, answer| {
        if path.contains("tile/data/000") && cutting.load(Ordering::SeqCst) {
            answer.body.truncate(answer.body.len() / 2);
        }
    })
    .await;
    let bench = bench(&proxy.list(&log, Api::StaticCt), &ca, "");
    caught_up(&bench).await.expect("the rest is read");
    assert_eq!(bench.count("SELECT count(*) FROM misbehaviours WHERE kind = 'lost_entries'"), 1);
    assert_eq!((bench.count("SELECT verified_size FROM logs"), bench.count("SELECT count(*) FROM hits")), (300, 0));
    assert_eq!(bench.count("SELECT count(*) FROM gaps WHERE filled_at IS NULL"), 1);
    // Still cut: still a gap. Whole again: the hit in it is found.
    for (still_cut, hits) in [(true, 0), (false, 1)] {
        cut.store(still_cut, Ordering::SeqCst);
        bench.books().execute("UPDATE gaps SET next_try_at = 0", []).expect("time passes");
        let daemon = open(&bench).await;
        let (stop, stopped) = tokio::sync::oneshot::channel::<()>();
        let running = tokio::spawn(daemon.run(Until::Stopped, async { drop(stopped.await) }));
        wait_for("the gap is asked for", || bench.count("SELECT next_try_at FROM gaps") > 0).await;
        drop(stop);
        running.await.expect("no panic").expect("told to stop");
        assert_eq!(bench.count("SELECT count(*) FROM hits"), hits);
        assert_eq!(bench.count("SELECT count(*) FROM gaps WHERE filled_at IS NOT NULL"), hits);
    }
    log.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_certificate_in_two_logs_in_both_forms_is_one_hit_one_case_and_one_mail() {
    let (rfc, tiled, ca) = (still(Api::Rfc6962).await, still(Api::StaticCt).await, TestCa::new("Tests CA"));
    let spec = leaf(7, "www.a.bizkaia.euskalsarea");
    for log in [&rfc, &tiled] {
        log.append([ca.precert_entry(&spec, now())]);
        log.publish();
    }
    let list = ctwarden::demo::log::log_list(&[&rfc, &tiled], now()).to_string();
    let bench = bench(&list, &ca, "");
    let metrics = caught_up(&bench).await.expect("both");
    let hits = "ctwarden_hits_total{issuer=\"Tests CA\",kind=\"precertificate\"}";
    assert_eq!(metric(&metrics, hits), 1.0, "the same one in several logs counts once");
    assert_eq!((bench.count("SELECT count(*) FROM hits"), bench.count("SELECT count(*) FROM sightings")), (1, 2));
    for log in [&rfc, &tiled] {
        log.append([ca.entry(&spec, now())]);
        log.publish();
    }
    caught_up(&bench).await.expect("both again");
    assert_eq!((bench.count("SELECT count(*) FROM hits"), bench.count("SELECT count(*) FROM sightings")), (1, 4));
    assert_eq!(bench.count(CERTIFICATE_CASES), 1);
    // The certificate may break rules that its precertificate cannot; what was said once is not said again.
    let idle = "SELECT count(*) FROM case_events AS e WHERE NOT EXISTS
        (SELECT 1 FROM case_findings AS f WHERE f.case_number = e.case_number AND f.event_number = e.event_number)";
    assert_eq!(bench.count(idle), 0, "every event says something new");
    assert_eq!(bench.mails().len() as i64, bench.count("SELECT sum(events) FROM cases"), "one mail for each");
    caught_up(&bench).await.expect("nothing new");
    assert_eq!(bench.count("SELECT sum(events) <= 2 FROM cases"), 1, "no log and no form says it twice");
    rfc.stop().await;
    tiled.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_entry_is_a_hit_when_asked_for_and_issuers_come_from_the_log_or_not() {
    let (ca, others) = (TestCa::new("Tests CA"), ["Known", "Gone", "Exchanged"].map(TestCa::new));
    for api in BOTH {
        let log = still(api).await;
        log.append(others.iter().flat_map(|other| (0..20).map(|n| other.entry(&leaf(n, "www.a.eus"), now()))));
        log.append([ours(&ca, 1), ca.entry(&leaf(2, "www.b.eus"), now())]);
        log.publish();
        let fingerprint = |ca: &TestCa| hex::encode(ctwarden::ct::sha256(&[&ca.der()]));
        let (gone, exchanged, wrong) = (fingerprint(&others[1]), fingerprint(&others[2]), ca.der());
        let proxy = Proxy::start(&log, move |path, answer| {
            if path.contains(&gone) {
                answer.become_(404, "gone");
            } else if path.contains(&exchanged) {
                answer.body = wrong.clone();
            }
        })
        .await;
        let bench = bench(&proxy.list(&log, api), &ca, "[watch]\nall_issuers = true\n");
        caught_up(&bench).await.expect("all of it");
        let standing = |word: &str| bench.count(&format!("SELECT count(*) FROM hits WHERE standing = '{word}'"));
        assert_eq!((standing("ours"), standing("trial")), (2, 60), "{api:?}");
        let known = |ca: &TestCa| {
            let key = ca.key_hash();
            bench.count(&format!("SELECT count(*) FROM hits WHERE lower(hex(issuer_key_hash)) = '{key}'"))
        };
        // get-entries sends the chain itself, whatever issuer/ would say.
        let fetched = if api == Api::Rfc6962 { [20, 20, 20, 2] } else { [20, 0, 0, 2] };
        assert_eq!([&others[0], &others[1], &others[2], &ca].map(known), fetched, "{api:?}");
        assert_eq!(bench.count("SELECT count(*) FROM case_findings WHERE rule = 'serial.unique'"), 0, "{api:?}");
        let asked: Vec<String> = proxy.asked().into_iter().filter(|path| path.contains("issuer/")).collect();
        let distinct: HashSet<&String> = asked.iter().collect();
        assert!(
            asked.len() <= distinct.len() + 2,
            "{}: an issuer that is gone is not asked for each time",
            asked.len()
        );
        log.stop().await;
    }
}
