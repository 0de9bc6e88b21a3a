//! Every question of a server, put to it on a sample.

use std::collections::BTreeMap;

use super::Sql;
use super::error::SqlError;
use super::question::{Filter, Shape, wrapped};
use crate::clock::Timestamp;
use crate::finding::{KeyHash, Serial};
use crate::issuance::check::{QuestionReport, SourceReport, time_column, unknown_issuer};
use crate::issuance::column::{Cell, Kind};
use crate::issuance::tables::{REVOKED, TABLES, Table};

/// Rows of a sample.
const SAMPLE: u64 = 1_000;
/// How far rows are counted.
const COUNT: u64 = 100_000;

impl Sql {
    /// Looks at every question; what fails is part of the report.
    pub(in crate::issuance) async fn check(&self, issuers: &[(String, KeyHash)]) -> SourceReport {
        let source = self.settings().server();
        let as_of = match self.as_of().await {
            Ok(as_of) => as_of,
            Err(error) => {
                let fed = |table: &&'static Table| self.settings().feeds(table.name);
                let report = |table| QuestionReport { table, fed: true, ..QuestionReport::default() };
                let questions = TABLES.iter().filter(fed).map(|table| report(table.name)).collect();
                return SourceReport { source, as_of: None, outage: Some(error.to_string()), questions };
            }
        };
        let mut questions = Vec::new();
        let own = Some(&REVOKED).filter(|question| self.settings().feeds(question.name));
        for table in TABLES.iter().chain(own) {
            questions.push(self.question(table, issuers).await);
        }
        SourceReport { source, as_of: Some(as_of), outage: None, questions }
    }

    async fn question(&self, table: &'static Table, issuers: &[(String, KeyHash)]) -> QuestionReport {
        let mut report =
            QuestionReport { table: table.name, fed: self.settings().feeds(table.name), ..Default::default() };
        let mapped = &self.settings().issuers;
        let mut keys: Vec<KeyHash> = mapped.iter().map(|issuer| issuer.key_hash).collect();
        if self.settings().texts.contains_key(table.name) {
            if let Err(error) = self.look(table, &mut report, &mut keys).await {
                report.problems.push(match error {
                    SqlError::Question { reason, .. } => reason,
                    other => other.to_string(),
                });
            }
        } else if report.fed {
            report.columns = table.stored().map(|c| (c.name.to_string(), "configuration".to_string())).collect();
            report.rows = Some((mapped.len() as u64, true));
        }
        if table.name == "issuers" && !report.columns.is_empty() {
            let unknown = issuers.iter().filter(|(_, key)| !keys.contains(key));
            report.problems.extend(unknown.map(|(name, key)| unknown_issuer(name, key)));
        }
        report
    }

    /// Columns, sample, number of rows, newest row. What goes wrong ends it and leaves what was learnt before.
    async fn look(
        &self,
        table: &'static Table,
        report: &mut QuestionReport,
        keys: &mut Vec<KeyHash>,
    ) -> Result<(), SqlError> {
        let settings = self.settings();
        let mut held = self.hold().await?;
        let shape = held.link.shape(settings, table).await?;
        report.columns = shape.0.iter().map(|column| (column.name.to_string(), column.type_name.clone())).collect();
        let mut problems = Problems { table, serials: settings.serials, shape: &shape, found: BTreeMap::new() };
        let mut sampled = 0;
        let mut take = |cells: Vec<Cell>| {
            sampled += 1;
            problems.add(&cells, keys);
            Ok(())
        };
        let filter = Filter { limit: Some(SAMPLE), ..Filter::default() };
        held.link.each(settings, table, &filter, &mut take).await?;
        report.sampled = sampled;
        let found = std::mem::take(&mut problems.found);
        report.problems.extend(found.into_iter().map(|(column, (count, first))| {
            format!("column {column}: {first} ({count} of {sampled} rows of a sample)")
        }));
        let text = wrapped(settings.texts.get(table.name).map_or("", String::as_str));
        let some = format!("SELECT count(*) AS value FROM (SELECT 1 AS one FROM {text} q LIMIT {}) n", COUNT + 1);
        if let Some(count) = held.link.number(settings, table.name, &some).await? {
            let count = count.unsigned_abs();
            report.rows = Some((count.min(COUNT), count <= COUNT));
        }
        if let Some(column) = time_column(table.name).filter(|c| shape.0.iter().any(|shown| shown.name == *c)) {
            let newest = format!("SELECT max(q.{column}) AS value FROM {text} q");
            let newest = held.link.number(settings, table.name, &newest).await?;
            report.newest = newest.map(Timestamp::from_seconds);
        }
        self.release(held).await
    }
}

/// What is wrong with the rows of a sample: by column how often, and the first reason.
struct Problems<'a> {
    table: &'static Table,
    serials: super::SerialForm,
    shape: &'a Shape,
    found: BTreeMap<&'static str, (u64, String)>,
}

impl Problems<'_> {
    fn add(&mut self, cells: &[Cell], keys: &mut Vec<KeyHash>) {
        let (values, wrong) = self.table.read(&cells.iter().map(Cell::raw).collect::<Vec<_>>());
        for (column, reason) in wrong {
            self.note(column, reason);
        }
        for column in &self.shape.0 {
            let Some(Cell::Text(text)) = cells.get(column.place) else { continue };
            let kept = values.get(column.place).and_then(|value| value.as_str());
            // What is looked up by must be written in the one form in which it is asked for.
            let asked = match (column.name, self.table.columns[column.place].kind) {
                ("serial", _) => Serial::from_hex(text).map(|serial| self.serials.spell(&serial)),
                ("adn", Kind::Domain) => kept.map(str::to_string),
                _ => continue,
            };
            let decimal = column.name == "serial" && self.serials == super::SerialForm::Decimal;
            if asked.as_deref().is_some_and(|asked| asked != text) && !decimal {
                let shown = crate::finding::escape(text.as_bytes(), 60);
                let asked = asked.unwrap_or_default();
                self.note(column.name, format!("\"{shown}\" is asked for as \"{asked}\" and would not be found"));
            }
        }
        if self.table.name == "issuers" {
            let key = self.table.value(&values, "spki_sha256").and_then(|value| value.as_str());
            keys.extend(key.and_then(KeyHash::from_hex));
        }
    }

    fn note(&mut self, column: &'static str, reason: String) {
        self.found.entry(column).and_modify(|(count, _)| *count += 1).or_insert((1, reason));
    }
}
