//! Whole tables, row by row, in bounded memory.

use serde_json::Value;

use super::error::SqlError;
use super::link::{Link, refused};
use super::question::Filter;
use super::{Held, Sql};
use crate::clock::Timestamp;
use crate::issuance::FeedRow;
use crate::issuance::column::Cell;
use crate::issuance::reuse;
use crate::issuance::tables::Table;

impl Sql {
    /// Gives every sound row of a table to `each`; a row that is not sound ends it, with its key, column and reason.
    pub(in crate::issuance) async fn stream(
        &self,
        table: &'static Table,
        signed: Option<(Timestamp, Timestamp)>,
        each: &mut (dyn FnMut(FeedRow) -> Result<(), String> + Send),
    ) -> Result<u64, SqlError> {
        let settings = self.settings();
        let times = signed.map_or(Vec::new(), |(from, until)| {
            vec![("signed_at", ">=", from.seconds()), ("signed_at", "<", until.seconds())]
        });
        let filter = Filter { times, ..Filter::default() };
        // A statement of any length on a connection of its own, which ends with it.
        let mut held: Held = self.hold().await?;
        held.link.end(settings).await?;
        held.link.unlimited(settings).await?;
        held.link.begin(settings, self.shared.clock.now()).await?;
        let link: &mut Link = &mut held.link;
        let mut stopped = None;
        let mut take = |cells: Vec<Cell>| {
            let (values, wrong) = table.read(&cells.iter().map(Cell::raw).collect::<Vec<_>>());
            if let Some((column, reason)) = wrong.first() {
                let keys: Vec<String> = values[..table.key].iter().map(Value::to_string).collect();
                return Err(format!("row {}: column {column}: {reason}", keys.join(" ")));
            }
            let (table, values) = reuse::classify(table, values);
            each(FeedRow { table: table.name, values }).inspect_err(|reason| stopped = Some(reason.clone()))
        };
        let streamed = link.each(settings, table, &filter, &mut take).await;
        match (stopped, streamed) {
            (Some(reason), _) => Err(SqlError::Stopped(reason)),
            (None, Err(SqlError::Question { reason, .. })) => Err(refused(settings, table.name, reason)),
            (None, streamed) => streamed,
        }
    }
}
