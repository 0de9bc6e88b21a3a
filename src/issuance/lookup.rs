//! The questions of the examination, answered from the embedded database.

use std::collections::BTreeSet;

use rusqlite::{Connection, OptionalExtension, Params, Row, params};

use crate::clock::{Span, Timestamp};
use crate::issuance::Query;
use crate::record::{
    Account, Approval, Basis, CaaCheck, DcvConfirmation, DcvReuse, IDENTITY_COLUMNS, Identity, IssuanceRecord, LintRun,
    Lookup, Order, Perspectives, ReuseStep, Revocation, SanAuthorisation, covering_domains,
};

/// How many domains are searched for other confirmations, and how many confirmations are kept: the newest per domain.
pub(super) const DOMAIN_LIMIT: usize = 4_000;
pub(super) const PER_DOMAIN_LIMIT: i64 = 64;
const CONFIRMATION_LIMIT: usize = 10_000;
/// How many rows of one certificate are read from any one table.
const ROW_LIMIT: i64 = 20_000;

/// One answer per query, in their order, all from one snapshot.
pub(super) fn find(connection: &Connection, queries: &[Query]) -> rusqlite::Result<Vec<Lookup>> {
    let tx = connection.unchecked_transaction()?;
    let feed = Feed::read(&tx)?;
    queries.iter().map(|query| one(&tx, &feed, query)).collect()
}

/// Which tables the CA has fed, and when last.
struct Feed {
    tables: BTreeSet<String>,
    as_of: Timestamp,
}

impl Feed {
    fn read(tx: &Connection) -> rusqlite::Result<Feed> {
        let tables = all(tx, "SELECT table_name FROM feed", [], |row| row.get(0))?.into_iter().collect();
        let newest: Option<i64> = tx.query_row("SELECT max(imported_at_ms) FROM feed", [], |row| row.get(0))?;
        Ok(Feed { tables, as_of: newest.map_or(Timestamp::EPOCH, Timestamp::from_millis) })
    }
    fn has(&self, table: &str) -> bool {
        self.tables.contains(table)
    }
}

fn one(tx: &Connection, feed: &Feed, query: &Query) -> rusqlite::Result<Lookup> {
    struct Certificate {
        cert_id: i64,
        order_id: Option<String>,
        signed_at: Timestamp,
        spki_sha256: Option<String>,
        tbs_sha256: Option<String>,
        state: String,
        hierarchy: String,
        validity: Option<(Timestamp, Timestamp)>,
    }
    let sql = "SELECT c.cert_id, c.order_id, c.signed_at, c.spki_sha256, c.state, i.hierarchy,
                   c.not_before, c.not_after, c.tbs_sha256
               FROM issuers i JOIN certificates c USING (issuer_id) WHERE i.spki_sha256 = ?1 AND c.serial = ?2";
    let key = params![query.key.issuer_key_hash.to_string(), query.key.serial.value_hex()];
    let certificate = maybe(tx, sql, key, |row| {
        Ok(Certificate {
            cert_id: row.get(0)?,
            order_id: row.get(1)?,
            signed_at: seconds(row, 2)?,
            spki_sha256: row.get(3)?,
            state: row.get(4)?,
            hierarchy: row.get(5)?,
            validity: moment(row, 6)?.zip(moment(row, 7)?),
            tbs_sha256: row.get(8)?,
        })
    })?;
    let Some(certificate) = certificate else {
        // A record that was never fed knows nothing of any certificate: that is our state, not a finding about one.
        return Ok(if feed.has("certificates") { Lookup::Unknown { as_of: feed.as_of } } else { Lookup::NoSource });
    };
    let order = match &certificate.order_id {
        Some(order_id) => order(tx, feed, order_id)?,
        None => None,
    };
    let authorisations = match feed.has("san_authorisations") {
        true => Some(authorisations(tx, certificate.cert_id)?),
        false => None,
    };
    let (other_confirmations, decisions) = match &order {
        Some(order) => {
            let before = certificate.signed_at;
            (confirmations(tx, &order.applicant_id, &query.names, before)?, approvals(tx, &order.order_id)?)
        }
        None => (Vec::new(), Vec::new()),
    };
    let identity = match &order {
        Some(order) => identity(tx, &order.order_id)?,
        None => None,
    };
    Ok(Lookup::Found(Box::new(IssuanceRecord {
        key: query.key.clone(),
        issuer_hierarchy: certificate.hierarchy,
        signed_at: certificate.signed_at,
        spki_sha256: certificate.spki_sha256,
        tbs_sha256: certificate.tbs_sha256,
        validity: certificate.validity,
        state: certificate.state,
        order,
        authorisations,
        other_confirmations,
        aged_confirmations: 0,
        keeps_orders: feed.has("orders"),
        keeps_confirmations: feed.has("dcv_confirmations"),
        keeps_caa_checks: feed.has("caa_checks"),
        approvals: feed.has("approvals").then_some(decisions),
        identity,
        keeps_identities: feed.has("identities"),
        lint_runs: if feed.has("lint_runs") { Some(lint_runs(tx, certificate.cert_id)?) } else { None },
        revocation: revocation(tx, certificate.cert_id)?,
        keeps_revocations: feed.has("revocations"),
        as_of: feed.as_of,
    })))
}

