//! A part of the CA's database, brought here: the walks through the record put the same questions to it as to the
//! embedded database.

use rusqlite::Connection;
use serde_json::Value;

use super::error::SqlError;
use super::gather::gather_revocations;
use super::link::refused;
use super::question::Filter;
use super::{Held, Sql, assemble};
use crate::clock::Timestamp;
use crate::finding::CaseKey;
use crate::issuance::Query;
use crate::issuance::column::Cell;
use crate::issuance::tables::{self, Table};

/// The most rows that one question gives.
pub(super) const MOST_ROWS: u64 = 1_000_000;

/// What is brought here.
#[derive(Clone, Debug)]
pub(in crate::issuance) enum Part {
    /// Certificates signed from the first time on and before the second, if they are no more than this.
    Signed(Timestamp, Timestamp, u64),
    /// These certificates and their revocations.
    Keys(Vec<CaseKey>),
    /// The observations of controls after these times, and the newest of every control.
    Controls(Vec<(String, Timestamp)>),
    /// The counts of the hours from the first on and before the second.
    Counts(Timestamp, Timestamp),
}

pub(super) type Rows = Vec<(&'static Table, Vec<Value>)>;

impl Sql {
    /// A database in memory with this part of the record; `None`: there are more rows than were wanted.
    pub(in crate::issuance) async fn mirror(&self, part: Part) -> Result<Option<Connection>, SqlError> {
        let settings = self.settings();
        let mut held: Held = self.hold().await?;
        let mut rows = Rows::new();
        let times = |column, from: Timestamp, until: Timestamp| {
            vec![(column, ">=", from.seconds()), (column, "<", until.seconds())]
        };
        match part {
            Part::Signed(from, until, most) => {
                let filter =
                    Filter { times: times("signed_at", from, until), limit: Some(most + 1), ..Filter::default() };
                rows.extend(self.rows(&mut held, "certificates", &filter).await?);
                if rows.len() as u64 > most {
                    self.release(held).await?;
                    return Ok(None);
                }
                rows.splice(0..0, self.issuers(&mut held).await?);
            }
            Part::Keys(keys) => {
                let queries: Vec<Query> = keys.into_iter().map(|key| Query { key, names: Vec::new() }).collect();
                let gathered = gather_revocations(&mut held.link, settings, &queries).await?;
                if let Some(reason) = gathered.standings.iter().find_map(|standing| standing.bad.clone()) {
                    return Err(refused(settings, "revocations", reason));
                }
                rows = gathered.rows;
            }
            Part::Controls(after) => rows = self.controls(&mut held, &after).await?,
            Part::Counts(from, until) => {
                rows = self.issuers(&mut held).await?;
                let filter = Filter { times: times("hour", from, until), limit: Some(MOST_ROWS), ..Filter::default() };
                rows.extend(self.rows(&mut held, "counts", &filter).await?);
            }
        }
        let as_of = held.as_of;
        self.release(held).await?;
        let shared = self.shared.clone();
        let filled = tokio::task::spawn_blocking(move || assemble::fill(&shared.settings, rows, as_of)).await;
        let failed = |reason: String| refused(settings, "certificates", reason);
        let filled = filled.map_err(|error| failed(error.to_string()))?;
        filled.map(Some).map_err(|error| failed(error.to_string()))
    }

    /// The sound rows of a question; one that is not sound ends it, and so do so many that some may be missing.
    pub(super) async fn rows(&self, held: &mut Held, table: &str, filter: &Filter) -> Result<Rows, SqlError> {
        let settings = self.settings();
        let Some(table) = tables::table(table).filter(|table| settings.feeds(table.name)) else {
            return Ok(Rows::new());
        };
        let mut rows = Rows::new();
        let given = held.link.rows(settings, table, filter).await?;
        if filter.limit == Some(MOST_ROWS) && given.len() as u64 == MOST_ROWS {
            let reason = format!("gives {MOST_ROWS} rows or more; leave out what has expired or is old");
            return Err(refused(settings, table.name, reason));
        }
        for cells in given {
            let (values, wrong) = table.read(&cells.iter().map(Cell::raw).collect::<Vec<_>>());
            if let Some((column, reason)) = wrong.first() {
                let keys: Vec<String> = values[..table.key].iter().map(Value::to_string).collect();
                return Err(refused(
                    settings,
                    table.name,
                    format!("row {}: column {column}: {reason}", keys.join(" ")),
                ));
            }
            rows.push((table, values));
        }
        Ok(rows)
    }

    /// The issuers of the database, or those that the configuration names.
    pub(super) async fn issuers(&self, held: &mut Held) -> Result<Rows, SqlError> {
        let settings = self.settings();
        let mapped = settings.issuers.iter().filter_map(|issuer| {
            let texts = [issuer.name.clone(), issuer.key_hash.to_string(), issuer.hierarchy.clone()];
            let values = std::iter::once(Value::from(issuer.issuer_id)).chain(texts.map(Value::from)).collect();
            Some((tables::table("issuers")?, values))
        });
        let mut rows: Rows = mapped.collect();
        if settings.texts.contains_key("issuers") {
            let filter = Filter { limit: Some(MOST_ROWS), ..Filter::default() };
            rows.extend(self.rows(held, "issuers", &filter).await?);
        }
        Ok(rows)
    }
}
