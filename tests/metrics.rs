//! What Prometheus reads of a working daemon: every metric, its labels, and numbers that agree with the books.

mod support;

use std::collections::{BTreeMap, BTreeSet};
use std::io::Write;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use ctwarden::cert::Certificate;
use ctwarden::clock::{Clock, Span};
use ctwarden::demo::ca::Ca;
use ctwarden::demo::log::{Api, LogServer, LogSettings, RawEntry, RawKind};
use ctwarden::finding::KeyHash;
use ctwarden::metrics::{Kind, TABLE};
use support::monitor::Bench;

/// Names and labels that dashboards and alerts outside this repository may rely on.
const PROMISED: [(&str, &[&str]); 8] = [
    ("ctwarden_entries_processed_total", &["log"]),
    ("ctwarden_log_tree_size", &["log"]),
    ("ctwarden_log_downloaded_entries", &["log"]),
    ("ctwarden_log_verified_entries", &["log"]),
    ("ctwarden_hits_total", &["issuer", "kind"]),
    ("ctwarden_findings_total", &["rule", "severity"]),
    ("ctwarden_detection_latency_seconds", &[]),
    ("ctwarden_notifications_total", &["channel", "outcome"]),
];
const OURS: usize = 5;

/// One line of the text format: name, labels, value.
type Sample = (String, BTreeMap<String, String>, f64);

/// Reads the text format of Prometheus; label values here hold neither quotes nor commas.
fn samples(page: &str) -> Vec<Sample> {
    let lines = page.lines().filter(|line| !line.starts_with('#') && !line.is_empty());
    let sample = |line: &str| {
        let (series, value) = line.rsplit_once(' ').unwrap_or_else(|| panic!("no value: {line}"));
        let (name, labels) = series.split_once('{').unwrap_or((series, "}"));
        let labels = labels.strip_suffix('}').unwrap_or_else(|| panic!("no end of labels: {line}"));
        let labels = labels.split(',').filter(|label| !label.is_empty()).map(|label| {
            let (name, value) = label.split_once("=\"").unwrap_or_else(|| panic!("no label: {line}"));
            (name.to_string(), value.trim_end_matches('"').to_string())
        });
        (name.to_string(), labels.collect(), value.parse().unwrap_or_else(|_| panic!("no number: {line}")))
    };
    lines.map(sample).collect()
}

fn value(samples: &[Sample], name: &str, labels: &[(&str, &str)]) -> f64 {
    let wanted: BTreeMap<String, String> = labels.iter().map(|(n, v)| (n.to_string(), v.to_string())).collect();
    let found: Vec<f64> = samples.iter().filter(|(n, l, _)| n == name && *l == wanted).map(|(_, _, v)| *v).collect();
    assert_eq!(found.len(), 1, "{name} {labels:?}");
    found[0]
}

fn foreign(number: usize) -> RawEntry {
    let tbs = format!("TBSCertificate number {number} of somebody else").into_bytes();
    let kind = RawKind::Precert { issuer_key_hash: KeyHash([9; 32]), pre_certificate: tbs.clone(), tbs };
    RawEntry { timestamp: Clock::System.now(), kind, chain: vec![] }
}

/// Two logs: the first holds 40 foreign entries, our precertificates and one of our certificates; the second 10 foreign
/// entries and the same precertificates.
async fn logs(ca: &Ca) -> [LogServer; 2] {
    let clock = Clock::System;
    let settings =
        |api| LogSettings { sequence_every: Duration::from_secs(3600), ..LogSettings::new(api, clock.clone()) };
    let logs = [Api::Rfc6962, Api::StaticCt].map(|api| LogServer::start(settings(api)));
    let [first, second] = logs;
    let logs = [first.await.expect("log"), second.await.expect("log")];
    logs[0].append((0..40).map(foreign));
    logs[1].append((40..50).map(foreign));
    let chain = || vec![ca.issuing_der().to_vec(), ca.root_der().to_vec()];
    for number in 0..OURS {
        let at = clock.now().minus(Span::from_seconds(30));
        let draft = ca.draft(&[&format!("host{number}.bizkaia.euskalsarea")], at).expect("draft");
        let pre_certificate = draft.precertificate().expect("precertificate");
        let tbs = Certificate::parse(&pre_certificate).expect("our own").core_tbs();
        let kind = RawKind::Precert { issuer_key_hash: ca.issuer_key_hash(), tbs, pre_certificate };
        let entry = RawEntry { timestamp: at, kind, chain: chain() };
        for log in &logs {
            log.append([entry.clone()]);
        }
        if number == 0 {
            let kind = RawKind::X509 { certificate: draft.certificate(&[]).expect("certificate") };
            logs[0].append([RawEntry { timestamp: at, kind, chain: chain() }]);
        }
    }
    logs.iter().for_each(|log| drop(log.publish()));
    logs
}

