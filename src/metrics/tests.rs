use std::collections::BTreeSet;

use super::*;
use crate::clock::date;
use crate::finding::{Needs, RevocationClock, br};

static RULE: RuleInfo = RuleInfo {
    id: "name.internal",
    summary: "",
    severity: Severity::Error,
    citation: br("4.2.2"),
    clock: RevocationClock::Day(5),
    since: None,
    until: None,
    needs: Needs::Certificate,
};

fn value(metrics: &Metrics, series: &str) -> Option<f64> {
    let text = metrics.render().expect("renders");
    text.lines().find_map(|line| line.strip_prefix(series)?.strip_prefix(' ')?.parse().ok())
}

fn declared() -> Metrics {
    let metrics = Metrics::new("0.1.0", "abc");
    metrics.declare_log("log.example/2026h2");
    metrics.log_info("log.example/2026h2", "Op", "rfc6962", "usable");
    metrics.declare_issuer("Example CA G2");
    metrics.declare_rules(&[&RULE]);
    metrics.declare_judge("pkilint", &["answered", "garbled"]);
    metrics.declare_feed("audit.log", &["certificates", "orders"]);
    metrics
}

#[test]
fn the_table_keeps_the_naming_rules() {
    for row in TABLE {
        assert!(row.name.starts_with("ctwarden_"), "{}", row.name);
        assert_eq!(row.name.ends_with("_total"), row.kind == Kind::Counter, "{}", row.name);
        assert_eq!(row.name.ends_with("_timestamp_seconds"), row.kind == Kind::Time, "{}", row.name);
        assert!(row.help.ends_with('.'), "{}", row.name);
        assert_eq!(TABLE.iter().filter(|other| other.name == row.name).count(), 1, "{} is there twice", row.name);
    }
}

#[test]
fn every_row_is_exported_at_zero_once_its_labels_are_known() {
    let text = declared().render().expect("renders");
    let exported: BTreeSet<&str> = text.lines().filter_map(|l| l.strip_prefix("# TYPE ")?.split(' ').next()).collect();
    for row in TABLE {
        assert!(exported.contains(row.name), "{} is in the table and not exported", row.name);
    }
    let known = |name: &&&str| name.starts_with("process_") || TABLE.iter().any(|row| row.name == **name);
    assert_eq!(exported.iter().filter(|name| !known(name)).count(), 0, "{exported:?}");
    // The configuration was read once when there are metrics.
    let reloaded = |line: &str| line == "ctwarden_config_last_reload_successful 1";
    assert_eq!(text.lines().filter(|line| reloaded(line)).count(), 1);
    for line in text.lines().filter(|l| l.starts_with("ctwarden_") && !l.contains("_info{") && !reloaded(l)) {
        assert!(line.ends_with(" 0"), "not at zero: {line}");
    }
}

#[test]
fn a_reload_that_fails_is_seen_until_one_succeeds() {
    let metrics = declared();
    let shows = |line: &str| metrics.render().expect("renders").lines().any(|other| other == line);
    metrics.config_reloaded(true, date(1970, 1, 2));
    metrics.config_reloaded(false, date(2026, 11, 22));
    assert!(shows("ctwarden_config_last_reload_successful 0"));
    assert!(shows("ctwarden_config_last_reload_success_timestamp_seconds 86400"));
    metrics.config_reloaded(true, date(1970, 1, 3));
    assert!(shows("ctwarden_config_last_reload_successful 1"));
}

