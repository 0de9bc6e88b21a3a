//! The rows of a part as they lie in the spool, and where each stands.

use std::cell::{Cell, RefCell};
use std::cmp::Reverse;
use std::collections::{HashMap, HashSet};

use super::Bench;
use crate::audit::AuditError;
use crate::audit::facts::{Facts, moment};
use crate::audit::key;
use crate::audit::spool::{Fields, Spool};
use crate::clock::{Span, Timestamp};
use crate::evidence::reuse_limits::longest_reuse;
use crate::lint::SuffixList;
use crate::record::{CaaCheck, DcvConfirmation, covering_domains};

/// The newest confirmations of a domain that are looked at, as in the examination of one certificate.
const PER_DOMAIN_LIMIT: usize = 64;

/// A name of a certificate.
#[derive(Clone, Copy, Debug)]
pub(super) struct NameRow<'b> {
    pub(super) certificate: u32,
    pub(super) signed: i64,
    pub(super) order: u32,
    /// The applicant and the type of the order, if there is one.
    pub(super) applicant: u32,
    pub(super) vtype: u32,
    /// The confirmation it rests on, at the root of a reuse if any; 0: none.
    pub(super) dcv: i64,
    pub(super) reuse: u32,
    pub(super) origin: i64,
    pub(super) caa: i64,
    pub(super) name: &'b str,
}

impl NameRow<'_> {
    /// The same for a finding that is about no confirmation.
    pub(super) fn of_no_confirmation(&self) -> NameRow<'_> {
        NameRow { dcv: 0, ..*self }
    }
    /// The same with a name that is kept elsewhere.
    pub(super) fn with<'n>(&self, name: &'n str) -> NameRow<'n> {
        let NameRow { certificate, signed, order, applicant, vtype, dcv, reuse, origin, caa, .. } = *self;
        NameRow { certificate, signed, order, applicant, vtype, dcv, reuse, origin, caa, name }
    }
}

/// The names of a block.
pub(super) fn names(block: &[u8]) -> impl Iterator<Item = NameRow<'_>> {
    let mut fields = Fields(block);
    std::iter::from_fn(move || {
        Some(NameRow {
            certificate: fields.small()?,
            signed: fields.number()?,
            order: fields.small()?,
            applicant: fields.small()?,
            vtype: fields.small()?,
            dcv: fields.number()?,
            reuse: fields.small()?,
            origin: fields.number()?,
            caa: fields.number()?,
            name: text(fields.text()?),
        })
    })
}

fn text(bytes: &[u8]) -> &str {
    std::str::from_utf8(bytes).unwrap_or_default()
}

/// A confirmation.
#[derive(Clone, Copy, Debug)]
pub(super) struct ConfirmationRow<'b> {
    pub(super) id: i64,
    pub(super) applicant: u32,
    pub(super) means: u32,
    pub(super) completed: i64,
    pub(super) token: i64,
    pub(super) recorded: i64,
    pub(super) adn: &'b str,
    /// Empty: not recorded.
    pub(super) location: &'b str,
    pub(super) reference: &'b str,
}

fn confirmation<'b>(fields: &mut Fields<'b>) -> Option<ConfirmationRow<'b>> {
    Some(ConfirmationRow {
        id: fields.number()?,
        applicant: fields.small()?,
        means: fields.small()?,
        completed: fields.number()?,
        token: fields.number()?,
        recorded: fields.number()?,
        adn: text(fields.text()?),
        location: text(fields.text()?),
        reference: text(fields.text()?),
    })
}

/// The number and the applicant of a confirmation, read over as far as its end.
fn skip_confirmation(fields: &mut Fields<'_>) -> Option<(i64, u32)> {
    let (id, applicant) = (fields.number()?, fields.small()?);
    fields.small()?;
    (0..3).try_for_each(|_| fields.number().map(drop))?;
    (0..3).try_for_each(|_| fields.text().map(drop))?;
    Some((id, applicant))
}

