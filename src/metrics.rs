//! Every metric, defined once: [`TABLE`] says name, kind, labels and help; [`Metrics`] holds one typed field per row.
//!
//! Label values come from configuration, from the log list or from a closed enum, never from a certificate: neither
//! serial, nor domain, nor error text. Every combination that is known is exported at 0 from the start (`declare_*`),
//! because `increase()` does not see the first increment of a series that appears with the value 1.
//!
//! Nothing below the wiring counts: rooms return what happened and `pipeline` and `daemon` report it here.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};

use prometheus::core::Collector;
use prometheus::{Gauge, GaugeVec, Histogram, HistogramOpts, HistogramVec, IntCounter, IntCounterVec, IntGauge};
use prometheus::{IntGaugeVec, Opts, Registry, TextEncoder};

use crate::case::EntryKind;
use crate::clock::{Span, Timestamp};
use crate::finding::{RuleInfo, Severity, Verdict, escape};

/// The Content-Type of [`Metrics::render`]: the text format of Prometheus, version 0.0.4.
pub const CONTENT_TYPE: &str = "text/plain; version=0.0.4; charset=utf-8";

mod feeds;
mod label;
mod status;
mod table;

pub use label::{Channel, Check, Delivery, FeedOutcome, Input, LookedUp, Outcome, SctFailure};
pub use status::LOGS;
pub use table::{Kind, MetricInfo, TABLE};

/// Longest label value in bytes; longer ones are cut.
const LABEL_LIMIT_BYTES: usize = 160;

/// Bounds of `ctwarden_detection_latency_seconds`: one second to a day.
const LATENCY_BUCKETS: [f64; 14] =
    [1.0, 5.0, 10.0, 30.0, 60.0, 120.0, 300.0, 600.0, 1800.0, 3600.0, 7200.0, 21_600.0, 43_200.0, 86_400.0];

/// The label `rule` of findings that are another linter's.
pub const OTHER_LINTERS: &str = "other_linters";
const NONE: &[&str] = &[];
const PROMISE_STATES: [&str; 4] = ["open", "kept", "broken", "unknown_log"];
const RESULTS: [&str; 3] = ["pass", "fail", "not_evaluable"];

/// The metrics of one monitor with their own registry. Cheap to use from any thread; share it in an `Arc`.
pub struct Metrics {
    registry: Registry,
    log_info: IntGaugeVec,
    log_facts: Mutex<BTreeMap<String, [String; 3]>>,
    tree_size: IntGaugeVec,
    tree_head: GaugeVec,
    last_success: GaugeVec,
    downloaded: IntGaugeVec,
    verified: IntGaugeVec,
    backlog: IntGaugeVec,
    growth: GaugeVec,
    read_rate: GaugeVec,
    pace: GaugeVec,
    requests: IntCounterVec,
    verification_failures: IntCounterVec,
    promises: IntGaugeVec,
    sct_failures: IntCounterVec,
    processed: IntCounterVec,
    unparsable: IntCounterVec,
    hits: IntCounterVec,
    pending: IntGauge,
    pending_oldest: Gauge,
    evaluations: IntCounterVec,
    findings: IntCounterVec,
    latency: Histogram,
    cases_open: IntGaugeVec,
    notifications: IntCounterVec,
    queue_length: IntGauge,
    queue_oldest: Gauge,
    issuance_success: Gauge,
    issuance_failures: IntCounter,
    issuance_lag: IntGauge,
    storage_errors: IntCounter,
    cache_incidents: IntCounter,
    reload_successful: IntGauge,
    reloaded_at: Gauge,
    judge_requests: IntCounterVec,
    judge_waiting: IntGaugeVec,
    judge_oldest: GaugeVec,
    judge_success: GaugeVec,
    input_timestamp: GaugeVec,
    input_failures: IntCounterVec,
    listed_keys: IntGaugeVec,
    listed_keys_at: Gauge,
    feeds: feeds::Feeds,
    status: status::Status,
}

