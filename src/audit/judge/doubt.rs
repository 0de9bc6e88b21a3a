//! What the sieve does not let pass: the record of one name as the examination of one certificate has it, and what
//! the rules say of it.

use std::collections::HashMap;
use std::rc::Rc;
use std::sync::PoisonError;

use super::rows::{Foreign, NameRow, Table};
use super::{Bench, Rests};
use crate::audit::Job;
use crate::audit::facts::{Certificate, Facts, OrderRow};
use crate::audit::found::{Outcome, Row, told};
use crate::audit::intern::NONE;
use crate::audit::key::{self, PARTS};
use crate::cert::DnsName;
use crate::clock::{Span, Timestamp};
use crate::crosscheck;
use crate::evidence;
use crate::evidence::dated;
use crate::evidence::sieve::Gaps;
use crate::finding::{CaseKey, Issued, KeyHash, RuleInfo, Serial, Verdict};
use crate::lint::SuffixList;
use crate::record::{Basis, DcvReuse, Identity, IssuanceRecord, Lookup, Presented, ReuseStep, SanAuthorisation};

/// The rules on a certificate as a whole that need no certificate but its record.
const WHOLE: [&str; 2] = ["order.hierarchy", "order.channel"];

/// The rules on the evidence that are about a certificate as a whole.
pub(super) const OF_ORDER: [&str; 2] = ["ev.approvals", "id.reuse"];

/// The certificates of a part that are looked at as a whole.
#[derive(Clone, Debug, Default)]
pub(in crate::audit) struct Whole {
    count: u64,
    doubtful: Vec<u32>,
    without_channels: u64,
}

/// Sorts the certificates by part: those with an order, DV, of the right hierarchy and channel are good.
pub(in crate::audit) fn whole(job: &Job<'_>, facts: &Facts) -> Vec<Whole> {
    let mut parts = vec![Whole::default(); PARTS as usize];
    let channels = &job.policy.channels;
    let allowed = |order: OrderRow| {
        let listed = dated::at(channels, Timestamp::from_seconds(order.created)).unwrap_or_default();
        listed.iter().any(|channel| channel.eq_ignore_ascii_case(facts.words.get(order.channel)))
    };
    let words = |is: &dyn Fn(&str) -> bool| -> Vec<bool> {
        (0..facts.words.len() as u32).map(|word| is(facts.words.get(word))).collect()
    };
    let dv = words(&|word| word.trim().eq_ignore_ascii_case("DV"));
    // Of each issuer's hierarchy, which there are two of: whether a word is it.
    let mut same: HashMap<&str, Rc<Vec<bool>>> = HashMap::new();
    for issuer in &facts.issuers {
        let is_same = || Rc::new(words(&|word| word.eq_ignore_ascii_case(&issuer.hierarchy)));
        same.entry(&issuer.hierarchy).or_insert_with(is_same);
    }
    let same: Vec<Rc<Vec<bool>>> = facts.issuers.iter().map(|issuer| same[&*issuer.hierarchy].clone()).collect();
    let asked = WHOLE.iter().chain(&OF_ORDER).any(|rule| job.asks(rule));
    for (place, certificate) in facts.certificates.rows().iter().enumerate() {
        let part = &mut parts[key::of_certificate(certificate.id) as usize];
        part.count += 1;
        let good = !asked
            || certificate.order != NONE && {
                let order = facts.orders[certificate.order as usize];
                part.without_channels += u64::from(channels.is_empty());
                dv[order.vtype as usize]
                    && same[certificate.issuer as usize][order.hierarchy as usize]
                    && (channels.is_empty() || allowed(order))
            };
        if !good {
            part.doubtful.push(place as u32);
        }
    }
    parts
}

