//! Answers from what was fetched: the rows go into a database in memory with our own schema, and the questions of the
//! examination are put to that, so that every source is judged alike.

use rusqlite::{Connection, params};
use serde_json::Value;

use super::gather::{Gathered, Standing};
use super::settings::Settings;
use crate::clock::{Span, Timestamp};
use crate::issuance::tables::{TABLES, Table};
use crate::issuance::{Query, lookup, reuse, schema};
use crate::record::Lookup;

/// How long after the signature rows that belong to a certificate may still be on their way.
pub(in crate::issuance) const SETTLING: Span = Span::from_seconds(3600);

/// One answer per query, in their order.
pub(super) fn assemble(
    settings: &Settings,
    queries: &[Query],
    gathered: Gathered,
    as_of: Timestamp,
) -> rusqlite::Result<Vec<Lookup>> {
    let connection = fill(settings, gathered.rows, as_of)?;
    let answers = lookup::find(&connection, queries)?;
    Ok(answers.into_iter().zip(gathered.standings).map(|(answer, standing)| judge(answer, standing, as_of)).collect())
}

/// What spoils an answer, before the answer itself.
fn judge(answer: Lookup, standing: Standing, as_of: Timestamp) -> Lookup {
    if let Some(reason) = standing.bad {
        return Lookup::Unavailable { reason };
    }
    let Some(absent) = standing.absent else { return answer };
    let signed_at = Timestamp::from_seconds(standing.signed_at.unwrap_or(0));
    if as_of < signed_at.plus(SETTLING) {
        // Not all of it is here yet: no more is known than before it was signed.
        return Lookup::Unknown { as_of: as_of.min(signed_at) };
    }
    match standing.contradicts {
        true => Lookup::Unavailable { reason: format!("the record contradicts itself: {absent}") },
        false => answer,
    }
}

/// A database in memory with these rows.
pub(super) fn fill(
    settings: &Settings,
    rows: Vec<(&'static Table, Vec<Value>)>,
    as_of: Timestamp,
) -> rusqlite::Result<Connection> {
    let connection = schema::in_memory()?;
    for (table, values) in rows {
        let (table, values) = reuse::classify(table, values);
        let columns: Vec<&str> = table.stored().map(|column| column.stored).collect();
        // The same row may have been fetched for several certificates.
        let sql = format!(
            "INSERT OR IGNORE INTO {} ({}) VALUES ({})",
            table.name,
            columns.join(", "),
            vec!["?"; columns.len()].join(", ")
        );
        let given = values.iter().map(stored);
        connection.prepare_cached(&sql)?.execute(rusqlite::params_from_iter(given))?;
    }
    // A "confirmation" that is a reuse is named as what it is.
    connection.execute_batch(
        "UPDATE san_authorisations SET reuse_id = -dcv_id, dcv_id = NULL
             WHERE EXISTS (SELECT 1 FROM dcv_reuse r WHERE r.reuse_id = -san_authorisations.dcv_id);",
    )?;
    reuse::resolve(&connection)?;
    for table in TABLES.iter().filter(|table| settings.feeds(table.name)) {
        connection.execute("INSERT INTO feed VALUES (?1, ?2)", params![table.name, as_of.millis()])?;
    }
    Ok(connection)
}

fn stored(value: &Value) -> rusqlite::types::Value {
    match value {
        Value::String(text) => text.clone().into(),
        Value::Number(number) => number.as_i64().map_or(rusqlite::types::Value::Null, Into::into),
        _ => rusqlite::types::Value::Null,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SIGNED: Timestamp = Timestamp::from_seconds(1_795_338_840);

    fn standing(bad: Option<&str>, absent: Option<&str>, contradicts: bool) -> Standing {
        let own = |text: &str| text.to_string();
        Standing { bad: bad.map(own), absent: absent.map(own), contradicts, signed_at: Some(SIGNED.seconds()) }
    }

    #[test]
    fn rows_that_are_missing_are_waited_for_and_then_a_contradiction() {
        let (soon, late) = (SIGNED.plus(Span::from_seconds(60)), SIGNED.plus(SETTLING));
        let judged = |standing, as_of| judge(Lookup::NoSource, standing, as_of);
        assert_eq!(judged(standing(None, None, false), soon), Lookup::NoSource);
        let absent = Some("orders has no row with order_id 7");
        assert_eq!(judged(standing(None, absent, true), soon), Lookup::Unknown { as_of: SIGNED });
        let Lookup::Unavailable { reason } = judged(standing(None, absent, true), late) else { panic!() };
        assert_eq!(reason, "the record contradicts itself: orders has no row with order_id 7");
        assert_eq!(judged(standing(None, absent, false), late), Lookup::NoSource);
        let bad = standing(Some("question orders: bad"), absent, true);
        assert!(matches!(judged(bad, soon), Lookup::Unavailable { reason } if reason == "question orders: bad"));
    }
}