/// Makes the metrics of [`TABLE`] and registers them. That every row fits the table's own rules is tested, so the
/// `expect`s here speak of nothing that could come from outside.
struct Builder<'a>(&'a Registry);

impl Builder<'_> {
    fn row(name: &str, kind: Kind) -> (Opts, &'static [&'static str]) {
        let row = TABLE.iter().find(|row| row.name == name).expect("the metric is in the table");
        assert_eq!(row.kind, kind, "{name}");
        (Opts::new(row.name, row.help), row.labels)
    }
    fn registered<C: Collector + Clone + 'static>(&self, metric: prometheus::Result<C>) -> C {
        let metric = metric.expect("the table's rows are well formed");
        self.0.register(Box::new(metric.clone())).expect("each row is registered once");
        metric
    }
    fn counter(&self, name: &str) -> IntCounterVec {
        let (opts, labels) = Self::row(name, Kind::Counter);
        self.registered(IntCounterVec::new(opts, labels))
    }
    fn gauge(&self, name: &str) -> IntGaugeVec {
        let (opts, labels) = Self::row(name, Kind::Gauge);
        self.registered(IntGaugeVec::new(opts, labels))
    }
    fn time(&self, name: &str) -> GaugeVec {
        self.float(name, Kind::Time)
    }
    fn float(&self, name: &str, kind: Kind) -> GaugeVec {
        let (opts, labels) = Self::row(name, kind);
        self.registered(GaugeVec::new(opts, labels))
    }
    fn histogram(&self, name: &str, buckets: &[f64]) -> HistogramVec {
        let (Opts { .. }, labels) = Self::row(name, Kind::Histogram);
        let help = TABLE.iter().find(|row| row.name == name).map_or("", |row| row.help);
        self.registered(HistogramVec::new(HistogramOpts::new(name, help).buckets(buckets.to_vec()), labels))
    }
}

