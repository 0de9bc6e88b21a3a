//! Where the record of revocations and the CRLs disagree, and where a revocation came too late.

use super::{Judged, rule};
use crate::clock::{DAY, Span, Timestamp};
use crate::finding::{CaseKey, Needs, RevocationClock, RuleInfo, Severity, Verdict, br};
use crate::record::Revocation;

// BR 4.9.7: "Within twenty-four (24) hours of recording a Certificate as revoked", the CA publishes a CRL with it.
pub(super) static ON_CRL: RuleInfo = rule(
    "status.crl",
    "what the record says is revoked is on a CRL 24 hours later and until it has expired",
    br("4.9.7"),
    Needs::RecordAndCrl,
);

// BR 5.4.1 (2): the CA records "certificate ... revocation" events.
pub(super) static IN_RECORD: RuleInfo =
    rule("status.record", "what is on a CRL is revoked in the record as well", br("5.4.1"), Needs::RecordAndCrl);

// BR 4.9.5: the time from the report "to published revocation MUST NOT exceed the time frame set forth in 4.9.1.1".
pub(super) static LATE: RuleInfo = rule(
    "status.late",
    "a certificate that must be revoked is on a CRL within the time of BR 4.9.1.1",
    br("4.9.5"),
    Needs::RecordAndCrl,
);

// BR 7.2.2: the reasonCode is the most appropriate one of keyCompromise, affiliationChanged, superseded,
// cessationOfOperation and privilegeWithdrawn.
pub(super) static REASON: RuleInfo = RuleInfo {
    severity: Severity::Warning,
    ..rule("status.reason", "a CRL states the reason that the record has", br("7.2.2"), Needs::RecordAndCrl)
};

const NO_END: &str = "the end of its validity is in no record and it was seen in no log";

/// The CRLReasons of BR 7.2.2; 0 stands for an entry without one.
const REASONS: [u8; 6] = [0, 1, 3, 4, 5, 9];

/// Whether a serial number is on the CRLs of its issuer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Listed {
    /// It is.
    On {
        /// revocationDate of the entry.
        at: Option<Timestamp>,
        /// CRLReason of the entry.
        reason: u8,
        /// Where.
        url: String,
        /// When we first saw it there.
        seen_at: Timestamp,
    },
    /// It is on none of them.
    Off {
        /// When it was seen on one before.
        seen_at: Option<Timestamp>,
    },
    /// A CRL that it may be on could not be read: why.
    Unknown(String),
}

/// What is known of one certificate.
#[derive(Clone, Debug)]
pub struct Facts<'a> {
    /// Issuer key and serial number.
    pub key: &'a CaseKey,
    /// The end of its validity; `None`: not known.
    pub not_after: Option<Timestamp>,
    /// Whether it is known to be a Short-lived Subscriber Certificate.
    pub short_lived: bool,
    /// What the record says of its revocation; `Ok(None)`: it has the certificate and no revocation.
    pub record: Result<Option<Revocation>, String>,
    /// Whether it is on a CRL.
    pub listed: Listed,
    /// When we became aware of what our case is about, and the time that follows from it.
    pub case: Option<(Timestamp, RevocationClock)>,
    /// How long the record may lag behind the CRL.
    pub grace: Span,
    /// Up to when the record is complete; a replica may be behind.
    pub recorded_until: Timestamp,
    /// The time of judging.
    pub now: Timestamp,
}

/// The verdicts of the rules of this file.
pub fn judge(facts: &Facts<'_>) -> Vec<Judged> {
    vec![(&ON_CRL, on_crl(facts)), (&IN_RECORD, in_record(facts)), (&LATE, late(facts)), (&REASON, reason(facts))]
}

/// The rules of this file by which the record and a CRL do not disagree any more, each with what they agree on. A
/// silence of either is no agreement.
pub fn agreed(facts: &Facts<'_>) -> Vec<(&'static str, String)> {
    let Ok(Some(Revocation { revoked_at: Some(at), reason: recorded, .. })) = facts.recorded() else {
        return Vec::new();
    };
    let mut agreed = vec![(IN_RECORD.id, format!("the record agrees with the CRL: it was revoked at {at}"))];
    if let (Listed::On { reason: listed, .. }, Verdict::Pass) = (&facts.listed, reason(facts)) {
        let words = match recorded {
            Some(_) => format!("the record and the CRL agree on the reason {listed}"),
            None => format!("the record has no other reason than the CRL, which has {listed}"),
        };
        agreed.push((REASON.id, words));
    }
    agreed
}

