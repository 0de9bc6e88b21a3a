//! What the CA's record has and the logs have not: the walk backwards, from the record to the logs.
//!
//! Whoever reads the logs alone never sees a certificate that is in none. It is judged when every log that could have
//! taken it was read far enough; until then our own reading is what is incomplete, and nothing is said of it.

use super::{Judged, rule};
use crate::clock::{Span, Timestamp};
use crate::finding::{Citation, Document, Needs, RuleInfo, Severity, Verdict, br};
use crate::record::Signed;

// Chrome CT Policy: "certificates that are not logged to CT or have insufficient SCTs are not considered to be
// mis-issued": a person must say why it is in no log.
pub(super) static UNLOGGED: RuleInfo = RuleInfo {
    severity: Severity::Review,
    ..rule(
        "ct.unlogged",
        "what the CA's record says was signed is seen in a log",
        Citation { document: Document::ChromeCt, section: "CT Compliant Certificates" },
        Needs::RecordAndLogs,
    )
};

// BR 7.1.2.9: a Precertificate stands for the certificate that was to follow; MRSP 5.4 presumes that it exists.
pub(super) static UNFINALISED: RuleInfo = RuleInfo {
    severity: Severity::Notice,
    ..rule(
        "pre.unfinalised",
        "a precertificate in a log is followed by its certificate",
        br("7.1.2.9"),
        Needs::RecordAndLogs,
    )
};

/// How far a log was read that can have taken certificates of this time.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reading {
    /// The short name of the log.
    pub log: String,
    /// Everything that was logged from this time on is read, up to `until`.
    pub from: Timestamp,
    /// When the newest tree head was signed up to which everything is read; `None`: something is missing.
    pub until: Option<Timestamp>,
    /// The notAfter of the certificates that it takes.
    pub takes: Option<(Timestamp, Timestamp)>,
}

/// In which forms something was seen in logs.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Seen {
    /// As a precertificate.
    pub precertificate: bool,
    /// As a certificate.
    pub certificate: bool,
}

/// What the two rules say of a row of the record.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Walked {
    /// The verdicts.
    pub judged: Vec<Judged>,
    /// Whether it can be judged later: our reading will have come further.
    pub wait: bool,
}

/// Judges one row of the record that was signed `after` ago or earlier, by what was seen of it in logs.
pub fn judge(signed: &Signed, seen: Seen, readings: &[Reading], after: Span, now: Timestamp) -> Walked {
    let (logged, wait) = match unlogged(signed, seen, readings, after, now) {
        Ok(verdict) => (verdict, false),
        Err((why, wait)) => (Verdict::NotEvaluable(why), wait),
    };
    let mut judged = vec![(&UNLOGGED, logged)];
    if signed.state == "precert_only" && seen.precertificate {
        judged.push((&UNFINALISED, unfinalised(signed, seen, after)));
    }
    Walked { judged, wait }
}

/// The verdict, or why there is none and whether there will be one.
fn unlogged(
    signed: &Signed,
    seen: Seen,
    readings: &[Reading],
    after: Span,
    now: Timestamp,
) -> Result<Verdict, (String, bool)> {
    if seen.precertificate || seen.certificate {
        return Ok(Verdict::Pass);
    }
    let takes = |reading: &&Reading| match (reading.takes, signed.not_after) {
        (Some((from, to)), Some(end)) => from <= end && end < to,
        _ => true,
    };
    let due = signed.signed_at.plus(after);
    let mut read = 0;
    for reading in readings.iter().filter(takes) {
        if reading.from > signed.signed_at {
            return Err((format!("log {} is read from {} on only", reading.log, reading.from), false));
        }
        if reading.until.is_none_or(|until| until < due) {
            return Err((format!("log {} is not read up to {due} yet", reading.log), true));
        }
        read += 1;
    }
    if read == 0 {
        return Err(("no log is read that takes certificates of this validity".to_string(), true));
    }
    let waited = now.since(signed.signed_at);
    let detail = format!("signed {} ago and in none of the {read} logs that can have taken it", Shown(waited));
    let row = format!("signed {}, state {}", signed.signed_at, crate::finding::escape(signed.state.as_bytes(), 40));
    let finding = UNLOGGED.finding(format!("serial {}", signed.key.serial), detail);
    Ok(Verdict::Fail(vec![finding.with_evidence("issuance database", row)]))
}

fn unfinalised(signed: &Signed, seen: Seen, after: Span) -> Verdict {
    if seen.certificate {
        return Verdict::Pass;
    }
    let detail = format!(
        "the precertificate is in a log and {} after its signature the record has no certificate; it counts as issued \
         all the same, so CRL and OCSP must cover its serial number (MRSP 5.4, BR 4.9.9)",
        Shown(after)
    );
    let row = format!("signed {}, state precert_only", signed.signed_at);
    let finding = UNFINALISED.finding(format!("serial {}", signed.key.serial), detail);
    Verdict::Fail(vec![finding.with_evidence("issuance database", row)])
}

