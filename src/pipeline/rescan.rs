//! Every certificate in the books judged once more, and what is different from what is on record.
//!
//! For the day after a new rule, a new list of top-level domains or a new profile: the question that a CA otherwise
//! answers with a script over its certificate database. Nothing is written here.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::counting::not_again;
use super::examine::{Grounds, Verdicts, logged_at, query, sort_forms};
use super::record_watch::distrust;
use crate::books::{Judged, PendingHit};
use crate::case::{case_name, fold};
use crate::clock::Timestamp;
use crate::exam;
use crate::finding::{CaseKey, Finding, Verdict};
use crate::issuance::IssuanceDb;
use crate::record::Lookup;

/// How the findings of one rule stand to those on record.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Tally {
    /// Found now and not on record, or worse than on record.
    pub new: u64,
    /// On record and not found now.
    pub gone: u64,
    /// On record and found now.
    pub unchanged: u64,
    /// Found now about a certificate of which advice is all that is found: it opens no case and is not on record.
    pub advice: u64,
    /// On record, and the rule cannot be judged now.
    pub not_evaluable: u64,
}

/// On which side a finding stands alone.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Side {
    /// Found now.
    New,
    /// On record.
    Gone,
}

/// A finding that is new or gone.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Difference {
    /// New or gone.
    pub side: Side,
    /// The case of the certificate, if it has one.
    pub case: Option<String>,
    /// SHA-256 of the issuer's key, hexadecimal.
    pub issuer_key_hash: String,
    /// Serial, hexadecimal.
    pub serial: String,
    /// The finding.
    pub finding: Finding,
}

/// What a batch of certificates gave.
#[derive(Clone, Debug, Default)]
pub struct Compared {
    /// By rule.
    pub tallies: BTreeMap<String, Tally>,
    /// What is new or gone.
    pub differences: Vec<Difference>,
    /// Hits of certificates of which something is new.
    pub changed: Vec<i64>,
}

/// What certificates are judged by once more.
#[derive(Clone, Debug)]
pub struct Rescan {
    /// What the examination rests on.
    pub grounds: Grounds,
    /// The CA's record.
    pub issuance: Arc<IssuanceDb>,
    /// The rules that are compared; all when empty.
    pub rules: Vec<String>,
}

impl Rescan {
    /// Judges certificates as the daemon would at `now`, on all cores.
    pub async fn judge(self: &Arc<Rescan>, mut batch: Vec<Judged>, now: Timestamp) -> Compared {
        batch.iter_mut().flat_map(|judged| &mut judged.hits).for_each(sort_forms);
        let queries: Vec<_> = batch.iter().flat_map(|judged| &judged.hits).map(query).collect();
        let mut lookups = self.issuance.find(&queries).await;
        if self.issuance.is_server() {
            for (hit, lookup) in batch.iter().flat_map(|judged| &judged.hits).zip(&mut lookups) {
                distrust(lookup, logged_at(hit).plus(self.grounds.grace), now);
            }
        }
        let cores = std::thread::available_parallelism().map_or(1, |cores| cores.get());
        let share = batch.len().div_ceil(cores).max(1);
        let mut lookups = lookups.into_iter();
        let mut parts = Vec::new();
        let mut batch = batch.into_iter().peekable();
        while batch.peek().is_some() {
            let part: Vec<(Judged, Vec<Lookup>)> = batch
                .by_ref()
                .take(share)
                .map(|judged| {
                    let own = lookups.by_ref().take(judged.hits.len()).collect();
                    (judged, own)
                })
                .collect();
            let rescan = self.clone();
            parts.push(tokio::task::spawn_blocking(move || {
                let mut compared = Compared::default();
                part.iter().for_each(|(judged, lookups)| rescan.compare(judged, lookups, now, &mut compared));
                compared
            }));
        }
        let mut whole = Compared::default();
        for part in parts {
            match part.await {
                Ok(part) => whole.add(part),
                Err(error) => match error.try_into_panic() {
                    // Rules are run under catch_unwind, so that this is not the panic of a rule.
                    Ok(panic) => std::panic::resume_unwind(panic),
                    Err(_) => std::future::pending().await,
                },
            }
        }
        whole
    }