impl Metrics {
    /// All metrics at 0, for a program of this version and commit.
    pub fn new(version: &str, revision: &str) -> Metrics {
        let registry = Registry::new();
        let b = Builder(&registry);
        #[cfg(target_os = "linux")]
        b.0.register(Box::new(prometheus::process_collector::ProcessCollector::for_self()))
            .expect("the process is registered once");
        b.gauge("ctwarden_build_info").with_label_values(&[&*label(version), &*label(revision)]).set(1);
        let metrics = Metrics {
            log_info: b.gauge("ctwarden_log_info"),
            log_facts: Mutex::new(BTreeMap::new()),
            tree_size: b.gauge("ctwarden_log_tree_size"),
            tree_head: b.time("ctwarden_log_tree_head_timestamp_seconds"),
            last_success: b.time("ctwarden_log_last_success_timestamp_seconds"),
            downloaded: b.gauge("ctwarden_log_downloaded_entries"),
            verified: b.gauge("ctwarden_log_verified_entries"),
            backlog: b.gauge("ctwarden_log_backlog_entries"),
            growth: b.float("ctwarden_log_growth_entries_per_second", Kind::Rate),
            read_rate: b.float("ctwarden_log_read_entries_per_second", Kind::Rate),
            pace: b.float("ctwarden_log_pace_requests_per_second", Kind::Rate),
            requests: b.counter("ctwarden_log_requests_total"),
            verification_failures: b.counter("ctwarden_log_verification_failures_total"),
            promises: b.gauge("ctwarden_promises"),
            sct_failures: b.counter("ctwarden_sct_failures_total"),
            processed: b.counter("ctwarden_entries_processed_total"),
            unparsable: b.counter("ctwarden_entries_unparsable_total"),
            hits: b.counter("ctwarden_hits_total"),
            pending: b.gauge("ctwarden_examinations_pending").with_label_values(NONE),
            pending_oldest: b.time("ctwarden_examinations_oldest_timestamp_seconds").with_label_values(NONE),
            evaluations: b.counter("ctwarden_rule_evaluations_total"),
            findings: b.counter("ctwarden_findings_total"),
            latency: b.histogram("ctwarden_detection_latency_seconds", &LATENCY_BUCKETS).with_label_values(NONE),
            cases_open: b.gauge("ctwarden_cases_open"),
            notifications: b.counter("ctwarden_notifications_total"),
            queue_length: b.gauge("ctwarden_notification_queue_length").with_label_values(NONE),
            queue_oldest: b.time("ctwarden_notification_queue_oldest_timestamp_seconds").with_label_values(NONE),
            issuance_success: b.time("ctwarden_issuance_db_last_success_timestamp_seconds").with_label_values(NONE),
            issuance_failures: b.counter("ctwarden_issuance_db_check_failures_total").with_label_values(NONE),
            issuance_lag: b.gauge("ctwarden_issuance_db_replica_lag_seconds").with_label_values(NONE),
            storage_errors: b.counter("ctwarden_storage_errors_total").with_label_values(NONE),
            cache_incidents: b.counter("ctwarden_cache_incidents_total").with_label_values(NONE),
            reload_successful: b.gauge("ctwarden_config_last_reload_successful").with_label_values(NONE),
            reloaded_at: b.time("ctwarden_config_last_reload_success_timestamp_seconds").with_label_values(NONE),
            judge_requests: b.counter("ctwarden_judge_requests_total"),
            judge_waiting: b.gauge("ctwarden_judge_opinions_waiting"),
            judge_oldest: b.time("ctwarden_judge_opinions_oldest_timestamp_seconds"),
            judge_success: b.time("ctwarden_judge_last_answer_timestamp_seconds"),
            input_timestamp: b.time("ctwarden_input_timestamp_seconds"),
            input_failures: b.counter("ctwarden_input_refresh_failures_total"),
            listed_keys: b.gauge("ctwarden_listed_keys"),
            listed_keys_at: b.time("ctwarden_listed_keys_timestamp_seconds").with_label_values(NONE),
            feeds: feeds::Feeds::new(&b),
            status: status::Status::new(&b),
            registry,
        };
        for severity in Severity::ALL {
            metrics.cases_open.with_label_values(&[severity.word()]);
        }
        for state in PROMISE_STATES {
            metrics.promises.with_label_values(&[state]);
        }
        for channel in Channel::ALL {
            Delivery::ALL
                .iter()
                .for_each(|d| drop(metrics.notifications.with_label_values(&[channel.word(), d.word()])));
        }
        metrics.key_lists_loaded(0, 0, None);
        metrics.record_unlogged(0, 0);
        // It was read once when there are metrics.
        metrics.reload_successful.set(1);
        for input in Input::ALL {
            metrics.input_timestamp.with_label_values(&[input.word()]);
            metrics.input_failures.with_label_values(&[input.word()]);
        }
        metrics
    }

    /// Everything in the text format of Prometheus ([`CONTENT_TYPE`]).
    ///
    /// # Errors
    /// Only when the library refuses its own data.
    pub fn render(&self) -> Result<String, prometheus::Error> {
        TextEncoder::new().encode_to_string(&self.registry.gather())
    }

