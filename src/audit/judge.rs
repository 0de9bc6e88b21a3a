//! Judges one part: every name through the sieve, what is doubtful through the audit of one certificate.

mod doubt;
mod rows;

use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::Mutex;

use crate::audit::facts::{Certificate, Facts, NO_MOMENT, moment};
use crate::audit::found::{Found, Outcome, Stray};
use crate::audit::intern::NONE;
use crate::audit::load::Loaded;
use crate::audit::{AuditError, Job};
use crate::clock::{Span, Timestamp};
use crate::evidence::sieve::{self, Bond, Check, Gaps, Reliance, Reused};
use crate::finding::RuleInfo;
pub(super) use rows::Foreign;
use rows::{ConfirmationRow, NameRow, Table};

/// Why rules cannot be judged, by what is missing: read off the audit of the first name that lacks it.
pub(super) type Reasons = Mutex<BTreeMap<Gaps, Vec<(&'static RuleInfo, String)>>>;

/// What judging needs besides the rows.
pub(super) struct Bench<'a> {
    pub(super) job: &'a Job<'a>,
    pub(super) loaded: &'a Loaded,
    pub(super) reasons: &'a Reasons,
    /// The limit of each reuse rule, by its word.
    limits: Vec<Option<Span>>,
    /// Whether the sieve may let anything pass.
    sieve: bool,
    whole: Vec<doubt::Whole>,
    /// Whether each word means EV.
    ev: Vec<bool>,
}

