//! What is watched beside the certificates in the logs: the record, CRLs, controls, counts.

use prometheus::{Gauge, GaugeVec, IntGaugeVec};

use super::{Builder, Metrics, NONE, label, whole};
use crate::clock::Timestamp;

/// What stands for the logs among the records that are compared.
pub const LOGS: &str = "ct";

/// The metrics of this file.
pub(super) struct Status {
    walked: Gauge,
    unlogged: IntGaugeVec,
    crls: IntGaugeVec,
    crl_good: GaugeVec,
    crl_next: GaugeVec,
    awaited: IntGaugeVec,
    control_observed: GaugeVec,
    control_faults: IntGaugeVec,
    difference: IntGaugeVec,
    compared: GaugeVec,
}

impl Status {
    pub(super) fn new(b: &Builder<'_>) -> Status {
        let status = Status {
            walked: b.time("ctwarden_record_walk_timestamp_seconds").with_label_values(NONE),
            unlogged: b.gauge("ctwarden_record_unlogged"),
            crls: b.gauge("ctwarden_crls"),
            crl_good: b.time("ctwarden_crl_good_timestamp_seconds"),
            crl_next: b.time("ctwarden_crl_next_update_timestamp_seconds"),
            awaited: b.gauge("ctwarden_revocations_awaited"),
            control_observed: b.time("ctwarden_control_observed_timestamp_seconds"),
            control_faults: b.gauge("ctwarden_control_faults"),
            difference: b.gauge("ctwarden_reconcile_difference"),
            compared: b.time("ctwarden_reconcile_hour_timestamp_seconds"),
        };
        status.compared.with_label_values(&[LOGS]);
        status
    }
}

impl Metrics {
    /// Exports the series of an issuer at 0.
    pub(super) fn declare_status(&self, issuer: &str) {
        ["good", "bad"].iter().for_each(|state| drop(self.status.crls.with_label_values(&[issuer, *state])));
        self.status.crl_good.with_label_values(&[issuer]);
        self.status.crl_next.with_label_values(&[issuer]);
        self.status.awaited.with_label_values(&[issuer]);
        self.status.difference.with_label_values(&[issuer, LOGS]);
    }
    /// Forgets what was said of issuers, controls and records: what is watched has changed, and a series of what is
    /// watched no more would stay what it was for ever. The next rounds say it anew.
    pub fn forget_status(&self) {
        let status = &self.status;
        [&status.crls, &status.awaited, &status.control_faults, &status.difference].iter().for_each(|g| g.reset());
        [&status.crl_good, &status.crl_next, &status.control_observed, &status.compared].iter().for_each(|g| g.reset());
        status.compared.with_label_values(&[LOGS]);
    }
    /// How far the record was held against the logs, by time of signing.
    pub fn record_walked(&self, to: Timestamp) {
        self.status.walked.set(to.seconds_f64());
    }
    /// Certificates of the record that are in no log: those that wait for our own reading, and those that are missing.
    pub fn record_unlogged(&self, waiting: u64, missing: u64) {
        self.status.unlogged.with_label_values(&["waiting"]).set(whole(waiting));
        self.status.unlogged.with_label_values(&["missing"]).set(whole(missing));
    }
    /// The CRLs of an issuer: how many are good and bad, when the oldest was last found good, the first nextUpdate.
    pub fn crls(&self, issuer: &str, (good, bad): (u64, u64), good_at: Option<Timestamp>, next: Option<Timestamp>) {
        let issuer = &*label(issuer);
        self.status.crls.with_label_values(&[issuer, "good"]).set(whole(good));
        self.status.crls.with_label_values(&[issuer, "bad"]).set(whole(bad));
        self.status.crl_good.with_label_values(&[issuer]).set(good_at.map_or(0.0, Timestamp::seconds_f64));
        self.status.crl_next.with_label_values(&[issuer]).set(next.map_or(0.0, Timestamp::seconds_f64));
    }
    /// Certificates of an issuer that are to be on a CRL and are not.
    pub fn revocations_awaited(&self, issuer: &str, count: u64) {
        self.status.awaited.with_label_values(&[&*label(issuer)]).set(whole(count));
    }
    /// A control: when it was last observed, and how much is wrong with it.
    pub fn control(&self, control: &str, observed_at: Option<Timestamp>, faults: u64) {
        let control = &*label(control);
        let at = observed_at.map_or(0.0, Timestamp::seconds_f64);
        self.status.control_observed.with_label_values(&[control]).set(at);
        self.status.control_faults.with_label_values(&[control]).set(whole(faults));
    }
    /// How far a record of the CA is from the issuance database; `source` is a word of the feed, one of a few.
    pub fn reconciled(&self, issuer: &str, source: &str, difference: u64) {
        self.status.difference.with_label_values(&[&*label(issuer), &*label(source)]).set(whole(difference));
    }
    /// The end of the newest hour that was compared with a record.
    pub fn reconciled_until(&self, source: &str, end: Timestamp) {
        self.status.compared.with_label_values(&[&*label(source)]).set(end.seconds_f64());
    }
}