    /// Exports all series of a log at 0. Harmless when repeated.
    pub fn declare_log(&self, log: &str) {
        let log = &*label(log);
        for gauge in [&self.tree_size, &self.downloaded, &self.verified, &self.backlog] {
            gauge.with_label_values(&[log]);
        }
        for time in [&self.tree_head, &self.last_success, &self.growth, &self.read_rate, &self.pace] {
            time.with_label_values(&[log]);
        }
        for counter in [&self.processed, &self.unparsable] {
            counter.with_label_values(&[log]);
        }
        Outcome::ALL.iter().for_each(|o| drop(self.requests.with_label_values(&[log, o.word()])));
        Check::ALL.iter().for_each(|c| drop(self.verification_failures.with_label_values(&[log, c.word()])));
        SctFailure::ALL.iter().for_each(|f| drop(self.sct_failures.with_label_values(&[log, f.word()])));
    }
    /// What the log list says of a log; replaces what it said before.
    pub fn log_info(&self, log: &str, operator: &str, api: &str, state: &str) {
        let log = label(log);
        let new = [operator, api, state].map(|text| label(text).into_owned());
        let mut facts = self.log_facts.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some([operator, api, state]) = facts.insert(log.to_string(), new.clone()) {
            // Fails when there is no such series, which is what is wanted.
            let _ = self.log_info.remove_label_values(&[&*log, &operator, &api, &state]);
        }
        self.log_info.with_label_values(&[&*log, &new[0], &new[1], &new[2]]).set(1);
    }
    /// Removes all series of a log that is no longer followed, or its alerts would hang. Call it when the log's
    /// follower has ended: a later report would bring series back.
    pub fn forget_log(&self, log: &str) {
        let log = &*label(log);
        // Each removal fails when there is no such series, which is what is wanted.
        for gauge in [&self.tree_size, &self.downloaded, &self.verified, &self.backlog] {
            let _ = gauge.remove_label_values(&[log]);
        }
        for time in [&self.tree_head, &self.last_success, &self.growth, &self.read_rate, &self.pace] {
            let _ = time.remove_label_values(&[log]);
        }
        for counter in [&self.processed, &self.unparsable] {
            let _ = counter.remove_label_values(&[log]);
        }
        Outcome::ALL.iter().for_each(|o| drop(self.requests.remove_label_values(&[log, o.word()])));
        Check::ALL.iter().for_each(|c| drop(self.verification_failures.remove_label_values(&[log, c.word()])));
        SctFailure::ALL.iter().for_each(|f| drop(self.sct_failures.remove_label_values(&[log, f.word()])));
        let mut facts = self.log_facts.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some([operator, api, state]) = facts.remove(log) {
            let _ = self.log_info.remove_label_values(&[log, &operator, &api, &state]);
        }
    }
    /// Exports the hits of an issuer at 0; the name is the one of the configuration.
    pub fn declare_issuer(&self, issuer: &str) {
        for kind in [EntryKind::Precertificate, EntryKind::Certificate] {
            self.hits.with_label_values(&[&*label(issuer), kind.word()]);
        }
        self.declare_status(&label(issuer));
    }
    /// Exports all series of another judge at 0, for outcomes in the words of its room.
    pub fn declare_judge(&self, judge: &str, outcomes: &[&str]) {
        let judge = &*label(judge);
        outcomes.iter().for_each(|outcome| drop(self.judge_requests.with_label_values(&[judge, *outcome])));
        self.judge_waiting.with_label_values(&[judge]);
        self.judge_oldest.with_label_values(&[judge]);
        self.judge_success.with_label_values(&[judge]);
        Severity::ALL.iter().for_each(|s| drop(self.findings.with_label_values(&[OTHER_LINTERS, s.word()])));
    }
    /// Exports verdicts and findings of all rules at 0.
    pub fn declare_rules(&self, rules: &[&RuleInfo]) {
        for rule in rules {
            RESULTS.iter().for_each(|result| drop(self.evaluations.with_label_values(&[rule.id, result])));
            Severity::ALL.iter().for_each(|s| drop(self.findings.with_label_values(&[rule.id, s.word()])));
        }
    }