impl<'a> Bench<'a> {
    pub(super) fn new(job: &'a Job<'a>, loaded: &'a Loaded, reasons: &'a Reasons) -> Bench<'a> {
        let words = &loaded.facts.words;
        let rules = &job.policy.reuse_rules;
        let limit =
            |word: u32| rules.iter().find(|rule| rule.name.eq_ignore_ascii_case(words.get(word))).map(|r| r.limit);
        let ev = (0..words.len() as u32).map(|word| words.get(word).trim().eq_ignore_ascii_case("EV")).collect();
        let limits = (0..words.len() as u32).map(limit).collect();
        Bench { job, loaded, reasons, limits, sieve: sieve::is_complete(), whole: doubt::whole(job, &loaded.facts), ev }
    }

    fn facts(&self) -> &'a Facts {
        &self.loaded.facts
    }

    /// Judges a part. Names that rest on rows of other parts become strays.
    pub(super) fn part(&self, part: u32) -> Result<Outcome, AuditError> {
        let mut outcome = self.rounds(part, None, &|_| true)?;
        self.whole_certificates(part, &mut outcome);
        outcome.findings.sort();
        Ok(outcome)
    }

    /// Judges the names of a part that rested on rows of other parts; a row that is not among them does not exist.
    pub(super) fn strays(&self, part: u32, foreign: &Foreign, strays: &[Stray]) -> Result<Outcome, AuditError> {
        let facts = self.facts();
        let mut names: HashMap<u32, HashSet<&str>> = HashMap::new();
        for stray in strays {
            if let Some(place) = facts.certificates.place(stray.cert_id) {
                names.entry(place).or_default().insert(&stray.name);
            }
        }
        let asked = |row: &NameRow<'_>| names.get(&row.certificate).is_some_and(|names| names.contains(row.name));
        let mut outcome = self.rounds(part, Some(foreign), &asked)?;
        outcome.findings.sort();
        Ok(outcome)
    }

    fn rounds(
        &self,
        part: u32,
        foreign: Option<&Foreign>,
        asked: &dyn Fn(&NameRow<'_>) -> bool,
    ) -> Result<Outcome, AuditError> {
        let mut outcome = Outcome::default();
        let sizes = self.loaded.confirmations.iter().chain(&self.loaded.checks).map(|spool| spool.bytes(part));
        let rounds = self.job.rounds(self.facts().bytes(), sizes.sum());
        for round in 0..rounds {
            let mut table = Table::load(self, part, round, rounds)?;
            let (mut counted, mut doubtful) = (BTreeMap::new(), Vec::new());
            for spool in &self.loaded.names {
                spool.each_block(part, &mut |block| {
                    for row in rows::names(block).filter(|row| self.round_of(row, rounds) == round && asked(row)) {
                        if !self.passes(&row, &table, foreign, &mut counted, &mut outcome) {
                            doubtful.push((row.with(""), row.name.to_string()));
                        }
                    }
                })?;
            }
            self.count(counted, &mut outcome);
            let with_order = doubtful.iter().filter(|(row, _)| row.order != NONE);
            table.gather(with_order.map(|(row, name)| (self.facts().orders[row.order as usize].applicant, &**name)));
            for (row, name) in doubtful {
                let row = row.with(&name);
                for (rule, verdict) in self.verdicts(&row, &table, foreign) {
                    self.note(rule, verdict, &row, &table, foreign, &mut outcome);
                }
            }
        }
        Ok(outcome)
    }

    fn round_of(&self, row: &NameRow<'_>, rounds: u32) -> u32 {
        if row.order == NONE { 0 } else { self.facts().orders[row.order as usize].applicant % rounds }
    }

    /// Whether nothing is wrong with a name, or it is astray and waits; what is missing of it is counted.
    fn passes(
        &self,
        row: &NameRow<'_>,
        table: &Table,
        foreign: Option<&Foreign>,
        counted: &mut BTreeMap<Gaps, u64>,
        outcome: &mut Outcome,
    ) -> bool {
        let confirmation = table.confirmation(row.dcv);
        let check = if self.job.with_caa { table.check(row.caa) } else { None };
        let astray = row.dcv != 0 && confirmation.is_none() || self.job.with_caa && row.caa != 0 && check.is_none();
        if astray && foreign.is_none() {
            let certificate = self.facts().certificates.at(row.certificate);
            outcome.strays.push(Stray {
                cert_id: certificate.id,
                name: row.name.to_string(),
                dcv: row.dcv,
                caa: row.caa,
            });
            return true;
        }
        outcome.names += 1;
        let Some(confirmation) = confirmation.filter(|_| self.sieve && !astray) else { return false };
        let check = check.map(|at| table.check_row(at));
        let Some(gaps) = self.sift(row, table, &table.row(confirmation), check.as_ref()) else { return false };
        if gaps != Gaps::NONE {
            if !counted.contains_key(&gaps) {
                self.learn(gaps, row, table, foreign);
            }
            *counted.entry(gaps).or_default() += 1;
        }
        true
    }

    /// What is missing of a name when nothing is wrong with it.
    fn sift(
        &self,
        row: &NameRow<'_>,
        table: &Table,
        confirmation: &ConfirmationRow<'_>,
        check: Option<&rows::CheckRow<'_>>,
    ) -> Option<Gaps> {
        let facts = self.facts();
        let signed = Timestamp::from_seconds(row.signed);
        let completed = Timestamp::from_seconds(confirmation.completed);
        let reuse = (row.reuse != NONE).then(|| {
            let reuse = facts.reuses.at(row.reuse);
            let origin = moment(row.origin).unwrap_or(completed);
            let limit = self.limits[reuse.rule as usize];
            Reused { limit, decided_at: Timestamp::from_seconds(reuse.decided), origin }
        });
        let bond = match row.order {
            NONE => Bond::NoOrder,
            order => {
                let applicant = facts.orders[order as usize].applicant;
                let account = |applicant: u32| facts.applicants[applicant as usize].account;
                let (own, other) = (account(applicant), account(confirmation.applicant));
                Bond::of(applicant == confirmation.applicant, Some(own == other), facts.accounts[own as usize].shared)
            }
        };
        let reliance = Reliance {
            name: row.name,
            adn: confirmation.adn,
            grade: &facts.means[confirmation.means as usize].1,
            completed,
            token_issued_at: moment(confirmation.token),
            signed,
            reuse,
            bond,
            suffix: confirmation.adn != row.name && table.is_suffix(confirmation.adn),
            ev: row.order != NONE && self.ev[facts.orders[row.order as usize].vtype as usize],
            location: Some(confirmation.location),
            evidence_ref: Some(confirmation.reference),
            recorded_at: moment(confirmation.recorded),
        };
        let gaps = reliance.sift(self.job.policy)?;
        if !self.job.with_caa {
            return Some(gaps);
        }
        let check = check.map(|check| Check {
            name: check.name,
            grade: &facts.caa_means[check.means as usize].1,
            checked_at: Timestamp::from_seconds(check.checked),
            ttl: (check.ttl >= 0).then(|| Span::from_seconds(check.ttl)),
            rrset: check.rrset,
        });
        Some(gaps.and(sieve::sift_caa(row.name, check.as_ref(), signed, facts.keeps_caa, self.job.policy)?))
    }

    fn count(&self, counted: BTreeMap<Gaps, u64>, outcome: &mut Outcome) {
        let reasons = self.reasons.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        for (gaps, names) in counted {
            for (rule, reason) in reasons.get(&gaps).into_iter().flatten() {
                outcome.gap(rule.id, reason, names);
            }
        }
    }

    /// What a finding says of its certificate and subscriber.
    fn found(&self, certificate: &Certificate) -> Found {
        let facts = self.facts();
        let order = (certificate.order != NONE).then(|| facts.order(certificate.order));
        let revoked = facts.revoked.contains(&certificate.id);
        let not_after = (certificate.not_after != NO_MOMENT).then_some(certificate.not_after);
        let mut found = Found {
            cert_id: certificate.id,
            signed_at: certificate.signed,
            not_after,
            still_valid: !revoked,
            issuer: facts.issuers[certificate.issuer as usize].name.clone(),
            ..Found::default()
        };
        if let Some(order) = order {
            (found.order_id, found.account_id) = (order.order_id, order.account.account_id);
            found.subscriber = order.applicant_id;
            found.subscriber_name = order.applicant_name.or(order.account.name).unwrap_or_default();
        }
        found
    }
}
