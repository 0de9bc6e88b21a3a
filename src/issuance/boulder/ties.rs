//! What the audit log says in several lines of one thing: a check of a name and the certificate it was made for, what
//! remote perspectives saw of it, the authorizations of an order and its certificate, and a precertificate and its
//! certificate.

use rusqlite::{Connection, OptionalExtension, params};
use serde_json::{Value, json};

use super::{AccountCheck, Said, Used, row};
use crate::clock::{DAY, Span, Timestamp};
use crate::issuance::trickle::PATIENCE;

/// How long after the check of the primary perspective the remote ones may answer.
const REMOTE: Span = Span::from_seconds(120);
/// How long a check waits for the request that rests on it: longer than an order lives.
const REMEMBERED: Span = Span::from_days(30);
// BR 4.2.2.1: "If the CA issues, they MUST do so within the TTL of the CAA record, or 8 hours, whichever is greater."
/// A check that is older than this at signing may have a successor that was not read yet.
const FRESH: Span = Span::from_seconds(8 * 3600);

/// Before the rows are taken: notes the checks, and names in each row of an authorisation the newest check of the name
/// for the account that was made before the signature.
pub(in crate::issuance) fn before(
    connection: &Connection,
    said: &mut [(u64, Said)],
    now: Timestamp,
) -> rusqlite::Result<()> {
    authorise(connection, said, now)?;
    for check in said.iter().flat_map(|(_, said)| &said.checks) {
        let sql = "INSERT INTO account_caa_checks VALUES (?1, ?2, ?3, ?4) ON CONFLICT DO NOTHING";
        let AccountCheck { account, name, at, caa_id } = check;
        connection.prepare_cached(sql)?.execute(params![account, name, at.millis(), caa_id])?;
    }
    for (_, said) in said.iter_mut() {
        let Some((account, cert_id, names, signed_at)) = &said.names else { continue };
        for name in names {
            // What the record has already counts too: of a log that is read again the checks may be forgotten.
            let sql = "SELECT caa_id, checked_at FROM account_caa_checks
                       WHERE account_id = ?1 AND name = ?2 AND checked_at <= ?3
                       UNION ALL SELECT s.caa_id, 1000 * c.checked_at
                       FROM san_authorisations AS s JOIN caa_checks AS c USING (caa_id)
                       WHERE s.cert_id = ?4 AND s.name = ?2 AND 1000 * c.checked_at <= ?3
                       ORDER BY checked_at DESC LIMIT 1";
            let given = params![account, name, signed_at.millis(), cert_id];
            let known: Option<(i64, i64)> =
                connection.prepare_cached(sql)?.query_row(given, |row| Ok((row.get(0)?, row.get(1)?))).optional()?;
            let checked_at = known.map(|(_, at)| Timestamp::from_millis(at));
            if checked_at.is_none_or(|at| at < signed_at.minus(FRESH)) {
                let sql = "INSERT INTO names_awaiting_check VALUES (?1, ?2, ?3, ?4, ?5, ?6)
                           ON CONFLICT DO UPDATE SET noted_at = excluded.noted_at,
                             checked_at = coalesce(excluded.checked_at, checked_at)";
                let checked_at = checked_at.map(Timestamp::millis);
                let given = params![account, name, cert_id, signed_at.millis(), checked_at, now.millis()];
                connection.prepare_cached(sql)?.execute(given)?;
            }
            let Some((caa_id, _)) = known else { continue };
            let of_name = |row: &&mut serde_json::Map<String, Value>| {
                row["table"] == "san_authorisations" && row["name"] == *name
            };
            if let Some(row) = said.rows.iter_mut().map(|(row, _)| row).find(of_name) {
                row.insert("caa_id".to_string(), Value::from(caa_id));
            }
        }
    }
    Ok(())
}

