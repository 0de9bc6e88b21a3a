//! Judges one part: every name through the sieve, what is doubtful through the audit of one certificate.

mod doubt;
mod ordered;
mod rows;

use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};

use crate::audit::facts::{Certificate, Facts, NO_MOMENT, moment};
use crate::audit::found::{Found, Outcome, Stray};
use crate::audit::intern::NONE;
use crate::audit::load::Loaded;
use crate::audit::{AuditError, Job};
use crate::clock::{Span, Timestamp};
use crate::evidence;
use crate::evidence::sieve::{self, Bond, Check, Gaps, Reliance, Reused};
use crate::finding::RuleInfo;
use crate::record::{CaaCheck, DcvConfirmation};
pub(super) use doubt::{Whole, whole};
use ordered::{Ordered, Unjudged};
use rows::{ConfirmationRow, NameRow, Table};
pub(super) use rows::{Foreign, Ids};

/// Why rules cannot be judged, by what is missing: read off the audit of the first name that lacks it.
pub(super) type Reasons = Mutex<BTreeMap<Gaps, Vec<(&'static RuleInfo, String)>>>;

/// What a doubtful name rests on.
#[derive(Clone, Debug)]
pub(super) struct Rests {
    /// The confirmation at the root.
    root: Option<DcvConfirmation>,
    caa: Option<CaaCheck>,
    /// Other confirmations of the applicant that cover the name, and how many more are too old.
    others: (Vec<DcvConfirmation>, usize),
}

/// A name that waits for rows of other parts.
#[derive(Debug)]
pub(super) struct Waiting {
    row: NameRow<'static>,
    name: String,
    rests: Rests,
}

fn round_of(row: &NameRow<'_>, rounds: u32) -> u32 {
    if rounds == 1 || row.order == NONE { 0 } else { row.applicant % rounds }
}

fn round_of_order(facts: &Facts, order: u32, rounds: u32) -> u32 {
    if rounds == 1 { 0 } else { facts.orders[order as usize].applicant % rounds }
}

/// What judging needs besides the rows.
pub(super) struct Bench<'a> {
    pub(super) job: &'a Job<'a>,
    pub(super) loaded: &'a Loaded,
    pub(super) reasons: &'a Reasons,
    /// The limit of each reuse rule, by its word.
    limits: Vec<Option<Span>>,
    /// Whether the sieve may let anything pass.
    sieve: bool,
    whole: Vec<Whole>,
    /// Whether each word means EV.
    ev: Vec<bool>,
    /// The rules on evidence that are asked about and concern names, by their place in [`evidence::RULES`].
    asked: Vec<bool>,
    /// How many rows may still be kept in memory for names that wait for rows of other parts.
    room: AtomicU64,
}

/// What a confirmation, a check or a name takes in memory, nearly, in bytes.
const KEPT_BYTES: u64 = 1024;

