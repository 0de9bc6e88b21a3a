//! Reuses of validations: told apart from validations, and followed to the confirmation at their root.
//!
//! A reuse can rest on a confirmation only. A feed may still state what a CA really did, a reuse of a reuse or a
//! "confirmation" whose method means reused; the import keeps every stated step and resolves the root from the rows
//! that exist, whichever came first.

use std::collections::HashSet;

use rusqlite::{Connection, OptionalExtension, params};
use serde_json::Value;

use crate::issuance::tables::{self, Table};
use crate::record::reuse_label;

/// The longest chain that is followed.
pub(super) const STEP_LIMIT: usize = 64;

/// Words in a method that mean that nothing was validated.
const REUSE_WORDS: [&str; 9] =
    ["reuse", "reused", "reusing", "cache", "cached", "previous", "previously", "recycled", "sticky"];
/// Whole methods that are names of reuse rules.
const REUSE_RULES: [&str; 4] = ["recent", "same_key", "same-key", "samekey"];

/// Whether a method means that an earlier validation was reused.
pub(super) fn means_reuse(method: &str) -> bool {
    let method = method.trim().to_ascii_lowercase();
    let joined = method.replace("re-us", "reus").replace("re_us", "reus");
    REUSE_RULES.contains(&method.as_str())
        || joined.split(|c: char| !c.is_ascii_alphabetic()).any(|word| REUSE_WORDS.contains(&word))
}

/// Files a row of the feed under the table where it belongs, with the values of the stored columns: a confirmation
/// whose method means reuse, or that names an origin, becomes a reuse with its number negated.
pub(super) fn classify(table: &'static Table, mut values: Vec<Value>) -> (&'static Table, Vec<Value>) {
    let mut value = |name: &str| {
        let place = table.columns.iter().position(|column| column.name == name);
        place.and_then(|place| values.get_mut(place)).map(Value::take).unwrap_or(Value::Null)
    };
    if table.name == "dcv_confirmations" {
        let (method, dcv_id) = (value("method"), value("dcv_id"));
        let (origin, reuse) = (value("reused_dcv_id"), value("reused_reuse_id"));
        let reused = method.as_str().is_some_and(means_reuse) || !origin.is_null() || !reuse.is_null();
        if let (true, Some(reuses)) = (reused, tables::table("dcv_reuse")) {
            let number = dcv_id.as_i64().map_or(Value::Null, |id| Value::from(-id));
            let row = vec![number, origin, method, value("completed_at"), value("performed_by"), reuse];
            return (reuses, row);
        }
        values[0] = dcv_id;
        if let Some(place) = table.place("method") {
            values[place] = method;
        }
    }
    let stored = table.columns.iter().zip(values).filter(|(column, _)| !column.stored.is_empty());
    (table, stored.map(|(_, value)| value).collect())
}

/// Makes room for what the import says anew: a number that was filed as a confirmation and is now called a reuse, or
/// the other way round. Rows that name it follow.
pub(super) fn refile(connection: &Connection) -> rusqlite::Result<()> {
    connection.execute_batch(
        "CREATE TEMP TABLE refiled (dcv_id INTEGER PRIMARY KEY);
         INSERT INTO refiled SELECT DISTINCT -CAST(s.key AS INTEGER) FROM stage s CROSS JOIN dcv_confirmations c
             ON c.dcv_id = -CAST(s.key AS INTEGER) WHERE s.tab = 'dcv_reuse' AND s.key LIKE '-%';
         UPDATE san_authorisations SET reuse_id = -dcv_id, dcv_id = NULL WHERE dcv_id IN (SELECT dcv_id FROM refiled);
         UPDATE dcv_reuse SET dcv_id = NULL WHERE dcv_id IN (SELECT dcv_id FROM refiled);
         DELETE FROM dcv_confirmations WHERE dcv_id IN (SELECT dcv_id FROM refiled);
         DELETE FROM refiled;
         INSERT INTO refiled SELECT DISTINCT CAST(s.key AS INTEGER) FROM stage s CROSS JOIN dcv_reuse r
             ON r.reuse_id = -CAST(s.key AS INTEGER) WHERE s.tab = 'dcv_confirmations';
         UPDATE san_authorisations SET dcv_id = -reuse_id, reuse_id = NULL
             WHERE reuse_id IN (SELECT -dcv_id FROM refiled);
         DELETE FROM dcv_reuse_chain WHERE reuse_id IN (SELECT -dcv_id FROM refiled);
         DELETE FROM dcv_reuse WHERE reuse_id IN (SELECT -dcv_id FROM refiled);
         DROP TABLE refiled;",
    )
}