/// Notes the authorizations and the certificates of orders, and adds a row for each name of which both are known now.
fn authorise(connection: &Connection, said: &mut [(u64, Said)], now: Timestamp) -> rusqlite::Result<()> {
    for (_, said) in said.iter_mut() {
        let order = match (&said.used, &said.request) {
            (Some(Used { order, name, dcv_id }), _) => {
                let sql = "INSERT INTO order_authorizations VALUES (?1, ?2, ?3, ?4)
                           ON CONFLICT DO UPDATE SET dcv_id = excluded.dcv_id, noted_at = excluded.noted_at";
                connection.prepare_cached(sql)?.execute(params![order, name, dcv_id, now.millis()])?;
                order.clone()
            }
            (None, Some((order, account, cert_id, signed_at))) => {
                let sql = "INSERT INTO order_certificates VALUES (?1, ?2, ?3, ?4, ?5)
                           ON CONFLICT DO UPDATE SET noted_at = excluded.noted_at";
                let given = params![order, account, cert_id, signed_at.millis(), now.millis()];
                connection.prepare_cached(sql)?.execute(given)?;
                order.clone()
            }
            (None, None) => continue,
        };
        let sql = "SELECT account_id, cert_id, signed_at FROM order_certificates WHERE order_id = ?1";
        let read = |row: &rusqlite::Row<'_>| Ok((row.get(0)?, row.get(1)?, Timestamp::from_millis(row.get(2)?)));
        let certificate: Option<(String, i64, Timestamp)> =
            connection.prepare_cached(sql)?.query_row([&order], read).optional()?;
        let Some((account, cert_id, signed_at)) = certificate else { continue };
        let sql = "SELECT name, dcv_id FROM order_authorizations WHERE order_id = ?1";
        let mut known = connection.prepare_cached(sql)?;
        let known = known.query_map([&order], |row| Ok((row.get(0)?, row.get(1)?)))?;
        let mut known = known.collect::<rusqlite::Result<Vec<(String, i64)>>>()?;
        known.retain(|(name, _)| said.used.as_ref().is_none_or(|used| used.name == *name));
        for (name, dcv_id) in &known {
            let authorised = json!({"table": "san_authorisations", "cert_id": cert_id, "name": name, "dcv_id": dcv_id});
            said.rows.push((row(authorised), false));
        }
        said.names = Some((account, cert_id, known.into_iter().map(|(name, _)| name).collect(), signed_at));
    }
    Ok(())
}

/// A check that came after the request that it belongs to: the programs log on different machines. A newer one takes the
/// place of an older one.
fn found_late(connection: &Connection, check: &AccountCheck) -> rusqlite::Result<()> {
    let (account, name, caa_id, at) = (&check.account, &check.name, check.caa_id, check.at.millis());
    let sql = "SELECT cert_id, signed_at, checked_at IS NOT NULL FROM names_awaiting_check
               WHERE account_id = ?1 AND name = ?2 AND signed_at >= ?3 AND (checked_at IS NULL OR checked_at < ?3)";
    let mut late = connection.prepare_cached(sql)?;
    let late = late.query_map(params![account, name, at], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?)))?;
    for (cert_id, signed_at, has_older) in late.collect::<rusqlite::Result<Vec<(i64, i64, bool)>>>()? {
        let sql = "UPDATE san_authorisations SET caa_id = ?3 WHERE cert_id = ?1 AND name = ?2
                   AND (caa_id IS NULL OR ?4) AND EXISTS (SELECT 1 FROM caa_checks WHERE caa_id = ?3)";
        let linked = connection.prepare_cached(sql)?.execute(params![cert_id, name, caa_id, has_older])?;
        // It may wait among the rows of another file.
        let sql = "UPDATE waiting SET row = json_set(row, '$.caa_id', ?3)
                   WHERE tab = 'san_authorisations' AND key = ?1 || char(31) || ?2";
        let waits = connection.prepare_cached(sql)?.execute(params![cert_id, name, caa_id])?;
        if linked + waits > 0 {
            let sql = "UPDATE names_awaiting_check SET checked_at = ?4
                       WHERE account_id = ?1 AND name = ?2 AND cert_id = ?3";
            connection.prepare_cached(sql)?.execute(params![account, name, cert_id, at])?;
            if at >= signed_at - FRESH.millis() {
                let sql = "DELETE FROM names_awaiting_check WHERE account_id = ?1 AND name = ?2 AND cert_id = ?3";
                connection.prepare_cached(sql)?.execute(params![account, name, cert_id])?;
            }
        }
    }
    Ok(())
}