impl<'a> Bench<'a> {
    pub(super) fn new(job: &'a Job<'a>, loaded: &'a Loaded, whole: Vec<Whole>, reasons: &'a Reasons) -> Bench<'a> {
        let words = &loaded.facts.words;
        let rules = &job.policy.reuse_rules;
        let limit =
            |word: u32| rules.iter().find(|rule| rule.name.eq_ignore_ascii_case(words.get(word))).map(|r| r.limit);
        let ev = (0..words.len() as u32).map(|word| words.get(word).trim().eq_ignore_ascii_case("EV")).collect();
        let limits = (0..words.len() as u32).map(limit).collect();
        let sieve = sieve::is_complete();
        let room = AtomicU64::new(job.memory / 16 / KEPT_BYTES);
        let asked =
            evidence::RULES.iter().map(|rule| !doubt::OF_ORDER.contains(&rule.id) && job.asks(rule.id)).collect();
        Bench { job, loaded, reasons, limits, sieve, whole, ev, asked, room }
    }

    fn facts(&self) -> &'a Facts {
        &self.loaded.facts
    }

    /// Judges a part. Names that rest on rows of other parts become strays; they wait in memory as far as there is room.
    pub(super) fn part(&self, part: u32) -> Result<(Outcome, Option<Vec<Waiting>>), AuditError> {
        let mut waiting = Some(Vec::new());
        let mut outcome = self.rounds(part, None, &|_| true, &mut waiting)?;
        self.whole_certificates(part, &mut outcome);
        Ok((outcome, waiting))
    }

    /// Judges names that waited; a row that is not among these does not exist.
    pub(super) fn waited(&self, foreign: &Foreign, waiting: Vec<Waiting>) -> Outcome {
        let mut outcome = Outcome { names: waiting.len() as u64, ..Outcome::default() };
        for Waiting { row, name, mut rests } in waiting {
            rests.root = rests.root.or_else(|| foreign.confirmations.get(&row.dcv).cloned());
            rests.caa = rests.caa.or_else(|| foreign.checks.get(&row.caa).cloned());
            self.doubt(&row.with(&name), rests, &mut outcome);
        }
        outcome
    }

    /// Judges the names of a part that rested on rows of other parts and are not in memory, as [`Bench::waited`].
    pub(super) fn strays(&self, part: u32, foreign: &Foreign, strays: &[Stray]) -> Result<Outcome, AuditError> {
        let facts = self.facts();
        let mut names: HashMap<u32, HashSet<&str>> = HashMap::new();
        for stray in strays {
            if let Some(place) = facts.certificates.place(stray.cert_id) {
                names.entry(place).or_default().insert(&stray.name);
            }
        }
        let asked = |row: &NameRow<'_>| names.get(&row.certificate).is_some_and(|names| names.contains(row.name()));
        self.rounds(part, Some(foreign), &asked, &mut None)
    }

    fn rounds(
        &self,
        part: u32,
        foreign: Option<&Foreign>,
        asked: &dyn Fn(&NameRow<'_>) -> bool,
        waiting: &mut Option<Vec<Waiting>>,
    ) -> Result<Outcome, AuditError> {
        let mut outcome = Outcome::default();
        let tables = self.loaded.confirmations.iter().chain(&self.loaded.checks).chain(&self.loaded.ordered);
        let sizes = tables.map(|spool| spool.bytes(part));
        let rounds = self.job.rounds(self.facts().bytes() as u64 + self.loaded.kept, sizes.sum());
        for round in 0..rounds {
            let mut table = Table::load(self, part, round, rounds)?;
            let first = foreign.is_none();
            let ordered = if first { Ordered::load(self, part, round, rounds)? } else { Ordered::default() };
            let mut unjudged = Unjudged::default();
            let (mut counted, mut doubtful) = (BTreeMap::new(), Vec::new());
            for spool in &self.loaded.names {
                spool.each_block(part, &mut |block| {
                    for row in rows::names(block).filter(|row| round_of(row, rounds) == round && asked(row)) {
                        if first {
                            self.order_of(&row, &ordered, &mut unjudged, &mut outcome);
                        }
                        if !self.passes(&row, &table, foreign, &mut counted, &mut outcome) {
                            doubtful.push((row.with(""), row.name().to_string()));
                        }
                    }
                })?;
            }
            self.count(counted, &mut outcome);
            self.unjudged(unjudged, &mut outcome);
            let with_order = doubtful.iter().filter(|(row, _)| row.order != NONE);
            table.gather(with_order.map(|(row, name)| (row.applicant, &**name)));
            for (row, name) in doubtful {
                let named = row.with(&name);
                let rests = self.rests(&named, &table, foreign);
                if !self.is_astray(&named, &table) || foreign.is_some() {
                    outcome.names += 1;
                    self.doubt(&named, rests, &mut outcome);
                    continue;
                }
                let cert_id = self.facts().certificates.at(row.certificate).id;
                outcome.strays.push(Stray { cert_id, name: name.clone(), dcv: row.dcv, caa: row.caa });
                let kept = 3 + rests.others.0.len() as u64;
                let room = |room: u64| room.checked_sub(kept);
                match self.room.fetch_update(Ordering::Relaxed, Ordering::Relaxed, room) {
                    Ok(_) => waiting.iter_mut().for_each(|waiting| {
                        waiting.push(Waiting { row, name: name.clone(), rests: rests.clone() });
                    }),
                    Err(_) => *waiting = None,
                }
            }
        }
        Ok(outcome)
    }

    /// Whether a name rests on a row that this part does not have.
    fn is_astray(&self, row: &NameRow<'_>, table: &Table) -> bool {
        let without = |id: i64, found: Option<u32>| id != 0 && found.is_none();
        without(row.dcv, table.confirmation(row.dcv)) || self.job.with_caa && without(row.caa, table.check(row.caa))
    }

    /// Whether nothing is wrong with a name; what is missing of it is counted.
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
        let Some(confirmation) = confirmation.filter(|_| self.sieve && !astray) else { return false };
        let check = check.map(|at| table.check_row(at));
        let Some(gaps) = self.sift(row, &table.row(confirmation), check.as_ref()) else { return false };
        if gaps != Gaps::NONE {
            if !counted.contains_key(&gaps) {
                self.learn(gaps, row, table, foreign);
            }
            *counted.entry(gaps).or_default() += 1;
        }
        outcome.names += 1;
        true
    }

    /// What is missing of a name when nothing is wrong with it.
    fn sift(
        &self,
        row: &NameRow<'_>,
        confirmation: &ConfirmationRow<'_>,
        check: Option<&rows::CheckRow<'_>>,
    ) -> Option<Gaps> {
        let facts = self.facts();
        let signed = Timestamp::from_seconds(row.signed);
        let completed = Timestamp::from_seconds(confirmation.completed);
        let reuse = (row.reuse != NONE).then(|| {
            let origin = moment(row.origin).unwrap_or(completed);
            Reused { limit: self.limits[row.rule as usize], decided_at: Timestamp::from_seconds(row.decided), origin }
        });
        let bond = match row.order {
            NONE => Bond::NoOrder,
            _ if row.applicant == confirmation.applicant => Bond::Holds,
            _ => {
                let account = |applicant: u32| facts.applicants[applicant as usize].account;
                let (own, other) = (account(row.applicant), account(confirmation.applicant));
                Bond::of(false, Some(own == other), facts.accounts[own as usize].shared)
            }
        };
        let reliance = Reliance {
            name: row.octets,
            adn: confirmation.adn,
            grade: &facts.means[confirmation.means as usize].1,
            completed,
            token_issued_at: moment(confirmation.token),
            signed,
            reuse,
            bond,
            suffix: !row.is_of(confirmation.adn) && self.job.suffixes.is_suffix(confirmation.adn),
            ev: row.vtype != NONE && self.ev[row.vtype as usize],
            location: confirmation.location.seen(),
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
        Some(gaps.and(sieve::sift_caa(row.name(), check.as_ref(), signed, facts.keeps_caa, self.job.policy)?))
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
    fn found(&self, certificate: &Certificate) -> Found<&'a str> {
        let facts = self.facts();
        let revoked = facts.revoked.contains(&certificate.id);
        let not_after = (certificate.not_after != NO_MOMENT).then_some(certificate.not_after);
        let mut found = Found {
            cert_id: certificate.id,
            signed_at: certificate.signed,
            not_after,
            still_valid: !revoked,
            issuer: facts.issuers[certificate.issuer as usize].name.as_str(),
            ..Found::default()
        };
        if certificate.order != NONE {
            let number = facts.orders[certificate.order as usize].applicant;
            let applicant = &facts.applicants[number as usize];
            let account = &facts.accounts[applicant.account as usize];
            found.order_id = facts.order_ids.get(certificate.order);
            found.account_id = facts.account_ids.get(applicant.account);
            found.subscriber = facts.applicant_ids.get(number);
            found.subscriber_name = applicant.name.as_deref().or(account.name.as_deref()).unwrap_or_default();
        }
        found
    }
}