fn order(tx: &Connection, feed: &Feed, order_id: &str) -> rusqlite::Result<Option<Order>> {
    let names = match feed.has("order_names") {
        true => {
            let sql = "SELECT name FROM order_names WHERE order_id = ?1 ORDER BY name LIMIT ?2";
            Some(all(tx, sql, params![order_id, ROW_LIMIT], |row| row.get(0))?)
        }
        false => None,
    };
    let sql = "SELECT a.account_id, a.kind, a.name, p.applicant_id, p.name, o.channel, o.hierarchy, o.csr_spki_sha256,
                   o.created_at, o.vtype, p.country
               FROM orders o JOIN applicants p USING (applicant_id) JOIN accounts a USING (account_id)
               WHERE o.order_id = ?1";
    maybe(tx, sql, [order_id], |row| {
        Ok(Order {
            order_id: order_id.to_string(),
            account: Account { account_id: row.get(0)?, kind: row.get(1)?, name: row.get(2)? },
            applicant_id: row.get(3)?,
            applicant_name: row.get(4)?,
            applicant_country: row.get(10)?,
            channel: row.get(5)?,
            vtype: row.get(9)?,
            hierarchy: row.get(6)?,
            csr_spki_sha256: row.get(7)?,
            names,
            created_at: seconds(row, 8)?,
        })
    })
}

fn authorisations(tx: &Connection, cert_id: i64) -> rusqlite::Result<Vec<SanAuthorisation>> {
    type Named = (String, Option<i64>, Option<i64>, Option<i64>);
    let sql = "SELECT name, dcv_id, reuse_id, caa_id FROM san_authorisations WHERE cert_id = ?1 ORDER BY name LIMIT ?2";
    let rows: Vec<Named> =
        all(tx, sql, params![cert_id, ROW_LIMIT], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?, row.get(3)?)))?;
    let filled = rows.into_iter().map(|(name, dcv_id, reuse_id, caa_id)| {
        let basis = match (dcv_id, reuse_id) {
            (Some(dcv_id), _) => confirmation(tx, dcv_id)?.map(Basis::Confirmation),
            (None, Some(reuse_id)) => reuse(tx, reuse_id)?.map(Basis::Reuse),
            (None, None) => None,
        };
        let caa = match caa_id {
            Some(caa_id) => caa_check(tx, caa_id)?,
            None => None,
        };
        Ok(SanAuthorisation { name, basis: basis.unwrap_or(Basis::Missing), caa })
    });
    filled.collect()
}

const CONFIRMATION: &str =
    "SELECT d.dcv_id, d.applicant_id, d.adn, d.method, d.completed_at, d.performed_by, d.resolver,
        d.token_issued_at, d.dnssec, d.remote_ok, d.remote_total, d.remote_rirs, p.account_id,
        d.location, d.evidence_ref, d.recorded_at
    FROM dcv_confirmations d JOIN applicants p USING (applicant_id)";

