//! Faults that are nobody's crime: answers that are late, short, broken or refused.

use std::time::Duration;

use ctwarden::clock::Clock;
use ctwarden::tail::{Caps, Fetcher, Urgency};

use crate::support::faulty::plant::Garden;
use crate::support::faulty::scene::Scene;
use crate::support::faulty::{Again, Api, Fault, FaultyLog, On, log_list};
use crate::{BOTH, HITS, SIZE, complete, grow, start};

/// Entries of the second tile.
const SECOND: On = On::Entries(256..512);

/// Follows one log for each fault, all in one process, until everything is found and proven. No log is charged with
/// anything and no entry is called malformed.
async fn survive(faults: Vec<(Api, u32, Fault, On)>) {
    let garden = Garden::new(HITS.len());
    let mut logs = Vec::new();
    for (api, times, fault, on) in &faults {
        let log = start(&garden, *api).await;
        log.set_times(*times, fault.clone(), on.clone());
        logs.push(log);
    }
    let logs: Vec<&FaultyLog> = logs.iter().collect();
    let mut scene = Scene::start(&garden, &logs);
    complete(&mut scene, &logs, 50).await;
    for (log, (_, _, fault, on)) in logs.iter().zip(&faults) {
        assert!(log.is_spent(), "{fault:?} on {on:?} never happened");
        assert!(scene.charges(log).is_empty(), "{fault:?} on {on:?}: {}", scene.state(log));
        assert!(scene.malformed(log).is_empty(), "{fault:?} on {on:?}: {}", scene.state(log));
    }
}

