//! How fast logs are asked, as an operator sees it: the pace of a host that asked for less, a log that cannot be kept up
//! with, and the addresses from which a host is asked.

mod support;

use std::collections::BTreeMap;
use std::net::{IpAddr, SocketAddr};
use std::sync::{Arc, Mutex, PoisonError};

use axum::extract::ConnectInfo;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use ctwarden::clock::Clock;
use ctwarden::tail::{Caps, Fetcher, Urgency};
use support::daemon::Daemon;
use support::faulty::plant::Garden;
use support::faulty::{Again, Api, Fault, FaultyLog, On, log_list};
use support::monitor::{Bench, printed, said};

async fn log_with_entries(garden: &Garden) -> FaultyLog {
    let log = FaultyLog::start(Api::Rfc6962).await;
    log.append(garden.entries(0, 300, &[7]));
    log.publish();
    log
}

fn bench(garden: &Garden, log: &FaultyLog) -> Bench {
    let bench = Bench::with_list(&log_list([log.list_entry()]), &garden.issuers(), "");
    bench.write("issuing.pem", &garden.ca.issuing_pem());
    bench
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_pace_of_a_host_that_asked_for_less_is_a_metric() {
    let garden = Garden::new(1);
    let log = log_with_entries(&garden).await;
    let bench = bench(&garden, &log);
    let daemon = Daemon::start(&bench).await;
    let pace = format!("ctwarden_log_pace_requests_per_second{{log=\"{}\"}}", log.name());
    let verified = format!("ctwarden_log_verified_entries{{log=\"{}\"}}", log.name());
    daemon.wait_for(&verified, 300).await;
    daemon.wait_for(&pace, 0).await;
    log.set_times(1, Fault::TooMany(Again::Seconds(1)), On::All);
    let limited = |metrics: &str| {
        let value = metrics.lines().find_map(|line| line.strip_prefix(&pace)?.trim().parse::<f64>().ok());
        value.is_some_and(|rate| rate > 0.0 && rate < 10_000.0)
    };
    daemon.wait("a pace", limited, &pace).await;
    let refused = format!("ctwarden_log_requests_total{{log=\"{}\",outcome=\"rate_limited\"}}", log.name());
    daemon.wait_for(&refused, 1).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_log_that_cannot_be_kept_up_with_is_said_to() {
    let garden = Garden::new(1);
    let log = log_with_entries(&garden).await;
    let bench = bench(&garden, &log);
    let done = bench.run_beside(&["run", "--until-caught-up"]).await;
    assert_eq!(done.status.code(), Some(0), "{}", said(&done));
    let logs = printed(&bench.run_beside(&["logs"]).await);
    assert!(!logs.contains("cannot keep up"), "{logs}");
    bench.books().execute("UPDATE logs SET growth_rate = 44.5, read_rate = 38.4", []).expect("rates");
    let logs = printed(&bench.run_beside(&["logs"]).await);
    assert!(logs.contains("\n  cannot keep up: growth 44.5/s, achieved 38.4/s\n"), "{logs}");
}

/// A server that turns one address away; how often each address asked it.
async fn server(turned_away: IpAddr) -> (String, Arc<Mutex<BTreeMap<IpAddr, u32>>>) {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let url = format!("http://{}/x", listener.local_addr().expect("its address"));
    let asked: Arc<Mutex<BTreeMap<IpAddr, u32>>> = Arc::default();
    let counted = asked.clone();
    let answer = move |ConnectInfo(from): ConnectInfo<SocketAddr>| async move {
        let count = {
            let mut asked = counted.lock().unwrap_or_else(PoisonError::into_inner);
            let count = asked.entry(from.ip()).or_default();
            *count += 1;
            *count
        };
        let response: Response = match from.ip() == turned_away && count > 2 {
            true => (StatusCode::TOO_MANY_REQUESTS, [("retry-after", "600")]).into_response(),
            false => "good".into_response(),
        };
        response
    };
    let app = axum::Router::new().fallback(answer).into_make_service_with_connect_info::<SocketAddr>();
    tokio::spawn(async move { axum::serve(listener, app).await.expect("serve") });
    (url, asked)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_host_is_asked_from_all_addresses_and_each_has_its_own_pace() {
    let (slow, free): (IpAddr, IpAddr) = ([127, 0, 0, 2].into(), [127, 0, 0, 3].into());
    let (url, asked) = server(slow).await;
    let fetcher = Fetcher::from_addresses("pki-team@ca-tests.eus", Clock::System, &[slow, free]).expect("a client");
    let mut refused = 0;
    for _ in 0..40 {
        refused += u32::from(fetcher.get(&url, Caps::SMALL, Urgency::Head).await.is_err());
    }
    let asked = asked.lock().unwrap_or_else(PoisonError::into_inner).clone();
    // The address that was turned away rests for ten minutes; nobody waits for it.
    assert_eq!((refused, asked.get(&slow), asked.get(&free)), (1, Some(&3), Some(&37)), "{asked:?}");
    assert_eq!(fetcher.rate(&url), None, "through the other address the host never asked for less");
}