fn read_confirmation(row: &Row<'_>) -> rusqlite::Result<DcvConfirmation> {
    Ok(DcvConfirmation {
        dcv_id: row.get(0)?,
        applicant_id: row.get(1)?,
        adn: row.get(2)?,
        method: row.get(3)?,
        completed_at: seconds(row, 4)?,
        performed_by: row.get(5)?,
        resolver: row.get(6)?,
        token_issued_at: moment(row, 7)?,
        dnssec: row.get(8)?,
        remote: perspectives(row, 9)?,
        account_id: row.get(12)?,
        location: row.get(13)?,
        evidence_ref: row.get(14)?,
        recorded_at: moment(row, 15)?,
    })
}

/// Three columns from `place`: remote_ok, remote_total, remote_rirs. One of the first two alone says nothing.
fn perspectives(row: &Row<'_>, place: usize) -> rusqlite::Result<Option<Perspectives>> {
    let count = |place: usize| row.get::<_, Option<i64>>(place).map(|count| count.map(i64::unsigned_abs));
    let (ok, total, regions) = (count(place)?, count(place + 1)?, count(place + 2)?);
    Ok(ok.zip(total).map(|(corroborating, total)| Perspectives { corroborating, total, regions }))
}

fn confirmation(tx: &Connection, dcv_id: i64) -> rusqlite::Result<Option<DcvConfirmation>> {
    maybe(tx, &format!("{CONFIRMATION} WHERE d.dcv_id = ?1"), [dcv_id], read_confirmation)
}

/// The newest confirmations of the applicant, completed by the time of signing, for each domain that covers a name.
fn confirmations(
    tx: &Connection,
    applicant_id: &str,
    names: &[String],
    signed_at: Timestamp,
) -> rusqlite::Result<Vec<DcvConfirmation>> {
    let domains: BTreeSet<String> =
        names.iter().flat_map(|name| covering_domains(name)).map(str::to_ascii_lowercase).take(DOMAIN_LIMIT).collect();
    let sql = format!(
        "{CONFIRMATION} WHERE d.applicant_id = ?1 AND d.adn = ?2 AND d.completed_at <= ?3
         ORDER BY d.completed_at DESC LIMIT ?4"
    );
    let mut found = Vec::new();
    for domain in domains {
        let limit = PER_DOMAIN_LIMIT.min(CONFIRMATION_LIMIT.saturating_sub(found.len()) as i64);
        found.extend(all(tx, &sql, params![applicant_id, domain, signed_at.seconds(), limit], read_confirmation)?);
    }
    Ok(found)
}

fn reuse(tx: &Connection, reuse_id: i64) -> rusqlite::Result<Option<DcvReuse>> {
    let sql = "SELECT stated_id, stated_at FROM dcv_reuse_chain WHERE reuse_id = ?1 ORDER BY step";
    let chain = all(tx, sql, [reuse_id], |row| Ok(ReuseStep { stated_id: row.get(0)?, stated_at: moment(row, 1)? }))?;
    let sql = "SELECT dcv_id, rule, decided_at, decided_by FROM dcv_reuse WHERE reuse_id = ?1";
    let row = maybe(tx, sql, [reuse_id], |row| {
        let reuse = DcvReuse {
            reuse_id,
            rule: row.get(1)?,
            decided_at: seconds(row, 2)?,
            decided_by: row.get(3)?,
            chain,
            root: None,
        };
        Ok((reuse, row.get::<_, Option<i64>>(0)?))
    })?;
    let Some((reuse, dcv_id)) = row else { return Ok(None) };
    let root = match dcv_id {
        Some(dcv_id) => confirmation(tx, dcv_id)?,
        None => None,
    };
    Ok(Some(DcvReuse { root, ..reuse }))
}