fn on_both(times: u32, fault: Fault, on: On) -> Vec<(Api, u32, Fault, On)> {
    BOTH.into_iter().map(|api| (api, times, fault.clone(), on.clone())).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn statuses_and_broken_bodies_are_asked_for_again() {
    let faults = [
        on_both(2, Fault::Status(500), SECOND),
        on_both(1, Fault::Status(502), On::Heads),
        on_both(1, Fault::Status(404), SECOND),
        on_both(2, Fault::Cut, SECOND),
        on_both(1, Fault::Cut, On::Heads),
        on_both(1, Fault::SaysGzip, SECOND),
        on_both(1, Fault::SaysBrotli, SECOND),
        on_both(1, Fault::SaysGzip, On::Heads),
        on_both(1, Fault::Bomb(8), On::Heads),
        on_both(1, Fault::Bomb(200), SECOND),
    ];
    survive(faults.concat()).await;
}

/// Which of its two ways serves an entry makes no difference to what is proven, so that one is enough.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_get_entries_log_that_has_tiles_too_is_read_by_get_entries() {
    let garden = Garden::new(HITS.len());
    let log = start(&garden, Api::Rfc6962).await;
    let mut scene = Scene::start(&garden, &[&log]);
    complete(&mut scene, &[&log], 40).await;
    let asked: Vec<String> = log.requests().into_iter().map(|request| request.path).collect();
    assert!(asked.iter().any(|path| path.starts_with("ct/v1/get-entries")), "{asked:?}");
    assert!(asked.iter().all(|path| path.starts_with("ct/v1/")), "{asked:?}");
    assert!(scene.charges(&log).is_empty(), "{}", scene.state(&log));
    let url = log.list_entry()["url"].as_str().expect("its URL").to_string();
    let fetcher = Fetcher::new("pki-team@ca-tests.eus", Clock::System).expect("a client");
    let tile = fetcher.get(&format!("{url}tile/data/000"), Caps::ENTRIES, Urgency::Head).await;
    assert!(tile.is_ok_and(|tile| !tile.is_empty()), "it does have tiles");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn pages_of_any_length_are_taken_as_they_come() {
    let pages = |most, aligned| Fault::Pages { most, aligned };
    let all = On::Entries(0..SIZE);
    let garden = Garden::new(HITS.len());
    let short = start(&garden, Api::Rfc6962).await;
    short.set(pages(33, false), all.clone());
    let aligned = start(&garden, Api::Rfc6962).await;
    aligned.set(pages(64, true), all.clone());
    let single = start(&garden, Api::Rfc6962).await;
    single.set(pages(1, false), On::Entries(250..260));
    let changing = start(&garden, Api::Rfc6962).await;
    for most in [100, 7, 256, 50] {
        changing.set_times(1, pages(most, most % 2 == 0), all.clone());
    }
    let more = start(&garden, Api::Rfc6962).await;
    more.set(Fault::More(40), all.clone());
    let empty = start(&garden, Api::Rfc6962).await;
    empty.set_times(2, Fault::Empty, SECOND);
    let longer = start(&garden, Api::StaticCt).await;
    longer.set_times(3, Fault::TileLength(5), all.clone());
    let logs = [&short, &aligned, &single, &changing, &more, &empty, &longer];
    let mut scene = Scene::start(&garden, &logs);
    complete(&mut scene, &logs, 40).await;
    // The head moves on from the middle of a page.
    logs.iter().for_each(|log| grow(&garden, log, 333));
    complete(&mut scene, &logs, 40).await;
    for log in logs {
        assert!(log.is_spent(), "{}", scene.state(log));
        assert!(scene.charges(log).is_empty() && scene.malformed(log).is_empty(), "{}", scene.state(log));
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_slow_log_is_read_and_delays_no_other() {
    let garden = Garden::new(HITS.len());
    let (late, slow) = (Duration::from_secs(4), Duration::from_secs(6));
    let mut sluggish = Vec::new();
    for api in BOTH {
        for fault in [Fault::SlowFirstByte(late), Fault::SlowBody(slow)] {
            let log = start(&garden, api).await;
            log.set_times(1, fault.clone(), On::Heads);
            log.set_times(1, fault, SECOND);
            sluggish.push(log);
        }
    }
    let quick = [start(&garden, Api::Rfc6962).await, start(&garden, Api::StaticCt).await];
    let logs: Vec<&FaultyLog> = sluggish.iter().chain(&quick).collect();
    let mut scene = Scene::start(&garden, &logs);
    complete(&mut scene, &logs, 40).await;
    let at = |log: &FaultyLog| scene.proven_at(log).expect("proven");
    let last_quick = quick.iter().map(&at).max().expect("two");
    let first_slow = sluggish.iter().map(&at).min().expect("four");
    assert!(last_quick + 4000 < first_slow, "quick logs were proven at {last_quick}, slow ones at {first_slow}");
    for log in logs {
        assert!(log.is_spent() && scene.charges(log).is_empty(), "{}", scene.state(log));
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_host_that_asks_for_less_is_left_alone_and_no_other() {
    let garden = Garden::new(HITS.len());
    // Each form of Retry-After on a host of its own, with the least pause that it asks for, in milliseconds.
    let forms = [
        (Again::Unsaid, "127.0.0.21", 800),
        (Again::Seconds(4), "127.0.0.22", 4000),
        (Again::Gmt(4), "127.0.0.23", 4000),
        (Again::Utc(4), "127.0.0.24", 4000),
    ];
    let mut limited = Vec::new();
    for (number, (again, host, _)) in forms.iter().enumerate() {
        let log = FaultyLog::start_on(BOTH[number % 2], host).await;
        log.append(garden.entries(0, SIZE, &HITS));
        log.publish();
        log.set_times(1, Fault::TooMany(*again), On::Entries(0..SIZE));
        limited.push(log);
    }
    let free = start(&garden, Api::StaticCt).await;
    let logs: Vec<&FaultyLog> = limited.iter().chain([&free]).collect();
    let mut scene = Scene::start(&garden, &logs);
    complete(&mut scene, &logs, 40).await;
    for (log, (again, _, least)) in limited.iter().zip(&forms) {
        let requests = log.requests();
        let refused = requests.iter().position(|request| request.status == 429).expect("one 429");
        let at = requests[refused].at;
        // Requests that were under way together with the refused one may still arrive.
        let next = requests.iter().map(|request| request.at.since(at).millis()).find(|after| *after > 500);
        let next = next.expect("it was asked again");
        assert!(next >= *least, "{again:?}: asked again after {next} ms");
        assert!(next < least + 9000, "{again:?}: asked again only after {next} ms");
        assert!(scene.charges(log).is_empty(), "{}", scene.state(log));
        assert!(scene.proven_at(&free) < scene.proven_at(log), "{again:?} delayed another host");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_partial_tile_that_is_gone_is_read_from_the_full_one() {
    let garden = Garden::new(HITS.len());
    let log = start(&garden, Api::StaticCt).await;
    log.set(Fault::NoPartial, On::All);
    let mut scene = Scene::start(&garden, &[&log]);
    // As long as the full tile does not exist there is nothing to be read from it, and that is no misbehaviour.
    scene.wait(20, "the full tiles", |scene| scene.downloaded(&log) == 512).await;
    grow(&garden, &log, 68);
    assert_eq!(log.head().size, 768);
    complete(&mut scene, &[&log], 40).await;
    assert!(scene.charges(&log).is_empty() && scene.malformed(&log).is_empty(), "{}", scene.state(&log));
    let full = log.requests().iter().filter(|request| request.path == "tile/data/002").count();
    assert!(full >= 1, "the full tile was never asked for");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn error_pages_and_other_rubbish_are_noise_and_no_entries() {
    let faults = [
        on_both(1, Fault::Html, SECOND),
        on_both(1, Fault::Html, On::Heads),
        on_both(1, Fault::GzipUnsaid, SECOND),
        on_both(1, Fault::GzipUnsaid, On::Heads),
        vec![(Api::StaticCt, 2, Fault::Empty, SECOND), (Api::StaticCt, 2, Fault::TileLength(-1), SECOND)],
    ];
    survive(faults.concat()).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_gzip_body_of_several_members_is_one_body() {
    survive([on_both(1, Fault::Members, SECOND), on_both(1, Fault::Members, On::Heads)].concat()).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_log_that_catches_up_says_how_far_it_is() {
    let garden = Garden::new(HITS.len());
    let log = FaultyLog::start(Api::Rfc6962).await;
    let size = 18_000;
    log.append(garden.entries(0, size, &HITS));
    log.publish();
    let mut scene = Scene::still(&garden, &log_list([log.list_entry()]));
    // At four pages of 256 a second it takes more than a quarter of a minute.
    let config = std::fs::read_to_string(scene.bench.path("ctwarden.toml")).expect("the configuration");
    let limit = format!("[[logs.override]]\nlog_id = \"{}\"\nrate = \"4/s\"\n", log.log_id());
    scene.bench.write("ctwarden.toml", &format!("{config}\n{limit}"));
    scene.go_on();
    let line = |scene: &Scene| scene.said().lines().find(|line| line.contains("catching up")).map(str::to_string);
    scene.wait(60, "the line", |scene| line(scene).is_some()).await;
    let line = line(&scene).expect("it was there");
    let field = |name: &str| {
        let found = line.split_once(&format!(" {name}=")).map(|(_, rest)| rest.to_string());
        found.unwrap_or_else(|| panic!("no {name} in {line}"))
    };
    let number = |name: &str| {
        let text = field(name);
        let end = text.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(text.len());
        text[..end].parse::<f64>().unwrap_or_else(|_| panic!("{name} in {line}"))
    };
    let (done, left, rate) = (number("done"), number("left"), number("entries_per_second"));
    assert!(line.contains(&format!("log=\"{}\"", log.name())), "{line}");
    assert!(done + left == size as f64 && done > 0.0 && left > 0.0, "{line}");
    assert!(rate > 0.0 && rate < size as f64, "{line}");
    // Nothing grows here, so that what is left takes as long as the rate says.
    let seconds = (left / rate).round();
    let told = field("time_left");
    assert!(told.starts_with(|c: char| c.is_ascii_digit()), "{line}");
    assert!(seconds >= 59.0 || told.contains('s') && !told.starts_with("0s"), "{seconds} s: {line}");
    complete(&mut scene, &[&log], 60).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_backend_that_lags_behind_its_own_head_is_waited_for() {
    let garden = Garden::new(HITS.len());
    let log = start(&garden, Api::Rfc6962).await;
    // "need tree size: N to get leaves but only got: M": the entries behind 512 are not there yet.
    log.set(Fault::Status(400), On::Entries(512..SIZE));
    let mut scene = Scene::start(&garden, &[&log]);
    let refused = || log.requests().iter().filter(|request| request.status == 400).count();
    scene.wait(60, "what is there", |scene| scene.downloaded(&log) == 512).await;
    let before = refused();
    scene.wait(120, "many tries", |_| refused() > before + 12).await;
    assert_eq!(scene.downloaded(&log), 512, "{}", scene.state(&log));
    log.clear();
    grow(&garden, &log, 100);
    complete(&mut scene, &[&log], 60).await;
    assert!(scene.charges(&log).is_empty() && scene.gaps(&log).is_empty(), "{}", scene.state(&log));
}