/// Derives the root of every reuse, and the chain of those that do not rest on a confirmation directly, from what the
/// feed stated.
pub(super) fn resolve(connection: &Connection) -> rusqlite::Result<()> {
    connection.execute_batch(
        "DELETE FROM dcv_reuse_chain;
         UPDATE dcv_reuse SET dcv_id = stated_dcv_id WHERE stated_reuse_id IS NULL AND dcv_id IS NOT stated_dcv_id
             AND EXISTS (SELECT 1 FROM dcv_confirmations c WHERE c.dcv_id = stated_dcv_id);
         UPDATE dcv_reuse SET dcv_id = NULL WHERE stated_reuse_id IS NULL AND stated_dcv_id IS NULL
             AND dcv_id IS NOT NULL;",
    )?;
    let mut chained = connection.prepare(
        "SELECT reuse_id FROM dcv_reuse r WHERE stated_reuse_id IS NOT NULL OR (stated_dcv_id IS NOT NULL
             AND NOT EXISTS (SELECT 1 FROM dcv_confirmations c WHERE c.dcv_id = r.stated_dcv_id))",
    )?;
    let chained = chained.query_map([], |row| row.get(0))?.collect::<rusqlite::Result<Vec<i64>>>()?;
    let mut keep = connection.prepare("INSERT INTO dcv_reuse_chain VALUES (?1, ?2, ?3, ?4)")?;
    let mut set = connection.prepare("UPDATE dcv_reuse SET dcv_id = ?2 WHERE reuse_id = ?1 AND dcv_id IS NOT ?2")?;
    for reuse_id in chained {
        let (steps, root) = follow(connection, reuse_id)?;
        set.execute(params![reuse_id, root])?;
        if steps.len() > 1 || root.is_none() {
            for (step, (stated_id, stated_at)) in (1_i64..).zip(steps) {
                keep.execute(params![reuse_id, step, stated_id, stated_at])?;
            }
        }
    }
    Ok(())
}

type Steps = Vec<(String, Option<i64>)>;

/// The stated steps from a reuse down, nearest first, and the confirmation at the end if there is one.
fn follow(connection: &Connection, reuse_id: i64) -> rusqlite::Result<(Steps, Option<i64>)> {
    let mut origin =
        connection.prepare_cached("SELECT stated_dcv_id, stated_reuse_id FROM dcv_reuse WHERE reuse_id = ?1")?;
    let mut decided = connection.prepare_cached("SELECT decided_at FROM dcv_reuse WHERE reuse_id = ?1")?;
    let mut completed = connection.prepare_cached("SELECT completed_at FROM dcv_confirmations WHERE dcv_id = ?1")?;
    let (mut steps, mut seen, mut at): (Steps, _, _) = (Vec::new(), HashSet::from([reuse_id]), reuse_id);
    loop {
        let (dcv, reuse): (Option<i64>, Option<i64>) = origin.query_row([at], |row| Ok((row.get(0)?, row.get(1)?)))?;
        // A stated reuse counts before a stated confirmation: the older evidence is at the end of the longer way.
        let next = match (reuse, dcv) {
            (None, None) => return Ok((steps, None)),
            (Some(reuse), None) => reuse,
            (Some(reuse), Some(_)) if decided.exists([reuse])? => reuse,
            (_, Some(dcv)) => {
                if let Some(moment) = completed.query_row([dcv], |row| row.get(0)).optional()? {
                    steps.push((format!("confirmation {dcv}"), Some(moment)));
                    return Ok((steps, Some(dcv)));
                }
                -dcv
            }
        };
        let Some(moment) = decided.query_row([next], |row| row.get::<_, i64>(0)).optional()? else {
            steps.push((reuse_label(next), None));
            return Ok((steps, None));
        };
        let end = match (seen.insert(next), steps.len() + 1 < STEP_LIMIT) {
            (false, _) => " again: the chain is a circle",
            (true, false) => " and on: the chain is too long to follow",
            (true, true) => "",
        };
        steps.push((format!("{}{end}", reuse_label(next)), Some(moment)));
        if !end.is_empty() {
            return Ok((steps, None));
        }
        at = next;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn methods_that_mean_reuse_are_told_from_methods() {
        let reused =
            ["reuse", "Reused", "3.2.2.4.7 (cached)", "sticky", "same_key", "recent", "domain-re-use", "re_used"];
        for method in reused {
            assert!(means_reuse(method), "{method}");
        }
        for method in ["3.2.2.4.7", "http-01", "dns-01", "3.2.2.4.22", "", "constructed e-mail", "recent phone call"] {
            assert!(!means_reuse(method), "{method}");
        }
    }
}