fn caa_check(tx: &Connection, caa_id: i64) -> rusqlite::Result<Option<CaaCheck>> {
    let sql = "SELECT name, checked_at, result, ttl, resolver, performed_by, rrset, dnssec, remote_ok, remote_total,
                   remote_rirs
               FROM caa_checks WHERE caa_id = ?1";
    maybe(tx, sql, [caa_id], |row| {
        let ttl: Option<i64> = row.get(3)?;
        Ok(CaaCheck {
            caa_id,
            name: row.get(0)?,
            checked_at: seconds(row, 1)?,
            result: row.get(2)?,
            ttl: ttl.map(Span::from_seconds),
            resolver: row.get(4)?,
            performed_by: row.get(5)?,
            rrset: row.get(6)?,
            dnssec: row.get(7)?,
            remote: perspectives(row, 8)?,
        })
    })
}

fn approvals(tx: &Connection, order_id: &str) -> rusqlite::Result<Vec<Approval>> {
    let sql = "SELECT step, person, decided_at FROM approvals WHERE order_id = ?1 ORDER BY decided_at, step LIMIT ?2";
    all(tx, sql, params![order_id, ROW_LIMIT], |row| {
        Ok(Approval { step: row.get(0)?, person: row.get(1)?, decided_at: seconds(row, 2)? })
    })
}

fn identity(tx: &Connection, order_id: &str) -> rusqlite::Result<Option<Identity>> {
    let sql = format!(
        "SELECT i.identity_id, i.verified_at, i.performed_by, i.{}
         FROM orders o JOIN identities i USING (identity_id) WHERE o.order_id = ?1",
        IDENTITY_COLUMNS.join(", i.")
    );
    maybe(tx, &sql, [order_id], |row| {
        let mut values = [const { None }; IDENTITY_COLUMNS.len()];
        for (place, value) in values.iter_mut().enumerate() {
            *value = row.get(place + 3)?;
        }
        Ok(Identity { identity_id: row.get(0)?, verified_at: seconds(row, 1)?, performed_by: row.get(2)?, values })
    })
}

fn lint_runs(tx: &Connection, cert_id: i64) -> rusqlite::Result<Vec<LintRun>> {
    let sql =
        "SELECT linter, version, ran_at, result, findings FROM lint_runs WHERE cert_id = ?1 ORDER BY ran_at LIMIT ?2";
    all(tx, sql, params![cert_id, ROW_LIMIT], |row| {
        Ok(LintRun {
            linter: row.get(0)?,
            version: row.get(1)?,
            ran_at: seconds(row, 2)?,
            result: row.get(3)?,
            findings: row.get(4)?,
        })
    })
}

fn revocation(tx: &Connection, cert_id: i64) -> rusqlite::Result<Option<Revocation>> {
    let sql = "SELECT aware_at, revoked_at, reason, crl_seen_at FROM revocations WHERE cert_id = ?1";
    maybe(tx, sql, [cert_id], |row| {
        Ok(Revocation {
            aware_at: moment(row, 0)?,
            revoked_at: moment(row, 1)?,
            reason: row.get::<_, Option<i64>>(2)?.map(i64::unsigned_abs),
            crl_seen_at: moment(row, 3)?,
        })
    })
}

fn seconds(row: &Row<'_>, place: usize) -> rusqlite::Result<Timestamp> {
    row.get(place).map(Timestamp::from_seconds)
}

fn moment(row: &Row<'_>, place: usize) -> rusqlite::Result<Option<Timestamp>> {
    Ok(row.get::<_, Option<i64>>(place)?.map(Timestamp::from_seconds))
}

fn maybe<T>(
    tx: &Connection,
    sql: &str,
    given: impl Params,
    read: impl FnOnce(&Row<'_>) -> rusqlite::Result<T>,
) -> rusqlite::Result<Option<T>> {
    tx.prepare_cached(sql)?.query_row(given, read).optional()
}

fn all<T>(
    tx: &Connection,
    sql: &str,
    given: impl Params,
    read: impl FnMut(&Row<'_>) -> rusqlite::Result<T>,
) -> rusqlite::Result<Vec<T>> {
    tx.prepare_cached(sql)?.query_map(given, read)?.collect()
}