impl Bench<'_> {
    /// The rules on the certificates of a part as a whole.
    pub(super) fn whole_certificates(&self, part: u32, outcome: &mut Outcome) {
        let whole = &self.whole[part as usize];
        outcome.certificates = whole.count;
        if self.job.asks("order.channel") && whole.without_channels > 0 {
            let why = "the channels that the CA's policy allows are not configured";
            outcome.gap("order.channel", why, whole.without_channels);
        }
        if part == 0 && self.facts().unsettled > 0 {
            let why = "signed too shortly before the rows were copied: not all of theirs may have been there";
            outcome.gap("certificates", why, self.facts().unsettled);
        }
        if !self.facts().keeps_authorisations && whole.count > 0 {
            // No name is known, so none is counted: the rules on names are missing for every certificate.
            let of_names = evidence::RULES.iter().filter(|rule| !OF_ORDER.contains(&rule.id));
            let rules = of_names.map(|rule| rule.id).chain(["san.unexpected"]);
            for rule in rules.filter(|rule| self.job.asks(rule)) {
                outcome.gap(rule, "the feed has no table san_authorisations", whole.count);
            }
        }
        for place in &whole.doubtful {
            let certificate = self.facts().certificates.at(*place);
            let record = self.record(certificate, Vec::new());
            let signed = record.signed_at;
            let presented = Presented::default();
            let lookup = Lookup::Found(Box::new(record));
            let context = crosscheck::Context { first_seen: signed, now: signed, grace: Span::default() };
            let of_order = crosscheck::run(&presented, &lookup, &context, self.job.policy).into_iter();
            let of_order = of_order.filter(|(rule, _)| WHOLE.contains(&rule.id));
            let approved =
                evidence::run(&presented, &lookup, Issued::at(signed), self.job.policy, self.job.suffixes).into_iter();
            let approved = approved.filter(|(rule, _)| OF_ORDER.contains(&rule.id));
            for (rule, verdict) in of_order.chain(approved).filter(|(rule, _)| self.job.asks(rule.id)) {
                match verdict {
                    Verdict::Pass => {}
                    // Counted above for all.
                    Verdict::NotEvaluable(_) if rule.id == "order.channel" && certificate.order != NONE => {}
                    Verdict::NotEvaluable(why) => outcome.gap(rule.id, &generalised(&why, ""), 1),
                    Verdict::Fail(findings) => {
                        for finding in findings {
                            let found = self.found(certificate);
                            outcome.findings.add(&found.of(&finding, Row::default(), &told(&finding)));
                        }
                    }
                }
            }
        }
    }

    pub(super) fn record(&self, certificate: &Certificate, rows: Vec<SanAuthorisation>) -> IssuanceRecord {
        let facts = self.facts();
        let order = (certificate.order != NONE).then(|| facts.order(certificate.order));
        let approvals = facts.approvals.as_ref().map(|all| {
            let mut mine = all.get(&certificate.order).cloned().unwrap_or_default();
            mine.sort_by(|a, b| (a.decided_at, &a.step).cmp(&(b.decided_at, &b.step)));
            mine
        });
        let identity = order.as_ref().map(|_| facts.orders[certificate.order as usize].identity);
        let identity = identity.filter(|identity| *identity != NONE).map(|identity| {
            let (verified, by) = &facts.identities[identity as usize];
            Identity {
                identity_id: facts.identity_ids.get(identity).to_string(),
                verified_at: Timestamp::from_seconds(*verified),
                performed_by: by.clone(),
                ..Identity::default()
            }
        });
        let key = CaseKey { issuer_key_hash: KeyHash::default(), serial: Serial(Vec::new()) };
        IssuanceRecord {
            issuer_hierarchy: facts.issuers[certificate.issuer as usize].hierarchy.clone(),
            order,
            authorisations: Some(rows),
            keeps_caa_checks: facts.keeps_caa,
            approvals,
            identity,
            keeps_identities: facts.keeps_identities,
            keeps_orders: facts.keeps_orders,
            keeps_confirmations: facts.keeps_confirmations,
            as_of: self.job.question.unexpired_at,
            ..IssuanceRecord::bare(key, Timestamp::from_seconds(certificate.signed))
        }
    }

    /// What a name rests on, of what the table has and has gathered.
    pub(super) fn rests(&self, row: &NameRow<'_>, table: &Table, foreign: Option<&Foreign>) -> Rests {
        let facts = self.facts();
        Rests {
            root: match table.confirmation(row.dcv) {
                Some(at) => Some(table.row(at).record(facts)),
                None => foreign.and_then(|foreign| foreign.confirmations.get(&row.dcv)).cloned(),
            },
            caa: match table.check(row.caa) {
                Some(at) => Some(table.check_row(at).record(facts)),
                None => foreign.and_then(|foreign| foreign.checks.get(&row.caa)).cloned(),
            },
            others: if row.order == NONE { Default::default() } else { table.others(row, facts) },
        }
    }

    /// Judges a name that the sieve did not let pass.
    pub(super) fn doubt(&self, row: &NameRow<'_>, rests: Rests, outcome: &mut Outcome) {
        let method = rests.root.as_ref().map_or(String::new(), |root| root.method.clone());
        for (rule, verdict) in self.verdicts(row, rests) {
            self.note(rule, verdict, row, &method, outcome);
        }
    }

    /// What the rules that are asked about say of one name, but where it passes.
    fn verdicts(&self, row: &NameRow<'_>, rests: Rests) -> Vec<(&'static RuleInfo, Verdict)> {
        let facts = self.facts();
        let certificate = facts.certificates.at(row.certificate);
        let Rests { root, caa, others } = rests;
        let basis = match (row.reuse, root) {
            (NONE, Some(confirmation)) => Basis::Confirmation(confirmation),
            (NONE, None) => Basis::Missing,
            (reuse, root) => {
                let reuse = facts.reuses.at(reuse);
                let mut chain = facts.follow(reuse);
                match &root {
                    // A reuse that rests on a confirmation directly has no chain.
                    Some(_) if chain.is_empty() => {}
                    Some(root) => chain.push(ReuseStep {
                        stated_id: format!("confirmation {}", root.dcv_id),
                        stated_at: Some(root.completed_at),
                    }),
                    None if row.dcv != 0 => {
                        chain.push(ReuseStep { stated_id: format!("confirmation {}", row.dcv), stated_at: None });
                    }
                    None => {}
                }
                Basis::Reuse(DcvReuse {
                    reuse_id: reuse.id,
                    rule: facts.words.get(reuse.rule).to_string(),
                    decided_at: Timestamp::from_seconds(reuse.decided),
                    decided_by: (reuse.by != NONE).then(|| facts.words.get(reuse.by).to_string()),
                    chain,
                    root,
                })
            }
        };
        let mut record = self.record(certificate, vec![SanAuthorisation { name: row.name().to_string(), basis, caa }]);
        (record.other_confirmations, record.aged_confirmations) = others;
        let signed = record.signed_at;
        let presented = Presented { names: vec![row.name().to_string()], ..Presented::default() };
        let (issued, policy, suffixes) = (Issued::at(signed), self.job.policy, self.job.suffixes);
        let verdicts = match self.job.with_caa {
            true => evidence::run(&presented, &Lookup::Found(Box::new(record)), issued, policy, suffixes),
            // Without the checks nothing can be said of them.
            false => evidence::validations(&presented, &record, issued, policy, suffixes),
        };
        let asked = verdicts.into_iter().zip(&self.asked).filter(|(_, asked)| **asked).map(|(verdict, _)| verdict);
        asked.filter(|(_, verdict)| !matches!(verdict, Verdict::Pass)).collect()
    }

    /// Writes down a verdict on a name.
    pub(super) fn note(
        &self,
        rule: &'static RuleInfo,
        verdict: Verdict,
        row: &NameRow<'_>,
        method: &str,
        outcome: &mut Outcome,
    ) {
        match verdict {
            Verdict::Pass => {}
            Verdict::NotEvaluable(why) => outcome.gap(rule.id, &generalised(&why, row.name()), 1),
            Verdict::Fail(findings) => {
                let dcv = (row.dcv != 0).then_some(row.dcv);
                let certificate = self.facts().certificates.at(row.certificate);
                let domain = registrable(row.name(), self.job.suffixes);
                let of = Row { name: row.name(), registrable_domain: &domain, method, dcv_id: dcv };
                for finding in &findings {
                    outcome.findings.add(&self.found(certificate).of(finding, of, &told(finding)));
                }
            }
        }
    }

    /// Learns why rules cannot be judged where these causes meet, from the first name of that kind.
    pub(super) fn learn(&self, gaps: Gaps, row: &NameRow<'_>, table: &Table, foreign: Option<&Foreign>) {
        let known = self.reasons.lock().unwrap_or_else(PoisonError::into_inner).contains_key(&gaps);
        if known {
            return;
        }
        let missing =
            self.verdicts(row, self.rests(row, table, foreign)).into_iter().filter_map(
                |(rule, verdict)| match verdict {
                    Verdict::NotEvaluable(why) => Some((rule, generalised(&why, row.name()))),
                    Verdict::Pass | Verdict::Fail(_) => None,
                },
            );
        let missing = missing.collect();
        self.reasons.lock().unwrap_or_else(PoisonError::into_inner).insert(gaps, missing);
    }
}

/// A reason without the name and the numbers of the row that it was said of, so that equal ones can be counted.
fn generalised(why: &str, name: &str) -> String {
    let why = if name.is_empty() { why.to_string() } else { why.replace(name, "the name") };
    let mut out = String::with_capacity(why.len());
    let mut digits = false;
    for c in why.chars() {
        match c.is_ascii_digit() {
            true if digits => {}
            true => out.push('N'),
            false => out.push(c),
        }
        digits = c.is_ascii_digit();
    }
    out
}

/// The registrable domain of a name; the name itself where there is none.
fn registrable(name: &str, suffixes: &SuffixList) -> String {
    let bare = name.strip_prefix("*.").unwrap_or(name);
    let base = suffixes.base_domain(&DnsName::new(bare));
    base.map_or(bare.to_string(), |base| base.text())
}