/// A CAA check.
#[derive(Clone, Copy, Debug)]
pub(super) struct CheckRow<'b> {
    pub(super) id: i64,
    pub(super) means: u32,
    pub(super) checked: i64,
    pub(super) ttl: i64,
    pub(super) name: &'b str,
    pub(super) rrset: Option<&'b str>,
}

fn check<'b>(fields: &mut Fields<'b>) -> Option<CheckRow<'b>> {
    let (id, means, checked, ttl) = (fields.number()?, fields.small()?, fields.number()?, fields.number()?);
    let (name, there, rrset) = (text(fields.text()?), fields.small()? == 1, text(fields.text()?));
    Some(CheckRow { id, means, checked, ttl, name, rrset: there.then_some(rrset) })
}

impl ConfirmationRow<'_> {
    /// As the record has it.
    pub(super) fn record(&self, facts: &Facts) -> DcvConfirmation {
        let means = &facts.means[self.means as usize].0;
        let account = facts.applicants[self.applicant as usize].account;
        DcvConfirmation {
            dcv_id: self.id,
            applicant_id: facts.applicant_ids.get(self.applicant).to_string(),
            account_id: Some(facts.account_ids.get(account).to_string()),
            adn: self.adn.to_string(),
            method: means.what.clone(),
            completed_at: Timestamp::from_seconds(self.completed),
            performed_by: means.performed_by.clone(),
            resolver: means.resolver.clone(),
            token_issued_at: moment(self.token),
            dnssec: means.dnssec.clone(),
            remote: means.remote(),
            location: (!self.location.is_empty()).then(|| self.location.to_string()),
            evidence_ref: (!self.reference.is_empty()).then(|| self.reference.to_string()),
            recorded_at: moment(self.recorded),
        }
    }
}

impl CheckRow<'_> {
    /// As the record has it.
    pub(super) fn record(&self, facts: &Facts) -> CaaCheck {
        let means = &facts.caa_means[self.means as usize].0;
        CaaCheck {
            caa_id: self.id,
            name: self.name.to_string(),
            checked_at: Timestamp::from_seconds(self.checked),
            result: means.what.clone(),
            rrset: self.rrset.map(str::to_string),
            ttl: (self.ttl >= 0).then(|| Span::from_seconds(self.ttl)),
            dnssec: means.dnssec.clone(),
            resolver: means.resolver.clone().unwrap_or_default(),
            performed_by: means.performed_by.clone(),
            remote: means.remote(),
        }
    }
}

/// When it was completed, its number, and its place.
type Other = (i64, i64, u32);

/// The confirmations and checks of a part, found by their number.
pub(super) struct Table {
    confirmations: Vec<u8>,
    checks: Vec<u8>,
    /// Number and place, by number.
    by_dcv: Vec<(i64, u32)>,
    by_caa: Vec<(i64, u32)>,
    /// Where the row asked for last stands in these.
    last_dcv: Cell<usize>,
    last_caa: Cell<usize>,
    /// Confirmations by applicant and hash of the domain, the newest first: of those that [`Table::gather`] was given.
    by_domain: HashMap<(u32, u64), Vec<Other>>,
    suffixes: RefCell<key::Memory>,
}

impl Table {
    /// Loads a part, or of several rounds one.
    pub(super) fn load(bench: &Bench<'_>, part: u32, round: u32, rounds: u32) -> Result<Table, AuditError> {
        let loaded = bench.loaded;
        let mut table = Table {
            confirmations: Vec::new(),
            checks: Vec::new(),
            by_dcv: Vec::new(),
            by_caa: Vec::new(),
            last_dcv: Cell::default(),
            last_caa: Cell::default(),
            by_domain: HashMap::new(),
            suffixes: RefCell::default(),
        };
        for spool in &loaded.confirmations {
            spool.each_block(part, &mut |block| {
                let mut fields = Fields(block);
                while !fields.0.is_empty() {
                    let before = fields.0;
                    let Some((id, applicant)) = skip_confirmation(&mut fields) else { break };
                    if applicant % rounds == round {
                        table.by_dcv.push((id, table.confirmations.len() as u32));
                        table.confirmations.extend_from_slice(&before[..before.len() - fields.0.len()]);
                    }
                }
            })?;
        }
        // Runs of what each thread read in order, which this sort merges.
        table.by_dcv.sort();
        let asked = if rounds > 1 { Some(asked(bench, part, round, rounds)?) } else { None };
        for spool in &loaded.checks {
            spool.each_block(part, &mut |block| {
                let mut fields = Fields(block);
                while !fields.0.is_empty() {
                    let before = fields.0;
                    let Some(row) = check(&mut fields) else { break };
                    if asked.as_ref().is_none_or(|asked| asked.contains(&row.id)) {
                        table.by_caa.push((row.id, table.checks.len() as u32));
                        table.checks.extend_from_slice(&before[..before.len() - fields.0.len()]);
                    }
                }
            })?;
        }
        table.by_caa.sort();
        Ok(table)
    }