/// What the books and the mail box hold at one moment.
#[derive(PartialEq)]
struct Books {
    findings: i64,
    events: i64,
    to_tell: i64,
    told: i64,
    mails: i64,
}

impl Books {
    fn of(bench: &Bench) -> Books {
        Books {
            findings: bench.count("SELECT count(*) FROM case_findings"),
            events: bench.count("SELECT count(*) FROM case_events"),
            to_tell: bench.count("SELECT count(*) FROM outbox"),
            told: bench.count("SELECT count(*) FROM outbox WHERE delivered_at IS NOT NULL"),
            mails: bench.mails().len() as i64,
        }
    }
}

/// A daemon that is killed when the test fails.
struct Daemon(Child);

impl Drop for Daemon {
    fn drop(&mut self) {
        drop(self.0.kill());
        drop(self.0.wait());
    }
}

async fn get(address: &str, path: &str) -> (u16, String, String) {
    let answer = reqwest::get(format!("http://{address}{path}")).await.expect("an answer");
    let kind = answer.headers().get("content-type").map(|kind| kind.to_str().expect("text").to_string());
    (answer.status().as_u16(), kind.unwrap_or_default(), answer.text().await.expect("a body"))
}

/// Asks until `done` or until half a minute is over.
async fn until<T>(mut ask: impl AsyncFnMut() -> Option<T>) -> T {
    for _ in 0..300 {
        if let Some(answer) = ask().await {
            return answer;
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    panic!("it did not happen within 30 s");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_metrics_of_a_working_daemon_agree_with_its_books() {
    let ca = Ca::generate(Clock::System.now()).expect("CA");
    let logs = logs(&ca).await;
    let issuers = "[[issuer]]\nname = \"Tests CA\"\ncertificate = \"issuer.pem\"\n[issuance]\nsource = \"embedded\"";
    // A judge that never answers changes nothing in what is found and told.
    let judge = "[[judge]]\nname = \"nobody\"\ncommand = [\"false\"]\nformat = \"zlint\"\n[[control]]\nname = \"tld-check\"\n[[web.token]]\nname = \"ra\"\nrole = \"feed\"\ntoken_file = \"token\"";
    let bench = Bench::new(&logs.each_ref(), issuers, judge);
    bench.write("issuer.pem", &ca.issuing_pem());
    bench.write("token", "0123456789abcdef0123456789abcdef");
    let owner_alone = std::os::unix::fs::PermissionsExt::from_mode(0o600);
    std::fs::set_permissions(bench.path("token"), owner_alone).expect("permissions");
    let mut daemon = Daemon(bench.start(&["run"]));
    let address = until(async || {
        let said = std::fs::read_to_string(bench.path("daemon.log")).unwrap_or_default();
        let at = said.split_once("web=").map(|(_, rest)| rest.split_whitespace().next().unwrap_or("").to_string());
        at.filter(|at| at.starts_with("127.0.0.1:") && !at.ends_with(":0"))
    });
    let address = address.await;
    // What follows the hits (a judge that fails, a control that is silent) is found and told at its own pace: the page is
    // compared once everything is told and the books were the same before and after it.
    let page = until(async || {
        let before = Books::of(&bench);
        let page = get(&address, "/metrics").await.2;
        let now = samples(&page);
        let delivered = value(&now, "ctwarden_notifications_total", &[("channel", "mail"), ("outcome", "delivered")]);
        let verified: f64 =
            now.iter().filter(|(name, ..)| name == "ctwarden_log_verified_entries").map(|(_, _, value)| value).sum();
        let settled = before.told == before.to_tell && before.mails == before.told && before == Books::of(&bench);
        // A count follows its row of the books by a moment.
        let events = value(&now, "ctwarden_detection_latency_seconds_count", &[]);
        let counted = delivered >= before.told as f64 && events >= before.events as f64;
        (settled && counted && before.told >= OURS as i64 && verified == (46 + 15) as f64).then_some((page, before))
    });
    let (page, books) = page.await;
    let now = samples(&page);

    // Every metric of the table is there, with its labels and no others, announced with its kind.
    for row in TABLE {
        let kind = match row.kind {
            Kind::Counter => "counter",
            Kind::Gauge | Kind::Rate | Kind::Time => "gauge",
            Kind::Histogram => "histogram",
        };
        assert!(page.contains(&format!("# TYPE {} {kind}\n", row.name)), "{}", row.name);
        let name = if row.kind == Kind::Histogram { format!("{}_count", row.name) } else { row.name.to_string() };
        let labels: BTreeSet<&str> = row.labels.iter().copied().collect();
        let series: Vec<&Sample> = now.iter().filter(|(n, ..)| *n == name).collect();
        assert!(!series.is_empty(), "{name}");
        assert!(
            series.iter().all(|(_, l, _)| l.keys().map(String::as_str).collect::<BTreeSet<_>>() == labels),
            "{name}"
        );
    }
    for (name, labels) in PROMISED {
        let row = TABLE.iter().find(|row| row.name == name).unwrap_or_else(|| panic!("{name}"));
        assert_eq!(row.labels, labels, "{name}");
    }

    let [rfc, tiled] =
        logs.each_ref().map(|log| log.url().trim_start_matches("http://").trim_end_matches('/').to_string());
    for (log, entries) in [(&rfc, 46.0), (&tiled, 15.0)] {
        for name in ["entries_processed_total", "log_tree_size", "log_downloaded_entries", "log_verified_entries"] {
            assert_eq!(value(&now, &format!("ctwarden_{name}"), &[("log", log)]), entries, "{name} of {log}");
        }
        assert_eq!(value(&now, "ctwarden_log_backlog_entries", &[("log", log)]), 0.0);
        assert_eq!(value(&now, "ctwarden_entries_unparsable_total", &[("log", log)]), 0.0);
        for (_, labels, failures) in now.iter().filter(|(n, ..)| n == "ctwarden_log_verification_failures_total") {
            assert_eq!(*failures, 0.0, "{labels:?}");
        }
    }
    let hits = |kind| value(&now, "ctwarden_hits_total", &[("issuer", "Tests CA"), ("kind", kind)]);
    assert_eq!((hits("precertificate"), hits("certificate")), (OURS as f64, 1.0), "once, in however many logs");
    let findings = |rule, severity| value(&now, "ctwarden_findings_total", &[("rule", rule), ("severity", severity)]);
    assert_eq!(findings("name.internal", "error"), OURS as f64);
    assert_eq!(findings("san.unexpected", "error"), 0.0, "known rules start at 0");
    let all: f64 = now.iter().filter(|(n, ..)| n == "ctwarden_findings_total").map(|(_, _, v)| v).sum();
    assert_eq!(all, books.findings as f64);
    let events = books.events as f64;
    assert_eq!(value(&now, "ctwarden_detection_latency_seconds_count", &[]), events);
    let latency = value(&now, "ctwarden_detection_latency_seconds_sum", &[]) / events;
    assert!((29.0..120.0).contains(&latency), "logged 30 s ago, found {latency} s after that");
    let delivered = value(&now, "ctwarden_notifications_total", &[("channel", "mail"), ("outcome", "delivered")]);
    assert_eq!(delivered, books.told as f64);
    assert_eq!(value(&now, "ctwarden_cases_open", &[("severity", "error")]), OURS as f64);

    let (status, kind, _) = get(&address, "/metrics").await;
    assert_eq!((status, kind.starts_with("text/plain")), (200, true), "{kind}");
    assert_eq!(get(&address, "/-/healthy").await.0, 200);
    assert_eq!(get(&address, "/-/ready").await.0, 200);
    assert_eq!(get(&address, "/nothing").await.0, 404);
    assert!(get(&address, "/").await.2.starts_with("ctwarden "));
    promtool_agrees(&page);

    // SIGTERM is a good end.
    let stopped = Command::new("kill").args(["-TERM", &daemon.0.id().to_string()]).status().expect("kill");
    assert!(stopped.success());
    let code = tokio::task::block_in_place(|| daemon.0.wait()).expect("the daemon ends");
    assert_eq!(code.code(), Some(0), "{}", std::fs::read_to_string(bench.path("daemon.log")).expect("what it said"));
}

fn promtool_agrees(page: &str) {
    let command =
        Command::new("promtool").args(["check", "metrics"]).stdin(Stdio::piped()).stderr(Stdio::piped()).spawn();
    let Ok(mut child) = command else {
        println!("skipped: no promtool");
        return;
    };
    child.stdin.take().expect("its input").write_all(page.as_bytes()).expect("write");
    let done = child.wait_with_output().expect("promtool ends");
    assert!(
        done.status.success(),
        "{}{}",
        String::from_utf8_lossy(&done.stdout),
        String::from_utf8_lossy(&done.stderr)
    );
}