    /// A tree head whose signature verified.
    pub fn tree_head(&self, log: &str, tree_size: u64, timestamp: Timestamp) {
        self.tree_size.with_label_values(&[&*label(log)]).set(whole(tree_size));
        self.tree_head.with_label_values(&[&*label(log)]).set(timestamp.seconds_f64());
        self.set_backlog(log);
    }
    /// How far the log is read and how far it is verified, in entries from its start.
    pub fn positions(&self, log: &str, downloaded: u64, verified: u64) {
        self.downloaded.with_label_values(&[&*label(log)]).set(whole(downloaded));
        self.verified.with_label_values(&[&*label(log)]).set(whole(verified));
        self.set_backlog(log);
    }
    /// How fast a log grows and how fast it is read, entries per second.
    pub fn rates(&self, log: &str, growth: f64, read: f64) {
        self.growth.with_label_values(&[&*label(log)]).set(growth);
        self.read_rate.with_label_values(&[&*label(log)]).set(read);
    }
    /// What the host of a log is known to allow, in requests per second; `None`: it never asked for less.
    pub fn pace(&self, log: &str, requests_per_second: Option<f64>) {
        self.pace.with_label_values(&[&*label(log)]).set(requests_per_second.unwrap_or(0.0));
    }
    fn set_backlog(&self, log: &str) {
        let log = &[&*label(log)];
        let left = self.tree_size.with_label_values(log).get() - self.downloaded.with_label_values(log).get();
        self.backlog.with_label_values(log).set(left.max(0));
    }
    /// A request to a log ended at `now`.
    pub fn request(&self, log: &str, outcome: Outcome, now: Timestamp) {
        self.requests.with_label_values(&[&*label(log), outcome.word()]).inc();
        if outcome == Outcome::Ok {
            self.last_success.with_label_values(&[&*label(log)]).set(now.seconds_f64());
        }
    }
    /// Something the log signed or served did not verify.
    pub fn verification_failure(&self, log: &str, check: Check) {
        self.verification_failures.with_label_values(&[&*label(log), check.word()]).inc();
    }
    /// How many promises of logs are in a state; `state` is a word of the books.
    pub fn promises(&self, state: &str, count: u64) {
        self.promises.with_label_values(&[&*label(state)]).set(whole(count));
    }
    /// An SCT of ours that the log did not sign or did not honour.
    pub fn sct_failure(&self, log: &str, failure: SctFailure) {
        self.sct_failures.with_label_values(&[&*label(log), failure.word()]).inc();
    }
    /// Entries that passed the first door, and how many of them could not be parsed.
    pub fn entries(&self, log: &str, processed: u64, unparsable: u64) {
        self.processed.with_label_values(&[&*label(log)]).inc_by(processed);
        self.unparsable.with_label_values(&[&*label(log)]).inc_by(unparsable);
    }
    /// A new hit of an issuer.
    pub fn hit(&self, issuer: &str, kind: EntryKind) {
        self.hits.with_label_values(&[&*label(issuer), kind.word()]).inc();
    }
    /// Hits that wait for an examination, and when the oldest that was never examined was read.
    pub fn examinations_pending(&self, count: u64, oldest: Option<Timestamp>) {
        self.pending.set(whole(count));
        self.pending_oldest.set(oldest.map_or(0.0, Timestamp::seconds_f64));
    }
    /// A question to another judge ended; `outcome` is a word that was declared.
    pub fn judge_asked(&self, judge: &str, outcome: &str) {
        self.judge_requests.with_label_values(&[&*label(judge), outcome]).inc();
    }
    /// Another judge answered.
    pub fn judge_answered(&self, judge: &str, now: Timestamp) {
        self.judge_success.with_label_values(&[&*label(judge)]).set(now.seconds_f64());
    }
    /// How many certificates another judge has still to judge, and when it was first to judge the oldest of them.
    pub fn judge_queue(&self, judge: &str, waiting: u64, oldest: Option<Timestamp>) {
        let judge = &*label(judge);
        self.judge_waiting.with_label_values(&[judge]).set(whole(waiting));
        self.judge_oldest.with_label_values(&[judge]).set(oldest.map_or(0.0, Timestamp::seconds_f64));
    }
    /// The verdict of a rule; `rule` is an identifier of the rule table.
    pub fn rule_evaluated(&self, rule: &str, verdict: &Verdict) {
        self.evaluations.with_label_values(&[&*label(rule), verdict.word()]).inc();
    }
    /// A finding that was new to its case; `rule` is an identifier of the rule table, or [`OTHER_LINTERS`].
    pub fn finding(&self, rule: &str, severity: Severity) {
        self.findings.with_label_values(&[&*label(rule), severity.word()]).inc();
    }
    /// The time from log entry or SCT to a durable finding; a negative one (skew of clocks) counts as 0.
    pub fn detected_after(&self, latency: Span) {
        self.latency.observe(latency.seconds_f64().max(0.0));
    }
    /// How many cases of a severity are open.
    pub fn cases_open(&self, severity: Severity, count: u64) {
        self.cases_open.with_label_values(&[severity.word()]).set(whole(count));
    }
    /// An attempt to deliver a message ended.
    pub fn notification(&self, channel: Channel, delivery: Delivery) {
        self.notifications.with_label_values(&[channel.word(), delivery.word()]).inc();
    }
    /// The outbox: messages not delivered, and when the oldest of them was written.
    pub fn notification_queue(&self, length: u64, oldest: Option<Timestamp>) {
        self.queue_length.set(whole(length));
        self.queue_oldest.set(oldest.map_or(0.0, Timestamp::seconds_f64));
    }
    /// The issuance database answered.
    pub fn issuance_db_answered(&self, now: Timestamp) {
        self.issuance_success.set(now.seconds_f64());
    }
    /// The issuance database did not answer a question.
    pub fn issuance_db_failed(&self) {
        self.issuance_failures.inc();
    }
    /// How old the newest write is that the issuance database server shows.
    pub fn issuance_db_lag(&self, lag: Span) {
        self.issuance_lag.set(lag.seconds().max(0));
    }
    /// The books could not be read or written.
    pub fn storage_error(&self) {
        self.storage_errors.inc();
    }
    /// The cache was moved aside or cannot be used.
    pub fn cache_incident(&self) {
        self.cache_incidents.inc();
    }
    /// The configuration was read again while the program ran.
    pub fn config_reloaded(&self, successful: bool, now: Timestamp) {
        self.reload_successful.set(i64::from(successful));
        if successful {
            self.reloaded_at.set(now.seconds_f64());
        }
    }
    /// An input was loaded; `as_of` is the date it states of itself, otherwise the time it was read.
    pub fn input_loaded(&self, input: Input, as_of: Timestamp) {
        self.input_timestamp.with_label_values(&[input.word()]).set(as_of.seconds_f64());
    }
    /// The lists of keys were read: how many keys each kind has, and when the newest file was changed.
    pub fn key_lists_loaded(&self, weak: usize, compromised: usize, as_of: Option<Timestamp>) {
        for (list, count) in [("weak", weak), ("compromised", compromised)] {
            self.listed_keys.with_label_values(&[list]).set(count as i64);
        }
        self.listed_keys_at.set(as_of.map_or(0.0, Timestamp::seconds_f64));
    }
    /// An input could not be refreshed.
    pub fn input_refresh_failed(&self, input: Input) {
        self.input_failures.with_label_values(&[input.word()]).inc();
    }

    /// Entries processed so far, over all logs.
    pub fn total_entries(&self) -> u64 {
        total(&self.processed)
    }
    /// Hits so far, over all issuers.
    pub fn total_hits(&self) -> u64 {
        total(&self.hits)
    }
    /// Findings so far, over all rules.
    pub fn total_findings(&self) -> u64 {
        total(&self.findings)
    }
}

fn total(counter: &IntCounterVec) -> u64 {
    let families = counter.collect();
    families.iter().flat_map(|f| f.get_metric()).map(|m| m.get_counter().get_value()).sum::<f64>() as u64
}

fn whole(count: u64) -> i64 {
    i64::try_from(count).unwrap_or(i64::MAX)
}

/// A label value: printable ASCII, cut to [`LABEL_LIMIT_BYTES`]. Names in a log list are written by others.
fn label(text: &str) -> Cow<'_, str> {
    if text.len() <= LABEL_LIMIT_BYTES && text.bytes().all(|b| matches!(b, 0x20..=0x7e) && b != b'\\') {
        Cow::Borrowed(text)
    } else {
        Cow::Owned(escape(text.as_bytes(), LABEL_LIMIT_BYTES))
    }
}

#[cfg(test)]
mod tests;
