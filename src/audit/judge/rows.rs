//! The rows of a part as they lie in the spool, and where each stands.

use std::cmp::Reverse;

use hashbrown::{HashMap, HashSet};

use super::Bench;
use crate::audit::AuditError;
use crate::audit::facts::{ById, Facts, NO_MOMENT, moment};
use crate::audit::intern::NONE;
use crate::audit::key;
use crate::audit::location::Location;
use crate::audit::spool::{Fields, Spool};
use crate::clock::{Span, Timestamp};
use crate::evidence::reuse_limits::longest_reuse;
use crate::record::{CaaCheck, DcvConfirmation, covering_domains};

/// The newest confirmations of a domain that are looked at, as in the examination of one certificate.
const PER_DOMAIN_LIMIT: usize = 64;

/// What a confirmation or a check takes on disk at least, nearly, in bytes.
const ROW_BYTES: usize = 56;

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
    /// When the nearest origin of the reuse was decided, if that is a reuse; when it was itself, and by which rule.
    pub(super) origin: i64,
    pub(super) decided: i64,
    pub(super) rule: u32,
    pub(super) caa: i64,
    /// The name, as text [`NameRow::name`].
    pub(super) octets: &'b [u8],
}

impl NameRow<'_> {
    pub(super) fn name(&self) -> &str {
        text(self.octets)
    }
    /// Whether it is this domain or the wildcard of it.
    pub(super) fn is_of(&self, domain: &[u8]) -> bool {
        self.octets.strip_prefix(b"*.").unwrap_or(self.octets) == domain
    }
    /// The same for a finding that is about no confirmation.
    pub(super) fn of_no_confirmation(&self) -> NameRow<'_> {
        NameRow { dcv: 0, ..*self }
    }
    /// The same with a name that is kept elsewhere.
    pub(super) fn with<'n>(&self, name: &'n str) -> NameRow<'n> {
        let NameRow { certificate, signed, order, applicant, vtype, dcv, reuse, origin, decided, rule, caa, .. } =
            *self;
        NameRow {
            certificate,
            signed,
            order,
            applicant,
            vtype,
            dcv,
            reuse,
            origin,
            decided,
            rule,
            caa,
            octets: name.as_bytes(),
        }
    }
}

/// The names of a block, as `load` writes them.
pub(super) fn names(block: &[u8]) -> impl Iterator<Item = NameRow<'_>> {
    let mut fields = Fields(block);
    std::iter::from_fn(move || {
        let [certificate, order, applicant, vtype, reuse] = fields.smalls()?;
        let ([signed], dcv, caa) = (fields.moments()?, fields.number()?, fields.number()?);
        let ([origin, decided], rule) = match reuse {
            NONE => ([NO_MOMENT; 2], NONE),
            _ => (fields.moments()?, fields.small()?),
        };
        let octets = fields.text()?;
        Some(NameRow { certificate, signed, order, applicant, vtype, dcv, reuse, origin, decided, rule, caa, octets })
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
    pub(super) adn: &'b [u8],
    pub(super) location: Location<'b>,
    /// Empty: not recorded.
    pub(super) reference: &'b str,
}

fn confirmation<'b>(fields: &mut Fields<'b>) -> Option<ConfirmationRow<'b>> {
    let (id, [applicant, means]) = (fields.number()?, fields.smalls()?);
    let ([completed, token, recorded], adn) = (fields.moments()?, fields.text()?);
    let (location, reference) = (Location::read(fields)?, text(fields.text()?));
    Some(ConfirmationRow { id, applicant, means, completed, token, recorded, adn, location, reference })
}

/// The number and the applicant of a confirmation, read over as far as its end.
fn skip_confirmation(fields: &mut Fields<'_>) -> Option<(i64, u32)> {
    let (id, [applicant, _]) = (fields.number()?, fields.smalls()?);
    let ([_, _, _], _) = (fields.moments()?, fields.text()?);
    Location::read(fields)?;
    fields.text()?;
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
    let (id, means, [checked], ttl) = (fields.number()?, fields.small()?, fields.moments()?, fields.number()?);
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
            adn: text(self.adn).to_string(),
            method: means.what.clone(),
            completed_at: Timestamp::from_seconds(self.completed),
            performed_by: means.performed_by.clone(),
            resolver: means.resolver.clone(),
            token_issued_at: moment(self.token),
            dnssec: means.dnssec.clone(),
            remote: means.remote(),
            location: self.location.text(&facts.means[self.means as usize].1, text(self.adn)),
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
    by_dcv: ById<(i64, u32)>,
    by_caa: ById<(i64, u32)>,
    /// Confirmations by applicant and hash of the domain, the newest first: of those that [`Table::gather`] was given.
    by_domain: HashMap<(u32, u64), Vec<Other>>,
}