    fn compare(&self, judged: &Judged, lookups: &[Lookup], now: Timestamp, into: &mut Compared) {
        let verdicts: Vec<(&PendingHit, Verdicts)> = judged
            .hits
            .iter()
            .zip(lookups)
            .map(|(hit, lookup)| {
                let mut verdicts = self.grounds.verdicts(hit, lookup, now);
                verdicts.extend(not_again());
                (hit, verdicts)
            })
            .collect();
        let found: Vec<(i64, Vec<Finding>, bool)> = verdicts
            .iter()
            .map(|(hit, verdicts)| (hit.hit_id, exam::outcome(verdicts).0, exam::opens_a_case(verdicts)))
            .collect();
        let unsure = |rule: &str| {
            let of_rule = verdicts.iter().flat_map(|(_, verdicts)| verdicts).filter(|(info, _)| info.id == rule);
            of_rule.into_iter().any(|(_, verdict)| matches!(verdict, Verdict::NotEvaluable(_)))
        };
        contrast(judged, &found, unsure, |rule| self.rules.is_empty() || self.rules.iter().any(|r| r == rule), into);
    }
}

/// Sets what was found about a certificate, per hit and whether it opens a case, beside what is on record.
fn contrast(
    judged: &Judged,
    found: &[(i64, Vec<Finding>, bool)],
    unsure: impl Fn(&str) -> bool,
    asked: impl Fn(&str) -> bool,
    into: &mut Compared,
) {
    let case = judged.case.as_ref();
    let on_record = case.map(|case| case.findings.as_slice()).unwrap_or_default();
    let same = |a: &Finding, b: &Finding| a.rule == b.rule && a.subject == b.subject;
    let serious: Vec<Finding> =
        found.iter().filter(|(_, _, opens)| *opens).flat_map(|(_, findings, _)| findings).cloned().collect();
    // What the case would take up is what the daemon's own folding takes up.
    let new = fold(case, &serious).map(|change| change.new_findings).unwrap_or_default();
    for finding in new.iter().filter(|finding| asked(&finding.rule)) {
        into.tally(&finding.rule).new += 1;
        into.differences.push(difference(Side::New, judged, finding));
    }
    for known in on_record.iter().filter(|finding| asked(&finding.rule)) {
        if new.iter().any(|finding| same(finding, known)) {
            continue;
        }
        if found.iter().flat_map(|(_, findings, _)| findings).any(|finding| same(finding, known)) {
            into.tally(&known.rule).unchanged += 1;
        } else if unsure(&known.rule) {
            into.tally(&known.rule).not_evaluable += 1;
        } else {
            into.tally(&known.rule).gone += 1;
            into.differences.push(difference(Side::Gone, judged, known));
        }
    }
    let advice = found.iter().filter(|(_, _, opens)| !opens).flat_map(|(_, findings, _)| findings);
    for finding in advice.filter(|finding| asked(&finding.rule) && !on_record.iter().any(|known| same(known, finding)))
    {
        into.tally(&finding.rule).advice += 1;
    }
    let has_new = |findings: &[Finding]| findings.iter().any(|f| asked(&f.rule) && new.iter().any(|n| same(n, f)));
    into.changed.extend(found.iter().filter(|(_, findings, opens)| *opens && has_new(findings)).map(|(hit, ..)| hit));
}

fn difference(side: Side, judged: &Judged, finding: &Finding) -> Difference {
    let CaseKey { issuer_key_hash, serial } = &judged.key;
    Difference {
        side,
        case: judged.case.as_ref().map(|case| case_name(case.number, case.aware_at)),
        issuer_key_hash: issuer_key_hash.to_string(),
        serial: serial.to_string(),
        finding: finding.clone(),
    }
}

impl Compared {
    fn tally(&mut self, rule: &str) -> &mut Tally {
        if !self.tallies.contains_key(rule) {
            self.tallies.insert(rule.to_string(), Tally::default());
        }
        self.tallies.entry(rule.to_string()).or_default()
    }

    fn add(&mut self, other: Compared) {
        for (rule, tally) in other.tallies {
            self.tallies.entry(rule).or_default().add(tally);
        }
        self.differences.extend(other.differences);
        self.changed.extend(other.changed);
    }
}

