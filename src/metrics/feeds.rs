//! What is counted of the feeds of the CA's record and of the look-ups in it.

use prometheus::{GaugeVec, Histogram, IntCounterVec, IntGaugeVec};

use super::{Builder, FeedOutcome, Kind, LookedUp, Metrics, NONE, label, whole};
use crate::clock::{Span, Timestamp};

/// Bounds of `ctwarden_issuance_log_to_record_seconds`: a tenth of a second to a day.
const LOG_TO_RECORD_BUCKETS: [f64; 15] =
    [0.1, 0.5, 1.0, 2.0, 5.0, 10.0, 30.0, 60.0, 120.0, 300.0, 900.0, 3600.0, 14_400.0, 43_200.0, 86_400.0];

pub(super) struct Feeds {
    requests: IntCounterVec,
    rows: IntCounterVec,
    refused: IntCounterVec,
    passed_over: IntCounterVec,
    failures: IntCounterVec,
    lost_files: IntCounterVec,
    waiting: IntGaugeVec,
    last_rows: GaugeVec,
    log_to_record: Histogram,
    lookups: IntCounterVec,
}

impl Feeds {
    pub(super) fn new(b: &Builder<'_>) -> Feeds {
        let feeds = Feeds {
            requests: b.counter("ctwarden_issuance_feed_requests_total"),
            rows: b.counter("ctwarden_issuance_feed_rows_total"),
            refused: b.counter("ctwarden_issuance_feed_refused_total"),
            passed_over: b.counter("ctwarden_issuance_feed_passed_over_total"),
            failures: b.counter("ctwarden_issuance_feed_failures_total"),
            lost_files: b.counter("ctwarden_issuance_feed_lost_files_total"),
            waiting: b.gauge("ctwarden_issuance_feed_waiting_rows"),
            last_rows: b.float("ctwarden_issuance_feed_last_rows_timestamp_seconds", Kind::Time),
            log_to_record: b
                .histogram("ctwarden_issuance_log_to_record_seconds", &LOG_TO_RECORD_BUCKETS)
                .with_label_values(NONE),
            lookups: b.counter("ctwarden_issuance_db_lookups_total"),
        };
        LookedUp::ALL.iter().for_each(|answer| drop(feeds.lookups.with_label_values(&[answer.word()])));
        FeedOutcome::ALL.iter().for_each(|outcome| drop(feeds.requests.with_label_values(&[outcome.word()])));
        feeds
    }
}

impl Metrics {
    /// Exports all series of a feed at 0: a file by its path, a sender by the name of its token.
    pub fn declare_feed(&self, feed: &str, tables: &[&str]) {
        let feed = &*label(feed);
        let feeds = &self.feeds;
        for counter in [&feeds.refused, &feeds.passed_over, &feeds.failures, &feeds.lost_files] {
            counter.with_label_values(&[feed]);
        }
        tables.iter().for_each(|table| drop(self.feeds.rows.with_label_values(&[feed, table])));
        self.feeds.waiting.with_label_values(&[feed]);
        self.feeds.last_rows.with_label_values(&[feed]);
    }
    /// A batch was sent, and this became of it.
    pub fn feed_request(&self, outcome: FeedOutcome) {
        self.feeds.requests.with_label_values(&[outcome.word()]).inc();
    }
    /// Rows of a table came in, known ones too; `table` is a name of the feed's tables.
    pub fn feed_rows(&self, feed: &str, table: &str, rows: u64, now: Timestamp) {
        let feed = &*label(feed);
        self.feeds.rows.with_label_values(&[feed, table]).inc_by(rows);
        self.feeds.last_rows.with_label_values(&[feed]).set(now.seconds_f64());
    }
    /// Rows or lines were refused.
    pub fn feed_refused(&self, feed: &str, count: u64) {
        self.feeds.refused.with_label_values(&[&*label(feed)]).inc_by(count);
    }
    /// Lines that hold nothing for the record.
    pub fn feed_passed_over(&self, feed: &str, lines: u64) {
        self.feeds.passed_over.with_label_values(&[&*label(feed)]).inc_by(lines);
    }
    /// A followed file could not be read, or its rows not be written.
    pub fn feed_failed(&self, feed: &str) {
        self.feeds.failures.with_label_values(&[&*label(feed)]).inc();
    }
    /// A file was rotated away before it was read to its end.
    pub fn feed_file_lost(&self, feed: &str) {
        self.feeds.lost_files.with_label_values(&[&*label(feed)]).inc();
    }
    /// How many rows wait for rows that they name.
    pub fn feed_waiting(&self, feed: &str, rows: u64) {
        self.feeds.waiting.with_label_values(&[&*label(feed)]).set(whole(rows));
    }
    /// A certificate of ours was looked up for its examination and answered so.
    pub fn looked_up(&self, answer: LookedUp) {
        self.feeds.lookups.with_label_values(&[answer.word()]).inc();
    }
    /// The record has a certificate for the first time, so long after the log had it; one that was there before the
    /// log had it counts as 0.
    pub fn in_record_after(&self, lag: Span) {
        self.feeds.log_to_record.observe(lag.seconds_f64().max(0.0));
    }
}