impl Facts<'_> {
    fn subject(&self) -> String {
        format!("serial {}", self.key.serial)
    }

    /// Nobody relies on an expired certificate; RFC 5280 3.3 lets its entry go then.
    fn expired(&self) -> bool {
        self.not_after.is_some_and(|end| end <= self.now)
    }

    fn recorded(&self) -> Result<Option<Revocation>, String> {
        self.record.clone()
    }
}

fn on_crl(facts: &Facts<'_>) -> Verdict {
    let recorded = match facts.recorded() {
        Ok(recorded) => recorded.and_then(|row| row.revoked_at),
        Err(why) => return Verdict::NotEvaluable(why),
    };
    let seen_before = match &facts.listed {
        Listed::On { .. } => return Verdict::Pass,
        Listed::Unknown(why) if recorded.is_some() => return Verdict::NotEvaluable(why.clone()),
        Listed::Unknown(_) => return Verdict::Pass,
        Listed::Off { seen_at } => *seen_at,
    };
    if facts.expired() {
        return Verdict::Pass;
    }
    let detail = match (recorded, seen_before) {
        (None, None) => return Verdict::Pass,
        // It may have expired long ago, and its entry be gone by right.
        _ if facts.not_after.is_none() => return Verdict::NotEvaluable(NO_END.to_string()),
        // RFC 5280 3.3: "An entry MUST NOT be removed from the CRL until it appears on one regularly scheduled CRL issued
        // beyond the revoked certificate's validity period."
        (_, Some(seen_at)) => format!("it was on a CRL at {seen_at} and is on none of them any more"),
        (Some(at), None) if facts.now >= at.plus(DAY) => {
            format!("the record says that it was revoked at {at}; 24 hours later it is on no CRL of its issuer")
        }
        _ => return Verdict::Pass,
    };
    let row = recorded.map_or("no revocation".to_string(), |at| format!("revoked at {at}"));
    Verdict::Fail(vec![ON_CRL.finding(facts.subject(), detail).with_evidence("issuance database", row)])
}

fn in_record(facts: &Facts<'_>) -> Verdict {
    let Listed::On { at, reason, url, seen_at } = &facts.listed else { return Verdict::Pass };
    match facts.recorded() {
        Err(why) => Verdict::NotEvaluable(why),
        Ok(Some(Revocation { revoked_at: Some(_), .. })) => Verdict::Pass,
        Ok(_) if facts.recorded_until < seen_at.plus(facts.grace) => {
            Verdict::NotEvaluable(format!("the record may still catch up until {}", seen_at.plus(facts.grace)))
        }
        Ok(_) => {
            let detail = "it is on a CRL and the record knows nothing of its revocation".to_string();
            let at = at.map_or("at an unreadable time".to_string(), |at| format!("at {at}"));
            let entry = format!("revoked {at}, reason {reason}, first seen {seen_at} on {}", shown(url));
            Verdict::Fail(vec![IN_RECORD.finding(facts.subject(), detail).with_evidence("CRL", entry)])
        }
    }
}

/// The time that is allowed from awareness on. The record does not say which item of BR 4.9.1.1 it was: 24 hours for a
/// key compromise, otherwise the longest.
fn allowed(reason: Option<u64>) -> RevocationClock {
    if reason == Some(1) { RevocationClock::Day(3) } else { RevocationClock::FiveDays(12) }
}

fn late(facts: &Facts<'_>) -> Verdict {
    // BR 4.9.1.1: "With the exception of Short-lived Subscriber Certificates, the CA SHALL revoke a Certificate".
    if facts.short_lived {
        return Verdict::Pass;
    }
    let recorded = match facts.recorded() {
        Ok(recorded) => recorded,
        Err(_) if facts.case.is_some() => None,
        Err(why) => return Verdict::NotEvaluable(why),
    };
    let by_record = recorded.and_then(|row| row.aware_at.map(|aware| (aware, allowed(row.reason), "the record")));
    let by_case = facts.case.map(|(aware, clock)| (aware, clock, "this case"));
    let due = |(aware, clock, whose): (Timestamp, RevocationClock, &'static str)| {
        clock.span().map(|span| (aware.plus(span), aware, span, whose))
    };
    let Some((due, aware, span, whose)) = by_record.and_then(due).into_iter().chain(by_case.and_then(due)).min() else {
        return Verdict::Pass;
    };
    let revoked = match &facts.listed {
        Listed::Unknown(why) => return Verdict::NotEvaluable(why.clone()),
        Listed::On { at, seen_at, .. } => Some(at.unwrap_or(*seen_at)),
        Listed::Off { .. } => None,
    };
    let end = revoked.unwrap_or(facts.now);
    if end <= due || facts.not_after.is_some_and(|expired| expired <= due) || (revoked.is_none() && facts.expired()) {
        return Verdict::Pass;
    }
    if revoked.is_none() && facts.not_after.is_none() {
        return Verdict::NotEvaluable(NO_END.to_string());
    }
    let what = match revoked {
        Some(at) => format!("it was revoked at {at}"),
        None => "it is on no CRL of its issuer".to_string(),
    };
    let detail =
        format!("the CA was aware at {aware} ({whose}) and had {} hours, until {due}; {what}", span.seconds() / 3600);
    Verdict::Fail(vec![LATE.finding(facts.subject(), detail)])
}