impl Tally {
    /// The sum of both.
    pub fn add(&mut self, other: Tally) {
        self.new += other.new;
        self.gone += other.gone;
        self.unchanged += other.unchanged;
        self.advice += other.advice;
        self.not_evaluable += other.not_evaluable;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::case::{CaseNumber, CaseState};
    use crate::finding::{KeyHash, RevocationClock, Serial, Severity};

    fn finding(rule: &'static str, severity: Severity) -> Finding {
        let clock = if severity == Severity::Error { RevocationClock::FiveDays(12) } else { RevocationClock::None };
        let (subject, detail) = ("a.example".to_string(), "because".to_string());
        Finding { rule: rule.into(), severity, citation: "BR 1.6.1".into(), clock, subject, detail, evidence: vec![] }
    }

    fn judged(on_record: &[Finding]) -> Judged {
        let key = CaseKey { issuer_key_hash: KeyHash::default(), serial: Serial(vec![7]) };
        let case = (!on_record.is_empty()).then(|| CaseState {
            number: CaseNumber(3),
            key: key.clone(),
            aware_at: crate::clock::date(2026, 3, 1),
            clock_since: None,
            subject_line: String::new(),
            events: 1,
            findings: on_record.to_vec(),
        });
        Judged { key, hits: vec![], case }
    }

    fn of(on_record: &[Finding], found: &[Finding], opens: bool, unsure: &str, asked: &str) -> Compared {
        let mut into = Compared::default();
        let asked = |rule: &str| asked.is_empty() || rule == asked;
        contrast(&judged(on_record), &[(5, found.to_vec(), opens)], |rule| rule == unsure, asked, &mut into);
        into
    }

    #[test]
    fn what_is_new_gone_and_unchanged_is_told_apart() {
        let [a, b, c, d] = ["a", "b", "c", "d"].map(|rule| finding(rule, Severity::Error));
        let compared = of(&[a.clone(), b.clone(), c.clone()], &[b, d], true, "c", "");
        let tally = |rule: &str| compared.tallies[rule];
        assert_eq!(tally("a"), Tally { gone: 1, ..Tally::default() });
        assert_eq!(tally("b"), Tally { unchanged: 1, ..Tally::default() });
        assert_eq!(
            tally("c"),
            Tally { not_evaluable: 1, ..Tally::default() },
            "a rule without its evidence is not gone"
        );
        assert_eq!(tally("d"), Tally { new: 1, ..Tally::default() });
        let sides: Vec<_> = compared.differences.iter().map(|d| (d.side, d.finding.rule.as_ref())).collect();
        assert_eq!(sides, [(Side::New, "d"), (Side::Gone, "a")]);
        assert_eq!(compared.differences[0].case.as_deref(), Some("CASE-2026-0003"));
        assert_eq!(compared.changed, [5]);
    }

    #[test]
    fn worse_is_new_milder_is_not_and_advice_opens_nothing() {
        let (review, error) = (finding("a", Severity::Review), finding("a", Severity::Error));
        let worse = of(std::slice::from_ref(&review), std::slice::from_ref(&error), true, "", "");
        assert_eq!(worse.tallies["a"].new, 1);
        let milder = of(&[error], &[review], true, "", "");
        assert_eq!((milder.tallies["a"].unchanged, milder.changed.len()), (1, 0));
        let advice = of(&[], &[finding("a", Severity::Warning)], false, "", "");
        assert_eq!(advice.tallies["a"], Tally { advice: 1, ..Tally::default() });
        assert!(advice.differences.is_empty() && advice.changed.is_empty());
    }

    #[test]
    fn one_rule_can_be_asked_for() {
        let [a, b] = ["a", "b"].map(|rule| finding(rule, Severity::Error));
        let compared = of(&[], &[a, b], true, "", "b");
        assert_eq!(compared.tallies.keys().collect::<Vec<_>>(), ["b"]);
        assert_eq!(compared.differences.len(), 1);
        assert!(of(&[], &[finding("a", Severity::Error)], true, "", "b").changed.is_empty());
    }
}
