//! The table of metrics: name, kind, labels, help.

/// What a metric counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Only grows; starts at 0 with the process. The name ends in `_total`.
    Counter,
    /// A whole number that goes up and down.
    Gauge,
    /// Seconds since the Unix epoch with their fraction; 0 means never.
    Time,
    /// Events per second with their fraction.
    Rate,
    /// Seconds in fixed buckets.
    Histogram,
}

/// A row of [`TABLE`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MetricInfo {
    /// The name, `ctwarden_<area>_<thing>_<unit>[_total]`.
    pub name: &'static str,
    /// What it counts.
    pub kind: Kind,
    /// Names of its labels.
    pub labels: &'static [&'static str],
    /// One sentence for the person who reads `/metrics`.
    pub help: &'static str,
}

const fn row(name: &'static str, kind: Kind, labels: &'static [&'static str], help: &'static str) -> MetricInfo {
    MetricInfo { name, kind, labels, help }
}

/// All metrics except those of the process itself (`process_*`).
#[rustfmt::skip]
pub static TABLE: &[MetricInfo] = &[
    row("ctwarden_build_info", Kind::Gauge, &["version", "revision"], "1, with the version and the commit of the program as labels."),
    row("ctwarden_log_info", Kind::Gauge, &["log", "operator", "api", "state"], "1 for each log that is followed, with what the log list says of it as labels."),
    row("ctwarden_log_tree_size", Kind::Gauge, &["log"], "Entries in the newest tree head whose signature verified."),
    row("ctwarden_log_tree_head_timestamp_seconds", Kind::Time, &["log"], "Timestamp in the newest tree head whose signature verified; 0: none since the start."),
    row("ctwarden_log_last_success_timestamp_seconds", Kind::Time, &["log"], "When the log last answered a request properly; 0: never since the start."),
    row("ctwarden_log_downloaded_entries", Kind::Gauge, &["log"], "Entries read and examined, counted from the start of the log."),
    row("ctwarden_log_verified_entries", Kind::Gauge, &["log"], "Entries whose hashes were proven to be under a signed tree head."),
    row("ctwarden_log_backlog_entries", Kind::Gauge, &["log"], "Entries of the newest tree head that are not read yet."),
    row("ctwarden_log_growth_entries_per_second", Kind::Rate, &["log"], "How fast the log grew over the last ten seconds or more in which it was read."),
    row("ctwarden_log_read_entries_per_second", Kind::Rate, &["log"], "How fast the log was read in the same time: less than its growth means that it cannot keep up."),
    row("ctwarden_log_pace_requests_per_second", Kind::Rate, &["log"], "Requests per second that the host of the log is known to allow all its logs together; 0: it never asked for less."),
    row("ctwarden_log_requests_total", Kind::Counter, &["log", "outcome"], "Requests to the log by outcome."),
    row("ctwarden_log_verification_failures_total", Kind::Counter, &["log", "check"], "Proofs, hashes and signatures of the log that did not verify."),
    row("ctwarden_promises", Kind::Gauge, &["state"], "SCTs embedded in certificates of watched issuers: open, kept, broken, or of an unknown log."),
    row("ctwarden_sct_failures_total", Kind::Counter, &["log", "reason"], "SCTs of certificates of watched issuers that the log did not sign or did not honour."),
    row("ctwarden_entries_processed_total", Kind::Counter, &["log"], "Entries read from the log and durably behind the position."),
    row("ctwarden_entries_unparsable_total", Kind::Counter, &["log"], "Entries that could not be parsed."),
    row("ctwarden_hits_total", Kind::Counter, &["issuer", "kind"], "Certificates and precertificates of a watched issuer found in logs; the same one in several logs counts once."),
    row("ctwarden_examinations_pending", Kind::Gauge, &[], "Hits that wait for their examination or for its repetition."),
    row("ctwarden_examinations_oldest_timestamp_seconds", Kind::Time, &[], "When the oldest hit that was never examined was read; 0: none waits."),
    row("ctwarden_rule_evaluations_total", Kind::Counter, &["rule", "result"], "Verdicts of each rule: pass, fail, not_evaluable."),
    row("ctwarden_findings_total", Kind::Counter, &["rule", "severity"], "Findings that were new to their case."),
    row("ctwarden_detection_latency_seconds", Kind::Histogram, &[], "From the time of the log entry or SCT to the durable finding."),
    row("ctwarden_cases_open", Kind::Gauge, &["severity"], "Open cases by the worst severity of their findings."),
    row("ctwarden_notifications_total", Kind::Counter, &["channel", "outcome"], "Attempts to deliver a message."),
    row("ctwarden_notification_queue_length", Kind::Gauge, &[], "Messages that are not delivered yet."),
    row("ctwarden_notification_queue_oldest_timestamp_seconds", Kind::Time, &[], "When the oldest message that is not delivered yet was written; 0: none waits."),
    row("ctwarden_issuance_db_last_success_timestamp_seconds", Kind::Time, &[], "When the issuance database last answered; 0: never since the start."),
    row("ctwarden_issuance_db_check_failures_total", Kind::Counter, &[], "Questions that the issuance database did not answer."),
    row("ctwarden_issuance_db_lookups_total", Kind::Counter, &["answer"], "Look-ups in the issuance database for the examination of certificates of ours, by answer; kept: a server was not asked again within half a minute."),
    row("ctwarden_issuance_db_replica_lag_seconds", Kind::Gauge, &[], "How old the newest write was that the issuance database server showed when it last answered; 0 for an embedded one."),
    row("ctwarden_issuance_feed_requests_total", Kind::Counter, &["outcome"], "Batches sent to /api/v1/issuance by what became of them."),
    row("ctwarden_issuance_feed_rows_total", Kind::Counter, &["feed", "table"], "Rows that a feed brought into the record, those included that it had already."),
    row("ctwarden_issuance_feed_refused_total", Kind::Counter, &["feed"], "Rows and lines of a feed that were refused."),
    row("ctwarden_issuance_feed_passed_over_total", Kind::Counter, &["feed"], "Lines of an audit log that hold nothing for the record."),
    row("ctwarden_issuance_feed_failures_total", Kind::Counter, &["feed"], "Times that a followed file could not be read, or its rows not be written."),
    row("ctwarden_issuance_feed_lost_files_total", Kind::Counter, &["feed"], "Followed files that were rotated away before they were read to their end."),
    row("ctwarden_issuance_feed_waiting_rows", Kind::Gauge, &["feed"], "Rows of a followed file that wait for rows that they name."),
    row("ctwarden_issuance_feed_last_rows_timestamp_seconds", Kind::Time, &["feed"], "When a feed last brought rows; 0: never since the start."),
    row("ctwarden_issuance_log_to_record_seconds", Kind::Histogram, &[], "From the log's timestamp of an entry of ours to when the record was first seen to have its certificate; 0 where the record was first."),
    row("ctwarden_judge_requests_total", Kind::Counter, &["judge", "outcome"], "Questions to another linter by outcome."),
    row("ctwarden_judge_opinions_waiting", Kind::Gauge, &["judge"], "Certificates on which another linter has not given its opinion yet."),
    row("ctwarden_judge_opinions_oldest_timestamp_seconds", Kind::Time, &["judge"], "When another linter was first to be asked about the certificate that waits longest for its opinion; 0: none waits."),
    row("ctwarden_judge_last_answer_timestamp_seconds", Kind::Time, &["judge"], "When another linter last answered; 0: never since the start."),
    row("ctwarden_record_walk_timestamp_seconds", Kind::Time, &[], "The time of signing up to which the CA's record was held against the logs; 0: not since the start."),
    row("ctwarden_record_unlogged", Kind::Gauge, &["state"], "Certificates of the CA's record that are in no log: waiting for our own reading, or told to be missing."),
    row("ctwarden_crls", Kind::Gauge, &["issuer", "state"], "CRLs of an issuer: good, or bad where none can be relied on."),
    row("ctwarden_crl_good_timestamp_seconds", Kind::Time, &["issuer"], "When the CRL of the issuer that was longest without was last found good; 0: never."),
    row("ctwarden_crl_next_update_timestamp_seconds", Kind::Time, &["issuer"], "The first nextUpdate among the last good CRLs of the issuer; 0: there is none."),
    row("ctwarden_revocations_awaited", Kind::Gauge, &["issuer"], "Certificates that are revoked in the record or have a case with a deadline, and are on no CRL yet."),
    row("ctwarden_control_observed_timestamp_seconds", Kind::Time, &["control"], "When a control of the CA was last observed by its feed; 0: never."),
    row("ctwarden_control_faults", Kind::Gauge, &["control"], "What is wrong with a control of the CA: 0 while it is as it must be."),
    row("ctwarden_reconcile_difference", Kind::Gauge, &["issuer", "source"], "Certificates that one of the CA's records or the logs (ct) lack or have beyond the issuance database, over two days or more."),
    row("ctwarden_reconcile_hour_timestamp_seconds", Kind::Time, &["source"], "The end of the newest hour that was compared with a record of the CA."),
    row("ctwarden_storage_errors_total", Kind::Counter, &[], "Reads and writes of the books that failed."),
    row("ctwarden_cache_incidents_total", Kind::Counter, &[], "Times that the cache was damaged and moved aside, or could not be used."),
    row("ctwarden_config_last_reload_successful", Kind::Gauge, &[], "1 when the configuration could be used the last time it was read, 0 when the old one stayed in force."),
    row("ctwarden_config_last_reload_success_timestamp_seconds", Kind::Time, &[], "When the configuration in force was read again; 0: not since the start."),
    row("ctwarden_input_timestamp_seconds", Kind::Time, &["input"], "The age of the copy in use: the date that the input itself states, otherwise when it was read; 0: not loaded."),
    row("ctwarden_listed_keys", Kind::Gauge, &["list"], "Keys on the lists that the CA feeds: weak, compromised."),
    row("ctwarden_listed_keys_timestamp_seconds", Kind::Time, &[], "When the newest of these files was last changed; 0: there is none."),
    row("ctwarden_input_refresh_failures_total", Kind::Counter, &["input"], "Refreshes of an input that failed; the last good copy stays in use."),
];