#[test]
fn reports_arrive_where_they_belong() {
    let metrics = declared();
    let (log, now) = ("log.example/2026h2", date(2026, 11, 22).plus(Span::from_millis(500)));
    metrics.tree_head(log, 1000, now);
    metrics.positions(log, 300, 200);
    metrics.entries(log, 300, 2);
    metrics.request(log, Outcome::Ok, now);
    metrics.request(log, Outcome::RateLimited, now.plus(Span::from_seconds(9)));
    metrics.pace(log, Some(0.25));
    metrics.verification_failure(log, Check::Root);
    metrics.promises("kept", 7);
    metrics.sct_failure(log, SctFailure::NotHonoured);
    metrics.hit("Example CA G2", EntryKind::Precertificate);
    metrics.rule_evaluated(RULE.id, &Verdict::Pass);
    metrics.finding(RULE.id, Severity::Error);
    metrics.detected_after(Span::from_seconds(-3));
    metrics.detected_after(Span::from_seconds(40));
    metrics.notification(Channel::Mail, Delivery::Deferred);
    metrics.notification_queue(3, Some(now));
    metrics.cases_open(Severity::Error, 4);
    let is = |series: &str, expected: f64| assert_eq!(value(&metrics, series), Some(expected), "{series}");
    is("ctwarden_log_backlog_entries{log=\"log.example/2026h2\"}", 700.0);
    is("ctwarden_log_tree_head_timestamp_seconds{log=\"log.example/2026h2\"}", now.seconds_f64());
    is("ctwarden_log_last_success_timestamp_seconds{log=\"log.example/2026h2\"}", now.seconds_f64());
    is("ctwarden_log_requests_total{log=\"log.example/2026h2\",outcome=\"rate_limited\"}", 1.0);
    is("ctwarden_log_pace_requests_per_second{log=\"log.example/2026h2\"}", 0.25);
    metrics.pace(log, None);
    is("ctwarden_log_pace_requests_per_second{log=\"log.example/2026h2\"}", 0.0);
    is("ctwarden_log_verification_failures_total{check=\"root\",log=\"log.example/2026h2\"}", 1.0);
    is("ctwarden_entries_unparsable_total{log=\"log.example/2026h2\"}", 2.0);
    is("ctwarden_promises{state=\"kept\"}", 7.0);
    is("ctwarden_sct_failures_total{log=\"log.example/2026h2\",reason=\"not_honoured\"}", 1.0);
    is("ctwarden_hits_total{issuer=\"Example CA G2\",kind=\"precertificate\"}", 1.0);
    is("ctwarden_rule_evaluations_total{result=\"pass\",rule=\"name.internal\"}", 1.0);
    is("ctwarden_findings_total{rule=\"name.internal\",severity=\"error\"}", 1.0);
    is("ctwarden_detection_latency_seconds_bucket{le=\"1\"}", 1.0);
    is("ctwarden_detection_latency_seconds_bucket{le=\"60\"}", 2.0);
    is("ctwarden_detection_latency_seconds_sum", 40.0);
    is("ctwarden_notifications_total{channel=\"mail\",outcome=\"deferred\"}", 1.0);
    is("ctwarden_notification_queue_oldest_timestamp_seconds", now.seconds_f64());
    is("ctwarden_cases_open{severity=\"error\"}", 4.0);
    metrics.notification_queue(0, None);
    is("ctwarden_notification_queue_oldest_timestamp_seconds", 0.0);
    let totals = (metrics.total_entries(), metrics.total_hits(), metrics.total_findings());
    assert_eq!(totals, (300, 1, 1));
}

#[test]
fn a_position_beyond_the_tree_head_is_no_backlog() {
    let metrics = declared();
    metrics.positions("log.example/2026h2", 10, 10);
    let backlog = "ctwarden_log_backlog_entries{log=\"log.example/2026h2\"}";
    assert_eq!(value(&metrics, backlog), Some(0.0));
    metrics.tree_head("log.example/2026h2", u64::MAX, Timestamp::EPOCH);
    // Prometheus counts in f64, so the last digits are gone.
    assert!(value(&metrics, backlog) > Some(9e18));
}

#[test]
fn a_changed_state_replaces_the_old_one_and_a_forgotten_log_leaves_nothing() {
    let metrics = declared();
    metrics.log_info("log.example/2026h2", "Op", "rfc6962", "readonly");
    let text = metrics.render().expect("renders");
    assert_eq!(text.lines().filter(|l| l.starts_with("ctwarden_log_info{")).count(), 1);
    assert!(text.contains("state=\"readonly\""));
    metrics.forget_log("log.example/2026h2");
    let text = metrics.render().expect("renders");
    assert!(!text.contains("log.example"), "{text}");
}

#[test]
fn names_written_by_others_stay_one_short_line() {
    let metrics = Metrics::new("0", "0");
    metrics.declare_log(&format!("evil\"}} 1\nctwarden_storage_errors_total 9\u{202e}{}", "x".repeat(10_000)));
    let text = metrics.render().expect("renders");
    assert_eq!(text.lines().filter(|l| l.starts_with("ctwarden_storage_errors_total")).count(), 1);
    assert!(text.is_ascii() && text.lines().all(|line| line.len() < 400));
}

/// 64 logs and 100 rules stay within 3,000 series, so that the monitor is a cheap target to scrape.
#[test]
fn the_number_of_series_stays_within_its_budget() {
    let metrics = Metrics::new("0", "0");
    for log in 0..64 {
        metrics.declare_log(&format!("log{log}.example"));
        metrics.log_info(&format!("log{log}.example"), "Op", "static-ct-api", "usable");
    }
    let names: Vec<&'static str> = (0..100).map(|n| &*format!("area.rule{n}").leak()).collect();
    let rules: Vec<RuleInfo> = names.iter().map(|id| RuleInfo { id, ..RULE }).collect();
    metrics.declare_rules(&rules.iter().collect::<Vec<_>>());
    let text = metrics.render().expect("renders");
    let series = text.lines().filter(|line| !line.starts_with('#')).count();
    assert!((1000..3000).contains(&series), "{series} series");
}