    /// Whether a domain is a public suffix.
    pub(super) fn is_suffix(&self, domain: &str, list: &SuffixList) -> bool {
        self.suffixes.borrow_mut().is(domain, key::fnv(domain), || list.is_suffix(domain.as_bytes()))
    }

    pub(super) fn confirmation(&self, id: i64) -> Option<u32> {
        find(&self.by_dcv, &self.last_dcv, id)
    }
    pub(super) fn check(&self, id: i64) -> Option<u32> {
        find(&self.by_caa, &self.last_caa, id)
    }
    pub(super) fn row(&self, at: u32) -> ConfirmationRow<'_> {
        confirmation(&mut Fields(&self.confirmations[at as usize..])).unwrap_or(NO_CONFIRMATION)
    }
    pub(super) fn check_row(&self, at: u32) -> CheckRow<'_> {
        check(&mut Fields(&self.checks[at as usize..])).unwrap_or(NO_CHECK)
    }

    /// Finds the confirmations of these applicants for the domains that cover these names.
    pub(super) fn gather<'n>(&mut self, asked: impl Iterator<Item = (u32, &'n str)>) {
        self.by_domain.clear();
        for (applicant, name) in asked {
            for domain in covering(name) {
                self.by_domain.entry((applicant, key::fnv(&domain))).or_default();
            }
        }
        let mut found = std::mem::take(&mut self.by_domain);
        for (id, at) in if found.is_empty() { &[][..] } else { &self.by_dcv } {
            let Some((applicant, completed, adn)) = self.domain(*at) else { continue };
            if let Some(others) = found.get_mut(&(applicant, key::fnv_of(adn))) {
                others.push((completed, *id, *at));
            }
        }
        found
            .values_mut()
            .for_each(|others| others.sort_unstable_by_key(|(completed, id, _)| Reverse((*completed, -id))));
        self.by_domain = found;
    }

    /// The newest confirmations of an applicant that were completed by the time of signing, for each domain that covers
    /// the name, of those that were gathered; those that are too old for any name are counted and not given.
    pub(super) fn others(&self, row: &NameRow<'_>, facts: &Facts) -> (Vec<DcvConfirmation>, usize) {
        let signed = Timestamp::from_seconds(row.signed);
        let limit = longest_reuse(signed);
        let (mut found, mut aged) = (Vec::new(), 0);
        for domain in covering(row.name) {
            let others = self.by_domain.get(&(row.applicant, key::fnv(&domain))).map_or(&[][..], |others| others);
            // Another domain may have the same hash.
            let same = |(.., at): &&Other| self.domain(*at).is_some_and(|(_, _, adn)| adn == domain.as_bytes());
            let known = others.iter().filter(|(completed, ..)| *completed <= row.signed).filter(same);
            for (completed, _, at) in known.take(PER_DOMAIN_LIMIT) {
                match limit.ends(Timestamp::from_seconds(*completed)) < signed {
                    true => aged += 1,
                    false => found.push(self.row(*at).record(facts)),
                }
            }
        }
        (found, aged)
    }

    /// The applicant, the moment of completion and the domain of a confirmation.
    fn domain(&self, at: u32) -> Option<(u32, i64, &[u8])> {
        let mut fields = Fields(&self.confirmations[at as usize..]);
        fields.number()?;
        let applicant = fields.small()?;
        fields.small()?;
        let completed = fields.number()?;
        fields.number()?;
        fields.number()?;
        Some((applicant, completed, fields.text()?))
    }
}