/// Forgets what nothing waits for any more. By our own clock, and not by that of the lines: where logs are read from their
/// beginning, one of them may be read through while another has hardly begun.
fn forget(connection: &Connection, has_checks: bool, now: Timestamp) -> rusqlite::Result<()> {
    let limit = now.minus(PATIENCE);
    let day = |at: Timestamp| at.seconds().div_euclid(DAY.seconds());
    if has_checks {
        // A clock that is ahead of ours must not make all others old.
        let sql = "INSERT INTO newest_caa_checks SELECT ?1, min(max(checked_at), ?2) FROM account_caa_checks WHERE true
                   ON CONFLICT DO UPDATE SET checked_at = excluded.checked_at WHERE excluded.checked_at > checked_at";
        connection.prepare_cached(sql)?.execute([day(now), now.millis()])?;
    }
    // Measured by the newest line as it was a day or two ago: an old log is read like a new one, and beside others.
    let sql = "DELETE FROM account_caa_checks
               WHERE checked_at < (SELECT max(checked_at) FROM newest_caa_checks WHERE noted_on <= ?1) - ?2";
    connection.prepare_cached(sql)?.execute(params![day(limit), REMEMBERED.millis()])?;
    let sql = "DELETE FROM newest_caa_checks
               WHERE noted_on < (SELECT max(noted_on) FROM newest_caa_checks WHERE noted_on <= ?1)";
    connection.prepare_cached(sql)?.execute([day(limit)])?;
    let sql = "DELETE FROM names_awaiting_check WHERE noted_at < ?1";
    connection.prepare_cached(sql)?.execute([limit.millis()])?;
    for table in ["order_authorizations", "order_certificates"] {
        let sql = format!("DELETE FROM {table} WHERE noted_at < ?1");
        connection.prepare_cached(&sql)?.execute([limit.millis()])?;
    }
    Ok(())
}

/// After the rows were taken.
pub(in crate::issuance) fn after(
    connection: &Connection,
    said: &[(u64, Said)],
    now: Timestamp,
) -> rusqlite::Result<()> {
    for (_, said) in said {
        for check in &said.checks {
            found_late(connection, check)?;
        }
        if let Some((check, [ok, total, regions])) = &said.remote {
            let sql =
                "UPDATE caa_checks SET remote_ok = ?4, remote_total = ?5, remote_rirs = ?6 WHERE remote_ok IS NULL
                       AND caa_id = (SELECT caa_id FROM account_caa_checks WHERE account_id = ?1 AND name = ?2
                           AND checked_at BETWEEN ?3 - ?7 AND ?3 ORDER BY checked_at DESC LIMIT 1)";
            let (account, name, at) = (&check.account, &check.name, check.at.millis());
            connection.prepare_cached(sql)?.execute(params![account, name, at, ok, total, regions, REMOTE.millis()])?;
        }
        if let Some((cert_id, sha256)) = &said.issued {
            let sql = "UPDATE certificates SET state = 'issued', cert_sha256 = ?2 WHERE cert_id = ?1";
            connection.prepare_cached(sql)?.execute(params![cert_id, sha256])?;
        }
        if let Some((cert_id, sha256, at)) = &said.signed {
            let sql = "UPDATE certificates SET precert_sha256 = ?2, signed_at = min(signed_at, ?3) WHERE cert_id = ?1";
            connection.prepare_cached(sql)?.execute(params![cert_id, sha256, at.seconds()])?;
        }
    }
    forget(connection, said.iter().any(|(_, said)| !said.checks.is_empty()), now)
}
