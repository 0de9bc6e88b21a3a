//! Whole tables, row by row, in bounded memory, all from one moment.

use serde_json::Value;

use super::error::SqlError;
use super::link::refused;
use super::question::Filter;
use super::{Held, Sql};
use crate::clock::Timestamp;
use crate::issuance::column::Cell;
use crate::issuance::stream::EachRow;
use crate::issuance::tables::Table;

/// A connection of its own with one moment of the database, on which a statement may take any time. It ends with it.
pub(in crate::issuance) struct Session {
    sql: Sql,
    held: Held,
}

impl Sql {
    pub(in crate::issuance) async fn session(&self) -> Result<Session, SqlError> {
        let settings = self.settings();
        let mut held = self.hold().await?;
        held.link.end(settings).await?;
        held.link.unlimited(settings).await?;
        held.as_of = held.link.begin(settings, self.shared.clock.now()).await?;
        Ok(Session { sql: self.clone(), held })
    }
}

impl Session {
    /// The newest write that it shows.
    pub(in crate::issuance) fn as_of(&self) -> Timestamp {
        self.held.as_of
    }

    /// About how many rows a table has, as the server guesses without reading it.
    pub(in crate::issuance) async fn about(&mut self, table: &'static Table) -> Option<u64> {
        let settings = self.sql.settings();
        match settings.texts.get(table.name) {
            Some(text) => self.held.link.about(text).await,
            None if settings.feeds(table.name) => Some(settings.issuers.len() as u64),
            None => None,
        }
    }

    /// Gives every row of a table to `each`; one that is not sound as its key, column and reason.
    pub(in crate::issuance) async fn stream(
        &mut self,
        table: &'static Table,
        each: EachRow<'_>,
    ) -> Result<u64, SqlError> {
        let settings = self.sql.settings();
        if !settings.feeds(table.name) {
            return Ok(0);
        }
        // Issuers that the configuration names are not in the database.
        if !settings.texts.contains_key(table.name) {
            for issuer in &settings.issuers {
                let texts = [issuer.name.clone(), issuer.key_hash.to_string(), issuer.hierarchy.clone()];
                let values = std::iter::once(Value::from(issuer.issuer_id)).chain(texts.map(Value::from)).collect();
                each(Ok(values)).map_err(SqlError::Stopped)?;
            }
            return Ok(settings.issuers.len() as u64);
        }
        let mut stopped = None;
        let mut take = |cells: Vec<Cell>| {
            let (values, wrong) = table.read(&cells.iter().map(Cell::raw).collect::<Vec<_>>());
            let row = match wrong.first() {
                None => Ok(values),
                Some((column, reason)) => {
                    let keys: Vec<String> = values[..table.key].iter().map(Value::to_string).collect();
                    Err(format!("row {}: column {column}: {reason}", keys.join(" ")))
                }
            };
            each(row).inspect_err(|reason| stopped = Some(reason.clone()))
        };
        let streamed = self.held.link.each(settings, table, &Filter::default(), &mut take).await;
        match (stopped, streamed) {
            (Some(reason), _) => Err(SqlError::Stopped(reason)),
            (None, Err(SqlError::Question { reason, .. })) => {
                // What the server refuses leaves a connection; what ends the connection says nothing about the text.
                match self.held.link.end(settings).await {
                    Ok(()) => Err(refused(settings, table.name, reason)),
                    Err(_) => Err(SqlError::Lost { server: settings.server(), table: table.name, reason }),
                }
            }
            (None, streamed) => streamed,
        }
    }
}