/// A span in whole hours where it has some.
struct Shown(Span);

impl std::fmt::Display for Shown {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self.0.seconds() / 3600 {
            0 => write!(f, "{} s", self.0.seconds()),
            hours => write!(f, "{hours} h"),
        }
    }
}

/// The time of signing up to which the record can be walked: where at least half of the logs are read far enough. A log
/// that is behind alone holds up no more than what could be in it.
pub fn horizon(readings: &[Reading], after: Span, now: Timestamp) -> Option<Timestamp> {
    let mut ends: Vec<Timestamp> = readings.iter().map(|reading| reading.until.unwrap_or(Timestamp::EPOCH)).collect();
    ends.sort();
    let middle = ends.get(ends.len().checked_sub(1)? / 2)?;
    (*middle > Timestamp::EPOCH).then(|| now.min(*middle).minus(after))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::{DAY, HOUR, date};
    use crate::finding::{CaseKey, KeyHash, Serial};

    const SIGNED: Timestamp = date(2026, 11, 20);

    fn signed(state: &str) -> Signed {
        Signed {
            cert_id: 1,
            key: CaseKey { issuer_key_hash: KeyHash([1; 32]), serial: Serial(vec![7]) },
            signed_at: SIGNED,
            not_after: Some(date(2027, 1, 1)),
            hierarchy: "public".into(),
            state: state.into(),
        }
    }

    fn reading(until: Option<Timestamp>) -> Reading {
        Reading { log: "log.example/1".into(), from: Timestamp::EPOCH, until, takes: None }
    }

    fn walked(seen: Seen, readings: &[Reading]) -> Walked {
        judge(&signed("issued"), seen, readings, DAY, SIGNED.plus(DAY).plus(HOUR))
    }

    #[test]
    fn only_what_every_log_was_read_for_is_said_to_be_in_none() {
        let read = reading(Some(SIGNED.plus(DAY)));
        let Walked { judged, wait } = walked(Seen::default(), std::slice::from_ref(&read));
        let Verdict::Fail(found) = &judged[0].1 else { panic!("{judged:?}") };
        assert_eq!((found[0].subject.as_str(), found[0].severity, wait), ("serial 07", Severity::Review, false));
        assert!(found[0].detail.contains("25 h ago"), "{}", found[0].detail);

        let behind = reading(Some(SIGNED.plus(DAY).minus(HOUR)));
        for lagging in [vec![read.clone(), behind], vec![read.clone(), reading(None)], vec![]] {
            let Walked { judged, wait } = walked(Seen::default(), &lagging);
            assert!(matches!(judged[0].1, Verdict::NotEvaluable(_)) && wait, "{lagging:?}");
        }
        let later = Reading { from: SIGNED.plus(HOUR), ..read.clone() };
        let Walked { judged, wait } = walked(Seen::default(), &[later]);
        assert!(matches!(judged[0].1, Verdict::NotEvaluable(_)) && !wait);
        // A shard for other certificates is not waited for.
        let other = Reading { takes: Some((date(2027, 2, 1), date(2027, 8, 1))), ..reading(None) };
        assert!(matches!(walked(Seen::default(), &[read.clone(), other]).judged[0].1, Verdict::Fail(_)));
        for seen in
            [Seen { precertificate: true, certificate: false }, Seen { precertificate: false, certificate: true }]
        {
            assert_eq!(walked(seen, &[]).judged[0].1, Verdict::Pass);
        }
    }

    #[test]
    fn a_precertificate_without_its_certificate_is_noticed() {
        let pre = Seen { precertificate: true, certificate: false };
        let of = |state: &str, seen| judge(&signed(state), seen, &[], DAY, SIGNED.plus(DAY)).judged;
        let judged = of("precert_only", pre);
        assert!(matches!(&judged[1].1, Verdict::Fail(found) if found[0].severity == Severity::Notice), "{judged:?}");
        assert_eq!(of("precert_only", Seen { certificate: true, ..pre })[1].1, Verdict::Pass);
        assert_eq!(of("issued", pre).len(), 1);
        assert_eq!(of("precert_only", Seen::default()).len(), 1);
    }

    #[test]
    fn one_log_that_is_behind_does_not_hold_up_the_walk() {
        let now = SIGNED.plus(DAY);
        let (far, near) = (reading(Some(now)), reading(None));
        assert_eq!(horizon(&[far.clone(), far.clone(), near.clone()], HOUR, now), Some(now.minus(HOUR)));
        assert_eq!(horizon(&[far, near.clone(), near.clone()], HOUR, now), None);
        assert_eq!(horizon(&[], HOUR, now), None);
        assert_eq!(horizon(&[near], HOUR, now), None);
    }
}