/// The domains whose validation can cover a name, in their order.
fn covering(name: &str) -> Vec<String> {
    let mut domains: Vec<String> = covering_domains(name).into_iter().map(str::to_ascii_lowercase).collect();
    domains.sort();
    domains
}

/// The place of a number. Names come nearly in the order of what they rest on: it is mostly near the last one.
fn find(all: &[(i64, u32)], last: &Cell<usize>, id: i64) -> Option<u32> {
    let near = all.get(last.get()..).unwrap_or_default().iter().take(NEAR).position(|(other, _)| *other == id);
    let at = match near {
        Some(steps) => last.get() + steps,
        None => all.binary_search_by_key(&id, |(id, _)| *id).ok()?,
    };
    last.set(at);
    Some(all[at].1)
}

/// How many rows count as near.
const NEAR: usize = 4;

const NO_CONFIRMATION: ConfirmationRow<'static> = ConfirmationRow {
    id: 0,
    applicant: 0,
    means: 0,
    completed: 0,
    token: 0,
    recorded: 0,
    adn: "",
    location: "",
    reference: "",
};
const NO_CHECK: CheckRow<'static> = CheckRow { id: 0, means: 0, checked: 0, ttl: -1, name: "", rrset: None };

/// The checks that the names of a round name.
fn asked(bench: &Bench<'_>, part: u32, round: u32, rounds: u32) -> Result<HashSet<i64>, AuditError> {
    let mut asked = HashSet::new();
    for spool in &bench.loaded.names {
        spool.each_block(part, &mut |block| {
            asked.extend(names(block).filter(|row| super::round_of(row, rounds) == round).map(|row| row.caa));
        })?;
    }
    Ok(asked)
}

/// Rows that names of other parts rest on.
#[derive(Debug, Default)]
pub(in crate::audit) struct Foreign {
    pub(super) confirmations: HashMap<i64, DcvConfirmation>,
    pub(super) checks: HashMap<i64, CaaCheck>,
}

impl Foreign {
    /// Takes the rows of these numbers from a part.
    pub(in crate::audit) fn gather(
        facts: &Facts,
        spools: (&[Spool], &[Spool]),
        part: u32,
        dcv: &HashSet<i64>,
        caa: &HashSet<i64>,
    ) -> Result<Foreign, AuditError> {
        let mut foreign = Foreign::default();
        for spool in spools.0 {
            spool.each_block(part, &mut |block| {
                let mut fields = Fields(block);
                while !fields.0.is_empty() {
                    let before = fields.0;
                    let Some((id, _)) = skip_confirmation(&mut fields) else { break };
                    let row = dcv.contains(&id).then(|| confirmation(&mut Fields(before))).flatten();
                    foreign.confirmations.extend(row.map(|row| (id, row.record(facts))));
                }
            })?;
        }
        for spool in spools.1 {
            spool.each_block(part, &mut |block| {
                let mut fields = Fields(block);
                while let Some(row) = check(&mut fields) {
                    if caa.contains(&row.id) {
                        foreign.checks.insert(row.id, row.record(facts));
                    }
                }
            })?;
        }
        Ok(foreign)
    }

    /// Takes what was gathered of another part.
    pub(in crate::audit) fn join(&mut self, other: Foreign) {
        self.confirmations.extend(other.confirmations);
        self.checks.extend(other.checks);
    }

    /// Takes more rows.
    pub(in crate::audit) fn extend(&mut self, (confirmations, checks): (Vec<DcvConfirmation>, Vec<CaaCheck>)) {
        self.confirmations.extend(confirmations.into_iter().map(|row| (row.dcv_id, row)));
        self.checks.extend(checks.into_iter().map(|row| (row.caa_id, row)));
    }
}