fn reason(facts: &Facts<'_>) -> Verdict {
    let Listed::On { reason, url, .. } = &facts.listed else { return Verdict::Pass };
    let recorded = facts.recorded().ok().flatten().and_then(|row| row.reason);
    let compromised = facts.case.is_some_and(|(_, clock)| clock.crl_reason().is_some_and(|(code, _)| code == 1));
    let detail = match recorded {
        Some(recorded) if recorded != u64::from(*reason) => {
            format!("its reason on the CRL is {reason}, in the record {recorded}")
        }
        _ if compromised && *reason != 1 => format!("its reason on the CRL is {reason}, not 1 (keyCompromise)"),
        _ if !REASONS.contains(reason) => format!("its reason on the CRL is {reason}, which BR 7.2.2 does not allow"),
        _ => return Verdict::Pass,
    };
    Verdict::Fail(vec![REASON.finding(facts.subject(), detail).with_evidence("CRL", shown(url))])
}

fn shown(url: &str) -> String {
    crate::finding::escape(url.as_bytes(), 200)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::{HOUR, date};
    use crate::finding::{KeyHash, Serial};

    const NOW: Timestamp = date(2026, 11, 22);

    fn key() -> CaseKey {
        CaseKey { issuer_key_hash: KeyHash([1; 32]), serial: Serial(vec![7]) }
    }

    fn row(aware_at: Option<Timestamp>, revoked_at: Option<Timestamp>, reason: Option<u64>) -> Option<Revocation> {
        Some(Revocation { aware_at, revoked_at, reason, crl_seen_at: None })
    }

    fn on(at: Timestamp, reason: u8) -> Listed {
        Listed::On { at: Some(at), reason, url: "http://crl.example/1.crl".into(), seen_at: NOW.minus(DAY) }
    }

    /// The rules that fail.
    fn failing(record: Option<Revocation>, listed: Listed, change: impl Fn(&mut Facts<'_>)) -> Vec<&'static str> {
        let key = key();
        let not_after = Some(date(2027, 1, 1));
        let mut facts = Facts {
            key: &key,
            not_after,
            short_lived: false,
            record: Ok(record),
            listed,
            case: None,
            grace: HOUR,
            recorded_until: NOW,
            now: NOW,
        };
        change(&mut facts);
        let judged = judge(&facts);
        judged.iter().filter(|(_, verdict)| matches!(verdict, Verdict::Fail(_))).map(|(rule, _)| rule.id).collect()
    }

    const NONE: [&str; 0] = [];

    #[test]
    fn what_is_revoked_is_on_a_crl_a_day_later() {
        let off = || Listed::Off { seen_at: None };
        let at = |hours: i64| row(None, Some(NOW.minus(Span::from_seconds(3600 * hours))), Some(4));
        assert_eq!(failing(at(24), off(), |_| ()), ["status.crl"]);
        assert_eq!(failing(at(23), off(), |_| ()), NONE);
        assert_eq!(failing(at(24), off(), |facts| facts.not_after = Some(NOW)), NONE);
        assert_eq!(failing(at(24), on(NOW.minus(DAY), 4), |_| ()), NONE);
        assert_eq!(failing(at(24), Listed::Unknown("not read".into()), |_| ()), NONE);
        assert_eq!(failing(None, off(), |_| ()), NONE);
        assert_eq!(failing(at(1), Listed::Off { seen_at: Some(NOW.minus(HOUR)) }, |_| ()), ["status.crl"]);
        assert_eq!(failing(None, Listed::Off { seen_at: Some(NOW.minus(HOUR)) }, |_| ()), ["status.crl"]);
        assert_eq!(failing(at(24), off(), |facts| facts.record = Err("no answer".into())), NONE);
        // Whether it has expired is not known: then it may be gone by right.
        assert_eq!(failing(at(24 * 400), off(), |facts| facts.not_after = None), NONE);
        let seen = Listed::Off { seen_at: Some(NOW.minus(HOUR)) };
        assert_eq!(failing(None, seen, |facts| facts.not_after = None), NONE);
    }

    #[test]
    fn what_is_on_a_crl_is_revoked_in_the_record() {
        assert_eq!(failing(None, on(NOW.minus(DAY), 4), |_| ()), ["status.record"]);
        assert_eq!(failing(row(Some(NOW), None, None), on(NOW.minus(DAY), 4), |_| ()), ["status.record"]);
        assert_eq!(failing(None, on(NOW, 4), |facts| facts.grace = Span::from_days(2)), NONE);
        assert_eq!(failing(None, on(NOW, 4), |facts| facts.record = Err("not in the record".into())), NONE);
        let behind = |facts: &mut Facts<'_>| facts.recorded_until = NOW.minus(DAY);
        assert_eq!(failing(None, on(NOW.minus(DAY), 4), behind), NONE);
    }

    #[test]
    fn late_is_what_comes_after_the_time_of_the_requirements() {
        let off = || Listed::Off { seen_at: None };
        let days = |days: i64| Some(NOW.minus(Span::from_days(days)));
        assert_eq!(failing(row(days(6), None, Some(4)), off(), |_| ()), ["status.late"]);
        assert_eq!(failing(row(days(4), None, Some(4)), off(), |_| ()), NONE);
        assert_eq!(failing(row(days(2), None, Some(1)), off(), |_| ()), ["status.late"]);
        assert_eq!(failing(row(days(9), days(6), Some(4)), on(NOW.minus(DAY), 4), |_| ()), ["status.late"]);
        assert_eq!(failing(row(days(9), days(6), Some(4)), on(NOW.minus(Span::from_days(6)), 4), |_| ()), NONE);
        let case = |facts: &mut Facts<'_>| facts.case = Some((NOW.minus(Span::from_days(2)), RevocationClock::Day(5)));
        assert_eq!(failing(None, off(), case), ["status.late"]);
        assert_eq!(failing(row(days(9), days(6), None), Listed::Unknown("x".into()), |_| ()), NONE);
        assert_eq!(failing(row(days(900), None, None), off(), |facts| facts.not_after = None), NONE);
        assert_eq!(failing(row(days(9), None, None), off(), |facts| facts.short_lived = true), NONE);
        // It expired before its time was over.
        assert_eq!(failing(row(days(9), None, None), off(), |facts| facts.not_after = days(5)), NONE);
    }

    #[test]
    fn the_reason_is_that_of_the_record() {
        let revoked = |reason| row(None, Some(NOW.minus(DAY)), reason);
        assert_eq!(failing(revoked(Some(1)), on(NOW.minus(DAY), 4), |_| ()), ["status.reason"]);
        assert_eq!(failing(revoked(Some(0)), on(NOW.minus(DAY), 0), |_| ()), NONE);
        assert_eq!(failing(revoked(None), on(NOW.minus(DAY), 6), |_| ()), ["status.reason"]);
        let compromise = |facts: &mut Facts<'_>| facts.case = Some((NOW, RevocationClock::Day(3)));
        assert_eq!(failing(revoked(None), on(NOW.minus(DAY), 4), compromise), ["status.reason"]);
        assert_eq!(failing(revoked(None), on(NOW.minus(DAY), 1), compromise), NONE);
    }

    #[test]
    fn record_and_crl_agree_when_both_have_spoken() {
        let rules = |record: Result<Option<Revocation>, String>, listed: Listed| -> Vec<&str> {
            let (key, not_after) = (key(), Some(date(2027, 1, 1)));
            let (short_lived, case, grace, recorded_until, now) = (false, None, HOUR, NOW, NOW);
            let facts = Facts { key: &key, not_after, short_lived, record, listed, case, grace, recorded_until, now };
            agreed(&facts).into_iter().map(|(rule, _)| rule).collect()
        };
        let revoked = |reason| Ok(row(None, Some(NOW.minus(DAY)), reason));
        let on = |reason| on(NOW.minus(DAY), reason);
        let both = ["status.record", "status.reason"];
        assert_eq!(rules(revoked(Some(4)), on(4)), both);
        assert_eq!(rules(revoked(None), on(4)), both);
        assert_eq!(rules(revoked(Some(1)), on(4)), ["status.record"]);
        // The entry is gone with the end of its validity, or its CRL cannot be read: of its reason nothing is known.
        assert_eq!(rules(revoked(Some(4)), Listed::Off { seen_at: Some(NOW) }), ["status.record"]);
        assert_eq!(rules(revoked(Some(4)), Listed::Unknown("not read".into())), ["status.record"]);
        for silent in [Err("no answer".to_string()), Ok(None), Ok(row(Some(NOW), None, Some(4)))] {
            assert_eq!(rules(silent, on(4)), NONE);
        }
    }
}
