//! What a source of the record has, question by question, and what is wrong with it.

use rusqlite::{Connection, OptionalExtension};

use crate::clock::Timestamp;
use crate::finding::KeyHash;
use crate::issuance::tables::{TABLES, Table};
use crate::issuance::{Embedded, IssuanceDb, IssuanceError, schema};

/// What a source has.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SourceReport {
    /// The source as people know it.
    pub source: String,
    /// The newest write that its answers can contain; `None` when it did not answer or was never fed.
    pub as_of: Option<Timestamp>,
    /// Why it did not answer at all.
    pub outage: Option<String>,
    /// One for each table of the feed, and one for `revoked` where a server has a text for it.
    pub questions: Vec<QuestionReport>,
}

/// What a source has of one table of the feed.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct QuestionReport {
    /// The table.
    pub table: &'static str,
    /// Whether the source has it at all.
    pub fed: bool,
    /// The columns that it gives, with their types.
    pub columns: Vec<(String, String)>,
    /// How many rows there are, and whether that was counted to the end (else there are more).
    pub rows: Option<(u64, bool)>,
    /// The newest time in the table's main column of times.
    pub newest: Option<Timestamp>,
    /// How many rows were looked at.
    pub sampled: u64,
    /// What is wrong, in sentences without full stop.
    pub problems: Vec<String>,
}

impl SourceReport {
    /// What a rule needs and this source does not have, of needs as [`record_needs`](crate::exam::record_needs) gives
    /// them.
    pub fn lacking(&self, needs: &[&str]) -> Vec<String> {
        let lacks = |need: &&&str| {
            let (table, column) = need.split_once('.').map_or((**need, None), |(table, column)| (table, Some(column)));
            let Some(question) = self.questions.iter().find(|question| question.table == table) else { return true };
            let usable = question.fed && !question.columns.is_empty();
            !usable || column.is_some_and(|column| !question.columns.iter().any(|(name, _)| name == column))
        };
        needs.iter().filter(lacks).map(ToString::to_string).collect()
    }
    /// Whether anything is wrong.
    pub fn has_problems(&self) -> bool {
        self.outage.is_some() || self.questions.iter().any(|question| !question.problems.is_empty())
    }
}

/// The main column of times of each table.
const TIMES: &[(&str, &str)] = &[
    ("identities", "verified_at"),
    ("orders", "created_at"),
    ("certificates", "signed_at"),
    ("dcv_confirmations", "completed_at"),
    ("dcv_reuse", "decided_at"),
    ("caa_checks", "checked_at"),
    ("approvals", "decided_at"),
    ("revocations", "revoked_at"),
    ("revoked", "revoked_at"),
    ("controls", "observed_at"),
    ("lint_runs", "ran_at"),
    ("counts", "hour"),
];

/// The main column of times of a table, if it has one.
pub(super) fn time_column(table: &str) -> Option<&'static str> {
    TIMES.iter().find(|(name, _)| *name == table).map(|(_, column)| *column)
}

impl IssuanceDb {
    /// Looks at every table of the source. `issuers`, by name and key, are those whose certificates are looked up.
    ///
    /// # Errors
    /// When the embedded database cannot be read. A server that does not answer is part of the report.
    pub async fn check(&self, issuers: &[(String, KeyHash)]) -> Result<SourceReport, IssuanceError> {
        match self {
            IssuanceDb::None => {
                let questions = TABLES.iter().map(|table| QuestionReport { table: table.name, ..Default::default() });
                let questions = questions.collect();
                Ok(SourceReport { source: "none".to_string(), as_of: None, outage: None, questions })
            }
            IssuanceDb::Embedded(embedded) => embedded.check(issuers),
            IssuanceDb::Sql(sql) => Ok(sql.check(issuers).await),
        }
    }
}

impl Embedded {
    fn check(&self, issuers: &[(String, KeyHash)]) -> Result<SourceReport, IssuanceError> {
        let fault = |error| schema::error(self.path(), error);
        let connection = schema::connect(self.path())?;
        let newest: Option<i64> =
            connection.query_row("SELECT max(imported_at_ms) FROM feed", [], |row| row.get(0)).map_err(fault)?;
        let mut questions = Vec::new();
        for table in TABLES {
            questions.push(question(&connection, table, issuers).map_err(fault)?);
        }
        let source = format!("embedded {}", self.path().display());
        Ok(SourceReport { source, as_of: newest.map(Timestamp::from_millis), outage: None, questions })
    }
}

fn question(
    connection: &Connection,
    table: &'static Table,
    issuers: &[(String, KeyHash)],
) -> rusqlite::Result<QuestionReport> {
    let mut report = QuestionReport { table: table.name, ..QuestionReport::default() };
    report.fed = connection.prepare("SELECT 1 FROM feed WHERE table_name = ?1")?.exists([table.name])?;
    if !report.fed {
        return Ok(report);
    }
    for column in table.stored() {
        let sql = "SELECT type FROM pragma_table_info(?1) WHERE name = ?2";
        let of: Option<String> = connection.query_row(sql, [table.name, column.stored], |row| row.get(0)).optional()?;
        report.columns.push((column.name.to_string(), of.unwrap_or_default().to_ascii_lowercase()));
    }
    let count: i64 = connection.query_row(&format!("SELECT count(*) FROM {}", table.name), [], |row| row.get(0))?;
    report.rows = Some((count.unsigned_abs(), true));
    report.sampled = count.unsigned_abs();
    if let Some(column) = time_column(table.name) {
        let sql = format!("SELECT max({column}) FROM {}", table.name);
        let newest: Option<i64> = connection.query_row(&sql, [], |row| row.get(0))?;
        report.newest = newest.map(Timestamp::from_seconds);
    }
    if table.name == "issuers" {
        let mut known = connection.prepare("SELECT 1 FROM issuers WHERE spki_sha256 = ?1")?;
        for (name, key) in issuers {
            if !known.exists([key.to_string()])? {
                report.problems.push(unknown_issuer(name, key));
            }
        }
    }
    Ok(report)
}

/// An issuer that the source does not have: none of its certificates can be found.
pub(super) fn unknown_issuer(name: &str, key: &KeyHash) -> String {
    let name = crate::finding::escape(name.as_bytes(), 100);
    format!("there is no issuer with the key of {name} ({key}): none of its certificates can be found")
}