impl Table {
    /// Loads a part, or of several rounds one.
    pub(super) fn load(bench: &Bench<'_>, part: u32, round: u32, rounds: u32) -> Result<Table, AuditError> {
        let loaded = bench.loaded;
        let (mut confirmations, mut by_dcv) = (Vec::new(), Vec::new());
        let bytes = |spools: &[Spool]| spools.iter().map(|spool| spool.bytes(part) as usize).sum::<usize>();
        if rounds == 1 {
            confirmations.reserve_exact(bytes(&loaded.confirmations));
            by_dcv.reserve_exact(bytes(&loaded.confirmations) / ROW_BYTES);
        }
        for spool in &loaded.confirmations {
            append(spool, part, &mut confirmations, &mut by_dcv, &|fields| {
                let (id, applicant) = skip_confirmation(fields)?;
                Some((id, applicant % rounds == round))
            })?;
        }
        let asked = if rounds > 1 { Some(asked(bench, part, round, rounds)?) } else { None };
        let (mut checks, mut by_caa) = (Vec::new(), Vec::new());
        if rounds == 1 {
            checks.reserve_exact(bytes(&loaded.checks));
            by_caa.reserve_exact(bytes(&loaded.checks) / ROW_BYTES);
        }
        for spool in &loaded.checks {
            append(spool, part, &mut checks, &mut by_caa, &|fields| {
                let id = check(fields)?.id;
                Some((id, asked.as_ref().is_none_or(|asked| asked.contains(&id))))
            })?;
        }
        Ok(Table {
            confirmations,
            checks,
            by_dcv: ById::new(by_dcv),
            by_caa: ById::new(by_caa),
            by_domain: HashMap::new(),
        })
    }

    pub(super) fn confirmation(&self, id: i64) -> Option<u32> {
        self.by_dcv.get(id).map(|(_, at)| *at)
    }
    pub(super) fn check(&self, id: i64) -> Option<u32> {
        self.by_caa.get(id).map(|(_, at)| *at)
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
        let mut applicants = HashSet::new();
        for (applicant, name) in asked {
            applicants.insert(applicant);
            for domain in covering(name) {
                self.by_domain.entry((applicant, key::hash(domain))).or_default();
            }
        }
        let mut found = std::mem::take(&mut self.by_domain);
        for (id, at) in if found.is_empty() { &[][..] } else { self.by_dcv.rows() } {
            // Few rows are of an applicant that is asked for.
            if !self.applicant(*at).is_some_and(|applicant| applicants.contains(&applicant)) {
                continue;
            }
            let Some((applicant, completed, adn)) = self.domain(*at) else { continue };
            if let Some(others) = found.get_mut(&(applicant, key::hash_of(adn))) {
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
        for domain in covering(row.name()) {
            let others = self.by_domain.get(&(row.applicant, key::hash(domain))).map_or(&[][..], |others| others);
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

    fn applicant(&self, at: u32) -> Option<u32> {
        let mut fields = Fields(&self.confirmations[at as usize..]);
        fields.number()?;
        fields.small()
    }

    /// The applicant, the moment of completion and the domain of a confirmation.
    fn domain(&self, at: u32) -> Option<(u32, i64, &[u8])> {
        let mut fields = Fields(&self.confirmations[at as usize..]);
        fields.number()?;
        let ([applicant, _], [completed, _, _]) = (fields.smalls()?, fields.moments()?);
        Some((applicant, completed, fields.text()?))
    }
}

/// The domains whose validation can cover a name, in their order. Names are kept in lower case.
fn covering(name: &str) -> Vec<&str> {
    let mut domains = covering_domains(name);
    domains.sort_unstable();
    domains
}

/// Puts the rows of a part behind the others, those that `look` wants, with where each begins.
fn append(
    spool: &Spool,
    part: u32,
    rows: &mut Vec<u8>,
    places: &mut Vec<(i64, u32)>,
    look: &dyn Fn(&mut Fields<'_>) -> Option<(i64, bool)>,
) -> Result<(), AuditError> {
    let mut end = rows.len();
    spool.append_blocks(part, rows, &mut |rows| {
        let mut at = end;
        loop {
            let mut fields = Fields(&rows[at..]);
            let Some((id, wanted)) = look(&mut fields) else { break };
            let next = rows.len() - fields.0.len();
            if wanted {
                places.push((id, end as u32));
                if at != end {
                    rows.copy_within(at..next, end);
                }
                end += next - at;
            }
            at = next;
        }
        rows.truncate(end);
    })
}

const NO_CONFIRMATION: ConfirmationRow<'static> = ConfirmationRow {
    id: 0,
    applicant: 0,
    means: 0,
    completed: 0,
    token: 0,
    recorded: 0,
    adn: b"",
    location: Location::None,
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

/// Numbers that are asked for.
pub(in crate::audit) type Ids = HashSet<i64>;

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
        dcv: &Ids,
        caa: &Ids,
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
