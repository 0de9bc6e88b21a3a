//! How fast logs are read, as an operator sees it: the pace of a host that asked for less, and a log that cannot be kept
//! up with.

mod support;

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
